//! What will be broken, and how: the components of a system, the faults of each, and the doors clients come in by.

mod databases;
mod doors;
mod load_balancers;
mod zones;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use nines_system::{HostId, Pool, PoolId, Secret, System};

use crate::fault::Fault;
use doors::doors;
pub(crate) use load_balancers::name as virtual_ip_name;

/// A part of the system that fails as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// A host's name, a pool's or a database's, or `coordination`.
    pub name: String,
    pub kind: ComponentKind,
    /// Which hosts a fault hits, where that is known only when it comes.
    pub whom: Whom,
    /// The zone that all of it is in, if it is one.
    pub zone: Option<String>,
    /// What a fault hits: these hosts, or those of them that are meant by `whom`.
    pub hosts: Vec<String>,
    /// The members that go with it, as events call them: `web/app1:8080`.
    pub members: Vec<String>,
    /// Pools that have no server elsewhere.
    pub alone_in: Vec<String>,
    /// The virtual addresses that its host may hold, as events call them: `front/10.0.1.100`.
    pub virtual_ips: Vec<String>,
    /// How clients reach what it serves.
    pub doors: Vec<Door>,
    /// Who writes meanwhile, and where; for what databases depend on.
    pub writes: Option<Writes>,
}

/// Which of a component's hosts a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// All of them.
    Each,
    /// The one that is the database's primary when the fault comes.
    Primary,
    /// One of those that must confirm what the primary writes.
    Standby,
    /// All but the primary.
    Standbys,
    /// The one with etcd's leader on it.
    Leader,
}

impl Whom {
    /// As reports call it; nothing where all are meant.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Each => None,
            Self::Primary => Some("primary"),
            Self::Standby => Some("standby"),
            Self::Standbys => Some("standbys"),
            Self::Leader => Some("leader"),
        }
    }
}

/// How rows are written into a database, and found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writes {
    pub database: String,
    /// Where clients reach the primary.
    pub doors: Vec<Door>,
    pub user: String,
    pub password: Secret,
    /// The database inside it that they write into.
    pub inside: String,
    /// Every host of the database, and the port for reading there.
    pub hosts: Vec<String>,
    pub read_port: u16,
}

impl Component {
    /// `app1`, `orders/primary`.
    pub fn label(&self) -> String {
        match self.whom.word() {
            None => self.name.clone(),
            Some(whom) => format!("{}/{whom}", self.name),
        }
    }
}

/// The order is that of playing: what hits everything comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentKind {
    /// One host with members of pools on it.
    Server,
    /// One host of load balancers.
    LoadBalancer,
    /// A host of a database, by what it is to it.
    Database,
    /// What hosts of databases agree by.
    Coordination,
    /// All hosts of a pool, together.
    WholePool,
    /// All hosts of a zone, together.
    Zone,
}

/// A way into a pool: one address of a listener, and what to say there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The load balancer's host, whose address the stage knows. Of a virtual address: its preferred one.
    pub host: String,
    /// The virtual address, or the listener's own, if it names one.
    pub address: Option<IpAddr>,
    pub port: u16,
    /// The listener wants a PROXY protocol header first.
    pub proxy_header: bool,
    pub manner: Manner,
}

/// What a client says at a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// `GET path` over HTTP/1.1 with this Host.
    Get { host: String, path: String },
    /// For a protocol that is not ours to know: connect, close our half, and wait for the other side to close its.
    OpenAndClose,
}

/// One component, one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub component: Arc<Component>,
    pub fault: Fault,
    pub promise: Promise,
}

/// What clients were promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// No request fails and none is slow.
    NothingLost,
    /// Requests may fail while an address moves to another host, and for no longer than this is there no good answer.
    /// Connections that stood at the time die with their host.
    Moves { within: Duration },
    /// Requests may fail; the system must be healthy again once the fault is healed.
    ComesBack,
    /// No acknowledged write is lost, and for no longer than this is none acknowledged, where it says so; healthy again once
    /// healed.
    KeepsWrites { within: Option<Duration> },
}

