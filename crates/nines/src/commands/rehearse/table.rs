//! What a rehearsal found, as a table for people.

use nines_rehearsal::report::{Loss, WritesReport};
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{CaseReport, Fault, Report};
use nines_system::{Database, LoadBalancer, Pool, System};

use crate::terminal::{self, BAD, Cell, DIM, GOOD, PLAIN, UNSURE, thousands};

/// From here on the clients' own delay is worth a word.
pub(super) const LATE_MS: f64 = 100.0;

/// `shop · 2 zones · load balancer front (2 hosts) · pool web (3 servers) · objective 99.99 %`.
pub(crate) fn headline(system: &System) -> String {
    let mut parts = vec![system.name.clone(), count(system.zones.len(), "zone")];
    let balancer =
        |it: &LoadBalancer| format!("load balancer {} ({})", it.name, count(it.hosts.len(), "host"));
    parts.extend(system.load_balancers.iter().map(balancer));
    let pool = |pool: &Pool| format!("pool {} ({})", pool.name, count(pool.members.len(), "server"));
    parts.extend(system.pools.iter().filter(|pool| pool.reaches.is_none()).map(pool));
    let database = |it: &Database| format!("database {} ({})", it.name, count(it.hosts.len(), "host"));
    parts.extend(system.databases.iter().map(database));
    parts.push(format!("objective {}", system.objective.text));
    parts.join(" · ")
}

/// The rows, what broke and why below its row, and the verdict; cut to `width` where a row is longer.
pub(crate) fn lines(report: &Report, width: Option<usize>) -> Vec<String> {
    let headings = ["what failed", "how", "clients saw"].map(|text| Cell::new(text, DIM));
    let databases = report.results.iter().any(|result| result.writes.is_some());
    let predicted = report.results.iter().any(|result| result.predicted.is_some());
    let mut numbers: Vec<&str> = predicted.then_some("predicted").into_iter().collect();
    numbers.extend(["longest gap", "slowest", "noticed in"]);
    numbers.extend(databases.then_some("taken over"));
    numbers.push("well again");
    let numbers = numbers.into_iter().map(|text| Cell::number(text).styled(DIM));
    let mut rows = vec![headings.into_iter().chain(numbers).collect()];
    let mut before = None;
    for result in &report.results {
        rows.push(row(result, before, predicted, databases));
        before = Some(result);
    }
    let mut rows = terminal::table(&rows, width).into_iter();
    let mut lines: Vec<String> = rows.by_ref().take(1).collect();
    for (line, result) in rows.zip(&report.results) {
        lines.push(line);
        lines.extend(result.why.iter().map(|why| styled(&format!("  broken: {why}"), BAD)));
        lines.extend(doubts(result));
    }
    lines.extend(not_possible(report));
    lines.extend(report.results.iter().filter_map(differs));
    lines.push(verdict(report));
    lines
}

/// What was not put to the test, and why: a line for each fault and reason.
pub(super) fn not_possible(report: &Report) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for it in &report.not_possible {
        let what = format!("{}: not possible here: {}", it.fault, it.why);
        match lines.iter_mut().find(|(other, _)| *other == what) {
            Some((_, of)) => of.push(&it.component),
            None => lines.push((what, vec![&it.component])),
        }
    }
    let told = |(what, mut of): (String, Vec<&str>)| {
        of.dedup();
        styled(&format!("not played: {what} ({})", of.join(", ")), UNSURE)
    };
    lines.into_iter().map(told).collect()
}

/// Below the table: what was observed is not what the model expects.
fn differs(result: &CaseReport) -> Option<String> {
    let difference = result.difference.as_ref()?;
    let how = result.predicted.as_ref().map(|of| format!(" (predicted: {})", of.how)).unwrap_or_default();
    let text = format!("finding: {} {}: {difference}{how}", what(result, true), self::how(result));
    Some(styled(&text, UNSURE))
}

