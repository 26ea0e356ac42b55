//! A program that runs beside the benchmark: pinned to cores, measured from outside, and gone when its guard is dropped.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

/// Killed, by its own id, when dropped; by the kernel, when we are killed.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `command` on `cores` (`0,1`), its output going to `log`.
    pub(crate) fn start(command: &Command, cores: &str, log: &Path) -> Result<Self> {
        let log = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = pinned(command, cores)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// The time that its threads have spent on a core.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let tasks = format!("/proc/{}/task", self.0.id());
        let mut nanoseconds = 0;
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
            // A thread may end while we look.
            let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let run = schedstat.split_whitespace().next().and_then(|run| run.parse::<u64>().ok());
            nanoseconds +=
                run.context("this kernel does not say how long threads ran (CONFIG_SCHED_INFO)")?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Bytes of memory that it holds now.
    pub(crate) fn memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kibibytes.with_context(|| format!("{path} has no VmRSS"))? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `command` as it runs on `cores` alone and dies with us.
pub(crate) fn pinned(command: &Command, cores: &str) -> Command {
    let mut pinned = Command::new("setpriv");
    pinned.args(["--pdeathsig", "KILL", "taskset", "--cpu-list", cores]);
    pinned.arg(command.get_program()).args(command.get_args());
    pinned
}
