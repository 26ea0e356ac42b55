//! One case on the page: its figures, its course as a plot, and what is worth a closer look.

use maud::html;
use nines_page::{
    Band, Cell, Column, Ink, Mark, Markup, Panel, Plot, Series, Shape, Tone, Unit, badge, facts, fold, table,
};
use nines_rehearsal::CaseReport;
use nines_rehearsal::report::TimelineReport;
use nines_rehearsal::verdict::Verdict;

use super::{WELL_AGAIN, failed, id, tone};
use crate::commands::rehearse::table::{duration, how, or_dash, prediction, what, written};
use crate::terminal::thousands;

/// Kinds of failures with a look of their own; what is rarer is drawn together.
const KINDS: usize = 3;
/// A shorter gap is not worth a shade.
const GAP_MS: f64 = 50.0;

pub(super) fn word(result: &CaseReport) -> &'static str {
    match result.verdict {
        Verdict::Held => "held",
        Verdict::Broken => "broken",
    }
}

pub(super) fn card(index: usize, result: &CaseReport) -> Markup {
    let course = &result.course;
    let (title, title_tone) = (format!("{}: {}", what(result, false), how(result)), tone(result));
    nines_page::card(
        &id(index, result),
        title_tone,
        &html! {
            h3 { (title) " " (badge(title_tone, word(result))) }
            @if !result.why.is_empty() { p { strong { (result.why.join("; ")) "." } } }
            @if let Some(difference) = &result.difference {
                p { (badge(Tone::Unsure, "not as predicted")) " " (difference) }
            }
            (figures(result))
            @if has_course(result) { (plot(&title, result).figure()) }
            @if !course.slowest.is_empty() {
                p.quiet {
                    "Slowest: "
                    @for (n, slow) in course.slowest.iter().take(5).enumerate() {
                        @if n > 0 { ", " }
                        (duration(slow.took_ms)) " (" (moment(slow.at_ms)) ")"
                    }
                    "."
                }
            }
            (failures(result))
            (events(result))
        },
    )
}

fn figures(result: &CaseReport) -> Markup {
    let mut all = vec![("Promised", html! { (result.expected) })];
    all.extend(
        result
            .predicted
            .as_ref()
            .map(|it| ("Predicted", html! { span title=(it.how) { (prediction(result)) } })),
    );
    match &result.writes {
        Some(writes) => all.push(("Clients saw", html! { (written(writes)) })),
        None => {
            let (failed, sent) = (thousands(result.requests.failed), thousands(result.requests.sent));
            all.push(("Clients saw", html! { (failed) " of " (sent) " requests failed" }));
        }
    }
    let gap = if result.promised_gap_ms.is_some_and(|promised| result.longest_gap_ms > promised) {
        badge(Tone::Bad, &duration(result.longest_gap_ms))
    } else {
        html! { (duration(result.longest_gap_ms)) }
    };
    all.push(("Longest gap", gap));
    if result.writes.is_none() {
        let percentiles = &result.latency_ms;
        all.push((
            "Answers: half, 99 %, slowest",
            html! { (duration(percentiles.p50)) ", " (duration(percentiles.p99)) ", " (or_dash(result.slowest_ms)) },
        ));
    }
    all.push(("Noticed after", html! { (or_dash(result.noticed_ms)) }));
    all.extend(result.taken_over_ms.map(|ms| ("Taken over after", html! { (duration(ms)) })));
    all.push((
        "Well again after the healing",
        html! { span title=(WELL_AGAIN) { (or_dash(result.recovered_ms)) } },
    ));
    facts(&all)
}

fn has_course(result: &CaseReport) -> bool {
    let timeline = &result.course.timeline;
    timeline.slot_ms > 0.0 && slots(timeline) > 0
}

fn slots(timeline: &TimelineReport) -> usize {
    let failed = timeline.failed.values().map(Vec::len);
    failed.chain([timeline.good.len(), timeline.slow.len()]).max().unwrap_or(0)
}

fn plot(title: &str, result: &CaseReport) -> Plot {
    let (course, timeline) = (&result.course, &result.course.timeline);
    let merging = Plot::merging(slots(timeline));
    let end = timeline.from_ms + timeline.slot_ms * slots(timeline) as f64;
    let marks = marks(result);
    let last = marks.iter().map(|(at, _)| *at).fold(end, f64::max);
    let mut plot = Plot::new(title, description(result), (timeline.from_ms, last), Unit::SinceMs)
        .time("time since the fault");
    if result.fault.lasts() {
        plot = plot.band(Band::faint(0.0, course.healed_ms));
    }
    if let Some((from, to)) = gap(result) {
        plot = plot.band(Band::dark(from, to, format!("gap of {}", duration(to - from))));
    }
    for (at, label) in marks {
        let mark = Mark::new(at, label);
        plot = plot.mark(if at == 0.0 { mark.strong() } else { mark });
    }
    let writes = result.writes.is_some();
    plot = plot.panel(outcomes(timeline, writes, merging));
    plot = course.requests.iter().fold(plot, |plot, requests| plot.panel(outcomes(requests, false, merging)));
    plot.panel(longest(timeline, merging))
}

