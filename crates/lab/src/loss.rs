//! Links that lose packets: nftables drops a share of what passes a host's bridge port, either way.
//!
//! A family of tables sees the frames of bridges, before it is decided where they go and when they leave by a port; so
//! whatever a host sends or is sent is lost alike: ARP, what comes from the router, and what its neighbours say. Each host's
//! rules are in a table of their own, which is taken away as a whole. It is said over netlink, as `nft` would, so that
//! program need not be there; where the kernel lacks nftables, or its random numbers, that is told before anything is
//! broken.

use std::io;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::io::Errno;
use rustix::process::{WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use crate::enter::{alone, exit_now, fork};

/// What nftables is told in one go: all of it is done, or nothing.
struct Batch {
    bytes: Vec<u8>,
    /// How many answers are due.
    messages: u32,
}

/// `linux/netfilter/nfnetlink.h` and `nf_tables.h`.
mod kernel {
    pub(super) const BATCH_BEGIN: u16 = 0x10;
    pub(super) const BATCH_END: u16 = 0x11;
    pub(super) const TABLES: u16 = 10;
    pub(super) const NEW_TABLE: u16 = TABLES << 8;
    pub(super) const DELETE_TABLE: u16 = TABLES << 8 | 2;
    pub(super) const NEW_CHAIN: u16 = TABLES << 8 | 3;
    pub(super) const NEW_RULE: u16 = TABLES << 8 | 6;
    pub(super) const ERROR: u16 = 2;

    pub(super) const REQUEST: u16 = 1;
    pub(super) const ACKNOWLEDGE: u16 = 4;
    pub(super) const CREATE: u16 = 0x400;
    pub(super) const APPEND: u16 = 0x800;
    pub(super) const NESTED: u16 = 0x8000;

    pub(super) const BRIDGE: u8 = 7;
    pub(super) const PREROUTING: u32 = 0;
    pub(super) const POSTROUTING: u32 = 4;
    /// `NF_BR_PRI_FILTER_BRIDGED`.
    pub(super) const PRIORITY: i32 = -200;
    pub(super) const IN_INTERFACE: u32 = 4;
    pub(super) const OUT_INTERFACE: u32 = 5;
    pub(super) const EQUAL: u32 = 0;
    pub(super) const RANDOM: u32 = 1;
    pub(super) const REGISTER: u32 = 1;
    pub(super) const VERDICT: u32 = 0;
    pub(super) const DROP: u32 = 0;
}
use kernel::*;

/// The router's nftables.
pub(crate) struct Losses {
    socket: Socket,
}

impl Losses {
    /// Of the network namespace that the calling thread is in.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// From now on one packet in so many is lost on its way through this port, in each direction by itself.
    pub(crate) fn lose(&self, port: u32, one_in: u32) -> io::Result<()> {
        let table = table(port);
        let mut batch = Batch::new();
        batch.message(NEW_TABLE, CREATE, &text(1, &table));
        for (name, hook, interface) in
            [("sends", PREROUTING, IN_INTERFACE), ("hears", POSTROUTING, OUT_INTERFACE)]
        {
            let hook = [number(1, hook), number(2, PRIORITY.cast_unsigned())].concat();
            let chain = [text(1, &table), text(3, name), nested(4, &hook), text(7, "filter")];
            batch.message(NEW_CHAIN, CREATE, &chain.concat());
            let drop = nested(2, &nested(2, &number(1, DROP)));
            let expressions = [
                expression("meta", &[number(1, REGISTER), number(2, interface)]),
                equals(port),
                expression("numgen", &[number(1, REGISTER), number(2, one_in.max(1)), number(3, RANDOM)]),
                equals(0),
                expression("immediate", &[number(1, VERDICT), drop]),
            ];
            let rule = [text(1, &table), text(2, name), nested(4, &expressions.concat())];
            batch.message(NEW_RULE, CREATE | APPEND, &rule.concat());
        }
        self.tell(batch)
    }

    /// Nothing is lost there any more. No error if nothing was.
    pub(crate) fn stop(&self, port: u32) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.message(DELETE_TABLE, 0, &text(1, &table(port)));
        match self.tell(batch) {
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(()),
            done => done,
        }
    }

    /// The kernel answers before it returns from being told.
    fn tell(&self, batch: Batch) -> io::Result<()> {
        let (bytes, messages) = batch.end();
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        let mut answers = 0;
        while answers < messages {
            let (answer, _) = self.socket.recv_from_full()?;
            for code in codes(&answer) {
                if code != 0 {
                    // Others may follow it, which nobody asks for again.
                    while self.socket.recv_from_full().is_ok() {}
                    return Err(io::Error::from_raw_os_error(-code));
                }
                answers += 1;
            }
        }
        Ok(())
    }
}

/// Whether links can lose packets in a lab here, and if not, why, in a few words. What can't be found out (no lab at all is
/// allowed, say) is for the lab to tell.
///
/// Must be called before the program starts threads: it forks.
pub fn lossless() -> Option<String> {
    alone().ok()?;
    let Ok(Some(child)) = fork_to_try() else { return None };
    let (_, status) = waitpid(Some(child), WaitOptions::empty()).ok()??;
    let code = status.exit_status()?;
    (code != 0).then(|| why_not(&io::Error::from_raw_os_error(code)))
}

/// In the child the answer is the exit code: the error's number, or none.
fn fork_to_try() -> Result<Option<rustix::process::Pid>, crate::error::LabError> {
    if let Some(child) = fork()? {
        return Ok(Some(child));
    }
    let code = if go_apart().is_err() {
        0
    } else {
        attempt().err().map_or(0, |error| error.raw_os_error().unwrap_or(1))
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

/// A port need not exist for rules about it.
fn attempt() -> io::Result<()> {
    let losses = Losses::open()?;
    losses.lose(1, 2)?;
    losses.stop(1)
}

/// Why the kernel did not take the rules, as told where nothing is to be lost then.
pub(crate) fn why_not(error: &io::Error) -> String {
    let missing = [Errno::OPNOTSUPP, Errno::PROTONOSUPPORT, Errno::AFNOSUPPORT, Errno::NOENT, Errno::INVAL];
    let code = error.raw_os_error();
    if missing.iter().any(|errno| code == Some(errno.raw_os_error())) {
        "this kernel has no nftables for bridges, or none with random numbers".to_owned()
    } else {
        format!("this kernel's nftables can't be used: {error}")
    }
}

fn table(port: u32) -> String {
    format!("nines-lab-{port}")
}

impl Batch {
    fn new() -> Self {
        let mut batch = Self { bytes: Vec::new(), messages: 0 };
        batch.put(BATCH_BEGIN, REQUEST, 0, TABLES, &[]);
        batch
    }

    fn message(&mut self, kind: u16, flags: u16, attributes: &[u8]) {
        self.put(kind, REQUEST | ACKNOWLEDGE | flags, BRIDGE, 0, attributes);
        self.messages += 1;
    }

    fn end(mut self) -> (Vec<u8>, u32) {
        self.put(BATCH_END, REQUEST, 0, TABLES, &[]);
        (self.bytes, self.messages)
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

/// What is in the register, as the kernel has it there, is this number.
fn equals(value: u32) -> Vec<u8> {
    let data = nested(3, &attribute(1, &value.to_ne_bytes()));
    expression("cmp", &[number(1, REGISTER), number(2, EQUAL), data])
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
