//! The raw sockets that VRRP is spoken through: one for each interface and family, whichever and however many virtual
//! routers are on it.
//!
//! A socket is bound to its interface and has joined the group there. When that interface has gone and come back under
//! another index, a new socket is needed ([`crate::interface::watch`] tells).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::net::sockopt;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::control_message::{self, Sent};
use crate::error::{Error, failed};
use crate::interface::Interface;
use crate::packet::{GROUP_V4, GROUP_V6, LONGEST, PROTOCOL, Packet, Refused, TTL, ipv4};
use crate::ready;

/// Internetwork control, as keepalived marks its packets and RFC 9568 wants them.
const TRAFFIC_CLASS: u8 = 0xc0;
/// What waits here while the thread does not run; about 4,000 packets.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The longest IPv4 header.
const IP_HEADER: usize = 60;
/// The length of a buffer into which every right packet goes.
pub const BUFFER: usize = IP_HEADER + LONGEST;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Where advertisements go that are not for certain peers.
    pub fn group(self) -> IpAddr {
        match self {
            Self::V4 => GROUP_V4.into(),
            Self::V6 => GROUP_V6.into(),
        }
    }
}

/// Non-blocking; [`VrrpSocket::watched`] to wait for packets.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    family: Family,
    interface: u32,
}

impl VrrpSocket {
    /// # Errors
    /// Without `CAP_NET_RAW`, or when the interface is gone.
    pub fn open(interface: &Interface, family: Family) -> Result<Self, Error> {
        let what = |what: &str| format!("{what} for VRRP on {}", interface.name);
        let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
        let protocol = Protocol::from(i32::from(PROTOCOL));
        let socket =
            Socket::new(domain, Type::RAW, Some(protocol)).map_err(failed(what("open a raw socket")))?;
        set_up(&socket, interface, family).map_err(failed(what("set up a raw socket")))?;
        Ok(Self { socket, family, interface: interface.index })
    }

    /// To wait with, in the runtime that this is called in.
    ///
    /// # Errors
    /// When that runtime has no I/O.
    pub fn watched(self) -> io::Result<AsyncFd<Self>> {
        ready::register(self)
    }

    pub fn family(&self) -> Family {
        self.family
    }

    /// The index of the interface that it is bound to.
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// Takes the next packet. `buffer` should have the length [`BUFFER`]; what does not go into it is refused.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Result<Packet<'a>, Refused>> {
        match self.family {
            Family::V4 => {
                let (_, length) =
                    rustix::net::recv(&self.socket, &mut *buffer, rustix::net::RecvFlags::TRUNC)?;
                Ok(buffer.get(..length).ok_or(Refused::Length).and_then(ipv4))
            }
            Family::V6 => {
                let received = control_message::receive_v6(self.socket.as_fd(), buffer)?;
                let Some(payload) = buffer.get(..received.length).filter(|_| !received.truncated) else {
                    return Ok(Err(Refused::Length));
                };
                let (Some(source), Some(destination), Some(ttl)) =
                    (received.source, received.destination, received.hop_limit)
                else {
                    return Ok(Err(Refused::Truncated));
                };
                Ok(Ok(Packet { payload, source: source.into(), destination: destination.into(), ttl }))
            }
        }
    }

    /// Sends the bytes after the IP header, as [`crate::packet::Codec::encode`] makes them for these two addresses.
    /// `source` must be an address of this host.
    ///
    /// # Errors
    /// Whatever the kernel says, [`io::ErrorKind::WouldBlock`] and a link that is down among it.
    pub fn send(&self, payload: &[u8], source: IpAddr, destination: IpAddr) -> io::Result<()> {
        control_message::send(
            self.socket.as_fd(),
            &Sent { payload, source, destination, interface: self.interface },
        )
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for VrrpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn set_up(socket: &Socket, interface: &Interface, family: Family) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    // Beyond the system's limit where that is allowed.
    if sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    match family {
        Family::V4 => {
            socket.set_multicast_all_v4(false)?;
            socket.set_multicast_loop_v4(false)?;
            socket.set_multicast_ttl_v4(TTL.into())?;
            socket.set_ttl_v4(TTL.into())?;
            socket.set_tos_v4(TRAFFIC_CLASS.into())?;
            socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(interface.index))
        }
        Family::V6 => {
            socket.set_multicast_all_v6(false)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(TTL.into())?;
            socket.set_unicast_hops_v6(TTL.into())?;
            socket.set_tclass_v6(TRAFFIC_CLASS.into())?;
            socket.set_multicast_if_v6(interface.index)?;
            socket.set_recv_hoplimit_v6(true)?;
            control_message::tell_destination_v6(socket.as_fd())?;
            socket.join_multicast_v6(&GROUP_V6, interface.index)
        }
    }
}
