//! Ports that stay a test's own. A port that is only asked for and let go may be anybody's the next moment: of another test's
//! server, or of a client that connects.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 on which connections are refused until the test, or a program that it starts, listens on it. Until the test's
/// process ends, the kernel gives it to nobody who doesn't ask for it by its number.
///
/// # Errors
/// When there is none.
pub fn free() -> io::Result<u16> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // It is in nobody's way who says the same, as servers do.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an IP socket"))?;
    // Bound, and never listening.
    std::mem::forget(socket);
    Ok(address.port())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is a failed test")]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    #[test]
    fn a_free_port_is_given_to_nobody_else_and_can_be_listened_on_again_and_again() {
        let free: BTreeSet<u16> = (0..200).map(|_| free().unwrap()).collect();
        assert_eq!(free.len(), 200);
        // Without the sockets that hold them, one of these meets one of those with near certainty.
        let server = TcpListener::bind(at(0)).unwrap();
        for _ in 0..3000 {
            let other = TcpListener::bind(at(0)).unwrap();
            let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
            server.accept().unwrap();
            for socket in [other.local_addr(), client.local_addr()] {
                assert!(!free.contains(&socket.unwrap().port()));
            }
            // So that its end leaves nothing that holds a port for a minute.
            socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
        for &port in free.iter().take(10) {
            for _ in 0..2 {
                assert_eq!(
                    TcpStream::connect(at(port)).unwrap_err().kind(),
                    io::ErrorKind::ConnectionRefused
                );
                let server = TcpListener::bind(at(port)).unwrap();
                TcpStream::connect(at(port)).unwrap();
                server.accept().unwrap();
            }
        }
    }
}
