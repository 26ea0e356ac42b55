//! What was found out about this machine, its place in the system and its links. Facts only: what they mean is said in
//! `judge`, so that every judgement can be tried without the machine that it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nines_control::status::VirtualIpStatus;
use nines_database::hands::Examined;
use nines_system::{VrrpAuthentication, VrrpVersion};
use nines_virtual_ip::clock::Clock;
use nines_virtual_ip::interface::{Interface, Mac};
use nines_virtual_ip::packet::Refused;

pub(super) struct Facts {
    pub(super) machine: Machine,
    /// `None`: no file was given.
    pub(super) place: Option<Place>,
}

/// What can be said without a system file.
pub(super) struct Machine {
    /// `6.1.0-18-amd64`.
    pub(super) kernel: String,
    pub(super) privileges: Privileges,
    /// Ports below it need a privilege.
    pub(super) first_free_port: u16,
    /// Whether the kernel can reset connections (`CONFIG_INET_DIAG_DESTROY`); `None`: it could not be tried.
    pub(super) resets: Option<bool>,
    /// Why this user can't rehearse here.
    pub(super) no_rehearsal: Option<String>,
    pub(super) clock: Option<Clock>,
}

/// What a process may do. The running daemon's where there is one, since it may run as somebody else.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Privileges {
    /// The daemon's pid; `None`: this program's own.
    pub(super) daemon: Option<u32>,
    /// Effective capabilities, a bit each.
    pub(super) effective: u64,
    /// Files that it may open if it raises its own limit; `None`: as many as it likes, or not known.
    pub(super) open_files: Option<u64>,
    /// The highest real-time priority that it may take.
    pub(super) realtime: u64,
}

/// This host in the system.
pub(super) struct Place {
    pub(super) system: String,
    pub(super) host: String,
    pub(super) address: OwnAddress,
    pub(super) is_load_balancer: bool,
    pub(super) open_files_needed: u64,
    pub(super) listeners: Vec<Listener>,
    pub(super) daemon: Daemon,
    pub(super) databases: Vec<Database>,
    /// `None`: this host has no database.
    pub(super) store: Option<Store>,
    /// The virtual IPs that it is a candidate of.
    pub(super) routers: Vec<Router>,
    /// Hosts of the system that said another time than this clock does: by how many milliseconds they are ahead.
    pub(super) clocks: BTreeMap<String, i64>,
    /// Where another machine says that it is this host.
    pub(super) doubles: BTreeSet<IpAddr>,
}

/// A database that this host has an instance of.
pub(super) struct Database {
    pub(super) name: String,
    /// Why its section can't be gone by, if so.
    pub(super) postgresql: Result<Examined, String>,
    /// The file's `version`.
    pub(super) wanted: Option<u16>,
    /// This program runs as root.
    pub(super) as_root: bool,
    pub(super) data: PathBuf,
    pub(super) disk: Result<Disk, String>,
    /// Its `max_connections`.
    pub(super) connections: u64,
    /// `vm.overcommit_memory`.
    pub(super) overcommit: Option<u8>,
}

/// Where its directory is, or will be made.
pub(super) struct Disk {
    /// The directory or the nearest above it that exists.
    pub(super) at: PathBuf,
    pub(super) exists: bool,
    /// What it is on, if that is anything peculiar: `tmpfs`.
    pub(super) kind: &'static str,
    pub(super) free: u64,
    /// How long a flush takes.
    pub(super) flush: Result<Duration, String>,
}

/// Where hosts of databases agree.
#[derive(Default)]
pub(super) struct Store {
    /// It can't even be asked.
    pub(super) why_not: Option<String>,
    pub(super) embedded: Option<PathBuf>,
    pub(super) members: Vec<StoreMember>,
}

pub(super) struct StoreMember {
    pub(super) name: String,
    pub(super) answer: Result<Duration, String>,
    /// Another system that has the prefix.
    pub(super) owner: Option<String>,
}

/// Where the file says that this host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OwnAddress {
    Here(IpAddr, String),
    Elsewhere(Vec<IpAddr>),
    Unresolved(String),
}

