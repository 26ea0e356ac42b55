//! What is made of all that was measured: windows, budget, outages, and the prediction beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::figures::in_words;
use super::{
    Budget, Burn, ByRequest, ByTime, DAY, History, Kind, Noted, Outage, Second, Series, Subject, Totals,
    WINDOWS, Worst, merge, outages, service, worst,
};
use crate::nines::{Availability, Objective};

/// The objective's window.
pub const OBJECTIVE_WINDOW: u64 = 30 * DAY;
/// Outages of a subject that are told; the latest. There may be more.
const OUTAGES: usize = 100;
/// A time shorter than this says little of a year.
const ENOUGH: u64 = 90 * DAY;

/// What one vantage hands out: `/measured`, a ledger, a part of `nines report --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// 1.
    pub version: u32,
    pub system: String,
    /// As a fraction, and as the file says it.
    pub objective: f64,
    pub objective_text: String,
    /// The second that it is.
    pub now: Second,
    /// By how many seconds `now` is ahead of the host's clock, which was set back.
    pub ahead: u64,
    /// The directory where it is kept; `None`: in memory alone.
    pub kept_in: Option<String>,
    /// Why it isn't, or what was lost of it.
    pub problems: Vec<String>,
    /// By subject, as it writes itself: what else an event can be about that tells of it.
    pub related: BTreeMap<String, Vec<String>>,
    pub history: History,
}

/// `nines report`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// 1.
    pub version: u32,
    pub system: String,
    pub objective: Availability,
    pub objective_text: String,
    pub made_at: Second,
    pub vantages: Vec<VantageReport>,
    /// All of it together, where there is more than one part.
    pub service: Option<SubjectReport>,
    pub subjects: Vec<SubjectReport>,
    pub comparison: Option<Comparison>,
    /// What all who know of a subject saw together, and of the whole. Not printed: others have what it was made of.
    #[serde(skip)]
    pub series: BTreeMap<Subject, Series>,
}

#[derive(Debug, Clone, Serialize)]
pub struct VantageReport {
    pub name: String,
    pub since: Option<Second>,
    pub until: Option<Second>,
    pub ahead: u64,
    pub kept_in: Option<String>,
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct SubjectReport {
    pub kind: Kind,
    pub name: String,
    pub vantages: Vec<String>,
    /// The first second of which anything is known.
    pub since: Second,
    pub windows: Vec<WindowReport>,
    pub worst: Vec<Worst>,
    pub budget: Budget,
    pub burn: Vec<Burn>,
    pub outages: Vec<Outage>,
    /// How many there were; the list has the latest.
    pub outage_count: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct WindowReport {
    /// `30d`.
    pub window: String,
    /// Its length; what was really looked at is no longer than what was measured.
    pub asked: u64,
    pub from: Second,
    pub to: Second,
    pub totals: Totals,
    pub by_time: Option<ByTime>,
    pub by_request: Option<ByRequest>,
    /// Down as seen by some and not by all; `None`: there is one vantage.
    pub by_time_of_some: Option<ByTime>,
}

/// The predicted figure beside the measured one.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// At worst, likely, best.
    pub predicted: [Availability; 3],
    pub measured: Availability,
    /// Seconds of which something is known.
    pub known: u64,
    pub down: u64,
    /// Seconds that the likely prediction would be down in so long a time.
    pub expected: f64,
    pub verdict: Verdict,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    TooShort,
    AsPredicted,
    Better,
    Worse,
}

impl Report {
    /// Of one or more vantages. `since`: nothing earlier counts. `predicted`: at worst, likely, best.
    pub fn of(
        all: &[Measured],
        since: Second,
        windows: &[(String, u64)],
        predicted: Option<[Availability; 3]>,
    ) -> Option<Self> {
        let first = all.first()?;
        let objective = Objective {
            target: Availability::from_fraction(first.objective),
            window: Duration::from_secs(OBJECTIVE_WINDOW),
        };
        let now = all.iter().map(|one| one.now).max()?;
        let seen = merge(all.iter().map(|one| &one.history));
        let mut events: Vec<(&str, &Noted)> = all
            .iter()
            .flat_map(|one| one.history.events().map(|event| (one.history.vantage.as_str(), event)))
            .collect();
        events.sort_by_key(|(_, event)| event.at_ms);
        let look = Looked { objective, since, now, windows, events };
        let mut related: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (subject, names) in all.iter().flat_map(|one| &one.related) {
            related.entry(subject).or_default().extend(names.iter().map(String::as_str));
        }
        let subjects: Vec<SubjectReport> = seen
            .iter()
            .filter_map(|(subject, seen)| {
                let names = related.get(subject.to_string().as_str()).cloned().unwrap_or_default();
                let some = (seen.vantages.len() > 1).then_some(&seen.by_some);
                look.subject(subject, &seen.by_all, some, &seen.vantages, &|name| {
                    names.iter().any(|of| tells(of, name))
                })
            })
            .collect();
        let whole = service(seen.iter().map(|(subject, seen)| (subject, &seen.by_all)));
        let vantages: Vec<String> = all.iter().map(|one| one.history.vantage.clone()).collect();
        let name = Subject::new(Kind::Service, first.system.clone());
        let service =
            whole.as_ref().and_then(|series| look.subject(&name, series, None, &vantages, &|_| true));
        let comparison =
            predicted.zip(service.as_ref()).and_then(|(predicted, of)| Comparison::of(predicted, of));
        Some(Self {
            version: 1,
            system: first.system.clone(),
            objective: objective.target,
            objective_text: first.objective_text.clone(),
            made_at: now,
            vantages: all.iter().map(VantageReport::of).collect(),
            service,
            subjects,
            comparison,
            series: seen
                .into_iter()
                .map(|(subject, seen)| (subject, seen.by_all))
                .chain(whole.map(|series| (name, series)))
                .collect(),
        })
    }
}

/// Whether an event about `name` tells of what is called `of`: it is it, or a part of it.
fn tells(of: &str, name: &str) -> bool {
    name.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl VantageReport {
    fn of(one: &Measured) -> Self {
        let span = one.history.span();
        Self {
            name: one.history.vantage.clone(),
            since: span.map(|(first, _)| first),
            until: span.map(|(_, last)| last),
            ahead: one.ahead,
            kept_in: one.kept_in.clone(),
            problems: one.problems.clone(),
        }
    }
}

/// What all subjects have in common.
struct Looked<'a> {
    objective: Objective,
    since: Second,
    now: Second,
    windows: &'a [(String, u64)],
    events: Vec<(&'a str, &'a Noted)>,
}

impl Looked<'_> {
    fn subject(
        &self,
        subject: &Subject,
        series: &Series,
        some: Option<&Series>,
        vantages: &[String],
        related: &dyn Fn(&str) -> bool,
    ) -> Option<SubjectReport> {
        let (first, last) = series.span()?;
        let since = first.max(self.since);
        // The second that is now has only begun.
        let now = self.now.max(last + 1);
        let window = |(name, asked): &(String, u64)| {
            let from = now.saturating_sub(*asked).max(since).min(now);
            let totals = series.totals(from, now);
            WindowReport {
                window: name.clone(),
                asked: *asked,
                from,
                to: now,
                totals,
                by_time: totals.by_time(),
                by_request: totals.by_request(),
                by_time_of_some: some.and_then(|some| some.totals(from, now).by_time()),
            }
        };
        let mut found = outages(subject, series, (since, now), &self.events, related);
        let outage_count = found.len();
        found.drain(..outage_count.saturating_sub(OUTAGES));
        let budget_from = now.saturating_sub(OBJECTIVE_WINDOW).max(since).min(now);
        Some(SubjectReport {
            kind: subject.kind,
            name: subject.name.clone(),
            vantages: vantages.to_vec(),
            since,
            windows: self.windows.iter().map(window).collect(),
            worst: worst(series, since, now),
            budget: Budget::of(&self.objective, &series.totals(budget_from, now)),
            burn: Burn::of(&self.objective, series, now),
            outages: found,
            outage_count,
        })
    }
}

