//! Client connections that have to go, because what they are connected to moves to another host.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use support::{Client, Plane, Stage, eventually, header, server, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

/// What the next reply says of its connection.
fn connection(client: &mut Client) -> Option<String> {
    let (head, _) = client.send(GET).reply();
    assert_eq!(status(&head), 200);
    header(&head, "connection")
}

fn connections(plane: &Plane) -> u64 {
    plane.statistics().listeners[0].connections
}

/// The worker has taken up what the plan says, once this is so of a new connection.
fn retires_those_who_come(plane: &Plane) -> bool {
    connection(&mut plane.connect()).as_deref() == Some("close")
}

#[test]
fn who_is_there_is_told_to_go_and_who_comes_is_not() {
    let plane = Plane::start(&[server("a")], "", "");
    let (mut asks, mut quiet) = (plane.connect(), plane.connect());
    for client in [&mut asks, &mut quiet] {
        assert_eq!(connection(client), None);
    }
    plane.plane.retire();
    eventually("told to go", || connection(&mut asks).as_deref() == Some("close"));
    assert!(asks.is_closed());
    let mut later = plane.connect();
    assert_eq!(connection(&mut later), None);
    assert!(quiet.is_closed());
    eventually("both have gone", || connections(&plane) == 1);
    assert_eq!(connection(&mut later), None, "the quiet that closed the others does not concern it");
}

#[test]
fn a_request_on_a_connection_that_has_to_go_is_answered_and_so_is_one_in_flight() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut busy = plane.connect();
    busy.send(GET);
    let mut member = stage.accept();
    member.head();
    plane.plane.retire();
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(busy.reply().1, b"ok");
    busy.send(GET);
    member.head();
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (head, body) = busy.reply();
    assert_eq!((header(&head, "connection").as_deref(), body), (Some("close"), b"ok".to_vec()));
    assert!(busy.is_closed());
}

#[test]
fn while_everyone_has_to_go_so_have_those_who_come_and_afterwards_no_more() {
    let plane = Plane::start(&[server("a")], "", "");
    let (mut asks, mut waits) = (plane.connect(), plane.connect());
    assert_eq!((connection(&mut asks), connection(&mut waits)), (None, None));
    plane.plane.keep_retiring(true);
    eventually("those who come have to go", || retires_those_who_come(&plane));
    assert_eq!(connection(&mut asks).as_deref(), Some("close"));
    plane.plane.keep_retiring(false);
    eventually("those who come may stay", || !retires_those_who_come(&plane));
    assert_eq!(connection(&mut waits), None);
}

#[test]
fn a_retirement_after_another_takes_those_who_came_in_between() {
    let plane = Plane::start(&[server("a")], "", "");
    for _ in 0..3 {
        let mut client = plane.connect();
        assert_eq!(connection(&mut client), None);
        plane.plane.retire();
        eventually("told to go", || connection(&mut client).as_deref() == Some("close"));
        assert!(client.is_closed());
    }
}

#[test]
fn a_tcp_connection_that_has_to_go_lasts_until_its_end() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "protocol = \"tcp\"", "");
    let mut member = stage.accept(); // of the test's own first connection
    drop(member);
    let mut client = plane.connect();
    member = stage.accept();
    plane.plane.retire();
    let mut later = plane.connect();
    let mut other = stage.accept();
    for (client, member) in [(&mut client, &mut member), (&mut later, &mut other)] {
        client.send("ping");
        assert_eq!(member.exactly(4), b"ping");
        member.send("pong");
        assert_eq!(client.exactly(4), b"pong");
    }
    drop((client, member));
    eventually("it has ended", || connections(&plane) == 1);
    later.send("still");
    assert_eq!(other.exactly(5), b"still");
}
