//! The report as a table for people: aligned, with colour that means something.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use nines_system::System;

use crate::fault::Fault;
use crate::report::{CaseReport, Report};
use crate::verdict::Verdict;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
/// Failures that were no broken promise.
const NOTABLE: Style = AnsiColor::Yellow.on_default();
const QUIET: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] =
    ["what failed", "how", "clients saw", "longest gap", "slowest", "noticed in", "well again"];

/// `shop · 2 zones · 1 load balancer · pool web (3 servers) · objective 99.99 %`.
pub fn headline(system: &System) -> String {
    let mut parts = vec![
        system.name.clone(),
        count(system.zones.len() as u64, "zone"),
        count(system.load_balancers.len() as u64, "load balancer"),
    ];
    let pool = |pool: &nines_system::Pool| {
        format!("pool {} ({})", pool.name, count(pool.members.len() as u64, "server"))
    };
    parts.extend(system.pools.iter().map(pool));
    parts.push(format!("objective {}", system.objective.text));
    parts.join(" · ")
}

/// The rows and the verdict, with ANSI styles; write it through something that knows whether they are wanted.
pub fn table(report: &Report) -> String {
    let mut rows = vec![HEADINGS.map(|heading| Cell { text: heading.to_owned(), style: QUIET })];
    let mut before: Option<&CaseReport> = None;
    for result in &report.results {
        rows.push(row(result, before));
        before = Some(result);
    }
    let widths: Vec<usize> =
        (0..COLUMNS).map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0)).collect();

    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        push_row(&mut out, row, &widths);
        let result = index.checked_sub(1).and_then(|index| report.results.get(index));
        for why in result.map_or(&[][..], |result| &result.why) {
            push_line(&mut out, BAD, &format!("  broken: {why}"));
        }
    }
    for result in report.results.iter().filter(|result| result.clients_late_ms >= LATE_MS) {
        let late = format!(
            "  note: {} {}: the clients themselves were up to {} late; this machine was busy",
            result.component,
            result.fault.past(),
            duration(result.clients_late_ms)
        );
        push_line(&mut out, NOTABLE, &late);
    }
    push_verdict(&mut out, report);
    out
}

/// From here on the clients' own delay is worth a word.
const LATE_MS: f64 = 100.0;

fn push_verdict(out: &mut String, report: &Report) {
    let broken = report.results.iter().filter(|result| result.verdict == Verdict::Broken).count();
    if report.results.is_empty() {
        push_line(out, NOTABLE, "verdict: none, nothing was rehearsed");
    } else if broken > 0 {
        let text = format!("verdict: {} of {} promises broken", broken, report.results.len());
        push_line(out, BAD, &text);
    } else if report.complete {
        push_line(out, GOOD, "verdict: every promise held");
    } else {
        push_line(out, NOTABLE, "verdict: every promise held so far; not all were put to the test");
    }
}

struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

fn row(result: &CaseReport, before: Option<&CaseReport>) -> [Cell; COLUMNS] {
    let plain = |text: String| Cell { text, style: PLAIN };
    let requests = &result.requests;
    let first = before.is_none();
    let saw = format!(
        "{} of {} {}failed",
        thousands(requests.failed),
        thousands(requests.sent),
        if first { "requests " } else { "" }
    );
    let broken = result.verdict == Verdict::Broken;
    let saw_style = match requests.failed {
        _ if broken => BAD,
        0 => GOOD,
        _ => NOTABLE,
    };
    let same =
        before.is_some_and(|before| before.component == result.component && before.hosts == result.hosts);
    [
        plain(what(result, same)),
        plain(how(result)),
        Cell { text: saw, style: saw_style },
        plain(duration(result.longest_gap_ms)),
        plain(or_dash(result.slowest_ms)),
        plain(or_dash(result.noticed_ms)),
        Cell {
            text: or_dash(result.recovered_ms),
            style: if result.recovered_ms.is_some() { PLAIN } else { BAD },
        },
    ]
}

fn what(result: &CaseReport, same: bool) -> String {
    match &result.zone {
        _ if result.together => format!("all of {}", result.component),
        Some(zone) if !same && zone != "default" => format!("{} (zone {zone})", result.component),
        _ => result.component.clone(),
    }
}

fn how(result: &CaseReport) -> String {
    match (result.together, result.fault) {
        (true, Fault::Kill) => "killed together".to_owned(),
        (_, fault) => fault.past().to_owned(),
    }
}

fn push_row(out: &mut String, row: &[Cell], widths: &[usize]) {
    let mut line = String::new();
    for (column, (cell, &width)) in row.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        let text = format!("{}{}{:#}", cell.style, cell.text, cell.style);
        // Numbers stand right, words left.
        let _ = if column >= 3 { write!(line, "{padding}{text}") } else { write!(line, "{text}{padding}") };
        if column + 1 < row.len() {
            line.push_str("   ");
        }
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn push_line(out: &mut String, style: Style, text: &str) {
    let _ = writeln!(out, "{style}{text}{style:#}");
}

/// `1 ms`, `220 ms`, `1.4 s`.
pub fn duration(ms: f64) -> String {
    if ms < 1.0 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1e3)
    }
}

fn or_dash(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".to_owned(), duration)
}

/// `6,012`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
