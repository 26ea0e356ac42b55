//! What is lost of a service while some of its places are gone: the rules of the tree, asked at one moment and of one group.

use super::{Kind, Ways, ways};
use crate::service::{Service, Voter};

/// Whether a host fails with this.
pub(crate) fn takes(service: &Service, kind: &Kind, host: usize) -> bool {
    match kind {
        Kind::Host(of) => host == *of,
        Kind::Zone(of) => service.zone_of(host) == *of,
        Kind::Region(of) => service.region_of(host) == Some(of.as_str()),
        Kind::Shared(of) => service.is_under(&service.shared[*of], host),
        _ => false,
    }
}

/// Places that are gone, all at one time.
pub(crate) struct Fallen<'a> {
    service: &'a Service,
    places: Vec<&'a Kind>,
}

impl<'a> Fallen<'a> {
    pub(crate) fn new(service: &'a Service, places: impl IntoIterator<Item = &'a Kind>) -> Self {
        Self { service, places: places.into_iter().collect() }
    }

    pub(crate) fn has(&self, host: usize) -> bool {
        self.places.iter().any(|kind| takes(self.service, kind, host))
    }

    fn all(&self, hosts: &[usize]) -> bool {
        hosts.iter().all(|&host| self.has(host))
    }

    /// Whether clients of this load balancer come to none of its hosts.
    pub(crate) fn takes_entry(&self, at: usize) -> bool {
        let entry = &self.service.entries[at];
        self.all(&entry.hosts)
            || entry.addresses.iter().any(|address| self.all(&address.hosts))
            // As if all clients knew the first.
            || (!self.service.is_led(at) && entry.hosts.first().is_some_and(|&host| self.has(host)))
    }

    pub(crate) fn takes_pool(&self, at: usize) -> bool {
        !self.service.pools[at].serves(|member| !self.has(member.host))
    }

    /// Whether a database takes no writes, though hosts may agree on who is its primary.
    pub(crate) fn takes_database(&self, at: usize) -> bool {
        self.lacks_of_database(at) > 0
    }

    /// How many hosts more there would have to be.
    fn lacks_of_database(&self, at: usize) -> usize {
        let database = &self.service.databases[at];
        if !database.can_fail_over() {
            return usize::from(database.hosts.first().is_some_and(|&host| self.has(host)));
        }
        let left = database.hosts.iter().filter(|&&host| !self.has(host)).count();
        // One after the other, the rule shrinks with them; at one stroke it can't.
        let at_once = self.places.iter().map(|kind| {
            let lost = database.hosts.iter().filter(|&&host| takes(self.service, kind, host)).count();
            if database.may_lack_writes(lost) { lost - database.confirm } else { 0 }
        });
        at_once.max().unwrap_or(0).max(database.least().saturating_sub(left))
    }

    /// Whether the hosts of databases can't agree any more.
    pub(crate) fn takes_quorum(&self) -> bool {
        self.lacks_of_quorum() > 0
    }

    fn lacks_of_quorum(&self) -> usize {
        let elsewhere =
            |name: &String| self.places.iter().any(|kind| matches!(kind, Kind::Elsewhere(of) if of == name));
        let gone = |voter: &&Voter| voter.host.map_or_else(|| elsewhere(&voter.name), |host| self.has(host));
        let quorum = self.service.asked_quorum().filter(|quorum| !quorum.members.is_empty());
        quorum.map_or(0, |quorum| {
            let left = quorum.members.len() - quorum.members.iter().filter(gone).count();
            quorum.majority().saturating_sub(left)
        })
    }

    /// Whether clients do without something while these last, whoever takes over elsewhere.
    pub(crate) fn takes_service(&self) -> bool {
        self.lacks() > Fallen::new(self.service, []).lacks()
    }

    /// How much of what clients need is lost, each thing once, and of databases and votes how many: nothing if the service is there.
    pub(crate) fn lacks(&self) -> usize {
        let service = self.service;
        let mut doors: Vec<Vec<usize>> = Vec::new();
        for (_, ways, _) in ways(service) {
            match ways {
                Ways::Entry(at) => doors.push(vec![at]),
                Ways::Name(at, entries) if service.names[at].has_alternatives() => doors.push(entries),
                Ways::Name(_, entries) => doors.extend(entries.into_iter().map(|at| vec![at])),
            }
        }
        doors.sort_unstable();
        doors.dedup();
        let shut = doors.iter().filter(|door| door.iter().all(|&at| self.takes_entry(at))).count();
        let pools = (0..service.pools.len()).filter(|&at| service.pools[at].reaches.is_none());
        let served =
            |pool: &usize| service.entries.iter().any(|of| of.serves.iter().any(|(_, at)| at == pool));
        let pools = pools.filter(served).filter(|&at| self.takes_pool(at)).count();
        let databases: usize = (0..service.databases.len()).map(|at| self.lacks_of_database(at)).sum();
        // Of a directory of one machine nothing is left where there are several.
        let alone = service.asked_quorum().is_some_and(|of| of.members.is_empty())
            && service.databases.iter().any(|database| database.hosts.len() > 1);
        shut + pools + databases + self.lacks_of_quorum() + usize::from(alone)
    }
}
