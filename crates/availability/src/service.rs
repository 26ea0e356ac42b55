//! A system as far as its availability goes: what a file says, in plain numbers that can be changed to ask "what if".

mod from_system;

use std::time::Duration;

pub use nines_system::{Access, Failing};
use serde::Serialize;

use crate::nines::Availability;

/// What a service is made of. Parts call each other by their position in the list of their kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: String,
    pub objective: Availability,
    pub zones: Vec<Zone>,
    pub hosts: Vec<Host>,
    pub entries: Vec<Entry>,
    pub pools: Vec<Pool>,
    pub databases: Vec<Database>,
    pub quorum: Option<Quorum>,
    pub shared: Vec<Shared>,
    pub names: Vec<Name>,
    /// Files with certificates that clients or etcd are shown, and by whom.
    pub certificates: Vec<(String, Vec<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    pub name: String,
    pub region: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Host {
    pub name: String,
    pub zone: usize,
    /// Others find it by DNS.
    pub by_name: bool,
    /// `None`: as often as any host.
    pub failures: Option<Failing>,
    pub maintenance: Option<Maintenance>,
}

/// A host is away, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Maintenance {
    /// From the end of one to the beginning of the next.
    pub every: Duration,
    pub takes: Duration,
}

/// Something that hosts have in common, and fail with.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    pub name: String,
    /// `switch`.
    pub what: String,
    pub hosts: Vec<usize>,
    /// Whose hosts are all under it.
    pub zones: Vec<usize>,
    /// `None`: as often as is assumed of any such thing.
    pub failures: Option<Failing>,
}

/// A DNS name that leads clients to load balancers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub name: String,
    /// The preferred one first.
    pub entries: Vec<usize>,
    pub ttl: Duration,
    /// After how long answers follow health. `None`: they never do.
    pub checked: Option<Duration>,
    /// Clients try another address by themselves.
    pub retry: bool,
}

impl Name {
    /// Whether it is enough that one of its load balancers serves.
    pub fn has_alternatives(&self) -> bool {
        self.entries.len() > 1 && (self.retry || self.checked.is_some())
    }

    /// How long a client may be without service until it is at another address: until answers change, and then until it asks
    /// again. `None`: it never is, or loses nothing.
    pub fn moves_within(&self) -> Option<(Duration, Duration)> {
        let notice = self.checked.filter(|_| !self.retry && self.entries.len() > 1)?;
        Some((notice, self.ttl))
    }
}

/// A load balancer: where clients come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    pub hosts: Vec<usize>,
    /// Virtual addresses. Without one, clients must know the hosts.
    pub addresses: Vec<Address>,
    /// What clients are brought to: a listener's name, and a pool.
    pub serves: Vec<(String, usize)>,
}

/// An address that one of several hosts answers on.
#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    pub name: String,
    /// The preferred one first.
    pub hosts: Vec<usize>,
    /// The longest silence until another host takes it: the least preferred one, when the others are gone already.
    pub notice: Duration,
    /// The same until the second one does, which is nearly always the one.
    pub second: Duration,
    /// Whether a preferred host that has come back takes it from one that serves.
    pub preempt: bool,
    /// Addresses of one group move together.
    pub group: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    pub name: String,
    pub members: Vec<Member>,
    /// How many members it takes to carry the load; with `by_weight` the sum of their weights.
    pub needed: usize,
    pub by_weight: bool,
    /// Whether that was stated, or is only the least that serves anything.
    pub stated: bool,
    /// How many it takes before the pool refuses everybody; 0 if it never does.
    pub refuses_below: usize,
    /// The longest that checks take to notice that a member is gone. `None`: nothing checks.
    pub notice: Option<Duration>,
    pub check: CheckKind,
    /// Failed requests in a row that take a member out.
    pub failures: Option<u32>,
    /// Tries of a request in all.
    pub tries: u32,
    /// Further tries as a share of requests.
    pub retry_budget: f64,
    /// The longest that a silent member keeps a repeatable request waiting.
    pub silence: Duration,
    /// By what clients stay at one member.
    pub sticky: Option<String>,
    /// Its members are this database's hosts.
    pub reaches: Option<(usize, Access)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    None,
    /// Whether something accepts connections.
    Tcp,
    /// Whether what answers says that it is well.
    Deep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub host: usize,
    /// Gets work only when no other member can.
    pub backup: bool,
    pub weight: usize,
}

impl Member {
    pub fn new(name: impl Into<String>, host: usize) -> Self {
        Self { name: name.into(), host, backup: false, weight: 1 }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    pub name: String,
    /// In the order in which they take over.
    pub hosts: Vec<usize>,
    /// How many standbys confirm each commit.
    pub confirm: usize,
    /// Whether writes wait when too few confirm.
    pub strict: bool,
    pub lease: Duration,
    pub heartbeat: Duration,
}

/// Where hosts agree on who is the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// Empty: a directory of one machine.
    pub members: Vec<Voter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    pub name: String,
    /// `None`: somewhere else.
    pub host: Option<usize>,
    /// It is found by DNS.
    pub by_name: bool,
    /// A load balancer or name of the system itself by which it is reached.
    pub through: Option<String>,
}

