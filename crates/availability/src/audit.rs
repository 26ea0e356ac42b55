//! What happens if a component fails, for every component: from the file alone.

mod changes;
mod consequences;
mod findings;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::assumptions::{Assumptions, Case};
use crate::bounds::Interval;
use crate::forecast::fewer;
use crate::model::{Kind, Model};
use crate::nines::{Availability, MINUTES_PER_YEAR};
use crate::service::{Pool, Service};
use crate::structure::{Analysis, EventId, Limits, TooLarge};

use changes::NoWay;
pub use changes::{Change, Remedy};
pub use consequences::{Component, ComponentKind, Consequence};
pub use findings::{Finding, Severity};

/// Pairs that are listed; more are counted.
const PAIRS: usize = 5000;
/// Pairs for which a change is looked for.
const HELPED: usize = 100;
/// Rows of what takes most of the availability away.
const CONTRIBUTIONS: usize = 12;
const DAYS_30: f64 = 30.0 * 86_400.0;

/// Everything that is known of a service without running it.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    pub name: String,
    pub objective: Availability,
    pub prediction: Option<Prediction>,
    pub components: Vec<Consequence>,
    pub single_points: Vec<SinglePoint>,
    /// Components that are fatal together and not alone. No more than five thousand of them, [`Audit::pair_count`] in all.
    pub pairs: Vec<Pair>,
    /// `None`: too many, or too entangled, to be counted.
    pub pair_count: Option<f64>,
    pub time_budget: Vec<TimeBudget>,
    pub capacity: Vec<Capacity>,
    pub findings: Vec<Finding>,
    pub changes: Vec<Change>,
    /// How many more could have been tried.
    pub changes_not_tried: usize,
    pub assumptions: Assumptions,
}

#[derive(Debug, Clone, Serialize)]
pub struct Prediction {
    /// With every figure at its worst, likely and best.
    pub availability: [Availability; 3],
    pub minutes_per_year: Interval,
    pub objective_minutes: f64,
    /// Whether the likely one keeps the objective.
    pub reachable: bool,
    /// Whether even the worst one does.
    pub certain: bool,
    /// What takes most of it.
    pub contributions: Vec<Contribution>,
}

/// What would be gained if this never happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contribution {
    pub cause: String,
    pub minutes_per_year: f64,
    pub share: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinglePoint {
    pub component: String,
    pub lost: Vec<String>,
    /// Why it is accepted, as the owner says.
    pub acknowledged: Option<String>,
    /// The change that removes it and moves least.
    pub remedy: Option<String>,
}

/// Two components that are fatal together, and neither alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    pub components: [String; 2],
    /// The change that removes it and takes the fewest machines. `None`: none was found, or it was not looked for.
    pub remedy: Option<Remedy>,
    /// Whether that was looked for to the end. The effort is bounded.
    pub sought: bool,
}

/// How long clients wait in the worst case, from the configured intervals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeBudget {
    pub component: String,
    pub what: String,
    /// Seconds.
    pub notice: f64,
    pub take_over: f64,
    /// Where these come from.
    pub how: String,
    /// How many of these the objective allows in thirty days, if nothing else happens. `None`: they cost nothing.
    pub allowed_in_30_days: Option<f64>,
}

/// What remains of a pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Capacity {
    pub pool: String,
    pub members: usize,
    /// How many members it takes at the peak; with members of different weights the sum of these.
    pub needed: usize,
    /// Whether somebody said how many it takes.
    pub stated: bool,
    /// The share of what its members carry that is in use at the peak.
    pub runs_at: f64,
    /// After the worst member, the worst host and the worst zone.
    pub after: Vec<Remains>,
}

impl Capacity {
    /// What its members carry, in the measure of `needed`.
    pub fn worth(&self) -> usize {
        (self.needed as f64 / self.runs_at).round() as usize
    }
}

/// What a loss leaves of a pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remains {
    /// `host app1`.
    pub without: String,
    pub members: usize,
    /// How much of the peak they carry: less than 1 is too little.
    pub of_peak: f64,
    /// The most that the pool could be in use, for these to be enough.
    pub may_run_at: f64,
    pub enough: bool,
}

/// What an audit goes by besides the service itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub assumptions: Assumptions,
    pub limits: Limits,
    /// Single points of failure that are accepted, and why: by name, `host lb1`, `zone a`.
    pub acknowledged: BTreeMap<String, String>,
}

