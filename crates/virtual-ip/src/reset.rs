//! The TCP connections of an address: how many there are, which, and their end.
//!
//! Who loses an address keeps its connections, as far as the kernel is concerned: it would hold them until they time
//! out, and the clients, whose packets another host now answers with a reset or not at all, might hang as long. So they
//! are aborted, with a reset to the client, while the address is still here to send it from.
//!
//! By the kernel's socket diagnosis (`sock_diag(7)`). It walks all of its connections, which takes milliseconds where
//! there are tens of thousands: not for the thread that VRRP runs on.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::error::{Error, failed};

/// A TCP connection of this host. IPv4 addresses are IPv4 addresses, whatever the socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// How many connections of `address` have something to lose: they are open, or what was sent is not yet confirmed.
/// Reply and close both done, a connection that waits only for the other side's goodbye is not counted.
///
/// # Errors
/// When the kernel has no socket diagnosis.
pub fn connections(address: IpAddr) -> Result<usize, Error> {
    let mut count = 0;
    dump(address, BUSY, |_| count += 1).map_err(failed(format!("count the connections of {address}")))?;
    Ok(count)
}

/// The same connections; no more than `limit`.
///
/// # Errors
/// When the kernel has no socket diagnosis.
pub fn list(address: IpAddr, limit: usize) -> Result<Vec<Connection>, Error> {
    let mut connections = Vec::new();
    let take = |entry: &Entry| {
        if connections.len() < limit {
            connections.push(entry.connection());
        }
    };
    dump(address, BUSY, take).map_err(failed(format!("list the connections of {address}")))?;
    Ok(connections)
}

/// Aborts every connection of `address`; whoever listens goes on listening. Returns how many it was. Must be done before
/// the address is taken away: the resets come from it.
///
/// # Errors
/// Without `CAP_NET_ADMIN`, or when the kernel was built without `CONFIG_INET_DIAG_DESTROY`.
pub fn reset(address: IpAddr) -> Result<usize, Error> {
    let mut count = 0;
    let mut trouble = Ok(());
    let done = open().and_then(|destroyer| {
        dump(address, NOT_LISTENING, |entry| match destroy(&destroyer, entry) {
            Ok(true) => count += 1,
            Ok(false) => {}
            Err(error) => trouble = Err(error),
        })
    });
    done.and(trouble).map_err(failed(format!("reset the connections of {address}")))?;
    Ok(count)
}

const ESTABLISHED: u32 = 1 << 1;
const SYN_SENT: u32 = 1 << 2;
const SYN_RECEIVED: u32 = 1 << 3;
const FIN_WAIT_1: u32 = 1 << 4;
const FIN_WAIT_2: u32 = 1 << 5;
const CLOSE_WAIT: u32 = 1 << 8;
const LAST_ACK: u32 = 1 << 9;
const CLOSING: u32 = 1 << 11;
const BUSY: u32 = ESTABLISHED | SYN_RECEIVED | FIN_WAIT_1 | CLOSE_WAIT | LAST_ACK | CLOSING;
const NOT_LISTENING: u32 = BUSY | SYN_SENT | FIN_WAIT_2;

const NETLINK_SOCK_DIAG: u32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 0x001;
const ACKNOWLEDGE: u16 = 0x004;
const DUMP: u16 = 0x300;
/// An attribute of a dump's request: a program that the kernel runs to choose.
const BYTECODE: u16 = 1;
const SOURCE_CONDITION: u8 = 7;

const HEADER: usize = 16;
/// `struct inet_diag_sockid`: ports, addresses, interface, cookie.
const ID: usize = 48;
/// The beginning of `struct inet_diag_msg`: family, state, timer, retransmissions, id.
const ENTRY: usize = 4 + ID;
/// What the kernel puts into one datagram, at most.
const DATAGRAM: usize = 32 * 1024;
/// The kernel answers at once, or something is very wrong.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection as the kernel tells of it.
struct Entry {
    family: u8,
    id: [u8; ID],
}

impl Entry {
    fn parse(message: &[u8]) -> Option<Self> {
        let bytes = message.first_chunk::<ENTRY>()?;
        Some(Self { family: bytes[0], id: *bytes.last_chunk::<ID>()? })
    }

    fn connection(&self) -> Connection {
        let port = |at: usize| u16::from_be_bytes([self.id[at], self.id[at + 1]]);
        Connection {
            local: SocketAddr::new(self.address(4), port(0)),
            remote: SocketAddr::new(self.address(20), port(2)),
        }
    }

    fn address(&self, at: usize) -> IpAddr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.id[at..at + 16]);
        if i32::from(self.family) == libc::AF_INET {
            IpAddr::from([octets[0], octets[1], octets[2], octets[3]])
        } else {
            Ipv6Addr::from(octets).to_canonical()
        }
    }
}

