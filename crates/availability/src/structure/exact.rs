//! How likely a fault tree's top is, what matters most for that, and what suffices for it.

use std::fmt;

use serde::Serialize;

use super::bdd::{Bdd, FALSE, Ref};
use super::cuts::{self, CutSets};
use super::rounded::Round;
use super::zdd::{NONE, Zdd};
use super::{EventId, Node, NodeId, Tree, order};
use crate::bounds::Interval;

/// How much an analysis may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nodes of decision diagrams, and sets alike of a family of cut sets.
    pub nodes: usize,
    /// Combinations of failed zones (or whatever else many parts share) that are worked out one by one.
    pub scenarios: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 1_000_000, scenarios: 2_000 }
    }
}

/// The structure is too entangled for the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the structure is too entangled to be worked out exactly")
    }
}

impl std::error::Error for TooLarge {}

/// At most so many events that parts share are gone through in combinations.
const SHARED: usize = 24;

/// Where weights are rounded, a gate's table has this part of the nodes that there may be.
const ROUND: usize = 10;

/// A fault tree that has been worked out: probabilities can be asked of it again and again.
#[derive(Debug)]
pub struct Analysis {
    bdd: Bdd,
    /// Any of these is the top. Given the shared ones, they fail apart from each other.
    roots: Vec<Ref>,
    /// Levels whose events are gone through in combinations; none if there is one root.
    shared: Vec<u32>,
    /// The level of each event; `u32::MAX` for those that the top does not depend on.
    levels: Vec<u32>,
    limits: Limits,
    /// Where weights had to be rounded. This one has them rounded so that it fails sooner.
    rounded: Option<Box<Rounded>>,
}

/// The same with weights rounded in other ways.
#[derive(Debug)]
struct Rounded {
    evenly: Analysis,
    later: Analysis,
}

/// What an event matters for the top. All are 0 for one that can't change it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Importance {
    /// How likely it is that it decides (Birnbaum): the difference between its being failed and its working.
    pub birnbaum: f64,
    /// The share of the downtime that would go if it never failed (criticality).
    pub criticality: f64,
}

impl Tree {
    /// Works out how `top` depends on the basic events.
    ///
    /// As one diagram if it is small enough. Otherwise its parts each have theirs, and what they share is gone
    /// through in combinations, the likely ones first; then probabilities come with bounds. They do so as well where a gate has
    /// children of so many weights that these must be rounded: down for one bound, up for the other, and evenly for what is likely.
    ///
    /// # Errors
    /// If a part alone is beyond the limits.
    pub fn analyse(&self, top: NodeId, limits: Limits) -> Result<Analysis, TooLarge> {
        let cells = limits.nodes / ROUND;
        let most = self.most_cells();
        if most <= limits.nodes {
            let as_it_is = self.analyse_as_it_is(top, limits);
            if as_it_is.is_ok() || most <= cells {
                return as_it_is;
            }
        }
        let by = |round| self.rounded(cells, round).analyse_as_it_is(top, limits);
        let rounded = Rounded { evenly: by(Round::Evenly)?, later: by(Round::Later)? };
        Ok(Analysis { rounded: Some(Box::new(rounded)), ..by(Round::Sooner)? })
    }

    fn analyse_as_it_is(&self, top: NodeId, limits: Limits) -> Result<Analysis, TooLarge> {
        // Where it grows it grows quickly: soon given up, little is lost.
        let whole = Bdd::of(self, &[top], order::by_walk(self, &[top]), limits.nodes / 8);
        if let Ok((bdd, roots)) = whole {
            return Ok(Analysis::new(self, bdd, roots, Vec::new(), limits));
        }
        let parts = self.parts(top);
        let (mut bdd, mut roots) = Bdd::of(self, &parts, order::by_company(self, &parts), limits.nodes)?;
        let (shared, groups) = self.entangled(&parts);
        let mut joined = vec![FALSE; groups.iter().max().map_or(0, |last| last + 1)];
        for (root, group) in roots.drain(..).zip(groups) {
            joined[group] = bdd.or(joined[group], root)?;
        }
        let level = |event: &EventId| bdd.events.iter().position(|other| other == event);
        let shared = shared.iter().filter_map(level).map(|level| level as u32).collect();
        Ok(Analysis::new(self, bdd, joined, shared, limits))
    }

    /// What the top fails from: the children of an "any", through other "any"s.
    fn parts(&self, top: NodeId) -> Vec<NodeId> {
        let mut parts = Vec::new();
        let mut pending = vec![top];
        while let Some(node) = pending.pop() {
            match &self.nodes[node.index()] {
                Node::AtLeast { need: 1, of } => pending.extend(of.iter().rev()),
                _ => parts.push(node),
            }
        }
        parts
    }

