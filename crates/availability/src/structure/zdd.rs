//! Zero-suppressed decision diagrams: families of small sets, many of which look alike.

use super::exact::TooLarge;
use crate::hash::Map;

pub(super) type Family = u32;
/// No set at all.
pub(super) const NONE: Family = 0;
/// The empty set alone.
pub(super) const EMPTY: Family = 1;

#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) level: u32,
    /// The sets without the level, and those with it (without naming it).
    pub(super) without: Family,
    pub(super) with: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Union,
    /// The sets of the first that contain no set of the second.
    NotAbove,
}

enum Step {
    Call(Operation, Family, Family),
    /// What came out, with this one.
    Then(Operation, Family),
    Build(u32, Operation, Family, Family),
}

#[derive(Debug)]
pub(super) struct Zdd {
    pub(super) nodes: Vec<Split>,
    unique: Map<(u32, u32, u32), Family>,
    known: Map<(u32, u32, u32), Family>,
    limit: usize,
}

impl Zdd {
    pub(super) fn new(limit: usize) -> Self {
        let constant = Split { level: u32::MAX, without: NONE, with: NONE };
        Self { nodes: vec![constant, constant], unique: Map::default(), known: Map::default(), limit }
    }

    pub(super) fn node(&mut self, level: u32, without: Family, with: Family) -> Result<Family, TooLarge> {
        if with == NONE {
            return Ok(without);
        }
        let next = self.nodes.len();
        let found = *self.unique.entry((level, without, with)).or_insert(next as Family);
        if found as usize == next {
            if next >= self.limit {
                return Err(TooLarge);
            }
            self.nodes.push(Split { level, without, with });
        }
        Ok(found)
    }

    pub(super) fn union(&mut self, f: Family, g: Family) -> Result<Family, TooLarge> {
        self.run(Operation::Union, f.min(g), f.max(g))
    }

    pub(super) fn not_above(&mut self, f: Family, g: Family) -> Result<Family, TooLarge> {
        self.run(Operation::NotAbove, f, g)
    }

    /// The sets of nothing but these levels.
    pub(super) fn of_those(
        &mut self,
        family: Family,
        these: impl Fn(u32) -> bool,
    ) -> Result<Family, TooLarge> {
        let mut of = vec![NONE, EMPTY];
        for at in 2..=(family.max(1) as usize) {
            let node = self.nodes[at];
            let without = of[node.without as usize];
            let with = if these(node.level) { of[node.with as usize] } else { NONE };
            of.push(self.node(node.level, without, with)?);
        }
        Ok(of[family as usize])
    }

    /// The minimal sets of both, if each family is minimal already.
    pub(super) fn minimal_union(&mut self, f: Family, g: Family) -> Result<Family, TooLarge> {
        let f = self.not_above(f, g)?;
        let g = self.not_above(g, f)?;
        self.union(f, g)
    }

    /// Without recursion, for a family is as deep as it has members.
    fn run(&mut self, operation: Operation, f: Family, g: Family) -> Result<Family, TooLarge> {
        let mut steps = vec![Step::Call(operation, f, g)];
        let mut results: Vec<Family> = Vec::new();
        while let Some(step) = steps.pop() {
            match step {
                Step::Call(operation, f, g) => self.begin(operation, f, g, &mut steps, &mut results),
                Step::Then(operation, g) => {
                    let f = results.pop().unwrap_or(NONE);
                    steps.push(Step::Call(operation, f, g));
                }
                Step::Build(level, operation, f, g) => {
                    let without = results.pop().unwrap_or(NONE);
                    let with = results.pop().unwrap_or(NONE);
                    let built = self.node(level, without, with)?;
                    if self.known.len() >= self.limit.saturating_mul(4) {
                        return Err(TooLarge);
                    }
                    self.known.insert((operation as u32, f, g), built);
                    results.push(built);
                }
            }
        }
        Ok(results.pop().unwrap_or(NONE))
    }

