//! Virtual addresses shared with Debian's keepalived: the real programs, one on each host of a pair in a lab, and clients
//! who see which of the two answers.
//!
//! Its own small harness, because a lab is entered by a process with a single thread. It understands what `cargo test`
//! and nextest ask of the standard one: names to select by, `--exact`, `--list`. A test is made of cases, each with a lab
//! of its own; labs run side by side, whatever `--test-threads` says, as most of it is waiting.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod cases;
mod clients;
mod failover;
mod pair;
mod rules;
mod speech;

use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nines_lab::{Entered, Inside, LabError};

use cases::TESTS;

/// A sentence, and the cases in which it must hold.
type Test = (&'static str, &'static [Case]);
type Case = (&'static str, fn(&Inside));

/// Far above what any test takes.
const LIMIT: Duration = Duration::from_secs(120);
/// Labs that run at one time.
const SIDE_BY_SIDE: usize = 8;
/// The exit code of a process that may not have a lab.
const REFUSED: u8 = 77;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inside", test, case] => inside(test, case),
        _ if words.contains(&"--list") => {
            // Runners ask for the ignored tests apart; there are none.
            let listed = if words.contains(&"--ignored") { &[] } else { TESTS };
            listed.iter().for_each(|(name, _)| println!("{name}: test"));
            ExitCode::SUCCESS
        }
        arguments => run_tests(arguments),
    }
}

fn inside(test: &str, case: &str) -> ExitCode {
    let inside = match nines_lab::enter() {
        Ok(Entered::Inside(inside)) => inside,
        Ok(Entered::Outside(code)) => return code,
        Err(error) => {
            println!("{error}");
            return ExitCode::from(if is_the_kernels(&error) { REFUSED } else { 1 });
        }
    };
    let cases = TESTS.iter().find(|(name, _)| *name == test).map_or(&[][..], |(_, cases)| cases);
    if let Some((_, run)) = cases.iter().find(|(name, _)| *name == case) {
        run(&inside);
    }
    ExitCode::SUCCESS
}

/// Not allowed, switched off by a limit of none, or not built in. Anything else is a fault of the lab's.
fn is_the_kernels(error: &LabError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, StorageFull, Unsupported};
    matches!(error, LabError::Refused { source, .. }
        if [PermissionDenied, StorageFull, Unsupported].contains(&source.kind()))
}

/// keepalived, also where an ordinary user's `PATH` lacks the administrator's directories.
fn keepalived() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join("keepalived")).find(|file| file.is_file())
}

/// Why nothing can be tested here, if so.
fn hindrance() -> Option<String> {
    if keepalived().is_none() {
        let install = "there is no keepalived here; `cargo xtask setup` installs it";
        // It is what the tests there are for.
        assert!(std::env::var_os("CI").is_none(), "{install}");
        return Some(install.to_owned());
    }
    let tried = myself("no test", "nothing").output().unwrap();
    let refused = tried.status.code() == Some(REFUSED.into());
    refused.then(|| String::from_utf8_lossy(&tried.stdout).trim().to_owned())
}

fn myself(test: &str, case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["inside", test, case]).stdin(Stdio::null());
    command
}

/// The words that names of tests must contain, without the options of the standard harness and their values.
fn filters<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let takes_value = ["--test-threads", "--skip", "--format", "--color", "--logfile"];
    let before =
        [""].into_iter().chain(arguments.iter().copied()).map(|before| takes_value.contains(&before));
    let words = arguments.iter().copied().zip(before);
    words.filter(|(word, is_value)| !word.starts_with('-') && !is_value).map(|(word, _)| word).collect()
}

fn run_tests(arguments: &[&str]) -> ExitCode {
    if let Some(reason) = hindrance() {
        println!("\nthe tests with keepalived are SKIPPED: {reason}\n");
        return ExitCode::SUCCESS;
    }
    let filters = filters(arguments);
    let exact = arguments.contains(&"--exact");
    let matches = |name: &str, filter: &str| if exact { name == filter } else { name.contains(filter) };
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| matches(name, filter));
    let tests = TESTS.iter().filter(|(name, _)| wanted(name));
    let all: Vec<(&str, &str)> =
        tests.flat_map(|(test, cases)| cases.iter().map(|(case, _)| (*test, *case))).collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(all.len()) {
            scope.spawn(|| {
                while let Some((test, case)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    failed.fetch_add(usize::from(!passes(test, case)), Ordering::Relaxed);
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("\nkeepalived: {failed} of {} failed", all.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn passes(test: &str, case: &str) -> bool {
    // To a file, since a pipe would stay open for as long as something is left behind.
    let mut output = tempfile::tempfile().unwrap();
    let mut command = myself(test, case);
    command.stdout(output.try_clone().unwrap()).stderr(output.try_clone().unwrap());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if began.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(20)),
            None => {
                // The lab ends with it.
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
        }
    };
    let fine = status.is_some_and(|status| status.success());
    let verdict = if fine { "ok" } else { "FAILED" };
    let mut text = format!("test {test} ({case}) ... {verdict}, {:.1} s", began.elapsed().as_secs_f64());
    if !fine {
        let ended = status.map_or("not ended in time".to_owned(), |status| status.to_string());
        text += &format!("\n---- {test} ({case}): {ended}\n");
        output.rewind().unwrap();
        output.read_to_string(&mut text).unwrap();
    }
    println!("{text}");
    fine
}
