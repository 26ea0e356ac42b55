//! What happened when: requests or writes in slots of time, by how they ended, and the slowest few of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// At first; twice as long each time that there would be too many of them.
const SLOT: Duration = Duration::from_millis(10);
/// Slots kept: 41 s at 10 ms each.
const SLOTS: usize = 4096;
/// Kinds of failures told apart.
const KINDS: usize = 16;
/// Slow ones kept.
const SLOWEST: usize = 8;
/// A good answer this late is told apart from the others.
pub const SLOW: Duration = Duration::from_millis(100);

/// One of the slowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slow {
    pub at: Instant,
    pub took: Duration,
}

/// Counts in slots, from `start` on. `K`: what tells failures apart.
#[derive(Debug, Clone)]
pub struct Timeline<K> {
    start: Instant,
    slot: Duration,
    good: Vec<u32>,
    /// Good, but after [`SLOW`] or more.
    slow: Vec<u32>,
    failed: BTreeMap<K, Vec<u32>>,
    /// Of kinds past the first ones.
    others: Vec<u32>,
    /// In each slot the longest that a good one took, in microseconds.
    longest: Vec<u32>,
    /// The slowest first.
    slowest: Vec<Slow>,
}

impl<K: Ord + Clone> Timeline<K> {
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            slot: SLOT,
            good: Vec::new(),
            slow: Vec::new(),
            failed: BTreeMap::new(),
            others: Vec::new(),
            longest: Vec::new(),
            slowest: Vec::new(),
        }
    }

    pub fn start(&self) -> Instant {
        self.start
    }

    pub fn slot(&self) -> Duration {
        self.slot
    }

    pub fn good(&mut self, at: Instant, took: Duration) {
        let index = self.index(at);
        add(if took < SLOW { &mut self.good } else { &mut self.slow }, index, 1);
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        most(&mut self.longest, index, us);
        self.is_slow(Slow { at, took });
    }

    pub fn failed(&mut self, at: Instant, kind: &K) {
        let index = self.index(at);
        let known = self.failed.len() < KINDS || self.failed.contains_key(kind);
        let slots = if known { self.failed.entry(kind.clone()).or_default() } else { &mut self.others };
        add(slots, index, 1);
    }

    /// What another one with the same start has seen.
    pub fn merge(&mut self, mut other: Self) {
        while self.slot < other.slot {
            self.coarsen();
        }
        while other.slot < self.slot {
            other.coarsen();
        }
        sum(&mut self.good, &other.good);
        sum(&mut self.slow, &other.slow);
        sum(&mut self.others, &other.others);
        for (kind, slots) in other.failed {
            let known = self.failed.len() < KINDS || self.failed.contains_key(&kind);
            sum(if known { self.failed.entry(kind).or_default() } else { &mut self.others }, &slots);
        }
        for (index, &us) in other.longest.iter().enumerate() {
            most(&mut self.longest, index, us);
        }
        for slow in other.slowest {
            self.is_slow(slow);
        }
    }

    /// How many failed in slots that were over by then.
    pub fn failed_before(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_micros();
        let slots = usize::try_from(since / self.slot.as_micros()).unwrap_or(usize::MAX);
        let all = self.failed.values().chain([&self.others]);
        all.flat_map(|counts| counts.iter().take(slots)).map(|&count| u64::from(count)).sum()
    }

    pub fn counts(&self) -> Counts<'_, K> {
        let Self { good, slow, failed, others, longest, slowest, .. } = self;
        Counts { good, slow, failed, others, longest, slowest }
    }

    /// The slot of a time; slots become coarser if it has none yet.
    fn index(&mut self, at: Instant) -> usize {
        let since = at.saturating_duration_since(self.start).as_micros();
        loop {
            let index = usize::try_from(since / self.slot.as_micros()).unwrap_or(usize::MAX);
            if index < SLOTS {
                return index;
            }
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.slot *= 2;
        let counts = [&mut self.good, &mut self.slow, &mut self.others];
        for slots in counts.into_iter().chain(self.failed.values_mut()) {
            *slots = slots
                .chunks(2)
                .map(|pair| pair.iter().fold(0, |sum: u32, &n| sum.saturating_add(n)))
                .collect();
        }
        self.longest = self.longest.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or(0)).collect();
    }

    fn is_slow(&mut self, slow: Slow) {
        if self.slowest.len() == SLOWEST && self.slowest.last().is_some_and(|last| last.took >= slow.took) {
            return;
        }
        let place = self.slowest.partition_point(|known| known.took >= slow.took);
        self.slowest.insert(place, slow);
        self.slowest.truncate(SLOWEST);
    }
}

