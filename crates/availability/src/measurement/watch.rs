//! What one look makes of a second.
//!
//! With requests, they decide: a second is down if fewer than half of what was answered in it was good. Without, what they last said holds on for a
//! little while, for an outage doesn't end because clients pause; and then whether the subject could have served. Where requests wait
//! and none is answered, it is down as well: a request counts only once it has ended. That is known late, and true from the second in
//! which the first of them came. The load balancer that holds no address, the host that doesn't have the primary, don't know.

use super::{Second, State};

/// For as long as this the last requests speak for seconds without any.
const SPEAKS: u64 = 10;
/// A request that has waited for so long while none was answered well says that it is down.
const HANGS: u64 = 5;
/// Where a wait that was taken for this was answered well after all (clients that poll for long), only a longer one says so, for an hour.
const LEARNED: u64 = 3600;
/// No wait that is longer can be told from this.
const LONGEST: u64 = 60;

/// What is seen of a subject at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether who looks is the one who would know.
    pub on_duty: bool,
    /// Whether it could serve a request that came now.
    pub able: bool,
    /// Requests answered well and not, since it began to be counted.
    pub good: u64,
    pub bad: u64,
    /// Seconds that the oldest request has waited for its reply to begin.
    pub waiting: u64,
}

/// Makes seconds of looks. One for each subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    counted: Option<(u64, u64)>,
    failing_since: Option<Second>,
    /// Whether it was seen since that it could not serve.
    unable: bool,
    good_at: Option<Second>,
    /// The wait that was last taken for a hang, while it lasts.
    hung: Option<u64>,
    /// The first second of a hang that was found with the latest look.
    hung_since: Option<Second>,
    /// A wait that was none, and when that was seen.
    patience: Option<(u64, Second)>,
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
        let hangs = self.hangs(now, look.waiting, good, bad);
        if good + bad > 0 || hangs {
            let failing = hangs || good < bad;
            self.failing_since = failing.then_some(now);
            self.unable = failing && !look.able;
            return (if failing { State::Down } else { State::Up }, good, bad);
        }
        // It has come to be able to serve since it failed: nobody has to ask to know that it is over.
        if look.able && self.unable {
            self.failing_since = None;
        }
        self.unable = !look.able;
        let failed_lately = self.failing_since.is_some_and(|then| now.saturating_sub(then) < SPEAKS);
        let state = match look {
            Look { on_duty: false, .. } => State::Unknown,
            Look { able: true, .. } if !failed_lately => State::Up,
            Look { .. } => State::Down,
        };
        (state, good, bad)
    }

    /// Where the latest look was the first to find that nothing is answered: since which second that is so. What was said of the seconds
    /// since then is to be corrected.
    pub fn hung_since(&self) -> Option<Second> {
        self.hung_since
    }

    fn hangs(&mut self, now: Second, waiting: u64, good: u64, bad: u64) -> bool {
        self.hung_since = None;
        if good > 0 {
            self.good_at = Some(now);
            if let Some(waited) = self.hung.take().filter(|_| bad == 0) {
                self.patience = Some(((waited + 2).min(LONGEST), now));
            }
            return false;
        }
        let learned = self.patience.filter(|(_, then)| now.saturating_sub(*then) < LEARNED);
        let patience = learned.map_or(HANGS, |(waited, _)| waited.max(HANGS));
        let answered_lately = self.good_at.is_some_and(|then| now.saturating_sub(then) < patience);
        let hangs = waiting >= patience && !answered_lately;
        if hangs {
            if self.hung.is_none() {
                let answered = self.good_at.map_or(0, |then| then + 1);
                self.hung_since = Some(now.saturating_sub(waiting).max(answered).min(now));
            }
            self.hung = Some(waiting.max(self.hung.unwrap_or(0)));
        } else if bad > 0 || waiting == 0 {
            self.hung = None;
        }
        hangs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_decide_and_then_whether_it_could_serve() {
        let mut watch = Watch::default();
        let look = |able, good, bad| Look { on_duty: true, able, good, bad, waiting: 0 };
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
        let look = |good| Look { able: true, good, ..Look::default() };
        assert_eq!(watch.look(1, look(0)).0, State::Unknown);
        assert_eq!(watch.look(2, look(1)), (State::Up, 1, 0));
        assert_eq!(watch.look(3, look(1)).0, State::Unknown);
        // Another's counter.
        assert_eq!(watch.look(4, Look { able: true, bad: 2, ..Look::default() }), (State::Down, 0, 2));
    }

    #[test]
    fn who_takes_requests_and_answers_none_is_down() {
        let mut watch = Watch::default();
        let look = |waiting, good, bad| Look { on_duty: true, able: true, good, bad, waiting };
        assert_eq!(watch.look(100, look(0, 9, 0)).0, State::Up);
        assert_eq!(watch.look(104, look(4, 9, 0)).0, State::Up);
        for second in 105..110 {
            assert_eq!(watch.look(second, look(second - 100, 9, 0)).0, State::Down);
        }
        // Its client gives up, and nobody asks: that speaks for a while, as any failure.
        assert_eq!(watch.look(110, look(0, 9, 0)).0, State::Down);
        assert_eq!(watch.look(119, look(0, 9, 0)).0, State::Up);
        // One waits for long, and others are answered.
        for second in 200..250 {
            assert_eq!(watch.look(second, look(second - 200, second, 0)).0, State::Up);
        }
    }

    #[test]
    fn a_hang_is_told_once_from_the_second_in_which_it_began() {
        let mut watch = Watch::default();
        let look = |waiting, good, bad| Look { on_duty: true, able: true, good, bad, waiting };
        // Others are answered while the oldest waits already.
        for second in 100..103 {
            watch.look(second, look(second - 98, second, 0));
        }
        let told: Vec<(u64, u64)> = (103..120)
            // Clients that give up meanwhile change nothing of when it began.
            .filter_map(|now| {
                watch.look(now, look(now - 98, 102, now - 103));
                Some((now, watch.hung_since()?))
            })
            .collect();
        assert_eq!(told, [(107, 103)]);
        // It is over, and comes again; what was answered meanwhile was up.
        watch.look(120, look(0, 103, 17));
        assert_eq!(watch.hung_since(), None);
        let mut again = (121..140).filter_map(|now| {
            watch.look(now, look(now - 121, 103, 17));
            Some((now, watch.hung_since()?))
        });
        assert_eq!(again.next(), Some((126, 121)));
    }

    #[test]
    fn clients_that_poll_for_long_are_known_after_the_first() {
        let mut watch = Watch::default();
        let look = |waiting, good| Look { on_duty: true, able: true, good, bad: 0, waiting };
        let poll = |watch: &mut Watch, from: u64, good: u64| {
            let down = (0..25).filter(|&s| watch.look(from + s, look(s, good)).0 == State::Down).count();
            watch.look(from + 25, look(0, good + 1));
            down
        };
        assert_eq!(poll(&mut watch, 100, 0), 20);
        assert_eq!(poll(&mut watch, 200, 1), 0);
        assert_eq!(poll(&mut watch, 300, 2), 0);
        // A wait that is longer than any before is one that hangs.
        assert!((0..40).any(|s| watch.look(400 + s, look(s, 3)).0 == State::Down));
        // And what was learned is forgotten.
        let mut other = Watch { patience: Some((27, 100)), ..Watch::default() };
        assert_eq!(poll(&mut other, 100 + LEARNED, 0), 20);
    }

    #[test]
    fn a_failure_speaks_no_more_once_a_check_has_come_back() {
        let mut watch = Watch::default();
        let look = |able, bad| Look { on_duty: true, able, good: 0, bad, waiting: 0 };
        assert_eq!(watch.look(1, look(true, 1)).0, State::Down);
        assert_eq!(watch.look(2, look(false, 1)).0, State::Down);
        assert_eq!(watch.look(3, look(true, 1)).0, State::Up);
        // It could not serve at the failure already.
        assert_eq!(watch.look(20, look(false, 2)).0, State::Down);
        assert_eq!(watch.look(21, look(true, 2)).0, State::Up);
        // What was before the failure says nothing of after it.
        assert_eq!(watch.look(40, look(false, 2)).0, State::Down);
        assert_eq!(watch.look(41, look(true, 3)).0, State::Down);
        assert_eq!(watch.look(42, look(true, 3)).0, State::Down);
    }
}
