//! Limits that hold over all workers: how many connections a listener may have at one time, how many requests a pool
//! and each member, and the bounded queue in front of them. Only what has a limit pays for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Things in use at one time.
#[derive(Debug, Default)]
pub(crate) struct InUse(AtomicU32);

impl InUse {
    /// One more, unless `limit` are in use already. Without a limit nothing is counted.
    pub(crate) fn take(&self, limit: Option<u32>) -> bool {
        match limit {
            None => true,
            Some(limit) => self
                .0
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| (used < limit).then_some(used + 1))
                .is_ok(),
        }
    }

    pub(crate) fn is_full(&self, limit: Option<u32>) -> bool {
        limit.is_some_and(|limit| self.0.load(Ordering::Acquire) >= limit)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// Gives back what [`InUse::take`] took under a limit.
    pub(crate) fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The client connections of one listener, over all workers: the kernel spreads them unevenly.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) open: AtomicU32,
    /// There may be room again: a connection ended while there was none, or the limit has changed.
    pub(crate) room: Notify,
}

impl Crowd {
    pub(crate) fn look_again(&self) {
        self.room.notify_waiters();
    }
}

/// The places of one pool.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) pool: InUse,
    pub(crate) queue: InUse,
    /// A place became free while somebody waits.
    pub(crate) freed: Notify,
    members: Mutex<BTreeMap<String, Arc<InUse>>>,
}

impl Places {
    pub(crate) fn member(&self, name: &str) -> Arc<InUse> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.entry(name.to_owned()).or_default().clone()
    }
}

/// The places of every pool, by name, so that they survive a reload.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<BTreeMap<String, Arc<Places>>>);

impl Registry {
    pub(crate) fn pool(&self, name: &str) -> Arc<Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_passed_and_no_limit_counts_nothing() {
        let places = InUse::default();
        assert!(places.take(Some(2)) && places.take(Some(2)));
        assert!(!places.take(Some(2)) && places.is_full(Some(2)));
        places.give_back();
        assert!(places.take(Some(2)));
        assert!(places.take(None) && !places.is_full(None));
    }
}
