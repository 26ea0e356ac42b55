//! The project's own chores: what CI runs and what a developer runs are the same commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(test)]
mod architecture;
mod bench;
mod demo;
mod setup;
mod shell;
mod test;

/// The project's own chores
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what is missing on this machine
    Setup(setup::Args),
    /// Install what is missing, then run every check and every test
    Test,
    /// Look up known advisories of the dependencies; needs the network
    Advisories,
    /// Measure nines beside HAProxy and nginx, on one core each, in one run
    Bench(bench::Args),
    /// Install what is missing, build, and rehearse examples/shop.toml
    Demo,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Setup(args) => setup::run(&args).map(|()| ExitCode::SUCCESS),
        Chore::Test => test::run(),
        Chore::Advisories => test::advisories().map(|()| ExitCode::SUCCESS),
        Chore::Bench(args) => bench::run(&args),
        Chore::Demo => demo::run(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
