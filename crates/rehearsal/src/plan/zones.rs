//! The cases of zones: all that is in one is lost at one stroke, load balancers, servers and databases together.

use std::sync::Arc;
use std::time::Duration;

use nines_system::{Database, HostId, System, ZoneId};

use super::databases::{members_of_store, written};
use super::{Case, Component, ComponentKind, Promise, Whom};
use crate::fault::Fault;

const OF_ZONES: [Fault; 2] = [Fault::PowerOff, Fault::CutOff];
/// In leases: until others take over, with the address of load balancers and etcd's leader on their way as well.
const WITHIN: u32 = 10;
const OF: u32 = 3;

/// Each zone of several, where a database can be written into meanwhile.
pub(super) fn cases(system: &System) -> Vec<Case> {
    let Some((database, writes)) = written(system) else { return Vec::new() };
    if system.zones.len() < 2 {
        return Vec::new();
    }
    let of_zone = |zone: ZoneId| {
        let hosts: Vec<HostId> = system.host_ids().filter(|&host| system[host].zone == zone).collect();
        let component = Arc::new(Component {
            name: format!("zone {}", system[zone].name),
            kind: ComponentKind::Zone,
            whom: Whom::Each,
            zone: None,
            hosts: hosts.iter().map(|&host| system[host].name.clone()).collect(),
            members: Vec::new(),
            alone_in: Vec::new(),
            virtual_ips: Vec::new(),
            doors: Vec::new(),
            writes: Some(writes.clone()),
        });
        let promise = Promise::KeepsWrites { within: within(system, database, zone) };
        let case = move |fault| Case { component: Arc::clone(&component), fault, promise };
        (!hosts.is_empty()).then(|| OF_ZONES.map(case))
    };
    system.zone_ids().filter_map(of_zone).flatten().collect()
}

/// How long writes may stop; `None` if too little is left elsewhere to take them at all.
fn within(system: &System, database: &Database, zone: ZoneId) -> Option<Duration> {
    let elsewhere = |host: HostId| system[host].zone != zone;
    let left = database.hosts.iter().filter(|&&host| elsewhere(host)).count();
    let store: Vec<HostId> = members_of_store(system).map(|(host, _)| host).collect();
    let agrees = store.is_empty() || 2 * store.iter().filter(|&&host| elsewhere(host)).count() > store.len();
    let balanced = system.load_balancers.iter().any(|one| one.hosts.iter().any(|&host| elsewhere(host)));
    let enough = left > database.confirm && agrees && balanced;
    enough.then(|| (database.lease * WITHIN / OF).max(Duration::from_secs(1)))
}
