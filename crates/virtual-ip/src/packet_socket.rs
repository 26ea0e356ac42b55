//! Packet sockets: whole Ethernet frames of one interface, of one protocol, and of these only what a filter lets through.
//!
//! A socket of one protocol sees what is received and nothing that this host sends.

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

/// Opens a non-blocking socket. The filter, and whatever else is set up, is there before the first frame is.
pub(crate) fn open(
    interface: u32,
    protocol: u16,
    filter: &[SockFilter],
    set_up: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    socket.attach_filter(filter)?;
    set_up(&socket)?;
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

/// Makes every frame begin, in both directions, with what is known about its checksum and its segments
/// (`virtio_net_hdr`): what the card or the kernel has joined goes on as it came.
#[allow(unsafe_code)]
pub(crate) fn keep_offloads(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is a `c_int` of the length that is given, and it lives through the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_VNET_HDR,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Classic BPF, by the few instructions that are needed here. Offsets are from the first byte of the Ethernet header.
pub(crate) mod bpf {
    use socket2::SockFilter;

    /// Where the kernel tells to whom a frame was addressed (`SKF_AD_OFF + SKF_AD_PKTTYPE`).
    pub(crate) const ADDRESSEE: u32 = 0xffff_f004;
    /// … to this host (`PACKET_HOST`).
    pub(crate) const THIS_HOST: u32 = 0;

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

    /// Skips one instruction, or goes on if what was loaded is something else.
    pub(crate) fn is_then_skip(value: u32) -> SockFilter {
        SockFilter::new(0x15, 1, 0, value)
    }

    pub(crate) fn accept() -> SockFilter {
        SockFilter::new(0x06, 0, 0, u32::MAX)
    }

    pub(crate) fn refuse() -> SockFilter {
        SockFilter::new(0x06, 0, 0, 0)
    }
}