impl Voter {
    pub fn new(name: impl Into<String>, host: Option<usize>) -> Self {
        Self { name: name.into(), host, by_name: false, through: None }
    }
}

impl Quorum {
    /// How many must agree.
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }
}

impl Service {
    pub fn zone_of(&self, host: usize) -> usize {
        self.hosts[host].zone
    }

    pub fn region_of(&self, host: usize) -> Option<&str> {
        self.zones[self.zone_of(host)].region.as_deref()
    }

    /// Regions, each once, in the order of their zones.
    pub fn regions(&self) -> Vec<&str> {
        let mut regions: Vec<&str> = Vec::new();
        for region in self.zones.iter().filter_map(|zone| zone.region.as_deref()) {
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
        regions
    }

    /// Whether clients of a load balancer come to another of its hosts when one is gone: by a virtual address, by answers that
    /// follow health, or because they try each of them. With one host there is no other.
    pub fn is_led(&self, entry: usize) -> bool {
        let of = &self.entries[entry];
        let mut names = self.names.iter().filter(|name| name.entries.contains(&entry));
        of.hosts.len() < 2
            || !of.addresses.is_empty()
            || names.any(|name| name.retry || name.checked.is_some())
    }

    /// Load balancers in other zones that clients of this one go to when it does not answer, by every name that it has.
    pub fn stand_ins(&self, entry: usize) -> Vec<usize> {
        let mut names = self.names.iter().filter(|name| name.entries.contains(&entry)).peekable();
        if names.peek().is_none() {
            return Vec::new();
        }
        let own = self.zones_of(&self.entries[entry].hosts);
        let elsewhere =
            |other: &usize| self.entries[*other].hosts.iter().any(|&host| !own.contains(&self.zone_of(host)));
        let mut all: Vec<usize> = (0..self.entries.len()).filter(|&other| other != entry).collect();
        all.retain(elsewhere);
        for name in names {
            all.retain(|other| name.has_alternatives() && name.entries.contains(other));
        }
        all
    }

    /// Where hosts agree, if there is a database to agree on.
    pub fn asked_quorum(&self) -> Option<&Quorum> {
        self.quorum.as_ref().filter(|_| !self.databases.is_empty())
    }

    /// Whether a host fails with a shared thing.
    pub fn is_under(&self, shared: &Shared, host: usize) -> bool {
        shared.hosts.contains(&host) || shared.zones.contains(&self.zone_of(host))
    }

    /// The zones that these hosts stand in, each once.
    pub fn zones_of(&self, hosts: &[usize]) -> Vec<usize> {
        let mut zones: Vec<usize> = hosts.iter().map(|&host| self.zone_of(host)).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }
}

impl Pool {
    pub fn hosts(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.host).collect()
    }

    /// How much of the load a member carries, in the measure of `needed`.
    pub fn counts(&self, member: &Member) -> usize {
        if self.by_weight { member.weight } else { 1 }
    }

    /// How much must be carried, in the measure of `needed`.
    pub fn load(&self) -> usize {
        self.needed.max(1)
    }

    /// What the members carry that are not backups.
    pub fn carried(&self, left: impl Fn(&Member) -> bool) -> usize {
        let members = self.members.iter().filter(|member| !member.backup && left(member));
        members.map(|member| self.counts(member)).sum()
    }

    /// The share of its requests that go to such members while all are there: backups get none.
    pub fn share(&self, is_meant: impl Fn(&Member) -> bool) -> f64 {
        let weights = |of: &dyn Fn(&Member) -> bool| {
            let members = self.members.iter().filter(|member| !member.backup && of(member));
            members.map(|member| member.weight).sum::<usize>()
        };
        weights(&is_meant) as f64 / weights(&|_| true).max(1) as f64
    }

    /// How long members that are gone go on getting requests: no time where traffic notices after a few of them. `None`: until they
    /// are repaired.
    pub fn unnoticed(&self) -> Option<Duration> {
        self.notice.or(self.failures.map(|_| Duration::ZERO))
    }

    /// Whether its backups count: as long as one other member is left they get nothing, so they do only where that one is enough.
    pub fn backups_stand_in(&self) -> bool {
        let mut others = self.members.iter().filter(|member| !member.backup);
        others.all(|member| self.counts(member) >= self.load())
    }

    /// Whether clients are served well by the members that are left.
    pub fn serves(&self, left: impl Fn(&Member) -> bool) -> bool {
        let backups = self.members.iter().filter(|member| member.backup && left(member));
        let stand_in = || backups.map(|member| self.counts(member)).sum::<usize>() >= self.load();
        (self.carried(&left) >= self.load() || self.backups_stand_in() && stand_in())
            && self.members.iter().filter(|member| left(member)).count() >= self.refuses_below
    }
}

