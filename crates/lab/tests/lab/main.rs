//! The lab under test, with real namespaces. Each test runs in processes of its own: this program again, as one that
//! enters a lab, as `inside WHAT` in a lab that is looked at from outside, or as a `helper` on a host.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod disks;
mod inside;
mod island;
mod outside;
mod shared;
mod tools;
mod weak;

use std::process::ExitCode;
use std::time::Duration;

use nines_trial::Case;

/// A test that runs in a lab, or beside labs that it starts.
enum Test {
    Inside(fn(&nines_lab::Inside)),
    /// In a lab whose hosts have disks.
    Disks(fn(&nines_lab::Inside)),
    Outside(fn()),
}

const TESTS: &[Case<Test>] = &[
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
    (
        "hosts_parted_from_all_others_hear_each_other_through_the_router_too",
        Test::Inside(island::from_all_others),
    ),
    ("hosts_are_parted_over_ipv6_as_well", Test::Inside(island::from_all_others_over_ipv6)),
    (
        "who_is_parted_from_clients_takes_no_address_from_who_is_not",
        Test::Inside(island::who_holds_an_address),
    ),
    ("link_local_addresses_are_usable_at_once", Test::Inside(shared::link_local)),
    ("a_hosts_interface_is_called_as_its_virtual_address_says", Test::Inside(shared::named_interface)),
    ("a_host_with_two_interfaces_is_refused_before_anything_is_made", Test::Inside(shared::two_interfaces)),
    ("a_hosts_own_directory_is_no_other_hosts_and_not_the_machines", Test::Disks(disks::own)),
    ("a_disk_outlives_its_hosts_power_and_can_be_wiped", Test::Disks(disks::power)),
    ("some_of_a_hosts_processes_are_hit_and_the_others_not", Test::Disks(disks::some)),
    ("a_database_server_dies_and_freezes_with_its_host_and_comes_back", Test::Disks(disks::server)),
    ("a_lossy_link_loses_its_share_either_way_and_nothing_once_healed", Test::Inside(weak::lossy)),
    ("each_lossy_host_has_a_share_of_its_own", Test::Inside(weak::two_lossy)),
    ("a_slow_host_answers_all_and_late_until_it_is_sped_up", Test::Inside(weak::slow)),
    ("a_slow_host_can_be_killed_and_started_and_is_slow_again", Test::Inside(weak::slow_and_killed)),
    ("whether_links_can_lose_packets_is_known_before_a_lab_is_entered", Test::Outside(weak::known_before)),
    ("no_disk_is_left_when_the_program_is_killed", Test::Outside(disks::nothing_left)),
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
        ["inside", what] => {
            nines_trial::end_with_parent();
            inside::enter(|inside| inside::perform(inside, what))
        }
        ["inside-with-disks", within, mark] => {
            let mark = mark.trim_start_matches("mark=");
            nines_trial::end_with_parent();
            inside::enter_within(within.as_ref(), |inside| disks::linger(inside, mark))
        }
        ["helper", rest @ ..] => tools::help(rest),
        _ => nines_trial::main(&nines_trial::single(TESTS), LIMIT, 1, |test| match test {
            Test::Inside(test) => inside::enter(|inside| {
                test(inside);
                ExitCode::SUCCESS
            }),
            Test::Disks(test) => inside::enter_with_disks(|inside| {
                test(inside);
                ExitCode::SUCCESS
            }),
            Test::Outside(test) => {
                outside::need_lab();
                test();
                ExitCode::SUCCESS
            }
        }),
    }
}
