//! What happens if this one component fails: everything that the model and simulated years know of it.

mod subject;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::assumptions::Case;
use crate::audit::{Audit, Change, ComponentKind, Consequence, Options};
use crate::forecast::{Asked, Blow, Forecast, Harm, Hit, Loss};
use crate::model::{Kind, Model};
use crate::nines::{HOURS_PER_YEAR, MINUTES_PER_YEAR};
use crate::service::Service;
use crate::simulation::{Block, Simulation};
use crate::structure::{Analysis, EventId};

pub use subject::{Listed, Subject, Unknown};

/// Components that are named among those that are fatal together with it.
const MOST: usize = 50;
/// Sets of what is fatal together that are looked through for what a group has in them.
const SETS: usize = 20_000;

/// By the model.
#[derive(Debug, Clone, Serialize)]
pub struct WhatIf {
    /// `host db1`, `zone a`, `load balancer front`.
    pub component: String,
    /// Whether it is one host, zone, region or shared thing, and no group of hosts.
    pub is_place: bool,
    /// The host that it runs on: the model knows hosts, and not the programs there.
    pub runs_on: Option<String>,
    /// Whether it is in the model at all.
    pub is_modelled: bool,
    /// What clients do without until it is repaired.
    pub lost: Vec<String>,
    /// Whether that takes the service down.
    pub fatal: bool,
    /// Other components: with one of them gone as well, the service is down. Fifty at most, of so many.
    pub fatal_with: Vec<String>,
    pub fatal_with_count: usize,
    /// What it costs clients in each way of failing.
    pub ways: Vec<Way>,
    /// The rows of an audit about it, and about what is on it.
    pub consequences: Vec<Consequence>,
    /// Whether it takes a person to end what clients lose.
    pub person: bool,
    pub failures_per_year: Option<f64>,
    pub repair_hours: Option<f64>,
    /// `None`: too entangled.
    pub account: Option<Account>,
    pub given: Option<Given>,
    /// What would help.
    pub changes: Vec<Change>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Way {
    pub how: &'static str,
    pub loss: &'static str,
    /// `None`: nothing, or until it is repaired.
    pub at_most_seconds: Option<f64>,
    /// Beside a gap: a part of what is asked fails for longer than that, for so many seconds at most.
    pub some_at_most_seconds: Option<f64>,
    pub because: String,
}

/// Minutes of downtime a year that go to its account.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// What would go if it never failed.
    pub own: f64,
    /// Of the whole downtime.
    pub share: f64,
    /// The how-manieth of all that takes something it is.
    pub rank: usize,
    pub of: usize,
    /// Failovers that begin when it fails, or that are its own.
    pub failovers: Vec<Failovers>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Failovers {
    pub group: String,
    /// Minutes a year while another takes over, and while a person does what did not come about by itself.
    pub failing_over: f64,
    pub missed: f64,
}

/// If it is down now, for as long as a repair takes on average.
#[derive(Debug, Clone, Serialize)]
pub struct Given {
    pub hours: f64,
    /// The share of that time in which the service is down.
    pub down: f64,
    /// Minutes of downtime: until others have taken over (misses by their likelihood), of the requests that it takes along as long
    /// as nobody notices, and in all.
    pub taking_over: f64,
    pub in_part: f64,
    pub minutes: f64,
}

/// What simulated years had of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Begun {
    pub years: usize,
    pub seed: u64,
    /// Outages that it began: what failed last before the service was down. Of a group of hosts: in which it was lost.
    pub outages_per_year: f64,
    /// Of these outages, and of requests that it took along while the service was up.
    pub minutes_per_year: f64,
    /// Of these the latter, as such a part of them.
    pub in_part: f64,
    pub share_of_downtime: f64,
    /// The share of years with none of them, one, two, and more.
    pub years_with: [f64; 4],
    /// Minutes of them in the median year, and in the worst of ten, a hundred, and all.
    pub median: f64,
    pub worst_of_10: f64,
    pub worst_of_100: f64,
    pub worst: f64,
}

