//! Requests a second, from the counters of two looks.

use std::collections::BTreeMap;
use std::time::Duration;

use nines_control::status::{ListenerStatus, Status};

#[derive(Debug, Default)]
pub(crate) struct Rates {
    listeners: BTreeMap<String, f64>,
    /// By pool and member.
    members: BTreeMap<(String, String), f64>,
}

impl Rates {
    /// No rates where the daemon was started anew in between, or no time has passed.
    pub(crate) fn between(before: &Status, now: &Status, took: Duration) -> Self {
        if before.pid != now.pid || now.uptime_s < before.uptime_s || took.is_zero() {
            return Self::default();
        }
        let rate = |before: Option<&u64>, now: u64| {
            now.saturating_sub(before.copied().unwrap_or(0)) as f64 / took.as_secs_f64()
        };
        let (listeners_before, members_before) = (listeners(before), members(before));
        Self {
            listeners: listeners(now)
                .into_iter()
                .map(|(name, count)| (name.clone(), rate(listeners_before.get(&name), count)))
                .collect(),
            members: members(now)
                .into_iter()
                .map(|(name, count)| (name.clone(), rate(members_before.get(&name), count)))
                .collect(),
        }
    }

    pub(crate) fn listener(&self, name: &str) -> Option<f64> {
        self.listeners.get(name).copied()
    }

    pub(crate) fn member(&self, pool: &str, member: &str) -> Option<f64> {
        self.members.get(&(pool.to_owned(), member.to_owned())).copied()
    }
}

/// Requests of an HTTP listener; connections of a TCP listener, which has no requests.
pub(crate) fn handled(status: &Status, listener: &ListenerStatus) -> u64 {
    let counted = status.statistics.listeners.iter().find(|one| one.name == listener.name);
    counted
        .map_or(0, |one| if listener.protocol == "tcp" { one.accepted } else { one.responses.iter().sum() })
}

fn listeners(status: &Status) -> BTreeMap<String, u64> {
    status.listeners.iter().map(|one| (one.name.clone(), handled(status, one))).collect()
}

fn members(status: &Status) -> BTreeMap<(String, String), u64> {
    let all = status.statistics.pools.iter().flat_map(|pool| pool.members.iter().map(move |one| (pool, one)));
    all.map(|(pool, one)| ((pool.name.clone(), one.name.clone()), one.tries)).collect()
}
