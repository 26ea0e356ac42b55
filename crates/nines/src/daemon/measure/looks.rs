//! What is seen of each subject now, from what the daemon knows anyway.

use std::collections::BTreeMap;

use nines_availability::measurement::{Kind, Look, Subject};
use nines_control::failover::NO_STORE;
use nines_control::statistics::Statistics;
use nines_control::status::{
    DatabaseStatus, Health, ListenerStatus, MemberStatus, PoolStatus, Standing, VirtualIpStatus,
};
use nines_system::{HostId, System};

pub(crate) type Looks = BTreeMap<Subject, Look>;

/// What there is to look at.
pub(crate) struct Sight<'a> {
    pub(crate) system: &'a System,
    pub(crate) host: HostId,
    pub(crate) listeners: &'a [ListenerStatus],
    pub(crate) virtual_ips: &'a [VirtualIpStatus],
    pub(crate) pools: &'a [PoolStatus],
    pub(crate) databases: &'a [DatabaseStatus],
    pub(crate) statistics: &'a Statistics,
}

impl Sight<'_> {
    pub(crate) fn looks(&self) -> Looks {
        let mut looks = Looks::new();
        for listener in self.listeners {
            let counted = self.statistics.listeners.iter().find(|one| one.name == listener.name);
            let look = Look {
                on_duty: self.on_duty(&listener.name),
                // One whose pools can't serve answers, and answers badly.
                able: listener.open && listener.pools.iter().all(|pool| self.serves(pool)),
                good: counted.map_or(0, |one| one.good),
                bad: counted.map_or(0, |one| one.bad),
                waiting: counted.map_or(0, |one| one.waiting),
            };
            looks.insert(Subject::new(Kind::Listener, &listener.name), look);
        }
        for pool in self.pools {
            let counted = self.statistics.pools.iter().find(|one| one.name == pool.name);
            let mut reached_by = self.listeners.iter().filter(|listener| listener.pools.contains(&pool.name));
            let look = Look {
                on_duty: reached_by.any(|listener| self.on_duty(&listener.name)),
                able: self.serves(&pool.name),
                good: counted.map_or(0, |one| one.good),
                bad: counted.map_or(0, |one| one.bad),
                waiting: counted.map_or(0, |one| one.waiting),
            };
            looks.insert(Subject::new(Kind::Pool, &pool.name), look);
        }
        for database in self.databases {
            looks.insert(Subject::new(Kind::Database, &database.name), self.database(database));
        }
        looks
    }

    fn serves(&self, pool: &str) -> bool {
        let pool = self.pools.iter().find(|one| one.name == pool);
        // Where too few are healthy all may get traffic. That they are tried does not make them able.
        let able = |member: &MemberStatus| member.eligible && member.health != Health::Down;
        pool.is_some_and(|pool| pool.members.iter().any(able))
    }

    /// Where there are virtual addresses, clients come to who holds them. Else each host is asked.
    fn on_duty(&self, listener: &str) -> bool {
        let load_balancer = before_slash(listener);
        let mut addresses =
            self.virtual_ips.iter().filter(|one| before_slash(&one.name) == load_balancer).peekable();
        addresses.peek().is_none() || addresses.any(|one| one.held && one.state == Standing::Master)
    }

    /// For writes. Who has the primary knows. Another one knows only when nobody can have it.
    fn database(&self, of: &DatabaseStatus) -> Look {
        let me = &self.system[self.host].name;
        let primary = of.primary.as_ref() == Some(me);
        let nobody = of.failover.as_ref().is_some_and(|known| {
            let lease = self.system.databases.iter().find(|one| one.name == of.name).map(|one| one.lease);
            let in_contact = !known.problems.iter().any(|problem| problem == NO_STORE);
            // Its holder counts from earlier than others can see, and clocks differ by less than a twentieth.
            let run_out = lease.is_some_and(|lease| known.lease.unchanged > lease + lease / 20);
            in_contact && known.rule.is_some() && (known.takeover.is_some() || run_out)
        });
        let unreachable = of.gate.refused.get("unreachable").copied().unwrap_or(0);
        Look {
            on_duty: of.serves || primary || nobody,
            able: of.serves,
            good: of.gate.accepted,
            bad: of.gate.cut + of.gate.unconfirmed + unreachable,
            waiting: 0,
        }
    }
}

fn before_slash(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// By subject, as it writes itself: what else events are about that tell of it.
pub(crate) fn related(system: &System, host: HostId) -> BTreeMap<String, Vec<String>> {
    let mut related = BTreeMap::new();
    let me = system[host].name.clone();
    for id in system.load_balancers_on(host) {
        let load_balancer = &system[id];
        let addresses = load_balancer.virtual_ips.iter().filter_map(|one| one.addresses.first());
        let addresses: Vec<String> =
            addresses.map(|address| format!("{}/{address}", load_balancer.name)).collect();
        for listener in &load_balancer.listeners {
            let pools = listener.protocol.pools().into_iter().map(|pool| system[pool].name.clone());
            let all: Vec<String> = pools.chain(addresses.clone()).chain([me.clone()]).collect();
            let name = format!("{}/{}", load_balancer.name, listener.name);
            related.insert(Subject::new(Kind::Listener, name).to_string(), all);
        }
    }
    for pool in &system.pools {
        related.insert(Subject::new(Kind::Pool, &pool.name).to_string(), vec![me.clone()]);
    }
    for id in system.databases_on(host) {
        related.insert(Subject::new(Kind::Database, &system[id].name).to_string(), vec![me.clone()]);
    }
    related
}
