//! Bytes both ways between a client and PostgreSQL, for as long as the client may pass.
//!
//! All of a worker's connections read into one buffer of the worker's; a connection owns bytes only where the other side
//! does not take them, or a hold keeps them back.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock;
use super::exchange::{Answer, Exchange};
use super::guarded::Face;
use super::permit::Right;
use super::worker::{Busy, Worker};

/// Reads of one side in one turn, after which other connections of the worker get theirs.
const READS_A_TURN: usize = 8;

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The server has said all that it had to say.
    Finished,
    /// The client may not pass any more.
    Cut,
    /// The server was about to acknowledge a commit that no standby confirmed.
    Unconfirmed,
    /// What the client says is not the protocol.
    Malformed,
    ClientGone,
    ServerGone,
}

pub(crate) struct Relay<'a, C, S> {
    pub(crate) client: &'a mut C,
    server: &'a mut S,
    worker: Rc<Worker>,
    right: Right,
    /// `None`: nothing is known of what the two say, and no hold waits for it.
    exchange: Option<Exchange>,
    busy: Busy,
    /// From the client, not yet at the server.
    up: Held,
    /// From the server, not yet at the client.
    down: Held,
    /// The client's socket, or TLS, has something that must be pushed on.
    unflushed: bool,
    client_ended: bool,
    server_deaf: bool,
    /// What the client has got ends with the end of a message.
    clean: bool,
    /// Nothing more is passed on to the client.
    unconfirmed: bool,
}

/// Bytes that were read and not written.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    written: usize,
    /// Of the client's: so many are known to the exchange, and must be written.
    noted: usize,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    fn keep(&mut self, bytes: &[u8], noted: usize) {
        *self = Self { bytes: bytes.to_vec(), written: 0, noted };
    }
}

impl<'a, C: Face, S: AsyncRead + AsyncWrite + Unpin> Relay<'a, C, S> {
    pub(crate) fn new(
        client: &'a mut C,
        server: &'a mut S,
        worker: Rc<Worker>,
        right: Right,
        exchange: Option<Exchange>,
    ) -> Self {
        client.guarded().guard(Some(right));
        let clean = exchange.is_some();
        let busy = Busy::new(worker.clone());
        let (up, down) = (Held::default(), Held::default());
        Self {
            client,
            server,
            worker,
            right,
            exchange,
            busy,
            up,
            down,
            unflushed: false,
            client_ended: false,
            server_deaf: false,
            clean,
            unconfirmed: false,
        }
    }

    /// Whether a message of the gate's own could follow what the client has got.
    pub(crate) fn is_clean(&self) -> bool {
        self.clean && !self.client.is_behind()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if !self.passes() {
            return Poll::Ready(Ended::Cut);
        }
        if let Err(ended) = self.poll_down(cx).and_then(|()| self.poll_up(cx)) {
            return Poll::Ready(ended);
        }
        Poll::Pending
    }

    fn passes(&self) -> bool {
        self.worker.shared.permits.passes(self.right, clock::now())
    }

