//! What a person sees of the pools: the parts of `nines status` that are known here.

use std::time::Instant;

use super::{Member, Pools};
use crate::failover::Term;
use crate::gate::Serves;
use crate::status::{CheckStatus, Health, MemberStatus, PoolStatus, Wish};
use crate::view::Serving;

pub(super) fn status(pools: &Pools, now: Instant) -> Vec<PoolStatus> {
    let parts = pools.pools.iter().zip(&pools.system.pools).zip(&pools.view.pools);
    let used = parts.filter(|((pool, _), _)| pool.used);
    used.map(|((pool, rules), view)| {
        let members = pool.members.iter().zip(&rules.members).zip(&view.members);
        let members = members.map(|((member, rule), view)| {
            let host = &pools.system[rule.host];
            MemberStatus {
                name: rule.name.clone(),
                host: host.name.clone(),
                zone: pools.system[host.zone].name.clone(),
                address: member.address.map(|address| address.to_string()),
                health: member.checks.health,
                wish: member.wish,
                eligible: view.eligible,
                backup: rule.backup,
                ejected_ms: ejected_until(member, now).map(|until| ms(until, now)),
                ejections: member.times_ejected,
                why: why(member, rules, pool.newest.term()),
                since_ms: ms(now, member.since),
                check: member.checks.latest.as_ref().map(|latest| CheckStatus {
                    good: latest.good,
                    said: latest.said.clone(),
                    took_us: latest.took.as_micros().try_into().unwrap_or(u64::MAX),
                    ago_ms: ms(now, latest.at),
                }),
            }
        });
        let serving = match pool.serving {
            Serving::Healthy => "healthy",
            Serving::Everyone => "everyone",
            Serving::Nobody => "nobody",
        };
        PoolStatus {
            name: rules.name.clone(),
            serving: serving.to_owned(),
            who: rules.reaches.map(|_| pool.who.clone()),
            members: members.collect(),
        }
    })
    .collect()
}

/// A member that is down, past the time of its ejection, is just down.
fn ejected_until(member: &Member, now: Instant) -> Option<Instant> {
    member.ejections.until().filter(|&until| until > now || member.counts_as_ejected())
}

fn ms(later: Instant, earlier: Instant) -> u64 {
    later.saturating_duration_since(earlier).as_millis().try_into().unwrap_or(u64::MAX)
}

fn why(member: &Member, rules: &nines_system::Pool, newest: Term) -> String {
    if member.address.is_none() {
        return "its host's name has not resolved yet".to_owned();
    }
    if member.wish == Wish::Maintenance {
        return "not checked in maintenance".to_owned();
    }
    if member.counts_as_ejected() {
        return member.ejections.why();
    }
    let Some(latest) = &member.checks.latest else {
        return match member.checks.health {
            Health::Unknown => "not checked yet".to_owned(),
            Health::Up | Health::Down => "no check; the traffic alone judges".to_owned(),
        };
    };
    if let Some(heard) = member.heard.as_ref().filter(|heard| heard.standing.serves == Serves::Everything)
        && heard.standing.term < newest
    {
        return format!("says that it is the {}; the newest is {newest}", latest.said);
    }
    let of = if latest.good { rules.check.rise } else { rules.check.fall };
    match member.checks.against {
        0 => latest.said.clone(),
        n => format!("{} ({n} of {of})", latest.said),
    }
}
