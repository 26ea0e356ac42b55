//! What passes while the gate is open, and what a client sees when it shuts.

use std::io::Write;
use std::time::{Duration, Instant};

use nines_database::gate::{Reads, Refused};

use crate::stage::{BRIEFLY, CLOSE, HOUR, Stage, message, open_for, query, ready, startup, until, welcome};

#[test]
fn a_gate_is_shut_until_it_is_opened_and_says_why() {
    let stage = Stage::new();
    for mut client in [stage.client(), stage.reader()] {
        client.say(&startup(&[("user", "app")]));
        let text = client.is_ended_with("57P03");
        assert!(text.contains("starts") && text.contains("\0H"), "{text:?}");
    }
    stage.gate.set(&CLOSE);
    let mut client = stage.client();
    client.say(&startup(&[("user", "app")]));
    assert!(client.is_ended_with("57P03").contains("not the primary"));
    let shut = stage.gate.counts().refused.into_iter().find(|(why, _)| *why == Refused::Shut);
    assert_eq!(shut, Some((Refused::Shut, 3)));
}

#[test]
fn what_both_say_passes_unchanged() {
    let stage = Stage::open();
    let mut client = stage.client();
    let first = startup(&[("user", "app"), ("database", "shop"), ("options", "-c work_mem=1MB")]);
    client.say(&first);
    let mut server = stage.logged_in(&mut client);
    assert_eq!(server.startup, first);
    // More than any buffer holds, both ways at once, in messages of odd sizes.
    let big: Vec<u8> =
        (0..300_u32).flat_map(|n| message(b'd', &vec![n as u8; 1 + (n as usize * 977) % 40_000])).collect();
    let (mut to_server, mut to_client) =
        (client.stream.try_clone().unwrap(), server.stream.try_clone().unwrap());
    let (up, down) = (big.clone(), big.clone());
    let writers = [
        std::thread::spawn(move || to_server.write_all(&up).unwrap()),
        std::thread::spawn(move || to_client.write_all(&down).unwrap()),
    ];
    let reader = {
        let big = big.clone();
        std::thread::spawn(move || {
            server.hears(&big);
            server
        })
    };
    client.hears(&big);
    let mut server = reader.join().unwrap();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    // An end is passed on, and answers that are still to come too.
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    server.is_ended();
    server.say(&ready(b'I'));
    drop(server);
    assert_eq!(client.rest(), ready(b'I'));
    until("its connection is counted no more", || stage.gate.counts().connections == 0);
    let counts = stage.gate.counts();
    assert!(counts.bytes_from_clients >= big.len() as u64 && counts.bytes_to_clients >= big.len() as u64);
}

#[test]
fn closing_ends_connections_with_an_error_where_a_message_ends() {
    let stage = Stage::open();
    let (mut idle, mut its_server) = stage.pair();
    let (mut halfway, mut other_server) = stage.pair();
    halfway.say(&query("select"));
    other_server.hears(&query("select"));
    let answer = message(b'D', b"a row that is not all there");
    other_server.say(&answer[..10]);
    halfway.hears(&answer[..10]);
    stage.gate.set(&CLOSE);
    // After that nothing passes, whenever it comes.
    let _ = other_server.stream.write_all(&answer[10..]);
    let _ = its_server.stream.write_all(&ready(b'I'));
    assert!(idle.is_ended_with("57P01").contains("not the primary"));
    assert!(halfway.rest().is_empty(), "it can be told nothing in the middle of a message");
    its_server.is_ended();
    other_server.is_ended();
    assert_eq!(stage.gate.counts().closed, 2);
}

#[test]
fn nothing_passes_after_closing_whatever_is_under_way() {
    let stage = Stage::new();
    for _ in 0..50 {
        stage.gate.set(&open_for(HOUR));
        let (mut client, server) = stage.pair();
        let mut talk = server.stream.try_clone().unwrap();
        let talker = std::thread::spawn(move || while talk.write_all(&ready(b'I')).is_ok() {});
        client.hears(&ready(b'I'));
        stage.gate.set(&CLOSE);
        let passed = stage.gate.counts().bytes_to_clients;
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(stage.gate.counts().bytes_to_clients, passed);
        client.rest();
        talker.join().unwrap();
        drop(server);
    }
}

