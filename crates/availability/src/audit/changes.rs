//! What could be changed, and the minutes a year that it buys: each change is made, and everything worked out again.

mod growth;
mod parts;
mod surroundings;
mod ways_out;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Options, is_fatal, places};
use crate::assumptions::{Assumptions, Case};
use crate::bounds::Interval;
use crate::model::{Kind, Model};
use crate::nines::MINUTES_PER_YEAR;
use crate::service::Service;
use crate::structure::{Analysis, Limits};
use ways_out::Part;
pub(super) use ways_out::{Effort, NoWay, way_out};

/// Changes that are tried.
const MOST: usize = 24;
/// Single points of failure that no single change removes, and for which several are looked for.
const TOGETHER: usize = 8;
/// Ways out of pairs whose minutes are worked out.
const WORKED_OUT: usize = 12;
/// Combinations of failed zones: the differences between services need fewer than the figure itself.
const SCENARIOS: usize = 300;
/// What a host of a virtual address has to be on.
const NETWORK: &str = " (on the same network)";
/// What rehearsing until it works is taken to reach.
const REHEARSED: f64 = 0.99;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub text: String,
    /// Minutes of downtime a year that it takes away; less than nothing if it adds some.
    pub saves: Option<f64>,
    /// Single points of failure that are none afterwards.
    pub removes: Vec<String>,
    /// Single points of failure that are new afterwards.
    pub adds: Vec<String>,
    /// How many machines more it takes.
    pub hosts: usize,
    /// How many changes it is, which only together remove what they remove.
    pub steps: usize,
}

/// What makes the service bear that two things are gone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remedy {
    pub text: String,
    /// How many machines more it takes.
    pub hosts: usize,
    /// Minutes of downtime a year that it takes away. `None`: not worked out.
    pub saves: Option<f64>,
}

/// A service, or what is assumed of it, with one thing changed.
pub(super) struct Candidate {
    pub(super) text: String,
    pub(super) service: Service,
    steps: usize,
    assumptions: Option<Assumptions>,
}

impl Candidate {
    fn new(text: String, service: Service) -> Self {
        Self { text, service, steps: 1, assumptions: None }
    }
}

type Add<'a> = &'a mut dyn FnMut(String, Service);

/// The change with the fewest new machines that takes this single point of failure away and makes no other; of these the one with
/// the fewest steps, and that saves most.
pub(super) fn remedy(changes: &[Change], component: &str) -> Option<String> {
    let removing = changes
        .iter()
        .filter(|change| change.adds.is_empty() && change.removes.iter().any(|removed| removed == component));
    let best = removing.min_by(|a, b| {
        let saved = |change: &Change| change.saves.unwrap_or(0.0);
        (a.hosts, a.steps).cmp(&(b.hosts, b.steps)).then(saved(b).total_cmp(&saved(a)))
    });
    best.map(|change| change.text.clone())
}

