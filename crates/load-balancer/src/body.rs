//! Bodies on their way from one side to the other: what was read with the head goes out with the head, the rest
//! follows as it comes, in the framing that the other side understands.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::flow::{self, Broken, Flow};
use crate::http1::{ChunkedScanner, Framing, LAST_CHUNK, Limits, chunk_start};
use crate::kit::Kit;
use crate::socket;
use crate::window::Window;

/// Up to this many bytes are copied behind a head, which is cheaper than a vectored write.
const COPIED: usize = 4096;
/// A client that moves fewer bytes than this in a whole stall time is as good as silent.
const LEAST: u64 = 1024;

/// Why a body did not arrive whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The side that sends it closed or failed.
    Source,
    /// The side that receives it closed or failed.
    Sink,
    /// Its chunks were malformed.
    Malformed,
}

/// A body to be passed on.
pub(crate) struct Body<'a> {
    pub(crate) framing: Framing,
    /// As the receiver gets it; the same, or as `ResponseHead::framing_for` says.
    pub(crate) framed_as: Framing,
    /// For trailers.
    pub(crate) limits: Limits,
    /// Counts the bytes that the receiver's socket took.
    pub(crate) moved: &'a Cell<u64>,
}

impl Body<'_> {
    /// Sends `lead`, then the body: first what `window` holds of it, then what `from` says.
    pub(crate) async fn pass(
        &self,
        kit: &Kit,
        from: &TcpStream,
        to: &TcpStream,
        lead: &mut Vec<u8>,
        window: &mut Window,
    ) -> Result<(), Cut> {
        match (self.framing, self.framed_as) {
            (Framing::None, _) => self.send(to, lead, &[]).await,
            (Framing::Length(length), _) => {
                let here = usize::try_from(length).map_or(window.len(), |length| length.min(window.len()));
                self.send(to, lead, &window.bytes()[..here]).await?;
                window.consume(here);
                self.transfer(kit, from, to, length - here as u64).await
            }
            (Framing::UntilClose, Framing::UntilClose) => {
                self.send(to, lead, window.bytes()).await?;
                window.consume(window.len());
                let mut flow = Flow::to_the_end(from, to, None, &kit.buffers, &kit.pipes);
                poll_fn(|cx| flow.poll(cx, &mut |n| self.count(n))).await.map_err(cut)
            }
            (Framing::UntilClose, _) => self.pass_in_chunks(from, to, lead, window).await,
            (Framing::Chunked, _) => self.pass_chunks(from, to, lead, window).await,
        }
    }

    async fn transfer(&self, kit: &Kit, from: &TcpStream, to: &TcpStream, length: u64) -> Result<(), Cut> {
        if length == 0 {
            return Ok(());
        }
        let progress = |n| self.count(n);
        flow::transfer(from, to, length, &kit.buffers, &kit.pipes, progress).await.map_err(cut)
    }

    /// Chunks, checked, and passed as they are or, for a receiver that does not know them, without their frames.
    async fn pass_chunks(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        lead: &mut Vec<u8>,
        window: &mut Window,
    ) -> Result<(), Cut> {
        let mut scanner = ChunkedScanner::new(&self.limits);
        let bare = self.framed_as != Framing::Chunked;
        loop {
            let progress = if bare {
                scanner.advance_with(window.bytes(), |payload| lead.extend_from_slice(payload))
            } else {
                scanner.advance(window.bytes())
            };
            let progress = progress.map_err(|_| Cut::Malformed)?;
            let as_it_is = if bare { &[][..] } else { &window.bytes()[..progress.consumed] };
            self.send(to, lead, as_it_is).await?;
            window.consume(progress.consumed);
            if progress.done {
                return Ok(());
            }
            window.fill(from).await.map_err(|_| Cut::Source)?;
        }
    }

    /// A body that ends with its connection, put into chunks.
    async fn pass_in_chunks(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        lead: &mut Vec<u8>,
        window: &mut Window,
    ) -> Result<(), Cut> {
        loop {
            let ended = window.is_empty() && {
                self.send(to, lead, &[]).await?;
                poll_fn(|cx| window.poll_fill(from, cx)).await.map_err(|_| Cut::Source)? == 0
            };
            if ended {
                lead.extend_from_slice(LAST_CHUNK);
                return self.send(to, lead, &[]).await;
            }
            chunk_start(window.len(), lead);
            self.send(to, lead, window.bytes()).await?;
            lead.extend_from_slice(b"\r\n");
            window.consume(window.len());
        }
    }

    /// Writes `lead`, which is empty afterwards, and `bytes`.
    async fn send(&self, to: &TcpStream, lead: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Cut> {
        let apart = if bytes.len() <= COPIED {
            lead.extend_from_slice(bytes);
            &[]
        } else {
            bytes
        };
        let mut sent = 0;
        let done = poll_fn(|cx| {
            while sent < lead.len() + apart.len() {
                let (first, second) = match lead.get(sent..) {
                    Some(lead) => (lead, apart),
                    None => (&apart[sent - lead.len()..], &[][..]),
                };
                let n = ready!(socket::poll_send(to, cx, first, second))?;
                self.count(n as u64);
                sent += n;
            }
            Poll::Ready(Ok(()))
        })
        .await;
        lead.clear();
        done.map_err(|_: io::Error| Cut::Sink)
    }

    fn count(&self, n: u64) {
        self.moved.set(self.moved.get() + n);
    }
}

fn cut(broken: Broken) -> Cut {
    match broken {
        Broken::From => Cut::Source,
        Broken::To => Cut::Sink,
    }
}

/// Tells when nothing has moved for too long. It is asked again whenever its answer has passed.
#[derive(Default)]
pub(crate) struct Stall {
    seen: Cell<u64>,
    since: Cell<Option<Instant>>,
}

impl Stall {
    /// When to give up on the client, if no more than `moved` bytes will have moved by then; it must move at least
    /// [`LEAST`] bytes in that time.
    pub(crate) fn of_client(&self, moved: u64, patience: Duration) -> Instant {
        self.since(moved, LEAST) + patience
    }

    /// When to give up on the member, which may be slow as long as it moves at all.
    pub(crate) fn of_member(&self, moved: u64, patience: Duration) -> Instant {
        self.since(moved, 1) + patience
    }

    fn since(&self, moved: u64, least: u64) -> Instant {
        match self.since.get() {
            Some(since) if moved - self.seen.get() < least => since,
            _ => {
                let now = Instant::now();
                self.since.set(Some(now));
                self.seen.set(moved);
                now
            }
        }
    }
}
