//! An open loop: asking is due by the clock, and never waits for an answer.
//!
//! It watches itself. Its loop turns many times a second; if it did not, the machine or somebody kept it from running. What should have
//! been asked meanwhile was not, and what failed meanwhile may have failed for that alone: both are unknown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Asker;
use crate::outcome::{Asked, Outcome, Way};

/// The loop turns at least so often.
const TURN: Duration = Duration::from_millis(50);
/// After it was stopped, what is under way has so long to end. What has not ended then is unknown.
const GIVEN_UP: Duration = Duration::from_millis(500);
/// A turn that took longer than this was a stall.
const STALL: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one time that a target is asked to the next.
    pub every: Duration,
    /// For how long; without: until it is stopped.
    pub lasts: Option<Duration>,
}

/// What the loop tells, as it happens.
#[derive(Debug)]
pub enum Heard {
    /// A target, by its place in the list, was to be asked at `due`: how that ended.
    Asked { target: usize, due: Instant, asked: Asked },
    /// The loop has turned, whether something happened or not.
    Turn { now: Instant },
}

/// When the loop last turned, and the latest time that it did not.
struct Itself {
    turned: Instant,
    stalled: Option<(Instant, Instant)>,
}

impl Itself {
    fn turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.turned) > STALL {
            self.stalled = Some((self.turned, now));
        }
        self.turned = now;
    }

    /// For how long it stood still within a time.
    fn stalled_in(&self, from: Instant, to: Instant) -> Option<Duration> {
        self.stalled.filter(|&(begin, end)| begin < to && from < end).map(|(begin, end)| end - begin)
    }
}

/// Asks all of them, each at its moment, until the time is over, and waits for what is still unanswered; or until it is stopped, and
/// waits for it no longer than a moment.
pub async fn probe(
    askers: Vec<Asker>,
    pace: Pace,
    mut stop: watch::Receiver<bool>,
    mut tell: impl FnMut(Heard),
) {
    let started = Instant::now();
    let askers: Vec<Arc<Asker>> = askers.into_iter().map(Arc::new).collect();
    let Ok(count) = u32::try_from(askers.len()) else { return };
    if count == 0 {
        return;
    }
    let end = pace.lasts.map(|lasts| started + lasts);
    // Targets take turns, so that they are not asked all in one moment.
    let due = |n: u64| {
        let (round, target) = (n / u64::from(count), (n % u64::from(count)) as u32);
        started
            + Duration::from_secs_f64(pace.every.as_secs_f64() * round as f64)
            + pace.every * target / count
    };
    let mut itself = Itself { turned: started, stalled: None };
    let mut in_flight: JoinSet<(u64, Instant, Asked)> = JoinSet::new();
    // What is under way, by its number: whom it asks, and when it was due.
    let mut open: BTreeMap<u64, (usize, Instant)> = BTreeMap::new();
    let mut next = 0u64;
    let mut asking = true;
    let mut stopped: Option<Instant> = None;
    while asking || !in_flight.is_empty() {
        let at = due(next);
        let over = end.filter(|&end| at >= end);
        let target = (next % u64::from(count)) as usize;
        tokio::select! {
            biased;
            // An end of the sender is a stop as well.
            _ = stop.wait_for(|stop| *stop), if stopped.is_none() => {
                asking = false;
                stopped = Some(Instant::now() + GIVEN_UP);
            }
            () = sleep_until(stopped.unwrap_or(at)), if stopped.is_some() => break,
            () = sleep_until(over.unwrap_or(at)), if asking && over.is_some() => { asking = false; }
            () = sleep_until(at), if asking && over.is_none() => {
                let now = Instant::now();
                itself.turn(now);
                next += 1;
                let late = now.saturating_duration_since(at);
                if late > STALL {
                    let why = format!("it was not asked: the prober was {} ms late", late.as_millis());
                    let asked = not_asked(late, why);
                    tell(Heard::Asked { target, due: at, asked });
                } else {
                    let asker = Arc::clone(&askers[target]);
                    let number = next;
                    open.insert(number, (target, at));
                    in_flight.spawn(async move { (number, now, asker.ask(at).await) });
                }
            }
            Some(ended) = in_flight.join_next() => {
                let now = Instant::now();
                itself.turn(now);
                // A task that died has asked nothing that anybody could know of.
                let Ok((number, sent, mut asked)) = ended else { continue };
                let Some((target, due)) = open.remove(&number) else { continue };
                if let Some(stall) = itself.stalled_in(sent, now).filter(|_| matches!(asked.outcome, Outcome::Failed(..))) {
                    asked.outcome = Outcome::Unknown(format!("the prober stood still for {} ms", stall.as_millis()));
                }
                tell(Heard::Asked { target, due, asked });
            }
            () = sleep_until(itself.turned + TURN) => itself.turn(Instant::now()),
        }
        tell(Heard::Turn { now: itself.turned });
    }
    let now = Instant::now();
    for (target, due) in open.into_values() {
        let took = now.saturating_duration_since(due);
        let asked = not_asked(took, "the prober was stopped before it was answered".to_owned());
        tell(Heard::Asked { target, due, asked });
    }
}

fn not_asked(took: Duration, why: String) -> Asked {
    Asked { took, tried: Vec::new(), outcome: Outcome::Unknown(why), way: Way::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_touches_only_what_was_under_way_in_it() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut itself = Itself { turned: start, stalled: None };
        for turn in [50, 100, 300, 320] {
            itself.turn(at(turn));
        }
        assert_eq!(itself.stalled_in(at(0), at(320)), None);
        itself.turn(at(1320));
        assert_eq!(itself.stalled_in(at(0), at(320)), None);
        assert_eq!(itself.stalled_in(at(300), at(1320)), Some(Duration::from_secs(1)));
        assert_eq!(itself.stalled_in(at(1000), at(1400)), Some(Duration::from_secs(1)));
        assert_eq!(itself.stalled_in(at(1320), at(1400)), None);
    }
}
