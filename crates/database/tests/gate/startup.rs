//! Whatever a connection begins with.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use nines_database::gate::{Refused, Settings};
use proptest::prelude::*;

use crate::stage::{Client, HOUR, Stage, open_for, settings, startup, until};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

#[test]
fn encryption_that_is_not_there_is_declined_and_the_client_goes_on() {
    let stage = Stage::open();
    let mut client = stage.client();
    for request in [GSS_REQUEST, SSL_REQUEST] {
        client.say(&request);
        client.hears(b"N");
    }
    client.say(&startup(&[("user", "app")]));
    let _server = stage.logged_in(&mut client);
    let mut client = stage.client();
    for _ in 0..3 {
        client.say(&SSL_REQUEST);
        client.hears(b"N");
    }
    client.is_ended_with("08P01");
}

#[test]
fn a_cancel_goes_to_postgresql_whether_the_gate_is_open_or_not() {
    let stage = Stage::new();
    let mut client = stage.client();
    let request = [&[0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e], b"pid.key.".as_slice()].concat();
    client.say(&request);
    let mut server = stage.accept();
    assert_eq!(server.startup, request);
    client.hears_nothing();
    server.stream.shutdown(std::net::Shutdown::Both).unwrap();
    assert!(client.rest().is_empty());
    server.is_ended();
    assert_eq!(stage.gate.counts().cancels, 1);
}

#[test]
fn a_role_that_is_withheld_does_not_pass() {
    let stage = Stage::open();
    let mut client = stage.client();
    client.say(&startup(&[("user", "postgres")]));
    client.is_ended_with("28000");
    let mut twice = stage.client();
    twice.say(&startup(&[("user", "app"), ("user", "postgres")]));
    twice.is_ended_with("08P01");
}

#[test]
fn other_versions_and_impossible_lengths_are_refused() {
    let stage = Stage::open();
    for (bytes, code) in [
        (vec![0, 0, 0, 8, 0, 2, 0, 0], "0A000"),
        (vec![0, 0, 0, 4], "08P01"),
        (vec![0, 0, 0, 7, 0, 0, 0], "08P01"),
        (vec![0xff, 0xff, 0xff, 0xff], "08P01"),
        (vec![0, 0, 0x27, 0x11], "08P01"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "08P01"),
    ] {
        let mut client = stage.client();
        client.say(&bytes);
        client.is_ended_with(code);
    }
}

#[test]
fn a_client_that_breaks_the_protocol_later_is_told() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    client.say(&[b'Q', 0, 0, 0, 3]);
    client.is_ended_with("08P01");
    server.is_ended();
}

#[test]
fn a_server_that_breaks_it_is_ended_with_its_client() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    server.say(&[b'D', 0xff, 0xff, 0xff, 0xff]);
    assert!(client.rest().is_empty());
    server.is_ended();
}

#[test]
fn who_is_slow_to_say_what_it_wants_does_not_stay() {
    let stage = Stage::open();
    let packet = startup(&[("user", "app"), ("application_name", "one that takes its time")]);
    let begun = Instant::now();
    let mut slow = stage.client();
    slow.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    // A byte now and then does not help.
    let mut bytes = packet.iter();
    loop {
        if let Some(byte) = bytes.next() {
            let _ = slow.stream.write_all(&[*byte]);
        }
        match slow.stream.read(&mut [0]) {
            Ok(0) => break,
            Ok(_) => panic!("it has nothing to say"),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(_) => assert!(begun.elapsed() < Duration::from_secs(20), "it may stay"),
        }
    }
    let silent = stage.gate.counts().refused.into_iter().find(|(why, _)| *why == Refused::Silent);
    assert_eq!(silent, Some((Refused::Silent, 1)));
}

#[test]
fn there_are_no_more_connections_than_there_may_be() {
    let stage = Stage::with(Settings { connections: 2, ..settings() });
    stage.gate.set(&open_for(HOUR));
    let (first, _second) = (stage.pair(), stage.pair());
    let mut third = stage.client();
    third.say(&startup(&[("user", "app")]));
    third.is_ended_with("53300");
    drop(first);
    until("a place is free", || stage.gate.counts().connections == 1);
    stage.pair();
    assert_eq!(stage.gate.counts().accepted, 3);
}

#[test]
fn without_postgresql_it_says_so() {
    let stage = Stage::open();
    stage.gate.set_engine(None);
    let mut client = stage.client();
    client.say(&startup(&[("user", "app")]));
    assert!(client.is_ended_with("57P03").contains("does not run"));
}

#[test]
fn any_bytes_at_the_start_are_refused_or_waited_for_and_the_next_client_is_served() {
    let stage = Stage::new();
    let near = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        // Of a length that can be, and a code that there is.
        (
            proptest::sample::select(vec![196_608_u32, 80_877_102, 80_877_103, 80_877_104, 0x4e49_4e45]),
            proptest::collection::vec(any::<u8>(), 0..64)
        )
            .prop_map(|(code, rest)| {
                let length = rest.len() as u32 + 8;
                [&length.to_be_bytes(), code.to_be_bytes().as_slice(), &rest].concat()
            }),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    runner
        .run(&near, |bytes| {
            let mut client = Client::to(stage.address());
            client.say(&bytes);
            let _ = client.stream.shutdown(std::net::Shutdown::Write);
            stage.gate.set_engine(None); // a cancel would wait for a server that does not answer
            client.rest();
            Ok(())
        })
        .unwrap();
    stage.gate.set_engine(Some(stage.engine(None)));
    stage.gate.set(&open_for(HOUR));
    stage.pair();
}
