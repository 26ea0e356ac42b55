//! What changed goes to three places at once: the log, the events that are kept, and whoever waits for one.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use nines_control::event::{Event, EventLog, Kind};
use tokio::sync::watch;

/// Events kept for `/events`.
const KEPT: usize = 10_000;

pub(crate) struct Journal {
    events: EventLog,
    latest: watch::Sender<u64>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { events: EventLog::new(KEPT), latest: watch::Sender::new(0) }
    }

    pub(crate) fn note(&mut self, kind: Kind, subject: String, why: String) {
        match kind {
            Kind::Down
            | Kind::Ejected
            | Kind::Spared
            | Kind::Serving
            | Kind::Hanging
            | Kind::Conflict
            | Kind::Refused => {
                self.warn(kind, subject, why);
            }
            _ => {
                tracing::info!(kind = %kind.word(), %subject, "{why}");
                self.keep(kind, subject, why);
            }
        }
    }

    /// Of a kind that is not always bad, and now is.
    pub(crate) fn warn(&mut self, kind: Kind, subject: String, why: String) {
        tracing::warn!(kind = %kind.word(), %subject, "{why}");
        self.keep(kind, subject, why);
    }

    fn keep(&mut self, kind: Kind, subject: String, why: String) {
        let sequence = self.events.push(now_us(), kind, subject, why).sequence;
        self.latest.send_replace(sequence);
    }

    pub(crate) fn after(&self, sequence: u64) -> Vec<Event> {
        self.events.after(sequence).cloned().collect()
    }

    pub(crate) fn counts(&self) -> &BTreeMap<Kind, u64> {
        self.events.counts()
    }

    /// The sequence of the latest event, as it changes.
    pub(crate) fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

/// Microseconds since the Unix epoch, by the host's clock.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
