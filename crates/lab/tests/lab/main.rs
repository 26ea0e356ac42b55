//! The lab under test, with real namespaces. Each test runs in processes of its own: this program again, as
//! `inside NAME` (enters a lab and does that there) or as a helper on a host.
//!
//! Its own small harness, because a lab is entered by a process with a single thread. It understands what `cargo test`
//! and nextest ask of the standard one: names to select by, `--exact`, `--list`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod inside;
mod outside;
mod shared;
mod tools;

use std::io::{Read, Seek};
use std::process::{Command, ExitCode};
use std::time::Duration;

use tools::{end_within, myself};

/// A test that runs in a lab, or beside labs that it starts.
enum Test {
    Inside(fn(&nines_lab::Inside)),
    Outside(fn()),
}

const TESTS: &[(&str, Test)] = &[
    ("hosts_of_a_zone_and_of_two_zones_reach_each_other", Test::Inside(inside::reach)),
    ("ipv6_and_mixed_systems_work_alike", Test::Inside(inside::both_families)),
    ("a_dns_name_means_its_host_and_a_host_knows_its_name", Test::Inside(inside::names)),
    ("a_listeners_own_address_is_on_its_host", Test::Inside(inside::listener_address)),
    ("a_host_without_a_usable_address_is_refused_by_name", Test::Inside(inside::loopback_host)),
    ("what_is_cut_off_both_ways_hears_and_says_nothing_until_healed", Test::Inside(inside::cut_off_both)),
    ("what_is_cut_off_one_way_still_has_the_other", Test::Inside(inside::cut_off_one_way)),
    ("a_connection_outlives_being_cut_off", Test::Inside(inside::connection_survives)),
    ("a_frozen_host_accepts_but_answers_only_once_thawed", Test::Inside(inside::freeze)),
    ("killing_a_host_kills_daemons_too_and_it_can_start_again", Test::Inside(inside::kill)),
    ("a_terminated_process_tells_how_it_ended", Test::Inside(inside::terminate)),
    ("hosts_that_share_an_address_are_on_one_segment_across_zones", Test::Inside(shared::one_segment)),
    ("clients_follow_an_address_that_is_announced_elsewhere", Test::Inside(shared::moving_address)),
    ("split_hosts_dont_hear_each_other_and_all_others_reach_them", Test::Inside(shared::split)),
    ("a_host_without_power_says_no_goodbye_and_forgets_its_virtual_address", Test::Inside(shared::power_off)),
    ("link_local_addresses_are_usable_at_once", Test::Inside(shared::link_local)),
    ("a_hosts_interface_is_called_as_its_virtual_address_says", Test::Inside(shared::named_interface)),
    ("a_host_with_two_interfaces_is_refused_before_anything_is_made", Test::Inside(shared::two_interfaces)),
    ("two_labs_run_side_by_side", Test::Outside(outside::side_by_side)),
    ("nothing_is_left_when_the_program_is_killed", Test::Outside(outside::killed)),
    ("sigint_and_sigterm_end_everything", Test::Outside(outside::interrupted)),
    ("a_terminals_ctrl_c_reaches_the_program_once", Test::Outside(outside::terminal)),
    ("a_program_deaf_to_sigterm_is_killed_by_the_second", Test::Outside(outside::deaf)),
    ("the_exit_code_is_the_programs", Test::Outside(outside::exit_code)),
    ("a_lab_needs_no_root", Test::Outside(outside::without_root)),
    ("a_program_with_threads_is_refused", Test::Outside(outside::threads)),
];

/// Far above what any test takes.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inside", name] => inside::run(name),
        ["helper", rest @ ..] => tools::help(rest),
        ["alone", name] => {
            if let Some((_, Test::Outside(test))) = TESTS.iter().find(|(test, _)| test == name) {
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
        filters => run_tests(filters),
    }
}

/// The words that names of tests must contain, without the options of the standard harness and their values.
fn filters<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let takes_value = ["--test-threads", "--skip", "--format", "--color", "--logfile"];
    let after_option =
        [""].into_iter().chain(arguments.iter().copied()).map(|before| takes_value.contains(&before));
    let words = arguments.iter().copied().zip(after_option);
    words.filter(|(word, is_value)| !word.starts_with('-') && !is_value).map(|(word, _)| word).collect()
}

fn run_tests(arguments: &[&str]) -> ExitCode {
    if let Some(reason) = outside::refusal() {
        println!("\nthe lab's tests are SKIPPED: {reason}\n");
        return ExitCode::SUCCESS;
    }
    let filters = filters(arguments);
    let exact = arguments.contains(&"--exact");
    let matches = |name: &str, filter: &str| if exact { name == filter } else { name.contains(filter) };
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| matches(name, filter));
    let mut failed = Vec::new();
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let how = if matches!(test, Test::Inside(_)) { "inside" } else { "alone" };
        // To a file, since a pipe would stay open for as long as something is left behind.
        let mut output = tempfile::tempfile().unwrap();
        let mut command = Command::new(myself());
        command.args([how, name]).stdout(output.try_clone().unwrap()).stderr(output.try_clone().unwrap());
        let status = end_within(&mut command.spawn().unwrap(), LIMIT);
        let fine = status.is_some_and(|status| status.success());
        println!("test {name} ... {}", if fine { "ok" } else { "FAILED" });
        if !fine {
            let mut said = String::new();
            output.rewind().unwrap();
            output.read_to_string(&mut said).unwrap();
            let ended = status.map_or("not ended in time".to_owned(), |status| status.to_string());
            println!("---- {name}: {ended}\n{said}");
            failed.push(*name);
        }
    }
    println!("\nlab: {} failed", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
