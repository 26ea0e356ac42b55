//! All that one vantage has measured, and what happened meanwhile that may explain it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{DAY, Day, Second, Series, State, Subject, Tick};

/// How much a history may grow: what is older, or more, goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub days: u64,
    /// Of all series together.
    pub bytes: usize,
    pub events: usize,
    pub subjects: usize,
}

impl Default for Limits {
    /// 400 days of three dozen subjects under load, and of many more that are idle.
    fn default() -> Self {
        Self { days: 400, bytes: 64 << 20, events: 4_000, subjects: 1_000 }
    }
}

/// Characters of an event's reason that are kept.
const WHY: usize = 300;

/// Something that happened, as an event of the daemon's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Milliseconds since 1970, by the axis.
    pub at_ms: u64,
    /// The word of its kind: `down`, `serving`.
    pub kind: String,
    pub subject: String,
    pub why: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Who measured: a host's name, or what a prober calls itself.
    pub vantage: String,
    #[serde(with = "by_name")]
    series: BTreeMap<Subject, Series>,
    events: VecDeque<Noted>,
    #[serde(skip)]
    limits: Limits,
}

impl History {
    pub fn new(vantage: impl Into<String>, limits: Limits) -> Self {
        Self { vantage: vantage.into(), limits, ..Self::default() }
    }

    /// What is known of a subject for the seconds that a look speaks for.
    pub fn record(&mut self, subject: &Subject, tick: &Tick, state: State, good: u64, bad: u64) {
        let Some(series) = self.entry(subject) else { return };
        for second in tick.from..=tick.to {
            series.record(second, state);
        }
        series.count(tick.to, good, bad);
    }

    /// Of the seconds `from..to` those that somebody looked at were down after all: it was known late. How many were taken for up.
    pub fn correct(&mut self, subject: &Subject, from: Second, to: Second) -> u64 {
        self.series.get_mut(subject).map_or(0, |series| series.correct(from, to))
    }

    pub fn put_minute(&mut self, subject: &Subject, number: u64, minute: super::Minute) {
        if let Some(series) = self.entry(subject) {
            series.put(number, minute);
        }
    }

    pub fn put_day(&mut self, subject: &Subject, number: u64, day: &Day) {
        if let Some(series) = self.entry(subject) {
            series.put_day(number, day);
        }
    }

    fn entry(&mut self, subject: &Subject) -> Option<&mut Series> {
        if self.series.len() >= self.limits.subjects && !self.series.contains_key(subject) {
            return None;
        }
        Some(self.series.entry(subject.clone()).or_default())
    }

    pub fn note(&mut self, mut event: Noted) {
        if let Some((end, _)) = event.why.char_indices().nth(WHY) {
            event.why.truncate(end);
        }
        while self.events.len() >= self.limits.events.max(1) {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub fn series(&self, subject: &Subject) -> Option<&Series> {
        self.series.get(subject)
    }

    pub fn subjects(&self) -> impl Iterator<Item = (&Subject, &Series)> {
        self.series.iter()
    }

    pub fn events(&self) -> impl Iterator<Item = &Noted> {
        self.events.iter()
    }

    /// The first and the last second of which anything is known.
    pub fn span(&self) -> Option<(Second, Second)> {
        let spans = self.series.values().filter_map(Series::span);
        spans
            .reduce(|(first, last), (other_first, other_last)| (first.min(other_first), last.max(other_last)))
    }

    /// The first and the last second in which anything was looked at, known or not.
    pub fn presence(&self) -> Option<(Second, Second)> {
        let spans = self.series.values().filter_map(Series::presence);
        spans
            .reduce(|(first, last), (other_first, other_last)| (first.min(other_first), last.max(other_last)))
    }

    pub fn bytes(&self) -> usize {
        self.series.values().map(Series::bytes).sum()
    }

    /// Lets go what is more than the limits allow, by whole days; names the first day that is still there if any went. Days are counted
    /// that were measured, and not by what the clock says now: it may be wrong by years.
    pub fn trim(&mut self, now: Second) -> Option<u64> {
        let oldest = |history: &Self| history.presence().map(|(first, _)| first / DAY);
        let mut went = None;
        let days: std::collections::BTreeSet<u64> =
            self.series.values().flat_map(Series::day_numbers).collect();
        let most = usize::try_from(self.limits.days).unwrap_or(usize::MAX).saturating_add(1);
        if let Some(&first) =
            days.len().checked_sub(most).filter(|&place| place > 0).and_then(|place| days.iter().nth(place))
        {
            self.cut(first, Second::MAX);
            went = Some(first);
        }
        while self.bytes() > self.limits.bytes {
            let Some(day) = oldest(self).filter(|&day| day < now / DAY) else { break };
            let first = day + 1;
            self.cut(first, Second::MAX);
            went = Some(first);
        }
        went
    }

    /// Nothing stays that is called `to` or later.
    pub fn forget_from(&mut self, to: Second) {
        self.cut(0, to);
        self.events.retain(|event| event.at_ms < to.saturating_mul(1000));
    }

    fn cut(&mut self, first_day: u64, to: Second) {
        self.series.values_mut().for_each(|series| series.cut(first_day, to));
        self.series.retain(|_, series| series.presence().is_some());
    }

    /// Only what is at least as late as this, in whole days: for those who don't need all.
    pub fn since(&self, from: Second) -> Self {
        let mut later = self.clone();
        later.cut(from / DAY, Second::MAX);
        later.events.retain(|event| event.at_ms / 1000 >= from / DAY * DAY);
        later
    }
}

/// In JSON a subject is one word of text.
mod by_name {
    use std::collections::BTreeMap;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::measurement::{Series, Subject};

    pub(super) fn serialize<S: Serializer>(
        all: &BTreeMap<Subject, Series>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(all.iter().map(|(subject, series)| (subject.to_string(), series)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Subject, Series>, D::Error> {
        let all = BTreeMap::<String, Series>::deserialize(from)?;
        all.into_iter().map(|(name, series)| Ok((name.parse().map_err(D::Error::custom)?, series))).collect()
    }
}
