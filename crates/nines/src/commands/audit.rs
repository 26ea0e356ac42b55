//! `nines audit`: what happens if a component fails, for every component, and how many nines can be expected.

mod capacity;
mod components;
mod times;
mod with;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nines_availability::audit::{Audit, ComponentKind, Options, Prediction, Severity};
use nines_availability::service::Service;
use nines_system::System;

use crate::rehearsed::{self, memory};
use crate::terminal::{self, BAD, BOLD, Cell, DIM, GOOD, PLAIN, UNSURE, line, table, tell, width};
use crate::{EXIT_BAD, EXIT_FILE, EXIT_USAGE};

use with::Rehearsals;

/// Pairs that are shown; more are in the JSON.
const PAIRS: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The system file
    file: PathBuf,
    /// How many members a pool takes to carry its peak, `web=2`, whatever the file says of it
    #[arg(long, value_name = "POOL=MEMBERS", value_parser = needs)]
    needs: Vec<(String, usize)>,
    /// A single point of failure that is accepted besides those of the file, and why: `"zone a=there is no second one yet"`
    #[arg(long, value_name = "COMPONENT=REASON", value_parser = accepted)]
    accept: Vec<(String, String)>,
    /// What `nines rehearse --json` printed takes the place of what is assumed of failovers; `last`: what was rehearsed last
    /// here. May be given several times
    #[arg(long, value_name = "FILE|last")]
    with: Vec<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn needs(text: &str) -> Result<(String, usize), String> {
    let (pool, members) = text.split_once('=').ok_or("like `web=2`")?;
    let members = members.trim().parse().map_err(|_| format!("`{members}` is not a number of members"))?;
    Ok((pool.trim().to_owned(), members))
}

fn accepted(text: &str) -> Result<(String, String), String> {
    let (component, reason) = text.split_once('=').ok_or("like `zone a=why`")?;
    match reason.trim() {
        "" => Err("a reason, so that others know".to_owned()),
        reason => Ok((component.trim().to_owned(), reason.to_owned())),
    }
}

/// Reads a file for a command that can't do without it; what is wrong is told.
pub(super) fn read(file: &Path, needs: &[(String, usize)]) -> Result<(System, Service), ExitCode> {
    read_with_text(file, needs).map(|(system, service, _)| (system, service))
}

pub(super) fn read_with_text(
    file: &Path,
    needs: &[(String, usize)],
) -> Result<(System, Service, String), ExitCode> {
    let path = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        tell(format_args!("nines: can't read {path}: {error}"));
        ExitCode::from(EXIT_FILE)
    })?;
    let system = nines_system::parse(&path, &text).map_err(|mistakes| {
        super::tell_all(&mistakes);
        ExitCode::from(EXIT_FILE)
    })?;
    let needs: BTreeMap<String, usize> = needs.iter().cloned().collect();
    if let Some(unknown) = needs.keys().find(|name| system.pools.iter().all(|pool| &pool.name != *name)) {
        tell(format_args!("nines: there is no pool {unknown}"));
        return Err(ExitCode::from(EXIT_USAGE));
    }
    let service = Service::of(&system, &needs);
    Ok((system, service, text))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (system, service, text_of_file) = match read_with_text(&args.file, &args.needs) {
        Ok(read) => read,
        Err(code) => return Ok(code),
    };
    let mut options = Options::of(&system);
    options.acknowledged.extend(args.accept.iter().cloned());
    let rehearsals = if args.with.is_empty() {
        if let Some(at) = memory::newest(&system.name) {
            let day = terminal::day(at);
            tell(format_args!(
                "nines: {} was rehearsed on {day}: `--with last` puts that in the place of what is assumed",
                system.name
            ));
        }
        None
    } else {
        let fingerprint = rehearsed::fingerprint(&text_of_file);
        let subject = rehearsed::Subject { system: &system, service: &service, fingerprint };
        match rehearsed::read(&args.with, &subject) {
            Ok(evidence) => Some(Rehearsals::new(&service, &mut options, evidence)),
            Err(unusable) => {
                tell(format_args!("nines: {unusable}"));
                return Ok(EXIT_USAGE.into());
            }
        }
    };
    let audit = Audit::of(&service, &options);
    let mut out = anstream::stdout().lock();
    if args.json {
        let mut value = serde_json::to_value(&audit)?;
        if let Some(rehearsals) = &rehearsals {
            value["rehearsals"] = serde_json::to_value(rehearsals)?;
        }
        writeln!(out, "{value:#}")?;
    } else {
        for line in text(&service, &audit, rehearsals.as_ref()) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(if audit.is_good() { ExitCode::SUCCESS } else { EXIT_BAD.into() })
}

