//! From seconds and requests to figures: a share with its bounds, what is left of a budget, how fast it goes.

use serde::{Deserialize, Serialize};

use super::{DAY, HOUR, MINUTE, Minute, Second, Series};
use crate::bounds::{Interval, wilson};
use crate::nines::{AlertSeverity, Availability, BURN_ALERTS, Objective};

/// The windows that are reported: what they are called, and their seconds.
pub const WINDOWS: [(&str, u64); 4] = [("1h", HOUR), ("1d", DAY), ("30d", 30 * DAY), ("365d", 365 * DAY)];
/// So few failed requests are bad luck: nobody is told, and no budget is overspent by them alone.
pub const FEW: u64 = 5;
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

    pub fn known(&self) -> u64 {
        self.up + self.down
    }

    /// How many times as fast as allowed the budget was spent in a window of so many seconds, at least: what is unknown may have been
    /// up. `None`: of no second anything is known.
    pub fn burn_by_time(&self, objective: &Objective, window: u64) -> Option<f64> {
        let whole = window.max(self.known()) as f64;
        (self.known() > 0).then(|| objective.burn_rate(self.down as f64 / whole))
    }

    /// The same of requests: as if in the time of which nothing is known there had been as many, and all good. `None`: there was none.
    pub fn burn_by_request(&self, objective: &Objective, window: u64) -> Option<f64> {
        let all = self.good.saturating_add(self.bad);
        // Of a minute that has requests and no seconds nothing is known but them.
        let share = match self.known() {
            0 => 1.0,
            known => (known as f64 / window as f64).min(1.0),
        };
        (all > 0).then(|| objective.burn_rate(self.bad as f64 / all as f64 * share))
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
    /// Of the requests that there were, as many may fail as the objective says; in the rest of the window there may be as many in the same
    /// time. `None`: there were none.
    pub left_by_request: Option<f64>,
}

impl Budget {
    /// `window`: the objective's, up to now.
    pub fn of(objective: &Objective, window: &Totals) -> Self {
        let left = |down: u64| objective.budget_left(std::time::Duration::from_secs(down));
        let whole = objective.window.as_secs();
        let spent = window.burn_by_request(objective, whole);
        let few = window.bad > 0 && window.bad <= FEW;
        Self {
            seconds: objective.budget().as_secs_f64(),
            down: window.down,
            left_by_time: left(window.down),
            left_at_worst: left(window.down + window.unknown()),
            left_by_request: spent.map(|spent| if few { (1.0 - spent).max(0.0) } else { 1.0 - spent }),
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
    /// The faster of both, by time and by request, at least: what is unknown may have been up. `None`: nothing is known.
    pub over_long: Option<f64>,
    pub over_short: Option<f64>,
    /// Of both windows at least half is known; before, it is too short to say.
    pub enough: bool,
    /// Both are over the limit.
    pub told: bool,
}

impl Burn {
    /// One for each row of the table, of the time up to `now`.
    pub fn of(objective: &Objective, series: &Series, now: Second) -> Vec<Self> {
        BURN_ALERTS
            .iter()
            .map(|alert| {
                let (long, short) = (alert.long.as_secs(), alert.short.as_secs());
                let totals = |window: u64| series.totals(now.saturating_sub(window), now);
                let (of_long, of_short) = (totals(long), totals(short));
                let enough = of_long.known() * 2 >= long && of_short.known() * 2 >= short;
                let (over_long, over_short) =
                    (burn(objective, &of_long, long), burn(objective, &of_short, short));
                let beyond = |totals: &Totals, window: u64| {
                    let by_request = totals.burn_by_request(objective, window);
                    let by_request = by_request.filter(|_| totals.bad > FEW);
                    let rates = [totals.burn_by_time(objective, window), by_request];
                    rates.into_iter().flatten().any(|rate| rate >= alert.rate)
                };
                let told = enough && beyond(&of_long, long) && beyond(&of_short, short);
                let (severity, limit) = (alert.severity, alert.rate);
                Self { severity, long, short, limit, over_long, over_short, enough, told }
            })
            .collect()
    }
}

/// The faster of both ways to look at it.
fn burn(objective: &Objective, totals: &Totals, window: u64) -> Option<f64> {
    let both = [totals.burn_by_time(objective, window), totals.burn_by_request(objective, window)];
    both.into_iter().flatten().reduce(f64::max)
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
