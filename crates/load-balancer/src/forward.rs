//! What to do with a request, whatever protocol the client spoke: a member for it, and another when that one fails
//! or stays silent. The session that read the request renders it as HTTP/1.1 and gets a [`Reply`] to pass on.
//!
//! A request that may be repeated races whole tries ([`race`]); one that may not races connections only, and is
//! then written once.

use std::cell::Cell;
use std::pin::pin;
use std::time::{Duration, Instant};

use nines_control::statistics::Refused;
use nines_control::traffic::Failure;

use crate::attempt::{Incoming, Lost, Outgoing, Reply, another, exchange, judge, max_tries};
use crate::kit::Kit;
use crate::pool::{Picked, Place, Pool, Seat, Tried};
use crate::race::{self, Goal, Reached};
use crate::timer::Elapsed;
use crate::upstream::Connection;

/// A request that has its place in the pool and a member for its first try.
pub(crate) struct Admitted {
    pub(crate) place: Place,
    pub(crate) seat: Seat,
}

/// How often one who waits looks for a place without being woken: a new view or file may have made room.
const LOOK: Duration = Duration::from_millis(100);

/// A place in the pool and a member, waiting in the pool's queue when there is none free, or others wait already. On the
/// way to a database also while nobody serves.
pub(crate) async fn admit(
    kit: &Kit,
    pool: &Pool,
    key: Option<u64>,
    received: Instant,
) -> Result<Admitted, Refused> {
    pool.budget.borrow_mut().request(received);
    let waits = pool.waits_for_somebody();
    if pool.places.queue.is_empty() || waits {
        match enter(kit, pool, key) {
            Ok(Some(admitted)) => return Ok(admitted),
            Err(cause) if !waits => return Err(cause),
            Ok(None) | Err(_) => {}
        }
    }
    let limits = &pool.plan().limits;
    if !pool.places.queue.take(Some(limits.queue)) {
        return Err(Refused::QueueFull);
    }
    let _waiting = Waiting::new(pool);
    let end = (received + limits.queue_timeout).min(received + pool.plan().timeouts.request);
    loop {
        let freed = pin!(pool.places.freed.notified());
        let now = Instant::now();
        let look = end.min(now + LOOK);
        let _ = kit.timers.timeout(|| look, freed).await;
        match enter(kit, pool, key) {
            Ok(Some(admitted)) => return Ok(admitted),
            Err(cause) if !waits || now >= end => return Err(cause),
            Ok(None) if now >= end => return Err(Refused::QueueTimeout),
            Ok(None) | Err(_) => {}
        }
    }
}

/// A place and a member, if both are free.
fn enter(kit: &Kit, pool: &Pool, key: Option<u64>) -> Result<Option<Admitted>, Refused> {
    let Some(place) = pool.enter() else { return Ok(None) };
    match pool.pick(key, &Tried::default(), &mut kit.random.borrow_mut()) {
        Picked::Seat(seat) => Ok(Some(Admitted { place, seat })),
        Picked::Full => {
            place.give_back_unused();
            Ok(None)
        }
        Picked::Nobody => {
            place.give_back_unused();
            Err(Refused::NoMember)
        }
    }
}

/// A place in the queue, given back when dropped.
struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    fn new(pool: &'a Pool) -> Self {
        pool.counts.queued.add(1);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.counts.queued.sub(1);
        self.0.places.queue.give_back();
    }
}

/// The member's reply to a request that is complete in memory.
pub(crate) async fn reply(
    kit: &Kit,
    request: &Outgoing<'_>,
    seat: Seat,
    tries: &Cell<u32>,
) -> Result<Reply, Refused> {
    if request.repeatable {
        return match race::run(kit, request, seat, Goal::Reply, tries).await? {
            Reached::Reply(reply) => Ok(reply),
            Reached::Connection(_) => Err(Refused::BadReply), // the goal was a reply
        };
    }
    let mut seat = seat;
    loop {
        let connection = connect(kit, request, seat, tries).await?;
        let sent_at = Instant::now();
        let written = match once(kit, request, &connection, sent_at).await {
            Ok(incoming) => {
                let reply = Reply { connection, incoming };
                judge(request, &reply, sent_at);
                return Ok(reply);
            }
            Err(unanswered) => unanswered,
        };
        request.lost_at.set(Some(connection.seat.member.clone()));
        if let Lost::Failed(failure) = written.lost {
            connection.seat.member.failed(failure);
        }
        // If nothing of it has left, it may be sent again, this time over a connection of its own.
        let again = written.bytes == 0 && tries.get() < max_tries(request.pool);
        match again.then(|| another(kit, request, &Tried::default())).flatten() {
            Some(next) => seat = next,
            None => return Err(written.refused),
        }
    }
}

/// A connection for a request whose body is streamed, and so can be sent once only.
pub(crate) async fn connect(
    kit: &Kit,
    request: &Outgoing<'_>,
    seat: Seat,
    tries: &Cell<u32>,
) -> Result<Connection, Refused> {
    match race::run(kit, request, seat, Goal::Connection, tries).await? {
        Reached::Connection(connection) => Ok(connection),
        Reached::Reply(_) => Err(Refused::BadReply), // the goal was a connection
    }
}

struct Unanswered {
    lost: Lost,
    refused: Refused,
    /// Bytes of the request that have left.
    bytes: usize,
}

/// Sends the request over this connection and no other.
async fn once(
    kit: &Kit,
    request: &Outgoing<'_>,
    connection: &Connection,
    sent_at: Instant,
) -> Result<Incoming, Unanswered> {
    let timeouts = &request.pool.plan().timeouts;
    let (first_byte, whole) = (sent_at + timeouts.first_byte, request.received + timeouts.request);
    let written = Cell::new(0);
    let exchange = pin!(exchange(kit, request, connection, &written));
    match kit.timers.timeout(|| first_byte.min(whole), exchange).await {
        Ok(Ok(incoming)) => Ok(incoming),
        Ok(Err(lost)) => Err(Unanswered { lost, refused: lost.refusal(), bytes: written.get() }),
        Err(Elapsed) => Err(Unanswered {
            lost: Lost::Failed(Failure::Silent),
            refused: if whole < first_byte { Refused::RequestTimeout } else { Refused::FirstByteTimeout },
            bytes: written.get(),
        }),
    }
}
