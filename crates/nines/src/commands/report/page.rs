//! What was measured, as one page for people who don't sit at a terminal: in figures, as strips of states, and outage by outage.
//!
//! Its size is bounded, however long was measured: a day is drawn in slots of five minutes, a month in hours, a year in days; only so
//! many subjects have a part of their own, and only so many outages.

mod outages;
mod subject;

use maud::html;
use nines_availability::measurement::{
    Comparison, Kind, MINUTE, Measured, OBJECTIVE_WINDOW, Report, Second, SubjectReport, Verdict,
    WindowReport,
};
use nines_availability::nines::Availability;
use nines_page::{Cell, Column, Document, Markup, Tone, badge, facts, section, slug, table};

use super::text::{at, overspent, seconds};
use crate::terminal::thousands;

/// Subjects with a part of their own: those with the least budget left. Others are in the table of all.
const SUBJECTS: usize = 40;
/// Rows of that table.
const ROWS: usize = 500;

/// What the report itself doesn't say.
pub(super) struct Around<'a> {
    /// What it was made of.
    pub(super) all: &'a [Measured],
    /// Nothing earlier counts.
    pub(super) since: Second,
    /// The file that predicts.
    pub(super) file: Option<&'a str>,
}

/// The whole file.
pub(super) fn page(report: &Report, around: &Around<'_>) -> String {
    let program = concat!("nines ", env!("CARGO_PKG_VERSION"));
    let document = Document::new(format!("{}: what was measured", report.system)).made_by(program);
    let whole = report.service.as_ref().filter(|_| report.subjects.len() > 1);
    let mut subjects: Vec<&SubjectReport> = report.subjects.iter().collect();
    subjects.sort_by(|one, other| left(one).total_cmp(&left(other)));
    let left_out = subjects.len().saturating_sub(SUBJECTS);
    subjects.truncate(SUBJECTS);
    // In the order in which people look for them.
    subjects.sort_by_key(|of| of.subject());
    let card = |of: &SubjectReport| {
        let series = report.series.get(&of.subject())?;
        Some(subject::card(of, series, report, around.since))
    };
    document.body(&html! {
        (head(report, around, program))
        (first(report))
        @if report.subjects.is_empty() {
            p { "Nothing is known of any second yet. That says nothing good, and nothing bad." }
        } @else {
            (section("figures", "Promised, predicted, measured", &figures(report)))
            @if let Some(card) = whole.and_then(card) { (section("whole", "All of it together", &card)) }
            (section("outages", "Outages", &outages::all(report, around.all)))
            (section("subjects", "What was measured", &html! {
                (overview(report, &subjects))
                @for of in &subjects { @if let Some(card) = card(of) { (card) } }
                @if left_out > 0 {
                    p.quiet {
                        "The " (subjects.len()) " with the least budget left are drawn, " (thousands(left_out as u64))
                        " more are not: nines report --json has all of them."
                    }
                }
            }))
            (section("how", "How to read this", &how()))
        }
    })
}

/// Of the budget: by time or by request, whatever is less.
fn left(of: &SubjectReport) -> f64 {
    of.budget.left_by_request.map_or(of.budget.left_by_time, |left| left.min(of.budget.left_by_time))
}

fn longest(of: &SubjectReport) -> Option<&WindowReport> {
    of.windows.iter().max_by_key(|window| window.asked)
}

fn head(report: &Report, around: &Around<'_>, program: &str) -> Markup {
    let vantages = html! {
        @for (n, vantage) in report.vantages.iter().enumerate() { @if n > 0 { ", " } (vantage.name) }
    };
    let since = report.vantages.iter().filter_map(|vantage| vantage.since).min();
    let since = since.map(|since| since.max(around.since));
    let mut all = vec![
        ("Promised", html! { (report.objective_text) " over 30 days" }),
        (if report.vantages.len() == 1 { "Measured by" } else { "Measured by each of" }, vantages),
        ("From", html! { (since.map_or("–".to_owned(), |since| format!("{} UTC", at(since)))) }),
        ("To", html! { (at(report.made_at)) " UTC" }),
    ];
    all.extend(around.file.map(|file| ("Predicted from", html! { (file) })));
    all.push(("By", html! { (program) }));
    html! {
        h1 { (report.system) ": what was measured " (verdict(report)) }
        p.lead { (summary(report)) }
        (facts(&all))
    }
}

