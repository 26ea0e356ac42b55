//! Outages, as those who were without service tell of them: one time, with everything that was down in it, who saw it, and what
//! happened meanwhile.

use maud::html;
use nines_availability::measurement::{JOINED, Kind, Measured, Moment, Outage, Report, Second};
use nines_page::{Cell, Column, Markup, Tone, badge, fold, table};

use super::super::text::{at, milestone, seconds};
use super::several;
use crate::terminal::{thousands, timestamp};

/// Times that are told, the latest.
const TOLD: usize = 40;
/// Subjects of each.
const ROWS: usize = 30;
/// Moments of each.
const MOMENTS: usize = 60;

/// Outages that overlap, or nearly so.
struct Time<'a> {
    from: Second,
    to: Second,
    of: Vec<&'a Outage>,
}

pub(super) fn all(report: &Report, all: &[Measured]) -> Markup {
    let whole = report.service.iter().filter(|_| report.subjects.len() > 1);
    let mut found: Vec<&Outage> = whole.chain(&report.subjects).flat_map(|of| &of.outages).collect();
    found.sort_by(|one, other| (one.from, &one.subject).cmp(&(other.from, &other.subject)));
    let mut times: Vec<Time<'_>> = Vec::new();
    for outage in found {
        match times.last_mut().filter(|last| outage.from < last.to + JOINED) {
            Some(last) => {
                last.to = last.to.max(outage.to);
                last.of.push(outage);
            }
            None => times.push(Time { from: outage.from, to: outage.to, of: vec![outage] }),
        }
    }
    let count = times.len();
    let untold = report.service.iter().chain(&report.subjects).any(|of| of.outage_count > of.outages.len());
    if count == 0 {
        return html! { p { "No outage was seen. Of what is unknown, nobody can say." } };
    }
    times.reverse();
    html! {
        p {
            (thousands(count as u64)) @if count == 1 { " time" } @else { " times" } " in which something was down"
            @if count > TOLD { "; here are the latest " (TOLD) }
            @if untold { "; there were more, earlier" }
            ". The latest come first; all times are UTC."
        }
        @for (n, time) in times.iter().take(TOLD).enumerate() { (one(n, time, all)) }
    }
}

fn one(n: usize, time: &Time<'_>, all: &[Measured]) -> Markup {
    let lasts = time.of.iter().any(|outage| outage.lasts);
    let end = if lasts { "and lasts".to_owned() } else { format!("to {}", until(time.from, time.to)) };
    let mut causes: Vec<&str> = time.of.iter().filter_map(|outage| outage.cause.as_deref()).collect();
    causes.dedup();
    let moments = moments(time);
    nines_page::card(
        &format!("outage-{}", n + 1),
        Tone::Bad,
        &html! {
            h3 {
                (at(time.from)) " " (end) ": " (seconds(time.to - time.from)) " "
                @if lasts { (badge(Tone::Bad, "goes on")) }
            }
            @if causes.is_empty() { p.quiet { "No event tells of a cause." } } @else { p { "Cause: " (causes[0]) } }
            (rows(time, all))
            @if !moments.is_empty() {
                (fold(&format!("Timeline: {}", count(moments.len())), &timeline(&moments, time.from)))
            }
        },
    )
}

/// The day is said only where it is another one.
fn until(from: Second, to: Second) -> String {
    let (from, to) = (at(from), at(to));
    if from[..10] == to[..10] { to[11..].to_owned() } else { to }
}

