//! The connections of one listening socket, counted from their first moment to their last.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::count::ListenerCounts;
use crate::front::Front;
use crate::kit::Kit;

/// What others may see of a worker.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    /// Milliseconds since the data plane started, at the latest beat.
    pub(crate) beat_ms: AtomicU64,
    /// Client connections now.
    pub(crate) connections: AtomicU64,
    /// Sockets that may still accept one.
    pub(crate) open: AtomicU64,
}

/// A socket that may still accept a connection, counted while it may.
pub(crate) struct Open(Arc<Vitals>);

impl Open {
    pub(crate) fn new(vitals: Arc<Vitals>) -> Self {
        vitals.open.fetch_add(1, Ordering::Relaxed);
        Self(vitals)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // After the connections that it brought were counted.
        self.0.open.fetch_sub(1, Ordering::Release);
    }
}

/// One listening socket of this worker, and how its connections are served now.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) front: RefCell<Rc<Front>>,
    pub(crate) connections: Cell<u32>,
    /// A connection ended while the listener was at its limit.
    pub(crate) freed: Notify,
    pub(crate) closed: Notify,
}

impl Listening {
    pub(crate) fn new(address: SocketAddr, front: Rc<Front>) -> Self {
        Self {
            address,
            front: RefCell::new(front),
            connections: Cell::new(0),
            freed: Notify::new(),
            closed: Notify::new(),
        }
    }

    pub(crate) fn front(&self) -> Rc<Front> {
        self.front.borrow().clone()
    }
}

/// A client's connection while it is served: counted from its first moment to its last.
pub(crate) struct Served {
    pub(crate) kit: Rc<Kit>,
    pub(crate) listening: Rc<Listening>,
    vitals: Arc<Vitals>,
    counts: Arc<ListenerCounts>,
}

impl Served {
    pub(crate) fn new(kit: Rc<Kit>, vitals: Arc<Vitals>, listening: Rc<Listening>) -> Self {
        listening.connections.set(listening.connections.get() + 1);
        vitals.connections.fetch_add(1, Ordering::Relaxed);
        let counts = listening.front.borrow().counts.clone();
        counts.accepted.add(1);
        counts.connections.add(1);
        Self { kit, listening, vitals, counts }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.listening.connections.set(self.listening.connections.get() - 1);
        self.vitals.connections.fetch_sub(1, Ordering::Relaxed);
        self.counts.connections.sub(1);
        self.listening.freed.notify_one();
    }
}
