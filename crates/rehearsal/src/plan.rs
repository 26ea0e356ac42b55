//! What will be broken, and how: the components of a system, the faults of each, and the doors clients come in by.

mod databases;
mod doors;
mod estimate;
mod left;
mod load_balancers;
mod pairs;
mod places;
mod servers;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use nines_system::{HostId, Secret, System};

use crate::fault::Fault;
pub(crate) use load_balancers::name as virtual_ip_name;
pub use pairs::{Fatal, MOST_PAIRS};

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
    /// Hosts, of which all are hit; nothing is known of them but where they are.
    fn of(system: &System, name: String, kind: ComponentKind, hosts: &[HostId]) -> Self {
        let mut zones: Vec<_> = hosts.iter().map(|&host| system[host].zone).collect();
        zones.sort_unstable();
        zones.dedup();
        Self {
            name,
            kind,
            whom: Whom::Each,
            zone: (zones.len() == 1).then(|| system[zones[0]].name.clone()),
            hosts: hosts.iter().map(|&host| system[host].name.clone()).collect(),
            members: Vec::new(),
            alone_in: Vec::new(),
            virtual_ips: Vec::new(),
            doors: Vec::new(),
            writes: None,
        }
    }

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
    /// One member of a pool, on a host where other things run as well.
    Member,
    /// One host of load balancers.
    LoadBalancer,
    /// A host of a database, by what it is to it.
    Database,
    /// What hosts of databases agree by.
    Coordination,
    /// All hosts of a pool, together.
    WholePool,
    /// All hosts of a load balancer, together.
    WholeLoadBalancer,
    /// All hosts of a database, together.
    WholeDatabase,
    /// All hosts of a zone, together.
    Zone,
    /// All hosts of a region, together.
    Region,
    /// All hosts that share a thing, together.
    Shared,
    /// Two hosts, a zone and a host, or two zones.
    Pair,
    /// All there is.
    Everything,
}

impl ComponentKind {
    /// Whether several hosts are hit at one stroke, as one.
    pub fn is_together(self) -> bool {
        matches!(
            self,
            Self::WholePool
                | Self::WholeLoadBalancer
                | Self::WholeDatabase
                | Self::Zone
                | Self::Region
                | Self::Shared
                | Self::Pair
                | Self::Everything
        )
    }
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
    /// What those are promised who ask meanwhile, where `promise` is for those who write.
    pub asked: Option<Promise>,
}

impl Case {
    pub fn new(component: &Arc<Component>, fault: Fault, promise: Promise) -> Self {
        Self { component: Arc::clone(component), fault, promise, asked: None }
    }
}

/// What clients were promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// No request fails and none is slow.
    NothingLost,
    /// No request fails; answers may be late.
    NothingFails,
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
            Self::NothingFails => "no request fails, answers may be late".to_owned(),
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
            Self::NothingLost | Self::NothingFails | Self::ComesBack => None,
        }
    }
}

/// Every case of a rehearsal, in the order of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub cases: Vec<Case>,
    /// What is not broken, and why.
    pub left_out: Vec<(String, String)>,
    /// What can't be broken so on this machine.
    pub not_possible: Vec<NotPossible>,
}

/// A case that is not played, since the machine can't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPossible {
    pub case: Case,
    pub why: String,
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
    /// Each host with what runs on it, and members alone where they are not all that does; databases by role, and what their
    /// hosts agree by; then what fails as a whole: pools, load balancers, databases, zones, regions, what hosts
    /// share, everything.
    pub fn of(system: &System) -> Self {
        let mut cases = Vec::new();
        let mut left_out = nothing_there(system);
        for host in system.host_ids() {
            match servers::cases(system, host) {
                Ok(of_it) => cases.extend(of_it),
                // It is broken all the same where it has something else to do.
                Err(_) if system.databases_on(host).next().is_some() => {}
                Err(why) => left_out.push((system[host].name.clone(), why)),
            }
        }
        cases.extend(system.host_ids().flat_map(|host| load_balancers::cases(system, host)));
        cases.extend(system.host_ids().flat_map(|host| servers::members(system, host)));
        for database in system.database_ids() {
            match databases::cases(system, database) {
                Ok(of_it) => cases.extend(of_it),
                Err(why) => left_out.push((format!("database {}", system[database].name), why)),
            }
        }
        match databases::of_coordination(system) {
            Ok(of_it) => cases.extend(of_it),
            Err(why) => left_out.push(("coordination".to_owned(), why)),
        }
        cases.extend(places::cases(system, &mut left_out));
        for pool in servers::server_pools(system) {
            match servers::whole_pool(system, pool) {
                Ok(of_it) => cases.extend(of_it),
                Err(why) => left_out.push((format!("pool {}", system[pool].name), why)),
            }
        }
        cases.extend(system.load_balancer_ids().flat_map(|balancer| load_balancers::whole(system, balancer)));
        Self { cases, left_out, not_possible: Vec::new() }
    }

    /// Takes the cases of a fault out that this machine can't have.
    #[must_use]
    pub fn without(mut self, fault: Fault, why: &str) -> Self {
        let (out, cases): (Vec<Case>, Vec<Case>) =
            self.cases.into_iter().partition(|case| case.fault == fault);
        self.cases = cases;
        self.not_possible.extend(out.into_iter().map(|case| NotPossible { case, why: why.to_owned() }));
        self
    }

    /// Whether it has cases of this fault.
    pub fn has(&self, fault: Fault) -> bool {
        self.cases.iter().any(|case| case.fault == fault)
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
                _ => 0,
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

/// Whether anything of the system runs on a host.
fn does_something(system: &System, host: HostId) -> bool {
    !servers::pools_with(system, host).is_empty()
        || system.load_balancers_on(host).next().is_some()
        || system.databases_on(host).next().is_some()
        || databases::members_of_store(system).any(|(of, _)| of == host)
}

fn nothing_there(system: &System) -> Vec<(String, String)> {
    let idle = system.host_ids().filter(|&host| !does_something(system, host));
    idle.map(|host| (system[host].name.clone(), "nothing of the system runs there".to_owned())).collect()
}
