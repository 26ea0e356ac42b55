//! Packets of connections that the old holder of an address still serves, and that arrive here since this host has
//! announced the address: they are sent on to it.
//!
//! Which connections are this host's own? Those that it has when it starts, and those whose first segment (SYN) arrives
//! after. All other TCP packets to the addresses are the old holder's: they go, as they are, to its card, with this
//! host's card as their sender. What it replies goes to the client directly. This host's kernel gets such packets as well
//! and must be kept from answering them with a reset; that is the data plane's part.
//!
//! It is done by a thread of its own with plain blocking calls: a client that sends as fast as it can must not delay an
//! advertisement, and the thread that makes those runs with real-time priority, which this work must not have.
//!
//! Bounds: [`CONNECTIONS`] own connections are remembered. One more, and it is over at once, as if the time were up: then
//! some of the old holder's last connections break, where a guess might break new ones.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockFilter, Socket};

use crate::error::{Error, failed};
use crate::frame::{TYPE_IPV4, TYPE_IPV6};
use crate::interface::{Interface, Mac};
use crate::packet_socket::{self, bpf};
use crate::reset::{self, Connection};
use crate::segment::{self, Segment};

/// Own connections that are remembered; about 20 MB when there are so many.
pub const CONNECTIONS: usize = 1 << 18;
/// Addresses of one family that the filter can have in its 4096 instructions.
pub const ADDRESSES: usize = 255;
/// What a packet socket puts before the frame (`struct virtio_net_hdr`).
const OFFLOADS: usize = 10;
/// The longest packet that the kernel joins of several by default, with its headers.
const FRAME: usize = OFFLOADS + 14 + 65_575;
/// Packets of one family before it is looked for others and for the end.
const BATCH: usize = 64;
const RECEIVE_BUFFER: usize = 8 << 20;

/// Sends on what is the old holder's, from its start until its time is up, [`Stragglers::stop`], or the bound.
#[derive(Debug)]
pub struct Stragglers {
    shared: Arc<Shared>,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    lost: AtomicU64,
    over: AtomicBool,
}

impl Stragglers {
    /// From the return of this on, no packet is missed: announce the addresses after it.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, when the interface is gone or no Ethernet, and with more than [`ADDRESSES`] addresses.
    pub fn start(
        interface: &Interface,
        addresses: &[IpAddr],
        old: Mac,
        until: Instant,
    ) -> Result<Self, Error> {
        let what = || format!("send on what is for another host on {}", interface.name);
        let Some(own) = interface.mac.filter(|own| *own != old) else {
            return Err(failed(what())(io::Error::other("there are no two Ethernet addresses")));
        };
        let sockets = open(interface.index, addresses).map_err(failed(what()))?;
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(failed(what()))?;
        let (shared, stop) = (Arc::new(Shared::default()), Arc::new(stop));
        let worker = Worker {
            addresses: addresses.to_vec(),
            sockets,
            own,
            old,
            until,
            stop: Arc::clone(&stop),
            shared: Arc::clone(&shared),
            connections: HashSet::new(),
        };
        let thread = thread::Builder::new()
            .name("stragglers".into())
            .spawn(move || worker.run())
            .map_err(failed(what()))?;
        Ok(Self { shared, stop, thread: Some(thread) })
    }

    /// Packets that were sent on.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Packets that were to be sent on, and could not be.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Whether the time is up, or the bound was reached.
    pub fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// Ends it, and waits for the end, which takes no longer than a few packets do. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Stragglers {
    fn drop(&mut self) {
        // Can't fail: the counter is far from full.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    addresses: Vec<IpAddr>,
    sockets: Vec<Socket>,
    own: Mac,
    old: Mac,
    until: Instant,
    stop: Arc<OwnedFd>,
    shared: Arc<Shared>,
    /// This host's own.
    connections: HashSet<Connection>,
}

impl Worker {
    fn run(mut self) {
        // What arrives meanwhile waits in the sockets.
        for address in &self.addresses {
            // Without the kernel's list, no connection from before is known to be ours: they are few at most.
            self.connections.extend(reset::list(*address, CONNECTIONS).unwrap_or_default());
        }
        let mut buffer = vec![0; FRAME];
        while self.connections.len() <= CONNECTIONS && self.wait() {
            for index in 0..self.sockets.len() {
                for _ in 0..BATCH {
                    let Some(length) = self.receive(index, &mut buffer) else { break };
                    self.handle(index, &mut buffer[..length]);
                }
            }
        }
        self.shared.over.store(true, Ordering::Relaxed);
    }

