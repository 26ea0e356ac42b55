//! What this host's instance of a database is to others: to load balancers by its gate, to a person by the status.

use nines_control::failover::{Failover, Gate, Host, Report, Role, Status};
use nines_control::gate::{Serves, Standing};
use nines_control::status::{DatabaseMember, DatabaseRole, DatabaseStatus, EngineStatus, GateStatus};
use nines_database::gate::Counts;
use nines_database::hands::Facts;

/// Whom the gate serves, and why not everybody. Its number is the gate's to give.
pub(super) fn standing(machine: &Failover, known: &Status, report: Option<&Report>, most: u64) -> Standing {
    let term = machine.rule().map_or(0, |rule| rule.term);
    let own = known.members.iter().find(|member| member.host == known.host);
    let lag = own.and_then(|own| own.lag);
    let told = |serves, why: String| Standing { number: 0, serves, term, lag: lag.unwrap_or(0), why };
    match machine.gate() {
        Gate::Open { term, .. } => Standing { term: *term, ..told(Serves::Everything, String::new()) },
        Gate::Hold { .. } => told(Serves::Handover, String::new()),
        Gate::Close { why } => match reads(machine, report, lag, most) {
            Ok(()) => told(Serves::Reads, String::new()),
            Err(no_reads) if report.is_some_and(|report| report.role == Role::Standby) => {
                told(Serves::Nobody, no_reads)
            }
            Err(_) => told(Serves::Nobody, (*why).to_owned()),
        },
    }
}

/// Whether it is a standby that may be read from, or why not.
fn reads(machine: &Failover, report: Option<&Report>, lag: Option<u64>, most: u64) -> Result<(), String> {
    let Some(rule) = machine.rule() else { return Err("there is no primary yet".to_owned()) };
    let Some(report) = report else { return Err("starts".to_owned()) };
    if report.role != Role::Standby {
        return Err("PostgreSQL does not run as a standby".to_owned());
    }
    let follows = report.source.as_ref().is_some_and(|(host, _)| *host == rule.primary);
    if !follows || report.diverged || report.position.is_none() {
        return Err(format!("does not follow {}", rule.primary));
    }
    if !report.streams {
        return Err(format!("does not hear {}", rule.primary));
    }
    // Who hears a primary and not the store can't know whether it still is one.
    if machine.heard_store().elapsed() > 2 * machine.settings().lease {
        return Err("the coordination store doesn't answer".to_owned());
    }
    match lag {
        None => Err(format!("how far it is behind {} is not known", rule.primary)),
        Some(lag) if lag > most => Err(format!("is {lag} bytes behind {}", rule.primary)),
        Some(_) => Ok(()),
    }
}

pub(super) fn status(name: &str, known: Status, facts: &Facts, counts: &Counts) -> DatabaseStatus {
    let primary = known.rule.as_ref().map(|rule| &rule.primary);
    let member = |member: &nines_control::failover::Member| DatabaseMember {
        host: member.host.to_string(),
        role: role(member.role),
        streaming: member.streams,
        lag: member.lag,
        in_cohort: member.in_cohort,
    };
    let own = known.members.iter().find(|member| member.host == known.host);
    DatabaseStatus {
        name: name.to_owned(),
        role: own.map_or(DatabaseRole::Unknown, |own| role(own.role)),
        term: known.rule.as_ref().map_or(0, |rule| rule.term),
        primary: primary.map(Host::to_string),
        serves: known.serves,
        members: known.members.iter().map(member).collect(),
        settled: known.settled,
        problems: known.problems.clone(),
        engine: engine(facts),
        gate: gate(counts),
        failover: Some(known),
    }
}

/// It serves, or follows who does, and nothing is the matter.
pub(super) fn is_well(known: &Status) -> bool {
    let follows = known.members.iter().any(|member| member.host == known.host && member.streams);
    known.problems.is_empty() && (known.serves || follows)
}

fn role(role: Role) -> DatabaseRole {
    match role {
        Role::Primary => DatabaseRole::Primary,
        Role::Standby => DatabaseRole::Standby,
        Role::Stopped => DatabaseRole::Stopped,
        Role::Unknown => DatabaseRole::Unknown,
    }
}

fn engine(facts: &Facts) -> EngineStatus {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let aside = facts.set_aside.iter().map(|(path, bytes)| (path.display().to_string(), *bytes));
    EngineStatus {
        version: facts.version.clone(),
        data: facts.data_directory.display().to_string(),
        pid: facts.pid,
        running_ms: facts.running.map(millis),
        timeline: facts.timeline,
        received: facts.received,
        replayed: facts.replayed,
        behind_ms: facts.behind.map(millis),
        doing: facts.doing.clone(),
        pending_restart: facts.pending_restart.clone(),
        set_aside: aside.collect(),
    }
}

fn gate(counts: &Counts) -> GateStatus {
    GateStatus {
        clients: counts.connections,
        standbys: counts.replication_connections,
        accepted: counts.accepted,
        cut: counts.closed,
        unconfirmed: counts.unconfirmed,
        refused: counts.refused.iter().map(|(why, count)| (why.word().to_owned(), *count)).collect(),
        from_clients: counts.bytes_from_clients,
        to_clients: counts.bytes_to_clients,
    }
}
