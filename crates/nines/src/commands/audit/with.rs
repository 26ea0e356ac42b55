//! What was rehearsed, beside what is assumed: coverage with its bound, and the prediction before and after.

use nines_availability::assumptions::{Assumptions, Rehearsed};
use nines_availability::audit::{Audit, Options};
use nines_availability::bounds::{Interval, none_failed, tries_to_show};
use nines_availability::model::downtime;
use nines_availability::nines::{Availability, MINUTES_PER_YEAR};
use nines_availability::service::Service;
use serde::Serialize;

use crate::rehearsed::{Evidence, Source, failovers, late};
use crate::terminal::{self, Cell, DIM, PLAIN, UNSURE, line, table};

/// Bounds are one-sided at this confidence.
const CONFIDENCE: f64 = 0.95;
/// What rehearsals are asked to show, in the end.
const WANTED: f64 = 0.99;

/// As `--json` has it under `rehearsals`.
#[derive(Debug, Serialize)]
pub(super) struct Rehearsals {
    from: Vec<Source>,
    /// The coverage that is assumed where nothing was rehearsed.
    assumed: f64,
    failovers: Vec<Failovers>,
    /// Of those who take over from each other: nobody rehearsed these.
    not_rehearsed: Vec<String>,
    /// Cases in which acknowledged rows were lost, or what was observed differs from what is predicted.
    differences: Vec<String>,
    /// Minutes of downtime a year, as long as nothing was rehearsed; `None`: too entangled.
    before: Option<Interval>,
    after: Option<Interval>,
}

/// Of one load balancer or database.
#[derive(Debug, Serialize)]
struct Failovers {
    component: String,
    failovers: u64,
    missed: u64,
    /// Of the others: those that came about later than was promised.
    late: u64,
    /// Seconds: the longest gap of those that came about.
    seconds: Option<f64>,
    /// The share that comes about: at least, likely, at most.
    coverage: Interval,
    confidence: f64,
    /// How many more without a miss would show `wanted`.
    more: Option<u64>,
    wanted: f64,
}

impl Rehearsals {
    /// Puts what was rehearsed into the assumptions.
    pub(super) fn new(service: &Service, options: &mut Options, evidence: Evidence) -> Self {
        let minutes = |assumptions: &Assumptions| downtime(service, assumptions, options.limits).ok();
        let before = minutes(&options.assumptions);
        let mut assumptions = options.assumptions.clone();
        assumptions.rehearsed = failovers(service, &evidence.tried);
        let after = minutes(&assumptions);
        let entries =
            service.entries.iter().filter(|entry| entry.addresses.iter().any(|of| of.hosts.len() > 1));
        let databases = service.databases.iter().filter(|database| database.can_fail_over());
        let names = entries.map(|entry| &entry.name).chain(databases.map(|database| &database.name));
        let not_rehearsed = names.filter(|name| !assumptions.rehearsed.contains_key(*name)).cloned();
        let differences = evidence.tried.iter().filter_map(|tried| {
            let lost =
                tried.lost.filter(|lost| *lost > 0).map(|lost| format!("{lost} acknowledged rows lost"));
            let said = lost.or_else(|| tried.difference.clone())?;
            Some(format!("{}, {}: {said}", tried.label(), tried.fault))
        });
        let of = |(name, rehearsed): (&String, &Rehearsed)| {
            let late = late(service, &evidence.tried, name);
            Failovers::of(name, rehearsed, late, &assumptions)
        };
        let rehearsals = Self {
            failovers: assumptions.rehearsed.iter().map(of).collect(),
            not_rehearsed: not_rehearsed.collect(),
            differences: differences.collect(),
            from: evidence.from,
            assumed: assumptions.coverage.value.likely,
            before,
            after,
        };
        options.assumptions = assumptions;
        rehearsals
    }

