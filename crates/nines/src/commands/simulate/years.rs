//! `nines simulate FILE`: years of failures by the thousand, reproducible by their seed.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use nines_availability::assumptions::{Assumptions, Case};
use nines_availability::model::Model;
use nines_availability::service::Service;
use nines_availability::simulation::{Answer, Block, Simulation};
use serde_json::{Value, json};

use super::super::audit::read;
use super::{Args, on_all_cores};
use crate::EXIT_BAD;
use crate::terminal::{BOLD, Cell, DIM, PLAIN, line, table, thousands, width};

/// Causes that are shown.
const CAUSES: usize = 12;

pub(super) fn run(args: &Args, file: &Path) -> anyhow::Result<ExitCode> {
    let (system, service) = match read(file, &args.needs) {
        Ok(read) => read,
        Err(code) => return Ok(code),
    };
    let mut assumptions = Assumptions::of(&system);
    assumptions.crew = args.crew.or(assumptions.crew);
    let model = Model::of(&service, &assumptions, Case::Likely);
    let simulation = Simulation::new(model.plant());
    let parts: Vec<(u64, u32)> = Simulation::blocks(args.years).collect();
    let blocks: Vec<Block> = on_all_cores(parts.len(), |at| {
        let (number, years) = parts[at];
        simulation.block(args.seed, number, years)
    });
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
    let kept = answer.mean.likely <= service.objective.minutes_per_year();
    Ok(if kept { ExitCode::SUCCESS } else { EXIT_BAD.into() })
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
            "{}: {} over {}, {:.2} outages a year",
            service.name,
            answer.availability().percent(1),
            if answer.years == 1 {
                "1 year".to_owned()
            } else {
                format!("{} years", thousands(answer.years as u64))
            },
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
    let mut rows = vec![("mean", answer.mean.likely)];
    // The worst of more years than there are is not known.
    let of = [("median", 2, answer.median), ("worst of 10", 10, answer.worst_of_10)];
    let more = [("worst of 20", 20, answer.worst_of_20), ("worst of 100", 100, answer.worst_of_100)];
    let known = of.into_iter().chain(more).filter(|(_, years, _)| answer.years >= *years);
    rows.extend(known.map(|(what, _, minutes)| (what, minutes)));
    rows.extend([("worst of all", answer.worst), ("the promise allows", objective.minutes_per_year())]);
    let row = |(what, minutes): (&str, f64)| {
        let mut cells = vec![Cell::new(what, PLAIN), Cell::number(format!("{minutes:.1}"))];
        if what == "mean" && answer.years > 1 {
            let bounds = format!("between {:.1} and {:.1} (95 %)", answer.mean.low, answer.mean.high);
            cells.push(Cell::new(bounds, DIM));
        }
        cells
    };
    out.extend(table(&rows.into_iter().map(row).collect::<Vec<_>>(), width()));
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
