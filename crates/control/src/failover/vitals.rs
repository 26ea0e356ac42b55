//! How this host is, told in the store, so that others can say what would happen, and see that they lack the same primary.
//!
//! It costs the store little: a host writes it every five seconds, or if something but its position is another, and no more than
//! once a second. Nothing is safe because of it.

use std::time::Duration;

use super::{Failover, Host, Register, Role, Value, Vitals};

/// Between two changes.
const APART: Duration = Duration::from_secs(1);
/// Between two times that nothing is another but the position.
const EVERY: Duration = Duration::from_secs(5);
/// Who told nothing for longer may be gone.
const FRESH: Duration = Duration::from_secs(11);

impl Failover {
    pub(super) fn tell_vitals(&mut self) {
        if !self.known.read || self.report.is_none() {
            return;
        }
        let me = self.settings.me.clone();
        let mut vitals = self.vitals();
        let apart = match self.known.vitals(&me) {
            Some(told) => {
                let same = Vitals { position: vitals.position, beat: vitals.beat, ..told.clone() } == vitals;
                vitals.beat = told.beat + 1;
                if same { EVERY } else { APART }
            }
            None => APART,
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
            lonely: self.is_lonely_still(),
            deposed: self.deposed.filter(|(_, until)| self.now < *until).map(|(term, _)| term),
            beat: 0,
        }
    }

    /// What another host told lately.
    pub(super) fn told_lately(&self, host: &Host) -> Option<&Vitals> {
        let (seen, at) = self.known.vitals.get(host)?;
        seen.value.as_ref().filter(|_| self.now.saturating_duration_since(*at) <= FRESH)
    }
}
