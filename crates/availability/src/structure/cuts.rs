//! Minimal cut sets: what suffices to take a service down, with nothing in it that is not needed for that.

use super::EventId;
use super::bdd::{Bdd, FALSE, Ref, TRUE};
use super::exact::TooLarge;
use super::zdd::{EMPTY, Family, NONE, Zdd};

/// The minimal cut sets up to an order.
#[derive(Debug)]
pub struct CutSets {
    pub(super) zdd: Zdd,
    pub(super) family: Family,
    /// Which event each level of the diagram is.
    pub(super) events: Vec<EventId>,
    pub(super) order: usize,
}

impl CutSets {
    /// Up to how many events a set was looked for.
    pub fn order(&self) -> usize {
        self.order
    }

    /// How many sets there are of each size, from 0 to [`CutSets::order`]. As floating point: they can be very many.
    pub fn counts(&self) -> Vec<f64> {
        self.zdd.counts(self.family, self.order)
    }

    /// Only those of nothing but these events.
    ///
    /// # Errors
    /// Never more than there were, but the limits hold for both together.
    pub fn of_those(mut self, these: impl Fn(EventId) -> bool) -> Result<Self, TooLarge> {
        let level = |level: u32| these(self.events[level as usize]);
        self.family = self.zdd.of_those(self.family, level)?;
        Ok(self)
    }

    /// The smallest first, each sorted, and no more than `most`.
    pub fn list(&self, most: usize) -> Vec<Vec<EventId>> {
        let mut all = Vec::new();
        for size in 0..=self.order {
            let mut sets = self.of_size(size, most - all.len());
            all.append(&mut sets);
        }
        all
    }

    /// Those of exactly this size, sorted, and no more than `most`.
    pub fn of_size(&self, size: usize, most: usize) -> Vec<Vec<EventId>> {
        let sets = self.zdd.sets(self.family, size, most);
        let mut sets: Vec<Vec<EventId>> = sets
            .into_iter()
            .map(|set| {
                let mut set: Vec<EventId> =
                    set.into_iter().map(|level| self.events[level as usize]).collect();
                set.sort_unstable();
                set
            })
            .collect();
        sets.sort_unstable();
        sets
    }
}

/// The minimal cut sets of `top` with at most `order` events; without an order, all of them.
///
/// Of a function that only grows (`low` implies `high`), a minimal set with the event is a minimal set of `high` that contains none of
/// `low`'s. Sets that are too large are left out on the way, and can't be missed: what contains a set is larger than it.
pub(super) fn minimal(zdd: &mut Zdd, bdd: &Bdd, top: Ref, order: Option<usize>) -> Result<Family, TooLarge> {
    let mut reached = vec![false; top as usize + 1];
    reached[top as usize] = true;
    for at in (2..=top as usize).rev() {
        if reached[at] {
            let node = bdd.nodes[at];
            reached[node.low as usize] = true;
            reached[node.high as usize] = true;
        }
    }
    // cuts[node × width + size]: its sets of at most that size; one column if any size is wanted.
    let width = order.map_or(1, |order| order + 1);
    let mut cuts = vec![NONE; (top as usize + 1).max(2) * width];
    cuts[TRUE as usize * width..(TRUE as usize + 1) * width].fill(EMPTY);
    for at in (2..=top as usize).filter(|&at| reached[at]) {
        let node = bdd.nodes[at];
        for size in 0..width {
            let low = cuts[node.low as usize * width + size];
            let smaller = if order.is_none() { Some(0) } else { size.checked_sub(1) };
            cuts[at * width + size] = match smaller {
                None => low,
                Some(smaller) => {
                    let high = zdd.not_above(cuts[node.high as usize * width + smaller], low)?;
                    zdd.node(node.level, low, high)?
                }
            };
        }
    }
    Ok(cuts[top as usize * width + width - 1])
}

/// The function that fails when one of the sets with this level has failed.
pub(super) fn with_level(zdd: &mut Zdd, bdd: &mut Bdd, family: Family, level: u32) -> Result<Ref, TooLarge> {
    let mut holding = vec![NONE; family as usize + 1];
    for at in 2..=family as usize {
        let node = zdd.nodes[at];
        holding[at] = if node.level == level {
            zdd.node(level, NONE, node.with)?
        } else if node.level > level {
            NONE
        } else {
            let (without, with) = (holding[node.without as usize], holding[node.with as usize]);
            zdd.node(node.level, without, with)?
        };
    }
    let family = holding[family as usize];
    let mut functions = vec![FALSE, TRUE];
    for at in 2..=(family.max(1) as usize) {
        let node = zdd.nodes[at];
        functions.push(bdd.grown(
            node.level,
            functions[node.without as usize],
            functions[node.with as usize],
        )?);
    }
    Ok(functions[family as usize])
}
