//! Changes to the parts of a service: one more of something, or the same things in other places.

use std::time::Duration;

use super::{Add, NETWORK, growth};
use crate::service::{Address, Entry, Host, Member, Quorum, Service, Voter, Zone};

/// Until a virtual address that is not there yet is taken by the second host: with the default interval.
const SILENCE: Duration = Duration::from_millis(325);
/// Machines more for one pool, and hosts that change places.
pub(super) const MACHINES: usize = 100;

/// Where something is to be, seen from what there is already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Rather in another region, so that one of them may be gone.
    Far,
    /// Rather in the same region: a virtual address belongs to one network.
    Near,
}

/// The zone with the fewest hosts that is none of these; a new one if there is no other.
fn other_zone(service: &mut Service, used: &[usize], place: Place) -> usize {
    let region = |zone: usize| service.zones[zone].region.as_deref();
    let is_near = |zone: usize| region(zone).is_some() && used.iter().any(|&of| region(of) == region(zone));
    let hosts = |zone: usize| service.hosts.iter().filter(|host| host.zone == zone).count();
    let others = (0..service.zones.len()).filter(|zone| !used.contains(zone));
    let free = others.min_by_key(|&zone| (is_near(zone) == (place == Place::Far), hosts(zone)));
    free.unwrap_or_else(|| {
        service.zones.push(Zone { name: format!("{} (new)", service.zones.len() + 1), region: None });
        service.zones.len() - 1
    })
}

pub(super) fn new_host(service: &mut Service, used: &[usize], place: Place) -> (usize, String) {
    let zone = other_zone(service, used, place);
    service.hosts.push(Host { name: "a new host".into(), zone, ..Host::default() });
    (service.hosts.len() - 1, service.zones[zone].name.clone())
}

/// Moves the last of these hosts to a zone that is none of those which are used.
fn spread(
    service: &Service,
    hosts: &[usize],
    used: &[usize],
    (what, place, network): (&str, Place, &str),
    add: Add<'_>,
) {
    let Some(&last) = hosts.last() else { return };
    let mut changed = service.clone();
    let zone = other_zone(&mut changed, used, place);
    changed.hosts[last].zone = zone;
    let text = format!(
        "{} of {what} in zone {} instead of {}{network}",
        service.hosts[last].name,
        changed.zones[zone].name,
        service.zones[service.zone_of(last)].name
    );
    add(text, changed);
}

/// Where another host of a load balancer is to be, and what to say of it.
pub(super) fn near_addresses(entry: &Entry) -> (Place, &'static str) {
    if entry.addresses.is_empty() { (Place::Far, "") } else { (Place::Near, NETWORK) }
}

/// Hosts of the zone that holds most of them.
pub(super) fn most_together(service: &Service, hosts: &[usize]) -> Vec<usize> {
    let within = |zone: usize| hosts.iter().copied().filter(move |&host| service.zone_of(host) == zone);
    let zone = service.zones_of(hosts).into_iter().max_by_key(|&zone| within(zone).count());
    zone.map(|zone| within(zone).collect()).unwrap_or_default()
}

/// Hosts that go at one stroke: those of the zones that are to be avoided, else of the zone that holds most.
fn together(service: &Service, hosts: &[usize], avoid: &[usize]) -> Vec<usize> {
    if avoid.is_empty() {
        return most_together(service, hosts);
    }
    hosts.iter().copied().filter(|&host| avoid.contains(&service.zone_of(host))).collect()
}

fn new_address(hosts: &[usize]) -> Address {
    let name = "a virtual address".into();
    Address { name, hosts: hosts.to_vec(), notice: SILENCE, second: SILENCE, preempt: true, group: None }
}

/// One more host of a load balancer, which may hold its addresses; and the zone that it is in.
pub(super) fn entry_host(service: &mut Service, at: usize, used: &[usize], place: Place) -> String {
    let (host, zone) = new_host(service, used, place);
    let entry = &mut service.entries[at];
    entry.hosts.push(host);
    entry.addresses.iter_mut().for_each(|address| address.hosts.push(host));
    zone
}

