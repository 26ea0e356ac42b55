//! Hosts that are not gone but weak: slow ones, and such whose link loses packets.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use nines_lab::{Inside, LabError, Pulse};

use crate::inside::{Built, TWO_ZONES, build};
use crate::tools::{SOON, at, echo, echo_from, until};

const PULSE: Pulse = Pulse { stands: Duration::from_millis(150), runs: Duration::from_millis(50) };
/// Packets that are counted. The share of those that arrive strays by 2.5 % or less in all but one of a million tries.
const PACKETS: usize = 10_000;

/// How many of [`PACKETS`] arrive. They are sent in bursts that no buffer is too small for.
fn arrive(built: &Built, from: &str, to: &str) -> usize {
    let place = built.place(to);
    let ip = match to {
        "clients" => clients(built),
        host => built.lab.address(built.host(host)),
    };
    let receiver = at(&place, move || UdpSocket::bind((ip, 0)).unwrap());
    receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let there = receiver.local_addr().unwrap();
    let sender = at(&built.place(from), move || {
        let sender = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0)).unwrap();
        sender.connect(there).unwrap();
        sender
    });
    // Who is where is asked by packets that may be lost, too.
    until("the first packet arrives", || {
        let _ = sender.send(b"?");
        receiver.recv(&mut [0; 8]).ok()
    });
    let mut arrived = 0;
    for _ in 0..PACKETS / 100 {
        for _ in 0..100 {
            // What was refused is lost as well.
            let _ = sender.send(b"!");
        }
        receiver.set_nonblocking(true).unwrap();
        arrived += read(&receiver);
    }
    receiver.set_nonblocking(false).unwrap();
    arrived + read(&receiver)
}

/// Of those that are counted.
fn read(receiver: &UdpSocket) -> usize {
    let mut arrived = 0;
    let mut packet = [0; 8];
    while receiver.recv(&mut packet).is_ok() {
        arrived += usize::from(packet[0] == b'!');
    }
    arrived
}

/// The clients' own address, as a host sees it that they speak to.
fn clients(built: &Built) -> IpAddr {
    let there = SocketAddr::new(built.lab.address(built.host("app1")), 9);
    at(&built.place("clients"), move || {
        let socket = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0)).unwrap();
        socket.connect(there).unwrap();
        socket.local_addr().unwrap().ip()
    })
}

fn lose(built: &mut Built, host: &str, one_in: u32) {
    let host = built.host(host);
    match built.lab.lose(host, one_in) {
        Ok(()) => {}
        Err(LabError::NoLoss { why, .. }) => {
            nines_trial::skip(why);
        }
        Err(error) => panic!("{error}"),
    }
}

fn about(share: f64) -> impl Fn(usize) -> bool {
    move |arrived| (arrived as f64 / PACKETS as f64 - share).abs() < 0.025
}

/// One packet in five, over the router and within a zone, to the host and from it.
pub(crate) fn lossy(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    assert_eq!(arrive(&built, "clients", "app1"), PACKETS);
    lose(&mut built, "app1", 5);
    for (from, to) in [("clients", "app1"), ("app1", "clients"), ("lb1", "app1"), ("app1", "app2")] {
        let arrived = arrive(&built, from, to);
        assert!(about(0.8)(arrived), "{from} to {to}: {arrived}");
    }
    assert_eq!(arrive(&built, "lb1", "app2"), PACKETS, "others lose nothing");
    // Anew is not twice.
    lose(&mut built, "app1", 2);
    let arrived = arrive(&built, "clients", "app1");
    assert!(about(0.5)(arrived), "{arrived}");
    let address = built.serve("app1");
    until("a connection gets through", || echo_from(&built.place("lb1"), address).ok());
    built.heal("app1");
    built.heal("app1");
    for (from, to) in [("clients", "app1"), ("app1", "clients"), ("lb1", "app1")] {
        assert_eq!(arrive(&built, from, to), PACKETS, "{from} to {to}");
    }
}

pub(crate) fn two_lossy(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    lose(&mut built, "app1", 5);
    lose(&mut built, "app2", 2);
    let arrived = arrive(&built, "app1", "app2");
    assert!(about(0.4)(arrived), "what passes both links: {arrived}");
    built.heal("app1");
    let arrived = arrive(&built, "app1", "app2");
    assert!(about(0.5)(arrived), "the other one's stays: {arrived}");
}

/// How long each echo took, on one connection, for a while.
fn echoes(built: &Built, address: SocketAddr, lasts: Duration) -> Vec<Duration> {
    at(&built.place("clients"), move || {
        let mut stream = TcpStream::connect_timeout(&address, SOON).unwrap();
        let begin = Instant::now();
        let mut took = Vec::new();
        while begin.elapsed() < lasts {
            let one = Instant::now();
            echo(&mut stream, SOON).unwrap();
            took.push(one.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
        took
    })
}

fn stopped(built: &Built, host: &str) -> usize {
    let all = built.lab.running(built.host(host)).unwrap();
    let is_stopped = |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    all.iter().filter(|it| is_stopped(it.pid)).count()
}

/// How many of the waits for a host in turns were as long as it stands still, or nearly.
fn late(took: &[Duration]) -> usize {
    took.iter().filter(|&&took| took > PULSE.stands * 2 / 3).count()
}

pub(crate) fn slow(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    let (slow, other) = (built.serve("app1"), built.serve("app2"));
    let app1 = built.host("app1");
    built.lab.slow_down(app1, PULSE).unwrap();
    let took = echoes(&built, slow, Duration::from_secs(2));
    assert!(late(&took) >= 5 && took.len() > 20, "{took:?}");
    assert!(took.iter().all(|&took| took < PULSE.stands * 5), "it goes on every time: {took:?}");
    let others = echoes(&built, other, Duration::from_millis(500));
    assert_eq!(late(&others), 0, "{others:?}");
    built.lab.speed_up(app1).unwrap();
    built.lab.speed_up(app1).unwrap();
    assert_eq!(stopped(&built, "app1"), 0);
    let took = echoes(&built, slow, Duration::from_millis(500));
    assert_eq!(late(&took), 0, "{took:?}");
}

pub(crate) fn slow_and_killed(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    built.serve("app1");
    let app1 = built.host("app1");
    built.lab.slow_down(app1, PULSE).unwrap();
    built.lab.kill(app1).unwrap();
    assert!(built.lab.running(app1).unwrap().is_empty());
    let address = built.serve("app1");
    let took = echoes(&built, address, Duration::from_secs(1));
    assert!(late(&took) >= 2, "what was started meanwhile is slow as well: {took:?}");
    built.lab.speed_up(app1).unwrap();
    assert_eq!(stopped(&built, "app1"), 0);
}

/// By a process with one thread: the lab's own would not do, which this one is a child of.
pub(crate) fn known_before() {
    if let Some(why) = nines_lab::lossless() {
        assert!(why.starts_with("this kernel"), "{why}");
        nines_trial::skip(why);
    }
    // As nobody saw anything of it, the answer is the same again.
    assert_eq!(nines_lab::lossless(), None);
}
