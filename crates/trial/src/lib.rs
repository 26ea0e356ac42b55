//! Tests that each run in a process of their own, which has a single thread: only such a process enters a namespace or
//! a lab, and the standard harness doesn't give one. Known by tests alone (`harness = false`).
//!
//! `libtest-mimic` understands what `cargo test` and nextest ask for; here is what a test is to it: this program again,
//! as `alone TEST CASE`. Started so by hand, a case shows all that it says; else that is shown when it fails.

pub mod browser;
pub mod layout;
pub mod port;

use std::fmt::Display;
use std::io::{self, Read, Seek};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, slice, thread};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::process::{Signal, set_parent_process_death_signal};

/// The exit code of a test that can't be done here; what it said is the reason.
pub const SKIPPED: u8 = 77;

/// The first word of a process that is a case.
const ALONE: &str = "alone";

/// A sentence, and the cases in which it must hold.
pub type Test<T> = (&'static str, &'static [Case<T>]);
pub type Case<T> = (&'static str, T);

/// Tests of a single case each.
pub fn single<T>(tests: &'static [Case<T>]) -> Vec<Test<T>> {
    tests.iter().map(|test| (test.0, slice::from_ref(test))).collect()
}

/// The whole `main`: in a case's process `work`, else the harness. `limit` is for each case; `at_once` tests run at one
/// time, whatever the command line says, and all cases of each.
pub fn main<T>(
    tests: &[Test<T>],
    limit: Duration,
    at_once: usize,
    work: impl FnOnce(&'static T) -> ExitCode,
) -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [ALONE, test, case] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        end_with_parent();
        let cases = tests.iter().filter(|(name, _)| *name == test).flat_map(|(_, cases)| *cases);
        let case = cases.into_iter().find(|(name, _)| *name == case);
        return case.map_or(ExitCode::FAILURE, |(_, case)| work(case));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(at_once);
    let trials = tests.iter().map(|&(test, cases)| {
        let cases: Vec<&'static str> = cases.iter().map(|(case, _)| *case).collect();
        Trial::ignorable_test(test, move || side_by_side(test, &cases, limit))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Ends this process, a test that can't be done here.
pub fn skip(reason: impl Display) -> ! {
    println!("{reason}");
    std::process::exit(SKIPPED.into())
}

/// From now on this process is killed when the thread that started it ends, be it by SIGKILL.
pub fn end_with_parent() {
    // Linux always can.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

/// `None` if it has not ended within `limit`; then it is killed.
///
/// # Errors
///
/// When it can't be waited for.
pub fn end_within(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn side_by_side(test: &str, cases: &[&str], limit: Duration) -> Result<Completion, Failed> {
    let ended: Vec<Result<Completion, Failed>> = thread::scope(|scope| {
        let threads: Vec<_> = cases.iter().map(|case| scope.spawn(|| alone(test, case, limit))).collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(|case| case.unwrap_or_else(|_| Err("its thread panicked".into()))).collect()
    });
    let failures: Vec<&str> = ended.iter().filter_map(|case| case.as_ref().err()?.message()).collect();
    if !failures.is_empty() {
        return Err(failures.join("\n").into());
    }
    let skipped = ended.into_iter().flatten().find(|case| matches!(case, Completion::Ignored { .. }));
    Ok(skipped.unwrap_or(Completion::Completed))
}

fn alone(test: &str, case: &str, limit: Duration) -> Result<Completion, Failed> {
    // To a file, since a pipe would stay open for as long as something is left behind.
    let mut output = tempfile::tempfile()?;
    let mut command = Command::new(env::current_exe()?);
    command.args([ALONE, test, case]).stdin(Stdio::null());
    command.stdout(output.try_clone()?).stderr(output.try_clone()?);
    let ended = end_within(&mut command.spawn()?, limit)?;
    let mut said = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said);
    match ended {
        Some(status) if status.success() => Ok(Completion::Completed),
        Some(status) if status.code() == Some(SKIPPED.into()) => Ok(Completion::ignored_with(said.trim())),
        Some(status) => Err(format!("{case}: {status}\n{said}").into()),
        None => Err(format!("{case}: not ended within {limit:?}\n{said}").into()),
    }
}
