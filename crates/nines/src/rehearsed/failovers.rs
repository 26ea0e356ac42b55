//! Which rehearsed cases were failovers, of whom, and whether they came about.

use std::collections::BTreeMap;

use nines_availability::assumptions::Rehearsed;
use nines_availability::service::Service;
use nines_rehearsal::Fault;

use super::Tried;

/// What takes the one that is active away without a word, and its host with it.
const OF_ADDRESSES: [Fault; 6] =
    [Fault::Kill, Fault::PowerOff, Fault::Freeze, Fault::CutOff, Fault::CutIn, Fault::CutOut];

fn takes_a_primary(fault: Fault) -> bool {
    let of_it_alone = [Fault::KillServer, Fault::FreezeServer, Fault::KillNines, Fault::FreezeNines];
    OF_ADDRESSES.contains(&fault) || of_it_alone.contains(&fault)
}

/// By the names that the model has for who takes over from whom: load balancers and databases.
pub(crate) fn failovers(service: &Service, tried: &[Tried]) -> BTreeMap<String, Rehearsed> {
    let mut all: BTreeMap<String, Rehearsed> = BTreeMap::new();
    for case in tried {
        for name in of(service, case) {
            let entry = all.entry(name).or_insert(Rehearsed { failovers: 0, missed: 0, seconds: None });
            entry.failovers += case.times;
            entry.missed += case.missed.min(case.times);
            let seconds = case.longest_taken_over_ms.map(|ms| ms / 1e3);
            entry.seconds = [entry.seconds, seconds].into_iter().flatten().reduce(f64::max);
        }
    }
    all
}

/// How many of somebody's failovers came about later than was promised.
pub(crate) fn late(service: &Service, tried: &[Tried], name: &str) -> u64 {
    let of_it = tried.iter().filter(|case| case.late > 0 && of(service, case).iter().any(|of| of == name));
    of_it.map(|case| case.late).sum()
}

/// Whose failover a case was. Planned changes are none, nor is what hits somebody who stands by.
fn of(service: &Service, case: &Tried) -> Vec<String> {
    if case.role.as_deref() == Some("primary") {
        let mut databases = service.databases.iter();
        let database = databases.find(|of| of.name == case.component && of.can_fail_over());
        // Without a promise too few are left to go on: that is another question.
        let may = takes_a_primary(case.fault) && case.promised_gap_ms.is_some();
        return database.filter(|_| may).map(|of| of.name.clone()).into_iter().collect();
    }
    let [host] = case.hosts.as_slice() else { return Vec::new() };
    if case.role.is_some() || case.together || !OF_ADDRESSES.contains(&case.fault) {
        return Vec::new();
    }
    let is_host = |at: &usize| service.hosts[*at].name == *host;
    // Each address was with its preferred host before. Where none is preferred, whoever was hit had it if anybody noticed.
    let had = |hosts: &[usize]| match hosts.first().is_some_and(is_host) {
        true => true,
        false => case.promised_gap_ms.is_some() && hosts.iter().any(is_host),
    };
    if case.noticed_ms.is_none() && case.missed == 0 {
        return Vec::new();
    }
    let entries = service.entries.iter();
    let moved = entries.filter(|entry| entry.addresses.iter().any(|of| of.hosts.len() > 1 && had(&of.hosts)));
    moved.map(|entry| entry.name.clone()).collect()
}
