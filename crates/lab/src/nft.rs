//! nftables on the router's bridges, over netlink, as `nft` would tell it: so that program need not be there.
//!
//! A family of tables sees the frames of bridges, before it is decided where they go and when they leave by a port. What is told in
//! one go is done as a whole or not at all, and a table is taken away as a whole.

use std::io;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use crate::enter::{alone, exit_now, fork};
use crate::error::LabError;

/// What nftables is told in one go: all of it is done, or nothing.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where the last message begins.
    last: usize,
}

/// `linux/netfilter/nfnetlink.h` and `nf_tables.h`.
pub(crate) mod kernel {
    pub(crate) const BATCH_BEGIN: u16 = 0x10;
    pub(crate) const BATCH_END: u16 = 0x11;
    pub(crate) const TABLES: u16 = 10;
    pub(crate) const NEW_TABLE: u16 = TABLES << 8;
    pub(crate) const DELETE_TABLE: u16 = TABLES << 8 | 2;
    pub(crate) const NEW_CHAIN: u16 = TABLES << 8 | 3;
    pub(crate) const NEW_RULE: u16 = TABLES << 8 | 6;
    pub(crate) const ERROR: u16 = 2;

    pub(crate) const REQUEST: u16 = 1;
    pub(crate) const ACKNOWLEDGE: u16 = 4;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
    pub(crate) const NESTED: u16 = 0x8000;

    pub(crate) const BRIDGE: u8 = 7;
    pub(crate) const PREROUTING: u32 = 0;
    pub(crate) const LOCAL_IN: u32 = 1;
    pub(crate) const POSTROUTING: u32 = 4;
    /// `NF_BR_PRI_FILTER_BRIDGED`.
    pub(crate) const PRIORITY: i32 = -200;
    pub(crate) const PROTOCOL: u32 = 1;
    pub(crate) const MARK: u32 = 3;
    pub(crate) const IN_INTERFACE: u32 = 4;
    pub(crate) const OUT_INTERFACE: u32 = 5;
    pub(crate) const EQUAL: u32 = 0;
    pub(crate) const RANDOM: u32 = 1;
    pub(crate) const REGISTER: u32 = 1;
    pub(crate) const VERDICT: u32 = 0;
    pub(crate) const DROP: u32 = 0;
    pub(crate) const ACCEPT: u32 = 1;
    pub(crate) const NETWORK_HEADER: u32 = 1;
}
use kernel::*;

/// The router's nftables.
pub(crate) struct Tables {
    socket: Socket,
}

impl Tables {
    /// Of the network namespace that the calling thread is in.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Takes a table away, with all that is in it. No error if there is none.
    pub(crate) fn remove(&self, table: &str) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.message(DELETE_TABLE, 0, &text(1, table));
        match self.tell(batch) {
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(()),
            done => done,
        }
    }

    /// The kernel answers before it returns from being told.
    pub(crate) fn tell(&self, batch: Batch) -> io::Result<()> {
        self.socket.send_to(&batch.end(), &SocketAddr::new(0, 0), 0)?;
        let (answer, _) = self.socket.recv_from_full()?;
        match codes(&answer).into_iter().find(|code| *code != 0) {
            None => Ok(()),
            Some(code) => {
                // Others may follow it, which nobody asks for again.
                while self.socket.recv_from_full().is_ok() {}
                Err(io::Error::from_raw_os_error(-code))
            }
        }
    }
}

/// Whether the kernel refuses to do this in a network namespace of its own, and if so, why, in a few words.
pub(crate) fn refused(attempt: fn(&Tables) -> io::Result<()>) -> Option<String> {
    alone().ok()?;
    let Ok(Some(child)) = fork_to_try(attempt) else { return None };
    let (_, status) = waitpid(Some(child), WaitOptions::empty()).ok()??;
    let code = status.exit_status()?;
    (code != 0).then(|| why_not(&io::Error::from_raw_os_error(code)))
}

/// In the child the answer is the exit code: the error's number, or none.
fn fork_to_try(attempt: fn(&Tables) -> io::Result<()>) -> Result<Option<Pid>, LabError> {
    if let Some(child) = fork()? {
        return Ok(Some(child));
    }
    let code = if go_apart().is_err() {
        0
    } else {
        let done = Tables::open().and_then(|tables| attempt(&tables));
        done.err().map_or(0, |error| error.raw_os_error().unwrap_or(1))
    };
    exit_now(code);
}

#[allow(unsafe_code)]
fn go_apart() -> rustix::io::Result<()> {
    // SAFETY: UnshareFlags::FILES is not among the flags, so no file descriptor changes its meaning.
    let done = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
    // SAFETY: as above.
    done.or_else(|_| unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) })
}

