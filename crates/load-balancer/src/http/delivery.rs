//! A member's reply on its way to the client, and the time that everyone may take for their part.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use nines_control::statistics::Refused;
use nines_control::traffic::Failure;
use tokio::net::TcpStream;

use super::exchange::{Exchange, Request};
use crate::attempt::{self, Incoming, Lost};
use crate::body::{Body, Cut, Stall};
use crate::http1::{Downstream, Version};
use crate::pool::Member;
use crate::socket::{has_ended, is_writable, send_all};
use crate::timer::{Elapsed, FAR};
use crate::waits::{PATIENT, Waiting};

pub(super) struct Delivery<'a> {
    pub(super) exchange: &'a Exchange<'a>,
    pub(super) request: &'a Request<'a>,
    pub(super) member: &'a Member,
    pub(super) upstream: &'a TcpStream,
    stage: Cell<Stage>,
    /// Whether the whole request has been sent.
    uploaded: Cell<bool>,
    /// Whether the member has said anything at all.
    answered: Cell<Answered>,
    /// Bytes that go out before what the client may hold back.
    lead: Cell<u64>,
    /// While a request that was streamed is through and its reply has not begun.
    waiting: Cell<Option<Waiting<'a>>>,
    stall: Stall,
}

/// How far the member's answer has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    Nothing,
    /// Only interim replies.
    Interim,
    Head,
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The rest of the request; the reply may be on its way already.
    Request,
    /// The reply's head.
    Head {
        since: Instant,
    },
    Body,
}

/// A reply that was passed on while its request was still being sent.
pub(super) struct Streamed {
    /// How it went out.
    pub(super) sent: Downstream,
    pub(super) incoming: Incoming,
    /// Whether the request was through before the reply was.
    pub(super) whole: bool,
}

/// Why a reply did not reach the client whole.
pub(super) enum Halt {
    /// There was no reply, or none that can be understood.
    NoReply(Lost),
    /// The client's chunks are malformed.
    BadRequest,
    /// The client did not send the request in time.
    RequestTooSlow,
    /// The request's own time was up.
    TimeUp,
    /// The member stopped in the middle.
    CutShort(Failure),
    /// The client went away.
    ClientGone,
    /// The client does not read.
    ClientStalled,
    /// The member has drained for long enough.
    Drained,
}

impl Halt {
    /// How nines answers if nothing of a reply has been sent yet.
    pub(super) fn refusal(&self) -> Option<Refused> {
        match self {
            Self::NoReply(lost) => Some(lost.refusal()),
            Self::BadRequest => Some(Refused::BadRequest),
            Self::RequestTooSlow => Some(Refused::ClientTimeout),
            Self::TimeUp => Some(Refused::RequestTimeout),
            Self::CutShort(failure) => Some(Lost::Failed(*failure).refusal()),
            Self::Drained => Some(Refused::Reset),
            Self::ClientGone | Self::ClientStalled => None,
        }
    }

    /// The member's part in it.
    pub(super) fn failure(&self) -> Option<Failure> {
        match *self {
            Self::NoReply(Lost::Failed(failure)) | Self::CutShort(failure) => Some(failure),
            Self::TimeUp => Some(Failure::Silent),
            _ => None,
        }
    }

    /// For the access log.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::ClientGone => "client-gone",
            Self::ClientStalled | Self::RequestTooSlow => "stalled",
            Self::Drained => "drained",
            _ => "cut-short",
        }
    }
}

impl<'a> Delivery<'a> {
    pub(super) fn new(
        exchange: &'a Exchange<'a>,
        request: &'a Request<'a>,
        member: &'a Member,
        upstream: &'a TcpStream,
    ) -> Self {
        Self {
            exchange,
            request,
            member,
            upstream,
            stage: Cell::new(Stage::Body),
            uploaded: Cell::new(true),
            answered: Cell::new(Answered::Nothing),
            lead: Cell::new(0),
            waiting: Cell::new(None),
            stall: Stall::default(),
        }
    }