impl Promise {
    pub fn words(self) -> String {
        match self {
            Self::NothingLost => "no request fails".to_owned(),
            Self::Moves { within } => format!("no gap longer than {} ms", within.as_millis()),
            Self::ComesBack => "healthy again once healed".to_owned(),
            Self::KeepsWrites { within: None } => "no acknowledged write lost".to_owned(),
            Self::KeepsWrites { within: Some(within) } => {
                format!("no acknowledged write lost, none for no longer than {} ms", within.as_millis())
            }
        }
    }

    /// The longest gap that it allows, if it speaks of one.
    pub fn gap(self) -> Option<Duration> {
        match self {
            Self::Moves { within } => Some(within),
            Self::KeepsWrites { within } => within,
            Self::NothingLost | Self::ComesBack => None,
        }
    }
}

/// Every case of a rehearsal, in the order of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub cases: Vec<Case>,
    /// Hosts that this version does not break, and why.
    pub left_out: Vec<(String, String)>,
}

/// A name on the command line that the system does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} {name:?} to rehearse; there are: {}", .known.join(", "))]
pub struct UnknownName {
    pub what: &'static str,
    pub name: String,
    pub known: Vec<String>,
}

impl Plan {
    /// Each host with members of pools that clients can reach, with every fault; each load balancer's host; then each
    /// pool as a whole, killed. Where there are databases: each by role, what their hosts agree by, and each zone.
    pub fn of(system: &System) -> Self {
        let mut cases = Vec::new();
        let mut left_out = Vec::new();
        for host in system.host_ids().filter(|&host| !pools_with(system, host).is_empty()) {
            match server(system, host) {
                Ok(component) => cases.extend(Fault::OF_SERVERS.map(|fault| Case {
                    component: Arc::clone(&component),
                    fault,
                    promise: promise_of(&component.doors),
                })),
                // It is broken all the same, as a load balancer's host.
                Err(_) if load_balancers::has_peers(system, host) => {}
                Err(why) => left_out.push((system[host].name.clone(), why)),
            }
        }
        cases.extend(system.host_ids().flat_map(|host| load_balancers::cases(system, host)));
        for database in system.database_ids() {
            match databases::cases(system, database) {
                Ok(of_it) => cases.extend(of_it),
                Err(why) => left_out.push((format!("database {}", system[database].name), why)),
            }
        }
        cases.extend(databases::of_coordination(system));
        cases.extend(zones::cases(system));
        cases.extend(server_pools(system).filter_map(|pool| whole_pool(system, pool)));
        Self { cases, left_out }
    }

    /// Keeps what was asked for: components and faults by name, all of them where none is given.
    pub fn narrow(mut self, only: &[String], faults: &[String]) -> Result<Self, UnknownName> {
        let components = self.component_names();
        let is_called =
            |component: &Component, name: &String| component.name == *name || component.label() == *name;
        for name in only {
            if !self.cases.iter().any(|case| is_called(&case.component, name)) {
                return Err(UnknownName { what: "component", name: name.clone(), known: components });
            }
        }
        for name in faults {
            if Fault::named(name).is_none() {
                let known = Fault::ALL.map(|fault| fault.word().to_owned()).to_vec();
                return Err(UnknownName { what: "fault", name: name.clone(), known });
            }
        }
        self.cases.retain(|case| {
            (only.is_empty() || only.iter().any(|name| is_called(&case.component, name)))
                && (faults.is_empty() || faults.iter().any(|name| name == case.fault.word()))
        });
        Ok(self)
    }

    /// The cases in the order in which they are best played: the same fault on one component after the other, so that
    /// each has had calm before its next one. A member that is ejected again soon stays away longer.
    ///
    /// Load balancers' hosts are broken gently first, and last in the ways after which a host does not take its address
    /// back for a while, since the next case waits for that; so those that hold no address come before the others.
    pub fn playing_order(&self) -> Vec<&Case> {
        let mut order: Vec<&Case> = self.cases.iter().collect();
        order.sort_by_key(|case| {
            let kind = case.component.kind;
            let rank = match kind {
                ComponentKind::LoadBalancer => load_balancers::rank(case.fault),
                ComponentKind::Database | ComponentKind::Coordination => databases::rank(case.fault),
                ComponentKind::Server | ComponentKind::WholePool | ComponentKind::Zone => 0,
            };
            (kind, rank, case.fault, case.promise.gap().is_some())
        });
        order
    }