impl Options {
    /// What the file says of itself.
    pub fn of(system: &nines_system::System) -> Self {
        let accepted = system.accepted.iter().map(|of| (of.component.clone(), of.reason.clone()));
        Self { assumptions: Assumptions::of(system), acknowledged: accepted.collect(), ..Self::default() }
    }
}

impl Audit {
    pub fn of(service: &Service, options: &Options) -> Self {
        let model = Model::of(service, &options.assumptions, Case::Likely);
        let analysis = model.analyse(options.limits);
        let single = places(&model);
        let found = analysis.as_ref().ok().and_then(|of| pairs(&model, of).ok());
        let pair_count = found.as_ref().map(|(_, count)| *count);
        let pairs = found.map(|(pairs, _)| pairs).unwrap_or_default();
        let trial = changes::Trial::new(service, options, (&model, analysis.as_ref().ok()), &single);
        let (changes, changes_not_tried) = trial.changes();
        let remedies = trial.remedies(&pairs[..pairs.len().min(HELPED)]);
        let remedies = remedies.into_iter().chain(std::iter::repeat(Err(NoWay::GaveUp)));
        let pairs = pairs.iter().zip(remedies).map(|(pair, remedy)| {
            let components = pair.each_ref().map(|kind| kind.label(service));
            let sought = !matches!(remedy, Err(NoWay::GaveUp));
            Pair { components, remedy: remedy.ok(), sought }
        });
        let pairs: Vec<Pair> = pairs.collect();
        let single_points = single.iter().map(|kind| {
            let component = kind.label(service);
            let event = model.event(kind);
            SinglePoint {
                lost: event.map(|event| names(&model, &[event])).unwrap_or_default(),
                acknowledged: options.acknowledged.get(&component).cloned(),
                remedy: changes::remedy(&changes, &component),
                component,
            }
        });
        let single_points: Vec<SinglePoint> = single_points.collect();
        let prediction = analysis.as_ref().ok().and_then(|of| prediction(service, options, &model, of).ok());
        let time_budget = time_budget(service, &model);
        let capacity: Vec<Capacity> =
            service.pools.iter().filter_map(|pool| capacity(service, pool)).collect();
        let known = findings::Known {
            service,
            accepted: &options.acknowledged,
            single_points: &single_points,
            prediction: prediction.as_ref(),
            time_budget: &time_budget,
            capacity: &capacity,
        };
        let mut findings = findings::findings(&known);
        if analysis.is_err() || pair_count.is_none() {
            findings.push(findings::entangled());
        }
        findings.extend(analysis.as_ref().is_ok_and(Analysis::is_rounded).then(findings::rounded));
        let sought = pairs.iter().filter(|pair| pair.sought).count();
        findings.extend(pair_count.and_then(|count| findings::not_sought(count, sought)));
        findings.extend((changes_not_tried > 0).then(|| findings::not_tried(changes_not_tried)));
        Self {
            name: service.name.clone(),
            objective: service.objective,
            prediction,
            components: consequences::consequences(service, &model),
            single_points,
            pairs,
            pair_count,
            time_budget,
            capacity,
            findings,
            changes,
            changes_not_tried,
            assumptions: options.assumptions.clone(),
        }
    }

    /// Whether the objective is within reach and every single point of failure is accepted.
    pub fn is_good(&self) -> bool {
        self.prediction.as_ref().is_some_and(|prediction| prediction.reachable)
            && self.single_points.iter().all(|point| point.acknowledged.is_some())
    }
}

fn names(model: &Model, events: &[EventId]) -> Vec<String> {
    model.lost(events).into_iter().map(|function| function.name.clone()).collect()
}

/// Places that are fatal alone: each is tried, so that this is known however entangled the rest is.
fn places(model: &Model) -> Vec<Kind> {
    model.kinds.iter().filter(|kind| kind.is_place() && is_fatal(model, kind)).cloned().collect()
}

fn is_fatal(model: &Model, kind: &Kind) -> bool {
    model.event(kind).is_some_and(|event| model.tree.fails(model.top, |failed| failed == event))
}

