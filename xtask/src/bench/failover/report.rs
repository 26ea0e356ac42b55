//! Faults, and under each the contenders: the longest time without an acknowledged write, what failed, what was lost, and when the old
//! primary was back.

use serde_json::{Value, json};

use super::contender::Contender;
use super::fault::{BACK, Fault};
use crate::bench::report::median;

/// One contender and one fault, over all rounds.
pub(crate) struct Cell {
    pub(crate) fault: Fault,
    pub(crate) contender: Contender,
    /// What writers saw in each round that could be measured.
    pub(crate) rounds: Vec<Value>,
    /// Why others could not be.
    pub(crate) failed: Vec<String>,
}

impl Cell {
    fn figures(&self, figure: impl Fn(&Value) -> Option<f64>) -> Vec<f64> {
        self.rounds.iter().filter_map(figure).collect()
    }

    fn gaps(&self) -> Vec<f64> {
        self.figures(|seen| seen["gap_ms"].as_f64())
    }

    fn worst(&self) -> f64 {
        self.gaps().into_iter().fold(0.0, f64::max)
    }

    /// Of all rounds together.
    fn lost(&self) -> u64 {
        self.rounds.iter().filter_map(|seen| seen["found"]["lost"].as_u64()).sum()
    }

    fn errors(&self) -> f64 {
        median(self.figures(|seen| seen["failed"].as_f64()))
    }

    /// Rounds in which the old primary was back in time, and how long it took.
    fn back(&self) -> Vec<f64> {
        self.figures(|seen| seen["back_ms"].as_f64())
    }

    fn unnoticed(&self) -> usize {
        self.rounds.iter().filter(|seen| seen["unnoticed"] == true).count()
    }

    /// A gap of which nobody knows how long it would have lasted.
    fn is_open(&self, gap: f64) -> bool {
        let open = self.rounds.iter().filter(|seen| seen["open"] == true);
        open.filter_map(|seen| seen["gap_ms"].as_f64()).any(|least| least <= gap)
    }

    fn gap_text(&self, gap: f64) -> String {
        format!("{}{gap:.0} ms", if self.is_open(gap) { "> " } else { "" })
    }

    fn back_text(&self) -> String {
        let back = self.back();
        match self.rounds.len() - back.len() {
            0 => format!("after {:.1} s", median(back) / 1e3),
            missing if back.is_empty() => format!("not within {} s ({missing}×)", BACK.as_secs()),
            missing => {
                format!("after {:.1} s; {missing}× not within {} s", median(back) / 1e3, BACK.as_secs())
            }
        }
    }

    fn line(&self) -> [String; 7] {
        let name = self.contender.name.to_owned();
        let mut notes = Vec::new();
        if self.unnoticed() > 0 {
            notes.push(format!("{}× nobody else took over", self.unnoticed()));
        }
        if !self.failed.is_empty() {
            notes.push(format!("{}× not measured", self.failed.len()));
        }
        if self.rounds.is_empty() {
            let none = || "–".to_owned();
            return [name, none(), none(), none(), none(), none(), notes.join(", ")];
        }
        [
            name,
            self.gap_text(median(self.gaps())),
            self.gap_text(self.worst()),
            format!("{:.0}", self.errors()),
            self.lost().to_string(),
            self.back_text(),
            notes.join(", "),
        ]
    }

    pub(crate) fn json(&self) -> Value {
        let known = !self.rounds.is_empty();
        json!({
            "fault": self.fault.name,
            "contender": self.contender.name,
            "gap_ms": known.then(|| median(self.gaps())),
            "worst_gap_ms": known.then(|| self.worst()),
            "open": self.is_open(median(self.gaps())),
            "errors": known.then(|| self.errors()),
            "lost": known.then(|| self.lost()),
            "back_ms": (!self.back().is_empty()).then(|| median(self.back())),
            "never_back": self.rounds.len() - self.back().len(),
            "unnoticed": self.unnoticed(),
            "rounds": self.rounds,
            "not_measured": self.failed,
        })
    }
}

/// For a person.
pub(crate) fn table(cells: &[Cell]) -> String {
    let head = ["", "gap, median", "worst", "errors", "lost", "old primary back", ""].map(str::to_owned);
    let lines: Vec<[String; 7]> = cells.iter().map(Cell::line).collect();
    let width = |column: usize| {
        let texts = lines.iter().chain([&head]).map(|line| line[column].chars().count());
        texts.max().unwrap_or(0)
    };
    let shown = |line: &[String; 7]| {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let space = " ".repeat(width(column) - cell.chars().count());
            // Words to the left, figures to the right.
            text += &if matches!(column, 1..=4) {
                format!("{space}{cell}  ")
            } else {
                format!("{cell}{space}  ")
            };
        }
        format!("  {}\n", text.trim_end())
    };
    let mut table = String::new();
    let mut last = None;
    for (cell, line) in cells.iter().zip(&lines) {
        if last != Some(cell.fault.name) {
            table += &format!("{}: {}\n", cell.fault.name, cell.fault.about);
            table += &shown(&head);
            last = Some(cell.fault.name);
        }
        table += &shown(line);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::failover::contender::CONTENDERS;
    use crate::bench::failover::fault::FAULTS;

    fn cell(rounds: Vec<Value>) -> Cell {
        Cell { fault: FAULTS[0], contender: CONTENDERS[0], rounds, failed: Vec::new() }
    }

    fn round(gap: f64, open: bool, lost: u64, back: Option<f64>) -> Value {
        json!({
            "gap_ms": gap, "open": open, "failed": 7, "found": { "lost": lost }, "back_ms": back,
        })
    }

    #[test]
    fn lost_rows_of_all_rounds_count() {
        let cell = cell(vec![
            round(1000.0, false, 0, Some(1000.0)),
            round(3000.0, false, 2, Some(3000.0)),
            round(2000.0, false, 1, Some(2000.0)),
        ]);
        let line = cell.line();
        assert_eq!(line[1..6], ["2000 ms", "3000 ms", "7", "3", "after 2.0 s"]);
        assert_eq!(cell.json()["lost"], 3);
    }

    #[test]
    fn what_did_not_end_is_not_said_to_have_ended() {
        let line = cell(vec![round(500.0, false, 0, None), round(60000.0, true, 0, None)]).line();
        assert_eq!(line[2], "> 60000 ms");
        assert_eq!(line[5], "not within 90 s (2×)");
    }

    #[test]
    fn what_could_not_be_measured_has_no_figure() {
        let mut cell = cell(Vec::new());
        cell.failed.push("it does not settle".into());
        assert_eq!(cell.line()[1], "–");
        assert!(table(&[cell]).contains("1× not measured"));
    }
}
