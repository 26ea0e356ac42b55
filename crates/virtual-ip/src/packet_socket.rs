//! Packet sockets: whole Ethernet frames of one interface, of one protocol, and of these only what a filter lets through.
//!
//! A socket of one protocol sees what is received and nothing that this host sends.

use std::io;
use std::mem::size_of;

use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

/// Opens a non-blocking socket. The filter is there before the first frame is.
pub(crate) fn open(interface: u32, protocol: u16, filter: &[SockFilter]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    socket.attach_filter(filter)?;
    socket.bind(&address(interface, protocol)?)?;
    Ok(socket)
}

#[allow(unsafe_code)]
fn address(interface: u32, protocol: u16) -> io::Result<SockAddr> {
    // SAFETY: the storage is zeroed and larger than a `sockaddr_ll`, which is what is written and what the length says.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = &mut *storage.cast::<libc::sockaddr_ll>();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol.to_be();
            address.sll_ifindex = interface.cast_signed();
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    }?;
    Ok(address)
}

/// Classic BPF, by the few instructions that are needed here. Offsets are from the first byte of the Ethernet header.
pub(crate) mod bpf {
    use socket2::SockFilter;

    pub(crate) fn load_byte(at: u32) -> SockFilter {
        SockFilter::new(0x30, 0, 0, at)
    }

    pub(crate) fn load_half(at: u32) -> SockFilter {
        SockFilter::new(0x28, 0, 0, at)
    }

    pub(crate) fn load_word(at: u32) -> SockFilter {
        SockFilter::new(0x20, 0, 0, at)
    }

    /// Puts what was loaded aside, for [`is_same`].
    pub(crate) fn put_aside() -> SockFilter {
        SockFilter::new(0x07, 0, 0, 0)
    }

    /// Goes on, or skips so many instructions if what was loaded is something else.
    pub(crate) fn is(value: u32, else_skip: u8) -> SockFilter {
        SockFilter::new(0x15, 0, else_skip, value)
    }

    /// The same, with what was put aside.
    pub(crate) fn is_same(else_skip: u8) -> SockFilter {
        SockFilter::new(0x1d, 0, else_skip, 0)
    }

    pub(crate) fn accept() -> SockFilter {
        SockFilter::new(0x06, 0, 0, u32::MAX)
    }

    pub(crate) fn refuse() -> SockFilter {
        SockFilter::new(0x06, 0, 0, 0)
    }
}
