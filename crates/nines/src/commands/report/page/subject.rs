//! One subject on the page: its states as strips, its figures, and how its budget was spent.

use maud::html;
use nines_availability::measurement::{
    Burn, ByRequest, ByTime, DAY, HOUR, MINUTE, OBJECTIVE_WINDOW, Report, Second, Series, Slots,
    SubjectReport, Totals, WindowReport,
};
use nines_availability::nines::{AlertSeverity, Availability};
use nines_page::{
    Band, Cell, Column, Ink, Mark, Markup, Panel, Plot, Series as Drawn, Shape, Tone, Unit, badge, fold,
    legend, table,
};

use super::super::text::{at, seconds};
use super::{id, left, left_cell, nines, several, share, tone};
use crate::terminal::thousands;

/// What is drawn as a strip: how it is called, slots of how many seconds, how many.
const DAYS: (&str, u64, u64) = ("24 hours", 5 * MINUTE, 288);
const MONTH: (&str, u64, u64) = ("30 days", HOUR, 720);
const YEAR: (&str, u64, u64) = ("a year", DAY, 365);
/// What was down is seen even if it was a second of a day, and so is what is unknown: as this much of the slot at least.
const LEAST_DOWN: f64 = 0.4;
const LEAST_UNKNOWN: f64 = 0.25;

/// What can be seen on a strip, from below.
const INKS: [(&str, Ink); 4] = [
    ("down", Ink::Failed(0)),
    ("unknown: nobody looked, or who looked can't know", Ink::Unknown),
    ("up, but more requests failed than the objective allows", Ink::Slow),
    ("up", Ink::Good),
];

pub(super) fn card(of: &SubjectReport, series: &Series, report: &Report, since: Second) -> Markup {
    let now = of.windows.first().map_or(report.made_at, |window| window.to);
    let burning = of.burn.iter().any(|burn| burn.told);
    let (tone, word) = match () {
        () if left(of) < 0.0 => (Tone::Bad, "budget overspent".to_owned()),
        () if burning => (Tone::Unsure, "burns too fast".to_owned()),
        () if of.budget.left_at_worst < 0.0 => (Tone::Unsure, "within budget, as far as is known".to_owned()),
        () => (Tone::Good, format!("{} of the budget left", share(left(of)))),
    };
    nines_page::card(
        &id(of),
        tone,
        &html! {
            h3 { (of.subject()) " " (badge(tone, &word)) }
            p.quiet { "Seen from " (several(&of.vantages)) ", since " (at(of.since)) " UTC." }
            (states(of, series, report.objective, since, now))
            (by_time(of, report.objective))
            (by_request(of, report.objective))
            (burn_down(of, series, report.objective, now))
            (fold("The worst times, and how fast the budget is spent", &html! { (worst(of)) (burn(of)) }))
        },
    )
}

/// Its latest day, month and year.
fn states(
    of: &SubjectReport,
    series: &Series,
    objective: Availability,
    since: Second,
    now: Second,
) -> Markup {
    let mut wanted = vec![DAYS, MONTH];
    // Before a month has passed, a year's strip would say nothing that the month's doesn't.
    wanted.extend((now.saturating_sub(of.since) > OBJECTIVE_WINDOW).then_some(YEAR));
    let mut seen = [false; INKS.len()];
    html! {
        @for (name, step, count) in wanted {
            @let from = since.max(now.saturating_sub(step * count));
            (strip(&format!("{}, {name}", of.subject()), name, &series.slots(from, now, step, count + 1), objective, &mut seen))
        }
        @let inks: Vec<_> = INKS.into_iter().zip(seen).filter(|(_, seen)| *seen).map(|(ink, _)| ink).collect();
        (legend(&inks))
    }
}

