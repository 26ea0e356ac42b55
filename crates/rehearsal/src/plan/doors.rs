//! The ways by which clients come in: the virtual addresses where a load balancer has them, its hosts' own where not.

use std::net::IpAddr;

use nines_system::{HostId, HostPattern, Listener, LoadBalancer, PoolId, Protocol, System, VirtualIp};

use super::{Door, Manner};

/// Every way by which a client reaches one of these pools, over those hosts of load balancers; over a virtual address if
/// one of those hosts may hold it. Pools of databases are left out: with them one speaks otherwise.
pub(super) fn doors(system: &System, at: impl Fn(HostId) -> bool, pools: &[PoolId]) -> Vec<Door> {
    ways(system, at, pools, &manners)
}

/// The same to those of the pools that reach databases.
pub(super) fn ways_to_databases(system: &System, at: impl Fn(HostId) -> bool, pools: &[PoolId]) -> Vec<Door> {
    ways(system, at, pools, &|system, protocol, pools| {
        let reached = protocol.pools().into_iter().filter(|pool| system[*pool].reaches.is_some());
        reached.filter(|pool| pools.contains(pool)).map(|_| Manner::OpenAndClose).collect()
    })
}

type Manners = dyn Fn(&System, &Protocol, &[PoolId]) -> Vec<Manner>;

fn ways(system: &System, at: impl Fn(HostId) -> bool, pools: &[PoolId], manners: &Manners) -> Vec<Door> {
    let mut doors = Vec::new();
    for balancer in &system.load_balancers {
        for listener in &balancer.listeners {
            let addresses = addresses(balancer, listener, &at);
            for manner in manners(system, &listener.protocol, pools) {
                doors.extend(addresses.iter().map(|&(host, address)| Door {
                    host: system[host].name.clone(),
                    address,
                    port: listener.port,
                    proxy_header: listener.accept_proxy,
                    manner: manner.clone(),
                }));
            }
        }
    }
    doors
}

/// Where a listener is reached: each host, and the address if it is not the host's own.
fn addresses(
    balancer: &LoadBalancer,
    listener: &Listener,
    at: &impl Fn(HostId) -> bool,
) -> Vec<(HostId, Option<IpAddr>)> {
    let here = |it: &&VirtualIp| it.hosts.iter().any(|candidate| at(candidate.host));
    let mut virtual_ones = Vec::new();
    for it in balancer.virtual_ips.iter().filter(here) {
        let Some(preferred) = it.hosts.first() else { continue };
        let answered = it.addresses.iter().filter(|&&address| answers(listener, address));
        virtual_ones.extend(answered.map(|&address| (preferred.host, Some(address))));
    }
    let own = listener.address.filter(|address| !address.is_unspecified());
    let is_virtual = |address| balancer.virtual_ips.iter().any(|it| it.addresses.contains(&address));
    if !balancer.virtual_ips.is_empty() && own.is_none_or(is_virtual) {
        return virtual_ones;
    }
    // One address is one way in, whoever has it.
    let ways = if own.is_some() { 1 } else { usize::MAX };
    balancer.hosts.iter().filter(|&&host| at(host)).take(ways).map(|&host| (host, own)).collect()
}

/// Whether a listener is bound to this address among others, or alone.
fn answers(listener: &Listener, address: IpAddr) -> bool {
    match listener.address {
        None => true,
        Some(IpAddr::V4(v4)) if v4.is_unspecified() => address.is_ipv4(),
        Some(IpAddr::V6(v6)) if v6.is_unspecified() => true,
        Some(own) => own == address,
    }
}

fn manners(system: &System, protocol: &Protocol, pools: &[PoolId]) -> Vec<Manner> {
    match protocol {
        Protocol::Http(http) => {
            let routes = http.routes.iter().filter(|route| pools.contains(&route.pool));
            routes
                .map(|route| Manner::Get { host: example_host(&route.host), path: route.path.clone() })
                .collect()
        }
        Protocol::Tcp(tcp) if !pools.contains(&tcp.pool) || system[tcp.pool].reaches.is_some() => Vec::new(),
        // The built-in stand-in speaks HTTP behind a TCP listener too.
        Protocol::Tcp(tcp) if system[tcp.pool].command.is_none() => {
            vec![Manner::Get { host: example_host(&HostPattern::Any), path: "/".to_owned() }]
        }
        Protocol::Tcp(_) => vec![Manner::OpenAndClose],
    }
}

/// A host name that the pattern takes.
fn example_host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Any => "rehearsal".to_owned(),
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Suffix(suffix) => format!("rehearsal{suffix}"),
    }
}