/// What a case should cost at most, by the model.
pub(super) fn prediction(result: &CaseReport) -> String {
    let Some(predicted) = &result.predicted else { return "–".to_owned() };
    match (predicted.loss, predicted.at_most_ms) {
        (Loss::Nothing, _) => "no gap".to_owned(),
        (Loss::UntilRepaired, _) | (_, None) => "until repaired".to_owned(),
        (Loss::Some, Some(0.0)) => "a few requests".to_owned(),
        (Loss::Some, Some(at_most)) => format!("some, ≤ {}", duration(at_most)),
        (Loss::Gap, Some(at_most)) => format!("≤ {}", duration(at_most)),
    }
}

/// A whole case in a line, for a log.
pub(crate) fn sentence(result: &CaseReport) -> String {
    let requests = &result.requests;
    let verdict = match result.verdict {
        Verdict::Held => "held".to_owned(),
        Verdict::Broken => format!("broken: {}", result.why.join("; ")),
    };
    if let Some(writes) = &result.writes {
        let asked = match requests.sent {
            0 => String::new(),
            sent => format!(", {} of {} requests failed", thousands(requests.failed), thousands(sent)),
        };
        return format!(
            "{} {}: {}{asked}, longest gap {}, taken over in {}: {verdict}",
            what(result, false),
            how(result),
            written(writes),
            duration(result.longest_gap_ms),
            or_dash(result.taken_over_ms),
        );
    }
    format!(
        "{} {}: {} of {} requests failed, longest gap {}, slowest {}: {verdict}",
        what(result, true),
        how(result),
        thousands(requests.failed),
        thousands(requests.sent),
        duration(result.longest_gap_ms),
        or_dash(result.slowest_ms),
    )
}

fn row(result: &CaseReport, before: Option<&CaseReport>, predicted: bool, databases: bool) -> Vec<Cell> {
    let requests = &result.requests;
    let saw = match &result.writes {
        Some(writes) if requests.sent > 0 => format!(
            "{}; {} of {} requests failed",
            written(writes),
            thousands(requests.failed),
            thousands(requests.sent)
        ),
        Some(writes) => written(writes),
        None => format!(
            "{} of {} {}failed",
            thousands(requests.failed),
            thousands(requests.sent),
            if before.is_none() { "requests " } else { "" }
        ),
    };
    let failed = requests.failed + result.writes.as_ref().map_or(0, |writes| writes.errors);
    let style = match (result.verdict, failed) {
        (Verdict::Broken, _) => BAD,
        (Verdict::Held, 0) => GOOD,
        // Lost, but not promised.
        (Verdict::Held, _) => UNSURE,
    };
    // Where an address or a primary moves it is the figure that counts; elsewhere it says how closely was looked.
    let gap = match result.promised_gap_ms {
        Some(promised) if result.longest_gap_ms > promised => BAD,
        Some(_) => GOOD,
        None => PLAIN,
    };
    let same =
        before.is_some_and(|before| before.hosts == result.hosts && before.together == result.together);
    let mut row =
        vec![Cell::new(what(result, same), PLAIN), Cell::new(how(result), PLAIN), Cell::new(saw, style)];
    row.extend(predicted.then(|| Cell::number(prediction(result)).styled(DIM)));
    row.extend([
        Cell::number(duration(result.longest_gap_ms)).styled(gap),
        Cell::number(or_dash(result.slowest_ms)),
        Cell::number(or_dash(result.noticed_ms)),
    ]);
    row.extend(databases.then(|| Cell::number(or_dash(result.taken_over_ms))));
    let well = if result.recovered_ms.is_some() { PLAIN } else { BAD };
    row.push(Cell::number(or_dash(result.recovered_ms)).styled(well));
    row
}

/// `2,412 rows written, 37 errors, none lost`.
pub(super) fn written(writes: &WritesReport) -> String {
    let lost = match writes.lost {
        Some(0) => "none lost".to_owned(),
        Some(lost) => format!("{} LOST", thousands(lost)),
        None => "lost: unknown".to_owned(),
    };
    let errors = if writes.errors == 1 { "1 error" } else { &format!("{} errors", thousands(writes.errors)) };
    format!("{} rows written, {errors}, {lost}", thousands(writes.acked))
}

