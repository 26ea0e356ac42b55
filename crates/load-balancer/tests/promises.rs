//! What the data plane promises as a whole: balance by a key, provenance, drains, several workers, reloads under load,
//! and clients that hold no place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nines_load_balancer::{DataPlane, Unable};
use support::{Client, Plane, Stage, eventually, header, server, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

#[test]
fn the_same_header_cookie_or_client_goes_to_the_same_member() {
    let members = [server("a"), server("b"), server("c")];
    for (hash, field) in [("header:x-user", "X-User: "), ("cookie:user", "Cookie: other=1; user=")] {
        let plane = Plane::start(&members, "", &format!("balance = {{ hash = \"{hash}\" }}"));
        let mut seen = BTreeSet::new();
        for user in 0..40 {
            let mut at = BTreeSet::new();
            for _ in 0..3 {
                let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{field}{user}\r\n\r\n");
                at.insert(plane.connect().send(request).reply().1);
            }
            assert_eq!(at.len(), 1, "{hash} {user}: {at:?}");
            seen.extend(at);
        }
        assert_eq!(seen.len(), 3, "{hash}: every member has users");
    }
    let plane = Plane::start(&members, "", "balance = { hash = \"client-address\" }");
    let mut seen = BTreeSet::new();
    for client in 1..40_u8 {
        let mut at = BTreeSet::new();
        for _ in 0..2 {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::from(([127, 0, 2, client], 0)).into()).unwrap();
            socket.connect(&plane.address.into()).unwrap();
            at.insert(Client::new(socket.into()).send(GET).reply().1);
        }
        assert_eq!(at.len(), 1, "127.0.2.{client}: {at:?}");
        seen.extend(at);
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn what_trusted_proxies_say_of_the_client_is_kept_and_appended_to() {
    let said = "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n\r\n";
    for (trust, expected_for, expected_proto) in [
        ("true", "198.51.100.7, 127.0.0.1", "https"),
        ("[\"127.0.0.0/8\"]", "198.51.100.7, 127.0.0.1", "https"),
        ("[\"10.0.0.0/8\"]", "127.0.0.1", "http"),
    ] {
        let stage = Stage::new();
        let plane = Plane::start(&[stage.address], &format!("trust_forwarded = {trust}"), "");
        let mut client = plane.connect();
        client.send(said);
        let mut member = stage.accept();
        let head = member.head();
        assert_eq!(header(&head, "x-forwarded-for").as_deref(), Some(expected_for), "{trust}");
        assert_eq!(header(&head, "x-forwarded-proto").as_deref(), Some(expected_proto), "{trust}");
    }
}

#[test]
fn a_websocket_on_a_draining_member_goes_on_until_the_drain_ends() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    client.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut member = stage.accept();
    member.head();
    member.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(status(&client.head()), 101);
    let mut view = (*support::view(&[stage.address])).clone();
    view.pools[0].members[0].eligible = false;
    view.pools[0].members[0].close_at = Some(Instant::now() + Duration::from_secs(600));
    plane.plane.publish(Arc::new(view.clone()));
    eventually("new requests are refused", || status(&plane.connect().send(GET).reply().0) == 503);
    client.send("ping");
    assert_eq!(member.exactly(4), b"ping");
    member.send("pong");
    assert_eq!(client.exactly(4), b"pong");
    view.pools[0].members[0].close_at = Some(Instant::now() + Duration::from_millis(50));
    plane.plane.publish(Arc::new(view));
    assert!(client.is_closed() && member.is_closed());
    eventually("nothing is in flight", || plane.statistics().pools[0].members[0].in_flight == 0);
}

/// A plane with so many workers, and its address.
fn start(
    members: &[SocketAddr],
    workers: usize,
) -> (DataPlane, nines_load_balancer::Reports, SocketAddr, u16) {
    let port = support::free_port();
    let system = support::parse(&support::file(port, members, "", ""));
    let host = system.host_named("lb").unwrap();
    let (plane, reports) = DataPlane::start(system, host, support::view(members), workers).unwrap();
    plane.open();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("open", || std::net::TcpStream::connect(address).is_ok());
    (plane, reports, address, port)
}

#[test]
fn two_workers_share_the_clients() {
    let (plane, _reports, address, _) = start(&[server("a")], 2);
    let mut clients = Vec::new();
    let serve_another = |clients: &mut Vec<Client>| {
        let mut client = Client::connect(address);
        assert_eq!(client.send(GET).reply().1, b"a");
        clients.push(client);
    };
    // Each worker keeps connections of its own: one that serves one request at a time needs just one.
    let connects = || plane.statistics().pools[0].members[0].connects;
    eventually("both workers serve, however late the second began to listen", || {
        serve_another(&mut clients);
        connects() == 2
    });
    while clients.len() < 64 {
        serve_another(&mut clients);
    }
    assert_eq!(connects(), 2);
    assert_eq!(plane.statistics().listeners[0].responses[1], clients.len() as u64);
}

#[test]
fn a_hundred_reloads_under_load_fail_nobody() {
    let members = [server("a"), server("b")];
    let (plane, _reports, address, port) = start(&members, 2);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (stop, served) = (stop.clone(), served.clone());
            std::thread::spawn(move || {
                let mut kept = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    let mut fresh = (n % 2 == 0).then(|| Client::connect(address));
                    let client = fresh.as_mut().unwrap_or(&mut kept);
                    assert_eq!(status(&client.send(GET).reply().0), 200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for n in 0..100 {
        // Routes, pools and listeners come and go beside the one that is used.
        let beside = format!("[pools.beside]\nmembers = [\"m0:{}\"]\n", 20_000 + n);
        let system = support::parse(&(support::file(port, &members, "", "") + &beside));
        let host = system.host_named("lb").unwrap();
        let mut view = (*support::view(&members)).clone();
        let mut other = support::view(&[members[0]]).pools[0].clone();
        other.members[0].key = nines_control::view::MemberKey(100 + n);
        let at = system.pools.iter().position(|pool| pool.name == "beside").unwrap();
        view.pools.insert(at, other);
        plane.reload(system, host, Arc::new(view)).unwrap();
        let before = served.load(Ordering::Relaxed);
        eventually("requests go on", || served.load(Ordering::Relaxed) > before);
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let statistics = plane.statistics();
    assert_eq!(statistics.listeners[0].responses[1], served.load(Ordering::Relaxed));
    assert_eq!(statistics.listeners[0].refused.iter().map(|(_, n)| n).sum::<u64>(), 0);
}

#[test]
fn a_byte_now_and_then_holds_no_place_neither_in_a_head_nor_in_a_body() {
    let times = "timeouts = { head = \"300ms\", stall = \"300ms\", idle = \"300ms\" }";
    let plane = Plane::start(&[server("a")], times, "");
    let trickle = |first: &str| {
        let mut client = plane.connect();
        client.send(first);
        let mut byte = client.stream.try_clone().unwrap();
        let begun = Instant::now();
        while std::io::Write::write_all(&mut byte, b"x").is_ok() {
            assert!(begun.elapsed() < support::PATIENCE, "still held: {first:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    trickle("GET / HTTP/1.1\r\nHost: x\r\nX: ");
    trickle("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    trickle("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n");
    let mut idle = plane.connect();
    assert!(idle.is_closed(), "a client that says nothing");
    eventually("nobody is connected", || plane.statistics().listeners[0].connections == 0);
}

#[test]
fn it_says_whether_it_can_serve() {
    let members = [server("a")];
    let system = support::parse(&support::file(support::free_port(), &members, "", ""));
    let host = system.host_named("lb").unwrap();
    let (plane, _reports) = DataPlane::start(system, host, support::view(&members), 2).unwrap();
    let vitality = plane.vitality();
    assert_eq!(vitality.able(), Err(Unable::NotListening));
    plane.open();
    eventually("able", || vitality.able() == Ok(()));
    plane.retire();
    assert_eq!(vitality.able(), Ok(()));
    plane.drain();
    assert_eq!(vitality.able(), Err(Unable::NotListening), "at once, and not when the last has closed");
}

#[test]
fn a_listener_waits_at_a_virtual_address_that_another_host_has() {
    let members = [server("a")];
    let port = support::free_port();
    // For documentation (RFC 5737): on no host.
    let bind = format!("bind = \"192.0.2.1:{port}\"");
    let there = support::file(port, &members, "", "").replace(&format!("bind = \"127.0.0.1:{port}\""), &bind);
    let start = |text: &str| {
        let system = support::parse(text);
        let host = system.host_named("lb").unwrap();
        DataPlane::start(system, host, support::view(&members), 1)
    };
    let error = start(&there).unwrap_err().to_string();
    assert!(error.contains("no interface of this host has that address"), "{error}");
    let virtual_ip = "hosts = [\"lb\"]\nvirtual_ips = [\"192.0.2.1\"]\n";
    let (plane, _reports) = start(&there.replacen("hosts = [\"lb\"]\n", virtual_ip, 1)).unwrap();
    plane.hush(true).unwrap();
    plane.open();
    let vitality = plane.vitality();
    eventually("it listens", || vitality.able() == Ok(()));
    plane.hush(false).unwrap();
    // It listens there as well, if this is permitted at all.
    assert!(plane.hush(true).map_or_else(|error| error.kind() == ErrorKind::PermissionDenied, |()| true));
}
