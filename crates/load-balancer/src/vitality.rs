//! Whether the data plane can serve at this moment, for those who must know it at once and often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nines_control::vrrp::Turns;

use crate::shared::Vitals;

/// A worker that has not turned its loop for so long has stalled. It says some ten times in that time that it turns; with
/// thousands of requests at once and two cores for six programs, the longest silence was a third of it.
const STALL: Duration = Duration::from_secs(1);

/// To be asked from any thread, without a lock, as often as one likes; it outlives the data plane.
#[derive(Debug, Clone)]
pub struct Vitality {
    pub(crate) started: Instant,
    /// Whether clients are to be accepted.
    pub(crate) opened: Arc<AtomicBool>,
    pub(crate) workers: Arc<[Arc<Vitals>]>,
}

/// Why nobody can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unable {
    #[error("no listener is open")]
    NotListening,
    #[error("worker {worker} has not turned its loop for more than {STALL:?}")]
    Stalled { worker: usize },
}

impl Vitality {
    pub(crate) fn new(started: Instant, workers: usize) -> Self {
        let workers = (0..workers).map(|_| Arc::default()).collect();
        Self { started, opened: Arc::default(), workers }
    }

    /// # Errors
    /// It can't serve: a worker has stalled, or nothing listens.
    pub fn able(&self) -> Result<(), Unable> {
        let stalled = self.workers.iter().position(|vitals| self.since_turn(vitals) > STALL);
        if let Some(worker) = stalled {
            return Err(Unable::Stalled { worker });
        }
        let listens = |vitals: &Arc<Vitals>| vitals.open.load(Ordering::Relaxed) > 0;
        if self.opened.load(Ordering::Relaxed) && self.workers.iter().any(listens) {
            Ok(())
        } else {
            Err(Unable::NotListening)
        }
    }

    /// How often each worker's timers went off, and how often late.
    pub fn turns(&self) -> Vec<Turns> {
        let of = |vitals: &Arc<Vitals>| Turns {
            late: vitals.late.load(Ordering::Relaxed),
            all: vitals.beats.load(Ordering::Relaxed),
        };
        self.workers.iter().map(of).collect()
    }

    /// How long ago the worker that has not turned its loop for the longest time did so.
    pub(crate) fn stall(&self) -> Duration {
        self.workers.iter().map(|vitals| self.since_turn(vitals)).max().unwrap_or_default()
    }

    fn since_turn(&self, vitals: &Vitals) -> Duration {
        let beat = Duration::from_millis(vitals.beat_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(beat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_that_stalls_or_no_open_socket_is_enough() {
        let started = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let vitality = Vitality::new(started, 2);
        let beat = |worker: usize, ago: u64| {
            let since = u64::try_from(started.elapsed().as_millis()).unwrap();
            vitality.workers[worker].beat_ms.store(since - ago, Ordering::Relaxed);
        };
        assert_eq!(vitality.able(), Err(Unable::Stalled { worker: 0 }));
        beat(0, 0);
        beat(1, 1500);
        assert_eq!(vitality.able(), Err(Unable::Stalled { worker: 1 }));
        assert!(vitality.stall() >= Duration::from_millis(1500));
        beat(1, 200);
        assert_eq!(vitality.able(), Err(Unable::NotListening));
        vitality.opened.store(true, Ordering::Relaxed);
        assert_eq!(vitality.able(), Err(Unable::NotListening));
        vitality.workers[1].open.fetch_add(1, Ordering::Relaxed);
        assert_eq!(vitality.able(), Ok(()));
        vitality.opened.store(false, Ordering::Relaxed);
        assert_eq!(vitality.able(), Err(Unable::NotListening), "it drains");
        let said = Unable::Stalled { worker: 1 }.to_string();
        assert_eq!(said, "worker 1 has not turned its loop for more than 1s");
    }
}
