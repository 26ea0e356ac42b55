//! Taking over, being refused, handing over.

use super::*;

fn pledge(term: Term, lsn: Lsn) -> Value {
    Value::Pledge(Pledge { term, position: Some(Position { term: 1, lsn }), fit: true })
}

fn unfit(term: Term, lsn: Lsn) -> Value {
    Value::Pledge(Pledge { term, position: Some(Position { term: 1, lsn }), fit: false })
}

/// A standby that has taken the lease and pledged itself.
fn candidate() -> Scene {
    let mut scene = Scene::new("b", standby(1, 100));
    scene.pass(LEASE);
    assert!(!scene.is_wanted(&Register::Lease), "clocks may be wrong");
    scene.pass(LEASE / 2);
    let lease = scene.grant(&Register::Lease);
    assert!(matches!(lease, Value::Lease(Lease { term: 2, holder: Some(me), .. }) if me == host("b")));
    let intent = scene.grant_rule();
    assert_eq!(intent, rule().recruiting(2, host("b")));
    scene.done(Report { source: None, ..standby(2, 100) });
    scene.grant(&Register::Pledge(host("b")));
    scene
}

#[test]
fn a_silent_primary_is_succeeded_by_the_recruit_that_has_the_most() {
    let mut scene = candidate();
    assert!(!scene.is_wanted(&Register::Rule), "one recruit of two is not enough");
    scene.changed(Register::Pledge(host("c")), pledge(2, 120));
    let won = scene.grant_rule();
    assert_eq!((won.term, won.primary, won.by), (2, host("c"), host("b")));
    assert_eq!(won.cohort, rule().cohort, "a change of primary changes nothing else");
    let (_, effect) = scene.effect().expect("it follows");
    assert_eq!(effect, Effect::Follow { primary: host("c"), term: 2 });
}

/// Where the network comes and goes, one takeover is enough for a while; but only silence is distrusted, and only then.
#[test]
fn after_a_primary_that_only_seemed_dead_silence_must_last_longer_for_a_while() {
    let seemed = |scene: &mut Scene, deposed| {
        let told = Vitals { deposed, ..scene.told.last().cloned().expect("it tells how it is") };
        scene.changed(Register::Vitals(host("c")), Value::Vitals(told));
    };
    let mut scene = Scene::new("b", standby(1, 100));
    seemed(&mut scene, Some(1));
    scene.pass(2 * LEASE);
    assert!(!scene.is_wanted(&Register::Lease), "{:?}", scene.asked);
    assert!(scene.says(Kind::Refused).contains("only seemed to be dead"));
    scene.pass(2 * LEASE);
    assert!(scene.is_wanted(&Register::Lease), "it may be dead");
    // The operator has looked at it.
    let mut scene = Scene::new("b", standby(1, 100));
    seemed(&mut scene, Some(1));
    for paused in [true, false] {
        scene.changed(Register::Wish, Value::Wish(Wish { paused, ..Wish::default() }));
    }
    scene.pass(2 * LEASE);
    assert!(scene.is_wanted(&Register::Lease));
    // Its predecessor was really dead.
    let mut scene = Scene::new("b", standby(1, 100));
    seemed(&mut scene, None);
    scene.pass(2 * LEASE);
    assert!(scene.is_wanted(&Register::Lease));
    // It says that it is.
    let mut scene = Scene::new("b", standby(1, 100));
    seemed(&mut scene, Some(1));
    scene.changed(Register::Lease, Value::Lease(Lease { term: 1, holder: None, beat: 9, end: None }));
    assert!(scene.is_wanted(&Register::Lease));
    // A candidate that died, not a primary.
    let mut scene = Scene::new("b", standby(1, 100));
    seemed(&mut scene, Some(1));
    let lease = Lease { term: 2, holder: Some(host("c")), beat: 9, end: None };
    scene.changed(Register::Lease, Value::Lease(lease));
    scene.pass(2 * LEASE);
    assert!(scene.is_wanted(&Register::Lease));
}

/// Found by the simulator.
#[test]
fn a_primary_that_is_away_when_backing_off_ends_is_not_taken_for_dead_at_once() {
    let mut scene = Scene::new("b", standby(1, 100));
    let vitals = scene.told.last().cloned().expect("it tells how it is");
    scene.changed(Register::Vitals(host("c")), Value::Vitals(Vitals { deposed: Some(1), ..vitals }));
    let apart = scene.machine.settings.apart;
    let lease = |beat| Value::Lease(Lease { term: 1, holder: Some(host("a")), beat, end: None });
    for (beat, last) in [(2, apart / 2), (3, apart / 2 - LEASE / 2)] {
        // Seen just so often that it never was silent.
        for part in 0..20 {
            scene.changed(Register::Lease, lease(beat * 100 + part));
            scene.pass(last / 20);
        }
    }
    scene.changed(Register::Lease, lease(400));
    scene.pass(3 * LEASE);
    assert!(!scene.is_wanted(&Register::Lease), "its silence began while they backed off");
    scene.changed(Register::Lease, lease(401));
    scene.pass(2 * LEASE);
    assert!(scene.is_wanted(&Register::Lease), "and this one did not");
}

