//! The harness under test: this program again, with `SCENES` for its tests. Not under itself, as one that swallows
//! failures would swallow that one too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use nines_trial::Test;

const TESTS: &[(&str, fn())] = &[
    ("of_all_cases_those_that_fail_are_shown_with_what_they_said", failures),
    ("what_does_not_end_is_killed_and_fails", endless),
    ("what_cannot_be_done_here_is_no_failure_and_says_why", skipped),
    ("only_what_is_asked_for_is_run", chosen),
    ("no_case_outlives_a_harness_that_is_killed", killed),
];

const SCENES: &[Test<fn()>] = &[
    ("mixed", &[("good", || println!("unheard")), ("bad", || panic!("heard")), ("worse", || panic!("also"))]),
    ("endless", &[("only", || sleep(Duration::from_secs(600)))]),
    ("calls", &[("only", calls)]),
    ("skipped", &[("good", || {}), ("not", || nines_trial::skip("no such thing here"))]),
];

const SCENES_INSTEAD: &str = "NINES_TRIAL_SCENES";
const CALLED: &str = "NINES_TRIAL_CALLED";

fn main() -> ExitCode {
    let Some(seconds) = std::env::var_os(SCENES_INSTEAD) else {
        let trials = TESTS.iter().map(|(name, test)| {
            Trial::test(*name, || {
                test();
                Ok(())
            })
        });
        return libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code();
    };
    let limit = Duration::from_secs(seconds.to_str().unwrap().parse().unwrap());
    nines_trial::main(SCENES, limit, 1, |scene| {
        scene();
        ExitCode::SUCCESS
    })
}

fn calls() {
    let _connection = TcpStream::connect(std::env::var(CALLED).unwrap()).unwrap();
    sleep(Duration::from_secs(600));
}

/// The harness, with so many seconds for each case.
fn harness(seconds: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(SCENES_INSTEAD, seconds).args(arguments).stdout(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> (bool, String) {
    ended(&mut harness("20", arguments))
}

fn ended(harness: &mut Command) -> (bool, String) {
    let output = harness.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

fn failures() {
    let (good, said) = run(&["mixed"]);
    assert!(!good && said.contains("1 failed"), "{said}");
    assert!(said.contains("bad: exit status: 101") && said.contains("heard"), "{said}");
    assert!(said.contains("worse: exit status: 101") && said.contains("also"), "{said}");
    assert!(!said.contains("unheard"), "{said}");
}

fn endless() {
    let (good, said) = ended(&mut harness("1", &["endless"]));
    assert!(!good && said.contains("only: not ended within 1s"), "{said}");
}

fn skipped() {
    let (good, said) = run(&["skipped"]);
    assert!(good && said.contains("ignored (no such thing here)"), "{said}");
}

fn chosen() {
    let list = |arguments: &[&str]| run(&[&["--list", "--format", "terse"], arguments].concat()).1;
    assert_eq!(list(&[]), "mixed: test\nendless: test\ncalls: test\nskipped: test\n");
    assert_eq!(list(&["--ignored"]), "");
    assert_eq!(list(&["--exact", "skip"]), "");
    assert_eq!(list(&["--exact", "skipped"]), "skipped: test\n");
    assert_eq!(list(&["ed"]), "mixed: test\nskipped: test\n");
}

fn killed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut harness = harness("600", &["calls"]);
    harness.env(CALLED, listener.local_addr().unwrap().to_string()).stdout(Stdio::null());
    let mut harness = harness.spawn().unwrap();
    let (mut case, _) = listener.accept().unwrap();
    harness.kill().unwrap();
    harness.wait().unwrap();
    case.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(case.read(&mut [0]).unwrap(), 0, "the connection ends with the case");
}
