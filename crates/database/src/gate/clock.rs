//! The clock that deadlines are judged by: it goes on while the machine sleeps, as everybody else's does, and nobody sets it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine was started, its sleep included.
pub(crate) type Nanoseconds = u64;

pub(crate) fn now() -> Nanoseconds {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Says what an [`Instant`], which stands still while the machine sleeps, is by this clock.
///
/// A deadline was made from a moment after the one before it was given. If the machine slept between, nobody knows on
/// which side of that moment, so it is taken as if that had been before: the deadline comes out too early, never too late.
#[derive(Debug)]
pub(crate) struct Translation {
    /// When this clock said `boot`, the other one said `instant` or more.
    boot: Nanoseconds,
    instant: Instant,
    /// The latest deadline that was asked for, and what it is by this clock.
    latest: Option<(Instant, Nanoseconds)>,
}

impl Translation {
    pub(crate) fn new() -> Self {
        // In this order: what happens between the two makes deadlines earlier.
        let boot = now();
        Self { boot, instant: Instant::now(), latest: None }
    }

    /// A deadline; each new one looks at the clocks for the next. The same one again does not: what sets the next one may have begun
    /// before, and the machine may sleep in between.
    pub(crate) fn deadline(&mut self, at: Instant) -> Nanoseconds {
        if let Some((_, deadline)) = self.latest.filter(|(latest, _)| *latest == at) {
            return deadline;
        }
        let deadline = self.translate(at);
        *self = Self { latest: Some((at, deadline)), ..Self::new() };
        deadline
    }

    fn translate(&self, at: Instant) -> Nanoseconds {
        let nanoseconds = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        match at.checked_duration_since(self.instant) {
            Some(ahead) => self.boot.saturating_add(nanoseconds(ahead)),
            None => self.boot.saturating_sub(nanoseconds(self.instant.saturating_duration_since(at))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_same_span_away_by_both_clocks() {
        let mut translation = Translation::new();
        for ahead in [Duration::ZERO, Duration::from_secs(3)] {
            let deadline = translation.deadline(Instant::now() + ahead);
            let now = now();
            assert!(deadline <= now + u64::try_from(ahead.as_nanos()).unwrap(), "{ahead:?} is too late");
            assert!(deadline + 1_000_000_000 > now + u64::try_from(ahead.as_nanos()).unwrap());
        }
    }

    #[test]
    fn sleep_of_the_machine_makes_a_deadline_earlier() {
        let mut translation = Translation::new();
        // As if it had slept for an hour since.
        translation.boot -= 3_600_000_000_000;
        let at = Instant::now() + Duration::from_secs(2);
        assert!(translation.deadline(at) < now());
        assert!(translation.deadline(at) < now(), "the same one stays over");
        let next = at + Duration::from_millis(1);
        assert!(translation.deadline(next) > now(), "the next one is of after the sleep");
    }
}
