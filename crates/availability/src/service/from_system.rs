//! From the checked file to what matters for availability.

use std::collections::BTreeMap;
use std::time::Duration;

use nines_system::{
    Balance, Check, Durability, Etcd, EtcdMember, EtcdTls, GateTls, HashKey, HostAddress, HostId,
    LoadBalancer, Needs, Probe, Store, System, VirtualIp, VrrpVersion, WhenTooFew,
};

use super::{
    Address, CheckKind, Database, Entry, Host, Maintenance, Member, Name, Pool, Quorum, Service, Shared,
    Voter, Zone,
};
use crate::nines::Availability;

impl Service {
    /// What the file says; `needs` are the members that a pool takes to carry its load, by the pool's name, if they are others
    /// than the file says.
    pub fn of(system: &System, needs: &BTreeMap<String, usize>) -> Self {
        let zone = |zone: &nines_system::Zone| Zone { name: zone.name.clone(), region: zone.region.clone() };
        let host = |host: &nines_system::Host| Host {
            name: host.name.clone(),
            zone: host.zone.index(),
            by_name: matches!(host.address, HostAddress::Dns(_)),
            failures: host.failures.clone(),
            maintenance: host.maintenance.map(|of| Maintenance { every: of.every, takes: of.takes }),
        };
        Self {
            name: system.name.clone(),
            objective: Availability::from_fraction(system.objective.fraction),
            zones: system.zones.iter().map(zone).collect(),
            hosts: system.hosts.iter().map(host).collect(),
            entries: system.load_balancers.iter().map(entry).collect(),
            pools: system.pools.iter().map(|of| pool(of, needs.get(&of.name).copied())).collect(),
            databases: system.databases.iter().map(database).collect(),
            quorum: system.coordination.as_ref().map(|of| quorum(system, &of.store)),
            shared: system.shared.iter().map(shared).collect(),
            names: system.names.iter().map(name).collect(),
            certificates: certificates(system),
        }
    }
}

fn indices(hosts: &[HostId]) -> Vec<usize> {
    hosts.iter().map(|host| host.index()).collect()
}

fn entry(of: &LoadBalancer) -> Entry {
    let serves = of.listeners.iter().flat_map(|listener| {
        let pools = listener.protocol.pools();
        pools.into_iter().map(|pool| (listener.name.clone(), pool.index()))
    });
    Entry {
        name: of.name.clone(),
        hosts: indices(&of.hosts),
        addresses: of.virtual_ips.iter().map(address).collect(),
        serves: serves.collect(),
    }
}

fn address(of: &VirtualIp) -> Address {
    let names: Vec<String> = of.addresses.iter().map(ToString::to_string).collect();
    // Three intervals, and the skew of whoever takes it: the lower its priority, the longer.
    let notice = |priority: u8| {
        let share = f64::from(256 - u16::from(priority)) / 256.0;
        of.interval * 3
            + match of.version {
                VrrpVersion::V2 => Duration::from_secs_f64(share),
                VrrpVersion::V3 => of.interval.mul_f64(share),
            }
    };
    let priorities = || of.hosts.iter().map(|candidate| candidate.priority);
    let last = priorities().min().unwrap_or(100);
    Address {
        name: names.join(" and "),
        hosts: of.hosts.iter().map(|candidate| candidate.host.index()).collect(),
        notice: notice(last),
        second: notice(priorities().nth(1).unwrap_or(last)),
        preempt: of.preempt.is_some(),
        group: of.group.clone(),
    }
}

fn shared(of: &nines_system::Shared) -> Shared {
    Shared {
        name: of.name.clone(),
        what: of.what.clone().unwrap_or_else(|| "shared thing".to_owned()),
        hosts: indices(&of.hosts),
        zones: of.zones.iter().map(|zone| zone.index()).collect(),
        failures: of.failures.clone(),
    }
}

fn name(of: &nines_system::DnsName) -> Name {
    Name {
        name: of.name.clone(),
        entries: of.load_balancers.iter().map(|id| id.index()).collect(),
        ttl: of.ttl,
        checked: of.checked,
        retry: of.retry,
    }
}

fn certificates(system: &System) -> Vec<(String, Vec<String>)> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for database in &system.databases {
        if let GateTls::Terminate { certificate, .. } | GateTls::PassThrough { certificate, .. } =
            &database.tls
        {
            all.entry(certificate.display().to_string()).or_default().push(database.name.clone());
        }
    }
    if let Some(Store::Etcd(Etcd { tls: Some(EtcdTls { identity: Some((path, _)), .. }), .. })) =
        system.coordination.as_ref().map(|of| &of.store)
    {
        all.entry(path.display().to_string()).or_default().push("coordination".to_owned());
    }
    all.into_iter().collect()
}

