//! The bytes in hand: read at one end, used up at the other, in a buffer that the worker lends.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use crate::buffer::{Buffer, Buffers};
use crate::socket;

pub(crate) struct Window {
    buffer: Buffer,
    start: usize,
    end: usize,
}

impl Window {
    pub(crate) fn new(buffers: &Buffers) -> Self {
        Self { buffer: buffers.take(), start: 0, end: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
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
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Where bytes can be added.
    fn room(&mut self) -> &mut [u8] {
        if self.end == self.buffer.len() && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    /// Moves the bytes elsewhere, with the buffer: what stays behind can hold no more.
    pub(crate) fn take(&mut self) -> Self {
        let (start, end) = (std::mem::take(&mut self.start), std::mem::take(&mut self.end));
        Self { buffer: self.buffer.take(), start, end }
    }

    /// Reads once, at most `most` bytes, if the socket is ready. 0 is the end of the stream.
    pub(crate) fn receive(&mut self, from: &TcpStream, most: u64) -> io::Result<usize> {
        let room = self.room();
        let most = usize::try_from(most).map_or(room.len(), |most| most.min(room.len()));
        let n = socket::receive(from, &mut room[..most])?;
        self.end += n;
        Ok(n)
    }

    /// Reads once. 0 bytes: the other side has ended, or the buffer is full.
    pub(crate) fn poll_fill(&mut self, from: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let n = ready!(socket::poll_receive(from, cx, self.room()))?;
        self.end += n;
        Poll::Ready(Ok(n))
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
}