impl Database {
    /// How many of its hosts must be there for it to take writes.
    pub fn least(&self) -> usize {
        if self.strict { (self.confirm + 1).min(self.hosts.len()) } else { 1 }
    }

    /// Whether those that are left may lack what clients were told is safe, when so many hosts are lost at one stroke: then nobody
    /// takes over.
    pub fn may_lack_writes(&self, lost: usize) -> bool {
        nines_system::may_lack_writes(self.confirm, lost)
    }

    /// Whether another host can ever take over: with writes that nobody else has, none may.
    pub fn can_fail_over(&self) -> bool {
        self.hosts.len() > 1 && self.confirm > 0
    }

    /// The longest until another host may take over: the lease must run out by its own clock, and it may just have been renewed.
    pub fn notice(&self) -> Duration {
        self.lease.mul_f64(1.05) + self.heartbeat
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A shop in three zones: two load balancers, three application servers, a database with two standbys, and a quorum.
    pub(crate) fn shop() -> Service {
        let host = |name: &str, zone| Host { name: name.into(), zone, ..Host::default() };
        let member = |host: usize| Member::new(format!("app{}:80", host - 1), host);
        Service {
            name: "shop".into(),
            objective: Availability::from_fraction(0.999),
            zones: ["a", "b", "c"].map(|name| Zone { name: name.into(), region: None }).to_vec(),
            hosts: vec![
                host("lb1", 0),
                host("lb2", 1),
                host("app1", 0),
                host("app2", 1),
                host("app3", 2),
                host("db1", 0),
                host("db2", 1),
                host("db3", 2),
            ],
            entries: vec![Entry {
                name: "front".into(),
                hosts: vec![0, 1],
                addresses: vec![Address {
                    name: "10.0.1.100".into(),
                    hosts: vec![0, 1],
                    notice: Duration::from_millis(326),
                    second: Duration::from_millis(326),
                    preempt: true,
                    group: None,
                }],
                serves: vec![("http-80".into(), 0)],
            }],
            pools: vec![Pool {
                name: "web".into(),
                members: vec![member(2), member(3), member(4)],
                needed: 1,
                by_weight: false,
                stated: false,
                refuses_below: 0,
                notice: Some(Duration::from_millis(2300)),
                check: CheckKind::Deep,
                failures: Some(3),
                tries: 3,
                retry_budget: 0.2,
                silence: Duration::from_secs(1),
                sticky: None,
                reaches: None,
            }],
            databases: vec![Database {
                name: "main".into(),
                hosts: vec![5, 6, 7],
                confirm: 1,
                strict: true,
                lease: Duration::from_millis(1500),
                heartbeat: Duration::from_millis(250),
            }],
            quorum: Some(Quorum {
                members: (5..8).map(|host| Voter::new(format!("db{}:2379", host - 4), Some(host))).collect(),
            }),
            shared: Vec::new(),
            names: Vec::new(),
            certificates: Vec::new(),
        }
    }

    #[test]
    fn a_pool_serves_as_long_as_what_is_left_carries_the_load() {
        let pool = |needed, weights: &[usize]| {
            let member = |(host, &weight): (usize, &usize)| Member { weight, ..Member::new("m", host) };
            Pool {
                needed,
                by_weight: true,
                members: weights.iter().enumerate().map(member).collect(),
                ..shop().pools[0].clone()
            }
        };
        let serves = |pool: &Pool, left: &[usize]| pool.serves(|member| left.contains(&member.host));
        assert!(serves(&shop().pools[0], &[4]) && !serves(&shop().pools[0], &[]));
        let uneven = pool(4, &[3, 1, 2, 1]);
        // The lightest three carry four, as do the heaviest and any other; two light ones don't.
        assert!(serves(&uneven, &[1, 2, 3]) && serves(&uneven, &[0, 1]) && !serves(&uneven, &[1, 2]));
        assert!(!serves(&pool(5, &[2, 2]), &[0, 1]));
        let counted = Pool { by_weight: false, ..pool(2, &[9, 9, 9]) };
        assert!(serves(&counted, &[0, 2]) && !serves(&counted, &[0]));
    }

    #[test]
    fn how_many_hosts_a_database_needs() {
        let of = |hosts: usize, confirm, strict| Database {
            hosts: (0..hosts).collect(),
            confirm,
            strict,
            ..shop().databases[0].clone()
        };
        assert_eq!(of(3, 1, true).least(), 2);
        assert_eq!(of(2, 1, true).least(), 2);
        assert_eq!(of(3, 1, false).least(), 1);
        assert_eq!(of(1, 0, true).least(), 1);
        assert!(
            of(2, 1, true).can_fail_over()
                && !of(2, 0, true).can_fail_over()
                && !of(1, 0, true).can_fail_over()
        );
    }
}