/// All of a [`Timeline`]. Lists end with their last slot that has something in it.
#[derive(Debug, Clone, Copy)]
pub struct Counts<'a, K> {
    pub good: &'a [u32],
    pub slow: &'a [u32],
    pub failed: &'a BTreeMap<K, Vec<u32>>,
    pub others: &'a [u32],
    /// Microseconds.
    pub longest: &'a [u32],
    pub slowest: &'a [Slow],
}

fn add(slots: &mut Vec<u32>, index: usize, count: u32) {
    if slots.len() <= index {
        slots.resize(index + 1, 0);
    }
    slots[index] = slots[index].saturating_add(count);
}

fn most(slots: &mut Vec<u32>, index: usize, value: u32) {
    add(slots, index, 0);
    slots[index] = slots[index].max(value);
}

fn sum(slots: &mut Vec<u32>, others: &[u32]) {
    for (index, &count) in others.iter().enumerate() {
        add(slots, index, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_before_a_time_is_counted_by_when_it_was_due() {
        let start = Instant::now();
        let mut timeline = Timeline::new(start);
        for (ms, kind) in [(5, 'a'), (14, 'b'), (25, 'a')] {
            timeline.failed(start + Duration::from_millis(ms), &kind);
        }
        timeline.good(start, Duration::from_millis(1));
        let before = |ms| timeline.failed_before(start + Duration::from_millis(ms));
        assert_eq!([0, 10, 19, 20, 30, 900].map(before), [0, 1, 1, 2, 3, 3]);
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn each_outcome_is_counted_in_its_slot() {
        let start = Instant::now();
        let mut timeline = Timeline::new(start);
        timeline.good(start, ms(1));
        timeline.good(start + ms(9), ms(3));
        timeline.good(start + ms(30), ms(100));
        timeline.failed(start + ms(19), &"reset");
        let counts = timeline.counts();
        assert_eq!((counts.good, counts.slow), (&[2][..], &[0, 0, 0, 1][..]));
        assert_eq!(counts.failed["reset"], [0, 1]);
        assert_eq!(counts.longest, [3000, 0, 0, 100_000]);
        assert_eq!(counts.slowest[0], Slow { at: start + ms(30), took: ms(100) });
    }

    #[test]
    fn an_hour_of_it_takes_no_more_room_and_loses_nothing() {
        let start = Instant::now();
        let mut timeline = Timeline::new(start);
        for second in 0..3600 {
            timeline.good(start + Duration::from_secs(second), ms(second % 50));
            timeline.failed(start + Duration::from_secs(second), &(second % 100));
        }
        assert_eq!(timeline.slot(), ms(10 << 7));
        let counts = timeline.counts();
        assert!(counts.good.len() <= SLOTS && counts.longest.len() <= SLOTS);
        assert_eq!(counts.good.iter().sum::<u32>(), 3600);
        assert_eq!(counts.failed.len(), KINDS);
        let failed: u32 = counts.failed.values().flatten().chain(counts.others).sum();
        assert_eq!(failed, 3600);
        assert_eq!(counts.slowest.len(), SLOWEST);
        assert!(counts.slowest.iter().all(|slow| slow.took == ms(49)));
    }

    #[test]
    fn timelines_of_different_slots_are_added_up() {
        let start = Instant::now();
        let (mut short, mut long) = (Timeline::new(start), Timeline::new(start));
        short.good(start + ms(15), ms(7));
        long.good(start, ms(2));
        long.good(start + Duration::from_secs(50), ms(2));
        long.failed(start + ms(5), &"timeout");
        short.merge(long);
        assert_eq!(short.slot(), ms(20));
        let counts = short.counts();
        assert_eq!((counts.good[0], counts.good[2500], counts.longest[0]), (2, 1, 7000));
        assert_eq!(counts.failed["timeout"], [1]);
    }
}
