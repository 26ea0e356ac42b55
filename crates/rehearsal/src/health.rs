//! Is everything healthy? Read from what the load balancers say about themselves.

use std::collections::BTreeSet;

use nines_control::status::{
    DatabaseMember, DatabaseRole, DatabaseStatus, Health, MemberStatus, Phase, Standing, Status, Wish,
};
use nines_system::{Pool, Probe, System};

use crate::plan;

/// What the file says of how it must be.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Pools without active checks, whose members nobody calls up.
    pub unchecked: BTreeSet<String>,
    pub virtual_ips: Vec<ExpectedHolder>,
    /// Pools whose members are a database's hosts: who of them may serve depends on who is the primary.
    pub reaching: BTreeSet<String>,
    pub databases: Vec<ExpectedDatabase>,
}

/// Who has an instance of a database.
#[derive(Debug, Clone)]
pub struct ExpectedDatabase {
    pub name: String,
    pub hosts: Vec<String>,
}

/// Who answers on a virtual address.
#[derive(Debug, Clone)]
pub struct ExpectedHolder {
    /// As status calls it: `front/10.0.1.100`.
    pub name: String,
    /// The host that takes it back whenever it can; `None` where one that serves is left to it.
    pub preferred: Option<String>,
}

impl Expected {
    pub fn of(system: &System) -> Self {
        let named = |of: &dyn Fn(&&Pool) -> bool| {
            system.pools.iter().filter(of).map(|pool| pool.name.clone()).collect()
        };
        let mut virtual_ips = Vec::new();
        for balancer in &system.load_balancers {
            virtual_ips.extend(balancer.virtual_ips.iter().map(|it| {
                ExpectedHolder {
                    name: plan::virtual_ip_name(balancer, it),
                    preferred: it
                        .preempt
                        .and_then(|_| it.hosts.first())
                        .map(|candidate| system[candidate.host].name.clone()),
                }
            }));
        }
        let database = |it: &nines_system::Database| ExpectedDatabase {
            name: it.name.clone(),
            hosts: it.hosts.iter().map(|&host| system[host].name.clone()).collect(),
        };
        Self {
            unchecked: named(&|pool| pool.check.probe == Probe::None),
            virtual_ips,
            reaching: named(&|pool| pool.reaches.is_some()),
            databases: system.databases.iter().map(database).collect(),
        }
    }
}

/// What is not healthy yet, each in a few words; empty when all is.
///
/// A load balancer counts only for the pools that its listeners reach: it doesn't check the others. Virtual addresses are
/// healthy when exactly one host answers on each and the others stand by; see [`away`] for where it is best.
pub fn missing(all: &[Status], expected: &Expected) -> Vec<String> {
    if all.is_empty() {
        return vec!["no host answers".to_owned()];
    }
    let mut missing = Vec::new();
    for status in all {
        if status.phase != Phase::Serving {
            missing.push(format!("{} is not serving yet", status.host));
        }
        if status.wish != Wish::Ready {
            missing.push(format!("{} is draining", status.host));
        }
        for listener in status.listeners.iter().filter(|listener| !listener.open) {
            missing.push(format!("{}: listener {} is closed", status.host, listener.name));
        }
        let used: BTreeSet<&String> = status.listeners.iter().flat_map(|listener| &listener.pools).collect();
        for pool in status.pools.iter().filter(|pool| used.contains(&pool.name)) {
            if expected.reaching.contains(&pool.name) {
                if !pool.members.iter().any(|member| member.eligible) {
                    let (host, name) = (&status.host, &pool.name);
                    missing.push(match &pool.who {
                        Some(who) => format!("{host}: {name}: {who}"),
                        None => format!("{host}: {name} reaches nobody"),
                    });
                }
                continue;
            }
            let sick = pool.members.iter().filter_map(|member| {
                let why = sick(member, expected.unchecked.contains(&pool.name))?;
                Some(format!("{}/{} is {why}", pool.name, member.name))
            });
            missing.extend(sick);
        }
    }
    for it in &expected.virtual_ips {
        match &masters(all, &it.name)[..] {
            [_] => {}
            [] => missing.push(format!("nobody answers on {}", it.name)),
            several => missing.push(format!("{} answer on {}", several.join(" and "), it.name)),
        }
        missing.extend(not_standing_by(all, &it.name));
    }
    missing.extend(expected.databases.iter().flat_map(|it| lacking(all, it)));
    missing
}

/// The host that serves a database, by its own word.
pub fn primary<'a>(all: &'a [Status], database: &str) -> Option<(&'a str, &'a DatabaseStatus)> {
    let mut serving = instances(all, database).filter(|(_, it)| it.serves);
    serving.next().filter(|_| serving.next().is_none())
}

