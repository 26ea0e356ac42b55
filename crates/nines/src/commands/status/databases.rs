//! Who is the primary of each database, who has what, and what would happen if the primary died now.

use std::time::Duration;

use anstyle::Style;
use nines_control::failover::{self, Host, Role};
use nines_control::status::DatabaseStatus;

use crate::terminal::{BAD, BOLD, Cell, DIM, GOOD, PLAIN, UNSURE, bytes, duration, line, table};

pub(super) fn render(one: &DatabaseStatus, width: Option<usize>) -> Vec<String> {
    let Some(known) = &one.failover else {
        let cells = [
            Cell::new(format!("database {}", one.name), BOLD),
            Cell::new(" · ", DIM),
            Cell::new("starts: neither the coordination store nor PostgreSQL has answered yet", UNSURE),
        ];
        let problems = one.problems.iter().map(|problem| line(&[Cell::new(problem.clone(), BAD)], None));
        return std::iter::once(line(&cells, width)).chain(problems).collect();
    };
    let mut screen = vec![title(one, known, width)];
    screen.extend(members(known, width));
    screen.extend(going_on(one, known).into_iter().map(|cell| line(&[cell], width)));
    // What is wrong is not cut: a terminal wraps it.
    screen.extend(one.problems.iter().map(|problem| line(&[Cell::new(problem.clone(), BAD)], None)));
    screen.push(line(&forecast(known), width));
    for (host, why) in &known.if_primary_died.others {
        screen.push(line(&[Cell::new(format!("    not {host}: {why}"), DIM)], width));
    }
    screen
}

fn title(one: &DatabaseStatus, known: &failover::Status, width: Option<usize>) -> String {
    let (state, style) = match (&known.rule, known.serves) {
        (None, _) => ("there is no primary yet".to_owned(), UNSURE),
        (Some(rule), true) => (format!("this host serves, term {}", rule.term), GOOD),
        (Some(rule), false) if rule.primary == known.host => {
            let why = known.why.as_deref().unwrap_or("the gate is shut");
            (format!("this host should serve, term {}: {why}", rule.term), BAD)
        }
        (Some(rule), false) => (format!("{} is the primary, term {}", rule.primary, rule.term), PLAIN),
    };
    let confirmed = known.rule.as_ref().map_or_else(String::new, |rule| {
        let also = if rule.also.is_empty() { "" } else { " (and as before, while that changes)" };
        format!(" · each write on {}{also}", rule.cohort)
    });
    let lease = match known.lease.left {
        Some(left) => format!(" · lease {} left", millis(left)),
        None => format!(" · lease unchanged for {}", millis(known.lease.unchanged)),
    };
    let cells = [
        Cell::new(format!("database {}", one.name), BOLD),
        Cell::new(" · ", DIM),
        Cell::new(state, style),
        Cell::new(confirmed, PLAIN),
        Cell::new(lease, DIM),
    ];
    line(&cells, width)
}

fn members(known: &failover::Status, width: Option<usize>) -> Vec<String> {
    let headings = ["HOST", "ROLE", "CONFIRMS"].map(|text| Cell::new(text, DIM));
    let numbers = ["BEHIND", "POSITION"].map(|text| Cell::number(text).styled(DIM));
    let rest = ["HEARD", ""].map(|text| Cell::new(text, DIM));
    let rows = known.members.iter().map(|member| {
        let is_primary = known.rule.as_ref().is_some_and(|rule| rule.primary == member.host);
        let (role, style) = role(member, is_primary);
        let mark = if is_primary { "●" } else { "○" };
        let confirms = match (is_primary, member.confirms, member.in_cohort) {
            (true, ..) => "–",
            (false, true, _) => "yes",
            (false, false, true) => "not now",
            (false, false, false) => "no",
        };
        let heard = match member.heard {
            None => "never".to_owned(),
            Some(ago) if ago.is_zero() => "now".to_owned(),
            Some(ago) => format!("{} ago", millis(ago)),
        };
        vec![
            Cell::new(format!("{mark} {}", member.host), BOLD),
            Cell::new(role, style),
            Cell::new(confirms, PLAIN),
            Cell::number(member.lag.map_or_else(|| "–".to_owned(), bytes)),
            Cell::number(member.position.map_or_else(|| "–".to_owned(), position)),
            Cell::new(heard, PLAIN),
            Cell::new(member.unfit.clone().unwrap_or_default(), BAD),
        ]
    });
    let headings = headings.into_iter().chain(numbers).chain(rest).collect();
    table(&[headings].into_iter().chain(rows).collect::<Vec<Vec<Cell>>>(), width)
}