#[test]
fn a_primary_that_was_followed_while_it_ran_says_so_and_one_that_gave_up_does_not() {
    let follows = Rule { term: 2, primary: host("b"), by: host("b"), ..rule() };
    let told = |scene: &mut Scene| {
        scene.changed(Register::Rule, Value::Rule(follows.clone()));
        scene.pass(LEASE);
        scene.told.last().and_then(|told| told.deposed)
    };
    let mut scene = Scene::serving();
    assert_eq!(told(&mut scene), Some(2));
    scene.pass(10 * LEASE);
    assert_eq!(scene.told.last().and_then(|told| told.deposed), None, "only for a while");
    let mut scene = Scene::serving();
    scene.engine(Report { role: Role::Stopped, standbys: Vec::new(), ..primary(1, 100, &[]) });
    scene.grant(&Register::Lease);
    assert_eq!(told(&mut scene), None);
    // Found by the simulator: it had the most, and so it is the next primary as well.
    let mut scene = Scene::serving();
    scene.changed(Register::Rule, Value::Rule(Rule { term: 2, by: host("b"), ..rule() }));
    scene.pass(LEASE);
    assert_eq!(scene.told.last().and_then(|told| told.deposed), Some(2));
}

#[test]
fn with_too_few_recruits_it_says_who_is_missing_and_goes_on_when_they_return() {
    let mut scene = candidate();
    scene.changed(Register::Pledge(host("c")), pledge(1, 120));
    for _ in 0..10 {
        scene.pass(BEAT);
        scene.grant(&Register::Lease);
    }
    let why = scene.says(Kind::Refused);
    assert!(why.contains("a is missing") && why.contains("1 of a, c"), "{why}");
    assert!(!scene.is_wanted(&Register::Rule));
    scene.changed(Register::Pledge(host("c")), pledge(2, 120));
    assert_eq!(scene.grant_rule().primary, host("c"));
}

#[test]
fn of_those_that_have_the_most_one_that_could_serve_is_named() {
    let mut scene = candidate();
    scene.changed(Register::Pledge(host("c")), unfit(2, 100));
    assert_eq!(scene.grant_rule().primary, host("b"));
}

#[test]
fn who_has_the_most_and_cannot_serve_is_waited_for() {
    let mut scene = candidate();
    scene.changed(Register::Pledge(host("c")), unfit(2, 120));
    scene.beats(10);
    assert!(!scene.is_wanted(&Register::Rule), "no term is wasted");
    let why = scene.says(Kind::Refused);
    assert!(why.contains("c has what nobody else has, and can't serve"), "{why}");
    scene.changed(Register::Pledge(host("c")), pledge(2, 120));
    assert_eq!(scene.grant_rule().primary, host("c"));
}

#[test]
fn the_old_primary_is_enough_and_not_named_while_its_engine_fails() {
    let mut scene = candidate();
    scene.changed(Register::Pledge(host("a")), unfit(2, 130));
    assert!(!scene.is_wanted(&Register::Rule));
    scene.changed(Register::Pledge(host("c")), pledge(2, 100));
    assert_eq!(scene.grant_rule().primary, host("b"), "two that are fit are enough without it");
}

#[test]
fn who_is_named_takes_the_lease_sets_the_rule_and_serves() {
    let mut scene = Scene::new("b", Report { source: None, ..standby(2, 100) });
    let lease = Lease { term: 2, holder: Some(host("c")), beat: 9, end: None };
    scene.changed(Register::Lease, Value::Lease(lease));
    let won = Rule { term: 2, primary: host("b"), by: host("c"), ..rule() };
    scene.changed(Register::Rule, Value::Rule(won.clone()));
    scene.grant(&Register::Lease);
    let promoted = primary(2, 101, &[]);
    assert_eq!(scene.done(promoted), Effect::Promote { term: 2, cohort: won.cohort });
    assert!(scene.is_open());
}

#[test]
fn a_lease_of_somebody_who_may_serve_is_not_taken_at_once() {
    let mut scene = Scene::new("b", Report { source: None, ..standby(2, 100) });
    let won = Rule { term: 2, primary: host("b"), by: host("c"), ..rule() };
    scene.changed(Register::Rule, Value::Rule(won));
    assert!(!scene.is_wanted(&Register::Lease), "it is a's still");
    scene.pass(2 * LEASE);
    assert!(scene.is_wanted(&Register::Lease));
}

