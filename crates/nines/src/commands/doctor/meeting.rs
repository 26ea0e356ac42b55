//! The sockets that doctors meet on. Any user may have them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use nines_virtual_ip::packet::{GROUP_V4, GROUP_V6, TTL};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::greeting::PORT;

/// One interface's member of the multicast group of VRRP. Only what is sent to the group comes here.
pub(super) struct Group {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Group {
    /// `source`: an address of the interface, whose family is the group's.
    pub(super) fn open(interface: u32, source: IpAddr) -> io::Result<Self> {
        let to = match source {
            IpAddr::V4(_) => SocketAddr::new(GROUP_V4.into(), PORT),
            IpAddr::V6(_) => SocketAddrV6::new(GROUP_V6, PORT, 0, interface).into(),
        };
        let socket = socket(to)?;
        match source {
            IpAddr::V4(source) => {
                socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(interface))?;
                socket.set_multicast_if_v4(&source)?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4(TTL.into())?;
            }
            IpAddr::V6(_) => {
                socket.join_multicast_v6(&GROUP_V6, interface)?;
                socket.set_multicast_if_v6(interface)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6(TTL.into())?;
            }
        }
        Ok(Self { socket: socket.into(), to })
    }

    /// What can't be sent shows in that nobody hears it.
    pub(super) fn send(&self, bytes: &[u8]) {
        let _ = self.socket.send_to(bytes, self.to);
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<(usize, IpAddr)> {
        let (length, from) = self.socket.recv_from(buffer).ok()?;
        Some((length, from.ip()))
    }
}

/// What is sent to this host alone comes here, whichever the interface.
pub(super) struct Direct(Vec<UdpSocket>);

impl Direct {
    /// A host may be without one of the families.
    pub(super) fn open() -> Self {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let sockets = any.into_iter().filter_map(|any| socket(SocketAddr::new(any, PORT)).ok());
        Self(sockets.map(UdpSocket::from).collect())
    }

    pub(super) fn send(&self, bytes: &[u8], to: IpAddr) {
        let family = |socket: &&UdpSocket| socket.local_addr().is_ok_and(|own| own.is_ipv4() == to.is_ipv4());
        if let Some(socket) = self.0.iter().find(family) {
            let _ = socket.send_to(bytes, (to, PORT));
        }
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<(usize, IpAddr)> {
        self.0.iter().find_map(|socket| {
            let (length, from) = socket.recv_from(buffer).ok()?;
            Some((length, from.ip()))
        })
    }
}

/// Shared with other doctors on this machine; gets no multicast but by joining.
fn socket(at: SocketAddr) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(at), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    if at.is_ipv4() {
        socket.set_multicast_all_v4(false)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_all_v6(false)?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}
