//! Lines and tables for a person at a terminal.

use std::fmt::{Display, Write as _};
use std::io::Write as _;

use anstyle::{AnsiColor, Style};

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const UNSURE: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// A line of narration, on stderr. That nobody can read it any more is no reason to fail.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Columns of the terminal on stdout; `None` where there is none, and lines are as long as they are.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// A piece of text in one style.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style, right: false }
    }

    /// A number: aligned to the right in a table.
    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: PLAIN, right: true }
    }

    pub(crate) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    fn len(&self) -> usize {
        self.text.chars().count()
    }
}

/// Cells side by side, cut where the terminal ends.
pub(crate) fn line(cells: &[Cell], width: Option<usize>) -> String {
    let mut left = width.unwrap_or(usize::MAX);
    let mut out = String::new();
    for cell in cells {
        let fits = cell.len() <= left;
        let text: String = if fits {
            cell.text.clone()
        } else {
            cell.text.chars().take(left.saturating_sub(1)).chain(['…']).collect()
        };
        // Writing to a String does not fail.
        let _ = write!(out, "{}{text}{}", cell.style.render(), cell.style.render_reset());
        if !fits || cell.len() == left {
            break;
        }
        left -= cell.len();
    }
    out
}

/// Between two columns.
const GAP: &str = "  ";

fn widths(rows: &[Vec<Cell>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(Cell::len).max().unwrap_or(0);
    (0..columns).map(widest).collect()
}

/// How wide a table wants to be.
pub(crate) fn widest(rows: &[Vec<Cell>]) -> usize {
    let widths = widths(rows);
    widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
}

/// Columns as wide as their widest cell.
pub(crate) fn table(rows: &[Vec<Cell>], width: Option<usize>) -> Vec<String> {
    let widths = widths(rows);
    rows.iter()
        .map(|row| {
            let mut cells = Vec::new();
            for (index, (cell, column)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(column - cell.len());
                let last = index + 1 == row.len();
                let gap = if last { "" } else { GAP };
                let (before, after) = match (cell.right, last) {
                    (true, _) => (padding, gap.to_owned()),
                    (false, true) => (String::new(), String::new()),
                    (false, false) => (String::new(), padding + gap),
                };
                cells.extend([Cell::new(before, PLAIN), cell.clone(), Cell::new(after, PLAIN)]);
            }
            line(&cells, width)
        })
        .collect()
}

/// `12,345`.
pub(crate) fn thousands(number: u64) -> String {
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

/// A duration as people say it, two units at most: `350 ms`, `12 s`, `3 h 12 min`.
pub(crate) fn duration(ms: u64) -> String {
    let (seconds, minutes, hours, days) = (ms / 1000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{minutes} min {} s", seconds % 60),
        3_600_000..86_400_000 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// `812 B`, `1.5 KiB`, `3.2 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut whole = bytes as f64 / 1024.0;
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    for unit in units {
        if whole < 1023.95 || unit == "TiB" {
            return format!("{whole:.1} {unit}");
        }
        whole /= 1024.0;
    }
    String::new()
}

/// UTC, as the log writes it: `2026-11-23T03:04:05.678Z`.
pub(crate) fn timestamp(unix_us: u64) -> String {
    let ms = unix_us / 1000;
    let (year, month, day) = date(ms / 86_400_000);
    let (hour, minute, second) = (ms / 3_600_000 % 24, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

/// UTC: `2026-11-23 03:04`.
pub(crate) fn day(unix_seconds: u64) -> String {
    let text = timestamp(unix_seconds.saturating_mul(1_000_000));
    text.chars().take(16).map(|letter| if letter == 'T' { ' ' } else { letter }).collect()
}

/// Days since 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_the_log_writes_it() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_399_999_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(timestamp(951_782_400_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(1_795_403_045_678_000), "2026-11-23T03:04:05.678Z");
        assert_eq!(day(1_795_403_045), "2026-11-23 03:04");
    }

    #[test]
    fn durations_and_counts_read_well() {
        let cases = [
            (350, "350 ms"),
            (1_500, "1.5 s"),
            (12_000, "12 s"),
            (61_000, "1 min 1 s"),
            (11_520_000, "3 h 12 min"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text);
        }
        for (count, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), ((1 << 30) - 1, "1.0 GiB")] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(123), "123");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn a_table_is_aligned_and_cut_at_the_terminals_end() {
        let rows = vec![
            vec![Cell::new("NAME", PLAIN), Cell::number("N"), Cell::new("WHY", PLAIN)],
            vec![Cell::new("a", PLAIN), Cell::number("100"), Cell::new("connection refused", PLAIN)],
        ];
        assert_eq!(table(&rows, None), ["NAME    N  WHY", "a     100  connection refused"]);
        assert_eq!(table(&rows, Some(16))[1], "a     100  conn…");
    }
}
