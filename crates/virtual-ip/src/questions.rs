//! Who asks where an address is, just after it has moved, and who asks for something else in its name.
//!
//! For a while two hosts answer such a question: the new holder, and the old one, which lingers, or is dead while its
//! kernel still lives. Whoever is told both may believe the wrong one. So the new holder listens for these questions and
//! announces itself once more right after the kernels have answered: an announcement is believed whatever came before. And a lingering host that looks for one of
//! its clients does so in the name of the address that it answers from (`arp_announce` is 0 by default): whoever hears that
//! question takes the asker for the holder, and has to be told as well.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::net::RecvFlags;
use socket2::{SockFilter, Socket};
use tokio::io::unix::AsyncFd;

use crate::error::{Error, failed};
use crate::frame;
use crate::interface::Interface;
use crate::packet_socket::{self, bpf};
use crate::ready;
use crate::socket::Family;

/// More than any question; of a longer frame the rest is of no interest.
const FRAME: usize = 256;

/// The questions of one family on one interface.
#[derive(Debug)]
pub(crate) struct Questions(Socket);

impl Questions {
    /// # Errors
    /// Without `CAP_NET_RAW`, or when the interface is gone.
    pub(crate) fn listen(interface: &Interface, family: Family) -> Result<AsyncFd<Self>, Error> {
        let what = || format!("listen for questions on {}", interface.name);
        let (protocol, filter) = match family {
            Family::V4 => (frame::TYPE_ARP, requests()),
            Family::V6 => (frame::TYPE_IPV6, solicitations()),
        };
        let socket = packet_socket::open(interface.index, protocol, &filter, |_| Ok(()));
        ready::register(Self(socket.map_err(failed(what()))?)).map_err(failed(what()))
    }

    /// The addresses in the next question: what it is for, and in whose name; `None` for a frame that asks nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub(crate) fn receive(&self) -> io::Result<Option<[IpAddr; 2]>> {
        let mut buffer = [0; FRAME];
        let (_, length) = rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
        Ok(buffer.get(..length).and_then(frame::question))
    }
}

impl AsFd for Questions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Questions {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// ARP requests.
fn requests() -> Vec<SockFilter> {
    vec![bpf::load_half(20), bpf::is(frame::ARP_REQUEST.into(), 1), bpf::accept(), bpf::refuse()]
}

/// Neighbour solicitations.
fn solicitations() -> Vec<SockFilter> {
    vec![
        bpf::load_byte(20),
        bpf::is(frame::ICMPV6.into(), 3),
        bpf::load_byte(54),
        bpf::is(frame::SOLICITATION.into(), 1),
        bpf::accept(),
        bpf::refuse(),
    ]
}
