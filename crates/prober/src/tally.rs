//! What came of asking one target: counts, seconds, outages. Pure: time comes in.
//!
//! Answers come in any order, and slow ones late. They are laid down in the order in which they were due, once all that were due earlier
//! are known.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use hdrhistogram::Histogram;
use nines_availability::measurement::{JOINED, Second, State};

use crate::outcome::{Asked, Failure, Outcome};

/// Longer answers count as this long in the percentiles.
const LONGEST_US: u64 = 60_000_000;
/// Outages that are kept; the latest.
const OUTAGES: usize = 100;
/// Distinct addresses and reasons that are counted: they come from elsewhere.
const ADDRESSES: usize = 64;
const REASONS: usize = 32;
/// Good answers for so long are told as an end: who fails now and then does not fill everybody's screen and events.
const STEADY: Duration = Duration::from_secs(3);
/// For longer than this nobody speaks who asked once.
const SPEAKS: u64 = 60;

/// What is known for good of the seconds `from..=to`, and what was asked in the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    pub from: Second,
    pub to: Second,
    pub state: State,
    pub good: u64,
    pub bad: u64,
}

/// What has become certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Seconds(Settled),
    /// An outage has begun.
    Down(Outage),
    /// It is over.
    Up(Outage),
}

/// A time in which what was asked failed; with less than [`JOINED`] seconds of good answers in between it is one, as in reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// When the first that failed was due, in microseconds since 1970.
    pub from_us: u64,
    /// When the first that was good again was due; `None`: it lasts.
    pub to_us: Option<u64>,
    /// By the monotonic clock, up to the latest that was asked.
    pub lasted: Duration,
    pub failed: u64,
    pub unknown: u64,
    /// How the first one failed, and what was said.
    pub first: Failure,
    pub why: String,
}

#[derive(Debug)]
pub struct Tally {
    every: Duration,
    pub good: u64,
    pub failures: BTreeMap<Failure, u64>,
    pub unknown: u64,
    pub unknown_for: BTreeMap<String, u64>,
    /// Good and failed, by the address that took the connection or didn't.
    pub addresses: BTreeMap<IpAddr, (u64, u64)>,
    /// Good and failed, of those who keep their connection; they are among the others as well.
    pub kept: (u64, u64),
    /// Connections that they needed.
    pub connections: u64,
    /// Those that were told to ask elsewhere.
    pub redirected: u64,
    /// Good answers, in microseconds from when they were due.
    pub latency: Histogram<u64>,
    pub slowest: Option<Duration>,
    /// Longest time without a good answer while somebody looked.
    pub longest_gap: Duration,
    /// Up, down and unknown, of those that are settled.
    pub seconds: [u64; 3],
    pub outages: VecDeque<Outage>,
    pub outage_count: u64,
    /// By when they were due, since the beginning; with what that moment is called.
    waiting: BTreeMap<Duration, (u64, Asked)>,
    second: Option<InSecond>,
    gap_from: Option<Duration>,
    /// When the first of those was due that failed one after the other.
    failing_from: Option<Duration>,
    /// When the outage that lasts began.
    down_since: Option<Duration>,
    /// When the latest one began, and when it was over.
    latest: Option<(Duration, Duration)>,
    /// Since when it is over, until that is told.
    recovering: Option<Duration>,
}

/// A second whose answers are not all in.
#[derive(Debug, Clone, Copy)]
struct InSecond {
    second: Second,
    good: u64,
    bad: u64,
    /// The last one: it speaks for those that follow, until the next.
    last: State,
}

impl InSecond {
    fn state(&self) -> State {
        match (self.good, self.bad) {
            (0, 0) => State::Unknown,
            (good, bad) if good < bad => State::Down,
            _ => State::Up,
        }
    }
}