fn role(member: &failover::Member, is_primary: bool) -> (&'static str, Style) {
    match (member.role, is_primary, member.streams) {
        (Role::Primary, true, _) => ("primary", GOOD),
        (Role::Primary, false, _) => ("a primary by hand", BAD),
        (Role::Standby, _, true) => ("standby, streams", GOOD),
        (Role::Standby, _, false) => ("standby, does not stream", UNSURE),
        (Role::Stopped, ..) => ("stopped", BAD),
        (Role::Unknown, ..) => ("not known", UNSURE),
    }
}

/// What is under way, and what is wrong.
fn going_on(one: &DatabaseStatus, known: &failover::Status) -> Vec<Cell> {
    let mut cells = Vec::new();
    if known.paused {
        let text =
            format!("Paused by the operator: nobody takes over. `nines resume {}` ends that", one.name);
        cells.push(Cell::new(text, UNSURE));
    }
    if let Some(switchover) = &known.switchover {
        let to = switchover.to.as_ref().map_or_else(|| "the best standby".to_owned(), Host::to_string);
        cells.push(Cell::new(format!("Switchover to {to}: {}", switchover.stage), UNSURE));
    }
    if let Some(takeover) = &known.takeover {
        let mut text = format!("{} recruits for term {}", takeover.candidate, takeover.term);
        if !takeover.lacks.is_empty() {
            text = format!("{text}: {}", takeover.lacks);
        }
        cells.push(Cell::new(text, UNSURE));
    }
    if let Some(doing) = &one.engine.doing {
        cells.push(Cell::new(format!("This host: {doing}"), UNSURE));
    }
    if !one.engine.pending_restart.is_empty() {
        let names = one.engine.pending_restart.join(", ");
        cells.push(Cell::new(format!("In force with PostgreSQL's next start: {names}"), UNSURE));
    }
    for (path, size) in &one.engine.set_aside {
        cells.push(Cell::new(format!("Set aside: {path}, {}", bytes(*size)), DIM));
    }
    cells
}

fn forecast(known: &failover::Status) -> Vec<Cell> {
    let forecast = &known.if_primary_died;
    let text = match (&forecast.successor, &forecast.refused) {
        (Some(successor), _) => {
            let within = forecast.within.map_or_else(String::new, |time| format!(" within {}", millis(time)));
            return vec![
                Cell::new("If the primary died now: ", DIM),
                Cell::new(format!("{successor} takes over{within}, nothing acknowledged is lost"), GOOD),
            ];
        }
        (None, Some(why)) => {
            let risk = match forecast.at_risk {
                Some(0) => String::new(),
                Some(risk) => format!("; {} at risk", bytes(risk)),
                None => "; how much is at risk is not known here".to_owned(),
            };
            format!("nobody takes over: {why}{risk}")
        }
        (None, None) => "nobody takes over".to_owned(),
    };
    vec![Cell::new("If the primary died now: ", DIM), Cell::new(text, BAD)]
}

/// As PostgreSQL writes it: `3 · 0/5000148`.
fn position(at: failover::Position) -> String {
    format!("{} · {:X}/{:X}", at.term, at.lsn >> 32, at.lsn & 0xffff_ffff)
}

fn millis(time: Duration) -> String {
    duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
