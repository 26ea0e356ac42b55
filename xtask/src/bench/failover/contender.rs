//! Who is compared: Patroni over etcd behind HAProxy, and nines over etcd behind itself; each with three hosts of a database, new
//! each time.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::network::Host;
use super::{etcd, nines, patroni};
use crate::bench::namespace;

/// Configurations, data and logs; ours alone, on a real disk, and with a short name.
pub(crate) const RUN: &str = "/run/bench";
/// Who PostgreSQL and what manages it run as.
pub(crate) const USER: &str = "postgres";
/// How many standbys confirm a commit, where they do.
pub(crate) const CONFIRM: usize = 1;
/// Of every PostgreSQL; all else is as it comes: fsync and synchronous_commit are on.
pub(crate) const PARAMETERS: [(&str, &str); 1] = [("max_connections", "100")];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Patroni { tuned: bool },
    Nines,
}

pub(crate) static CONTENDERS: [Contender; 3] = [
    Contender {
        name: "patroni",
        about: "every default (ttl 30, loop_wait 10, retry_timeout 10, asynchronous), HAProxy as its manual has it",
        kind: Kind::Patroni { tuned: false },
    },
    Contender {
        name: "patroni-tuned",
        about: "the smallest times it allows (ttl 20, loop_wait 1, retry_timeout 3), synchronous_mode, HAProxy checks twice a second",
        kind: Kind::Patroni { tuned: true },
    },
    Contender {
        name: "nines",
        about: "every default: one standby confirms each commit, strict; nines' own listener",
        kind: Kind::Nines,
    },
];

/// Where things are.
pub(crate) struct Place {
    pub(crate) nines: PathBuf,
    /// PostgreSQL's programs.
    pub(crate) programs: PathBuf,
    /// Whom [`USER`] is by numbers.
    pub(crate) owner: (u32, u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Etcd,
    /// Patroni, or nines.
    Manager,
    /// HAProxy, or nines.
    Balancer,
}

/// A program on a host; killed, by its own id, when dropped.
struct Program {
    host: Host,
    role: Role,
    child: Child,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who is what, as the contender itself says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) primary: Option<Host>,
    /// From that one, now.
    pub(crate) streaming: Vec<Host>,
}

impl Standing {
    /// One primary, and all others follow it.
    pub(crate) fn is_whole(&self) -> bool {
        self.primary.is_some() && self.streaming.len() + 1 == Host::DATABASES.len()
    }

    pub(crate) fn is_member(&self, host: Host) -> bool {
        self.primary == Some(host) || self.primary.is_some() && self.streaming.contains(&host)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let primary = self.primary.map_or("nobody", Host::name);
        let streaming: Vec<&str> = self.streaming.iter().map(|host| host.name()).collect();
        write!(f, "primary {primary}, followed by [{}]", streaming.join(", "))
    }
}

/// Three hosts of a database, each with a member of etcd, and a load balancer.
pub(crate) struct Cluster<'a> {
    pub(crate) contender: Contender,
    pub(crate) place: &'a Place,
    programs: Vec<Program>,
}

impl<'a> Cluster<'a> {
    /// All of it is started, on empty disks.
    pub(crate) fn start(contender: Contender, place: &'a Place) -> Result<Self> {
        let mut cluster = Self { contender, place, programs: Vec::new() };
        for host in Host::DATABASES {
            let _ = fs::remove_dir_all(cluster.data(host));
            fs::create_dir_all(cluster.data(host))?;
            chown(cluster.data(host), Some(place.owner.0), Some(place.owner.1))?;
        }
        for host in Host::DATABASES {
            cluster.boot(host)?;
        }
        let balancer = match contender.kind {
            Kind::Patroni { tuned } => patroni::balancer(&cluster, tuned)?,
            Kind::Nines => nines::balancer(&cluster)?,
        };
        cluster.run(Host::Lb1, Role::Balancer, balancer)?;
        Ok(cluster)
    }

    /// What the host's boot starts.
    pub(crate) fn boot(&mut self, host: Host) -> Result<()> {
        let etcd = etcd::member(self, host);
        self.run(host, Role::Etcd, etcd)?;
        self.start_manager(host)
    }

    pub(crate) fn start_manager(&mut self, host: Host) -> Result<()> {
        let manager = match self.contender.kind {
            Kind::Patroni { tuned } => patroni::manager(self, host, tuned)?,
            Kind::Nines => nines::manager(self, host)?,
        };
        self.run(host, Role::Manager, manager)
    }

