//! What touches the wire and the kernel, with real namespaces. Each test runs in a process of its own, in a network
//! namespace that it made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod address;
mod interface;
mod neighbour;
mod reset;
mod socket;
mod straggler;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use nines_trial::Case;

const TESTS: &[Case<fn()>] = &[
    ("an_address_goes_when_it_is_not_renewed_and_stays_while_it_is", address::lifetime),
    ("an_address_is_held_alone_and_released_twice_without_harm", address::alone),
    ("an_address_is_in_force_once_packets_to_it_are_taken_in", address::in_force),
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

fn main() -> ExitCode {
    nines_trial::main(&nines_trial::single(TESTS), LIMIT, 1, |test| {
        if let Err(error) = world::enter() {
            nines_trial::skip(format!(
                "this machine gives no network namespace: {error}. Run as root, or allow user namespaces"
            ));
        }
        test();
        ExitCode::SUCCESS
    })
}
