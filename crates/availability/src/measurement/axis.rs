//! Which second it is: by the monotonic clock, and by the wall clock only what it is called.
//!
//! Every second that passes is one second of the axis. A wall clock that is set forward leaves a gap, in which nobody looked. One that is
//! set back a little is waited for by nobody: the axis goes on, ahead of it, and says by how much. Set back a lot, what was measured
//! under names that are still to come can't stay; that is the one case in which something is given up, and it is told.

use std::time::Duration;

use super::{HOUR, Second};

/// Between looks that belong together: a look speaks for the seconds since the one before, if that is no longer ago.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// A wall clock that is ahead by so many seconds was set.
const SET: u64 = 2;
/// As far ahead of the wall clock the axis may be.
const AHEAD: u64 = HOUR;

#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What the monotonic clock's zero is called, in microseconds.
    zero: i128,
    last: Second,
    looked: Duration,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The seconds that it speaks for: `from..=to`.
    pub from: Second,
    pub to: Second,
    pub step: Option<Step>,
}

/// The wall clock was set, or is not where an earlier process left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// By so many seconds.
    Forward(u64),
    /// By so many seconds; what is called later than `to` has to go.
    Back { by: u64, to: Second },
}

impl Axis {
    /// `monotonic`: since whenever, the same in each call. `wall`: since 1970. `last`: the last second that is measured already.
    pub fn start(monotonic: Duration, wall: Duration, last: Option<Second>) -> (Self, Option<Step>) {
        let zero = micros(wall) - micros(monotonic);
        let mut axis = Self { zero, last: 0, looked: monotonic };
        let now = axis.name(monotonic);
        let step = match last {
            Some(last) if last >= now + AHEAD => Some(Step::Back { by: last - now, to: now }),
            Some(last) if last >= now => {
                axis.zero += (i128::from(last - now) + 1) * 1_000_000;
                None
            }
            _ => None,
        };
        axis.last = axis.name(monotonic).saturating_sub(1);
        (axis, step)
    }

    /// The second that a moment belongs to.
    pub fn name(&self, monotonic: Duration) -> Second {
        self.name_us(monotonic) / 1_000_000
    }

    /// The same in microseconds.
    pub fn name_us(&self, monotonic: Duration) -> u64 {
        u64::try_from(self.zero + micros(monotonic)).unwrap_or(0)
    }

    /// By how many seconds the axis is ahead of the wall clock.
    pub fn ahead(&self, monotonic: Duration, wall: Duration) -> u64 {
        self.name(monotonic).saturating_sub(wall.as_secs())
    }

    pub fn tick(&mut self, monotonic: Duration, wall: Duration) -> Tick {
        let mut now = self.name(monotonic);
        let since = monotonic.saturating_sub(self.looked);
        self.looked = monotonic;
        let mut step = None;
        if wall.as_secs() >= now + SET {
            step = Some(Step::Forward(wall.as_secs() - now));
        } else if now > wall.as_secs() + AHEAD {
            step = Some(Step::Back { by: now - wall.as_secs(), to: wall.as_secs() });
        }
        let passed = if since <= PATIENCE { now.saturating_sub(self.last) } else { 1 };
        if step.is_some() {
            self.zero = micros(wall) - micros(monotonic);
            now = self.name(monotonic);
        }
        self.last = now;
        // At least the second that is now: a look that comes twice in it says the same of it, or worse.
        Tick { from: (now + 1).saturating_sub(passed.max(1)), to: now, step }
    }
}

