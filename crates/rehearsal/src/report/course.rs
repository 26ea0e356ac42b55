//! The course of a case: what happened when, from the fault on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Measured, ms, since, tenths};
use crate::record::Record;
use crate::timeline::{SLOW, Timeline};

/// Times are milliseconds from just before the fault on; negative: before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Course {
    /// When the fault was in.
    pub inflicted_ms: f64,
    /// When a host decided to take the database over.
    pub decided_ms: Option<f64>,
    /// When it was healed.
    pub healed_ms: f64,
    /// When the longest gap began.
    pub gap_at_ms: Option<f64>,
    /// The slowest good answers, or writes.
    pub slowest: Vec<SlowReport>,
    /// Of writes, where rows were written; else of requests.
    pub timeline: TimelineReport,
    /// Of requests, where rows were written as well.
    pub requests: Option<TimelineReport>,
    /// What the program's hosts said meanwhile, in order.
    pub events: Vec<Happened>,
    /// How many more there were.
    pub events_left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowReport {
    pub at_ms: f64,
    pub took_ms: f64,
}

/// How many ended how in each slot of time: requests in that of when they were due, writes in that of when they ended.
/// Lists end with the last slot that has something in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimelineReport {
    /// When the first slot begins.
    pub from_ms: f64,
    /// How long each is.
    pub slot_ms: f64,
    /// A good one that took so long is a slow one.
    pub slow_from_ms: f64,
    pub good: Vec<u32>,
    pub slow: Vec<u32>,
    /// By kind.
    pub failed: BTreeMap<String, Vec<u32>>,
    /// In each slot the longest that a good one took.
    pub longest_ms: Vec<f64>,
}

/// An event of one of the hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    pub at_ms: f64,
    pub kind: String,
    pub subject: String,
    pub why: String,
}

impl Course {
    pub(super) fn of(record: &Record, measured: &Measured) -> Self {
        let fault_at = measured.fault_at;
        let (gap_from, (timeline, slowest)) = match &measured.written {
            Some(written) => {
                let timeline = &written.record.timeline;
                (
                    Some(written.record.gap(written.ways).0),
                    (report(timeline, fault_at), slowest(timeline, fault_at)),
                )
            }
            None => {
                let timeline = &record.timeline;
                (record.gap_from, (report(timeline, fault_at), slowest(timeline, fault_at)))
            }
        };
        Self {
            inflicted_ms: ms(measured.inflicted),
            decided_ms: measured.decided.map(ms),
            healed_ms: ms(measured.healed),
            gap_at_ms: gap_from.map(|from| since(from, fault_at)),
            slowest,
            timeline,
            requests: (measured.written.is_some() && record.sent > 0)
                .then(|| report(&record.timeline, fault_at)),
            events: measured.events.clone(),
            events_left_out: measured.events_left_out,
        }
    }
}

fn slowest<K: Ord + Clone>(timeline: &Timeline<K>, fault_at: Instant) -> Vec<SlowReport> {
    let slowest = timeline.counts().slowest.iter();
    slowest.map(|slow| SlowReport { at_ms: since(slow.at, fault_at), took_ms: ms(slow.took) }).collect()
}

fn report<K: Ord + Clone + ToString>(timeline: &Timeline<K>, fault_at: Instant) -> TimelineReport {
    let counts = timeline.counts();
    let mut failed: BTreeMap<String, Vec<u32>> =
        counts.failed.iter().map(|(kind, slots)| (kind.to_string(), slots.clone())).collect();
    if !counts.others.is_empty() {
        failed.insert("others".to_owned(), counts.others.to_vec());
    }
    // Before the first one nothing was to be seen: writers log in first.
    let empty = |slots: &[u32]| slots.iter().position(|&count| count > 0).unwrap_or(usize::MAX);
    let first =
        failed.values().map(|slots| empty(slots)).chain([empty(counts.good), empty(counts.slow)]).min();
    let first = first.filter(|&first| first < usize::MAX).unwrap_or(0);
    let from = |slots: &[u32]| slots.get(first..).unwrap_or_default().to_vec();
    let skipped = timeline.slot() * u32::try_from(first).unwrap_or(0);
    TimelineReport {
        from_ms: since(timeline.start() + skipped, fault_at),
        slot_ms: ms(timeline.slot()),
        slow_from_ms: ms(SLOW),
        good: from(counts.good),
        slow: from(counts.slow),
        failed: failed.into_iter().map(|(kind, slots)| (kind, from(&slots))).collect(),
        longest_ms: counts
            .longest
            .iter()
            .skip(first)
            .map(|&us| tenths(Duration::from_micros(us.into()).as_secs_f64() * 1e3))
            .collect(),
    }
}
