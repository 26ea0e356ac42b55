//! Who answers on each virtual address, since when and why.

use anstyle::Style;
use nines_control::status::{Standing, VirtualIpStatus};

use crate::terminal::{BAD, BOLD, Cell, DIM, GOOD, PLAIN, UNSURE, duration, line, table, thousands};

pub(super) fn render(host: &str, all: &[VirtualIpStatus], width: Option<usize>) -> Vec<String> {
    let mut headings: Vec<Cell> =
        ["VIRTUAL IP", "HERE", "HELD BY", "FOR"].map(|text| Cell::new(text, DIM)).into();
    headings.extend(["PRIORITY", "SENT", "RECEIVED"].map(|text| Cell::number(text).styled(DIM)));
    headings.push(Cell::new("WHY", DIM));
    let rows = all.iter().map(|one| row(host, one));
    let mut lines = table(&[headings].into_iter().chain(rows).collect::<Vec<_>>(), width);
    for one in all {
        for problem in &one.problems {
            lines.push(line(&[Cell::new(format!("{}: {problem}", short(one)), BAD)], width));
        }
    }
    lines
}

fn row(host: &str, one: &VirtualIpStatus) -> Vec<Cell> {
    let (state, style) = state(one);
    // Shape says what colour says: whether this host has the address.
    let mark = if one.held { "●" } else { "○" };
    let holder = match &one.holder {
        Some(holder) if holder == host => "this host",
        Some(holder) => holder,
        None => "–",
    };
    let refused: u64 = one.refused.values().sum();
    let received = match refused {
        0 => thousands(one.received),
        refused => format!("{}, {} refused", thousands(one.received), thousands(refused)),
    };
    vec![
        Cell::new(format!("{mark} {}", short(one)), BOLD),
        Cell::new(state, style),
        Cell::new(holder, PLAIN),
        Cell::new(duration(one.since_ms), PLAIN),
        Cell::number(one.priority.to_string()),
        Cell::number(thousands(one.sent)),
        Cell::number(received),
        Cell::new(&one.why, PLAIN),
    ]
}

fn state(one: &VirtualIpStatus) -> (&'static str, Style) {
    match (one.state, one.held) {
        (Standing::Master, _) => ("answers", GOOD),
        (Standing::Listening, _) => ("listens", UNSURE),
        (_, true) => ("finishes", UNSURE),
        (Standing::Backup, false) => ("stands by", PLAIN),
        (Standing::Off, false) => ("out", UNSURE),
    }
}

/// `front/10.0.1.100`, and how many more there are.
fn short(one: &VirtualIpStatus) -> String {
    match one.addresses.len() {
        0 | 1 => one.name.clone(),
        n => format!("{} +{}", one.name, n - 1),
    }
}
