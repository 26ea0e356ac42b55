//! What to do with a request, whatever protocol the client spoke: a member for it, and another when that one fails
//! or stays silent. The session that read the request renders it as HTTP/1.1 and gets a [`Reply`] to pass on.
//!
//! A request that may be repeated races whole tries ([`race`]); one that may not races connections only, and is
//! then written once.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use nines_control::statistics::Refused;
use nines_control::status::Failure;
use tokio::net::TcpStream;

use crate::count::class;
use crate::http1::{Asked, Limits, ResponseHead};
use crate::pool::{MAX_TRIES, Picked, Place, Pool, Seat, Tried};
use crate::race::{self, Goal, Reached};
use crate::socket;
use crate::timer::Elapsed;
use crate::upstream::Connection;
use crate::window::Window;
use crate::worker::Worker;

/// A request as far as members are concerned.
pub(crate) struct Outgoing<'a> {
    pub(crate) pool: &'a Pool,
    /// The head as HTTP/1.1, and the whole body unless it is streamed.
    pub(crate) bytes: &'a [u8],
    pub(crate) asked: Asked,
    /// Whether it may be sent to another member after bytes of it were written.
    pub(crate) repeatable: bool,
    /// For consistent hashing.
    pub(crate) key: Option<u64>,
    /// What a new connection begins with (a PROXY header); such connections are not shared.
    pub(crate) preface: &'a [u8],
    pub(crate) limits: Limits,
    pub(crate) received: Instant,
}

/// A request that has its place in the pool and a member for its first try.
pub(crate) struct Admitted {
    pub(crate) place: Place,
    pub(crate) seat: Seat,
}

/// A member's reply, its head read and its body still on the way.
pub(crate) struct Reply {
    pub(crate) connection: Connection,
    pub(crate) incoming: Incoming,
}

/// The bytes of a reply and what its head says.
pub(crate) struct Incoming {
    pub(crate) head: Box<ResponseHead>,
    pub(crate) window: Window,
}

/// How a try ended that was no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The member's doing.
    Failed(Failure),
    /// A reused connection that the member had closed before it saw the request: nobody's fault.
    Stale,
}

impl Lost {
    pub(crate) fn refusal(self) -> Refused {
        match self {
            Self::Failed(Failure::Refused) => Refused::Connect,
            Self::Failed(Failure::ConnectTimeout) => Refused::ConnectTimeout,
            Self::Failed(Failure::Silent) => Refused::FirstByteTimeout,
            Self::Failed(Failure::BadReply) => Refused::BadReply,
            Self::Failed(Failure::Reset | Failure::ServerError) | Self::Stale => Refused::Reset,
        }
    }
}

