//! Hosts that are away on purpose: what that costs on average, and its schedule in simulated years.
//!
//! Maintenance is put off while another host of a group is gone, so it is no event like others: two hosts of a pair are never
//! away at one time, and when one goes everything else of its groups is there. Each maintenance is worked out by itself,
//! with nothing else in maintenance, from a beginning at which its groups are whole.

use super::{Builder, Kind, Model};
use crate::bounds::Interval;
use crate::distribution::Hours;
use crate::simulation;
use crate::structure::{Analysis, EventId, NodeId};

/// A host that is away now and then.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Maintained {
    event: EventId,
    /// Hours.
    every: f64,
    takes: f64,
    /// That somebody of one of its groups is gone.
    waits_for: Vec<NodeId>,
    /// There is nobody else: it takes the service down.
    fatal: bool,
}

impl Maintained {
    pub(super) fn schedule(&self) -> simulation::Maintenance {
        simulation::Maintenance {
            event: self.event,
            every: Hours::Fixed(self.every),
            takes: Hours::Fixed(self.takes),
            waits_for: self.waits_for.clone(),
            even_if_down: self.fatal,
        }
    }
}

impl Model {
    /// The share of time in which the service is down.
    pub fn unavailability(&self, analysis: &Analysis) -> Interval {
        self.add_others(analysis, analysis.probability(&self.q))
    }

    /// The same from at most so many combinations of what parts share.
    pub(crate) fn unavailability_within(&self, scenarios: usize, analysis: &Analysis) -> Interval {
        self.add_others(analysis, analysis.probability_within(scenarios, &self.q))
    }

    fn add_others(&self, analysis: &Analysis, down: Interval) -> Interval {
        let more: f64 = self.by_maintenance(analysis).iter().map(|(_, share)| share).sum();
        let partial: f64 = self.by_partial_losses(analysis).iter().map(|(_, share)| share).sum();
        down.map(|share| (share + more + partial).min(1.0))
    }

    /// The share of time that the maintenance of each host adds.
    pub(crate) fn by_maintenance(&self, analysis: &Analysis) -> Vec<(&Kind, f64)> {
        let mut lengths: Vec<f64> = self.maintained.iter().map(|of| of.takes).collect();
        lengths.sort_by(f64::total_cmp);
        lengths.dedup();
        let mut all = Vec::new();
        for takes in lengths {
            let matters = analysis.importance(&self.failing_within(takes));
            for of in self.maintained.iter().filter(|of| of.takes == takes) {
                let away = of.takes / (of.every + of.takes);
                all.push((&self.kinds[of.event.index()], away * matters[of.event.index()].birnbaum));
            }
        }
        all
    }

    /// How likely each event is to last, on average over so many hours that began without it.
    fn failing_within(&self, hours: f64) -> Vec<f64> {
        let mut known: Vec<(Hours, f64)> = Vec::new();
        let mut lasts = |repair: Hours| match known.iter().find(|(other, _)| *other == repair) {
            Some((_, within)) => *within,
            None => {
                known.push((repair, repair.within(hours)));
                repair.within(hours)
            }
        };
        let by_itself = |kind: &Kind| kind.is_place() || matches!(kind, Kind::CommonCause(_));
        (0..self.kinds.len())
            .map(|at| match by_itself(&self.kinds[at]) {
                true => (self.frequency[at] * lasts(self.behaviours[at].repair)).min(self.q[at]),
                false => self.q[at],
            })
            .collect()
    }
}

impl Builder<'_> {
    pub(super) fn maintenance(&mut self) {
        let service = self.service;
        if service.hosts.iter().all(|host| host.maintenance.is_none()) {
            return;
        }
        let groups: Vec<(Vec<usize>, NodeId)> = self
            .groups()
            .into_iter()
            .map(|(hosts, others)| {
                let gone = self.gone(&hosts).into_iter().chain(others);
                (hosts, self.model.tree.any(gone.collect::<Vec<_>>()))
            })
            .collect();
        for (at, host) in service.hosts.iter().enumerate() {
            let Some(planned) = host.maintenance else { continue };
            let Some(event) = self.model.tree.event_of(self.hosts[at].0) else { continue };
            let own = groups.iter().filter(|(hosts, _)| hosts.contains(&at));
            self.model.maintained.push(Maintained {
                event,
                every: planned.every.as_secs_f64() / 3600.0,
                takes: planned.takes.as_secs_f64() / 3600.0,
                waits_for: own.map(|(_, gone)| *gone).collect(),
                fatal: self.model.tree.fails(self.model.top, |other| other == event),
            });
        }
    }

    /// Hosts that stand in for one another, and members of the quorum elsewhere that do.
    fn groups(&self) -> Vec<(Vec<usize>, Vec<NodeId>)> {
        let service = self.service;
        let mut groups: Vec<(Vec<usize>, Vec<NodeId>)> = Vec::new();
        groups.extend(service.entries.iter().map(|entry| (entry.hosts.clone(), Vec::new())));
        let pools = service.pools.iter().filter(|pool| pool.reaches.is_none());
        groups.extend(pools.map(|pool| (pool.hosts(), Vec::new())));
        groups.extend(service.databases.iter().map(|database| (database.hosts.clone(), Vec::new())));
        if let Some(quorum) = service.asked_quorum() {
            let elsewhere = quorum.members.iter().filter(|voter| voter.host.is_none());
            let elsewhere =
                elsewhere.filter_map(|voter| self.model.event(&Kind::Elsewhere(voter.name.clone())));
            let elsewhere = elsewhere.map(|event| self.model.tree.node_of(event)).collect();
            groups.push((quorum.members.iter().filter_map(|voter| voter.host).collect(), elsewhere));
        }
        groups
    }
}
