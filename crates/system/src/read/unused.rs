//! What looks forgotten: defined, and used by nothing.

use super::names::Names;
use crate::mistake::Mistake;
use crate::model::{Coordination, EtcdMember, HostId, Store, System};

pub(crate) fn warnings(
    system: &System,
    zones: &Names<'_>,
    hosts: &Names<'_>,
    pools: &Names<'_>,
) -> Vec<Mistake> {
    let reached: Vec<_> = system
        .load_balancers
        .iter()
        .flat_map(|load_balancer| &load_balancer.listeners)
        .flat_map(|listener| listener.protocol.pools())
        .collect();
    let idle_pools = system.pool_ids().filter(|id| !reached.contains(id)).map(|id| {
        let name = &system[id].name;
        Mistake::new(format!("nothing sends to pool `{name}`"), pools.span(id.index()), "not used")
            .help(format!("name it in a listener or a route: pool = \"{name}\""))
    });
    let idle_hosts = system
        .host_ids()
        .filter(|&id| {
            let member = system.pools.iter().flat_map(|pool| &pool.members).any(|member| member.host == id);
            let of_etcd =
                system.coordination.as_ref().is_some_and(|coordination| has_member(coordination, id));
            let used = member || of_etcd || system.databases_on(id).next().is_some();
            !used && system.load_balancers_on(id).next().is_none()
        })
        .map(|id| {
            let name = &system[id].name;
            Mistake::new(format!("nothing runs on host `{name}`"), hosts.span(id.index()), "not used").help(
                "make it a member of a pool, or a host of a load balancer or a database; or take it out",
            )
        });
    let empty_zones =
        system.zone_ids().filter(|&id| system.hosts.iter().all(|host| host.zone != id)).map(|id| {
            let name = &system[id].name;
            Mistake::new(format!("no host is in zone `{name}`"), zones.span(id.index()), "not used")
                .help("put a host there, or take it out")
        });
    idle_pools.chain(idle_hosts).chain(empty_zones).collect()
}

fn has_member(coordination: &Coordination, host: HostId) -> bool {
    match &coordination.store {
        Store::Etcd(etcd) => etcd
            .members
            .iter()
            .any(|member| matches!(member, EtcdMember::Host { host: its, .. } if *its == host)),
        Store::Embedded { .. } => false,
    }
}
