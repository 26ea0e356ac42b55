//! `cargo xtask bench vip`: keepalived with HAProxy, and nines, through the same faults in one run.
//!
//! What clients of the virtual address see of each fault is measured from the client's side. All of it happens in namespaces of
//! this program's own, which end with it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::json;

use self::contender::{CONTENDERS, Contender, Place};
use self::fault::FAULTS;
use self::report::{Cell, Row};
use super::{first_line, machine, namespace, nines_binary};
use crate::setup::{self, For};
use crate::shell;

mod contender;
mod fault;
mod network;
mod probe;
mod report;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which faults; all of them if none is named
    #[arg(value_parser = FAULTS.each_ref().map(|fault| fault.name))]
    faults: Vec<String>,
    /// How often each contender goes through each fault, in turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
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

/// Prepares all that needs the world outside, then goes on in namespaces of its own.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::prepare(For::Bench)?;
    let nines = nines_binary(args.nines.as_deref())?;
    let dir = directory();
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;

    let mut inside = namespace::inside("vip-inside")?;
    inside.args(["--rounds", &args.rounds.to_string(), "--nines"]).arg(nines);
    if args.json {
        inside.arg("--json");
    }
    for contender in &args.contender {
        inside.args(["--contender", contender]);
    }
    inside.args(&args.faults);
    shell::run(&mut inside)
}

/// The measurement itself.
pub(crate) fn inside(args: &Args) -> Result<()> {
    namespace::private_run()?;
    let place = Place { dir: directory(), nines: args.nines.clone().context("which nines?")? };
    let versions = versions(&place);
    if !args.json {
        println!("{}\n", versions.join("\n"));
    }
    let chosen = |name: &str, wanted: &[String]| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let (contenders, unable): (Vec<Contender>, Vec<Contender>) = CONTENDERS
        .iter()
        .filter(|contender| chosen(contender.name, &args.contender))
        .partition(|contender| contender.is_able());
    for contender in unable {
        eprintln!("bench: {contender} is left out: its scripts need root");
    }
    if contenders.is_empty() {
        bail!("nothing is left to measure");
    }
    let mut rows: Vec<Row> = (FAULTS.iter().filter(|fault| chosen(fault.name, &args.faults)))
        .map(|&fault| {
            let cell = |&contender: &Contender| Cell { contender, rounds: Vec::new() };
            Row { fault, cells: contenders.iter().map(cell).collect() }
        })
        .collect();
    for round in 0..args.rounds {
        for row in &mut rows {
            measure(row, round, &place);
        }
    }
    if args.json {
        let faults = report::json(&rows);
        println!(
            "{:#}",
            json!({ "version": 1, "machine": versions, "rounds": args.rounds, "faults": faults })
        );
    } else {
        println!("{}", report::table(&rows));
    }
    Ok(())
}

pub(crate) fn client() -> Result<()> {
    probe::run()
}

/// Every contender once. One that can't be measured is told of and has no figure.
fn measure(row: &mut Row, round: u32, place: &Place) {
    let count = row.cells.len();
    for turn in 0..count {
        // Each round begins with another one, so that none is always after the same.
        let cell = &mut row.cells[(turn + round as usize) % count];
        let name = format!("{}, round {}, {}", row.fault.name, round + 1, cell.contender);
        match row.fault.put(cell.contender, round, place) {
            Ok(seen) => {
                eprintln!("bench: {name}: {:.0} ms", seen["new"]["gap_ms"].as_f64().unwrap_or_default());
                cell.rounds.push(seen);
            }
            Err(error) => eprintln!("bench: {name}: {error:#}"),
        }
    }
}

/// Configurations and logs, under the target directory.
fn directory() -> PathBuf {
    shell::target().join("bench-vip")
}

/// What runs here, one line each.
fn versions(place: &Place) -> Vec<String> {
    vec![
        machine(),
        first_line("keepalived", &["--version"]),
        first_line("haproxy", &["-v"]),
        first_line(&place.nines.to_string_lossy(), &["--version"]),
    ]
}
