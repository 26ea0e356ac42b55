//! The cases of load balancers' hosts: what is broken depends on whether another host can take over their address.

use std::sync::Arc;
use std::time::Duration;

use nines_system::{HostId, LoadBalancer, LoadBalancerId, System, VirtualIp};

use super::doors::{doors, ways_to_databases};
use super::servers::{members_on, promise_of, weakened};
use super::{Case, Component, ComponentKind, Door, Promise};
use crate::fault::Fault;

/// A gap this many advertisements long is promised, where an address moves. The protocol takes three and a part of one.
const ADVERTISEMENTS: u32 = 5;
/// No shorter gap is promised: the machine's own pauses are about as long.
const SHORTEST: Duration = Duration::from_millis(150);

/// A load balancer's host, seen by those clients that come to its addresses.
pub(super) fn cases(system: &System, host: HostId) -> Vec<Case> {
    if system.load_balancers_on(host).next().is_none() {
        return Vec::new();
    }
    let shared: Vec<(&LoadBalancer, &VirtualIp)> = shared(system, host).collect();
    let mut doors = doors_of(system, |of| of == host);
    if !shared.is_empty() {
        // What does not move with the address is nobody's to promise.
        doors.retain(|door| {
            shared.iter().any(|(_, it)| door.address.is_some_and(|at| it.addresses.contains(&at)))
        });
    }
    let mut component =
        Component::of(system, system[host].name.clone(), ComponentKind::LoadBalancer, &[host]);
    component.virtual_ips = shared.iter().map(|(balancer, it)| name(balancer, it)).collect();
    component.doors = doors;
    if shared.is_empty() {
        component.members = members_on(system, |of| of == host);
    }
    let component = Arc::new(component);
    let case = |fault: Fault| Case::new(&component, fault, promise(fault, host, &shared, &component.doors));
    // Where nobody takes over, all of it is seen.
    let others = if shared.is_empty() { &[Fault::Reload][..] } else { &Fault::OF_LOAD_BALANCERS };
    Fault::of_hosts_and(others).into_iter().map(case).collect()
}

/// All hosts of a load balancer: killed at one stroke, and restarted one after the other.
pub(super) fn whole(system: &System, id: LoadBalancerId) -> Vec<Case> {
    let balancer = &system[id];
    let doors = doors_of(system, |host| balancer.hosts.contains(&host));
    if balancer.hosts.len() < 2 || doors.is_empty() {
        return Vec::new();
    }
    let moves = |door: &Door| {
        let on =
            |it: &&VirtualIp| it.hosts.len() > 1 && door.address.is_some_and(|at| it.addresses.contains(&at));
        balancer.virtual_ips.iter().any(|it| on(&it))
    };
    let rolling = if doors.iter().all(moves) { promise_of(&doors) } else { Promise::ComesBack };
    let mut component =
        Component::of(system, balancer.name.clone(), ComponentKind::WholeLoadBalancer, &balancer.hosts);
    component.virtual_ips = balancer.virtual_ips.iter().map(|it| name(balancer, it)).collect();
    component.doors = doors;
    let component = Arc::new(component);
    vec![
        Case::new(&component, Fault::Kill, Promise::ComesBack),
        Case::new(&component, Fault::RollingRestart, rolling),
    ]
}

/// To servers, or where these hosts lead to databases alone, to those.
fn doors_of(system: &System, at: impl Fn(HostId) -> bool + Copy) -> Vec<Door> {
    let every: Vec<_> = system.pool_ids().collect();
    let doors = doors(system, at, &every);
    if doors.is_empty() { ways_to_databases(system, at, &every) } else { doors }
}

/// As status and events call it.
pub(crate) fn name(balancer: &LoadBalancer, it: &VirtualIp) -> String {
    let first = it.addresses.first().map(ToString::to_string).unwrap_or_default();
    format!("{}/{first}", balancer.name)
}

/// The virtual addresses that one of these hosts and another one may hold.
pub(super) fn names_of_shared(system: &System, hosts: &[HostId]) -> Vec<String> {
    let all = hosts.iter().flat_map(|&host| shared(system, host));
    let mut names: Vec<String> = all.map(|(balancer, it)| name(balancer, it)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// When to play it, among the faults of load balancers: the gentle ones first, and last those after which a host that has
/// not run, or not heard anybody, mistrusts itself for a while.
pub(super) fn rank(fault: Fault) -> u8 {
    match fault {
        Fault::Drain | Fault::Restart | Fault::Reload => 0,
        Fault::Slow | Fault::Lossy => 1,
        Fault::Kill | Fault::PowerOff | Fault::Split | Fault::CutOut => 1,
        Fault::CutOff | Fault::CutIn => 2,
        Fault::Freeze => 3,
        // Not among them.
        _ => 4,
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

/// Whether it is this host that answers, or may be: where nobody is preferred in the long run, anybody may.
pub(super) fn may_answer(host: HostId, it: &VirtualIp) -> bool {
    it.preempt.is_none() || it.hosts.first().is_some_and(|first| first.host == host)
}

/// How long the move of such addresses may take.
pub(super) fn gap<'a>(moving: impl IntoIterator<Item = &'a VirtualIp>) -> Duration {
    let longest = moving.into_iter().map(|it| it.interval).max().unwrap_or_default();
    (ADVERTISEMENTS * longest).max(SHORTEST)
}

fn promise(fault: Fault, host: HostId, shared: &[(&LoadBalancer, &VirtualIp)], doors: &[Door]) -> Promise {
    if shared.is_empty() && fault != Fault::Reload {
        return Promise::ComesBack;
    }
    let answers = shared.iter().any(|(_, it)| may_answer(host, it));
    let moves = Promise::Moves { within: gap(shared.iter().map(|&(_, it)| it)) };
    match fault {
        Fault::Drain | Fault::Restart | Fault::Reload => promise_of(doors),
        // One that hears nobody takes itself for the only one, or goes on answering into the void, until its checks of
        // the pools tell it better. One that hears only a part does so now and then.
        Fault::CutIn | Fault::Lossy => Promise::ComesBack,
        // It keeps the address: what it answers is late, and what is too much for the time that it has is lost.
        Fault::Slow if answers => Promise::ComesBack,
        Fault::Split => moves,
        Fault::Kill | Fault::PowerOff | Fault::Freeze | Fault::CutOff | Fault::CutOut if answers => moves,
        _ => weakened(promise_of(doors), fault),
    }
}
