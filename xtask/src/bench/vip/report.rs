//! Faults as rows, contenders as columns: the longest gap between good answers, and how many requests failed.

use serde_json::{Value, json};

use super::contender::Contender;
use super::fault::Fault;
use crate::bench::report::median;

/// One contender and one fault, over all rounds.
pub(crate) struct Cell {
    pub(crate) contender: Contender,
    /// What the client saw in each round that could be measured.
    pub(crate) rounds: Vec<Value>,
}

pub(crate) struct Row {
    pub(crate) fault: Fault,
    pub(crate) cells: Vec<Cell>,
}

/// Gap in milliseconds, failed requests on new connections, and on kept ones.
type Figures = [f64; 3];

impl Cell {
    fn figures(&self, of_many: impl Fn(Vec<f64>) -> f64) -> Figures {
        let figure = |kind: &str, name: &str| {
            of_many(self.rounds.iter().filter_map(|seen| seen[kind][name].as_f64()).collect())
        };
        [figure("new", "gap_ms"), figure("new", "failed"), figure("kept", "failed")]
    }

    fn median(&self) -> Figures {
        self.figures(median)
    }

    fn worst(&self) -> Figures {
        self.figures(|figures| figures.into_iter().fold(0.0, f64::max))
    }

    /// Shown is a gap of which nobody knows how long it would have lasted.
    fn is_open(&self, gap: f64) -> bool {
        let open = self.rounds.iter().map(|seen| &seen["new"]).filter(|seen| seen["open"] == true);
        open.filter_map(|seen| seen["gap_ms"].as_f64()).any(|least| least <= gap)
    }

    fn text(&self, figures: Figures) -> String {
        if self.rounds.is_empty() {
            return "–".into();
        }
        let [gap, new, kept] = figures;
        let than = if self.is_open(gap) { "> " } else { "" };
        format!("{than}{gap:.0} ms ({new:.0} + {kept:.0})")
    }
}

/// For a person.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![vec![String::new(), String::new()]];
    lines[0]
        .extend(rows.iter().take(1).flat_map(|row| row.cells.iter().map(|cell| cell.contender.name.into())));
    for row in rows {
        for (name, which) in [(row.fault.name, "median"), ("", "worst")] {
            let figures =
                |cell: &Cell| cell.text(if which == "median" { cell.median() } else { cell.worst() });
            let mut line = vec![name.to_owned(), which.to_owned()];
            line.extend(row.cells.iter().map(figures));
            lines.push(line);
        }
    }
    let mut table = align(&lines);
    for row in rows {
        table += &format!("\n{}: {}", row.fault.name, row.fault.about);
    }
    table
}

/// The first two columns to the left, the figures to the right.
fn align(lines: &[Vec<String>]) -> String {
    let width = |text: &String| text.chars().count();
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(width).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let mut padded = String::new();
        for (n, (cell, wide)) in line.iter().zip(&widths).enumerate() {
            let space = " ".repeat(wide - width(cell));
            padded += &if n < 2 { format!("{cell}{space}  ") } else { format!("{space}{cell}  ") };
        }
        text += padded.trim_end();
        text.push('\n');
    }
    text
}

/// For a machine.
pub(crate) fn json(rows: &[Row]) -> Value {
    let cell = |cell: &Cell| {
        let named = |figures: Figures| {
            let [gap, new, kept] = figures;
            let open = self::Cell::is_open(cell, gap);
            json!({ "gap_ms": gap, "open": open, "failed_new": new, "failed_kept": kept })
        };
        let known = !cell.rounds.is_empty();
        json!({
            "contender": cell.contender.name,
            "median": known.then(|| named(cell.median())),
            "worst": known.then(|| named(cell.worst())),
            "rounds": cell.rounds,
        })
    };
    let row = |row: &Row| {
        json!({
            "fault": row.fault.name,
            "about": row.fault.about,
            "contenders": row.cells.iter().map(cell).collect::<Vec<_>>(),
        })
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::vip::contender::CONTENDERS;
    use crate::bench::vip::fault::FAULTS;

    fn seen(gap: f64, open: bool, new: u64, kept: u64) -> Value {
        json!({ "new": { "gap_ms": gap, "open": open, "failed": new }, "kept": { "gap_ms": 1.0, "open": false, "failed": kept } })
    }

    #[test]
    fn the_table_shows_the_median_and_the_worst_of_each() {
        let rounds = vec![seen(41.2, false, 4, 8), seen(350.0, false, 35, 9), seen(43.0, false, 5, 7)];
        let cells = vec![
            Cell { contender: CONTENDERS[0], rounds },
            Cell { contender: CONTENDERS[4], rounds: Vec::new() },
        ];
        let table = table(&[Row { fault: FAULTS[0], cells }]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "                   keepalived-1s  nines-100ms");
        assert_eq!(lines[1], "cut-off  median    43 ms (5 + 8)            –");
        assert_eq!(lines[2], "         worst   350 ms (35 + 9)            –");
    }

    #[test]
    fn a_gap_without_an_end_is_shown_as_more() {
        let cell = |rounds| Cell { contender: CONTENDERS[0], rounds };
        let endless =
            cell(vec![seen(41.0, false, 4, 0), seen(42.0, false, 4, 0), seen(6000.0, true, 600, 0)]);
        assert_eq!(endless.text(endless.median()), "42 ms (4 + 0)");
        assert_eq!(endless.text(endless.worst()), "> 6000 ms (600 + 0)");
    }
}
