//! `nines rehearse`: the whole system on this machine, each component broken in turn, and what clients saw.

mod json;
mod list;
mod machine;
mod page;
mod predicted;
mod progress;
mod soup;
mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use nines_lab::{Entered, Inside};
use nines_rehearsal::health::Expected;
use nines_rehearsal::plan::Fatal;
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{CaseReport, Fault, Options, Plan, Rehearsal, Report, sequence};
use nines_system::System;
use tokio::signal::unix::{SignalKind, signal};

use super::output::Output;
use crate::rehearsed::{fingerprint, memory};
use crate::stage::LabStage;
use crate::terminal::{self, tell};
use crate::{EXIT_BAD, EXIT_FILE, EXIT_USAGE};
use progress::Progress;

/// As a shell tells that SIGINT ended a program.
const EXIT_INTERRUPTED: u8 = 130;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The system file
    file: PathBuf,
    /// Break only this component: a host, a pool as a whole, a database or one of its roles (orders/primary). May be given
    /// several times
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Break components only in this way: kill, power-off, freeze, cut-off, partition, cut-in, cut-out, slow, lossy,
    /// split, drain, maintenance, restart, rolling-restart or reload; of single programs kill-member, freeze-member,
    /// kill-server, freeze-server, kill-nines, freeze-nines, kill-store or freeze-store; of databases also switchover.
    /// May be given several times
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    fault: Vec<String>,
    /// Requests a second, half of them on new connections
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// How long each fault lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Break two components at a time instead: hosts of two zones, zones with hosts elsewhere, two zones
    #[arg(long, conflicts_with = "soup")]
    pairs: bool,
    /// Print what was measured as JSON
    #[arg(long)]
    json: bool,
    /// Also write a page for people: one HTML file that needs no network, with the system drawn and the course of each case
    #[arg(long, value_name = "FILE", conflicts_with_all = ["list", "soup"])]
    report: Option<PathBuf>,
    /// Print what would be broken, and break nothing
    #[arg(long)]
    list: bool,
    /// Break the hosts of a database at random for so long, several at the same time, and see whether what transactions saw
    /// can have happened
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    soup: Option<u64>,
    /// Of the soup: which faults come when follows from it. Default: another one each time
    #[arg(long, value_name = "N", requires = "soup")]
    seed: Option<u64>,
    /// Of the soup: keep the histories there, as elle-cli reads them
    #[arg(long, value_name = "DIR", requires = "soup")]
    histories: Option<PathBuf>,
    /// Keep what the hosts' programs print, a file for each host
    #[arg(long, value_name = "DIR")]
    keep_logs: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some((system, fingerprint)) = read(&args.file) else { return Ok(EXIT_FILE.into()) };
    let whole = if args.pairs { pairs(&system, &args.only) } else { Plan::of(&system) };
    let plan = match whole.narrow(&args.only, &args.fault) {
        Ok(plan) => possible(plan),
        Err(unknown) => {
            tell(format_args!("nines: {unknown}"));
            return Ok(EXIT_USAGE.into());
        }
    };
    if args.list {
        list::print(&system, &plan, &options(args), args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (host, why) in &plan.left_out {
        tell(format_args!("nines: {host} is not broken: {why}"));
    }
    for line in list::not_possible(&plan) {
        tell(format_args!("nines: {line}"));
    }
    if plan.cases.is_empty() {
        tell("nines: nothing to rehearse; `nines rehearse --list` says what there is");
        return Ok(EXIT_USAGE.into());
    }
    if let Some(why) = crate::stage::refused(&system) {
        tell(format_args!("nines: {why}"));
        return Ok(EXIT_BAD.into());
    }
    if args.soup.is_some() && plan.databases().is_empty() {
        tell("nines: there is no database here to make a soup of");
        return Ok(EXIT_USAGE.into());
    }
    if !system.databases.is_empty() && !rustix::process::geteuid().is_root() {
        tell("nines: databases can be rehearsed by root only: PostgreSQL runs there as a user of its own");
        return Ok(EXIT_BAD.into());
    }
    let histories = args.histories.as_deref().map(directory).transpose()?;
    let logs = args.keep_logs.as_deref().map(directory).transpose()?;
    let output = args.report.as_deref().map(page_at).transpose()?;
    let file = args.file.canonicalize()?;
    let memory = memory::Keeper::open().unwrap_or_else(|error| {
        tell(format_args!("nines: this rehearsal will not be remembered: {error}"));
        None
    });
    allow_many_connections();
    // Errors of the lab tell their own causes.
    let entered =
        if system.databases.is_empty() { nines_lab::enter() } else { nines_lab::enter_with_disks(&disks()) };
    match entered.map_err(|error| anyhow::anyhow!("{error}"))? {
        Entered::Outside(code) => Ok(code),
        Entered::Inside(inside) => match args.soup {
            Some(seconds) => {
                let soup = soup::Cook { seconds, seed: args.seed, histories, json: args.json };
                soup::play(&inside, &soup, &Arc::new(system), &file, &plan, logs)
            }
            None => {
                let outputs = Outputs { logs, page: output, memory, fingerprint };
                play(&inside, args, &Arc::new(system), &file, &plan, outputs)
            }
        },
    }
}

/// With the fingerprint of the very text, whatever becomes of the file meanwhile.
fn read(path: &Path) -> Option<(System, String)> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Err(error) => tell(format_args!("nines: can't read {name}: {error}")),
        Ok(text) => match nines_system::parse(&name, &text) {
            Ok(system) => return Some((system, fingerprint(&text))),
            Err(mistakes) => super::tell_all(&mistakes),
        },
    }
    None
}

