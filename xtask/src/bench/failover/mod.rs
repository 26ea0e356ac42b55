//! `cargo xtask bench failover`: Patroni over etcd, and nines, through the same faults of a database's primary in one run.
//!
//! What writers see of each fault is measured from the client's side. All of it happens in namespaces of this program's own, which end with it.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::json;

use self::contender::{CONTENDERS, Contender, Place, RUN, USER};
use self::fault::{FAULTS, World};
use self::report::Cell;
use super::{first_line, machine, namespace, nines_binary};
use crate::setup::{self, For};
use crate::shell;

mod contender;
mod etcd;
mod fault;
mod network;
mod nines;
mod patroni;
mod report;
pub(crate) mod writers;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each contender goes through each fault, in turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only this fault; may be given several times
    #[arg(long, value_name = "FAULT", value_parser = FAULTS.each_ref().map(|fault| fault.name))]
    only: Vec<String>,
    /// Only this contender; may be given several times
    #[arg(long, value_name = "NAME", value_parser = CONTENDERS.each_ref().map(|contender| contender.name))]
    contender: Vec<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    nines: Option<PathBuf>,
}

impl Args {
    fn contenders(&self) -> Vec<Contender> {
        let wanted = |name| self.contender.is_empty() || self.contender.iter().any(|one| one == name);
        CONTENDERS.iter().filter(|contender| wanted(contender.name)).copied().collect()
    }

    fn has_nines(&self) -> bool {
        self.contenders().iter().any(|contender| contender.kind == contender::Kind::Nines)
    }
}

/// Prepares all that needs the world outside, then goes on in namespaces of its own.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !setup::is_root() {
        bail!("PostgreSQL and Patroni run as a user of their own, so this benchmark needs root");
    }
    setup::prepare(For::Bench)?;
    let dir = directory();
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;

    let mut inside = namespace::inside("failover-inside")?;
    inside.args(["--rounds", &args.rounds.to_string()]);
    if args.has_nines() {
        inside.arg("--nines").arg(nines_binary(args.nines.as_deref())?);
    }
    if args.json {
        inside.arg("--json");
    }
    for (option, values) in [("--contender", &args.contender), ("--only", &args.only)] {
        for value in values {
            inside.args([option, value]);
        }
    }
    shell::run(&mut inside)
}

/// The measurement itself.
pub(crate) fn inside(args: &Args) -> Result<ExitCode> {
    if namespace::is_first() {
        namespace::private_run()?;
        namespace::also(&directory(), Path::new(RUN))?;
        return namespace::be_first();
    }
    let place = place(args)?;
    let versions = versions(args, &place);
    if !args.json {
        println!("{}\n", versions.join("\n"));
    }
    let faults =
        FAULTS.iter().filter(|fault| args.only.is_empty() || args.only.iter().any(|o| o == fault.name));
    let contenders = args.contenders();
    let mut cells: Vec<Cell> = faults
        .flat_map(|&fault| {
            let cell = move |&contender: &Contender| Cell {
                fault,
                contender,
                rounds: Vec::new(),
                failed: Vec::new(),
            };
            contenders.iter().map(cell).collect::<Vec<_>>()
        })
        .collect();
    for round in 0..args.rounds {
        for turn in 0..contenders.len() {
            // Each round begins with another one, so that none is always after the same.
            let contender = contenders[(turn + round as usize) % contenders.len()];
            measure(contender, &mut cells, round, &place);
        }
    }
    if args.json {
        let cells: Vec<_> = cells.iter().map(Cell::json).collect();
        println!("{:#}", json!({ "version": 1, "machine": versions, "rounds": args.rounds, "cases": cells }));
    } else {
        println!("{}", report::table(&cells));
        for contender in &contenders {
            println!("{contender}: {}", contender.about);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One contender through all faults, one after the other; anew after a fault from which it did not recover whole. What can't be measured is told of and
/// has no figure.
fn measure(contender: Contender, cells: &mut [Cell], round: u32, place: &Place) {
    let mut world = None;
    for cell in cells.iter_mut().filter(|cell| cell.contender == contender) {
        let name = format!("round {}, {contender}, {}", round + 1, cell.fault.name);
        let seen = match world.take() {
            Some(world) => Ok(world),
            None => World::new(contender, place),
        }
        .and_then(|mut known: World<'_>| {
            let seen = known.put(cell.fault, round)?;
            // Who lost rows may have hosts that differ and don't know it.
            if !seen["back_ms"].is_null() && seen["found"]["lost"] == 0 {
                world = Some(known);
            }
            Ok(seen)
        });
        match seen {
            Ok(seen) => {
                eprintln!(
                    "bench: {name}: {:.0} ms, {} errors, {} lost, back after {} ms",
                    seen["gap_ms"].as_f64().unwrap_or_default(),
                    seen["failed"],
                    seen["found"]["lost"],
                    seen["back_ms"].as_f64().map_or("?".into(), |ms| format!("{ms:.0}")),
                );
                cell.rounds.push(seen);
            }
            Err(error) => {
                eprintln!("bench: {name}: {error:#}");
                cell.failed.push(format!("{error:#}"));
            }
        }
    }
}

fn place(args: &Args) -> Result<Place> {
    let place = Place {
        nines: args.nines.clone().unwrap_or_default(),
        programs: programs()?,
        owner: (number("-u")?, number("-g")?),
    };
    chown(RUN, Some(place.owner.0), Some(place.owner.1))?;
    Ok(place)
}

/// Of the newest PostgreSQL that Debian has installed here.
pub(crate) fn programs() -> Result<PathBuf> {
    let versions =
        fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed as Debian does")?;
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .context("no version of PostgreSQL is installed")?;
    Ok(format!("/usr/lib/postgresql/{newest}/bin").into())
}

fn number(which: &str) -> Result<u32> {
    let output = Command::new("id").args([which, USER]).output().context("cannot start id")?;
    String::from_utf8_lossy(&output.stdout).trim().parse().with_context(|| format!("there is no user {USER}"))
}

/// Configurations, data and logs, under the target directory.
fn directory() -> PathBuf {
    shell::target().join("bench-failover")
}

/// What runs here, one line each.
fn versions(args: &Args, place: &Place) -> Vec<String> {
    let mut versions = vec![
        machine(),
        first_line(&place.programs.join("postgres").to_string_lossy(), &["--version"]),
        first_line("etcd", &["--version"]),
        first_line("patroni", &["--version"]),
        first_line("haproxy", &["-v"]),
    ];
    if args.has_nines() {
        versions.push(first_line(&place.nines.to_string_lossy(), &["--version"]));
    }
    versions
}
