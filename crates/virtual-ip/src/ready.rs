//! Sockets of this room in tokio's hands.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::unix::AsyncFd;

/// `owner` must own its file descriptor, keep it open for as long as it lives, and never exchange it.
#[allow(unsafe_code)]
pub(crate) fn register<T: AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: callers are types of this room, which own one file descriptor from their making to their end.
    unsafe { AsyncFd::register(owner) }.map_err(io::Error::from)
}
