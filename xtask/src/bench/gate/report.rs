//! Medians over rounds, ratios to the direct way within them, and whether nines costs no more than was promised.

use serde_json::{Value, json};

use super::pgbench::{Sample, Workload};
use super::way::Way;
use crate::bench::report::median;

/// Of the direct way's throughput.
const REACH: f64 = 0.95;

/// One way over all rounds.
pub(crate) struct Row {
    way: Way,
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
}

/// A workload, measured. The first row is the direct way.
pub(crate) struct Outcome {
    workload: &'static Workload,
    pub(crate) rows: Vec<Row>,
}

impl Row {
    fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure).collect())
    }

    /// The median of the ratios to `base`, each taken within its round: the machine's mood falls out.
    fn ratio(&self, base: &Self, figure: impl Fn(&Sample) -> f64) -> f64 {
        let pairs = self.samples.iter().zip(&base.samples);
        median(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)).collect())
    }
}

impl Outcome {
    pub(crate) fn new(workload: &'static Workload, ways: &[Way]) -> Self {
        let rows = ways.iter().map(|&way| Row { way, samples: Vec::new() }).collect();
        Self { workload, rows }
    }

    /// Throughput and p99 beside the direct way's, and whether it is what was promised, of which only we promised any.
    fn compared(&self, row: &Row) -> (f64, f64, Option<bool>) {
        let base = &self.rows[0];
        let throughput = row.ratio(base, |sample| sample.per_second);
        let latency = row.ratio(base, |sample| sample.p99_us);
        (throughput, latency, (row.way == Way::Nines).then_some(throughput >= REACH))
    }

    /// For a person.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            format!("{}: {}", self.workload.name, self.workload.about),
            format!(
                "  {:<10} {:>7} {:>6} {:>9} {:>9} {:>6} {:>16}  reach",
                "", "tps", "ratio", "p50", "p99", "ratio", "CPU/transaction"
            ),
        ];
        for row in &self.rows {
            let (throughput, latency, reached) = self.compared(row);
            let reach = reached.map_or_else(String::new, |reached| {
                format!("  ≥ {REACH:.2}: {}", if reached { "reached" } else { "missed" })
            });
            lines.push(format!(
                "  {:<10} {:>7.0} {throughput:>6.2} {:>6.2} ms {:>6.2} ms {latency:>6.2} {:>13.1} µs{reach}",
                row.way.name(),
                row.median(|sample| sample.per_second),
                row.median(|sample| sample.p50_us) / 1e3,
                row.median(|sample| sample.p99_us) / 1e3,
                row.median(|sample| sample.cpu_us),
            ));
        }
        lines.join("\n")
    }

    /// For a machine.
    pub(crate) fn json(&self) -> Value {
        let row = |row: &Row| {
            let (throughput, latency, reached) = self.compared(row);
            json!({
                "way": row.way.name(),
                "transactions_per_second": row.median(|sample| sample.per_second),
                "throughput_ratio": throughput,
                "p50_us": row.median(|sample| sample.p50_us),
                "p99_us": row.median(|sample| sample.p99_us),
                "p99_ratio": latency,
                "cpu_us_per_transaction": row.median(|sample| sample.cpu_us),
                "reached": reached,
            })
        };
        json!({
            "workload": self.workload.name,
            "about": self.workload.about,
            "ways": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::gate::pgbench::WORKLOADS;

    fn sample(per_second: f64) -> Sample {
        Sample { transactions: 1.0, per_second, p50_us: 1.0, p99_us: 1.0, cpu_us: 1.0 }
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_a_slow_gate_is_a_miss() {
        let mut outcome = Outcome::new(&WORKLOADS[0], &[Way::Direct, Way::Nines]);
        for (direct, nines) in [(1000.0, 960.0), (100.0, 96.0), (500.0, 480.0)] {
            outcome.rows[0].samples.push(sample(direct));
            outcome.rows[1].samples.push(sample(nines));
        }
        let (throughput, _, reached) = outcome.compared(&outcome.rows[1]);
        assert!((throughput - 0.96).abs() < 1e-9);
        assert_eq!((reached, outcome.compared(&outcome.rows[0]).2), (Some(true), None));

        outcome.rows[1].samples = vec![sample(900.0), sample(90.0), sample(450.0)];
        assert_eq!(outcome.compared(&outcome.rows[1]).2, Some(false));
    }
}
