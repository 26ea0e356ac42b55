//! Which connections were sent a CancelRequest: one that comes while a commit waits for standbys has PostgreSQL acknowledge it
//! unconfirmed, with a warning that the session may have turned off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By what BackendKeyData says (process and key), which a CancelRequest repeats.
#[derive(Debug, Default)]
pub(crate) struct Cancels(Mutex<HashMap<Vec<u8>, Arc<Mark>>>);

/// On one connection.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// It waits for an answer.
    asks: AtomicBool,
    cancelled: AtomicBool,
}

/// A connection that can be cancelled, until it is dropped.
pub(crate) struct Listed {
    key: Vec<u8>,
    mark: Arc<Mark>,
    cancels: Arc<Cancels>,
}

impl Cancels {
    /// To be called before the request goes on, so that what PostgreSQL says after it is judged by it.
    pub(crate) fn cancel(&self, key: &[u8]) {
        if let Some(mark) = self.marks().get(key)
            && mark.asks.load(SeqCst)
        {
            mark.cancelled.store(true, SeqCst);
        }
    }

    pub(crate) fn list(self: &Arc<Self>, key: Vec<u8>) -> Listed {
        let mark = Arc::<Mark>::default();
        self.marks().insert(key.clone(), mark.clone());
        Listed { key, mark, cancels: self.clone() }
    }

    fn marks(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Arc<Mark>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    pub(crate) fn asks(&self, asks: bool) {
        if self.mark.asks.load(SeqCst) != asks {
            self.mark.asks.store(asks, SeqCst);
        }
    }

    /// Whether what it asks for was cancelled since it was looked at last.
    pub(crate) fn take(&self) -> bool {
        self.mark.cancelled.load(SeqCst) && self.mark.cancelled.swap(false, SeqCst)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut marks = self.cancels.marks();
        // Another connection may have been given the same key since.
        if marks.get(&self.key).is_some_and(|mark| Arc::ptr_eq(mark, &self.mark)) {
            marks.remove(&self.key);
        }
    }
}
