//! The program: a file per command, and the one place that wires the rooms together.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod admin_socket;
mod commands;
mod daemon;
mod rehearsed;
mod stage;
mod stand_in;
mod summary;
mod terminal;

/// High availability for every layer of a service, and the proof that it works.
#[derive(Parser)]
#[command(name = "nines", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Is the file right? Every mistake with its line, and a suggestion
    Check(commands::check::Args),
    /// Print a JSON Schema of the system file, for editors
    Schema(commands::schema::Args),
    /// Write a commented example of a system file that works
    Init(commands::init::Args),
    /// The whole system on this machine, each component broken in turn, and what clients saw
    Rehearse(commands::rehearse::Args),
    /// What happens if each component fails: single points of failure, predicted nines, what a change buys
    Audit(commands::audit::Args),
    /// What happens if this component fails: analysis, simulation, last rehearsal and last drill side by side
    WhatIf(commands::what_if::Args),
    /// Thousands of years of failures in seconds; or worlds that break what decides, by their seed
    Simulate(commands::simulate::Args),
    /// This host's part, for real
    Run(commands::run::Args),
    /// What this host lacks to do its part: privileges, ports, network, clock
    Doctor(commands::doctor::Args),
    /// What is up, what is not, and why
    Status(commands::status::Args),
    /// The nines that were measured, where the downtime went, and what was predicted
    Report(commands::report::Args),
    /// What changed, when and why
    Events(commands::events::Args),
    /// Ask a service from outside, again and again, and say what a new client sees
    Probe(commands::probe::Args),
    /// Rules for Prometheus and a dashboard for Grafana, ready to use
    Export(commands::export::Args),
    /// Let a member, or this load balancer's host, finish its work and send it no new
    Drain(commands::wish::Args),
    /// Give a member, or this load balancer's host, traffic again
    Ready(commands::wish::Args),
    /// Take a member out and stop checking it
    Maintenance(commands::wish::Args),
    /// Make another host the primary of a database, without losing anything
    Switchover(commands::database::SwitchoverArgs),
    /// Leave a database as it is: no failover, no repair, until it is resumed
    Pause(commands::database::PauseArgs),
    /// Take care of a database again
    Resume(commands::database::PauseArgs),
    /// Make a standby anew, as a copy of the primary; its data are set aside
    Reinit(commands::database::ReinitArgs),
    /// Take over a PostgreSQL that exists, with its data and settings, without a dump
    #[command(long_about = commands::adopt::ABOUT, after_long_help = commands::adopt::AFTER)]
    Adopt(commands::adopt::Args),
    /// A small application server that takes the place of a real one in rehearsals
    #[command(hide = true)]
    StandIn(commands::stand_in::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check(args) => commands::check::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Rehearse(args) => commands::rehearse::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
        Command::WhatIf(args) => commands::what_if::run(&args),
        Command::Simulate(args) => commands::simulate::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Events(args) => commands::events::run(&args),
        Command::Probe(args) => commands::probe::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Drain(args) => commands::wish::run(&args, nines_control::status::Wish::Draining),
        Command::Ready(args) => commands::wish::run(&args, nines_control::status::Wish::Ready),
        Command::Maintenance(args) => commands::wish::run(&args, nines_control::status::Wish::Maintenance),
        Command::Switchover(args) => commands::database::switchover(args),
        Command::Pause(args) => commands::database::pause(&args),
        Command::Resume(args) => commands::database::resume(&args),
        Command::Reinit(args) => commands::database::reinit(args),
        Command::Adopt(args) => commands::adopt::run(&args),
        Command::StandIn(args) => commands::stand_in::run(&args),
    };
    done.unwrap_or_else(|error| {
        if reader_is_gone(&error) {
            return ExitCode::SUCCESS;
        }
        terminal::tell(format_args!("nines: {error:#}"));
        ExitCode::from(EXIT_BAD)
    })
}

/// `nines events | head` is no failure.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The answer is bad: a broken promise, a daemon that can't be reached.
const EXIT_BAD: u8 = 1;
/// The command was not called rightly.
const EXIT_USAGE: u8 = 2;
/// The system file is wrong (sysexits.h: `EX_CONFIG`).
const EXIT_FILE: u8 = 78;
