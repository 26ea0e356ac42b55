//! What several vantages saw, laid on one another second by second.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{History, Kind, Minute, Series, Subject};

/// All seconds of a minute.
const ALL: u64 = (1 << super::MINUTE) - 1;
/// Minutes of silence, in all, for which a vantage's parts are taken to be there: as long as anything is kept.
const SILENT: u64 = 400 * 1440;

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
    let histories: Vec<&History> = histories.into_iter().collect();
    let mut all: BTreeMap<Subject, Vec<(&str, Cow<'_, Series>)>> = BTreeMap::new();
    let last = histories.iter().filter_map(|history| history.presence()).map(|(_, last)| last).max();
    for history in &histories {
        let mut silent = match last {
            Some(last) if histories.len() > 1 => silences(history, last / super::MINUTE),
            _ => BTreeMap::new(),
        };
        for (subject, series) in history.subjects() {
            let series = silent.remove(subject).map_or(Cow::Borrowed(series), Cow::Owned);
            all.entry(subject.clone()).or_default().push((&history.vantage, series));
        }
    }
    let seen = |(subject, seen): (Subject, Vec<(&str, Cow<'_, Series>)>)| {
        let vantages = seen.iter().map(|(vantage, _)| (*vantage).to_owned()).collect();
        let series: Vec<&Series> = seen.iter().map(|(_, series)| &**series).collect();
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

/// Where a vantage says nothing at all, it did not look: what it looked at last is there still, for all that is known. What it stopped
/// looking at while it looked at others was taken away. Those of the parts of the whole, with their seconds up to the minute `last`.
fn silences(history: &History, last: u64) -> BTreeMap<&Subject, Series> {
    let parts: Vec<(&Subject, &Series)> =
        history.subjects().filter(|(subject, _)| is_part(subject.kind)).collect();
    // Pools tell whether somebody looked, too.
    let rest = history.subjects().filter(|(subject, _)| !is_part(subject.kind)).map(|(_, series)| series);
    let all: Vec<&Series> = parts.iter().map(|(_, series)| *series).chain(rest).collect();
    let mut out = vec![Series::default(); parts.len()];
    let mut there = vec![false; parts.len()];
    let mut next = None;
    let mut left = SILENT;
    let mut whole = |out: &mut [Series], there: &[bool], minutes: std::ops::Range<u64>| {
        for number in minutes {
            if left == 0 {
                return;
            }
            left -= 1;
            for (series, _) in out.iter_mut().zip(there).filter(|(_, there)| **there) {
                series.put(number, Minute::default().with_unsure(ALL));
            }
        }
    };
    for (number, minutes) in side_by_side(&all) {
        whole(&mut out, &there, next.unwrap_or(number)..number);
        next = Some(number + 1);
        let mask = |minute: &Option<Minute>| minute.map_or(0, |minute| minute.there_mask());
        let looked = minutes.iter().fold(0, |sum, minute| sum | mask(minute));
        for ((series, there), minute) in out.iter_mut().zip(&mut there).zip(&minutes) {
            let known = mask(minute);
            let mut silent = 0;
            for bit in (0..super::MINUTE).map(|second| 1 << second) {
                *there = if looked & bit == 0 { *there } else { known & bit != 0 };
                silent |= if looked & bit == 0 && *there { bit } else { 0 };
            }
            let minute = minute.unwrap_or_default();
            let minute = minute.with_unsure(minute.there_mask() | silent);
            if !minute.is_empty() {
                series.put(number, minute);
            }
        }
    }
    whole(&mut out, &there, next.unwrap_or(last + 1)..last + 1);
    parts.into_iter().map(|(subject, _)| subject).zip(out).collect()
}

/// `decide`: from the seconds that some call up and that some call down, those that are.
fn combine(all: &[&Series], decide: impl Fn(u64, u64) -> (u64, u64)) -> Series {
    let mut out = Series::default();
    for (number, minutes) in side_by_side(all) {
        let mut of = Minute::default();
        minutes.iter().flatten().for_each(|one| of.count(one.good, one.bad));
        let any = |mask: fn(&Minute) -> u64| minutes.iter().flatten().fold(0, |sum, one| sum | mask(one));
        let (up, down) = decide(any(Minute::up_mask), any(Minute::down_mask));
        let there = any(Minute::there_mask);
        out.put(number, Minute::new(up, down, of.good, of.bad).with_unsure(there));
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
/// the ones or all of the others are up; else unknown. A part counts in those seconds in which it was there: one that is added or
/// taken away changes nothing of the time before and after. Requests are those of the listeners and gates; a prober's are its own.
pub fn service<'a>(all: impl Iterator<Item = (&'a Subject, &'a Series)>) -> Option<Series> {
    let parts: Vec<(bool, &Series)> = all
        .filter(|(subject, _)| is_part(subject.kind))
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
            of(outside).filter_map(|(_, minute)| minute.as_ref()).fold((ALL, 0), |(up, there), minute| {
                (up & (minute.up_mask() | !minute.there_mask()), there | minute.there_mask())
            })
        };
        let both = |(up, there): (u64, u64)| up & there;
        let down = minutes.iter().flatten().fold(0, |sum, minute| sum | minute.down_mask());
        let count = |of_one: fn(&Minute) -> u64| {
            of(false).filter_map(|(_, minute)| minute.as_ref().map(of_one)).fold(0, u64::saturating_add)
        };
        let (good, bad) = (count(|minute| minute.good), count(|minute| minute.bad));
        out.put(number, Minute::new(both(up(false)) | both(up(true)), down, good, bad));
    }
    Some(out)
}

fn is_part(kind: Kind) -> bool {
    matches!(kind, Kind::Listener | Kind::Database | Kind::Url)
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Second, State, Tick};
    use super::*;

    const BEGIN: Second = 1_795_000_000;

    /// What a vantage says of each of its parts, second by second: `u`, `d`, `?` who looked and can't tell, `.` nobody looked.
    fn saw(vantage: &str, parts: &[(Kind, &str, &str)]) -> History {
        let mut history = History::new(vantage, Limits::default());
        for (kind, name, seconds) in parts {
            for (second, what) in (BEGIN..).zip(seconds.chars()) {
                let state = match what {
                    'u' => State::Up,
                    'd' => State::Down,
                    '?' => State::Unknown,
                    _ => continue,
                };
                let tick = Tick { from: second, to: second, step: None };
                history.record(&Subject::new(*kind, *name), &tick, state, 0, 0);
            }
        }
        history
    }

    fn whole(histories: &[History], seconds: u64) -> String {
        let seen = merge(histories);
        let whole = service(seen.iter().map(|(subject, seen)| (subject, &seen.by_all))).unwrap();
        let states = (BEGIN..BEGIN + seconds).map(|second| whole.state(second));
        states
            .map(|state| {
                ["u", "d", "?"]
                    [[State::Up, State::Down, State::Unknown].iter().position(|one| *one == state).unwrap()]
            })
            .collect()
    }

    use Kind::{Database, Listener};

    #[test]
    fn a_part_that_is_added_or_taken_away_changes_no_other_time() {
        let old = (Listener, "a", "uuuduuuuuuuu");
        let alone = whole(&[saw("lb1", &[old])], 12);
        assert_eq!(alone, "uuuduuuuuuuu");
        for other in ["......uuuuuu", "uuuuuu......", "...uuu......", "............"] {
            assert_eq!(whole(&[saw("lb1", &[old, (Listener, "b", other)])], 12), alone, "{other}");
        }
        // Renamed, and back again; and for a hundred minutes.
        let named = [(Listener, "a", "uuuu....duuu"), (Listener, "b", "....uudu....")];
        assert_eq!(whole(&[saw("lb1", &named)], 12), "uuuuuududuuu");
        let long = ["u".repeat(6_000), format!("{}{}", "u".repeat(70), ".".repeat(5_930))];
        let parts = [(Listener, "a", long[0].as_str()), (Listener, "b", long[1].as_str())];
        assert_eq!(whole(&[saw("lb1", &parts)], 6_000), long[0]);
        // Another vantage, that saw only the old one, does not bring it back.
        let other = saw("lb2", &[(Listener, "a", long[0].as_str())]);
        assert_eq!(whole(&[saw("lb1", &parts), other], 6_000), long[0]);
    }

    #[test]
    fn a_part_that_is_there_and_of_which_nobody_knows_leaves_the_whole_unknown() {
        let parts = [(Listener, "a", "uuuuuu"), (Database, "b", "uu??du")];
        assert_eq!(whole(&[saw("h1", &parts)], 6), "uu??du");
        // The host that knew the database is silent, first for a while and then for good.
        let listener = "u".repeat(300);
        let database = format!("{}{}{}", "u".repeat(10), ".".repeat(90), "u".repeat(50));
        let hosts = [saw("lb1", &[(Listener, "a", &listener)]), saw("db1", &[(Database, "b", &database)])];
        let wanted = format!("{}{}{}{}", "u".repeat(10), "?".repeat(90), "u".repeat(50), "?".repeat(150));
        assert_eq!(whole(&hosts, 300), wanted);
    }
}
