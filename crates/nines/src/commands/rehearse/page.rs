//! What a rehearsal found, as one page for people who weren't there.

mod case;
mod drawing;

use maud::html;
use nines_page::{Cell, Column, Document, Markup, Tone, badge, facts, section, slug, table};
use nines_rehearsal::report::Machine;
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{CaseReport, Report};
use nines_system::System;

use super::table::{LATE_MS, before, duration, how, not_possible, or_dash, prediction, what};
use crate::terminal::{self, bytes, thousands};

/// What the report itself doesn't say.
pub(crate) struct Around<'a> {
    /// Microseconds since the Unix epoch.
    pub(crate) ended_us: u64,
    /// Cases that were to be played.
    pub(crate) planned: usize,
    /// How a fault lasts, and how often clients ask, as the command line says.
    pub(crate) seconds: u64,
    pub(crate) rate: u32,
    /// The system file.
    pub(crate) file: &'a str,
}

/// What it is, and what it isn't: clients may have to wait for longer.
const WELL_AGAIN: &str = "From the healing to when the system says that all of it is well: every listener open, every member up and in \
                          use, each address and database where it belongs. What had piled up may still make answers late then";

/// The whole file.
pub(crate) fn page(system: &System, report: &Report, around: &Around<'_>) -> String {
    let program = concat!("nines ", env!("CARGO_PKG_VERSION"));
    let document = Document::new(format!("{}: a rehearsal", report.system)).made_by(program);
    document.body(&html! {
        (head(report, around, program))
        (first(report, around))
        (section("system", "The system", &drawing::draw(system, report, around)))
        (section("cases", "What was broken, and what clients saw", &all(report)))
        @if !report.results.is_empty() {
            (section("each", "Each case", &html! {
                p.quiet {
                    "Times count from just before the fault. Requests are drawn in the moment in which they were due, whatever \
                     happened to those before; writes in the moment of their answer. Well again is the system by what it says of \
                     itself: every listener open, every member up and in use, each address and database where it belongs. What had \
                     piled up by then may make answers late for a while longer."
                }
                @for (index, result) in report.results.iter().enumerate() { (case::card(index, result)) }
            }))
        }
    })
}

fn head(report: &Report, around: &Around<'_>, program: &str) -> Markup {
    let machine = report.machine.clone().unwrap_or_default();
    let all = [
        ("Objective", html! { (report.objective) }),
        (
            "When",
            html! { (terminal::timestamp(around.ended_us).replace('T', " ").split('.').next().unwrap_or_default()) " UTC" },
        ),
        ("Took", html! { (duration(machine.took_s * 1e3)) }),
        ("By", html! { (program) @if machine.unoptimised { ", built for debugging" } }),
        ("File", html! { (around.file) }),
        ("Each fault lasted", html! { (around.seconds) " s" }),
        ("Clients", html! { (thousands(around.rate.into())) " requests a second" }),
    ];
    html! {
        h1 { (report.system) ": a rehearsal " (verdict(report)) }
        p.lead { (summary(report)) }
        (facts(&all))
        @if let Some(machine) = &report.machine { p.quiet { "On a machine with " (on(machine)) "." } }
    }
}

fn on(machine: &Machine) -> String {
    let mut parts = Vec::new();
    parts.extend((machine.cores > 0).then(|| count(machine.cores, "core")));
    parts.extend((machine.memory_bytes > 0).then(|| bytes(machine.memory_bytes)));
    parts.extend([&machine.processor, &machine.kernel].into_iter().filter(|text| !text.is_empty()).cloned());
    parts.push(format!("load {:.1} at first", machine.load));
    parts.join(", ")
}

fn verdict(report: &Report) -> Markup {
    match report.verdict {
        _ if report.results.is_empty() => badge(Tone::Unsure, "nothing rehearsed"),
        Verdict::Broken => badge(Tone::Bad, "broken"),
        Verdict::Held if !report.complete => badge(Tone::Unsure, "held so far"),
        Verdict::Held => badge(Tone::Good, "held"),
    }
}

fn summary(report: &Report) -> String {
    let cases = report.results.len();
    let broken = report.results.iter().filter(|result| result.verdict == Verdict::Broken).count();
    match (cases, broken) {
        (0, _) => "Nothing was rehearsed.".to_owned(),
        (1, 0) => "The one promise held.".to_owned(),
        (_, 0) => format!("All {cases} promises held."),
        _ => format!("{broken} of {} broken, {} held.", count(cases, "promise"), cases - broken),
    }
}

