//! Is everything healthy? Read from what the load balancers say about themselves.

use std::collections::BTreeSet;

use nines_control::status::{Health, MemberStatus, Phase, PoolStatus, Standing, Status, Wish};
use nines_system::{Pool, Probe, System};

use crate::plan;

/// What the file says of how it must be.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Pools without active checks, whose members nobody calls up.
    pub unchecked: BTreeSet<String>,
    /// Pools that reach a database: of their members one serves everything, and it may be another from time to time.
    pub databases: BTreeSet<String>,
    pub virtual_ips: Vec<ExpectedHolder>,
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
        Self {
            unchecked: named(&|pool| pool.check.probe == Probe::None),
            databases: named(&|pool| pool.reaches.is_some()),
            virtual_ips,
        }
    }
}

/// What is not healthy yet, each in a few words; empty when all is.
///
/// A load balancer counts only for the pools that its listeners reach: it doesn't check the others. Virtual addresses are
/// healthy when exactly one host answers on each and the others stand by; see [`away`] for where it is best.
pub fn missing(all: &[Status], expected: &Expected) -> Vec<String> {
    if all.is_empty() {
        return vec!["no load balancer answers".to_owned()];
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
        let used = |pool: &&PoolStatus| used.contains(&pool.name) && !expected.databases.contains(&pool.name);
        for pool in status.pools.iter().filter(used) {
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
    missing
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