pub(super) fn entry(service: &Service, at: usize, avoid: &[usize], add: Add<'_>) {
    let entry = &service.entries[at];
    let zones = service.zones_of(&entry.hosts);
    let (place, network) = near_addresses(entry);
    if !avoid.is_empty() && zones.iter().all(|zone| avoid.contains(zone)) {
        // What takes whole regions takes the network of a virtual address.
        growth::further_entry(service, at, avoid, add);
    } else if entry.hosts.len() == 1 {
        let mut changed = service.clone();
        let mut names = service.names.iter().filter(|name| name.entries.contains(&at));
        let led = names.any(|name| name.retry || name.checked.is_some());
        let (place, network) = if led { (place, network) } else { (Place::Near, NETWORK) };
        let zone = entry_host(&mut changed, at, &zones, place);
        let mut text = format!("a second host for {} in zone {zone}", entry.name);
        if !changed.is_led(at) {
            let address = new_address(&changed.entries[at].hosts);
            changed.entries[at].addresses.push(address);
            text.push_str(", and a virtual address");
        }
        text.push_str(network);
        add(text, changed);
    } else if zones.len() == 1 && service.stand_ins(at).is_empty() {
        spread(service, &entry.hosts, &zones, (&entry.name, place, network), add);
    }
    if !service.is_led(at) {
        let mut changed = service.clone();
        changed.entries[at].addresses.push(new_address(&entry.hosts));
        add(format!("a virtual address for {}", entry.name), changed);
    }
    if entry.addresses.iter().any(|address| address.hosts.len() < entry.hosts.len()) {
        let mut changed = service.clone();
        for address in &mut changed.entries[at].addresses {
            let missing = entry.hosts.iter().copied().filter(|host| !address.hosts.contains(host));
            address.hosts.extend(missing.collect::<Vec<_>>());
        }
        add(format!("every host of {} may hold its addresses", entry.name), changed);
    }
}

pub(super) fn database(service: &Service, at: usize, avoid: &[usize], add: Add<'_>) {
    let database = &service.databases[at];
    let zones = service.zones_of(&database.hosts);
    let taken = [&zones, avoid].concat();
    let mut more = |count: usize, confirm: usize| {
        let mut changed = service.clone();
        let mut used = taken.clone();
        for _ in 0..count {
            let (host, _) = new_host(&mut changed, &used, Place::Far);
            used.push(changed.hosts[host].zone);
            changed.databases[at].hosts.push(host);
        }
        changed.databases[at].confirm = confirm;
        let names: Vec<&str> =
            used[taken.len()..].iter().map(|&zone| changed.zones[zone].name.as_str()).collect();
        let noun = if count == 1 { "a standby" } else { "standbys" };
        let mut text =
            format!("{noun} of {} in zone {}, {confirm} confirming", database.name, names.join(" and "));
        // A directory of one machine is none for several.
        let quorum = changed.quorum.as_mut().filter(|quorum| quorum.members.is_empty());
        if let Some(quorum) = quorum {
            let hosts = changed.databases[at].hosts.iter().enumerate();
            quorum.members =
                hosts.map(|(at, &host)| Voter::new(format!("new {}", at + 1), Some(host))).collect();
            text.push_str(", and an etcd member beside each host");
        }
        add(text, changed);
    };
    match database.hosts.len() {
        1 => more(2, 1),
        hosts if database.strict && database.confirm + 1 == hosts => more(1, database.confirm),
        _ if !database.can_fail_over() => {}
        _ => more(1, database.confirm),
    }
    if database.strict && database.confirm > 0 && database.confirm + 1 == database.hosts.len() {
        let mut changed = service.clone();
        let of = &mut changed.databases[at];
        if of.confirm > 1 {
            of.confirm -= 1;
            let text = format!("{} confirming for {} instead of {}", of.confirm, of.name, database.confirm);
            add(text, changed);
        } else {
            of.strict = false;
            let text = format!(
                "`durability = \"available\"` for {}: with a host gone it goes on, and what it then writes is on one disk alone",
                of.name
            );
            add(text, changed);
        }
    }
    if database.hosts.len() > 1 && database.confirm == 0 {
        let mut changed = service.clone();
        changed.databases[at].confirm = 1;
        add(format!("a standby of {} confirms each write", database.name), changed);
    }
    let together = together(service, &database.hosts, avoid);
    if together.len() > database.confirm.max(1) {
        spread(service, &together, &taken, (&database.name, Place::Far, ""), add);
    }
}

