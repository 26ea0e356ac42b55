//! One try at a request: what is sent to a member, and what comes back or does not.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use nines_control::statistics::Refused;
use nines_control::traffic::Failure;
use tokio::net::TcpStream;

use crate::count::class;
use crate::http1::{Asked, Limits, ResponseHead};
use crate::kit::Kit;
use crate::pool::{MAX_TRIES, Member, Picked, Pool, Seat, Tried};
use crate::socket::send_all;
use crate::upstream::Connection;
use crate::window::Window;

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
    /// The member of the latest try that was lost: for the log.
    pub(crate) lost_at: Cell<Option<Rc<Member>>>,
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
    /// This machine had no descriptor, port or memory left for a connection: no member's fault.
    Ours,
}

impl Lost {
    pub(crate) fn in_connecting(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::ADDRNOTAVAIL) => {
                Self::Ours
            }
            Some(Errno::TIMEDOUT) => Self::Failed(Failure::ConnectTimeout),
            Some(Errno::CONNRESET | Errno::PIPE) => Self::Failed(Failure::Reset),
            _ => Self::Failed(Failure::Refused),
        }
    }

    pub(crate) fn refusal(self) -> Refused {
        match self {
            Self::Failed(Failure::Refused) | Self::Ours => Refused::Connect,
            Self::Failed(Failure::ConnectTimeout) => Refused::ConnectTimeout,
            Self::Failed(Failure::Silent) => Refused::FirstByteTimeout,
            Self::Failed(Failure::BadReply) => Refused::BadReply,
            Self::Failed(Failure::Reset | Failure::ServerError | Failure::TurnedAway) | Self::Stale => {
                Refused::Reset
            }
        }
    }
}

/// Writes the request and reads the head of the reply.
pub(crate) async fn exchange(
    kit: &Kit,
    request: &Outgoing<'_>,
    connection: &Connection,
    written: &Cell<usize>,
) -> Result<Incoming, Lost> {
    connection.seat.member.counts.tries.add(1);
    // A member that stops reading may still have said why: its reply is looked for all the same.
    let sent = send_all(&connection.stream, request.bytes, written).await;
    match Incoming::read(kit, &connection.stream, request.asked, &request.limits).await {
        Err(Lost::Failed(Failure::Reset)) if connection.reused => Err(Lost::Stale),
        Err(lost) => Err(lost),
        Ok(_) if sent.is_err() => Err(Lost::Failed(Failure::Reset)),
        Ok(incoming) => Ok(incoming),
    }
}

impl Incoming {
    /// Reads until the head of a reply is complete.
    pub(crate) async fn read(
        kit: &Kit,
        from: &TcpStream,
        asked: Asked,
        limits: &Limits,
    ) -> Result<Self, Lost> {
        let mut window = Window::new(&kit.buffers);
        window.fill(from).await.map_err(|_| Lost::Failed(Failure::Reset))?;
        let mut incoming = Self { head: kit.reply_head(), window };
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

/// What the time of a reply to a request that was sent at `sent_at` says of its member and its pool.
pub(crate) fn judge(request: &Outgoing<'_>, reply: &Reply, sent_at: Instant) {
    let now = Instant::now();
    let took = now.saturating_duration_since(sent_at);
    request.pool.counts.latency.observe(now.saturating_duration_since(request.received));
    reply.connection.seat.member.counts.latency.observe(took);
    reply.connection.seat.member.was_heard(now);
    request.pool.patience.borrow_mut().observe(took);
}

/// A member's final status, for the counters and, where the pool wants it so, as a failure.
pub(crate) fn answered(pool: &Pool, member: &Member, status: u16) {
    member.counts.replies[class(status)].add(1);
    if is_failure(pool, status) {
        member.failed(Failure::ServerError);
    }
}

/// The reply has been passed on whole. Only then it is a success: a member that breaks off all its replies is broken.
pub(crate) fn completed(pool: &Pool, member: &Member, status: u16) {
    if !is_failure(pool, status) {
        member.succeeded();
    }
}

fn is_failure(pool: &Pool, status: u16) -> bool {
    status >= 500 && pool.plan().passive.server_errors
}

pub(crate) fn max_tries(pool: &Pool) -> u32 {
    pool.plan().retries.tries.clamp(1, MAX_TRIES as u32)
}

/// A member for a further try, if one is free.
pub(crate) fn another(kit: &Kit, request: &Outgoing<'_>, tried: &Tried) -> Option<Seat> {
    match request.pool.pick(request.key, tried, &mut kit.random.borrow_mut()) {
        Picked::Seat(seat) => Some(seat),
        Picked::Full | Picked::Nobody => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_held_against_no_member() {
        let lost = |errno: rustix::io::Errno| Lost::in_connecting(&errno.into());
        assert_eq!(lost(rustix::io::Errno::MFILE), Lost::Ours);
        assert_eq!(lost(rustix::io::Errno::ADDRNOTAVAIL), Lost::Ours);
        assert_eq!(lost(rustix::io::Errno::CONNREFUSED), Lost::Failed(Failure::Refused));
        assert_eq!(lost(rustix::io::Errno::HOSTUNREACH), Lost::Failed(Failure::Refused));
    }
}
