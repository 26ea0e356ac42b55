//! The state of one host's part as a person or a machine reads it: `nines status`, `/status`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event;
use crate::failover;
use crate::statistics::Statistics;

/// `/status`. Fields are added, never changed in meaning, while `version` stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// 1.
    pub version: u32,
    pub system: String,
    pub objective: String,
    pub host: String,
    /// The version of the program.
    pub program: String,
    pub pid: u32,
    pub uptime_s: u64,
    pub phase: Phase,
    /// The file that is in force.
    pub file: FileStatus,
    /// The operator's wish for this host as a load balancer: ready or draining.
    #[serde(default = "ready")]
    pub wish: Wish,
    pub listeners: Vec<ListenerStatus>,
    #[serde(default)]
    pub virtual_ips: Vec<VirtualIpStatus>,
    /// Those that this host has an instance of.
    #[serde(default)]
    pub databases: Vec<DatabaseStatus>,
    pub pools: Vec<PoolStatus>,
    pub statistics: Statistics,
    /// Events since the daemon started, by kind.
    pub events: BTreeMap<event::Kind, u64>,
    /// The objective as a fraction.
    #[serde(default)]
    pub objective_fraction: f64,
    #[serde(default)]
    pub measured: Vec<MeasuredStatus>,
    /// Why what is measured now would not outlive the daemon. `None`: it does.
    #[serde(default)]
    pub not_kept: Option<String>,
    /// Whether the host stands still again and again, so that clients are better served elsewhere.
    #[serde(default)]
    pub slow: bool,
}

/// What was measured of a subject, in figures; `nines report` has all of it. None where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredStatus {
    /// `listener`, `pool` or `database`.
    pub kind: String,
    pub name: String,
    pub windows: Vec<MeasuredWindow>,
    /// What is left of the objective's budget over 30 days, as a share; below 0 it is overspent.
    pub budget_left_by_time: Option<f64>,
    pub budget_left_by_request: Option<f64>,
    /// Seconds since the daemon started.
    pub up: u64,
    pub down: u64,
    pub unknown: u64,
    /// Requests since then.
    pub good: u64,
    pub bad: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredWindow {
    /// `5m`, `1h`, `30d`.
    pub window: String,
    /// Shares, of the seconds of which something is known and of the requests.
    pub by_time: Option<f64>,
    pub by_request: Option<f64>,
    /// How many times as fast as allowed the budget was spent.
    pub burn_by_time: Option<f64>,
    pub burn_by_request: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// First checks are not in yet; listeners are closed.
    Starting,
    Serving,
    /// SIGTERM was received: no new connections, work in flight is finished.
    Draining,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileStatus {
    pub path: String,
    /// 1 at start, then one more with every reload that was accepted.
    pub generation: u64,
    pub loaded_us: u64,
    /// Why the latest reload was refused, if it was.
    pub refused: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// `front/http-80`.
    pub name: String,
    /// `0.0.0.0:80`.
    pub address: String,
    /// `http` or `tcp`.
    pub protocol: String,
    pub open: bool,
    pub pools: Vec<String>,
}

/// A virtual address as this host sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VirtualIpStatus {
    /// `front/10.0.1.100`.
    pub name: String,
    pub addresses: Vec<String>,
    /// `eth0`; empty where there is none.
    pub interface: String,
    pub router_id: u8,
    /// 2 or 3.
    pub version: u8,
    pub state: Standing,
    /// Whether this host has the addresses: as the master, or for what is still connected after a handover.
    pub held: bool,
    /// Who answers on the addresses as far as is known here: a host's name, or an address.
    pub holder: Option<String>,
    /// Milliseconds since the state last changed.
    pub since_ms: u64,
    /// Why it changed: `lb1 has not been heard for 307 ms`.
    pub why: String,
    /// The same in one word.
    pub cause: Option<crate::vrrp::Cause>,
    /// What is advertised now; 0 when nothing would be.
    pub priority: u8,
    /// Between advertisements, as it is in force: a backup goes by its master's.
    pub interval_ms: f64,
    /// What is wrong with it now, each in a sentence.
    pub problems: Vec<String>,
    /// How often this host became the master.
    pub taken: u64,
    /// How often it ceased to be, by cause.
    pub released: BTreeMap<crate::vrrp::Cause, u64>,
    /// Times that another master was heard while this host was one.
    pub conflicts: u64,
    pub sent: u64,
    pub received: u64,
    /// Packets that were refused on the wire, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// What a host is for a virtual address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It takes no part.
    #[default]
    Off,
    /// It would take over.
    Backup,
    /// It was the master and did not run for a while: it listens whether it still is.
    Listening,
    Master,
}

