//! What happens in a lab.

use std::cell::Cell;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nines_lab::{Direction, Entered, Furniture, Inside, Lab, LabError, Place, SpawnOptions};
use nines_system::{HostId, System};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::tools::{SILENCE, SOON, at, echo, echo_from, echo_in_time, helper, processes_with, system, until};

pub(crate) const TWO_ZONES: &str = r#"
    name = "test"
    zones = ["a", "b"]
    [hosts]
    lb1 = { zone = "a", address = "10.0.1.10" }
    app1 = { zone = "a", address = "10.0.1.21" }
    app2 = { zone = "b", address = "192.168.7.21" }
    [load_balancers.front]
    hosts = ["lb1"]
    listeners = [{ bind = ":80", pool = "web" }]
    [pools.web]
    members = ["app1:8080", "app2:8080"]
"#;

pub(crate) fn enter(work: impl FnOnce(&Inside) -> ExitCode) -> ExitCode {
    go(nines_lab::enter(), work)
}

pub(crate) fn enter_with_disks(work: impl FnOnce(&Inside) -> ExitCode) -> ExitCode {
    enter_within(&std::env::temp_dir(), work)
}

pub(crate) fn enter_within(within: &Path, work: impl FnOnce(&Inside) -> ExitCode) -> ExitCode {
    go(nines_lab::enter_with_disks(within), work)
}

fn go(entered: Result<Entered, LabError>, work: impl FnOnce(&Inside) -> ExitCode) -> ExitCode {
    match entered {
        Ok(Entered::Inside(inside)) => work(&inside),
        Ok(Entered::Outside(code)) => code,
        Err(error) if error.is_the_kernels() => nines_trial::skip(error),
        Err(error) => panic!("{error}"),
    }
}

/// What is done in a lab that is looked at from outside.
pub(crate) fn perform(inside: &Inside, what: &str) -> ExitCode {
    match what.split_once('=').unwrap_or((what, "")) {
        ("nothing", "") => {}
        ("exit", code) => return ExitCode::from(code.parse::<u8>().unwrap()),
        ("count_interrupts", "") => count_interrupts(),
        ("linger", mark) => linger(inside, mark),
        ("deaf", mark) => deaf(inside, mark),
        _ => panic!("no such thing to do: {what}"),
    }
    ExitCode::SUCCESS
}

pub(crate) struct Built {
    pub(crate) runtime: Runtime,
    pub(crate) lab: Lab,
    system: System,
}

pub(crate) fn build(inside: &Inside, text: &str) -> Built {
    build_with(inside, text, &Furniture::default())
}

pub(crate) fn build_with(inside: &Inside, text: &str, furniture: &Furniture) -> Built {
    let system = system(text);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lab = runtime.block_on(Lab::build_with(inside, &system, furniture)).unwrap();
    Built { runtime, lab, system }
}

impl Built {
    pub(crate) fn host(&self, name: &str) -> HostId {
        self.system.host_named(name).unwrap()
    }

    pub(crate) fn place(&self, name: &str) -> Place {
        if name == "clients" { self.lab.client_place() } else { self.lab.place(self.host(name)) }
    }

    pub(crate) fn start(&mut self, host: &str, command: &[std::ffi::OsString]) -> nines_lab::ProcessId {
        let _guard = self.runtime.enter();
        self.lab.spawn(self.system.host_named(host).unwrap(), command, SpawnOptions::default()).unwrap()
    }

    /// Starts an echo server on a host and waits until it answers the clients.
    pub(crate) fn serve(&mut self, host: &str) -> SocketAddr {
        self.start(host, &helper(&["echo", "7000"]));
        let address = SocketAddr::new(self.lab.address(self.host(host)), 7000);
        let clients = self.lab.client_place();
        until("the echo server answers", || echo_from(&clients, address).ok());
        address
    }

    pub(crate) fn cut_off(&mut self, host: &str, direction: Direction) {
        let host = self.host(host);
        self.runtime.block_on(self.lab.cut_off(host, direction)).unwrap();
    }

    pub(crate) fn heal(&mut self, host: &str) {
        let host = self.host(host);
        self.runtime.block_on(self.lab.heal(host)).unwrap();
    }
}

pub(crate) fn reach(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    let all = ["lb1", "app1", "app2"];
    let addresses = all.map(|host| built.serve(host));
    for from in ["lb1", "app1", "app2", "clients"] {
        for address in addresses {
            until(&format!("{from} reaches {address}"), || echo_from(&built.place(from), address).ok());
        }
    }
    let seen = at(&built.place("clients"), move || {
        TcpStream::connect(addresses[0]).unwrap().local_addr().unwrap().ip()
    });
    assert!(
        !addresses.iter().any(|address| address.ip() == seen),
        "the clients' address is one of a host: {seen}"
    );
}

