//! What clients see when members fail, are silent, or are full.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use nines_control::traffic::{Failure, Traffic};
use support::{Client, Plane, Stage, eventually, header, server, server_that, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi";

/// An address where connections are refused.
fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], support::free_port()))
}

/// A member that accepts connections and then says nothing, like a frozen process.
fn frozen() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::mem::forget(listener);
    address
}

/// A port whose SYNs are not answered: its backlog is full.
fn deaf() -> (SocketAddr, Vec<std::net::TcpStream>) {
    let (socket, address, held) = deaf_until_accepted();
    std::mem::forget(socket);
    (address, held)
}

/// The same, with the socket that can end it.
fn deaf_until_accepted() -> (socket2::Socket, SocketAddr, Vec<std::net::TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let mut held = Vec::new();
    loop {
        match connect() {
            Ok(stream) => held.push(stream),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                return (socket, address, held);
            }
        }
    }
}

#[test]
fn a_refused_connection_is_tried_elsewhere_whatever_the_method() {
    let mut plane = Plane::start(&[nobody(), server("b")], "", "balance = \"round-robin\"");
    for request in [GET, GET, POST, POST] {
        let (head, body) = plane.connect().send(request).reply();
        assert_eq!((status(&head), body), (200, b"b".to_vec()), "{request:?}");
    }
    let retries = plane.statistics().pools[0].retries as usize;
    let refused = (nines_control::view::MemberKey(0), Traffic::Failed(Failure::Refused));
    assert_eq!(plane.reported(retries), vec![refused; retries]);
    assert!(retries > 0);
}

#[test]
fn a_member_that_is_silent_is_passed_over_long_before_any_timeout() {
    // Long enough that a busy machine's server is never found silent.
    let pool = "balance = \"round-robin\"\nretries = { silence = { min = \"1s\", max = \"1s\" } }";
    let mut plane = Plane::start(&[frozen(), server("b")], "", pool);
    let start = Instant::now();
    for _ in 0..4 {
        let (head, body) = plane.connect().send(GET).reply();
        assert_eq!((status(&head), body), (200, b"b".to_vec()));
    }
    assert!(start.elapsed() < Duration::from_secs(10), "the first-byte time-out is 30 s");
    let silent = Traffic::Failed(Failure::Silent);
    assert!(plane.reported(1).iter().any(|&(key, traffic)| key.0 == 0 && traffic == silent));
    let pool = &plane.statistics().pools[0];
    assert!(pool.hedges > 0 && pool.hedges == pool.hedges_won, "{pool:?}");
}

#[test]
fn a_connect_that_hangs_is_raced_by_a_second_one() {
    let (deaf, _held) = deaf();
    let pool = "balance = \"round-robin\"\ntimeouts = { connect = \"20s\" }";
    let mut plane = Plane::start(&[deaf, server("b")], "", pool);
    let start = Instant::now();
    for request in [GET, POST, GET, POST] {
        let (head, body) = plane.connect().send(request).reply();
        assert_eq!((status(&head), body), (200, b"b".to_vec()));
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}: the connect time-out is 20 s", start.elapsed());
    let late = Traffic::Failed(Failure::ConnectTimeout);
    assert!(plane.reported(1).iter().any(|&(key, traffic)| key.0 == 0 && traffic == late));
}

#[test]
fn a_reset_before_the_reply_is_repeated_only_if_it_may_be() {
    let plane = Plane::start(&[server_that(|_| Vec::new()), server("b")], "", "balance = \"round-robin\"");
    let mut answers = Vec::new();
    for _ in 0..4 {
        assert_eq!(status(&plane.connect().send(GET).reply().0), 200);
        answers.push(status(&plane.connect().send(POST).reply().0));
        answers.push(status(&plane.connect().send(POST).reply().0));
    }
    answers.sort_unstable();
    assert!(answers.contains(&502) && answers.contains(&200), "{answers:?}: a POST is written once");
}

#[test]
fn a_route_may_say_that_any_method_is_repeated() {
    let resets = server_that(|_| Vec::new());
    let members = [resets, server("b")];
    let port = support::free_port();
    let text = support::file(port, &members, "", "balance = \"round-robin\"")
        .replace("pool = \"web\"", "routes = [{ pool = \"web\", repeat = \"any-method\" }]");
    let system = support::parse(&text);
    let host = system.host_named("lb").unwrap();
    let (plane, _reports) =
        nines_load_balancer::DataPlane::start(system, host, support::view(&members), 1).unwrap();
    plane.open();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("open", || std::net::TcpStream::connect(address).is_ok());
    for _ in 0..4 {
        assert_eq!(status(&Client::connect(address).send(POST).reply().0), 200);
    }
}

