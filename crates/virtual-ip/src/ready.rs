//! Sockets of this room in tokio's hands.

use std::io;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `owner` must own its file descriptor, keep it open for as long as it lives, and never exchange it.
#[allow(unsafe_code)]
pub(crate) fn register<T: AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: callers are types of this room, which own one file descriptor from their making to their end.
    unsafe { AsyncFd::register(owner) }.map_err(io::Error::from)
}

/// All has been read from a socket without waiting, so that it is waited for again.
pub(crate) fn forget<T: AsRawFd>(socket: &AsyncFd<T>) {
    // An attempt that would have blocked is what makes the runtime look again.
    let _ = socket.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}

/// Whether there is something to read; else the task is woken when there is.
pub(crate) fn is_ready<T: AsRawFd>(socket: &AsyncFd<T>, context: &mut Context<'_>) -> bool {
    match socket.poll_read_ready(context) {
        Poll::Ready(Ok(mut guard)) => {
            guard.retain_ready();
            true
        }
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}
