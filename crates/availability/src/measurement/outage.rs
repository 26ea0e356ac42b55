//! Outages: from when to when, and what happened meanwhile.

use serde::Serialize;

use super::{HOUR, MINUTE, Noted, Second, Series, State, Subject};

/// Times of being down that are closer than this are one outage.
pub const JOINED: u64 = 30;
/// Events this long before an outage may be its reason, and this long after it belong to it.
const AROUND: u64 = 15;
/// Moments that an outage tells; the others are in the events.
const MOMENTS: usize = 20;

/// A time in which something was down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outage {
    pub subject: Subject,
    /// Its first second, and the first after its last.
    pub from: Second,
    pub to: Second,
    /// Seconds of it that were down; the others were up in between, or unknown.
    pub down: u64,
    pub unknown: u64,
    /// Nothing was known of the second before: it may have begun earlier.
    pub began_unseen: bool,
    /// Nothing was known of the second after: it may have gone on.
    pub ended_unseen: bool,
    /// It goes on.
    pub lasts: bool,
    /// Requests that failed in its minutes.
    pub failed: u64,
    pub timeline: Vec<Moment>,
    /// In words, from the first event that can be the reason.
    pub cause: Option<String>,
}

/// The stages of an outage, as far as events tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Milestone {
    /// Something noticed.
    Detected,
    /// Somebody was to take over.
    Decided,
    /// It became the one that serves.
    Promoted,
    /// Traffic goes there.
    Rerouted,
    /// The first second that was up again, whether somebody asked in it or not.
    UpAgain,
    /// What else happened.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    pub at_ms: u64,
    /// Where it was noted.
    pub vantage: String,
    pub what: Milestone,
    pub kind: String,
    pub subject: String,
    pub why: String,
}

/// Those that begin in `from..to`, in their order. `events`: of each vantage. `related`: what else tells of the subject: a listener's
/// pools, a load balancer's addresses.
pub fn outages<'a>(
    subject: &Subject,
    series: &Series,
    (from, to): (Second, Second),
    events: &[(&'a str, &'a Noted)],
    related: &dyn Fn(&str) -> bool,
) -> Vec<Outage> {
    let mut found: Vec<Outage> = Vec::new();
    for (begin, end) in down(series, from, to) {
        match found.last_mut().filter(|last| begin - last.to < JOINED) {
            Some(last) => last.to = end,
            None => found.push(Outage {
                subject: subject.clone(),
                from: begin,
                to: end,
                down: 0,
                unknown: 0,
                began_unseen: false,
                ended_unseen: false,
                lasts: false,
                failed: 0,
                timeline: Vec::new(),
                cause: None,
            }),
        }
    }
    for outage in &mut found {
        let within = series.totals(outage.from, outage.to);
        (outage.down, outage.unknown) = (within.down, within.unknown());
        let minutes = outage.from / MINUTE..outage.to.div_ceil(MINUTE);
        outage.failed =
            series.minutes(minutes).fold(0, |sum: u64, (_, minute)| sum.saturating_add(minute.bad));
        outage.began_unseen = series.state(outage.from.saturating_sub(1)) == State::Unknown;
        outage.lasts = outage.to >= to;
        outage.ended_unseen = !outage.lasts && series.state(outage.to) == State::Unknown;
        tell(outage, series, events, related);
    }
    found
}

/// Each run of seconds that were down.
fn down(series: &Series, from: Second, to: Second) -> Vec<(Second, Second)> {
    let mut runs: Vec<(Second, Second)> = Vec::new();
    for (number, minute) in series.minutes(from / MINUTE..to.div_ceil(MINUTE)) {
        let begin = number * MINUTE;
        let mut mask =
            minute.part(from.saturating_sub(begin), to.saturating_sub(begin).min(MINUTE)).down_mask();
        while mask != 0 {
            let first = u64::from(mask.trailing_zeros());
            let long = u64::from((mask >> first).trailing_ones());
            mask &= !(((1 << long) - 1) << first);
            let (first, end) = (begin + first, begin + first + long);
            match runs.last_mut().filter(|last| last.1 == first) {
                Some(last) => last.1 = end,
                None => runs.push((first, end)),
            }
        }
    }
    runs
}

fn tell(outage: &mut Outage, series: &Series, events: &[(&str, &Noted)], related: &dyn Fn(&str) -> bool) {
    let (begin, end) = (outage.from.saturating_sub(AROUND) * 1000, (outage.to + AROUND) * 1000);
    let mut timeline: Vec<Moment> = events
        .iter()
        .filter(|(_, event)| (begin..end).contains(&event.at_ms))
        .filter(|(_, event)| event.subject == outage.subject.name || related(&event.subject))
        .map(|(vantage, event)| Moment {
            at_ms: event.at_ms,
            vantage: (*vantage).to_owned(),
            what: milestone(&event.kind, &event.why),
            kind: event.kind.clone(),
            subject: event.subject.clone(),
            why: event.why.clone(),
        })
        .collect();
    // What went well before it has nothing to do with it.
    let good = |what| matches!(what, Milestone::Rerouted | Milestone::Promoted);
    timeline.retain(|moment| moment.at_ms >= outage.from * 1000 || !good(moment.what));
    timeline.sort_by_key(|moment| moment.at_ms);
    timeline.truncate(MOMENTS);
    let reason = timeline.iter().find(|moment| moment.what == Milestone::Detected);
    // That a daemon starts takes nothing away.
    let ends = |moment: &&Moment| moment.kind == "daemon" && !moment.why.starts_with("started ");
    let reason = reason.or(timeline.iter().find(|moment| ends(moment) || moment.kind == "wish"));
    outage.cause = reason.map(|moment| format!("{}: {}", moment.subject, moment.why));
    let up_again =
        series.minutes(outage.to / MINUTE..(outage.to + HOUR) / MINUTE).find_map(|(number, minute)| {
            let seconds = number * MINUTE..(number + 1) * MINUTE;
            seconds.filter(|&second| second >= outage.to).find(|&second| minute.state(second) == State::Up)
        });
    if let Some(second) = up_again {
        let moment = Moment {
            at_ms: second * 1000,
            vantage: String::new(),
            what: Milestone::UpAgain,
            kind: "up".to_owned(),
            subject: outage.subject.name.clone(),
            why: "the first second that is up again".to_owned(),
        };
        let place = timeline.partition_point(|other| other.at_ms <= moment.at_ms);
        timeline.insert(place, moment);
    }
    outage.timeline = timeline;
}

/// By the words of the daemon's events.
fn milestone(kind: &str, why: &str) -> Milestone {
    // Of who serves: that too few do, or that there is somebody again.
    let serves_again = || {
        let again = [": healthy members serve", ": backups serve"];
        again.iter().any(|end| why.ends_with(end)) || why.contains(" is the primary of term ")
    };
    match kind {
        "serving" if serves_again() => Milestone::Rerouted,
        "down" | "ejected" | "spared" | "hanging" | "conflict" | "serving" => Milestone::Detected,
        "takeover" | "refused" => Milestone::Decided,
        "taken" => Milestone::Promoted,
        "returned" | "up" | "following" | "listener" => Milestone::Rerouted,
        _ => Milestone::Other,
    }
}
