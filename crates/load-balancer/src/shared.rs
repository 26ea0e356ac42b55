//! What crosses threads in the data plane: what all workers share, and what others may see of each.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nines_control::traffic::Traffic;
use nines_control::view::MemberKey;
use tokio::sync::mpsc;

use crate::access_log::Logs;
use crate::count::Counts;
use crate::places::Registry;
use crate::quiet::Groups;

/// What all workers share; nothing here is locked on a request's way.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) counts: Counts,
    pub(crate) places: Registry,
    pub(crate) reports: mpsc::Sender<(MemberKey, Traffic)>,
    pub(crate) access_logs: Logs,
    pub(crate) groups: Arc<Groups>,
}

/// What others may see of a worker.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    /// Milliseconds since the data plane started, at the latest beat.
    pub(crate) beat_ms: AtomicU64,
    /// Beats so far, and those that came late.
    pub(crate) beats: AtomicU64,
    pub(crate) late: AtomicU64,
    /// Client connections now.
    pub(crate) connections: AtomicU64,
    /// Sockets that may still accept one.
    pub(crate) open: AtomicU64,
}