/// A host for a member of the coordination, which takes little: one that has a database or is a load balancer, in a zone that is
/// none of these; else a new one.
fn voter_host(service: &mut Service, used: &[usize]) -> usize {
    let voters = service.quorum.iter().flat_map(|quorum| &quorum.members);
    let taken: Vec<usize> = voters.filter_map(|voter| voter.host).collect();
    let databases = service.databases.iter().flat_map(|of| &of.hosts);
    let balancers = service.entries.iter().flat_map(|of| &of.hosts);
    let mut there = databases.chain(balancers).copied();
    let fits = |&host: &usize| !used.contains(&service.zone_of(host)) && !taken.contains(&host);
    match there.find(fits) {
        Some(host) => host,
        None => new_host(service, used, Place::Far).0,
    }
}

/// So many members, each more in a zone of its own where there is one; and where those that are more stand.
pub(super) fn with_voters(
    service: &Service,
    quorum: &Quorum,
    count: usize,
    avoid: &[usize],
) -> (Service, String) {
    let mut changed = service.clone();
    let hosts: Vec<usize> = quorum.members.iter().filter_map(|voter| voter.host).collect();
    let mut used = [&service.zones_of(&hosts), avoid].concat();
    let mut places = Vec::new();
    for number in quorum.members.len()..count {
        let host = voter_host(&mut changed, &used);
        used.push(changed.zone_of(host));
        places.push(match host < service.hosts.len() {
            true => format!("beside {}", service.hosts[host].name),
            false => format!("in zone {}", changed.zones[changed.zone_of(host)].name),
        });
        let voter = Voter::new(format!("new {}", number + 1), Some(host));
        changed.quorum.iter_mut().for_each(|quorum| quorum.members.push(voter.clone()));
    }
    (changed, places.join(" and "))
}

pub(super) fn coordination(service: &Service, quorum: &Quorum, avoid: &[usize], add: Add<'_>) {
    let hosts: Vec<usize> = quorum.members.iter().filter_map(|voter| voter.host).collect();
    if quorum.members.len() < 3 {
        let (changed, places) = with_voters(service, quorum, 3, avoid);
        add(format!("three coordination members in three zones, with new ones {places}"), changed);
        return;
    }
    let together = together(service, &hosts, avoid);
    if quorum.members.len() - together.len() < quorum.majority() {
        let mut changed = service.clone();
        let host = voter_host(&mut changed, &[&service.zones_of(&hosts), avoid].concat());
        let last = together[together.len() - 1];
        let members = changed.quorum.iter_mut().flat_map(|quorum| &mut quorum.members);
        members.filter(|voter| voter.host == Some(last)).for_each(|voter| voter.host = Some(host));
        let place = match host < service.hosts.len() {
            true => format!("on {}", service.hosts[host].name),
            false => "on a new host".to_owned(),
        };
        let zone = &changed.zones[changed.zone_of(host)].name;
        let text =
            format!("the coordination member of {} {place} in zone {zone} instead", service.hosts[last].name);
        add(text, changed);
    }
}

/// What new members are like: as able as the best there are.
fn like_the_best(service: &Service, at: usize, host: usize, number: usize) -> Member {
    let best = service.pools[at].members.iter().map(|member| member.weight).max();
    Member { weight: best.unwrap_or(1), ..Member::new(format!("new {number}"), host) }
}

