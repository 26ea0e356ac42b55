//! The lab: the hosts of a system on one machine, each a network namespace, that can be killed, frozen, cut off and
//! healed. It exists so that a rehearsal breaks the real programs over a real network stack, and so that nothing of it
//! can be left behind.
//!
//! [`enter`] moves the program into private user (unless root), PID, mount and network namespaces; the module
//! `enter` says why the kernel then cleans up by itself. Inside, [`Lab::build`] makes
//!
//! ```text
//!            the program's own namespace: the router
//!   ┌──────────────┬─────────────────────────┬──────────────┐
//!   │ bridge s0    │ bridge s1               │ bridge s2    │   one bridge per zone, and one for the clients
//!   └─┬────────┬───┴─┬────────┬──────────────┴─┬────────────┘
//!     h0       h1    h2       h3               h4               a port per host, the router's end of a veth pair
//!     │        │     │        │                │
//!    eth0     eth0  eth0     eth0             eth0              the host's end, in its own namespace
//!    lb1      app1  lb2      app2             clients
//! ```
//!
//! Hosts of one zone reach each other over their bridge, others through the router. All routes are for single
//! addresses (/32, /128), so the hosts may have whatever addresses the system file gives them. Hosts that share virtual
//! addresses are together on a further bridge instead, whatever their zones: a segment that stretches over zones, as
//! an address that is to move between them needs one. Where such an address names an interface, the hosts that may hold
//! it call theirs so instead of `eth0`.
//!
//! What the file calls `/var/lib/nines` can be another directory on each host ([`enter_with_disks`], [`Furniture`]): its
//! processes are in a mount namespace of their own then, on a real disk that outlives them, and a loss of power, and is gone
//! with the lab.
//!
//! The lab runs processes on hosts and gives threads a [`Place`]; it knows nothing of what they do there.

mod disks;
mod enter;
mod error;
mod island;
mod loss;
mod network;
mod nft;
mod place;
mod plan;
mod processes;
mod refusal;
mod signals;
mod slow;

mod lab;

pub use disks::Furniture;
pub use enter::{Entered, Inside, enter, enter_with_disks};
pub use error::LabError;
pub use island::indivisible;
pub use lab::{Lab, ProcessId, SpawnOptions, refused};
pub use loss::lossless;
pub use network::{Direction, never_mute};
pub use place::Place;
pub use processes::Running;
pub use refusal::obstacle;
pub use slow::Pulse;
