//! Plays `vrrp` or `failover` through seeds, as many as wanted: `--seed N` the first, `--seeds M` how many, `--trace` all that
//! happened in a failing one, or in the only one.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use nines_simulator::Plot;

/// A trace that nobody could read anyway is cut off.
const WHOLE: usize = 1_000_000;

#[allow(
    clippy::disallowed_methods,
    reason = "an Instant can be had in no other way; nothing depends on which"
)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| {
        let value = arguments.iter().skip_while(|argument| *argument != name).nth(1);
        value.map_or(Some(default), |value| value.parse().ok())
    };
    let plot = arguments.first().and_then(|name| Plot::of_name(name));
    let (Some(plot), Some(first), Some(count)) = (plot, number("--seed", 0), number("--seeds", 1)) else {
        eprintln!("usage: simulate vrrp|failover [--seed N] [--seeds M] [--trace]");
        return ExitCode::from(2);
    };
    let trace = arguments.iter().any(|argument| argument == "--trace");
    let trace_lines = if trace { WHOLE } else { 60 };

    let origin = Instant::now();
    let (mut broken, mut events, mut lasted) = (0, 0, Duration::ZERO);
    for seed in first..first.saturating_add(count) {
        let report = plot.play(origin, seed, trace_lines);
        events += report.events;
        lasted += report.lasted;
        if report.violation.is_some() {
            broken += 1;
            println!("{report}\n");
        } else if count == 1 {
            if trace {
                print!("{}", report.scene);
                report.trace.iter().for_each(|line| println!("{line}"));
            }
            println!("{report}");
        }
    }
    let took = origin.elapsed();
    eprintln!(
        "{count} seeds, {events} events, {:.1} h simulated in {took:.1?}: {broken} broken",
        lasted.as_secs_f64() / 3600.0
    );
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
