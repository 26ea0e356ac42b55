//! Limits on connections and requests, and the queue in front of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use std::net::SocketAddr;

use nines_load_balancer::DataPlane;
use support::{Client, Plane, Stage, eventually, header, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_full_member_in_a_pool_with_room_makes_its_requests_wait_and_nobody_else() {
    let stage = Stage::new();
    let limits = "limits = { connections = 10, member_connections = 1, queue = 5, queue_timeout = \"20s\" }";
    let plane = Plane::start(&[stage.address], "", limits);
    let mut first = plane.connect();
    first.send(get("/1"));
    let mut member = stage.accept();
    member.head();
    let mut second = plane.connect();
    second.send(get("/2"));
    eventually("the second waits", || plane.statistics().pools[0].queued == 1);
    member.send(ok("1"));
    assert_eq!(first.reply().1, b"1");
    assert!(member.head().starts_with("GET /2 "));
    member.send(ok("2"));
    assert_eq!(second.reply().1, b"2");
}

#[test]
fn whoever_waits_goes_before_whoever_comes() {
    let stage = Stage::new();
    let limits = "limits = { connections = 1, queue = 5, queue_timeout = \"20s\" }";
    let plane = Plane::start(&[stage.address], "", limits);
    let mut greedy = plane.connect();
    greedy.send(get("/greedy") + &get("/greedy-again"));
    let mut member = stage.accept();
    member.head();
    let mut patient = plane.connect();
    patient.send(get("/patient"));
    eventually("the other waits", || plane.statistics().pools[0].queued == 1);
    member.send(ok("1"));
    let next = member.head();
    assert!(next.starts_with("GET /patient "), "{next}");
    member.send(ok("2"));
    assert_eq!(patient.reply().1, b"2");
    assert!(member.head().starts_with("GET /greedy-again "));
    member.send(ok("3"));
    assert_eq!((greedy.reply().1, greedy.reply().1), (b"1".to_vec(), b"3".to_vec()));
}

#[test]
fn a_member_that_comes_up_takes_over_those_who_wait() {
    let (full, spare) = (Stage::new(), support::server("spare"));
    let limits = "limits = { member_connections = 1, queue = 5, queue_timeout = \"20s\" }";
    let plane = Plane::start(&[full.address, spare], "", limits);
    let mut view = (*support::view(&[full.address, spare])).clone();
    view.pools[0].serving = nines_control::view::Serving::Nobody;
    plane.plane.publish(std::sync::Arc::new(view.clone()));
    eventually("the first view is taken", || status(&plane.connect().send(GET).reply().0) == 503);
    view.pools[0].serving = nines_control::view::Serving::Healthy;
    view.pools[0].members[1].eligible = false;
    plane.plane.publish(std::sync::Arc::new(view));
    let (mut first, mut member) = loop {
        let mut client = plane.connect();
        client.send(GET);
        if let Some(member) = full.accept_within(std::time::Duration::from_millis(200)) {
            break (client, member);
        }
    };
    member.head();
    let mut second = plane.connect();
    second.send(GET);
    eventually("the second waits", || plane.statistics().pools[0].queued == 1);
    plane.plane.publish(support::view(&[full.address, spare]));
    assert_eq!(second.reply().1, b"spare");
    member.send(ok("1"));
    assert_eq!(first.reply().1, b"1");
}

#[test]
fn heads_have_limits_in_bytes_and_in_lines() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "limits = { head_bytes = \"2KiB\", headers = 10 }", "");
    let lines: String = (0..11).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (request, expected) in [
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(2048)), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n"), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(2048)), 414),
    ] {
        let mut client = plane.connect();
        client.send(request);
        let (head, _) = client.reply();
        assert_eq!((status(&head), header(&head, "nines-cause").as_deref()), (expected, Some("bad-request")));
        assert!(client.is_closed());
    }
    assert!(stage.nobody_came());
}

#[test]
fn clients_past_a_listeners_limit_wait_until_one_leaves_or_the_limit_grows() {
    let members = [support::server("a")];
    let port = support::free_port();
    let system = |connections: u32| {
        let limits = format!("limits = {{ connections = {connections} }}");
        support::parse(&support::file(port, &members, &limits, ""))
    };
    let host = system(2).host_named("lb").unwrap();
    let (plane, _reports) = DataPlane::start(system(2), host, support::view(&members), 1).unwrap();
    plane.open();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("the listener opens", || std::net::TcpStream::connect(address).is_ok());
    eventually("nobody is connected", || plane.statistics().listeners[0].connections == 0);
    let served = |client: &mut Client| assert_eq!(client.reply().1, b"a");
    let connect = || {
        let mut client = Client::connect(address);
        client.send(GET);
        client
    };
    let (mut first, mut second) = (connect(), connect());
    served(&mut first);
    served(&mut second);
    let (mut third, mut fourth) = (connect(), connect());
    let brief = Some(std::time::Duration::from_millis(100));
    third.stream.set_read_timeout(brief).unwrap();
    assert!(std::io::Read::read(&mut third.stream, &mut [0]).is_err(), "not accepted yet");
    third.stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    assert_eq!(plane.statistics().listeners[0].connections, 2);
    drop(first);
    served(&mut third);
    plane.reload(system(3), host, support::view(&members)).unwrap();
    served(&mut fourth);
    served(second.send(GET));
}
