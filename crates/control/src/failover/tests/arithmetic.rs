//! How many recruits are enough.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn recruits(all: &[(&str, Term, Lsn)]) -> Recruits {
    all.iter().map(|(name, term, lsn)| (host(name), Position { term: *term, lsn: *lsn })).collect()
}

#[test]
fn enough_is_all_but_the_copies_and_one_or_the_primary_alone() {
    let rule = rule();
    assert!(matches!(rule.verdict(&recruits(&[("b", 1, 5)])), Verdict::Missing(_)));
    let best = Position { term: 1, lsn: 7 };
    assert_eq!(rule.verdict(&recruits(&[("b", 1, 5), ("c", 1, 7)])), Verdict::Enough(best));
    assert_eq!(rule.verdict(&recruits(&[("a", 1, 7)])), Verdict::Enough(best));
    // A stranger may have whatever it likes.
    assert_eq!(rule.verdict(&recruits(&[("a", 1, 7), ("x", 1, 9)])), Verdict::Enough(best));
    assert!(matches!(rule.verdict(&recruits(&[("b", 1, 5), ("x", 1, 9)])), Verdict::Missing(_)));
}

#[test]
fn the_higher_term_wins_whatever_the_length() {
    let best = Position { term: 2, lsn: 5 };
    assert_eq!(rule().verdict(&recruits(&[("b", 1, 900), ("c", 2, 5)])), Verdict::Enough(best));
}

#[test]
fn a_primary_alone_is_the_only_one_that_can_follow_itself() {
    let degraded = Rule::first(host("a"), cohort(&["a"], 1));
    let others = degraded.verdict(&recruits(&[("b", 1, 5), ("c", 1, 5)]));
    assert_eq!(others, Verdict::Missing(vec![(1, BTreeSet::from([host("a")]))]));
    assert!(matches!(degraded.verdict(&recruits(&[("a", 1, 5)])), Verdict::Enough(_)));
}

#[test]
fn while_two_cohorts_hold_both_are_asked() {
    let both = rule().with_cohort(cohort(&["a", "b"], 2)).expect("it is the first change");
    assert!(matches!(both.verdict(&recruits(&[("b", 1, 5)])), Verdict::Missing(_)));
    assert!(matches!(both.verdict(&recruits(&[("b", 1, 5), ("c", 1, 5)])), Verdict::Enough(_)));
    assert!(matches!(both.settled().verdict(&recruits(&[("b", 1, 5)])), Verdict::Enough(_)));
}

#[test]
fn changes_that_are_not_finished_are_bounded() {
    let mut rule = rule();
    let mut changes = 0;
    while let Some(next) = rule.with_cohort(cohort(&["a", &format!("x{changes}")], 2)) {
        rule = next;
        changes += 1;
        assert!(changes < 10);
    }
    assert!(rule.with_cohort(rule.also[0].clone()).is_some(), "back to one that holds is always possible");
}

proptest! {
    /// Whatever the cohort, the primary and who confirmed: recruits that are enough include somebody who has the write.
    #[test]
    fn enough_recruits_have_every_acknowledged_write(
        size in 1_usize..7,
        copies in 1_usize..7,
        primary in 0_usize..7,
        holders in 0_u32..128,
        asked in 0_u32..128,
    ) {
        let name = |at: usize| format!("h{at}");
        prop_assume!(copies <= size);
        let members: BTreeSet<Host> = (0..size).map(|at| Host::from(name(at))).collect();
        let cohort = Cohort { members, copies };
        let is_primary = |at: usize| at == primary;
        let confirmed = (0..size).filter(|at| !is_primary(*at) && holders & (1 << at) != 0).count();
        prop_assume!(confirmed >= cohort.confirmations(&Host::from(name(primary))));
        let rule = Rule::first(Host::from(name(primary)), cohort);
        let has = |at: usize| is_primary(at) || (at < size && holders & (1 << at) != 0);
        let recruits: Recruits = (0..7)
            .filter(|at| asked & (1 << at) != 0)
            .map(|at| (Host::from(name(at)), Position { term: 1, lsn: if has(at) { 10 } else { 9 } }))
            .collect();
        if let Verdict::Enough(best) = rule.verdict(&recruits) {
            prop_assert_eq!(best.lsn, 10);
        }
    }
}