    /// The events that most parts share, and the parts in groups that share nothing else.
    fn entangled(&self, parts: &[NodeId]) -> (Vec<EventId>, Vec<usize>) {
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); self.events()];
        for (part, &node) in parts.iter().enumerate() {
            let beneath = self.beneath(&[node]);
            for event in (0..self.events() as u32).map(EventId) {
                if beneath[self.node_of(event).index()] {
                    users[event.index()].push(part);
                }
            }
        }
        let mut shared: Vec<EventId> = (0..self.events() as u32).map(EventId).collect();
        shared.retain(|event| users[event.index()].len() > 1);
        shared.sort_by_key(|event| std::cmp::Reverse(users[event.index()].len()));
        let joining = shared.split_off(shared.len().min(SHARED));
        // Each part points to another one of its group, the first one to itself.
        let mut group: Vec<usize> = (0..parts.len()).collect();
        let first = |group: &[usize], mut part: usize| {
            while group[part] != part {
                part = group[part];
            }
            part
        };
        for event in joining {
            for pair in users[event.index()].windows(2) {
                let (a, b) = (first(&group, pair[0]), first(&group, pair[1]));
                group[a.max(b)] = a.min(b);
            }
        }
        let firsts: Vec<usize> = (0..parts.len()).map(|part| first(&group, part)).collect();
        (shared, firsts)
    }
}

impl Analysis {
    fn new(tree: &Tree, mut bdd: Bdd, mut roots: Vec<Ref>, shared: Vec<u32>, limits: Limits) -> Self {
        roots.retain(|&root| root != FALSE);
        bdd.compact(&mut roots);
        let mut levels = vec![u32::MAX; tree.events()];
        bdd.events.iter().enumerate().for_each(|(level, event)| levels[event.index()] = level as u32);
        Self { bdd, roots, shared, levels, limits, rounded: None }
    }

    /// Whether probabilities are exact, and not between bounds.
    pub fn is_exact(&self) -> bool {
        self.rounded.is_none() && self.shared.len() <= self.depth(self.limits.scenarios)
    }

    /// Whether weights had to be rounded: then what it says to be fatal may only nearly be so.
    pub fn is_rounded(&self) -> bool {
        self.rounded.is_some()
    }

    /// How many parts it was worked out in; one is a single diagram.
    pub fn parts(&self) -> usize {
        self.roots.len()
    }

    /// Nodes of the diagrams.
    pub fn size(&self) -> usize {
        self.bdd.nodes.len()
    }

    /// How likely the top is to have failed, when each event has with this probability, by its index. Events that are
    /// missing never fail. To know it given that a component is down or up, say 1 or 0.
    pub fn probability(&self, q: &[f64]) -> Interval {
        self.probability_within(self.limits.scenarios, q)
    }

    /// The same from at most so many combinations of what parts share: quicker, and less sure.
    pub fn probability_within(&self, scenarios: usize, given: &[f64]) -> Interval {
        let depth = self.depth(scenarios);
        let q = self.by_level(given);
        let mut low = 0.0;
        let mut scratch = q.clone();
        self.scenarios(depth, &q, |failed, weight| {
            if weight > 0.0 {
                self.assume(&mut scratch, failed);
                let p = self.bdd.probabilities(&scratch);
                low += weight * self.any(&p, None);
            }
        });
        let high = (low + self.beyond(depth, &q)).min(1.0);
        // Where more zones have failed than were looked at, hardly anything is left.
        let Some(rounded) = &self.rounded else { return Interval { low, likely: high, high } };
        let low = rounded.later.probability_within(scenarios, given).low;
        let likely = rounded.evenly.probability_within(scenarios, given).likely;
        Interval { low, likely: likely.clamp(low, high.max(low)), high }
    }

    /// What each event matters, by its index. With bounds instead of exact probabilities, of the lower one.
    pub fn importance(&self, q: &[f64]) -> Vec<Importance> {
        if let Some(rounded) = &self.rounded {
            return rounded.evenly.importance(q);
        }
        let by_level = self.by_level(q);
        let mut differences = vec![0.0; self.bdd.events.len()];
        let mut top = 0.0;
        let mut scratch = by_level.clone();
        self.scenarios(self.depth(self.limits.scenarios), &by_level, |failed, weight| {
            self.assume(&mut scratch, failed);
            let p = self.bdd.probabilities(&scratch);
            let down = self.any(&p, None);
            top += weight * down;
            if weight > 0.0 {
                let others = |at: usize| weight * (1.0 - self.any(&p, Some(at)));
                let roots: Vec<(Ref, f64)> =
                    self.roots.iter().enumerate().map(|(at, &root)| (root, others(at))).collect();
                let shared: Vec<f64> = self.shared.iter().map(|&level| differences[level as usize]).collect();
                self.bdd.differences(&roots, &scratch, &p, &mut differences);
                // Of those that are gone through, the difference lies between scenarios, not in one.
                self.shared.iter().zip(shared).for_each(|(&level, was)| differences[level as usize] = was);
            }
            for (at, &level) in self.shared.iter().enumerate() {
                let sign = if failed.contains(&at) { 1.0 } else { -1.0 };
                differences[level as usize] += sign * down * self.weight(&by_level, failed, Some(at));
            }
        });
        let of = |event: usize| match self.levels.get(event) {
            Some(&level) if level != u32::MAX => {
                let birnbaum = differences[level as usize].max(0.0);
                let share = if top > 0.0 { birnbaum * by_level[level as usize] / top } else { 0.0 };
                Importance { birnbaum, criticality: share.min(1.0) }
            }
            _ => Importance::default(),
        };
        (0..self.levels.len()).map(of).collect()
    }

