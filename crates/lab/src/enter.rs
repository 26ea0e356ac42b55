//! Going into the lab: the rest of the program runs in namespaces of its own, which the kernel takes away by itself.
//!
//! Three processes: the one that was called stays *outside*, waits and passes signals on; an *init*, process 1 of the
//! new PID namespace, takes in orphans; and the *program* goes on inside. The chain of death needs nobody's help: when
//! the one outside dies, even by SIGKILL, init gets SIGKILL (`PR_SET_PDEATHSIG`); when init dies, the kernel kills every
//! process of its PID namespace; and with the last process the network and mount namespaces go, with all that is in
//! them. Nothing of a lab lives in a place that outlasts its processes, but for its hosts' disks, where they have
//! such: those are removed by a fourth process, see the module `disks`.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::UnshareFlags;

use crate::disks::Directory;
use crate::error::{LabError, failed};
use crate::refusal::advice;
use crate::signals::Signals;

/// How long the program may take to end after SIGINT or SIGTERM, before it is killed. A second signal kills at once.
const GRACE: Duration = Duration::from_secs(5);

/// The private `/run`, and the bound of what it holds: sockets, and what the hosts' processes print.
const RUN_OPTIONS: &CStr = c"mode=0755,size=256m";

/// Where the program finds itself after [`enter`].
pub enum Entered {
    /// In the lab. Go on.
    Inside(Inside),
    /// Outside, and what went on inside is over. End with this code.
    Outside(ExitCode),
}

/// The proof of being in a lab of one's own; without it no lab is built, so a machine's own network is never touched.
pub struct Inside {
    disks: Option<Directory>,
    one_user: bool,
}

impl Inside {
    /// Where the hosts' disks are.
    pub(crate) fn disks(&self) -> Option<&Path> {
        self.disks.as_ref().map(Directory::path)
    }

    /// Whether there is no other user in here than the one that it was entered by, as in a user namespace: nothing can be run
    /// as somebody else.
    pub fn has_one_user(&self) -> bool {
        self.one_user
    }
}

/// Runs the rest of this program inside a private lab.
///
/// Must be called before the program starts threads, and with nothing unwritten in buffers: it forks. It returns
/// twice, in two processes: [`Entered::Inside`] at once, and [`Entered::Outside`] when the one inside has ended, with
/// its exit code (128 + n if signal n ended it). Standard input, output and error are shared.
///
/// Works as root, and for other users where the kernel allows unprivileged user namespaces.
///
/// # Errors
/// [`LabError::Threads`], or [`LabError::Refused`] with advice when the machine does not allow what a lab needs. Such
/// an error may be returned inside as well as outside; either way the program should print it and end.
pub fn enter() -> Result<Entered, LabError> {
    alone()?;
    enter_with(None)
}

/// The same, and each host may have directories of its own ([`crate::Furniture`]): they are kept in a new directory in
/// `within`, which is gone when everything inside has ended, however that ends. It should be on a real disk, with room for
/// what the hosts write.
///
/// # Errors
/// As [`enter`]; and when the directory can't be made.
pub fn enter_with_disks(within: &Path) -> Result<Entered, LabError> {
    alone()?;
    enter_with(Some(within.to_owned()))
}

/// # Errors
/// [`LabError::Threads`]: forking is for programs that have one.
pub(crate) fn alone() -> Result<(), LabError> {
    let threads =
        fs::read_dir("/proc/self/task").map_err(failed("count the threads of this program"))?.count();
    if threads == 1 { Ok(()) } else { Err(LabError::Threads(threads)) }
}

fn enter_with(within: Option<PathBuf>) -> Result<Entered, LabError> {
    let disks = within.map(|within| Directory::make(&within)).transpose()?;
    let owner = Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
    let mapping = unshare_pids()?.then_some(owner);

    let (alive, held_outside) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed("make a pipe")(e.into()))?;
    let signals = Signals::block().map_err(failed("block signals"))?;
    let Some(init) = fork()? else {
        drop(held_outside);
        return become_init(&alive, signals, mapping.as_ref(), disks);
    };
    drop(alive);
    let code = watch_over(init, &signals);
    signals.restore();
    drop(held_outside);
    if let Some(disks) = disks {
        disks.gone();
    }
    Ok(Entered::Outside(code))
}

/// The user who maps to root inside.
struct Owner {
    uid: u32,
    gid: u32,
}

