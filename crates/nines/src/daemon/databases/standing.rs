//! What this host's instance of a database is to others: to load balancers by its gate, to a person by the status.

use std::collections::BTreeSet;

use nines_control::failover::{Failover, Gate, Host, Report, Role, Rule};
use nines_control::gate::{Serves, Standing};
use nines_control::status::{DatabaseMember, DatabaseRole, DatabaseStatus};

/// Whom the gate serves, and why not everybody. Its number is the gate's to give.
pub(super) fn standing(machine: &Failover, report: Option<&Report>, lag: Option<u64>, most: u64) -> Standing {
    let term = machine.rule().map_or(0, |rule| rule.term);
    let told = |serves, why: String| Standing { number: 0, serves, term, lag: lag.unwrap_or(0), why };
    match machine.gate() {
        Gate::Open { term, .. } => Standing { term: *term, ..told(Serves::Everything, String::new()) },
        // New connections wait at the gate for what comes of it.
        Gate::Hold { .. } => told(Serves::Everything, String::new()),
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
    match lag {
        None => Err(format!("does not hear {}", rule.primary)),
        Some(lag) if lag > most => Err(format!("is {lag} bytes behind {}", rule.primary)),
        Some(_) => Ok(()),
    }
}

pub(super) fn status(name: &str, me: &Host, machine: &Failover, report: Option<&Report>) -> DatabaseStatus {
    let rule = machine.rule();
    let role = report.map_or(DatabaseRole::Unknown, |report| match report.role {
        Role::Primary => DatabaseRole::Primary,
        Role::Standby => DatabaseRole::Standby,
        Role::Stopped => DatabaseRole::Stopped,
        Role::Unknown => DatabaseRole::Unknown,
    });
    DatabaseStatus {
        name: name.to_owned(),
        role,
        term: rule.map_or(0, |rule| rule.term),
        primary: rule.map(|rule| rule.primary.to_string()),
        serves: matches!(machine.gate(), Gate::Open { .. }),
        members: members(me, machine, report, rule),
        settled: rule.is_some_and(|rule| rule.taking.is_none() && rule.also.is_empty()),
        problems: Vec::new(),
    }
}

fn members(me: &Host, machine: &Failover, report: Option<&Report>, rule: Option<&Rule>) -> Vec<DatabaseMember> {
    let cohort: BTreeSet<Host> = rule.map(|rule| rule.cohort.members.clone()).unwrap_or_default();
    let end = report.and_then(|report| report.position).map(|position| position.lsn);
    let leads = rule.is_some_and(|rule| rule.primary == *me);
    let member = |host: &Host| {
        let confirmed = report
            .filter(|_| leads)
            .and_then(|report| report.standbys.iter().find(|(standby, _)| standby == host))
            .map(|(_, confirmed)| *confirmed);
        let is_primary = rule.is_some_and(|rule| rule.primary == *host);
        DatabaseMember {
            host: host.to_string(),
            role: match (is_primary, confirmed) {
                (true, _) => DatabaseRole::Primary,
                (false, Some(_)) => DatabaseRole::Standby,
                (false, None) => DatabaseRole::Unknown,
            },
            streaming: confirmed.is_some(),
            lag: confirmed.zip(end).map(|(confirmed, end)| end.saturating_sub(confirmed)),
            in_cohort: cohort.contains(host),
        }
    };
    machine.settings().hosts.iter().map(member).collect()
}
