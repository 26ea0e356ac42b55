//! Answering a request: its route, its body, a member's reply or a refusal of our own.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use nines_control::statistics::Refused;
use nines_control::traffic::Failure;
use nines_system::{Balance, HashKey, HttpListener, Trust};

use super::delivery::{Delivery, Halt, Streamed};
use super::exchange::{Client, Exchange, Request, Seen};
use super::log::{Entry, Outcome};
use super::refuse::{explain, refusal};
use crate::attempt::{self, Incoming, Lost, Outgoing, Reply};
use crate::body::{Body, Stall};
use crate::forward;
use crate::front::Front;
use crate::http1::{Asked, ChunkedScanner, Downstream, Forwarding, Framing, Method, RequestHead};
use crate::kit::Desk;
use crate::listening::Served;
use crate::pool::{Pool, hash, hash_of};
use crate::proxy;
use crate::relay::{Moved, Relay};
use crate::socket::send_all;
use crate::timer::Elapsed;
use crate::upstream::Connection;
use crate::waits::{PATIENT, Waiting};
use crate::window::Window;

/// What becomes of a client's connection after a request.
pub(super) enum Next {
    /// The next request is awaited.
    Idle,
    Close,
    /// Closed, after what the client still sends has been read.
    Linger,
}

/// How a request ended: what becomes of the connection, and a word for the log.
struct End {
    next: Next,
    word: &'static str,
}

/// A reply that was passed on whole.
struct Answered {
    connection: Connection,
    incoming: Incoming,
    /// How it went out.
    sent: Downstream,
    /// Whether the request had been sent whole by then.
    whole: bool,
}

/// Why no reply, or no whole one, was passed on.
enum Failed {
    Refused(Refused),
    Halted(Halt),
}

