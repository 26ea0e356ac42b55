//! What remains of pools, as a table.

use nines_availability::audit::{Audit, Capacity};

use crate::terminal::{BAD, Cell, DIM, GOOD, PLAIN, table};

/// Of pools of which somebody said what they take.
pub(super) fn section(audit: &Audit, width: Option<usize>, out: &mut Vec<String>) {
    let stated: Vec<&Capacity> = audit.capacity.iter().filter(|of| of.stated).collect();
    if stated.is_empty() {
        return;
    }
    super::heading("How much of what is left is in use at the peak", out);
    let mut rows = Vec::new();
    for of in stated {
        let used = format!("{:.0} % in use", of.runs_at * 100.0);
        let all = format!("all {} members", of.members);
        rows.push(vec![Cell::new(of.pool.clone(), PLAIN), Cell::number(used), Cell::new(all, DIM)]);
        for left in &of.after {
            let style = if left.enough { GOOD } else { BAD };
            let used = match left.of_peak {
                carried if carried > 0.0 => format!("{:.0} % in use", 100.0 / carried),
                _ => "nothing left".to_owned(),
            };
            // (n − 1) / n of them, for one of n that are alike.
            let limit = match left.may_run_at {
                limit if limit > 0.0 => {
                    format!("; enough as long as all are at most {:.0} % in use", limit * 100.0)
                }
                _ => String::new(),
            };
            let told = format!("without {}: {} of {}{limit}", left.without, left.members, of.members);
            rows.push(vec![Cell::new("", PLAIN), Cell::number(used), Cell::new(told, style)]);
        }
    }
    out.extend(table(&rows, width));
}