/// What a pool takes, and whether that is a sum of weights.
fn needed(of: &nines_system::Pool) -> Option<(usize, bool)> {
    Some(match of.needs? {
        Needs::Members(members) => (members as usize, false),
        Needs::Load { peak, member } => (usize::try_from(peak.div_ceil(member)).unwrap_or(usize::MAX), true),
    })
}

fn pool(of: &nines_system::Pool, other: Option<usize>) -> Pool {
    let needed = other.map(|members| (members, false)).or_else(|| needed(of));
    let member = |member: &nines_system::Member| Member {
        name: member.name.clone(),
        host: member.host.index(),
        backup: member.backup,
        weight: usize::from(member.weight),
    };
    let counted = of.members.iter().filter(|member| !member.backup).count();
    let refuses_below = match of.when_too_few {
        WhenTooFew::ServeAll => 0,
        // "20 %" of five is one, whatever the last bit says.
        WhenTooFew::Refuse => (of.minimum_healthy * counted as f64 - 1e-9).ceil() as usize,
    };
    Pool {
        name: of.name.clone(),
        members: of.members.iter().map(member).collect(),
        needed: needed.map_or(1, |(needed, _)| needed),
        by_weight: needed.is_some_and(|(_, by_weight)| by_weight),
        stated: needed.is_some(),
        refuses_below,
        notice: notice(&of.check),
        check: match of.check.probe {
            Probe::None => CheckKind::None,
            Probe::Tcp => CheckKind::Tcp,
            Probe::Http(_) | Probe::Command(_) | Probe::Gate(_) => CheckKind::Deep,
        },
        failures: of.passive.failures,
        tries: of.retries.tries,
        retry_budget: of.retries.budget,
        silence: of.retries.silence_max,
        sticky: match &of.balance {
            Balance::Hash(HashKey::ClientAddress) => Some("the client's address".into()),
            Balance::Hash(HashKey::Header(name)) => Some(format!("the header {name}")),
            Balance::Hash(HashKey::Cookie(name)) => Some(format!("the cookie {name}")),
            Balance::LeastRequests | Balance::RoundRobin => None,
        },
        reaches: of.reaches.map(|(database, access)| (database.index(), access)),
    }
}

/// It fails right after a check: the wait for the next one, and as many that run into their time-out as it takes; these
/// follow one another as quickly as `fast_interval` allows.
fn notice(check: &Check) -> Option<Duration> {
    if check.probe == Probe::None {
        return None;
    }
    let between = check.fast_interval.mul_f64(1.0 + check.jitter).max(check.timeout);
    Some(check.interval.mul_f64(1.0 + check.jitter) + between * check.fall.saturating_sub(1) + check.timeout)
}

fn database(of: &nines_system::Database) -> Database {
    Database {
        name: of.name.clone(),
        hosts: indices(&of.hosts),
        confirm: of.confirm,
        strict: of.durability == Durability::Strict,
        lease: of.lease,
        heartbeat: of.heartbeat,
    }
}

