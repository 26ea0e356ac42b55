//! The health of one member: what its checks say, and what the traffic says.
//!
//! The two are kept apart, since each sees what the other can't: a check notices an idle member that died, the
//! traffic notices one that is broken in a way that no check asks about.

use std::time::{Duration, Instant};

use nines_system::{Passive, Probe};

use crate::status::Health;
use crate::traffic::Failure;

/// Probes turned into health by the rise and fall rule.
#[derive(Debug, Clone)]
pub(crate) struct Checks {
    pub(crate) health: Health,
    /// Results in a row that speak against `health`.
    pub(crate) against: u32,
    /// The next result decides alone: nothing was known before it.
    first: bool,
    pub(crate) latest: Option<Latest>,
}

/// The latest result of a check.
#[derive(Debug, Clone)]
pub(crate) struct Latest {
    pub(crate) good: bool,
    pub(crate) said: String,
    pub(crate) took: Duration,
    pub(crate) at: Instant,
}

impl Checks {
    /// Unknown until the first result; up from the start where there is no check.
    pub(crate) fn new(probe: &Probe) -> Self {
        let health = if *probe == Probe::None { Health::Up } else { Health::Unknown };
        Self { health, against: 0, first: true, latest: None }
    }

    /// Another check than before: health stays as it is until its first result, which decides alone.
    pub(crate) fn begin_anew(&mut self, probe: &Probe) {
        let health = if *probe == Probe::None { Health::Up } else { self.health };
        *self = Self { health, ..Self::new(probe) };
    }

    /// Takes a result in, of which so many in a row decide. The new health and after how many, if it changed.
    pub(crate) fn judge(&mut self, result: Latest, needed: u32) -> Option<(Health, u32)> {
        let says = if result.good { Health::Up } else { Health::Down };
        self.latest = Some(result);
        let needed = if std::mem::take(&mut self.first) { 1 } else { needed.max(1) };
        self.against = if says == self.health { 0 } else { self.against + 1 };
        if self.against < needed {
            return None;
        }
        self.health = says;
        Some((says, std::mem::take(&mut self.against)))
    }

    /// Health is not known or about to change: worth a closer look.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.first || self.against > 0
    }
}

/// Failures this far apart are not in a row, whatever happened between them.
const IN_A_ROW: Duration = Duration::from_secs(30);

/// Traffic's own judgement: failures in a row eject a member for a time that grows with each ejection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ejections {
    failures: u32,
    latest: Option<(Instant, Failure)>,
    ejected: Option<Ejected>,
    /// Ejections so far, less one for each time of calm as long as the latest ejection.
    count: u32,
    length: Duration,
    /// When the latest ejection ended.
    ended: Option<Instant>,
    /// It has been said that the member should be ejected, but can't be.
    spared: bool,
}

#[derive(Debug, Clone, Copy)]
struct Ejected {
    since: Instant,
    until: Instant,
    /// A check that began after the ejection was good.
    good_check: bool,
}

impl Ejections {
    pub(crate) fn failed(&mut self, now: Instant, failure: Failure) {
        if !self.has_failures(now) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.latest = Some((now, failure));
    }

    /// A request succeeded, or checks found the member well again.
    pub(crate) fn recovered(&mut self) {
        self.failures = 0;
        self.spared = false;
    }

    pub(crate) fn has_failures(&self, now: Instant) -> bool {
        let recent = |(at, _): (Instant, Failure)| now.saturating_duration_since(at) < IN_A_ROW;
        self.failures > 0 && self.latest.is_some_and(recent)
    }

    /// Enough failures in a row for an ejection.
    pub(crate) fn is_due(&self, rule: &Passive) -> bool {
        self.ejected.is_none() && rule.failures.is_some_and(|enough| self.failures >= enough.max(1))
    }

    /// `3 requests in a row failed: connection reset`.
    pub(crate) fn why(&self) -> String {
        let failure = self.latest.map_or("failed", |(_, failure)| failure.words());
        match self.failures {
            1 => format!("a request failed: {failure}"),
            n => format!("{n} requests in a row failed: {failure}"),
        }
    }

    /// Ejects the member; for how long.
    pub(crate) fn eject(&mut self, now: Instant, rule: &Passive) -> Duration {
        if let Some(ended) = self.ended {
            let calm = now.saturating_duration_since(ended).as_secs_f64();
            let forgiven = calm / self.length.as_secs_f64().max(0.001);
            self.count = self.count.saturating_sub(forgiven as u32);
        }
        let doubled = 1u32.checked_shl(self.count).unwrap_or(u32::MAX);
        self.length = rule.eject.saturating_mul(doubled).min(rule.eject_max.max(rule.eject));
        self.count = self.count.saturating_add(1);
        self.spared = false;
        self.ejected = Some(Ejected { since: now, until: now + self.length, good_check: false });
        self.length
    }

    /// Whether to say that the member is spared an ejection that it has earned: once in a row of failures.
    pub(crate) fn say_spared(&mut self) -> bool {
        !std::mem::replace(&mut self.spared, true)
    }

    pub(crate) fn good_check(&mut self, began: Instant) {
        if let Some(ejected) = &mut self.ejected {
            ejected.good_check |= began >= ejected.since;
        }
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.ejected.is_some()
    }

    /// The time is up and a check has been good since, where there is a check.
    pub(crate) fn is_over(&self, now: Instant, probe: &Probe) -> bool {
        let well = |ejected: Ejected| ejected.good_check || *probe == Probe::None;
        self.ejected.is_some_and(|ejected| ejected.until <= now && well(ejected))
    }

    pub(crate) fn end(&mut self, now: Instant) {
        self.ejected = None;
        self.ended = Some(now);
        self.recovered();
    }

    pub(crate) fn until(&self) -> Option<Instant> {
        self.ejected.map(|ejected| ejected.until)
    }
}
