//! `nines simulate --world`: seeds of the simulator, each a world that breaks whatever can break.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use nines_simulator::{Plot, Report};
use serde_json::{Value, json};

use super::{Args, on_all_cores};
use crate::EXIT_BAD;
use crate::terminal::{tell, thousands};

/// What led to a broken promise.
const LATEST: usize = 60;
/// A trace that nobody could read anyway is cut off, from its beginning.
const WHOLE: usize = 1_000_000;
/// Several seeds, each with its whole trace, are no more than so many lines together.
const TOGETHER: usize = 5_000_000;

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Kind {
    /// Hosts of a database with its primary: no acknowledged write may be lost
    Failover,
    /// Hosts that share virtual addresses: one of them, and not two, answers
    Vrrp,
}

impl From<Kind> for Plot {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failover => Self::Failover,
            Kind::Vrrp => Self::Vrrp,
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let plot = Plot::from(args.world);
    let count = args.seeds as usize;
    let lines = if args.trace { WHOLE.min(TOGETHER / count) } else { LATEST };
    let (origin, bar) = (Instant::now(), bar(args.seeds));
    let reports = on_all_cores(count, |number| {
        let mut report = plot.play(origin, args.seed.wrapping_add(number as u64), lines);
        if report.violation.is_none() && !args.trace {
            report.trace = Vec::new();
        }
        bar.inc(1);
        report
    });
    bar.finish_and_clear();

    let (told, code) = told(args, &reports);
    write!(anstream::stdout().lock(), "{told}")?;
    if !args.json {
        tell(format_args!("played in {:.1?}", origin.elapsed()));
    }
    Ok(ExitCode::from(code))
}

/// The answer, and the exit code.
fn told(args: &Args, reports: &[Report<String>]) -> (String, u8) {
    let broken = reports.iter().filter(|report| report.violation.is_some()).count();
    let code = if broken == 0 { 0 } else { EXIT_BAD };
    if args.json {
        return (format!("{:#}\n", answer(args.world.into(), reports, broken)), code);
    }
    let mut lines = Vec::new();
    for report in reports {
        // What happened of a broken one is part of how it is told.
        if args.trace && report.violation.is_none() {
            lines.extend(report.scene.lines().map(str::to_owned));
            lines.extend(report.trace.iter().cloned());
        }
        if report.violation.is_some() || reports.len() == 1 || args.trace {
            lines.push(report.to_string());
            lines.push(format!("trace {:016x}", report.fingerprint));
        }
    }
    lines.push(verdict(reports, broken));
    (lines.join("\n") + "\n", code)
}

/// Where stderr is a terminal, and it takes a while.
fn bar(seeds: u32) -> ProgressBar {
    if seeds < 10 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} seeds, {eta} to go {wide_bar}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(u64::from(seeds)).with_style(style)
}

fn verdict(reports: &[Report<String>], broken: usize) -> String {
    let events = thousands(reports.iter().map(|report| report.events).sum());
    let lasted: Duration = reports.iter().map(|report| report.lasted).sum();
    let what = match reports.len() {
        1 => "1 seed".to_owned(),
        count => format!("{} seeds", thousands(count as u64)),
    };
    let verdict = match broken {
        0 => "every promise kept".to_owned(),
        broken => format!("BROKEN in {}", thousands(broken as u64)),
    };
    format!("{what}, {events} events in {:.2} simulated hours: {verdict}", lasted.as_secs_f64() / 3600.0)
}

fn answer(plot: Plot, reports: &[Report<String>], broken: usize) -> Value {
    let one = |report: &Report<String>| {
        let mut it = json!({
            "seed": report.seed,
            "events": report.events,
            "simulated_s": report.lasted.as_secs_f64(),
            "fingerprint": format!("{:016x}", report.fingerprint),
            "seen": report.seen,
            "broken": report.violation.as_ref().map(|violation| json!({
                "at_s": violation.at.as_secs_f64(), "promise": violation.promise, "what": violation.what,
            })),
        });
        if !report.trace.is_empty() {
            it["scene"] = report.scene.as_str().into();
            it["trace"] = report.trace.clone().into();
        }
        it
    };
    let all: Vec<Value> = reports.iter().map(one).collect();
    json!({ "world": plot.name(), "broken": broken, "seeds": all })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use nines_simulator::Violation;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Cli::parse_from([&["nines"], words].concat()).args
    }

    fn report(seed: u64, violation: Option<Violation>) -> Report<String> {
        Report {
            plot: Plot::Failover,
            seed,
            scene: "three hosts\n".to_owned(),
            fingerprint: 0xabc,
            events: 1234,
            lasted: Duration::from_secs(3600),
            seen: "7 acknowledgements".to_owned(),
            violation,
            trace: vec!["0.1 s  host0 stops".to_owned()],
        }
    }

    fn broken() -> Violation {
        let what = "term 2 lacks write 17".to_owned();
        Violation { at: Duration::from_millis(1500), promise: "no acknowledged write is lost", what }
    }

    #[test]
    fn a_broken_promise_is_told_with_what_led_to_it_and_how_to_see_it_again() {
        let (text, code) = told(
            &args(&["--world", "failover", "--seeds", "2"]),
            &[report(4, None), report(5, Some(broken()))],
        );
        let expected = "\
seed 5:
three hosts
0.1 s  host0 stops
BROKEN after 1.500000 s: no acknowledged write is lost: term 2 lacks write 17
again: nines simulate --world failover --seed 5 --trace
trace 0000000000000abc
2 seeds, 2,468 events in 2.00 simulated hours: BROKEN in 1
";
        assert_eq!((text.as_str(), code), (expected, EXIT_BAD));
        let (text, code) = told(&args(&["--seeds", "1"]), &[report(4, None)]);
        assert!(text.ends_with("every promise kept\n") && !text.contains("host0"), "{text}");
        assert_eq!(code, 0);
    }

    #[test]
    fn a_program_is_told_which_promise_when_and_the_traces_hash() {
        let (text, code) = told(&args(&["--trace", "--json"]), &[report(5, Some(broken()))]);
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&answer["world"], &answer["broken"]), (&json!("failover"), &json!(1)));
        let one = &answer["seeds"][0];
        assert_eq!((&one["seed"], &one["fingerprint"]), (&json!(5), &json!("0000000000000abc")));
        assert_eq!(one["broken"]["promise"], "no acknowledged write is lost");
        assert_eq!((&one["broken"]["at_s"], code), (&json!(1.5), EXIT_BAD));
    }
}
