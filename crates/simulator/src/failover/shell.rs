//! What runs the machine on a host of the model: it carries messages, keeps time-outs, and is the gate.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nines_control::failover::Input as Given;
use nines_control::failover::{
    Effect, Failover, Failure, Gate, Host, Id, Origin, Outcome, Output, Pledge, Position, Register, Report,
    Revision, Role, Rule, Settings, Status, Value, Vitals,
};
use nines_control::random::Random;

use super::message::{Life, Message, Note, Order};
use super::mistake::Mistake;
use super::node::Node;
use super::scene::Scene;
use crate::{Doing, HostIndex, Input, between, chance};

#[derive(Debug)]
pub struct Shell {
    settings: Settings,
    names: Rc<Vec<Host>>,
    engine: HostIndex,
    store: HostIndex,
    random: Random,
    mistake: Option<Mistake>,
    writes_every: Duration,
    transactions_take: Option<Duration>,
    life: Life,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    machine: Failover,
    /// The store has told all that it knew up to there.
    polled: Revision,
    /// Changes under way, and when they are given up.
    asked: BTreeMap<Id, Instant>,
    /// The effect under way, and since when.
    effect: Option<(Id, Instant)>,
    /// The latest report's number: what is older is dropped.
    heard: u64,
    gate: Gate,
    /// Grows with each time that the gate is held.
    holds: u64,
}

impl Shell {
    pub(super) fn new(scene: &Scene, me: HostIndex, seed: u64, mistake: Option<Mistake>) -> Self {
        let hosts = scene.hosts;
        Self {
            settings: scene.settings(me),
            names: scene.names.clone(),
            engine: hosts + me,
            store: 2 * hosts,
            random: Random::seeded(seed),
            mistake,
            writes_every: scene.writes_every,
            transactions_take: scene.effects_take.map(|_| Duration::from_millis(10)),
            life: 0,
            process: None,
        }
    }

    pub(super) fn start(&mut self, now: Instant, doing: &mut Doing<Node>) {
        self.life += 1;
        self.process = Some(Process {
            machine: Failover::new(now, self.settings.clone()),
            polled: 0,
            asked: BTreeMap::new(),
            effect: None,
            heard: 0,
            gate: Gate::Close { why: "starts" },
            holds: 0,
        });
        self.act(now, doing);
        self.beat(now, doing);
        doing.later(between(&mut self.random, Duration::ZERO, self.writes_every), Order::Client);
    }

    pub(super) fn crash(&mut self) {
        self.process = None;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.process.as_ref()?.machine.deadline()
    }

    /// Until when replies may pass.
    pub(super) fn open_until(&self, now: Instant) -> Option<Instant> {
        let until = match &self.process.as_ref()?.gate {
            Gate::Open { until, .. } | Gate::Hold { until } => *until,
            Gate::Close { .. } => return None,
        };
        let ignores = self.mistake == Some(Mistake::GateWithoutDeadline);
        (now < until || ignores).then_some(until)
    }

    /// What a person would see.
    pub(super) fn status(&self, now: Instant) -> Option<Status> {
        Some(self.process.as_ref()?.machine.status(now))
    }

    pub(super) fn rule(&self) -> Option<&Rule> {
        self.process.as_ref()?.machine.rule()
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input<Message, Order>, doing: &mut Doing<Node>) {
        match input {
            Input::Timer => self.give(now, Given::Timer, doing),
            Input::Order(Order::Beat) => self.beat(now, doing),
            Input::Order(Order::Client) => {
                let takes = self.open_until(now).is_some();
                let opens = self.process.as_ref().is_some_and(|one| matches!(one.gate, Gate::Open { .. }));
                if takes && opens {
                    doing.send(self.engine, Message::Write);
                }
                let wait = between(&mut self.random, self.writes_every / 2, self.writes_every * 3 / 2);
                doing.later(wait, Order::Client);
            }
            Input::Order(Order::Idle(hold)) => {
                if self.process.as_ref().is_some_and(|one| one.holds == hold) {
                    self.give(now, Given::GateIdle, doing);
                }
            }
            Input::Order(Order::Leave) => self.give(now, Given::Leave, doing),
            Input::Order(_) => {}
            Input::Message { message, .. } => self.hear(now, message, doing),
        }
    }