/// A service as it is, for changes to be compared with.
pub(super) struct Trial<'a> {
    service: &'a Service,
    options: &'a Options,
    single: &'a [Kind],
    limits: Limits,
    now: Option<f64>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        service: &'a Service,
        options: &'a Options,
        (model, analysis): (&Model, Option<&Analysis>),
        single: &'a [Kind],
    ) -> Self {
        let limits = Limits { scenarios: options.limits.scenarios.min(SCENARIOS), ..options.limits };
        let mut trial = Self { service, options, single, limits, now: None };
        trial.now = analysis.map(|analysis| trial.minutes(analysis, model));
        trial
    }

    fn minutes(&self, analysis: &Analysis, model: &Model) -> f64 {
        model.unavailability_within(self.limits.scenarios, analysis).likely * MINUTES_PER_YEAR
    }

    fn change(&self, candidate: Candidate) -> Option<Change> {
        let assumptions = candidate.assumptions.as_ref().unwrap_or(&self.options.assumptions);
        let model = Model::of(&candidate.service, assumptions, Case::Likely);
        let after = model.analyse(self.limits).ok().map(|analysis| self.minutes(&analysis, &model))?;
        let removed = self.single.iter().filter(|kind| !is_fatal(&model, kind));
        let mut removes: Vec<String> = removed.map(|kind| kind.label(self.service)).collect();
        let mut adds = Vec::new();
        if !removes.is_empty() {
            let new = places(&model).into_iter().filter(|kind| !self.single.contains(kind));
            adds.extend(new.map(|kind| kind.label(&candidate.service)));
            // One half of what was shared is as fatal as the whole was.
            removes.retain(|removed| !adds.contains(removed));
        }
        Some(Change {
            text: candidate.text,
            saves: self.now.map(|now| now - after),
            removes,
            adds,
            hosts: candidate.service.hosts.len() - self.service.hosts.len(),
            steps: candidate.steps,
        })
    }

    /// What saves most comes first; what neither saves anything nor removes a single point of failure is left out. And how many
    /// were not tried.
    pub(super) fn changes(&self) -> (Vec<Change>, usize) {
        // What takes no machines comes first: of many changes only some are tried.
        let mut candidates = habits(self.service, self.options);
        candidates.extend(structural(self.service));
        let not_tried = candidates.len().saturating_sub(MOST);
        let tried = candidates.into_iter().take(MOST).filter_map(|candidate| self.change(candidate));
        let helps =
            |change: &Change| !change.removes.is_empty() || change.saves.is_some_and(|saves| saves > 0.01);
        let mut changes: Vec<Change> = tried.filter(helps).collect();
        let without = |kind: &&Kind| remedy(&changes, &kind.label(self.service)).is_none();
        let without: Vec<&Kind> = self.single.iter().filter(without).collect();
        let mut not_tried = not_tried + without.len().saturating_sub(TOGETHER);
        for kind in without.into_iter().take(TOGETHER) {
            match way_out(self.service, std::slice::from_ref(kind), false, &mut Effort::default()) {
                // What was found for another one may do; if it does not, it is not the cheapest for this one.
                Ok(found) if changes.iter().any(|change| change.text == found.text) => {}
                Ok(found) => changes.extend(self.change(found).filter(helps)),
                Err(NoWay::None) => {}
                Err(NoWay::GaveUp) => not_tried += 1,
            }
        }
        changes.sort_by(|a, b| b.saves.unwrap_or(0.0).total_cmp(&a.saves.unwrap_or(0.0)));
        (changes, not_tried)
    }

    /// For each of these pairs what would make the service bear it, or why there is nothing. The effort is bounded, for each pair
    /// and for all of them.
    pub(super) fn remedies(&self, pairs: &[[Kind; 2]]) -> Vec<Result<Remedy, NoWay>> {
        let mut for_all = Effort::FOR_ALL;
        let mut known: BTreeMap<String, Option<f64>> = BTreeMap::new();
        let mut all = Vec::new();
        for pair in pairs {
            let mut effort = for_all.a_part();
            let found = way_out(self.service, pair, true, &mut effort);
            for_all.less(&effort);
            all.push(found.map(|candidate| {
                let hosts = candidate.service.hosts.len() - self.service.hosts.len();
                let text = candidate.text.clone();
                let saves = match known.get(&text) {
                    Some(saves) => *saves,
                    None if known.len() >= WORKED_OUT => None,
                    None => {
                        let saves = self.change(candidate).and_then(|change| change.saves);
                        known.insert(text.clone(), saves);
                        saves
                    }
                };
                Remedy { text, hosts, saves }
            }));
        }
        all
    }
}

/// Changes of what there is.
fn structural(service: &Service) -> Vec<Candidate> {
    let mut all = Vec::new();
    for part in Part::all(service) {
        part.changes(service, &[], &mut |text, service| all.push(Candidate::new(text, service)));
    }
    all
}

/// What is not in the file but in how it is run.
fn habits(service: &Service, options: &Options) -> Vec<Candidate> {
    let mut all = Vec::new();
    let assumed = options.assumptions.coverage.value;
    if assumed.likely < REHEARSED {
        let unknown = |name: &&String| !options.assumptions.rehearsed.contains_key(*name);
        let entries =
            service.entries.iter().filter(|entry| entry.addresses.iter().any(|of| of.hosts.len() > 1));
        let databases = service.databases.iter().filter(|database| database.can_fail_over());
        let names = entries.map(|entry| &entry.name).chain(databases.map(|database| &database.name));
        let names: Vec<&String> = names.filter(unknown).collect();
        if !names.is_empty() {
            let mut assumptions = options.assumptions.clone();
            assumptions.coverage.value = Interval { likely: REHEARSED, ..assumed };
            let list: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let text = format!("failovers of {} rehearsed until 99 of 100 come about", list.join(" and "));
            all.push(Candidate { assumptions: Some(assumptions), ..Candidate::new(text, service.clone()) });
        }
    }
    let mut assumptions = options.assumptions.clone();
    let rate = &mut assumptions.change.per_year.value;
    *rate = rate.map(|rate| rate / 10.0);
    let text = "changes go to a part first, so that nine of ten that break something break little".to_owned();
    all.push(Candidate { assumptions: Some(assumptions), ..Candidate::new(text, service.clone()) });
    all
}
