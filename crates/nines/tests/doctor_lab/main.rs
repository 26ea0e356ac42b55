//! `nines doctor` on the hosts of a lab: who hears whom, who else speaks, and who answers. Each test runs in a process of
//! its own, in a lab that it made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod cases;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use nines_lab::{Entered, Inside};
use nines_trial::Case;

const TESTS: &[Case<fn(&Inside)>] = &[
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

fn main() -> ExitCode {
    nines_trial::main(&nines_trial::single(TESTS), LIMIT, 1, |test| {
        match nines_lab::enter() {
            Ok(Entered::Inside(inside)) => test(&inside),
            Ok(Entered::Outside(code)) => return code,
            Err(error) if error.is_the_kernels() => nines_trial::skip(error),
            Err(error) => panic!("{error}"),
        }
        ExitCode::SUCCESS
    })
}
