//! The bytes in hand: read at one end, used up at the other. A window without bytes holds no buffer, so that whoever
//! waits holds none either, and the worker's few buffers stay in the cache.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use crate::buffer::{Buffer, Buffers};
use crate::socket;

pub(crate) struct Window {
    buffers: Buffers,
    /// There just when it has bytes in it.
    buffer: Option<Buffer>,
    start: usize,
    end: usize,
}

impl Window {
    pub(crate) fn new(buffers: &Buffers) -> Self {
        Self { buffers: buffers.clone(), buffer: None, start: 0, end: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[self.start..self.end])
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Forgets the first `n` bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        self.release();
    }

    fn release(&mut self) {
        if self.is_empty() {
            self.buffer = None;
            self.start = 0;
            self.end = 0;
        }
    }

    /// Where bytes can be added.
    fn room(&mut self) -> &mut [u8] {
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
        if self.end == buffer.len() && self.start > 0 {
            buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut buffer[self.end..]
    }

    /// Moves the bytes elsewhere, with the buffer.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::new(&self.buffers);
        std::mem::replace(self, empty)
    }

    /// Reads once, at most `most` bytes, if the socket is ready. 0: the other side has ended, or the buffer is full.
    pub(crate) fn receive(&mut self, from: &TcpStream, most: u64) -> io::Result<usize> {
        let room = self.room();
        let most = usize::try_from(most).map_or(room.len(), |most| most.min(room.len()));
        let received = socket::receive(from, &mut room[..most]);
        if let Ok(n) = received {
            self.end += n;
        }
        self.release();
        received
    }

    /// Reads once, when the socket is ready. 0: the other side has ended, or the buffer is full.
    pub(crate) fn poll_fill(&mut self, from: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            match self.receive(from, u64::MAX) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Reads once; an end of the stream, which here comes too early, is an error.
    pub(crate) async fn fill(&mut self, from: &TcpStream) -> io::Result<()> {
        match poll_fn(|cx| self.poll_fill(from, cx)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Window {
        fn put(&mut self, bytes: &[u8]) -> usize {
            let room = self.room();
            let n = bytes.len().min(room.len());
            room[..n].copy_from_slice(&bytes[..n]);
            self.end += n;
            n
        }
    }

    #[test]
    fn bytes_move_to_the_front_only_when_room_is_needed() {
        let mut window = Window::new(&Buffers::new(4, 1));
        assert_eq!(window.put(b"abc"), 3);
        window.consume(2);
        assert_eq!(window.put(b"d"), 1);
        assert_eq!(window.bytes(), b"cd");
        assert_eq!(window.put(b"efgh"), 2);
        assert_eq!(window.bytes(), b"cdef");
        assert_eq!(window.put(b"x"), 0);
        window.consume(9);
        assert!(window.is_empty());
    }

    #[test]
    fn a_window_has_a_buffer_just_while_it_has_bytes() {
        let mut window = Window::new(&Buffers::new(4, 1));
        assert!(window.buffer.is_none());
        window.put(b"abc");
        let mut taken = window.take();
        assert!(window.buffer.is_none() && window.is_empty());
        assert_eq!(taken.bytes(), b"abc");
        taken.consume(3);
        assert!(taken.buffer.is_none());
    }
}