fn rows(time: &Time<'_>, all: &[Measured]) -> Markup {
    let columns = [
        Column::text("What"),
        Column::text("Began"),
        Column::text("Ended"),
        Column::number("Lasted"),
        Column::number("Down").meaning("Seconds of it in which it was down"),
        Column::number("Unknown"),
        Column::number("Failed").meaning("Requests, in its minutes"),
        Column::text("Seen by"),
        Column::text("Cause"),
    ];
    let row = |outage: &&Outage| {
        let began =
            format!("{}{}", &at(outage.from)[11..], if outage.began_unseen { " or earlier" } else { "" });
        let ended = match (outage.lasts, outage.ended_unseen) {
            (true, _) => "goes on".to_owned(),
            (_, true) => format!("{} or later", until(outage.from, outage.to)),
            _ => until(outage.from, outage.to),
        };
        vec![
            Cell::text(outage.subject.to_string()),
            Cell::text(began),
            Cell::text(ended),
            Cell::text(seconds(outage.to - outage.from)),
            Cell::text(seconds(outage.down)).tone(Tone::Bad),
            Cell::text(seconds(outage.unknown)).tone(if outage.unknown > 0 {
                Tone::Unsure
            } else {
                Tone::Plain
            }),
            Cell::text(thousands(outage.failed)),
            Cell::words(html! { (seen_by(outage, all)) }),
            Cell::words(html! { (outage.cause.as_deref().unwrap_or("–")) }),
        ]
    };
    html! {
        (table("What was down", &columns, time.of.iter().take(ROWS).map(row).collect()))
        @if time.of.len() > ROWS { p.quiet { "And " (time.of.len() - ROWS) " more." } }
    }
}

/// Who says that it was down, who says that it was not, and who doesn't know.
fn seen_by(outage: &Outage, all: &[Measured]) -> String {
    if outage.subject.kind == Kind::Service {
        return "made of the others".to_owned();
    }
    let (mut down, mut up, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for one in all {
        let Some(series) = one.history.series(&outage.subject) else { continue };
        let totals = series.totals(outage.from, outage.to);
        let name = one.history.vantage.clone();
        match (totals.down, totals.up) {
            (0, 0) => unknown.push(name),
            (0, _) => up.push(name),
            _ => down.push(name),
        }
    }
    let mut said = vec![several(&down)];
    said.extend((!up.is_empty()).then(|| format!("up as {} saw it", several(&up))));
    said.extend((!unknown.is_empty()).then(|| format!("unknown to {}", several(&unknown))));
    said.join("; ")
}

/// Of all of them, each once.
fn moments<'a>(time: &Time<'a>) -> Vec<&'a Moment> {
    let mut all: Vec<&Moment> = time.of.iter().flat_map(|outage| &outage.timeline).collect();
    all.sort_by(|one, other| one.at_ms.cmp(&other.at_ms).then_with(|| key(one).cmp(&key(other))));
    all.dedup_by(|one, other| one.at_ms == other.at_ms && key(one) == key(other));
    all.truncate(MOMENTS);
    all
}

fn count(events: usize) -> String {
    if events == 1 { "one event".to_owned() } else { format!("{events} events") }
}

fn key(of: &Moment) -> (&str, &str, &str, &str) {
    (&of.vantage, &of.kind, &of.subject, &of.why)
}

fn timeline(moments: &[&Moment], from: Second) -> Markup {
    let columns = [
        Column::text("At"),
        Column::number("After"),
        Column::text("Step"),
        Column::text("Noted by"),
        Column::text("Event"),
        Column::text("Of"),
        Column::text("Why"),
    ];
    let row = |moment: &&Moment| {
        let time = timestamp(moment.at_ms.saturating_mul(1000));
        let after = moment.at_ms as f64 / 1000.0 - from as f64;
        vec![
            Cell::text(&time[11..23]),
            Cell::text(format!("{}{:.1} s", if after < 0.0 { '−' } else { '+' }, after.abs())),
            Cell::text(match milestone(moment.what) {
                "" => "–",
                word => word,
            }),
            Cell::text(if moment.vantage.is_empty() { "all together" } else { &moment.vantage }),
            Cell::text(&moment.kind),
            Cell::words(html! { (moment.subject) }),
            Cell::words(html! { (moment.why) }),
        ]
    };
    table("What happened meanwhile", &columns, moments.iter().map(row).collect())
}
