//! The coordination store: registers that are changed by compare-and-set, one change after the other. What it said is
//! on its disk.

use std::collections::BTreeMap;
use std::rc::Rc;

use nines_control::failover::{Host, Outcome, Pledge, Register, Revision, Rule, Switchover, Value, Wish};

use super::message::{Message, Note, Order};
use super::node::Node;
use crate::{Doing, HostIndex, Input};

#[derive(Debug)]
pub(super) struct Store {
    names: Rc<Vec<Host>>,
    registers: BTreeMap<Register, (Revision, Value)>,
    latest: Revision,
}

impl Store {
    pub(super) fn new(names: Rc<Vec<Host>>, rule: Option<Rule>) -> Self {
        let registers = rule.map(|rule| (Register::Rule, (1, Value::Rule(rule)))).into_iter().collect();
        Self { names, registers, latest: 1 }
    }

    pub(super) fn rule(&self) -> Option<&Rule> {
        match self.registers.get(&Register::Rule) {
            Some((_, Value::Rule(rule))) => Some(rule),
            _ => None,
        }
    }

    pub(super) fn pledge(&self, host: &Host) -> Pledge {
        match self.registers.get(&Register::Pledge(host.clone())) {
            Some((_, Value::Pledge(pledge))) => *pledge,
            _ => Pledge::default(),
        }
    }

    fn wish(&self) -> Wish {
        match self.registers.get(&Register::Wish) {
            Some((_, Value::Wish(wish))) => wish.clone(),
            _ => Wish::default(),
        }
    }

    fn since(&self, since: Revision) -> Rc<Vec<(Register, Revision, Value)>> {
        let newer = self.registers.iter().filter(|(_, (revision, _))| *revision > since);
        Rc::new(
            newer.map(|(register, (revision, value))| (register.clone(), *revision, value.clone())).collect(),
        )
    }

    fn set(&mut self, register: Register, value: Value, doing: &mut Doing<Node>) -> Revision {
        self.latest += 1;
        for host in 0..self.names.len() {
            let value = Rc::new(value.clone());
            doing.send(host, Message::Push { register: register.clone(), revision: self.latest, value });
        }
        doing.note(Note::Set(register.clone()));
        self.registers.insert(register, (self.latest, value));
        self.latest
    }

    pub(super) fn handle(&mut self, input: Input<Message, Order>, doing: &mut Doing<Node>) {
        match input {
            Input::Message { from, message } => self.answer(from, message, doing),
            Input::Order(Order::Pause(paused)) => {
                let wish = Wish { paused, ..self.wish() };
                self.set(Register::Wish, Value::Wish(wish), doing);
            }
            Input::Order(Order::SwitchOver { to, force }) => {
                let to = to.map(|to| self.names[to].clone());
                let switchover =
                    Some(Switchover { term: self.rule().map_or(0, |rule| rule.term), to, force });
                let wish = Wish { switchover, ..self.wish() };
                self.set(Register::Wish, Value::Wish(wish), doing);
            }
            Input::Order(_) | Input::Timer => {}
        }
    }

    fn answer(&mut self, from: HostIndex, message: Message, doing: &mut Doing<Node>) {
        match message {
            Message::ReadAll { life } => {
                let registers = self.since(0);
                doing.send(from, Message::All { life, upto: self.latest, registers });
            }
            Message::Poll { since } => {
                let registers = self.since(since);
                doing.send(from, Message::Changes { upto: self.latest, registers });
            }
            Message::Cas { life, id, register, expected, value } => {
                let found = self.registers.get(&register).map_or(0, |(revision, _)| *revision);
                let (outcome, now) = if found == expected {
                    let revision = self.set(register, value.as_ref().clone(), doing);
                    (Outcome::Done(revision), None)
                } else {
                    let now = self.registers.get(&register);
                    let now = now.map(|(revision, value)| Rc::new((register, *revision, value.clone())));
                    (Outcome::Refused, now)
                };
                doing.send(from, Message::CasDone { life, id, outcome, now });
            }
            _ => {}
        }
    }
}