/// What to read first: what broke, then what was lost without a promise, then what to mistrust.
fn first(report: &Report, around: &Around<'_>) -> Markup {
    let cases = || report.results.iter().enumerate();
    let broken: Vec<_> = cases().filter(|(_, result)| result.verdict == Verdict::Broken).collect();
    let different: Vec<_> =
        cases().filter_map(|(index, it)| Some((index, it, it.difference.as_ref()?))).collect();
    let lost = |result: &CaseReport| result.verdict == Verdict::Held && failed(result) > 0;
    let lost: Vec<_> = cases().filter(|(_, result)| lost(result)).collect();
    let late = report.results.iter().map(|result| result.clients_late_ms).fold(0.0, f64::max);
    let link =
        |index: usize, result: &CaseReport| html! { a href={ "#" (id(index, result)) } { (name(result)) } };
    let not_possible = not_possible(report);
    let early: Vec<_> = cases().filter(|(_, result)| result.failed_before > 0).collect();
    let nothing = not_possible.is_empty()
        && early.is_empty()
        && broken.is_empty()
        && different.is_empty()
        && lost.is_empty()
        && report.complete;
    if nothing && late < LATE_MS {
        return html! {};
    }
    section(
        "first",
        "Read this first",
        &html! {
            ul {
                @if !report.complete {
                    li { "The rehearsal ended early: " (report.results.len()) " of " (around.planned) " cases were played." }
                }
                @for (index, result) in broken {
                    li { (badge(Tone::Bad, "broken")) " " (link(index, result)) ": " (result.why.join("; ")) }
                }
                @for (index, result, difference) in different {
                    li { (badge(Tone::Unsure, "not as predicted")) " " (link(index, result)) ": " (difference) }
                }
                @if !lost.is_empty() {
                    li {
                        (badge(Tone::Unsure, "failed, as allowed")) " in " (count(lost.len(), "case"))
                        " clients saw failures that no promise forbids: "
                        @for (n, (index, result)) in lost.iter().enumerate() {
                            @if n > 0 { ", " }
                            (link(*index, result)) " (" (thousands(failed(result))) ")"
                        }
                    }
                }
                @for (index, result) in early {
                    li { (badge(Tone::Unsure, "not the fault's")) " " (link(index, result)) ": " (before(result.failed_before)) }
                }
                @for line in &not_possible { li { (anstream::adapter::strip_str(line).to_string()) } }
                @if late >= LATE_MS {
                    li {
                        (badge(Tone::Unsure, "busy machine")) " the clients themselves were up to " (duration(late))
                        " late, so that times may look longer than they are."
                    }
                }
            }
        },
    )
}

fn all(report: &Report) -> Markup {
    let predicted = report.results.iter().any(|result| result.predicted.is_some());
    let taken_over = report.results.iter().any(|result| result.taken_over_ms.is_some());
    let mut columns = vec![
        Column::text("Component"),
        Column::text("Fault"),
        Column::text("Verdict"),
        Column::number("Sent").meaning("Requests, or rows that were acknowledged"),
        Column::number("Failed").meaning("Requests, or errors of writers"),
        Column::number("Longest gap")
            .meaning("Longest time without a good answer, or an acknowledged row, on one way in"),
        Column::number("Promised").meaning("How long that gap may be at most, where it was promised"),
    ];
    columns.extend(predicted.then(|| Column::number("Predicted").meaning("What the audit's model expects")));
    columns.extend([
        Column::number("Slowest").meaning("The slowest good answer"),
        Column::number("Noticed").meaning("From the fault to the first event about it"),
    ]);
    columns.extend(taken_over.then(|| {
        Column::number("Taken over").meaning("From the fault to when a host began to serve the database")
    }));
    columns.push(Column::number("Well again").meaning(WELL_AGAIN));
    let row = |(index, result): (usize, &CaseReport)| {
        let sent = result.writes.as_ref().map_or(result.requests.sent, |writes| writes.acked);
        let mut row = vec![
            Cell::new(html! { a href={ "#" (id(index, result)) } { (what(result, false)) } }),
            Cell::text(how(result)),
            Cell::new(html! { (badge(tone(result), case::word(result))) }),
            Cell::text(thousands(sent)),
            Cell::text(thousands(failed(result))).tone(if failed(result) == 0 {
                Tone::Plain
            } else {
                tone(result)
            }),
            Cell::text(duration(result.longest_gap_ms)).tone(match result.promised_gap_ms {
                Some(promised) if result.longest_gap_ms > promised => Tone::Bad,
                Some(_) => Tone::Good,
                None => Tone::Plain,
            }),
            Cell::text(or_dash(result.promised_gap_ms)),
        ];
        row.extend(predicted.then(|| Cell::text(prediction(result))));
        row.extend([Cell::text(or_dash(slowest(result))), Cell::text(or_dash(result.noticed_ms))]);
        row.extend(taken_over.then(|| Cell::text(or_dash(result.taken_over_ms))));
        let well = if result.recovered_ms.is_some() { Tone::Plain } else { Tone::Bad };
        row.push(Cell::text(or_dash(result.recovered_ms)).tone(well));
        row
    };
    table(
        "Every case; each leads to its own part below.",
        &columns,
        report.results.iter().enumerate().map(row).collect(),
    )
}

/// The address of a case on the page.
fn id(index: usize, result: &CaseReport) -> String {
    format!("case-{}-{}", index + 1, slug(&name(result)))
}

fn name(result: &CaseReport) -> String {
    format!("{}, {}", what(result, true), how(result))
}

/// Requests, or writes.
fn failed(result: &CaseReport) -> u64 {
    result.writes.as_ref().map_or(result.requests.failed, |writes| writes.errors)
}

/// Of requests, or of writes.
fn slowest(result: &CaseReport) -> Option<f64> {
    let of_writes = result.course.slowest.first().map(|slow| slow.took_ms);
    result.slowest_ms.or(of_writes.filter(|_| result.writes.is_some()))
}

fn tone(result: &CaseReport) -> Tone {
    match (result.verdict, failed(result)) {
        (Verdict::Broken, _) => Tone::Bad,
        (Verdict::Held, 0) => Tone::Good,
        (Verdict::Held, _) => Tone::Unsure,
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
