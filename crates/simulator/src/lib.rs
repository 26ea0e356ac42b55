//! A world with a seed that runs the state machines of `control` through failures.
//!
//! Time, network, processes and clocks are made up here; the decisions are the very ones that the daemon runs. Whatever
//! happens follows from the seed, so a failure that was seen once is seen again. `world` and what lies beside it know
//! nothing of what runs on a host ([`Program`]); `vrrp` puts the routers of virtual addresses there, `failover` a database
//! with its engines and a store, and each holds what they do against what they promise.
//!
//! No clock, no randomness from outside: the origin of time and the seed come in as arguments.

mod chaos;
mod clock;
pub mod failover;
mod happened;
mod network;
mod play;
mod program;
mod trace;
pub mod vrrp;
mod world;

use std::time::Duration;

use nines_control::random::Random;

pub use chaos::Chaos;
pub use clock::Clock;
pub use happened::{Fault, Happened};
pub use network::{Conditions, Fate, Network};
pub use play::{Options, Plot, Report, Violation};
pub use program::{Doing, Input, Program};
pub use trace::{Fingerprint, Trace};
pub use world::{HostState, INBOX, Time, World};

/// A host's position in its world.
pub type HostIndex = usize;

/// Uniform in `from..=to`.
pub(crate) fn between(random: &mut Random, from: Duration, to: Duration) -> Duration {
    from + to.saturating_sub(from).mul_f64(random.unit())
}

/// From `from` to `to`, each order of magnitude as likely as the next.
pub(crate) fn of_any_size(random: &mut Random, from: Duration, to: Duration) -> Duration {
    let ratio = to.as_secs_f64() / from.as_secs_f64();
    from.mul_f64(ratio.powf(random.unit())).min(to)
}

pub(crate) fn chance(random: &mut Random, probability: f64) -> bool {
    random.unit() < probability
}