/// The states of each slot, one upon the other. `seen`: which of the inks are in it.
fn strip(title: &str, name: &str, slots: &Slots, objective: Availability, seen: &mut [bool]) -> Markup {
    let (mut sum, mut parts) = (Totals::default(), [const { Vec::new() }; INKS.len()]);
    for slot in &slots.totals {
        sum.seconds += slot.seconds;
        sum.up += slot.up;
        sum.down += slot.down;
        for (all, part) in parts.iter_mut().zip(shares(slot, objective)) {
            all.push(part);
        }
    }
    let end = slots.from + slots.step * slots.totals.len() as u64;
    let description = format!(
        "In slots of {}: up for {}, down for {}, unknown for {}.",
        seconds(slots.step),
        seconds(sum.up),
        seconds(sum.down),
        seconds(sum.unknown())
    );
    let mut panel = Panel::strip(name, 36.0);
    for (((word, ink), values), seen) in INKS.into_iter().zip(parts).zip(seen) {
        if values.iter().any(|value| *value > 0.0) {
            *seen = true;
            panel =
                panel.series(Drawn::new(word, ink, Shape::Up, slots.from as f64, slots.step as f64, values));
        }
    }
    let axis = (slots.from as f64, end as f64);
    Plot::new(title, description, axis, Unit::Unix).panel(panel).without_legend().figure()
}

/// Down, unknown, up with failures, up: together the whole slot, and each of them large enough to be seen.
pub(super) fn shares(of: &Totals, objective: Availability) -> [f64; 4] {
    let seconds = of.seconds.max(of.up + of.down);
    if seconds == 0 {
        return [0.0; 4];
    }
    let share =
        |part: u64, least: f64| if part == 0 { 0.0 } else { (part as f64 / seconds as f64).max(least) };
    let (mut down, mut unknown) = (share(of.down, LEAST_DOWN), share(of.unknown(), LEAST_UNKNOWN));
    let room = if of.up > 0 { 0.8 } else { 1.0 };
    let too_much = ((down + unknown) / room).max(1.0);
    (down, unknown) = (down / too_much, unknown / too_much);
    let up = if of.up > 0 { 1.0 - down - unknown } else { 0.0 };
    let failed = of.by_request().is_some_and(|by| by.likely < objective);
    if failed { [down, unknown, up, 0.0] } else { [down, unknown, 0.0, up] }
}

/// Windows that say something of their own: of those that reach further back than anything was measured, one.
fn windows(of: &SubjectReport) -> impl Iterator<Item = &WindowReport> {
    let news = |place: &usize| *place == 0 || of.windows[place - 1].from != of.windows[*place].from;
    (0..of.windows.len()).filter(news).map(|place| &of.windows[place])
}

fn name(window: &WindowReport) -> Cell {
    let covered = window.to - window.from;
    Cell::text(match covered < window.asked {
        true => format!("{} ({} measured)", window.window, seconds(covered)),
        false => window.window.clone(),
    })
}

/// What is left of what the objective allows in so long a window.
fn left_of(lost: u64, of: f64, objective: Availability) -> f64 {
    let allowed = objective.unavailability() * of;
    match lost {
        0 => 1.0,
        _ if allowed <= 0.0 => f64::NEG_INFINITY,
        lost => 1.0 - lost as f64 / allowed,
    }
}

fn budget(lost: u64, at_worst: u64, of: f64, objective: Availability) -> Cell {
    let left = left_of(lost, of, objective);
    if left.is_finite() {
        left_cell(left, left_of(at_worst, of, objective))
    } else {
        Cell::text("none").tone(Tone::Bad)
    }
}

fn by_time(of: &SubjectReport, objective: Availability) -> Markup {
    let some = of.windows.iter().any(|window| window.by_time_of_some.is_some());
    let mut columns = vec![
        Column::text("By time"),
        Column::text("Nines").meaning("Rounded down"),
        Column::number("Up"),
        Column::number("At worst").meaning("If all that is unknown was down"),
        Column::number("At best").meaning("If all that is unknown was up"),
        Column::number("Seconds up"),
        Column::number("Seconds down"),
        Column::number("Known").meaning("Seconds that were up or down"),
        Column::number("Unknown"),
        Column::number("Budget left").meaning("Of what the objective allows in so long a window"),
    ];
    columns.extend(
        some.then(|| {
            Column::number("Down, as seen by some").meaning("Where any vantage says so, and not all")
        }),
    );
    let row = |window: &WindowReport| {
        let unknown = Cell::text(seconds(window.totals.unknown())).tone(if window.totals.unknown() > 0 {
            Tone::Unsure
        } else {
            Tone::Plain
        });
        let Some(by) = window.by_time else {
            let none = || Cell::text("–").tone(Tone::Quiet);
            let mut row = vec![name(window), Cell::text("unknown").tone(Tone::Unsure)];
            row.extend((0..6).map(|_| none()));
            row.extend([unknown, none()]);
            row.extend(some.then(none));
            return row;
        };
        let ByTime { up, down, likely, worst, best, .. } = by;
        let mut row = vec![
            name(window),
            Cell::text(nines(likely)),
            Cell::text(likely.percent(1)).tone(tone(likely, worst, objective)),
            Cell::text(worst.percent(1)),
            Cell::text(best.percent(1)),
            Cell::text(thousands(up)),
            Cell::text(thousands(down)).tone(if down > 0 { Tone::Bad } else { Tone::Plain }),
            Cell::text(thousands(up + down)),
            unknown,
            budget(down, down + window.totals.unknown(), window.asked as f64, objective),
        ];
        row.extend(some.then(|| Cell::text(seconds(window.by_time_of_some.map_or(0, |by| by.down)))));
        row
    };
    table(
        "By time: seconds up, of those of which something is known.",
        &columns,
        windows(of).map(row).collect(),
    )
}

