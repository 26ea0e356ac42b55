//! The machine: `handle` what happens, `poll` what is to be done, come back at `deadline`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cohort::Barrier;
use super::gate::Held;
use super::handover::Handover;
use super::known::{Asked, Known};
use super::lonely::Pace;
use super::{
    Disk, Effect, Failure, Gate, Host, Id, Input, Kind, Output, Register, Report, Revision, Role, Rule,
    Settings, Term, Value,
};

/// One database on this host.
///
/// What it holds beside what it was told last is small, and losing it is never unsafe: a lease that it may serve by, a
/// candidacy, a handover, timers.
#[derive(Debug, Clone)]
pub struct Failover {
    pub(super) settings: Settings,
    /// The latest time heard of; time never goes back.
    pub(super) now: Instant,
    pub(super) known: Known,
    pub(super) report: Option<Report>,
    reported_at: Instant,
    last_contact: Instant,
    /// Since then the store has answered without a break.
    pub(super) contact_since: Instant,
    pub(super) doing: Option<Doing>,
    next_id: Id,
    pub(super) gate: Gate,
    /// The lease as this process itself has renewed it.
    pub(super) held: Option<Held>,
    /// The term that this process tries to recruit for.
    pub(super) candidacy: Option<Term>,
    /// Since when it lacks recruits, or a rule.
    pub(super) lacking: Option<Instant>,
    pub(super) handover: Option<Handover>,
    /// The revision of the latest wish that was granted or refused.
    pub(super) wish_done: Revision,
    pub(super) barrier: Option<Barrier>,
    /// Members that don't stream from here, and since when.
    pub(super) absent: BTreeMap<Host, Instant>,
    /// It leaves serving to others until then, and why.
    pub(super) unable_until: Option<(Instant, &'static str)>,
    /// What failed is tried again then.
    pub(super) retry_at: Instant,
    /// This process has told the store that what an earlier one pledged went with its disk.
    pub(super) fenced: bool,
    pub(super) leaving: bool,
    /// How far each standby keeps up, in the term that this host serves.
    pub(super) pace: BTreeMap<Host, Pace>,
    /// Since when too few standbys get its log, in this term.
    pub(super) lonely_since: Option<(Term, Instant)>,
    /// In this term enough of them once did.
    pub(super) gathered: Option<Term>,
    /// It gave up since it lacked standbys, and leaves it to others until then.
    pub(super) lonely_until: Option<Instant>,
    /// It had the lease for this term, and has not given it up.
    pub(super) served: Option<Term>,
    /// It was the primary, and this term was recruited for by another though it ran; said until then.
    pub(super) deposed: Option<(Term, Instant)>,
    /// It has done what the operator wanted, and not yet said so.
    pub(super) reinitialised: bool,
    /// When it last said how it is.
    pub(super) told_vitals: Option<Instant>,
    /// The longest that its engine ever took to become a primary, as far as this process knows.
    pub(super) promoted_in: Option<Duration>,
    /// The latest of what is said only when it changes.
    said: BTreeMap<Kind, String>,
    outbox: VecDeque<Output>,
    wake: Option<Instant>,
}

/// What the engine is at.
#[derive(Debug, Clone)]
pub(super) struct Doing {
    id: Id,
    pub(super) effect: Effect,
    pub(super) since: Instant,
}

impl Failover {
    /// It does nothing before it has been told all registers and how its engine is.
    pub fn new(now: Instant, settings: Settings) -> Self {
        Self {
            settings,
            now,
            known: Known::new(now),
            report: None,
            reported_at: now,
            last_contact: now,
            contact_since: now,
            doing: None,
            next_id: 1,
            gate: Gate::Close { why: "starts" },
            held: None,
            candidacy: None,
            lacking: None,
            handover: None,
            wish_done: 0,
            barrier: None,
            absent: BTreeMap::new(),
            unable_until: None,
            retry_at: now,
            fenced: false,
            leaving: false,
            pace: BTreeMap::new(),
            lonely_since: None,
            gathered: None,
            lonely_until: None,
            served: None,
            deposed: None,
            reinitialised: false,
            told_vitals: None,
            promoted_in: None,
            said: BTreeMap::new(),
            outbox: VecDeque::from([Output::Gate(Gate::Close { why: "starts" })]),
            wake: None,
        }
    }