#[test]
fn a_kept_connection_that_the_member_has_closed_costs_nobody_anything() {
    let stage = Stage::new();
    let mut plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    client.send(GET);
    let mut member = stage.accept();
    member.head();
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client.reply();
    // It closes when the next request has been written: no reply, no fault of its own.
    client.send(GET);
    member.head();
    drop(member);
    let mut again = stage.accept();
    assert!(again.head().starts_with("GET / "));
    again.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.reply().1, b"ok");
    assert_eq!(plane.reported(0), []);
}

#[test]
fn the_budget_bounds_further_tries() {
    let retries = "retries = { budget = \"0 %\", minimum_per_second = 0 }\nbalance = \"round-robin\"";
    let plane = Plane::start(&[server_that(|_| Vec::new()), server("b")], "", retries);
    let statuses: Vec<u16> = (0..10).map(|_| status(&plane.connect().send(GET).reply().0)).collect();
    assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
    assert!(plane.statistics().pools[0].budget_empty > 0);
}

/// Two of three members die at one stroke, and nobody has told the workers yet.
#[test]
fn a_refused_connection_costs_no_budget() {
    let retries = "retries = { budget = \"0 %\", minimum_per_second = 0 }\nbalance = \"round-robin\"";
    let plane = Plane::start(&[nobody(), nobody(), server("c")], "", retries);
    for _ in 0..10 {
        assert_eq!(status(&plane.connect().send(GET).reply().0), 200);
    }
    let pool = &plane.statistics().pools[0];
    assert_eq!(pool.budget_empty, 0);
    assert!(pool.retries >= 6, "{pool:?}");
}

#[test]
fn a_reply_that_breaks_off_is_never_taken_for_whole() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let mut client = plane.connect();
        client.send(GET);
        let mut member = stage.accept();
        member.head();
        member.send(reply);
        assert_eq!(status(&client.head()), 200);
        drop(member);
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut rest);
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 16, "{rest:?}");
    }
}

#[test]
fn nonsense_from_a_member_is_a_502() {
    let nonsense =
        server_that(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec());
    let plane = Plane::start(&[nonsense], "", "");
    let (head, _) = plane.connect().send(GET).reply();
    assert_eq!((status(&head), header(&head, "nines-cause").as_deref()), (502, Some("bad-reply")));
}

#[test]
fn a_full_pool_queues_and_a_full_queue_refuses() {
    let stage = Stage::new();
    let limits = "limits = { connections = 1, queue = 1, queue_timeout = \"20s\" }";
    let plane = Plane::start(&[stage.address], "", limits);
    let mut first = plane.connect();
    first.send(GET);
    let mut member = stage.accept();
    member.head();
    let mut second = plane.connect();
    second.send(GET);
    eventually("the second waits", || plane.statistics().pools[0].queued == 1);
    let (head, _) = plane.connect().send(GET).reply();
    assert_eq!((status(&head), header(&head, "nines-cause").as_deref()), (503, Some("queue-full")));
    assert_eq!(header(&head, "retry-after").as_deref(), Some("1"));
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    assert_eq!(first.reply().1, b"1");
    member.head();
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    assert_eq!(second.reply().1, b"2");
    assert_eq!(plane.statistics().pools[0].queued, 0);
}

#[test]
fn waiting_in_the_queue_has_an_end() {
    let stage = Stage::new();
    let limits = "limits = { member_connections = 1, queue = 5, queue_timeout = \"50ms\" }";
    let plane = Plane::start(&[stage.address], "", limits);
    let mut first = plane.connect();
    first.send(GET);
    stage.accept().head();
    let (head, _) = plane.connect().send(GET).reply();
    assert_eq!((status(&head), header(&head, "nines-cause").as_deref()), (503, Some("queue-timeout")));
}