/// Tells of every connection in these states whose local address it is.
fn dump(address: IpAddr, states: u32, mut tell: impl FnMut(&Entry)) -> io::Result<()> {
    let socket = open()?;
    let mut buffer = vec![0; DATAGRAM];
    // A socket of a dual-stack listener is an IPv6 one, with `::ffff:a.b.c.d`.
    let families = if address.is_ipv4() { &[libc::AF_INET, libc::AF_INET6][..] } else { &[libc::AF_INET6] };
    for family in families {
        let condition = source_condition(address);
        let mut body = request(*family, states, &[0; ID]);
        let length = u16::try_from(4 + condition.len()).unwrap_or(u16::MAX);
        body.extend_from_slice(&length.to_ne_bytes());
        body.extend_from_slice(&BYTECODE.to_ne_bytes());
        body.extend_from_slice(&condition);
        send(&socket, SOCK_DIAG_BY_FAMILY, REQUEST | DUMP, &body)?;
        receive_all(&socket, &mut buffer, |message| {
            if let Some(entry) =
                Entry::parse(message).filter(|entry| entry.connection().local.ip() == address)
            {
                tell(&entry);
            }
        })?;
    }
    Ok(())
}

/// Whether it was still there to be aborted.
fn destroy(socket: &OwnedFd, entry: &Entry) -> io::Result<bool> {
    let body = request(i32::from(entry.family), 0, &entry.id);
    send(socket, SOCK_DESTROY, REQUEST | ACKNOWLEDGE, &body)?;
    match receive_all(socket, &mut [0; 256], |_| {}) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// `struct inet_diag_req_v2`.
fn request(family: i32, states: u32, id: &[u8; ID]) -> Vec<u8> {
    let family = u8::try_from(family).unwrap_or_default();
    let tcp = 6;
    let mut body = vec![family, tcp, 0, 0];
    body.extend_from_slice(&states.to_ne_bytes());
    body.extend_from_slice(id);
    body
}

/// A program of one instruction: the local address is this one. An IPv4 address is also met as `::ffff:a.b.c.d`.
fn source_condition(address: IpAddr) -> Vec<u8> {
    let (family, octets) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    let length = 4 + 8 + octets.len();
    let byte = |value: usize| u8::try_from(value).unwrap_or_default();
    // To the end if it is met; beyond the end, which is a no, if not.
    let mut code = vec![SOURCE_CONDITION, byte(length)];
    code.extend_from_slice(&u16::from(byte(length + 4)).to_ne_bytes());
    code.extend_from_slice(&[u8::try_from(family).unwrap_or_default(), byte(octets.len() * 8), 0, 0]);
    let any_port: i32 = -1;
    code.extend_from_slice(&any_port.to_ne_bytes());
    code.extend_from_slice(&octets);
    code
}

fn open() -> io::Result<OwnedFd> {
    let protocol = NonZeroU32::new(NETLINK_SOCK_DIAG).map(Protocol::from_raw);
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

fn send(socket: &OwnedFd, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let length = HEADER + body.len();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(body);
    rustix::net::send(socket, &message, SendFlags::empty())?;
    Ok(())
}

/// Everything up to the end of a dump, or up to an acknowledgement or an error.
fn receive_all(socket: &OwnedFd, buffer: &mut [u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    loop {
        let (_, length) =
            rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()))?;
        let mut datagram = buffer.get(..length).unwrap_or_default();
        while let Some((header, _)) = datagram.split_first_chunk::<HEADER>() {
            let [l0, l1, l2, l3, k0, k1, ..] = *header;
            let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
            let Some(body) = datagram.get(HEADER..length) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            match u16::from_ne_bytes([k0, k1]) {
                DONE => return Ok(()),
                ERROR => {
                    let code = body.first_chunk().map_or(-libc::EPROTO, |code| i32::from_ne_bytes(*code));
                    return if code == 0 {
                        Ok(())
                    } else {
                        Err(io::Error::from_raw_os_error(code.wrapping_neg()))
                    };
                }
                SOCK_DIAG_BY_FAMILY => each(body),
                _ => {}
            }
            datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_connection_of_a_dual_stack_socket_is_an_ipv4_connection() {
        let mut id = [0; ID];
        id[..4].copy_from_slice(&[0, 80, 0x9c, 0x40]);
        id[4..20].copy_from_slice(&std::net::Ipv4Addr::new(10, 0, 0, 100).to_ipv6_mapped().octets());
        id[20..36].copy_from_slice(&std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets());
        let expected =
            Connection { local: "10.0.0.100:80".parse().unwrap(), remote: "10.0.0.1:40000".parse().unwrap() };
        let family = |family: i32| u8::try_from(family).unwrap();
        assert_eq!(Entry { family: family(libc::AF_INET6), id }.connection(), expected);
        id[4..20].copy_from_slice(&[10, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        id[20..36].copy_from_slice(&[10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Entry { family: family(libc::AF_INET), id }.connection(), expected);
        assert!(Entry::parse(&[0; ENTRY - 1]).is_none());
    }
}
