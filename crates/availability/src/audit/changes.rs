//! What could be changed, and the minutes a year that it buys: each change is made, and everything worked out again.

mod surroundings;

use std::time::Duration;

use serde::Serialize;

use super::{Options, is_fatal};
use crate::assumptions::{Assumptions, Case};
use crate::bounds::Interval;
use crate::model::{Kind, Model};
use crate::nines::MINUTES_PER_YEAR;
use crate::service::{Address, Host, Member, Quorum, Service, Voter, Zone};
use crate::structure::{Analysis, Limits};

/// Changes that are tried.
const MOST: usize = 24;
/// Combinations of failed zones: the differences between services need fewer than the figure itself.
const SCENARIOS: usize = 300;
/// Until a virtual address that is not there yet is taken by the second host: with the default interval.
const SILENCE: Duration = Duration::from_millis(325);
/// What rehearsing until it works is taken to reach.
const REHEARSED: f64 = 0.99;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub text: String,
    /// Minutes of downtime a year that it takes away; less than nothing if it adds some.
    pub saves: Option<f64>,
    /// Single points of failure that are none afterwards.
    pub removes: Vec<String>,
    /// How many machines more it takes.
    pub hosts: usize,
}

/// A service, or what is assumed of it, with one thing changed.
struct Candidate {
    text: String,
    service: Service,
    assumptions: Option<Assumptions>,
}

/// The change with the fewest new machines that takes this single point of failure away, and of these the one that saves most.
pub(super) fn remedy(changes: &[Change], component: &str) -> Option<String> {
    let removing = changes.iter().filter(|change| change.removes.iter().any(|removed| removed == component));
    let best = removing.min_by(|a, b| {
        let saved = |change: &Change| change.saves.unwrap_or(0.0);
        a.hosts.cmp(&b.hosts).then(saved(b).total_cmp(&saved(a)))
    });
    best.map(|change| change.text.clone())
}

/// What saves most comes first; what neither saves anything nor removes a single point of failure is left out.
pub(super) fn changes(
    service: &Service,
    options: &Options,
    (model, analysis): (&Model, Option<&Analysis>),
    single: &[Kind],
) -> (Vec<Change>, usize) {
    let limits = Limits { scenarios: options.limits.scenarios.min(SCENARIOS), ..options.limits };
    let minutes = |analysis: &Analysis, model: &Model| {
        model.unavailability_within(limits.scenarios, analysis).likely * MINUTES_PER_YEAR
    };
    let now = analysis.map(|analysis| minutes(analysis, model));
    let candidates = candidates(service, options);
    let not_tried = candidates.len().saturating_sub(MOST);
    let mut changes: Vec<Change> = candidates
        .into_iter()
        .take(MOST)
        .filter_map(|candidate| {
            let assumptions = candidate.assumptions.as_ref().unwrap_or(&options.assumptions);
            let model = Model::of(&candidate.service, assumptions, Case::Likely);
            let analysis = model.analyse(limits).ok()?;
            let after = minutes(&analysis, &model);
            let removed = single.iter().filter(|kind| !is_fatal(&model, kind));
            Some(Change {
                text: candidate.text,
                saves: now.map(|now| now - after),
                removes: removed.map(|kind| kind.label(service)).collect(),
                hosts: candidate.service.hosts.len() - service.hosts.len(),
            })
        })
        .filter(|change| !change.removes.is_empty() || change.saves.is_some_and(|saves| saves > 0.01))
        .collect();
    changes.sort_by(|a, b| b.saves.unwrap_or(0.0).total_cmp(&a.saves.unwrap_or(0.0)));
    (changes, not_tried)
}

fn candidates(service: &Service, options: &Options) -> Vec<Candidate> {
    // What takes no machines comes first: of many changes only some are tried.
    let mut all = habits(service, options);
    let mut add = |text: String, service: Service| all.push(Candidate { text, service, assumptions: None });
    for at in 0..service.entries.len() {
        entry(service, at, &mut add);
    }
    for at in 0..service.databases.len() {
        database(service, at, &mut add);
    }
    if let Some(quorum) = service.quorum.as_ref().filter(|_| !service.databases.is_empty()) {
        coordination(service, quorum, &mut add);
    }
    for at in (0..service.pools.len()).filter(|&at| service.pools[at].reaches.is_none()) {
        pool(service, at, &mut add);
    }
    surroundings::candidates(service, &mut add);
    all
}

