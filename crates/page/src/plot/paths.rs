//! Series as SVG paths, in tenths of a pixel: steps from slot to slot, equal neighbours as one.

use std::fmt::Write;

/// From values to places on the drawing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Values, and the places they are at.
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
}

impl Scale {
    pub(super) fn at(self, value: f64) -> f64 {
        let share = (value - self.from.0) / (self.to.0 - self.from.0);
        self.from.1 + share * (self.to.1 - self.from.1)
    }

    /// The same, not beyond its ends.
    pub(super) fn within(self, value: f64) -> f64 {
        self.at(value.clamp(self.from.0.min(self.to.0), self.from.0.max(self.to.0)))
    }

    fn tenths(self, value: f64) -> i64 {
        (self.within(value) * 10.0).round() as i64
    }
}

/// Slots of one series: where each begins is `from + n × step`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    pub(super) from: f64,
    pub(super) step: f64,
}

/// Runs of slots that look the same: where it begins and ends, and its lower and upper edge; all in tenths.
struct Run {
    from: i64,
    to: i64,
    base: i64,
    top: i64,
}

/// The area between two edges, as closed boxes; a box that could not be seen is made as wide as `least` tenths.
pub(super) fn area(slots: Slots, edges: &[(f64, f64)], x: Scale, y: Scale, least: i64) -> String {
    let mut runs: Vec<Run> = Vec::new();
    for (n, &(base, top)) in edges.iter().enumerate() {
        let begin = slots.from + n as f64 * slots.step;
        let (from, to) = (x.tenths(begin), x.tenths(begin + slots.step));
        let (base, top) = (y.tenths(base), y.tenths(top));
        if base == top {
            continue;
        }
        match runs.last_mut() {
            Some(last) if last.to == from && last.base == base && last.top == top => last.to = to,
            _ => runs.push(Run { from, to, base, top }),
        }
    }
    let mut path = String::new();
    for run in together(&runs) {
        outline(&mut path, run, least);
    }
    path
}

/// Runs that touch and share a base are drawn in one outline.
fn together(runs: &[Run]) -> impl Iterator<Item = &[Run]> {
    runs.chunk_by(|one, next| one.to == next.from && one.base == next.base)
}

fn outline(path: &mut String, runs: &[Run], least: i64) {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
    let widened = (least - (last.to - first.from)).max(0);
    let _ = write!(path, "M{} {}", first.from, first.base);
    let mut at = first.base;
    for (index, run) in runs.iter().enumerate() {
        let more = if index + 1 == runs.len() { widened } else { 0 };
        // Writing to a String does not fail.
        let _ = write!(path, "v{}h{}", run.top - at, run.to - run.from + more);
        at = run.top;
    }
    let _ = write!(path, "V{}z", last.base);
}

/// A line through the middles of slots, broken where a value isn't finite; a lone point is a short dash.
pub(super) fn line(slots: Slots, values: &[f64], x: Scale, y: Scale) -> String {
    let mut path = String::new();
    let mut pen: Option<(i64, i64)> = None;
    let mut drawn = false;
    for (n, &value) in values.iter().enumerate() {
        if !value.is_finite() {
            lone(&mut path, pen, drawn);
            (pen, drawn) = (None, false);
            continue;
        }
        let here = (x.tenths(slots.from + (n as f64 + 0.5) * slots.step), y.tenths(value));
        match pen {
            None => {
                let _ = write!(path, "M{} {}", here.0, here.1);
            }
            Some(last) => {
                let _ = write!(path, "l{} {}", here.0 - last.0, here.1 - last.1);
                drawn = true;
            }
        }
        pen = Some(here);
    }
    lone(&mut path, pen, drawn);
    path
}

fn lone(path: &mut String, pen: Option<(i64, i64)>, drawn: bool) {
    if pen.is_some() && !drawn {
        path.push_str("h10");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Scale = Scale { from: (0.0, 0.0), to: (10.0, 100.0) };
    const Y: Scale = Scale { from: (0.0, 50.0), to: (5.0, 0.0) };
    const SLOTS: Slots = Slots { from: 0.0, step: 1.0 };

    #[test]
    fn equal_neighbours_are_one_step_and_empty_slots_nothing() {
        let edges: Vec<(f64, f64)> = [2.0, 2.0, 3.0, 0.0, 1.0].map(|top| (0.0, top)).to_vec();
        assert_eq!(area(SLOTS, &edges, X, Y, 0), "M0 500v-200h200v-100h100V500zM400 500v-100h100V500z");
        assert_eq!(area(SLOTS, &[(0.0, 0.0)], X, Y, 0), "");
    }

    #[test]
    fn what_lies_on_another_series_goes_where_that_one_ends() {
        assert_eq!(
            area(SLOTS, &[(1.0, 2.0), (3.0, 4.0)], X, Y, 0),
            "M0 400v-100h100V400zM100 200v-100h100V200z"
        );
    }

    #[test]
    fn a_single_failure_is_wide_enough_to_be_seen() {
        assert_eq!(area(Slots { from: 0.0, step: 0.1 }, &[(0.0, 1.0)], X, Y, 30), "M0 500v-100h30V500z");
    }

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let values = [1.0, 2.0, f64::NAN, 3.0, f64::NAN];
        assert_eq!(line(SLOTS, &values, X, Y), "M50 400l100 -100M350 200h10");
    }

    #[test]
    fn values_beyond_the_panel_stay_inside_it() {
        assert_eq!(area(SLOTS, &[(0.0, 99.0)], X, Y, 0), "M0 500v-500h100V500z");
    }
}