    /// Something happened: takes note of it, and decides anew what is to be done.
    pub fn handle(&mut self, now: Instant, input: Input) {
        let stood = now.saturating_duration_since(self.now);
        self.now = self.now.max(now);
        if stood > self.settings.lease / 2 {
            // It was this process that did not run: that says nothing about others.
            self.reported_at += stood;
            self.contact_since = self.now;
            self.last_contact = self.now;
        }
        match input {
            Input::Timer => {}
            Input::Registers(all) => {
                self.contact();
                for (register, revision, value) in all {
                    self.known.learn(self.now, register, revision, value);
                }
                self.known.read = true;
            }
            Input::Changed { register, revision, value } => {
                self.contact();
                self.known.learn(self.now, register, revision, value);
            }
            Input::Contact => self.contact(),
            Input::Set { id, outcome } => {
                if let Some(asked) = self.known.answered(self.now, id, outcome) {
                    self.contact();
                    self.was_set(&asked);
                }
            }
            Input::Engine(report) => self.take_report(report),
            Input::Done { id, result, report } => self.done(id, result, report),
            Input::GateIdle => self.gate_idle(),
            Input::Leave => self.leaving = true,
        }
        self.wake = None;
        // What must be shut is shut before anything else is asked for.
        self.set_gate();
        self.decide();
        self.tell_vitals();
        self.set_gate();
    }

    /// The next thing wanted done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    /// When to call `handle` with [`Input::Timer`], if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    /// Goes by what else is said of this database from now on. What the rule says holds until it is changed as ever, so this is safe at any time,
    /// and needs not be so on all hosts at once: `confirm` and `durability` are what a primary makes of the cohort, step by step; the
    /// others are this host's patience. Lease, heartbeat and the list of hosts stay: those are promises between hosts.
    pub fn reconfigure(&mut self, now: Instant, settings: &Settings) {
        self.settings.confirm = settings.confirm;
        self.settings.durability = settings.durability;
        self.settings.lag = settings.lag;
        self.settings.switchover_within = settings.switchover_within;
        self.wake = Some(self.wake.map_or(now, |wake| wake.min(now)));
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The rule as it was last seen here.
    pub fn rule(&self) -> Option<&Rule> {
        self.known.rule.value.as_deref()
    }

    /// After [`Input::Leave`]: nobody need wait for this host any more.
    pub fn has_let_go(&self) -> bool {
        let holds = self.known.lease.value.holder.as_ref() == Some(&self.settings.me);
        self.leaving
            && !holds
            && !self.known.is_asked(&Register::Lease)
            && matches!(self.gate, Gate::Close { .. })
    }

    /// What the gate was last told.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    fn decide(&mut self) {
        if !self.known.read || self.report.is_none() {
            return;
        }
        let Some(rule) = self.known.rule.value.clone() else { return self.found() };
        if !self.fence() {
            return;
        }
        self.tend_reinit(&rule);
        if self.is_foreign() {
            if self.is_to_reinit() {
                self.stand_by(&rule);
            }
            return;
        }
        self.forget_what_is_over(&rule);
        match &rule.taking {
            Some(intent) if self.handover.is_none() => self.answer(intent.term),
            _ => {}
        }
        if rule.primary == self.settings.me && (rule.taking.is_none() || self.handover.is_some()) {
            self.lead(&rule);
        } else {
            self.stand_by(&rule);
            self.seek(&rule);
        }
    }