fn directory(path: &Path) -> anyhow::Result<PathBuf> {
    let made = std::fs::create_dir_all(path).and_then(|()| path.canonicalize());
    let path = made.with_context(|| format!("can't keep logs in {}", path.display()))?;
    anyhow::ensure!(
        !path.starts_with("/run"),
        "can't keep logs in {}: the hosts of a rehearsal have a /run of their own; take another directory",
        path.display()
    );
    Ok(path)
}

fn page_at(path: &Path) -> anyhow::Result<Output> {
    let output = Output::at(path)?;
    anyhow::ensure!(
        !output.path().starts_with("/run"),
        "can't write a report to {}: the hosts of a rehearsal have a /run of their own; take another directory",
        path.display()
    );
    Ok(output)
}

/// Databases are rehearsed on a real disk, which `/tmp` often is not.
fn disks() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

/// A time-out's worth of connections can be more than the usual soft limit of descriptors.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Up to the hard limit is always allowed.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// What the audit calls fatal is held against what comes back; it lists five thousand pairs at most, and of others only what is
/// left is.
fn pairs(system: &System, wanted: &[String]) -> Plan {
    let service = nines_availability::service::Service::of(system, &BTreeMap::new());
    let audit =
        nines_availability::audit::Audit::of(&service, &nines_availability::audit::Options::of(system));
    let fatal = Fatal {
        alone: audit.single_points.into_iter().map(|point| point.component).collect(),
        together: audit.pairs.into_iter().map(|pair| pair.components).collect(),
    };
    Plan::pairs(system, &fatal, wanted)
}

/// Without what this machine can't do. Before anything has threads.
fn possible(mut plan: Plan) -> Plan {
    if plan.has(Fault::Lossy)
        && let Some(why) = nines_lab::lossless()
    {
        plan = plan.without(Fault::Lossy, &why);
    }
    if plan.has(Fault::Partition)
        && let Some(why) = nines_lab::indivisible()
    {
        plan = plan.without(Fault::Partition, &why);
    }
    match nines_lab::never_mute() {
        Some(why) => plan.without(Fault::CutOut, &why),
        None => plan,
    }
}

fn options(args: &Args) -> Options {
    Options { rate: args.rate, hold: Duration::from_secs(args.seconds), ..Options::default() }
}

