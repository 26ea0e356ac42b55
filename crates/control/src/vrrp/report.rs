//! What a person sees of a virtual router: the part of `nines status` that is known here.

use std::time::Instant;

use nines_system::VrrpVersion;

use super::router::{Heard, Router, State};
use crate::status::{Standing, VirtualIpStatus};

pub(super) fn status(router: &Router, now: Instant) -> VirtualIpStatus {
    let settings = &router.settings;
    let alive = |master: &Heard| now.saturating_duration_since(master.at) <= 4 * master.interval;
    let heard = router.master.filter(alive).map(|master| master.from);
    let (state, holder) = match router.state {
        State::Off => (Standing::Off, heard),
        State::Backup { .. } => (Standing::Backup, heard),
        State::Listening { .. } => (Standing::Listening, None),
        State::Master { .. } => (Standing::Master, Some(settings.source)),
    };
    let mut problems = router.problems.sentences(now, |address| router.name_of(address));
    if let State::Backup { waits_for_group: true, .. } = router.state {
        problems.push(
            "its master is silent, while another address of its group is still answered for".to_owned(),
        );
    }
    let mut why = router.why.clone();
    let follows_less = router.master.is_some_and(|master| master.priority < router.priority());
    if let (State::Backup { .. }, true, Some(left)) = (router.state, follows_less, router.probation(now)) {
        let seconds = left.as_millis().div_ceil(1000);
        why = format!(
            "{why}; pushes nobody aside for another {seconds} s, since it was lost here without a plan"
        );
    }
    if router.is_unclaimed() {
        problems.push("this host has given it up, and no other has taken over".to_owned());
    }
    let name = |address: std::net::IpAddr| {
        let named = settings.names.iter().find(|(known, _)| *known == address);
        named.map_or_else(|| address.to_string(), |(_, name)| name.clone())
    };
    VirtualIpStatus {
        name: settings.name.clone(),
        addresses: settings.addresses.iter().map(ToString::to_string).collect(),
        interface: String::new(),
        router_id: settings.router_id,
        version: match settings.version {
            VrrpVersion::V2 => 2,
            VrrpVersion::V3 => 3,
        },
        state,
        held: router.holds(),
        holder: holder.map(name),
        since_ms: now.saturating_duration_since(router.since).as_millis().try_into().unwrap_or(u64::MAX),
        why,
        cause: Some(router.cause),
        priority: router.priority(),
        interval_ms: router.interval().as_secs_f64() * 1e3,
        problems,
        taken: router.taken,
        released: router.released.clone(),
        conflicts: router.problems.conflicts,
        ..VirtualIpStatus::default()
    }
}
