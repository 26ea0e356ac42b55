//! Two components that fail at the same time, in different places: hosts of two zones, zones with hosts elsewhere, two zones.

use std::collections::BTreeSet;

use nines_system::{HostId, System, ZoneId};

use super::places::{lost, together};
use super::{Case, ComponentKind, Plan, Promise};
use crate::fault::Fault;

const OF_PAIRS: [Fault; 2] = [Fault::Kill, Fault::CutOff];

/// What somebody else knows to be fatal, by names such as `host lb1` and `zone a`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fatal {
    pub alone: BTreeSet<String>,
    pub together: BTreeSet<[String; 2]>,
}

impl Fatal {
    fn is(&self, one: &str, other: &str) -> bool {
        let pair = [one.to_owned(), other.to_owned()];
        let turned = [other.to_owned(), one.to_owned()];
        [one, other].iter().any(|&it| self.alone.contains(it))
            || self.together.contains(&pair)
            || self.together.contains(&turned)
    }
}

/// A host, or all of a zone.
struct Half {
    /// As [`Fatal`] calls it.
    name: String,
    label: String,
    zone: ZoneId,
    hosts: Vec<HostId>,
}

impl Plan {
    /// Every pair that matters, killed and cut off. Where there is one zone alone, hosts of it.
    pub fn pairs(system: &System, fatal: &Fatal) -> Self {
        let halves = halves(system);
        let mut cases = Vec::new();
        for (at, one) in halves.iter().enumerate() {
            for other in &halves[at + 1..] {
                let apart = one.zone != other.zone || system.zones.len() == 1;
                let hosts = [one.hosts.as_slice(), &other.hosts].concat();
                let name = format!("{} + {}", one.label, other.label);
                let Some(component) = together(system, name, ComponentKind::Pair, &hosts).filter(|_| apart)
                else {
                    continue;
                };
                let fatal = fatal.is(&one.name, &other.name);
                cases.extend(OF_PAIRS.map(|fault| {
                    let case = lost(system, &component, &hosts, fault);
                    if fatal { only_comes_back(case) } else { case }
                }));
            }
        }
        Self { cases, left_out: super::nothing_there(system), not_possible: Vec::new() }
    }
}

/// No acknowledged write is lost all the same.
fn only_comes_back(case: Case) -> Case {
    let promise = match case.promise {
        Promise::KeepsWrites { .. } => Promise::KeepsWrites { within: None },
        _ => Promise::ComesBack,
    };
    Case { promise, asked: case.asked.map(|_| Promise::ComesBack), ..case }
}

/// Hosts that have something to do, and zones of several of them, if there are several zones.
fn halves(system: &System) -> Vec<Half> {
    let busy = |host: &HostId| super::does_something(system, *host);
    let host = |host: HostId| {
        let name = &system[host].name;
        Half { name: format!("host {name}"), label: name.clone(), zone: system[host].zone, hosts: vec![host] }
    };
    let zone = |zone: ZoneId| {
        let hosts: Vec<HostId> =
            system.host_ids().filter(|&host| system[host].zone == zone).filter(busy).collect();
        let name = format!("zone {}", system[zone].name);
        (hosts.len() > 1).then(|| Half { label: name.clone(), name, zone, hosts })
    };
    let zones = system.zone_ids().filter(|_| system.zones.len() > 1).filter_map(zone);
    system.host_ids().filter(busy).map(host).chain(zones).collect()
}
