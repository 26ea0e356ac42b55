//! What a client saw of one kind of requests, or of writes: the longest time without a good answer, and what failed how.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[derive(Clone, Copy)]
pub(crate) enum Failure {
    TimedOut,
    /// Or unreachable.
    Refused,
    /// Reset, or closed before the answer was whole.
    Closed,
    /// Another status than 200; an error of the server.
    Wrong,
}

pub(crate) struct Seen {
    begin: Instant,
    last: Instant,
    ended: Option<Instant>,
    gap: Duration,
    pub(crate) in_a_row: u64,
    answered: u64,
    failed: [u64; 4],
}

impl Seen {
    pub(crate) fn new(begin: Instant) -> Self {
        Self {
            begin,
            last: begin,
            ended: None,
            gap: Duration::ZERO,
            in_a_row: 0,
            answered: 0,
            failed: [0; 4],
        }
    }

    pub(crate) fn answered(&mut self, at: Instant) {
        self.gap = self.gap.max(at.saturating_duration_since(self.last));
        self.last = at;
        self.answered += 1;
        self.in_a_row += 1;
    }

    /// One that was asked `asked` has failed. What was asked before the beginning is of no interest.
    pub(crate) fn failed(&mut self, failure: Failure, asked: Instant) {
        if asked >= self.begin {
            self.failed[failure as usize] += 1;
        }
        self.in_a_row = 0;
    }

    /// Nothing more is asked. What is still awaited may be answered, and end a gap.
    pub(crate) fn end(&mut self, at: Instant) {
        self.ended = Some(at);
    }

    pub(crate) fn json(&self) -> Value {
        let until_end = self.ended.map_or(Duration::ZERO, |ended| ended.saturating_duration_since(self.last));
        let [timed_out, refused, closed, wrong] = self.failed;
        json!({
            "gap_ms": self.gap.max(until_end).as_secs_f64() * 1e3,
            // Nobody knows how long it would have lasted.
            "open": until_end > self.gap,
            "answered": self.answered,
            "failed": self.failed.iter().sum::<u64>(),
            "failures": {
                "timed_out": timed_out, "refused": refused, "closed": closed, "wrong": wrong,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_the_longest_time_without_a_good_answer() {
        let begin = Instant::now();
        let mut seen = Seen::new(begin);
        for ms in [10, 20, 360, 370] {
            seen.answered(begin + Duration::from_millis(ms));
        }
        seen.failed(Failure::TimedOut, begin + Duration::from_millis(30));
        seen.failed(Failure::TimedOut, begin - Duration::from_millis(30));
        seen.end(begin + Duration::from_millis(400));
        let told = seen.json();
        assert_eq!(told["gap_ms"], 340.0);
        assert_eq!(told["open"], false);
        assert_eq!((told["answered"].as_u64(), told["failed"].as_u64()), (Some(4), Some(1)));
    }

    #[test]
    fn a_gap_is_open_unless_something_that_was_awaited_still_ends_it() {
        let begin = Instant::now();
        let mut seen = Seen::new(begin);
        seen.answered(begin + Duration::from_millis(10));
        seen.end(begin + Duration::from_millis(5010));
        assert_eq!(seen.json()["gap_ms"], 5000.0);
        assert_eq!(seen.json()["open"], true);

        seen.answered(begin + Duration::from_millis(5020));
        assert_eq!(seen.json()["gap_ms"], 5010.0);
        assert_eq!(seen.json()["open"], false);
    }
}
