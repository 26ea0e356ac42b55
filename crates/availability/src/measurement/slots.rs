//! The course of a series: what was in each of many slots of one length, for those who draw it.

use super::{MINUTE, Second, Series, Totals};

/// One after the other. What lies outside of the time that was asked for belongs to no slot, so that the first and the last one may
/// have fewer seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// Where the first one begins, at a multiple of `step`.
    pub from: Second,
    pub step: u64,
    pub totals: Vec<Totals>,
}

impl Series {
    /// The latest `count` slots of `since..to`. `step`: whole minutes, and what is more is cut off.
    pub fn slots(&self, since: Second, to: Second, step: u64, count: u64) -> Slots {
        let step = (step / MINUTE).max(1) * MINUTE;
        let end = to.div_ceil(step) * step;
        let from = end.saturating_sub(step.saturating_mul(count)).max(since / step * step).min(end);
        let first = since.max(from).min(to);
        let seconds = |begin: Second| (begin + step).min(to).saturating_sub(begin.max(first));
        let begins = (from..end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let mut totals: Vec<Totals> =
            begins.map(|begin| Totals { seconds: seconds(begin), ..Totals::default() }).collect();
        for (number, minute) in self.minutes(first / MINUTE..to.div_ceil(MINUTE)) {
            let begin = number * MINUTE;
            let part = minute.part(first.saturating_sub(begin), to.saturating_sub(begin).min(MINUTE));
            let slot = usize::try_from(begin.saturating_sub(from) / step).ok();
            if let Some(totals) = slot.and_then(|slot| totals.get_mut(slot)) {
                totals.add(&part);
            }
        }
        Slots { from, step, totals }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DAY, HOUR, State};
    use super::*;

    fn some() -> Series {
        let mut series = Series::default();
        for second in (DAY - 3 * HOUR)..(DAY + 5 * HOUR) {
            let state = match second % 1000 {
                0..700 => State::Up,
                700..710 => State::Down,
                _ => State::Unknown,
            };
            series.record(second, state);
            series.count(second, second % 3, second % 2);
        }
        series
    }

    #[test]
    fn slots_together_are_the_window_however_it_lies_to_them() {
        let series = some();
        for (from, to) in [(0, 2 * DAY), (DAY - 7001, DAY + 5003), (DAY + 61, DAY + 62), (DAY, DAY)] {
            for step in [MINUTE, 5 * MINUTE, HOUR, DAY] {
                let slots = series.slots(from, to, step, 10_000);
                let mut sum = Totals::default();
                for one in &slots.totals {
                    sum.seconds += one.seconds;
                    sum.add_known(one);
                }
                assert_eq!(sum, series.totals(from, to), "{from}..{to} by {step}");
                assert_eq!(slots.from % step, 0);
            }
        }
    }

    #[test]
    fn the_latest_slots_are_kept_and_the_last_has_only_what_has_passed() {
        let slots = some().slots(0, DAY + 90, 2 * MINUTE, 3);
        assert_eq!((slots.from, slots.totals.len()), (DAY - 4 * MINUTE, 3));
        assert_eq!(slots.totals.iter().map(|one| one.seconds).collect::<Vec<_>>(), [120, 120, 90]);
        // A slot is what its seconds are, one by one.
        let begin = DAY - 2 * MINUTE;
        let down = (begin..begin + 120).filter(|&second| some().state(second) == State::Down).count();
        assert_eq!(slots.totals[1].down, down as u64);
    }
}
