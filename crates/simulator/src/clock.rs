//! A host's clock, which runs a little too fast or too slow.

use std::time::{Duration, Instant};

use crate::Time;

/// Shows what a host's monotonic clock would.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    /// Millionths too fast; negative: too slow.
    drift_ppm: i32,
}

const MILLION: i128 = 1_000_000;

impl Clock {
    pub fn new(origin: Instant, drift_ppm: i32) -> Self {
        Self { origin, drift_ppm: drift_ppm.clamp(-500_000, 500_000) }
    }

    /// What it shows at a time of the world.
    pub fn shows(&self, at: Time) -> Instant {
        self.origin + nanoseconds(self.passed(at))
    }

    /// The first time of the world at which it shows `instant`.
    pub fn when(&self, instant: Instant) -> Time {
        let wanted = as_i128(instant.saturating_duration_since(self.origin));
        let rate = MILLION + i128::from(self.drift_ppm);
        let mut at = nanoseconds(wanted * MILLION / rate);
        // The division above and the one in `passed` round: at most a few nanoseconds.
        while self.passed(at) < wanted {
            at += Duration::from_nanos(1);
        }
        at
    }

    fn passed(&self, at: Time) -> i128 {
        let real = as_i128(at);
        real + real * i128::from(self.drift_ppm) / MILLION
    }
}

fn as_i128(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

fn nanoseconds(count: i128) -> Duration {
    Duration::from_nanos(u64::try_from(count.max(0)).unwrap_or(u64::MAX))
}
