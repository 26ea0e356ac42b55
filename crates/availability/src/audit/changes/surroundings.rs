//! Changes to what is around the hosts: a second one of what they share, names whose answers follow health.

use std::time::Duration;

use super::Add;
use crate::service::{Pool, Service, Shared};

/// What answers that follow health are taken to be like.
pub(super) const NOTICE: Duration = Duration::from_secs(30);
pub(super) const TTL: Duration = Duration::from_secs(30);

pub(super) fn name(service: &Service, at: usize, add: Add<'_>) {
    let name = &service.names[at];
    if name.entries.len() < 2 {
        return;
    }
    let mut changed = service.clone();
    if !name.has_alternatives() {
        changed.names[at].checked = Some(NOTICE);
        add(format!("answers for {} that follow health within {NOTICE:?}", name.name), changed);
    } else if name.moves_within().is_some() && name.ttl > TTL {
        changed.names[at].ttl = TTL;
        add(format!("clients of {} keep answers for {TTL:?}", name.name), changed);
    }
}

/// One for each zone where it reaches over several; else a second one for every other host of each group.
pub(super) fn second(service: &Service, at: usize, add: Add<'_>) {
    let shared = &service.shared[at];
    let hosts: Vec<usize> = (0..service.hosts.len()).filter(|&host| service.is_under(shared, host)).collect();
    let zones = service.zones_of(&hosts);
    let mut changed = service.clone();
    let apart = |hosts: Vec<usize>| Shared { hosts, zones: Vec::new(), ..shared.clone() };
    if zones.len() > 1 {
        let of_zone = |&zone: &usize| {
            apart(hosts.iter().copied().filter(|&host| service.zone_of(host) == zone).collect())
        };
        let mut parts: Vec<Shared> = zones.iter().map(of_zone).collect();
        changed.shared[at] = parts.remove(0);
        changed.shared.extend(parts);
        add(format!("a {} of its own for each zone in place of {}", shared.what, shared.name), changed);
        return;
    }
    let (mut first, mut other) = (Vec::new(), Vec::new());
    for group in groups(service) {
        for host in group.into_iter().filter(|host| hosts.contains(host)) {
            if first.contains(&host) || other.contains(&host) {
                continue;
            }
            // By turns, so that each has its part of each group.
            if first.len() <= other.len() { first.push(host) } else { other.push(host) }
        }
    }
    if other.is_empty() {
        return;
    }
    // Whoever is in no group stays where it is: on neither, it would seem to be safe.
    let rest: Vec<usize> =
        hosts.iter().copied().filter(|host| !first.contains(host) && !other.contains(host)).collect();
    first.extend(rest);
    let names: Vec<&str> = other.iter().map(|&host| service.hosts[host].name.as_str()).collect();
    let name = new_name(service, &shared.name);
    let text = format!("a second {}, {name}, beside {}, with {}", shared.what, shared.name, names.join(", "));
    changed.shared[at] = apart(first);
    changed.shared.push(Shared { name, ..apart(other) });
    add(text, changed);
}

/// `sw1-2`: so that it can be told from the one that is there, and from others that are new.
fn new_name(service: &Service, of: &str) -> String {
    let is_there = |name: &str| service.shared.iter().any(|shared| shared.name == name);
    let numbered = of.rsplit_once('-').filter(|(of, number)| number.parse::<usize>().is_ok() && is_there(of));
    let of = numbered.map_or(of, |(of, _)| of);
    let mut number = 2;
    while is_there(&format!("{of}-{number}")) {
        number += 1;
    }
    format!("{of}-{number}")
}

/// Hosts that stand in for one another.
fn groups(service: &Service) -> Vec<Vec<usize>> {
    let entries = service.entries.iter().map(|entry| entry.hosts.clone());
    let databases = service.databases.iter().map(|database| database.hosts.clone());
    let pools = service.pools.iter().filter(|pool| pool.reaches.is_none()).map(Pool::hosts);
    let votes = service.asked_quorum().map(|of| of.members.iter().filter_map(|voter| voter.host).collect());
    entries.chain(databases).chain(pools).chain(votes).collect()
}
