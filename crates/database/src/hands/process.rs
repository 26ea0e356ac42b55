//! PostgreSQL's processes: started as its user in a process group of their own, so that they outlive nines; found again by a later
//! nines; watched by a file descriptor that can't mean another process.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use nines_control::failover::Failure;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::servant::Servant;
use super::{fail, lock};

/// A process that was killed for good and stays longer hangs in the kernel.
const KILLED_WITHIN: Duration = Duration::from_secs(20);

/// One process: a server, or one of PostgreSQL's programs at work.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    fd: AsyncFd<OwnedFd>,
    /// `None`: somebody else's child.
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Starts it in a process group of its own, with nothing to read.
    pub(super) async fn spawn(servant: &Servant, mut command: Command) -> Result<Self, Failure> {
        command.stdin(Stdio::null()).process_group(0).env("LC_ALL", "C").env_remove("PGOPTIONS");
        let child = servant.spawn(command).await?;
        let pid =
            i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| fail("no process id"))?;
        let mut process = Self::open(pid).map_err(|error| fail(format!("process {pid:?}: {error}")))?;
        process.child = Mutex::new(Some(child));
        Ok(process)
    }

    fn open(pid: Pid) -> io::Result<Self> {
        let fd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        // It is unsound for types that give another descriptor each time; this one doesn't, and there is no unsafe code in this room.
        #[expect(deprecated, reason = "what replaces it is unsafe to call")]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self { pid, fd, child: Mutex::new(None) })
    }

    /// The server that runs with these data: by the pid that it left there, if that is the one of a PostgreSQL that works in there.
    pub(super) fn server_of(pgdata: &Path) -> Option<Self> {
        let file = fs::read_to_string(pgdata.join("postmaster.pid")).ok()?;
        let pid = file.lines().next()?.trim().parse().ok()?;
        let process = Self::open(Pid::from_raw(pid)?).ok()?;
        // Opened first: what is true of it now is true of the process that the descriptor means.
        let is_it = is_at_work(pid, pgdata, &["postgres", "postmaster"]) && process.is_running();
        let parent = parent_of(pid).filter(|parent| is_at_work(*parent, pgdata, &["postgres", "postmaster"]));
        (is_it && parent.is_none()).then_some(process)
    }

    /// A process of that server.
    pub(super) fn child_of(server: &Self, pid: i32) -> Option<Self> {
        let process = Self::open(Pid::from_raw(pid)?).ok()?;
        (parent_of(pid) == Some(server.pid())).then_some(process)
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(super) fn is_running(&self) -> bool {
        let mut fds = [PollFd::new(self.fd.get_ref(), PollFlags::IN)];
        let ended = rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        let runs = ended.is_ok_and(|ready| ready == 0);
        if !runs {
            self.reap();
        }
        runs
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&self) {
        // The descriptor stays readable, and is never found to be anything else.
        let _ = self.fd.readable().await;
        self.reap();
    }

    /// Whether it ended within that time.
    pub(super) async fn ends_within(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.ended()).await.is_ok()
    }

    pub(super) fn signal(&self, signal: Signal) {
        // It may be gone already.
        let _ = rustix::process::pidfd_send_signal(self.fd.get_ref(), signal);
    }

    /// Whether it ended well; `None`: it has not ended, or it was somebody else's child.
    fn reap(&self) -> Option<bool> {
        match lock(&self.child).as_mut() {
            Some(child) => child.try_wait().ok()?.map(|status| status.success()),
            None => {
                // It may be a child that nobody in this process remembers.
                let id = WaitId::PidFd(self.fd.get_ref().as_fd());
                let ended = rustix::process::waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
                ended.ok()?.map(|status| status.exit_status() == Some(0))
            }
        }
    }
}

/// One of PostgreSQL's programs at work; it ends with whoever waits for it.
#[derive(Debug)]
pub(super) struct Program(Process);

impl Drop for Program {
    fn drop(&mut self) {
        if self.0.is_running() {
            self.0.signal(Signal::KILL);
        }
    }
}

