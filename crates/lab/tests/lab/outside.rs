//! What a lab looks like from outside, and what is left of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::tools::{SOON, end_within, myself, processes_with, until};

/// Why this kernel does not let anybody have a lab, if so.
pub(crate) fn refusal() -> Option<String> {
    let tried = Command::new(myself()).args(["inside", "nothing"]).output().unwrap();
    (!tried.status.success()).then(|| String::from_utf8_lossy(&tried.stdout).trim().to_owned())
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
        end_within(&mut self.outside, SOON).expect("the process outside ends")
    }
}

/// What a lab might leave on the machine.
#[derive(Debug, PartialEq)]
struct Traces {
    mounts: usize,
    interfaces: usize,
    run: Vec<String>,
    temporary: Vec<String>,
}

impl Traces {
    fn now() -> Self {
        let lines = |path: &str| fs::read_to_string(path).unwrap().lines().count();
        Self {
            mounts: lines("/proc/self/mountinfo"),
            interfaces: lines("/proc/net/dev"),
            run: entries("/run"),
            temporary: entries("/tmp").into_iter().filter(|name| name.contains("lab-")).collect(),
        }
    }
}

fn entries(path: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub(crate) fn side_by_side() {
    let before = Traces::now();
    let mut one = Lingering::start("linger", 1);
    let mut two = Lingering::start("linger", 2);
    assert_eq!(Traces::now(), before, "a running lab can be seen outside");
    assert_eq!((one.sleepers(), two.sleepers()), (3 - 1, 3 - 1));
    one.signal(Signal::KILL);
    one.ended();
    until("the first lab is gone", || (one.sleepers() == 0).then_some(()));
    assert_eq!(two.sleepers(), 2, "the second lab went with the first");
    two.signal(Signal::TERM);
    two.ended();
}

pub(crate) fn killed() {
    let before = Traces::now();
    let mut lab = Lingering::start("linger", 3);
    assert_eq!(lab.sleepers(), 2);
    let whole = format!("linger={}", lab.mark);
    assert_eq!(processes_with(&whole), 3, "outside, init and the program");
    lab.signal(Signal::KILL);
    assert_eq!(lab.ended().signal(), Some(9));
    until("all processes are gone", || (lab.sleepers() == 0 && processes_with(&whole) == 0).then_some(()));
    assert_eq!(Traces::now(), before);
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
    let asked = Instant::now();
    lab.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(lab.sleepers(), 2, "the program was to ignore the first SIGTERM");
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
    let mut command = Command::new("/proc/self/exe");
    if rustix::process::geteuid().is_root() {
        let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap();
        if limit.trim() == "0" {
            println!("SKIPPED: this kernel allows no user namespaces");
            return;
        }
        command.uid(65534).gid(65534);
    }
    let mut lab = Lingering::start_as("linger", 7, command);
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
