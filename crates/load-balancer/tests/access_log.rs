//! The access log: a line for each request, and the cause of each that was not served.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use std::net::SocketAddr;
use std::path::Path;

use nines_load_balancer::DataPlane;
use serde_json::Value;
use support::{Client, PATIENCE, eventually, server, status};

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn start(
    port: u16,
    members: &[SocketAddr],
    protocol: &str,
    log: &Path,
) -> (DataPlane, nines_load_balancer::Reports) {
    let text = support::file(port, members, protocol, "").replace(
        "[load_balancers.front]",
        &format!("[load_balancers.front]\naccess_log = \"{}\"", log.display()),
    );
    let system = support::parse(&text);
    let host = system.host_named("lb").unwrap();
    let (plane, reports) = DataPlane::start(system, host, support::view(members), 1).unwrap();
    plane.open();
    if protocol.is_empty() {
        eventually("open", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }
    (plane, reports)
}

fn drain(plane: &DataPlane) {
    plane.drain();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, plane.drained()).await.unwrap() });
}

#[test]
fn every_request_has_its_line_with_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let port = support::free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let member = server("a");
    let (plane, _reports) = start(port, &[member], "", &log);
    let mut client = Client::connect(address);
    client.send("GET /x?y HTTP/1.1\r\nHost: shop.example\r\n\r\n").reply();
    client.send("POST /z HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").reply();
    client.send("GET /\"quoted\" HTTP/1.1\r\n\r\n").reply();
    assert!(client.is_closed());
    // Whoever waits for the end of a drain finds the log complete.
    drain(&plane);
    let lines = lines(&log);
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            (text("method"), text("host"), text("target"), text("member"), text("ended"))
        })
        .collect();
    let name = format!("m0:{}", member.port());
    let owned = |words: [&str; 5]| {
        let [a, b, c, d, e] = words.map(str::to_owned);
        (a, b, c, d, e)
    };
    assert_eq!(
        told,
        [
            owned(["GET", "shop.example", "/x?y", &name, "done"]),
            owned(["POST", "x", "/z", &name, "done"]),
            owned(["", "", "", "-", "bad-request"]),
        ]
    );
    let first = &lines[0];
    assert_eq!(first["status"], 200);
    assert_eq!(first["tries"], 1);
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!(first["pool"], "web");
    assert!(first["time_us"].as_u64().unwrap() > 1_600_000_000_000_000);
    assert!(first["first_byte_us"].as_u64().unwrap() <= first["total_us"].as_u64().unwrap());
    assert!(first["bytes_out"].as_u64().unwrap() > 30);
    assert_eq!(lines[2]["status"], 400);
}

#[test]
fn a_502_says_its_cause_and_the_member_that_was_tried_last() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let port = support::free_port();
    let nobody = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    for protocol in ["", "protocol = \"tcp\""] {
        let (plane, _reports) = start(port, &[nobody], protocol, &log);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        eventually("a line", || {
            let Ok(stream) = std::net::TcpStream::connect(address) else { return false };
            if protocol.is_empty() {
                let (head, _) = Client::new(stream).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").reply();
                assert_eq!(status(&head), 502);
            } else {
                assert!(Client::new(stream).is_closed());
            }
            true
        });
        drain(&plane);
        let line = lines(&log).pop().unwrap();
        assert_eq!(line["ended"], "connect");
        assert_eq!(line["member"], format!("m0:{}", nobody.port()));
        assert!(line["tries"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn a_reload_follows_a_log_that_was_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let (log, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let port = support::free_port();
    let members = [server("a")];
    let (plane, _reports) = start(port, &members, "", &log);
    let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], port)));
    let mut get = |target: &str| {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).reply();
    };
    get("/before");
    eventually("it is written", || lines(&log).len() == 1);
    std::fs::rename(&log, &rotated).unwrap();
    let text = support::file(port, &members, "", "").replace(
        "[load_balancers.front]",
        &format!("[load_balancers.front]\naccess_log = \"{}\"", log.display()),
    );
    let system = support::parse(&text);
    let host = system.host_named("lb").unwrap();
    plane.reload(system, host, support::view(&members)).unwrap();
    eventually("the new file gets the lines", || {
        get("/after");
        !lines(&log).is_empty()
    });
    assert_eq!(lines(&rotated)[0]["target"], "/before");
}