/// Why the kernel did not take the rules, as told where nothing is to be lost then.
pub(crate) fn why_not(error: &io::Error) -> String {
    let missing = [Errno::OPNOTSUPP, Errno::PROTONOSUPPORT, Errno::AFNOSUPPORT, Errno::NOENT, Errno::INVAL];
    let code = error.raw_os_error();
    if missing.iter().any(|errno| code == Some(errno.raw_os_error())) {
        "this kernel has no nftables for bridges, or lacks a part of it".to_owned()
    } else {
        format!("this kernel's nftables can't be used: {error}")
    }
}

impl Batch {
    pub(crate) fn new() -> Self {
        let mut batch = Self { bytes: Vec::new(), last: 0 };
        batch.put(BATCH_BEGIN, REQUEST, 0, TABLES, &[]);
        batch
    }

    fn message(&mut self, kind: u16, flags: u16, attributes: &[u8]) {
        self.last = self.bytes.len();
        self.put(kind, REQUEST | flags, BRIDGE, 0, attributes);
    }

    pub(crate) fn table(&mut self, table: &str) {
        self.message(NEW_TABLE, CREATE, &text(1, table));
    }

    /// What passes a hook goes through it.
    pub(crate) fn chain(&mut self, table: &str, name: &str, hook: u32) {
        let hook = [number(1, hook), number(2, PRIORITY.cast_unsigned())].concat();
        let chain = [text(1, table), text(3, name), nested(4, &hook), text(7, "filter")];
        self.message(NEW_CHAIN, CREATE, &chain.concat());
    }

    /// At the end of a chain: each expression in turn, for as long as they are true.
    pub(crate) fn rule(&mut self, table: &str, chain: &str, expressions: &[Vec<u8>]) {
        let rule = [text(1, table), text(2, chain), nested(4, &expressions.concat())];
        self.message(NEW_RULE, CREATE | APPEND, &rule.concat());
    }

    /// Only the last message is to be acknowledged: answers to hundreds of them would not fit into the socket. What is refused is told anyway.
    fn end(mut self) -> Vec<u8> {
        // The flags are behind its length and its kind.
        let flags = &mut self.bytes[self.last + 6..self.last + 8];
        let asked = u16::from_ne_bytes([flags[0], flags[1]]) | ACKNOWLEDGE;
        flags.copy_from_slice(&asked.to_ne_bytes());
        self.put(BATCH_END, REQUEST, 0, TABLES, &[]);
        self.bytes
    }

    /// A header of netlink, one of nfnetlink, and what follows.
    fn put(&mut self, kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) {
        let length = u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend([0; 8]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(attributes);
    }
}

/// An attribute, filled up to a multiple of four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

fn nested(kind: u16, attributes: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, attributes)
}

fn expression(name: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[text(1, name), nested(2, &attributes.concat())].concat())
}

/// Something about the packet, [`PROTOCOL`] or another, into the register.
pub(crate) fn look_at(key: u32) -> Vec<u8> {
    expression("meta", &[number(1, REGISTER), number(2, key)])
}

/// A part of what follows the frame's own header, into the register.
pub(crate) fn load(offset: u32, length: u32) -> Vec<u8> {
    let part = [number(1, REGISTER), number(2, NETWORK_HEADER), number(3, offset), number(4, length)];
    expression("payload", &part)
}

/// One of so many numbers, at random, into the register.
pub(crate) fn draw(of: u32) -> Vec<u8> {
    expression("numgen", &[number(1, REGISTER), number(2, of), number(3, RANDOM)])
}

/// What is in the register, as the kernel has it there, is this number.
pub(crate) fn equals(value: u32) -> Vec<u8> {
    is(&value.to_ne_bytes())
}

/// What is in the register are these bytes.
pub(crate) fn is(bytes: &[u8]) -> Vec<u8> {
    let data = nested(3, &attribute(1, bytes));
    expression("cmp", &[number(1, REGISTER), number(2, EQUAL), data])
}

/// The packet's mark, which it keeps on its way through the router.
pub(crate) fn mark(value: u32) -> Vec<u8> {
    let data = nested(2, &attribute(1, &value.to_ne_bytes()));
    let put = expression("immediate", &[number(1, REGISTER), data]);
    [put, expression("meta", &[number(2, MARK), number(3, REGISTER)])].concat()
}

/// [`DROP`] or [`ACCEPT`]: the end of the chain.
pub(crate) fn verdict(code: u32) -> Vec<u8> {
    let data = nested(2, &nested(2, &number(1, code)));
    expression("immediate", &[number(1, VERDICT), data])
}

/// The codes of an answer's messages: 0, or an error's number below 0.
fn codes(mut answer: &[u8]) -> Vec<i32> {
    let mut codes = Vec::new();
    while let Some((head, _)) = answer.split_first_chunk::<20>() {
        let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        if u16::from_ne_bytes([head[4], head[5]]) == ERROR {
            codes.push(i32::from_ne_bytes(word(16)));
        }
        let length = usize::try_from(u32::from_ne_bytes(word(0))).unwrap_or(usize::MAX).max(20);
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    codes
}
