//! Bytes going one way, from one socket to another, with at most one buffer or one pipe of them in hand.
//!
//! Small traffic is received and sent. Once a read has brought much at a time the traffic is bulk, and spliced until
//! a read brings less again.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::buffer::Buffers;
use crate::socket;
use crate::splice::{Pipe, Pipes};
use crate::window::Window;

/// A read of this much is bulk. Below it, the system calls that splicing takes cost more than copying does.
const BULK_BYTES: usize = 16 * 1024;
/// Reads in one turn, after which other connections of the worker get theirs.
const READS_A_TURN: usize = 8;

/// Which side failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    From,
    To,
}

pub(crate) struct Flow<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    held: Held,
    /// Bytes that may still be read.
    left: u64,
    way: Way,
    buffers: &'a Buffers,
    pipes: &'a Pipes,
}

/// What has been read and not yet written.
enum Held {
    Nothing,
    Copied(Window),
    Piped(Pipe),
}

/// How the next bytes are read.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Copy,
    Splice,
    /// The last splice found nothing; the next one, after the socket has become readable, must find something.
    SpliceOrCopy,
}

impl<'a> Flow<'a> {
    /// `first`, then all that `from` says until its end.
    pub(crate) fn to_the_end(
        from: &'a TcpStream,
        to: &'a TcpStream,
        first: Option<Window>,
        buffers: &'a Buffers,
        pipes: &'a Pipes,
    ) -> Self {
        let held = first.map_or(Held::Nothing, Held::Copied);
        Self { from, to, held, left: u64::MAX, way: Way::Copy, buffers, pipes }
    }

    /// The next `length` bytes that `from` says, and not one more.
    pub(crate) fn of_length(
        from: &'a TcpStream,
        to: &'a TcpStream,
        length: u64,
        buffers: &'a Buffers,
        pipes: &'a Pipes,
    ) -> Self {
        Self { from, to, held: Held::Nothing, left: length, way: Way::Splice, buffers, pipes }
    }

    /// Whether bytes have been read that the other side did not get.
    pub(crate) fn holds_bytes(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    /// Whether everything that was to be moved has been; else a flow that is ready came to the end of its stream.
    pub(crate) fn is_complete(&self) -> bool {
        self.left == 0 && !self.holds_bytes()
    }

    /// Moves what can be moved now; ready at the end of the stream or of the length, with nothing held.
    /// `moved` is told the bytes that the other side's socket took.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        moved: &mut impl FnMut(u64),
    ) -> Poll<Result<(), Broken>> {
        for _ in 0..READS_A_TURN {
            ready!(self.poll_write(context, moved)).map_err(|_| Broken::To)?;
            if self.left == 0 || ready!(self.poll_read(context)).map_err(|_| Broken::From)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes all that is held.
    fn poll_write(&mut self, context: &mut Context<'_>, moved: &mut impl FnMut(u64)) -> Poll<io::Result<()>> {
        loop {
            match &self.held {
                Held::Nothing => return Poll::Ready(Ok(())),
                Held::Copied(window) if window.is_empty() => self.held = Held::Nothing,
                Held::Piped(pipe) if pipe.is_empty() => self.held = Held::Nothing,
                _ => {
                    ready!(self.to.poll_write_ready(context))?;
                    match self.write() {
                        Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        Ok(count) => moved(count as u64),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
            }
        }
    }

    fn write(&mut self) -> io::Result<usize> {
        match &mut self.held {
            Held::Nothing => Ok(0),
            Held::Copied(window) => {
                let count = socket::send(self.to, window.bytes())?;
                window.consume(count);
                Ok(count)
            }
            Held::Piped(pipe) => self.to.try_io(Interest::WRITABLE, || pipe.drain(self.to)),
        }
    }

    /// Reads once, while nothing is held; 0 is the end of the stream.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.from.poll_read_ready(context))?;
            let pipe = if self.way == Way::Copy { None } else { self.pipes.take() };
            let read = match pipe {
                Some(pipe) => self.splice(pipe),
                None => self.copy(),
            };
            match read {
                Ok(Some(count)) => {
                    self.left -= count as u64;
                    return Poll::Ready(Ok(count));
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// `None`: whether there is anything to read, or an end, is for [`Flow::copy`] to find out.
    fn splice(&mut self, mut pipe: Pipe) -> io::Result<Option<usize>> {
        let second_try = self.way == Way::SpliceOrCopy;
        let read = self.from.try_io(Interest::READABLE, || match pipe.fill(self.from, self.left) {
            // Not to be waited for: urgent data stops splice(2) as if there were no more. Only recv(2) passes it.
            Err(error) if second_try && error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            read => read,
        });
        match read {
            Ok(0) => {
                self.way = Way::Copy;
                Ok(None)
            }
            Ok(count) => {
                self.way = if count < BULK_BYTES { Way::Copy } else { Way::Splice };
                self.held = Held::Piped(pipe);
                Ok(Some(count))
            }
            Err(error) => {
                self.way = Way::SpliceOrCopy;
                Err(error)
            }
        }
    }

    fn copy(&mut self) -> io::Result<Option<usize>> {
        let mut window = Window::new(self.buffers);
        let count = window.receive(self.from, self.left)?;
        self.way = if count < BULK_BYTES { Way::Copy } else { Way::Splice };
        self.held = if count == 0 { Held::Nothing } else { Held::Copied(window) };
        Ok(Some(count))
    }
}

/// Moves exactly `length` bytes, a body of known length, and tells `progress` how many at each step.
///
/// # Errors
/// Which side failed; an early end of `from`'s stream is a failure. After an error, and when this future is dropped before its end, neither connection can be used for anything more.
pub(crate) async fn transfer(
    from: &TcpStream,
    to: &TcpStream,
    length: u64,
    buffers: &Buffers,
    pipes: &Pipes,
    mut progress: impl FnMut(u64),
) -> Result<(), Broken> {
    let mut flow = Flow::of_length(from, to, length, buffers, pipes);
    poll_fn(|context| flow.poll(context, &mut progress)).await?;
    if flow.is_complete() { Ok(()) } else { Err(Broken::From) }
}
