//! Whether the first words on a TCP connection are answered.
//!
//! What the bytes mean is not known here. But nearly all protocols that ever answer do so at the beginning: whoever speaks first hears from
//! the other. A member that takes connections and says nothing would else look like one that serves. Which custom a listener has is learned
//! from its connections, so that one whose members never say anything (logs are sent there, or figures) is not taken for one that hangs.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use nines_control::statistics::Count;
use tokio::net::TcpStream;

use crate::front::Front;
use crate::pool::Pool;
use crate::relay::{Ended, Moved};
use crate::socket;
use crate::timer::{FAR, Timers};
use crate::waits::{PATIENT, Waiting};

/// Nobody is waited for any longer: what has not been answered by then is not going to be.
const LONGEST: Duration = Duration::from_secs(60);

/// How connections of a listener began, as its worker has seen it.
#[derive(Debug, Default)]
pub(crate) struct Beginnings {
    /// The member spoke first.
    greeted: Count,
    /// The client did, and the member answered.
    answered: Count,
    /// The client did, and both sides ended in order without a word of the member.
    unanswered: Count,
}

/// What the members of a listener do at the beginning of a connection.
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
}

/// Of one connection that a member has taken.
pub(crate) struct FirstWords<'a> {
    pub(crate) front: &'a Front,
    pub(crate) pool: &'a Pool,
    pub(crate) client: &'a TcpStream,
    pub(crate) moved: &'a Moved,
    pub(crate) timers: &'a Timers,
}

impl FirstWords<'_> {
    /// Counts how the connection went for its client, as soon as that can be said: where the custom is not known, at once. Ready when nobody
    /// waits for first words any more, or with the end of `relay` if that comes before.
    pub(crate) async fn pass(self, mut relay: Pin<&mut impl Future<Output = Ended>>) -> Option<Ended> {
        let custom = self.front.counts.beginnings.custom();
        let known = custom != Custom::Unknown;
        if !known {
            self.front.count_outcome(Some(self.pool), true);
        }
        let (said, answered) = (|| self.moved.to_member.get() > 0, || self.moved.to_client.get() > 0);
        if custom != Custom::Greet
            && let Some(ended) = until(relay.as_mut(), || said() || answered()).await
        {
            self.learn(Some(&ended));
            self.count(known, answered().then_some(true));
            return Some(ended);
        }
        let since = Instant::now();
        let waits = [&self.front.counts.silences, &self.pool.counts.silences];
        let waiting = known.then(|| Waiting::since(since, waits[0], waits[1]));
        let deadline = || since + if known { LONGEST } else { FAR };
        let waited = self.timers.timeout(deadline, pin!(until(relay.as_mut(), answered))).await;
        drop(waiting);
        let ended = waited.as_ref().ok().and_then(Option::as_ref);
        self.learn(ended);
        let late = since.elapsed() > PATIENT;
        let good = match ended {
            _ if answered() => Some(!(late && socket::has_ended(self.client))),
            // The member said nothing, in good order. And its breaking off is counted by whoever relays.
            Some(Ended::Finished | Ended::MemberFailed) => None,
            Some(_) => late.then_some(false),
            None => Some(false),
        };
        self.count(known, good);
        waited.ok().flatten()
    }

    fn count(&self, known: bool, good: Option<bool>) {
        if let Some(good) = good.filter(|_| known) {
            self.front.count_outcome(Some(self.pool), good);
        }
    }

    fn learn(&self, ended: Option<&Ended>) {
        let of = &self.front.counts.beginnings;
        match (self.moved.to_member.get() > 0, self.moved.to_client.get() > 0) {
            (false, true) => of.greeted.add(1),
            (true, true) => of.answered.add(1),
            (true, false) if matches!(ended, Some(Ended::Finished)) => of.unanswered.add(1),
            _ => {}
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
