//! A connection relayed byte for byte: TCP listeners, and HTTP connections that have become something else.
//!
//! Both ways are moved by one task. The end of one side is passed on as such and the other way goes on; a reset is
//! passed on as a reset, so that neither side takes a broken stream for a finished one.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::net::Shutdown;
use tokio::net::TcpStream;

use crate::buffer::Buffers;
use crate::flow::{Broken, Flow};
use crate::splice::Pipes;
use crate::timer::Timers;
use crate::window::Window;

/// Looks at a quiet connection in one idle time. Bytes need no clock: a look compares how many there have been.
const LOOKS: u32 = 4;

/// What is to be relayed.
pub(crate) struct Relay<'a> {
    pub client: &'a TcpStream,
    pub member: &'a TcpStream,
    /// Written to the member before what the client says: bytes that were read too far.
    pub first_to_member: Option<Window>,
    pub first_to_client: Option<Window>,
    /// Without a byte either way for this long (and up to a quarter more) the relay ends.
    pub idle: Duration,
    pub moved: &'a Moved,
    pub buffers: &'a Buffers,
    pub pipes: &'a Pipes,
    pub timers: &'a Timers,
}

/// Bytes that each side's socket has taken so far; to be read while the relay runs.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub to_member: Cell<u64>,
    pub to_client: Cell<u64>,
    /// The member has said, in order, that it says no more, and the client had not yet.
    pub member_ended_first: Cell<bool>,
}

/// Why a relay ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Both sides have said all they had to say.
    Finished,
    /// The client's connection broke; the member's will be reset.
    ClientFailed,
    /// The member's connection broke; the client's will be reset.
    MemberFailed,
    Idle,
    /// The caller wanted an end.
    Closed,
}

impl Relay<'_> {
    /// Relays until both sides are done or one has failed, nothing has been said for too long, or `close` is ready.
    ///
    /// Both connections are for the caller to drop, and good for nothing else. A side that has not got all that the
    /// other said is set to be reset when dropped.
    pub(crate) async fn run(self, close: impl Future<Output = ()>) -> Ended {
        let Self { client, member, moved, buffers, pipes, .. } = self;
        let mut to_member = OneWay::new(client, member, self.first_to_member, buffers, pipes);
        let mut to_client = OneWay::new(member, client, self.first_to_client, buffers, pipes);
        let mut quiet = pin!(quiet(self.timers, self.idle, moved));
        let mut close = pin!(close);

        let ended = poll_fn(|context| {
            let sent = to_member.poll(context, &moved.to_member);
            let answered = to_client.poll(context, &moved.to_client);
            if !sent && matches!(to_client.result, Some(Ok(()))) {
                moved.member_ended_first.set(true);
            }
            // A side that takes no more may still have said something: its last words are passed on first.
            if (sent && answered) || to_member.source_failed() || to_client.source_failed() {
                Poll::Ready(Ended::Finished)
            } else if quiet.as_mut().poll(context).is_ready() {
                Poll::Ready(Ended::Idle)
            } else {
                close.as_mut().poll(context).map(|()| Ended::Closed)
            }
        })
        .await;

        let undelivered = to_member.flow.holds_bytes() || to_client.flow.holds_bytes();
        let ended = match (to_member.result, to_client.result) {
            (Some(Err(Broken::From)), _) | (_, Some(Err(Broken::To))) => Ended::ClientFailed,
            (Some(Err(Broken::To)), _) | (_, Some(Err(Broken::From))) => Ended::MemberFailed,
            _ => ended,
        };
        let (reset_client, reset_member) = match &ended {
            Ended::Finished => (false, false),
            Ended::ClientFailed => (false, true),
            Ended::MemberFailed => (true, false),
            Ended::Idle | Ended::Closed => (undelivered, undelivered),
        };
        for (reset, socket) in [(reset_client, client), (reset_member, member)] {
            if reset {
                // Without it the peer sees an orderly end, which is the next best.
                let _ = socket.set_zero_linger();
            }
        }
        ended
    }
}

impl Moved {
    fn total(&self) -> u64 {
        self.to_member.get() + self.to_client.get()
    }
}

/// One way of a relay: a flow, and the end of it passed on.
struct OneWay<'a> {
    flow: Flow<'a>,
    to: &'a TcpStream,
    result: Option<Result<(), Broken>>,
}

impl<'a> OneWay<'a> {
    fn new(
        from: &'a TcpStream,
        to: &'a TcpStream,
        first: Option<Window>,
        buffers: &'a Buffers,
        pipes: &'a Pipes,
    ) -> Self {
        Self { flow: Flow::to_the_end(from, to, first, buffers, pipes), to, result: None }
    }

    /// Whether there is nothing more to be done.
    fn poll(&mut self, context: &mut Context<'_>, moved: &Cell<u64>) -> bool {
        if self.result.is_none()
            && let Poll::Ready(result) = self.flow.poll(context, &mut |count| moved.set(moved.get() + count))
        {
            if result.is_ok() {
                // It fails when the connection is gone already, which reading from it tells.
                let _ = rustix::net::shutdown(self.to, Shutdown::Write);
            }
            self.result = Some(result);
        }
        self.result.is_some()
    }

    fn source_failed(&self) -> bool {
        matches!(self.result, Some(Err(Broken::From)))
    }
}

/// Ready once `idle` has passed without a byte.
async fn quiet(timers: &Timers, idle: Duration, moved: &Moved) {
    let mut seen = moved.total();
    let mut unchanged = 0;
    while unchanged < LOOKS {
        let look = Instant::now() + idle / LOOKS;
        timers.sleep(|| look).await;
        let total = moved.total();
        unchanged = if total == seen { unchanged + 1 } else { 0 };
        seen = total;
    }
}

#[cfg(test)]
mod tests;
