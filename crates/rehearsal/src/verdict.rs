//! Was the promise kept?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Case, Component, Promise};
use crate::record::Record;
use crate::sequence::Written;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Held,
    Broken,
}

/// What is too slow, and how closely was looked.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// An answer this slow breaks a promise.
    pub slow: Duration,
    /// The time between two requests on one way in: no gap can be told from it.
    pub grain: Duration,
}

/// Why a promise was broken, each reason in a few words; none means that it held.
///
/// `healthy_again`: whether the system was fully healthy within the patience after the fault was healed.
pub fn reasons(case: &Case, record: &Record, healthy_again: bool, bounds: &Bounds) -> Vec<String> {
    let mut reasons = of_requests(&case.component, case.promise, record, bounds);
    if !healthy_again {
        reasons.push("it did not become healthy again".to_owned());
    }
    reasons
}

/// What those saw who asked, and what they were promised.
pub(crate) fn of_requests(
    component: &Component,
    promise: Promise,
    record: &Record,
    bounds: &Bounds,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if record.sent == 0 {
        reasons.push("nothing was sent, so nothing is proved".to_owned());
    }
    if matches!(promise, Promise::NothingLost | Promise::NothingFails) && record.failed() > 0 {
        let kinds: Vec<_> =
            record.failures.iter().map(|(failure, count)| format!("{count} {failure}")).collect();
        let word = if record.failed() == 1 { "request" } else { "requests" };
        reasons.push(format!("{} {word} failed ({})", record.failed(), kinds.join(", ")));
        let alone = component.alone_in.iter();
        reasons.extend(alone.map(|pool| format!("pool {pool} has no server on another host")));
    }
    if let Some(slowest) =
        record.slowest.filter(|&slowest| promise == Promise::NothingLost && slowest >= bounds.slow)
    {
        reasons.push(format!(
            "the slowest answer took {} ms, the bound is {} ms",
            slowest.as_millis(),
            bounds.slow.as_millis()
        ));
    }
    if let Some(within) = promise.gap().filter(|&within| record.longest_gap > within + bounds.grain) {
        reasons.push(format!(
            "the longest gap was {} ms, promised were {} ms",
            record.longest_gap.as_millis(),
            within.as_millis()
        ));
    }
    reasons
}

/// The same of a case in which rows were written.
pub(crate) fn of_writes(case: &Case, written: &Written, healthy_again: bool) -> Vec<String> {
    let (record, found) = (&written.record, &written.found);
    let mut reasons = Vec::new();
    if record.acknowledged.is_empty() {
        reasons.push("no row was acknowledged, so nothing is proved".to_owned());
    }
    match &found.lost {
        Ok(0) => {}
        Ok(1) => reasons.push("1 acknowledged row is lost".to_owned()),
        Ok(lost) => reasons.push(format!("{lost} acknowledged rows are lost")),
        Err(why) => reasons.push(format!("whether rows are lost is not known: {why}")),
    }
    let lacking = found.lacking.iter();
    reasons.extend(lacking.map(|(host, count)| format!("{count} acknowledged rows are not on {host}")));
    let gap = record.longest_gap(written.ways);
    if let Some(within) = case.promise.gap().filter(|&within| gap > within) {
        reasons.push(format!(
            "no row was acknowledged for {} ms, promised were at most {} ms",
            gap.as_millis(),
            within.as_millis()
        ));
    }
    if !healthy_again {
        reasons.push("it did not become healthy again".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::plan::{ComponentKind, Whom};
    use crate::record::{Failure, Outcome};
    use std::sync::Arc;
    use std::time::Instant;

    const BOUNDS: Bounds = Bounds { slow: Duration::from_millis(500), grain: Duration::from_millis(10) };

    fn record(took_ms: &[u64], failures: usize) -> Record {
        let start = Instant::now();
        let mut record = Record::new(start, 1);
        for &took in took_ms {
            record.sent(Duration::ZERO);
            record.ended(0, start, start + Duration::from_millis(took), Outcome::Good);
        }
        for _ in 0..failures {
            record.sent(Duration::ZERO);
            record.ended(0, start, start, Outcome::Failed(Failure::Reset, None));
        }
        record
    }

    fn case(promise: Promise, alone_in: &[&str]) -> Case {
        let component = Component {
            name: "app1".to_owned(),
            kind: ComponentKind::Server,
            whom: Whom::Each,
            writes: None,
            zone: None,
            hosts: Vec::new(),
            members: Vec::new(),
            alone_in: alone_in.iter().map(|&pool| pool.to_owned()).collect(),
            virtual_ips: Vec::new(),
            doors: Vec::new(),
        };
        Case::new(&Arc::new(component), Fault::Kill, promise)
    }

    fn broken(promise: Promise, record: &Record, healthy_again: bool) -> bool {
        !reasons(&case(promise, &[]), record, healthy_again, &BOUNDS).is_empty()
    }

    #[test]
    fn one_failed_request_breaks_the_promise_of_a_single_fault() {
        assert!(!broken(Promise::NothingLost, &record(&[1, 2], 0), true));
        let reasons = reasons(&case(Promise::NothingLost, &["web"]), &record(&[1], 1), true, &BOUNDS);
        assert_eq!(reasons, ["1 request failed (1 reset)", "pool web has no server on another host"]);
    }

    #[test]
    fn a_slow_answer_breaks_it_from_the_bound_on() {
        assert!(!broken(Promise::NothingLost, &record(&[499], 0), true));
        assert!(broken(Promise::NothingLost, &record(&[500], 0), true));
    }

    #[test]
    fn a_host_that_is_only_worse_may_make_answers_late_and_no_more() {
        assert!(!broken(Promise::NothingFails, &record(&[1, 900], 0), true));
        assert!(broken(Promise::NothingFails, &record(&[1], 1), true));
        assert!(broken(Promise::NothingFails, &record(&[1], 0), false));
    }

    #[test]
    fn where_all_fail_together_only_the_return_is_promised() {
        assert!(!broken(Promise::ComesBack, &record(&[900], 100), true));
        assert!(broken(Promise::ComesBack, &record(&[1], 0), false));
        assert!(broken(Promise::NothingLost, &record(&[1], 0), false));
    }

    #[test]
    fn while_an_address_moves_requests_may_fail_but_not_for_long() {
        let moves = Promise::Moves { within: Duration::from_millis(600) };
        assert!(!broken(moves, &record(&[1, 599], 70), true));
        assert!(!broken(moves, &record(&[1, 610], 0), true), "nobody asked in between");
        let reasons = reasons(&case(moves, &[]), &record(&[1, 613], 70), true, &BOUNDS);
        assert_eq!(reasons, ["the longest gap was 612 ms, promised were 600 ms"]);
        assert!(broken(moves, &record(&[1], 0), false));
    }

    #[test]
    fn no_request_is_no_proof() {
        assert!(broken(Promise::NothingLost, &record(&[], 0), true));
    }
}