#[test]
fn a_slow_client_loses_its_place() {
    let stage = Stage::new();
    let listener = "timeouts = { head = \"100ms\", stall = \"100ms\" }";
    let plane = Plane::start(&[stage.address], listener, "");
    let mut slow = plane.connect();
    slow.send("GET / HTTP/1.1\r\nHo");
    let (head, _) = slow.reply();
    assert_eq!((status(&head), header(&head, "nines-cause").as_deref()), (408, Some("client-timeout")));

    let mut trickle = plane.connect();
    trickle.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx");
    let mut byte = trickle.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while std::io::Write::write_all(&mut byte, b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (head, _) = trickle.reply();
    assert_eq!(status(&head), 408, "a byte now and then is no progress");
}

#[test]
fn a_silent_member_is_a_504_when_nobody_else_is_there() {
    let plane = Plane::start(&[frozen()], "", "timeouts = { first_byte = \"200ms\" }");
    for request in [GET, POST] {
        let (head, _) = plane.connect().send(request).reply();
        assert_eq!(
            (status(&head), header(&head, "nines-cause").as_deref()),
            (504, Some("first-byte-timeout")),
            "{request:?}"
        );
    }
}

#[test]
fn a_view_without_members_is_a_503_and_a_new_view_heals_it() {
    let a = server("a");
    let plane = Plane::start(&[a], "", "");
    let mut view = (*support::view(&[a])).clone();
    view.pools[0].serving = nines_control::view::Serving::Nobody;
    view.pools[0].members[0].eligible = false;
    plane.plane.publish(std::sync::Arc::new(view));
    let mut client = plane.connect();
    eventually("refused", || {
        let (head, _) = client.send(GET).reply();
        status(&head) == 503 && header(&head, "nines-cause").as_deref() == Some("no-member")
    });
    plane.plane.publish(support::view(&[a]));
    eventually("served again on the same connection", || status(&client.send(GET).reply().0) == 200);
}

#[test]
fn a_draining_plane_finishes_what_is_there_and_takes_no_more() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut busy = plane.connect();
    busy.send(GET);
    let mut member = stage.accept();
    member.head();
    let mut idle = plane.connect();
    plane.plane.drain();
    eventually("new connections are refused", || std::net::TcpStream::connect(plane.address).is_err());
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (head, body) = busy.reply();
    assert_eq!((header(&head, "connection").as_deref(), body), (None, b"ok".to_vec()));
    let (head, _) = {
        idle.send(GET);
        member.head();
        member.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        idle.reply()
    };
    assert_eq!(header(&head, "connection").as_deref(), Some("close"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    drop(busy);
    runtime
        .block_on(async { tokio::time::timeout(support::PATIENCE, plane.plane.drained()).await })
        .expect("nobody is connected any more");
}

#[test]
fn a_reload_keeps_connections_and_counters() {
    let (a, b) = (server("a"), server("b"));
    let plane = Plane::start(&[a], "", "");
    let mut client = plane.connect();
    assert_eq!(client.send(GET).reply().1, b"a");
    let port = plane.address.port();
    let mut view = (*support::view(&[b])).clone();
    view.pools[0].members[0].key = nines_control::view::MemberKey(7);
    let system = support::parse(&support::file(port, &[b], "", ""));
    let host = system.host_named("lb").unwrap();
    plane.plane.reload(system, host, std::sync::Arc::new(view)).unwrap();
    eventually("the new member answers", || client.send(GET).reply().1 == b"b");
    assert!(plane.statistics().listeners[0].responses[1] >= 2);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = support::parse(&support::file(taken.local_addr().unwrap().port(), &[b], "", ""));
    let refused = plane.plane.reload(elsewhere, host, support::view(&[b])).unwrap_err();
    assert!(refused.to_string().contains("another program serves there"), "{refused}");
    assert_eq!(client.send(GET).reply().1, b"b", "the old plan stays in force");
}

#[test]
fn what_a_member_did_not_read_of_a_request_is_not_taken_for_the_next_one() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200_000);
    client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", smuggled.len()));
    let mut member = stage.accept();
    member.head();
    let mut upload = client.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut upload, smuggled.as_bytes());
    });
    member.exactly(100_000);
    member.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    drop(member);
    let head = client.head();
    assert!(matches!(status(&head), 413 | 502), "{head}");
    assert_eq!(header(&head, "connection").as_deref(), Some("close"), "{head}");
    assert!(client.is_closed());
    assert!(stage.nobody_came(), "nothing of the body was a request");
}

