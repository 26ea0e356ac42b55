//! A network segment of its own: three hosts of a database, a load balancer and a client on one bridge, and we who look on.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::namespace::{self, batch, program, run_batch};

/// Where clients reach the primary, on the load balancer.
pub(crate) const PORT: u16 = 5000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Host {
    Db1,
    Db2,
    Db3,
    Lb1,
    Client,
}

impl Host {
    const ALL: [Self; 5] = [Self::Db1, Self::Db2, Self::Db3, Self::Lb1, Self::Client];
    pub(crate) const DATABASES: [Self; 3] = [Self::Db1, Self::Db2, Self::Db3];

    /// What its namespace and its port on the bridge are called, and the members of clusters.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Db1 => "db1",
            Self::Db2 => "db2",
            Self::Db3 => "db3",
            Self::Lb1 => "lb1",
            Self::Client => "client",
        }
    }

    pub(crate) fn address(self) -> Ipv4Addr {
        let number = match self {
            Self::Db1 => 11,
            Self::Db2 => 12,
            Self::Db3 => 13,
            Self::Lb1 => 21,
            Self::Client => 31,
        };
        Ipv4Addr::new(10, 0, 2, number)
    }

    /// `file` as it runs on this host, as root or as `user`.
    pub(crate) fn command(self, file: impl AsRef<Path>, user: Option<&str>) -> Command {
        let Some(user) = user else { return namespace::command(self.name(), file.as_ref()) };
        let mut command = namespace::command(self.name(), program("setpriv"));
        command.args(["--reuid", user, "--regid", user, "--init-groups"]).arg(file.as_ref());
        command
    }

    /// Kills everything that runs on this host.
    pub(crate) fn kill(self) -> Result<()> {
        // Twice: what was just being started is not on the first list.
        namespace::signal(self.name(), Signal::KILL)?;
        namespace::signal(self.name(), Signal::KILL)
    }

    /// Kills PostgreSQL's first process on this host; the others end by themselves.
    pub(crate) fn kill_postmaster(self) -> Result<()> {
        kill_process(self.postmaster()?, Signal::KILL).context("PostgreSQL cannot be killed")
    }

    fn postmaster(self) -> Result<Pid> {
        let servers: Vec<(Pid, i32)> = (namespace::processes(self.name())?.into_iter())
            .filter_map(|pid| Some((pid, parent_of_postgres(pid)?)))
            .collect();
        let is_server = |parent: i32| servers.iter().any(|(pid, _)| pid.as_raw_nonzero().get() == parent);
        let first = servers.iter().find(|(_, parent)| !is_server(*parent));
        first.map(|(pid, _)| *pid).with_context(|| format!("PostgreSQL does not run on {}", self.name()))
    }
}

/// Who started this process, if it is one of PostgreSQL's.
fn parent_of_postgres(pid: Pid) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let mut words = rest.split_whitespace();
    // The dead don't count.
    (name == "postgres" && words.next()? != "Z").then(|| words.next()?.parse().ok())?
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
        // We look on from the bridge.
        let mut plan =
            "link add br0 type bridge mcast_snooping 0\naddress add 10.0.2.1/24 dev br0\nlink set br0 up\n"
                .to_owned();
        for host in Host::ALL {
            let name = host.name();
            plan += &format!("link add {name} type veth peer name eth0 netns {name}\n");
            plan += &format!("link set {name} master br0 up\n");
        }
        batch(&[], &plan)?;
        for host in Host::ALL {
            let address = host.address();
            let plan = format!("link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up\n");
            batch(&["-n", host.name()], &plan)?;
        }
        Ok(network)
    }

    /// Takes the host's cable out, or puts it in again.
    pub(crate) fn plug(&self, host: Host, plugged: bool) -> Result<()> {
        batch(&[], &format!("link set {} {}\n", host.name(), if plugged { "up" } else { "down" }))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut plan = String::new();
        for host in Host::ALL {
            let _ = host.kill();
            plan += &format!("link delete {}\n", host.name());
        }
        plan += "link delete br0\n";
        for host in Host::ALL {
            plan += &format!("netns delete {}\n", host.name());
        }
        // What was not made can't be deleted.
        let _ = run_batch(&["-force"], &plan);
    }
}