impl Way {
    /// Of what the model knows no ways of failing of.
    fn of_program(row: &Consequence) -> Self {
        let told = if row.takes_over.is_empty() { &row.impact } else { &row.takes_over };
        let is_member = row.component.kind == ComponentKind::Member;
        let (loss, at_most_seconds) = match (row.gap, row.part_fails) {
            _ if !row.lost.is_empty() || row.person => ("until-repaired", None),
            (_, Some(seconds)) => ("some", Some(seconds)),
            // Others answer meanwhile: what it had waits, and is asked elsewhere.
            (gap, None) if gap > 0.0 && !is_member => ("gap", Some(gap)),
            _ => ("nothing", None),
        };
        let some_at_most_seconds =
            row.part_fails.filter(|some| loss == "gap" && Some(*some) > at_most_seconds);
        Self { how: "fails", loss, at_most_seconds, some_at_most_seconds, because: told.join("; ") }
    }
}

impl WhatIf {
    pub fn of(service: &Service, options: &Options, audit: &Audit, subject: &Subject) -> Self {
        let model = Model::of(service, &options.assumptions, Case::Likely);
        let events = subject.events(service, &model);
        let consequences = subject.rows(service, audit);
        let lost: Vec<String> = match subject {
            Subject::Listed(_) => consequences.iter().flat_map(|row| row.lost.iter().cloned()).collect(),
            _ => model.lost(&events).into_iter().map(|of| of.name.clone()).collect(),
        };
        let is_listed = matches!(subject, Subject::Listed(_));
        let fatal = if is_listed { !lost.is_empty() } else { fails(&model, &events, None) };
        let fatal_with = if fatal { Vec::new() } else { fatal_with(service, &model, &events) };
        let ways = match subject {
            Subject::Listed(_) => consequences.iter().map(Way::of_program).collect(),
            _ => ways(service, options, subject),
        };
        let behaviour = subject.failure(service, &model).and_then(|event| model.behaviour(event));
        let life = behaviour.and_then(|behaviour| behaviour.life).map(|life| life.mean());
        let repair_hours = behaviour.map(|behaviour| behaviour.repair.mean());
        let analysis = model.analyse(options.limits).ok();
        Self {
            component: subject.label(service),
            is_place: matches!(
                subject,
                Subject::Region(_) | Subject::Zone(_) | Subject::Host(_) | Subject::Shared(_)
            ),
            runs_on: subject.runs_on(service).map(str::to_owned),
            is_modelled: subject.is_modelled(),
            person: !lost.is_empty() || consequences.iter().any(|row| row.person),
            lost,
            fatal,
            fatal_with_count: fatal_with.len(),
            fatal_with: fatal_with.into_iter().take(MOST).collect(),
            ways,
            consequences,
            failures_per_year: life.map(|life| HOURS_PER_YEAR / life),
            repair_hours,
            account: analysis.as_ref().filter(|_| subject.is_modelled()).map(|analysis| {
                let importance = analysis.importance(&model.q);
                let minutes = analysis.probability(&model.q).likely * MINUTES_PER_YEAR;
                let shares: Vec<f64> = importance.iter().map(|of| of.criticality).collect();
                let of_group = || of_group(service, &model, subject, analysis);
                let own = subject.is_group().then(of_group).flatten();
                let parts = model.by_partial_losses(analysis);
                account(service, &model, subject, (&shares, minutes), &parts, own)
            }),
            given: analysis.as_ref().zip(repair_hours).map(|(analysis, hours)| {
                let mut q = model.q.clone();
                events.iter().for_each(|event| q[event.index()] = 1.0);
                let down = analysis.probability(&q).likely;
                let taking_over = taking_over(service, options, &model, subject);
                let along = along(&model, &events, &model.by_partial_losses(analysis));
                let each = life.map_or(0.0, |life| along * (life + hours) * 60.0);
                let in_part = if subject.is_group() { 0.0 } else { each };
                Given {
                    hours,
                    down,
                    taking_over,
                    in_part,
                    minutes: taking_over + in_part + down * hours * 60.0,
                }
            }),
            changes: subject.helped_by(service, &audit.changes),
        }
    }
}

fn fails(model: &Model, events: &[EventId], other: Option<EventId>) -> bool {
    model.tree.fails(model.top, |event| events.contains(&event) || other == Some(event))
}

fn fatal_with(service: &Service, model: &Model, events: &[EventId]) -> Vec<String> {
    let places = model.kinds.iter().enumerate().filter(|(_, kind)| kind.is_place());
    let others = places.map(|(at, kind)| (EventId(at as u32), kind)).filter(|(at, _)| !events.contains(at));
    let fatal = others.filter(|(at, _)| !fails(model, &[], Some(*at)) && fails(model, events, Some(*at)));
    fatal.map(|(_, kind)| kind.label(service)).collect()
}

