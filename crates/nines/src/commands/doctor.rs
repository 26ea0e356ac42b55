//! `nines doctor`: what this host lacks to do its part, and what to do about it.

mod databases;
mod facts;
mod greeting;
mod judge;
mod machine;
mod meeting;
mod place;
mod ports;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anstyle::Style;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::admin_socket;
use crate::daemon::part::{Part, PartError};
use crate::terminal::{self, BAD, BOLD, Cell, DIM, GOOD, PLAIN, UNSURE, tell};
use crate::{EXIT_BAD, EXIT_FILE, EXIT_USAGE};
use facts::{Daemon, Facts, Place};
use judge::{Finding, Judgement, Level};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The system file. Without it, what can be said of the machine alone
    #[arg(requires = "host")]
    file: Option<PathBuf>,
    /// Which host of the system this is
    #[arg(long, value_name = "NAME", requires = "file")]
    host: Option<String>,
    /// How long to listen on the links of virtual addresses. Default: four of the longest advertisement intervals, and 2 s
    /// at least
    #[arg(long, value_name = "N", requires = "file", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// The daemon's Unix socket, where `nines run` was given another than the default
    #[arg(long, value_name = "PATH", requires = "file")]
    admin_socket: Option<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let part = match args.file.as_ref().zip(args.host.as_ref()) {
        Some((file, host)) => match Part::of_any_host(file, host) {
            Ok(part) => Some(part),
            Err(error) => return Ok(refuse(&error)),
        },
        None => None,
    };
    let place = part.map(|part| super::runtime()?.block_on(look(args, &part))).transpose()?;
    let daemon = match place.as_ref().map(|place| &place.daemon) {
        Some(Daemon::Runs { pid }) => Some(*pid),
        Some(Daemon::Silent(_)) | None => None,
    };
    let facts = Facts { machine: machine::look(daemon), place };
    let judgement = judge::judge(&facts);
    let wrong = judgement.findings.iter().any(|finding| finding.level == Level::Wrong);
    if args.json {
        print_json(&facts, &judgement)?;
    } else {
        print(&judgement.findings)?;
    }
    Ok(if wrong { EXIT_BAD.into() } else { ExitCode::SUCCESS })
}

fn refuse(error: &PartError) -> ExitCode {
    match error {
        PartError::Wrong(mistakes) => super::tell_all(mistakes),
        other => tell(format_args!("nines: {other}")),
    }
    ExitCode::from(match error {
        PartError::Wrong(_) | PartError::Unreadable(..) => EXIT_FILE,
        PartError::UnknownHost { .. } | PartError::NothingToDo { .. } => EXIT_USAGE,
    })
}

async fn look(args: &Args, part: &Part) -> anyhow::Result<Place> {
    let name = &part.system[part.host].name;
    let socket = args.admin_socket.clone().unwrap_or_else(|| admin_socket::of(name));
    let mut place = place::look(part, &socket).await?;
    let time = args.seconds.map_or_else(|| wire::default_time(&place.routers), Duration::from_secs);
    let progress = progress(&place, time);
    let tick =
        |passed: Duration| progress.set_position(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
    wire::listen(&mut place, time, number_of_run(), tick).await;
    progress.finish_and_clear();
    Ok(place)
}

/// Hidden where stderr is no terminal.
fn progress(place: &Place, time: Duration) -> ProgressBar {
    let mut links: Vec<&str> =
        place.routers.iter().filter_map(|it| Some(it.link.as_ref().ok()?.interface.name.as_str())).collect();
    links.sort_unstable();
    links.dedup();
    let style =
        ProgressStyle::with_template("{msg} {bar:30} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let length = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    ProgressBar::new(length).with_style(style).with_message(format!("listening on {}", links.join(", ")))
}

/// Different from that of any other doctor that runs now: the time that it started at, and its process.
fn number_of_run() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs() << 32) ^ u64::from(now.subsec_nanos()) ^ (u64::from(std::process::id()) << 30)
}

fn print_json(facts: &Facts, judgement: &Judgement) -> anyhow::Result<()> {
    let place = facts.place.as_ref();
    let answer = json!({
        "version": 1,
        "system": place.map(|place| &place.system),
        "host": place.map(|place| &place.host),
        "findings": judgement.findings,
        "peers": judgement.peers,
    });
    Ok(writeln!(std::io::stdout(), "{answer:#}")?)
}

/// Shape says what colour says.
fn mark(level: Level) -> (&'static str, &'static str, Style) {
    match level {
        Level::Ok => ("✓", "ok", GOOD),
        Level::Note => ("·", "note", PLAIN),
        Level::Warning => ("!", "warning", UNSURE),
        Level::Wrong => ("✗", "wrong", BAD),
    }
}

/// One line each, and beneath it what to do.
fn print(findings: &[Finding]) -> anyhow::Result<()> {
    let rows: Vec<Vec<Cell>> = findings
        .iter()
        .map(|finding| {
            let (mark, word, style) = mark(finding.level);
            vec![
                Cell::new(format!("{mark} {word}"), style),
                Cell::new(&finding.about, BOLD),
                Cell::new(&finding.what, PLAIN),
            ]
        })
        .collect();
    let mut out = anstream::stdout().lock();
    // Sentences are not cut: a terminal wraps them.
    for (line, finding) in terminal::table(&rows, None).into_iter().zip(findings) {
        writeln!(out, "{line}")?;
        if let Some(advice) = &finding.advice {
            writeln!(out, "{}", terminal::line(&[Cell::new(format!("    → {advice}"), DIM)], None))?;
        }
    }
    writeln!(out, "{}", summary(findings))?;
    Ok(())
}

fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let warnings = match count(Level::Warning) {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        n => format!("{n} warnings"),
    };
    match count(Level::Wrong) {
        0 => format!("nothing is wrong, {warnings}"),
        1 => format!("1 thing is wrong, {warnings}"),
        n => format!("{n} things are wrong, {warnings}"),
    }
}
