//! The cases of places: all that is in a zone or a region is lost at one stroke, load balancers, servers and databases
//! together; and everything there is.

use std::collections::BTreeSet;
use std::sync::Arc;

use nines_system::{HostId, System};

use super::databases::written;
use super::doors::doors;
use super::servers::{members_on, server_pools};
use super::{Case, Component, ComponentKind, Promise, left, load_balancers};
use crate::fault::Fault;

const OF_PLACES: [Fault; 2] = [Fault::PowerOff, Fault::CutOff];

/// Each zone and each region of several, and all of it without power.
pub(super) fn cases(system: &System) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut place =
        |name: String, kind: ComponentKind, faults: &[Fault], is_there: &dyn Fn(HostId) -> bool| {
            let hosts: Vec<HostId> = system.host_ids().filter(|&host| is_there(host)).collect();
            if let Some(component) = together(system, name, kind, &hosts) {
                cases.extend(faults.iter().map(|&fault| lost(system, &component, &hosts, fault)));
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
    cases
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
