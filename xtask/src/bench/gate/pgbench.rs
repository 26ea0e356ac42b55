//! The load: PostgreSQL's own `pgbench`, closed-loop on connections that stay.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::way::Way;
use super::{RUN, USER};
use crate::bench::namespace::program;

const CLIENTS: u32 = 8;
const THREADS: u32 = 2;
/// Times 100,000 accounts.
const SCALE: u32 = 10;
/// Of how many transactions the latency is written down: writing costs as well.
const SAMPLED: &str = "0.1";

pub(crate) struct Workload {
    /// As the command line calls it.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    options: &'static [&'static str],
}

pub(crate) static WORKLOADS: [Workload; 2] = [
    Workload {
        name: "select-only",
        about: "pgbench -S -M prepared, 8 clients, 2 threads: one row by its key",
        options: &["--select-only"],
    },
    Workload {
        name: "tpcb-like",
        about: "pgbench -M prepared, 8 clients, 2 threads: five statements and a commit, fsync on",
        options: &[],
    },
];

/// One way in one round.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) transactions: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// In front of PostgreSQL, for each transaction.
    pub(crate) cpu_us: f64,
}

/// Makes the tables.
pub(crate) fn fill() -> Result<()> {
    let mut pgbench = pgbench(Way::Direct.port());
    pgbench.args(["--initialize", "--quiet", "--scale", &SCALE.to_string(), "postgres"]);
    said(&mut pgbench).map(drop)
}

pub(crate) fn run(workload: &Workload, port: u16, seconds: u32) -> Result<Sample> {
    let prefix = Path::new(RUN).join("latencies");
    let mut pgbench = pgbench(port);
    pgbench.args(workload.options).args(["--protocol", "prepared", "--no-vacuum"]);
    pgbench.args(["--client", &CLIENTS.to_string(), "--jobs", &THREADS.to_string()]);
    pgbench.args(["--time", &seconds.to_string(), "--log", "--sampling-rate", SAMPLED]);
    pgbench.arg("--log-prefix").arg(&prefix).arg("postgres");
    let said = said(&mut pgbench)?;
    let mut latencies = latencies()?;
    latencies.sort_unstable();
    let at = |part: f64| latencies.get((latencies.len() as f64 * part) as usize).copied().unwrap_or_default();
    Ok(Sample {
        transactions: number(&said, "number of transactions actually processed: ")?,
        per_second: number(&said, "tps = ")?,
        p50_us: at(0.50) as f64,
        p99_us: at(0.99) as f64,
        cpu_us: 0.0,
    })
}

fn pgbench(port: u16) -> Command {
    let mut pgbench = Command::new(program("pgbench"));
    pgbench.args(["--host", "127.0.0.1", "--username", USER, "--port", &port.to_string()]);
    pgbench
}

fn said(pgbench: &mut Command) -> Result<String> {
    let output = pgbench.output().context("cannot start pgbench")?;
    if !output.status.success() {
        bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn number(said: &str, what: &str) -> Result<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix(what));
    let digits = line.and_then(|rest| rest.split([' ', '/']).next()?.parse().ok());
    digits.with_context(|| format!("pgbench does not tell `{what}`: {said}"))
}

/// Microseconds, of all files that pgbench wrote, which are taken away: a file for each thread, and in each line client, transaction,
/// latency and more.
fn latencies() -> Result<Vec<u64>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(RUN)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("latencies.") {
            continue;
        }
        let text = fs::read_to_string(entry.path())?;
        let latency = |line: &str| line.split_whitespace().nth(2)?.parse::<u64>().ok();
        all.extend(text.lines().filter_map(latency));
        fs::remove_file(entry.path())?;
    }
    Ok(all)
}
