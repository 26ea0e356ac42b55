//! The answers as a person reads them: the figures side by side first, then each answer in full.

use anstyle::Style;
use nines_availability::what_if::{Begun, Way, WhatIf};
use nines_rehearsal::Fault;
use nines_rehearsal::report::Loss;
use nines_rehearsal::verdict::Verdict;

use super::super::audit::{heading, kind};
use super::Answers;
use crate::rehearsed::Tried;
use crate::terminal::{self, BAD, BOLD, Cell, DIM, GOOD, PLAIN, UNSURE, line, table, thousands};

const NO_DRILL: &str = "no drill yet";

pub(super) fn lines(answers: &Answers, width: Option<usize>) -> Vec<String> {
    let analysis = &answers.analysis;
    let (verdict, style) = verdict(analysis);
    let mut out =
        vec![line(&[Cell::new(format!("{}: ", analysis.component), BOLD), Cell::new(verdict, style)], None)];
    out.push(String::new());
    out.extend(table(&side_by_side(answers), width));
    heading("Analysis: what the file says", &mut out);
    analysed(answers, width, &mut out);
    heading(
        &format!(
            "Simulation: {} years, seed {}",
            thousands(answers.simulation.years as u64),
            answers.simulation.seed
        ),
        &mut out,
    );
    match analysis.is_modelled {
        true => simulated(answers, &mut out),
        false => out.push("  not simulated: hosts are, and what they stand in and share".to_owned()),
    }
    heading("Last rehearsal: it was broken, and clients asked on", &mut out);
    rehearsed(answers, width, &mut out);
    heading("Last drill: it was broken in the real system", &mut out);
    out.push(NO_DRILL.to_owned());
    out
}

fn verdict(of: &WhatIf) -> (String, Style) {
    if of.fatal {
        return ("the service is down until it is repaired".to_owned(), BAD);
    }
    if !of.lost.is_empty() {
        return ("something is lost until it is repaired".to_owned(), BAD);
    }
    let first = of.ways.first();
    match first.map(|way| (way.loss, way.at_most_seconds)) {
        None | Some(("nothing", _)) => {
            match of.consequences.first().filter(|_| of.is_place || of.runs_on.is_some()).map(|row| row.gap) {
                Some(waits) if waits > 0.0 => (
                    format!("clients lose nothing that may be repeated, and wait for up to {waits:.2} s"),
                    GOOD,
                ),
                _ => ("clients lose nothing".to_owned(), GOOD),
            }
        }
        Some(("some", Some(0.0))) => ("a few requests fail".to_owned(), UNSURE),
        Some(("some", Some(seconds))) => {
            (format!("some of what is asked fails for up to {seconds:.2} s"), UNSURE)
        }
        Some((_, Some(seconds))) => {
            let then = match first.and_then(|way| way.some_at_most_seconds) {
                Some(some) => format!("some of what is asked fails for up to {some:.2} s"),
                None => "others do".to_owned(),
            };
            (format!("nothing answers for up to {seconds:.2} s, then {then}"), UNSURE)
        }
        Some((_, None)) => ("some clients lose something until it is repaired".to_owned(), BAD),
    }
}

fn loss(way: &Way) -> String {
    match (way.loss, way.at_most_seconds) {
        ("nothing", _) => "no gap".to_owned(),
        ("some", Some(0.0)) => "a few requests".to_owned(),
        ("some", Some(seconds)) => format!("some, ≤ {seconds:.2} s"),
        (_, Some(seconds)) => match way.some_at_most_seconds {
            Some(some) => format!("≤ {seconds:.2} s; some, ≤ {some:.2} s"),
            None => format!("≤ {seconds:.2} s"),
        },
        _ => "until repaired".to_owned(),
    }
}

