//! What goes wrong with a database and may go on doing so: told once for each kind, and again only once in a while, however often it
//! happens and in however many words.

use std::mem::Discriminant;
use std::time::{Duration, Instant};

use nines_coordination::Error;

/// What lasts is told again after this.
const AGAIN: Duration = Duration::from_secs(60);
/// It is over when it has not been seen for so long: what comes and goes is one trouble.
const CALM: Duration = Duration::from_secs(5);
/// Of more kinds the oldest are forgotten.
const MOST: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    /// Asking the store for something, or watching it.
    Store(Discriminant<Error>),
    /// A register that is not what it should be.
    Register(String),
    /// What this host keeps of the store.
    Memory,
    /// PostgreSQL, or its data, can't be taken in hand.
    Hands(String),
}

#[derive(Debug)]
struct Trouble {
    of: Of,
    said: Option<Instant>,
    seen: Instant,
    /// It came of a write, and none went well since.
    unwritten: bool,
}

#[derive(Debug, Default)]
pub(super) struct Troubles(Vec<Trouble>);

impl Troubles {
    /// Whether it is to be said.
    pub(super) fn note(&mut self, now: Instant, of: Of) -> bool {
        let trouble = self.seen(now, of);
        let is_due = trouble.said.is_none_or(|said| now.duration_since(said) >= AGAIN);
        if is_due {
            trouble.said = Some(now);
        }
        is_due
    }

    /// The same of a write to the store.
    pub(super) fn note_write(&mut self, now: Instant, error: &Error) -> bool {
        let of = Of::store(error);
        self.seen(now, of.clone()).unwritten = true;
        self.note(now, of)
    }

    fn seen(&mut self, now: Instant, of: Of) -> &mut Trouble {
        let known = self.0.iter().position(|known| known.of == of);
        let at = known.unwrap_or_else(|| {
            if self.0.len() >= MOST {
                self.0.remove(0);
            }
            self.0.push(Trouble { of, said: None, seen: now, unwritten: false });
            self.0.len() - 1
        });
        self.0[at].seen = now;
        &mut self.0[at]
    }

    /// The store told all that it holds.
    pub(super) fn read(&mut self, now: Instant) {
        self.0.retain(|trouble| {
            // What is not tried any more can't go well.
            let calm = if trouble.unwritten { AGAIN } else { CALM };
            !matches!(trouble.of, Of::Store(_)) || now.duration_since(trouble.seen) < calm
        });
    }

    /// The store took something.
    pub(super) fn written(&mut self) {
        for trouble in &mut self.0 {
            trouble.unwritten = false;
        }
    }

    pub(super) fn over(&mut self, is_over: impl Fn(&Of) -> bool) {
        self.0.retain(|trouble| !is_over(&trouble.of));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Of {
    pub(super) fn store(error: &Error) -> Self {
        Self::Store(std::mem::discriminant(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Error {
        Error::Refused { why: "NOSPACE".to_owned() }
    }

    fn unknown(what: u64) -> Error {
        Error::Unknown { what: what.to_string(), why: "silence".to_owned() }
    }

    #[test]
    fn an_outage_is_told_once_for_each_kind_of_error_and_minute() {
        let (begin, mut troubles) = (Instant::now(), Troubles::default());
        let mut said = 0;
        for tenth in 0..1210 {
            let now = begin + tenth * Duration::from_millis(100);
            let unreachable = Error::Unreachable { why: tenth.to_string() };
            said += u32::from(troubles.note_write(now, &unknown(tenth.into())));
            said += u32::from(troubles.note_write(now, &unreachable));
        }
        assert_eq!(said, 2 * 3);
    }

    #[test]
    fn a_store_that_is_read_and_takes_nothing_is_one_trouble_until_it_takes_something() {
        let (begin, mut troubles) = (Instant::now(), Troubles::default());
        let mut now = begin;
        let mut said = 0;
        while now < begin + AGAIN {
            said += u32::from(troubles.note_write(now, &refused()));
            now += 2 * CALM;
            troubles.read(now);
        }
        assert_eq!(said, 1);
        assert!(!troubles.is_empty());
        troubles.written();
        troubles.read(now);
        assert!(troubles.is_empty());
        assert!(troubles.note_write(now, &refused()), "the next one is told");
    }

    #[test]
    fn what_comes_and_goes_is_one_trouble() {
        let (begin, mut troubles) = (Instant::now(), Troubles::default());
        assert!(troubles.note(begin, Of::store(&refused())));
        troubles.read(begin + CALM / 2);
        assert!(!troubles.note(begin + CALM / 2, Of::store(&refused())));
        troubles.read(begin + 2 * CALM);
        assert!(troubles.is_empty());
    }

    #[test]
    fn a_register_that_is_wrong_stays_so_until_it_is_read() {
        let (begin, mut troubles) = (Instant::now(), Troubles::default());
        assert!(troubles.note(begin, Of::Register("wish".to_owned())));
        troubles.read(begin + 2 * AGAIN);
        assert!(!troubles.is_empty());
        troubles.over(|of| *of == Of::Register("wish".to_owned()));
        assert!(troubles.is_empty());
    }
}
