//! VRRP between hosts on one link.

use std::io;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use nines_control::vrrp::Advertisement;
use nines_system::{VrrpAuthentication, VrrpChecksum, VrrpVersion};
use nines_virtual_ip::packet::{Codec, Packet, Path, Refused, Wire};
use nines_virtual_ip::socket::{BUFFER, Family, VrrpSocket};

use crate::world::{Host, World};

fn codec(version: VrrpVersion, peers: Option<Vec<IpAddr>>) -> Codec {
    Codec::new(Wire {
        version,
        router_id: 51,
        interval: if version == VrrpVersion::V2 {
            Duration::from_secs(1)
        } else {
            Duration::from_millis(500)
        },
        peers,
        checksum: VrrpChecksum::PseudoHeader,
        authentication: VrrpAuthentication::None,
    })
}

fn said(family: Family) -> Advertisement {
    let address = if family == Family::V4 { "10.0.0.100" } else { "fd00::100" };
    Advertisement {
        version: VrrpVersion::V3,
        router_id: 51,
        priority: 123,
        interval: Duration::from_millis(100),
        addresses: vec![address.parse().unwrap()],
    }
}

fn open(host: &Host, family: Family) -> VrrpSocket {
    let eth0 = host.eth0();
    host.run(|| VrrpSocket::open(&eth0, family).unwrap())
}

fn source(host: &Host, family: Family) -> IpAddr {
    if family == Family::V4 { host.v4().into() } else { host.link_local().into() }
}

