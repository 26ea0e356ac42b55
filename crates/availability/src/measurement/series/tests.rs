//! What a series says, beside a log of every second.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::measurement::{History, Kind, Limits, Subject, Tick};
use crate::measurement::{Worst, merge, outages, service, worst};

/// Everything, a line each second. The slow and sure way.
#[derive(Debug, Clone, Default)]
struct Log {
    states: BTreeMap<Second, State>,
    /// Where somebody looked.
    there: std::collections::BTreeSet<Second>,
    requests: Vec<(Second, u64, u64)>,
}

impl Log {
    fn totals(&self, from: Second, to: Second) -> Totals {
        let of =
            |state: State| self.states.range(from..to).filter(|(_, other)| **other == state).count() as u64;
        let minute = |second: Second| second / 60 * 60..second / 60 * 60 + 60;
        let in_part = |second: Second| from < to && minute(second).start < to && from < minute(second).end;
        let inside = || self.requests.iter().filter(|(second, ..)| in_part(*second));
        Totals {
            seconds: to - from,
            up: of(State::Up),
            down: of(State::Down),
            good: inside().map(|(_, good, _)| good).sum(),
            bad: inside().map(|(_, _, bad)| bad).sum(),
        }
    }

    fn state(&self, second: Second) -> State {
        self.states.get(&second).copied().unwrap_or(State::Unknown)
    }
}

/// A stretch of seconds alike, with requests in each or none, and how long nobody looked before it.
#[derive(Debug, Clone)]
struct Stretch {
    gap: u64,
    long: u64,
    state: State,
    good: u64,
    bad: u64,
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![4 => Just(State::Up), 2 => Just(State::Down), 1 => Just(State::Unknown)]
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let gap = prop_oneof![6 => Just(0u64), 2 => 1..200u64, 1 => 3_000..200_000u64];
    let long = prop_oneof![1..5u64, 1..150u64, 200..5_000u64];
    (gap, long, state(), prop_oneof![Just(0u64), 0..2_000u64], prop_oneof![4 => Just(0u64), 1 => 0..50u64])
        .prop_map(|(gap, long, state, good, bad)| Stretch { gap, long, state, good, bad })
}

fn history() -> impl Strategy<Value = Vec<Stretch>> {
    prop::collection::vec(stretch(), 1..25)
}

/// Late in a day, so that days change.
const BEGIN: Second = 20_000 * DAY + 80_000;

