//! How this host is, told in the store, so that others can say what would happen, and see that they lack the same primary.
//!
//! It costs the store little: a host writes it no more than once a second, and if only its position is another, every five
//! seconds. Nothing is safe because of it.

use std::time::Duration;

use super::{Failover, Register, Role, Value, Vitals};

/// Between two changes.
const APART: Duration = Duration::from_secs(1);
/// Between two changes of the position alone.
const POSITIONS_APART: Duration = Duration::from_secs(5);

impl Failover {
    pub(super) fn tell_vitals(&mut self) {
        if !self.known.read || self.report.is_none() {
            return;
        }
        let me = self.settings.me.clone();
        let vitals = self.vitals();
        let apart = match self.known.vitals(&me) {
            Some(told) if *told == vitals => return,
            Some(told) if Vitals { position: vitals.position, ..told.clone() } == vitals => POSITIONS_APART,
            _ => APART,
        };
        if self.told_vitals.is_some_and(|told| !self.is_due(told + apart)) {
            return;
        }
        self.told_vitals = Some(self.now);
        self.set(Register::Vitals(me), Value::Vitals(vitals));
    }

    /// As it is now.
    pub(super) fn vitals(&self) -> Vitals {
        let report = self.fresh();
        Vitals {
            role: report.map_or(Role::Unknown, |report| report.role),
            origin: report.map(|report| report.origin).unwrap_or_default(),
            position: report.and_then(|_| self.position()),
            streams: report.filter(|report| report.streams).and_then(|report| report.source.clone()),
            unfit: self.why_unfit().map(ToOwned::to_owned),
        }
    }
}
