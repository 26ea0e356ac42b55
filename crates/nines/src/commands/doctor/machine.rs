//! Finds out what can be said of this machine without a system file.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::facts::{Machine, Privileges};

/// `daemon`: the process whose privileges count, if it is not this one.
pub(super) fn look(daemon: Option<u32>) -> Machine {
    Machine {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        privileges: daemon
            .and_then(|pid| privileges(Some(pid)))
            .or_else(|| privileges(None))
            .unwrap_or_default(),
        first_free_port: number("net/ipv4/ip_unprivileged_port_start").unwrap_or(1024),
        resets: can_reset(),
        no_rehearsal: nines_lab::obstacle(),
        clock: nines_virtual_ip::clock::read().ok(),
    }
}

/// A setting of the kernel that is a number.
pub(super) fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

fn privileges(daemon: Option<u32>) -> Option<Privileges> {
    let directory = daemon.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let status = fs::read_to_string(format!("{directory}/status")).ok()?;
    // Another user's limits may not be read.
    let limits = fs::read_to_string(format!("{directory}/limits")).unwrap_or_default();
    Some(Privileges {
        daemon,
        effective: capabilities(&status)?,
        open_files: hard_limit(&limits, "Max open files"),
        realtime: hard_limit(&limits, "Max realtime priority").unwrap_or(0),
    })
}

fn capabilities(status: &str) -> Option<u64> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(effective.trim(), 16).ok()
}

/// The second column of `/proc/PID/limits`; `None` where it says `unlimited`.
fn hard_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

const SOCK_DESTROY: u16 = 21;
const NLMSG_ERROR: u16 = 2;
const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;

/// Tries it on a socket that was made for this. Without the privilege the kernel says so only if it has the ability.
fn can_reset() -> Option<bool> {
    let victim = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = victim.local_addr().ok()?.port();
    match destroy_listener(port) {
        Ok(()) => Some(true),
        Err(error) => match error.raw_os_error()? {
            libc::EPERM => Some(true),
            libc::EOPNOTSUPP | libc::EINVAL | libc::ENOENT => Some(false),
            _ => None,
        },
    }
}

/// Destroys what listens on this port of 127.0.0.1 (`sock_diag(7)`, `struct inet_diag_req_v2`).
fn destroy_listener(port: u16) -> io::Result<()> {
    let mut message = Vec::with_capacity(72);
    message.extend_from_slice(&72_u32.to_ne_bytes());
    message.extend_from_slice(&SOCK_DESTROY.to_ne_bytes());
    message.extend_from_slice(&REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    // Family, protocol, nothing more to tell, in any state.
    message.extend_from_slice(&[2, 6, 0, 0]);
    message.extend_from_slice(&u32::MAX.to_ne_bytes());
    message.extend_from_slice(&port.to_be_bytes());
    message.extend_from_slice(&[0, 0, 127, 0, 0, 1]);
    message.extend_from_slice(&[0; 32]);
    // Whichever socket it is.
    message.extend_from_slice(&[0xff; 8]);

    let diag = Protocol::from_raw(rustix::net::RawProtocol::new(4).ok_or(io::ErrorKind::InvalidInput)?);
    let socket: OwnedFd = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(diag),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(1)))?;
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 256];
    let (_, length) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let kind = answer.get(4..6).and_then(|kind| Some(u16::from_ne_bytes(kind.try_into().ok()?)));
    let code = answer
        .get(16..20)
        .filter(|_| length >= 20)
        .and_then(|code| Some(i32::from_ne_bytes(code.try_into().ok()?)));
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_may_do_is_read_as_the_kernel_writes_it() {
        assert_eq!(
            capabilities("Name:\tnines\nCapPrm:\t0000000000000400\nCapEff:\t0000000000003400\n"),
            Some(0x3400)
        );
        assert_eq!(capabilities("Name:\tnines\n"), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 262144               files     \n\
                      Max realtime priority     0                    10                             \n\
                      Max locked memory         unlimited            unlimited            bytes     \n";
        assert_eq!(hard_limit(limits, "Max open files"), Some(262_144));
        assert_eq!(hard_limit(limits, "Max realtime priority"), Some(10));
        assert_eq!(hard_limit(limits, "Max locked memory"), None);
        assert_eq!(hard_limit(limits, "Max nonsense"), None);
    }

    #[test]
    fn this_machine_tells_of_itself() {
        let machine = look(None);
        assert!(machine.kernel.starts_with(|digit: char| digit.is_ascii_digit()), "{}", machine.kernel);
        assert_eq!(
            machine.privileges,
            privileges(Some(std::process::id())).map(|it| Privileges { daemon: None, ..it }).unwrap()
        );
        assert!(machine.resets.is_some(), "127.0.0.1 is there in every test");
    }
}
