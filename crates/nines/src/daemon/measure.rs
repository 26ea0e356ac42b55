//! What this host measures, once a second: whether what it serves is up, and how its requests went.
//!
//! Looking costs the loop some numbers that it has already; keeping them is a thread's, which may be as slow as the disk.

mod figures;
mod looks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nines_availability::measurement::{
    Axis, HOUR, History, Kind, Limits, MINUTE, Measured, Noted, Second, Step, Subject, Watch, in_words,
};
use nines_control::event::Event;
use nines_control::status::MeasuredStatus;
use nines_ledger::{Answer, Heard, Keeper};
use tokio::sync::mpsc;

use figures::Counted;
pub(super) use looks::{Looks, Sight, related};

/// Between two times that something is kept.
const KEEP: Duration = Duration::from_secs(5);
/// How long what was measured before is waited for. A disk that takes longer is done without.
const OPEN: Duration = Duration::from_secs(10);
/// How long the end waits for a disk.
const END: Duration = Duration::from_secs(1);
/// As long as this a clock that is behind what was measured is not believed: after a boot it may still be set right.
const DOUBT: Duration = Duration::from_secs(600);
/// Sentences of what went wrong that are kept.
const PROBLEMS: usize = 20;

/// Of which system, and what is aimed at.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) system: String,
    pub(super) objective: f64,
    pub(super) objective_text: String,
    pub(super) related: BTreeMap<String, Vec<String>>,
}

pub(super) struct Measure {
    host: String,
    about: About,
    /// The wall clock, since 1970.
    wall: fn() -> Duration,
    started: Instant,
    next: Instant,
    history: History,
    /// Once it is known what was measured before.
    axis: Option<Axis>,
    watches: BTreeMap<Subject, Watch>,
    /// Since the daemon started.
    counted: BTreeMap<Subject, Counted>,
    /// What there is to look at now.
    present: BTreeSet<Subject>,
    noted: u64,
    keeper: Keeper,
    /// What its thread has to say.
    answers: mpsc::UnboundedReceiver<Answer>,
    /// When something was brought to it.
    kept: Instant,
    directory: PathBuf,
    /// Why nothing is kept, or what of it was lost.
    problems: Vec<String>,
    doubt: Option<Doubt>,
    /// The second of the look before.
    looked: Option<Second>,
    figures: Option<(Instant, Vec<MeasuredStatus>)>,
}

/// The clock says that it is long before what was measured last. Nothing is given up for that: it is measured in memory for a while.
struct Doubt {
    since: Instant,
    before: History,
    /// The last second of that, and the first that is measured by the clock as it is.
    last: Second,
    from: Second,
    /// What of it was not kept yet: from this minute on, and these events.
    unkept: u64,
    events: Vec<Noted>,
    why: String,
}

/// Something that the daemon shall tell.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    Fine(String),
    Wrong(String),
    /// Nothing that this pool was asked for is answered.
    Hanging {
        pool: String,
        why: String,
    },
}

impl Measure {
    /// `directory`: where it is kept.
    pub(super) fn start(host: &str, directory: PathBuf, about: About, now: Instant) -> Self {
        // Bounded by the orders: each is answered twice at most.
        let (says, answers) = mpsc::unbounded_channel();
        Self {
            host: host.to_owned(),
            wall,
            started: now,
            next: now + OPEN,
            history: History::new(host, Limits::default()),
            axis: None,
            watches: BTreeMap::new(),
            counted: BTreeMap::new(),
            present: BTreeSet::new(),
            noted: 0,
            keeper: Keeper::start(directory.clone(), host, move |answer| says.send(answer).is_ok()),
            answers,
            kept: now,
            directory,
            problems: Vec::new(),
            doubt: None,
            looked: None,
            figures: None,
            about,
        }
    }