fn side_by_side(answers: &Answers) -> Vec<Vec<Cell>> {
    let Answers { analysis, simulation, rehearsed, .. } = answers;
    let dash = || "–".to_owned();
    let simulated = |figure: String| if analysis.is_modelled { figure } else { dash() };
    // What a host does when it is slow, or goes in peace, is no failure of it.
    let failed = rehearsed
        .tried
        .iter()
        .filter(|tried| tried.fault.lasts() && !tried.fault.weakens() && !is_planned(tried));
    let longest = failed.map(|tried| tried.longest_gap_ms).reduce(f64::max);
    let head = ["", "analysis", "simulation", "last rehearsal", "last drill"];
    let mut rows = vec![head.iter().map(|text| Cell::number(*text).styled(DIM)).collect::<Vec<_>>()];
    let row = |what: &str, cells: [String; 4]| {
        std::iter::once(Cell::new(what, PLAIN)).chain(cells.map(Cell::number)).collect::<Vec<_>>()
    };
    rows.push(row(
        "longest gap if it fails",
        [
            analysis.ways.first().map_or_else(dash, loss),
            dash(),
            longest.map_or_else(dash, |ms| format!("{:.2} s", ms / 1e3)),
            NO_DRILL.to_owned(),
        ],
    ));
    rows.push(row(
        "fails, a year",
        [analysis.failures_per_year.map_or_else(dash, |of| format!("{of:.2}")), dash(), dash(), dash()],
    ));
    // As if it were active whenever it fails, and whatever else fails meanwhile were its doing.
    let worst = |each: f64, digits: usize| {
        let rate = analysis.failures_per_year.filter(|_| analysis.is_place)?;
        Some(format!("≤ {:.digits$}", rate * each))
    };
    let begins = analysis.ways.first().filter(|way| way.loss != "nothing").and_then(|_| worst(1.0, 2));
    rows.push(row(
        "begins outages, a year",
        [
            begins.unwrap_or_else(dash),
            simulated(format!("{:.2}", simulation.outages_per_year)),
            dash(),
            dash(),
        ],
    ));
    let of_group = || {
        let account = analysis.account.as_ref().filter(|_| !analysis.is_place && analysis.is_modelled)?;
        Some(format!("{:.1}", account.own))
    };
    let minutes = analysis.given.as_ref().and_then(|given| worst(given.minutes, 1)).or_else(of_group);
    rows.push(row(
        "minutes of them, a year",
        [
            minutes.unwrap_or_else(dash),
            simulated(format!("{:.1}", simulation.minutes_per_year)),
            dash(),
            dash(),
        ],
    ));
    let broken = rehearsed.tried.iter().filter(|tried| tried.verdict == Verdict::Broken).count();
    let held = match rehearsed.tried.len() {
        0 => "not rehearsed".to_owned(),
        all => format!("{} of {all}", all - broken),
    };
    rows.push(row("promises held", [dash(), dash(), held, dash()]));
    rows
}

fn is_planned(tried: &Tried) -> bool {
    matches!(tried.fault, Fault::Drain | Fault::Maintenance)
}

fn analysed(answers: &Answers, width: Option<usize>, out: &mut Vec<String>) {
    let of = &answers.analysis;
    let rows = of.ways.iter().map(|way| {
        vec![
            Cell::new(format!("  {}", way.how), PLAIN),
            Cell::number(loss(way)),
            Cell::new(way.because.clone(), DIM),
        ]
    });
    out.extend(table(&rows.collect::<Vec<_>>(), width));
    if !of.lost.is_empty() {
        out.push(format!("  lost until repaired: {}", of.lost.join("; ")));
    }
    for row in &of.consequences {
        let name = format!("{} {}", kind(row.component.kind), row.component.name);
        let facts = [("impact", &row.impact), ("takes over", &row.takes_over), ("noticed", &row.noticed)];
        out.push(format!("  {name}"));
        for (what, told) in facts {
            let first = std::iter::once(what).chain(std::iter::repeat(""));
            out.extend(first.zip(told).map(|(what, told)| format!("    {what:12}{told}")));
        }
    }
    let person = if of.person { "needed" } else { "not needed" };
    out.push(format!("  a person is {person}"));
    match (of.fatal, of.fatal_with_count) {
        (true, _) => out.push(match &answers.accept_as {
            Some(label) => format!("  fatal alone; to accept it, [accepted] has it as \"{label}\""),
            None => "  fatal alone".to_owned(),
        }),
        (false, _) if !of.is_modelled => out.push(match &of.runs_on {
            Some(host) => {
                format!("  the model knows hosts, and not what fails on them: `nines what-if FILE \"host {host}\"`")
            }
            None => "  how often it fails is not in the model".to_owned(),
        }),
        (false, 0) => out.push("  fatal together with no single other component".to_owned()),
        (false, count) => {
            let more = count - of.fatal_with.len();
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            out.push(format!("  fatal together with {}{more}", of.fatal_with.join(", ")));
        }
    }
    if let Some(account) = &of.account {
        out.push(format!(
            "  {:.2} minutes a year {}, {:.1} % of all: number {} of {}",
            account.own,
            // Of a group: whatever else fails with it.
            if of.is_place {
                "would go if it never failed"
            } else {
                "of downtime in which it is lost or moves"
            },
            account.share * 100.0,
            account.rank,
            account.of
        ));
        for group in &account.failovers {
            out.push(format!(
                "  failovers of {}, whoever begins them: {:.2} minutes a year under way, {:.2} missed",
                group.group, group.failing_over, group.missed
            ));
        }
    }
    if let Some(given) = &of.given {
        let in_part = match given.in_part {
            part if part >= 0.05 => format!("{part:.1} of requests that go on being sent to it; "),
            _ => String::new(),
        };
        out.push(format!(
            "  if it is down now, for {:.1} h: {:.1} minutes of downtime on average; {in_part}{:.1} until others have taken over, misses by their likelihood, and the service down for {:.2} % of the rest",
            given.hours,
            given.minutes,
            given.taking_over,
            given.down * 100.0
        ));
    }
    let buys = of.changes.iter().map(|change| {
        let saves = change.saves.map_or_else(|| "?".to_owned(), |saves| format!("{:.1}", -saves));
        format!("  {saves} minutes a year: {}", change.text)
    });
    out.extend(buys);
}