fn ready() -> Wish {
    Wish::Ready
}

/// A database as one of its hosts sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseStatus {
    /// `orders`.
    pub name: String,
    /// What this host's instance is now.
    pub role: DatabaseRole,
    /// By the rule that is in force, as far as is known here; 0 before the first.
    pub term: u64,
    /// By the same rule.
    pub primary: Option<String>,
    /// Whether this host's gate lets clients write now: it is the primary, and within its lease.
    pub serves: bool,
    /// All hosts of the database, this one too. What is known of others depends on whether this one is the primary.
    pub members: Vec<DatabaseMember>,
    /// Nothing is under way: no candidacy, handover, change of who confirms, copy.
    pub settled: bool,
    /// What is wrong with it now, each in a sentence.
    pub problems: Vec<String>,
    /// Everything that this host knows of who is the primary, and of who would be. `None` while it starts.
    pub failover: Option<failover::Status>,
    pub engine: EngineStatus,
    pub gate: GateStatus,
}

/// This host's database server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// `15.18`.
    pub version: String,
    pub data: String,
    /// Of the server's first process.
    pub pid: Option<i32>,
    pub running_ms: Option<u64>,
    pub timeline: Option<u64>,
    /// Of a standby: what it has of the log, and what can be read in it.
    pub received: Option<u64>,
    pub replayed: Option<u64>,
    /// Of a standby: how old the latest is that can be read in it.
    pub behind_ms: Option<u64>,
    /// What is being done to it: a copy, for example, and how far it is.
    pub doing: Option<String>,
    /// Parameters that take effect when it is started again.
    pub pending_restart: Vec<String>,
    /// Directories that were set aside, and their bytes.
    pub set_aside: Vec<(String, u64)>,
}

/// What passes this host's gate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GateStatus {
    /// Connected now.
    pub clients: u64,
    pub standbys: u64,
    /// Since the program started.
    pub accepted: u64,
    /// Connections that the gate ended because it shut.
    pub cut: u64,
    /// Connections that it ended in the place of an answer to a commit that no standby had confirmed.
    pub unconfirmed: u64,
    /// Connections that were not let in, by reason.
    pub refused: BTreeMap<String, u64>,
    pub from_clients: u64,
    pub to_clients: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseMember {
    pub host: String,
    pub role: DatabaseRole,
    /// From the primary, now. Always false of the primary itself.
    pub streaming: bool,
    /// How many bytes of the log it has not confirmed; none where that is not known here.
    pub lag: Option<u64>,
    /// Whether it is one of those of whom some must hold each write, the primary too.
    pub in_cohort: bool,
}

/// What an instance of a database is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseRole {
    Primary,
    Standby,
    /// It does not run.
    Stopped,
    /// It doesn't answer, or nobody here knows.
    #[default]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    pub name: String,
    /// `healthy`, `everyone` or `nobody`.
    pub serving: String,
    /// For a pool that reaches a database: who serves, in words.
    #[serde(default)]
    pub who: Option<String>,
    pub members: Vec<MemberStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// `app1:8080`.
    pub name: String,
    pub host: String,
    pub zone: String,
    /// `10.0.1.21:8080`, or none while the name has not resolved.
    pub address: Option<String>,
    pub health: Health,
    pub wish: Wish,
    /// Whether traffic goes there now.
    pub eligible: bool,
    pub backup: bool,
    /// Milliseconds that its ejection still lasts.
    pub ejected_ms: Option<u64>,
    /// Times that traffic found it broken and it was ejected, since the daemon started.
    pub ejections: u64,
    /// Why it is as it is: `HTTP 200`, `connection refused (3 of 3)`.
    pub why: String,
    /// Milliseconds since health last changed.
    pub since_ms: u64,
    /// The latest active check.
    pub check: Option<CheckStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    pub good: bool,
    pub said: String,
    pub took_us: u64,
    pub ago_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    Up,
    Down,
    /// Not checked yet.
    Unknown,
}

/// The operator's wish, apart from health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    Ready,
    /// Finish what is there, take nothing new.
    Draining,
    /// As draining, and no checks either.
    Maintenance,
}
