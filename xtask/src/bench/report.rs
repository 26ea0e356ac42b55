//! Medians over rounds, ratios within them, and whether what was promised was reached.

use serde_json::{Value, json};

use super::scenario::{Reach, Scenario};

/// One proxy in one round.
#[derive(Clone, Copy)]
pub(crate) enum Sample {
    Load {
        cpu_us: f64,
        per_second: f64,
        p50_us: f64,
        p99_us: f64,
        errors: u64,
    },
    /// Bytes for each idle client.
    Memory(f64),
}

/// One proxy over all rounds.
pub(crate) struct Row {
    pub(crate) proxy: &'static str,
    /// Whether it is ours, and so has something to reach.
    pub(crate) ours: bool,
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
}

/// A scenario, measured. The first row is what the others are compared with.
pub(crate) struct Outcome {
    pub(crate) scenario: &'static Scenario,
    pub(crate) rows: Vec<Row>,
}

impl Sample {
    /// What proxies are compared by: CPU, or memory.
    fn cost(self) -> f64 {
        match self {
            Self::Load { cpu_us, .. } => cpu_us,
            Self::Memory(bytes) => bytes,
        }
    }

    fn p99_us(self) -> f64 {
        match self {
            Self::Load { p99_us, .. } => p99_us,
            Self::Memory(_) => 0.0,
        }
    }
}

impl Row {
    fn median(&self, figure: impl Fn(Sample) -> f64) -> f64 {
        median(self.samples.iter().map(|sample| figure(*sample)).collect())
    }

    /// The median of the ratios to `base`, each taken within its round: the machine's mood falls out.
    fn ratio(&self, base: &Self, figure: impl Fn(Sample) -> f64) -> f64 {
        let pairs = self.samples.iter().zip(&base.samples);
        median(pairs.map(|(ours, theirs)| figure(*ours) / figure(*theirs)).collect())
    }

    fn errors(&self) -> u64 {
        let errors = |sample: &Sample| match sample {
            Sample::Load { errors, .. } => *errors,
            Sample::Memory(_) => 0,
        };
        self.samples.iter().map(errors).sum()
    }
}

impl Outcome {
    /// What the row must reach, in words, and whether it did.
    fn verdict(&self, row: &Row) -> Option<(String, bool)> {
        if !row.ours {
            return None;
        }
        let base = self.rows.first()?;
        let ratio = row.ratio(base, Sample::cost);
        match self.scenario.reach {
            Reach::Cpu(bound) => Some((format!("≤ {bound:.2}"), ratio <= bound)),
            Reach::CpuAndTail(bound) => {
                let tail = row.ratio(base, Sample::p99_us);
                Some((format!("≤ {bound:.2}, p99 ≤ {}'s", base.proxy), ratio <= bound && tail <= 1.0))
            }
            Reach::Memory(bound) => {
                Some((format!("≤ {:.1} KiB", bound / 1024.0), row.median(Sample::cost) <= bound))
            }
            Reach::Unstated => None,
        }
    }

    /// For a person.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.scenario.name, self.scenario.about)];
        let memory = self.rows.iter().any(|row| matches!(row.samples.first(), Some(Sample::Memory(_))));
        lines.push(if memory {
            format!("  {:<17} {:>11} {:>6}", "", "a client", "ratio")
        } else {
            format!(
                "  {:<17} {:>11} {:>6} {:>11} {:>9} {:>9}  reach",
                "", "CPU/request", "ratio", "requests/s", "p50", "p99"
            )
        });
        for row in &self.rows {
            let ratio = self.rows.first().map_or(1.0, |base| row.ratio(base, Sample::cost));
            let verdict = self.verdict(row).map_or_else(String::new, |(reach, reached)| {
                format!("  {reach}: {}", if reached { "reached" } else { "missed" })
            });
            let errors = match row.errors() {
                0 => String::new(),
                errors => format!("  {errors} errors"),
            };
            let figures = if memory {
                format!("{:>7.2} KiB {ratio:>6.2}", row.median(Sample::cost) / 1024.0)
            } else {
                let [per_second, p50, p99] = self.others(row);
                format!(
                    "{:>8.1} µs {ratio:>6.2} {per_second:>11.0} {:>6.2} ms {:>6.2} ms",
                    row.median(Sample::cost),
                    p50 / 1000.0,
                    p99 / 1000.0
                )
            };
            lines.push(format!("  {:<17} {figures}{verdict}{errors}", row.proxy));
        }
        lines.join("\n")
    }

    /// For a machine.
    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let ratio = self.rows.first().map_or(1.0, |base| row.ratio(base, Sample::cost));
                let verdict = self.verdict(row);
                let mut figures = json!({
                    "proxy": row.proxy,
                    "ratio": ratio,
                    "reach": verdict.as_ref().map(|(reach, _)| reach),
                    "reached": verdict.as_ref().map(|(_, reached)| reached),
                    "errors": row.errors(),
                });
                let cost = row.median(Sample::cost);
                if matches!(row.samples.first(), Some(Sample::Memory(_))) {
                    figures["bytes_per_client"] = json!(cost);
                } else {
                    let [per_second, p50, p99] = self.others(row);
                    figures["cpu_us_per_request"] = json!(cost);
                    figures["requests_per_second"] = json!(per_second);
                    figures["p50_us"] = json!(p50);
                    figures["p99_us"] = json!(p99);
                }
                figures
            })
            .collect();
        json!({ "scenario": self.scenario.name, "about": self.scenario.about, "proxies": rows })
    }

    /// Requests a second, p50 and p99 in microseconds.
    fn others(&self, row: &Row) -> [f64; 3] {
        let load = |sample| match sample {
            Sample::Load { per_second, p50_us, p99_us, .. } => [per_second, p50_us, p99_us],
            Sample::Memory(_) => [0.0; 3],
        };
        [0, 1, 2].map(|n| row.median(|sample| load(sample)[n]))
    }
}

/// The middle one; of two in the middle, the mean; 0 of none.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario::SCENARIOS;

    fn row(proxy: &'static str, ours: bool, rounds: &[(f64, f64)]) -> Row {
        let sample =
            |&(cpu_us, p99_us)| Sample::Load { cpu_us, per_second: 1.0, p50_us: 1.0, p99_us, errors: 0 };
        Row { proxy, ours, samples: rounds.iter().map(sample).collect() }
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let base = row("haproxy", false, &[(10.0, 1.0), (40.0, 1.0), (20.0, 1.0)]);
        let ours = row("nines", true, &[(8.0, 1.0), (32.0, 1.0), (16.0, 1.0)]);
        assert!((ours.ratio(&base, Sample::cost) - 0.8).abs() < 1e-9);
    }

    #[test]
    fn a_slow_tail_is_a_miss_where_the_tail_counts() {
        let outcome = |scenario: &str, p99| Outcome {
            scenario: SCENARIOS.iter().find(|known| known.name == scenario).unwrap(),
            rows: vec![row("haproxy", false, &[(10.0, 5.0)]), row("nines", true, &[(6.0, p99)])],
        };
        let reached = |outcome: &Outcome| outcome.verdict(&outcome.rows[1]).unwrap().1;
        assert!(reached(&outcome("keep-alive", 4.0)));
        assert!(!reached(&outcome("keep-alive", 6.0)));
        assert!(reached(&outcome("crowd", 6.0)));
        assert!(outcome("crowd", 6.0).verdict(&outcome("crowd", 6.0).rows[0]).is_none());
    }
}
