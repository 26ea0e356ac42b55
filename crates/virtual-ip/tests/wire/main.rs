//! What touches the wire and the kernel, with real namespaces. Each test runs in a process of its own, this program again
//! as `run NAME`, in a network namespace that it made.
//!
//! Its own small harness, because a namespace is entered by a process with a single thread. It understands what `cargo test`
//! and nextest ask of the standard one: names to select by, `--exact`, `--list`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod address;
mod interface;
mod neighbour;
mod reset;
mod socket;
mod straggler;
mod world;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const TESTS: &[(&str, fn())] = &[
    ("an_address_goes_when_it_is_not_renewed_and_stays_while_it_is", address::lifetime),
    ("an_address_is_held_alone_and_released_twice_without_harm", address::alone),
    ("nothing_that_a_host_sends_by_itself_comes_from_a_virtual_address", address::no_source),
    ("advertisements_reach_the_group_over_both_families", socket::multicast),
    ("advertisements_reach_one_peer_over_both_families", socket::unicast),
    ("a_packet_that_is_too_long_is_refused", socket::too_long),
    ("what_keepalived_sends_is_understood", socket::keepalived_heard),
    ("what_is_sent_is_understood_by_keepalived", socket::keepalived_hears),
    ("interfaces_are_found_and_told_as_they_are", interface::found),
    ("changes_of_links_and_addresses_are_told", interface::watched),
    ("an_announced_address_is_at_its_new_host_for_those_who_knew_the_old", neighbour::announced),
    ("a_probe_is_answered_by_whoever_has_the_address_and_by_nobody_else", neighbour::probed),
    ("a_probe_for_one_card_reaches_that_one_only", neighbour::probed_one),
    ("connections_of_an_address_are_reset_and_no_others_nor_listeners", reset::all_kinds),
    ("a_connection_that_has_nothing_to_lose_is_not_counted", reset::closing),
    ("any_number_of_connections_is_counted_and_reset", reset::many),
    ("a_connection_of_the_old_host_survives_that_a_new_one_is_announced", straggler::survives),
    ("connections_of_the_new_host_stay_there_also_those_from_before", straggler::new_connections),
    ("nothing_is_sent_on_when_the_time_is_up", straggler::ends),
    ("a_packet_that_nobody_wants_does_not_go_in_circles", straggler::no_circle),
];

/// Far above what any test takes.
const LIMIT: Duration = Duration::from_secs(60);
/// The exit code of a process that may not have a namespace.
const REFUSED: u8 = 77;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", name] => {
            if let Err(error) = world::enter() {
                println!(
                    "this machine gives no network namespace: {error}. Run as root, or allow user namespaces"
                );
                return ExitCode::from(REFUSED);
            }
            if let Some((_, test)) = TESTS.iter().find(|(test, _)| test == name) {
                test();
            }
            ExitCode::SUCCESS
        }
        _ if words.contains(&"--list") => {
            // Runners ask for the ignored tests apart; there are none.
            let listed = if words.contains(&"--ignored") { &[] } else { TESTS };
            listed.iter().for_each(|(name, _)| println!("{name}: test"));
            ExitCode::SUCCESS
        }
        arguments => run_tests(arguments),
    }
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
        println!("\nthe tests on the wire are SKIPPED: {}\n", String::from_utf8_lossy(&tried.stdout).trim());
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
    println!("\nwire: {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