#[test]
fn a_member_that_reads_a_streamed_request_and_says_nothing_has_no_longer_than_any_other() {
    let stage = Stage::new();
    let mut plane = Plane::start(&[stage.address], "", "timeouts = { first_byte = \"200ms\" }");
    let mut client = plane.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut member = stage.accept();
    member.head();
    member.exactly(8);
    let start = Instant::now();
    client.send("0\r\n\r\n");
    let (head, _) = client.reply();
    assert_eq!((status(&head), header(&head, "nines-cause").as_deref()), (504, Some("first-byte-timeout")));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}: the stall time is 30 s", start.elapsed());
    assert_eq!(plane.reported(1).len(), 1);
}

#[test]
fn a_reply_that_began_before_its_request_ended_may_go_on_for_long() {
    let stage = Stage::new();
    let timeouts =
        "timeouts = { first_byte = \"300ms\", request = \"300ms\", connect = \"300ms\", stall = \"1s\" }";
    let plane = Plane::start(&[stage.address], "timeouts = { stall = \"1s\" }", timeouts);
    let mut client = plane.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut member = stage.accept();
    member.head();
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\nfoo");
    client.head();
    assert_eq!(client.exactly(3), b"foo");
    client.send("0\r\n\r\n");
    assert_eq!(member.exactly(13), b"3\r\nabc\r\n0\r\n\r\n");
    for _ in 0..15 {
        std::thread::sleep(Duration::from_millis(80)); // in all, longer than any of the times
        member.send(".");
        assert_eq!(client.exactly(1), b".");
    }
}

#[test]
fn a_request_that_is_slow_everywhere_is_no_ones_fault() {
    let slow = |name: &'static str| {
        server_that(move |_| {
            std::thread::sleep(Duration::from_millis(500));
            format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}").into_bytes()
        })
    };
    let retries = "retries = { silence = { min = \"50ms\", max = \"50ms\" } }";
    let mut plane = Plane::start(&[slow("a"), slow("b")], "", retries);
    for _ in 0..2 {
        assert_eq!(status(&plane.connect().send(GET).reply().0), 200);
    }
    assert!(plane.statistics().pools[0].hedges > 0);
    assert_eq!(plane.reported(0), []);
}

#[test]
fn a_try_after_long_work_was_lost_has_its_own_time_to_connect() {
    let worker = Stage::new();
    let (listener, deaf, held) = deaf_until_accepted();
    let pool = "balance = \"round-robin\"\ntimeouts = { connect = \"2s\" }\n\
                retries = { silence = { min = \"30s\", max = \"30s\" } }";
    let plane = Plane::start(&[worker.address, deaf], "", pool);
    let mut client = plane.connect();
    client.send(GET);
    let mut member = worker.accept();
    member.head();
    std::thread::sleep(Duration::from_millis(2200)); // longer than connecting may take
    drop(member);
    std::thread::sleep(Duration::from_millis(100));
    listener.set_read_timeout(Some(support::PATIENCE)).unwrap(); // for accept as well
    for _ in held {
        listener.accept().unwrap();
    }
    let (second, _) = listener.accept().unwrap();
    let mut second = Client::new(second.into());
    second.head();
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.reply().1, b"ok");
}

#[test]
fn a_member_that_breaks_off_all_its_replies_is_never_said_to_have_recovered() {
    let stage = Stage::new();
    let mut plane = Plane::start(&[stage.address], "", "");
    for _ in 0..3 {
        let mut client = plane.connect();
        client.send(GET);
        let mut member = stage.accept();
        member.head();
        member.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
        client.head();
        drop(member);
        assert!(client.exactly(1) == b"x" && client.is_closed());
    }
    let reset = (nines_control::view::MemberKey(0), Traffic::Failed(Failure::Reset));
    assert_eq!(plane.reported(3), [reset; 3]);
    assert_eq!(plane.statistics().pools[0].latency.counts.iter().sum::<u64>(), 3);
}

