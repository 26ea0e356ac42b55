//! What may be expected when several hosts are lost at one stroke: it follows from what is left.

use std::time::Duration;

use nines_system::{Database, HostId, LoadBalancer, Protocol, System, may_lack_writes};

use super::databases::members_of_store;
use super::servers::{promise_of, server_pools};
use super::{Door, Promise, load_balancers};

/// In leases: until others take over, with the address of load balancers and etcd's leader on their way as well.
const WITHIN: u32 = 10;
const OF: u32 = 3;

/// What is promised to those who ask at these doors.
pub(super) fn requests(system: &System, lost: &[HostId], doors: &[Door]) -> Promise {
    let gone = |host: HostId| lost.contains(&host);
    let reached = |balancer: &LoadBalancer| -> Vec<_> {
        balancer.listeners.iter().flat_map(|listener| listener.protocol.pools()).collect()
    };
    let mut moves: Option<Duration> = None;
    for balancer in &system.load_balancers {
        let pools = reached(balancer);
        let mut pools = server_pools(system).filter(|pool| pools.contains(pool));
        if pools.any(|pool| system[pool].members.iter().all(|member| gone(member.host))) {
            return Promise::ComesBack;
        }
        if !leads_to_servers(system, balancer) || !balancer.hosts.iter().any(|&host| gone(host)) {
            continue;
        }
        if balancer.virtual_ips.is_empty() {
            return Promise::ComesBack;
        }
        for it in &balancer.virtual_ips {
            if it.hosts.iter().all(|candidate| gone(candidate.host)) {
                return Promise::ComesBack;
            }
            if it
                .hosts
                .iter()
                .any(|candidate| gone(candidate.host) && load_balancers::may_answer(candidate.host, it))
            {
                moves = moves.max(Some(load_balancers::gap([it])));
            }
        }
    }
    match (promise_of(doors), moves) {
        (Promise::NothingLost, Some(within)) => Promise::Moves { within },
        (promise, _) => promise,
    }
}

fn leads_to_servers(system: &System, balancer: &LoadBalancer) -> bool {
    let leads = |protocol: &Protocol| protocol.pools().iter().any(|&pool| system[pool].reaches.is_none());
    balancer.listeners.iter().any(|listener| leads(&listener.protocol))
}

/// How long writes may stop; `None` if too little is left to take them at all.
pub(super) fn writes(system: &System, database: &Database, lost: &[HostId]) -> Option<Duration> {
    let elsewhere = |host: HostId| !lost.contains(&host);
    let left = database.hosts.iter().filter(|&&host| elsewhere(host)).count();
    let gone = database.hosts.len() - left;
    let store: Vec<HostId> = members_of_store(system).map(|(host, _)| host).collect();
    let agrees = store.is_empty() || 2 * store.iter().filter(|&&host| elsewhere(host)).count() > store.len();
    let reachable = |balancer: &LoadBalancer| {
        let reaches =
            |protocol: &Protocol| protocol.pools().iter().any(|&pool| system[pool].reaches.is_some());
        balancer.listeners.iter().any(|listener| reaches(&listener.protocol))
            && balancer.hosts.iter().any(|&host| elsewhere(host))
    };
    let known = !may_lack_writes(database.confirm, gone);
    let enough = left > database.confirm && known && agrees && system.load_balancers.iter().any(reachable);
    enough.then(|| (database.lease * WITHIN / OF).max(Duration::from_secs(1)))
}
