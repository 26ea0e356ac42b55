//! The ways by which clients come in: load balancers, and names that lead to one of several.

use super::{Builder, Kind, Model};
use crate::distribution::Hours;
use crate::service::{Name, Pool, Service};
use crate::simulation::Failover;
use crate::structure::{Limits, NodeId};

/// A load balancer that does not answer.
pub(super) struct Door {
    /// For longer than a failover takes that comes about.
    pub(super) lasting: NodeId,
    /// Its failovers.
    pub(super) short: Vec<NodeId>,
    /// Any of these.
    pub(super) shut: NodeId,
}

/// Load balancers of which clients need one.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternatives {
    /// The position of the name.
    pub name: usize,
    /// The preferred one first.
    pub entries: Vec<usize>,
    /// That each of them does not answer.
    pub lasting: Vec<NodeId>,
    /// Seconds, in the worst case: until answers change, and until clients ask again. Nothing if they try by themselves.
    pub notice: f64,
    pub ttl: f64,
}

/// How clients come to a pool.
pub(crate) enum Ways {
    Entry(usize),
    /// A name, and those of its load balancers that serve the pool.
    Name(usize, Vec<usize>),
}

/// What clients want, and how they come to it: the function's name, the ways, the pool.
pub(crate) fn ways(service: &Service) -> Vec<(String, Ways, usize)> {
    let mut all = Vec::new();
    for (at, name) in service.names.iter().enumerate() {
        let mut pools: Vec<usize> = Vec::new();
        for (_, pool) in name.entries.iter().flat_map(|&entry| &service.entries[entry].serves) {
            if !pools.contains(pool) {
                pools.push(*pool);
            }
        }
        for pool in pools {
            let serves = |entry: &&usize| service.entries[**entry].serves.iter().any(|(_, of)| *of == pool);
            let entries = name.entries.iter().filter(serves).copied().collect();
            all.push((by_name(name, &service.pools[pool]), Ways::Name(at, entries), pool));
        }
    }
    for (at, entry) in service.entries.iter().enumerate() {
        if service.names.iter().any(|name| name.entries.contains(&at)) {
            continue;
        }
        for (listener, pool) in &entry.serves {
            let name = format!("{} {listener} to {}", entry.name, service.pools[*pool].name);
            all.push((name, Ways::Entry(at), *pool));
        }
    }
    all
}

/// What clients do by this name.
fn by_name(name: &Name, pool: &Pool) -> String {
    format!("{} to {}", name.name, pool.name)
}

impl Model {
    /// How often an hour a kind of event begins.
    pub(super) fn frequency_of(&self, kind: &Kind) -> f64 {
        self.event(kind).map_or(0.0, |event| self.frequency[event.index()])
    }

    /// How often an hour `node` begins to fail without `and` failing with it.
    fn frequency_without(&self, node: NodeId, and: NodeId) -> f64 {
        let decides = |node: NodeId| {
            let analysis = self.tree.analyse(node, Limits::default()).ok()?;
            Some(analysis.importance(&self.q))
        };
        let (Some(of), Some(both)) = (decides(node), decides(and)) else { return 0.0 };
        let each = of.iter().zip(&both).zip(&self.frequency);
        each.map(|((of, both), frequency)| (of.birnbaum - both.birnbaum).max(0.0) * frequency).sum()
    }
}

impl Builder<'_> {
    /// Clients reach none of these load balancers by this name.
    pub(super) fn alternatives(&mut self, at: usize, entries: &[usize], doors: &[Door]) -> NodeId {
        let name = &self.service.names[at];
        if entries.len() == 1 || !name.has_alternatives() {
            // Whoever was given the address of one that is gone gets no answer.
            return self.model.tree.any(entries.iter().map(|&entry| doors[entry].shut));
        }
        let lasting: Vec<NodeId> = entries.iter().map(|&entry| doors[entry].lasting).collect();
        let none = self.model.tree.all(lasting.iter().copied());
        let hosts: Vec<usize> =
            name.entries.iter().flat_map(|&at| self.service.entries[at].hosts.clone()).collect();
        let none = self.with_common_cause(&name.name, &hosts, none);
        // As if all clients were at the first: a part of them in each of several moves costs as much.
        let mut down = vec![none];
        down.extend(&doors[entries[0]].short);
        let moves = name.moves_within().map(|(notice, ttl)| (notice.as_secs_f64(), ttl.as_secs_f64()));
        let known = self.model.alternatives.iter().any(|of| of.name == at && of.entries == entries);
        let kinds = [Kind::Moving(name.name.clone()), Kind::Missed(name.name.clone())];
        let known = kinds.each_ref().map(|kind| self.model.event(kind).filter(|_| known));
        match (known, moves) {
            ([Some(moving), Some(missed)], Some(_)) => {
                down.extend([moving, missed].map(|event| self.model.tree.node_of(event)));
            }
            (_, Some((notice, ttl))) => {
                let often = self.model.frequency_without(lasting[0], none);
                let takes = (notice + ttl) / 3600.0;
                // Whoever answers may fail to notice, as hosts may fail to take over.
                let coverage = self.rates.coverage(&name.name);
                let by_hand = self.rates.of.by_hand;
                let [moving, not] = kinds;
                let (node, event) = self.caused(moving, coverage * often, takes);
                let (hand, missed) = self.caused(not, (1.0 - coverage) * often, by_hand.mean());
                self.model.failovers.push(Failover {
                    members: lasting.clone(),
                    failing_over: event,
                    takes: Hours::Fixed(takes),
                    missed,
                    by_hand,
                    coverage,
                    // It does, but clients that have moved meanwhile ask elsewhere.
                    returns: false,
                    prefers_first: true,
                });
                down.extend([node, hand]);
            }
            (_, None) => {}
        }
        let (notice, ttl) = moves.unwrap_or_default();
        let entries = entries.to_vec();
        let of = super::Alternatives { name: at, entries, lasting, notice, ttl };
        if !self.model.alternatives.contains(&of) {
            self.model.alternatives.push(of);
        }
        self.model.tree.any(down)
    }

    /// Too few members are left to serve clients well, or at all.
    pub(super) fn pool(&mut self, pool: &Pool) -> NodeId {
        let mut weights: Vec<usize> = pool.members.iter().map(|member| pool.counts(member)).collect();
        weights.push(0);
        let unit = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
        let least = pool.load().div_ceil(unit);
        let mut few = |backup: bool| {
            let members = pool.members.iter().filter(|member| member.backup == backup);
            let gone: Vec<NodeId> = members
                .flat_map(|member| std::iter::repeat_n(self.hosts[member.host].1, pool.counts(member) / unit))
                .collect();
            self.model.tree.redundant(least, gone)
        };
        let mut node = few(false);
        if pool.backups_stand_in() && pool.members.iter().any(|member| member.backup) {
            let backups = few(true);
            node = self.model.tree.all([node, backups]);
        }
        if pool.refuses_below > 0 {
            let gone = self.gone(&pool.hosts());
            let refuses = self.model.tree.redundant(pool.refuses_below, gone);
            node = self.model.tree.any([node, refuses]);
        }
        node
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
