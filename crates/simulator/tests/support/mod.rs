//! What the tests of all worlds begin with.

use std::fmt::Display;
use std::time::Instant;

use nines_simulator::{Options, Report};

/// Any time: nothing depends on which.
#[allow(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

/// Every promise is kept in all of them.
pub(crate) fn keep_every_promise<Mistake, Seen: Display>(
    run: fn(Instant, u64, &Options<Mistake>) -> Report<Seen>,
    seeds: impl Iterator<Item = u64>,
) -> Vec<Report<Seen>> {
    let reports: Vec<Report<Seen>> = seeds.map(|seed| run(origin(), seed, &Options::default())).collect();
    let broken = reports.iter().filter(|report| report.violation.is_some());
    let broken: Vec<String> = broken.map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    reports
}
