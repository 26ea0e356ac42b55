//! What is said of failures: how often, for how long, what fails together, and what of that is accepted.

use std::time::Duration;

use super::{HostId, LoadBalancerId, ZoneId};

/// A single point of failure that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// As an audit calls it: `host lb1`, `zone a`.
    pub component: String,
    pub reason: String,
}

/// How often something fails by itself, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Failing {
    pub rate: FailureRate,
    /// On average. Default: as is assumed of its kind.
    pub repair: Option<Duration>,
    /// Default: the system file.
    pub source: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FailureRate {
    /// The share of time in which it works: more than 0, less than 1.
    Availability(f64),
    /// From failure to failure, on average.
    Every(Duration),
}

/// A figure, and who says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Stated<T> {
    pub value: T,
    /// Default: the system file.
    pub source: Option<String>,
}

/// What is taken for granted about failures; `None` where the file says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Assumptions {
    pub host: Option<Failing>,
    pub zone: Option<Failing>,
    pub region: Option<Failing>,
    pub shared: Option<Failing>,
    /// A change that breaks everything.
    pub change: Option<Failing>,
    /// The share of a host's failures that takes all hosts of a redundant group.
    pub common_cause: Option<Stated<f64>>,
    /// The share of failovers that come about by themselves.
    pub coverage: Option<Stated<f64>>,
    /// Until a person has done what a failover did not.
    pub by_hand: Option<Stated<Duration>>,
    /// How long a standby takes to be the primary once it may.
    pub promotion: Option<Stated<Duration>>,
    /// How many hosts are repaired at one time.
    pub crew: Option<usize>,
}

/// Work on a host that is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// From the end of one to the beginning of the next.
    pub every: Duration,
    /// Shorter than `every`.
    pub takes: Duration,
}

/// Something that hosts or zones have in common, and fail with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Shared {
    pub name: String,
    /// `switch`, `power`. Default: not said.
    pub what: Option<String>,
    /// At least one host or zone, each once.
    pub hosts: Vec<HostId>,
    pub zones: Vec<ZoneId>,
    /// Default: [`Assumptions::shared`].
    pub failures: Option<Failing>,
}

/// A DNS name by which clients find load balancers. Somebody else serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsName {
    pub name: String,
    /// At least one, each once; the preferred one first.
    pub load_balancers: Vec<LoadBalancerId>,
    /// How long clients keep an answer. Default 1 min.
    pub ttl: Duration,
    /// Whether, and after how long, answers follow health. Default: never; if they do, 30 s.
    pub checked: Option<Duration>,
    /// Whether clients try another address by themselves. Default false.
    pub retry: bool,
}

/// What a pool takes to carry its peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// So many members, whatever their weights.
    Members(u32),
    /// In requests a second, or in anything else that both are in.
    Load {
        /// The most that comes.
        peak: u64,
        /// The most that a member of weight 1 carries.
        member: u64,
    },
}
