//! Can it have happened?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adya::{Opts, Valid, Workload};
use serde::{Deserialize, Serialize};

use super::{History, Isolation, Known, Step};

/// For each knot of transactions that depend on each other.
const PATIENCE: Duration = Duration::from_secs(20);
/// Anomalies and reasons that are told in full.
const TOLD: usize = 10;

/// What was found in a history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Appends that were acknowledged and are not there in the end.
    pub lost: u64,
    /// Appends that were refused and are there.
    pub unwanted: u64,
    /// Appends that are there more than once.
    pub doubled: u64,
    /// What is impossible at this isolation, by Adya's names: `G1a`, `G-single-item-realtime`.
    pub anomalies: Vec<String>,
    /// Each in a sentence; empty: all is well.
    pub why: Vec<String>,
}

/// `last`: every list as it is in the end.
pub fn check(history: &History, last: &BTreeMap<i64, Vec<i64>>, isolation: Isolation) -> Findings {
    let mut findings = Findings::default();
    by_counting(history, last, &mut findings);
    by_circles(history, isolation, &mut findings);
    findings
}

/// What is to be there in the end, and what is.
fn by_counting(history: &History, last: &BTreeMap<i64, Vec<i64>>, findings: &mut Findings) {
    let mut there = BTreeSet::new();
    for (&key, list) in last {
        for &value in list {
            if !there.insert((key, value)) {
                findings.doubled += 1;
            }
        }
    }
    for entry in &history.entries {
        for step in &entry.steps {
            let Step::Append { key, value } = *step else { continue };
            match (entry.known, there.contains(&(key, value))) {
                (Known::Ok, false) => findings.lost += 1,
                (Known::Fail, true) => findings.unwanted += 1,
                _ => {}
            }
        }
    }
    let counted = [
        (findings.lost, "acknowledged appends are lost"),
        (findings.unwanted, "appends that were refused are there"),
        (findings.doubled, "appends are there more than once"),
    ];
    for (count, what) in counted.into_iter().filter(|&(count, _)| count > 0) {
        findings.why.push(format!("{count} {what}"));
    }
}

fn by_circles(history: &History, isolation: Isolation, findings: &mut Findings) {
    let parsed = match adya::History::from_json(&history.lines()) {
        Ok(parsed) => parsed,
        Err(error) => return findings.why.push(format!("the history can't be read: {error}")),
    };
    let models = vec![isolation.model().to_owned()];
    let report =
        adya::check(&parsed, Workload::ListAppend, &Opts { models, timeout: PATIENCE, ..Opts::default() });
    match report.valid {
        Valid::True => {}
        Valid::Unknown => {
            let types = report.anomaly_types.join(", ");
            findings.why.push(format!("it can't be decided whether the history is possible ({types})"));
        }
        Valid::False => {
            findings.anomalies = report.anomaly_types;
            let all = report.anomalies.values().flatten();
            findings.why.extend(all.take(TOLD).map(|it| format!("{}: {}", it.kind, it.explanation)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::super::appenders::forget_what_was_read;
    use super::*;

    fn history(entries: &[(i64, Known, &[Step])]) -> History {
        let entry = |(index, &(process, known, steps)): (usize, &(i64, Known, &[Step]))| Entry {
            process,
            known,
            steps: steps.to_vec(),
            at_ns: index as u64 * 1000,
        };
        History { entries: entries.iter().enumerate().map(entry).collect() }
    }

    fn append(value: i64) -> Step {
        Step::Append { key: 1, value }
    }

    fn read(list: Option<&[i64]>) -> Step {
        Step::Read { key: 1, list: list.map(<[i64]>::to_vec) }
    }

    /// Two appends one after the other, and a read after both.
    fn read_after_two(seen: &[i64]) -> History {
        history(&[
            (0, Known::Invoke, &[append(1)]),
            (0, Known::Ok, &[append(1)]),
            (1, Known::Invoke, &[append(2)]),
            (1, Known::Ok, &[append(2)]),
            (2, Known::Invoke, &[read(None)]),
            (2, Known::Ok, &[read(Some(seen))]),
        ])
    }

    #[test]
    fn a_history_that_can_have_happened_is_well() {
        let last = [(1, vec![1, 2])].into();
        for isolation in Isolation::ALL {
            assert_eq!(check(&read_after_two(&[1, 2]), &last, isolation), Findings::default());
        }
    }

    #[test]
    fn a_lost_append_is_found_in_both_ways() {
        let findings = check(&read_after_two(&[2]), &[(1, vec![2])].into(), Isolation::Serializable);
        assert_eq!(findings.lost, 1);
        assert!(!findings.why.is_empty());
        // A read that is older than what was acknowledged before it, though nothing is lost in the end.
        let stale = check(&read_after_two(&[1]), &[(1, vec![1, 2])].into(), Isolation::Serializable);
        assert_eq!(stale.lost, 0);
        assert!(stale.anomalies.iter().any(|it| it.contains("realtime")), "{stale:?}");
    }

    #[test]
    fn an_append_that_was_refused_and_is_there_is_found() {
        let refused = history(&[
            (0, Known::Invoke, &[append(1)]),
            (0, Known::Fail, &[append(1)]),
            (1, Known::Invoke, &[read(None)]),
            (1, Known::Ok, &[read(Some(&[1]))]),
        ]);
        for isolation in Isolation::ALL {
            let findings = check(&refused, &[(1, vec![1])].into(), isolation);
            assert_eq!(findings.unwanted, 1);
            assert!(findings.anomalies.contains(&"G1a".to_owned()), "{isolation:?}: {findings:?}");
        }
    }

    #[test]
    fn one_whose_end_nobody_knows_may_be_there_or_not() {
        let seen = |list: &[i64]| {
            history(&[
                (0, Known::Invoke, &[append(1)]),
                (0, Known::Info, &[append(1)]),
                (1, Known::Invoke, &[read(None)]),
                (1, Known::Ok, &[read(Some(list))]),
            ])
        };
        for list in [&[][..], &[1]] {
            let last = [(1, list.to_vec())].into();
            assert_eq!(check(&seen(list), &last, Isolation::Serializable), Findings::default());
        }
        let doubled = check(&seen(&[1, 1]), &[(1, vec![1, 1])].into(), Isolation::Serializable);
        assert_eq!(doubled.doubled, 1);
    }

    #[test]
    fn what_was_read_by_one_that_may_never_have_been_proves_nothing() {
        let with = |steps: &[Step]| {
            history(&[
                (0, Known::Invoke, &[append(1), read(None)]),
                (0, Known::Info, steps),
                (1, Known::Invoke, &[append(2)]),
                (1, Known::Ok, &[append(2)]),
                (2, Known::Invoke, &[read(None)]),
                (2, Known::Ok, &[read(Some(&[2]))]),
            ])
        };
        let last = [(1, vec![2])].into();
        let mut steps = [append(1), read(Some(&[1]))];
        // It saw its own append, and was not committed.
        assert!(!check(&with(&steps), &last, Isolation::ReadCommitted).why.is_empty());
        forget_what_was_read(&mut steps);
        assert_eq!(check(&with(&steps), &last, Isolation::ReadCommitted), Findings::default());
    }
}