pub(super) enum Daemon {
    Runs { pid: u32 },
    Silent(String),
}

/// A TCP address that the daemon listens on.
pub(super) struct Listener {
    /// `front/http-80`.
    pub(super) name: String,
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) is_virtual: bool,
    /// Whether `address` is on an interface of this host, or none is wanted.
    pub(super) is_here: bool,
    /// The daemon of this host has it open.
    pub(super) open: bool,
    pub(super) taken: Option<Taken>,
}

/// A port on which somebody listens who is not this host's daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) at: SocketAddr,
    /// Its pid and name, where this user may know.
    pub(super) owner: Option<(u32, String)>,
}

/// A virtual IP that this host is a candidate of.
#[derive(Clone)]
pub(super) struct Router {
    /// `front/10.0.1.100`.
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) router_id: u8,
    pub(super) version: VrrpVersion,
    pub(super) interval: Duration,
    pub(super) priority: u8,
    pub(super) unicast: bool,
    pub(super) authentication: VrrpAuthentication,
    /// How long what is connected may go on after a planned handover.
    pub(super) linger: Duration,
    /// The other candidates.
    pub(super) peers: Vec<Peer>,
    /// Others that speak VRRP for it, which are no hosts of the file: the `unicast` list's.
    pub(super) besides: Vec<IpAddr>,
    pub(super) link: Result<Link, String>,
    /// What the daemon says of it.
    pub(super) status: Option<VirtualIpStatus>,
    pub(super) heard: Heard,
}

#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) host: String,
    /// `None`: a DNS name.
    pub(super) address: Option<IpAddr>,
    pub(super) priority: u8,
    /// The interface that packets to it leave through.
    pub(super) via: Option<String>,
}

/// Where a virtual IP belongs on this host.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) interface: Interface,
    /// Where its advertisements come from.
    pub(super) source: Option<IpAddr>,
    pub(super) settings: Settings,
}

/// `/proc/sys/net`, as it is in force for one interface. `None`: there is no such setting.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) rp_filter: Option<u8>,
    pub(super) arp_ignore: Option<u8>,
    pub(super) arp_announce: Option<u8>,
    pub(super) disable_ipv6: Option<u8>,
    pub(super) accept_dad: Option<u8>,
    pub(super) forwarding: Option<u8>,
}

/// What was heard about one virtual IP on its link.
#[derive(Debug, Default, Clone)]
pub(super) struct Heard {
    /// Why the link could not be listened to, or not wholly.
    pub(super) trouble: Vec<String>,
    pub(super) speakers: BTreeMap<IpAddr, Speaker>,
    /// Other virtual routers of this family on the link.
    pub(super) other_ids: BTreeSet<u8>,
    /// Cards that answer for a virtual address, this host's own left out.
    pub(super) answers: BTreeMap<IpAddr, BTreeSet<Mac>>,
    /// Whether it was asked who has the addresses.
    pub(super) asked: bool,
    /// Cards of the other candidates, as far as they answered for their own address.
    pub(super) cards: BTreeMap<Mac, String>,
    /// By the other candidate's name.
    pub(super) doctors: BTreeMap<String, Doctor>,
}

/// Somebody who advertises our router id.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Speaker {
    /// As it was last; what was refused as far as it could be read.
    pub(super) version: u8,
    pub(super) priority: u8,
    pub(super) interval: Duration,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) accepted: u64,
    pub(super) refused: BTreeMap<Refused, u64>,
}

/// The `nines doctor` of another candidate, run at the same time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Doctor {
    pub(super) from: BTreeSet<IpAddr>,
    /// Its greetings to the multicast group, and those to this host alone.
    pub(super) by_group: u64,
    pub(super) directly: u64,
    /// It says that it hears this host's, in the way in which this virtual IP is advertised.
    pub(super) hears_us: bool,
    /// Greetings without that, sent when this host had been greeting for a while.
    pub(super) deaf: u64,
}

impl Router {
    pub(super) fn is_v6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }
}
