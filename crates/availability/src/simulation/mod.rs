//! Years by the thousand: what the exact arithmetic can't have, or only on average.
//!
//! Repairs that take very long now and then, crews that have only two hands, failovers that miss, maintenance; and not the mean but
//! every year. The structure is the same tree that the exact arithmetic has. After each event only the gates above it
//! count anew, so that a failure costs what it touches, not what there is.

mod answer;
mod part;
mod run;

use std::collections::BTreeMap;

use crate::distribution::Hours;
use crate::random::Weighted;
use crate::structure::{EventId, Node, NodeId, Tree};

pub use answer::{Answer, Cause};
pub use run::Block;

/// Years of one block: they follow one another, and have random numbers of their own.
pub const BLOCK_YEARS: u32 = 100;

/// How long an event stays away, and how long it then lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behaviour {
    /// `None`: it never happens by itself.
    pub life: Option<Hours>,
    pub repair: Hours,
    /// Who repairs it, by their place in [`Plant::crews`]. `None`: nobody has to wait for them.
    pub crew: Option<usize>,
}

impl Behaviour {
    /// Something that happens only because of something else.
    pub const NEVER: Self = Self { life: None, repair: Hours::Fixed(0.0), crew: None };
}

/// One of these serves; when it can't any more, the next one does.
#[derive(Debug, Clone, PartialEq)]
pub struct Failover {
    /// In the order in which they are asked.
    pub members: Vec<NodeId>,
    /// What lasts while another takes over, and how long.
    pub failing_over: EventId,
    pub takes: Hours,
    /// What lasts when that did not happen, and how long until a person has done it.
    pub missed: EventId,
    pub by_hand: Hours,
    /// The share of failovers that come about.
    pub coverage: f64,
    /// Whether the member that was lost serves again as soon as it is back, if nobody else does yet.
    pub returns: bool,
    /// Whether the first that can takes the work back from the one that serves, without loss. Else that one keeps it.
    pub prefers_first: bool,
}

/// Members that share work, and get their part of it for a while though they are gone: that part is lost meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharing {
    /// Each with its weight.
    pub members: Vec<(NodeId, u64)>,
    /// Hours until one that is gone gets nothing any more. `None`: until it is back.
    pub lasts: Option<f64>,
}

/// A component that is taken out on purpose now and then, after its work was given to others. It is put off while the
/// service is down or would go down by it, and while one of these fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    pub event: EventId,
    pub every: Hours,
    pub takes: Hours,
    pub waits_for: Vec<NodeId>,
    /// There is nobody else, and never will be: the service goes down by it.
    pub even_if_down: bool,
}

/// Everything that a simulation goes by.
#[derive(Debug, Clone)]
pub struct Plant {
    pub tree: Tree,
    /// What it means that the service is down.
    pub top: NodeId,
    /// Of each event, by its index. Events without one never happen.
    pub behaviours: Vec<Behaviour>,
    pub failovers: Vec<Failover>,
    pub sharing: Vec<Sharing>,
    /// How many each crew can repair at one time; the others wait in their order.
    pub crews: Vec<usize>,
    pub maintenance: Vec<Maintenance>,
}

/// Something that looks at a node, by its place in the plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watcher {
    Failover(u32),
    /// The member of this one, among those that share work.
    Sharing(u32, u32),
}

/// A plant made ready to be run, on as many threads as there are.
#[derive(Debug)]
pub struct Simulation {
    plant: Plant,
    /// The node of each event.
    event_nodes: Vec<u32>,
    /// How many children must have failed.
    need: Vec<u32>,
    /// How many have from the beginning, because nothing could make them serve.
    count: Vec<u32>,
    /// The gates above node n are `above[from[n]..from[n + 1]]`.
    from: Vec<u32>,
    above: Vec<u32>,
    /// Who looks at a node.
    watchers: BTreeMap<u32, Vec<Watcher>>,
    watched: Vec<bool>,
    /// Which failover each event is the time of.
    failover_of: BTreeMap<u32, u32>,
    /// Events whose lives are exponential are drawn all together: whichever comes next.
    memoryless: Option<Weighted>,
    /// Events whose lives have a memory, each with a time of its own.
    aging: Vec<EventId>,
}

