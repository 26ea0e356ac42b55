//! The metrics of databases, and of the gates in front of them.

use std::fmt;

use nines_control::status::{DatabaseMember, DatabaseRole, DatabaseStatus, Status};

use super::{Labels, Page, flag};

const ROLES: [(&str, DatabaseRole); 4] = [
    ("primary", DatabaseRole::Primary),
    ("standby", DatabaseRole::Standby),
    ("stopped", DatabaseRole::Stopped),
    ("unknown", DatabaseRole::Unknown),
];

pub(super) fn families(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let all = &status.databases;
    let gauge = |value: fn(&DatabaseStatus) -> f64| all.iter().map(move |one| (of(one), value(one)));
    page.gauge(
        "nines_database_role",
        "1 for what this host's instance of the database is",
        all.iter().flat_map(|one| {
            ROLES.map(|(word, role)| {
                (vec![("database", one.name.as_str()), ("role", word)], flag(one.role == role))
            })
        }),
    )?;
    page.gauge(
        "nines_database_serves",
        "1 while clients can write through this host's gate",
        gauge(|one| flag(one.serves)),
    )?;
    page.gauge(
        "nines_database_term",
        "The term of the rule that is in force: grows with each change of primary",
        gauge(|one| one.term as f64),
    )?;
    page.gauge(
        "nines_database_settled",
        "1 while nothing is under way: no takeover, handover, change of who confirms, copy",
        gauge(|one| flag(one.settled)),
    )?;
    page.gauge(
        "nines_database_problems",
        "What is wrong with this host's instance now",
        gauge(|one| one.problems.len() as f64),
    )?;
    page.gauge(
        "nines_database_lease_left_seconds",
        "How long the lease still lasts; 0 where this host doesn't hold it",
        gauge(|one| {
            let left = one.failover.as_ref().and_then(|known| known.lease.left);
            left.unwrap_or_default().as_secs_f64()
        }),
    )?;
    page.gauge(
        "nines_database_takeover_possible",
        "1 if another host could take over now without losing an acknowledged write",
        gauge(|one| {
            flag(one.failover.as_ref().is_some_and(|known| known.if_primary_died.successor.is_some()))
        }),
    )?;
    page.gauge(
        "nines_database_bytes_at_risk",
        "Bytes of acknowledged writes that nobody else may have, should the primary be lost now",
        gauge(|one| {
            one.failover.as_ref().and_then(|known| known.if_primary_died.at_risk).unwrap_or(0) as f64
        }),
    )?;
    members(page, all)?;
    gates(page, all)
}

fn members(page: &mut Page<'_>, all: &[DatabaseStatus]) -> fmt::Result {
    let by_member = |value: fn(&DatabaseMember) -> Option<f64>| {
        all.iter().flat_map(move |one| {
            one.members.iter().filter_map(move |member| {
                Some((vec![("database", one.name.as_str()), ("host", member.host.as_str())], value(member)?))
            })
        })
    };
    page.gauge(
        "nines_database_member_streams",
        "1 while the standby streams from the primary, as far as is known here",
        by_member(|member| (member.role != DatabaseRole::Primary).then(|| flag(member.streaming))),
    )?;
    page.gauge(
        "nines_database_member_in_cohort",
        "1 for those of whom some must hold each write",
        by_member(|member| Some(flag(member.in_cohort))),
    )?;
    page.gauge(
        "nines_database_member_lag_bytes",
        "Bytes of the primary's log that the member has not confirmed, where that is known here",
        by_member(|member| member.lag.map(|lag| lag as f64)),
    )
}

fn gates(page: &mut Page<'_>, all: &[DatabaseStatus]) -> fmt::Result {
    let counter = |value: fn(&DatabaseStatus) -> u64| all.iter().map(move |one| (of(one), value(one)));
    page.gauge(
        "nines_gate_connections",
        "Connections through the gate now",
        all.iter().flat_map(|one| {
            [("client", one.gate.clients), ("standby", one.gate.standbys)]
                .map(|(of, count)| (vec![("database", one.name.as_str()), ("of", of)], count as f64))
        }),
    )?;
    page.counter("nines_gate_accepted", "Clients let in", counter(|one| one.gate.accepted))?;
    page.counter(
        "nines_gate_refused",
        "Connections not let in, by reason",
        all.iter().flat_map(|one| {
            one.gate.refused.iter().map(|(reason, &count)| {
                (vec![("database", one.name.as_str()), ("reason", reason.as_str())], count)
            })
        }),
    )?;
    page.counter(
        "nines_gate_cut",
        "Clients' connections that were ended because the gate shut",
        counter(|one| one.gate.cut),
    )?;
    page.counter(
        "nines_gate_unconfirmed",
        "Connections that were ended in the place of the answer to a commit that no standby had confirmed",
        counter(|one| one.gate.unconfirmed),
    )?;
    page.counter(
        "nines_gate_bytes",
        "Bytes through the gate, by direction",
        all.iter().flat_map(|one| {
            [("from-clients", one.gate.from_clients), ("to-clients", one.gate.to_clients)].map(
                |(direction, count)| (vec![("database", one.name.as_str()), ("direction", direction)], count),
            )
        }),
    )
}

fn of(one: &DatabaseStatus) -> Labels<'_> {
    vec![("database", one.name.as_str())]
}