/// Places that are fatal together: the first ones by name, and how many there are.
fn pairs(model: &Model, analysis: &Analysis) -> Result<(Vec<[Kind; 2]>, f64), TooLarge> {
    let sets = analysis.cut_sets(2)?.of_those(|event| model.kinds[event.index()].is_place())?;
    let mut pairs = sets.of_size(2, PAIRS);
    let mut count = sets.counts()[2];
    if analysis.is_rounded() {
        // Nothing that is fatal is missing, and what only nearly is must be told apart: where that can be done.
        let really = |set: &Vec<EventId>| model.tree.fails(model.top, |event| set.contains(&event));
        if count > pairs.len() as f64 || !sets.of_size(1, usize::MAX).iter().all(really) {
            return Err(TooLarge);
        }
        pairs.retain(really);
        count = pairs.len() as f64;
    }
    let listed = pairs.into_iter().map(|set| [0, 1].map(|at: usize| model.kinds[set[at].index()].clone()));
    Ok((listed.collect(), count))
}

fn prediction(
    service: &Service,
    options: &Options,
    model: &Model,
    analysis: &Analysis,
) -> Result<Prediction, TooLarge> {
    let at = |case| {
        // Only figures differ, not the structure: what was worked out serves for all of them.
        let of = Model::of(service, &options.assumptions, case);
        of.unavailability(analysis).map(|share| share * MINUTES_PER_YEAR)
    };
    let likely = model.unavailability(analysis);
    let minutes = Interval {
        low: at(Case::Best).low,
        likely: likely.likely * MINUTES_PER_YEAR,
        high: at(Case::Worst).high,
    };
    let objective_minutes = service.objective.minutes_per_year();
    let by_failures = analysis.probability(&model.q).likely * MINUTES_PER_YEAR;
    let mut causes: BTreeMap<String, f64> = BTreeMap::new();
    for (kind, importance) in model.kinds.iter().zip(analysis.importance(&model.q)) {
        *causes.entry(kind.label(service)).or_default() += importance.criticality * by_failures;
    }
    for (kind, share) in model.by_partial_losses(analysis) {
        *causes.entry(kind.label(service)).or_default() += share * MINUTES_PER_YEAR;
    }
    let away = model.by_maintenance(analysis).into_iter().map(|(_, share)| share).sum::<f64>();
    causes.insert("maintenance of hosts".to_owned(), away * MINUTES_PER_YEAR);
    let mut contributions: Vec<Contribution> = causes
        .into_iter()
        .map(|(cause, of)| Contribution { cause, minutes_per_year: of, share: of / minutes.likely })
        .filter(|of| of.share > 2e-3)
        .collect();
    // What differs by no more than the last bits is in the order of names.
    let rank = |of: &Contribution| -(of.share * 1e9).round();
    contributions.sort_by(|a, b| rank(a).total_cmp(&rank(b)).then_with(|| a.cause.cmp(&b.cause)));
    contributions.truncate(CONTRIBUTIONS);
    let availability = [minutes.high, minutes.likely, minutes.low]
        .map(|of| Availability::from_unavailability(of / MINUTES_PER_YEAR));
    Ok(Prediction {
        availability,
        minutes_per_year: minutes,
        objective_minutes,
        reachable: minutes.likely <= objective_minutes,
        certain: minutes.high <= objective_minutes,
        contributions,
    })
}

