//! `nines simulate`: years of failures by the thousand, reproducible by their seed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use nines_availability::assumptions::{Assumptions, Case};
use nines_availability::model::Model;
use nines_availability::service::Service;
use nines_availability::simulation::{Answer, Block, Simulation};
use serde_json::{Value, json};

use super::audit::read;
use crate::terminal::{BOLD, Cell, PLAIN, line, table, width};

/// Causes that are shown.
const CAUSES: usize = 12;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The system file
    file: PathBuf,
    /// Years to simulate
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    years: u32,
    /// The same seed gives the same years, on however many cores
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many failed hosts are repaired at one time; otherwise as many as there are
    #[arg(long)]
    crew: Option<usize>,
    /// How many members a pool takes to carry its peak, `web=2`; otherwise one is taken for enough
    #[arg(long, value_name = "POOL=MEMBERS", value_parser = super::audit::needs)]
    needs: Vec<(String, usize)>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (_, service) = match read(&args.file, &args.needs) {
        Ok(read) => read,
        Err(code) => return Ok(code),
    };
    let assumptions = Assumptions { crew: args.crew, ..Assumptions::default() };
    let model = Model::of(&service, &assumptions, Case::Likely);
    let blocks = on_all_cores(&Simulation::new(model.plant()), args.seed, args.years);
    let answer = Answer::of(blocks, service.objective);
    let causes = causes(&service, &model, &answer);
    let mut out = anstream::stdout().lock();
    if args.json {
        let mut value = serde_json::to_value(&answer)?;
        value["seed"] = args.seed.into();
        value["causes"] = causes.iter().map(|(cause, outages, minutes)| {
            json!({ "cause": cause, "outages_per_year": outages, "minutes_per_year": minutes })
        }).collect::<Vec<Value>>().into();
        writeln!(out, "{value:#}")?;
    } else {
        for line in text(&service, &answer, &causes) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn on_all_cores(simulation: &Simulation, seed: u64, years: u32) -> Vec<Block> {
    let blocks: Vec<(u64, u32)> = Simulation::blocks(years).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(&(number, years)) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(simulation.block(seed, number, years));
        }
        done
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(blocks.len().max(1));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..cores).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for thread in threads {
            match thread.join() {
                Ok(mut done) => all.append(&mut done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// In words, with outages and minutes a year.
fn causes(service: &Service, model: &Model, answer: &Answer) -> Vec<(String, f64, f64)> {
    let name = |events: &[nines_availability::structure::EventId]| {
        let names: Vec<String> =
            events.iter().map(|event| model.kinds[event.index()].label(service)).collect();
        if names.is_empty() { "others".to_owned() } else { names.join(" and ") }
    };
    let causes = answer.causes.iter();
    causes.map(|of| (name(&of.events), of.outages_per_year, of.minutes_per_year)).collect()
}

fn text(service: &Service, answer: &Answer, causes: &[(String, f64, f64)]) -> Vec<String> {
    let objective = service.objective;
    let mut out = vec![
        format!(
            "{}: {} over {} years, {:.2} outages a year",
            service.name,
            answer.availability().percent(1),
            answer.years,
            answer.outages_per_year
        ),
        format!(
            "{:.1} % of years keep {}, between {:.1} % and {:.1} %",
            answer.kept.likely * 100.0,
            objective.as_stated(),
            answer.kept.low * 100.0,
            answer.kept.high * 100.0
        ),
        String::new(),
        line(&[Cell::new("Minutes of downtime in a year", BOLD)], None),
    ];
    let rows = [
        ("mean", answer.mean.likely),
        ("median", answer.median),
        ("worst of 10", answer.worst_of_10),
        ("worst of 20", answer.worst_of_20),
        ("worst of 100", answer.worst_of_100),
        ("worst of all", answer.worst),
        ("the promise allows", objective.minutes_per_year()),
    ];
    let row =
        |(what, minutes): (&str, f64)| vec![Cell::new(what, PLAIN), Cell::number(format!("{minutes:.1}"))];
    out.extend(table(&rows.map(row), width()));
    out.push(format!("{:.1} % of years have none", answer.spotless * 100.0));
    out.push(String::new());
    out.push(line(&[Cell::new("What began the outages: outages and minutes a year", BOLD)], None));
    let rows = causes.iter().take(CAUSES).map(|(cause, outages, minutes)| {
        vec![
            Cell::number(format!("{outages:.3}")),
            Cell::number(format!("{minutes:.2}")),
            Cell::new(cause.clone(), PLAIN),
        ]
    });
    out.extend(table(&rows.collect::<Vec<_>>(), width()));
    out
}
