//! One `recv(2)` or `send(2)` on a socket that tokio watches, without a second call to learn that there is no more.
//!
//! epoll is edge-triggered here: a read that does not fill its buffer has emptied the socket, and a write that is not
//! taken whole has filled it, so readiness is put down at once and the next call waits for it.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker, ready};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads once if the socket is ready; 0 is the end of the stream.
pub(crate) fn receive(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let room = buffer.len();
    once(socket, Interest::READABLE, room, || {
        rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()).map(|(_, received)| received)
    })
}

/// Whether the other side has said that it says no more, or is gone, and everything before that has been read.
pub(crate) fn has_ended(socket: &TcpStream) -> bool {
    let mut byte = [0];
    match rustix::net::recv(socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, received)) => received == 0,
        Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
    }
}

/// Writes once if the socket is ready.
pub(crate) fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    once(socket, Interest::WRITABLE, bytes.len(), || rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))
}

fn once(
    socket: &TcpStream,
    interest: Interest,
    wanted: usize,
    mut call: impl FnMut() -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    let mut count = None;
    let result = socket.try_io(interest, || {
        let done = rustix::io::retry_on_intr(&mut call)?;
        count = Some(done);
        if 0 < done && done < wanted { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    count.map_or_else(|| result.map(|()| 0), Ok)
}

/// Writes the bytes of both, as far as the socket takes them in one call, and at least one.
pub(crate) fn poll_send(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    first: &[u8],
    second: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        let sent = match (first, second) {
            (bytes, []) | ([], bytes) => send(socket, bytes),
            _ => socket.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
        };
        match sent {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

/// Writes all of `bytes`; `written` counts along.
pub(crate) async fn send_all(to: &TcpStream, bytes: &[u8], written: &Cell<usize>) -> io::Result<()> {
    poll_fn(|cx| {
        while written.get() < bytes.len() {
            let n = ready!(poll_send(to, cx, &bytes[written.get()..], &[]))?;
            written.set(written.get() + n);
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Whether the socket would take bytes now. The kernel is asked: asking tokio would take the place of the task that waits
/// to be woken when it does.
pub(crate) fn is_writable(socket: &TcpStream) -> bool {
    let mut wanted = [PollFd::new(socket, PollFlags::OUT)];
    rustix::event::poll(&mut wanted, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Whether nothing has arrived on an idle connection: no end, no error, no stray byte. Costs a system call only
/// when something may have.
pub(crate) fn is_quiet(socket: &TcpStream) -> bool {
    match socket.poll_read_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => true,
        Poll::Ready(Err(_)) => false,
        Poll::Ready(Ok(())) => {
            matches!(socket.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        }
    }
}
