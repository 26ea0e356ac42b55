//! `nines doctor` on the hosts of a lab: who hears whom, who else speaks, and who answers. Each test runs in a process of
//! its own: this program again, as `run NAME`, in a lab that it made.
//!
//! Its own small harness, because a lab is entered by a process with a single thread. It understands what `cargo test`
//! and nextest ask of the standard one: names to select by, `--exact`, `--list`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod cases;
mod world;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nines_lab::{Entered, Inside, LabError};

type Test = fn(&Inside);

const TESTS: &[(&str, Test)] = &[
    ("two_doctors_hear_each_other", cases::both_ways),
    ("what_is_cut_off_one_way_is_told_by_the_one_who_hears", cases::one_way),
    ("hosts_that_do_not_hear_each_other_are_told_what_to_do", cases::split),
    ("without_multicast_a_doctor_is_still_heard_directly", cases::no_multicast),
    ("with_unicast_no_multicast_is_needed", cases::unicast),
    ("over_ipv6_doctors_hear_each_other_as_well", cases::ipv6),
    ("another_speaker_with_our_router_id_is_named", cases::stranger),
    ("a_candidate_with_another_password_is_refused_by_name", cases::refused),
    ("two_machines_that_say_they_are_one_host_are_found", cases::doubles),
    ("beside_daemons_a_doctor_tells_who_advertises_and_who_holds", cases::daemons),
    ("a_master_that_is_not_heard_is_told_by_its_own_doctor", cases::unheard_master),
    ("a_master_that_hears_nobody_is_told_of_the_other_one", cases::deaf_master),
    ("who_answers_for_the_address_is_told", cases::answers),
];

/// Far above what any test takes.
const LIMIT: Duration = Duration::from_secs(60);
/// The exit code of a process that may not have a lab.
const REFUSED: u8 = 77;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", name] => run(name),
        _ if words.contains(&"--list") => {
            // Runners ask for the ignored tests apart; there are none.
            let listed = if words.contains(&"--ignored") { &[] } else { TESTS };
            listed.iter().for_each(|(name, _)| println!("{name}: test"));
            ExitCode::SUCCESS
        }
        arguments => run_tests(arguments),
    }
}

fn run(name: &str) -> ExitCode {
    let inside = match nines_lab::enter() {
        Ok(Entered::Inside(inside)) => inside,
        Ok(Entered::Outside(code)) => return code,
        Err(error) => {
            println!("{error}");
            return ExitCode::from(if matches!(error, LabError::Refused { .. }) { REFUSED } else { 1 });
        }
    };
    if let Some((_, test)) = TESTS.iter().find(|(test, _)| *test == name) {
        test(&inside);
    }
    ExitCode::SUCCESS
}

/// The words that names of tests must contain, without the options of the standard harness and their values.
fn filters<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let takes_value = ["--test-threads", "--skip", "--format", "--color", "--logfile"];
    let before =
        [""].into_iter().chain(arguments.iter().copied()).map(|before| takes_value.contains(&before));
    let words = arguments.iter().copied().zip(before);
    words.filter(|(word, is_value)| !word.starts_with('-') && !is_value).map(|(word, _)| word).collect()
}

fn myself(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["run", name]);
    command
}

fn run_tests(arguments: &[&str]) -> ExitCode {
    let tried = myself("nothing").output().unwrap();
    if tried.status.code() == Some(REFUSED.into()) {
        println!("\nthe doctor's tests are SKIPPED: {}\n", String::from_utf8_lossy(&tried.stdout).trim());
        return ExitCode::SUCCESS;
    }
    let filters = filters(arguments);
    let exact = arguments.contains(&"--exact");
    let matches = |name: &str, filter: &str| if exact { name == filter } else { name.contains(filter) };
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| matches(name, filter));
    let mut failed = 0;
    for (name, _) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let mut child = myself(name).spawn().unwrap();
        let end = Instant::now() + LIMIT;
        let status = loop {
            match child.try_wait().unwrap() {
                None if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                None => {
                    println!("{name} has not ended within {LIMIT:?}");
                    child.kill().unwrap();
                    break child.wait().unwrap();
                }
                Some(status) => break status,
            }
        };
        println!("test {name} ... {}", if status.success() { "ok" } else { "FAILED" });
        failed += usize::from(!status.success());
    }
    println!("\ndoctor: {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
