//! The cases of places: all that is in a zone or a region, or shares a thing, is lost at one stroke, load balancers, servers and
//! databases together; and everything there is.

use std::collections::BTreeSet;
use std::sync::Arc;

use nines_system::{HostId, Shared, System};

use super::databases::written;
use super::doors::doors;
use super::servers::{members_on, server_pools};
use super::{Case, Component, ComponentKind, Promise, does_something, left, load_balancers};
use crate::fault::Fault;

/// Its power goes; its own network does, so that all of it is lost to all others and to itself; and its way to the world.
const OF_PLACES: [Fault; 3] = [Fault::PowerOff, Fault::CutOff, Fault::Partition];

/// What takes its hosts' network away when it fails, from each other as well; what takes their way to all others; and what takes their
/// power; as words of what a shared thing is.
const OF_NETWORKS: [&str; 3] = ["switch", "network", "vlan"];
const OF_WAYS: [&str; 12] = [
    "router", "uplink", "downlink", "link", "provider", "isp", "carrier", "transit", "firewall", "gateway",
    "cable", "fibre",
];
const OF_POWER: [&str; 14] = [
    "power",
    "electricity",
    "ups",
    "pdu",
    "generator",
    "breaker",
    "fuse",
    "circuit",
    "battery",
    "rack",
    "chassis",
    "hypervisor",
    "cooling",
    "room",
];

/// Each zone and each region of several, what hosts share, and all of it without power. What is shared and can't be broken is left
/// out, with the reason.
pub(super) fn cases(system: &System, left_out: &mut Vec<(String, String)>) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut things = Vec::new();
    for thing in &system.shared {
        match shared(system, thing) {
            Ok(of_it) => things.extend(of_it),
            Err(why) => left_out.push((format!("shared {}", thing.name), why)),
        }
    }
    let mut place =
        |name: String, kind: ComponentKind, faults: &[Fault], is_there: &dyn Fn(HostId) -> bool| {
            let hosts: Vec<HostId> = system.host_ids().filter(|&host| is_there(host)).collect();
            if let Some(component) = together(system, name, kind, &hosts) {
                let faults = faults.iter().filter(|&&fault| is_another(fault, &hosts));
                cases.extend(faults.map(|&fault| lost(system, &component, &hosts, fault)));
            }
        };
    for zone in system.zone_ids().filter(|_| system.zones.len() > 1) {
        let name = format!("zone {}", system[zone].name);
        place(name, ComponentKind::Zone, &OF_PLACES, &|host| system[host].zone == zone);
    }
    let regions: BTreeSet<&String> = system.zones.iter().filter_map(|zone| zone.region.as_ref()).collect();
    for region in regions.iter().filter(|_| regions.len() > 1) {
        let is_there = |host: HostId| system[system[host].zone].region.as_ref() == Some(region);
        place(format!("region {region}"), ComponentKind::Region, &OF_PLACES, &is_there);
    }
    place("everything".to_owned(), ComponentKind::Everything, &[Fault::PowerOff], &|_| true);
    // Before the last of all.
    let at = cases.iter().position(|case| case.component.kind == ComponentKind::Everything);
    let at = at.unwrap_or(cases.len());
    cases.splice(at..at, things);
    cases
}

/// All hosts on a switch, a power line: broken in the way in which they would be if it failed. Or why not, after its name.
fn shared(system: &System, thing: &Shared) -> Result<Vec<Case>, String> {
    let faults = ways(thing.what.as_deref())?;
    let on_it = |&host: &HostId| thing.hosts.contains(&host) || thing.zones.contains(&system[host].zone);
    let hosts: Vec<HostId> = system.host_ids().filter(on_it).collect();
    if !hosts.iter().any(|&host| does_something(system, host)) {
        return Err("nothing of the system runs on its hosts".to_owned());
    }
    let component = together(system, format!("shared {}", thing.name), ComponentKind::Shared, &hosts);
    let component = component.ok_or("no client could see it")?;
    let faults = faults.iter().filter(|&&fault| faults.len() == 1 || is_another(fault, &hosts));
    Ok(faults.map(|&fault| lost(system, &component, &hosts, fault)).collect())
}

/// A single host has nobody to be left with: it is cut off, and no more than that.
fn is_another(fault: Fault, hosts: &[HostId]) -> bool {
    fault != Fault::Partition || hosts.len() > 1
}

/// What failing means to the hosts, by what the thing is; all ways where that isn't said.
fn ways(what: Option<&str>) -> Result<&'static [Fault], String> {
    let Some(what) = what else { return Ok(&OF_PLACES) };
    let words = what.to_lowercase();
    let is_among = |known: &[&str]| {
        words
            .split(|letter: char| !letter.is_alphanumeric())
            .any(|word| known.iter().any(|&known| word == known || word.strip_suffix('s') == Some(known)))
    };
    // A power switch switches power.
    if is_among(&OF_POWER) {
        return Ok(&[Fault::PowerOff]);
    }
    // And the uplink of a network is an uplink.
    if is_among(&OF_WAYS) {
        return Ok(&[Fault::Partition]);
    }
    if is_among(&OF_NETWORKS) {
        return Ok(&[Fault::CutOff]);
    }
    Err(format!(
        "how {what:?} fails can't be played: hosts can be cut off (as by a switch, a router, an uplink, a provider) and lose power"
    ))
}

/// Several hosts as one component, seen by all clients and by those that write; none where there is nobody to see it.
pub(super) fn together(
    system: &System,
    name: String,
    kind: ComponentKind,
    hosts: &[HostId],
) -> Option<Arc<Component>> {
    let mut component = Component::of(system, name, kind, hosts);
    component.zone = None;
    // A zone may have hundreds.
    let hit: BTreeSet<HostId> = hosts.iter().copied().collect();
    component.members = members_on(system, |host| hit.contains(&host));
    component.virtual_ips = load_balancers::names_of_shared(system, hosts);
    let every: Vec<_> = server_pools(system).collect();
    component.doors = doors(system, |_| true, &every);
    component.writes = written(system).map(|(_, writes)| writes);
    let seen = !component.doors.is_empty() || component.writes.is_some();
    (seen && !hosts.is_empty()).then(|| Arc::new(component))
}

/// With what may be expected of what is left.
pub(super) fn lost(system: &System, component: &Arc<Component>, hosts: &[HostId], fault: Fault) -> Case {
    let asked = left::requests(system, hosts, &component.doors);
    match written(system).filter(|_| component.writes.is_some()) {
        Some((database, _)) => Case {
            asked: (!component.doors.is_empty()).then_some(asked),
            ..Case::new(
                component,
                fault,
                Promise::KeepsWrites { within: left::writes(system, database, hosts) },
            )
        },
        None => Case::new(component, fault, asked),
    }
}