fn micros(time: Duration) -> i128 {
    i128::try_from(time.as_micros()).unwrap_or(i128::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WALL: u64 = 1_795_000_000;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    proptest! {
        /// Looks a second apart, each a little late; a wall clock that somebody keeps setting.
        #[test]
        fn a_wall_clock_that_jumps_makes_no_second_and_takes_none(
            late in prop::collection::vec(0..400u64, 50..200),
            jumps in prop::collection::vec((0..200usize, -1_800i64..100_000), 0..5),
        ) {
            let mut wall = WALL as i64 * 1000;
            let (mut axis, step) = Axis::start(at(500), Duration::from_millis(wall as u64 + 500), None);
            prop_assert_eq!(step, None);
            let mut named: Vec<Second> = Vec::new();
            let mut back = 0;
            for (second, late) in late.iter().enumerate() {
                for (_, by) in jumps.iter().filter(|(when, _)| *when == second) {
                    // All in all never back by more than what the axis goes ahead.
                    let by = if *by < 0 && back + by < -3_500 { 0 } else { *by };
                    back += by.min(0);
                    wall += by * 1000;
                }
                let monotonic = second as u64 * 1000 + 500 + late;
                let tick = axis.tick(at(monotonic), Duration::from_millis((wall + monotonic as i64) as u64));
                let back = matches!(tick.step, Some(Step::Back { .. }));
                prop_assert!(!back);
                named.extend(tick.from..=tick.to);
            }
            prop_assert_eq!(named.len(), late.len());
            prop_assert!(named.is_sorted_by(|one, next| one < next));
        }
    }

    #[test]
    fn a_clock_that_is_set_forward_leaves_a_gap_and_says_so() {
        let (mut axis, _) = Axis::start(at(500), at(WALL * 1000 + 500), None);
        assert_eq!(axis.tick(at(500), at(WALL * 1000 + 500)), Tick { from: WALL, to: WALL, step: None });
        let tick = axis.tick(at(1_500), at(WALL * 1000 + 61_500));
        assert_eq!(tick, Tick { from: WALL + 61, to: WALL + 61, step: Some(Step::Forward(60)) });
        assert_eq!(axis.tick(at(2_500), at(WALL * 1000 + 62_500)).to, WALL + 62);
    }

    #[test]
    fn who_did_not_look_for_long_knows_only_of_now() {
        let (mut axis, _) = Axis::start(at(0), at(WALL * 1000), None);
        axis.tick(at(0), at(WALL * 1000));
        assert_eq!(axis.tick(at(2_000), at(WALL * 1000 + 2_000)).from, WALL + 1);
        assert_eq!(axis.tick(at(9_000), at(WALL * 1000 + 9_000)).from, WALL + 9);
    }

    #[test]
    fn a_clock_that_was_set_back_a_little_is_gone_ahead_of() {
        let (mut axis, _) = Axis::start(at(0), at(WALL * 1000), None);
        axis.tick(at(0), at(WALL * 1000));
        let tick = axis.tick(at(1_000), at(WALL * 1000 - 599_000));
        assert_eq!(tick, Tick { from: WALL + 1, to: WALL + 1, step: None });
        assert_eq!(axis.ahead(at(1_000), at(WALL * 1000 - 599_000)), 600);
        // The next process goes on where this one ended.
        let (mut next, step) = Axis::start(at(50), at(WALL * 1000 - 598_000), Some(WALL + 1));
        assert_eq!((step, next.tick(at(50), at(WALL * 1000 - 598_000)).from), (None, WALL + 2));
    }

    #[test]
    fn a_clock_that_was_set_back_by_a_day_takes_what_is_still_to_come() {
        let (mut axis, _) = Axis::start(at(0), at(WALL * 1000), None);
        axis.tick(at(0), at(WALL * 1000));
        let yesterday = WALL - 86_400;
        let tick = axis.tick(at(1_000), at(yesterday * 1000));
        assert_eq!(tick.step, Some(Step::Back { by: 86_401, to: yesterday }));
        assert_eq!((tick.from, tick.to), (yesterday, yesterday));
        let (_, step) = Axis::start(at(0), at(yesterday * 1000), Some(WALL));
        assert_eq!(step, Some(Step::Back { by: 86_400, to: yesterday }));
    }
}