#[test]
fn the_deadline_ends_connections_by_itself_and_renewals_move_it() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    let begun = Instant::now();
    stage.gate.set(&open_for(Duration::from_millis(400)));
    stage.gate.set(&open_for(Duration::from_millis(800)));
    assert!(client.is_ended_with("57P01").contains("run out"));
    assert!(begun.elapsed() >= Duration::from_millis(800), "the renewal counted for nothing");
    server.is_ended();
    let mut late = stage.client();
    late.say(&startup(&[("user", "app")]));
    late.is_ended_with("57P03");
}

#[test]
fn who_was_let_in_before_the_deadline_is_not_let_through_after_a_later_renewal() {
    let stage = Stage::open();
    let (mut client, _server) = stage.pair();
    stage.gate.set(&open_for(BRIEFLY));
    std::thread::sleep(BRIEFLY);
    stage.gate.set(&open_for(HOUR));
    client.is_ended_with("57P01");
    stage.pair();
}

#[test]
fn the_read_port_leads_to_a_standby_that_may_serve_and_to_the_primary() {
    let stage = Stage::new();
    let reader = || {
        let mut reader = stage.reader();
        reader.say(&startup(&[("user", "app")]));
        reader
    };
    stage.gate.set_reads(Reads::Deny { why: "too far behind".to_owned() });
    assert!(reader().is_ended_with("57P03").contains("too far behind"));
    stage.allow_reads(HOUR);
    let mut client = reader();
    let mut server = stage.logged_in(&mut client);
    let mut writer = stage.client();
    writer.say(&startup(&[("user", "app")]));
    writer.is_ended_with("57P03");
    // It becomes the primary: who reads stays.
    stage.gate.set(&open_for(HOUR));
    stage.gate.set_reads(Reads::Deny { why: "it is the primary".to_owned() });
    client.say(&query("select 1"));
    server.hears(&query("select 1"));
    stage.gate.set(&CLOSE);
    client.is_ended_with("57P01");
    // A deadline of its own.
    stage.allow_reads(HOUR);
    let mut client = reader();
    let _server = stage.logged_in(&mut client);
    stage.allow_reads(BRIEFLY);
    client.is_ended_with("57P01");
}

#[test]
fn a_gate_that_is_taken_away_says_goodbye() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    let address = stage.address();
    drop(stage);
    client.is_ended_with("57P01");
    server.is_ended();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_commit_that_no_standby_confirmed_is_not_acknowledged() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    client.say(&query("commit"));
    server.hears(&query("commit"));
    // In a language of its own, and in two pieces.
    let notice = message(b'N', b"SWARNUNG\0VWARNING\0C01000\0Mabgebrochen\0RSyncRepWaitForLSN\0\0");
    let stream = [notice.clone(), message(b'C', b"COMMIT\0"), ready(b'I')].concat();
    server.say(&stream[..20]);
    client.hears(&notice[..20]);
    server.say(&stream[20..]);
    client.hears(&notice[20..]);
    client.is_ended_with("08007");
    server.is_ended();
    assert_eq!(stage.gate.counts().unconfirmed, 1);
}

#[test]
fn a_commit_that_succeeds_though_it_was_cancelled_is_not_acknowledged_either() {
    let stage = Stage::open();
    let mut client = stage.client();
    client.say(&startup(&[("user", "app")]));
    let mut server = stage.accept();
    let welcome = [message(b'K', b"pid.key."), welcome()].concat();
    server.say(&welcome);
    client.hears(&welcome);
    let cancel = || {
        let mut request = stage.client();
        request.say(&[&[0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e], b"pid.key.".as_slice()].concat());
        drop(stage.accept());
        assert!(request.rest().is_empty());
    };
    let committed = [message(b'C', b"COMMIT\0"), ready(b'I')].concat();
    // When nothing is asked it is none.
    cancel();
    client.say(&query("commit"));
    server.hears(&query("commit"));
    server.say(&committed);
    client.hears(&committed);
    client.say(&query("commit"));
    server.hears(&query("commit"));
    cancel();
    server.say(&committed);
    client.hears(&message(b'C', b"COMMIT\0"));
    client.is_ended_with("08007");
    server.is_ended();
}