fn by_request(of: &SubjectReport, objective: Availability) -> Markup {
    if of.windows.iter().all(|window| window.by_request.is_none()) {
        return html! { p.quiet { "There were no requests: by request nothing can be said." } };
    }
    let columns = [
        Column::text("By request"),
        Column::text("Nines").meaning("Rounded down"),
        Column::number("Good"),
        Column::number("At worst").meaning("In the long run (Wilson, 95 %)"),
        Column::number("At best").meaning("In the long run (Wilson, 95 %)"),
        Column::number("Good requests"),
        Column::number("Failed"),
        Column::number("All"),
        Column::number("Budget left").meaning("Of as many as the objective allows to fail"),
    ];
    let row = |window: &WindowReport| {
        let Some(ByRequest { good, all, likely, worst, best }) = window.by_request else {
            let mut row = vec![name(window), Cell::text("no requests").tone(Tone::Quiet)];
            row.extend((0..7).map(|_| Cell::text("–").tone(Tone::Quiet)));
            return row;
        };
        let failed = all - good;
        vec![
            name(window),
            Cell::text(nines(likely)),
            Cell::text(likely.percent(1)).tone(tone(likely, likely, objective)),
            Cell::text(worst.percent(1)),
            Cell::text(best.percent(1)),
            Cell::text(thousands(good)),
            Cell::text(thousands(failed)).tone(if failed > 0 { Tone::Bad } else { Tone::Plain }),
            Cell::text(thousands(all)),
            budget(failed, failed, all as f64, objective),
        ]
    };
    table("By request: requests that went well.", &columns, windows(of).map(row).collect())
}

/// What was left of the budget of these 30 days, hour by hour.
fn burn_down(of: &SubjectReport, series: &Series, objective: Availability, now: Second) -> Markup {
    let first = now.saturating_sub(OBJECTIVE_WINDOW);
    let since = of.since.max(first).min(now);
    let slots = series.slots(since, now, HOUR, 721);
    let all: u64 =
        slots.totals.iter().map(|slot| slot.good.saturating_add(slot.bad)).fold(0, u64::saturating_add);
    let known: u64 = slots.totals.iter().map(Totals::known).sum();
    // In the rest of the thirty days there may be as many in the same time.
    let of_month = all as f64 * (OBJECTIVE_WINDOW as f64 / known.max(1) as f64).max(1.0);
    let (mut down, mut unknown, mut bad) = (0, 0, 0u64);
    let (mut by_time, mut at_worst, mut by_request) = (Vec::new(), Vec::new(), Vec::new());
    for slot in &slots.totals {
        down += slot.down;
        unknown += slot.unknown();
        bad = bad.saturating_add(slot.bad);
        by_time.push(left_of(down, OBJECTIVE_WINDOW as f64, objective));
        at_worst.push(left_of(down + unknown, OBJECTIVE_WINDOW as f64, objective));
        by_request.push(left_of(bad, of_month, objective));
    }
    let lowest = by_time.iter().chain(&by_request).chain(&at_worst).copied().fold(0.0, f64::min);
    // What is spent twice is as bad as it can be drawn.
    let low = if lowest < 0.0 { (lowest * 1.1).max(-1.0) } else { -0.1 };
    let line = |name: &str, ink, values: Vec<f64>| {
        Drawn::new(name, ink, Shape::Line, slots.from as f64, slots.step as f64, values)
    };
    let mut panel = Panel::new("budget left", Unit::Share, 130.0).range(low, 1.08);
    if unknown > 0 {
        panel = panel.series(line("by time, if all that is unknown was down", Ink::Unknown, at_worst));
    }
    panel = panel.series(line("by time", Ink::Neutral, by_time));
    if all > 0 {
        panel = panel.series(line("by request", Ink::Failed(1), by_request));
    }
    let budget = &of.budget;
    let mut description = format!(
        "Of {} that it may be down in 30 days, {} are used: {} left by time, {} if all unknown was down",
        seconds(budget.seconds as u64),
        seconds(budget.down),
        share(budget.left_by_time),
        share(budget.left_at_worst)
    );
    if let Some(left) = budget.left_by_request {
        description += &format!("; {} left by request", share(left));
    }
    let title = format!("{}: budget left", of.subject());
    let mut plot = Plot::new(title, description.clone(), (first as f64, now as f64), Unit::Unix);
    if since > first + HOUR {
        plot = plot
            .mark(Mark::new(since as f64, "nothing was measured before"))
            .band(Band::faint(first as f64, since as f64));
    }
    html! {
        h4 { "The budget of these 30 days" }
        p { (description) "." @if lowest < -1.0 { " Below −100 % it is not drawn." } }
        (plot.panel(panel).figure())
    }
}

