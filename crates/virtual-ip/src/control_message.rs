//! `sendmsg` and `recvmsg` with what only control messages can say: which address a packet comes from, which one it was
//! for, and with which hop limit it came.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

/// Room for the two control messages of a received packet, and for the one of a sent packet; aligned for their headers.
#[repr(C, align(8))]
struct Control([u8; 128]);

pub(crate) struct Sent<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) interface: u32,
}

pub(crate) struct Received {
    pub(crate) length: usize,
    pub(crate) truncated: bool,
    pub(crate) source: Option<Ipv6Addr>,
    pub(crate) destination: Option<Ipv6Addr>,
    pub(crate) hop_limit: Option<u8>,
}

/// Makes an IPv6 socket tell which address a packet was for.
#[allow(unsafe_code)]
pub(crate) fn tell_destination_v6(fd: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is a `c_int` of the length that is given, and it lives through the call.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_RECVPKTINFO,
            (&raw const on).cast(),
            length_of::<libc::c_int>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends from a certain address through a certain interface.
pub(crate) fn send(fd: BorrowedFd<'_>, sent: &Sent<'_>) -> io::Result<()> {
    let to = SockAddr::from(match sent.destination {
        IpAddr::V4(_) => SocketAddr::new(sent.destination, 0),
        IpAddr::V6(v6) => std::net::SocketAddrV6::new(v6, 0, 0, sent.interface).into(),
    });
    match sent.source {
        IpAddr::V4(source) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: sent.interface.cast_signed(),
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            send_with(fd, sent.payload, &to, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        IpAddr::V6(source) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                ipi6_ifindex: sent.interface,
            };
            send_with(fd, sent.payload, &to, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

/// `T` is one of the kernel's plain structures, at most 20 bytes long.
#[allow(unsafe_code)]
fn send_with<T>(
    fd: BorrowedFd<'_>,
    payload: &[u8],
    to: &SockAddr,
    level: libc::c_int,
    kind: libc::c_int,
    info: T,
) -> io::Result<()> {
    let mut control = Control([0; 128]);
    let mut part = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    let mut message = empty_message(&mut part);
    message.msg_name = to.as_ptr().cast_mut().cast();
    message.msg_namelen = to.len();
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE, CMSG_LEN only compute.
    let (space, length) = unsafe { (libc::CMSG_SPACE(length_of::<T>()), libc::CMSG_LEN(length_of::<T>())) };
    message.msg_controllen = (space as usize).min(control.0.len()) as _;
    // SAFETY: the control buffer is aligned, zeroed and longer than one header and `T`, so there is a first header in it,
    // and `T` fits behind it; it need not be aligned there.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = length as _;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(info);
    }
    // SAFETY: name, payload and control buffer live through the call, and the kernel only reads them.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    match usize::try_from(sent) {
        Ok(length) if length == payload.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Receives from an IPv6 socket that tells destinations and hop limits.
#[allow(unsafe_code)]
pub(crate) fn receive_v6(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = Control([0; 128]);
    let mut name = MaybeUninit::<libc::sockaddr_in6>::zeroed();
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut message = empty_message(&mut part);
    message.msg_name = name.as_mut_ptr().cast();
    message.msg_namelen = length_of::<libc::sockaddr_in6>();
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: the message's parts live through the call and have the lengths that it says.
    let received = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0) };
    let Ok(length) = usize::try_from(received) else { return Err(io::Error::last_os_error()) };
    // SAFETY: all zeros is a `sockaddr_in6`, and the kernel wrote nothing else over it.
    let name = unsafe { name.assume_init() };
    let from = libc::c_int::from(name.sin6_family) == libc::AF_INET6;
    let mut result = Received {
        length,
        truncated: message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
        source: from.then(|| name.sin6_addr.s6_addr.into()),
        destination: None,
        hop_limit: None,
    };
    // SAFETY: the kernel has set the control buffer's length, within it every header is whole, and so is what lies behind
    // a header of these kinds; it is read without being aligned.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::IPPROTO_IPV6 {
                let data = libc::CMSG_DATA(header);
                if (*header).cmsg_type == libc::IPV6_PKTINFO {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    result.destination = Some(info.ipi6_addr.s6_addr.into());
                } else if (*header).cmsg_type == libc::IPV6_HOPLIMIT {
                    result.hop_limit = u8::try_from(data.cast::<libc::c_int>().read_unaligned()).ok();
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok(result)
}

#[allow(unsafe_code)]
fn empty_message(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeros is an empty message.
    let mut message = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

/// Of the kernel's small structures.
const fn length_of<T>() -> u32 {
    size_of::<T>() as u32
}