    /// Waits for packets. Returns whether to go on.
    fn wait(&self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let stop = PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN);
        let packets =
            self.sockets.iter().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN));
        let mut all: Vec<PollFd<'_>> = [stop].into_iter().chain(packets).collect();
        let timeout = Timespec::try_from(left).ok();
        match rustix::event::poll(&mut all, timeout.as_ref()) {
            Ok(_) => all.first().is_none_or(|stop| stop.revents().is_empty()),
            Err(error) => error == rustix::io::Errno::INTR,
        }
    }

    /// The length of the next packet in the buffer, offloads included.
    fn receive(&self, index: usize, buffer: &mut [u8]) -> Option<usize> {
        let received = rustix::net::recv(&self.sockets[index], &mut *buffer, RecvFlags::TRUNC);
        let Ok((_, length)) = received else {
            // There is no more, or the interface is down: the next wait tells.
            return None;
        };
        if length > buffer.len() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return Some(0);
        }
        Some(length)
    }

    fn handle(&mut self, index: usize, packet: &mut [u8]) {
        let Some((_, frame)) = packet.split_at_mut_checked(OFFLOADS) else { return };
        let Some(segment) = Segment::parse(frame) else { return };
        if segment.opens {
            self.connections.insert(segment.connection);
        } else if segment.aborts && self.connections.remove(&segment.connection) {
            // Our own kernel has seen it.
        } else if !self.connections.contains(&segment.connection)
            && segment::readdress(frame, self.own, self.old)
        {
            let sent = rustix::net::send(&self.sockets[index], packet, SendFlags::DONTWAIT);
            let count = if sent.is_ok() { &self.shared.sent } else { &self.shared.lost };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A socket for each family that there are addresses of.
fn open(interface: u32, addresses: &[IpAddr]) -> io::Result<Vec<Socket>> {
    let v4: Vec<[u8; 4]> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(v4) => Some(v4.octets()),
            IpAddr::V6(_) => None,
        })
        .collect();
    let v6: Vec<[u8; 16]> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V6(v6) => Some(v6.octets()),
            IpAddr::V4(_) => None,
        })
        .collect();
    if v4.len() > ADDRESSES || v6.len() > ADDRESSES {
        return Err(io::Error::other(format!("more than {ADDRESSES} addresses")));
    }
    let mut sockets = Vec::new();
    if !v4.is_empty() {
        sockets.push(open_one(interface, TYPE_IPV4, &filter(23, 30, &v4))?);
    }
    if !v6.is_empty() {
        sockets.push(open_one(interface, TYPE_IPV6, &filter(20, 38, &v6))?);
    }
    Ok(sockets)
}

fn open_one(interface: u32, protocol: u16, filter: &[SockFilter]) -> io::Result<Socket> {
    packet_socket::open(interface, protocol, filter, |socket| {
        // Beyond the system's limit where that is allowed.
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER).is_err() {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        packet_socket::keep_offloads(socket)
    })
}

/// TCP that was sent to this host's card, for one of the addresses. `protocol` and `destination` are where these stand.
fn filter<const N: usize>(protocol: u32, destination: u32, addresses: &[[u8; N]]) -> Vec<SockFilter> {
    let mut code = vec![
        bpf::load_byte(bpf::ADDRESSEE),
        // Right behind each test is the refusal, as what follows may be too long to skip.
        bpf::is_then_skip(bpf::THIS_HOST),
        bpf::refuse(),
        bpf::load_byte(protocol),
        bpf::is_then_skip(segment::TCP.into()),
        bpf::refuse(),
    ];
    for address in addresses {
        let words = address.as_chunks::<4>().0;
        for (index, word) in (0_u32..).zip(words) {
            // Past the rest of this address: two instructions for each word, and one to accept.
            let rest = 2 * (words.len() - 1 - usize::try_from(index).unwrap_or_default()) + 1;
            code.push(bpf::load_word(destination + 4 * index));
            code.push(bpf::is(u32::from_be_bytes(*word), u8::try_from(rest).unwrap_or_default()));
        }
        code.push(bpf::accept());
    }
    code.push(bpf::refuse());
    code
}
