//! A network segment of its own: two load balancers, a backend and a client on one bridge. It lives in namespaces that nobody
//! else has, and ends with us.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use crate::shell;

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
        let mut command = ip();
        command.args(["netns", "exec", self.name()]).arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// Sends `signal` to everything that runs on this host.
    pub(crate) fn signal(self, signal: Signal) -> Result<()> {
        for pid in self.processes()? {
            // It may have ended since.
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }

    /// What runs on this host. Nobody else's processes can be among them: `/proc` is that of our own process namespace.
    fn processes(self) -> Result<Vec<Pid>> {
        let Ok(namespace) = fs::metadata(Path::new("/run/netns").join(self.name())) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let Some(pid) = pid else { continue };
            let its = fs::metadata(entry.path().join("ns/net"));
            if its.is_ok_and(|its| (its.dev(), its.ino()) == (namespace.dev(), namespace.ino())) {
                found.push(pid);
            }
        }
        Ok(found)
    }

    /// Whether somebody here listens for clients, and for VRRP.
    pub(crate) fn listens(self) -> Result<bool> {
        // Any process on the host is shown the same.
        let Some(pid) = self.processes()?.first().copied() else { return Ok(false) };
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

/// Makes a place for the names of network namespaces that nobody else sees, and for what runs here.
///
/// Only for the first process of namespaces of its own.
pub(crate) fn private_run() -> Result<()> {
    if std::process::id() != 1 {
        bail!("this is for namespaces of its own only");
    }
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), Some(c"mode=0755"))
        .context("cannot mount a private /run")?;
    batch(&[], "link set lo up\n")
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

/// The first process of a namespace inherits everyone's orphans.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

fn ip() -> Command {
    Command::new(shell::find("ip").unwrap_or_else(|| "ip".into()))
}

fn show(arguments: &[&str]) -> Result<String> {
    let output = ip().args(arguments).output().context("cannot start ip")?;
    if !output.status.success() {
        bail!("`ip {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Has `ip` do each line of `plan`.
fn batch(arguments: &[&str], plan: &str) -> Result<()> {
    let (done, said) = run_batch(arguments, plan)?;
    if !done {
        bail!("`ip` could not do all of this: {}: {}", plan.trim().replace('\n', "; "), said.trim());
    }
    Ok(())
}

fn run_batch(arguments: &[&str], plan: &str) -> Result<(bool, String)> {
    let mut child = ip()
        .args(arguments)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start ip")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(plan.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}