impl Program {
    /// Runs it to its end. What it says is in that file, whose last lines are what an error says.
    pub(super) async fn run(servant: &Servant, mut command: Command, said: &Path) -> Result<String, Failure> {
        let name =
            Path::new(command.get_program()).file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let out = File::create(said).map_err(|error| fail(format!("{}: {error}", said.display())))?;
        let err = out.try_clone().map_err(|error| fail(format!("{}: {error}", said.display())))?;
        command.stdout(out).stderr(err);
        let program = Self(Process::spawn(servant, command).await?);
        program.0.ended().await;
        let text =
            fs::read(said).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        match program.0.reap() {
            Some(true) => Ok(text),
            _ => Err(fail(format!("{name}: {}", last_lines(&text)))),
        }
    }
}

/// What is worth repeating of what a program said.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let errors: Vec<&str> =
        lines.iter().copied().filter(|line| line.contains("rror:") || line.contains("FATAL")).collect();
    let chosen = if errors.is_empty() { &lines } else { &errors };
    match chosen.get(chosen.len().saturating_sub(3)..) {
        Some(last) if !last.is_empty() => last.join("; "),
        _ => "it failed without a word".to_owned(),
    }
}

/// Whether that process is such a program, and works in that directory.
fn is_at_work(pid: i32, directory: &Path, programs: &[&str]) -> bool {
    let proc = Path::new("/proc").join(pid.to_string());
    let Ok(program) = fs::read_link(proc.join("exe")) else { return false };
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Of a program that was replaced by an upgrade.
    let name = name.trim_end_matches(" (deleted)");
    let same =
        |one: &fs::Metadata, other: &fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    programs.contains(&name)
        && matches!((fs::metadata(proc.join("cwd")), fs::metadata(directory)), (Ok(one), Ok(other)) if same(&one, &other))
}

pub(super) fn parent_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// All such programs that work in that directory.
fn at_work(directory: &Path, programs: &[&str]) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_at_work(*pid, directory, programs)).collect()
}

/// Ends all that a server or a program of PostgreSQL's has left working in that directory. Afterwards nothing of it runs.
///
/// A server that is killed leaves its processes behind for a moment, and they may still confirm, or be waited for, or hold its memory.
pub(super) async fn clear(directory: &Path, programs: &[&str]) -> Result<(), Failure> {
    let begin = tokio::time::Instant::now();
    loop {
        let left = at_work(directory, programs);
        if left.is_empty() {
            return Ok(());
        }
        for pid in &left {
            if let Some(process) = Pid::from_raw(*pid).and_then(|pid| Process::open(pid).ok())
                && is_at_work(*pid, directory, programs)
            {
                process.signal(Signal::KILL);
                process.ends_within(Duration::from_secs(1)).await;
            }
        }
        if begin.elapsed() > KILLED_WITHIN {
            return Err(fail(format!("processes {left:?} can't be ended: they hang in the kernel")));
        }
    }
}

pub(super) const SERVER: &[&str] = &["postgres", "postmaster"];
pub(super) const COPIERS: &[&str] = &["pg_basebackup", "pg_rewind", "initdb", "postgres", "postmaster"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_program_says_its_errors_are_repeated() {
        let text = "pg_rewind: connected\npg_rewind: error: could not open file\n\n1/2 kB\n";
        assert_eq!(last_lines(text), "pg_rewind: error: could not open file");
        assert_eq!(last_lines("one\ntwo\n"), "one; two");
        assert_eq!(last_lines("\n"), "it failed without a word");
    }

    #[tokio::test]
    async fn who_only_works_in_the_same_directory_is_let_be() {
        let directory = tempfile::tempdir().unwrap();
        let mut other = Command::new("sleep").arg("60").current_dir(directory.path()).spawn().unwrap();
        clear(directory.path(), SERVER).await.unwrap();
        assert!(other.try_wait().unwrap().is_none());
        clear(directory.path(), &["sleep"]).await.unwrap();
        // It was ours to be waited for, and has been.
        assert!(!Path::new("/proc").join(other.id().to_string()).exists());
        let _ = other.wait();
        // A pid that was left behind by a server is not one.
        fs::write(directory.path().join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
        assert!(Process::server_of(directory.path()).is_none());
    }
}