/// Where things go besides stdout.
struct Outputs {
    logs: Option<PathBuf>,
    page: Option<Output>,
    memory: Option<memory::Keeper>,
    /// Of the system file, for both.
    fingerprint: String,
}

/// Inside the lab, in a process of its own.
fn play(
    inside: &Inside,
    args: &Args,
    system: &Arc<System>,
    file: &Path,
    plan: &Plan,
    outputs: Outputs,
) -> anyhow::Result<ExitCode> {
    let Outputs { logs, page, memory, fingerprint } = outputs;
    let (mut machine, begun) = (machine::machine(), Instant::now());
    let mut results = Vec::new();
    let options = options(args);
    let predictor = predicted::Predictor::of(system);
    if !args.json {
        writeln!(anstream::stdout(), "{}", table::headline(system))?;
    }
    tell(format_args!("nines: {}", list::estimate(plan, &options)));
    let ended = super::runtime()?.block_on(async {
        let stage = LabStage::build(inside, Arc::clone(system), file, logs)
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut rehearsal = Rehearsal::new(stage, options, Expected::of(system));
        let progress = Progress::new(plan.cases.len());
        let ended = tokio::select! {
            ended = play_all(&mut rehearsal, plan, &predictor, &progress, &mut results) => ended.map(|()| false),
            interrupted = interruption() => interrupted.map(|()| true),
        };
        progress.clear();
        ended
    });
    machine.took_s = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    let mut report = Report { machine: Some(machine), ..Report::new(system, plan, results) };
    report.fingerprint = fingerprint;
    match memory.map(|memory| memory.keep(&report)).transpose() {
        Ok(told) => told.flatten().into_iter().for_each(|told| tell(format_args!("nines: {told}"))),
        Err(error) => tell(format_args!("nines: this rehearsal is not remembered: {error}")),
    }
    // What could not even begin has no table.
    if ended.is_ok() || !report.results.is_empty() {
        // A pipe that nobody reads any more, or a full disk behind stdout, costs the table alone.
        let written = page.map_or(Ok(()), |output| {
            let name = args.file.file_name().unwrap_or_default().to_string_lossy();
            let around = page::Around {
                ended_us: u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros())
                    .unwrap_or(0),
                planned: plan.cases.len(),
                seconds: args.seconds,
                rate: args.rate,
                file: &name,
            };
            output.write(&page::page(system, &report, &around))?;
            tell(format_args!("nines: the report is in {}", output.path().display()));
            anyhow::Ok(())
        });
        print(&report, args.json)?;
        written?;
    }
    Ok(match ended? {
        true => {
            tell(format_args!("nines: interrupted after {} of {}", report.results.len(), plan.cases.len()));
            EXIT_INTERRUPTED.into()
        }
        false if report.verdict == Verdict::Held => ExitCode::SUCCESS,
        false => EXIT_BAD.into(),
    })
}

async fn play_all(
    rehearsal: &mut Rehearsal<LabStage>,
    plan: &Plan,
    predictor: &predicted::Predictor,
    progress: &Progress,
    results: &mut Vec<CaseReport>,
) -> anyhow::Result<()> {
    rehearsal.bring_up(&mut |glance: &sequence::Glance<'_>| progress.show(None, glance)).await?;
    for case in plan.playing_order() {
        let mut watch = |glance: &sequence::Glance<'_>| progress.show(Some(case), glance);
        let mut report = rehearsal.play(case, &mut watch).await?;
        predictor.compare(case, &mut report);
        progress.ended(&report);
        results.push(report);
    }
    Ok(())
}

/// Ctrl-C, or being asked to end in another way.
async fn interruption() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
        _ = hang_up.recv() => (),
    }
    Ok(())
}

fn print(report: &Report, as_json: bool) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    if as_json {
        writeln!(out, "{}", json::pretty(report)?)?;
    } else {
        for line in table::lines(report, terminal::width()) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
