//! Sockets that are bound, one for each worker, and do not listen yet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Where to bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    /// It moves from host to host, and may not be on this one now.
    pub(crate) moves: bool,
}

/// So many sockets at `port` of one address or of all. `ours`: this program listens at that port already.
pub(crate) fn sockets(
    wanted: Option<IpAddr>,
    port: u16,
    moves: bool,
    workers: usize,
    ours: bool,
) -> Result<(Place, Vec<Socket>), (SocketAddr, io::Error)> {
    let at = |ip: IpAddr| {
        let place = Place { address: SocketAddr::new(ip, port), moves };
        let sockets = sockets_at(place, workers, ours).map_err(|error| (place.address, error))?;
        Ok((place, sockets))
    };
    match wanted {
        Some(ip) => at(ip),
        // Or a host without IPv6.
        None => at(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| at(Ipv4Addr::UNSPECIFIED.into())),
    }
}

fn sockets_at(place: Place, workers: usize, ours: bool) -> io::Result<Vec<Socket>> {
    if !ours {
        // Alone first: SO_REUSEPORT would share the port with another program without a word.
        drop(bound(place, false)?);
    }
    (0..workers.max(1)).map(|_| bound(place, true)).collect()
}

/// `shared`: with others in a group, among which the kernel spreads clients.
pub(crate) fn bound(place: Place, shared: bool) -> io::Result<Socket> {
    let Place { address, moves } = place;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
        // Accepted connections inherit it.
        socket.set_tcp_nodelay(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    match address {
        SocketAddr::V4(_) if moves => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) if moves => socket.set_freebind_v6(true)?,
        _ => {}
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_moves_is_bound_before_it_comes() {
        // For documentation (RFC 5737, RFC 3849): on no host.
        for ip in ["192.0.2.1", "2001:db8::1"] {
            let address = SocketAddr::new(ip.parse().unwrap(), 0);
            let error = bound(Place { address, moves: false }, true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{ip}");
            let socket = bound(Place { address, moves: true }, true).unwrap();
            assert_eq!(socket.local_addr().unwrap().as_socket().unwrap().ip(), address.ip());
            socket.listen(1).unwrap();
        }
    }
}
