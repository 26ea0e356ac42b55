//! Who may stream, of which term.

use std::io::Write;

use crate::stage::{CLOSE, Client, HOUR, Stage, open_for, query, startup};

const TERM: &str = "-c nines.term=7";

fn standby(stage: &Stage, options: &str) -> Client {
    let mut client = stage.client();
    client.say(&startup(&[("user", "nines_replication"), ("replication", "true"), ("options", options)]));
    client
}

#[test]
fn a_standby_passes_if_this_is_the_primary_of_its_term_open_or_not() {
    let stage = Stage::new();
    assert!(standby(&stage, TERM).is_ended_with("57P03").contains("not the primary of term 7"));
    stage.gate.set_engine(Some(stage.engine(Some(8))));
    assert!(standby(&stage, TERM).is_ended_with("57P03").contains("term 8, not of term 7"));
    stage.gate.set_engine(Some(stage.engine(Some(7))));
    let mut client = standby(&stage, TERM);
    let mut server = stage.logged_in(&mut client);
    // Neither lease nor gate have a part in it.
    stage.gate.set(&open_for(HOUR));
    stage.gate.set(&CLOSE);
    client.say(b"anything");
    server.hears(b"anything");
    let counts = stage.gate.counts();
    assert_eq!((counts.replication_connections, counts.connections), (1, 0));
}

#[test]
fn closing_replication_ends_all_of_it_until_a_term_is_named_again() {
    let stage = Stage::new();
    stage.gate.set_engine(Some(stage.engine(Some(7))));
    let mut client = standby(&stage, TERM);
    let mut server = stage.logged_in(&mut client);
    stage.gate.close_replication();
    let _ = server.stream.write_all(b"stale");
    assert!(client.rest().is_empty());
    server.is_ended();
    standby(&stage, TERM).is_ended_with("57P03");
    // Of another term: those of the former one are not let through.
    stage.gate.set_engine(Some(stage.engine(Some(7))));
    let mut client = standby(&stage, TERM);
    let _server = stage.logged_in(&mut client);
    stage.gate.set_engine(Some(stage.engine(Some(8))));
    assert!(client.rest().is_empty());
}

#[test]
fn replication_without_a_term_is_a_client() {
    let stage = Stage::new();
    stage.gate.set_engine(Some(stage.engine(Some(7))));
    for kind in ["true", "database"] {
        let ask = || {
            let mut client = stage.client();
            client.say(&startup(&[("user", "backup"), ("replication", kind)]));
            client
        };
        ask().is_ended_with("57P03");
        stage.gate.set(&open_for(HOUR));
        let mut client = ask();
        let _server = stage.logged_in(&mut client);
        stage.gate.set(&CLOSE);
        assert!(client.rest().is_empty());
    }
}

#[test]
fn who_rewinds_passes_as_a_standby_and_nobody_else_by_a_term() {
    let stage = Stage::new();
    stage.gate.set_engine(Some(stage.engine(Some(7))));
    let mut rewinds = stage.client();
    rewinds.say(&startup(&[("user", "nines_replication"), ("database", "postgres"), ("options", TERM)]));
    let mut server = stage.logged_in(&mut rewinds);
    rewinds.say(&query("select pg_read_binary_file"));
    server.hears(&query("select pg_read_binary_file"));
    for parameters in [
        [("user", "app"), ("options", TERM), ("database", "postgres")],
        [("user", "app"), ("options", TERM), ("replication", "database")],
        [("user", "nines_replication"), ("options", ""), ("database", "postgres")],
    ] {
        let mut client = stage.client();
        client.say(&startup(&parameters));
        client.is_ended_with("57P03");
    }
}
