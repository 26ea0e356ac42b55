//! The checked model of a system: what the text of a system file has become once nothing in it can be wrong.
//!
//! References are resolved (a [`HostId`] always has its host), units are gone (durations, bytes, fractions),
//! and every default is filled in. Only [`crate::parse`] makes one.

mod database;
mod failures;
mod network;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use database::*;
pub use failures::*;
pub use network::Network;

/// The whole described by one system file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct System {
    pub name: String,
    pub objective: Objective,
    pub zones: Vec<Zone>,
    pub hosts: Vec<Host>,
    pub load_balancers: Vec<LoadBalancer>,
    /// Those of the file, and after them one for each way that listeners reach a database ([`Pool::reaches`]).
    pub pools: Vec<Pool>,
    pub databases: Vec<Database>,
    /// Where hosts agree on who is the primary. Always there if there is a database.
    pub coordination: Option<Coordination>,
    /// By which clients find load balancers.
    pub names: Vec<DnsName>,
    pub shared: Vec<Shared>,
    pub assumptions: Assumptions,
    /// Single points of failure that are accepted.
    pub accepted: Vec<Accepted>,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:ident, $of:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) usize);

        impl $name {
            /// The position in the system's list.
            pub fn index(self) -> usize {
                self.0
            }
        }

        impl std::ops::Index<$name> for System {
            type Output = $of;
            fn index(&self, id: $name) -> &$of {
                &self.$field[id.0]
            }
        }
    };
}

id!(
    /// A zone of the system that made it.
    ZoneId, zones, Zone
);
id!(
    /// A host of the system that made it.
    HostId, hosts, Host
);
id!(
    /// A load balancer of the system that made it.
    LoadBalancerId, load_balancers, LoadBalancer
);
id!(
    /// A pool of the system that made it.
    PoolId, pools, Pool
);
id!(
    /// A database of the system that made it.
    DatabaseId, databases, Database
);

impl System {
    pub fn zone_ids(&self) -> impl Iterator<Item = ZoneId> + use<> {
        (0..self.zones.len()).map(ZoneId)
    }

    pub fn host_ids(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..self.hosts.len()).map(HostId)
    }

    pub fn pool_ids(&self) -> impl Iterator<Item = PoolId> + use<> {
        (0..self.pools.len()).map(PoolId)
    }

    pub fn load_balancer_ids(&self) -> impl Iterator<Item = LoadBalancerId> + use<> {
        (0..self.load_balancers.len()).map(LoadBalancerId)
    }

    pub fn database_ids(&self) -> impl Iterator<Item = DatabaseId> + use<> {
        (0..self.databases.len()).map(DatabaseId)
    }

    /// The databases that this host has an instance of.
    pub fn databases_on(&self, host: HostId) -> impl Iterator<Item = DatabaseId> + '_ {
        self.database_ids().filter(move |&id| self[id].hosts.contains(&host))
    }

    pub fn host_named(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|host| host.name == name).map(HostId)
    }

    /// The load balancers that run on this host.
    pub fn load_balancers_on(&self, host: HostId) -> impl Iterator<Item = LoadBalancerId> + '_ {
        self.load_balancer_ids().filter(move |&id| self[id].hosts.contains(&host))
    }
}

/// The share of time in which the service must answer, as stated and as a fraction.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// As the file says it, tidied: `99.99 %`.
    pub text: String,
    /// `0.9999`; more than 0, less than 1.
    pub fraction: f64,
}

/// A failure domain: an availability zone or a datacentre. A file that names none has one, `default`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Zone {
    pub name: String,
    pub region: Option<String>,
}

/// A machine with an address, in one zone, running one `nines`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Host {
    pub name: String,
    pub zone: ZoneId,
    pub address: HostAddress,
    /// Default: [`Assumptions::host`].
    pub failures: Option<Failing>,
    /// Default: what the file plans for every host, or nothing.
    pub maintenance: Option<Maintenance>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostAddress {
    Ip(IpAddr),
    /// A DNS name, looked up again and again; the last known good answer stays.
    Dns(String),
}