/// What it costs clients if all of it is silent, killed, or taken out on purpose.
fn ways(service: &Service, options: &Options, subject: &Subject) -> Vec<Way> {
    let harms = match subject {
        Subject::Coordination => vec![("lost", Harm::StoreGone)],
        _ => vec![
            ("without power or network", Harm::Silent),
            ("killed", Harm::Killed),
            ("drained or handed over", Harm::GivenAway),
        ],
    };
    let hosts = subject.hosts(service);
    let is_here = |host: &usize| hosts.contains(host);
    let mut asked: Vec<Asked> = Vec::new();
    let of_databases = |database: usize| service.databases[database].hosts.iter().any(is_here);
    for database in
        (0..service.databases.len()).filter(|&at| of_databases(at) || *subject == Subject::Coordination)
    {
        let first = service.databases[database].hosts.first().is_some_and(is_here);
        // The primary may be any of them, and with so many gone that decides whether anybody takes over.
        let gone = service.databases[database].hosts.iter().filter(|host| is_here(host)).count();
        let primary = match first {
            true => Hit::Yes,
            false if service.databases[database].may_lack_writes(gone) => Hit::Perhaps,
            false => Hit::No,
        };
        asked.push(Asked::Writes { database, primary });
    }
    if *subject != Subject::Coordination {
        let led_to = |pool: usize| {
            let mut entries = service.entries.iter().filter(|entry| entry.hosts.iter().any(is_here));
            entries.any(|entry| entry.serves.iter().any(|(_, of)| *of == pool))
        };
        let stands = |pool: usize| service.pools[pool].hosts().iter().any(is_here);
        let pools = (0..service.pools.len())
            .filter(|&pool| led_to(pool) || (service.pools[pool].reaches.is_none() && stands(pool)));
        asked.push(Asked::Pools { pools: pools.collect(), repeatable: true });
    }
    let way = |(how, harm): (&'static str, Harm)| {
        let blows = asked.iter().map(|asked| {
            let hosts = hosts.clone();
            Blow { hosts, harm, asked: asked.clone(), anyone_answers: false, by_name: true }
        });
        let blows: Vec<Blow> = blows.collect();
        let worst =
            Forecast::worst(blows.iter().map(|blow| Forecast::of(service, &options.assumptions, blow)))?;
        // A short gap of all that is asked is not all, where a part of it fails for longer.
        let each = blows.iter().flat_map(|blow| Forecast::each(service, &options.assumptions, blow));
        let some = Forecast::worst(each.filter(|of| match (of.loss, worst.loss) {
            (Loss::Some(some), Loss::Gap(gap)) => some > gap,
            _ => false,
        }));
        let (loss, at_most_seconds) = match worst.loss {
            Loss::Nothing => ("nothing", None),
            Loss::Some(seconds) => ("some", Some(seconds)),
            Loss::Gap(seconds) => ("gap", Some(seconds)),
            Loss::UntilRepaired(_) => ("until-repaired", None),
        };
        let some_at_most_seconds = some.as_ref().and_then(|of| match of.loss {
            Loss::Some(seconds) => Some(seconds),
            _ => None,
        });
        let because = std::iter::once(worst.how).chain(some.map(|of| of.how));
        let because = because.collect::<Vec<_>>().join("; ");
        Some(Way { how, loss, at_most_seconds, some_at_most_seconds, because })
    };
    harms.into_iter().filter_map(way).collect()
}

/// Minutes a year in which a group of hosts is lost or taken over: what is fatal alone or in twos, and is fatal by it.
fn of_group(service: &Service, model: &Model, subject: &Subject, analysis: &Analysis) -> Option<f64> {
    let sets = analysis.cut_sets(2).ok()?;
    let sets = (1..=2).flat_map(|size| sets.of_size(size, SETS));
    let by_it = sets.filter(|set| subject.is_lost(service, model, set));
    let share: f64 = by_it.map(|set| set.iter().map(|event| model.q[event.index()]).product::<f64>()).sum();
    Some(share * MINUTES_PER_YEAR)
}

