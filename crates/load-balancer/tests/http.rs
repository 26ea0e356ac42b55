//! HTTP/1.1 as a client and a member see it, byte by byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use support::{Client, Plane, Stage, header, server, server_that, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

#[test]
fn requests_on_one_connection_are_answered_in_order_also_when_pipelined() {
    let echo = server_that(|head| {
        let target = head.split(' ').nth(1).unwrap_or("").to_owned();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()).into_bytes()
    });
    let plane = Plane::start(&[echo], "", "");
    let mut client = plane.connect();
    let requests: String =
        (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: shop.example\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..50 {
        let (head, body) = client.reply();
        assert_eq!((status(&head), body), (200, format!("/{n}").into_bytes()));
    }
    let statistics = plane.statistics();
    assert_eq!(statistics.pools[0].members[0].connects, 1, "one connection serves them all");
    assert_eq!(statistics.listeners[0].responses[1], 50);
}

#[test]
fn a_member_learns_of_the_client_and_not_of_the_connection() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    client.send(
        "GET /a?b HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: gzip\r\n\
         X-Forwarded-For: 6.6.6.6\r\nAccept: */*\r\n\r\n",
    );
    let head = stage.accept().head();
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "accept").as_deref(), Some("*/*"));
    assert_eq!(header(&head, "x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(header(&head, "x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(header(&head, "x-forwarded-host").as_deref(), Some("shop.example"));
    for gone in ["connection", "x-hop", "te", "keep-alive"] {
        assert_eq!(header(&head, gone), None, "{gone}");
    }
}

#[test]
fn bodies_stream_both_ways_by_length_and_in_chunks() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    let megabyte: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    let sent = megabyte.clone();
    let mut sender = Client::new(client.stream.try_clone().unwrap());
    let upload = std::thread::spawn(move || {
        sender.send(&sent);
    });
    let mut member = stage.accept();
    let head = member.head();
    assert_eq!(header(&head, "content-length").as_deref(), Some("1048576"));
    assert!(member.exactly(1 << 20) == megabyte, "the body arrives as it was");
    upload.join().unwrap();
    member.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
    let head = client.head();
    assert_eq!(header(&head, "transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(client.exactly(25), b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");

    client.send("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let head = member.head();
    assert_eq!(header(&head, "transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(member.exactly(8), b"3\r\nabc\r\n", "a chunk passes before the next is there");
    client.send("0\r\n\r\n");
    assert_eq!(member.exactly(5), b"0\r\n\r\n");
    member.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(status(&client.head()), 204);
    client.send(GET);
    assert!(member.head().starts_with("GET / "), "both connections go on");
}

#[test]
fn large_replies_arrive_whole() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 253) as u8).collect();
    let expected = body.clone();
    let big = server_that(move |_| {
        let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        reply.extend_from_slice(&body);
        reply
    });
    let plane = Plane::start(&[big], "", "");
    let mut client = plane.connect();
    for _ in 0..3 {
        let (head, body) = client.send(GET).reply();
        assert_eq!(status(&head), 200);
        assert!(body == expected);
    }
}

#[test]
fn a_client_that_expects_100_gets_it_from_the_member() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let mut member = stage.accept();
    assert_eq!(header(&member.head(), "expect").as_deref(), Some("100-continue"));
    member.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(status(&client.head()), 100);
    client.send("abc");
    assert_eq!(member.exactly(3), b"abc");
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.reply().1, b"ok");

    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    member.head();
    member.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    let (head, _) = client.reply();
    assert_eq!(status(&head), 413);
    assert_eq!(header(&head, "connection").as_deref(), Some("close"), "the body was never sent");
}

#[test]
fn early_hints_pass_and_the_final_reply_follows() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    client.send(GET);
    let mut member = stage.accept();
    member.head();
    member.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    let head = client.head();
    assert_eq!((status(&head), header(&head, "link").as_deref()), (103, Some("</a.css>")));
    member.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.reply().1, b"x");
}

#[test]
fn replies_without_a_body_leave_the_connection_usable() {
    let odd = server_that(|head| {
        if head.starts_with("HEAD") {
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec()
        } else if head.contains("/304") {
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n".to_vec()
        } else {
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
        }
    });
    let plane = Plane::start(&[odd], "", "");
    let mut client = plane.connect();
    let head = client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert_eq!(header(&head, "content-length").as_deref(), Some("1000"));
    let head = client.send("GET /304 HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert_eq!(status(&head), 304);
    assert_eq!(client.send(GET).reply().1, b"ok");
    assert_eq!(plane.statistics().pools[0].members[0].connects, 1);
}

#[test]
fn an_http_1_0_client_gets_plain_bytes_and_an_end() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut member = stage.accept();
    assert!(member.head().starts_with("GET / HTTP/1.1\r\n"));
    member
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    let head = client.head();
    assert_eq!(header(&head, "transfer-encoding"), None);
    assert_eq!(header(&head, "connection").as_deref(), Some("close"));
    assert_eq!(client.rest(), b"hello world");
}

