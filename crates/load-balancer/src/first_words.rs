//! Whether the first words on a TCP connection are answered.
//!
//! What the bytes mean is not known here. But nearly all protocols that ever answer do so at the beginning: whoever speaks first hears from
//! the other. A member that takes connections and says nothing would else look like one that serves. Which custom a pool's members have is
//! learned from their connections, so that those who never say anything (logs are sent there, or figures) are not taken to hang.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use nines_control::statistics::Count;
use tokio::net::TcpStream;

use crate::front::Front;
use crate::pool::Pool;
use crate::postgres;
use crate::relay::{Ended, Moved};
use crate::socket;
use crate::timer::{Elapsed, Timers};
use crate::waits::{PATIENT, Waiting};

/// Nobody is waited for any longer: what has not been answered by then is not going to be.
const LONGEST: Duration = Duration::from_secs(60);

/// So many connections at most are remembered, so that a custom can change.
const REMEMBERED: u64 = 100;

/// How connections to a pool began, as its worker has seen it.
#[derive(Debug, Default)]
pub(crate) struct Beginnings {
    /// The member spoke first.
    greeted: Count,
    /// The client did, and the member answered.
    answered: Count,
    /// The client did, and wanted no answer.
    unanswered: Count,
}

/// What the members of a pool do at the beginning of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Custom {
    Unknown,
    Greet,
    Answer,
}

impl Beginnings {
    fn custom(&self) -> Custom {
        let [greeted, answered, unanswered] =
            [&self.greeted, &self.answered, &self.unanswered].map(Count::get);
        match greeted.max(answered) {
            most if most <= unanswered => Custom::Unknown,
            most if most == greeted => Custom::Greet,
            _ => Custom::Answer,
        }
    }

    /// One of the three counts has one more.
    fn learn(&self, one: &Count) {
        one.add(1);
        let all = [&self.greeted, &self.answered, &self.unanswered];
        if all.iter().map(|count| count.get()).sum::<u64>() > REMEMBERED {
            all.iter().for_each(|count| count.set(count.get() / 2));
        }
    }
}

/// How a connection went for its client. It counts against us once at most.
pub(crate) struct Outcome<'a> {
    pub(crate) front: &'a Front,
    pub(crate) pool: &'a Pool,
    pub(crate) is_bad: Cell<bool>,
}

impl Outcome<'_> {
    fn good(&self) {
        if !self.is_bad.get() {
            self.front.count_outcome(Some(self.pool), true);
        }
    }

    pub(crate) fn bad(&self) {
        if !self.is_bad.replace(true) {
            self.front.count_outcome(Some(self.pool), false);
        }
    }
}

/// Of one connection that a member has taken.
pub(crate) struct FirstWords<'a> {
    pub(crate) outcome: &'a Outcome<'a>,
    pub(crate) client: &'a TcpStream,
    /// When the client came.
    pub(crate) received: Instant,
    pub(crate) moved: &'a Moved,
    pub(crate) timers: &'a Timers,
}