fn measured(history: &[Stretch]) -> (Series, Log) {
    let (mut series, mut log) = (Series::default(), Log::default());
    let mut now = BEGIN;
    for of in history {
        now += of.gap;
        for second in now..now + of.long {
            series.record(second, of.state);
            series.count(second, of.good, of.bad);
            log.there.insert(second);
            if of.state != State::Unknown {
                log.states.insert(second, of.state);
            }
            log.requests.push((second, of.good, of.bad));
        }
        now += of.long;
    }
    (series, log)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_window_says_what_the_log_says(history in history(), places in prop::collection::vec((0..400_000u64, 0..400_000u64), 8)) {
        let (series, log) = measured(&history);
        for (one, other) in places {
            let (from, to) = (BEGIN - 1000 + one.min(other), BEGIN - 1000 + one.max(other));
            prop_assert_eq!(series.totals(from, to), log.totals(from, to));
        }
        for (&second, &state) in log.states.iter().step_by(97) {
            prop_assert_eq!(series.state(second), state);
        }
    }

    #[test]
    fn a_series_is_the_same_after_it_was_written_and_read(history in history()) {
        let (series, _) = measured(&history);
        let mut read = Series::default();
        for (number, day) in series.days() {
            let bytes = day.bytes().to_vec();
            let again = Day::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&again, &day);
            read.put_day(number, &again);
        }
        let all = |series: &Series| series.minutes(0..u64::MAX / DAY).collect::<Vec<_>>();
        prop_assert_eq!(all(&series), all(&read));
        prop_assert_eq!(series.span(), read.span());
        let json = serde_json::to_string(&series).unwrap();
        let told: Series = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(all(&series), all(&told));
    }

    /// It is cut short, changed, or nonsense: an answer comes, never a panic, and what is read is a day.
    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), history in history(), flip in any::<prop::sample::Index>(), bit in 0..8u32) {
        let (series, _) = measured(&history);
        let mut damaged = series.days().next().map(|(_, day)| day.bytes().to_vec()).unwrap_or_default();
        if !damaged.is_empty() {
            let at = flip.index(damaged.len());
            damaged[at] ^= 1 << bit;
        }
        for bytes in [bytes, damaged] {
            if let Ok(day) = Day::from_bytes(&bytes) {
                prop_assert!(day.minutes().all(|(minute, _)| minute < MINUTES));
                prop_assert!(day.totals.up + day.totals.down <= DAY);
            }
        }
    }

    #[test]
    fn worst_windows_are_those_of_all_that_there_are(history in prop::collection::vec(stretch().prop_map(|of| Stretch { gap: of.gap % 300, long: of.long % 600 + 1, ..of }), 1..8)) {
        let (series, log) = measured(&history);
        let Some((first, last)) = series.span() else { return Ok(()) };
        let (from, to) = (first, last + 1);
        for Worst { seconds, by_time, by_request } in worst(&series, from, to) {
            // Each window that begins with a minute and lies in the range.
            let begin = from.div_ceil(60);
            let last = to.div_ceil(60).saturating_sub(seconds / 60).max(begin);
            let all: Vec<(Second, Totals)> = (begin..=last).map(|minute| {
                let from = minute * 60;
                // What lies beyond the range does not count.
                (from, Totals { seconds, ..log.totals(from.max(begin * 60), (from + seconds).min(to.div_ceil(60) * 60)) })
            }).collect();
            let most = all.iter().map(|(_, of)| of.down).max().unwrap_or(0);
            let first = all.iter().find(|(_, of)| of.down == most && most > 0);
            prop_assert_eq!(by_time, first.copied());
            let share = |of: &Totals| of.bad as f64 / (of.good + of.bad).max(1) as f64;
            let highest = all.iter().map(|(_, of)| share(of)).fold(0.0, f64::max);
            prop_assert_eq!(by_request.map_or(0.0, |(_, of)| share(&of)), highest);
            if let Some((from, of)) = by_request {
                prop_assert!(all.contains(&(from, of)));
            }
        }
    }

    #[test]
    fn outages_are_the_runs_of_the_log(history in history()) {
        let (series, log) = measured(&history);
        let Some((_, last)) = series.span() else { return Ok(()) };
        let subject = Subject::new(Kind::Pool, "web");
        let found = outages(&subject, &series, (BEGIN, last + 1), &[], &|_| false);
        let down: Vec<Second> = log.states.iter().filter(|(_, state)| **state == State::Down).map(|(second, _)| *second).collect();
        // Every second that was down is in just one of them, they begin and end with one, and they are apart.
        prop_assert_eq!(found.iter().map(|outage| outage.down).sum::<u64>(), down.len() as u64);
        for outage in &found {
            prop_assert_eq!(log.state(outage.from), State::Down);
            prop_assert_eq!(log.state(outage.to - 1), State::Down);
            prop_assert_eq!(outage.began_unseen, log.state(outage.from - 1) == State::Unknown);
            let unknown = (outage.from..outage.to).filter(|&second| log.state(second) == State::Unknown).count();
            prop_assert_eq!(outage.unknown, unknown as u64);
        }
        for pair in found.windows(2) {
            prop_assert!(pair[1].from - pair[0].to >= crate::measurement::JOINED);
        }
        for pair in down.windows(2) {
            let together = found.iter().any(|outage| outage.from <= pair[0] && pair[1] < outage.to);
            prop_assert_eq!(together, pair[1] - pair[0] - 1 < crate::measurement::JOINED);
        }
    }

    #[test]
    fn what_several_saw_is_laid_on_one_another_second_by_second(one in history(), other in history(), third in history()) {
        let subject = Subject::new(Kind::Listener, "front/http-80");
        let seen: Vec<(Series, Log)> = [one, other, third].iter().map(|history| measured(history)).collect();
        let histories: Vec<History> = seen.iter().enumerate().map(|(n, (series, _))| {
            let mut history = History::new(format!("lb{n}"), Limits::default());
            series.days().for_each(|(number, day)| history.put_day(&subject, number, &day));
            history
        }).collect();
        let merged = merge(&histories);
        let Some(merged) = merged.get(&subject) else { return Ok(()) };
        let ends = seen.iter().filter_map(|(series, _)| series.span()).map(|(_, last)| last).max().unwrap_or(BEGIN);
        for second in (BEGIN - 5..ends + 5).step_by(7) {
            let said: Vec<State> = seen.iter().map(|(_, log)| log.state(second)).filter(|state| *state != State::Unknown).collect();
            let all = if said.is_empty() { State::Unknown } else if said.contains(&State::Up) { State::Up } else { State::Down };
            let some = if said.is_empty() { State::Unknown } else if said.contains(&State::Down) { State::Down } else { State::Up };
            prop_assert_eq!(merged.by_all.state(second), all);
            prop_assert_eq!(merged.by_some.state(second), some);
        }
        let good = |series: &Series| series.totals(BEGIN - 100, ends + 100).good;
        prop_assert_eq!(good(&merged.by_all), seen.iter().map(|(series, _)| good(series)).sum::<u64>());
    }

    #[test]
    fn the_whole_is_down_with_any_part_and_up_with_all(one in history(), other in history(), outside in history()) {
        let subjects = [Subject::new(Kind::Listener, "a"), Subject::new(Kind::Database, "b"), Subject::new(Kind::Url, "c")];
        let seen: Vec<(Series, Log)> = [one, other, outside].iter().map(|history| measured(history)).collect();
        let whole = service(subjects.iter().zip(seen.iter().map(|(series, _)| series))).unwrap();
        let ends = seen.iter().filter_map(|(series, _)| series.span()).map(|(_, last)| last).max().unwrap_or(BEGIN);
        for second in (BEGIN..ends + 5).step_by(11) {
            // A part counts where somebody looked at it.
            let parts = [0, 1, 2].map(|n| seen[n].1.there.contains(&second).then(|| seen[n].1.state(second)));
            let all_up = |parts: &[Option<State>]| {
                let mut there = parts.iter().flatten().peekable();
                there.peek().is_some() && there.all(|state| *state == State::Up)
            };
            let wanted = if parts.contains(&Some(State::Down)) {
                State::Down
            } else if all_up(&parts[..2]) || all_up(&parts[2..]) {
                State::Up
            } else {
                State::Unknown
            };
            prop_assert_eq!(whole.state(second), wanted);
        }
    }

    /// What is too old, or too much, goes by whole days and takes nothing else with it.
    #[test]
    fn a_history_stays_within_its_limits(history in history(), days in 0..4u64, bytes in 0..3_000usize) {
        let (series, log) = measured(&history);
        let Some((_, last)) = series.span() else { return Ok(()) };
        let subject = Subject::new(Kind::Pool, "web");
        let mut kept = History::new("lb1", Limits { days, bytes, ..Limits::default() });
        series.days().for_each(|(number, day)| kept.put_day(&subject, number, &day));
        let went = kept.trim(last);
        let from = went.map_or(0, |day| day * DAY);
        let left = kept.series(&subject).map(|series| series.totals(BEGIN, last + 1)).unwrap_or_default();
        let wanted = log.totals(from.max(BEGIN).min(last + 1), last + 1);
        prop_assert_eq!((left.up, left.down), (wanted.up, wanted.down));
        prop_assert!(kept.bytes() <= bytes || kept.span().is_none_or(|(first, _)| first / DAY == last / DAY));
        let left: std::collections::BTreeSet<u64> = kept.subjects().flat_map(|(_, series)| series.day_numbers()).collect();
        prop_assert!(left.len() as u64 <= days + 1);
        prop_assert!(went.is_none() || left.len() as u64 == days + 1 || bytes < series.bytes(), "no more than has to");
    }

    #[test]
    fn what_is_called_later_than_now_can_be_forgotten(history in history(), place in 0..100_000u64) {
        let (series, log) = measured(&history);
        let subject = Subject::new(Kind::Pool, "web");
        let mut kept = History::new("lb1", Limits::default());
        series.days().for_each(|(number, day)| kept.put_day(&subject, number, &day));
        let to = BEGIN + place;
        kept.forget_from(to);
        prop_assert!(kept.span().is_none_or(|(_, last)| last < to));
        let left = kept.series(&subject).map(|series| series.totals(BEGIN, to)).unwrap_or_default();
        let wanted = log.totals(BEGIN, to);
        prop_assert_eq!((left.up, left.down), (wanted.up, wanted.down));
        // And measuring goes on from there.
        kept.record(&subject, &Tick { from: to, to, step: None }, State::Up, 1, 0);
        prop_assert_eq!(kept.series(&subject).map(|series| series.state(to)), Some(State::Up));
    }
}

