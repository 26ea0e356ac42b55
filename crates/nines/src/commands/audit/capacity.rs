//! What remains of pools, as a table.

use nines_availability::audit::{Audit, Capacity};

use crate::terminal::{BAD, Cell, DIM, GOOD, PLAIN, table};

/// Of pools of which somebody said what they take.
pub(super) fn section(audit: &Audit, width: Option<usize>, out: &mut Vec<String>) {
    let stated: Vec<&Capacity> = audit.capacity.iter().filter(|of| of.stated).collect();
    if stated.is_empty() {
        return;
    }
    super::heading("What is left carries, of the peak", out);
    let mut rows = Vec::new();
    for of in stated {
        let used = format!("{:.0} % in use", of.runs_at * 100.0);
        rows.push(vec![Cell::new(of.pool.clone(), PLAIN), Cell::number(used), Cell::new("at the peak", DIM)]);
        for left in &of.after {
            let style = if left.enough { GOOD } else { BAD };
            rows.push(vec![
                Cell::new("", PLAIN),
                Cell::number(format!("{:.0} %", left.of_peak * 100.0)),
                Cell::new(
                    format!("without {}: {} of {} members", left.without, left.members, of.members),
                    style,
                ),
            ]);
        }
    }
    out.extend(table(&rows, width));
}
