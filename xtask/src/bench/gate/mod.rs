//! `cargo xtask bench gate`: what it costs to reach PostgreSQL through nines' gate, PgBouncer and HAProxy, beside reaching it directly.
//!
//! One PostgreSQL, one pgbench, in namespaces of this program's own, which end with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;

use self::pgbench::{WORKLOADS, Workload};
use self::report::Outcome;
use self::way::{WAYS, Way, Ways};
use super::failover::programs;
use super::{first_line, machine, namespace};
use crate::setup::{self, For};
use crate::shell;

mod pgbench;
mod report;
mod way;

/// Configurations, data and logs; ours alone, on a real disk, and with a short name.
const RUN: &str = "/run/bench";
/// Who PostgreSQL and PgBouncer run as.
const USER: &str = "postgres";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which workloads; all of them if none is named
    #[arg(value_parser = WORKLOADS.each_ref().map(|workload| workload.name))]
    workloads: Vec<String>,
    /// How often each way is measured, in turns
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each measurement takes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Only this way besides the direct one; may be given several times
    #[arg(long, value_name = "NAME", value_parser = WAYS.each_ref().map(|way| way.name()))]
    way: Vec<String>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Measure this binary (the example `gate` of nines-database) instead of building one
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
}

/// Prepares all that needs the world outside, then goes on in namespaces of its own.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !setup::is_root() {
        bail!("PostgreSQL runs as a user of its own, so this benchmark needs root");
    }
    setup::prepare(For::Bench)?;
    let gate = gate_binary(args.gate.as_deref())?;
    let dir = directory();
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;

    let mut inside = namespace::inside("gate-inside")?;
    inside.args(["--rounds", &args.rounds.to_string(), "--seconds", &args.seconds.to_string()]);
    inside.arg("--gate").arg(gate);
    if args.json {
        inside.arg("--json");
    }
    for way in &args.way {
        inside.args(["--way", way]);
    }
    inside.args(&args.workloads);
    shell::run(&mut inside)
}

/// The measurement itself.
pub(crate) fn inside(args: &Args) -> Result<ExitCode> {
    if namespace::is_first() {
        namespace::private_run()?;
        namespace::also(&directory(), Path::new(RUN))?;
        return namespace::be_first();
    }
    let programs = programs()?;
    let versions = versions(&programs);
    if !args.json {
        println!("{}", versions.join("\n"));
    }
    let wanted: Vec<Way> = (WAYS.into_iter())
        .filter(|way| {
            *way == Way::Direct || args.way.is_empty() || args.way.iter().any(|one| one == way.name())
        })
        .collect();
    let ways = Ways::open(&wanted, args.gate.as_deref().context("which gate?")?, &programs)?;
    pgbench::fill()?;
    let chosen =
        |workload: &&Workload| args.workloads.is_empty() || args.workloads.iter().any(|o| o == workload.name);
    let mut outcomes = Vec::new();
    for workload in WORKLOADS.iter().filter(chosen) {
        let outcome = measure(workload, args, &ways).with_context(|| workload.name)?;
        if !args.json {
            println!("\n{}", outcome.table());
        }
        outcomes.push(outcome.json());
    }
    if args.json {
        println!("{:#}", json!({ "version": 1, "machine": versions, "workloads": outcomes }));
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(workload: &'static Workload, args: &Args, ways: &Ways) -> Result<Outcome> {
    let mut outcome = Outcome::new(workload, &ways.open);
    let count = ways.open.len();
    // Round 0 warms up.
    for round in 0..=args.rounds {
        for turn in 0..count {
            // Each round begins with another one, so that none is always after the same.
            let n = (turn + round as usize) % count;
            let way = ways.open[n];
            eprintln!("bench: {}, round {round}, {}", workload.name, way.name());
            let before = ways.cpu(way)?;
            let mut sample = pgbench::run(workload, way.port(), args.seconds).with_context(|| way.name())?;
            sample.cpu_us = (ways.cpu(way)?.saturating_sub(before)).as_secs_f64() * 1e6 / sample.transactions;
            if round > 0 {
                outcome.rows[n].samples.push(sample);
            }
        }
    }
    Ok(outcome)
}

/// The binary that was given, or one that is built now.
fn gate_binary(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(file) = given {
        return file.canonicalize().with_context(|| format!("no {}", file.display()));
    }
    let build = ["build", "--release", "--locked", "--package", "nines-database", "--example", "gate"];
    shell::run(shell::cargo().args(build))?;
    Ok(shell::target().join("release/examples/gate"))
}

/// Configurations, data and logs, under the target directory.
fn directory() -> PathBuf {
    shell::target().join("bench-gate")
}

/// What runs here, one line each.
fn versions(programs: &Path) -> Vec<String> {
    vec![
        machine(),
        first_line(&programs.join("postgres").to_string_lossy(), &["--version"]),
        first_line("pgbouncer", &["--version"]),
        first_line("haproxy", &["-v"]),
    ]
}
