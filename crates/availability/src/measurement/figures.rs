//! From seconds and requests to figures: a share with its bounds, what is left of a budget, how fast it goes.

use serde::{Deserialize, Serialize};

use super::{DAY, HOUR, MINUTE, Minute, Second, Series};
use crate::bounds::{Interval, wilson};
use crate::nines::{AlertSeverity, Availability, BURN_ALERTS, Objective};

/// The windows that are reported: what they are called, and their seconds.
pub const WINDOWS: [(&str, u64); 4] = [("1h", HOUR), ("1d", DAY), ("30d", 30 * DAY), ("365d", 365 * DAY)];
/// 95 %, two-sided.
const Z: f64 = 1.959_964;

/// Seconds and requests of a window. What of its seconds is neither up nor down is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub seconds: u64,
    pub up: u64,
    pub down: u64,
    pub good: u64,
    pub bad: u64,
}

impl Totals {
    pub(super) fn add(&mut self, minute: &Minute) {
        self.up += minute.up();
        self.down += minute.down();
        self.good = self.good.saturating_add(minute.good);
        self.bad = self.bad.saturating_add(minute.bad);
    }

    pub(super) fn remove(&mut self, minute: &Minute) {
        self.up -= minute.up();
        self.down -= minute.down();
        self.good = self.good.saturating_sub(minute.good);
        self.bad = self.bad.saturating_sub(minute.bad);
    }

    pub(super) fn add_known(&mut self, other: &Self) {
        self.up += other.up;
        self.down += other.down;
        self.good = self.good.saturating_add(other.good);
        self.bad = self.bad.saturating_add(other.bad);
    }

    pub fn unknown(&self) -> u64 {
        self.seconds.saturating_sub(self.up + self.down)
    }

    /// `None`: of no second anything is known.
    pub fn by_time(&self) -> Option<ByTime> {
        let known = self.up + self.down;
        let lost = |down: u64, of: u64| Availability::from_unavailability(down as f64 / of as f64);
        (known > 0).then(|| ByTime {
            up: self.up,
            down: self.down,
            unknown: self.unknown(),
            likely: lost(self.down, known),
            worst: lost(self.down + self.unknown(), self.seconds.max(known)),
            best: lost(self.down, self.seconds.max(known)),
        })
    }

    /// `None`: there was no request.
    pub fn by_request(&self) -> Option<ByRequest> {
        let all = self.good.saturating_add(self.bad);
        let Interval { low, likely, high } = wilson(self.bad, all, Z);
        let of = Availability::from_unavailability;
        (all > 0).then(|| ByRequest {
            good: self.good,
            all,
            likely: of(likely),
            worst: of(high),
            best: of(low),
        })
    }
}

/// The share of the seconds of which something is known; at worst all others were down, at best they were up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ByTime {
    pub up: u64,
    pub down: u64,
    pub unknown: u64,
    pub likely: Availability,
    pub worst: Availability,
    pub best: Availability,
}

/// The share of requests that went well, and where that share may lie in the long run (Wilson, 95 %): it is no statement about
/// requests that did not get here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ByRequest {
    pub good: u64,
    pub all: u64,
    pub likely: Availability,
    pub worst: Availability,
    pub best: Availability,
}

/// What is left of an objective's budget over its window; below 0 it is overspent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Budget {
    /// Seconds that it may be down.
    pub seconds: f64,
    pub down: u64,
    pub left_by_time: f64,
    /// The same if all that is unknown was down.
    pub left_at_worst: f64,
    /// Of the requests that there were, as many may fail as the objective says. `None`: there were none.
    pub left_by_request: Option<f64>,
}

impl Budget {
    /// `window`: the objective's, up to now.
    pub fn of(objective: &Objective, window: &Totals) -> Self {
        let left = |down: u64| objective.budget_left(std::time::Duration::from_secs(down));
        let by_request = window.by_request().map(|by| 1.0 - objective.burn_rate(by.likely.unavailability()));
        Self {
            seconds: objective.budget().as_secs_f64(),
            down: window.down,
            left_by_time: left(window.down),
            left_at_worst: left(window.down + window.unknown()),
            left_by_request: by_request,
        }
    }
}

/// How many times as fast as allowed the budget is spent, over a long window and, so that it is still so, over a short one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Burn {
    pub severity: AlertSeverity,
    /// Seconds.
    pub long: u64,
    pub short: u64,
    /// From which rate on somebody is told.
    pub limit: f64,
    /// The faster of both, by time and by request. `None`: nothing is known.
    pub over_long: Option<f64>,
    pub over_short: Option<f64>,
    /// Both are over the limit.
    pub told: bool,
}

impl Burn {
    /// One for each row of the table, of the time up to `now`.
    pub fn of(objective: &Objective, series: &Series, now: Second) -> Vec<Self> {
        BURN_ALERTS
            .iter()
            .map(|alert| {
                let over = |window: u64| burn(objective, &series.totals(now.saturating_sub(window), now));
                let (long, short) = (alert.long.as_secs(), alert.short.as_secs());
                let (over_long, over_short) = (over(long), over(short));
                let beyond = |rate: Option<f64>| rate.is_some_and(|rate| rate >= alert.rate);
                let told = beyond(over_long) && beyond(over_short);
                Self { severity: alert.severity, long, short, limit: alert.rate, over_long, over_short, told }
            })
            .collect()
    }
}

/// The faster of both ways to look at it.
pub(super) fn burn(objective: &Objective, totals: &Totals) -> Option<f64> {
    let by_time = totals.by_time().map(|by| by.likely.unavailability());
    let by_request = totals.by_request().map(|by| by.likely.unavailability());
    let lost = by_time.into_iter().chain(by_request).reduce(f64::max)?;
    Some(objective.burn_rate(lost))
}

/// `5 min`, `1 h`, `30 d`.
pub fn in_words(seconds: u64) -> String {
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => format!("{} h", seconds / HOUR),
        DAY..=63_072_000 => format!("{} d", seconds / DAY),
        _ => format!("{} years and {} d", seconds / DAY / 365, seconds / DAY % 365),
    }
}
