//! TCP listeners and the PROXY protocol, as clients and members see them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use std::io::Write;
use std::net::{Shutdown, SocketAddr};

use support::{Plane, Stage, eventually, header};

const TCP: &str = "protocol = \"tcp\"";

#[test]
fn bytes_pass_both_ways_and_each_end_by_itself() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], TCP, "");
    let probe = stage.accept();
    drop(probe); // of the wait for the listener
    let mut client = plane.connect();
    let mut member = stage.accept();
    client.send("ask");
    assert_eq!(member.exactly(3), b"ask");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(member.rest(), b"");
    member.send("a late answer");
    drop(member);
    assert_eq!(client.rest(), b"a late answer");
    eventually("the connection is no longer counted", || {
        let statistics = plane.statistics();
        statistics.listeners[0].connections == 0 && statistics.pools[0].members[0].in_flight == 0
    });
}

#[test]
fn a_member_that_refuses_costs_a_tcp_client_nothing() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let stage = Stage::new();
    let plane = Plane::start(&[nobody, stage.address], TCP, "balance = \"round-robin\"");
    stage.accept();
    for _ in 0..4 {
        let mut client = plane.connect();
        client.send("x");
        assert_eq!(stage.accept().exactly(1), b"x");
    }
}

#[test]
fn a_tcp_client_whom_nobody_can_serve_is_reset() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let plane = Plane::start(&[nobody], TCP, "");
    assert!(plane.connect().is_closed());
    let refused = plane.statistics().listeners[0].refused.iter().map(|(_, n)| n).sum::<u64>();
    assert!(refused >= 1);
}

#[test]
fn an_idle_tcp_connection_is_closed() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "protocol = \"tcp\"\nidle = \"100ms\"", "");
    assert!(plane.connect().is_closed());
}

#[test]
fn a_draining_member_keeps_its_connections_until_their_deadline() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], TCP, "");
    drop(stage.accept());
    let mut client = plane.connect();
    let mut member = stage.accept();
    let mut view = (*support::view(&[stage.address])).clone();
    let far = std::time::Instant::now() + std::time::Duration::from_secs(600);
    view.pools[0].members[0].eligible = false;
    view.pools[0].members[0].close_at = Some(far);
    plane.plane.publish(std::sync::Arc::new(view.clone()));
    eventually("new clients are refused", || plane.connect().is_closed());
    client.send("still there");
    assert_eq!(member.exactly(11), b"still there");
    view.pools[0].members[0].close_at = Some(std::time::Instant::now());
    plane.plane.publish(std::sync::Arc::new(view));
    assert!(client.is_closed(), "the deadline has moved, and is over");
}

#[test]
fn an_http_member_learns_of_the_client_behind_another_proxy() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "accept_proxy = true", "");
    let v2 = {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        header.extend_from_slice(&[192, 0, 2, 9, 192, 0, 2, 1, 0x30, 0x39, 0, 80]);
        header
    };
    for (proxy, client_ip) in [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2, "192.0.2.9"),
    ] {
        let mut client = plane.connect();
        client.send(&proxy);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut member = stage.accept();
        assert_eq!(header(&member.head(), "x-forwarded-for").as_deref(), Some(client_ip));
        member.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(client.reply().1, b"ok");
    }
    let mut liar = plane.connect();
    liar.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(liar.is_closed(), "without the header nobody is served");
}