    /// Passes on a reply whose head has been read, to a request that was sent whole. Says how it went out.
    pub(super) async fn reply(&self, incoming: &mut Incoming, out: &mut Vec<u8>) -> Result<Downstream, Halt> {
        self.in_time(pin!(self.pass(incoming, out))).await
    }

    /// Sends the request's rest (`head`, then what the client still says) while the reply may be on its way.
    pub(super) async fn stream(
        &self,
        body: &Body<'_>,
        head: &mut Vec<u8>,
        window: &mut crate::window::Window,
        out: &mut Vec<u8>,
    ) -> Result<Streamed, Halt> {
        let kit = self.exchange.kit;
        self.stage.set(Stage::Request);
        self.uploaded.set(false);
        self.lead.set(head.len() as u64);
        let mut upload = pin!(body.pass(kit, &self.exchange.client.stream, self.upstream, head, window));
        let mut download = pin!(async {
            let read = Incoming::read(kit, self.upstream, self.request.asked, &self.request.limits).await;
            let mut incoming = read.map_err(Halt::NoReply)?;
            let sent = self.pass(&mut incoming, out).await?;
            Ok(Streamed { sent, incoming, whole: self.uploaded.get() })
        });
        let both = poll_fn(|cx| {
            if self.stage.get() == Stage::Request
                && let Poll::Ready(uploaded) = upload.as_mut().poll(cx)
            {
                match uploaded {
                    Ok(()) => self.uploaded.set(true),
                    // A member that reads no more may still say why. What is left of the request is never read.
                    Err(Cut::Sink) => {}
                    Err(Cut::Source) => return Poll::Ready(Err(Halt::ClientGone)),
                    Err(Cut::Malformed) => return Poll::Ready(Err(Halt::BadRequest)),
                }
                self.stage.set(match self.answered.get() {
                    Answered::Head => Stage::Body,
                    _ => {
                        self.waiting.set(Some(self.exchange.waiting(self.request)));
                        Stage::Head { since: Instant::now() }
                    }
                });
            }
            download.as_mut().poll(cx)
        });
        self.in_time(both).await
    }

