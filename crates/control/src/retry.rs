//! When another try is allowed ([`Budget`]) and how long a silent one is waited for ([`Patience`]). One of each
//! per worker and pool; both are a few numbers and never allocate.

use std::time::{Duration, Instant};

use nines_system::Retries;

/// How long what was deposited lasts.
const MEMORY: f64 = 10.0;

/// A leaky bucket of further tries, so that retries can't make an overload worse.
///
/// Every request deposits [`Retries::budget`] of a try and every second [`Retries::minimum_per_second`]; a
/// deposit fades within about ten seconds, so the bucket never holds more than ten seconds' worth of both. It
/// starts with ten seconds' worth of the minimum.
#[derive(Debug, Clone)]
pub struct Budget {
    per_request: f64,
    per_second: f64,
    tries: f64,
    /// When `tries` was right. `None` before the first call.
    at: Option<Instant>,
}

impl Budget {
    pub fn new(retries: &Retries) -> Self {
        let per_second = f64::from(retries.minimum_per_second);
        Self { per_request: retries.budget, per_second, tries: per_second * MEMORY, at: None }
    }

    /// A request came from a client.
    pub fn request(&mut self, now: Instant) {
        self.pass_time(now);
        self.tries += self.per_request;
    }

    /// Whether one further try may be made; if so, it is paid.
    pub fn spend(&mut self, now: Instant) -> bool {
        self.pass_time(now);
        let enough = self.tries >= 1.0;
        if enough {
            self.tries -= 1.0;
        }
        enough
    }

    fn pass_time(&mut self, now: Instant) {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let seconds = since.as_secs_f64().min(MEMORY);
        self.tries += seconds * (self.per_second - self.tries / MEMORY);
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
    }
}

/// A histogram's buckets to each doubling of the time.
const STEPS: usize = 4;
/// 1 µs to about a minute.
const BUCKETS: usize = 26 * STEPS;
/// Observations from one look at the percentile to the next; the first ones are enough to begin with.
const LOOK_EVERY: u32 = 128;
/// Looks from one halving of all counts to the next: what was seen some thousand replies ago no longer matters.
const FADE_EVERY: u32 = 16;
/// What is waited before enough was seen.
const AT_FIRST: Duration = Duration::from_millis(250);

/// A member that was heard from this recently is slow at worst, not silent: a pause of its own (a garbage collection,
/// a busy core) makes others answer in its place, but is not held against it.
pub const SILENT_AFTER: Duration = Duration::from_millis(200);

/// How long a member may be silent before another one is asked too: twice what 99 of 100 replies took lately,
/// within the pool's bounds.
///
/// Observe the time to first byte of every reply that comes, measured from its own try's start.
#[derive(Debug, Clone)]
pub struct Patience {
    min: Duration,
    max: Duration,
    silence: Duration,
    counts: [u32; BUCKETS],
    observed: u32,
    looks: u32,
}

impl Patience {
    pub fn new(retries: &Retries) -> Self {
        let min = retries.silence_min;
        let max = retries.silence_max.max(min);
        let silence = AT_FIRST.clamp(min, max);
        Self { min, max, silence, counts: [0; BUCKETS], observed: 0, looks: 0 }
    }

    pub fn observe(&mut self, took: Duration) {
        self.counts[bucket(took)] += 1;
        self.observed += 1;
        if self.observed == LOOK_EVERY {
            self.observed = 0;
            self.look();
        }
    }

    pub fn silence(&self) -> Duration {
        self.silence
    }

    fn look(&mut self) {
        let total: u32 = self.counts.iter().sum();
        let mut slower = total / 100;
        let at = self.counts.iter().rposition(|&count| match slower.checked_sub(count) {
            Some(rest) => {
                slower = rest;
                false
            }
            None => true,
        });
        self.silence = (2 * upper_bound(at.unwrap_or(0))).clamp(self.min, self.max);
        self.looks += 1;
        if self.looks == FADE_EVERY {
            self.looks = 0;
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
    }
}

/// The octave of the microseconds, and within it the two bits after the leading one.
fn bucket(took: Duration) -> usize {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = us.ilog2() as usize;
    let step = ((us << (63 - octave)) >> 61) as usize & (STEPS - 1);
    (octave * STEPS + step).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> Duration {
    let (octave, step) = (bucket / STEPS, bucket % STEPS);
    Duration::from_micros(((1u64 << octave) * (STEPS + step + 1) as u64).div_ceil(STEPS as u64))
}

#[cfg(test)]
mod tests;