/// A place in the pool and a member, waiting in the pool's queue when there is none free.
pub(crate) async fn admit(
    worker: &Worker,
    pool: &Pool,
    key: Option<u64>,
    received: Instant,
) -> Result<Admitted, Refused> {
    let nobody = Tried::default();
    let attempt = || -> Result<Option<Admitted>, Refused> {
        let Some(place) = pool.enter() else { return Ok(None) };
        match pool.pick(key, &nobody, &mut worker.random.borrow_mut()) {
            Picked::Seat(seat) => Ok(Some(Admitted { place, seat })),
            Picked::Full => Ok(None),
            Picked::Nobody => Err(Refused::NoMember),
        }
    };
    pool.budget.borrow_mut().request(received);
    if let Some(admitted) = attempt()? {
        return Ok(admitted);
    }
    let limits = &pool.plan().limits;
    if !pool.places.queue.take(Some(limits.queue)) {
        return Err(Refused::QueueFull);
    }
    let _waiting = Waiting::new(pool);
    let deadline = (received + limits.queue_timeout).min(received + pool.plan().timeouts.request);
    loop {
        let mut freed = pin!(pool.places.freed.notified());
        freed.as_mut().enable(); // before the look, so that a place freed meanwhile is not missed
        if let Some(admitted) = attempt()? {
            return Ok(admitted);
        }
        if worker.timers.timeout(|| deadline, freed).await.is_err() {
            return Err(Refused::QueueTimeout);
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
    worker: &Worker,
    request: &Outgoing<'_>,
    seat: Seat,
    tries: &Cell<u32>,
) -> Result<Reply, Refused> {
    if request.repeatable {
        return match race::run(worker, request, seat, Goal::Reply, tries).await? {
            Reached::Reply(reply) => Ok(reply),
            Reached::Connection(_) => Err(Refused::BadReply), // the goal was a reply
        };
    }
    let mut seat = seat;
    loop {
        let connection = connect(worker, request, seat, tries).await?;
        let sent_at = Instant::now();
        let written = match once(worker, request, &connection, sent_at).await {
            Ok(incoming) => {
                let reply = Reply { connection, incoming };
                judge(request, &reply, Instant::now().saturating_duration_since(sent_at));
                return Ok(reply);
            }
            Err(unanswered) => unanswered,
        };
        if let Lost::Failed(failure) = written.lost {
            connection.seat.member.failed(failure);
        }
        // If nothing of it has left, it may be sent again, this time over a connection of its own.
        let again = written.bytes == 0 && tries.get() < max_tries(request.pool);
        match again.then(|| another(worker, request, &Tried::default())).flatten() {
            Some(next) => seat = next,
            None => return Err(written.refused),
        }
    }
}

/// A connection for a request whose body is streamed, and so can be sent once only.
pub(crate) async fn connect(
    worker: &Worker,
    request: &Outgoing<'_>,
    seat: Seat,
    tries: &Cell<u32>,
) -> Result<Connection, Refused> {
    match race::run(worker, request, seat, Goal::Connection, tries).await? {
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
    worker: &Worker,
    request: &Outgoing<'_>,
    connection: &Connection,
    sent_at: Instant,
) -> Result<Incoming, Unanswered> {
    let timeouts = &request.pool.plan().timeouts;
    let (first_byte, whole) = (sent_at + timeouts.first_byte, request.received + timeouts.request);
    let written = Cell::new(0);
    let exchange = pin!(exchange(worker, request, connection, &written));
    match worker.timers.timeout(|| first_byte.min(whole), exchange).await {
        Ok(Ok(incoming)) => Ok(incoming),
        Ok(Err(lost)) => Err(Unanswered { lost, refused: lost.refusal(), bytes: written.get() }),
        Err(Elapsed) => Err(Unanswered {
            lost: Lost::Failed(Failure::Silent),
            refused: if whole < first_byte { Refused::RequestTimeout } else { Refused::FirstByteTimeout },
            bytes: written.get(),
        }),
    }
}

/// Writes the request and reads the head of the reply.
pub(crate) async fn exchange(
    worker: &Worker,
    request: &Outgoing<'_>,
    connection: &Connection,
    written: &Cell<usize>,
) -> Result<Incoming, Lost> {
    connection.seat.member.counts.tries.add(1);
    // A member that stops reading may still have said why: its reply is looked for all the same.
    let sent = send(&connection.stream, request.bytes, written).await;
    match Incoming::read(worker, &connection.stream, request.asked, &request.limits).await {
        Err(Lost::Failed(Failure::Reset)) if connection.reused => Err(Lost::Stale),
        Err(lost) => Err(lost),
        Ok(_) if sent.is_err() => Err(Lost::Failed(Failure::Reset)),
        Ok(incoming) => Ok(incoming),
    }
}

/// Writes all of `bytes`; `written` counts along.
pub(crate) async fn send(to: &TcpStream, bytes: &[u8], written: &Cell<usize>) -> io::Result<()> {
    poll_fn(|cx| {
        while written.get() < bytes.len() {
            let n = ready!(socket::poll_send(to, cx, &bytes[written.get()..], &[]))?;
            written.set(written.get() + n);
        }
        Poll::Ready(Ok(()))
    })
    .await
}

impl Incoming {
    /// Reads until the head of a reply is complete.
    pub(crate) async fn read(
        worker: &Worker,
        from: &TcpStream,
        asked: Asked,
        limits: &Limits,
    ) -> Result<Self, Lost> {
        let mut window = Window::new(&worker.buffers);
        window.fill(from).await.map_err(|_| Lost::Failed(Failure::Reset))?;
        let mut incoming = Self { head: worker.reply_head(), window };
        incoming.complete(from, asked, limits).await?;
        Ok(incoming)
    }

    /// After an interim reply: the next head.
    pub(crate) async fn next(&mut self, from: &TcpStream, asked: Asked, limits: &Limits) -> Result<(), Lost> {
        self.window.consume(self.head.len());
        self.complete(from, asked, limits).await
    }

    async fn complete(&mut self, from: &TcpStream, asked: Asked, limits: &Limits) -> Result<(), Lost> {
        while self.window.is_empty()
            || !self
                .head
                .parse(self.window.bytes(), asked, limits)
                .map_err(|_| Lost::Failed(Failure::BadReply))?
        {
            self.window.fill(from).await.map_err(|_| Lost::Failed(Failure::Reset))?;
        }
        Ok(())
    }
}

/// What a reply that took so long says of its member, for the counters, the supervisor and the pool's patience.
pub(crate) fn judge(request: &Outgoing<'_>, reply: &Reply, took: Duration) {
    let member = &reply.connection.seat.member;
    let status = reply.incoming.head.status();
    member.counts.replies[class(status)].add(1);
    member.counts.latency.observe(took);
    request.pool.patience.borrow_mut().observe(took);
    if status >= 500 && request.pool.plan().passive.server_errors {
        member.failed(Failure::ServerError);
    } else {
        member.succeeded();
    }
}

/// The same for a reply whose request was streamed, so that its time says nothing of the member.
pub(crate) fn judge_streamed(connection: &Connection, incoming: &Incoming) {
    let member = &connection.seat.member;
    member.counts.replies[class(incoming.head.status())].add(1);
    member.succeeded();
}

pub(crate) fn max_tries(pool: &Pool) -> u32 {
    pool.plan().retries.tries.clamp(1, MAX_TRIES as u32)
}

/// A member for a further try, if one is free.
pub(crate) fn another(worker: &Worker, request: &Outgoing<'_>, tried: &Tried) -> Option<Seat> {
    match request.pool.pick(request.key, tried, &mut worker.random.borrow_mut()) {
        Picked::Seat(seat) => Some(seat),
        Picked::Full | Picked::Nobody => None,
    }
}