/// A minute with requests alone speaks for all of its seconds, also those that are to go.
#[test]
fn requests_of_a_minute_that_is_cut_do_not_reach_beyond_the_cut() {
    let mut series = Series::default();
    series.record(BEGIN, State::Up);
    series.count(BEGIN + 120, 1, 0);
    series.cut(0, BEGIN + 121);
    assert_eq!(series.span(), Some((BEGIN, BEGIN)));
}

/// 400 days of a subject under heavy load, and of one that nobody asks.
#[test]
fn what_a_subject_costs_is_as_the_documentation_says() {
    let (mut busy, mut idle, mut awful) = (Series::default(), Series::default(), Series::default());
    for minute in 0..400 * MINUTES {
        // Ten thousand requests a second, never the same number.
        busy.put(minute, Minute::all_up(600_000 + minute % 977));
        idle.put(minute, Minute::all_up(0));
        awful.put(
            minute,
            Minute::new(0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa, minute << 20, minute << 21),
        );
    }
    let all = [busy.bytes(), idle.bytes(), awful.bytes()];
    assert!(all[0] < 2_400_000 && all[1] < 62_000 && all[2] < 18_000_000, "{all:?}");
}

#[test]
fn what_is_corrected_was_down_where_somebody_looked() {
    let midnight = 20_000 * DAY;
    let mut series = Series::default();
    (midnight - 70..midnight - 5).for_each(|second| series.record(second, State::Up));
    (midnight - 5..midnight).for_each(|second| series.record(second, State::Unknown));
    // For three seconds nobody looks.
    (midnight + 3..midnight + 10).for_each(|second| series.record(second, State::Up));
    series.count(midnight - 60, 7, 1);
    assert_eq!(series.correct(midnight - 65, midnight + 5), 62);
    let totals = series.totals(midnight - 70, midnight + 10);
    assert_eq!((totals.up, totals.down, totals.unknown()), (5 + 5, 60 + 5 + 2, 3));
    assert_eq!((totals.good, totals.bad), (7, 1));
    assert_eq!(series.state(midnight + 1), State::Unknown);
    assert_eq!(series.correct(midnight + 5, midnight + 5), 0);
    assert_eq!(series.correct(midnight - 65, midnight + 5), 0);
}