#[test]
fn a_reply_that_ends_with_its_connection_is_put_into_chunks() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    client.send(GET);
    let mut member = stage.accept();
    member.head();
    member.send("HTTP/1.0 200 OK\r\n\r\nhello");
    drop(member);
    let head = client.head();
    assert_eq!(header(&head, "transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(client.exactly(15), b"5\r\nhello\r\n0\r\n\r\n");
    client.send(GET);
    stage.accept().send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&client.head()), 200);
}

#[test]
fn an_upgraded_connection_carries_bytes_both_ways() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    let mut client = plane.connect();
    client.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut member = stage.accept();
    let head = member.head();
    assert_eq!(header(&head, "upgrade").as_deref(), Some("websocket"));
    assert_eq!(header(&head, "connection").as_deref(), Some("upgrade"));
    member.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
    let head = client.head();
    assert_eq!((status(&head), header(&head, "upgrade").as_deref()), (101, Some("websocket")));
    assert_eq!(client.exactly(5), b"first");
    client.send("ping");
    assert_eq!(member.exactly(4), b"ping");
    member.send("pong");
    assert_eq!(client.exactly(4), b"pong");
    drop(member);
    assert!(client.is_closed());
}

#[test]
fn a_request_that_can_be_read_in_two_ways_is_refused_and_never_forwarded() {
    let stage = Stage::new();
    let plane = Plane::start(&[stage.address], "", "");
    for (request, expected) in [
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: x\n\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd", 400),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff0\r\n", 400),
    ] {
        let mut client = plane.connect();
        client.send(request);
        let (head, _) = client.reply();
        assert_eq!(status(&head), expected, "{request:?}");
        assert_eq!(header(&head, "nines-cause").as_deref(), Some("bad-request"), "{request:?}");
        assert!(client.is_closed(), "{request:?}");
    }
    assert!(stage.nobody_came());
    assert_eq!(plane.statistics().listeners[0].responses[3], 9);
}

#[test]
fn each_request_goes_to_the_pool_of_its_route() {
    let (a, b) = (server("a"), server("b"));
    let port = support::free_port();
    let text = format!(
        "name = \"t\"\n[hosts]\nlb = \"127.0.0.1\"\nm0 = \"127.0.1.1\"\nm1 = \"127.0.1.2\"\n\
         [load_balancers.front]\nhosts = [\"lb\"]\n[[load_balancers.front.listeners]]\nbind = \"127.0.0.1:{port}\"\n\
         routes = [{{ host = \"shop.example\", pool = \"pa\" }}, {{ path = \"/b\", pool = \"pb\" }}]\n\
         [pools.pa]\nmembers = [\"m0:{}\"]\n[pools.pb]\nmembers = [\"m1:{}\"]\n",
        a.port(),
        b.port()
    );
    let system = support::parse(&text);
    let one = |address| support::view(&[address]).pools[0].clone();
    let names: Vec<&str> = system.pools.iter().map(|pool| pool.name.as_str()).collect();
    let pools = names.iter().map(|&name| if name == "pa" { one(a) } else { one(b) }).collect();
    let view = std::sync::Arc::new(nines_control::view::View { pools });
    let host = system.host_named("lb").unwrap();
    let (plane, _reports) = nines_load_balancer::DataPlane::start(system, host, view, 1).unwrap();
    plane.open();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    support::eventually("open", || std::net::TcpStream::connect(address).is_ok());
    let mut client = Client::connect(address);
    for (host, path, status_and_body) in [
        ("shop.example", "/b", (200, "a")),
        ("SHOP.example:80", "/", (200, "a")),
        ("other", "/b/c", (200, "b")),
        ("other", "/", (404, "")),
    ] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let (head, body) = client.reply();
        assert_eq!(status(&head), status_and_body.0, "{host} {path}");
        if status(&head) == 200 {
            assert_eq!(body, status_and_body.1.as_bytes());
        } else {
            assert_eq!(header(&head, "nines-cause").as_deref(), Some("no-route"));
        }
    }
}