    /// Runs `part` as long as everyone keeps to their time. What is waited for has its own time, and a timer that has
    /// been set does not hear of a nearer deadline by itself: so a new stage has a new timer.
    async fn in_time<T>(&self, mut part: impl Future<Output = Result<T, Halt>> + Unpin) -> Result<T, Halt> {
        loop {
            let stage = self.stage.get();
            let step = poll_fn(|cx| match Pin::new(&mut part).poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if self.stage.get() != stage => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match self.exchange.kit.timers.timeout(|| self.deadline(), step).await {
                Ok(Some(done)) => return done,
                Ok(None) => {}
                Err(Elapsed) => return Err(self.too_late()),
            }
        }
    }

    /// Passes on interim replies, the head and the body.
    async fn pass(&self, incoming: &mut Incoming, out: &mut Vec<u8>) -> Result<Downstream, Halt> {
        let Exchange { kit, client, seen, .. } = self.exchange;
        let Request { asked, version, limits, .. } = self.request;
        while incoming.head.is_interim() {
            if *version == Version::Http11 {
                let to = Downstream { version: *version, keep_alive: true };
                incoming.head.render(incoming.window.bytes(), to, out);
                let written = Cell::new(0);
                send_all(&client.stream, out, &written).await.map_err(|_| Halt::ClientGone)?;
                out.clear();
            }
            self.answered.set(Answered::Interim);
            if self.stage.get() == Stage::Body {
                self.stage.set(Stage::Head { since: Instant::now() });
            }
            incoming.next(self.upstream, *asked, limits).await.map_err(Halt::NoReply)?;
        }
        // What is still to come of the request would pass for the next one.
        let keep_alive = self.request.keep_alive && self.uploaded.get();
        let to = Downstream { version: *version, keep_alive };
        self.answered.set(Answered::Head);
        self.waiting.set(None);
        if self.stage.get() != Stage::Request {
            self.stage.set(Stage::Body);
        }
        seen.status.set(incoming.head.status());
        let took = self.exchange.received.elapsed();
        // Half an end looks like a whole one. But it is not usual in HTTP: who ends here has had enough of waiting.
        seen.too_late.set(took > PATIENT && has_ended(&client.stream));
        if self.exchange.front.access_log.is_some() {
            seen.first_byte.set(Some(took));
        }
        attempt::answered(self.request.pool, self.member, incoming.head.status());
        self.exchange.front.count_reply(incoming.head.status());
        incoming.head.render(incoming.window.bytes(), to, out);
        incoming.window.consume(incoming.head.len());
        let body = Body {
            framing: if incoming.head.switched() {
                crate::http1::Framing::None
            } else {
                incoming.head.framing()
            },
            framed_as: incoming.head.framing_for(to),
            limits: *limits,
            moved: &seen.bytes_out,
        };
        match body.pass(kit, self.upstream, &client.stream, out, &mut incoming.window).await {
            Ok(()) => Ok(to),
            Err(Cut::Sink) => Err(Halt::ClientGone),
            Err(Cut::Source) => Err(Halt::CutShort(Failure::Reset)),
            Err(Cut::Malformed) => Err(Halt::CutShort(Failure::BadReply)),
        }
    }

    /// Whether it is the client that everyone waits for.
    fn client_waited_for(&self) -> bool {
        match self.stage.get() {
            Stage::Request => is_writable(self.upstream) && !self.is_continue_awaited(),
            Stage::Head { .. } => false,
            Stage::Body => !is_writable(&self.exchange.client.stream),
        }
    }

    /// The client holds its body back until the member wants it, and the member has said nothing yet.
    fn is_continue_awaited(&self) -> bool {
        let silent = self.answered.get() == Answered::Nothing;
        silent && self.request.expects_continue && self.exchange.seen.bytes_in.get() <= self.lead.get()
    }

    fn deadline(&self) -> Instant {
        let seen = &self.exchange.seen;
        let timeouts = &self.request.pool.plan().timeouts;
        let end = match self.stage.get() {
            Stage::Head { since } => {
                (since + timeouts.first_byte).min(self.exchange.received + timeouts.request)
            }
            Stage::Request | Stage::Body => {
                let moved = seen.bytes_in.get() + seen.bytes_out.get();
                let client_stall = self.exchange.http.timeouts.stall;
                let end = if self.client_waited_for() {
                    self.stall.of_client(moved, client_stall)
                } else if self.is_continue_awaited() {
                    self.stall.of_member(moved, timeouts.first_byte)
                } else {
                    self.stall.of_member(moved, timeouts.stall)
                };
                // Who is waited for may change unnoticed: so it is looked as often as the less patient would want.
                let now = Instant::now();
                if end <= now { end } else { end.min(now + client_stall.min(timeouts.stall)) }
            }
        };
        self.member.close_at.get().map_or(end, |close_at| end.min(close_at))
    }

    fn too_late(&self) -> Halt {
        let now = Instant::now();
        if self.member.close_at.get().is_some_and(|close_at| now >= close_at) {
            return Halt::Drained;
        }
        match (self.stage.get(), self.client_waited_for()) {
            (Stage::Request, true) => Halt::RequestTooSlow,
            (Stage::Body, true) => Halt::ClientStalled,
            (Stage::Head { since }, _) if now < since + self.request.pool.plan().timeouts.first_byte => {
                Halt::TimeUp
            }
            (Stage::Body, false) => Halt::CutShort(Failure::Silent),
            (Stage::Request | Stage::Head { .. }, _) => Halt::NoReply(Lost::Failed(Failure::Silent)),
        }
    }

    /// When an upgraded connection must end.
    pub(super) fn upgrade_ends(&self) -> Instant {
        self.member.close_at.get().unwrap_or(self.exchange.received + FAR)
    }
}
