//! A data plane on loopback, members that do what they are told, and clients that speak raw bytes.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nines_control::statistics::Statistics;
use nines_control::traffic::Traffic;
use nines_control::view::{MemberKey, MemberView, PoolView, Serving, View};
use nines_load_balancer::{DataPlane, Reports};
use nines_system::System;

/// No wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Plane {
    pub(crate) address: SocketAddr,
    pub(crate) plane: DataPlane,
    pub(crate) reports: Reports,
    pub(crate) system: Arc<System>,
    pub(crate) members: Vec<SocketAddr>,
}

pub(crate) fn free_port() -> u16 {
    nines_trial::port::free().unwrap()
}

/// A system file with one listener and one pool `web` of `members`; `listener` and `pool` are further TOML lines.
pub(crate) fn file(port: u16, members: &[SocketAddr], listener: &str, pool: &str) -> String {
    let hosts: String = (0..members.len()).map(|n| format!("m{n} = \"127.0.1.{}\"\n", n + 1)).collect();
    let names: Vec<String> =
        members.iter().enumerate().map(|(n, member)| format!("\"m{n}:{}\"", member.port())).collect();
    format!(
        "name = \"test\"\n[hosts]\nlb = \"127.0.0.1\"\n{hosts}\n[load_balancers.front]\nhosts = [\"lb\"]\n\
         [[load_balancers.front.listeners]]\nbind = \"127.0.0.1:{port}\"\npool = \"web\"\n{listener}\n\
         [pools.web]\nmembers = [{}]\n{pool}\n",
        names.join(", ")
    )
}

pub(crate) fn parse(text: &str) -> Arc<System> {
    Arc::new(nines_system::parse("test.toml", text).unwrap_or_else(|m| panic!("{}\n{text}", m.render(false))))
}

/// Every member in health, at the address that the test gave it.
pub(crate) fn view(members: &[SocketAddr]) -> Arc<View> {
    let member = |(n, &address): (usize, &SocketAddr)| MemberView {
        key: MemberKey(n as u32),
        address: Some(address),
        eligible: true,
        share: 100,
        backup: false,
        close_at: None,
    };
    let members = members.iter().enumerate().map(member).collect();
    Arc::new(View { pools: vec![PoolView { members, serving: Serving::Healthy }] })
}

impl Plane {
    pub(crate) fn start(members: &[SocketAddr], listener: &str, pool: &str) -> Self {
        let port = free_port();
        let system = parse(&file(port, members, listener, pool));
        let host = system.host_named("lb").unwrap();
        let (plane, reports) = DataPlane::start(system.clone(), host, view(members), 1).unwrap();
        plane.open();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        eventually("the listener opens", || TcpStream::connect(address).is_ok());
        Self { address, plane, reports, system, members: members.to_vec() }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.plane.statistics()
    }

    /// The reports, once there are so many, and those that come right after.
    pub(crate) fn reported(&mut self, least: usize) -> Vec<(MemberKey, Traffic)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut all = Vec::new();
        runtime.block_on(async {
            loop {
                let wait = if all.len() < least { PATIENCE } else { Duration::from_millis(50) };
                let Ok(Some(report)) = tokio::time::timeout(wait, self.reports.recv()).await else { break };
                all.push(report);
            }
        });
        all
    }
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One connection that a member has accepted, for the test to play.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pending: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, pending: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    fn read_more(&mut self) -> usize {
        let mut buffer = [0; 65536];
        let n = self.stream.read(&mut buffer).unwrap();
        self.pending.extend_from_slice(&buffer[..n]);
        n
    }

    /// A head, up to and with its empty line; empty if the other side has closed.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.pending.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            if self.read_more() == 0 {
                assert_eq!(String::from_utf8_lossy(&self.pending), "", "closed in the middle of a head");
                return String::new();
            }
        }
    }

    pub(crate) fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.pending.len() < n {
            assert_ne!(self.read_more(), 0, "closed after {} of {n} bytes", self.pending.len());
        }
        self.pending.drain(..n).collect()
    }

    /// A reply with Content-Length (or without a body): head and body.
    pub(crate) fn reply(&mut self) -> (String, Vec<u8>) {
        let head = self.head();
        let length = header(&head, "content-length").map_or(0, |value| value.parse().unwrap());
        (head, self.exactly(length))
    }

    /// Everything until the other side closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.read_more() > 0 {}
        std::mem::take(&mut self.pending)
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A member that the test plays by hand: connections come in as they are accepted.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    accepted: Receiver<TcpStream>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (give, accepted) = channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if give.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, accepted }
    }

    pub(crate) fn accept(&self) -> Client {
        Client::new(self.accepted.recv_timeout(PATIENCE).expect("a connection"))
    }

    pub(crate) fn accept_within(&self, wait: Duration) -> Option<Client> {
        self.accepted.recv_timeout(wait).ok().map(Client::new)
    }

    pub(crate) fn nobody_came(&self) -> bool {
        self.accepted.try_recv().is_err()
    }
}

/// A member that answers every request, with Content-Length and its name, and keeps connections alive.
pub(crate) fn server(name: &'static str) -> SocketAddr {
    server_that(move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).into_bytes()
    })
}

/// A member that answers each request's head as told; an empty answer closes the connection.
pub(crate) fn server_that(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, &*answer));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Vec<u8>) {
    let mut pending = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        while let Some(end) = pending.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&pending[..end + 4]).into_owned();
            let length: usize = header(&head, "content-length").map_or(0, |value| value.parse().unwrap_or(0));
            while pending.len() < end + 4 + length {
                match stream.read(&mut buffer) {
                    Ok(n) if n > 0 => pending.extend_from_slice(&buffer[..n]),
                    _ => return,
                }
            }
            pending.drain(..end + 4 + length);
            let answer = answer(&head);
            if answer.is_empty() || stream.write_all(&answer).is_err() {
                return;
            }
        }
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => pending.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
}