impl From<Refused> for Failed {
    fn from(cause: Refused) -> Self {
        Self::Refused(cause)
    }
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        served: &'a Served,
        front: &'a Front,
        http: &'a HttpListener,
        client: &'a Client,
    ) -> Self {
        let (kit, received, seen) = (&*served.kit, Instant::now(), Seen::default());
        Self { served, kit, front, http, client, received, seen }
    }

    /// Answers the request whose head `desk.head` has read at the start of `window`.
    pub(super) async fn run(&self, window: &mut Window, desk: &mut Desk) -> Next {
        let entry = Entry::new(self.front, &desk.head, window.bytes());
        let routed = self.front.route(desk.head.host(window.bytes()), desk.head.path(window.bytes()));
        let pool = routed.map(|(pool, _)| pool);
        let end = match routed {
            None => {
                let keeps = self.keeps(&desk.head) && desk.head.framing() == Framing::None;
                window.consume(desk.head.len());
                self.refuse(Refused::NoRoute, keeps, desk.head.asked(), &mut desk.reply).await
            }
            Some((pool, repeat_any)) => {
                let request = self.take(pool, repeat_any, &desk.head, window, &mut desk.request);
                self.answer(&request, window, desk).await
            }
        };
        self.front.counts.bytes_in.add(self.seen.bytes_in.get());
        self.front.counts.bytes_out.add(self.seen.bytes_out.get());
        if let Some(good) =
            went_well(end.word, self.seen.status.get()).or_else(|| self.left_waiting(end.word))
        {
            // A reply that nobody waits for any more is none.
            let good = good && !self.seen.too_late.get();
            self.front.count_outcome(pool.map(|pool| &**pool), good);
        }
        if let Some(entry) = entry {
            self.log(&entry, pool, end.word);
        }
        end.next
    }

    fn keeps(&self, head: &RequestHead) -> bool {
        head.keep_alive() && !self.served.is_retired()
    }

    /// Renders the head for a member and consumes it.
    fn take<'p>(
        &self,
        pool: &'p Rc<Pool>,
        repeat_any: bool,
        head: &RequestHead,
        window: &mut Window,
        rendered: &mut Vec<u8>,
    ) -> Request<'p> {
        let bytes = window.bytes();
        let client = self.client.address.ip();
        let trusted = match &self.http.trust_forwarded {
            Trust::Nobody => false,
            Trust::Everybody => true,
            Trust::Networks(networks) => networks.iter().any(|network| network.contains(client)),
        };
        rendered.clear();
        head.render(bytes, &Forwarding { client: &self.client.text, trusted, proto: "http" }, rendered);
        let request = Request {
            pool,
            asked: head.asked(),
            version: head.version(),
            limits: Front::limits(self.http),
            keep_alive: self.keeps(head),
            framing: head.framing(),
            repeatable: (repeat_any || head.idempotent()) && !head.upgrade(),
            expects_continue: head.expects_continue(),
            key: key(&pool.plan().balance, client, head, bytes),
        };
        window.consume(head.len());
        request
    }

    async fn answer(&self, request: &Request<'_>, window: &mut Window, desk: &mut Desk) -> End {
        let Desk { request: bytes, reply: out, .. } = desk;
        let forwarded = match self.collect(request, window, bytes).await {
            Ok(complete) => self.forward(request, complete, window, bytes, out).await,
            Err(failed) => Err(failed),
        };
        let cause = match forwarded {
            Ok(end) => return end,
            Err(Failed::Refused(cause)) => cause,
            Err(Failed::Halted(halt)) => match halt.refusal() {
                Some(cause) if self.seen.bytes_out.get() == 0 => cause,
                _ => return self.break_off(&halt),
            },
        };
        // Bytes of the body that may still come would pass for the next request.
        let keeps = request.keep_alive && request.framing == Framing::None;
        self.refuse(cause, keeps, request.asked, out).await
    }

    /// Puts the body behind the head, if it is at hand or small and worth waiting for. `false`: it is streamed.
    async fn collect(
        &self,
        request: &Request<'_>,
        window: &mut Window,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, Failed> {
        match request.framing {
            Framing::None | Framing::UntilClose => Ok(true),
            Framing::Chunked => {
                let scanned = ChunkedScanner::new(&request.limits).advance(window.bytes());
                let progress = scanned.map_err(|_| Refused::BadRequest)?;
                if progress.done {
                    bytes.extend_from_slice(&window.bytes()[..progress.consumed]);
                    window.consume(progress.consumed);
                }
                Ok(progress.done)
            }
            Framing::Length(length) => {
                let kept = u64::from(request.pool.plan().retries.body_bytes);
                let worth_waiting = request.repeatable && !request.expects_continue && length <= kept;
                match usize::try_from(length) {
                    Ok(length) if length <= window.len() || worth_waiting => {
                        self.collect_exactly(length, window, bytes).await.map(|()| true)
                    }
                    _ => Ok(false),
                }
            }
        }
    }

    async fn collect_exactly(
        &self,
        length: usize,
        window: &mut Window,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let end = bytes.len() + length;
        let stall = Stall::default();
        loop {
            let here = (end - bytes.len()).min(window.len());
            bytes.extend_from_slice(&window.bytes()[..here]);
            window.consume(here);
            if bytes.len() == end {
                return Ok(());
            }
            let deadline = || stall.of_client(bytes.len() as u64, self.http.timeouts.stall);
            let fill = poll_fn(|cx| window.poll_fill(&self.client.stream, cx));
            match self.kit.timers.timeout(deadline, fill).await {
                Ok(Ok(n)) if n > 0 => {}
                Ok(_) => return Err(Failed::Halted(Halt::ClientGone)),
                Err(Elapsed) => return Err(Refused::ClientTimeout.into()),
            }
        }
    }

    /// Gets a reply from a member and passes it on.
    async fn forward(
        &self,
        request: &Request<'_>,
        complete: bool,
        window: &mut Window,
        bytes: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<End, Failed> {
        let preface =
            proxy::preface(request.pool.plan().send_proxy, self.client.address, &self.client.stream);
        let waiting = complete.then(|| self.waiting(request));
        let admitted = forward::admit(self.kit, request.pool, request.key, self.received).await?;
        let outgoing = Outgoing {
            pool: request.pool,
            bytes: if complete { bytes } else { &[] },
            asked: request.asked,
            repeatable: request.repeatable,
            key: request.key,
            preface: &preface,
            limits: request.limits,
            received: self.received,
            lost_at: Cell::new(None),
        };
        let nobody_answered = |cause: Refused| {
            self.seen.member.set(outgoing.lost_at.take());
            cause
        };
        let tries = &self.seen.tries;
        out.clear();
        let answered = if complete {
            let reply = forward::reply(self.kit, &outgoing, admitted.seat, tries).await;
            drop(waiting);
            let reply = reply.map_err(nobody_answered)?;
            self.seen.bytes_in.set(bytes.len() as u64);
            self.pass_on(request, reply, out).await?
        } else {
            let connection = forward::connect(self.kit, &outgoing, admitted.seat, tries).await;
            let connection = connection.map_err(nobody_answered)?;
            self.stream(request, connection, window, bytes, out).await?
        };
        let status = answered.incoming.head.status();
        attempt::completed(request.pool, &answered.connection.seat.member, status);
        if answered.incoming.head.switched() {
            return Ok(self.relay(request, &answered.connection, answered.incoming, window).await);
        }
        Ok(self.finish(request, answered, window))
    }

    /// The client has said everything, and waits for a reply.
    pub(super) fn waiting<'r>(&'r self, request: &'r Request<'_>) -> Waiting<'r> {
        let since = if request.framing == Framing::None { self.received } else { Instant::now() };
        Waiting::since(since, &self.front.counts.waits, &request.pool.counts.waits)
    }

    /// The reply to a request that has been sent whole.
    async fn pass_on(
        &self,
        request: &Request<'_>,
        reply: Reply,
        out: &mut Vec<u8>,
    ) -> Result<Answered, Failed> {
        let Reply { connection, mut incoming } = reply;
        let sent = self.delivery(request, &connection).reply(&mut incoming, out).await;
        match sent {
            Ok(sent) => Ok(Answered { connection, incoming, sent, whole: true }),
            Err(halt) => Err(halted(&connection, halt)),
        }
    }

    /// Sends a request whose body is still coming, and passes on its reply.
    async fn stream(
        &self,
        request: &Request<'_>,
        connection: Connection,
        window: &mut Window,
        bytes: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Answered, Failed> {
        let body = Body {
            framing: request.framing,
            framed_as: request.framing,
            limits: request.limits,
            moved: &self.seen.bytes_in,
        };
        connection.seat.member.counts.tries.add(1);
        let streamed = self.delivery(request, &connection).stream(&body, bytes, window, out).await;
        match streamed {
            Ok(Streamed { sent, incoming, whole }) => Ok(Answered { connection, incoming, sent, whole }),
            Err(halt) => Err(halted(&connection, halt)),
        }
    }

    fn delivery<'d>(&'d self, request: &'d Request<'d>, connection: &'d Connection) -> Delivery<'d> {
        if self.front.access_log.is_some() {
            self.seen.member.set(Some(connection.seat.member.clone()));
        }
        Delivery::new(self, request, &connection.seat.member, &connection.stream)
    }

    /// After a whole reply: the connections are kept, if they can be.
    fn finish(&self, request: &Request<'_>, answered: Answered, ahead: &Window) -> End {
        let Answered { connection, incoming: Incoming { head, window }, sent, whole } = answered;
        let next = if head.keeps_client(sent) {
            Next::Idle
        } else if whole && ahead.is_empty() {
            Next::Close
        } else {
            Next::Linger
        };
        if whole && head.keep_alive() && window.is_empty() {
            connection.keep(request.pool);
        }
        self.kit.keep_reply_head(head);
        End { next, word: "done" }
    }

    /// The connection speaks another protocol now: bytes both ways until either side ends it.
    async fn relay(
        &self,
        request: &Request<'_>,
        connection: &Connection,
        incoming: Incoming,
        window: &mut Window,
    ) -> End {
        let moved = Moved::default();
        let relay = Relay {
            client: &self.client.stream,
            member: &connection.stream,
            first_to_member: Some(window.take()),
            first_to_client: Some(incoming.window),
            idle: request.pool.plan().timeouts.stall,
            moved: &moved,
            buffers: &self.kit.buffers,
            pipes: &self.kit.pipes,
            timers: &self.kit.timers,
        };
        let delivery = self.delivery(request, connection);
        Box::pin(relay.run(self.kit.timers.sleep(|| delivery.upgrade_ends()))).await;
        self.seen.bytes_in.set(self.seen.bytes_in.get() + moved.to_member.get());
        self.seen.bytes_out.set(self.seen.bytes_out.get() + moved.to_client.get());
        End { next: Next::Close, word: "upgraded" }
    }

    /// A reply that can't be completed: the client must notice that it is not whole.
    fn break_off(&self, halt: &Halt) -> End {
        if matches!(halt, Halt::ClientGone | Halt::ClientStalled) {
            self.front.counts.client_gone.add(1);
        } else {
            // A reply that ends with its connection would pass for whole after an orderly end.
            let _ = self.client.stream.set_zero_linger();
        }
        End { next: Next::Close, word: halt.word() }
    }

    async fn refuse(&self, cause: Refused, keeps: bool, asked: Asked, out: &mut Vec<u8>) -> End {
        let (status, what) = explain(cause);
        out.clear();
        refusal(cause, status, what, !keeps, asked.method == Method::Head).render(out);
        self.front.count_reply(status);
        self.front.count_refused(cause);
        self.seen.status.set(status);
        let stall = Stall::default();
        let written = Cell::new(0);
        let deadline = || stall.of_client(written.get() as u64, self.http.timeouts.stall);
        let send = std::pin::pin!(send_all(&self.client.stream, out, &written));
        let sent = self.kit.timers.timeout(deadline, send).await;
        self.seen.bytes_out.set(written.get() as u64);
        let next = match sent {
            Ok(Ok(())) if keeps => Next::Idle,
            Ok(Ok(())) => Next::Linger,
            _ => Next::Close,
        };
        End { next, word: cause.word() }
    }

    /// A client that left before it had a byte of its reply, for which it had waited for a while: not its own doing.
    fn left_waiting(&self, ended: &str) -> Option<bool> {
        let for_us = ended == "client-gone" && self.seen.status.get() != 0 && self.seen.bytes_out.get() == 0;
        (for_us && self.received.elapsed() > PATIENT).then_some(false)
    }

    fn log(&self, entry: &Entry, pool: Option<&Rc<Pool>>, ended: &'static str) {
        let member = self.seen.member.take();
        let outcome = Outcome {
            client: self.client.address.ip(),
            received: self.received,
            pool: pool.map(|pool| pool.plan().name.as_str()),
            member: member.as_ref().map(|member| member.name.as_str()),
            tries: self.seen.tries.get(),
            status: self.seen.status.get(),
            first_byte: self.seen.first_byte.get(),
            bytes_in: self.seen.bytes_in.get(),
            bytes_out: self.seen.bytes_out.get(),
            ended,
        };
        entry.write(self.front, &outcome);
    }
}