    /// Kills the manager alone, and takes it away.
    pub(crate) fn kill_manager(&mut self, host: Host) {
        self.programs.retain(|program| (program.host, program.role) != (host, Role::Manager));
    }

    pub(crate) fn signal_manager(&self, host: Host, signal: Signal) -> Result<()> {
        let manager = self.find(host, Role::Manager)?;
        kill_process(Pid::from_child(&self.programs[manager].child), signal)
            .context("the manager cannot be signalled")
    }

    /// Kills everything on this host.
    pub(crate) fn kill(&mut self, host: Host) -> Result<()> {
        host.kill()?;
        self.programs.retain(|program| program.host != host);
        Ok(())
    }

    /// As at a clean shutdown of the host: who has not ended in that time is killed.
    pub(crate) fn shut_down(&mut self, host: Host, patience: Duration) -> Result<bool> {
        let mut clean = true;
        for role in [Role::Manager, Role::Etcd] {
            let found = self.find(host, role)?;
            let child = &mut self.programs[found].child;
            kill_process(Pid::from_child(child), Signal::TERM)?;
            clean &= namespace::ended(child, patience)?.is_some();
        }
        self.kill(host)?;
        Ok(clean)
    }

    /// As an operator does it who does not care who is next.
    pub(crate) fn switch_over(&self, from: Host) -> Result<()> {
        let mut order = match self.contender.kind {
            Kind::Patroni { .. } => patroni::switchover(self, from),
            Kind::Nines => nines::switchover(self, from),
        };
        let output = order.output().context("the switchover cannot be ordered")?;
        if !output.status.success() {
            bail!("the switchover failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Each case is a failure by itself: nines waits longer with a takeover where there has just been one that was not needed, until
    /// its operator has looked at it.
    pub(crate) fn forget_failures(&self) -> Result<()> {
        match self.contender.kind {
            Kind::Patroni { .. } => Ok(()),
            Kind::Nines => nines::forget_failures(self),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        match self.contender.kind {
            Kind::Patroni { .. } => patroni::standing(),
            Kind::Nines => nines::standing(),
        }
    }

    /// An error if something ended that nobody ended.
    pub(crate) fn all_run(&mut self) -> Result<()> {
        for program in &mut self.programs {
            if let Some(status) = program.child.try_wait()? {
                bail!("{:?} on {} ended ({status})", program.role, program.host.name());
            }
        }
        Ok(())
    }

    fn find(&self, host: Host, role: Role) -> Result<usize> {
        let found = self.programs.iter().position(|program| (program.host, program.role) == (host, role));
        found.with_context(|| format!("{role:?} does not run on {}", host.name()))
    }

    /// Where this host has its data.
    pub(crate) fn data(&self, host: Host) -> PathBuf {
        PathBuf::from(RUN).join("data").join(host.name())
    }

    pub(crate) fn configuration(&self, host: Host, extension: &str, text: &str) -> Result<PathBuf> {
        let file = PathBuf::from(RUN).join(format!("{}-{}.{extension}", self.contender.name, host.name()));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Starts a program, its output going to a log.
    fn run(&mut self, host: Host, role: Role, mut command: Command) -> Result<()> {
        let name = format!("{}-{}-{role:?}.log", self.contender.name, host.name()).to_lowercase();
        let log = fs::File::options().create(true).append(true).open(PathBuf::from(RUN).join(name))?;
        let child = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{role:?} on {} cannot be started", host.name()))?;
        self.programs.push(Program { host, role, child });
        Ok(())
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for host in Host::DATABASES {
            let _ = self.kill(host);
            let _ = fs::remove_dir_all(self.data(host));
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// For an answer about how things stand.
const PATIENCE: Duration = Duration::from_millis(500);

/// What `target` answers: its status, and what it says; nothing if it does not answer soon.
pub(crate) fn ask_tcp(target: SocketAddr, path: &str) -> Option<(u16, Value)> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    ask(stream, path)
}

pub(crate) fn ask_unix(socket: &str, path: &str) -> Option<(u16, Value)> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    ask(stream, path)
}

fn ask(mut stream: impl Read + Write, path: &str) -> Option<(u16, Value)> {
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: bench\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