    /// A candidacy or a handover ends as soon as the rule is another.
    fn forget_what_is_over(&mut self, rule: &Arc<Rule>) {
        let me = &self.settings.me;
        if self.handover.as_ref().is_some_and(|handover| handover.is_over(rule, me)) {
            self.handover = None;
        }
        if self.candidacy.is_some_and(|term| {
            rule.term >= term || rule.taking.as_ref().is_some_and(|intent| intent.term > term)
        }) {
            self.candidacy = None;
            self.lacking = None;
        }
        if std::mem::take(&mut self.known.resumed) {
            self.deposed = None;
        }
        if self.served.is_some_and(|term| term < rule.term) {
            self.served = None;
            // Also if it was named again, since it has the most.
            if rule.by != *me {
                self.deposed = Some((rule.term, self.now + self.settings.apart));
            }
        }
        let lease = &self.known.lease.value;
        let is_mine = |term: Term| lease.holder.as_ref() == Some(me) && lease.term == term;
        if self.held.as_ref().is_some_and(|held| !is_mine(held.term)) {
            self.held = None;
        }
        if self.candidacy.is_none_or(|term| !is_mine(term)) {
            self.candidacy = None;
            self.lacking = None;
        }
    }

    fn contact(&mut self) {
        if self.now.saturating_duration_since(self.last_contact) > self.settings.lease / 2 {
            self.contact_since = self.now;
        }
        self.last_contact = self.now;
    }

    /// When the store last answered, or said what is new.
    pub fn heard_store(&self) -> Instant {
        self.last_contact
    }

    /// Whether what is known of the registers is not older than a part of the lease.
    pub(super) fn is_in_contact(&self) -> bool {
        self.now.saturating_duration_since(self.last_contact) <= self.settings.lease / 2
    }

    fn take_report(&mut self, report: Report) {
        self.reported_at = self.now;
        self.report = Some(report);
        self.watch_engine();
    }

    fn done(&mut self, id: Id, result: Result<(), Failure>, report: Report) {
        let Some(doing) = self.doing.take_if(|doing| doing.id == id) else { return };
        self.reported_at = self.now;
        self.report = Some(report);
        match result {
            Ok(()) => {
                if doing.effect.makes_a_primary() {
                    let took = self.now.saturating_duration_since(doing.since);
                    self.promoted_in = self.promoted_in.max(Some(took));
                }
                self.was_done(&doing.effect);
            }
            Err(failure) => {
                self.retry_at = self.now + self.settings.retry_after;
                if matches!(doing.effect, Effect::Promote { .. } | Effect::Continue { .. }) {
                    self.unable("it could not become a primary");
                }
                self.say(Kind::Conflict, format!("{}: {}", doing.effect.word(), failure.0));
            }
        }
    }

    fn was_done(&mut self, effect: &Effect) {
        let end = self.report.as_ref().and_then(|report| report.position);
        match effect {
            Effect::Promote { term, cohort } | Effect::Continue { term, cohort } => {
                self.barrier = end.map(|end| Barrier { cohort: cohort.clone(), lsn: end.lsn });
                self.say(Kind::Serving, format!("primary of term {term}, each write on {cohort}"));
            }
            Effect::SetSynchronous { cohort, .. } => {
                self.barrier = end.map(|end| Barrier { cohort: cohort.clone(), lsn: end.lsn });
            }
            Effect::Measure => self.measured(end),
            Effect::Rejoin { primary, afresh, .. } => {
                self.reinitialised |= afresh;
                self.say(Kind::Following, format!("it is a copy of {primary}'s now"));
            }
            Effect::Initialise | Effect::Pledge { .. } | Effect::Follow { .. } => {}
        }
    }

    fn was_set(&mut self, asked: &Asked) {
        match (&asked.register, &asked.value) {
            (Register::Lease, Value::Lease(lease)) if lease.holder.as_ref() == Some(&self.settings.me) => {
                let lasts = self.settings.lease.mul_f64(1.0 - self.settings.clock_error);
                self.held = Some(Held { term: lease.term, renewed: asked.at, until: asked.at + lasts });
                match self.known.rule.value.as_ref() {
                    Some(rule) if lease.term > rule.term => self.candidacy = Some(lease.term),
                    Some(rule) if rule.primary == self.settings.me => self.served = Some(lease.term),
                    _ => {}
                }
            }
            (Register::Lease, _) => self.held = None,
            (Register::Pledge(_), _) => self.fenced = true,
            _ => {}
        }
    }

