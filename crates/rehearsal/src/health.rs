//! Is everything healthy? Read from what the load balancers say about themselves.

use std::collections::BTreeSet;

use nines_control::status::{Health, MemberStatus, Phase, Status, Wish};

/// What is not healthy yet, each in a few words; empty when all is.
///
/// A load balancer counts only for the pools that its listeners reach: it doesn't check the others.
pub fn missing(all: &[Status], unchecked: &BTreeSet<String>) -> Vec<String> {
    if all.is_empty() {
        return vec!["no load balancer answers".to_owned()];
    }
    let mut missing = Vec::new();
    for status in all {
        if status.phase != Phase::Serving {
            missing.push(format!("{} is not serving yet", status.host));
        }
        for listener in status.listeners.iter().filter(|listener| !listener.open) {
            missing.push(format!("{}: listener {} is closed", status.host, listener.name));
        }
        let used: BTreeSet<&String> = status.listeners.iter().flat_map(|listener| &listener.pools).collect();
        for pool in status.pools.iter().filter(|pool| used.contains(&pool.name)) {
            let sick = pool.members.iter().filter_map(|member| {
                let why = sick(member, unchecked.contains(&pool.name))?;
                Some(format!("{}/{} is {why}", pool.name, member.name))
            });
            missing.extend(sick);
        }
    }
    missing
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
