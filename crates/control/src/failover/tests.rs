//! One host of a database, told what happens: what it asks for, and in which order.

mod arithmetic;
mod first;
mod lonely;
mod status;
mod takeover;
mod wish;

use std::time::{Duration, Instant};

use super::*;

const LEASE: Duration = Duration::from_millis(1500);
const BEAT: Duration = Duration::from_millis(250);

fn host(name: &str) -> Host {
    Host::from(name)
}

fn cohort(members: &[&str], copies: usize) -> Cohort {
    Cohort { members: members.iter().map(|name| host(name)).collect(), copies }
}

fn rule() -> Rule {
    Rule::first(host("a"), cohort(&["a", "b", "c"], 2))
}

fn settings(me: &str) -> Settings {
    Settings {
        me: host(me),
        hosts: vec![host("a"), host("b"), host("c")],
        confirm: 1,
        durability: Durability::Strict,
        lease: LEASE,
        heartbeat: BEAT,
        clock_error: 0.05,
        absent_after: 2 * LEASE,
        apart: 10 * LEASE,
        lag: 10,
        switchover_within: LEASE,
        promote_within: 4 * LEASE,
        retry_after: BEAT,
    }
}

fn standby(term: Term, lsn: Lsn) -> Report {
    Report {
        role: Role::Standby,
        position: Some(Position { term: 1, lsn }),
        origin: Origin::Ruled,
        pledged: term,
        serves: None,
        source: Some((host("a"), term)),
        streams: true,
        diverged: false,
        synchronous: None,
        standbys: Vec::new(),
        disk: Disk::Well,
    }
}

fn primary(term: Term, lsn: Lsn, standbys: &[(&str, Lsn)]) -> Report {
    Report {
        role: Role::Primary,
        serves: Some(term),
        source: None,
        streams: false,
        synchronous: Some(rule().cohort),
        standbys: standbys.iter().map(|(name, lsn)| (host(name), *lsn)).collect(),
        ..standby(term, lsn)
    }
}

/// One machine, and the store and the engine that answer it when they are told to.
struct Scene {
    now: Instant,
    machine: Failover,
    revision: Revision,
    report: Report,
    /// What it has asked for since it was last looked at.
    asked: Vec<Output>,
    /// What it told of itself.
    told: Vec<Vitals>,
}

impl Scene {
    #[allow(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn before(me: &str) -> Self {
        let now = Instant::now();
        let machine = Failover::new(now, settings(me));
        Self { now, machine, revision: 10, report: standby(1, 100), asked: Vec::new(), told: Vec::new() }
    }

    fn new(me: &str, report: Report) -> Self {
        let mut scene = Self::before(me);
        let lease = Lease { term: 1, holder: Some(host("a")), beat: 1, end: None };
        scene.give(Input::Registers(vec![
            (Register::Rule, 1, Value::Rule(rule())),
            (Register::Lease, 2, Value::Lease(lease)),
        ]));
        scene.engine(report);
        scene
    }

    fn give(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Set { id, value: Value::Vitals(vitals), .. } => {
                    self.told.push(vitals);
                    self.revision += 1;
                    let outcome = Outcome::Done(self.revision);
                    self.machine.handle(self.now, Input::Set { id, outcome });
                }
                output => self.asked.push(output),
            }
        }
    }

    /// Time passes, the store answers and the engine reports, nothing is new.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = (self.now + BEAT / 2).min(end);
            self.give(Input::Contact);
            self.give(Input::Engine(self.report.clone()));
            self.give(Input::Timer);
        }
    }

    /// So many heartbeats, each of which the store grants.
    fn beats(&mut self, count: usize) {
        for _ in 0..count {
            self.pass(BEAT);
            while self.is_wanted(&Register::Lease) {
                self.grant(&Register::Lease);
            }
        }
    }

    fn engine(&mut self, report: Report) {
        self.report = report.clone();
        self.give(Input::Engine(report));
    }

    /// Somebody else changes a register.
    fn changed(&mut self, register: Register, value: Value) {
        self.revision += 1;
        self.give(Input::Changed { register, revision: self.revision, value });
    }

    /// The latest change of this register that it asked for and that has no answer yet.
    fn wanted(&mut self, register: &Register) -> Option<(Id, Value)> {
        let found = self
            .asked
            .iter()
            .position(|one| matches!(one, Output::Set { register: asked, .. } if asked == register))?;
        match self.asked.remove(found) {
            Output::Set { id, value, .. } => Some((id, value)),
            _ => None,
        }
    }

    fn is_wanted(&self, register: &Register) -> bool {
        self.asked.iter().any(|one| matches!(one, Output::Set { register: asked, .. } if asked == register))
    }

    /// The store does what it asked for.
    fn grant(&mut self, register: &Register) -> Value {
        let (id, value) = self.wanted(register).unwrap_or_else(|| panic!("{:?}", self.asked));
        self.revision += 1;
        self.give(Input::Set { id, outcome: Outcome::Done(self.revision) });
        value
    }

    fn grant_rule(&mut self) -> Rule {
        match self.grant(&Register::Rule) {
            Value::Rule(rule) => rule,
            other => panic!("{other:?}"),
        }
    }

    fn effect(&mut self) -> Option<(Id, Effect)> {
        let found = self.asked.iter().position(|one| matches!(one, Output::Do { .. }))?;
        match self.asked.remove(found) {
            Output::Do { id, effect } => Some((id, effect)),
            _ => None,
        }
    }

    /// The engine does what it asked for, and is like this then.
    fn done(&mut self, report: Report) -> Effect {
        let (id, effect) = self.effect().unwrap_or_else(|| panic!("{:?}", self.asked));
        self.report = report.clone();
        self.give(Input::Done { id, result: Ok(()), report });
        effect
    }

    fn says(&self, kind: Kind) -> String {
        let said = |one: &Output| match one {
            Output::Event { kind: said, why } if *said == kind => Some(why.clone()),
            _ => None,
        };
        self.asked.iter().filter_map(said).next_back().unwrap_or_default()
    }

    fn is_open(&self) -> bool {
        matches!(self.machine.gate(), Gate::Open { .. })
    }

    /// A primary that serves, with both standbys.
    fn serving() -> Self {
        let mut scene = Self::new("a", primary(1, 100, &[("b", 100), ("c", 100)]));
        scene.grant(&Register::Lease);
        assert!(scene.is_open());
        scene
    }
}