#[test]
fn a_5xx_counts_as_a_failure_where_asked_for_also_when_the_request_was_streamed() {
    let stage = Stage::new();
    let mut plane = Plane::start(&[stage.address], "", "passive = { server_errors = true }");
    let mut client = plane.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut member = stage.accept();
    member.head();
    client.send("0\r\n\r\n");
    assert_eq!(member.exactly(13), b"3\r\nabc\r\n0\r\n\r\n");
    member.send("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&client.head()), 500);
    let failed = (nines_control::view::MemberKey(0), Traffic::Failed(Failure::ServerError));
    assert_eq!(plane.reported(1), [failed]);
}

#[test]
fn a_client_that_waits_for_100_is_not_blamed_for_a_silent_member() {
    let times = "timeouts = { first_byte = \"300ms\" }";
    let mut plane = Plane::start(&[frozen()], "timeouts = { stall = \"100ms\" }", times);
    let mut client = plane.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let (head, _) = client.reply();
    assert_eq!((status(&head), header(&head, "nines-cause").as_deref()), (504, Some("first-byte-timeout")));
    let silent = (nines_control::view::MemberKey(0), Traffic::Failed(Failure::Silent));
    assert_eq!(plane.reported(1), [silent]);
}

#[test]
fn a_short_pause_is_answered_elsewhere_and_held_against_nobody() {
    let pauses = server_that(|head| {
        if head.starts_with("GET /pause") {
            std::thread::sleep(Duration::from_millis(120));
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na".to_vec()
    });
    let pool = "retries = { silence = { min = \"20ms\", max = \"20ms\" } }\nbalance = \"round-robin\"";
    let mut plane = Plane::start(&[pauses, server("b")], "", pool);
    // A machine that is slow itself may take longer than a pause may: then it is tried again.
    eventually("a pause without a report", || {
        let mut client = plane.connect();
        let before = plane.statistics().pools[0].hedges_won;
        for path in ["/", "/", "/pause", "/pause"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(status(&client.send(request).reply().0), 200);
        }
        plane.statistics().pools[0].hedges_won > before && plane.reported(0).is_empty()
    });
}

#[test]
fn a_client_that_stops_reading_loses_its_place_in_its_own_time() {
    let huge = server_that(|_| {
        let mut reply = b"HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n".to_vec();
        reply.resize(reply.len() + (32 << 20), b'x');
        reply
    });
    let plane = Plane::start(&[huge], "timeouts = { stall = \"300ms\" }", "");
    let mut client = plane.connect();
    client.send(GET).head();
    eventually("its place is free", || {
        let statistics = plane.statistics();
        statistics.pools[0].members[0].in_flight == 0 && statistics.listeners[0].client_gone == 1
    });
}

#[test]
fn requests_that_nobody_answers_are_seen_to_wait_until_they_end() {
    let plane = Plane::start(&[frozen()], "", "timeouts = { first_byte = \"2500ms\", request = \"2500ms\" }");
    let waiting = || {
        let all = plane.statistics();
        (all.listeners[0].waiting.min(all.pools[0].waiting), all.listeners[0].bad)
    };
    for request in [GET, POST] {
        let before = waiting().1;
        let mut client = plane.connect();
        client.send(request);
        eventually("it waits, and counts as nothing", || waiting() == (1, before));
        assert_eq!(status(&client.reply().0), 504);
        eventually("it has ended", || waiting() == (0, before + 1));
    }
}

#[test]
fn a_client_that_had_enough_of_waiting_counts_against_us() {
    let slow = |wait: u64| {
        server_that(move |_| {
            std::thread::sleep(Duration::from_millis(wait));
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()
        })
    };
    // One who hangs up before the reply comes, and is not there any more to read it.
    for (wait, counted) in [(200, (1, 0)), (1300, (0, 1))] {
        let plane = Plane::start(&[slow(wait)], "", "");
        let mut client = std::net::TcpStream::connect(plane.address).unwrap();
        std::io::Write::write_all(&mut client, GET.as_bytes()).unwrap();
        drop(client);
        eventually("it is counted", || {
            let of = &plane.statistics().listeners[0];
            (of.good, of.bad) == counted
        });
    }
    for (wait, bad) in [(200, 0), (1300, 1)] {
        let plane = Plane::start(&[slow(wait)], "", "");
        let mut client = std::net::TcpStream::connect(plane.address).unwrap();
        std::io::Write::write_all(&mut client, GET.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        // With a reset, so that what is sent to it fails at once.
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        eventually("it has gone", || plane.statistics().listeners[0].client_gone == 1);
        eventually("and is counted", || plane.statistics().listeners[0].bad == bad);
    }
}