impl Simulation {
    pub fn new(plant: Plant) -> Self {
        let mut plant = plant;
        plant.behaviours.resize(plant.tree.events(), Behaviour::NEVER);
        let nodes = &plant.tree.nodes;
        let mut parents: Vec<Vec<u32>> = vec![Vec::new(); nodes.len()];
        let needed = plant.tree.beneath(&[plant.top]);
        let mut watched = vec![false; nodes.len()];
        let mut watchers: BTreeMap<u32, Vec<Watcher>> = BTreeMap::new();
        let mut watch = |node: NodeId, watcher| {
            watched[node.index()] = true;
            watchers.entry(node.0).or_default().push(watcher);
        };
        let mut failover_of = BTreeMap::new();
        for (at, failover) in plant.failovers.iter().enumerate() {
            failover.members.iter().for_each(|&member| watch(member, Watcher::Failover(at as u32)));
            failover_of.extend([failover.failing_over, failover.missed].map(|event| (event.0, at as u32)));
        }
        for (at, sharing) in plant.sharing.iter().enumerate() {
            for (place, (member, _)) in sharing.members.iter().enumerate() {
                watch(*member, Watcher::Sharing(at as u32, place as u32));
            }
        }
        let mut members: Vec<NodeId> = watchers.keys().map(|&node| NodeId(node)).collect();
        members.extend(plant.maintenance.iter().flat_map(|maintenance| &maintenance.waits_for));
        let looked_at = plant.tree.beneath(&members);
        for (at, node) in nodes.iter().enumerate() {
            if let (Node::AtLeast { of, .. }, true) = (node, needed[at] || looked_at[at]) {
                of.iter().for_each(|child| parents[child.index()].push(at as u32));
            }
        }
        let need = |node: &Node| if let Node::AtLeast { need, .. } = node { *need } else { 1 };
        let need: Vec<u32> = nodes.iter().map(need).collect();
        let mut count = vec![0; nodes.len()];
        for at in (0..nodes.len()).filter(|&at| plant.tree.event_of(NodeId(at as u32)).is_none()) {
            if count[at] >= need[at] {
                parents[at].iter().for_each(|&above| count[above as usize] += 1);
            }
        }
        let mut from = vec![0];
        let mut above = Vec::new();
        for mut of in parents {
            above.append(&mut of);
            from.push(above.len() as u32);
        }
        let rate = |behaviour: &Behaviour| match behaviour.life {
            Some(Hours::Exponential { mean }) if mean > 0.0 => 1.0 / mean,
            _ => 0.0,
        };
        let rates: Vec<f64> = plant.behaviours.iter().map(rate).collect();
        let ages = |behaviour: &Behaviour| !matches!(behaviour.life, None | Some(Hours::Exponential { .. }));
        let aging = (0..plant.behaviours.len()).filter(|&at| ages(&plant.behaviours[at]));
        Self {
            event_nodes: (0..plant.tree.events() as u32)
                .map(|at| plant.tree.node_of(EventId(at)).0)
                .collect(),
            need,
            count,
            from,
            above,
            watchers,
            watched,
            failover_of,
            memoryless: rates.iter().any(|&rate| rate > 0.0).then(|| Weighted::new(&rates)),
            aging: aging.map(|at| EventId(at as u32)).collect(),
            plant,
        }
    }

    pub fn plant(&self) -> &Plant {
        &self.plant
    }

    /// The blocks of so many years: each its number and its years. They can be run in any order, on any thread; the answer is the same.
    pub fn blocks(years: u32) -> impl Iterator<Item = (u64, u32)> {
        let count = years.div_ceil(BLOCK_YEARS);
        (0..count).map(move |at| (u64::from(at), BLOCK_YEARS.min(years - at * BLOCK_YEARS)))
    }

    /// All blocks, one after the other.
    pub fn run(&self, seed: u64, years: u32) -> Vec<Block> {
        Self::blocks(years).map(|(block, years)| self.block(seed, block, years)).collect()
    }
}

#[cfg(test)]
mod tests;
