//! Silence towards connections that this host does not know: what is dropped, and that nobody else notices.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod support;

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nines_load_balancer::{DataPlane, Reports};
use socket2::{Domain, Protocol, Socket, Type};
use support::{Client, PATIENCE, eventually, free_port, server, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";
const ACK: u8 = 0x10;
const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const RST: u8 = 0x04;

struct Hushed {
    plane: DataPlane,
    _reports: Reports,
    port: u16,
    members: [SocketAddr; 1],
}

/// A plane at all addresses of this host. `None` without the right to hush it.
fn start(workers: usize) -> Option<Hushed> {
    let (port, members) = (free_port(), [server("a")]);
    let system = support::parse(&file(port, &members));
    let host = system.host_named("lb").unwrap();
    let (plane, reports) = DataPlane::start(system, host, support::view(&members), workers).unwrap();
    plane.open();
    let hushed = Hushed { plane, _reports: reports, port, members };
    let address = hushed.at(Ipv4Addr::LOCALHOST);
    eventually("every worker has served", || {
        if let Ok(stream) = std::net::TcpStream::connect(address) {
            assert_eq!(status(&Client::new(stream).send(GET).reply().0), 200);
        }
        hushed.connects() == workers as u64
    });
    match hushed.plane.hush(true) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            println!("not tested: {error}");
            return None;
        }
        done => done.unwrap(),
    }
    hushed.plane.hush(false).unwrap();
    Some(hushed)
}

fn file(port: u16, members: &[SocketAddr]) -> String {
    support::file(port, members, "", "").replace(&format!("\"127.0.0.1:{port}\""), &format!("\":{port}\""))
}

impl Hushed {
    fn at(&self, ip: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(ip.into(), self.port)
    }

    /// Each worker keeps connections of its own to members: one that serves one request at a time needs just one.
    fn connects(&self) -> u64 {
        self.plane.statistics().pools[0].members[0].connects
    }
}

/// A raw socket that says and hears segments of one connection that nobody knows.
struct Forger {
    socket: Socket,
    own: SocketAddr,
    to: SocketAddr,
}

impl Forger {
    /// `None` without the right to it.
    fn new(own: SocketAddr, to: SocketAddr) -> Option<Self> {
        let socket = match Socket::new(Domain::for_address(to), Type::RAW, Some(Protocol::TCP)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                println!("not tested: no right to raw sockets");
                return None;
            }
            socket => socket.unwrap(),
        };
        socket.bind(&SocketAddr::new(own.ip(), 0).into()).unwrap();
        Some(Self { socket, own, to })
    }

    fn segment(&self, flags: u8) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.own.port().to_be_bytes());
        segment.extend(self.to.port().to_be_bytes());
        segment.extend([0, 0, 16, 1, 0, 0, 32, 1, 5 << 4, flags, 4, 0, 0, 0, 0, 0]);
        let checksum = checksum(self.own.ip(), self.to.ip(), &segment);
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        segment
    }

    fn say(&self, flags: u8) {
        self.socket.send_to(&self.segment(flags), &SocketAddr::new(self.to.ip(), 0).into()).unwrap();
    }

    /// The same under an IPv4 header with options.
    fn say_with_options(&self, flags: u8) {
        let (IpAddr::V4(own), IpAddr::V4(to)) = (self.own.ip(), self.to.ip()) else { panic!() };
        self.socket.set_header_included_v4(true).unwrap();
        // Length, number and checksum are the kernel's to fill in; the options are 8 times "no operation".
        let mut packet = vec![0x47, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
        packet.extend(own.octets().into_iter().chain(to.octets()).chain([1; 8]));
        packet.extend(self.segment(flags));
        self.socket.send_to(&packet, &SocketAddr::new(self.to.ip(), 0).into()).unwrap();
        self.socket.set_header_included_v4(false).unwrap();
    }

    /// The flags of what comes back, however often it takes to be heard: this socket gets all that is said on this machine, and on a busy
    /// one not every word finds room in it. When this returns there is nothing left to hear.
    fn answer_to(&mut self, flags: u8) -> u8 {
        let until = Instant::now() + PATIENCE;
        loop {
            self.say(flags);
            if let Some(heard) = self.hears(A_WHILE) {
                while self.hears(A_WHILE).is_some() {}
                return heard;
            }
            assert!(Instant::now() < until, "nothing comes back to {flags:#x}");
        }
    }

    /// The flags of the first segment that comes back within `wait`.
    fn hears(&mut self, wait: Duration) -> Option<u8> {
        let until = Instant::now() + wait;
        let mut packet = [0; 65536];
        loop {
            let left = until.checked_duration_since(Instant::now())?;
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            let n = match self.socket.read(&mut packet) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                n => n.unwrap(),
            };
            // With the IP header in IPv4, without it in IPv6.
            let header = if self.to.is_ipv4() { usize::from(packet[0] & 15) * 4 } else { 0 };
            let segment = &packet[header..n];
            let ports = [self.to.port().to_be_bytes(), self.own.port().to_be_bytes()].concat();
            if segment.len() >= 20 && segment[..4] == ports {
                return Some(segment[13]);
            }
        }
    }
}

