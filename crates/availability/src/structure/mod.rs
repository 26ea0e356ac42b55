//! What a service needs, as a fault tree: basic events that fail, and gates over them.
//!
//! A block diagram is the same thing read the other way round: blocks in series are an "any of these failed", blocks in
//! parallel an "all of these failed". Only "at least so many of these" exists, for all of them; nothing is ever negated, so that a
//! repair never makes anything worse. What is shared is one node with several parents, and counts once.

mod bdd;
mod cuts;
mod exact;
mod order;
mod rounded;
mod zdd;

pub use cuts::CutSets;
pub use exact::{Analysis, Importance, Limits, TooLarge};

/// A basic event, or a gate, of the tree that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

/// A basic event of the tree that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub(crate) u32);

impl EventId {
    /// Its position: events are numbered in the order in which they were made.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Event(EventId),
    /// Fails when at least `need` of these have; never for more than there are, always for none.
    AtLeast {
        need: u32,
        of: Vec<NodeId>,
    },
}

/// A fault tree being built. Children come before their parents, so it has no cycles.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// The node of each event.
    events: Vec<NodeId>,
}

impl Tree {
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("memory ends before node numbers do"));
        self.nodes.push(node);
        id
    }

    /// Something that fails by itself.
    pub fn event(&mut self) -> NodeId {
        let event = EventId(self.events.len() as u32);
        let node = self.push(Node::Event(event));
        self.events.push(node);
        node
    }

    /// Fails when any of these has.
    pub fn any(&mut self, of: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.at_least(1, of)
    }

    /// Fails when all of these have: none are never all.
    pub fn all(&mut self, of: impl IntoIterator<Item = NodeId>) -> NodeId {
        let of: Vec<NodeId> = of.into_iter().collect();
        self.at_least(of.len().max(1), of)
    }

    /// Fails when at least `need` of these have. One that is named twice counts twice.
    pub fn at_least(&mut self, need: usize, of: impl IntoIterator<Item = NodeId>) -> NodeId {
        let of: Vec<NodeId> = of.into_iter().collect();
        assert!(of.iter().all(|id| id.index() < self.nodes.len()), "nodes belong to the tree that made them");
        if need == 1 && of.len() == 1 {
            return of[0];
        }
        self.push(Node::AtLeast { need: u32::try_from(need).unwrap_or(u32::MAX), of })
    }

    /// Serves as long as `needed` of these do.
    pub fn redundant(&mut self, needed: usize, of: impl IntoIterator<Item = NodeId>) -> NodeId {
        let of: Vec<NodeId> = of.into_iter().collect();
        // More needed than there are: it never serves.
        self.at_least((of.len() + 1).saturating_sub(needed), of)
    }

    /// How many basic events there are.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// The basic event that a node is, if it is one.
    pub fn event_of(&self, node: NodeId) -> Option<EventId> {
        match self.nodes[node.index()] {
            Node::Event(event) => Some(event),
            Node::AtLeast { .. } => None,
        }
    }

    pub fn node_of(&self, event: EventId) -> NodeId {
        self.events[event.index()]
    }

    /// Whether `top` has failed when these events have.
    pub fn fails(&self, top: NodeId, failed: impl Fn(EventId) -> bool) -> bool {
        self.evaluate(top, failed)[top.index()]
    }

    /// Which nodes up to `last` have failed when these events have.
    pub(crate) fn evaluate(&self, last: NodeId, failed: impl Fn(EventId) -> bool) -> Vec<bool> {
        let mut down: Vec<bool> = Vec::with_capacity(last.index() + 1);
        for node in &self.nodes[..=last.index()] {
            down.push(match node {
                Node::Event(event) => failed(*event),
                Node::AtLeast { need, of } => {
                    of.iter().filter(|child| down[child.index()]).count() >= *need as usize
                }
            });
        }
        down
    }

    pub(crate) fn children(&self, node: NodeId) -> &[NodeId] {
        match &self.nodes[node.index()] {
            Node::Event(_) => &[],
            Node::AtLeast { of, .. } => of,
        }
    }

    /// Which nodes `top` is made of, itself included.
    pub(crate) fn beneath(&self, tops: &[NodeId]) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        tops.iter().for_each(|top| reached[top.index()] = true);
        for at in (0..self.nodes.len()).rev() {
            if reached[at] {
                for child in self.children(NodeId(at as u32)) {
                    reached[child.index()] = true;
                }
            }
        }
        reached
    }
}

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests;