    /// The share of the downtime in which a minimal cut set with this event has failed (Fussell and Vesely).
    ///
    /// # Errors
    /// If there are too many cut sets for the limits, or if probabilities are not exact.
    pub fn fussell_vesely(&self, event: EventId, q: &[f64]) -> Result<f64, TooLarge> {
        let Some(&level) = self.levels.get(event.index()).filter(|&&level| level != u32::MAX) else {
            return Ok(0.0);
        };
        let top = self.probability(q).likely;
        let &[root] = self.roots.as_slice() else {
            return if self.roots.is_empty() { Ok(0.0) } else { Err(TooLarge) };
        };
        let mut zdd = Zdd::new(self.limits.nodes);
        let family = cuts::minimal(&mut zdd, &self.bdd, root, None)?;
        let mut bdd = Bdd::new(self.bdd.events.clone(), self.limits.nodes);
        let holding = cuts::with_level(&mut zdd, &mut bdd, family, level)?;
        let with = bdd.probabilities(&self.by_level(q))[holding as usize];
        Ok(if top > 0.0 { (with / top).min(1.0) } else { 0.0 })
    }

    /// All minimal cut sets with at most `order` events.
    ///
    /// # Errors
    /// If there are too many for the limits.
    pub fn cut_sets(&self, order: usize) -> Result<CutSets, TooLarge> {
        let mut zdd = Zdd::new(self.limits.nodes);
        let mut family = NONE;
        let wanted = Some(order).filter(|&order| order < self.bdd.events.len());
        for &root in &self.roots {
            let of_root = cuts::minimal(&mut zdd, &self.bdd, root, wanted)?;
            family = zdd.minimal_union(family, of_root)?;
        }
        Ok(CutSets { zdd, family, events: self.bdd.events.clone(), order })
    }

    fn by_level(&self, q: &[f64]) -> Vec<f64> {
        let of = |event: &EventId| q.get(event.index()).copied().unwrap_or(0.0).clamp(0.0, 1.0);
        self.bdd.events.iter().map(of).collect()
    }

    /// That any root has failed, but for one.
    fn any(&self, p: &[f64], except: Option<usize>) -> f64 {
        let of = |(at, &root): (usize, &Ref)| if Some(at) == except { 0.0 } else { p[root as usize] };
        if let ([root], None) = (self.roots.as_slice(), except) {
            return p[*root as usize];
        }
        let none: f64 = self.roots.iter().enumerate().map(of).map(|p| (-p).ln_1p()).sum();
        -none.exp_m1()
    }

    fn assume(&self, q: &mut [f64], failed: &[usize]) {
        for (at, &level) in self.shared.iter().enumerate() {
            q[level as usize] = if failed.contains(&at) { 1.0 } else { 0.0 };
        }
    }

    /// How likely this scenario is, whatever one of the shared events does.
    fn weight(&self, q: &[f64], failed: &[usize], except: Option<usize>) -> f64 {
        let of = |(at, &level): (usize, &u32)| match (Some(at) == except, failed.contains(&at)) {
            (true, _) => 1.0,
            (_, true) => q[level as usize],
            (_, false) => 1.0 - q[level as usize],
        };
        self.shared.iter().enumerate().map(of).product()
    }

    /// How many shared events fail at one time in the scenarios that are looked at.
    fn depth(&self, scenarios: usize) -> usize {
        let shared = self.shared.len();
        let (mut of_size, mut sum, mut depth) = (1usize, 1usize, 0);
        while depth < shared {
            of_size = of_size.saturating_mul(shared - depth) / (depth + 1);
            sum = sum.saturating_add(of_size);
            if sum > scenarios {
                break;
            }
            depth += 1;
        }
        depth
    }

    /// Each set of at most that many, with its probability. Without shared events there is one scenario, and it is certain.
    fn scenarios(&self, depth: usize, q: &[f64], mut each: impl FnMut(&[usize], f64)) {
        let mut pending = vec![Vec::new()];
        while let Some(failed) = pending.pop() {
            each(&failed, self.weight(q, &failed, None));
            if failed.len() < depth {
                let next = failed.last().map_or(0, |last| last + 1);
                for at in next..self.shared.len() {
                    let mut more = failed.clone();
                    more.push(at);
                    pending.push(more);
                }
            }
        }
    }

    /// How likely it is that more shared events have failed than in any scenario.
    fn beyond(&self, depth: usize, q: &[f64]) -> f64 {
        let mut of_count = vec![0.0; self.shared.len() + 1];
        of_count[0] = 1.0;
        for &level in &self.shared {
            let q = q[level as usize];
            for count in (0..of_count.len()).rev() {
                let before = if count > 0 { of_count[count - 1] * q } else { 0.0 };
                of_count[count] = of_count[count] * (1.0 - q) + before;
            }
        }
        of_count[(depth + 1).min(of_count.len())..].iter().sum()
    }
}
