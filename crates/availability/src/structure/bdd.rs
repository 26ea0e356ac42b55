//! Reduced ordered binary decision diagrams: every function has exactly one, and its probability is one walk over it.

use std::cmp::Ordering;

use super::exact::TooLarge;
use super::{EventId, Node, NodeId, Tree};
use crate::hash::Map;

/// A node; a constant below 2.
pub(super) type Ref = u32;
pub(super) const FALSE: Ref = 0;
pub(super) const TRUE: Ref = 1;

#[derive(Debug, Clone, Copy)]
pub(super) struct Decision {
    /// The position in the order of the event that it asks for.
    pub(super) level: u32,
    /// What remains if it works, and if it has failed.
    pub(super) low: Ref,
    pub(super) high: Ref,
}

/// Diagrams over one order of events. A node's branches come before it, so walks over numbers need no recursion.
#[derive(Debug)]
pub(super) struct Bdd {
    pub(super) nodes: Vec<Decision>,
    /// Which event each level asks for.
    pub(super) events: Vec<EventId>,
    unique: Map<(u32, u64), Ref>,
    known: Map<(u64, u32), Ref>,
    limit: usize,
}

/// What is still to do for an if-then-else.
enum Step {
    Call(Ref, Ref, Ref),
    Build(u32, (u64, u32)),
}

fn pair(a: Ref, b: Ref) -> u64 {
    u64::from(a) << 32 | u64::from(b)
}

impl Bdd {
    pub(super) fn new(events: Vec<EventId>, limit: usize) -> Self {
        let constant = Decision { level: u32::MAX, low: FALSE, high: FALSE };
        Self {
            nodes: vec![constant, Decision { low: TRUE, high: TRUE, ..constant }],
            events,
            unique: Map::default(),
            known: Map::default(),
            limit,
        }
    }

    /// The diagram of each of these nodes of a tree, in this order of events.
    pub(super) fn of(
        tree: &Tree,
        tops: &[NodeId],
        events: Vec<EventId>,
        limit: usize,
    ) -> Result<(Self, Vec<Ref>), TooLarge> {
        let mut level = vec![u32::MAX; tree.events()];
        events.iter().enumerate().for_each(|(at, event)| level[event.index()] = at as u32);
        let mut bdd = Self::new(events, limit);
        let beneath = tree.beneath(tops);
        let mut done = vec![FALSE; tree.nodes.len()];
        for at in (0..tree.nodes.len()).filter(|&at| beneath[at]) {
            done[at] = match &tree.nodes[at] {
                Node::Event(event) => bdd.node(level[event.index()], FALSE, TRUE)?,
                Node::AtLeast { need, of } => {
                    bdd.at_least(*need as usize, of.iter().map(|child| done[child.index()]).collect())?
                }
            };
        }
        Ok((bdd, tops.iter().map(|top| done[top.index()]).collect()))
    }

    /// Keeps only what these are made of; they change their numbers. Nothing can be built afterwards that was known before.
    pub(super) fn compact(&mut self, roots: &mut [Ref]) {
        let mut number = vec![FALSE; self.nodes.len()];
        number[TRUE as usize] = TRUE;
        let mut reached = vec![false; self.nodes.len()];
        roots.iter().for_each(|&root| reached[root as usize] = true);
        for at in (2..self.nodes.len()).rev() {
            if reached[at] {
                reached[self.nodes[at].low as usize] = true;
                reached[self.nodes[at].high as usize] = true;
            }
        }
        let mut kept = self.nodes[..2].to_vec();
        for at in (2..self.nodes.len()).filter(|&at| reached[at]) {
            let node = self.nodes[at];
            number[at] = kept.len() as Ref;
            kept.push(Decision { low: number[node.low as usize], high: number[node.high as usize], ..node });
        }
        roots.iter_mut().for_each(|root| *root = number[*root as usize]);
        self.nodes = kept;
        self.known = Map::default();
        self.unique = Map::default();
    }

    fn node(&mut self, level: u32, low: Ref, high: Ref) -> Result<Ref, TooLarge> {
        if low == high {
            return Ok(low);
        }
        let next = self.nodes.len();
        let found = *self.unique.entry((level, pair(low, high))).or_insert(next as Ref);
        if found as usize == next {
            if next >= self.limit {
                return Err(TooLarge);
            }
            self.nodes.push(Decision { level, low, high });
        }
        Ok(found)
    }

    pub(super) fn or(&mut self, f: Ref, g: Ref) -> Result<Ref, TooLarge> {
        // The same question either way round.
        self.if_then_else(f.min(g), TRUE, f.max(g))
    }