pub(super) fn what(result: &CaseReport, same: bool) -> String {
    if let Some(role) = &result.role {
        return format!("{} {role} ({})", result.component, result.hosts.join(", "));
    }
    match &result.zone {
        _ if result.together && is_name_enough(&result.component) => result.component.clone(),
        _ if result.together => format!("all of {}", result.component),
        // A file that names no zones has one called so.
        Some(zone) if !same && zone != "default" => format!("{} (zone {zone})", result.component),
        _ => result.component.clone(),
    }
}

/// Of what fails together: whether it says by itself that it is more than one.
fn is_name_enough(component: &str) -> bool {
    component == "everything" || component.contains(" + ") || component.starts_with("shared ")
}

pub(super) fn how(result: &CaseReport) -> String {
    let how = match result.fault {
        Fault::Kill => "killed",
        Fault::PowerOff => "power cut",
        Fault::Freeze => "frozen",
        Fault::KillServer => "server killed",
        Fault::FreezeServer => "server frozen",
        Fault::KillNines => "nines killed",
        Fault::FreezeNines => "nines frozen",
        Fault::KillStore => "etcd killed",
        Fault::FreezeStore => "etcd frozen",
        Fault::Switchover => "switched over",
        Fault::CutOff => "cut off",
        Fault::Partition => "partitioned",
        Fault::CutIn => "deaf",
        Fault::CutOut => "mute",
        Fault::KillMember => "member killed",
        Fault::FreezeMember => "member frozen",
        Fault::Slow => "slow",
        Fault::Lossy => "lossy",
        Fault::Split => "split",
        Fault::Drain => "drained",
        Fault::Maintenance => "in maintenance",
        Fault::Restart => "restarted",
        Fault::RollingRestart => return "restarted in turn".to_owned(),
        Fault::Reload => return format!("reloaded × {}", Fault::RELOADS),
    };
    if result.together { format!("{how} together") } else { how.to_owned() }
}

/// Why what was seen may not be what the fault did.
fn doubts(result: &CaseReport) -> Vec<String> {
    let late = (result.clients_late_ms >= LATE_MS).then(|| {
        let late = duration(result.clients_late_ms);
        format!("the clients themselves were up to {late} late; this machine was busy")
    });
    let before = (result.failed_before > 0).then(|| before(result.failed_before));
    let notes = [before, late].into_iter().flatten();
    notes.map(|note| styled(&format!("  note: {note}"), UNSURE)).collect()
}

/// What failed before anything was broken, and what to do about it.
pub(super) fn before(failed: u64) -> String {
    format!(
        "{} of these failed before anything was broken: this machine, or the system as it is, does not carry so much; \
         try a lower --rate",
        terminal::thousands(failed)
    )
}

fn verdict(report: &Report) -> String {
    let broken = report.results.iter().filter(|result| result.verdict == Verdict::Broken).count();
    match (report.results.len(), broken) {
        (0, _) => styled("verdict: none, nothing was rehearsed", UNSURE),
        (_, 0) if report.complete && report.not_possible.is_empty() => {
            styled("verdict: every promise held", GOOD)
        }
        (_, 0) if report.complete => {
            styled("verdict: every promise held that could be put to the test here", GOOD)
        }
        (_, 0) => styled("verdict: every promise held so far; not all were put to the test", UNSURE),
        (all, broken) => styled(&format!("verdict: {broken} of {} broken", count(all, "promise")), BAD),
    }
}

fn styled(text: &str, style: anstyle::Style) -> String {
    format!("{style}{text}{style:#}")
}

/// Up to the next millisecond, so that nothing seems to have taken no time.
pub(super) fn duration(ms: f64) -> String {
    terminal::duration(ms.ceil() as u64)
}

pub(super) fn or_dash(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".to_owned(), duration)
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