type Add<'a> = &'a mut dyn FnMut(String, Service);

/// The zone with the fewest hosts that is none of these; a new one if there is no other.
fn other_zone(service: &mut Service, used: &[usize]) -> usize {
    let hosts = |zone: &usize| service.hosts.iter().filter(|host| host.zone == *zone).count();
    let free = (0..service.zones.len()).filter(|zone| !used.contains(zone)).min_by_key(hosts);
    free.unwrap_or_else(|| {
        service.zones.push(Zone { name: format!("{} (new)", service.zones.len() + 1), region: None });
        service.zones.len() - 1
    })
}

fn new_host(service: &mut Service, used: &[usize]) -> (usize, String) {
    let zone = other_zone(service, used);
    service.hosts.push(Host { name: "new".into(), zone, ..Host::default() });
    (service.hosts.len() - 1, service.zones[zone].name.clone())
}

/// Moves the last of these hosts to a zone that none of them is in.
fn spread(service: &Service, hosts: &[usize], what: &str, add: Add<'_>) {
    let Some(&last) = hosts.last() else { return };
    let mut changed = service.clone();
    let zone = other_zone(&mut changed, &service.zones_of(hosts));
    changed.hosts[last].zone = zone;
    let text = format!(
        "{} of {what} in zone {} instead of {}",
        service.hosts[last].name,
        changed.zones[zone].name,
        service.zones[service.zone_of(last)].name
    );
    add(text, changed);
}

/// Hosts of the zone that holds most of them.
fn most_together(service: &Service, hosts: &[usize]) -> Vec<usize> {
    let within = |zone: usize| hosts.iter().copied().filter(move |&host| service.zone_of(host) == zone);
    let zone = service.zones_of(hosts).into_iter().max_by_key(|&zone| within(zone).count());
    zone.map(|zone| within(zone).collect()).unwrap_or_default()
}

fn new_address(hosts: &[usize]) -> Address {
    let name = "a virtual address".into();
    Address { name, hosts: hosts.to_vec(), notice: SILENCE, second: SILENCE, preempt: true, group: None }
}

