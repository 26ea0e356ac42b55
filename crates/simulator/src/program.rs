//! What a world asks of the thing that runs on its hosts.

use std::fmt::Display;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::HostIndex;

/// What runs on a host: a process, and what outlives it there (a disk, the kernel's addresses).
///
/// The process sees only its host's clock. Whatever has arrived is given to it before [`Input::Timer`] is.
pub trait Program {
    /// What goes over the network.
    type Message: Clone + Display + Hash;
    /// What the process is told by its surroundings, or by itself at a later time: a wish, an end of something slow.
    type Order: Clone + Display + Hash;
    /// What it does that others do not see at once.
    type Note: Clone + Display + Hash;

    /// A process begins, on what its forerunners left behind.
    fn start(&mut self, now: Instant, doing: &mut Doing<Self>);
    /// The process is gone without a word. What outlives it stays.
    fn crash(&mut self);
    fn handle(&mut self, now: Instant, input: Input<Self::Message, Self::Order>, doing: &mut Doing<Self>);
    /// When to be called again if nothing else happens.
    fn deadline(&self) -> Option<Instant>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<M, O> {
    Timer,
    Message { from: HostIndex, message: M },
    Order(O),
}

/// What a process wants done, in this order within each kind.
#[derive(Debug)]
pub struct Doing<P: Program + ?Sized> {
    pub(crate) sends: Vec<(Option<HostIndex>, P::Message)>,
    pub(crate) later: Vec<(Duration, P::Order)>,
    pub(crate) notes: Vec<P::Note>,
}

impl<P: Program + ?Sized> Default for Doing<P> {
    fn default() -> Self {
        Self { sends: Vec::new(), later: Vec::new(), notes: Vec::new() }
    }
}

impl<P: Program + ?Sized> Doing<P> {
    /// To every other host.
    pub fn broadcast(&mut self, message: P::Message) {
        self.sends.push((None, message));
    }

    /// To one host.
    pub fn send(&mut self, to: HostIndex, message: P::Message) {
        self.sends.push((Some(to), message));
    }

    /// The same process is given this order so much later, if it still lives.
    pub fn later(&mut self, after: Duration, order: P::Order) {
        self.later.push((after, order));
    }

    /// For the trace and for whoever checks.
    pub fn note(&mut self, note: P::Note) {
        self.notes.push(note);
    }
}