pub(crate) fn both_families(inside: &Inside) {
    let text = TWO_ZONES.replace("10.0.1.10", "2001:db8:1::10").replace("10.0.1.21", "fd00::21");
    let mut built = build(inside, &text);
    let addresses = ["lb1", "app1", "app2"].map(|host| built.serve(host));
    assert!(addresses[0].is_ipv6() && addresses[1].is_ipv6() && addresses[2].is_ipv4());
    for from in ["lb1", "app1", "app2"] {
        for address in addresses {
            until(&format!("{from} reaches {address}"), || echo_from(&built.place(from), address).ok());
        }
    }
    let wires = Datagrams::between(&built, "app1", "lb1");
    until("app1 is reached", || wires.arrive().then_some(()));
    one_way_and_back(&mut built, "app1", &wires);
    built.cut_off("app1", Direction::Both);
    assert!(!wires.arrive_there() && !wires.arrive_here(), "app1 and lb1 still hear each other");
    built.heal("app1");
    until("app1 is healed", || wires.arrive().then_some(()));
}

pub(crate) fn names(inside: &Inside) {
    let text = TWO_ZONES.replace("192.168.7.21", "app2.shop.example");
    let mut built = build(inside, &text);
    let process = built.start("lb1", &helper(&["resolve", "app2.shop.example"]));
    let status = built.runtime.block_on(built.lab.exited(process)).unwrap();
    let output = fs::read_to_string(built.lab.output(built.host("lb1"))).unwrap();
    assert!(status.success(), "{output}");
    let app2 = built.lab.address(built.host("app2"));
    assert!(
        output.lines().all(|line| line == app2.to_string() || line == "host lb1"),
        "{app2} is not in {output}"
    );
    assert_eq!(built.serve("app2").ip(), app2);
}

pub(crate) fn listener_address(inside: &Inside) {
    let mut built = build(inside, &TWO_ZONES.replace("\":80\"", "\"203.0.113.5:80\""));
    built.serve("lb1");
    let address: SocketAddr = "203.0.113.5:7000".parse().unwrap();
    for from in ["clients", "app1", "app2"] {
        until(&format!("{from} reaches {address}"), || echo_from(&built.place(from), address).ok());
    }
}

