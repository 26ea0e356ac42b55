//! Histories: transactions that append to lists and read them, while everything is broken at random, and whether what they
//! saw can have happened in a database that keeps its isolation.
//!
//! A list that is read whole tells the order of all that was appended to it, and so which transaction must have come
//! before which. If those orders, and that of the clock on the clients' wall, make a circle, something was lost, seen twice, or
//! never there. It is the method of Jepsen's Elle; the circles are searched by `adya`, which is not ours, and histories are
//! written in a form that Elle reads, for a third opinion. What needs no theory is checked here as well: what was
//! acknowledged is there in the end, what was refused is not, nothing is there twice.

mod appenders;
mod check;
mod random;

use serde::Serialize;
use serde_json::json;

pub use appenders::{AppendLoad, Appenders, Isolation, finish};
pub use check::{Findings, check};
pub(crate) use random::Random;

/// One thing that a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Append {
        key: i64,
        value: i64,
    },
    /// What was read; `None` while it isn't known.
    Read {
        key: i64,
        list: Option<Vec<i64>>,
    },
}

impl Step {
    pub fn key(&self) -> i64 {
        match self {
            Self::Append { key, .. } | Self::Read { key, .. } => *key,
        }
    }
}

/// What is known of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// It is about to begin.
    Invoke,
    /// It was committed.
    Ok,
    /// It was not, and never will be.
    Fail,
    /// It may have been.
    Info,
}

/// A line of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who: one after another, never two at one time. After an `Info` it is somebody else.
    pub process: i64,
    pub known: Known,
    pub steps: Vec<Step>,
    /// Nanoseconds since the beginning.
    pub at_ns: u64,
}

/// In the order in which it happened before the clients' eyes. It grows by some hundred bytes with each transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    pub entries: Vec<Entry>,
}

impl History {
    pub fn count(&self, known: Known) -> u64 {
        self.entries.iter().filter(|entry| entry.known == known).count() as u64
    }

    /// As `elle-cli` and `adya` read it: an object on each line.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let steps: Vec<_> = entry.steps.iter().map(step).collect();
            let line = json!({
                "index": index, "type": entry.known, "process": entry.process, "time": entry.at_ns,
                "f": "txn", "value": steps,
            });
            text.push_str(&line.to_string());
            text.push('\n');
        }
        text
    }
}

fn step(step: &Step) -> serde_json::Value {
    match step {
        Step::Append { key, value } => json!(["append", key, value]),
        Step::Read { key, list } => json!(["r", key, list]),
    }
}