#[test]
fn the_gate_is_open_until_a_lease_after_the_question_and_not_longer() {
    let mut scene = Scene::new("a", primary(1, 100, &[]));
    assert!(!scene.is_open(), "the lease in the register is an earlier process's");
    let sent = scene.now;
    scene.now += Duration::from_millis(400);
    scene.grant(&Register::Lease);
    let until = sent + LEASE.mul_f64(0.95);
    assert_eq!(*scene.machine.gate(), Gate::Open { until, term: 1 });
    scene.now = until;
    scene.give(Input::Timer);
    assert!(!scene.is_open());
}

#[test]
fn a_primary_that_is_recruited_shuts_its_gate_and_then_pledges_itself() {
    let mut scene = Scene::serving();
    scene.asked.clear();
    scene.changed(Register::Rule, Value::Rule(rule().recruiting(2, host("b"))));
    assert!(matches!(scene.asked[0], Output::Gate(Gate::Close { .. })), "{:?}", scene.asked);
    let pledged = Report { source: None, ..standby(2, 104) };
    assert_eq!(scene.done(pledged), Effect::Pledge { term: 2 });
    let position = Some(Position { term: 1, lsn: 104 });
    assert_eq!(
        scene.grant(&Register::Pledge(host("a"))),
        Value::Pledge(Pledge { term: 2, position, fit: true })
    );
}

/// Found by the simulator.
#[test]
fn a_pledge_that_was_broken_off_half_way_is_made_again_before_it_is_told() {
    for half in [
        // Recorded, and still set to follow.
        standby(2, 100),
        // Recorded, and still a primary on its disk, though it does not run.
        Report { role: Role::Stopped, serves: Some(1), source: None, ..standby(2, 100) },
    ] {
        let mut scene = Scene::new("b", half);
        scene.changed(Register::Rule, Value::Rule(rule().recruiting(2, host("c"))));
        assert!(!scene.is_wanted(&Register::Pledge(host("b"))), "{:?}", scene.asked);
        let whole = Report { source: None, ..standby(2, 100) };
        assert_eq!(scene.done(whole), Effect::Pledge { term: 2 });
        assert!(scene.is_wanted(&Register::Pledge(host("b"))));
    }
}

#[test]
fn a_new_disk_says_so_before_anything_else_and_does_not_forget_what_the_old_one_pledged() {
    let blank = Report { position: None, pledged: 0, source: None, ..standby(0, 0) };
    let mut scene = Scene::new("b", blank.clone());
    assert!(scene.effect().is_none());
    // What an earlier process of this host published meanwhile.
    scene.wanted(&Register::Pledge(host("b")));
    let pledge = Pledge { term: 3, position: Some(Position { term: 1, lsn: 9 }), fit: true };
    scene.changed(Register::Pledge(host("b")), Value::Pledge(pledge));
    scene.give(Input::Set { id: 1, outcome: Outcome::Refused });
    let gone = Pledge { term: 3, position: None, fit: false };
    assert_eq!(scene.grant(&Register::Pledge(host("b"))), Value::Pledge(gone));
    // The rule's term is 1, and it may confirm for nothing below 3.
    assert!(scene.effect().is_none());
    let mut later = rule();
    later.term = 3;
    scene.changed(Register::Rule, Value::Rule(later));
    assert!(matches!(scene.effect(), Some((_, Effect::Rejoin { term: 3, .. }))));
}

