//! One minute of one subject: the state of each of its seconds, and its requests.

use super::{MINUTE, Second, State};

/// All seconds of a minute.
const ALL: u64 = (1 << MINUTE) - 1;

/// A bit for each second, the first one lowest. A second that is in neither `up` nor `down` is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Minute {
    up: u64,
    down: u64,
    /// Somebody looked and could not tell: so it was there. Of a second in none of the three nobody even says that.
    unsure: u64,
    pub good: u64,
    pub bad: u64,
}

impl Minute {
    /// Of a second that is said to be both, down is kept.
    pub fn new(up: u64, down: u64, good: u64, bad: u64) -> Self {
        Self { up: up & ALL & !down, down: down & ALL, unsure: 0, good, bad }
    }

    /// With the seconds of which it is known that it was there, and no more.
    pub(super) fn with_unsure(self, seconds: u64) -> Self {
        Self { unsure: seconds & ALL & !self.up & !self.down, ..self }
    }

    /// As [`Self::masks`] gave them.
    pub(super) fn from_masks((up, down): (u64, u64), good: u64, bad: u64) -> Self {
        Self::new(up & !down, down & !up, good, bad).with_unsure(up & down)
    }

    /// To be written: a second that is in both is one of which nobody could tell.
    pub(super) fn masks(&self) -> (u64, u64) {
        (self.up | self.unsure, self.down | self.unsure)
    }

    pub fn all_up(good: u64) -> Self {
        Self { up: ALL, good, ..Self::default() }
    }

    /// A second that is told of twice was down if it was ever so.
    pub fn record(&mut self, second: Second, state: State) {
        let bit = 1 << (second % MINUTE);
        match state {
            State::Unknown => self.unsure |= bit & !self.up & !self.down,
            State::Up => self.up |= bit & !self.down,
            State::Down => {
                self.down |= bit;
                self.up &= !bit;
            }
        }
        if state != State::Unknown {
            self.unsure &= !bit;
        }
    }

    /// Of these seconds those that somebody looked at were down after all. How many were taken for up.
    pub(super) fn correct(&mut self, from: u64, to: u64) -> u64 {
        let seconds = self.part(from, to);
        self.down |= seconds.up | seconds.unsure;
        self.unsure &= !seconds.unsure;
        self.up &= !seconds.up;
        seconds.up()
    }

    pub fn count(&mut self, good: u64, bad: u64) {
        self.good = self.good.saturating_add(good);
        self.bad = self.bad.saturating_add(bad);
    }

    pub fn state(&self, second: Second) -> State {
        let bit = 1 << (second % MINUTE);
        match (self.up & bit != 0, self.down & bit != 0) {
            (true, _) => State::Up,
            (_, true) => State::Down,
            _ => State::Unknown,
        }
    }

    pub fn up_mask(&self) -> u64 {
        self.up
    }

    pub fn down_mask(&self) -> u64 {
        self.down
    }

    /// The seconds in which it was there, whether anybody could tell its state or not.
    pub fn there_mask(&self) -> u64 {
        self.up | self.down | self.unsure
    }

    pub fn up(&self) -> u64 {
        u64::from(self.up.count_ones())
    }

    pub fn down(&self) -> u64 {
        u64::from(self.down.count_ones())
    }

    pub fn is_all_up(&self) -> bool {
        self.up == ALL
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it says more than that something was there.
    pub fn is_known(&self) -> bool {
        (self.up | self.down | self.good | self.bad) != 0
    }

    /// Of its seconds only `from..to`, counted from its beginning. Its requests are in if any of its seconds is.
    pub fn part(&self, from: u64, to: u64) -> Self {
        let below = |end: u64| if end >= MINUTE { ALL } else { (1 << end) - 1 };
        let mask = below(to) & !below(from);
        let (good, bad) = if from < to.min(MINUTE) { (self.good, self.bad) } else { (0, 0) };
        Self { up: self.up & mask, down: self.down & mask, unsure: self.unsure & mask, good, bad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_that_was_ever_down_was_down() {
        let mut minute = Minute::default();
        minute.record(60, State::Up);
        minute.record(60, State::Down);
        minute.record(60, State::Up);
        minute.record(119, State::Up);
        minute.record(61, State::Unknown);
        assert_eq!(
            [60, 61, 119].map(|second| minute.state(second)),
            [State::Down, State::Unknown, State::Up]
        );
        assert_eq!((minute.up(), minute.down()), (1, 1));
    }

    #[test]
    fn a_part_has_its_seconds_and_all_requests() {
        let minute = Minute { good: 7, bad: 1, ..Minute::all_up(0) };
        assert_eq!(minute.part(0, 60), minute);
        assert_eq!((minute.part(0, 1).up(), minute.part(0, 1).good), (1, 7));
        assert_eq!((minute.part(1, 60).up(), minute.part(1, 60).bad), (59, 1));
        assert!(minute.part(30, 30).is_empty());
    }
}
