//! How long the oldest request has been waiting for its reply to begin: where nothing ends, nothing is counted, and a member that
//! takes everything and answers nothing would look like one that nobody asks.
//!
//! A count for each second in which a wait began. Who begins a wait writes one of them and takes it back when it ends; who reads looks
//! for the oldest that is not empty. As all counters, each has one writer, its worker.

use std::time::{Duration, Instant};

use nines_control::statistics::Count;

/// Seconds that can be told apart. An older wait looks like a younger one, which measuring knows.
const SECONDS: u64 = 64;

/// A client that goes without an answer after this has had enough of waiting; before, it is its own doing.
pub(crate) const PATIENT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Waits {
    started: Instant,
    began: [Count; SECONDS as usize],
}

impl Default for Waits {
    fn default() -> Self {
        Self { started: Instant::now(), began: std::array::from_fn(|_| Count::default()) }
    }
}

impl Waits {
    fn slot(&self, since: Instant) -> &Count {
        let second = since.saturating_duration_since(self.started).as_secs();
        &self.began[(second % SECONDS) as usize]
    }

    /// Whole seconds.
    pub(crate) fn oldest(&self, now: Instant) -> u64 {
        (0..SECONDS).rev().find(|ago| self.began(*ago, now) > 0).unwrap_or(0)
    }

    /// How many of those who wait began so many seconds ago.
    fn began(&self, ago: u64, now: Instant) -> u64 {
        let second = now.saturating_duration_since(self.started).as_secs();
        self.began[((second + SECONDS - ago) % SECONDS) as usize].get()
    }
}

/// Whole seconds that the oldest but one of them all has waited: what a single one waits for may be its own doing.
pub(crate) fn of_several<'a, I: Iterator<Item = &'a Waits>>(all: impl Fn() -> I, now: Instant) -> u64 {
    let mut waiting = 0;
    let several = |ago: &u64| {
        waiting += all().map(|waits| waits.began(*ago, now)).sum::<u64>();
        waiting > 1
    };
    (0..SECONDS).rev().find(several).unwrap_or(0)
}

/// Somebody waits, on a listener and on a pool, until this is dropped.
pub(crate) struct Waiting<'a>([&'a Count; 2]);

impl<'a> Waiting<'a> {
    pub(crate) fn since(since: Instant, listener: &'a Waits, pool: &'a Waits) -> Self {
        let counts = [listener.slot(since), pool.slot(since)];
        counts.iter().for_each(|count| count.add(1));
        Self(counts)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|count| count.sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_told_until_it_ends() {
        let (listener, pool) = (Waits::default(), Waits::default());
        let at = |second: u64| listener.started + Duration::from_millis(second * 1000 + 1);
        assert_eq!(listener.oldest(at(100)), 0);
        let first = Waiting::since(at(100), &listener, &pool);
        let second = Waiting::since(at(103), &listener, &pool);
        let others: Vec<Waiting<'_>> = (0..9).map(|_| Waiting::since(at(104), &listener, &pool)).collect();
        assert_eq!((listener.oldest(at(107)), listener.oldest(at(163))), (7, 63));
        let (only, both) = (|| [&listener].into_iter(), || [&pool, &listener].into_iter());
        assert_eq!((of_several(only, at(107)), of_several(both, at(107))), (4, 7));
        drop(first);
        assert_eq!(listener.oldest(at(107)), 4);
        drop(second);
        assert_eq!(listener.oldest(at(107)), 3);
        assert_eq!(of_several(only, at(107)), 3);
        drop(others);
        assert_eq!(of_several(both, at(107)), 0);
        assert_eq!((listener.oldest(at(107)), pool.oldest(at(107))), (0, 0));
    }
}
