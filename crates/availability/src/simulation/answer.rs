//! What simulated years say, all blocks together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Block;
use crate::bounds::{Interval, clopper_pearson};
use crate::nines::{Availability, MINUTES_PER_YEAR};
use crate::structure::EventId;

/// Simulated years, in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    pub years: usize,
    /// Minutes of downtime a year on average, and between which bounds that lies at 95 %.
    pub mean: Interval,
    /// Minutes of downtime in the median year, and in the worst of ten, twenty and a hundred.
    pub median: f64,
    pub worst_of_10: f64,
    pub worst_of_20: f64,
    pub worst_of_100: f64,
    pub worst: f64,
    /// The share of years without any.
    pub spotless: f64,
    pub outages_per_year: f64,
    /// Between which bounds that lies at 95 %, also where there was none: then no mean of minutes says anything.
    pub outages: Interval,
    /// In minutes.
    pub longest_outage: f64,
    /// Minutes a year that are lost in part, as such a part of them: they are in the mean and in every year, and are no outages.
    pub in_part: f64,
    /// The share of years that keep the objective, with its bounds at 95 %.
    pub kept: Interval,
    #[serde(skip)]
    pub causes: Vec<Cause>,
    pub events: u64,
}

/// What began outages together, or took a part of the requests along, and what that cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// Empty: all that were too many to tell apart.
    pub events: Vec<EventId>,
    pub in_part: bool,
    pub outages_per_year: f64,
    pub minutes_per_year: f64,
}

impl Answer {
    /// In whatever order the blocks come, the answer is the same to the last bit.
    pub fn of(mut blocks: Vec<Block>, objective: Availability) -> Self {
        blocks.sort_by_key(|block| block.number);
        let mut minutes: Vec<f64> = blocks.iter().flat_map(|block| block.minutes.iter().copied()).collect();
        let years = minutes.len();
        let n = years.max(1) as f64;
        let mean = minutes.iter().fold(0.0, |sum, year| sum + year) / n;
        let variance = minutes.iter().map(|year| (year - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let half = 1.96 * (variance / n).sqrt();
        minutes.sort_by(f64::total_cmp);
        // The smallest figure that at least this share of years does not exceed.
        let percentile = |share: f64| {
            let at = (share * n).ceil().max(1.0) as usize - 1;
            minutes.get(at.min(years.saturating_sub(1))).copied().unwrap_or(0.0)
        };
        let allowed = objective.minutes_per_year() * (1.0 + 1e-12);
        let broken = minutes.iter().filter(|&&year| year > allowed).count() as u64;
        let bounds = clopper_pearson(broken, years as u64, 0.95);
        let outages = blocks.iter().map(|block| block.outages).sum::<u64>();
        Self {
            years,
            mean: Interval { low: (mean - half).max(0.0), likely: mean, high: mean + half },
            median: percentile(0.5),
            worst_of_10: percentile(0.9),
            worst_of_20: percentile(0.95),
            worst_of_100: percentile(0.99),
            worst: minutes.last().copied().unwrap_or(0.0),
            spotless: minutes.iter().filter(|&&year| year == 0.0).count() as f64 / n,
            outages_per_year: outages as f64 / n,
            outages: clopper_pearson(outages, (n * MINUTES_PER_YEAR) as u64, 0.95)
                .map(|of_minutes| of_minutes * MINUTES_PER_YEAR),
            longest_outage: blocks.iter().map(|block| block.longest).fold(0.0, f64::max),
            in_part: blocks.iter().flat_map(|block| block.in_part.values()).fold(0.0, |sum, part| sum + part)
                / n,
            kept: Interval { low: 1.0 - bounds.high, likely: 1.0 - bounds.likely, high: 1.0 - bounds.low },
            causes: causes(&blocks, n),
            events: blocks.iter().map(|block| block.events).sum(),
        }
    }

    pub fn availability(&self) -> Availability {
        Availability::from_unavailability(self.mean.likely / MINUTES_PER_YEAR)
    }
}

/// What cost most comes first.
fn causes(blocks: &[Block], years: f64) -> Vec<Cause> {
    let mut all: BTreeMap<&[EventId], (u64, f64)> = BTreeMap::new();
    for (events, (outages, minutes)) in blocks.iter().flat_map(|block| &block.causes) {
        let entry = all.entry(events).or_default();
        entry.0 += outages;
        entry.1 += minutes;
    }
    let mut causes: Vec<Cause> = all
        .into_iter()
        .map(|(events, (outages, minutes))| Cause {
            events: events.to_vec(),
            in_part: false,
            outages_per_year: outages as f64 / years,
            minutes_per_year: minutes / years,
        })
        .collect();
    let mut in_part: BTreeMap<EventId, f64> = BTreeMap::new();
    for (event, minutes) in blocks.iter().flat_map(|block| &block.in_part) {
        *in_part.entry(*event).or_default() += minutes;
    }
    causes.extend(in_part.into_iter().map(|(event, minutes)| Cause {
        events: vec![event],
        in_part: true,
        outages_per_year: 0.0,
        minutes_per_year: minutes / years,
    }));
    causes.sort_by(|a, b| b.minutes_per_year.total_cmp(&a.minutes_per_year));
    causes
}