/// `shares`: of the downtime, which is so many `minutes`, by event; `parts`: of the time, what is lost while the service is up;
/// `of_group`: minutes of a group of hosts.
fn account(
    service: &Service,
    model: &Model,
    subject: &Subject,
    (shares, minutes): (&[f64], f64),
    parts: &[(&Kind, f64)],
    of_group: Option<f64>,
) -> Account {
    let own: BTreeSet<EventId> = subject.own(service, model).into_iter().collect();
    let of_events = || own.iter().map(|event| shares[event.index()]).sum::<f64>();
    // What it takes along while the service is up counts as well.
    let events: Vec<EventId> = own.iter().copied().collect();
    let along = if takes_along(subject) { along(model, &events, parts) } else { 0.0 };
    let all = minutes + parts.iter().map(|(_, share)| share).sum::<f64>() * MINUTES_PER_YEAR;
    let of_downtime = of_group.unwrap_or_else(|| of_events() * minutes);
    let (own_minutes, all) = (of_downtime + along * MINUTES_PER_YEAR, all.max(f64::MIN_POSITIVE));
    let share = own_minutes / all;
    let taken_along = |at: usize| {
        let own = parts.iter().filter(|(kind, _)| **kind == model.kinds[at]);
        own.map(|(_, share)| share * MINUTES_PER_YEAR).sum::<f64>()
    };
    let others = (0..shares.len()).filter(|&at| !own.contains(&EventId(at as u32)));
    let mut above: Vec<f64> = others.map(|at| (shares[at] * minutes + taken_along(at)) / all).collect();
    above.retain(|other| *other > share);
    let of_kind = |kind: Kind| model.event(&kind).map_or(0.0, |event| shares[event.index()] * minutes);
    let failovers = subject.failovers(service, model).into_iter().map(|group| {
        let name = format!("{} ({})", group.component, group.what);
        Failovers {
            failing_over: of_kind(Kind::FailingOver(name.clone())),
            missed: of_kind(Kind::Missed(name.clone())),
            group: name,
        }
    });
    Account {
        own: own_minutes,
        share,
        rank: above.len() + 1,
        of: shares.iter().filter(|share| **share > 0.0).count().max(above.len() + 1),
        failovers: failovers.collect(),
    }
}

/// Whether it takes requests along while the service is up: of groups, only members of pools do.
fn takes_along(subject: &Subject) -> bool {
    !subject.is_group() || matches!(subject, Subject::Pool(_))
}

/// The share of time that clients lose by these events while the service is up.
fn along(model: &Model, events: &[EventId], parts: &[(&Kind, f64)]) -> f64 {
    let is_own = |kind: &Kind| events.iter().any(|event| model.kinds[event.index()] == *kind);
    parts.iter().filter(|(kind, _)| is_own(kind)).map(|(_, share)| share).sum()
}

/// Minutes until others have what it had, with misses by their likelihood: they happen at one time, so the longest counts.
fn taking_over(service: &Service, options: &Options, model: &Model, subject: &Subject) -> f64 {
    let hosts = subject.hosts(service);
    let begins = model.groups.iter().filter(|group| {
        *subject != Subject::Coordination
            && hosts.contains(&group.hosts[0])
            && group.hosts.iter().any(|host| !hosts.contains(host))
    });
    let minutes = begins.map(|group| {
        let coverage = options.assumptions.coverage(&group.component).value.likely;
        let hand = options.assumptions.by_hand.mean() * 60.0;
        coverage * (group.notice + group.takes_over) / 60.0 + (1.0 - coverage) * hand
    });
    minutes.fold(0.0, f64::max)
}

/// The years that [`Begun`] is made of: each begins with everything in order, and has random numbers of its own.
pub fn year(simulation: &Simulation, seed: u64, number: u64) -> Block {
    simulation.block(seed, number, 1)
}

