//! What the kernel does with segments that come to listening sockets, told to it as classic BPF.
//!
//! Newer kernels let only CAP_NET_ADMIN filter what comes to a TCP socket.

use std::io;
use std::os::fd::AsFd;

use libc::sock_filter;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockFilter, SockRef};

/// Offset of the flags in a TCP header (RFC 9293 §3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;
/// Where the IP header begins, whatever is before it or has been read of it.
const IP: u32 = libc::SKF_NET_OFF.cast_unsigned();
const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned();
/// Offset of the next header in an IPv6 header, and how long that header is (RFC 8200 §3).
const NEXT: u32 = 6;
const IPV6_BYTES: u32 = 40;
const TCP: u32 = libc::IPPROTO_TCP.cast_unsigned();

const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
/// From X on.
const LOAD_BYTE_AFTER: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_IND;
const SET_X: u32 = libc::BPF_LDX | libc::BPF_IMM;
/// X is how long an IPv4 header is.
const SET_X_BY_HEADER: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const MODULO: u32 = libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_SET: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const GIVE: u32 = libc::BPF_RET | libc::BPF_K;
const GIVE_RESULT: u32 = libc::BPF_RET | libc::BPF_A;

const fn step(code: u32, operand: u32) -> sock_filter {
    branch(code, operand, 0, 0)
}

/// How many steps are passed over if it is so, and if not.
const fn branch(code: u32, operand: u32, so: u8, not: u8) -> sock_filter {
    sock_filter { code: code as u16, jt: so, jf: not, k: operand }
}

/// From now on the kernel drops the first segment of each new connection to this socket.
pub(crate) fn ignore_new(listener: &impl AsFd) -> io::Result<()> {
    attach(
        listener,
        &[step(LOAD_BYTE, FLAGS), branch(IF_SET, SYN, 0, 1), step(GIVE, 0), step(GIVE, u32::MAX)],
    )
}

/// From now on the kernel drops every segment that comes to this socket.
pub(crate) fn ignore_all(listener: &impl AsFd) -> io::Result<()> {
    attach(listener, &[step(GIVE, 0)])
}

/// From now on the first segment of a new connection goes to one of the first `sockets` of the listener's group, and every
/// other segment that comes to the group to the one behind those: the place where it is the socket that is looked
/// for. Places without a socket leave it to the kernel, as before.
pub(crate) fn set_others_apart(listener: &impl AsFd, sockets: u32) -> io::Result<()> {
    direct(
        listener,
        &mut [
            step(LOAD_BYTE, IP),
            step(AND, 0xf0), // the version
            branch(IF_EQUAL, 0x60, 2, 0),
            step(SET_X_BY_HEADER, IP),
            step(JUMP, 3),
            // IPv6. Who puts an extension header before TCP is answered as ever, resets included.
            step(LOAD_BYTE, IP + NEXT),
            branch(IF_EQUAL, TCP, 0, 5),
            step(SET_X, IPV6_BYTES),
            step(LOAD_BYTE_AFTER, IP + FLAGS),
            step(AND, SYN | ACK),
            branch(IF_EQUAL, SYN, 1, 0),
            step(GIVE, sockets),
            step(LOAD_WORD, RANDOM),
            step(MODULO, sockets.max(1)),
            step(GIVE_RESULT, 0),
        ],
    )
}

/// From now on the kernel chooses a socket of the listener's group by itself.
pub(crate) fn set_nothing_apart(listener: &impl AsFd) -> io::Result<()> {
    // To detach a program needs Linux 5.3; one that never names a socket says the same.
    direct(listener, &mut [step(GIVE, u32::MAX)])
}

fn attach(socket: &impl AsFd, program: &[sock_filter]) -> io::Result<()> {
    let program: Vec<_> =
        program.iter().map(|step| SockFilter::new(step.code, step.jt, step.jf, step.k)).collect();
    SockRef::from(socket).attach_filter(&program)
}

fn direct(socket: &impl AsFd, program: &mut [sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    Ok(setsockopt(socket, sockopt::AttachReusePortCbpf, &program)?)
}
