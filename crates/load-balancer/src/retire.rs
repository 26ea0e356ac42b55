//! Which client connections have to go: each knows the round in which it was accepted, and a new round retires those of
//! all rounds before it. What a request pays for it is a comparison of two integers.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A kept-alive connection that has been retired, and was quiet for so long since then, is closed. Until then its next
/// request is still answered: closing it at once would cross that request on the wire.
const QUIET: Duration = Duration::from_secs(2);
/// No connection is of this round or a later one.
const EVERYONE: u32 = u32::MAX;

/// What a worker knows of it.
pub(crate) struct Retirement {
    round: Cell<u32>,
    /// Connections of rounds before this one are retired.
    kept_from: Cell<u32>,
    /// When connections were retired that had not been.
    since: Cell<Instant>,
}

impl Retirement {
    pub(crate) fn new(now: Instant) -> Self {
        Self { round: Cell::new(0), kept_from: Cell::new(0), since: Cell::new(now) }
    }

    /// The round of a connection that is accepted now.
    pub(crate) fn round(&self) -> u32 {
        self.round.get()
    }

    /// Takes over what the plan says: how many rounds have begun, and whether everyone is retired. Says whether there
    /// is anything new.
    pub(crate) fn follow(&self, round: u32, everyone: bool, now: Instant) -> bool {
        let kept_from = if everyone { EVERYONE } else { round };
        if kept_from > self.kept_from.get() {
            self.since.set(now);
        }
        let before = (self.round.replace(round), self.kept_from.replace(kept_from));
        before != (round, kept_from)
    }

    pub(crate) fn includes(&self, round: u32) -> bool {
        round < self.kept_from.get()
    }

    /// Until when a connection that has been quiet since `since` is kept, if it is retired. Whoever retires again within
    /// that time gives all of them the later end.
    pub(crate) fn ends(&self, round: u32, since: Instant) -> Option<Instant> {
        self.includes(round).then(|| self.since.get().max(since) + QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_round_retires_those_of_earlier_ones_and_nobody_later() {
        let start = Instant::now();
        let retirement = Retirement::new(start);
        let before = retirement.round();
        assert!(!retirement.includes(before) && retirement.ends(before, start).is_none());
        assert!(retirement.follow(1, false, start + SECOND));
        assert!(!retirement.follow(1, false, start + 9 * SECOND), "nothing new");
        let after = retirement.round();
        assert!(retirement.includes(before) && !retirement.includes(after));
        assert_eq!(retirement.ends(before, start), Some(start + SECOND + QUIET));
        assert_eq!(retirement.ends(before, start + 5 * SECOND), Some(start + 5 * SECOND + QUIET));
        assert_eq!(retirement.ends(after, start), None);
    }

    #[test]
    fn while_everyone_is_retired_so_are_those_who_come() {
        let start = Instant::now();
        let retirement = Retirement::new(start);
        assert!(retirement.follow(1, true, start));
        let meanwhile = retirement.round();
        assert!(retirement.includes(meanwhile));
        // A further round in the meantime is no news to anyone, and gives no more time.
        retirement.follow(2, true, start + 5 * SECOND);
        assert_eq!(retirement.ends(meanwhile, start), Some(start + QUIET));
        assert!(retirement.follow(2, false, start + 6 * SECOND));
        assert!(!retirement.includes(retirement.round()) && retirement.includes(meanwhile));
    }
}
