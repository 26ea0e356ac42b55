//! Who answers on a virtual address: VRRP, versions 2 and 3, as a pure state machine over all virtual routers of one host
//! (RFC 9568, RFC 3768).
//!
//! It goes beyond the RFCs where clients would lose by it:
//!
//! - **The address follows what serves.** A router takes part only while its host is [`Fitness::Fit`]; one that is
//!   [`Fitness::Sick`] advertises a priority below every healthy host's. So does one that is [`Fitness::Slow`], above the sick.
//! - **A planned change loses nothing.** Who gives an address up in health lingers: what is connected is served to its
//!   end, and the new holder is told where to send what belongs there.
//! - **After a stall it listens before it speaks.** Who did not run for longer than the others' patience can't know
//!   whether it is still the master.

mod advertisement;
mod fitness;
mod problems;
mod report;
mod router;
mod routers;
mod slowness;
mod timing;

use std::net::IpAddr;
use std::time::Duration;

use nines_system::VrrpVersion;

pub use advertisement::Advertisement;
pub use fitness::Fitness;
pub use routers::Routers;
pub use slowness::{HOLD, LATE, Slowness, Turns, is_late};
pub use timing::{HEALTHY, SLOW, master_down, skew};

use crate::event;

/// One virtual router of this host.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How status and events call it: `front/10.0.1.100`.
    pub name: String,
    pub version: VrrpVersion,
    /// 1 to 255.
    pub router_id: u8,
    pub addresses: Vec<IpAddr>,
    /// 1 to 255, of this host in health. 255 is the addresses' owner.
    pub priority: u8,
    pub interval: Duration,
    /// Whether, and after which wait, it takes over from a master of lower priority.
    pub preempt: Option<Duration>,
    /// Routers of one group are masters together or not at all.
    pub group: Option<String>,
    /// How long what is connected may go on after a planned handover.
    pub linger: Duration,
    /// The address that this host's advertisements come from. Of two equal priorities the higher one wins.
    pub source: IpAddr,
    /// Names of all that may hold the addresses, this host included, for people.
    pub names: Vec<(IpAddr, String)>,
}

impl Settings {
    /// Whether both mean one and the same router, whatever else is set differently.
    pub fn is_same_router(&self, other: &Self) -> bool {
        self.name == other.name
            && self.router_id == other.router_id
            && self.version == other.version
            && self.addresses == other.addresses
    }
}

/// A router's position in the list that the machine was made with.
pub type RouterIndex = usize;

/// Everything that can happen to the routers.
///
/// Whoever drives the machine reads everything that has arrived before it gives a [`Input::Timer`]: a router that ran
/// late must not take the silence of its own sleep for the silence of the master.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The deadline has come.
    Timer,
    /// An advertisement of this virtual router, found valid on the wire, from another host.
    Heard { router: RouterIndex, from: IpAddr, advertisement: Advertisement },
    /// To be given at the start, and whenever it has changed. Before the first time a router is unfit.
    Fitness { router: RouterIndex, fitness: Fitness },
    /// Nothing is connected to the addresses any more: a lingering router need not wait longer.
    Idle { router: RouterIndex },
    /// Somebody answered a probe for one of the addresses who should not: another than this host while it is the
    /// master, or more than one while it is not. `by`: who, for a person.
    Answered { router: RouterIndex, address: IpAddr, by: String },
    /// Nobody answered a probe for one of the addresses, which another host should hold.
    Unanswered { router: RouterIndex, address: IpAddr },
}

/// Everything that the routers want done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Send {
        router: RouterIndex,
        advertisement: Advertisement,
    },
    /// Bring the addresses up and announce them to the link. `from`: who held them until now and still serves what is
    /// connected there.
    Take {
        router: RouterIndex,
        from: Option<IpAddr>,
    },
    /// Announce the addresses, which are held, once more. `from` as in `Take`.
    Announce {
        router: RouterIndex,
        from: Option<IpAddr>,
    },
    /// Another host answers from now on. Let every connection end with its next reply; the addresses stay until
    /// `LetGo`, or become ours again by `Take`.
    Linger {
        router: RouterIndex,
    },
    /// Take the addresses away, and reset whatever is connected to them.
    LetGo {
        router: RouterIndex,
    },
    Event {
        kind: event::Kind,
        subject: String,
        why: String,
    },
}

/// Why a router became what it is: one word each, the same in metrics and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The daemon started.
    Start,
    /// Nothing was heard of the master any more.
    MasterSilent,
    /// The master gave the addresses up.
    MasterResigned,
    /// It is preferred to a master that serves.
    Preempted,
    /// Somebody of a higher priority (or equal, and a higher address) is the master.
    HigherPriority,
    /// It owns the addresses: priority 255.
    Owner,
    /// This host became fit, or better, again.
    Fit,
    /// This host can't serve.
    Unfit,
    /// The operator drains this host, or it stops.
    Leaving,
    /// The process did not run for longer than the others' patience.
    Stall,
    /// Another router of its group did it.
    Group,
}

impl Cause {
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::MasterSilent,
        Self::MasterResigned,
        Self::Preempted,
        Self::HigherPriority,
        Self::Owner,
        Self::Fit,
        Self::Unfit,
        Self::Leaving,
        Self::Stall,
        Self::Group,
    ];

    /// The word as it stands in status and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::MasterSilent => "master-silent",
            Self::MasterResigned => "master-resigned",
            Self::Preempted => "preempted",
            Self::HigherPriority => "higher-priority",
            Self::Owner => "owner",
            Self::Fit => "fit",
            Self::Unfit => "unfit",
            Self::Leaving => "leaving",
            Self::Stall => "stall",
            Self::Group => "group",
        }
    }
}

#[cfg(test)]
mod tests;