/// Good is said only where nothing that is unknown could make it bad.
fn verdict(report: &Report) -> Markup {
    let all = || report.service.iter().chain(&report.subjects);
    let measured = |of: &SubjectReport| report.made_at.saturating_sub(of.since);
    let whole_month = report.service.as_ref().is_some_and(|of| measured(of) + MINUTE >= OBJECTIVE_WINDOW);
    if report.service.is_none() {
        badge(Tone::Unsure, "nothing measured yet")
    } else if overspent(report) {
        badge(Tone::Bad, "budget overspent")
    } else if all().any(|of| of.burn.iter().any(|burn| burn.told)) {
        badge(Tone::Unsure, "budget burns too fast")
    } else if all().any(|of| of.budget.left_at_worst < 0.0) {
        badge(Tone::Unsure, "within budget, as far as is known")
    } else if !whole_month {
        badge(Tone::Unsure, "within budget so far")
    } else {
        badge(Tone::Good, "within budget")
    }
}

fn summary(report: &Report) -> String {
    let Some((whole, window)) = report.service.as_ref().and_then(|of| Some((of, longest(of)?))) else {
        return "Nothing was measured yet.".to_owned();
    };
    let span = window.to.saturating_sub(window.from);
    let mut said = match window.by_time {
        Some(by) => format!(
            "Up for {} of the {} of which something is known: {}.",
            by.likely.percent(1),
            seconds(by.up + by.down),
            nines(by.likely)
        ),
        None => "Of no second is anything known.".to_owned(),
    };
    if let Some(by) = window.by_time.filter(|by| by.unknown > 0) {
        said += &format!(
            " Of {} nothing is known; with them, it lies between {} and {}.",
            seconds(by.unknown),
            by.worst.percent(1),
            by.best.percent(1)
        );
    }
    if let Some(by) = window.by_request {
        said += &format!(" {} of {} requests went well.", by.likely.percent(1), thousands(by.all));
    }
    let outages = match whole.outage_count {
        0 => "no outage was seen".to_owned(),
        1 => "one outage".to_owned(),
        many => format!("{} outages", thousands(many as u64)),
    };
    said + &format!(" In {}: {outages}.", seconds(span))
}

/// In words, rounded down.
fn nines(figure: Availability) -> String {
    match figure.nines() {
        _ if figure.unavailability() == 0.0 => "nothing lost".to_owned(),
        0 => "not one nine".to_owned(),
        1 => "one nine".to_owned(),
        many => format!("{many} nines"),
    }
}

/// What must not be overlooked.
fn first(report: &Report) -> Markup {
    let all = || report.service.iter().filter(|_| report.subjects.len() > 1).chain(&report.subjects);
    let link = |of: &SubjectReport| html! { a href={ "#" (link(of, report)) } { (of.subject()) } };
    let spent: Vec<_> = all().filter(|of| left(of) < 0.0).collect();
    let burning: Vec<_> = all().filter(|of| of.burn.iter().any(|burn| burn.told)).collect();
    let problems = report.vantages.iter().flat_map(|vantage| {
        let memory = (vantage.kept_in.is_none() && vantage.since.is_some())
            .then(|| "kept in memory alone: a restart forgets it".to_owned());
        let ahead = (vantage.ahead > 1).then(|| {
            format!("its times are {} ahead of its clock, which was set back", seconds(vantage.ahead))
        });
        let all = vantage.problems.iter().cloned().chain(memory).chain(ahead);
        all.map(|why| (vantage.name.as_str(), why)).collect::<Vec<_>>()
    });
    let problems: Vec<_> = problems.take(ROWS).collect();
    if spent.is_empty() && burning.is_empty() && problems.is_empty() {
        return html! {};
    }
    let several = |what: &[&SubjectReport]| {
        html! {
            @for (n, of) in what.iter().take(SUBJECTS).enumerate() { @if n > 0 { ", " } (link(of)) }
            @if what.len() > SUBJECTS { ", and " (what.len() - SUBJECTS) " more" }
        }
    };
    section(
        "first",
        "Read this first",
        &html! {
            ul {
                @if !spent.is_empty() { li { (badge(Tone::Bad, "overspent")) " the budget of 30 days: " (several(&spent)) } }
                @if !burning.is_empty() { li { (badge(Tone::Unsure, "too fast")) " the budget is being spent on: " (several(&burning)) } }
                @for (name, why) in &problems { li { (badge(Tone::Unsure, "measuring")) " " (name) ": " (why) } }
            }
        },
    )
}