/// Those that must confirm what the primary writes, by its word.
pub fn confirming<'a>(all: &'a [Status], database: &str) -> Vec<&'a str> {
    let Some((host, it)) = primary(all, database) else { return Vec::new() };
    let others = it.members.iter().filter(|member| member.host != host);
    others.filter(|member| member.in_cohort && member.streaming).map(|member| member.host.as_str()).collect()
}

fn instances<'a>(all: &'a [Status], database: &str) -> impl Iterator<Item = (&'a str, &'a DatabaseStatus)> {
    let of = move |status: &'a Status| {
        let it = status.databases.iter().find(|it| it.name == database)?;
        Some((status.host.as_str(), it))
    };
    all.iter().filter_map(of)
}

/// A database is healthy when one host serves, and all the others are standbys that stream from it and count for each commit,
/// by its word and by their own, and nothing is under way.
fn lacking(all: &[Status], expected: &ExpectedDatabase) -> Vec<String> {
    let name = &expected.name;
    let mut lacking = Vec::new();
    for host in &expected.hosts {
        match instances(all, name).find(|(of, _)| of == host) {
            None => lacking.push(format!("{host} says nothing of {name}")),
            Some((_, it)) if !it.settled => lacking.push(format!("{name}: something is under way on {host}")),
            Some(_) => {}
        }
    }
    let Some((primary, status)) = primary(all, name) else {
        let serving: Vec<_> =
            instances(all, name).filter(|(_, it)| it.serves).map(|(host, _)| host).collect();
        lacking.push(match &serving[..] {
            [] => format!("nobody serves {name}"),
            several => format!("{} serve {name}", several.join(" and ")),
        });
        return lacking;
    };
    for host in expected.hosts.iter().filter(|host| *host != primary) {
        let own = instances(all, name).find(|(of, _)| of == host).map(|(_, it)| it.role);
        let seen = status.members.iter().find(|member| member.host == *host);
        if let Some(why) = not_following(own, seen) {
            lacking.push(format!("{name}: {host} {why}"));
        }
    }
    lacking
}

fn not_following(own: Option<DatabaseRole>, seen: Option<&DatabaseMember>) -> Option<&'static str> {
    match (own, seen) {
        (Some(role), _) if role != DatabaseRole::Standby => Some("is no standby"),
        (_, Some(member)) if !member.streaming => Some("doesn't stream"),
        (_, Some(member)) if !member.in_cohort => Some("doesn't count for commits"),
        (_, Some(_)) => None,
        (_, None) => Some("is unknown to the primary"),
    }
}

/// Virtual addresses that are not with the host that is preferred. A host whose loss was not planned is not trusted with
/// its address for a while.
pub fn away(all: &[Status], expected: &Expected) -> Vec<String> {
    let away = |it: &ExpectedHolder| {
        let preferred = it.preferred.as_deref()?;
        match &masters(all, &it.name)[..] {
            [holder] if *holder != preferred => {
                Some(format!("{} is on {holder} and goes back to {preferred}", it.name))
            }
            _ => None,
        }
    };
    expected.virtual_ips.iter().filter_map(away).collect()
}

fn masters<'a>(all: &'a [Status], name: &str) -> Vec<&'a str> {
    let is_master = |status: &&Status| {
        status.virtual_ips.iter().any(|it| it.name == name && it.state == Standing::Master)
    };
    all.iter().filter(is_master).map(|status| status.host.as_str()).collect()
}

fn not_standing_by(all: &[Status], name: &str) -> Vec<String> {
    let idle = |status: &Status| {
        let it = status.virtual_ips.iter().find(|it| it.name == name)?;
        match it.state {
            Standing::Master | Standing::Backup => None,
            Standing::Off | Standing::Listening => {
                Some(format!("{} does not stand by for {name}", status.host))
            }
        }
    };
    all.iter().filter_map(idle).collect()
}

/// Why a member does not do its full share, if it doesn't. Being eligible is not enough: a pool with too few
/// healthy members sends traffic to sick ones too.
fn sick(member: &MemberStatus, unchecked: bool) -> Option<String> {
    match (member.wish, member.health) {
        (Wish::Draining, _) => Some("draining".to_owned()),
        (Wish::Maintenance, _) => Some("in maintenance".to_owned()),
        (Wish::Ready, Health::Down) => Some(format!("down: {}", member.why)),
        (Wish::Ready, Health::Unknown) if !unchecked => Some("not checked yet".to_owned()),
        (Wish::Ready, Health::Up | Health::Unknown) => {
            member.ejected_ms.map(|_| format!("ejected: {}", member.why))
        }
    }
}
