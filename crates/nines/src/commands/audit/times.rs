//! How long failovers take, and how many of them the promise has room for.

use nines_availability::audit::{Audit, TimeBudget};

use crate::terminal::{BAD, Cell, DIM, PLAIN, UNSURE, table, thousands};

/// Rows that are shown; all of them are in the JSON.
const ROWS: usize = 30;
/// As the finding `slow-failover` has it.
const FEW: f64 = 4.0;

pub(super) fn section(audit: &Audit, width: Option<usize>, out: &mut Vec<String>) {
    if audit.time_budget.is_empty() {
        return;
    }
    super::heading(
        "How long it takes at most, in seconds, and how many of these 30 days of the promise allow",
        out,
    );
    let head = ["", "notice", "take over", "allowed", ""].map(|text| Cell::number(text).styled(DIM)).to_vec();
    let rows = audit.time_budget.iter().take(ROWS).map(row);
    out.extend(table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), width));
    let more = audit.time_budget.len().saturating_sub(ROWS);
    out.extend((more > 0).then(|| format!("and {more} more: --json shows all")));
}

fn row(of: &TimeBudget) -> Vec<Cell> {
    let (allowed, style) = match of.allowed_in_30_days {
        None => ("any".to_owned(), PLAIN),
        Some(few) if few < 1.0 => ("none".to_owned(), BAD),
        // Rounded down: what is allowed is allowed.
        Some(count) => (thousands(count as u64), if count < FEW { UNSURE } else { PLAIN }),
    };
    vec![
        Cell::new(of.component.clone(), PLAIN),
        Cell::number(format!("{:.2}", of.notice)),
        Cell::number(format!("{:.2}", of.take_over)),
        Cell::number(allowed).styled(style),
        Cell::new(of.what.clone(), DIM),
    ]
}
