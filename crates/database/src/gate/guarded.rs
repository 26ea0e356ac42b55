//! A client's socket that takes no byte after the deadline, from whatever layer above it.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::clock;
use super::permit::Right;
use super::worker::Worker;

pub(crate) struct Guarded {
    socket: TcpStream,
    worker: Rc<Worker>,
    /// `None`: what the gate itself says, which is not the server's.
    right: Cell<Option<Right>>,
}

/// A client's connection, encrypted or not.
pub(crate) trait Face: AsyncRead + AsyncWrite + Unpin {
    fn guarded(&self) -> &Guarded;

    /// It has taken bytes that its socket has not.
    fn is_behind(&self) -> bool;
}

impl Guarded {
    pub(crate) fn new(socket: TcpStream, worker: Rc<Worker>) -> Self {
        Self { socket, worker, right: Cell::new(None) }
    }

    pub(crate) fn guard(&self, right: Option<Right>) {
        self.right.set(right);
    }

    /// What has come, without taking it.
    pub(crate) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(bytes).await
    }
}

impl Face for Guarded {
    fn guarded(&self) -> &Guarded {
        self
    }

    fn is_behind(&self) -> bool {
        false
    }
}

impl Face for TlsStream<Guarded> {
    fn guarded(&self) -> &Guarded {
        self.get_ref().0
    }

    fn is_behind(&self) -> bool {
        self.get_ref().1.wants_write()
    }
}

impl AsyncRead for Guarded {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guarded {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(right) = this.right.get() else { return Pin::new(&mut this.socket).poll_write(cx, bytes) };
        let _inside = this.worker.vitals.section.enter();
        if !this.worker.shared.permits.passes(right, clock::now()) {
            return Poll::Ready(Err(ErrorKind::PermissionDenied.into()));
        }
        Pin::new(&mut this.socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
