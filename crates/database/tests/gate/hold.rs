//! A hold: what is open ends, nothing begins, and nobody notices if it goes on.

use crate::stage::{
    BRIEFLY, CLOSE, HOUR, SOON, Stage, hold, message, open_for, query, ready, startup, welcome,
};

#[test]
fn a_transaction_may_end_and_none_begins() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    let (mut quiet, mut quiet_server) = stage.pair();
    client.say(&query("begin"));
    server.hears(&query("begin"));
    server.say(&ready(b'T'));
    client.hears(&ready(b'T'));
    stage.gate.set(&hold());
    assert!(!stage.idle_within(BRIEFLY), "a transaction is open");
    quiet.say(&query("begin"));
    quiet_server.hears_nothing();
    client.say(&query("commit"));
    server.hears(&query("commit"));
    assert!(!stage.idle_within(BRIEFLY), "its answer is to come");
    server.say(&ready(b'I'));
    client.hears(&ready(b'I'));
    assert!(stage.idle_within(SOON));
    client.say(&query("begin"));
    server.hears_nothing();
    // It goes on as if nothing had been.
    stage.gate.set(&open_for(HOUR));
    server.hears(&query("begin"));
    quiet_server.hears(&query("begin"));
    assert!(!stage.idle_within(BRIEFLY), "without a hold it is never idle");
}

#[test]
fn what_waited_is_never_passed_on_when_it_ends_in_closing() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.gate.set(&hold());
    assert!(stage.idle_within(SOON));
    client.say(&query("insert"));
    server.hears_nothing();
    stage.gate.set(&CLOSE);
    client.is_ended_with("57P01");
    server.is_ended();
}

#[test]
fn a_batch_is_answered_whole_and_what_follows_it_waits() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    let step = [message(b'B', b"bind"), message(b'E', b"execute")].concat();
    let sync = message(b'S', b"");
    client.say(&[step.clone(), sync.clone(), step.clone()].concat());
    server.hears(&[step.clone(), sync.clone(), step.clone()].concat());
    stage.gate.set(&hold());
    server.say(&ready(b'I'));
    client.hears(&ready(b'I'));
    assert!(!stage.idle_within(BRIEFLY), "a Sync is missing");
    client.say(&[sync.clone(), step.clone(), sync.clone()].concat());
    server.hears(&sync);
    server.hears_nothing();
    assert!(!stage.idle_within(BRIEFLY), "an answer is to come");
    server.say(&ready(b'I'));
    client.hears(&ready(b'I'));
    assert!(stage.idle_within(SOON));
    server.hears_nothing();
    stage.gate.set(&open_for(HOUR));
    server.hears(&[step, sync].concat());
}

#[test]
fn an_answer_that_the_client_has_not_taken_is_waited_for() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    client.say(&query("select"));
    server.hears(&query("select"));
    // More than the sockets between hold.
    let rows = message(b'D', &vec![7; 16 * 1024 * 1024]);
    let answer = [rows, ready(b'I')].concat();
    let writer = {
        let answer = answer.clone();
        std::thread::spawn(move || {
            server.say(&answer);
            server
        })
    };
    stage.gate.set(&hold());
    assert!(!stage.idle_within(BRIEFLY * 2));
    client.hears(&answer);
    assert!(stage.idle_within(SOON));
    drop(writer.join().unwrap());
}

#[test]
fn who_comes_during_a_hold_waits_for_its_end() {
    let stage = Stage::open();
    stage.gate.set(&hold());
    let (mut goes_on, mut early) = (stage.client(), stage.reader());
    for client in [&mut goes_on, &mut early] {
        client.say(&startup(&[("user", "app")]));
        client.hears_nothing();
    }
    stage.gate.set(&open_for(HOUR));
    let _servers = [stage.welcome_next(), stage.welcome_next()];
    for client in [&mut goes_on, &mut early] {
        client.hears(&welcome());
    }
    stage.gate.set(&hold());
    let mut refused = stage.client();
    refused.say(&startup(&[("user", "app")]));
    refused.hears_nothing();
    stage.gate.set(&CLOSE);
    refused.is_ended_with("57P03");
}

#[test]
fn a_hold_ends_at_its_deadline() {
    let stage = Stage::open();
    let (mut client, _server) = stage.pair();
    stage.gate.set(&nines_control::failover::Gate::Hold { until: std::time::Instant::now() + BRIEFLY * 2 });
    let mut waits = stage.client();
    waits.say(&startup(&[("user", "app")]));
    client.is_ended_with("57P01");
    waits.is_ended_with("57P03");
}