fn entry(service: &Service, at: usize, add: Add<'_>) {
    let entry = &service.entries[at];
    let zones = service.zones_of(&entry.hosts);
    if entry.hosts.len() == 1 {
        let mut changed = service.clone();
        let (host, zone) = new_host(&mut changed, &zones);
        changed.entries[at].hosts.push(host);
        changed.entries[at].addresses.iter_mut().for_each(|address| address.hosts.push(host));
        let mut text = format!("a second host for {} in zone {zone}", entry.name);
        if !changed.is_led(at) {
            let address = new_address(&changed.entries[at].hosts);
            changed.entries[at].addresses.push(address);
            text.push_str(", and a virtual address");
        }
        add(text, changed);
    } else if zones.len() == 1 && service.stand_ins(at).is_empty() {
        spread(service, &entry.hosts, &entry.name, add);
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

fn database(service: &Service, at: usize, add: Add<'_>) {
    let database = &service.databases[at];
    let zones = service.zones_of(&database.hosts);
    let mut more = |count: usize, confirm: usize| {
        let mut changed = service.clone();
        let mut used = zones.clone();
        for _ in 0..count {
            let (host, _) = new_host(&mut changed, &used);
            used.push(changed.hosts[host].zone);
            changed.databases[at].hosts.push(host);
        }
        changed.databases[at].confirm = confirm;
        let names: Vec<&str> =
            used[zones.len()..].iter().map(|&zone| changed.zones[zone].name.as_str()).collect();
        let noun = if count == 1 { "a standby" } else { "standbys" };
        let text =
            format!("{noun} of {} in zone {}, {confirm} confirming", database.name, names.join(" and "));
        add(text, changed);
    };
    match database.hosts.len() {
        1 => more(2, 1),
        hosts if database.strict && database.confirm + 1 == hosts => more(1, database.confirm),
        _ if !database.can_fail_over() => {}
        _ => more(1, database.confirm),
    }
    if database.hosts.len() > 1 && database.confirm == 0 {
        let mut changed = service.clone();
        changed.databases[at].confirm = 1;
        add(format!("a standby of {} confirms each write", database.name), changed);
    }
    let together = most_together(service, &database.hosts);
    if together.len() > database.confirm.max(1) {
        let mut changed = service.clone();
        let zone = other_zone(&mut changed, &zones);
        let host = together[together.len() - 1];
        changed.hosts[host].zone = zone;
        let text = format!(
            "{} of {} in zone {} instead of {}",
            service.hosts[host].name,
            database.name,
            changed.zones[zone].name,
            service.zones[service.zone_of(host)].name
        );
        add(text, changed);
    }
}

fn coordination(service: &Service, quorum: &Quorum, add: Add<'_>) {
    let hosts: Vec<usize> = quorum.members.iter().filter_map(|voter| voter.host).collect();
    if quorum.members.len() < 3 {
        let mut changed = service.clone();
        let mut members = quorum.members.clone();
        let mut used = service.zones_of(&hosts);
        while members.len() < 3 {
            let (host, _) = new_host(&mut changed, &used);
            used.push(changed.hosts[host].zone);
            members.push(Voter::new(format!("new {}", members.len() + 1), Some(host)));
        }
        changed.quorum = Some(Quorum { members });
        add("three coordination members in three zones".into(), changed);
        return;
    }
    let together = most_together(service, &hosts);
    if quorum.members.len() - together.len() < quorum.majority() {
        let mut changed = service.clone();
        let (host, zone) = new_host(&mut changed, &service.zones_of(&hosts));
        let last = together[together.len() - 1];
        let members = changed.quorum.iter_mut().flat_map(|quorum| &mut quorum.members);
        members.filter(|voter| voter.host == Some(last)).for_each(|voter| voter.host = Some(host));
        let text = format!(
            "the coordination member of {} on a host in zone {zone} instead",
            service.hosts[last].name
        );
        add(text, changed);
    }
}

fn pool(service: &Service, at: usize, add: Add<'_>) {
    let pool = &service.pools[at];
    let hosts = pool.hosts();
    let together = most_together(service, &hosts).len();
    let in_zone = |zone: usize| move |member: &Member| service.zone_of(member.host) == zone;
    let most = service.zones_of(&hosts).into_iter().map(|zone| pool.carried(in_zone(zone))).max();
    let missing = (pool.load() + most.unwrap_or(0)).saturating_sub(pool.carried(|_| true));
    let missing = missing.max((pool.refuses_below + together).saturating_sub(hosts.len()));
    if missing == 0 || hosts.is_empty() {
        return;
    }
    let mut changed = service.clone();
    // As many as the zone that holds most of them, spread over the others.
    let mut used = service.zones_of(&hosts);
    if used.len() > 1 {
        used = service.zones_of(&most_together(service, &hosts));
    }
    let mut zones = Vec::new();
    for number in 0..missing.min(100) {
        let (host, zone) = new_host(&mut changed, &used);
        zones.push(zone);
        let name = format!("new {}", number + 1);
        changed.pools[at].members.push(Member::new(name, host));
    }
    zones.sort_unstable();
    zones.dedup();
    let noun = if missing == 1 { "one more member" } else { "more members" };
    let count = if missing == 1 { String::new() } else { format!("{} ", zones.len().max(missing)) };
    add(format!("{count}{noun} of {} in zone {}", pool.name, zones.join(" and ")), changed);
}

/// What is not in the file but in how it is run.
fn habits(service: &Service, options: &Options) -> Vec<Candidate> {
    let mut all = Vec::new();
    let assumed = options.assumptions.coverage.value;
    if assumed.likely < REHEARSED {
        let unknown = |name: &&String| !options.assumptions.rehearsed.contains_key(*name);
        let entries =
            service.entries.iter().filter(|entry| entry.addresses.iter().any(|of| of.hosts.len() > 1));
        let databases = service.databases.iter().filter(|database| database.can_fail_over());
        let names = entries.map(|entry| &entry.name).chain(databases.map(|database| &database.name));
        let names: Vec<&String> = names.filter(unknown).collect();
        if !names.is_empty() {
            let mut assumptions = options.assumptions.clone();
            assumptions.coverage.value = Interval { likely: REHEARSED, ..assumed };
            let list: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let text = format!("failovers of {} rehearsed until 99 of 100 come about", list.join(" and "));
            all.push(Candidate { text, service: service.clone(), assumptions: Some(assumptions) });
        }
    }
    let mut assumptions = options.assumptions.clone();
    let rate = &mut assumptions.change.per_year.value;
    *rate = rate.map(|rate| rate / 10.0);
    let text = "changes go to a part first, so that nine of ten that break something break little".to_owned();
    all.push(Candidate { text, service: service.clone(), assumptions: Some(assumptions) });
    all
}
