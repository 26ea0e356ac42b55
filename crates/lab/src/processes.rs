//! All processes of a host, wherever they hang in the process tree.
//!
//! They are found by their network namespace, over `/proc`. Process groups and sessions don't do: a daemon leaves them
//! by design, a shell with job control makes new ones. A PID namespace for each host would make killing a single call,
//! but not freezing, and every host would need a process 1 and a `/proc` of its own. The network namespace is what makes
//! a process one of this host, and only a process that makes itself a new one leaves it.

use std::fs;
use std::io;
use std::os::linux::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::place::NetworkId;

/// Rounds of signals, a millisecond apart, after which a host counts as stubborn.
pub(crate) const ROUNDS: u32 = 2_000;

/// What is to become of a host's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Killed,
    Frozen,
    Thawed,
}

impl Fate {
    fn signal(self) -> Signal {
        match self {
            Self::Killed => Signal::KILL,
            Self::Frozen => Signal::STOP,
            Self::Thawed => Signal::CONT,
        }
    }

    fn awaits(self, process: &Process) -> bool {
        match self {
            Self::Killed => true,
            Self::Frozen => !process.stopped,
            Self::Thawed => process.stopped,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Killed => "dead",
            Self::Frozen => "stopped",
            Self::Thawed => "running",
        }
    }
}

struct Process {
    pid: Pid,
    stopped: bool,
}

/// A process of a host, as somebody who wants to hit only some of them tells it from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    pub pid: u32,
    pub parent: u32,
    /// The file name of what it runs; empty where the kernel doesn't tell.
    pub program: String,
    /// Its working directory, as it sees it.
    pub directory: PathBuf,
}

/// Signals the processes of a network namespace until a look at all of them finds none left to signal: a process that
/// forks while others are being signalled is found in the next round. Returns how many were left after [`ROUNDS`].
pub(crate) fn bring_about(
    fate: Fate,
    network: NetworkId,
    which: &dyn Fn(&Running) -> bool,
) -> io::Result<usize> {
    let mut left = 0;
    for _ in 0..ROUNDS {
        let mut waiting = of(network)?;
        waiting.retain(|process| fate.awaits(process) && look(process.pid).is_some_and(|it| which(&it)));
        left = waiting.len();
        if left == 0 {
            break;
        }
        for process in waiting {
            signal(process.pid, fate.signal(), network);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(left)
}

/// Signals each process once that is not yet as it is to be, and doesn't look whether it came about.
pub(crate) fn nudge(fate: Fate, network: NetworkId) -> io::Result<()> {
    for process in of(network)?.into_iter().filter(|process| fate.awaits(process)) {
        signal(process.pid, fate.signal(), network);
    }
    Ok(())
}

/// Asks each of them once to end.
pub(crate) fn terminate(network: NetworkId, which: &dyn Fn(&Running) -> bool) -> io::Result<()> {
    for process in of(network)? {
        if look(process.pid).is_some_and(|it| which(&it)) {
            signal(process.pid, Signal::TERM, network);
        }
    }
    Ok(())
}

/// Sends through a pidfd that was opened before the second look at the namespace, so that a reused process id is
/// never hit. A process that is gone meanwhile is no error.
fn signal(pid: Pid, signal: Signal, network: NetworkId) {
    if let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        && is_in(pid, network)
    {
        let _ = rustix::process::pidfd_send_signal(pidfd, signal);
    }
}

/// Every process of a network namespace.
pub(crate) fn running(network: NetworkId) -> io::Result<Vec<Running>> {
    Ok(of(network)?.into_iter().filter_map(|process| look(process.pid)).collect())
}

/// `None` if it is gone.
fn look(pid: Pid) -> Option<Running> {
    let number = pid.as_raw_pid();
    let link = |name: &str| fs::read_link(format!("/proc/{number}/{name}")).unwrap_or_default();
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
    let program = link("exe").file_name().map(|name| name.to_string_lossy().into_owned());
    Some(Running {
        pid: u32::try_from(number).ok()?,
        parent,
        program: program.unwrap_or_default(),
        directory: link("cwd"),
    })
}

/// Zombies are not among them: the dead have left their namespaces.
fn of(network: NetworkId) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) =
            entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        if is_in(pid, network) {
            found.push(Process { pid, stopped: is_stopped(pid) });
        }
    }
    Ok(found)
}

fn is_in(pid: Pid, network: NetworkId) -> bool {
    fs::metadata(format!("/proc/{pid}/ns/net"))
        .is_ok_and(|namespace| NetworkId { device: namespace.st_dev(), inode: namespace.st_ino() } == network)
}

/// The state follows the command's name, which stands in brackets and may hold anything (proc_pid_stat(5)).
fn is_stopped(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't'])))
}
