//! `nines simulate FILE`: years of failures by the thousand, reproducible by their seed.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use nines_availability::assumptions::{Assumptions, Case};
use nines_availability::bounds::Interval;
use nines_availability::model::Model;
use nines_availability::service::Service;
use nines_availability::simulation::{Answer, Block, Cause, Simulation};
use serde_json::{Value, json};

use super::super::audit::read;
use super::{Args, on_all_cores};
use crate::EXIT_BAD;
use crate::terminal::{BOLD, Cell, DIM, PLAIN, line, table, thousands, width};

/// Causes that are shown.
const CAUSES: usize = 12;
/// With fewer outages the mean's bounds, which take its error for normal, say too much.
const FEW: f64 = 30.0;

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
        let one = |(name, of): &(String, &Cause)| {
            json!({
                "cause": name, "in_part": of.in_part,
                "outages_per_year": of.outages_per_year, "minutes_per_year": of.minutes_per_year,
            })
        };
        value["causes"] = causes.iter().map(one).collect::<Vec<Value>>().into();
        writeln!(out, "{value:#}")?;
    } else {
        for line in text(&service, &answer, &causes) {
            writeln!(out, "{line}")?;
        }
    }
    let kept = answer.mean.likely <= service.objective.minutes_per_year();
    Ok(if kept { ExitCode::SUCCESS } else { EXIT_BAD.into() })
}

/// Each in words.
fn causes<'a>(service: &Service, model: &Model, answer: &'a Answer) -> Vec<(String, &'a Cause)> {
    let name = |of: &Cause| {
        let names: Vec<String> =
            of.events.iter().map(|event| model.kinds[event.index()].label(service)).collect();
        match (names.as_slice(), of.in_part) {
            ([], _) => "others".to_owned(),
            (names, true) => format!("{}, with its part of the requests", names.join(" and ")),
            (names, false) => names.join(" and "),
        }
    };
    answer.causes.iter().map(|of| (name(of), of)).collect()
}

fn text(service: &Service, answer: &Answer, causes: &[(String, &Cause)]) -> Vec<String> {
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
            cells.push(Cell::new(bounds(answer), DIM));
        }
        cells
    };
    out.extend(table(&rows.into_iter().map(row).collect::<Vec<_>>(), width()));
    out.push(format!("{:.1} % of years have none", answer.spotless * 100.0));
    if answer.in_part > 0.0 {
        out.push(format!(
            "{:.1} of the mean are a part of the requests for a longer time, while the rest was answered",
            answer.in_part
        ));
    }
    if causes.is_empty() {
        return out;
    }
    out.push(String::new());
    out.push(line(&[Cell::new("What began the outages: outages and minutes a year", BOLD)], None));
    let rows = causes.iter().take(CAUSES).map(|(name, of)| {
        let outages = if of.in_part { String::new() } else { format!("{:.3}", of.outages_per_year) };
        vec![
            Cell::number(outages),
            Cell::number(format!("{:.2}", of.minutes_per_year)),
            Cell::new(name.clone(), PLAIN),
        ]
    });
    out.extend(table(&rows.collect::<Vec<_>>(), width()));
    out
}

/// How sure the mean is. What hardly ever happened, or never, may yet cost much.
fn bounds(answer: &Answer) -> String {
    let Interval { low, high, .. } = answer.mean;
    let outages = (answer.outages_per_year * answer.years as f64).round();
    if answer.mean.likely == 0.0 {
        return format!("no outage: fewer than {:.2} a year (95 %)", answer.outages.high);
    }
    // What is lost in part is seen far more often than outages are.
    let by_outages = answer.in_part < 0.5 * answer.mean.likely;
    let few = match outages {
        _ if outages >= FEW || !by_outages => String::new(),
        1.0 => "; only 1 outage, so hardly sure".to_owned(),
        _ => format!("; only {outages} outages, so hardly sure"),
    };
    format!("between {low:.1} and {high:.1} (95 %{few})")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A single load balancer's host, and what it leads to on the same host.
    fn told(years: u32, failures: &str) -> Vec<String> {
        let text = format!(
            "name = \"t\"\nhosts = {{ a = \"10.0.0.1\" }}\n\
             [load_balancers.front]\nhosts = [\"a\"]\nlisteners = [{{ bind = \":80\", pool = \"web\" }}]\n\
             [pools.web]\nmembers = [\"a:1\"]\n\
             [assumptions]\n{failures}\n"
        );
        let system = nines_system::parse("t", &text).unwrap();
        let service = Service::of(&system, &BTreeMap::new());
        let model = Model::of(&service, &Assumptions::of(&system), Case::Likely);
        let blocks = Simulation::new(model.plant()).run(1, years);
        let answer = Answer::of(blocks, service.objective);
        super::text(&service, &answer, &causes(&service, &model, &answer))
    }

    #[test]
    fn few_outages_make_a_mean_unsure_only_where_it_is_made_of_them() {
        let told = |outages_per_year: f64, in_part: f64| {
            let text = include_str!("../../../../../examples/pair.toml");
            let system = nines_system::parse("pair.toml", text).unwrap();
            let service = Service::of(&system, &BTreeMap::new());
            let model = Model::of(&service, &Assumptions::of(&system), Case::Likely);
            let answer = Answer::of(Simulation::new(model.plant()).run(1, 10), service.objective);
            let mean = Interval { low: 600.0, likely: 630.0, high: 660.0 };
            bounds(&Answer { years: 10, outages_per_year, in_part, mean, ..answer })
        };
        assert!(told(0.3, 0.0).contains("only 3 outages, so hardly sure"));
        assert!(told(0.1, 0.0).contains("only 1 outage, so hardly sure"));
        assert_eq!(told(0.1, 629.0), "between 600.0 and 660.0 (95 %)");
    }

    #[test]
    fn years_in_which_nothing_happened_prove_no_more_than_that() {
        let rare = ["host", "zone", "change"].map(|of| format!("{of} = {{ every = \"30000d\" }}\n")).concat();
        let mean = |lines: &[String]| lines.iter().find(|line| line.starts_with("mean")).unwrap().clone();
        let none = told(2, &rare);
        // Three in two years: with more of them 19 of 20 would have had one.
        assert!(mean(&none).contains("no outage: fewer than 1.84 a year (95 %)"), "{none:#?}");
        assert!(none.iter().all(|line| !line.contains("What began")), "{none:#?}");
        let few = told(100, &rare);
        assert!(mean(&few).contains("only 1 outage, so hardly sure"), "{few:#?}");
        let many = told(2000, "");
        assert!(mean(&many).contains("(95 %)") && !mean(&many).contains("sure"), "{many:#?}");
    }
}
