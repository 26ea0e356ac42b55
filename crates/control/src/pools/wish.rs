//! Whom an operator means.

use nines_system::System;

use super::{UnknownTarget, subject};

/// Positions (pool, member) of what `target` names: a member, else a host, else a pool.
pub(super) fn find(system: &System, target: &str) -> Result<Vec<(usize, usize)>, UnknownTarget> {
    let all = || {
        let pools = system.pools.iter().enumerate();
        pools.flat_map(|(at, pool)| (0..pool.members.len()).map(move |place| (at, place)))
    };
    let member = |&(at, place): &(usize, usize)| {
        let pool = &system.pools[at];
        let member = &pool.members[place];
        match target.split_once('/') {
            Some((name, rest)) => {
                name == pool.name && (rest == member.name || rest == system[member.host].name)
            }
            None => target == member.name,
        }
    };
    let host = |&(at, place): &(usize, usize)| system[system.pools[at].members[place].host].name == target;
    let pool = |&(at, _): &(usize, usize)| system.pools[at].name == target;

    let mut found: Vec<_> = all().filter(member).collect();
    if found.is_empty() {
        found = all().filter(host).collect();
    }
    if found.is_empty() {
        found = all().filter(pool).collect();
    }
    if found.is_empty() {
        let host = system.host_named(target);
        let elsewhere = host.is_some_and(|host| system.load_balancers_on(host).next().is_some());
        return Err(UnknownTarget { target: target.to_owned(), elsewhere, known: known(system) });
    }
    Ok(found)
}

fn known(system: &System) -> Vec<String> {
    let members = || system.pools.iter().flat_map(|pool| &pool.members);
    let hosts = system.host_ids().filter(|&host| members().any(|member| member.host == host));
    let pools = system.pools.iter().map(|pool| pool.name.clone());
    let subjects =
        system.pools.iter().flat_map(|pool| (0..pool.members.len()).map(|place| subject(pool, place)));
    pools.chain(hosts.map(|host| system[host].name.clone())).chain(subjects).collect()
}
