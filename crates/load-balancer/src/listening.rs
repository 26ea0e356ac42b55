//! The connections of one listening socket, counted from their first moment to their last.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::Notify;

use crate::count::ListenerCounts;
use crate::front::Front;
use crate::kit::Kit;
use crate::places::Crowd;
use crate::shared::Vitals;

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
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) closed: Notify,
}

impl Listening {
    pub(crate) fn new(address: SocketAddr, front: Rc<Front>, crowd: Arc<Crowd>) -> Self {
        Self { address, front: RefCell::new(front), crowd, closed: Notify::new() }
    }

    fn limit(&self) -> u32 {
        self.front.borrow().listener().connections
    }

    /// Waits until the listener is below its limit. Workers that see the last place at the same time all take it, so
    /// that there may be a connection too many for each of the others.
    pub(crate) async fn has_room(&self) {
        loop {
            let mut room = pin!(self.crowd.room.notified());
            room.as_mut().enable(); // before the look, so that a place freed meanwhile is not missed
            if self.crowd.open.load(Ordering::Acquire) < self.limit() {
                return;
            }
            room.await;
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
    /// Of retirement, in which it was accepted.
    round: u32,
    vitals: Arc<Vitals>,
    counts: Arc<ListenerCounts>,
}

impl Served {
    pub(crate) fn new(kit: Rc<Kit>, vitals: Arc<Vitals>, listening: Rc<Listening>) -> Self {
        listening.crowd.open.fetch_add(1, Ordering::AcqRel);
        vitals.connections.fetch_add(1, Ordering::Relaxed);
        let counts = listening.front.borrow().counts.clone();
        counts.accepted.add(1);
        counts.connections.add(1);
        Self { round: kit.retirement.round(), kit, listening, vitals, counts }
    }

    /// Whether its next reply is the last.
    pub(crate) fn is_retired(&self) -> bool {
        self.kit.retirement.includes(self.round)
    }

    /// Until when it may be quiet, if it is retired and has been quiet since `since`.
    pub(crate) fn retired_until(&self, since: Instant) -> Option<Instant> {
        self.kit.retirement.ends(self.round, since)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let open = self.listening.crowd.open.fetch_sub(1, Ordering::AcqRel);
        self.vitals.connections.fetch_sub(1, Ordering::Relaxed);
        self.counts.connections.sub(1);
        if open >= self.listening.limit() {
            self.listening.crowd.look_again();
        }
    }
}