pub(super) fn pool(service: &Service, at: usize, avoid: &[usize], add: Add<'_>) {
    let pool = &service.pools[at];
    let hosts = pool.hosts();
    let areas = areas(service, avoid);
    let most = areas.iter().map(|area| pool.carried(|of| area.contains(&service.zone_of(of.host)))).max();
    let missing = (pool.load() + most.unwrap_or(0)).saturating_sub(pool.carried(|_| true));
    let together = together(service, &hosts, avoid);
    let of_each = like_the_best(service, at, 0, 0);
    let missing = missing.div_ceil(pool.counts(&of_each).max(1));
    let missing = missing.max((pool.refuses_below + together.len()).saturating_sub(hosts.len()));
    if missing == 0 || hosts.is_empty() {
        return;
    }
    apart(service, at, areas, add);
    // As many as the zone that holds most of them, spread over the others; where that makes another one too full, elsewhere.
    let count = missing.min(MACHINES);
    let fullest = [&service.zones_of(&together), avoid].concat();
    let everywhere = [&service.zones_of(&hosts), avoid].concat();
    let first = if service.zones_of(&hosts).len() > 1 { &fullest } else { &everywhere };
    let mut made = more_members(service, at, count, first);
    let spares = |service: &Service| {
        let of = &service.pools[at];
        (0..service.zones.len()).all(|zone| of.serves(|member| service.zone_of(member.host) != zone))
    };
    if !spares(&made.1) {
        let elsewhere = more_members(service, at, count, &everywhere);
        if spares(&elsewhere.1) {
            made = elsewhere;
        }
    }
    add(made.0, made.1);
}

pub(super) fn more_members(service: &Service, at: usize, count: usize, used: &[usize]) -> (String, Service) {
    let mut changed = service.clone();
    let mut zones = Vec::new();
    for number in 1..=count {
        let (host, zone) = new_host(&mut changed, used, Place::Far);
        zones.push(zone);
        changed.pools[at].members.push(like_the_best(service, at, host, number));
    }
    zones.sort_unstable();
    zones.dedup();
    let members = if count == 1 { "one more member".to_owned() } else { format!("{count} more members") };
    (format!("{members} of {} in zone {}", service.pools[at].name, zones.join(" and ")), changed)
}

/// Zones of which one may be gone: those that are to be avoided are so all at once.
fn areas(service: &Service, avoid: &[usize]) -> Vec<Vec<usize>> {
    let others = (0..service.zones.len()).filter(|zone| !avoid.contains(zone)).map(|zone| vec![zone]);
    let at_once = (!avoid.is_empty()).then(|| avoid.to_vec());
    at_once.into_iter().chain(others).collect()
}

/// Members of the fullest area go to the emptiest, until none takes more than can be spared.
fn apart(service: &Service, at: usize, mut areas: Vec<Vec<usize>>, add: Add<'_>) {
    let mut changed = service.clone();
    if let [only] = areas.as_slice() {
        let zone = other_zone(&mut changed, &only.clone(), Place::Far);
        areas.push(vec![zone]);
    }
    let mut moved: Vec<(usize, usize)> = Vec::new();
    loop {
        let pool = &changed.pools[at];
        let is_in = |area: &[usize], member: &Member| area.contains(&changed.zone_of(member.host));
        let within = |area: &[usize]| pool.carried(|member| is_in(area, member));
        if areas.iter().all(|area| pool.serves(|member| !is_in(area, member))) {
            break;
        }
        let Some(fullest) = areas.iter().max_by_key(|area| within(area)) else { return };
        let Some(emptiest) = areas.iter().min_by_key(|area| within(area)) else { return };
        let there = |member: &&Member| !member.backup && is_in(fullest, member);
        let Some(host) = pool.members.iter().rev().find(there).map(|member| member.host) else { return };
        let carries = pool.carried(|member| member.host == host);
        // It would only be the other way round.
        if within(emptiest) + carries >= within(fullest) || moved.len() >= MACHINES {
            return;
        }
        let zone = emptiest[0];
        changed.hosts[host].zone = zone;
        moved.push((host, zone));
    }
    let Some((host, _)) = moved.first() else { return };
    let from = &service.zones[service.zone_of(*host)].name;
    let to = |(host, zone): &(usize, usize)| {
        format!("{} in zone {}", service.hosts[*host].name, changed.zones[*zone].name)
    };
    let moves: Vec<String> = moved.iter().map(to).collect();
    let text =
        format!("members of {} elsewhere: {} instead of {from}", service.pools[at].name, moves.join(", "));
    add(text, changed);
}