fn simulated(answers: &Answers, out: &mut Vec<String>) {
    let of: &Begun = &answers.simulation;
    // Hosts of a group may do other things as well.
    let which = match answers.analysis.component.split(' ').next() {
        Some("load" | "pool" | "database") => "in which it was lost or moved",
        Some("coordination") if answers.analysis.component == "coordination" => "in which it was lost",
        _ => "begun by it",
    };
    let in_part = match of.in_part {
        part if part >= 0.005 => format!(" ({part:.2} of them as its part of the requests)"),
        _ => String::new(),
    };
    out.push(format!(
        "  {:.3} outages a year {which}, {:.2} minutes a year{in_part}, {:.1} % of all downtime",
        of.outages_per_year,
        of.minutes_per_year,
        of.share_of_downtime * 100.0
    ));
    let [none, one, two, more] = of.years_with.map(|share| share * 100.0);
    out.push(format!(
        "  in {none:.1} % of years none, in {one:.1} % one, in {two:.1} % two, in {more:.1} % more"
    ));
    out.push(format!(
        "  minutes of them in the median year {:.1}, in the worst of 10 {:.1}, of 100 {:.1}, of all {:.1}",
        of.median, of.worst_of_10, of.worst_of_100, of.worst
    ));
}

fn rehearsed(answers: &Answers, width: Option<usize>, out: &mut Vec<String>) {
    let of = &answers.rehearsed;
    if of.tried.is_empty() {
        out.push(match answers.only.as_slice() {
            [] => "  not rehearsed, and no rehearsal breaks it by itself".to_owned(),
            names => {
                let quoted = |name: &String| match name.contains(' ') {
                    true => format!("\"{name}\""),
                    false => name.clone(),
                };
                let names: Vec<String> = names.iter().map(quoted).collect();
                format!(
                    "  not rehearsed: `nines rehearse FILE --only {}` does it, and is remembered",
                    names.join(" --only ")
                )
            }
        });
        return;
    }
    if of.from.iter().any(|source| source.file_changed) {
        out.push(line(&[Cell::new("  the system file has changed since: rehearse again", UNSURE)], None));
    }
    let head = ["  what", "how", "when", "predicted", "longest gap", "failed", "verdict"];
    let head = head.iter().enumerate().map(|(at, text)| match at {
        3..=5 => Cell::number(*text).styled(DIM),
        _ => Cell::new(*text, DIM),
    });
    let mut rows = vec![head.collect::<Vec<_>>()];
    rows.extend(of.tried.iter().map(row));
    out.extend(table(&rows, width));
    let told = of.tried.iter().filter_map(|tried| Some((tried, tried.difference.as_ref()?)));
    out.extend(told.map(|(tried, difference)| {
        let text = format!("  finding: {} {}: {difference}", tried.label(), tried.fault);
        line(&[Cell::new(text, UNSURE)], None)
    }));
}

fn row(tried: &Tried) -> Vec<Cell> {
    let predicted = match tried.predicted.as_ref().map(|of| (of.loss, of.at_most_ms)) {
        None => "–".to_owned(),
        Some((Loss::Nothing, _)) => "no gap".to_owned(),
        Some((Loss::UntilRepaired, _) | (_, None)) => "until repaired".to_owned(),
        Some((Loss::Some, Some(0.0))) => "a few requests".to_owned(),
        Some((Loss::Some, Some(ms))) => format!("some, ≤ {:.2} s", ms / 1e3),
        Some((Loss::Gap, Some(ms))) => format!("≤ {:.2} s", ms / 1e3),
    };
    let (verdict, style) = match tried.verdict {
        Verdict::Held => ("held".to_owned(), GOOD),
        Verdict::Broken => (format!("broken: {}", tried.why.join("; ")), BAD),
    };
    let times = if tried.times > 1 { format!(" (× {})", tried.times) } else { String::new() };
    vec![
        Cell::new(format!("  {}", tried.label()), PLAIN),
        Cell::new(format!("{}{times}", tried.fault), PLAIN),
        Cell::new(terminal::day(tried.at), PLAIN),
        Cell::number(predicted).styled(DIM),
        Cell::number(format!("{:.2} s", tried.longest_gap_ms / 1e3)),
        Cell::number(format!("{} of {}", thousands(tried.failed), thousands(tried.asked))),
        Cell::new(verdict, style),
    ]
}