fn quorum(system: &System, store: &Store) -> Quorum {
    let voter = |member: &EtcdMember| match member {
        EtcdMember::Host { host, port } => {
            Voter::new(format!("{}:{port}", system[*host].name), Some(host.index()))
        }
        EtcdMember::Address(address) => {
            let has = |of: &&LoadBalancer| {
                of.virtual_ips.iter().any(|virtual_ip| virtual_ip.addresses.contains(&address.ip()))
            };
            let through = system.load_balancers.iter().find(has).map(|of| of.name.clone());
            Voter { through, ..Voter::new(address.to_string(), None) }
        }
        EtcdMember::Name { name, port } => {
            let through = system.names.iter().find(|of| of.name == *name).map(|of| of.name.clone());
            Voter { by_name: true, through, ..Voter::new(format!("{name}:{port}"), None) }
        }
    };
    match store {
        Store::Embedded { .. } => Quorum { members: Vec::new() },
        Store::Etcd(etcd) => Quorum { members: etcd.members.iter().map(voter).collect() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Service {
        Service::of(&nines_system::parse("test", text).unwrap(), &BTreeMap::from([("web".to_owned(), 2)]))
    }

    #[test]
    fn the_example_is_what_its_file_says() {
        let shop = read(include_str!("../../../../examples/pair.toml"));
        let zones: Vec<&str> = shop.hosts.iter().map(|host| shop.zones[host.zone].name.as_str()).collect();
        assert_eq!(zones, ["a", "b", "a", "b", "b"]);
        assert_eq!(shop.objective.unavailability(), 1e-4);
        let front = &shop.entries[0];
        assert_eq!((front.hosts.as_slice(), front.addresses[0].hosts.as_slice()), (&[0, 1][..], &[0, 1][..]));
        // Three intervals and the skew of priority 190: the 0.32 s of docs/virtual-ips.md.
        assert_eq!(front.addresses[0].notice.as_millis(), 325);
        assert_eq!(front.addresses[0].second, front.addresses[0].notice);
        let text = include_str!("../../../../examples/pair.toml");
        let text = text.replace("hosts = [\"lb1\", \"lb2\"]", "hosts = [\"lb1\", \"lb2\", \"app1\"]");
        let three = read(&text).entries[0].addresses[0].clone();
        assert!(three.notice > three.second && three.second == front.addresses[0].second, "{three:?}");
        let web = &shop.pools[front.serves[0].1];
        assert_eq!((web.hosts(), web.needed, web.stated, web.refuses_below), (vec![2, 3, 4], 2, true, 0));
        assert_eq!(web.check, CheckKind::Deep);
        // 1.1 s to the next check, which takes 0.5 s to fail, and another one right after it.
        assert_eq!(web.notice, Some(Duration::from_millis(2100)));
    }

    #[test]
    fn a_pool_that_refuses_needs_its_minimum() {
        let text = |rest: &str| {
            format!(
                "name = \"t\"\nhosts = {{ lb = \"10.0.0.1\", a = \"10.0.0.2\", b = \"10.0.0.3\", c = \"10.0.0.4\" }}\n\
                 [load_balancers.front]\nhosts = [\"lb\"]\nlisteners = [{{ bind = \":80\", pool = \"api\" }}]\n\
                 [pools.api]\nmembers = [\"a:1\", \"b:1\", \"c:1\"]\n{rest}"
            )
        };
        let refusing =
            read(&text("minimum_healthy = \"60 %\"\nwhen_too_few = \"refuse\"\ncheck = \"none\"\n"));
        assert_eq!((refusing.pools[0].refuses_below, refusing.pools[0].notice), (2, None));
        assert_eq!(read(&text("minimum_healthy = \"60 %\"\n")).pools[0].refuses_below, 0);
        assert_eq!(refusing.zones.len(), 1);
    }

    #[test]
    fn a_database_and_its_coordination_are_what_their_file_says() {
        let text = r#"
            name = "t"
            zones = ["a", "b", "c"]
            [hosts]
            lb = { zone = "a", address = "10.0.0.1" }
            db1 = { zone = "a", address = "10.0.0.2" }
            db2 = { zone = "b", address = "10.0.0.3" }
            db3 = { zone = "c", address = "10.0.0.4" }
            [load_balancers.front]
            hosts = ["lb"]
            listeners = [{ bind = ":5432", database = "main" }, { bind = ":5433", database = "main", access = "read-only" }]
            [databases.main]
            engine = "postgresql"
            hosts = ["db1", "db2", "db3"]
            durability = "available"
            lease = "2s"
            heartbeat = "250ms"
            replication_password = "a-long-text-that-nobody-can-guess"
            [coordination]
            etcd = ["db1:2379", "10.9.0.31:2379", "etcd3.example:2379"]
        "#;
        let service = read_alone(text);
        let main = &service.databases[0];
        assert_eq!((main.hosts.as_slice(), main.confirm, main.strict), (&[1, 2, 3][..], 1, false));
        assert_eq!(main.notice(), Duration::from_millis(2350));
        let voters = &service.quorum.as_ref().unwrap().members;
        let hosts: Vec<Option<usize>> = voters.iter().map(|voter| voter.host).collect();
        assert_eq!(hosts, [Some(1), None, None]);
        let reached: Vec<_> =
            service.entries[0].serves.iter().map(|(_, pool)| service.pools[*pool].reaches).collect();
        use super::super::Access::{ReadOnly, ReadWrite};
        assert_eq!(reached, [Some((0, ReadWrite)), Some((0, ReadOnly))]);
    }

    fn read_alone(text: &str) -> Service {
        let system =
            nines_system::parse("test", text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
        Service::of(&system, &BTreeMap::new())
    }
}
