//! Two components that fail at the same time, in different places: hosts of two zones, zones with hosts elsewhere, two zones.

use std::collections::{BTreeMap, BTreeSet};

use nines_system::{HostId, System, ZoneId};

use super::places::{lost, together};
use super::{Case, ComponentKind, Plan, Promise};
use crate::fault::Fault;

/// Pairs that are played, each in two ways: a working day. What comes first is what matters most.
pub const MOST_PAIRS: usize = 2_000;

const OF_PAIRS: [Fault; 2] = [Fault::Kill, Fault::CutOff];

/// What somebody else knows to be fatal, by names such as `host lb1` and `zone a`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fatal {
    pub alone: BTreeSet<String>,
    pub together: BTreeSet<[String; 2]>,
}

/// A host, or all of a zone.
struct Half {
    /// As [`Fatal`] calls it.
    name: String,
    label: String,
    zone: ZoneId,
    is_zone: bool,
    hosts: Vec<HostId>,
}

/// What is played first, if there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Wanted,
    Fatal,
    Zone,
    Host,
}

impl Plan {
    /// Every pair that matters, killed and cut off. Where there is one zone alone, hosts of it. No more than [`MOST_PAIRS`]: first those
    /// that are wanted by their names, then those that are fatal together, then zones, then hosts.
    pub fn pairs(system: &System, fatal: &Fatal, wanted: &[String]) -> Self {
        let halves = halves(system);
        let alone: Vec<bool> = halves.iter().map(|half| fatal.alone.contains(&half.name)).collect();
        let together_fatal = fatal.positions(&halves);
        let wanted = wanted_pairs(&halves, wanted);
        let mut pairs: Vec<(Rank, usize, usize)> = Vec::new();
        for (at, one) in halves.iter().enumerate() {
            for (other_at, other) in halves.iter().enumerate().skip(at + 1) {
                if one.zone == other.zone && system.zones.len() > 1 {
                    continue;
                }
                let rank = match () {
                    () if wanted.contains(&(at, other_at)) => Rank::Wanted,
                    () if together_fatal.contains(&(at, other_at)) => Rank::Fatal,
                    () if one.is_zone || other.is_zone => Rank::Zone,
                    () => Rank::Host,
                };
                pairs.push((rank, at, other_at));
            }
        }
        pairs.sort_unstable();
        let mut left_out = super::nothing_there(system);
        if pairs.len() > MOST_PAIRS {
            left_out.push((
                format!("{} more pairs", pairs.len() - MOST_PAIRS),
                format!(
                    "{MOST_PAIRS} are played, first those that the audit calls fatal, then zones, then hosts; --only \"one + other\" \
                     plays any"
                ),
            ));
            pairs.truncate(MOST_PAIRS);
        }
        let mut cases = Vec::new();
        for (_, at, other_at) in pairs {
            let (one, other) = (&halves[at], &halves[other_at]);
            let hosts = [one.hosts.as_slice(), &other.hosts].concat();
            let name = format!("{} + {}", one.label, other.label);
            let Some(component) = together(system, name, ComponentKind::Pair, &hosts) else { continue };
            let fatal = alone[at] || alone[other_at] || together_fatal.contains(&(at, other_at));
            cases.extend(OF_PAIRS.map(|fault| {
                let case = lost(system, &component, &hosts, fault);
                if fatal { only_comes_back(case) } else { case }
            }));
        }
        Self { cases, left_out, not_possible: Vec::new() }
    }
}

/// Places in the list, the lower one first.
type Positions = BTreeSet<(usize, usize)>;

impl Fatal {
    fn positions(&self, halves: &[Half]) -> Positions {
        let places: BTreeMap<&str, usize> =
            halves.iter().enumerate().map(|(at, half)| (half.name.as_str(), at)).collect();
        let of = |[one, other]: &[String; 2]| {
            let (one, other) = (*places.get(one.as_str())?, *places.get(other.as_str())?);
            Some((one.min(other), one.max(other)))
        };
        self.together.iter().filter_map(of).collect()
    }
}

/// By the names that components have: `lb1 + zone b`.
fn wanted_pairs(halves: &[Half], names: &[String]) -> Positions {
    let place = |label: &str| halves.iter().position(|half| half.label == label);
    let of = |name: &String| {
        let (one, other) = name.split_once(" + ")?;
        Some((place(one)?, place(other)?))
    };
    names.iter().filter_map(of).collect()
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
        let (zone, hosts) = (system[host].zone, vec![host]);
        Half { name: format!("host {name}"), label: name.clone(), zone, is_zone: false, hosts }
    };
    let zone = |zone: ZoneId| {
        let hosts: Vec<HostId> =
            system.host_ids().filter(|&host| system[host].zone == zone).filter(busy).collect();
        let name = format!("zone {}", system[zone].name);
        (hosts.len() > 1).then(|| Half { label: name.clone(), name, zone, is_zone: true, hosts })
    };
    let zones = system.zone_ids().filter(|_| system.zones.len() > 1).filter_map(zone);
    system.host_ids().filter(busy).map(host).chain(zones).collect()
}
