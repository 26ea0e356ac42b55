//! What clients saw: every request counted, good answers in a histogram, the first failures in full.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::timeline::Timeline;

/// Failures kept in full, of each record.
const FIRST_FAILURES: usize = 20;
/// Distinct causes counted; a cause comes from the other side, so they are bounded.
const CAUSES: usize = 32;

/// Longer answers count as this long in the percentiles.
const LONGEST_US: u64 = 60_000_000;

/// How a request failed, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The connection was refused, or the address unreachable.
    Refused,
    /// No connection within the client's time-out.
    ConnectTimeout,
    /// Closed or reset before the answer was complete.
    Reset,
    /// Connected, but no complete answer within the client's time-out.
    Timeout,
    /// An answer that says it failed: 5xx.
    Status(u16),
    /// An answer that could not be understood.
    BadReply,
    /// The client's own machine could not send it: no port, no descriptor.
    Local,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::ConnectTimeout => f.write_str("connect-timeout"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => status.fmt(f),
            Self::BadReply => f.write_str("bad-reply"),
            Self::Local => f.write_str("local"),
        }
    }
}

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Good,
    /// With the cause that the load balancer gave in its `nines-cause` header, or what the client's error says.
    Failed(Failure, Option<String>),
}

/// One of the first failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRequest {
    /// When it was due.
    pub due: Instant,
    pub took: Duration,
    pub failure: Failure,
    pub cause: Option<String>,
}

/// What the clients saw from `started` on.
#[derive(Debug)]
pub struct Record {
    pub started: Instant,
    pub sent: u64,
    pub failures: BTreeMap<Failure, u64>,
    pub causes: BTreeMap<String, u64>,
    pub first_failures: Vec<FailedRequest>,
    /// Good answers, in microseconds from the time that the request was due.
    pub latency: Histogram<u64>,
    /// The slowest good answer; `None` without one.
    pub slowest: Option<Duration>,
    /// Longest time without a good answer on one of the ways in.
    pub longest_gap: Duration,
    /// When that began; none without one.
    pub gap_from: Option<Instant>,
    /// Requests by when they were due.
    pub timeline: Timeline<Failure>,
    /// The furthest that the clients themselves were behind their schedule.
    pub lateness: Duration,
    /// On each way in.
    last_good: Vec<Instant>,
}

impl Record {
    /// `ways`: how many ways in there are.
    pub fn new(started: Instant, ways: usize) -> Self {
        Self {
            started,
            sent: 0,
            failures: BTreeMap::new(),
            causes: BTreeMap::new(),
            first_failures: Vec::new(),
            latency: Histogram::new_with_bounds(1, LONGEST_US, 3)
                .expect("bounds that the constructor allows"),
            slowest: None,
            longest_gap: Duration::ZERO,
            gap_from: None,
            timeline: Timeline::new(started),
            lateness: Duration::ZERO,
            last_good: vec![started; ways],
        }
    }

    pub fn sent(&mut self, late: Duration) {
        self.sent += 1;
        self.lateness = self.lateness.max(late);
    }

    /// A request on the way in of this number has ended.
    pub fn ended(&mut self, way: usize, due: Instant, end: Instant, outcome: Outcome) {
        let took = end.saturating_duration_since(due);
        match outcome {
            Outcome::Good => {
                self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
                self.slowest = self.slowest.max(Some(took));
                self.timeline.good(due, took);
                if let Some(&last_good) = self.last_good.get(way) {
                    self.silent(last_good, end);
                    self.last_good[way] = end.max(last_good);
                }
            }
            Outcome::Failed(failure, cause) => {
                *self.failures.entry(failure).or_default() += 1;
                self.timeline.failed(due, &failure);
                if let Some(cause) = &cause
                    && (self.causes.len() < CAUSES || self.causes.contains_key(cause))
                {
                    *self.causes.entry(cause.clone()).or_default() += 1;
                }
                if self.first_failures.len() < FIRST_FAILURES {
                    self.first_failures.push(FailedRequest { due, took, failure, cause });
                }
            }
        }
    }

    /// The clients sent nothing more from `end` on: silence up to then counts as a gap.
    pub fn stopped(&mut self, end: Instant) {
        for way in 0..self.last_good.len() {
            self.silent(self.last_good[way], end);
        }
    }

    fn silent(&mut self, from: Instant, to: Instant) {
        let gap = to.saturating_duration_since(from);
        if gap > self.longest_gap {
            (self.longest_gap, self.gap_from) = (gap, Some(from));
        }
    }

    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    pub fn good(&self) -> u64 {
        self.latency.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_longest_gap_is_between_good_answers_only() {
        let start = Instant::now();
        let mut record = Record::new(start, 1);
        record.ended(0, start, start + ms(10), Outcome::Good);
        record.ended(0, start, start + ms(100), Outcome::Failed(Failure::Reset, None));
        record.ended(0, start, start + ms(210), Outcome::Good);
        record.ended(0, start, start + ms(220), Outcome::Good);
        assert_eq!(record.longest_gap, ms(200));
        assert_eq!(record.gap_from, Some(start + ms(10)));
        assert_eq!((record.good(), record.failed()), (3, 1));
    }

    #[test]
    fn a_gap_on_one_way_in_is_not_hidden_by_another() {
        let start = Instant::now();
        let mut record = Record::new(start, 2);
        for at in [50, 100, 150, 200] {
            record.ended(0, start, start + ms(at), Outcome::Good);
        }
        record.ended(1, start, start + ms(180), Outcome::Good);
        assert_eq!(record.longest_gap, ms(180));
        record.ended(0, start, start + ms(400), Outcome::Good);
        record.stopped(start + ms(400));
        assert_eq!(record.longest_gap, ms(220));
    }

    #[test]
    fn silence_before_the_first_and_after_the_last_answer_is_a_gap() {
        let start = Instant::now();
        let mut record = Record::new(start, 1);
        record.ended(0, start, start + ms(300), Outcome::Good);
        assert_eq!(record.longest_gap, ms(300));
        record.stopped(start + ms(900));
        assert_eq!(record.longest_gap, ms(600));
    }

    #[test]
    fn an_answer_that_is_told_late_does_not_shorten_the_clock() {
        let start = Instant::now();
        let mut record = Record::new(start, 1);
        record.ended(0, start, start + ms(50), Outcome::Good);
        record.ended(0, start, start + ms(40), Outcome::Good);
        record.ended(0, start, start + ms(60), Outcome::Good);
        assert_eq!(record.longest_gap, ms(50));
    }

    #[test]
    fn latency_counts_from_when_the_request_was_due() {
        let start = Instant::now();
        let mut record = Record::new(start, 1);
        assert_eq!(record.slowest, None);
        record.ended(0, start + ms(5), start + ms(25), Outcome::Good);
        assert_eq!(record.slowest, Some(ms(20)));
        assert!((19_900..20_100).contains(&record.latency.value_at_quantile(0.5)));
    }

    #[test]
    fn what_is_kept_in_full_is_bounded_and_what_is_counted_is_not() {
        let start = Instant::now();
        let mut record = Record::new(start, 1);
        for n in 0..1000 {
            let cause = Some(format!("cause {n}"));
            record.ended(0, start, start, Outcome::Failed(Failure::Status(503), cause));
        }
        assert_eq!(record.failed(), 1000);
        assert_eq!(record.first_failures.len(), FIRST_FAILURES);
        assert_eq!(record.causes.len(), CAUSES);
    }
}
