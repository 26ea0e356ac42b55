//! A report for a person. Each figure comes with what it was made of: of how much, how long, and who looked.

use nines_availability::measurement::{
    Milestone, Outage, Report, Second, SubjectReport, Totals, Verdict, WindowReport, Worst,
};
use nines_availability::nines::Availability;

use crate::terminal::{
    BAD, BOLD, Cell, DIM, GOOD, PLAIN, UNSURE, duration, line, table, thousands, timestamp,
};

/// Outages of a subject that are shown; the latest.
const OUTAGES: usize = 5;

/// Whether anything has used up more than the objective allows.
pub(super) fn overspent(report: &Report) -> bool {
    let all = report.service.iter().chain(&report.subjects);
    all.into_iter()
        .any(|of| of.budget.left_by_time < 0.0 || of.budget.left_by_request.is_some_and(|left| left < 0.0))
}

pub(super) fn lines(report: &Report, width: Option<usize>) -> Vec<String> {
    let mut out = vec![line(
        &[
            Cell::new(report.system.clone(), BOLD),
            Cell::new(format!(": {} promised over 30 days", report.objective_text), PLAIN),
        ],
        None,
    )];
    for vantage in &report.vantages {
        let seen = match (vantage.since, vantage.until) {
            (Some(since), Some(until)) => format!("from {} to {}", at(since), at(until)),
            _ => "nothing yet".to_owned(),
        };
        let kept = vantage
            .kept_in
            .as_ref()
            .map_or(", in memory alone".to_owned(), |place| format!(", kept in {place}"));
        out.push(line(&[Cell::new(format!("measured by {}: {seen}{kept}", vantage.name), DIM)], None));
        if vantage.ahead > 1 {
            let text =
                format!("  its times are {} ahead of its clock, which was set back", seconds(vantage.ahead));
            out.push(line(&[Cell::new(text, UNSURE)], None));
        }
        out.extend(vantage.problems.iter().map(|why| line(&[Cell::new(format!("  {why}"), BAD)], None)));
    }
    if let Some(comparison) = &report.comparison {
        let style = match comparison.verdict {
            Verdict::Better | Verdict::AsPredicted => GOOD,
            Verdict::TooShort => UNSURE,
            Verdict::Worse => BAD,
        };
        out.push(line(&[Cell::new(comparison.text.clone(), style)], None));
    }
    if report.subjects.is_empty() {
        out.push("nothing was measured yet".to_owned());
    }
    let whole = report.service.iter().filter(|_| report.subjects.len() > 1);
    for of in whole.chain(&report.subjects) {
        subject(of, report, width, &mut out);
    }
    out
}

fn subject(of: &SubjectReport, report: &Report, width: Option<usize>, out: &mut Vec<String>) {
    out.push(String::new());
    out.push(line(
        &[
            Cell::new(of.subject().to_string(), BOLD),
            Cell::new(format!("  seen from {}, since {}", of.vantages.join(", "), at(of.since)), DIM),
        ],
        width,
    ));
    let head = ["", "BY TIME", "BETWEEN", "UP", "DOWN", "UNKNOWN", "BY REQUEST", "BETWEEN", "GOOD"];
    let mut rows = vec![head.map(|text| Cell::new(text, DIM)).to_vec()];
    // Of windows that reach further back than anything was measured, one says it all.
    let news = |place: &usize| *place == 0 || of.windows[place - 1].from != of.windows[*place].from;
    let windows = (0..of.windows.len()).filter(news).map(|place| &of.windows[place]);
    rows.extend(windows.map(|window| row(window, report.objective)));
    out.extend(table(&rows, width));
    for window in &of.windows {
        if let (Some(all), Some(some)) = (window.by_time, window.by_time_of_some)
            && some.down != all.down
        {
            out.push(format!(
                "  {}: down for {} as seen by some, for {} as seen by all",
                window.window,
                seconds(some.down),
                seconds(all.down)
            ));
        }
    }
    budget(of, out);
    let worst: Vec<String> = of.worst.iter().filter_map(worst).collect();
    if !worst.is_empty() {
        out.push(format!("  worst {}", worst.join("; ")));
    }
    if of.outage_count > 0 {
        let shown = of.outages.len().min(OUTAGES);
        let first = match of.outage_count - shown {
            0 => String::new(),
            more => format!(", the latest {shown}, {more} more in the JSON or earlier"),
        };
        out.push(format!("  outages: {}{first}", of.outage_count));
        of.outages.iter().rev().take(OUTAGES).rev().for_each(|one| outage(one, out));
    }
}