    /// At least `need` of these, in the order in which they come first in the diagram, by how many are missing still:
    /// a table of needs by places, not every choice. What is named several times has one place, and counts as often.
    fn at_least(&mut self, need: usize, mut of: Vec<Ref>) -> Result<Ref, TooLarge> {
        if need > of.len() {
            return Ok(FALSE);
        }
        of.sort_by_key(|&child| (self.nodes[child as usize].level, child));
        // missing[m]: that at least m of the children from here on have failed.
        let mut missing = vec![FALSE; need + 1];
        missing[0] = TRUE;
        let mut before = of.len();
        for alike in of.chunk_by(|one, other| one == other).rev() {
            let (child, weight) = (alike[0], alike.len());
            let after = of.len() - before + weight;
            before -= weight;
            // Fewer than `need - before` can't be missing still, for only so many children come before.
            for m in (need.saturating_sub(before).max(1)..=need.min(after)).rev() {
                missing[m] = self.if_then_else(child, missing[m.saturating_sub(weight)], missing[m])?;
            }
        }
        Ok(missing[need])
    }

    /// Without recursion, for a diagram is as deep as it has events.
    fn if_then_else(&mut self, f: Ref, g: Ref, h: Ref) -> Result<Ref, TooLarge> {
        let mut steps = vec![Step::Call(f, g, h)];
        let mut results: Vec<Ref> = Vec::new();
        while let Some(step) = steps.pop() {
            match step {
                Step::Call(f, g, h) => {
                    if let Some(simple) = simple(f, g, h) {
                        results.push(simple);
                        continue;
                    }
                    let key = (pair(f, g), h);
                    if let Some(&known) = self.known.get(&key) {
                        results.push(known);
                        continue;
                    }
                    let level =
                        [f, g, h].map(|of| self.nodes[of as usize].level).into_iter().min().unwrap_or(0);
                    let [(f0, f1), (g0, g1), (h0, h1)] = [f, g, h].map(|of| self.branches(of, level));
                    steps.push(Step::Build(level, key));
                    steps.push(Step::Call(f0, g0, h0));
                    steps.push(Step::Call(f1, g1, h1));
                }
                Step::Build(level, key) => {
                    let low = results.pop().unwrap_or(FALSE);
                    let high = results.pop().unwrap_or(FALSE);
                    let built = self.node(level, low, high)?;
                    if self.known.len() >= self.limit.saturating_mul(4) {
                        return Err(TooLarge);
                    }
                    self.known.insert(key, built);
                    results.push(built);
                }
            }
        }
        Ok(results.pop().unwrap_or(FALSE))
    }

    fn branches(&self, of: Ref, level: u32) -> (Ref, Ref) {
        let node = self.nodes[of as usize];
        match node.level.cmp(&level) {
            Ordering::Equal => (node.low, node.high),
            _ => (of, of),
        }
    }

    /// What fails without the level's event, and more once it has failed.
    pub(super) fn grown(&mut self, level: u32, without: Ref, with: Ref) -> Result<Ref, TooLarge> {
        let high = self.or(with, without)?;
        self.node(level, without, high)
    }

    /// The probability of every node, given that of each level's event.
    pub(super) fn probabilities(&self, q: &[f64]) -> Vec<f64> {
        let mut p = Vec::with_capacity(self.nodes.len());
        p.extend([0.0, 1.0]);
        for node in &self.nodes[2..] {
            let q = q[node.level as usize];
            // A sum of what is positive: small probabilities keep their digits.
            p.push(q * p[node.high as usize] + (1.0 - q) * p[node.low as usize]);
        }
        p
    }

    /// How much each level's event matters: the difference that its failure makes to the sum of these roots' probabilities, each
    /// as heavy as it says. `p` are the probabilities of all nodes.
    pub(super) fn differences(&self, roots: &[(Ref, f64)], q: &[f64], p: &[f64], into: &mut [f64]) {
        let mut reach = vec![0.0; self.nodes.len()];
        roots.iter().for_each(|&(root, weight)| reach[root as usize] += weight);
        for at in (2..self.nodes.len()).rev() {
            let here = reach[at];
            if here == 0.0 {
                continue;
            }
            let node = self.nodes[at];
            let q = q[node.level as usize];
            into[node.level as usize] += here * (p[node.high as usize] - p[node.low as usize]);
            reach[node.high as usize] += here * q;
            reach[node.low as usize] += here * (1.0 - q);
        }
    }
}

fn simple(f: Ref, g: Ref, h: Ref) -> Option<Ref> {
    match (f, g, h) {
        (TRUE, ..) => Some(g),
        (FALSE, ..) => Some(h),
        _ if g == h => Some(g),
        (_, TRUE, FALSE) => Some(f),
        _ => None,
    }
}
