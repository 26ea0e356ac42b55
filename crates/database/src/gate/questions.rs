//! Answers other parts of nines: whether this gate serves, and what its engine's history is.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use nines_control::gate::{self, Ask, Standing};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::clock;
use super::guarded::Face;
use super::startup::{self, Packet};
use super::wire::{self, Stop};
use super::worker::Worker;

/// From an answer to the next question.
const SILENCE: Duration = Duration::from_secs(60);
/// Nobody waits longer for news.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// For the answer to be taken.
const ANSWER: Duration = Duration::from_secs(10);

/// Answers until nobody asks any more.
pub(crate) async fn answer<S: Face>(
    worker: &Rc<Worker>,
    stream: &mut S,
    mut packet: Vec<u8>,
) -> Result<(), Stop> {
    loop {
        let Packet::Question(json) = startup::parse(&packet)? else {
            return Err(Stop::malformed("after a question another one must follow"));
        };
        let ask = gate::read::<Ask>(json).map_err(|_| Stop::malformed("no such question"))?;
        worker.counts().questions.add(1);
        let answer = match ask {
            Ask::Standing { seen, within_ms } => {
                let within = Duration::from_millis(within_ms.into()).min(LONGEST_WAIT);
                gate::answer(&news(worker, seen, within).await)
            }
            Ask::Ancestry { term } => gate::answer(&worker.shared.ancestry(term)),
        };
        timeout(ANSWER, stream.write_all(&answer)).await.map_err(|_| Stop::Silent)??;
        stream.flush().await?;
        packet = match timeout(SILENCE, wire::packet(stream)).await {
            Ok(packet) => packet?,
            Err(_) => return Err(Stop::Silent),
        };
    }
}

/// Another standing than the one that was seen, or the same after this time.
async fn news(worker: &Rc<Worker>, seen: u64, within: Duration) -> Standing {
    let rope = worker.bell.rope();
    let now = || worker.shared.standing(clock::now());
    let other = poll_fn(|cx| {
        rope.hold(cx.waker());
        let standing = now();
        if standing.number == seen { Poll::Pending } else { Poll::Ready(standing) }
    });
    match timeout(within, other).await {
        Ok(standing) => standing,
        Err(_) => now(),
    }
}