impl Begun {
    pub fn of(service: &Service, model: &Model, subject: &Subject, years: &[Block], seed: u64) -> Self {
        let own = subject.own(service, model);
        let n = years.len().max(1) as f64;
        let sum = |sum: (u64, f64), of: &(u64, f64)| (sum.0 + of.0, sum.1 + of.1);
        // Its hosts may do other things as well: of a group only outages count in which it is what was lost.
        let mut lost: BTreeMap<&[EventId], bool> = BTreeMap::new();
        let begun = years.iter().map(|year| match subject.is_group() {
            true => {
                let by_it = year.causes.iter().filter(|(set, _)| {
                    *lost.entry(set).or_insert_with(|| subject.is_lost(service, model, set))
                });
                by_it.map(|(_, of)| of).fold((0, 0.0), sum)
            }
            false => own.iter().filter_map(|event| year.begun_by.get(event)).fold((0, 0.0), sum),
        });
        let takes_along = takes_along(subject);
        let in_part = |year: &Block| -> f64 {
            let parts = own.iter().filter(|_| takes_along).filter_map(|event| year.in_part.get(event));
            parts.fold(0.0, |sum, part| sum + part)
        };
        let begun: Vec<(u64, f64)> = begun
            .zip(years)
            .map(|((outages, minutes), year): ((u64, f64), _)| (outages, minutes + in_part(year)))
            .collect();
        let all: f64 = years.iter().flat_map(|year| &year.minutes).sum();
        let sum: f64 = begun.iter().map(|(_, minutes)| minutes).sum();
        let mut minutes: Vec<f64> = begun.iter().map(|(_, minutes)| *minutes).collect();
        minutes.sort_by(f64::total_cmp);
        // The smallest figure that at least this share of years does not exceed.
        let percentile = |share: f64| {
            let at = (share * n).ceil().max(1.0) as usize - 1;
            minutes.get(at.min(minutes.len().saturating_sub(1))).copied().unwrap_or(0.0)
        };
        let with = |count: std::ops::RangeInclusive<u64>| {
            begun.iter().filter(|(outages, _)| count.contains(outages)).count() as f64 / n
        };
        Self {
            years: years.len(),
            seed,
            outages_per_year: begun.iter().map(|(outages, _)| outages).sum::<u64>() as f64 / n,
            minutes_per_year: sum / n,
            in_part: years.iter().map(in_part).sum::<f64>() / n,
            share_of_downtime: if all > 0.0 { sum / all } else { 0.0 },
            years_with: [with(0..=0), with(1..=1), with(2..=2), with(3..=u64::MAX)],
            median: percentile(0.5),
            worst_of_10: percentile(0.9),
            worst_of_100: percentile(0.99),
            worst: minutes.last().copied().unwrap_or(0.0),
        }
    }
}

impl Subject {
    /// The rows of an audit about it, and about what is on it.
    fn rows(&self, service: &Service, audit: &Audit) -> Vec<Consequence> {
        let rows = audit.components.iter().filter(|row| self.is_told_of(service, row));
        rows.cloned().collect()
    }

    fn is_told_of(&self, service: &Service, row: &Consequence) -> bool {
        let (kind, name) = (row.component.kind, row.component.name.as_str());
        match self {
            Self::Region(of) => kind == ComponentKind::Region && name == of,
            Self::Zone(at) => kind == ComponentKind::Zone && name == service.zones[*at].name,
            Self::Host(at) => {
                let host = &service.hosts[*at].name;
                match kind {
                    ComponentKind::Host => name == host,
                    ComponentKind::LoadBalancer | ComponentKind::Instance | ComponentKind::Keeper => {
                        name.rsplit_once(" on ").is_some_and(|(_, on)| on == host)
                    }
                    ComponentKind::Member => name.split(':').next() == Some(host),
                    ComponentKind::Coordination => name.rsplit_once(':').is_some_and(|(on, _)| on == host),
                    _ => false,
                }
            }
            Self::Entry(at) => {
                let entry = name.rsplit_once(" on ").map(|(entry, _)| entry);
                let address = name.rsplit_once(" of ").map(|(_, entry)| entry);
                let of = match kind {
                    ComponentKind::LoadBalancer => entry,
                    ComponentKind::Address => address,
                    _ => None,
                };
                of == Some(service.entries[*at].name.as_str())
            }
            Self::Pool(at) => {
                let pool = name.rsplit_once(" of ").map(|(_, pool)| pool);
                kind == ComponentKind::Member && pool == Some(&service.pools[*at].name)
            }
            Self::Database(at) => {
                let database = name.rsplit_once(" on ").map(|(database, _)| database);
                matches!(kind, ComponentKind::Instance | ComponentKind::Keeper)
                    && database == Some(&service.databases[*at].name)
            }
            Self::Coordination => kind == ComponentKind::Coordination,
            Self::Shared(at) => kind == ComponentKind::Shared && name == service.shared[*at].name,
            Self::Listed(of) => kind == of.kind && name == of.row,
        }
    }
}

#[cfg(test)]
mod tests;
