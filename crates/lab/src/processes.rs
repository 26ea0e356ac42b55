//! All processes of a host, wherever they hang in the process tree.
//!
//! They are found by their network namespace, over `/proc`. Process groups and sessions don't do: a daemon leaves them
//! by design, a shell with job control makes new ones. A PID namespace for each host would make killing a single call,
//! but not freezing, and every host would need a process 1 and a `/proc` of its own. The network namespace is what makes
//! a process one of this host, and only a process that makes itself a new one leaves it.

use std::fs;
use std::io;
use std::os::linux::fs::MetadataExt;
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

/// Signals the processes of a network namespace until a look at all of them finds none left to signal: a process that
/// forks while others are being signalled is found in the next round. Returns how many were left after [`ROUNDS`].
pub(crate) fn bring_about(fate: Fate, network: NetworkId) -> io::Result<usize> {
    let mut left = 0;
    for _ in 0..ROUNDS {
        let mut waiting = of(network)?;
        waiting.retain(|process| fate.awaits(process));
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

/// Sends through a pidfd that was opened before the second look at the namespace, so that a reused process id is
/// never hit. A process that is gone meanwhile is no error.
fn signal(pid: Pid, signal: Signal, network: NetworkId) {
    if let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        && is_in(pid, network)
    {
        let _ = rustix::process::pidfd_send_signal(pidfd, signal);
    }
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