fn time_budget(service: &Service, model: &Model) -> Vec<TimeBudget> {
    let allowed = service.objective.unavailability() * DAYS_30;
    let mut rows: Vec<TimeBudget> = model
        .groups
        .iter()
        .map(|group| {
            let database = group.database.map(|at| &service.databases[at]);
            let how = match database {
                _ if group.measured => "rehearsed".to_owned(),
                Some(database) => format!(
                    "lease {:?} and 5 % for clocks, a heartbeat of {:?}, and a promotion as assumed",
                    database.lease, database.heartbeat
                ),
                None => "three intervals and the skew of the least preferred host, then an announcement"
                    .to_owned(),
            };
            let total = group.notice + group.takes_over;
            TimeBudget {
                component: group.component.clone(),
                what: format!("{} fails under {}", service.hosts[group.hosts[0]].name, group.what),
                notice: group.notice,
                take_over: group.takes_over,
                how,
                allowed_in_30_days: (total > 0.0).then(|| allowed / total),
            }
        })
        .collect();
    rows.extend(model.groups.iter().filter_map(|group| {
        let database = &service.databases[group.database?];
        let left = database.confirm.max(1);
        let gone = database.hosts.len().checked_sub(left)?;
        let (absent, how) = fewer(database, left, false)?;
        let total = group.notice + group.takes_over + absent;
        (left >= database.least() && !database.may_lack_writes(gone)).then(|| TimeBudget {
            component: group.component.clone(),
            what: format!("{gone} of its {} hosts fail, the primary among them", database.hosts.len()),
            notice: group.notice + absent,
            take_over: group.takes_over,
            how: format!("as when the primary fails; {how}"),
            allowed_in_30_days: Some(allowed / total),
        })
    }));
    for of in model.alternatives.iter().filter(|of| of.notice + of.ttl > 0.0) {
        rows.push(TimeBudget {
            component: service.names[of.name].name.clone(),
            what: format!("{} does not answer any more", service.entries[of.entries[0]].name),
            notice: of.notice,
            take_over: of.ttl,
            how: "until answers change, and until clients ask again".into(),
            allowed_in_30_days: Some(allowed / (of.notice + of.ttl)),
        });
    }
    for pool in service.pools.iter().filter(|pool| pool.reaches.is_none()) {
        let Some(notice) = pool.notice else { continue };
        // One of n members takes its share of requests along, if they can't be repeated.
        let share = if pool.tries > 1 { 0.0 } else { 1.0 / pool.members.len().max(1) as f64 };
        let cost = notice.as_secs_f64() * share;
        rows.push(TimeBudget {
            component: pool.name.clone(),
            what: "a member is silent".into(),
            notice: notice.as_secs_f64(),
            take_over: 0.0,
            how: match pool.failures {
                Some(failures) => format!("by checks; by traffic after {failures} failed requests in a row"),
                None => "by checks".into(),
            },
            allowed_in_30_days: (cost > 0.0).then(|| allowed / cost),
        });
    }
    rows
}

fn capacity(service: &Service, pool: &Pool) -> Option<Capacity> {
    if pool.reaches.is_some() || pool.members.is_empty() {
        return None;
    }
    let least = pool.load() as f64;
    let all = pool.carried(|_| true);
    let backups: usize =
        pool.members.iter().filter(|member| member.backup).map(|member| pool.counts(member)).sum();
    let stand_in = pool.backups_stand_in();
    let counts = |gone: &[usize], backup: bool| -> usize {
        let gone = gone.iter().map(|&at| &pool.members[at]).filter(|member| member.backup == backup);
        gone.map(|member| pool.counts(member)).sum()
    };
    // What is left after each of many losses, from what is lost alone: a pool may have a thousand members.
    let remains = |(without, gone): (String, Vec<usize>)| {
        let members = pool.members.len() - gone.len();
        let carried = all - counts(&gone, false);
        let enough = (carried >= pool.load() || stand_in && backups - counts(&gone, true) >= pool.load())
            && members >= pool.refuses_below;
        let carried = carried as f64;
        // Backups that take over are enough, or don't.
        let of_peak = if enough { (carried / least).max(1.0) } else { carried / least };
        Remains { without, members, of_peak, may_run_at: carried / all.max(1) as f64, enough }
    };
    let worst = |losses: Vec<(String, Vec<usize>)>| {
        losses
            .into_iter()
            .map(remains)
            .min_by(|a, b| a.enough.cmp(&b.enough).then(a.of_peak.total_cmp(&b.of_peak)))
    };
    let by = |place: &dyn Fn(usize) -> usize, name: &dyn Fn(usize) -> String| {
        let mut within: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, member) in pool.members.iter().enumerate() {
            within.entry(place(member.host)).or_default().push(at);
        }
        within.into_iter().map(|(of, gone)| (name(of), gone)).collect::<Vec<_>>()
    };
    let members = pool.members.iter().enumerate();
    let one = members.map(|(at, member)| (format!("member {}", member.name), vec![at])).collect();
    let host = by(&|host| host, &|host| format!("host {}", service.hosts[host].name));
    let zone = by(&|host| service.zone_of(host), &|zone| format!("zone {}", service.zones[zone].name));
    Some(Capacity {
        pool: pool.name.clone(),
        members: pool.members.len(),
        needed: pool.load(),
        stated: pool.stated,
        runs_at: least / all.max(1) as f64,
        after: [worst(one), worst(host), worst(zone)].into_iter().flatten().collect(),
    })
}

#[cfg(test)]
mod tests;
