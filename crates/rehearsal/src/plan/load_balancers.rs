//! The cases of load balancers' hosts: what is broken depends on whether another host can take over their address.

use std::sync::Arc;
use std::time::Duration;

use nines_system::{HostId, LoadBalancer, System, VirtualIp};

use super::doors::doors;
use super::{Case, Component, ComponentKind, Door, Promise, promise_of, server_pools};
use crate::fault::Fault;

/// A gap this many advertisements long is promised, where an address moves. The protocol takes three and a part of one.
const ADVERTISEMENTS: u32 = 5;
/// No shorter gap is promised: the machine's own pauses are about as long.
const SHORTEST: Duration = Duration::from_millis(150);

/// A load balancer's host, seen by those clients that come to its addresses. Without anybody to take over from it, its
/// file is loaded again, and nothing worse.
pub(super) fn cases(system: &System, host: HostId) -> Vec<Case> {
    if system.load_balancers_on(host).next().is_none() {
        return Vec::new();
    }
    let shared: Vec<(&LoadBalancer, &VirtualIp)> = shared(system, host).collect();
    let mut doors = doors(system, |of| of == host, &server_pools(system).collect::<Vec<_>>());
    if !shared.is_empty() {
        // What does not move with the address is nobody's to promise.
        doors.retain(|door| {
            shared.iter().any(|(_, it)| door.address.is_some_and(|at| it.addresses.contains(&at)))
        });
    }
    let component = Arc::new(Component {
        name: system[host].name.clone(),
        kind: ComponentKind::LoadBalancer,
        zone: Some(system[system[host].zone].name.clone()),
        hosts: vec![system[host].name.clone()],
        members: Vec::new(),
        alone_in: Vec::new(),
        virtual_ips: shared.iter().map(|(balancer, it)| name(balancer, it)).collect(),
        doors,
    });
    let faults: &[Fault] = if shared.is_empty() { &[Fault::Reload] } else { &Fault::ALL };
    let case = |&fault| Case {
        component: Arc::clone(&component),
        fault,
        promise: promise(fault, host, &shared, &component.doors),
    };
    faults.iter().map(case).collect()
}

/// Whether there is another host that can take over an address from this one.
pub(super) fn has_peers(system: &System, host: HostId) -> bool {
    shared(system, host).next().is_some()
}

/// As status and events call it.
pub(crate) fn name(balancer: &LoadBalancer, it: &VirtualIp) -> String {
    let first = it.addresses.first().map(ToString::to_string).unwrap_or_default();
    format!("{}/{first}", balancer.name)
}

/// When to play it, among the faults of load balancers: the gentle ones first, and last those after which a host that has
/// not run, or not heard anybody, mistrusts itself for a while.
pub(super) fn rank(fault: Fault) -> u8 {
    match fault {
        Fault::Drain | Fault::Restart | Fault::Reload => 0,
        Fault::Kill | Fault::PowerOff | Fault::Split | Fault::CutOut => 1,
        Fault::CutOff | Fault::CutIn => 2,
        Fault::Freeze => 3,
    }
}

/// The virtual addresses that this host and another one may hold.
fn shared(system: &System, host: HostId) -> impl Iterator<Item = (&LoadBalancer, &VirtualIp)> {
    let all = system
        .load_balancers
        .iter()
        .flat_map(|balancer| balancer.virtual_ips.iter().map(move |it| (balancer, it)));
    all.filter(move |(_, it)| it.hosts.len() > 1 && it.hosts.iter().any(|candidate| candidate.host == host))
}

fn promise(fault: Fault, host: HostId, shared: &[(&LoadBalancer, &VirtualIp)], doors: &[Door]) -> Promise {
    // Where nobody is preferred in the long run, anybody may be the one that answers.
    let may_answer =
        |it: &VirtualIp| it.preempt.is_none() || it.hosts.first().is_some_and(|first| first.host == host);
    let answers = shared.iter().any(|(_, it)| may_answer(it));
    let longest = shared.iter().map(|(_, it)| it.interval).max().unwrap_or_default();
    let moves = Promise::Moves { within: (ADVERTISEMENTS * longest).max(SHORTEST) };
    match fault {
        Fault::Drain | Fault::Restart | Fault::Reload => promise_of(doors),
        // One that hears nobody takes itself for the only one, or goes on answering into the void, until its checks of
        // the pools tell it better.
        Fault::CutIn => Promise::ComesBack,
        Fault::Split => moves,
        Fault::Kill | Fault::PowerOff | Fault::Freeze | Fault::CutOff | Fault::CutOut if answers => moves,
        Fault::Kill | Fault::PowerOff | Fault::Freeze | Fault::CutOff | Fault::CutOut => promise_of(doors),
    }
}