impl SubjectReport {
    pub fn subject(&self) -> Subject {
        Subject::new(self.kind, self.name.clone())
    }
}

impl Comparison {
    /// With the longest window of what was measured.
    fn of(predicted: [Availability; 3], measured: &SubjectReport) -> Option<Self> {
        let window = measured.windows.iter().max_by_key(|window| window.asked)?;
        let by_time = window.by_time?;
        let (known, down) = (by_time.up + by_time.down, by_time.down);
        let [worst, likely, best] = predicted;
        let expected = likely.unavailability() * known as f64;
        let worst_year = worst.minutes_per_year() * 60.0;
        let figure = by_time.likely;
        let (verdict, why) = if down as f64 > worst_year {
            let why = format!(
                "worse than predicted even at its worst: that would be down for {:.0} min in a whole year, and {:.0} min are over already",
                worst.minutes_per_year(),
                down as f64 / 60.0
            );
            (Verdict::Worse, why)
        } else if known < ENOUGH {
            let why = format!(
                "too short to tell: {expected:.1} s down would be expected in so long a time, and what fails once in years does not show in days"
            );
            (Verdict::TooShort, why)
        } else if figure < worst {
            (Verdict::Worse, "worse than predicted: something fails that the file does not say, or more often than assumed".to_owned())
        } else if figure > best {
            (Verdict::Better, "better than predicted: what was assumed to fail did so less often".to_owned())
        } else {
            (Verdict::AsPredicted, "within what was predicted".to_owned())
        };
        let text = format!(
            "{} predicted (between {} and {}), {} measured over {}: {why}",
            likely.percent(1),
            worst.percent(1),
            best.percent(1),
            figure.percent(1),
            in_words(known),
        );
        Some(Self { predicted, measured: figure, known, down, expected, verdict, text })
    }
}

/// The windows that are reported where nobody asks for others.
pub fn usual_windows() -> Vec<(String, u64)> {
    WINDOWS.iter().map(|&(name, seconds)| (name.to_owned(), seconds)).collect()
}

#[cfg(test)]
mod tests;
