//! The cases of pools: the hosts of their members, members alone where others live on their host, and pools as a whole.

use std::sync::Arc;

use nines_system::{HostId, Pool, PoolId, System};

use super::databases::members_of_store;
use super::doors::doors;
use super::{Case, Component, ComponentKind, Door, Manner, Promise};
use crate::fault::Fault;

const OF_MEMBERS: [Fault; 2] = [Fault::KillMember, Fault::FreezeMember];

/// Each host that has members of pools and no load balancer, which is a component of its own kind; or why it can't be
/// broken, after its name.
pub(super) fn cases(system: &System, host: HostId) -> Result<Vec<Case>, String> {
    let pools = pools_with(system, host);
    if pools.is_empty() || system.load_balancers_on(host).next().is_some() {
        return Ok(Vec::new());
    }
    let doors = doors(system, |_| true, &pools);
    if doors.is_empty() {
        return Err("no listener leads to its pools".to_owned());
    }
    let promise = promise_of(&doors);
    let mut component = Component::of(system, system[host].name.clone(), ComponentKind::Server, &[host]);
    component.members = members_on(system, |of| of == host);
    component.alone_in = alone_in(system, &pools, host);
    component.doors = doors;
    let component = Arc::new(component);
    let case = |fault| Case::new(&component, fault, weakened(promise, fault));
    Ok(Fault::of_hosts_and(&Fault::OF_SERVERS).into_iter().map(case).collect())
}

/// Members that are not all that runs on their host.
pub(super) fn members(system: &System, host: HostId) -> Vec<Case> {
    let of_pool = |pool: PoolId| {
        let here = move |member: &&nines_system::Member| member.host == host;
        let name = &system[pool].name;
        let labels = system[pool].members.iter().filter(here);
        labels.map(move |member| (pool, format!("{name}/{}", member.name))).collect::<Vec<_>>()
    };
    let all: Vec<(PoolId, String)> = server_pools(system).flat_map(of_pool).collect();
    let others = system.load_balancers_on(host).next().is_some()
        || system.databases_on(host).next().is_some()
        || members_of_store(system).any(|(of, _)| of == host);
    if all.len() < 2 && !others {
        return Vec::new();
    }
    let mut cases = Vec::new();
    for (pool, label) in all {
        let doors = doors(system, |_| true, &[pool]);
        if doors.is_empty() {
            continue;
        }
        let mut component = Component::of(system, label.clone(), ComponentKind::Member, &[host]);
        component.members = vec![label];
        component.alone_in = alone_in(system, &[pool], host);
        let promise = promise_of(&doors);
        component.doors = doors;
        let component = Arc::new(component);
        cases.extend(OF_MEMBERS.map(|fault| Case::new(&component, fault, promise)));
    }
    cases
}

/// A pool of several hosts: killed at one stroke, its members alone where their hosts have other things to do; and
/// restarted host by host. Or why it isn't.
pub(super) fn whole_pool(system: &System, pool: PoolId) -> Result<Vec<Case>, String> {
    let mut hosts: Vec<HostId> = system[pool].members.iter().map(|member| member.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let doors = doors(system, |_| true, &[pool]);
    if doors.is_empty() {
        return Err("no listener leads to it".to_owned());
    }
    if hosts.len() < 2 {
        return Ok(Vec::new());
    }
    let balanced = hosts.iter().any(|&host| system.load_balancers_on(host).next().is_some());
    let stored = hosts.iter().any(|&host| system.databases_on(host).next().is_some());
    let promise = promise_of(&doors);
    let mut component = Component::of(system, system[pool].name.clone(), ComponentKind::WholePool, &hosts);
    component.members = members_on(system, |host| hosts.contains(&host));
    component.alone_in = vec![system[pool].name.clone()];
    component.doors = doors;
    if balanced || stored {
        let own = format!("{}/", system[pool].name);
        component.members.retain(|member| member.starts_with(&own));
        return Ok(vec![Case::new(&Arc::new(component), Fault::KillMember, Promise::ComesBack)]);
    }
    let component = Arc::new(component);
    Ok(vec![
        Case::new(&component, Fault::Kill, Promise::ComesBack),
        Case::new(&component, Fault::RollingRestart, promise),
    ])
}

/// A client can only be spared a failure where a request can be repeated: at HTTP doors.
pub(super) fn promise_of(doors: &[Door]) -> Promise {
    if doors.iter().all(|door| matches!(door.manner, Manner::Get { .. })) {
        Promise::NothingLost
    } else {
        Promise::ComesBack
    }
}

/// What is promised of a host that is only worse than it was, where nothing is lost if it is gone: it may make answers late.
pub(super) fn weakened(promise: Promise, fault: Fault) -> Promise {
    if fault.weakens() && promise == Promise::NothingLost { Promise::NothingFails } else { promise }
}

/// Pools that have no server on another host.
fn alone_in(system: &System, pools: &[PoolId], host: HostId) -> Vec<String> {
    let alone = pools.iter().filter(|&&pool| system[pool].members.iter().all(|member| member.host == host));
    alone.map(|&pool| system[pool].name.clone()).collect()
}

pub(super) fn members_on(system: &System, at: impl Fn(HostId) -> bool) -> Vec<String> {
    let of = |pool: &Pool| -> Vec<String> {
        let here = pool.members.iter().filter(|member| at(member.host));
        here.map(|member| format!("{}/{}", pool.name, member.name)).collect()
    };
    server_pools(system).flat_map(|pool| of(&system[pool])).collect()
}

/// Pools that reach a database have no servers of their own.
pub(super) fn server_pools(system: &System) -> impl Iterator<Item = PoolId> {
    system.pool_ids().filter(|&pool| system[pool].reaches.is_none())
}

pub(super) fn pools_with(system: &System, host: HostId) -> Vec<PoolId> {
    server_pools(system)
        .filter(|&pool| system[pool].members.iter().any(|member| member.host == host))
        .collect()
}
