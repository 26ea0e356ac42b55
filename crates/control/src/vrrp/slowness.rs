//! Whether this host stands still again and again: a host that gets little of its processors advertises in time, and serves
//! late or not at all.
//!
//! It is told by the lateness of timers that the threads which serve set for themselves; on a busy machine they are late by
//! some milliseconds, and by more than [`LATE`] only now and then. A single pause, however long, is one late second: it does
//! not make a host slow.
//!
//! It must not flap. A host is slow after some ten seconds of it, and well again after [`HOLD`] in which next to nothing was
//! late; if it is slow again soon, after twice that time, and so on. So a host that is slow only because it serves does not
//! get the address back at every turn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A timer that goes off later than this after its time is late. Above the 100 ms in which Linux deals out the shares of
/// processors that containers may have.
pub const LATE: Duration = Duration::from_millis(100);
/// How long a host must be as good as never late, at first.
pub const HOLD: Duration = Duration::from_secs(30);
/// And at most. After such a time in which it was well, its past is forgotten.
const HOLD_MAX: Duration = Duration::from_secs(15 * 60);
const SECOND: Duration = Duration::from_secs(1);
/// Of the latest seconds, as many as this…
const WINDOW: usize = 10;
/// …make it slow if so many are late, …
const TOO_MANY: usize = 8;
/// …and are as good as none if so few are.
const FEW: usize = 1;

/// Of one thread, since it began: how often its timer went off, and how often late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Turns {
    pub all: u64,
    pub late: u64,
}

/// Whether a thread was late for a time in which this happened. Of timers that wait for the end of one pause the last are hardly
/// late, so that a third of them is much.
pub fn is_late(turns: Turns) -> bool {
    3 * turns.late > turns.all || turns.all == 0
}

#[derive(Debug, Clone)]
pub struct Slowness {
    latest: Option<(Instant, Vec<Turns>)>,
    /// Of each of the latest seconds whether it was late.
    seconds: VecDeque<bool>,
    slow: bool,
    /// Since when it is slow or well.
    since: Option<Instant>,
    /// Since when next to nothing has been late.
    calm_since: Option<Instant>,
    /// For how long that must last.
    hold: Duration,
}

impl Default for Slowness {
    fn default() -> Self {
        Self {
            latest: None,
            seconds: VecDeque::new(),
            slow: false,
            since: None,
            calm_since: None,
            hold: HOLD,
        }
    }
}

impl Slowness {
    /// To be called at least every second or so, and as often as one likes.
    pub fn look(&mut self, now: Instant, turns: impl FnOnce() -> Vec<Turns>) {
        if self.latest.as_ref().is_some_and(|(at, _)| now < *at + SECOND) {
            return;
        }
        let turns = turns();
        let Some((_, before)) = self.latest.replace((now, turns.clone())) else { return };
        // The slowest decides: whoever is connected to it waits.
        let late = turns.iter().zip(&before).any(|(after, before)| {
            let all = after.all.saturating_sub(before.all);
            is_late(Turns { all, late: after.late.saturating_sub(before.late) })
        });
        if self.seconds.len() == WINDOW {
            self.seconds.pop_front();
        }
        self.seconds.push_back(late);
        self.judge(now);
    }

    fn judge(&mut self, now: Instant) {
        let late = self.seconds.iter().filter(|late| **late).count();
        match late {
            0..=FEW => _ = self.calm_since.get_or_insert(now),
            _ => self.calm_since = None,
        }
        let lasts = |since: Option<Instant>| since.map(|since| now.saturating_duration_since(since));
        if !self.slow && late >= TOO_MANY {
            let soon = lasts(self.since).is_some_and(|well| well < HOLD_MAX);
            self.hold = if soon { (2 * self.hold).min(HOLD_MAX) } else { HOLD };
            (self.slow, self.since) = (true, Some(now));
        } else if self.slow && lasts(self.calm_since).is_some_and(|calm| calm >= self.hold) {
            (self.slow, self.since) = (false, Some(now));
        }
    }

    pub fn is_slow(&self) -> bool {
        self.slow
    }
}