fn text(service: &Service, audit: &Audit, rehearsals: Option<&Rehearsals>) -> Vec<String> {
    let width = width();
    let mut out = Vec::new();
    match &audit.prediction {
        Some(of) => predicted(audit, of, width, &mut out),
        None => out.push(format!("{}: no prediction", audit.name)),
    }
    if let Some(rehearsals) = rehearsals {
        heading("What was rehearsed, in the place of what is assumed", &mut out);
        out.extend(rehearsals.lines(audit, width));
    }
    components::section(service, audit, width, &mut out);
    times::section(audit, width, &mut out);
    capacity::section(audit, width, &mut out);
    together(audit, &mut out);
    let accepted =
        audit.single_points.iter().filter_map(|of| Some((&of.component, of.acknowledged.as_ref()?)));
    let accepted: Vec<String> = accepted.map(|(component, why)| format!("{component}: {why}")).collect();
    if !accepted.is_empty() {
        heading("Fatal alone, and accepted", &mut out);
        out.extend(accepted);
    }
    if !audit.findings.is_empty() {
        heading("Findings", &mut out);
        for finding in &audit.findings {
            let style = match finding.severity {
                Severity::Critical => BAD,
                Severity::Warning => UNSURE,
                Severity::Note => DIM,
            };
            let cells = [
                Cell::new(finding.code, style),
                Cell::new(format!("  {}: {}", finding.place, finding.text), PLAIN),
            ];
            out.push(line(&cells, None));
            out.push(format!("    {}", finding.suggestion));
        }
    }
    if !audit.changes.is_empty() {
        heading("What a change buys, in minutes a year", &mut out);
        let rows = audit.changes.iter().map(|change| {
            let saves = change.saves.map_or_else(|| "?".to_owned(), |saves| format!("{:.1}", -saves));
            let hosts = machines(change.hosts).map_or_else(String::new, |text| format!(" ({text})"));
            let adds = match change.adds.as_slice() {
                [] => String::new(),
                adds => format!("; but then {} would be fatal alone", adds.join(" and ")),
            };
            vec![Cell::number(saves), Cell::new(format!("{}{hosts}{adds}", change.text), PLAIN)]
        });
        out.extend(table(&rows.collect::<Vec<_>>(), width));
    }
    out
}

/// Pairs that are fatal, by what it takes to bear them: much of it is the same for several.
fn together(audit: &Audit, out: &mut Vec<String>) {
    let Some(count) = audit.pair_count.filter(|&count| count > 0.0) else { return };
    heading("Fatal together, and what it takes to bear that", out);
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for pair in audit.pairs.iter().take(PAIRS) {
        let text = match &pair.remedy {
            Some(of) => {
                let saves = of.saves.map(|saves| format!("{:.1} min/year", -saves));
                let cost = saves.into_iter().chain(machines(of.hosts)).collect::<Vec<_>>().join(", ");
                if cost.is_empty() { of.text.clone() } else { format!("{} ({cost})", of.text) }
            }
            None if pair.sought => "nothing was found".to_owned(),
            None => "not looked for to the end".to_owned(),
        };
        let name = format!("    {} and {}", pair.components[0], pair.components[1]);
        match groups.iter_mut().find(|(of, _)| *of == text) {
            Some((_, pairs)) => pairs.push(name),
            None => groups.push((text, vec![name])),
        }
    }
    for (text, pairs) in groups {
        out.push(line(&[Cell::new(text, DIM)], None));
        out.extend(pairs);
    }
    match count as usize - audit.pairs.len().min(PAIRS) {
        0 => {}
        1 => out.push("and 1 more pair".to_owned()),
        more => out.push(format!("and {more} more pairs")),
    }
}

/// How many more there must be.
fn machines(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 more machine".to_owned()),
        more => Some(format!("{more} more machines")),
    }
}

pub(super) fn heading(text: &str, out: &mut Vec<String>) {
    out.push(String::new());
    out.push(line(&[Cell::new(text, BOLD)], None));
}

fn predicted(audit: &Audit, of: &Prediction, width: Option<usize>, out: &mut Vec<String>) {
    let [worst, likely, best] = of.availability;
    let style = if of.certain {
        GOOD
    } else if of.reachable {
        UNSURE
    } else {
        BAD
    };
    out.push(line(
        &[
            Cell::new(format!("{}: ", audit.name), PLAIN),
            Cell::new(format!("{} predicted", likely.percent(1)), style),
            Cell::new(
                format!(
                    ", between {} and {}; promised {}",
                    worst.percent(1),
                    best.percent(1),
                    audit.objective.as_stated()
                ),
                PLAIN,
            ),
        ],
        None,
    ));
    out.push(format!(
        "{:.1} minutes of downtime a year, between {:.1} and {:.1}; the promise allows {:.1}",
        of.minutes_per_year.likely, of.minutes_per_year.low, of.minutes_per_year.high, of.objective_minutes
    ));
    let figures = if audit.assumptions.are_stated() {
        "Figures for failures and repairs that the file doesn't state are defaults, not observations: docs/availability.md"
    } else {
        "Figures for failures and repairs are defaults, not observations: docs/availability.md"
    };
    out.push(figures.to_owned());
    if of.contributions.is_empty() {
        return;
    }
    heading("What takes most, in minutes a year", out);
    let rows = of.contributions.iter().map(|of| {
        vec![Cell::number(format!("{:.1}", of.minutes_per_year)), Cell::new(of.cause.clone(), PLAIN)]
    });
    out.extend(table(&rows.collect::<Vec<_>>(), width));
}

pub(super) fn kind(of: ComponentKind) -> &'static str {
    match of {
        ComponentKind::Region => "region",
        ComponentKind::Zone => "zone",
        ComponentKind::Host => "host",
        ComponentKind::LoadBalancer | ComponentKind::Keeper => "nines",
        ComponentKind::Address => "address",
        ComponentKind::Member => "member",
        ComponentKind::Instance => "instance",
        ComponentKind::Coordination => "coordination",
        ComponentKind::Shared => "shared",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_and_accepted_is_read() {
        assert_eq!(needs("web=2"), Ok(("web".to_owned(), 2)));
        assert!(needs("web").is_err() && needs("web=some").is_err());
        assert_eq!(accepted("zone a=no other"), Ok(("zone a".to_owned(), "no other".to_owned())));
        assert!(accepted("zone a").is_err() && accepted("zone a= ").is_err());
    }
}