/// Hosts that receive client traffic.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LoadBalancer {
    pub name: String,
    pub hosts: Vec<HostId>,
    pub listeners: Vec<Listener>,
    /// HTTP address of the admin API and `/metrics`, besides the Unix socket. Default: none.
    pub admin: Option<SocketAddr>,
    /// Worker threads. Default: one for each core.
    pub workers: Option<usize>,
    /// Where the access log goes. Default: nowhere.
    pub access_log: Option<AccessLog>,
    /// How long a drain (SIGTERM) waits for work in flight. Default 30 s.
    pub drain: Duration,
    /// Addresses that move between the hosts, to one that serves. Default: none.
    pub virtual_ips: Vec<VirtualIp>,
}

/// Addresses that one of a load balancer's hosts answers on, and another one when that can't: a virtual router in the
/// terms of RFC 9568.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VirtualIp {
    /// At least one, all of one family, each once in the system. The first is how status and events call them all.
    pub addresses: Vec<IpAddr>,
    /// The virtual router's number on the wire (VRID), 1 to 255. Default: from the first address.
    pub router_id: u8,
    /// Who may hold them, and at which priority; the most preferred first. Default: the load balancer's hosts
    /// in their order, from 200 downwards.
    pub hosts: Vec<Candidate>,
    /// Default: the interface that an address of the same subnet, or else the host's own, is on.
    pub interface: Option<String>,
    /// Default 3.
    pub version: VrrpVersion,
    /// From advertisement to advertisement. Version 3: 10 ms to 40.95 s in whole hundredths of a second; version 2: whole
    /// seconds to 255 s. Default 100 ms, 1 s in version 2.
    pub interval: Duration,
    /// Whether, and after which wait, a preferred host that has come back takes over from one that serves. Default: at once.
    pub preempt: Option<Duration>,
    /// `None`: advertisements go to a multicast group. Else to the other hosts, and to these addresses besides.
    pub unicast: Option<Vec<IpAddr>>,
    /// How a version 3 checksum over IPv4 is sent; either is understood. Default: with the pseudo-header.
    pub checksum: VrrpChecksum,
    pub authentication: VrrpAuthentication,
    /// Virtual addresses of one group are always on the same host. Default: on their own.
    pub group: Option<String>,
}

/// A host that may hold a virtual address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub host: HostId,
    /// 20 to 254; the highest is preferred. (Below 20 lie the hosts that can't serve well now.)
    pub priority: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VrrpVersion {
    /// RFC 3768: IPv4 only, whole seconds.
    V2,
    /// RFC 9568.
    V3,
}

/// The two dialects of a version 3 checksum over IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VrrpChecksum {
    /// With the IPv4 pseudo-header: keepalived, FRR.
    PseudoHeader,
    /// Without it: RFC 9568, Cisco, Juniper.
    Plain,
}

/// How advertisements prove where they come from.
#[derive(Clone, PartialEq, Eq)]
pub enum VrrpAuthentication {
    None,
    /// Version 2: up to eight characters in clear text (RFC 2338), for old peers.
    Password(String),
    /// HMAC-SHA256 after the advertisement, as keepalived does it. The first key signs, each is accepted. At least one.
    Keys(Vec<VrrpKey>),
}

#[derive(Clone, PartialEq, Eq)]
pub struct VrrpKey {
    /// Unique among the keys.
    pub id: u8,
    /// 32 to 64 ASCII characters; the bytes themselves are the key.
    pub key: String,
}

impl fmt::Debug for VrrpAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password(_) => f.write_str("Password(…)"),
            Self::Keys(keys) => f.debug_tuple("Keys").field(keys).finish(),
        }
    }
}

