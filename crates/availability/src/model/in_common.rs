//! What hosts that stand in for one another have in common besides places: one event takes all of them at once.
//!
//! Groups that share two hosts or more (a database's hosts, and the coordination beside them) share the cause as well, directly or by
//! a third one: what takes all of the larger group takes the smaller, and must not be counted for each of them. Adding a host only
//! ever makes more of groups one, so that it makes nothing worse.

use super::{Builder, Kind};
use crate::distribution::Hours;
use crate::service::Service;
use crate::structure::NodeId;

/// One cause, of groups that have hosts in common.
#[derive(Clone, Copy)]
pub(super) struct Cause {
    per_hour: f64,
    repair: Hours,
    /// Once a group has asked for it.
    event: Option<NodeId>,
}

/// Causes, and which of them each set of hosts has.
#[derive(Default)]
pub(super) struct InCommon {
    causes: Vec<Cause>,
    of: Vec<(Vec<usize>, usize)>,
}

fn apart(hosts: &[usize]) -> Vec<usize> {
    let mut apart = hosts.to_vec();
    apart.sort_unstable();
    apart.dedup();
    apart
}

/// Sets of hosts that stand in for one another, each once.
fn groups(service: &Service) -> Vec<Vec<usize>> {
    let databases = service.databases.iter().filter(|database| database.can_fail_over());
    let mut all: Vec<Vec<usize>> = databases.map(|database| apart(&database.hosts)).collect();
    let quorum = service.asked_quorum();
    let voters = |quorum: &crate::service::Quorum| {
        apart(&quorum.members.iter().filter_map(|voter| voter.host).collect::<Vec<_>>())
    };
    all.extend(quorum.map(voters));
    all.extend(service.entries.iter().map(|entry| apart(&entry.hosts)));
    all.extend(service.names.iter().filter(|name| name.has_alternatives()).map(|name| {
        let hosts = name.entries.iter().flat_map(|&entry| service.entries[entry].hosts.iter().copied());
        apart(&hosts.collect::<Vec<_>>())
    }));
    all.extend(service.pools.iter().filter(|pool| pool.reaches.is_none()).map(|pool| apart(&pool.hosts())));
    all.retain(|hosts| hosts.len() > 1);
    all.sort_unstable();
    all.dedup();
    all
}

/// For each set the first one that it shares its cause with.
fn firsts(groups: &[Vec<usize>], hosts: usize) -> Vec<usize> {
    let mut first: Vec<usize> = (0..groups.len()).collect();
    let find = |first: &[usize], mut at: usize| {
        while first[at] != at {
            at = first[at];
        }
        at
    };
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); hosts];
    for (at, group) in groups.iter().enumerate() {
        let mut both = vec![0; at];
        for &host in group {
            for &other in &users[host] {
                both[other] += 1;
            }
            users[host].push(at);
        }
        for other in (0..at).filter(|&other| both[other] > 1) {
            let (a, b) = (find(&first, at), find(&first, other));
            first[a.max(b)] = a.min(b);
        }
    }
    (0..groups.len()).map(|at| find(&first, at)).collect()
}

impl Builder<'_> {
    pub(super) fn find_common_causes(&mut self) {
        let groups = groups(self.service);
        let firsts = firsts(&groups, self.service.hosts.len());
        let assumed = self.rates.of.host.repair;
        let mut causes: Vec<Cause> = Vec::new();
        let mut place: Vec<Option<usize>> = vec![None; groups.len()];
        for (hosts, first) in groups.into_iter().zip(firsts) {
            // What takes all of them is no more frequent than the best one's own failures, and over when the first is back.
            let least = |of: &dyn Fn(usize) -> f64| {
                hosts.iter().map(|&host| of(host)).min_by(f64::total_cmp).unwrap_or_default()
            };
            let per_hour = least(&|host| self.host_rate(host)) * self.rates.common_cause();
            let hours = least(&|host| self.host_failing(host).repair.mean());
            let cause = Cause { per_hour, repair: assumed.scaled(hours / assumed.mean()), event: None };
            let load = |of: &Cause| of.per_hour * of.repair.mean();
            let at = *place[first].get_or_insert(causes.len());
            match causes.get_mut(at) {
                // The worst of those that share it, which is still no worse than one for each of them.
                Some(known) if load(known) < load(&cause) => *known = cause,
                Some(_) => {}
                None => causes.push(cause),
            }
            self.in_common.of.push((hosts, at));
        }
        self.in_common.causes = causes;
    }

    /// A redundant group may fail as a whole: its hosts have more in common than a zone.
    pub(super) fn with_common_cause(&mut self, name: &str, hosts: &[usize], node: NodeId) -> NodeId {
        let apart = apart(hosts);
        let known = self.in_common.of.binary_search_by(|(hosts, _)| hosts.cmp(&apart));
        let Some(at) = known.ok().map(|place| self.in_common.of[place].1) else { return node };
        let Cause { per_hour, repair, event } = self.in_common.causes[at];
        let common = event.unwrap_or_else(|| {
            let event = self.event(Kind::CommonCause(name.to_owned()), per_hour, repair);
            self.in_common.causes[at].event = Some(event);
            event
        });
        self.model.tree.any([node, common])
    }
}
