//! What status and metrics say of it: counters that never go back, and figures of the latest windows.

use std::time::{Duration, Instant};

use nines_availability::measurement::{
    Budget, DAY, FEW, HOUR, Look, OBJECTIVE_WINDOW, Second, State, Subject, Totals,
};
use nines_availability::nines::{Availability, Objective};
use nines_control::status::{MeasuredStatus, MeasuredWindow};

use super::Measure;

/// As long as this, figures are not worked out again.
const FRESH: Duration = Duration::from_secs(5);
/// What figures are worked out for: the windows of the report, and those of the burn rates besides.
const WINDOWS: [(&str, u64); 9] = [
    ("5m", 300),
    ("30m", 1_800),
    ("1h", HOUR),
    ("2h", 2 * HOUR),
    ("6h", 6 * HOUR),
    ("1d", DAY),
    ("3d", 3 * DAY),
    ("30d", 30 * DAY),
    ("365d", 365 * DAY),
];

/// Of one subject, since the daemon started.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    totals: Totals,
    /// Seconds that look up, but none was answered in them and somebody may be waiting: they may turn out to be a hang's.
    undecided: u64,
}

impl Counted {
    /// One look, which speaks for so many seconds; before it nobody looked for `missed`.
    pub(super) fn add(
        &mut self,
        (seconds, missed): (u64, u64),
        state: State,
        look: &Look,
        (good, bad): (u64, u64),
    ) {
        self.totals.seconds += missed;
        (self.totals.good, self.totals.bad) = (self.totals.good + good, self.totals.bad + bad);
        // Who came in the latest second has not waited for a whole one.
        if look.waiting == 0 || good > 0 {
            self.decide(0);
        }
        match state {
            State::Up if good == 0 => return self.undecided += seconds,
            State::Up => self.totals.up += seconds,
            State::Down => self.totals.down += seconds,
            State::Unknown => {}
        }
        self.totals.seconds += seconds;
    }

    /// So many of the seconds that were undecided were down.
    pub(super) fn decide(&mut self, down: u64) {
        let undecided = std::mem::take(&mut self.undecided);
        let down = down.min(undecided);
        self.totals.seconds += undecided;
        self.totals.down += down;
        self.totals.up += undecided - down;
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Measure {
    /// For status and metrics.
    pub(in crate::daemon) fn figures(&mut self, now: Instant) -> Vec<MeasuredStatus> {
        if let Some((at, figures)) = &self.figures
            && now.duration_since(*at) < FRESH
        {
            return figures.clone();
        }
        let second = self.axis.as_ref().map_or(0, |axis| axis.name(now.duration_since(self.started)));
        let window = Duration::from_secs(OBJECTIVE_WINDOW);
        let objective = Objective { target: Availability::from_fraction(self.about.objective), window };
        let present = self.counted.iter().filter(|(subject, _)| self.present.contains(subject));
        let figures: Vec<MeasuredStatus> = present
            .map(|(subject, since)| self.figure(subject, since.totals(), &objective, second))
            .collect();
        self.figures = Some((now, figures.clone()));
        figures
    }

    fn figure(
        &self,
        subject: &Subject,
        since: &Totals,
        objective: &Objective,
        now: Second,
    ) -> MeasuredStatus {
        let series = self.history.series(subject);
        let totals = |seconds: u64| {
            series.map(|series| series.totals(now.saturating_sub(seconds), now + 1)).unwrap_or_default()
        };
        let window = |(window, seconds): (&str, u64)| {
            let of = totals(seconds);
            let by_time = of.by_time().map(|by| by.likely);
            let by_request = of.by_request().map(|by| by.likely);
            MeasuredWindow {
                window: window.to_owned(),
                by_time: by_time.map(Availability::fraction),
                by_request: by_request.map(Availability::fraction),
                burn_by_time: of.burn_by_time(objective, seconds),
                burn_by_request: of
                    .burn_by_request(objective, seconds)
                    .filter(|_| of.bad == 0 || of.bad > FEW),
            }
        };
        let month = totals(OBJECTIVE_WINDOW);
        let budget = Budget::of(objective, &month);
        MeasuredStatus {
            kind: subject.kind.word().to_owned(),
            name: subject.name.clone(),
            windows: WINDOWS.into_iter().map(window).collect(),
            budget_left_by_time: month.by_time().map(|_| budget.left_by_time),
            budget_left_by_request: budget.left_by_request,
            up: since.up,
            down: since.down,
            unknown: since.unknown(),
            good: since.good,
            bad: since.bad,
        }
    }
}