/// A primary that has shut its gate to hand over to b, and knows that b has everything.
fn handing_over() -> Scene {
    let mut scene = Scene::serving();
    let switchover = Some(Switchover { term: 1, to: Some(host("b")), force: false });
    scene.changed(Register::Wish, Value::Wish(Wish { switchover, ..Wish::default() }));
    assert!(scene.is_open(), "clients go on while a stop is made quick");
    assert_eq!(scene.done(primary(1, 120, &[("b", 120), ("c", 120)])), Effect::Measure);
    assert!(matches!(scene.machine.gate(), Gate::Hold { .. }));
    scene.engine(primary(1, 150, &[("b", 140), ("c", 150)]));
    scene.give(Input::GateIdle);
    assert!(matches!(scene.machine.gate(), Gate::Close { .. }));
    assert_eq!(scene.done(primary(1, 151, &[("b", 150), ("c", 150)])), Effect::Measure);
    assert!(!scene.is_wanted(&Register::Rule), "b lacks the end");
    scene.engine(primary(1, 151, &[("b", 151), ("c", 150)]));
    assert_eq!(scene.grant_rule(), rule().recruiting(2, host("a")));
    scene
}

#[test]
fn a_switchover_gives_the_next_term_to_who_has_everything() {
    let mut scene = handing_over();
    scene.changed(Register::Pledge(host("c")), pledge(2, 150));
    scene.changed(Register::Pledge(host("b")), pledge(2, 150));
    assert!(!scene.is_wanted(&Register::Rule), "that pledge says it lacks the end");
    scene.changed(Register::Pledge(host("b")), pledge(2, 151));
    let won = scene.grant_rule();
    assert_eq!((won.term, won.primary, won.by), (2, host("b"), host("a")));
    assert!(!scene.is_open());
}

#[test]
fn a_switchover_whose_target_dies_ends_on_the_old_primary_in_the_next_term() {
    let mut scene = handing_over();
    scene.beats(8);
    let won = scene.grant_rule();
    assert_eq!((won.term, won.primary), (2, host("a")));
    scene.grant(&Register::Lease);
    let goes_on = Report { pledged: 2, serves: Some(2), ..primary(2, 151, &[]) };
    assert!(matches!(scene.done(goes_on), Effect::Continue { term: 2, .. }));
    assert!(scene.is_open());
}

#[test]
fn a_transaction_that_stays_open_ends_a_switchover_and_nothing_else() {
    let mut scene = Scene::serving();
    let switchover = Some(Switchover { term: 1, to: None, force: false });
    scene.changed(Register::Wish, Value::Wish(Wish { switchover, ..Wish::default() }));
    assert_eq!(scene.done(primary(1, 120, &[("b", 120), ("c", 120)])), Effect::Measure);
    scene.beats(8);
    assert!(scene.is_open());
    assert!(scene.says(Kind::Refused).contains("too long"), "{:?}", scene.asked);
    assert!(!scene.is_wanted(&Register::Rule));
}

#[test]
fn by_force_a_transaction_that_stays_open_is_ended_and_the_switchover_goes_on() {
    let mut scene = Scene::serving();
    let switchover = Some(Switchover { term: 1, to: None, force: true });
    scene.changed(Register::Wish, Value::Wish(Wish { switchover, ..Wish::default() }));
    assert_eq!(scene.done(primary(1, 120, &[("b", 120), ("c", 120)])), Effect::Measure);
    scene.beats(5);
    assert!(matches!(scene.machine.gate(), Gate::Hold { .. }), "it has its time");
    scene.asked.clear();
    scene.beats(2);
    let shut = scene.asked.iter().position(|one| matches!(one, Output::Gate(Gate::Close { .. })));
    let measured = scene.asked.iter().position(|one| matches!(one, Output::Do { .. }));
    assert!(shut.is_some() && shut < measured, "{:?}", scene.asked);
    assert_eq!(scene.done(primary(1, 120, &[("b", 120), ("c", 120)])), Effect::Measure);
    assert_eq!(scene.grant_rule(), rule().recruiting(2, host("a")));
}

#[test]
fn an_engine_that_stops_costs_the_lease_at_once_and_the_gate_before() {
    let mut scene = Scene::serving();
    scene.asked.clear();
    scene.engine(Report { role: Role::Stopped, standbys: Vec::new(), ..primary(1, 100, &[]) });
    let shut = scene.asked.iter().position(|one| matches!(one, Output::Gate(Gate::Close { .. })));
    let gave_up = scene.asked.iter().position(|one| matches!(one, Output::Set { .. }));
    assert!(shut.is_some() && shut < gave_up, "{:?}", scene.asked);
    assert!(matches!(scene.grant(&Register::Lease), Value::Lease(Lease { holder: None, .. })));
    // Nobody takes it: the engine is started again.
    for _ in 0..30 {
        if !scene.is_wanted(&Register::Lease) {
            scene.pass(BEAT);
        }
    }
    scene.grant(&Register::Lease);
    assert!(matches!(scene.effect(), Some((_, Effect::Promote { term: 1, .. }))));
}
