//! What happened in a world: its latest lines, and a fingerprint of all of them.

use std::collections::VecDeque;
use std::fmt::Display;
use std::hash::{Hash, Hasher};

use crate::Time;

/// FNV-1a, so that the same trace has the same fingerprint in every run.
#[derive(Debug, Clone)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    // Whole words, since the trace of a run has millions of them.
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// The latest of what happened. Lines are put into words only when they are asked for.
#[derive(Debug)]
pub struct Trace<T> {
    latest: VecDeque<(Time, T)>,
    capacity: usize,
    fingerprint: Fingerprint,
    count: u64,
}

impl<T: Hash + Display> Trace<T> {
    pub fn new(capacity: usize) -> Self {
        Self { latest: VecDeque::new(), capacity, fingerprint: Fingerprint::default(), count: 0 }
    }

    pub fn push(&mut self, at: Time, what: T) {
        self.fingerprint.write_u64(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        what.hash(&mut self.fingerprint);
        self.count += 1;
        if self.latest.len() >= self.capacity {
            self.latest.pop_front();
        }
        if self.capacity > 0 {
            self.latest.push_back((at, what));
        }
    }

    /// Of everything that ever happened.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint.finish()
    }

    /// How much ever happened.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn lines(&self) -> Vec<String> {
        let line = |(at, what): &(Time, T)| format!("{:>12.6} s  {what}", at.as_secs_f64());
        self.latest.iter().map(line).collect()
    }
}