    /// What the client's socket said of a write.
    fn client_failed(&self) -> Ended {
        if self.passes() { Ended::ClientGone } else { Ended::Cut }
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let worker = self.worker.clone();
        for _ in 0..READS_A_TURN {
            if !self.down.is_empty() || self.unflushed {
                let mut held = std::mem::take(&mut self.down);
                let written = self.write_down(cx, &held.bytes[held.written..])?;
                held.written += written;
                if !held.is_empty() {
                    self.down = held;
                }
                if !self.down.is_empty() || self.unflushed {
                    return Ok(());
                }
            }
            self.note();
            if self.unconfirmed {
                return Err(Ended::Unconfirmed);
            }
            let mut buffer = worker.buffer.borrow_mut();
            let read = match read(Pin::new(&mut *self.server), cx, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => return Err(Ended::ServerGone),
                Poll::Ready(Ok(0)) => return Err(Ended::Finished),
                Poll::Ready(Ok(read)) => read,
            };
            let mut bytes = &buffer[..read];
            if let Some(exchange) = &mut self.exchange {
                match exchange.server(bytes) {
                    Ok(Answer::Fine) => {}
                    Ok(Answer::Unconfirmed(end)) => {
                        bytes = &bytes[..end];
                        self.unconfirmed = true;
                    }
                    Err(_) => return Err(Ended::ServerGone),
                }
            }
            let written = self.write_down(cx, bytes)?;
            if written < bytes.len() {
                self.down.keep(&bytes[written..], 0);
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Writes what the client takes now.
    fn write_down(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<usize, Ended> {
        let mut written = 0;
        while written < bytes.len() {
            match Pin::new(&mut *self.client).poll_write(cx, &bytes[written..]) {
                Poll::Ready(Ok(0)) => return Err(Ended::ClientGone),
                Poll::Ready(Ok(n)) => written += n,
                Poll::Ready(Err(_)) => {
                    self.clean &= written == 0;
                    return Err(self.client_failed());
                }
                Poll::Pending => break,
            }
        }
        if written > 0 {
            self.worker.counts().to_clients.add(written as u64);
        }
        self.unflushed = match Pin::new(&mut *self.client).poll_flush(cx) {
            Poll::Ready(Ok(())) => false,
            Poll::Ready(Err(_)) => return Err(self.client_failed()),
            Poll::Pending => true,
        };
        if written == bytes.len() {
            self.clean = self.exchange.as_ref().is_some_and(Exchange::at_boundary);
        } else if written > 0 {
            self.clean = false;
        }
        Ok(written)
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let worker = self.worker.clone();
        for _ in 0..READS_A_TURN {
            if !self.up.is_empty() {
                let mut held = std::mem::take(&mut self.up);
                let written = self.write_up(cx, &held.bytes[held.written..], &mut held.noted)?;
                held.written += written;
                if !held.is_empty() {
                    self.up = held;
                    return Ok(());
                }
            }
            if self.client_ended || self.waits() {
                return Ok(());
            }
            let mut buffer = worker.buffer.borrow_mut();
            let read = match read(Pin::new(&mut *self.client), cx, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => return Err(self.client_failed()),
                Poll::Ready(Ok(read)) => read,
            };
            if read == 0 {
                self.client_ended = true;
                // What it asked for before may still be answered.
                let _ = Pin::new(&mut *self.server).poll_shutdown(cx);
                return Ok(());
            }
            let (bytes, mut noted) = (&buffer[..read], 0);
            let written = self.write_up(cx, bytes, &mut noted)?;
            if written < bytes.len() {
                self.up.keep(&bytes[written..], noted);
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Writes what may be written and the server takes now. `noted`: of these bytes, how many the exchange knows; of what is not
    /// written, on return.
    fn write_up(&mut self, cx: &mut Context<'_>, bytes: &[u8], noted: &mut usize) -> Result<usize, Ended> {
        let worker = self.worker.clone();
        let _inside = worker.vitals.section.enter();
        if !self.passes() {
            return Err(Ended::Cut);
        }
        match &mut self.exchange {
            Some(exchange) => {
                let hold = worker.shared.permits.is_held();
                *noted += exchange.client(&bytes[*noted..], hold).map_err(|_| Ended::Malformed)?;
                self.note();
            }
            None => *noted = bytes.len(),
        }
        let mut written = 0;
        while written < *noted {
            if self.server_deaf {
                written = *noted;
                break;
            }
            match Pin::new(&mut *self.server).poll_write(cx, &bytes[written..*noted]) {
                Poll::Ready(Ok(n)) if n > 0 => written += n,
                // Its last words may still be read.
                Poll::Ready(_) => self.server_deaf = true,
                Poll::Pending => break,
            }
        }
        worker.counts().from_clients.add(written as u64);
        *noted -= written;
        Ok(written)
    }

    /// In a hold: the client's next bytes stay where they are.
    fn waits(&self) -> bool {
        self.worker.shared.permits.is_held()
            && self.exchange.as_ref().is_some_and(|exchange| !exchange.wants_more())
    }

    fn note(&mut self) {
        if let Some(exchange) = &self.exchange {
            self.busy.set(exchange.is_busy() || !self.down.is_empty() || self.unflushed);
        }
    }
}

fn read<R: AsyncRead>(from: Pin<&mut R>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    from.poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
}