/// `None`: it is the client's own doing that it ended so.
fn went_well(ended: &str, status: u16) -> Option<bool> {
    match ended {
        "done" | "upgraded" => Some(status < 500),
        "client-gone" | "stalled" => None,
        "cut-short" | "drained" => Some(false),
        // What nines answered itself.
        _ => (status >= 500).then_some(false),
    }
}

/// Tells the supervisor of the member's part in it.
fn halted(connection: &Connection, halt: Halt) -> Failed {
    // That a member closes a connection which it has kept for long enough is no fault.
    let stale = connection.reused && matches!(halt, Halt::NoReply(Lost::Failed(Failure::Reset)));
    if let Some(failure) = halt.failure().filter(|_| !stale) {
        connection.seat.member.failed(failure);
    }
    Failed::Halted(halt)
}

/// What consistent hashing goes by: a request without the header or cookie by its client's address.
fn key(balance: &Balance, client: IpAddr, head: &RequestHead, buffer: &[u8]) -> Option<u64> {
    let Balance::Hash(key) = balance else { return None };
    let value = match key {
        HashKey::ClientAddress => None,
        HashKey::Header(name) => head.field(buffer, name),
        HashKey::Cookie(name) => head.cookie(buffer, name),
    };
    Some(value.map_or_else(|| hash_of(client), hash))
}