fn row(window: &WindowReport, objective: Availability) -> Vec<Cell> {
    let style = |figure: Availability| if figure < objective { BAD } else { GOOD };
    let share = |figure: Availability| Cell::new(figure.percent(1), style(figure));
    let between = |worst: Availability, best: Availability| {
        Cell::new(format!("{} … {}", worst.percent(1), best.percent(1)), DIM)
    };
    let covered = window.to - window.from;
    let name = match covered < window.asked {
        true => format!("  {} ({} measured)", window.window, seconds(covered)),
        false => format!("  {}", window.window),
    };
    let mut cells = vec![Cell::new(name, PLAIN)];
    match window.by_time {
        Some(by) => cells.extend([
            share(by.likely),
            between(by.worst, by.best),
            Cell::new(seconds(by.up), PLAIN),
            Cell::new(seconds(by.down), PLAIN),
            Cell::new(seconds(by.unknown), if by.unknown > 0 { UNSURE } else { PLAIN }),
        ]),
        None => {
            cells.push(Cell::new("unknown", UNSURE));
            cells.extend((0..3).map(|_| Cell::new("", PLAIN)));
            cells.push(Cell::new(seconds(window.totals.unknown()), UNSURE));
        }
    }
    match window.by_request {
        Some(by) => cells.extend([
            share(by.likely),
            between(by.worst, by.best),
            Cell::new(format!("{} of {}", thousands(by.good), thousands(by.all)), PLAIN),
        ]),
        None => cells.push(Cell::new("no requests", DIM)),
    }
    cells
}

fn budget(of: &SubjectReport, out: &mut Vec<String>) {
    let style = |left: f64| if left < 0.0 { BAD } else { PLAIN };
    let budget = &of.budget;
    let mut cells = vec![
        Cell::new("  budget of 30 days: ", PLAIN),
        Cell::new(format!("{} left by time", share(budget.left_by_time)), style(budget.left_by_time)),
        Cell::new(format!(" ({} of {} used", seconds(budget.down), seconds(budget.seconds as u64)), PLAIN),
        Cell::new(format!("; {} left if all unknown was down)", share(budget.left_at_worst)), DIM),
    ];
    if let Some(left) = budget.left_by_request {
        cells.push(Cell::new(format!(", {} left by request", share(left)), style(left)));
    }
    out.push(line(&cells, None));
    let burning: Vec<String> = of
        .burn
        .iter()
        .filter_map(|burn| {
            let (long, short) = (burn.over_long?, burn.over_short?);
            let told = if burn.told { "!" } else { "" };
            let (over_long, over_short) = (seconds(burn.long), seconds(burn.short));
            Some(match burn.enough {
                true => format!("{long:.1}{told} over {over_long}, {short:.1} over {over_short}"),
                false => format!("at least {long:.1} over {over_long} (too short to say)"),
            })
        })
        .collect();
    let told = of.burn.iter().any(|burn| burn.told);
    if told || of.budget.down > 0 {
        let style = if told { BAD } else { PLAIN };
        out.push(line(&[Cell::new(format!("  burns {}", burning.join("; ")), style)], None));
    }
}

fn worst(of: &Worst) -> Option<String> {
    let requests = |(begin, totals): (Second, Totals)| {
        let all = totals.good.saturating_add(totals.bad);
        format!("{} of {} requests failed from {}", thousands(totals.bad), thousands(all), at(begin))
    };
    let time =
        |(begin, totals): (Second, Totals)| format!("{} down from {}", seconds(totals.down), at(begin));
    let told: Vec<String> = of.by_time.map(time).into_iter().chain(of.by_request.map(requests)).collect();
    (!told.is_empty()).then(|| format!("{}: {}", seconds(of.seconds), told.join(", ")))
}

fn outage(of: &Outage, out: &mut Vec<String>) {
    let begin = if of.began_unseen { "or earlier " } else { "" };
    let end = match (of.lasts, of.ended_unseen) {
        (true, _) => "and lasts".to_owned(),
        (_, true) => format!("to {} or later", at(of.to)),
        _ => format!("to {}", at(of.to)),
    };
    let unknown = if of.unknown > 0 { format!(", {} unknown", seconds(of.unknown)) } else { String::new() };
    let failed =
        if of.failed > 0 { format!(", {} requests failed", thousands(of.failed)) } else { String::new() };
    out.push(line(
        &[Cell::new(
            format!("    {} {begin}{end}: {} down{unknown}{failed}", at(of.from), seconds(of.down)),
            BAD,
        )],
        None,
    ));
    out.extend(of.cause.as_ref().map(|cause| format!("      cause: {cause}")));
    for moment in &of.timeline {
        let what = milestone(moment.what);
        let from = if moment.vantage.is_empty() { String::new() } else { format!("{}: ", moment.vantage) };
        out.push(format!(
            "      {}  {what:<13}  {from}{}  {}",
            &timestamp(moment.at_ms * 1000)[11..23],
            moment.subject,
            moment.why
        ));
    }
}

pub(super) fn milestone(what: Milestone) -> &'static str {
    match what {
        Milestone::Detected => "detected",
        Milestone::Decided => "decided",
        Milestone::Promoted => "promoted",
        Milestone::Rerouted => "rerouted",
        Milestone::UpAgain => "up again",
        Milestone::Other => "",
    }
}

/// Rounded down, in per cent; overspent as a multiple.
pub(super) fn share(left: f64) -> String {
    format!("{:.1} %", (left * 1000.0).floor() / 10.0)
}

pub(super) fn seconds(of: u64) -> String {
    match of {
        0..60 => format!("{of} s"),
        _ => duration(of.saturating_mul(1000)).replace(" 0 s", "").replace(" 0 min", "").replace(" 0 h", ""),
    }
}

/// To the second.
pub(super) fn at(second: Second) -> String {
    timestamp(second.saturating_mul(1_000_000))[..19].replace('T', " ")
}