/// Makes a PID namespace for the children to come; returns whether it took a user namespace to be allowed to.
#[allow(unsafe_code)]
fn unshare_pids() -> Result<bool, LabError> {
    // SAFETY: UnshareFlags::FILES is not among the flags, here and below, so no file descriptor changes its meaning.
    match unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) } {
        Ok(()) => return Ok(false),
        Err(Errno::PERM) => {}
        Err(error) => return Err(refused("make a PID namespace", error)),
    }
    // SAFETY: as above.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWPID) }
        .map_err(|error| refused("make a user namespace", error))?;
    Ok(true)
}

/// `None` in the child. The caller has counted the threads.
#[allow(unsafe_code)]
pub(crate) fn fork() -> Result<Option<Pid>, LabError> {
    // SAFETY: the process has a single thread (`enter` counted them), so no lock can be held by a thread that the
    // child lacks, and the child may run any code.
    match unsafe { libc::fork() } {
        -1 => Err(refused(
            "start a process",
            Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::AGAIN),
        )),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Outside: waits for init, and passes on what asks the program to end.
fn watch_over(init: Pid, signals: &Signals) -> ExitCode {
    let mut patience: Option<Instant> = None;
    loop {
        match rustix::process::waitpid(Some(init), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => return ExitCode::from(exit_code(status)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => return ExitCode::FAILURE,
        }
        let left = patience.map(|end| end.saturating_duration_since(Instant::now()));
        // Sending can only fail because init has ended, which the next round sees.
        match signals.wait(left) {
            Some(received) if received.signal == Signal::CHILD => {}
            Some(received) if patience.is_none() => {
                patience = Some(Instant::now() + GRACE);
                if !received.by_kernel {
                    let _ = rustix::process::kill_process(init, received.signal);
                }
            }
            Some(_) | None => {
                let _ = rustix::process::kill_process(init, Signal::KILL);
                patience = Some(Instant::now() + GRACE);
            }
        }
    }
}

/// Process 1: starts the program, takes in orphans, and ends when the program ends. Returns in the program only.
fn become_init(
    alive: &OwnedFd,
    signals: Signals,
    mapping: Option<&Owner>,
    disks: Option<Directory>,
) -> Result<Entered, LabError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| failed("ask to die with its parent")(e.into()))?;
    if hung_up(alive) {
        // The parent died before the line above, so no signal will tell of it.
        exit_now(128 + 9);
    }
    if let Some(program) = fork()? {
        take_in_orphans(program, &signals);
    }
    signals.restore();
    furnish(mapping)?;
    Ok(Entered::Inside(Inside { disks, one_user: mapping.is_some() }))
}

fn hung_up(pipe: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
        && fds.iter().any(|fd| fd.revents().contains(PollFlags::HUP))
}

fn take_in_orphans(program: Pid, signals: &Signals) -> ! {
    loop {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == program => exit_now(i32::from(exit_code(status))),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => exit_now(1),
            }
        }
        if let Some(received) = signals.wait(None)
            && received.signal != Signal::CHILD
            && !received.by_kernel
        {
            let _ = rustix::process::kill_process(program, received.signal);
        }
    }
}

/// Ends this process without running what belongs to the one outside (buffers, destructors, exit handlers).
#[allow(unsafe_code)]
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any code and does not return.
    unsafe { libc::_exit(code) }
}

/// As a shell tells it: the exit code, or 128 + n when signal n ended the process.
fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Inside: the remaining namespaces, and a `/proc` and `/run` of the lab's own.
#[allow(unsafe_code)]
fn furnish(mapping: Option<&Owner>) -> Result<(), LabError> {
    if let Some(Owner { uid, gid }) = mapping {
        let write = |file: &str, text: String| {
            fs::write(format!("/proc/self/{file}"), text).map_err(|source| LabError::Refused {
                what: "map its user to root in a user namespace",
                advice: advice(&source),
                source,
            })
        };
        write("setgroups", "deny".to_owned())?;
        write("uid_map", format!("0 {uid} 1"))?;
        write("gid_map", format!("0 {gid} 1"))?;
    }
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    // SAFETY: UnshareFlags::FILES is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }
        .map_err(|error| refused("make mount and network namespaces", error))?;

    // Before anything is mounted: else the mounts would be seen outside.
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| refused("make its mounts private", error))?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("proc", "/proc", "proc", plain | MountFlags::NOEXEC, None)
        .map_err(|error| refused("mount its own /proc", error))?;
    rustix::mount::mount("tmpfs", "/run", "tmpfs", plain, Some(RUN_OPTIONS))
        .map_err(|error| refused("mount its own /run", error))?;
    Ok(())
}

fn refused(what: &'static str, error: Errno) -> LabError {
    let source = io::Error::from(error);
    LabError::Refused { what, advice: advice(&source), source }
}
