//! Hosts that share a virtual address: how it moves, and how they are broken.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use nines_lab::{Direction, Inside, Lab, LabError, Place};
use nines_system::HostId;

use crate::inside::{Built, Datagrams, build};
use crate::tools::{SILENCE, SOON, announce, at, echo, echo_from, echo_in_time, hold, system, until};

const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);

pub(crate) const PAIR: &str = r#"
    name = "test"
    zones = ["a", "b"]
    [hosts]
    lb1 = { zone = "a", address = "10.0.1.10" }
    lb2 = { zone = "b", address = "10.0.2.10" }
    app1 = { zone = "a", address = "10.0.1.21" }
    [load_balancers.front]
    hosts = ["lb1", "lb2"]
    listeners = [{ bind = "10.0.1.100:80", pool = "web" }]
    virtual_ips = ["10.0.1.100"]
    [pools.web]
    members = ["app1:8080"]
"#;

/// The hardware address that a place has learned for an address. A host's ends in its number.
fn neighbour(place: &Place, address: Ipv4Addr) -> Option<String> {
    let table = at(place, || fs::read_to_string("/proc/thread-self/net/arp").unwrap());
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(&address.to_string()))?;
    line.split_whitespace().nth(3).map(str::to_owned)
}

/// As the lab gives them.
pub(crate) fn hardware(host: HostId) -> [u8; 6] {
    [0x02, 0x99, 0, 0, 0, u8::try_from(host.index()).unwrap()]
}

/// The same of the router, in whose namespace the program is.
pub(crate) fn router_sends_to(address: Ipv4Addr) -> Option<String> {
    let table = fs::read_to_string("/proc/net/arp").unwrap();
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(&address.to_string()))?;
    line.split_whitespace().nth(3).map(str::to_owned)
}

impl Built {
    fn power_off(&mut self, host: &str) {
        let host = self.host(host);
        self.runtime.block_on(self.lab.power_off(host)).unwrap();
    }

    fn hold_and_announce(&self, host: &str) {
        hold(&self.place(host), VIRTUAL);
        self.announce(host);
    }

    fn announce(&self, host: &str) {
        announce(&self.place(host), hardware(self.host(host)), VIRTUAL);
    }
}

pub(crate) fn one_segment(inside: &Inside) {
    let mut built = build(inside, PAIR);
    let addresses = ["lb1", "lb2", "app1"].map(|host| built.serve(host));
    for from in ["lb1", "lb2", "app1", "clients"] {
        for address in addresses {
            until(&format!("{from} reaches {address}"), || echo_from(&built.place(from), address).ok());
        }
    }
    let lb1 = built.place("lb1");
    assert_eq!(neighbour(&lb1, Ipv4Addr::new(10, 0, 2, 10)).unwrap(), "02:99:00:00:00:01", "its peer");
    assert_eq!(neighbour(&lb1, Ipv4Addr::new(10, 0, 1, 21)), None, "the router is between lb1 and its zone");
    let nobody = echo_from(&built.place("clients"), SocketAddr::new(VIRTUAL.into(), 7000)).unwrap_err();
    assert!(matches!(nobody.kind(), ErrorKind::TimedOut | ErrorKind::HostUnreachable), "{nobody}");
}

pub(crate) fn moving_address(inside: &Inside) {
    let mut built = build(inside, PAIR);
    built.serve("lb1");
    built.serve("lb2");
    let address = SocketAddr::new(VIRTUAL.into(), 7000);
    let clients = built.place("clients");
    built.hold_and_announce("lb1");
    until("lb1 answers on the virtual address", || echo_from(&clients, address).ok());
    assert_eq!(router_sends_to(VIRTUAL).unwrap(), "02:99:00:00:00:00");

    // lb1 has it still, but nobody comes there any more: so its death is not seen.
    built.hold_and_announce("lb2");
    until("the router has heard of it", || (router_sends_to(VIRTUAL)? == "02:99:00:00:00:01").then_some(()));
    let lb1 = built.host("lb1");
    built.lab.kill(lb1).unwrap();
    echo_in_time(&clients, address).unwrap();

    // And back, to a kernel without programs.
    built.announce("lb1");
    until("lb1's kernel refuses", || {
        (echo_from(&clients, address).err()?.kind() == ErrorKind::ConnectionRefused).then_some(())
    });
}