    /// How each database is written into that the plan has cases of, each once.
    pub fn databases(&self) -> Vec<&Writes> {
        let mut all: Vec<&Writes> = Vec::new();
        for writes in self.cases.iter().filter_map(|case| case.component.writes.as_ref()) {
            if all.iter().all(|other| other.database != writes.database) {
                all.push(writes);
            }
        }
        all
    }

    /// In order, each once.
    pub fn component_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.cases.iter().map(|case| case.component.label()).collect();
        names.dedup();
        names
    }
}

/// A host with members, or why it can't be broken.
fn server(system: &System, host: HostId) -> Result<Arc<Component>, String> {
    let pools = pools_with(system, host);
    let doors = doors(system, |_| true, &pools);
    if let Some(balancer) = system.load_balancers_on(host).next() {
        return Err(format!("load balancer {} runs there too", system[balancer].name));
    }
    if doors.is_empty() {
        return Err("no listener leads to its pools".to_owned());
    }
    let alone = pools.iter().filter(|&&pool| system[pool].members.iter().all(|member| member.host == host));
    Ok(Arc::new(Component {
        name: system[host].name.clone(),
        kind: ComponentKind::Server,
        whom: Whom::Each,
        writes: None,
        zone: Some(system[system[host].zone].name.clone()),
        hosts: vec![system[host].name.clone()],
        members: members_on(system, |of| of == host),
        alone_in: alone.map(|&pool| system[pool].name.clone()).collect(),
        virtual_ips: Vec::new(),
        doors,
    }))
}

/// A client can only be spared a failure where a request can be repeated: at HTTP doors.
fn promise_of(doors: &[Door]) -> Promise {
    if doors.iter().all(|door| matches!(door.manner, Manner::Get { .. })) {
        Promise::NothingLost
    } else {
        Promise::ComesBack
    }
}

/// A pool of several hosts, none of which runs a load balancer, killed at one stroke.
fn whole_pool(system: &System, pool: PoolId) -> Option<Case> {
    let mut hosts: Vec<HostId> = system[pool].members.iter().map(|member| member.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let doors = doors(system, |_| true, &[pool]);
    let breakable = hosts.iter().all(|&host| system.load_balancers_on(host).next().is_none());
    if hosts.len() < 2 || doors.is_empty() || !breakable {
        return None;
    }
    let mut zones: Vec<_> = hosts.iter().map(|&host| system[host].zone).collect();
    zones.sort_unstable();
    zones.dedup();
    let component = Component {
        name: system[pool].name.clone(),
        kind: ComponentKind::WholePool,
        whom: Whom::Each,
        writes: None,
        zone: (zones.len() == 1).then(|| system[zones[0]].name.clone()),
        members: members_on(system, |host| hosts.contains(&host)),
        hosts: hosts.iter().map(|&host| system[host].name.clone()).collect(),
        alone_in: vec![system[pool].name.clone()],
        virtual_ips: Vec::new(),
        doors,
    };
    Some(Case { component: Arc::new(component), fault: Fault::Kill, promise: Promise::ComesBack })
}

fn members_on(system: &System, at: impl Fn(HostId) -> bool) -> Vec<String> {
    let of = |pool: &Pool| -> Vec<String> {
        let here = pool.members.iter().filter(|member| at(member.host));
        here.map(|member| format!("{}/{}", pool.name, member.name)).collect()
    };
    server_pools(system).flat_map(|pool| of(&system[pool])).collect()
}

/// Pools that reach a database have no servers of their own.
fn server_pools(system: &System) -> impl Iterator<Item = PoolId> {
    system.pool_ids().filter(|&pool| system[pool].reaches.is_none())
}

fn pools_with(system: &System, host: HostId) -> Vec<PoolId> {
    server_pools(system)
        .filter(|&pool| system[pool].members.iter().any(|member| member.host == host))
        .collect()
}
