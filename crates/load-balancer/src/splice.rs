//! `splice(2)`: bulk goes from socket to socket through a pipe, by reference, without passing through this process.
//!
//! A pipe is filled only when it is empty. "Would block" then has one meaning on either side (nothing to read;
//! no room to write) and can be waited for at the socket alone, so pipes need no readiness of their own.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::net::TcpStream;

/// What a pipe is asked to hold. Without privileges all of a user's pipes share `pipe-user-pages-soft`, 64 MiB by default.
const PIPE_BYTES: usize = 256 * 1024;
/// A smaller pipe (the user's share of pipe memory is used up) saves nothing over copying.
const PIPE_BYTES_MIN: usize = 64 * 1024;
/// Asking in vain costs a few system calls, so after a refusal this many reads are copied before the next try.
const REFUSED: u32 = 1000;

/// One worker's pipes, made when first needed. Clones share them.
#[derive(Clone)]
pub(crate) struct Pipes(Rc<Rack>);

struct Rack {
    most: usize,
    open: Cell<usize>,
    idle: RefCell<Vec<Ends>>,
    /// Times that the kernel is not asked for a further pipe, since it refused one.
    refused: Cell<u32>,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    bytes: usize,
}

impl Pipes {
    /// At most `most` pipes, each of two file descriptors. With 0, everything is copied.
    pub(crate) fn new(most: usize) -> Self {
        Self(Rc::new(Rack { most, open: Cell::new(0), idle: RefCell::default(), refused: Cell::new(0) }))
    }

    /// An empty pipe; `None` when all are in use or the kernel gives no more.
    pub(crate) fn take(&self) -> Option<Pipe> {
        let idle = self.0.idle.borrow_mut().pop();
        let ends = idle.or_else(|| self.open())?;
        Some(Pipe { ends: Some(ends), held: 0, rack: Rc::clone(&self.0) })
    }

    #[cfg(test)]
    pub(crate) fn made(&self) -> usize {
        self.0.open.get()
    }

    fn open(&self) -> Option<Ends> {
        let rack = &self.0;
        if rack.open.get() == rack.most {
            return None;
        }
        if let Some(refused) = rack.refused.get().checked_sub(1) {
            rack.refused.set(refused);
            return None;
        }
        match Ends::open() {
            Ok(ends) => {
                rack.open.set(rack.open.get() + 1);
                Some(ends)
            }
            Err(_) => {
                rack.refused.set(REFUSED);
                None
            }
        }
    }
}

impl Ends {
    fn open() -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let bytes = match rustix::pipe::fcntl_setpipe_size(&write, PIPE_BYTES) {
            Ok(bytes) => bytes,
            Err(_) => rustix::pipe::fcntl_getpipe_size(&write)?,
        };
        if bytes < PIPE_BYTES_MIN {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(Self { read, write, bytes })
    }
}

/// A pipe on loan. Dropped empty it goes back; dropped with bytes in it, it is closed and they are lost.
pub(crate) struct Pipe {
    ends: Option<Ends>,
    held: usize,
    rack: Rc<Rack>,
}

impl Pipe {
    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("only drop takes them")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves at most `most` bytes from the socket into the pipe, which must be empty. 0 is the end of the stream.
    pub(crate) fn fill(&mut self, from: &TcpStream, most: u64) -> io::Result<usize> {
        debug_assert!(self.is_empty(), "else a full pipe could pass for an empty socket");
        let ends = self.ends();
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(ends.bytes);
        let moved = rustix::io::retry_on_intr(|| {
            rustix::pipe::splice(
                from,
                None,
                &ends.write,
                None,
                most,
                SpliceFlags::MOVE | SpliceFlags::NONBLOCK,
            )
        })?;
        self.held = moved;
        Ok(moved)
    }

    /// Moves what the socket takes of the bytes held.
    pub(crate) fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let ends = self.ends();
        let moved = rustix::io::retry_on_intr(|| {
            rustix::pipe::splice(
                &ends.read,
                None,
                to,
                None,
                self.held,
                SpliceFlags::MOVE | SpliceFlags::NONBLOCK,
            )
        })?;
        self.held = self.held.saturating_sub(moved);
        Ok(moved)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        match self.ends.take() {
            Some(ends) if self.held == 0 => self.rack.idle.borrow_mut().push(ends),
            _ => self.rack.open.set(self.rack.open.get() - 1),
        }
    }
}