pub(crate) fn split(inside: &Inside) {
    let mut built = build(inside, PAIR);
    let addresses = ["lb1", "lb2"].map(|host| built.serve(host));
    let wires = Datagrams::between(&built, "lb1", "lb2");
    until("lb1 and lb2 hear each other", || wires.arrive().then_some(()));
    let pair = ["lb1", "lb2"].map(|host| built.host(host));
    built.runtime.block_on(built.lab.split(&pair)).unwrap();
    assert!(!wires.arrive_there() && !wires.arrive_here(), "lb1 and lb2 still hear each other");
    for from in ["clients", "app1"] {
        for address in addresses {
            until(&format!("{from} reaches {address}"), || echo_from(&built.place(from), address).ok());
        }
    }
    built.heal("lb1");
    until("they hear each other again", || wires.arrive().then_some(()));

    let apart = ["lb1", "app1"].map(|host| built.host(host));
    let refused = built.runtime.block_on(built.lab.split(&apart)).unwrap_err();
    assert!(
        matches!(&refused, LabError::Apart { one, other } if one == "lb1" && other == "app1"),
        "{refused}"
    );
}

pub(crate) fn power_off(inside: &Inside) {
    let mut built = build(inside, PAIR);
    built.serve("lb1");
    built.hold_and_announce("lb1");
    let address = SocketAddr::new(VIRTUAL.into(), 7000);
    let clients = built.place("clients");
    let connect = move || {
        let mut stream = TcpStream::connect_timeout(&address, SOON)?;
        echo(&mut stream, SOON)?;
        stream.set_read_timeout(Some(SILENCE))?;
        io::Result::Ok(stream)
    };
    // What is killed alone has a kernel that says goodbye.
    let mut stream = until("lb1 answers", || at(&clients, connect).ok());
    let lb1 = built.host("lb1");
    built.lab.kill(lb1).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(0)), "a killed program's connection is closed");

    built.serve("lb1");
    let mut stream = until("lb1 answers again", || at(&clients, connect).ok());
    built.power_off("lb1");
    let silence = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");

    built.heal("lb1");
    let own = built.serve("lb1");
    until("lb1 is back", || echo_from(&clients, own).ok());
    assert!(echo_from(&clients, address).is_err(), "it came back with an address that was not its own");
    built.hold_and_announce("lb1");
    until("it takes the address again", || echo_from(&clients, address).ok());
    built.cut_off("lb1", Direction::Out);
    built.power_off("lb1");
    built.power_off("lb1");
}

/// Scope and flags as the kernel's own table has them (`net/ipv6/addrconf.c`).
pub(crate) fn link_local(inside: &Inside) {
    const LINK: &str = "20";
    const TENTATIVE: u32 = 0x40;
    let text = PAIR.replace("10.0.1.100", "fd00::100").replace("fd00::100:80", "[fd00::100]:80");
    let built = build(inside, &text);
    for host in ["lb1", "lb2"] {
        let table = at(&built.place(host), || fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
        let own = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let flags: Vec<u32> = own
            .filter(|words| words[3] == LINK && words[5] == "eth0")
            .map(|words| u32::from_str_radix(words[4], 16).unwrap())
            .collect();
        assert_eq!(flags.len(), 1, "{host} has a link-local address: {table}");
        assert_eq!(flags[0] & TENTATIVE, 0, "{host} may use it at once: {table}");
    }
    assert!(built.lab.address(built.host("lb1")) == IpAddr::from([10, 0, 1, 10]));
}

/// Of a place, without the loopback.
fn interfaces(place: &Place) -> Vec<String> {
    let table = at(place, || fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let names = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned());
    names.filter(|name| name != "lo").collect()
}

/// IPv6 besides, of which each interface has settings by its name.
pub(crate) fn named_interface(inside: &Inside) {
    let named = r#"[{ address = "10.0.1.100", interface = "bond0.100" }, "fd00::100"]"#;
    let mut built = build(inside, &PAIR.replace(r#"["10.0.1.100"]"#, named));
    for (host, name) in [("lb1", "bond0.100"), ("lb2", "bond0.100"), ("app1", "eth0"), ("clients", "eth0")] {
        assert_eq!(interfaces(&built.place(host)), [name], "{host}");
    }
    let own = built.serve("lb2");
    let address = SocketAddr::new(VIRTUAL.into(), own.port());
    built.hold_and_announce("lb2");
    until("lb2 has the virtual address", || echo_from(&built.place("clients"), address).ok());
    built.power_off("lb2");
    built.heal("lb2");
    built.serve("lb2");
    assert!(echo_from(&built.place("clients"), address).is_err(), "it came back with the address");
}

pub(crate) fn two_interfaces(inside: &Inside) {
    let two =
        r#"[{ address = "10.0.1.100", interface = "eno1" }, { address = "10.0.1.101", interface = "eno2" }]"#;
    let system = system(&PAIR.replace(r#"["10.0.1.100"]"#, two));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(Lab::build(inside, &system)).err().unwrap();
    assert!(matches!(&refused, LabError::TwoInterfaces { host, .. } if host == "lb1"), "{refused}");
    let made = fs::read_to_string("/proc/net/dev").unwrap();
    assert_eq!(made.lines().filter(|line| line.contains(':')).count(), 1, "more than the loopback: {made}");
}