/// The next packet, waited for as the loop will wait for it.
fn receive<'a>(host: &Host, socket: VrrpSocket, buffer: &'a mut [u8]) -> Result<Packet<'a>, Refused> {
    host.block_on(async || {
        let socket = socket.watched().unwrap();
        let wait = async {
            loop {
                let mut ready = socket.readable().await.unwrap();
                match socket.get_ref().receive(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    // Which of several packets it was matters to nobody here, but the borrow would last.
                    received => break received.map(|received| received.map(owned)).unwrap(),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("a packet comes")
    })
    .map(|(payload, source, destination, ttl)| Packet {
        payload: payload.leak(),
        source,
        destination,
        ttl,
    })
}

fn owned(packet: Packet<'_>) -> (Vec<u8>, IpAddr, IpAddr, u8) {
    (packet.payload.to_vec(), packet.source, packet.destination, packet.ttl)
}

fn exchange(world: &World, family: Family, unicast: bool) {
    let [from, to] = &world.hosts[..] else { unreachable!() };
    let (sender, receiver) = (open(from, family), open(to, family));
    let destination = if unicast { source(to, family) } else { family.group() };
    let path = Path { source: source(from, family), destination };
    let payload = codec(VrrpVersion::V3, None).encode(&said(family), path, SystemTime::now());
    sender.send(&payload, path.source, path.destination).unwrap();
    // What a host says it does not hear itself.
    let mut buffer = [0; BUFFER];
    assert_eq!(sender.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);

    let packet = receive(to, receiver, &mut buffer).unwrap();
    assert_eq!((packet.source, packet.destination, packet.ttl), (path.source, path.destination, 255));
    let peers = unicast.then(|| vec![path.source]);
    assert_eq!(codec(VrrpVersion::V3, peers).decode(&packet, SystemTime::now()), Ok(said(family)));
}

pub(crate) fn multicast() {
    let world = World::new(2);
    exchange(&world, Family::V4, false);
    exchange(&world, Family::V6, false);
}

pub(crate) fn unicast() {
    let world = World::new(2);
    exchange(&world, Family::V4, true);
    exchange(&world, Family::V6, true);
}

pub(crate) fn too_long() {
    let world = World::new(2);
    let [from, to] = &world.hosts[..] else { unreachable!() };
    for family in [Family::V4, Family::V6] {
        let (sender, receiver) = (open(from, family), open(to, family));
        sender.send(&[0x31; BUFFER + 1], source(from, family), family.group()).unwrap();
        let mut buffer = [0; BUFFER];
        assert_eq!(receive(to, receiver, &mut buffer).unwrap_err(), Refused::Length);
    }
}

struct Keepalived {
    child: Child,
    directory: std::path::PathBuf,
}

impl Keepalived {
    fn start(host: &Host, instance: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("nines-virtual-ip-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = |name: &str| directory.join(name).into_os_string();
        std::fs::write(file("conf"), instance).unwrap();
        let mut command = Command::new("keepalived");
        command.args(["--dont-fork", "--log-console", "--vrrp"]);
        for (option, name) in [("-f", "conf"), ("-p", "pid"), ("-r", "vrrp-pid"), ("-c", "checkers-pid")] {
            command.arg(option).arg(file(name));
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = host.run(|| command.spawn().unwrap());
        Self { child, directory }
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// How keepalived and we are to speak with each other.
#[derive(Clone, Copy)]
struct Case {
    version: VrrpVersion,
    addresses: &'static str,
    settings: &'static str,
    unicast: bool,
    password: bool,
}

const CASES: [Case; 6] = {
    let v2 = Case {
        version: VrrpVersion::V2,
        addresses: "10.0.0.100/32",
        settings: "advert_int 1",
        unicast: false,
        password: false,
    };
    let v3 = Case { version: VrrpVersion::V3, settings: "advert_int 0.5", ..v2 };
    let password = Case {
        settings: "advert_int 1\nauthentication {\nauth_type PASS\nauth_pass secret\n}",
        password: true,
        ..v2
    };
    let ipv6 = Case { addresses: "fe80::100/128\nfd00::100/128", ..v3 };
    let unicast = Case {
        settings: "advert_int 0.5\nunicast_src_ip 10.0.0.1\nunicast_peer {\n10.0.0.2\n}",
        unicast: true,
        ..v3
    };
    let unicast_ipv6 = Case {
        addresses: "fe80::100/128",
        settings: "advert_int 0.5\nunicast_src_ip fe80::ff:fe00:1\nunicast_peer {\nfe80::ff:fe00:2\n}",
        ..unicast
    };
    [v2, v3, password, ipv6, unicast, unicast_ipv6]
};

impl Case {
    fn family(&self) -> Family {
        if self.addresses.contains(':') { Family::V6 } else { Family::V4 }
    }

    fn start(&self, host: &Host, priority: u8) -> Keepalived {
        let version = if self.version == VrrpVersion::V2 { 2 } else { 3 };
        let Self { settings, addresses, .. } = self;
        let text = format!(
            "global_defs {{\nvrrp_version {version}\n}}\nvrrp_instance A {{\nstate BACKUP\ninterface eth0\n\
             virtual_router_id 51\npriority {priority}\n{settings}\nvirtual_ipaddress {{\n{addresses}\n}}\n}}\n"
        );
        Keepalived::start(host, &text)
    }

    fn codec(&self, theirs: &Host) -> Codec {
        let peers = self.unicast.then(|| vec![source(theirs, self.family())]);
        let mut wire = codec(self.version, peers).wire().clone();
        if self.password {
            wire.authentication = VrrpAuthentication::Password("secret".into());
        }
        Codec::new(wire)
    }

    fn said(&self, priority: u8) -> Advertisement {
        let addresses = self.addresses.lines().map(|line| line.split_once('/').unwrap().0.parse().unwrap());
        let interval = codec(self.version, None).wire().interval;
        Advertisement {
            version: self.version,
            router_id: 51,
            priority,
            interval,
            addresses: addresses.collect(),
        }
    }
}

/// In worlds side by side, as most of it is waiting.
fn each_case(test: impl Fn(&Case, &Host, &Host) + Sync) {
    if Command::new("keepalived").arg("--version").stderr(Stdio::null()).status().is_err() {
        nines_trial::skip("there is no keepalived here");
    }
    std::thread::scope(|scope| {
        for case in &CASES {
            scope.spawn(|| {
                let world = World::new(2);
                test(case, &world.hosts[0], &world.hosts[1]);
            });
        }
    });
}

pub(crate) fn keepalived_heard() {
    each_case(|case, theirs, ours| {
        let socket = open(ours, case.family());
        let _keepalived = case.start(theirs, 200);
        let mut buffer = [0; BUFFER];
        let packet = receive(ours, socket, &mut buffer).unwrap();
        assert_eq!(packet.source, source(theirs, case.family()));
        assert_eq!(case.codec(theirs).decode(&packet, SystemTime::now()), Ok(case.said(200)));
    });
}

/// As long as it hears a better one it says nothing; then it takes over.
pub(crate) fn keepalived_hears() {
    each_case(|case, theirs, ours| {
        let (socket, family) = (open(ours, case.family()), case.family());
        let destination = if case.unicast { source(theirs, family) } else { family.group() };
        let path = Path { source: source(ours, family), destination };
        let (mut codec, said) = (case.codec(theirs), case.said(150));
        let send = |codec: &mut Codec, said: &Advertisement| {
            let payload = codec.encode(said, path, SystemTime::now());
            socket.send(&payload, path.source, path.destination).unwrap();
        };
        let _keepalived = case.start(theirs, 100);
        let mut buffer = [0; BUFFER];
        // It begins to listen some time within its first second, and would take over four intervals later.
        let end = Instant::now() + 6 * said.interval + Duration::from_secs(2);
        while Instant::now() < end {
            send(&mut codec, &said);
            std::thread::sleep(said.interval / 4);
            let silence = socket.receive(&mut buffer).unwrap_err();
            assert_eq!(silence.kind(), io::ErrorKind::WouldBlock);
        }
        send(&mut codec, &Advertisement { priority: 0, ..said });
        let resigned = Instant::now();
        let packet = receive(ours, socket, &mut buffer).unwrap();
        assert!(resigned.elapsed() < 3 * case.said(0).interval, "it did not hear that we resigned");
        assert_eq!(codec.decode(&packet, SystemTime::now()), Ok(case.said(100)));
    });
}