    /// How its engine is, if that was heard of lately.
    pub(super) fn fresh(&self) -> Option<&Report> {
        let age = self.now.saturating_duration_since(self.reported_at);
        self.report.as_ref().filter(|_| age <= self.settings.lease)
    }

    /// Whether it could serve, as far as its engine goes.
    pub(super) fn is_fit(&mut self) -> bool {
        if self.unable_until.is_some_and(|(until, _)| self.is_due(until)) {
            self.unable_until = None;
        }
        // It goes stale without anything happening.
        let _ = self.is_due(self.reported_at + self.settings.lease + Duration::from_nanos(1));
        self.why_unfit().is_none()
    }

    pub(super) fn why_unfit(&self) -> Option<&'static str> {
        let Some(report) = self.fresh() else { return Some("nothing is heard of its engine") };
        match report {
            _ if self.leaving => Some("it is about to stop"),
            Report { disk: Disk::Full, .. } => Some("its disk is full"),
            Report { disk: Disk::Stalled, .. } => Some("its disk is stalled"),
            Report { role: Role::Unknown, .. } => Some("its engine doesn't answer"),
            _ if self.position().is_none() => Some("it has no data that count"),
            _ => self.unable_until.filter(|(until, _)| self.now < *until).map(|(_, why)| why),
        }
    }

    /// The lowest term that this host may still confirm for: the disk's word, or the store's if the disk is new.
    pub(super) fn floor(&self) -> Term {
        let durable = self.report.as_ref().map_or(0, |report| report.pledged);
        durable.max(self.known.pledge(&self.settings.me).term)
    }

    /// Whether that time has come; if not, the machine comes back then.
    pub(super) fn is_due(&mut self, at: Instant) -> bool {
        if self.now < at {
            self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        }
        self.now >= at
    }

    /// Asks for a change, unless one of that register is under way.
    pub(super) fn set(&mut self, register: Register, value: Value) {
        if self.known.is_asked(&register) {
            return;
        }
        let id = self.take_id();
        let expected = self.known.revision(&register);
        let asked = Asked { id, register: register.clone(), value: value.clone(), at: self.now };
        self.known.ask(asked);
        self.outbox.push_back(Output::Set { id, register, expected, value });
    }

    pub(super) fn set_rule(&mut self, rule: Rule) {
        self.set(Register::Rule, Value::Rule(rule));
    }

    /// Asks for an effect, unless one is under way.
    pub(super) fn begin(&mut self, effect: Effect) {
        if self.doing.is_none() {
            let id = self.take_id();
            self.doing = Some(Doing { id, effect: effect.clone(), since: self.now });
            self.outbox.push_back(Output::Do { id, effect });
        }
    }

    pub(super) fn change_gate(&mut self, gate: Gate) {
        if self.gate != gate {
            self.gate = gate.clone();
            self.outbox.push_back(Output::Gate(gate));
        }
    }

    /// Says it, unless it is what was said last of this kind.
    pub(super) fn say(&mut self, kind: Kind, why: String) {
        if self.said.get(&kind) != Some(&why) {
            self.said.insert(kind, why.clone());
            self.outbox.push_back(Output::Event { kind, why });
        }
    }

    fn take_id(&mut self) -> Id {
        self.next_id += 1;
        self.next_id - 1
    }
}

impl Effect {
    /// As it stands in events.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Initialise => "initialise",
            Self::Pledge { .. } => "pledge",
            Self::Follow { .. } => "follow",
            Self::Rejoin { .. } => "rejoin",
            Self::Promote { .. } => "promote",
            Self::Continue { .. } => "continue",
            Self::SetSynchronous { .. } => "set synchronous",
            Self::Measure => "measure",
        }
    }
}
