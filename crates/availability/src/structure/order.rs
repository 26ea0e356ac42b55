//! In which order a decision diagram asks for events. A good order keeps together what is decided together.

use super::{EventId, Node, NodeId, Tree};

/// How many events name a node for sorting: what its siblings share is among the first of them.
const KEY: usize = 6;

/// Events beneath `top`, in the order of a walk that goes through siblings by what they share: a zone, then the hosts in it,
/// then the next zone. So a diagram need not remember the zones of members that it has counted already.
pub(super) fn by_walk(tree: &Tree, tops: &[NodeId]) -> Vec<EventId> {
    let beneath = tree.beneath(tops);
    let parents = parents(tree, &beneath);
    let rank = |node: NodeId| (std::cmp::Reverse(parents[node.index()]), node);
    // Each node by those of its events that are shared most.
    let mut keys: Vec<Vec<NodeId>> = vec![Vec::new(); tree.nodes.len()];
    // Each gate's children in the order of the walk.
    let mut sorted: Vec<Vec<NodeId>> = vec![Vec::new(); tree.nodes.len()];
    for at in (0..tree.nodes.len()).filter(|&at| beneath[at]) {
        match &tree.nodes[at] {
            Node::Event(_) => keys[at] = vec![NodeId(at as u32)],
            Node::AtLeast { of, .. } => {
                let mut children = of.clone();
                children.sort_by_cached_key(|child| {
                    keys[child.index()].iter().map(|&k| rank(k)).collect::<Vec<_>>()
                });
                let mut key: Vec<NodeId> =
                    children.iter().flat_map(|child| keys[child.index()].iter().copied()).collect();
                key.sort_by_key(|&node| rank(node));
                key.dedup();
                key.truncate(KEY);
                keys[at] = key;
                sorted[at] = children;
            }
        }
    }
    walk(tree, tops, &sorted)
}

/// How many gates among these nodes have each as a child.
pub(super) fn parents(tree: &Tree, beneath: &[bool]) -> Vec<u32> {
    let mut parents = vec![0; tree.nodes.len()];
    for at in (0..tree.nodes.len()).filter(|&at| beneath[at]) {
        for child in tree.children(NodeId(at as u32)) {
            parents[child.index()] += 1;
        }
    }
    parents
}

fn walk(tree: &Tree, tops: &[NodeId], sorted: &[Vec<NodeId>]) -> Vec<EventId> {
    let mut events = Vec::new();
    let mut seen = vec![false; tree.nodes.len()];
    let mut pending: Vec<NodeId> = tops.iter().rev().copied().collect();
    while let Some(node) = pending.pop() {
        if std::mem::replace(&mut seen[node.index()], true) {
            continue;
        }
        events.extend(tree.event_of(node));
        pending.extend(sorted[node.index()].iter().rev());
    }
    events
}

/// The other order: everything beneath a zone together, whichever part of the service it belongs to. In it each part's
/// own diagram is small however many zones there are; that of all parts together need not be.
pub(super) fn by_company(tree: &Tree, tops: &[NodeId]) -> Vec<EventId> {
    let beneath = tree.beneath(tops);
    let parents = parents(tree, &beneath);
    let rank = |node: NodeId| (std::cmp::Reverse(parents[node.index()]), node);
    // Each event after those that fail the same things and more besides: a host after its zone.
    let mut company: Vec<Vec<NodeId>> = vec![Vec::new(); tree.nodes.len()];
    for at in (0..tree.nodes.len()).filter(|&at| beneath[at]) {
        let Node::AtLeast { need: 1, of } = &tree.nodes[at] else { continue };
        let mut events: Vec<NodeId> =
            of.iter().copied().filter(|&child| tree.event_of(child).is_some()).collect();
        events.sort_by_key(|&event| rank(event));
        for (place, event) in events.iter().enumerate().take(KEY) {
            if place > company[event.index()].len() {
                company[event.index()] = events[..place].to_vec();
            }
        }
    }
    let mut events: Vec<NodeId> =
        (0..tree.nodes.len()).filter(|&at| beneath[at]).map(|at| NodeId(at as u32)).collect();
    events.retain(|&node| tree.event_of(node).is_some());
    events.sort_by_cached_key(|&event| {
        company[event.index()].iter().chain([&event]).map(|&node| rank(node)).collect::<Vec<_>>()
    });
    events.into_iter().filter_map(|node| tree.event_of(node)).collect()
}
