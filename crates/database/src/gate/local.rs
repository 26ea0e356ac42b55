//! PostgreSQL's Unix socket, watched for what comes, and for room only where there was none.
//!
//! The kernel tells whoever watches a Unix socket for room each time that the other side reads, which is a needless wake-up for each
//! question that is passed on; tokio's own type watches for both.

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{SendFlags, send};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

pub(crate) struct Local {
    socket: AsyncFd<UnixStream>,
    /// Watched for room, while there is none.
    full: Option<AsyncFd<OwnedFd>>,
}

impl Local {
    pub(crate) async fn connect(path: &Path) -> io::Result<Self> {
        let socket = tokio::net::UnixStream::connect(path).await?.into_std()?;
        Ok(Self { socket: watch(socket, Interest::READABLE)?, full: None })
    }
}

#[expect(deprecated, reason = "unsound for types whose descriptor changes; those here own theirs for life")]
fn watch<T: AsRawFd>(socket: T, what: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, what)
}

impl AsyncRead for Local {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled();
            match ready.get_inner().read(room) {
                Ok(read) => {
                    if 0 < read && read < room.len() {
                        // It is empty now; the next bytes are told of.
                        ready.clear_ready();
                    }
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Local {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match rustix::io::retry_on_intr(|| send(self.socket.get_ref(), bytes, SendFlags::NOSIGNAL)) {
                Ok(sent) => {
                    self.full = None;
                    return Poll::Ready(Ok(sent));
                }
                Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            if self.full.is_none() {
                let socket = OwnedFd::from(self.socket.get_ref().try_clone()?);
                self.full = Some(watch(socket, Interest::WRITABLE)?);
            }
            let Some(full) = &self.full else { continue };
            ready!(full.poll_write_ready(cx))?.clear_ready();
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}
