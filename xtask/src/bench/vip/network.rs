//! A network segment of its own: two load balancers, a backend and a client on one bridge. It lives in namespaces that nobody
//! else has, and ends with us.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use rustix::process::Signal;

use crate::bench::namespace::{self, batch, reap, run_batch, show};

/// What clients know of the service.
pub(crate) const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);
pub(crate) const PORT: u16 = 80;
/// The IP protocol.
const VRRP: u16 = 112;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Host {
    /// The preferred load balancer.
    Lb1,
    Lb2,
    /// The backend.
    App1,
    Client,
}

impl Host {
    const ALL: [Self; 4] = [Self::Lb1, Self::Lb2, Self::App1, Self::Client];
    pub(crate) const PAIR: [Self; 2] = [Self::Lb1, Self::Lb2];

    /// What its namespace and its port on the bridge are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lb1 => "lb1",
            Self::Lb2 => "lb2",
            Self::App1 => "app1",
            Self::Client => "client",
        }
    }

    pub(crate) fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 1, self.number())
    }

    /// Given by us, so that one can tell whom the client sends to.
    fn mac(self) -> String {
        format!("02:00:0a:00:01:{:02x}", self.number())
    }

    fn number(self) -> u8 {
        match self {
            Self::Lb1 => 11,
            Self::Lb2 => 12,
            Self::App1 => 21,
            Self::Client => 31,
        }
    }

    /// `program` as it runs on this host.
    pub(crate) fn command(self, program: impl AsRef<Path>) -> Command {
        namespace::command(self.name(), program.as_ref())
    }

    /// Sends `signal` to everything that runs on this host.
    pub(crate) fn signal(self, signal: Signal) -> Result<()> {
        namespace::signal(self.name(), signal)
    }

    /// Whether somebody here listens for clients, and for VRRP.
    pub(crate) fn listens(self) -> Result<bool> {
        // Any process on the host is shown the same.
        let Some(pid) = namespace::processes(self.name())?.first().copied() else { return Ok(false) };
        let sockets = |table: &str| {
            let path = format!("/proc/{}/net/{table}", pid.as_raw_nonzero());
            fs::read_to_string(path).unwrap_or_default()
        };
        let clients = format!(":{PORT:04X} ");
        let vrrp = format!(":{VRRP:04X} ");
        // Listening is state 0A, and nobody's address is the remote one.
        let listening = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let local = words.next().is_some_and(|local| format!("{local} ").ends_with(&clients));
            local && words.nth(1) == Some("0A")
        };
        let for_clients = ["tcp", "tcp6"].iter().any(|table| sockets(table).lines().any(listening));
        Ok(for_clients && sockets("raw").contains(&vrrp))
    }

    /// Whether the virtual address is on its interface.
    pub(crate) fn holds(self) -> Result<bool> {
        let shown = show(&["-n", self.name(), "-o", "-4", "address", "show", "dev", "eth0"])?;
        Ok(shown.contains(&format!(" {VIRTUAL}/")))
    }

    /// Whether the client sends to this host what it sends to the virtual address.
    pub(crate) fn is_reached(self) -> Result<bool> {
        let client = Self::Client.name();
        let shown = show(&["-n", client, "neighbour", "show", &VIRTUAL.to_string(), "dev", "eth0"])?;
        Ok(shown.contains(&self.mac()))
    }
}

/// The segment, with nothing on it yet.
pub(crate) struct Network(());

impl Network {
    pub(crate) fn new() -> Result<Self> {
        // First, so that what was made of it goes if the rest can't be made.
        let network = Self(());
        for host in Host::ALL {
            batch(&[], &format!("netns add {}\n", host.name()))?;
        }
        let mut plan = "link add br0 type bridge mcast_snooping 0\nlink set br0 up\n".to_owned();
        for host in Host::ALL {
            let (name, mac) = (host.name(), host.mac());
            plan += &format!("link add {name} type veth peer name eth0 address {mac} netns {name}\n");
            plan += &format!("link set {name} master br0 up\n");
        }
        batch(&[], &plan)?;
        for host in Host::ALL {
            let plan =
                format!("link set lo up\naddress add {}/24 dev eth0\nlink set eth0 up\n", host.address());
            batch(&["-n", host.name()], &plan)?;
        }
        Ok(network)
    }

    /// Takes the host's cable out, or puts it in again.
    pub(crate) fn plug(&self, host: Host, plugged: bool) -> Result<()> {
        batch(&[], &format!("link set {} {}\n", host.name(), if plugged { "up" } else { "down" }))
    }

    /// Cuts the link between the load balancers, or heals it. The client and the backend reach both.
    pub(crate) fn split(&self, cut: bool) -> Result<()> {
        let isolated = if cut { "on" } else { "off" };
        let plan = Host::PAIR
            .map(|host| format!("link set {} type bridge_slave isolated {isolated}\n", host.name()));
        batch(&[], &plan.concat())
    }

    /// Takes the virtual address off a host that is dead, as its next boot would.
    pub(crate) fn forget(&self, host: Host) -> Result<()> {
        if host.holds()? {
            // As it was put there, so with the same prefix: all that match go.
            batch(&["-n", host.name()], &format!("address flush dev eth0 to {VIRTUAL}/32\n"))?;
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut plan = String::new();
        for host in Host::ALL {
            let _ = host.signal(Signal::KILL);
            plan += &format!("link delete {}\n", host.name());
        }
        plan += "link delete br0\n";
        for host in Host::ALL {
            plan += &format!("netns delete {}\n", host.name());
        }
        // What was not made can't be deleted.
        let _ = run_batch(&["-force"], &plan);
        reap();
    }
}
