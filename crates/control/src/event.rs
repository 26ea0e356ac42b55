//! What changed, when and why: one line each.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// One change. Serialised as it stands in `/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with each event of one run of the daemon.
    pub sequence: u64,
    /// Microseconds since the Unix epoch, by the host's clock.
    pub at_us: u64,
    pub kind: Kind,
    /// What it happened to: `web/app1:8080`, `front/http-80`, `shop.toml`.
    pub subject: String,
    /// Why, for a person: `3 failures in a row: connection refused`.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A member's active checks brought it up.
    Up,
    /// A member's active checks took it down.
    Down,
    /// Traffic found a member broken.
    Ejected,
    /// Traffic found a member broken, but it stays in, since too much of the pool is out.
    Spared,
    /// An ejected member gets traffic again.
    Returned,
    /// The operator's wish changed: ready, draining or maintenance.
    Wish,
    /// A pool serves by another rule than before (too few healthy, or enough again).
    Serving,
    /// Requests wait for a pool, and none is answered.
    Hanging,
    /// A name resolved to another address, or no longer resolves.
    Address,
    /// A listener opened or closed.
    Listener,
    /// This host became the one that answers on a virtual address, or the primary of a database that serves.
    Taken,
    /// It ceased to be.
    Released,
    /// This host tries to take a database over, or to hand it over.
    Takeover,
    /// It can't, and what is missing.
    Refused,
    /// The hosts of whom some must hold each write of a database are others than before.
    Cohort,
    /// This host follows a primary, again or another one.
    Following,
    /// This host would take a virtual address over, or would not any more, or only if no other can.
    Standby,
    /// Something is wrong with a virtual address (two masters, a stranger that answers, nobody who does), or with a
    /// database (its server fails, somebody meddled).
    Conflict,
    /// The file was loaded again, or refused.
    Reload,
    /// The daemon started, drains or stops.
    Daemon,
}

impl Kind {
    pub const ALL: [Self; 20] = [
        Self::Up,
        Self::Down,
        Self::Ejected,
        Self::Spared,
        Self::Returned,
        Self::Wish,
        Self::Serving,
        Self::Hanging,
        Self::Address,
        Self::Listener,
        Self::Taken,
        Self::Released,
        Self::Takeover,
        Self::Refused,
        Self::Cohort,
        Self::Following,
        Self::Standby,
        Self::Conflict,
        Self::Reload,
        Self::Daemon,
    ];

    /// The word as it stands in `/events`, logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Spared => "spared",
            Self::Returned => "returned",
            Self::Wish => "wish",
            Self::Serving => "serving",
            Self::Hanging => "hanging",
            Self::Address => "address",
            Self::Listener => "listener",
            Self::Taken => "taken",
            Self::Released => "released",
            Self::Takeover => "takeover",
            Self::Refused => "refused",
            Self::Cohort => "cohort",
            Self::Following => "following",
            Self::Standby => "standby",
            Self::Conflict => "conflict",
            Self::Reload => "reload",
            Self::Daemon => "daemon",
        }
    }
}

/// The latest events, bounded: the oldest go first.
#[derive(Debug)]
pub struct EventLog {
    events: VecDeque<Event>,
    capacity: usize,
    next: u64,
    counts: BTreeMap<Kind, u64>,
}

impl EventLog {
    pub fn new(capacity: usize) -> Self {
        Self {
            events: VecDeque::with_capacity(capacity.min(1024)),
            capacity,
            next: 1,
            counts: BTreeMap::new(),
        }
    }

    pub fn push(&mut self, at_us: u64, kind: Kind, subject: String, why: String) -> &Event {
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        let event = Event { sequence: self.next, at_us, kind, subject, why };
        self.next += 1;
        *self.counts.entry(kind).or_default() += 1;
        self.events.push_back(event);
        &self.events[self.events.len() - 1]
    }

    /// Those after `sequence`, oldest first; all that are kept for 0.
    pub fn after(&self, sequence: u64) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.sequence > sequence)
    }

    /// The sequence of the latest event; 0 before the first.
    pub fn latest(&self) -> u64 {
        self.next - 1
    }

    /// Events ever, by kind, those that were dropped included.
    pub fn counts(&self) -> &BTreeMap<Kind, u64> {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_latest_and_counts_on() {
        let mut log = EventLog::new(2);
        for n in 0..5 {
            log.push(n, Kind::Up, format!("m{n}"), String::new());
        }
        let kept: Vec<u64> = log.after(0).map(|event| event.sequence).collect();
        assert_eq!(kept, [4, 5]);
        assert_eq!(log.after(4).count(), 1);
        assert_eq!(log.latest(), 5);
        assert_eq!(log.counts()[&Kind::Up], 5);
    }

    #[test]
    fn words_are_what_serde_writes() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }
}