    fn beat(&mut self, now: Instant, doing: &mut Doing<Node>) {
        doing.later(self.settings.heartbeat / 2, Order::Beat);
        doing.send(self.engine, Message::Ask);
        let Some(process) = &mut self.process else { return };
        if process.polled == 0 {
            doing.send(self.store, Message::ReadAll { life: self.life });
        } else {
            doing.send(self.store, Message::Poll { since: process.polled });
        }
        let late: Vec<Id> =
            process.asked.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.end(now, id, Outcome::Unknown, doing);
        }
    }

    fn end(&mut self, now: Instant, id: Id, outcome: Outcome, doing: &mut Doing<Node>) {
        let known = self.process.as_mut().and_then(|process| process.asked.remove(&id));
        if known.is_some() {
            self.give(now, Given::Set { id, outcome }, doing);
        }
    }

    fn hear(&mut self, now: Instant, message: Message, doing: &mut Doing<Node>) {
        match message {
            Message::All { life, upto, registers } if life == self.life => {
                if let Some(process) = &mut self.process {
                    process.polled = process.polled.max(upto);
                }
                let all = registers.iter().map(|(name, at, value)| (name.clone(), *at, self.seen(value)));
                let all = all.collect();
                self.give(now, Given::Registers(all), doing);
            }
            Message::Changes { upto, registers } => {
                // The answer to an earlier process's question leaves a gap, as long as this one has not read all.
                if let Some(process) = self.process.as_mut().filter(|process| process.polled > 0) {
                    process.polled = process.polled.max(upto);
                }
                if registers.is_empty() {
                    self.give(now, Given::Contact, doing);
                }
                for (register, revision, value) in registers.iter() {
                    self.learn(now, register.clone(), *revision, value, doing);
                }
            }
            Message::Push { register, revision, value } => {
                self.learn(now, register, revision, &value, doing);
            }
            Message::CasDone { life, id, outcome, now: found } if life == self.life => {
                if let Some((register, revision, value)) = found.as_deref() {
                    self.learn(now, register.clone(), *revision, value, doing);
                }
                self.end(now, id, outcome, doing);
            }
            Message::Report { sequence, doing: at, report } if self.is_news(sequence) => {
                self.serve_any(now, &report);
                let report = self.reported(&report);
                match self.lost_effect(now, at) {
                    Some(id) => {
                        let result = Err(Failure("its host went down".to_owned()));
                        self.give(now, Given::Done { id, result, report }, doing);
                    }
                    None => self.give(now, Given::Engine(report), doing),
                }
            }
            Message::Done { life, id, result, sequence, report } if life == self.life => {
                self.is_news(sequence);
                if let Some(process) = &mut self.process {
                    process.effect = None;
                }
                let report = self.reported(&report);
                self.give(now, Given::Done { id, result: result.as_ref().clone(), report }, doing);
            }
            Message::Committed { branch, lsn } if self.open_until(now).is_some() => {
                doing.note(Note::Acknowledged { branch, lsn });
            }
            _ => {}
        }
    }

    /// The effect that was asked for some time ago, and that the engine knows nothing of.
    fn lost_effect(&mut self, now: Instant, at: Option<(Life, Id)>) -> Option<Id> {
        let life = self.life;
        let late = 2 * self.settings.heartbeat;
        let process = self.process.as_mut()?;
        let lost = process.effect.take_if(|(id, since)| at != Some((life, *id)) && now > *since + late)?;
        Some(lost.0)
    }

    fn is_news(&mut self, sequence: u64) -> bool {
        let Some(process) = &mut self.process else { return false };
        let news = sequence > process.heard;
        process.heard = process.heard.max(sequence);
        news
    }

    fn learn(
        &mut self,
        now: Instant,
        register: Register,
        revision: Revision,
        value: &Value,
        doing: &mut Doing<Node>,
    ) {
        let value = self.seen(value);
        self.give(now, Given::Changed { register, revision, value }, doing);
        self.see_ghosts(now, revision, doing);
    }

    fn give(&mut self, now: Instant, given: Given, doing: &mut Doing<Node>) {
        if let Some(process) = &mut self.process {
            process.machine.handle(now, given);
            self.act(now, doing);
        }
    }

    fn act(&mut self, now: Instant, doing: &mut Doing<Node>) {
        while let Some(output) = self.process.as_mut().and_then(|process| process.machine.poll()) {
            match output {
                Output::Set { id, register, expected, value } => {
                    self.loosen_early(&register, &value, doing);
                    let value = Rc::new(self.written(value));
                    if let Some(process) = &mut self.process {
                        process.asked.insert(id, now + self.settings.lease / 2);
                    }
                    let life = self.life;
                    doing.send(self.store, Message::Cas { life, id, register, expected, value });
                }
                Output::Do { id, effect } => {
                    if let Some(process) = &mut self.process {
                        process.effect = Some((id, now));
                    }
                    let effect = Rc::new(effect);
                    doing.send(self.engine, Message::Do { life: self.life, id, effect });
                }
                Output::Gate(gate) => self.set_gate(now, gate, doing),
                Output::Event { kind, why } => doing.note(Note::Says(format!("{kind:?}: {why}"))),
            }
        }
    }

    fn set_gate(&mut self, now: Instant, gate: Gate, doing: &mut Doing<Node>) {
        let Some(process) = &mut self.process else { return };
        let word = |gate: &Gate| match gate {
            Gate::Open { term, .. } => format!("opens for term {term}"),
            Gate::Hold { .. } => "is held".to_owned(),
            Gate::Close { why } => format!("is shut: {why}"),
        };
        if word(&process.gate) != word(&gate) {
            doing.note(Note::Gate(word(&gate)));
            if matches!(gate, Gate::Hold { .. }) {
                process.holds += 1;
                // Now and then somebody has a transaction open, and goes home.
                let longest = if chance(&mut self.random, 0.2) { 60_000 } else { 200 };
                let any = between(&mut self.random, Duration::ZERO, Duration::from_millis(longest));
                let wait = self.transactions_take.unwrap_or(any);
                doing.later(wait, Order::Idle(process.holds));
            }
        }
        process.gate = match (self.mistake, gate) {
            (Some(Mistake::LeaseFromTheAnswer), Gate::Open { term, .. }) => {
                Gate::Open { until: now + self.settings.lease, term }
            }
            (Some(Mistake::LeaseFromTheAnswer), Gate::Close { why: "the lease has run out" }) => return,
            (_, gate) => gate,
        };
    }
}