/// Where on the page a subject is: its own part, or the table.
fn link(of: &SubjectReport, report: &Report) -> String {
    let drawn = of.kind == Kind::Service || report.subjects.len() <= SUBJECTS;
    if drawn { id(of) } else { "subjects".to_owned() }
}

/// The address of a subject on the page. Names that differ in signs alone are told apart by a sum of theirs.
fn id(of: &SubjectReport) -> String {
    let name = of.subject().to_string();
    let sum = name.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let slug = slug(&name);
    let short: String = slug.chars().take(80).collect();
    format!("of-{short}-{sum:x}")
}

/// What was promised, predicted and measured, and what the distance means.
fn figures(report: &Report) -> Markup {
    let columns = [
        Column::text(""),
        Column::text("Nines").meaning("Rounded down"),
        Column::number("Figure"),
        Column::number("At worst"),
        Column::number("At best"),
        Column::number("Down in a year").meaning("What the figure would come to"),
        Column::text("Of"),
    ];
    let row = |name: &str, figure: Availability, bounds: Option<[Availability; 2]>, of: String| {
        let bound = |place: usize| {
            bounds.map_or(Cell::text("–").tone(Tone::Quiet), |both| Cell::text(both[place].percent(1)))
        };
        vec![
            Cell::text(name),
            Cell::text(nines(figure)),
            Cell::text(figure.percent(1)),
            bound(0),
            bound(1),
            Cell::text(a_year(figure)),
            Cell::words(html! { (of) }),
        ]
    };
    let mut promised = row("Promised", report.objective, None, "30 days, by time and by request".to_owned());
    promised[2] = Cell::text(report.objective.as_stated());
    let mut rows = vec![promised];
    match &report.comparison {
        Some(Comparison { predicted: [worst, likely, best], .. }) => {
            rows.push(row(
                "Predicted",
                *likely,
                Some([*worst, *best]),
                "the system file, and its rates".to_owned(),
            ));
        }
        None => rows.push(vec![
            Cell::text("Predicted"),
            Cell::text("–"),
            Cell::text("no prediction").tone(Tone::Quiet),
        ]),
    }
    let window = report.service.as_ref().and_then(longest);
    if let Some((window, by)) = window.and_then(|window| Some((window, window.by_time?))) {
        let of = format!("{} known of {}", seconds(by.up + by.down), seconds(window.to - window.from));
        let mut cells = row("Measured, by time", by.likely, Some([by.worst, by.best]), of);
        cells[2] = Cell::text(by.likely.percent(1)).tone(tone(by.likely, by.worst, report.objective));
        rows.push(cells);
    }
    if let Some(by) = window.and_then(|window| window.by_request) {
        let of = format!("{} good of {} requests", thousands(by.good), thousands(by.all));
        let mut cells = row("Measured, by request", by.likely, Some([by.worst, by.best]), of);
        cells[2] = Cell::text(by.likely.percent(1)).tone(tone(by.likely, by.likely, report.objective));
        rows.push(cells);
    }
    html! {
        @if let Some(comparison) = &report.comparison {
            p { (distance(comparison.verdict)) " " (comparison.text) "." }
        }
        (table("Nines are rounded down. By time, the bounds are what it would be if all that is unknown was down, or up; by request, where the share lies in the long run (95 %).", &columns, rows))
    }
}

fn distance(verdict: Verdict) -> Markup {
    match verdict {
        Verdict::TooShort => badge(Tone::Unsure, "too short to tell"),
        Verdict::AsPredicted => badge(Tone::Good, "as predicted"),
        Verdict::Better => badge(Tone::Good, "better than predicted"),
        Verdict::Worse => badge(Tone::Bad, "worse than predicted"),
    }
}

fn a_year(figure: Availability) -> String {
    match figure.minutes_per_year() * 60.0 {
        0.0 => "–".to_owned(),
        down if down < 1.0 => "below 1 s".to_owned(),
        down => seconds(down.ceil() as u64),
    }
}