/// Of a TCP segment under its pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1).
fn checksum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    let mut bytes = Vec::new();
    for ip in [from, to] {
        match ip {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
    }
    bytes.extend([0, 6, 0, segment.len() as u8]);
    bytes.extend(segment);
    let sum: u32 = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Long enough for a reset to come back on this host, and more.
const A_WHILE: Duration = Duration::from_millis(100);

#[test]
fn a_segment_of_an_unknown_connection_is_dropped_while_it_is_on_and_reset_while_it_is_not() {
    let Some(hushed) = start(2) else { return };
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let (own, to) = (SocketAddr::new(ip, free_port()), hushed.at(ip));
        let Some(mut forger) = Forger::new(own, to) else { return };
        let is_reset = |flags: u8| flags & RST != 0;
        for _ in 0..3 {
            assert!(is_reset(forger.answer_to(ACK)), "{ip}: off");
            hushed.plane.hush(true).unwrap();
            for flags in [ACK, ACK | FIN, FIN, SYN | ACK] {
                forger.say(flags);
                assert_eq!(forger.hears(A_WHILE), None, "{ip}: on, to {flags:#x}");
            }
            if ip.is_ipv4() {
                forger.say_with_options(ACK);
                assert_eq!(forger.hears(A_WHILE), None);
            }
            // A handshake begins all the same. (The kernel, which knows nothing of it, resets it on the forger's behalf.)
            assert_eq!(forger.answer_to(SYN), SYN | ACK, "{ip}");
            hushed.plane.hush(false).unwrap();
        }
    }
}

#[test]
fn whoever_is_connected_goes_on_and_whoever_connects_is_served_by_every_worker() {
    const WORKERS: usize = 3;
    let Some(hushed) = start(WORKERS) else { return };
    let mut clients: Vec<_> = (0..30).map(|_| Client::connect(hushed.at(Ipv4Addr::LOCALHOST))).collect();
    for on in [true, true, false, false, true] {
        hushed.plane.hush(on).unwrap();
        for client in &mut clients {
            assert_eq!(client.send(GET).reply().1, b"a", "{on}");
        }
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            // To a member that has moved each worker connects anew.
            hushed.plane.publish(support::view(&[server("moved")]));
            let before = hushed.connects();
            eventually("every worker has served", || {
                let (head, _) = Client::connect(hushed.at(ip)).send(GET).reply();
                assert_eq!(status(&head), 200, "{on} {ip}");
                hushed.connects() == before + WORKERS as u64
            });
        }
        hushed.plane.publish(support::view(&hushed.members));
        eventually("moved back", || clients.iter_mut().all(|client| client.send(GET).reply().1 == b"a"));
    }
}

#[test]
fn turning_it_on_and_off_under_load_costs_no_connection() {
    const WORKERS: usize = 2;
    let Some(hushed) = start(WORKERS) else { return };
    let address = hushed.at(Ipv4Addr::LOCALHOST);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, served) = (stop.clone(), served.clone());
            std::thread::spawn(move || {
                let mut longest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let mut client = Client::connect(address);
                    longest = longest.max(begun.elapsed());
                    assert_eq!(client.send(GET).reply().1, b"a");
                    served.fetch_add(1, Ordering::Relaxed);
                }
                longest
            })
        })
        .collect();
    for n in 0..200 {
        hushed.plane.hush(n % 2 == 0).unwrap();
        let before = served.load(Ordering::Relaxed);
        eventually("clients are served", || served.load(Ordering::Relaxed) > before + 4);
    }
    stop.store(true, Ordering::Relaxed);
    let longest = clients.into_iter().map(|client| client.join().unwrap()).max().unwrap();
    // Whose first segment is dropped says it again after a second.
    assert!(longest < Duration::from_secs(1), "a client took {longest:?} to connect");
    let refused = hushed.plane.statistics().listeners[0].refused.iter().map(|(_, n)| n).sum::<u64>();
    assert_eq!(refused, 0);
}

#[test]
fn listeners_come_and_go_while_it_is_on() {
    let Some(hushed) = start(2) else { return };
    hushed.plane.hush(true).unwrap();
    let first = hushed.at(Ipv4Addr::LOCALHOST);
    let second = SocketAddr::new(first.ip(), free_port());
    let mut kept = Client::connect(first);
    for port in [second.port(), first.port(), second.port(), first.port()] {
        let system = support::parse(&file(port, &hushed.members));
        let host = system.host_named("lb").unwrap();
        hushed.plane.reload(system, host, support::view(&hushed.members)).unwrap();
        let (opens, closes) = if port == first.port() { (first, second) } else { (second, first) };
        eventually("the new one serves", || std::net::TcpStream::connect(opens).is_ok());
        for _ in 0..20 {
            assert_eq!(Client::connect(opens).send(GET).reply().1, b"a");
        }
        // No handshake that has begun before is left on the way: then its socket would be missed.
        let refused = || {
            std::net::TcpStream::connect_timeout(&closes, Duration::from_millis(100))
                .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        eventually("the old one is closed", refused);
        assert_eq!(kept.send(GET).reply().1, b"a");
        if let Some(mut forger) = Forger::new(SocketAddr::new(opens.ip(), free_port()), opens) {
            eventually("it is silent as well", || {
                forger.say(ACK);
                forger.hears(A_WHILE).is_none()
            });
        }
    }
}