/// The mistakes that are made here.
impl Shell {
    /// What the machine sees of a register.
    fn seen(&self, value: &Value) -> Value {
        match (self.mistake, value) {
            (Some(Mistake::IgnoresOldRule), Value::Rule(rule)) if rule.taking.is_some() => {
                Value::Rule(Rule { also: Vec::new(), ..rule.clone() })
            }
            (Some(Mistake::HearsNoVitals), Value::Vitals(vitals)) => {
                Value::Vitals(Vitals { position: None, deposed: None, ..vitals.clone() })
            }
            (Some(Mistake::MakesAnother), Value::Pledge(pledge)) if self.rule().is_none() => {
                Value::Pledge(Pledge { term: 0, position: None, ..*pledge })
            }
            _ => value.clone(),
        }
    }

    /// What the machine is told of its engine.
    fn reported(&self, report: &Report) -> Report {
        let forgets = self.mistake == Some(Mistake::ForgetsOrigin) && self.rule().is_some();
        let origin = if forgets { Origin::Ruled } else { report.origin };
        Report { origin, ..report.clone() }
    }

    /// What is written instead of what the machine wants.
    fn written(&self, value: Value) -> Value {
        match (self.mistake, value) {
            (Some(Mistake::ForgetsTerm), Value::Pledge(pledge)) => {
                let position = pledge.position.map(|at| Position { term: 1, lsn: at.lsn });
                Value::Pledge(Pledge { position, ..pledge })
            }
            (Some(Mistake::NamesTheWrongOne), Value::Rule(rule)) if rule.taking.is_none() => {
                let by = rule.by.clone();
                let other = self.names.iter().find(|name| **name != rule.primary && **name != by);
                match other {
                    Some(other) if rule.primary != by => Value::Rule(Rule { primary: other.clone(), ..rule }),
                    _ => Value::Rule(rule),
                }
            }
            (_, value) => value,
        }
    }

    fn serve_any(&mut self, now: Instant, report: &Report) {
        let until = now + self.settings.lease;
        let any = self.mistake == Some(Mistake::ServesAnyPrimary) && report.role == Role::Primary;
        if let Some(process) = self.process.as_mut().filter(|_| any) {
            process.gate = Gate::Open { until, term: report.pledged };
        }
    }

    fn loosen_early(&self, register: &Register, value: &Value, doing: &mut Doing<Node>) {
        if self.mistake == Some(Mistake::LoosensEarly)
            && *register == Register::Rule
            && let Value::Rule(rule) = value
            && rule.primary == self.settings.me
            && rule.taking.is_none()
        {
            let effect = Rc::new(Effect::SetSynchronous { term: rule.term, cohort: rule.cohort.clone() });
            doing.send(self.engine, Message::Do { life: 0, id: 0, effect });
        }
    }

    fn see_ghosts(&mut self, now: Instant, revision: Revision, doing: &mut Doing<Node>) {
        let Some(rule) = self.rule().filter(|_| self.mistake == Some(Mistake::CountsGhosts)) else { return };
        let Some(term) = rule.taking.as_ref().map(|intent| intent.term) else { return };
        let members: Vec<Host> = rule.cohort.members.iter().cloned().collect();
        for host in members {
            let position = Some(Position { term: 1, lsn: 1 });
            let value = Value::Pledge(Pledge { term, position, fit: true });
            self.give(now, Given::Changed { register: Register::Pledge(host), revision, value }, doing);
        }
    }
}