impl FirstWords<'_> {
    /// Counts how the connection went for its client, as soon as that can be said: where the custom is not known, at once. Ready when nobody
    /// waits for first words any more, or with the end of `relay` if that comes before.
    pub(crate) async fn pass(self, mut relay: Pin<&mut impl Future<Output = Ended>>) -> Option<Ended> {
        let custom = self.custom();
        if custom == Custom::Unknown {
            self.outcome.good();
        }
        if custom != Custom::Greet {
            let ended = until(relay.as_mut(), || self.has_said() || self.is_over()).await;
            if ended.is_some() || self.is_over() {
                // Nobody has waited for anything but, maybe, its beginning.
                self.judge(custom, &Ok(None), self.received);
                return ended;
            }
        }
        let since = Instant::now();
        let Outcome { front, pool, .. } = self.outcome;
        let waiting = (custom != Custom::Unknown)
            .then(|| Waiting::since(since, &front.counts.silences, &pool.counts.silences));
        let over = pin!(until(relay.as_mut(), || self.is_over()));
        let waited = self.timers.timeout(|| since + LONGEST, over).await;
        drop(waiting);
        self.judge(custom, &waited, since);
        waited.ok().flatten()
    }

    fn custom(&self) -> Custom {
        // It is known of what the pool is for.
        if self.outcome.pool.is_postgres() {
            return Custom::Answer;
        }
        self.outcome.pool.counts.beginnings.custom()
    }

    fn has_said(&self) -> bool {
        self.moved.to_member.get() > 0
    }

    fn is_answered(&self) -> bool {
        let no_answer = if self.outcome.pool.is_postgres() { postgres::ENCRYPTIONS } else { 0 };
        self.moved.to_client.get() > no_answer as u64
    }

    /// Whether there is nothing to wait for any more.
    fn is_over(&self) -> bool {
        self.is_answered() || self.moved.member_ended_first.get()
    }

    /// After something was waited for `since` then.
    fn judge(&self, custom: Custom, waited: &Result<Option<Ended>, Elapsed>, since: Instant) {
        let of = &self.outcome.pool.counts.beginnings;
        let is_known = custom != Custom::Unknown;
        let is_late = || since.elapsed() > PATIENT;
        if self.is_answered() {
            of.learn(if self.has_said() { &of.answered } else { &of.greeted });
            // A client that has hung up meanwhile may have had enough of waiting, or have nothing more to say and still listen.
            if is_known && !(is_late() && socket::has_ended(self.client)) {
                self.outcome.good();
            }
            return;
        }
        match waited {
            // It was turned down. But later a member may have had enough of a client that does not go on, and one of PostgreSQL's
            // takes a request to cancel something in silence.
            _ if self.moved.member_ended_first.get() => {
                if is_known && !self.outcome.pool.is_postgres() && !is_late() {
                    self.outcome.bad();
                }
            }
            Err(Elapsed) if is_known => self.outcome.bad(),
            Err(Elapsed) => of.learn(&of.unanswered),
            // The client was through first, and all in good order. From one that has waited for an answer nothing is learned: where
            // members hang, they would be taken for such as never answer.
            Ok(Some(Ended::Finished)) if !is_known || !is_late() => of.learn(&of.unanswered),
            // A member's breaking off is counted by whoever relays.
            Ok(None | Some(Ended::Finished | Ended::MemberFailed)) => {}
            Ok(Some(_)) if is_known && is_late() => self.outcome.bad(),
            Ok(Some(_)) => {}
        }
    }
}

/// The end of the relay, or nothing once this holds.
async fn until(mut relay: Pin<&mut impl Future<Output = Ended>>, holds: impl Fn() -> bool) -> Option<Ended> {
    poll_fn(|context| match relay.as_mut().poll(context) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if holds() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_connection_has_taught_is_outweighed_by_silent_ones_and_back() {
        let of = Beginnings::default();
        assert_eq!(of.custom(), Custom::Unknown);
        of.learn(&of.greeted);
        assert_eq!(of.custom(), Custom::Greet);
        of.learn(&of.unanswered);
        assert_eq!(of.custom(), Custom::Unknown);
        of.learn(&of.answered);
        of.learn(&of.answered);
        assert_eq!(of.custom(), Custom::Answer);
    }

    #[test]
    fn a_custom_can_change_however_long_it_was_another() {
        let of = Beginnings::default();
        for (count, custom) in
            [(&of.answered, Custom::Answer), (&of.unanswered, Custom::Unknown), (&of.greeted, Custom::Greet)]
        {
            (0..1_000_000).for_each(|_| of.learn(count));
            assert_eq!(of.custom(), custom);
            let other = if custom == Custom::Unknown { &of.answered } else { &of.unanswered };
            let needed = (1..).find(|_| {
                of.learn(other);
                of.custom() != custom
            });
            assert!(
                needed.is_some_and(|needed| 10 < needed && needed <= REMEMBERED),
                "{custom:?}: {needed:?}"
            );
        }
    }
}