impl Tally {
    /// `every`: how far apart they are due.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            good: 0,
            failures: BTreeMap::new(),
            unknown: 0,
            unknown_for: BTreeMap::new(),
            addresses: BTreeMap::new(),
            kept: (0, 0),
            connections: 0,
            redirected: 0,
            latency: Histogram::new_with_bounds(1, LONGEST_US, 3)
                .expect("bounds that the constructor allows"),
            slowest: None,
            longest_gap: Duration::ZERO,
            seconds: [0; 3],
            outages: VecDeque::new(),
            outage_count: 0,
            waiting: BTreeMap::new(),
            second: None,
            gap_from: None,
            failing_from: None,
            down_since: None,
            latest: None,
            recovering: None,
        }
    }

    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Whether an outage lasts, as far as is known.
    pub fn is_down(&self) -> bool {
        self.down_since.is_some()
    }

    /// What was due at `due` (since the beginning), a moment called `at_us`, has ended.
    pub fn asked(&mut self, due: Duration, at_us: u64, asked: Asked) {
        match &asked.outcome {
            Outcome::Good => {
                self.good += 1;
                self.latency.saturating_record(u64::try_from(asked.took.as_micros()).unwrap_or(u64::MAX));
                self.slowest = self.slowest.max(Some(asked.took));
            }
            Outcome::Failed(failure, _) => *self.failures.entry(*failure).or_default() += 1,
            Outcome::Unknown(why) => {
                self.unknown += 1;
                // Numbers in it would make each a reason of its own.
                let why: String = why.split(':').next().unwrap_or("").to_owned();
                if self.unknown_for.len() < REASONS || self.unknown_for.contains_key(&why) {
                    *self.unknown_for.entry(why).or_default() += 1;
                }
            }
        }
        let good = asked.outcome == Outcome::Good;
        match (asked.way.kept, &asked.outcome) {
            (true, Outcome::Good) => self.kept.0 += 1,
            (true, Outcome::Failed(..)) => self.kept.1 += 1,
            _ => {}
        }
        self.connections += u64::from(asked.way.kept && asked.way.opened);
        self.redirected += u64::from(asked.way.redirects > 0);
        let last = asked.tried.len().saturating_sub(1);
        for (index, (address, _)) in asked.tried.iter().enumerate() {
            if self.addresses.len() < ADDRESSES || self.addresses.contains_key(address) {
                let (answered, failed) = self.addresses.entry(*address).or_default();
                match (good && index == last, &asked.outcome) {
                    (true, _) => *answered += 1,
                    (false, Outcome::Unknown(_)) => {}
                    (false, _) => *failed += 1,
                }
            }
        }
        self.waiting.insert(due, (at_us, asked));
    }

    /// Lays down all that were due before this: none of those is still under way.
    pub fn settle(&mut self, before: Duration, mut tell: impl FnMut(Told)) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() < before) {
            let due = *entry.key();
            let (at_us, asked) = entry.remove();
            self.lay(due, at_us, &asked, &mut tell);
        }
    }

    /// Nothing more will come. `now_us`: what this moment is called; nobody speaks for what has not passed.
    pub fn end(&mut self, now_us: u64, mut tell: impl FnMut(Told)) {
        self.settle(Duration::MAX, &mut tell);
        self.recovered(&mut tell);
        if let Some(last) = self.second.take() {
            let speaks = self.every.as_secs().clamp(1, SPEAKS) - 1;
            self.close(last, (last.second + speaks + 1).min(now_us / 1_000_000), &mut tell);
        }
    }

    fn lay(&mut self, due: Duration, at_us: u64, asked: &Asked, tell: &mut impl FnMut(Told)) {
        let state = match asked.outcome {
            Outcome::Good => State::Up,
            Outcome::Failed(..) => State::Down,
            Outcome::Unknown(_) => State::Unknown,
        };
        let second = at_us / 1_000_000;
        if let Some(before) = self.second.filter(|before| before.second != second) {
            // Those who ask rarely speak until they ask again; those who were to ask and did not speak for nothing.
            let speaks = self.every.as_secs_f64().ceil() as u64;
            let until = second.min(before.second + speaks.clamp(1, SPEAKS));
            self.close(before, until, tell);
            self.second = None;
            // Seconds that nobody spoke for are unknown.
            self.seconds[2] += second.saturating_sub(until.max(before.second + 1));
        }
        let now = self.second.get_or_insert(InSecond { second, good: 0, bad: 0, last: state });
        now.last = state;
        match state {
            State::Up => now.good += 1,
            State::Down => now.bad += 1,
            State::Unknown => {}
        }
        self.gap(due, asked, state);
        self.outage(due, at_us, asked, tell);
    }

    /// `until`: the first second that it doesn't speak for.
    fn close(&mut self, of: InSecond, until: Second, tell: &mut impl FnMut(Told)) {
        let mut tell = |settled: Settled| {
            let place = match settled.state {
                State::Up => 0,
                State::Down => 1,
                State::Unknown => 2,
            };
            self.seconds[place] += settled.to - settled.from + 1;
            tell(Told::Seconds(settled));
        };
        tell(Settled { from: of.second, to: of.second, state: of.state(), good: of.good, bad: of.bad });
        if until > of.second + 1 {
            tell(Settled { from: of.second + 1, to: until - 1, state: of.last, good: 0, bad: 0 });
        }
    }

    fn gap(&mut self, due: Duration, asked: &Asked, state: State) {
        let from = *self.gap_from.get_or_insert(due);
        match state {
            State::Up => {
                let end = due + asked.took;
                // A slow answer may have ended after the first failure was due.
                let began = self.failing_from.take().map_or(from, |failing| from.min(failing));
                self.longest_gap = self.longest_gap.max(end.saturating_sub(began));
                self.gap_from = Some(from.max(end));
            }
            // It speaks until the next is due.
            State::Down => {
                let began = from.min(*self.failing_from.get_or_insert(due));
                self.longest_gap = self.longest_gap.max((due + self.every).saturating_sub(began));
            }
            State::Unknown => (self.gap_from, self.failing_from) = (None, None),
        }
    }

    fn outage(&mut self, due: Duration, at_us: u64, asked: &Asked, tell: &mut impl FnMut(Told)) {
        match (&asked.outcome, self.down_since) {
            (Outcome::Failed(failure, why), None) => {
                let joined = Duration::from_secs(JOINED);
                if let Some((since, _)) = self.latest.filter(|(_, until)| due.saturating_sub(*until) < joined)
                    && let Some(outage) = self.outages.back_mut()
                {
                    self.down_since = Some(since);
                    outage.to_us = None;
                    outage.failed += 1;
                    outage.lasted = due.saturating_sub(since) + self.every;
                    if self.recovering.take().is_none() {
                        let again =
                            Outage { from_us: at_us, first: *failure, why: why.clone(), ..outage.clone() };
                        tell(Told::Down(again));
                    }
                    return;
                }
                self.recovered(tell);
                self.down_since = Some(due);
                self.outage_count += 1;
                if self.outages.len() == OUTAGES {
                    self.outages.pop_front();
                }
                let outage = Outage {
                    from_us: at_us,
                    to_us: None,
                    lasted: self.every,
                    failed: 1,
                    unknown: 0,
                    first: *failure,
                    why: why.clone(),
                };
                tell(Told::Down(outage.clone()));
                self.outages.push_back(outage);
            }
            (outcome, Some(since)) => {
                let Some(outage) = self.outages.back_mut() else { return };
                match outcome {
                    Outcome::Good => {
                        outage.to_us = Some(at_us);
                        outage.lasted = due - since;
                        self.down_since = None;
                        self.latest = Some((since, due));
                        self.recovering = Some(due);
                    }
                    Outcome::Failed(..) => {
                        outage.failed += 1;
                        outage.lasted = due - since + self.every;
                    }
                    Outcome::Unknown(_) => outage.unknown += 1,
                }
            }
            (Outcome::Good | Outcome::Unknown(_), None) => {}
        }
        let steady = |from: Duration| (due + self.every).saturating_sub(from) >= STEADY;
        if asked.outcome == Outcome::Good && self.recovering.is_some_and(steady) {
            self.recovered(tell);
        }
    }

    fn recovered(&mut self, tell: &mut impl FnMut(Told)) {
        if self.recovering.take().is_some()
            && let Some(outage) = self.outages.back()
        {
            tell(Told::Up(outage.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Way;

    const START: u64 = 1_795_000_000;

    fn asked(state: State, took_ms: u64) -> Asked {
        let outcome = match state {
            State::Up => Outcome::Good,
            State::Down => Outcome::Failed(Failure::Refused, "refused".to_owned()),
            State::Unknown => Outcome::Unknown("late: 3 ms".to_owned()),
        };
        Asked {
            took: Duration::from_millis(took_ms),
            tried: vec![([10, 0, 0, 1].into(), true)],
            outcome,
            way: Way::default(),
        }
    }

    /// All of them, asked every so many milliseconds: the tally, and the seconds' states.
    fn play(every_ms: u64, states: &[State]) -> (Tally, BTreeMap<Second, State>) {
        let mut tally = Tally::new(Duration::from_millis(every_ms));
        let mut seconds = BTreeMap::new();
        for (n, state) in states.iter().enumerate() {
            let due = Duration::from_millis(every_ms * n as u64);
            tally.asked(due, START * 1_000_000 + due.as_micros() as u64, asked(*state, 10));
        }
        let mut counted = 0;
        tally.end((START + every_ms.div_ceil(1_000) * states.len() as u64) * 1_000_000, |told| {
            let Told::Seconds(settled) = told else { return };
            counted += settled.good + settled.bad;
            for second in settled.from..=settled.to {
                assert_eq!(seconds.insert(second, settled.state), None, "no second is told of twice");
            }
        });
        assert_eq!(counted, tally.good + tally.failed());
        let count = |wanted| seconds.values().filter(|state| **state == wanted).count() as u64;
        assert_eq!(tally.seconds, [count(Up), count(Down), count(Unknown)]);
        (tally, seconds)
    }

    use State::{Down, Unknown, Up};

    #[test]
    fn who_asks_every_five_seconds_speaks_for_five_and_not_for_those_not_asked() {
        let (tally, seconds) = play(5_000, &[Up, Down, Unknown, Up]);
        let expected = [[Up; 5], [Down; 5], [Unknown; 5], [Up; 5]].concat();
        assert_eq!(seconds.values().copied().collect::<Vec<_>>(), expected);
        assert_eq!((tally.good, tally.failed(), tally.unknown), (2, 1, 1));
        assert_eq!(tally.unknown_for, BTreeMap::from([("late".to_owned(), 1)]));
    }

    #[test]
    fn who_is_stopped_says_nothing_of_the_time_to_come() {
        let mut tally = Tally::new(Duration::from_secs(60));
        let mut seconds = Vec::new();
        tally.asked(Duration::ZERO, START * 1_000_000, asked(Up, 10));
        tally.end((START + 2) * 1_000_000 + 900_000, |told| {
            let Told::Seconds(of) = told else { return };
            seconds.extend(of.from..=of.to);
        });
        assert_eq!(seconds, [START, START + 1]);
        assert_eq!(tally.seconds, [2, 0, 0]);
    }

    #[test]
    fn an_outage_begins_with_what_failed_first_and_ends_with_what_was_good_again() {
        let states = [&[Up, Up, Down, Down, Unknown, Down][..], &[Up; 30], &[Down]].concat();
        let (tally, _) = play(1_000, &states);
        let [first, last] = [0, 1].map(|n| tally.outages[n].clone());
        assert_eq!((first.from_us, first.to_us), ((START + 2) * 1_000_000, Some((START + 6) * 1_000_000)));
        assert_eq!((first.failed, first.unknown, first.lasted), (3, 1, Duration::from_secs(4)));
        assert_eq!((last.to_us, last.failed, last.lasted), (None, 1, Duration::from_secs(1)));
        assert!(tally.is_down());
        // With fewer good answers in between it is one.
        let states = [&[Up, Up, Down, Down][..], &[Up; 29], &[Down], &[Up; 3]].concat();
        let (tally, _) = play(1_000, &states);
        let [one] = [0].map(|n| tally.outages[n].clone());
        assert_eq!((tally.outage_count, tally.outages.len(), one.failed), (1, 1, 3));
        assert_eq!((one.to_us, one.lasted), (Some((START + 34) * 1_000_000), Duration::from_secs(32)));
        assert_eq!(tally.longest_gap, Duration::from_secs(3));
    }

    #[test]
    fn who_fails_now_and_then_is_told_once_and_again_only_after_steady_answers() {
        let states = [&[Down, Up, Up].repeat(10)[..], &[Up; 5], &[Down, Up]].concat();
        let mut tally = Tally::new(Duration::from_secs(1));
        let mut told = Vec::new();
        let mut tell = |one| match one {
            Told::Seconds(_) => {}
            Told::Down(of) => told.push(("down", of.from_us / 1_000_000 - START)),
            Told::Up(of) => told.push(("up", of.to_us.unwrap() / 1_000_000 - START)),
        };
        for (second, state) in (0..).zip(&states) {
            tally.asked(Duration::from_secs(second), (START + second) * 1_000_000, asked(*state, 10));
            tally.settle(Duration::from_secs(second + 1), &mut tell);
        }
        tally.end((START + 60) * 1_000_000, &mut tell);
        // What lies in between is one outage, whatever is told.
        assert_eq!(told, [("down", 0), ("up", 28), ("down", 35), ("up", 36)]);
        assert_eq!((tally.outage_count, tally.outages[0].failed), (1, 11));
    }

    #[test]
    fn a_gap_is_a_time_without_a_good_answer_in_which_somebody_looked() {
        // From the answer 10 ms after second 1 to the one 10 ms after second 4.
        assert_eq!(play(1_000, &[Up, Up, Down, Down, Up]).0.longest_gap, Duration::from_secs(3));
        // Nobody looked for a part of it.
        assert_eq!(play(1_000, &[Up, Up, Unknown, Unknown, Up, Up]).0.longest_gap, Duration::from_secs(1));
        assert_eq!(play(1_000, &[Down, Down, Down]).0.longest_gap, Duration::from_secs(3));
        // It is as long as the outage at least, also where the answer before was slow.
        let mut tally = Tally::new(Duration::from_secs(1));
        for (second, state, took) in
            [(0, Up, 1_800), (1, Down, 10), (2, Down, 10), (3, Down, 10), (4, Up, 10)]
        {
            tally.asked(Duration::from_secs(second), (START + second) * 1_000_000, asked(state, took));
        }
        tally.end((START + 5) * 1_000_000, |_| {});
        assert_eq!(tally.outages[0].lasted, Duration::from_secs(3));
        assert_eq!(tally.longest_gap, Duration::from_millis(3_010));
    }

    #[test]
    fn answers_that_come_late_are_laid_down_in_their_order() {
        let mut tally = Tally::new(Duration::from_secs(1));
        let mut told = Vec::new();
        let at = |second: u64| (Duration::from_secs(second), (START + second) * 1_000_000);
        let ask = |tally: &mut Tally, second: u64, state| {
            let (due, us) = at(second);
            tally.asked(due, us, asked(state, 10));
        };
        ask(&mut tally, 1, Up);
        ask(&mut tally, 2, Up);
        tally.settle(Duration::from_secs(0), |one| told.push(one));
        assert!(told.is_empty() && tally.outages.is_empty());
        ask(&mut tally, 0, Down);
        ask(&mut tally, 3, Up);
        tally.settle(Duration::from_secs(4), |one| told.push(one));
        let words: Vec<String> = told
            .iter()
            .map(|one| match one {
                Told::Seconds(of) => of.state.word().to_owned(),
                Told::Down(of) => format!("fails from {}", of.from_us / 1_000_000 - START),
                Told::Up(of) => format!("over after {:?}", of.lasted),
            })
            .collect();
        assert_eq!(words, ["fails from 0", "down", "up", "up", "over after 1s"]);
        assert_eq!(tally.outages[0].to_us, Some((START + 1) * 1_000_000));
    }

    proptest! {
        /// A second is down if most of what was asked in it failed, unknown if nothing was; whatever the pace.
        #[test]
        fn seconds_are_what_a_log_of_all_says(
            every_ms in prop::sample::select(vec![50u64, 100, 250, 500, 1_000]),
            states in prop::collection::vec(prop::sample::select(vec![Up, Up, Up, Down, Unknown]), 1..200),
        ) {
            let (tally, seconds) = play(every_ms, &states);
            let mut log: BTreeMap<Second, (u64, u64)> = BTreeMap::new();
            for (n, state) in states.iter().enumerate() {
                let (good, bad) = log.entry(START + every_ms * n as u64 / 1_000).or_default();
                *good += u64::from(*state == Up);
                *bad += u64::from(*state == Down);
            }
            for (second, (good, bad)) in &log {
                let expected = if good + bad == 0 { Unknown } else if good < bad { Down } else { Up };
                prop_assert_eq!(seconds[second], expected);
            }
            prop_assert_eq!(seconds.len(), log.len());
            prop_assert_eq!(tally.good + tally.failed() + tally.unknown, states.len() as u64);
            // As many outages as times that it failed first, half a minute or more after it was good again.
            let (mut outages, mut down, mut over) = (0, false, None);
            for (n, state) in states.iter().enumerate() {
                let at = every_ms * n as u64;
                match state {
                    Down if !down => {
                        outages += u64::from(over.is_none_or(|over| at - over >= 30_000));
                        down = true;
                    }
                    Up if down => (down, over) = (false, Some(at)),
                    _ => {}
                }
            }
            prop_assert_eq!(tally.outage_count, outages);
        }
    }
}