    fn begin(
        &self,
        operation: Operation,
        f: Family,
        g: Family,
        steps: &mut Vec<Step>,
        results: &mut Vec<Family>,
    ) {
        let simple = match operation {
            Operation::Union if f == NONE || f == g => Some(g),
            Operation::Union if g == NONE => Some(f),
            Operation::NotAbove if f == NONE || g == NONE => Some(f),
            // Every set contains the empty one, and whatever contains itself.
            Operation::NotAbove if f == g || self.has_empty(g) => Some(NONE),
            Operation::NotAbove if f == EMPTY => Some(EMPTY),
            _ => None,
        };
        if let Some(simple) = simple.or_else(|| self.known.get(&(operation as u32, f, g)).copied()) {
            results.push(simple);
            return;
        }
        let (a, b) = (self.nodes[f as usize], self.nodes[g as usize]);
        let level = a.level.min(b.level);
        steps.push(Step::Build(level, operation, f, g));
        match operation {
            _ if a.level < b.level => {
                steps.push(Step::Call(operation, a.without, g));
                // Of a union, the sets with the level are only here.
                steps.push(match operation {
                    Operation::Union => Step::Call(operation, a.with, NONE),
                    Operation::NotAbove => Step::Call(operation, a.with, g),
                });
            }
            Operation::Union if a.level > b.level => {
                steps.push(Step::Call(operation, f, b.without));
                steps.push(Step::Call(operation, NONE, b.with));
            }
            Operation::NotAbove if a.level > b.level => {
                // No set of the first has the level, so none contains a set that does.
                steps.push(Step::Call(operation, f, b.without));
                steps.push(Step::Call(operation, NONE, NONE));
            }
            Operation::Union => {
                steps.push(Step::Call(operation, a.without, b.without));
                steps.push(Step::Call(operation, a.with, b.with));
            }
            Operation::NotAbove => {
                steps.push(Step::Call(operation, a.without, b.without));
                steps.push(Step::Then(operation, b.without));
                steps.push(Step::Call(operation, a.with, b.with));
            }
        }
    }

    fn has_empty(&self, mut family: Family) -> bool {
        while family > EMPTY {
            family = self.nodes[family as usize].without;
        }
        family == EMPTY
    }

    /// How many sets there are of each size up to `order`.
    pub(super) fn counts(&self, family: Family, order: usize) -> Vec<f64> {
        let mut counts: Vec<Vec<f64>> = Vec::with_capacity(self.nodes.len());
        let constant = |one: f64| (0..=order).map(|size| if size == 0 { one } else { 0.0 }).collect();
        counts.push(constant(0.0));
        counts.push(constant(1.0));
        for node in &self.nodes[2..=(family.max(1) as usize)] {
            let with = |size: usize| if size == 0 { 0.0 } else { counts[node.with as usize][size - 1] };
            let sum = (0..=order).map(|size| counts[node.without as usize][size] + with(size)).collect();
            counts.push(sum);
        }
        counts.swap_remove(family as usize)
    }

    /// The sets of exactly this size, up to so many.
    pub(super) fn sets(&self, family: Family, size: usize, most: usize) -> Vec<Vec<u32>> {
        let mut sets = Vec::new();
        // A branch without a set of this size must not be walked into: there may be many of them.
        let mut pending = vec![(family, Vec::new())];
        let holds = self.sizes(family);
        let has = |family: Family, size: usize| size < 64 && holds[family as usize] >> size & 1 == 1;
        while let Some((family, set)) = pending.pop() {
            if sets.len() >= most {
                break;
            }
            if family == EMPTY && set.len() == size {
                sets.push(set);
                continue;
            }
            if family <= EMPTY || set.len() > size || !has(family, size - set.len()) {
                continue;
            }
            let node = self.nodes[family as usize];
            pending.push((node.without, set.clone()));
            let mut with = set;
            with.push(node.level);
            pending.push((node.with, with));
        }
        sets
    }

    /// For each family up to this one, the sizes of its sets below 64, as bits.
    fn sizes(&self, family: Family) -> Vec<u64> {
        let mut sizes = vec![0, 1];
        for node in &self.nodes[2..=(family.max(1) as usize)] {
            sizes.push(sizes[node.without as usize] | sizes[node.with as usize] << 1);
        }
        sizes
    }
}
