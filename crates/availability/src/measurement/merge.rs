//! What several vantages saw, laid on one another second by second.

use std::collections::BTreeMap;

use super::{History, Kind, Minute, Series, Subject};

/// A subject as all who know of it see it together.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Down where everyone who knows says so: up at some vantage is up.
    pub by_all: Series,
    /// Down where anyone says so.
    pub by_some: Series,
    /// Who knows anything of it.
    pub vantages: Vec<String>,
}

/// A second is unknown only if no vantage knows. Each vantage has its own requests, so these add up.
pub fn merge<'a>(histories: impl IntoIterator<Item = &'a History>) -> BTreeMap<Subject, Seen> {
    let mut all: BTreeMap<Subject, Vec<(&str, &Series)>> = BTreeMap::new();
    for history in histories {
        for (subject, series) in history.subjects() {
            all.entry(subject.clone()).or_default().push((&history.vantage, series));
        }
    }
    let seen = |(subject, seen): (Subject, Vec<(&str, &Series)>)| {
        let vantages = seen.iter().map(|(vantage, _)| (*vantage).to_owned()).collect();
        let series: Vec<&Series> = seen.into_iter().map(|(_, series)| series).collect();
        let (by_all, by_some) = match series[..] {
            [only] => (only.clone(), only.clone()),
            _ => (
                combine(&series, |up, down| (up, down & !up)),
                combine(&series, |up, down| (up & !down, down)),
            ),
        };
        (subject, Seen { by_all, by_some, vantages })
    };
    all.into_iter().map(seen).collect()
}

/// `decide`: from the seconds that some call up and that some call down, those that are.
fn combine(all: &[&Series], decide: impl Fn(u64, u64) -> (u64, u64)) -> Series {
    let mut out = Series::default();
    for (number, minutes) in side_by_side(all) {
        let mut of = Minute::default();
        minutes.iter().flatten().for_each(|one| of.count(one.good, one.bad));
        let any = |mask: fn(&Minute) -> u64| minutes.iter().flatten().fold(0, |sum, one| sum | mask(one));
        let (up, down) = decide(any(Minute::up_mask), any(Minute::down_mask));
        out.put(number, Minute::new(up, down, of.good, of.bad));
    }
    out
}

/// Each minute of which somebody knows something, with what each knows.
fn side_by_side<'a>(all: &'a [&Series]) -> impl Iterator<Item = (u64, Vec<Option<Minute>>)> + 'a {
    let mut next: Vec<_> = all.iter().map(|series| series.minutes(0..u64::MAX / 2).peekable()).collect();
    std::iter::from_fn(move || {
        let number = next.iter_mut().filter_map(|of| of.peek().map(|(number, _)| *number)).min()?;
        let minutes =
            next.iter_mut().map(|of| of.next_if(|(other, _)| *other == number).map(|(_, minute)| minute));
        Some((number, minutes.collect()))
    })
}

/// The whole, second by second: down where a listener, a database or a page that is asked for from outside is; up where all of
/// the ones or all of the others are up; else unknown. Requests are those of the listeners and gates; a prober's are its own.
pub fn service<'a>(all: impl Iterator<Item = (&'a Subject, &'a Series)>) -> Option<Series> {
    let parts: Vec<(bool, &Series)> = all
        .filter(|(subject, _)| matches!(subject.kind, Kind::Listener | Kind::Database | Kind::Url))
        .map(|(subject, series)| (subject.kind == Kind::Url, series))
        .collect();
    if parts.is_empty() {
        return None;
    }
    let series: Vec<&Series> = parts.iter().map(|(_, series)| *series).collect();
    let mut out = Series::default();
    for (number, minutes) in side_by_side(&series) {
        let of = |outside: bool| parts.iter().zip(&minutes).filter(move |((is, _), _)| *is == outside);
        let up = |outside: bool| {
            let masks = of(outside).map(|(_, minute)| minute.map_or(0, |minute| minute.up_mask()));
            masks.reduce(|sum, one| sum & one).unwrap_or(0)
        };
        let down = minutes.iter().flatten().fold(0, |sum, minute| sum | minute.down_mask());
        let count = |of_one: fn(&Minute) -> u64| {
            of(false).filter_map(|(_, minute)| minute.as_ref().map(of_one)).fold(0, u64::saturating_add)
        };
        let (good, bad) = (count(|minute| minute.good), count(|minute| minute.bad));
        out.put(number, Minute::new(up(false) | up(true), down, good, bad));
    }
    Some(out)
}
