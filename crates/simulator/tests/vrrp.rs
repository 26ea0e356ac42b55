//! Virtual addresses through hundreds of seeds; and mistakes made on purpose, to show that each would be found.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nines_control::vrrp::Cause;
use nines_simulator::vrrp::{Mistake, Options, Report, run};

#[allow(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
fn play(seed: u64, options: &Options) -> Report {
    run(Instant::now(), seed, options)
}

/// Every promise is kept in all of them; returns what they were.
fn keeps_every_promise(seeds: impl Iterator<Item = u64>) -> Vec<Report> {
    let reports: Vec<Report> = seeds.map(|seed| play(seed, &Options::default())).collect();
    let broken: Vec<String> =
        reports.iter().filter(|report| report.violation.is_some()).map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    reports
}

fn first_to_fail(mistake: Mistake, promise: &str) -> Option<u64> {
    let options = Options { mistake: Some(mistake), ..Options::default() };
    (0..200)
        .find(|seed| play(*seed, &options).violation.is_some_and(|violation| violation.promise == promise))
}

#[test]
fn probe() {
    for (m, p) in [
        (Mistake::SpeaksOnWaking, "who stood still listens first"),
        (Mistake::NeverYields, "no two masters that hear each other"),
        (Mistake::KeepsAddresses, "what is put out is what is so"),
        (Mistake::KernelKeepsAddresses, "the master alone answers"),
        (Mistake::KernelLosesAddresses, "planned changes leave no gap"),
        (Mistake::LetsGoAtOnce, "nobody lets go before another has taken"),
        (Mistake::HearsGhosts, "there is always a master"),
        (Mistake::JudgesTooEarly, "who takes over has read everything"),
        (Mistake::DeafAtTimes, "no change without a cause"),
        (Mistake::TooModest, "in the end the preferred is the master"),
        (Mistake::TooModest, "no sick master while another is well"),
        (Mistake::HidesSickness, "no sick master while another is well"),
        (Mistake::SplitsGroups, "a group has one master"),
    ] {
        println!("{m:?} {p} {:?}", first_to_fail(m, p));
        let options = Options { mistake: Some(m), ..Options::default() };
        let mut all: std::collections::BTreeMap<&str, u32> = Default::default();
        for seed in 0..30 {
            if let Some(v) = play(seed, &options).violation {
                *all.entry(v.promise).or_default() += 1;
            }
        }
        println!("   {all:?}");
    }
}
