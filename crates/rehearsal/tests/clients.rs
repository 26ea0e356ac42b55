//! The clients against a server that fails on command: what they count is what it did.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod server;

use std::net::SocketAddr;
use std::time::Duration;

use nines_rehearsal::clients::{Clients, Load, Target};
use nines_rehearsal::plan::Manner;
use nines_rehearsal::record::{Failure, Record};
use server::{Deed, Server};
use tokio::net::TcpSocket;

/// Longer than any pause of the machine; a request that shall run into it makes its test this long.
const TIMEOUT: Duration = Duration::from_secs(2);

fn load(target: Target, rate: u32) -> Load {
    Load { targets: vec![target], rate, timeout: TIMEOUT }
}

fn start(load: Load) -> Clients {
    Clients::start(Box::new(|| Ok(())), load).unwrap()
}

/// Until so many requests are sent.
async fn sent(clients: &Clients, least: u64) {
    let enough = async {
        while clients.live().sent() < least {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let patience = Duration::from_secs(20);
    assert!(tokio::time::timeout(patience, enough).await.is_ok(), "sent {}", clients.live().sent());
}

async fn run(load: Load, least: u64) -> Record {
    let clients = start(load);
    sent(&clients, least).await;
    clients.stop().await.unwrap()
}

fn failures(record: &Record, failure: Failure) -> u64 {
    record.failures.get(&failure).copied().unwrap_or(0)
}

#[tokio::test]
async fn each_failure_is_counted_as_what_it_was() {
    let server = Server::start(|number| match number % 20 {
        1 | 2 => Deed::Unavailable,
        5 | 6 => Deed::Reset,
        9 | 10 => Deed::Garbage,
        13 | 14 => Deed::Torn,
        17 | 18 => Deed::Silence,
        _ => Deed::Answer,
    });
    let record = run(load(server.target(), 200), 140).await;

    assert!(server.did(Deed::Silence) > 2, "each deed was done");
    assert_eq!(record.sent, server.requests());
    assert_eq!(failures(&record, Failure::Status(503)), server.did(Deed::Unavailable));
    assert_eq!(failures(&record, Failure::Reset), server.did(Deed::Reset) + server.did(Deed::Torn));
    assert_eq!(failures(&record, Failure::BadReply), server.did(Deed::Garbage));
    assert_eq!(failures(&record, Failure::Timeout), server.did(Deed::Silence));
    assert_eq!(record.good(), server.did(Deed::Answer));
    assert_eq!(record.good() + record.failed(), record.sent);
}

#[tokio::test]
async fn a_stalled_server_does_not_slow_the_clients_down() {
    let server = Server::start(|_| Deed::Silence);
    let begin = std::time::Instant::now();
    // A closed loop would wait for the time-outs of a few, again and again.
    let record = run(load(server.target(), 500), 300).await;
    let due = 500.0 * begin.elapsed().as_secs_f64();
    assert!(record.sent as f64 <= due, "sent {} where {due} were due", record.sent);
    assert_eq!(failures(&record, Failure::Timeout), record.sent);
    assert_eq!(record.slowest, None);
}

#[tokio::test]
async fn a_pause_is_charged_to_every_request_that_was_due_in_it() {
    let server = Server::start(|_| Deed::Answer);
    let clients = start(load(server.target(), 500));
    sent(&clients, 50).await;
    server.pause(Duration::from_millis(300));
    sent(&clients, 250).await;
    let record = clients.stop().await.unwrap();
    assert_eq!(record.failed(), 0);
    // Due in the first 200 ms of the pause: answered 100 ms late or more.
    assert!(record.latency.count_between(100_000, 2_000_000) >= 50, "{:?}", record.latency);
    assert!(record.longest_gap >= Duration::from_millis(200), "{:?}", record.longest_gap);
}

#[tokio::test]
async fn half_of_the_requests_have_a_connection_of_their_own() {
    let server = Server::start(|_| Deed::Answer);
    let record = run(load(server.target(), 200), 200).await;
    assert_eq!(record.failed(), 0);
    let (own, shared) = (record.sent.div_ceil(2), record.sent / 2);
    let kept_alive = server.connections() - own;
    assert!(kept_alive >= 1 && kept_alive < shared / 2, "{kept_alive} connections for {shared} requests");
}

#[tokio::test]
async fn where_nobody_listens_it_is_refused() {
    let deaf = deaf();
    let record = run(load(get(deaf.local_addr().unwrap()), 200), 40).await;
    assert_eq!(failures(&record, Failure::Refused), record.sent);
    assert!(record.longest_gap >= Duration::from_millis(100), "no good answer is one long gap");
}

#[tokio::test]
async fn a_connect_that_nobody_answers_is_told_from_an_answer_that_does_not_come() {
    // A full accept queue: the kernel drops further SYNs.
    let socket = deaf();
    let address = socket.local_addr().unwrap();
    let _listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue never fills");
    }
    let record = run(load(get(address), 100), 10).await;
    assert_eq!(failures(&record, Failure::ConnectTimeout), record.sent);
}

#[tokio::test]
async fn what_the_load_balancer_gives_as_the_cause_is_counted() {
    let server = Server::start(|_| Deed::NoMember);
    let record = run(load(server.target(), 100), 20).await;
    assert_eq!(record.causes.get("no-member"), Some(&record.sent));
    assert_eq!(failures(&record, Failure::Status(503)), record.sent);
}

#[tokio::test]
async fn a_listener_that_wants_the_proxy_header_gets_it() {
    let server = Server::start(|_| Deed::Answer);
    server.expect_proxy_header();
    let target = Target { proxy_header: true, ..server.target() };
    let record = run(load(target, 100), 20).await;
    assert!(record.good() >= 5);
    assert_eq!(record.failed(), 0);
}

#[tokio::test]
async fn an_unknown_protocol_is_opened_and_closed() {
    let server = Server::start(|_| Deed::Answer);
    let open = |address| Target { address, proxy_header: false, manner: Manner::OpenAndClose };
    let record = run(load(open(server.address), 100), 20).await;
    assert!(record.good() >= 5);
    assert_eq!(record.failed(), 0);
    let deaf = deaf();
    let record = run(load(open(deaf.local_addr().unwrap()), 100), 10).await;
    assert_eq!(failures(&record, Failure::Refused), record.sent);
}

#[tokio::test]
async fn targets_are_taken_in_turn() {
    let (one, other) = (Server::start(|_| Deed::Answer), Server::start(|_| Deed::Answer));
    let load = Load { targets: vec![one.target(), other.target()], ..load(one.target(), 200) };
    let record = run(load, 300).await;
    assert_eq!(one.requests() + other.requests(), record.sent);
    assert!(one.requests().abs_diff(other.requests()) <= 2);
    assert!(other.connections() < other.requests(), "both manners go to both");
}

#[tokio::test]
async fn a_place_that_cannot_be_entered_is_an_error() {
    let nowhere = Box::new(|| Err(std::io::Error::other("no such place")));
    let clients = Clients::start(nowhere, load(get("127.0.0.1:1".parse().unwrap()), 10)).unwrap();
    assert_eq!(clients.stop().await.unwrap_err().to_string(), "no such place");
}

/// Holds a port on which nobody listens.
fn deaf() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

fn get(address: SocketAddr) -> Target {
    let manner = Manner::Get { host: "shop.example".to_owned(), path: "/".to_owned() };
    Target { address, proxy_header: false, manner }
}
