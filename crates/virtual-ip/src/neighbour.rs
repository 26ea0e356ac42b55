//! Tells the link where an address now is, and asks it who has one.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockFilter, Socket};
use tokio::io::unix::AsyncFd;

use crate::error::{Error, failed};
use crate::frame;
pub use crate::frame::Answer;
use crate::interface::{Interface, Mac};
use crate::packet_socket::{self, bpf};
use crate::ready;
use crate::socket::Family;

/// More than any frame that is of interest; of a longer one the rest is not.
const FRAME: usize = 512;
/// Frames that say nothing, passed over in one go.
const PASSED_OVER: usize = 64;

/// One interface's neighbours of one family. Non-blocking; [`Neighbours::watched`] to wait for answers.
#[derive(Debug)]
pub struct Neighbours {
    socket: Socket,
    mac: Mac,
    link_local: Option<Ipv6Addr>,
}

impl Neighbours {
    /// # Errors
    /// Without `CAP_NET_RAW`, or when the interface is gone or is no Ethernet.
    pub fn open(interface: &Interface, family: Family) -> Result<Self, Error> {
        let what = || format!("open a packet socket on {}", interface.name);
        let Some(mac) = interface.mac else {
            return Err(failed(what())(io::Error::other("it has no Ethernet address")));
        };
        let (protocol, filter) = match family {
            Family::V4 => (frame::TYPE_ARP, arp_answers()),
            Family::V6 => (frame::TYPE_IPV6, advertisements()),
        };
        let socket =
            packet_socket::open(interface.index, protocol, &filter, |_| Ok(())).map_err(failed(what()))?;
        Ok(Self { socket, mac, link_local: interface.link_local_v6() })
    }

    /// To wait with, in the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime takes no more sockets.
    pub fn watched(self) -> io::Result<AsyncFd<Self>> {
        ready::register(self)
    }

    /// Says once that `address` is here.
    ///
    /// # Errors
    /// Whatever the kernel says, a link that is down among it.
    pub fn announce(&self, address: IpAddr) -> io::Result<()> {
        self.send(&frame::announcement(self.mac, address))
    }

    /// Asks once who has `address`; everybody, or one card only. That host itself should be one that is not this.
    ///
    /// # Errors
    /// Whatever the kernel says, a link that is down among it.
    pub fn probe(&self, address: IpAddr, only: Option<Mac>) -> io::Result<()> {
        self.send(&frame::probe(self.mac, self.link_local, address, only))
    }

    /// The next answer or announcement of somebody else.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none; [`io::ErrorKind::Interrupted`] after many frames that were none:
    /// call again.
    pub fn receive(&self) -> io::Result<Answer> {
        for _ in 0..PASSED_OVER {
            let mut buffer = [0; FRAME];
            let (_, length) = rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
            let answer = buffer.get(..length).and_then(frame::answer);
            if let Some(answer) = answer.filter(|answer| answer.mac != self.mac) {
                return Ok(answer);
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        let sent = rustix::net::send(&self.socket, frame, SendFlags::empty())?;
        if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl AsFd for Neighbours {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Neighbours {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// ARP replies, and requests whose sender is their target.
fn arp_answers() -> Vec<SockFilter> {
    vec![
        bpf::load_half(20),
        bpf::is(frame::ARP_REPLY.into(), 1),
        bpf::accept(),
        bpf::load_word(28),
        bpf::put_aside(),
        bpf::load_word(38),
        bpf::is_same(1),
        bpf::accept(),
        bpf::refuse(),
    ]
}

/// Neighbour advertisements.
fn advertisements() -> Vec<SockFilter> {
    vec![
        bpf::load_byte(20),
        bpf::is(frame::ICMPV6.into(), 3),
        bpf::load_byte(54),
        bpf::is(frame::ADVERTISEMENT.into(), 1),
        bpf::accept(),
        bpf::refuse(),
    ]
}