    pub(super) fn lines(&self, audit: &Audit, width: Option<usize>) -> Vec<String> {
        let mut out = Vec::new();
        let warn = |text: String| line(&[Cell::new(text, UNSURE)], width);
        for source in &self.from {
            let incomplete = if source.complete == Some(false) { ", not complete" } else { "" };
            out.push(format!(
                "from {}: {} cases{incomplete}, {}, nines {}",
                source.name,
                source.cases,
                terminal::day(source.at),
                source.program
            ));
            if source.file_changed {
                out.push(warn("  the system file has changed since: rehearse again".to_owned()));
            }
        }
        for of in &self.failovers {
            out.push(of.line());
            if of.late > 0 {
                out.push(warn(format!(
                    "  {} of them later than promised: a busy machine does that, too",
                    of.late
                )));
            }
        }
        let unknown = self.not_rehearsed.iter();
        out.extend(
            unknown.map(|name| warn(format!("{name}: no failover was rehearsed; coverage is assumed"))),
        );
        out.extend(self.differences.iter().map(|difference| warn(format!("finding: {difference}"))));
        if let (Some(before), Some(after)) = (self.before, self.after) {
            out.push(String::new());
            out.extend(table(&before_and_after(audit, before, after), width));
        }
        out
    }
}

impl Failovers {
    fn of(name: &str, of: &Rehearsed, late: u64, assumptions: &Assumptions) -> Self {
        let needed = tries_to_show(WANTED, of.missed, CONFIDENCE);
        Self {
            component: name.to_owned(),
            failovers: of.failovers,
            missed: of.missed,
            late,
            seconds: of.seconds,
            // By these alone; the prediction goes by what was assumed besides.
            coverage: assumptions.shown(name).unwrap_or(assumptions.coverage.value),
            confidence: CONFIDENCE,
            more: needed.map(|needed| needed.saturating_sub(of.failovers)),
            wanted: WANTED,
        }
    }

    /// `front: 9 of 9 failovers came about: coverage at least 71 % (95 %)`.
    fn line(&self) -> String {
        let came = self.failovers - self.missed;
        // Rounded down: a bound is a bound.
        let least = match self.missed {
            0 => 1.0 - none_failed(self.failovers, CONFIDENCE),
            _ => self.coverage.low,
        };
        let gap =
            self.seconds.map(|seconds| format!("; the longest took {seconds:.2} s")).unwrap_or_default();
        let more = match self.more {
            None | Some(0) => String::new(),
            Some(more) => format!("; {more} more without a miss would show {:.0} %", self.wanted * 100.0),
        };
        format!(
            "{}: {came} of {} failovers came about: coverage at least {:.0} % ({:.0} %){gap}{more}",
            self.component,
            self.failovers,
            (least * 100.0).floor(),
            CONFIDENCE * 100.0
        )
    }
}

fn before_and_after(audit: &Audit, before: Interval, after: Interval) -> Vec<Vec<Cell>> {
    let head = ["minutes of downtime a year", "assumed", "rehearsed"];
    let head = head.iter().enumerate().map(|(at, text)| match at {
        0 => Cell::new(*text, DIM),
        _ => Cell::number(*text).styled(DIM),
    });
    let mut rows = vec![head.collect::<Vec<_>>()];
    let row = |what: &str, before: String, after: String| {
        vec![Cell::new(what, PLAIN), Cell::number(before), Cell::number(after)]
    };
    let minutes = |minutes: f64| format!("{minutes:.1}");
    for (what, before, after) in [
        ("with every figure at its best", before.low, after.low),
        ("likely", before.likely, after.likely),
        ("with every figure at its worst", before.high, after.high),
    ] {
        rows.push(row(what, minutes(before), minutes(after)));
    }
    let available = |minutes: f64| Availability::from_unavailability(minutes / MINUTES_PER_YEAR).percent(1);
    rows.push(row("likely, as a share", available(before.likely), available(after.likely)));
    let allowed = minutes(audit.objective.minutes_per_year());
    rows.push(row("the promise allows", allowed.clone(), allowed));
    rows
}
