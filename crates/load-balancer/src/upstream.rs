//! Connections to members.

use std::cell::Cell;
use std::io;

use tokio::net::TcpStream;

use crate::pool::{Pool, Seat};
use crate::socket::send_all;

/// A connection to a member with the seat that it fills.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) seat: Seat,
    /// It has carried requests before, so the member may have closed it a moment ago.
    pub(crate) reused: bool,
}

impl Connection {
    /// A new connection, over which `preface` (a PROXY header, or nothing) has been sent.
    pub(crate) async fn open(seat: Seat, preface: &[u8]) -> io::Result<Self> {
        let stream = TcpStream::connect(seat.address).await?;
        let _ = stream.set_nodelay(true);
        seat.member.counts.connects.add(1);
        send_all(&stream, preface, &Cell::new(0)).await?;
        Ok(Self { stream, seat, reused: false })
    }

    /// A connection that waits for reuse, if one does; else the seat comes back.
    pub(crate) fn reuse(seat: Seat) -> Result<Self, Seat> {
        match seat.member.reuse() {
            Some(stream) => Ok(Self { stream, seat, reused: true }),
            None => Err(seat),
        }
    }

    /// Keeps it for the next request, unless its member gets none at present.
    pub(crate) fn keep(self, pool: &Pool) {
        pool.keep(&self.seat, self.stream);
    }
}
