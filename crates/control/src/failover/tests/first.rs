//! How a database begins, and when it must not.

use super::*;

fn blank() -> Report {
    Report { role: Role::Stopped, position: None, pledged: 0, source: None, ..standby(0, 0) }
}

fn initialised() -> Report {
    Report { origin: Origin::Initialised, synchronous: None, ..primary(1, 1, &[]) }
}

fn adopted(term: Term) -> Report {
    let position = Some(Position { term, lsn: 900 });
    Report { origin: Origin::Adopted, position, ..primary(term, 900, &[]) }
}

/// No rule is in the register.
fn begins(me: &str, report: Report) -> Scene {
    let mut scene = Scene::before(me);
    scene.give(Input::Registers(Vec::new()));
    scene.engine(report);
    scene
}

fn nothing() -> Value {
    Value::Pledge(Pledge { term: 0, position: None, fit: false })
}

fn first_rule(term: Term, me: &str) -> Rule {
    let also = vec![cohort(&[me], 1)];
    Rule { term, also, ..Rule::first(host(me), rule().cohort) }
}

/// The first host, which has made a database after all have said that they have nothing.
fn has_made() -> Scene {
    let mut scene = begins("a", blank());
    assert!(scene.effect().is_none());
    assert_eq!(scene.grant(&Register::Pledge(host("a"))), nothing());
    scene.changed(Register::Pledge(host("b")), nothing());
    assert!(scene.effect().is_none(), "c has said nothing");
    scene.changed(Register::Pledge(host("c")), nothing());
    assert_eq!(scene.done(initialised()), Effect::Initialise);
    scene.grant(&Register::Pledge(host("a")));
    scene
}

#[test]
fn the_first_host_makes_a_database_once_all_have_said_that_they_have_nothing() {
    let mut scene = has_made();
    assert_eq!(scene.grant_rule(), first_rule(1, "a"));
    scene.grant(&Register::Lease);
    assert!(!scene.is_open(), "its engine goes by no rule");
    let ruled = Report { origin: Origin::Ruled, ..primary(1, 2, &[]) };
    assert!(matches!(scene.done(ruled), Effect::SetSynchronous { term: 1, .. }));
    assert!(scene.is_open());
    // Only it has everything, until the others have confirmed all of it.
    assert!(!scene.is_wanted(&Register::Rule));
    scene.engine(Report { origin: Origin::Ruled, ..primary(1, 2, &[("b", 2)]) });
    assert_eq!(scene.grant_rule(), rule());
}

#[test]
fn the_others_say_that_they_have_nothing_and_wait() {
    let mut scene = begins("b", blank());
    assert_eq!(scene.grant(&Register::Pledge(host("b"))), nothing());
    for other in ["a", "c"] {
        scene.changed(Register::Pledge(host(other)), nothing());
    }
    scene.pass(5 * LEASE);
    assert!(scene.effect().is_none() && !scene.is_wanted(&Register::Rule), "{:?}", scene.asked);
    scene.changed(Register::Rule, Value::Rule(first_rule(1, "a")));
    assert_eq!(
        scene.effect().map(|(_, effect)| effect),
        Some(Effect::Rejoin { primary: host("a"), term: 1, afresh: false })
    );
}

#[test]
fn who_lost_the_first_rule_never_counts_what_it_made() {
    let mut scene = has_made();
    let (id, _) = scene.wanted(&Register::Rule).expect("it tries");
    // Somebody recruits already: it has nothing to say.
    let other = first_rule(1, "b");
    scene.changed(Register::Rule, Value::Rule(other.recruiting(2, host("c"))));
    scene.give(Input::Set { id, outcome: Outcome::Refused });
    assert!(scene.effect().is_none() && !scene.is_wanted(&Register::Pledge(host("a"))), "{:?}", scene.asked);
    scene.pass(5 * LEASE);
    assert!(!scene.is_wanted(&Register::Lease), "it is no candidate");
    scene.changed(Register::Rule, Value::Rule(other));
    assert_eq!(
        scene.effect().map(|(_, effect)| effect),
        Some(Effect::Rejoin { primary: host("b"), term: 1, afresh: false })
    );
}

#[test]
fn data_without_a_rule_are_never_begun_anew() {
    let mut scene = begins("a", blank());
    scene.grant(&Register::Pledge(host("a")));
    scene.changed(Register::Pledge(host("b")), Value::Pledge(Pledge { term: 4, position: None, fit: false }));
    scene.changed(Register::Pledge(host("c")), nothing());
    scene.pass(2 * LEASE);
    assert!(scene.effect().is_none());
    let why = scene.says(Kind::Refused);
    assert!(why.starts_with("b may have data") && why.contains("snapshot"), "{why}");
    // And who has them.
    let mut scene = begins("b", Report { source: None, ..standby(4, 100) });
    let said = Value::Pledge(Pledge { term: 4, position: None, fit: false });
    assert_eq!(scene.grant(&Register::Pledge(host("b"))), said);
    scene.pass(2 * LEASE);
    assert!(scene.says(Kind::Refused).contains("it has data"), "{:?}", scene.asked);
    assert!(scene.effect().is_none() && !scene.is_wanted(&Register::Rule));
}

#[test]
fn a_database_that_is_adopted_begins_in_its_own_term_on_whatever_host() {
    let mut scene = begins("b", adopted(7));
    scene.grant(&Register::Pledge(host("b")));
    assert_eq!(scene.grant_rule(), first_rule(7, "b"));
    scene.grant(&Register::Lease);
    // Though its engine happens to go by the very rule: from now on it must not forget whose they are.
    assert!(!scene.is_open());
    assert!(matches!(scene.effect(), Some((_, Effect::SetSynchronous { term: 7, .. }))));
}

#[test]
fn an_available_database_begins_with_one() {
    let mut scene = begins("a", adopted(7));
    scene.machine.settings.durability = Durability::Available;
    scene.grant(&Register::Pledge(host("a")));
    let alone = Rule { term: 7, ..Rule::first(host("a"), cohort(&["a"], 1)) };
    assert_eq!(scene.grant_rule(), alone);
}

#[test]
fn what_somebody_else_put_there_is_not_touched() {
    let foreign = Report { origin: Origin::Foreign, pledged: 0, ..standby(0, 100) };
    let mut scene = begins("a", foreign.clone());
    scene.pass(2 * LEASE);
    assert!(scene.says(Kind::Conflict).contains("nines adopt"), "{:?}", scene.asked);
    assert!(!scene.is_wanted(&Register::Pledge(host("a"))), "it can't say that it has nothing");
    // Nor what was adopted after a database had begun.
    for report in [foreign, adopted(1)] {
        let mut scene = Scene::new("a", report);
        let said = scene.grant(&Register::Pledge(host("a")));
        assert!(matches!(said, Value::Pledge(Pledge { position: None, fit: false, .. })));
        scene.changed(Register::Rule, Value::Rule(rule().recruiting(2, host("b"))));
        scene.pass(2 * LEASE);
        assert!(scene.says(Kind::Conflict).contains("of another database"), "{:?}", scene.asked);
        assert!(scene.asked.iter().all(|one| !matches!(one, Output::Do { .. } | Output::Set { .. })));
    }
}