impl fmt::Debug for VrrpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VrrpKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    Stdout,
    File(std::path::PathBuf),
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Listener {
    /// Unique in its load balancer. Default: `http-80`, `tcp-5432`.
    pub name: String,
    /// `None`: every address of the host (`":80"` in the file).
    pub address: Option<IpAddr>,
    pub port: u16,
    pub protocol: Protocol,
    /// Whether each connection must begin with a PROXY protocol header (v1 or v2). Default false.
    pub accept_proxy: bool,
    /// Client connections held at one time; past it, new ones wait in the kernel. Default 20,000.
    pub connections: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Protocol {
    Http(HttpListener),
    Tcp(TcpListener),
}

impl Protocol {
    /// Every pool that this listener can send to, each once.
    pub fn pools(&self) -> Vec<PoolId> {
        let mut pools: Vec<PoolId> = match self {
            Self::Http(http) => http.routes.iter().map(|route| route.pool).collect(),
            Self::Tcp(tcp) => vec![tcp.pool],
        };
        pools.sort_unstable();
        pools.dedup();
        pools
    }
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TcpListener {
    pub pool: PoolId,
    /// A connection on which neither side says anything for this long is closed. Default 10 min.
    pub idle: Duration,
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HttpListener {
    /// The most specific route wins: exact host before `*.suffix` before any; then the longest path prefix.
    pub routes: Vec<Route>,
    /// Whose `X-Forwarded-*` and `Forwarded` are kept and appended to; from others they are replaced. Default: nobody's.
    pub trust_forwarded: Trust,
    pub timeouts: ClientTimeouts,
    /// Bytes of a request's or response's head. Default 32 KiB.
    pub head_bytes: u32,
    /// Header lines in a head. Default 100.
    pub headers: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    Nobody,
    Everybody,
    Networks(Vec<Network>),
}

/// How long a client may take.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClientTimeouts {
    /// From a request's first byte (or the connection's start) to the end of its head. Default 10 s.
    pub head: Duration,
    /// A kept-alive connection without a request. Default 60 s.
    pub idle: Duration,
    /// Without progress in reading a body or writing a reply. Default 30 s.
    pub stall: Duration,
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Route {
    pub host: HostPattern,
    /// Path prefix on segment borders: `/api` takes `/api` and `/api/x`, not `/apix`. Default `/`.
    pub path: String,
    pub pool: PoolId,
    /// `true`: any method may be repeated on another member, even after bytes of it were written. Default false.
    pub repeat_any_method: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    Any,
    /// `shop.example`, in lower case, without a port.
    Exact(String),
    /// `*.shop.example`: the part after the `*`, with its dot, in lower case.
    Suffix(String),
}

/// Interchangeable application servers, all active.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Pool {
    pub name: String,
    pub members: Vec<Member>,
    pub check: Check,
    pub passive: Passive,
    pub balance: Balance,
    /// Below this share of members in health, [`Pool::when_too_few`] applies. Default 50 %.
    pub minimum_healthy: f64,
    /// Default: serve all.
    pub when_too_few: WhenTooFew,
    /// What it takes to carry the peak. Default: not said.
    pub needs: Option<Needs>,
    /// Over this time a member that came back grows to its full share. Default 10 s; 0 is none.
    pub slow_start: Duration,
    pub retries: Retries,
    pub limits: PoolLimits,
    pub timeouts: PoolTimeouts,
    /// How long WebSockets and long replies may go on on a draining member. Default 30 s.
    pub drain: Duration,
    /// PROXY protocol spoken to the members. Default: none.
    pub send_proxy: Option<ProxyVersion>,
    /// What runs on a member's host: started by `rehearse`. Words; `{host}`, `{address}` and `{port}` are filled in.
    pub command: Option<Vec<String>>,
    /// `Some`: its members are this database's hosts, and who of them may serve changes with the primary.
    pub reaches: Option<(DatabaseId, Access)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    V1,
    V2,
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// `app1:8080`, unique in its pool: how status, metrics and verbs call it.
    pub name: String,
    pub host: HostId,
    pub port: u16,
    /// Its share relative to the others. Default 1; 1 to 100.
    pub weight: u8,
    /// Gets traffic only when no other member can. Default false.
    pub backup: bool,
    /// Requests (HTTP) or connections (TCP) at one time. Default: [`PoolLimits::member_connections`].
    pub connections: Option<u32>,
}

/// A probe of one member, and the rule that turns probes into health.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Check {
    pub probe: Probe,
    /// Default 1 s.
    pub interval: Duration,
    /// While health is unknown or changing. Default 200 ms, never more than `interval`.
    pub fast_interval: Duration,
    /// Default 500 ms; at most `interval`.
    pub timeout: Duration,
    /// Share of the interval by which each wait varies, so that probes don't march in step. Default 10 %.
    pub jitter: f64,
    /// Good probes in a row that bring a member up. Default 2. The very first check needs one.
    pub rise: u32,
    /// Bad probes in a row that take a member down. Default 2.
    pub fall: u32,
    /// Another port than the member's. Default: the member's.
    pub port: Option<u16>,
}

impl Check {
    /// Whether a database's gate is asked.
    pub fn is_of_gate(&self) -> bool {
        matches!(self.probe, Probe::Gate(_))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A TCP connect. The default.
    Tcp,
    Http(HttpProbe),
    /// Exit 0 is good. `{host}`, `{address}` and `{port}` are filled in.
    Command(Vec<String>),
    /// A database's gate is asked whether it serves this access. Never in the file's checks: only pools that reach a
    /// database have it.
    Gate(Access),
    /// No active check: health is what the traffic says.
    None,
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HttpProbe {
    pub path: String,
    /// Inclusive ranges. Default 200–399.
    pub status: Vec<(u16, u16)>,
    /// A part of the body's first 64 KiB. Default: not looked at.
    pub body: Option<String>,
    /// The Host header. Default: the member's name.
    pub host: Option<String>,
}

/// What the traffic itself says about a member.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Passive {
    /// Failures in a row that eject a member. Default 3; `None`: traffic is not judged.
    pub failures: Option<u32>,
    /// The first ejection's length; each further one doubles it. Default 5 s.
    pub eject: Duration,
    /// Its bound. Default 5 min.
    pub eject_max: Duration,
    /// Largest share of the pool that may be ejected, counted after the ejection. Default 50 %.
    pub max_ejected: f64,
    /// Whether a 5xx reply counts as a failure. Default false.
    pub server_errors: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Balance {
    /// The less busy of two picked at random. The default.
    LeastRequests,
    RoundRobin,
    /// Consistent hashing with bounded load: the same key goes to the same member while that one is not overloaded.
    Hash(HashKey),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    ClientAddress,
    /// Lower case.
    Header(String),
    Cookie(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenTooFew {
    /// Fail open: all members get traffic, healthy or not.
    ServeAll,
    Refuse,
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Retries {
    /// Tries of one request in all, the first included. Default 3; 1 is none.
    pub tries: u32,
    /// Further tries as a share of requests. Default 20 %.
    pub budget: f64,
    /// Further tries a second that are always allowed. Default 10.
    pub minimum_per_second: u32,
    /// A connect that takes longer races a second one. Default 50 ms.
    pub race_connect: Duration,
    /// Silence after which a repeatable request is tried elsewhere: a high percentile of what the pool has
    /// shown, kept between these bounds. Default 20 ms to 1 s.
    pub silence_min: Duration,
    pub silence_max: Duration,
    /// Bytes of a request's body kept so that it can be repeated. Default 64 KiB.
    pub body_bytes: u32,
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PoolLimits {
    /// Requests (HTTP) or connections (TCP) in the whole pool at one time, from this load balancer. Default: no limit.
    pub connections: Option<u32>,
    /// The same for each member. Default: no limit.
    pub member_connections: Option<u32>,
    /// Requests that may wait for a place. Default 1,000.
    pub queue: u32,
    /// How long one may wait. Default 5 s.
    pub queue_timeout: Duration,
    /// Idle connections kept open to each member by each worker. Default 1,000.
    pub idle_connections: u32,
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PoolTimeouts {
    /// All tries to connect. Default 3 s.
    pub connect: Duration,
    /// From the request's end to the reply's first byte. Default 30 s.
    pub first_byte: Duration,
    /// Without progress in a reply's body, and in an upgraded connection. Default 60 s.
    pub stall: Duration,
    /// The whole request up to the reply's first byte, all tries and the queue included. Default 60 s.
    pub request: Duration,
    /// An idle connection kept for reuse. Default 30 s.
    pub idle: Duration,
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Dns(name) => name.fmt(f),
        }
    }
}
