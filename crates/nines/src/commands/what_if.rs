//! `nines what-if FILE NAME`: one component, and what is known of its failure by analysis, simulation, rehearsal and drill.

mod text;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use nines_availability::assumptions::Case;
use nines_availability::audit::{Audit, Options};
use nines_availability::model::Model;
use nines_availability::service::Service;
use nines_availability::simulation::{Block, Simulation};
use nines_availability::what_if::{Begun, Subject, Unknown, WhatIf, year};
use nines_rehearsal::Plan;
use nines_rehearsal::plan::Whom;
use serde_json::json;

use super::audit::{needs, read_with_text};
use super::simulate::on_all_cores;
use crate::EXIT_USAGE;
use crate::rehearsed::{self, Evidence, Tried, Unusable, failovers};
use crate::terminal::{tell, width};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The system file
    file: PathBuf,
    /// The component, as the file or the audit calls it: `db1`, `"zone a"`, `front`, `web`, `orders`, `coordination`, `sw1`,
    /// `app1:8080`
    name: String,
    /// How many members a pool takes to carry its peak, `web=2`, whatever the file says of it
    #[arg(long, value_name = "POOL=MEMBERS", value_parser = needs)]
    needs: Vec<(String, usize)>,
    /// What `nines rehearse --json` printed. Default: what was rehearsed last here. May be given several times
    #[arg(long, value_name = "FILE|last")]
    with: Vec<PathBuf>,
    /// Simulated years
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    years: u64,
    /// Which random numbers: the same seed gives the same years
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// The answers, side by side.
struct Answers {
    analysis: WhatIf,
    simulation: Begun,
    /// What was rehearsed of it, and where that is known from.
    rehearsed: Evidence,
    /// What `nines rehearse --only` calls it, or what hits it.
    only: Vec<String>,
    /// What `[accepted]` calls it, if that can accept it.
    accept_as: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (system, service, text_of_file) = match read_with_text(&args.file, &args.needs) {
        Ok(read) => read,
        Err(code) => return Ok(code),
    };
    let subject = match Subject::named(&service, &args.name) {
        Ok(subject) => subject,
        Err(unknown) => {
            tell(format_args!("nines: {}", no_such(&args.name, &unknown)));
            return Ok(EXIT_USAGE.into());
        }
    };
    let of_file = rehearsed::Subject {
        system: &system,
        service: &service,
        fingerprint: rehearsed::fingerprint(&text_of_file),
    };
    let evidence = match evidence(args, &of_file) {
        Ok(evidence) => evidence,
        Err(unusable) => {
            tell(format_args!("nines: {unusable}"));
            return Ok(EXIT_USAGE.into());
        }
    };
    let mut options = Options::of(&system);
    // What is only remembered is shown, and changes no figure.
    if !args.with.is_empty() {
        options.assumptions.rehearsed = failovers(&service, &evidence.tried);
    }
    let audit = Audit::of(&service, &options);
    let answers = Answers {
        analysis: WhatIf::of(&service, &options, &audit, &subject),
        simulation: simulate(args, &service, &options, &subject),
        rehearsed: about(&service, &subject, evidence),
        only: only(&Plan::of(&system), &service, &subject),
        accept_as: accept_as(&service, &subject),
    };
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", as_json(&answers))?;
    } else {
        for line in text::lines(&answers, width()) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn no_such(name: &str, unknown: &Unknown) -> String {
    match unknown {
        Unknown::Several(labels) => format!("{name} may be one of several things: {}", labels.join(", ")),
        Unknown::Nothing(names) => {
            let (_, short) = name.rsplit_once(' ').unwrap_or(("", name));
            match nines_system::nearest(short, names.iter().map(String::as_str)) {
                Some(near) => format!("there is no component {name}; did you mean {near}?"),
                None => format!("there is no component {name}; there are: {}", names.join(", ")),
            }
        }
    }
}

/// What was given, or else what is remembered, if anything.
fn evidence(args: &Args, subject: &rehearsed::Subject<'_>) -> Result<Evidence, Unusable> {
    if !args.with.is_empty() {
        return rehearsed::read(&args.with, subject);
    }
    match rehearsed::read(&["last".into()], subject) {
        Ok(evidence) => Ok(evidence),
        Err(Unusable::Nothing(..)) => Ok(Evidence::default()),
        // The other answers need no rehearsal.
        Err(unusable) => {
            tell(format_args!("nines: what was rehearsed is left out: {unusable}"));
            Ok(Evidence::default())
        }
    }
}

fn simulate(args: &Args, service: &Service, options: &Options, subject: &Subject) -> Begun {
    let model = Model::of(service, &options.assumptions, Case::Likely);
    let simulation = Simulation::new(model.plant());
    let years: Vec<Block> = on_all_cores(usize::try_from(args.years).unwrap_or(usize::MAX), |number| {
        year(&simulation, args.seed, number as u64)
    });
    Begun::of(service, &model, subject, &years, args.seed)
}

/// What rehearsals may call it, or the hosts that it is made of.
fn names(service: &Service, subject: &Subject) -> Vec<String> {
    match subject {
        Subject::Zone(_) | Subject::Region(_) => vec![subject.label(service)],
        Subject::Entry(at) => {
            service.entries[*at].hosts.iter().map(|&host| service.hosts[host].name.clone()).collect()
        }
        Subject::Pool(at) => {
            let pool = &service.pools[*at];
            let hosts = pool.hosts().into_iter().map(|host| service.hosts[host].name.clone());
            std::iter::once(pool.name.clone()).chain(hosts).collect()
        }
        Subject::Host(at) => vec![service.hosts[*at].name.clone()],
        Subject::Database(at) => vec![service.databases[*at].name.clone()],
        Subject::Coordination => vec!["coordination".to_owned()],
        Subject::Shared(_) => {
            subject.hosts(service).into_iter().map(|host| service.hosts[host].name.clone()).collect()
        }
        Subject::Listed(_) => subject.runs_on(service).into_iter().map(str::to_owned).collect(),
    }
}

/// What to give to `--only` to have it broken: its name, or the role that its host of a database plays at first.
fn only(plan: &Plan, service: &Service, subject: &Subject) -> Vec<String> {
    let names = names(service, subject);
    let called = |name: &&String| plan.cases.iter().any(|case| case.component.name == **name);
    let mut all: Vec<String> = names.iter().filter(called).cloned().collect();
    if matches!(subject, Subject::Pool(_)) {
        // As a whole, where it is broken so.
        all.truncate(1);
    }
    for case in plan.cases.iter().filter(|_| all.is_empty()) {
        let (component, first) = (&case.component, case.component.hosts.first());
        let plays = match component.whom {
            Whom::Primary => first.is_some_and(|host| names.contains(host)),
            Whom::Standby => component.hosts.iter().skip(1).any(|host| names.contains(host)),
            Whom::Each | Whom::Standbys | Whom::Leader => false,
        };
        if plays {
            all.push(component.label());
            break;
        }
    }
    all
}

fn accept_as(service: &Service, subject: &Subject) -> Option<String> {
    match (subject, subject.hosts(service).as_slice()) {
        (Subject::Host(_) | Subject::Zone(_) | Subject::Region(_) | Subject::Shared(_), _) => {
            Some(subject.label(service))
        }
        (_, [one]) => Some(Subject::Host(*one).label(service)),
        _ => None,
    }
}

/// Keeps what was done to this component, by its name or as one that played the role.
fn about(service: &Service, subject: &Subject, evidence: Evidence) -> Evidence {
    let names = names(service, subject);
    let is_about = |tried: &Tried| {
        let alone = matches!(subject, Subject::Host(_)) && !tried.together;
        let played = alone && tried.hosts.iter().any(|host| names.contains(host));
        names.contains(&tried.component) || (tried.role.is_some() && played)
    };
    let mut tried: Vec<Tried> = evidence.tried.into_iter().filter(is_about).collect();
    tried.sort_by_key(|tried| (tried.label(), tried.fault));
    Evidence { tried, from: evidence.from }
}

fn as_json(answers: &Answers) -> serde_json::Value {
    let rehearsed = &answers.rehearsed;
    let rehearsal =
        (!rehearsed.tried.is_empty()).then(|| json!({ "from": rehearsed.from, "cases": rehearsed.tried }));
    json!({
        "component": answers.analysis.component,
        "analysis": answers.analysis,
        "simulation": answers.simulation,
        "last_rehearsal": rehearsal,
        "last_drill": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_there_is_answered_with_the_nearest_or_all() {
        let names = Unknown::Nothing(["db1", "db2", "front", "a"].map(str::to_owned).to_vec());
        assert_eq!(no_such("frnt", &names), "there is no component frnt; did you mean front?");
        assert_eq!(no_such("host fornt", &names), "there is no component host fornt; did you mean front?");
        let all = no_such("something else", &names);
        assert_eq!(all, "there is no component something else; there are: db1, db2, front, a");
        let several = Unknown::Several(vec!["host a".into(), "zone a".into()]);
        assert_eq!(no_such("a", &several), "a may be one of several things: host a, zone a");
    }
}
