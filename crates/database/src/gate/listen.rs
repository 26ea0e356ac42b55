//! The listeners of all workers: at each port a group of sockets, among which the kernel spreads clients.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

const BACKLOG: i32 = 1024;
/// A client's host that is gone without a word is noticed in two minutes: PostgreSQL can't notice it, behind a Unix socket.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(10))
    .with_retries(6);

/// One for each worker; and where. Port 0 is any that is free.
pub(crate) fn listen(
    wanted: Option<IpAddr>,
    port: u16,
    workers: usize,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    match wanted {
        Some(ip) => listen_at(SocketAddr::new(ip, port), workers),
        // Or a host without IPv6.
        None => listen_at(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), workers)
            .or_else(|_| listen_at(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), workers)),
    }
    .map_err(|error| io::Error::new(error.kind(), format!("can't listen at port {port}: {error}")))
}

fn listen_at(wanted: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // Alone first: SO_REUSEPORT would share the port with another program without a word.
    let address = local(&bound(wanted, false)?)?;
    let sockets: Vec<Socket> = (0..workers).map(|_| bound(address, true)).collect::<Result<_, _>>()?;
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok((address, sockets.into_iter().map(TcpListener::from).collect()))
}

fn local(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
        // Accepted connections inherit both.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&KEEPALIVE)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}
