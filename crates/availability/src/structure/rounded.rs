//! Gates over children of many weights: too many sums to tell apart, so weights are counted in larger steps.
//!
//! Rounded one way a gate fails sooner than it should, and rounded the other way later: the truth is between both. And where what is
//! rounded off one child is given to the next, it fails nearly when it should.

use super::{Node, NodeId, Tree};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// A gate fails whenever it should, and perhaps sooner.
    Sooner,
    /// A gate fails only when it should, and perhaps not even then.
    Later,
    /// What is rounded off is given to the next child that stands in the same place.
    Evenly,
}

/// Children, each with how often it is named.
fn weights(of: &[NodeId]) -> Vec<(NodeId, usize)> {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|one, other| one == other).map(|alike| (alike[0], alike.len())).collect()
}

/// The size of the table by which a gate is worked out.
fn cells(need: u32, weights: &[(NodeId, usize)]) -> usize {
    (need as usize).saturating_mul(weights.len())
}

impl Tree {
    /// The largest table of any gate that names a child more than once.
    pub(super) fn most_cells(&self) -> usize {
        let of = |node: &Node| match node {
            Node::AtLeast { need, of } => {
                let weights = weights(of);
                if weights.len() == of.len() { 0 } else { cells(*need, &weights) }
            }
            Node::Event(_) => 0,
        };
        self.nodes.iter().map(of).max().unwrap_or(0)
    }

    /// The same tree with gates whose tables are no larger than `most`, where weights are why they are.
    pub(super) fn rounded(&self, most: usize, round: Round) -> Self {
        let mut tree = self.clone();
        for node in &mut tree.nodes {
            let Node::AtLeast { need, of } = node else { continue };
            let mut weights = weights(of);
            if weights.len() == of.len() || cells(*need, &weights) <= most {
                continue;
            }
            let step = cells(*need, &weights).div_ceil(most.max(1));
            let wide = u32::try_from(step).unwrap_or(u32::MAX);
            *need = match round {
                // Sums of weights that are rounded up are at least the sum of weights in steps, rounded up.
                Round::Sooner | Round::Later => need.div_ceil(wide),
                Round::Evenly => need.saturating_add(wide / 2) / wide,
            };
            *need = (*need).max(1);
            weights.sort_by_cached_key(|(child, _)| (self.children(*child).to_vec(), *child));
            let mut carried = step / 2;
            let mut steps = |weight: usize| match round {
                Round::Sooner => weight.div_ceil(step),
                Round::Later => weight / step,
                Round::Evenly => {
                    let sum = carried + weight;
                    carried = sum % step;
                    sum / step
                }
            };
            *of = weights
                .iter()
                .flat_map(|&(child, weight)| std::iter::repeat_n(child, steps(weight)))
                .collect();
        }
        tree
    }
}
