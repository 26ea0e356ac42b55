//! What one look makes of a second.
//!
//! With requests, they decide: a second is down if fewer than half of what was answered in it was good. Without, what they last said holds on for a
//! little while, for an outage doesn't end because clients pause; and then whether the subject could have served. The load
//! balancer that holds no address, the host that doesn't have the primary, don't know.

use super::{Second, State};

/// For as long as this the last requests speak for seconds without any.
const SPEAKS: u64 = 10;

/// What is seen of a subject at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether who looks is the one who would know.
    pub on_duty: bool,
    /// Whether it could serve a request that came now.
    pub able: bool,
    /// Requests answered well and not, since it began to be counted.
    pub good: u64,
    pub bad: u64,
}

/// Makes seconds of looks. One for each subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    counted: Option<(u64, u64)>,
    failing_since: Option<Second>,
}

impl Watch {
    /// The state at `now`, and the requests since the look before. The first look has nothing to compare with: its requests
    /// are those of this process all the same, and counted.
    pub fn look(&mut self, now: Second, look: Look) -> (State, u64, u64) {
        let (good_before, bad_before) = self.counted.unwrap_or((0, 0));
        self.counted = Some((look.good, look.bad));
        // Counters that went back are another's, and begin anew.
        let since = |now: u64, before: u64| if now < before { now } else { now - before };
        let (good, bad) = (since(look.good, good_before), since(look.bad, bad_before));
        if good + bad > 0 {
            let failing = good < bad;
            self.failing_since = failing.then_some(now);
            return (if failing { State::Down } else { State::Up }, good, bad);
        }
        let failed_lately = self.failing_since.is_some_and(|then| now.saturating_sub(then) < SPEAKS);
        let state = match look {
            Look { on_duty: false, .. } => State::Unknown,
            Look { able: true, .. } if !failed_lately => State::Up,
            Look { .. } => State::Down,
        };
        (state, good, bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_decide_and_then_whether_it_could_serve() {
        let mut watch = Watch::default();
        let look = |able, good, bad| Look { on_duty: true, able, good, bad };
        assert_eq!(watch.look(1, look(true, 0, 0)), (State::Up, 0, 0));
        assert_eq!(watch.look(2, look(false, 0, 0)), (State::Down, 0, 0));
        // It answers, whatever the checks say; half of them is just enough.
        assert_eq!(watch.look(3, look(false, 5, 5)), (State::Up, 5, 5));
        assert_eq!(watch.look(4, look(true, 6, 7)), (State::Down, 1, 2));
        // Nobody asks: it is down as long as the failures speak, and until one is answered.
        assert_eq!(watch.look(5, look(true, 6, 7)).0, State::Down);
        assert_eq!(watch.look(13, look(true, 6, 7)).0, State::Down);
        assert_eq!(watch.look(14, look(true, 6, 7)).0, State::Up);
        assert_eq!(watch.look(15, look(true, 6, 8)).0, State::Down);
        assert_eq!(watch.look(16, look(true, 7, 8)).0, State::Up);
        assert_eq!(watch.look(17, look(true, 7, 8)).0, State::Up);
    }

    #[test]
    fn who_is_not_on_duty_knows_by_requests_alone() {
        let mut watch = Watch::default();
        let look = |good| Look { on_duty: false, able: true, good, bad: 0 };
        assert_eq!(watch.look(1, look(0)).0, State::Unknown);
        assert_eq!(watch.look(2, look(1)), (State::Up, 1, 0));
        assert_eq!(watch.look(3, look(1)).0, State::Unknown);
        // Another's counter.
        assert_eq!(watch.look(4, Look { on_duty: false, able: true, good: 0, bad: 2 }), (State::Down, 0, 2));
    }
}
