//! How a listener ends without losing a client.
//!
//! The kernel completes handshakes by itself; closing a listening socket resets every connection that it has completed
//! and nobody has accepted yet, though its client may have sent a request already. So new handshakes are ignored
//! first, those that have begun get time to complete and are accepted, and only then the socket is closed. Clients that
//! came in between try again after a second, by TCP's own rule, and are refused.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockFilter, SockRef};

/// For a handshake that has begun: a round trip to the client.
pub(crate) const HANDSHAKE: Duration = Duration::from_millis(200);

/// Offset of the flags in a TCP header, and the flag that only a handshake's first segment has (RFC 9293 §3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;

/// From now on the kernel drops the first segment of each new connection to this socket.
pub(crate) fn ignore_new(listener: &impl AsFd) -> io::Result<()> {
    let [load_byte, jump_if_set, give] = [
        libc::BPF_LD | libc::BPF_B | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K,
        libc::BPF_RET,
    ]
    .map(|code| code as u16);
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(load_byte, 0, 0, FLAGS),
        SockFilter::new(jump_if_set, 0, 1, SYN),
        SockFilter::new(give, 0, 0, 0),
        SockFilter::new(give, 0, 0, u32::MAX),
    ])
}