#[test]
fn the_cohort_changes_in_the_register_then_in_the_engine_then_in_the_register() {
    let mut scene = Scene::serving();
    scene.engine(primary(1, 200, &[("b", 195)]));
    scene.pass(LEASE);
    assert!(!scene.is_wanted(&Register::Rule), "it has not been absent for long");
    for at in 0..=20 {
        scene.engine(primary(1, 200 + at, &[("b", 195 + at)]));
        scene.beats(1);
    }
    let with_b = scene.report.clone();
    // First both are demanded, and the engine waits.
    let new = cohort(&["a", "b"], 2);
    assert!(scene.effect().is_none());
    let both = scene.grant_rule();
    assert_eq!((&both.cohort, &both.also), (&new, &vec![rule().cohort]));
    // Then the engine goes by the new one.
    let goes_by_it = Report { synchronous: Some(new.clone()), ..with_b.clone() };
    assert_eq!(scene.done(goes_by_it.clone()), Effect::SetSynchronous { term: 1, cohort: new.clone() });
    assert!(!scene.is_wanted(&Register::Rule), "the standby has not confirmed what was acknowledged before");
    scene.engine(Report { standbys: vec![(host("b"), 220)], ..goes_by_it });
    let settled = scene.grant_rule();
    assert_eq!((settled.cohort, settled.also), (new, Vec::new()));
}

/// Found by the simulator.
#[test]
fn a_change_of_the_cohort_does_not_wait_for_who_is_connected_and_confirms_nothing() {
    let mut scene = Scene::serving();
    scene.machine.settings.durability = Durability::Available;
    // c leaves. As soon as b is what every write waits for, it confirms nothing more, and stays connected.
    let (mut confirmed, mut demanded) = (100, Vec::new());
    for beat in 0..60 {
        let rule = scene.machine.rule().cloned().expect("there is one");
        if rule.also.is_empty() {
            confirmed = 100 + beat;
        }
        let there = primary(1, 102 + beat, &[("b", confirmed)]);
        scene.engine(Report { synchronous: Some(rule.cohort), ..there });
        scene.beats(1);
        if scene.is_wanted(&Register::Rule) {
            demanded.push(scene.grant_rule());
        }
        if let Some((id, _)) = scene.effect() {
            let goes_by = scene.machine.rule().map(|rule| rule.cohort.clone());
            let report = Report { synchronous: goes_by, ..scene.report.clone() };
            scene.give(Input::Done { id, result: Ok(()), report });
        }
    }
    assert_eq!(demanded.first().map(|rule| &rule.cohort), Some(&cohort(&["a", "b"], 2)), "{demanded:?}");
    let alone = |rule: &Rule| rule.cohort == cohort(&["a"], 1) && rule.also.is_empty();
    assert!(demanded.iter().any(alone), "{demanded:?}");
}

#[test]
fn with_too_few_standbys_a_strict_database_waits_and_an_available_one_says_so_first() {
    let alone = primary(1, 200, &[]);
    for durability in [Durability::Strict, Durability::Available] {
        let mut scene = Scene::serving();
        scene.machine.settings.durability = durability;
        scene.engine(alone.clone());
        scene.beats(20);
        assert!(
            scene.effect().is_none(),
            "the engine goes by the old one until the register demands the new"
        );
        match durability {
            Durability::Strict => assert!(!scene.is_wanted(&Register::Rule)),
            Durability::Available => {
                let rule = scene.grant_rule();
                assert_eq!(rule.cohort, cohort(&["a"], 1));
                assert!(matches!(scene.effect(), Some((_, Effect::SetSynchronous { .. }))));
            }
        }
    }
}

#[test]
fn who_was_promoted_by_hand_never_serves() {
    let by_hand = Report { position: None, serves: None, ..primary(1, 100, &[]) };
    let mut scene = Scene::new("b", by_hand);
    assert!(!scene.is_open());
    assert!(scene.says(Kind::Conflict).contains("by hand"), "{:?}", scene.asked);
    let (_, effect) = scene.effect().expect("it becomes a standby again");
    assert_eq!(effect, Effect::Rejoin { primary: host("a"), term: 1, afresh: false });
}

#[test]
fn while_paused_nothing_new_begins() {
    let mut scene = Scene::new("b", standby(1, 100));
    scene.changed(Register::Wish, Value::Wish(Wish { paused: true, ..Wish::default() }));
    scene.pass(5 * LEASE);
    assert!(scene.asked.iter().all(|one| matches!(one, Output::Gate(_))), "{:?}", scene.asked);
    scene.changed(Register::Wish, Value::Wish(Wish::default()));
    assert!(scene.is_wanted(&Register::Lease));
}