#[test]
fn members_are_told_of_the_client_in_either_version() {
    for (version, protocol) in [("v1", "http"), ("v2", "http"), ("v1", "tcp"), ("v2", "tcp")] {
        let stage = Stage::new();
        let listener = format!("protocol = \"{protocol}\"");
        let plane = Plane::start(&[stage.address], &listener, &format!("send_proxy = \"{version}\""));
        if protocol == "tcp" {
            stage.accept();
        }
        let mut client = plane.connect();
        let local: SocketAddr = client.stream.local_addr().unwrap();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut member = stage.accept();
        if version == "v1" {
            let line =
                format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", local.port(), plane.address.port());
            assert_eq!(String::from_utf8(member.exactly(line.len())).unwrap(), line);
        } else {
            let header = member.exactly(28);
            assert_eq!(&header[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
            assert_eq!(header[24..26], local.port().to_be_bytes());
        }
        assert!(member.head().starts_with("GET / HTTP/1.1\r\n"), "{version} {protocol}");
        member.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(client.reply().1, b"ok");
        if protocol == "http" {
            // The header speaks of one client, so another connection is made for each.
            drop(member);
            plane.connect().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert!(stage.accept().exactly(8).starts_with(if version == "v1" {
                b"PROXY"
            } else {
                b"\r\n\r\n"
            }));
        }
    }
}

#[test]
fn a_tcp_member_that_accepts_only_to_reset_is_reported_each_time() {
    let stage = Stage::new();
    let mut plane = Plane::start(&[stage.address], TCP, "");
    drop(stage.accept());
    eventually("the wait for the listener is over", || plane.statistics().listeners[0].connections == 0);
    plane.reported(0);
    for _ in 0..3 {
        let mut client = plane.connect();
        client.send("x");
        let mut member = stage.accept();
        member.exactly(1);
        socket2::SockRef::from(&member.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(member);
        assert!(client.is_closed());
    }
    let reset = nines_control::traffic::Traffic::Failed(nines_control::traffic::Failure::Reset);
    assert_eq!(plane.reported(3), [(nines_control::view::MemberKey(0), reset); 3]);
}

/// What the listener counts, and the pool too: good, bad, and for how long nobody is answered.
fn counted(plane: &Plane) -> (u64, u64, u64) {
    let all = plane.statistics();
    let (listener, pool) = (&all.listeners[0], &all.pools[0]);
    (listener.good.min(pool.good), listener.bad.min(pool.bad), listener.waiting.min(pool.waiting))
}

#[test]
fn members_that_take_connections_and_answer_none_are_seen_to_hang() {
    for greets in [false, true] {
        let (stage, plane, before) = acquainted(greets);
        // From now on the member is frozen: the kernel takes connections for it.
        let begin = || {
            let (mut client, member) = (plane.connect(), stage.accept());
            if !greets {
                client.send("ask");
            }
            (client, member)
        };
        let first = begin();
        std::thread::sleep(std::time::Duration::from_millis(1500));
        assert_eq!(counted(&plane), (before, 0, 0), "a single one may have its reasons");
        let mut second = begin();
        eventually("two of them say something", || counted(&plane).2 >= 1);
        // One has had enough of it; the other is answered in the end.
        socket2::SockRef::from(&first.0.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(first);
        eventually("it counts against us", || counted(&plane) == (before, 1, 0));
        second.1.send("late words");
        assert_eq!(second.0.exactly(10), b"late words");
        eventually("and this does not", || counted(&plane) == (before + 1, 1, 0));
    }
}

/// A client and a member of which it is known what they do: the member greets, or answers. So many connections are good.
fn acquainted(greets: bool) -> (Stage, Plane, u64) {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], TCP, "");
    drop(stage.accept());
    eventually("of the first one nothing was known", || counted(&plane) == (1, 0, 0));
    for good in 2..5 {
        let (mut client, mut member) = (plane.connect(), stage.accept());
        if !greets {
            client.send("ask");
            assert_eq!(member.exactly(3), b"ask");
        }
        member.send("words");
        assert_eq!(client.exactly(5), b"words");
        eventually("it counts once it is answered", || counted(&plane) == (good, 0, 0));
    }
    (stage, plane, 4)
}

/// Longer than a client has patience.
const LATE: std::time::Duration = std::time::Duration::from_millis(1200);

#[test]
fn a_late_answer_to_one_who_says_no_more_counts_for_nothing() {
    for hangs_up in [false, true] {
        let (stage, plane, good) = acquainted(false);
        let (mut client, mut member) = (plane.connect(), stage.accept());
        client.send("ask");
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(member.rest(), b"ask");
        std::thread::sleep(LATE);
        let mut client = (!hangs_up).then_some(client);
        member.send("at last");
        drop(member);
        if let Some(client) = &mut client {
            assert_eq!(client.rest(), b"at last");
        }
        eventually("it has ended", || plane.statistics().listeners[0].connections == 0);
        assert_eq!(counted(&plane), (good, 0, 0), "nobody knows whether it still listened");
    }
}

#[test]
fn members_that_take_connections_and_end_them_without_a_word_are_down_however_long_it_lasts() {
    for greets in [false, true] {
        let (stage, plane, good) = acquainted(greets);
        for bad in 1..=120 {
            let (mut client, mut member) = (plane.connect(), stage.accept());
            // Some end before the client has said anything, if it does at all.
            if !greets && bad % 2 == 0 {
                client.send("ask");
                assert_eq!(member.exactly(3), b"ask");
            }
            drop(member);
            assert_eq!(client.rest(), b"");
            drop(client);
            eventually("it counts against us", || counted(&plane) == (good, bad, 0));
        }
    }
}

#[test]
fn what_a_connection_broke_off_with_counts_once() {
    let (stage, plane, good) = acquainted(false);
    let (mut client, mut member) = (plane.connect(), stage.accept());
    client.send("ask");
    assert_eq!(member.exactly(3), b"ask");
    // No word, and then no ear either.
    drop(member);
    assert_eq!(client.rest(), b"");
    eventually("it counts against us", || counted(&plane) == (good, 1, 0));
    eventually("it is told that nobody hears", || {
        client.stream.write_all(b"but").is_err() || plane.statistics().listeners[0].connections == 0
    });
    eventually("it has ended", || plane.statistics().listeners[0].connections == 0);
    assert_eq!(counted(&plane), (good, 1, 0));
}

#[test]
fn a_member_that_has_enough_of_a_client_that_does_not_go_on_is_no_failure() {
    let (stage, plane, good) = acquainted(false);
    let (mut client, mut member) = (plane.connect(), stage.accept());
    client.send("as");
    assert_eq!(member.exactly(2), b"as");
    std::thread::sleep(LATE);
    drop(member);
    assert_eq!(client.rest(), b"");
    drop(client);
    eventually("it has ended", || plane.statistics().listeners[0].connections == 0);
    assert_eq!(counted(&plane), (good, 0, 0));
}

#[test]
fn clients_that_leave_a_hanging_member_in_good_order_do_not_make_it_one_that_never_answers() {
    let (stage, plane, good) = acquainted(false);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, member) = (plane.connect(), stage.accept());
            client.send("ask");
            (client, member)
        })
        .collect();
    std::thread::sleep(LATE);
    for (client, mut member) in clients {
        drop(client);
        assert_eq!(member.rest(), b"ask");
    }
    eventually("all have ended", || plane.statistics().listeners[0].connections == 0);
    let _waiting: Vec<_> =
        (0..2).map(|_| (plane.connect().send("ask").stream.try_clone().unwrap(), stage.accept())).collect();
    eventually("an answer is still waited for", || counted(&plane).2 >= 1);
    assert_eq!(counted(&plane).0, good);
}

#[test]
fn members_that_never_say_anything_are_not_taken_to_hang() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], TCP, "");
    drop(stage.accept());
    let mut before = 1;
    eventually("the wait for the listener", || counted(&plane).0 == before);
    for _ in 0..2 {
        let (mut client, mut member) = (plane.connect(), stage.accept());
        before += 1;
        eventually("it counts as soon as it is taken", || counted(&plane) == (before, 0, 0));
        client.send("a line of a log");
        client.stream.shutdown(Shutdown::Write).unwrap();
        member.rest();
        drop(member);
        assert!(client.is_closed());
    }
    // Once one was answered, others are not waited for either.
    let (mut client, mut member) = (plane.connect(), stage.accept());
    client.send("?");
    member.send("!");
    assert_eq!(client.exactly(1), b"!");
    let open: Vec<_> =
        (0..3).map(|_| (plane.connect().send("a line").stream.try_clone(), stage.accept())).collect();
    eventually("all are good", || counted(&plane) == (before + 4, 0, 0));
    std::thread::sleep(std::time::Duration::from_millis(1200));
    assert_eq!(counted(&plane), (before + 4, 0, 0));
    drop(open);
}