    /// What the thread has to say; nothing, once it has ended.
    pub(super) async fn said(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    pub(super) fn hear(&mut self, answer: Answer, now: Instant) -> Vec<Told> {
        match self.keeper.hear(answer) {
            // It came too late: what is measured since must not be mixed with what was before.
            Heard::Opened(..) if self.axis.is_some() => Vec::new(),
            Heard::Opened(history, told) => {
                self.history = *history;
                self.problems.clone_from(&told);
                let mut all: Vec<Told> = told.into_iter().map(Told::Wrong).collect();
                all.extend(self.begin(now));
                self.keeper.describe(self.measured(0));
                all
            }
            Heard::NotOpened(error) => {
                let why = format!("what is measured can't be kept: {error}");
                self.problems.push(why.clone());
                let mut all =
                    vec![Told::Wrong(format!("{why}: measured in memory alone, until the daemon ends"))];
                // Who waited no longer has begun already.
                if self.axis.is_none() {
                    all.extend(self.begin(now));
                }
                all
            }
            Heard::KeptAgain => vec![Told::Fine("measurements are kept again".to_owned())],
            Heard::Failing(why) => vec![Told::Wrong(failing(&why))],
            Heard::Lost(troubles) => {
                let room = PROBLEMS.saturating_sub(self.problems.len());
                self.problems.extend(troubles.iter().take(room).cloned());
                troubles.into_iter().map(Told::Wrong).collect()
            }
            Heard::Nothing => Vec::new(),
        }
    }

    fn begin(&mut self, now: Instant) -> Option<Told> {
        let monotonic = now.duration_since(self.started);
        let last = self.history.presence().map(|(_, last)| last);
        let (axis, step) = Axis::start(monotonic, (self.wall)(), last);
        // What was before is there, whatever the clock says.
        let begin = axis.name(monotonic).max(last.map_or(0, |last| last + 1));
        self.keeper.begin(begin / MINUTE);
        self.axis = Some(axis);
        self.next = self.after(now);
        step.map(|step| self.stepped(step, now))
    }

    /// When to look next.
    pub(super) fn deadline(&self) -> Instant {
        self.next
    }

    /// In the middle of the next second, so that a little too early or too late is no other one.
    fn after(&self, now: Instant) -> Instant {
        let Some(axis) = &self.axis else { return self.started + OPEN };
        let into = axis.name_us(now.duration_since(self.started)) % 1_000_000;
        let wait = (1_500_000 - into) % 1_000_000;
        now + Duration::from_micros(if wait < 200_000 { wait + 1_000_000 } else { wait })
    }

    /// One look. `events`: those since the look before.
    pub(super) fn look(&mut self, looks: &Looks, events: &[Event], now: Instant) -> Vec<Told> {
        let mut told = Vec::new();
        let monotonic = now.duration_since(self.started);
        let Some(axis) = &mut self.axis else {
            let why = format!("{} does not answer within {} s", self.directory.display(), OPEN.as_secs());
            self.problems.push(why.clone());
            told.push(Told::Wrong(format!("{why}: measured in memory alone, until the daemon ends")));
            // Should it answer after all, nothing is written there.
            self.keeper.close();
            told.extend(self.begin(now));
            return told;
        };
        let wall = (self.wall)();
        let mut tick = axis.tick(monotonic, wall);
        if let Some(step) = tick.step {
            let again = self.doubt.take_if(|doubt| tick.to + HOUR > doubt.last);
            if let Some(doubt) = again {
                // It was set right. What was measured meanwhile has names that nobody can use.
                let mut right = Axis::start(monotonic, wall, Some(doubt.last)).0;
                tick = right.tick(monotonic, wall);
                self.axis = Some(right);
                self.history = doubt.before;
                self.keeper.take_events();
                doubt.events.into_iter().for_each(|event| self.keeper.note(event));
                self.keeper.begin(doubt.unkept.min(tick.to / MINUTE));
                told.push(Told::Fine("the clock was set right: measurements are kept again".to_owned()));
            } else {
                told.push(self.stepped(step, now));
            }
        }
        told.extend(self.believe(now));
        let ahead_ms = self.axis.as_ref().map_or(0, |axis| axis.ahead(monotonic, wall)) * 1000;
        // Of seconds that passed without a look nothing is known.
        let stepped = tick.step.is_some();
        let missed = self.looked.filter(|_| !stepped).map_or(0, |last| tick.from.saturating_sub(last + 1));
        let (first, last) = (self.looked.filter(|_| !stepped), tick.to);
        self.looked = Some(last);
        // A second that is looked at twice is one.
        let seconds = tick.to + 1 - tick.from.max(first.map_or(0, |first| first + 1)).min(tick.to + 1);
        for (subject, look) in looks {
            let watch = self.watches.entry(subject.clone()).or_default();
            let (state, good, bad) = watch.look(tick.to, *look);
            let counted = self.counted.entry(subject.clone()).or_default();
            if let Some(since) = watch.hung_since() {
                counted.decide(self.history.correct(subject, since, tick.from));
                self.keeper.again_from(since / MINUTE);
                if subject.kind == Kind::Pool {
                    let why = format!("clients wait, and none was answered for {} s", tick.to + 1 - since);
                    told.push(Told::Hanging { pool: subject.name.clone(), why });
                }
            }
            self.history.record(subject, &tick, state, good, bad);
            let missed = if self.present.contains(subject) { missed } else { 0 };
            counted.add((seconds, missed), state, look, (good, bad));
        }
        // What a reload took away is told no more. It may come back, and its counters with it.
        if !looks.keys().eq(&self.present) {
            self.present = looks.keys().cloned().collect();
            self.figures = None;
        }
        for event in events {
            self.noted = event.sequence;
            self.note(event, ahead_ms);
        }
        self.next = self.after(now);
        if tick.to.is_multiple_of(MINUTE) {
            self.history.trim(tick.to);
        }
        if now.duration_since(self.kept) >= KEEP {
            self.keep(tick.to, now);
        }
        told
    }

    /// The sequence of the last event that was taken in.
    pub(super) fn noted(&self) -> u64 {
        self.noted
    }

    fn note(&mut self, event: &Event, ahead_ms: u64) {
        let noted = Noted {
            at_ms: event.at_us / 1000 + ahead_ms,
            kind: event.kind.word().to_owned(),
            subject: event.subject.clone(),
            why: event.why.clone(),
        };
        self.keeper.note(noted.clone());
        self.history.note(noted);
    }

    fn keep(&mut self, second: Second, now: Instant) {
        if self.doubt.is_none() {
            self.kept = now;
            let about = self.measured(0);
            self.keeper.keep(&self.history, || about, second);
        }
    }

    fn stepped(&mut self, step: Step, now: Instant) -> Told {
        match step {
            Step::Forward(by) => Told::Fine(format!(
                "the clock was set forward by {}: of the time in between nothing is known",
                in_words(by)
            )),
            Step::Back { by, to } => {
                let why = format!(
                    "the clock is {} behind what was measured last: for {} min it is measured in memory alone, and if it is not set right by then, what has a time that is still to come is set aside",
                    in_words(by),
                    DOUBT.as_secs() / 60
                );
                match &mut self.doubt {
                    Some(doubt) => {
                        self.history.forget_from(to);
                        self.keeper.forget_events_from(to);
                        doubt.from = doubt.from.min(to);
                    }
                    None => {
                        let fresh = History::new(self.host.clone(), Limits::default());
                        let before = std::mem::replace(&mut self.history, fresh);
                        let last = before.presence().map_or(to, |(_, last)| last);
                        let (unkept, events) = (self.keeper.unkept(), self.keeper.take_events());
                        let why = why.clone();
                        self.doubt = Some(Doubt { since: now, before, last, from: to, unkept, events, why });
                    }
                }
                self.keeper.begin(to / MINUTE);
                Told::Wrong(why)
            }
        }
    }

    /// A clock that nobody has set right for so long is believed.
    fn believe(&mut self, now: Instant) -> Option<Told> {
        let doubt = self.doubt.take_if(|doubt| now.duration_since(doubt.since) >= DOUBT)?;
        let since = std::mem::replace(&mut self.history, doubt.before);
        self.history.forget_from(doubt.from);
        for (subject, series) in since.subjects() {
            series.days().for_each(|(number, day)| self.history.put_day(subject, number, &day));
        }
        since.events().for_each(|event| self.history.note(event.clone()));
        // Of what waited for the disk before it what is called later goes too.
        let events = self.keeper.take_events();
        self.keeper.begin(doubt.unkept);
        doubt.events.into_iter().for_each(|event| self.keeper.note(event));
        self.keeper.forget_from(doubt.from);
        events.into_iter().for_each(|event| self.keeper.note(event));
        Some(Told::Wrong(
            "the clock is taken for right: what was measured under times that are still to come is set aside, as ….later".to_owned(),
        ))
    }

    /// Why what is measured is not kept, or what was lost of it.
    pub(super) fn problems(&self) -> Vec<String> {
        let now = self.doubt.iter().map(|doubt| doubt.why.clone()).chain(self.keeper.failing().map(failing));
        self.problems.iter().cloned().chain(now).collect()
    }

    /// Why what is measured now would not outlive the daemon.
    pub(super) fn not_kept(&self) -> Option<String> {
        let why = self.doubt.as_ref().map(|doubt| doubt.why.clone());
        let why = why.or(self.keeper.failing().map(failing)).or(self.problems.last().cloned());
        (!self.is_kept())
            .then(|| why.unwrap_or_else(|| format!("{} is still being read", self.directory.display())))
    }

    /// Whether what is measured now outlives the daemon.
    pub(super) fn is_kept(&self) -> bool {
        self.keeper.is_kept() && self.doubt.is_none()
    }

    /// The objective, the relations and the name may be others after a reload.
    pub(super) fn reload(&mut self, about: About) {
        self.about = about;
        self.figures = None;
        self.keeper.describe(self.measured(0));
    }

    /// The last thing: what is not kept yet.
    pub(super) async fn end(&mut self, now: Instant) {
        let about = self.measured(0);
        if let Some(doubt) = self.doubt.take() {
            // Of what was measured since nobody will know when it was; what is from before has its names.
            self.keeper.take_events();
            doubt.events.into_iter().for_each(|event| self.keeper.note(event));
            self.keeper.begin(doubt.unkept);
            self.keeper.end(&doubt.before, || about, doubt.last, false);
        } else if let Some(axis) = &self.axis {
            let second = axis.name(now.duration_since(self.started));
            self.keeper.end(&self.history, || about, second, false);
        }
        self.keeper.close();
        let _ = tokio::time::timeout(END, async { while self.answers.recv().await.is_some() {} }).await;
    }

    /// Everything that was measured in this time up to now; 0: nothing of it, only what it is about.
    pub(super) fn measured(&self, seconds: u64) -> Measured {
        let monotonic = self.started.elapsed();
        let now = self.axis.as_ref().map_or_else(|| (self.wall)().as_secs(), |axis| axis.name(monotonic));
        let history = match seconds {
            0 => History::new(self.host.clone(), Limits::default()),
            _ => self.history.since(now.saturating_sub(seconds)),
        };
        Measured {
            version: 1,
            system: self.about.system.clone(),
            objective: self.about.objective,
            objective_text: self.about.objective_text.clone(),
            now,
            ahead: self.axis.as_ref().map_or(0, |axis| axis.ahead(monotonic, (self.wall)())),
            kept_in: self.is_kept().then(|| self.directory.display().to_string()),
            problems: self.problems(),
            related: self.about.related.clone(),
            history,
        }
    }
}

fn failing(why: &str) -> String {
    format!("measurements can't be kept now, and stay in memory until they can: {why}")
}

/// Since 1970.
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
