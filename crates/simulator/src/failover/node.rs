//! What the world sees: each host is two nodes, its manager (`nines`) and its engine, which stand still and die together
//! or each by itself; one more is the store.

use std::time::Instant;

use super::engine::Engine;
use super::message::{Message, Note, Order};
use super::shell::Shell;
use super::store::Store;
use crate::{Doing, Input, Program};

#[derive(Debug)]
pub enum Node {
    Manager(Box<Shell>),
    Engine(Box<EngineNode>),
    Store(Box<StoreNode>),
}

/// So that what is inside stays inside.
#[derive(Debug)]
pub struct EngineNode(pub(super) Engine);

#[derive(Debug)]
pub struct StoreNode(pub(super) Store);

impl Program for Node {
    type Message = Message;
    type Order = Order;
    type Note = Note;

    fn start(&mut self, now: Instant, doing: &mut Doing<Self>) {
        match self {
            Self::Manager(shell) => shell.start(now, doing),
            Self::Engine(engine) => engine.0.start(doing),
            Self::Store(_) => {}
        }
    }

    fn crash(&mut self) {
        match self {
            Self::Manager(shell) => shell.crash(),
            Self::Engine(engine) => engine.0.crash(),
            Self::Store(_) => {}
        }
    }

    fn handle(&mut self, now: Instant, input: Input<Message, Order>, doing: &mut Doing<Self>) {
        match self {
            Self::Manager(shell) => shell.handle(now, input, doing),
            Self::Engine(engine) => engine.0.handle(now, input, doing),
            Self::Store(store) => store.0.handle(input, doing),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Manager(shell) => shell.deadline(),
            Self::Engine(_) | Self::Store(_) => None,
        }
    }
}
