//! `cargo xtask test`: every check and every test, in the order in which they fail fastest.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Result;

use crate::setup::{self, For};
use crate::shell;

/// Their tests start daemons and whole systems, and look at times: alone on the machine, one after the other.
/// `.config/nextest.toml` says the same to nextest.
const ALONE: [&str; 2] = ["nines", "nines-lab"];

/// Property tests draw the same cases in every run here, so that a change fails for what it changed; plain `cargo test`
/// draws new ones each time.
const PROPERTY_SEED: &str = "PROPTEST_RNG_SEED";

struct Step {
    name: &'static str,
    command: Command,
}

/// Known advisories of the dependencies. A chore of its own: the database is fetched over the network, and what it
/// says changes without a change here.
pub(crate) fn advisories() -> Result<()> {
    setup::prepare(For::Test)?;
    shell::run(shell::cargo().args(["deny", "check", "advisories"]))
}

pub(crate) fn run() -> Result<ExitCode> {
    setup::prepare(For::Test)?;
    let mut summary = Vec::new();
    let mut failed = 0;
    for mut step in steps() {
        eprintln!("\n== {}", step.name);
        let began = Instant::now();
        let good = shell::status(&mut step.command)?.success();
        failed += usize::from(!good);
        let verdict = if good { "ok" } else { "FAILED" };
        summary.push(format!("{verdict:<7} {:<28} {:>6.1} s", step.name, began.elapsed().as_secs_f64()));
    }
    println!("\n{}", summary.join("\n"));
    if failed > 0 {
        println!("xtask test: {failed} of {} steps failed", summary.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("xtask test: all {} steps passed", summary.len());
    Ok(ExitCode::SUCCESS)
}

fn steps() -> Vec<Step> {
    let mut steps = vec![
        step("format", &["fmt", "--all", "--check"]),
        step("clippy", &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]),
        step("licences, bans, sources", &["deny", "check", "bans", "licenses", "sources"]),
        step("documentation's examples", &["test", "--workspace", "--doc", "--locked"]),
    ];
    if shell::succeeds(shell::cargo().args(["nextest", "--version"])) {
        steps.push(step("tests", &["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]));
    } else {
        let mut together =
            step("tests", &["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]);
        let mut alone = step("tests, one by one", &["test", "--all-targets", "--locked", "--no-fail-fast"]);
        for package in ALONE {
            together.command.args(["--exclude", package]);
            alone.command.args(["--package", package]);
        }
        alone.command.args(["--", "--test-threads", "1"]);
        steps.extend([together, alone]);
    }
    steps
}

fn step(name: &'static str, arguments: &[&str]) -> Step {
    let mut command = shell::cargo();
    command.args(arguments);
    if std::env::var_os(PROPERTY_SEED).is_none() {
        command.env(PROPERTY_SEED, "1");
    }
    Step { name, command }
}