/// Each slot's outcomes: the good above the line, failures below it.
fn outcomes(timeline: &TimelineReport, writes: bool, merging: usize) -> Panel {
    let step = timeline.slot_ms * merging as f64;
    let (things, good) = if writes { ("writes", "acknowledged") } else { ("requests", "good") };
    let sum = |counts: &[u32]| -> Vec<f64> {
        counts.chunks(merging).map(|slots| slots.iter().map(|&count| f64::from(count)).sum()).collect()
    };
    let series =
        |name: String, ink, shape, values| Series::new(name, ink, shape, timeline.from_ms, step, values);
    let mut panel = Panel::new(format!("{things} per {}", duration(step)), Unit::Count, 170.0);
    panel = panel.series(series(good.to_owned(), Ink::Good, Shape::Up, sum(&timeline.good)));
    if timeline.slow.iter().any(|&count| count > 0) {
        let name = format!("{good}, after {} or more", duration(timeline.slow_from_ms));
        panel = panel.series(series(name, Ink::Slow, Shape::Up, sum(&timeline.slow)));
    }
    let total = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum::<u64>();
    let mut kinds: Vec<(&String, &Vec<u32>)> = timeline.failed.iter().collect();
    kinds.sort_by_key(|(_, counts)| std::cmp::Reverse(total(counts)));
    let apart = if kinds.len() > KINDS + 1 { KINDS } else { kinds.len() };
    for (n, (kind, counts)) in kinds.iter().take(apart).enumerate() {
        let ink = Ink::Failed(u8::try_from(n).unwrap_or(u8::MAX));
        panel = panel.series(series(format!("failed: {kind}"), ink, Shape::Down, sum(counts)));
    }
    let mut others: Vec<u32> = Vec::new();
    for (_, counts) in &kinds[apart..] {
        others.resize(others.len().max(counts.len()), 0);
        others.iter_mut().zip(counts.iter()).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
    }
    if !others.is_empty() {
        let name = format!("failed in {} other ways", kinds.len() - apart);
        panel = panel.series(series(name, Ink::Failed(3), Shape::Down, sum(&others)));
    }
    panel
}

/// The slowest good answer of each slot.
fn longest(timeline: &TimelineReport, merging: usize) -> Panel {
    let step = timeline.slot_ms * merging as f64;
    let values = timeline.longest_ms.chunks(merging).map(|slots| slots.iter().copied().fold(0.0, f64::max));
    let series =
        Series::new("slowest good answer", Ink::Neutral, Shape::Up, timeline.from_ms, step, values.collect());
    Panel::new("slowest answer", Unit::Ms, 80.0).series(series)
}

/// The longest gap, where it is one of the fault's and long enough to be seen.
fn gap(result: &CaseReport) -> Option<(f64, f64)> {
    let from = result.course.gap_at_ms?;
    let to = from + result.longest_gap_ms;
    // Less often than that nobody asks.
    let least = GAP_MS.max(20_000.0 / f64::from(result.rate.max(1)));
    (to > 0.0 && result.longest_gap_ms >= least).then_some((from, to))
}

/// What happened when, in the order in which it usually does.
fn marks(result: &CaseReport) -> Vec<(f64, String)> {
    let course = &result.course;
    let mut marks = vec![(0.0, how(result))];
    let mut say =
        |at: Option<f64>, what: &str| marks.extend(at.map(|at| (at, format!("{what} {}", moment(at)))));
    say(result.noticed_ms, "noticed");
    say(course.decided_ms, "decided");
    say(result.taken_over_ms, "taken over");
    // A gap of after the healing is shaded, and was not the fault's.
    say(
        gap(result).filter(|(from, _)| *from < course.healed_ms).map(|(_, to)| to),
        "first good answer after the gap",
    );
    say(result.fault.lasts().then_some(course.healed_ms), "healed");
    say(result.recovered_ms.map(|recovered| course.healed_ms + recovered), "well again");
    marks
}

/// The plot in words.
fn description(result: &CaseReport) -> String {
    let mut parts: Vec<String> = marks(result).into_iter().map(|(_, label)| label).collect();
    parts.push(format!("longest gap {}", duration(result.longest_gap_ms)));
    parts.push(format!("{} failed", thousands(failed(result))));
    parts.join(", ")
}

/// `+1.2 s`, `−40 ms`.
fn moment(ms: f64) -> String {
    format!("{}{}", if ms < 0.0 { '−' } else { '+' }, duration(ms.abs()))
}

fn failures(result: &CaseReport) -> Markup {
    if result.first_failures.is_empty() {
        return html! {};
    }
    let columns =
        [Column::number("When"), Column::number("Took"), Column::text("How"), Column::text("Cause")];
    let rows = result.first_failures.iter().map(|failure| {
        vec![
            Cell::text(moment(failure.at_ms)),
            Cell::text(duration(failure.took_ms)),
            Cell::text(&failure.kind),
            Cell::words(html! { (failure.cause.as_deref().unwrap_or("–")) }),
        ]
    });
    let counts = result.writes.as_ref().map_or(&result.requests.kinds, |writes| &writes.kinds);
    let kinds: Vec<String> =
        counts.iter().map(|(kind, count)| format!("{} {kind}", thousands(*count))).collect();
    let all = failed(result);
    let summary = format!("{} failed: {}", thousands(all), kinds.join(", "));
    fold(&summary, &table(&format!("The first {}", result.first_failures.len()), &columns, rows.collect()))
}

fn events(result: &CaseReport) -> Markup {
    let course = &result.course;
    if course.events.is_empty() {
        return html! {};
    }
    let columns =
        [Column::number("When"), Column::text("What"), Column::text("To what"), Column::text("Why")];
    let rows = course.events.iter().map(|event| {
        vec![
            Cell::text(moment(event.at_ms)),
            Cell::text(&event.kind),
            Cell::text(&event.subject),
            Cell::words(html! { (event.why) }),
        ]
    });
    let more = if course.events_left_out > 0 {
        format!(", and {} more", course.events_left_out)
    } else {
        String::new()
    };
    let summary = format!("{} events of the system{more}", course.events.len());
    fold(&summary, &table("What the hosts said meanwhile", &columns, rows.collect()))
}
