//! Virtual addresses: VRRP on the wire, addresses on interfaces, who is told where an address now is, and what becomes
//! of connections when it moves.
//!
//! What to do, and when, is decided in [`nines_control::vrrp`]; here it is done, on an OS thread of its own, so that
//! neither traffic nor the daemon's work delays an advertisement. [`VirtualIps`] is the handle that the daemon holds;
//! what the thread needs of the rest of the program comes in as [`Surroundings`].

pub mod address;
pub mod auth;
mod checksum;
mod circuit;
pub mod clock;
mod control_message;
mod departure;
mod error;
mod frame;
mod handover;
pub mod interface;
pub mod neighbour;
pub mod packet;
mod packet_socket;
mod peers;
mod plan;
mod probing;
mod questions;
mod ready;
pub mod realtime;
pub mod reset;
mod segment;
mod shared;
pub mod socket;
pub mod straggler;
mod thread;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nines_control::event::Kind;
use nines_control::status::VirtualIpStatus;
use nines_control::vrrp::Fitness;
use nines_system::{HostId, LoadBalancerId, System};

pub use crate::error::Error;
use crate::shared::Shared;

/// How long the thread may take to let everything go when it is told to stop.
const STOP: Duration = Duration::from_secs(5);
/// Events that may wait for the daemon; past it the newest are dropped (and are in the log).
const EVENTS: usize = 1024;

/// What the thread needs of the rest of the program. Called on the thread, often: it must not block.
pub trait Surroundings: Send + 'static {
    /// Whether the data plane can forward, or why it can't.
    ///
    /// # Errors
    /// In a few words: `worker 1 has not turned its loop for 1.2 s`.
    fn able(&self) -> Result<(), String>;

    /// A planned handover has begun: every client connection ends with its next reply.
    fn retire(&self);

    /// Whether what belongs to connections that this host does not know is met with silence instead of a reset.
    fn hush(&self, on: bool);
}

/// Something that the operator should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    pub kind: Kind,
    pub subject: String,
    pub why: String,
}

/// The virtual addresses of one host, and the thread that minds them. Dropped: it lets all of them go and ends, which is
/// waited for; [`VirtualIps::stop`] comes first where nobody may wait.
#[derive(Debug)]
pub struct VirtualIps {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl VirtualIps {
    /// Whether the file gives this host a part in any virtual address.
    pub fn wanted(system: &System, host: HostId) -> bool {
        !plan::of(system, host).is_empty()
    }

    /// Starts the thread. No part is taken in anything before [`VirtualIps::set_fitness`]. The channel that comes with it
    /// closes when the thread has ended, also if nobody told it to.
    ///
    /// # Errors
    /// The thread can't be started, or the kernel doesn't let this user speak VRRP.
    pub fn start(
        system: &System,
        host: HostId,
        surroundings: impl Surroundings,
    ) -> Result<(Self, tokio::sync::mpsc::Receiver<Happened>), Error> {
        let shared = Arc::new(Shared::new(plan::of(system, host)));
        let (events, happened) = tokio::sync::mpsc::channel(EVENTS);
        let (ready, started) = mpsc::sync_channel(1);
        let its_own = shared.clone();
        let thread = std::thread::Builder::new()
            .name("vrrp".to_owned())
            .spawn(move || thread::run(&its_own, Box::new(surroundings), events, &ready))
            .map_err(error::failed("start the thread of the virtual addresses"))?;
        let handle = Self { shared, thread: Some(thread) };
        match started.recv() {
            Ok(Ok(())) => Ok((handle, happened)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(error::failed("start the thread of the virtual addresses")(std::io::Error::other(
                "it ended at once",
            ))),
        }
    }

    /// What each load balancer can do now, as the daemon's loop sees it. Also a sign that this loop turns: to be called
    /// at least once a second.
    pub fn set_fitness(&self, fitness: Vec<(LoadBalancerId, Fitness)>) {
        self.shared.set_fitness(fitness);
    }

    /// Takes another file; addresses that stay are not disturbed. One that has none for this host leaves the thread with
    /// nothing to do: what it lets go is let go, and told, as ever.
    pub fn reload(&self, system: &System, host: HostId) {
        self.shared.set_plan(plan::of(system, host));
    }

    pub fn status(&self) -> Vec<VirtualIpStatus> {
        self.shared.status()
    }

    /// Tells the thread to let everything go and end, and does not wait for it: what happens on the way is still told, and
    /// the channel of that closes with the end. Returns when it ought to be over, whatever the kernel does.
    pub fn stop(&self) -> Instant {
        self.shared.stop() + STOP
    }
}

impl Drop for VirtualIps {
    fn drop(&mut self) {
        // A kernel that hangs must not hold up the end; the addresses' lifetime ends them then.
        let until = self.stop();
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}