pub(crate) fn loopback_host(inside: &Inside) {
    let system = system(&TWO_ZONES.replace("10.0.1.21", "127.0.0.1"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(Lab::build(inside, &system)).err().unwrap();
    assert!(matches!(&refused, LabError::Address { host, .. } if host == "app1"), "{refused}");
}

/// A datagram's way there and back, on sockets that stay open.
pub(crate) struct Datagrams {
    here: UdpSocket,
    there: UdpSocket,
    sent: Cell<u32>,
}

impl Datagrams {
    pub(crate) fn between(built: &Built, here: &str, there: &str) -> Self {
        let address = |name| built.lab.address(built.host(name));
        let open = |name| {
            let socket = at(&built.place(name), {
                let own = address(name);
                move || UdpSocket::bind((own, 0)).unwrap()
            });
            socket.set_read_timeout(Some(SILENCE)).unwrap();
            socket
        };
        let wires = Self { here: open(here), there: open(there), sent: Cell::new(0) };
        wires.here.connect(wires.there.local_addr().unwrap()).unwrap();
        wires.there.connect(wires.here.local_addr().unwrap()).unwrap();
        wires
    }

    pub(crate) fn arrive_there(&self) -> bool {
        self.arrives(&self.here, &self.there)
    }

    pub(crate) fn arrive_here(&self) -> bool {
        self.arrives(&self.there, &self.here)
    }

    pub(crate) fn arrive(&self) -> bool {
        self.arrive_there() && self.arrive_here()
    }

    /// Numbered, as an earlier one may come late. An error that an earlier one caused (host unreachable) is the same as
    /// silence here.
    fn arrives(&self, from: &UdpSocket, to: &UdpSocket) -> bool {
        let number = self.sent.get() + 1;
        self.sent.set(number);
        let _ = from.send(&number.to_be_bytes());
        let mut buffer = [0; 4];
        while to.recv(&mut buffer).is_ok() {
            if u32::from_be_bytes(buffer) == number {
                return true;
            }
        }
        false
    }
}

pub(crate) fn cut_off_both(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    for other in ["lb1", "app2"] {
        let wires = Datagrams::between(&built, "app1", other);
        until("app1 is reached", || wires.arrive().then_some(()));
        built.cut_off("app1", Direction::Both);
        assert!(!wires.arrive_there() && !wires.arrive_here(), "app1 and {other} still hear each other");
        built.heal("app1");
        until("app1 is healed", || wires.arrive().then_some(()));
    }
    let apart = Datagrams::between(&built, "lb1", "app2");
    built.cut_off("app1", Direction::Both);
    until("the others are not cut off", || apart.arrive().then_some(()));
}

pub(crate) fn cut_off_one_way(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    // lb1 is in app1's zone, app2 in another: over a bridge alone, and through the router.
    for other in ["lb1", "app2"] {
        let wires = Datagrams::between(&built, "app1", other);
        until("app1 is reached", || wires.arrive().then_some(()));
        one_way_and_back(&mut built, "app1", &wires);
    }
}

/// Cuts the host at the near end of `wires` off, in one direction and then in the other.
fn one_way_and_back(built: &mut Built, host: &str, wires: &Datagrams) {
    built.cut_off(host, Direction::Out);
    assert!(!wires.arrive_there(), "{host} is still heard");
    until("the host still hears", || wires.arrive_here().then_some(()));
    built.heal(host);
    until("the host is heard again", || wires.arrive().then_some(()));

    built.cut_off(host, Direction::In);
    until("the host is still heard", || wires.arrive_there().then_some(()));
    assert!(!wires.arrive_here(), "{host} still hears");
    built.heal(host);
    until("the host hears again", || wires.arrive().then_some(()));
}

pub(crate) fn connection_survives(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    let address = built.serve("app1");
    let mut stream = at(&built.place("lb1"), move || TcpStream::connect(address).unwrap());
    echo(&mut stream, SOON).unwrap();
    built.cut_off("app1", Direction::Both);
    let silence = echo(&mut stream, SILENCE).unwrap_err();
    assert!(matches!(silence.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{silence}");
    built.heal("app1");
    // The byte that was sent into the void comes back by retransmission.
    stream.set_read_timeout(Some(SOON)).unwrap();
    io::Read::read_exact(&mut stream, &mut [0]).unwrap();
}

pub(crate) fn freeze(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    let address = built.serve("app1");
    let app1 = built.host("app1");
    built.lab.freeze(app1).unwrap();
    let mut stream = at(&built.place("lb1"), move || TcpStream::connect_timeout(&address, SOON).unwrap());
    let silence = echo(&mut stream, SILENCE).unwrap_err();
    assert!(matches!(silence.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{silence}");
    built.lab.thaw(app1).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    io::Read::read_exact(&mut stream, &mut [0]).unwrap();
}

pub(crate) fn kill(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    let address = built.serve("app1");
    let bystander = built.serve("app2");
    // A daemon: its parent is gone and it has a session of its own.
    let daemon = "(setsid sleep 4711 &) ; sleep 4712 & exec sleep 4713";
    let parent = built.start("app1", &["sh", "-c", daemon].map(Into::into));
    for mark in ["4711", "4712", "4713"] {
        until("all have started", || (processes_with(mark) == 1).then_some(()));
    }
    let app1 = built.host("app1");
    built.lab.freeze(app1).unwrap();
    built.lab.kill(app1).unwrap();
    for mark in ["4711", "4712", "4713"] {
        assert_eq!(processes_with(mark), 0, "sleep {mark} outlived its host");
    }
    assert!(!built.lab.alive(parent).unwrap());
    let lb1 = built.place("lb1");
    assert_eq!(echo_in_time(&lb1, address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    echo_in_time(&lb1, bystander).unwrap();
    assert_eq!(built.serve("app1"), address);
}

pub(crate) fn terminate(inside: &Inside) {
    let mut built = build(inside, TWO_ZONES);
    let process = built.start("app1", &["sleep", "4714"].map(Into::into));
    assert!(built.lab.alive(process).unwrap());
    built.lab.terminate(process).unwrap();
    let status = built.runtime.block_on(built.lab.exited(process)).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    built.lab.terminate(process).unwrap();

    let _guard = built.runtime.enter();
    let app1 = built.system.host_named("app1").unwrap();
    let missing = built.lab.spawn(app1, &["no-such-program".into()], SpawnOptions::default()).unwrap_err();
    assert!(
        missing.to_string().contains("app1") && missing.to_string().contains("no-such-program"),
        "{missing}"
    );
}

/// A lab with processes on its hosts, until somebody ends it. `mark` is in every command line.
fn linger(inside: &Inside, mark: &str) {
    let mut built = build(inside, TWO_ZONES);
    let address = built.serve("app1");
    built.start(
        "app2",
        &["sh", "-c", &format!("(setsid sleep {mark} &) ; exec sleep {mark}")].map(Into::into),
    );
    until("the sleepers sleep", || (processes_with(mark) == 2).then_some(()));
    fs::write(format!("/run/{mark}"), "").unwrap();
    println!("ready");
    io::stdout().flush().unwrap();
    loop {
        echo_in_time(&built.place("lb1"), address).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
}

/// The same, but it does not listen to SIGTERM.
fn deaf(inside: &Inside, mark: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let guard = runtime.enter();
    let _ignored = signal(SignalKind::terminate()).unwrap();
    drop(guard);
    linger(inside, mark);
}

/// Tells how often it is interrupted, from the first time until it has been quiet for a while.
fn count_interrupts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut interrupts = signal(SignalKind::interrupt()).unwrap();
        println!("ready");
        interrupts.recv().await;
        let mut times = 1;
        while tokio::time::timeout(SILENCE, interrupts.recv()).await.is_ok() {
            times += 1;
        }
        println!("interrupted {times} times");
    });
}