/// Of a measured figure: good where it is at its worst, too.
fn tone(figure: Availability, worst: Availability, objective: Availability) -> Tone {
    match (figure < objective, worst < objective) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Unsure,
        (false, false) => Tone::Good,
    }
}

/// What is left of a budget, rounded down: `24.1 %`, `−2,176 %`.
fn share(left: f64) -> String {
    if left > -1.0 {
        return super::text::share(left).replace('-', "−");
    }
    format!("−{} %", thousands((left * -100.0).ceil() as u64))
}

/// What is left of a budget. At worst: if all that is unknown was down.
fn left_cell(left: f64, worst: f64) -> Cell {
    Cell::text(share(left)).tone(match (left < 0.0, worst < 0.0) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Unsure,
        (false, false) => Tone::Plain,
    })
}

/// All subjects, a row each.
fn overview(report: &Report, drawn: &[&SubjectReport]) -> Markup {
    let longest_name = report.subjects.first().and_then(longest).map_or("", |window| window.window.as_str());
    let columns = [
        Column::text("Subject"),
        Column::number(format!("By time, {longest_name}")),
        Column::number("At worst").meaning("If all that is unknown was down"),
        Column::number("Down"),
        Column::number("Unknown"),
        Column::number(format!("By request, {longest_name}")),
        Column::number("Failed").meaning("Requests"),
        Column::number("Budget left by time").meaning("Of 30 days"),
        Column::number("By request").meaning("Of the budget of 30 days"),
        Column::number("Outages"),
        Column::text("Seen from"),
    ];
    let row = |of: &SubjectReport| {
        let window = longest(of);
        let by_time = window.and_then(|window| window.by_time);
        let by_request = window.and_then(|window| window.by_request);
        let name = of.subject().to_string();
        let here = drawn.iter().any(|one| one.subject() == of.subject());
        let none = || Cell::text("–").tone(Tone::Quiet);
        let unknown = window.map_or(0, |window| window.totals.unknown());
        vec![
            Cell::new(html! { @if here { a href={ "#" (id(of)) } { (name) } } @else { (name) } }),
            by_time.map_or(Cell::text("unknown").tone(Tone::Unsure), |by| {
                Cell::text(by.likely.percent(1)).tone(tone(by.likely, by.worst, report.objective))
            }),
            by_time.map_or_else(none, |by| Cell::text(by.worst.percent(1))),
            by_time.map_or_else(none, |by| Cell::text(seconds(by.down))),
            Cell::text(seconds(unknown)).tone(if unknown > 0 { Tone::Unsure } else { Tone::Plain }),
            by_request.map_or_else(none, |by| {
                Cell::text(by.likely.percent(1)).tone(tone(by.likely, by.likely, report.objective))
            }),
            by_request.map_or_else(none, |by| Cell::text(thousands(by.all - by.good))),
            left_cell(of.budget.left_by_time, of.budget.left_at_worst),
            of.budget.left_by_request.map_or_else(none, |left| left_cell(left, left)),
            Cell::text(thousands(of.outage_count as u64)),
            Cell::words(html! { (several(&of.vantages)) }),
        ]
    };
    html! {
        (table("Each listener, pool, database and page that was looked at.", &columns, report.subjects.iter().take(ROWS).map(row).collect()))
        @if report.subjects.len() > ROWS { p.quiet { "And " (thousands((report.subjects.len() - ROWS) as u64)) " more." } }
    }
}

/// Names, the first dozen of them.
fn several(names: &[String]) -> String {
    let shown = names.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(12) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn how() -> Markup {
    html! {
        ul {
            li { "A second is " strong { "down" } " if fewer than half of its requests went well, or, where there were none, if nothing \
                  could serve; else it is " strong { "up" } "." }
            li { "It is " strong { "unknown" } " if nobody looked, or only who can't know. Unknown is never taken for up: at worst \
                  it was all down." }
            li { "On the strips, each slot of 5 minutes, an hour or a day is divided by what was in it; what was down or is unknown is \
                  drawn large enough to be seen, however short it was." }
            li { "Where several looked, it is down if all who know say so." }
            li { "By request, what counts is what clients got: a failure, or a reply cut short, is bad; what clients do wrong \
                  themselves is neither good nor bad." }
            li { "Who could not reach any of the hosts is not counted by them; probes from outside see that, where there are any." }
            li { "Nothing is rounded up." }
        }
    }
}

#[cfg(test)]
mod tests;
