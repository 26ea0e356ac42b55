//! One more of what is there twice already, for when two things are gone.

use super::Add;
use super::parts::{
    MACHINES, Place, entry_host, more_members, most_together, near_addresses, new_host, with_voters,
};
use super::surroundings::{NOTICE, TTL};
use crate::service::{Name, Quorum, Service};

pub(super) fn entry(service: &Service, at: usize, avoid: &[usize], add: Add<'_>) {
    let entry = &service.entries[at];
    if entry.hosts.len() < 2 {
        return;
    }
    let zones = service.zones_of(&entry.hosts);
    let named = service.names.iter().any(|name| name.entries.contains(&at) && name.has_alternatives());
    // An address belongs to one network, which is taken to end with the zone where no host says otherwise.
    if !entry.addresses.is_empty() && zones.len() == 1 && named {
        further_entry(service, at, avoid, add);
        return;
    }
    let mut changed = service.clone();
    let (place, network) = near_addresses(entry);
    let zone = entry_host(&mut changed, at, &[&zones, avoid].concat(), place);
    add(format!("one more host for {} in zone {zone}{network}", entry.name), changed);
}

/// A load balancer besides this one, that clients are led to by name: where no address can go.
pub(super) fn further_entry(service: &Service, at: usize, avoid: &[usize], add: Add<'_>) {
    let entry = &service.entries[at];
    let names: Vec<usize> =
        (0..service.names.len()).filter(|&name| service.names[name].entries.contains(&at)).collect();
    let beside = names.iter().flat_map(|&name| &service.names[name].entries).chain([&at]);
    let hosts: Vec<usize> = beside.flat_map(|&at| service.entries[at].hosts.iter().copied()).collect();
    let mut changed = service.clone();
    let (host, zone) = new_host(&mut changed, &[&service.zones_of(&hosts), avoid].concat(), Place::Far);
    let number = service.entries.len();
    let mut other = entry.clone();
    (other.name, other.hosts) = (format!("{} (new {number})", entry.name), vec![host]);
    other.addresses.clear();
    changed.entries.push(other);
    let mut follow = names.is_empty();
    let mut leads = Vec::new();
    for &name in &names {
        let name = &mut changed.names[name];
        name.entries.push(number);
        leads.push(name.name.clone());
        if !name.has_alternatives() {
            (name.checked, follow) = (Some(NOTICE), true);
        }
    }
    if names.is_empty() {
        let (name, entries) = ("a new name".to_owned(), vec![at, number]);
        leads.push(name.clone());
        changed.names.push(Name { name, entries, ttl: TTL, checked: Some(NOTICE), retry: false });
    }
    let follow =
        if follow { format!(", with answers that follow health within {NOTICE:?}") } else { String::new() };
    let like = &entry.name;
    let text = format!(
        "a load balancer besides {like} in zone {zone}, and {} that leads clients there as well{follow}",
        leads.join(" and ")
    );
    add(text, changed);
}

pub(super) fn coordination(service: &Service, quorum: &Quorum, avoid: &[usize], add: Add<'_>) {
    if quorum.members.len() > 2 {
        let (changed, places) = with_voters(service, quorum, quorum.members.len() + 2, avoid);
        add(format!("two more coordination members, {places}"), changed);
    }
}

pub(super) fn pool(service: &Service, at: usize, avoid: &[usize], add: Add<'_>) {
    let hosts = service.pools[at].hosts();
    let used = [&service.zones_of(&hosts), avoid].concat();
    let together = most_together(service, &hosts).len().clamp(1, MACHINES);
    for count in std::iter::once(1).chain((together > 1).then_some(together)) {
        let (text, changed) = more_members(service, at, count, &used);
        add(text, changed);
    }
}
