//! The registers as they were last seen here, and the changes that this host has asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::register::{Host, Lease, Pledge, Register, Revision, Term, Value, Vitals, Wish};
use super::rule::Rule;
use super::{Id, Outcome};

#[derive(Debug, Clone, Default)]
pub(super) struct Seen<T> {
    pub(super) revision: Revision,
    pub(super) value: T,
}

impl<T: PartialEq> Seen<T> {
    /// False for old news.
    fn take(&mut self, revision: Revision, value: T) -> bool {
        let newer = revision > self.revision;
        if newer {
            *self = Self { revision, value };
        }
        newer
    }
}

/// One change under way.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) id: Id,
    pub(super) register: Register,
    pub(super) value: Value,
    /// Just before it was sent.
    pub(super) at: Instant,
}

#[derive(Debug, Clone)]
pub(super) struct Known {
    /// All of it was read since this process began.
    pub(super) read: bool,
    pub(super) rule: Seen<Option<Arc<Rule>>>,
    pub(super) lease: Seen<Lease>,
    /// When the lease was last seen to change.
    pub(super) lease_changed: Instant,
    pub(super) pledges: BTreeMap<Host, Seen<Pledge>>,
    pub(super) wish: Seen<Wish>,
    /// With the time at which they were last seen to change.
    pub(super) vitals: BTreeMap<Host, (Seen<Option<Vitals>>, Instant)>,
    /// The latest term that followed on a primary that only seemed to be dead, as it said itself, and when that was learned.
    pub(super) seemed: Option<(Term, Instant)>,
    /// Up to this term the operator has looked at it: he resumed the database since.
    pub(super) forgiven: Term,
    /// He has just done so.
    pub(super) resumed: bool,
    /// At most one for each register.
    asked: Vec<Asked>,
}

impl Known {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            read: false,
            rule: Seen::default(),
            lease: Seen::default(),
            lease_changed: now,
            pledges: BTreeMap::new(),
            wish: Seen::default(),
            vitals: BTreeMap::new(),
            seemed: None,
            forgiven: 0,
            resumed: false,
            asked: Vec::new(),
        }
    }

    pub(super) fn learn(&mut self, now: Instant, register: Register, revision: Revision, value: Value) {
        match (register, value) {
            (Register::Rule, Value::Rule(rule)) => {
                self.rule.take(revision, Some(Arc::new(rule)));
            }
            (Register::Lease, Value::Lease(lease)) if self.lease.take(revision, lease.clone()) => {
                self.lease_changed = now;
            }
            (Register::Pledge(host), Value::Pledge(pledge)) => {
                self.pledges.entry(host).or_default().take(revision, pledge);
            }
            (Register::Wish, Value::Wish(wish)) => {
                let paused = self.wish.value.paused;
                if self.wish.take(revision, wish) && paused && !self.wish.value.paused {
                    self.forgiven = self.seemed.map_or(self.forgiven, |(term, _)| term);
                    self.resumed = true;
                }
            }
            (Register::Vitals(host), Value::Vitals(vitals)) => {
                if let Some(term) = vitals.deposed
                    && self.seemed.is_none_or(|(known, _)| known < term)
                {
                    self.seemed = Some((term, now));
                }
                let (seen, changed) = self.vitals.entry(host).or_insert_with(|| (Seen::default(), now));
                if seen.take(revision, Some(vitals)) {
                    *changed = now;
                }
            }
            // Somebody wrote something else there: as if it had not been read.
            _ => {}
        }
    }

    /// Whether a change of it is under way; another must wait.
    pub(super) fn is_asked(&self, register: &Register) -> bool {
        self.asked.iter().any(|one| one.register == *register)
    }

    pub(super) fn ask(&mut self, asked: Asked) {
        self.asked.push(asked);
    }

    /// The end of a change; what was asked for if it was done.
    pub(super) fn answered(&mut self, now: Instant, id: Id, outcome: Outcome) -> Option<Asked> {
        let place = self.asked.iter().position(|one| one.id == id)?;
        let asked = self.asked.remove(place);
        let Outcome::Done(revision) = outcome else { return None };
        self.learn(now, asked.register.clone(), revision, asked.value.clone());
        Some(asked)
    }

    pub(super) fn revision(&self, register: &Register) -> Revision {
        match register {
            Register::Rule => self.rule.revision,
            Register::Lease => self.lease.revision,
            Register::Pledge(host) => self.pledges.get(host).map_or(0, |seen| seen.revision),
            Register::Wish => self.wish.revision,
            Register::Vitals(host) => self.vitals.get(host).map_or(0, |(seen, _)| seen.revision),
        }
    }

    pub(super) fn pledge(&self, host: &Host) -> Pledge {
        self.pledges.get(host).map_or_else(Pledge::default, |seen| seen.value)
    }

    pub(super) fn vitals(&self, host: &Host) -> Option<&Vitals> {
        self.vitals.get(host).and_then(|(seen, _)| seen.value.as_ref())
    }
}
