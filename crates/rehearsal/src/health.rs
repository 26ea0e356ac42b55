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

#[cfg(test)]
mod tests {
    use super::*;
    use nines_control::status::{FileStatus, ListenerStatus, PoolStatus};

    fn member(name: &str) -> MemberStatus {
        MemberStatus {
            name: name.to_owned(),
            host: name.to_owned(),
            zone: "a".to_owned(),
            address: None,
            health: Health::Up,
            wish: Wish::Ready,
            eligible: true,
            backup: false,
            ejected_ms: None,
            why: "refused".to_owned(),
            since_ms: 0,
            check: None,
        }
    }

    fn status(members: Vec<MemberStatus>) -> Status {
        let pool = |name: &str, members| PoolStatus {
            name: name.to_owned(),
            serving: "healthy".to_owned(),
            members,
        };
        let mut elsewhere = member("far");
        elsewhere.health = Health::Unknown;
        Status {
            version: 1,
            system: "shop".to_owned(),
            objective: "99.99 %".to_owned(),
            host: "lb1".to_owned(),
            program: String::new(),
            pid: 1,
            uptime_s: 1,
            phase: Phase::Serving,
            file: FileStatus { path: String::new(), generation: 1, loaded_us: 0, refused: None },
            listeners: vec![ListenerStatus {
                name: "front/http-80".to_owned(),
                address: "0.0.0.0:80".to_owned(),
                protocol: "http".to_owned(),
                open: true,
                pools: vec!["web".to_owned()],
            }],
            pools: vec![pool("web", members), pool("elsewhere", vec![elsewhere])],
            statistics: nines_control::statistics::Statistics::default(),
        }
    }

    fn missing_of(change: impl FnOnce(&mut MemberStatus)) -> Vec<String> {
        let mut second = member("app2");
        change(&mut second);
        missing(&[status(vec![member("app1"), second])], &BTreeSet::new())
    }

    #[test]
    fn a_pool_that_no_listener_reaches_is_not_waited_for() {
        assert_eq!(missing_of(|_| ()), [""; 0]);
    }

    #[test]
    fn whatever_keeps_a_member_from_its_share_is_named() {
        assert_eq!(missing_of(|m| m.health = Health::Down), ["web/app2 is down: refused"]);
        assert_eq!(missing_of(|m| m.health = Health::Unknown), ["web/app2 is not checked yet"]);
        assert_eq!(missing_of(|m| m.ejected_ms = Some(5)), ["web/app2 is ejected: refused"]);
        assert_eq!(missing_of(|m| m.wish = Wish::Draining), ["web/app2 is draining"]);
    }

    #[test]
    fn an_unchecked_pool_is_healthy_until_traffic_says_otherwise() {
        let mut unknown = member("app1");
        unknown.health = Health::Unknown;
        let unchecked = BTreeSet::from(["web".to_owned()]);
        assert_eq!(missing(&[status(vec![unknown.clone()])], &unchecked), [""; 0]);
        unknown.ejected_ms = Some(1);
        assert_eq!(missing(&[status(vec![unknown])], &unchecked).len(), 1);
    }

    #[test]
    fn silence_is_not_health() {
        assert_eq!(missing(&[], &BTreeSet::new()).len(), 1);
        let mut starting = status(vec![member("app1")]);
        starting.phase = Phase::Starting;
        starting.listeners[0].open = false;
        assert_eq!(missing(&[starting], &BTreeSet::new()).len(), 2);
    }
}
