//! What a lab looks like from outside, and what is left of it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nines_trial::{SKIPPED, end_within};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;

use crate::tools::{SILENCE, SOON, myself, processes_with, until};

/// Skips the test where nobody may have a lab.
pub(crate) fn need_lab() {
    skip_if_refused_to(Command::new(myself()));
}

/// The reason is said already, by the one that is refused.
fn skip_if_refused_to(mut command: Command) {
    let tried = command.args(["inside", "nothing"]).status().unwrap();
    if tried.code() == Some(SKIPPED.into()) {
        std::process::exit(SKIPPED.into());
    }
}

/// A lab that lingers, with its mark in the command lines of all its processes.
struct Lingering {
    outside: Child,
    mark: String,
}

impl Lingering {
    fn start(how: &str, number: u32) -> Self {
        Self::start_as(how, number, Command::new(myself()))
    }

    fn start_as(how: &str, number: u32, mut command: Command) -> Self {
        // Of digits, as it also says how long the sleepers sleep.
        let mark = format!("{}{number}", 1_000_000 + std::process::id());
        command.args(["inside", &format!("{how}={mark}")]).stdout(Stdio::piped());
        let mut outside = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(outside.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { outside, mark }
    }

    fn sleepers(&self) -> usize {
        processes_with(&self.mark)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.outside), signal).unwrap();
    }

    fn ended(&mut self) -> ExitStatus {
        end_within(&mut self.outside, SOON).unwrap().expect("the process outside ends")
    }
}

/// So that a failed test leaves no more than it must.
impl Drop for Lingering {
    fn drop(&mut self) {
        let _ = self.outside.kill();
        let _ = self.outside.wait();
    }
}

/// What of a lab can be seen on the machine, apart from its processes. Others may use the machine meanwhile.
#[derive(Debug, PartialEq)]
struct Traces {
    mounts: Vec<String>,
    interfaces: Vec<String>,
    files: Vec<String>,
}

impl Traces {
    fn now(marks: &[&str]) -> Self {
        let words = |path: &str, column: usize| -> Vec<String> {
            let text = fs::read_to_string(path).unwrap();
            text.lines().filter_map(|line| line.split_whitespace().nth(column)).map(str::to_owned).collect()
        };
        let mut mounts = words("/proc/self/mountinfo", 4);
        mounts.retain(|point| ["/proc", "/run", "/etc/hosts"].contains(&point.as_str()));
        let mut interfaces = words("/proc/net/dev", 0);
        interfaces.retain(|name| name.starts_with(['z', 'h']));
        let files =
            ["/run", "/tmp", "/dev/shm"].into_iter().filter_map(|directory| fs::read_dir(directory).ok());
        let names = files.flatten().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let files = names.filter(|name| name == "nines-lab" || marks.iter().any(|mark| name.contains(mark)));
        Self { files: files.collect(), mounts, interfaces }
    }
}

pub(crate) fn side_by_side() {
    let before = Traces::now(&[]);
    let mut one = Lingering::start("linger", 1);
    let mut two = Lingering::start("linger", 2);
    assert_eq!(Traces::now(&[&one.mark, &two.mark]), before, "a running lab can be seen outside");
    assert_eq!((one.sleepers(), two.sleepers()), (2, 2));
    one.signal(Signal::KILL);
    one.ended();
    until("the first lab is gone", || (one.sleepers() == 0).then_some(()));
    assert_eq!(two.sleepers(), 2, "the second lab went with the first");
    two.signal(Signal::TERM);
    two.ended();
}

pub(crate) fn killed() {
    let before = Traces::now(&[]);
    let mut lab = Lingering::start("linger", 3);
    assert_eq!(lab.sleepers(), 2);
    let whole = format!("linger={}", lab.mark);
    assert_eq!(processes_with(&whole), 3, "outside, init and the program");
    lab.signal(Signal::KILL);
    assert_eq!(lab.ended().signal(), Some(9));
    until("all processes are gone", || (lab.sleepers() == 0 && processes_with(&whole) == 0).then_some(()));
    assert_eq!(Traces::now(&[&lab.mark]), before);
}

pub(crate) fn interrupted() {
    for (number, signal) in [(4, Signal::INT), (5, Signal::TERM)] {
        let mut lab = Lingering::start("linger", number);
        lab.signal(signal);
        assert_eq!(lab.ended().code(), Some(128 + signal.as_raw()));
        until("all processes are gone", || (lab.sleepers() == 0).then_some(()));
    }
}

pub(crate) fn deaf() {
    let mut lab = Lingering::start("deaf", 6);
    lab.signal(Signal::TERM);
    std::thread::sleep(SILENCE);
    assert_eq!(lab.sleepers(), 2, "the program was to ignore the first SIGTERM");
    let asked = Instant::now();
    lab.signal(Signal::TERM);
    assert_eq!(lab.ended().code(), Some(128 + 9));
    assert!(asked.elapsed() < Duration::from_secs(4), "the second SIGTERM did nothing; the grace period did");
    until("all processes are gone", || (lab.sleepers() == 0).then_some(()));
}

pub(crate) fn exit_code() {
    for code in [0, 1, 78] {
        let status = Command::new(myself()).args(["inside", &format!("exit={code}")]).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
}

/// Where root runs the tests, the lab is entered as nobody.
pub(crate) fn without_root() {
    let command = || {
        // By its link, as nobody may not search the directories that lead to the program.
        let mut command = Command::new("/proc/self/exe");
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        command
    };
    skip_if_refused_to(command());
    let mut lab = Lingering::start_as("linger", 7, command());
    assert_eq!(lab.sleepers(), 2);
    lab.signal(Signal::KILL);
    lab.ended();
    until("all processes are gone", || (lab.sleepers() == 0).then_some(()));
}

pub(crate) fn threads() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    let refused = nines_lab::enter().err().unwrap();
    assert!(matches!(refused, nines_lab::LabError::Threads(2)), "{refused}");
    drop(stop);
    let _ = thread.join().unwrap();
}

/// As a terminal does it: to every process of the foreground, so that nobody needs to pass it on.
pub(crate) fn terminal() {
    let controller = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&controller).unwrap();
    rustix::pty::unlockpt(&controller).unwrap();
    let path = rustix::pty::ptsname(&controller, Vec::new()).unwrap();
    let terminal = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();

    let mut command = Command::new(myself());
    command.args(["inside", "count_interrupts"]).stdout(Stdio::piped()).stdin(terminal);
    // SAFETY: this process has a single thread, so its child may run any code.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(std::io::stdin())?;
            Ok(())
        });
    }
    let mut outside = command.spawn().unwrap();
    let mut said = BufReader::new(outside.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "ready");
    File::from(controller.try_clone().unwrap()).write_all(b"\x03").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "interrupted 1 times");
    assert_eq!(end_within(&mut outside, SOON).unwrap().and_then(|status| status.code()), Some(0));
}