fn worst(of: &SubjectReport) -> Markup {
    let columns = [
        Column::text("The worst"),
        Column::text("By time, from"),
        Column::number("Down"),
        Column::number("Unknown"),
        Column::text("By request, from"),
        Column::number("Failed"),
        Column::number("Of"),
    ];
    let none = || Cell::text("–").tone(Tone::Quiet);
    let rows = of.worst.iter().map(|worst| {
        let mut row = vec![Cell::text(seconds(worst.seconds))];
        match worst.by_time {
            Some((begin, totals)) => row.extend([
                Cell::text(at(begin)),
                Cell::text(seconds(totals.down)).tone(Tone::Bad),
                Cell::text(seconds(totals.unknown())),
            ]),
            None => row.extend([Cell::text("never down").tone(Tone::Quiet), none(), none()]),
        }
        match worst.by_request {
            Some((begin, totals)) => row.extend([
                Cell::text(at(begin)),
                Cell::text(thousands(totals.bad)).tone(Tone::Bad),
                Cell::text(thousands(totals.good.saturating_add(totals.bad))),
            ]),
            None => row.extend([Cell::text("none failed").tone(Tone::Quiet), none(), none()]),
        }
        row
    });
    table("The worst of all such times, of what is known.", &columns, rows.collect())
}

fn burn(of: &SubjectReport) -> Markup {
    let columns = [
        Column::text("Over"),
        Column::number("Times as fast as allowed"),
        Column::text("And over"),
        Column::number("Times as fast"),
        Column::number("Told from"),
        Column::text("Then"),
        Column::text("Now"),
    ];
    let rate = |rate: Option<f64>, burn: &Burn| match rate {
        Some(rate) if burn.enough => {
            Cell::text(format!("{rate:.1}")).tone(if rate >= burn.limit { Tone::Bad } else { Tone::Plain })
        }
        Some(rate) => Cell::text(format!("at least {rate:.1}")).tone(Tone::Unsure),
        None => Cell::text("unknown").tone(Tone::Unsure),
    };
    let rows = of.burn.iter().map(|burn| {
        let now = match (burn.told, burn.over_long.and(burn.over_short)) {
            (true, _) => badge(Tone::Bad, "too fast"),
            (false, Some(_)) if !burn.enough => badge(Tone::Unsure, "too short to say"),
            (false, Some(_)) => badge(Tone::Good, "no"),
            (false, None) => badge(Tone::Unsure, "unknown"),
        };
        vec![
            Cell::text(seconds(burn.long)),
            rate(burn.over_long, burn),
            Cell::text(seconds(burn.short)),
            rate(burn.over_short, burn),
            Cell::text(format!("{:.1}", burn.limit)),
            Cell::text(match burn.severity {
                AlertSeverity::Page => "somebody is woken",
                AlertSeverity::Ticket => "a ticket",
            }),
            Cell::new(now),
        ]
    });
    table(
        "How many times as fast as allowed the budget is spent. It is told where both windows are over the threshold.",
        &columns,
        rows.collect(),
    )
}
