//! What was seen, second by second: in memory, and in a ledger where one is named.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nines_availability::measurement::{
    Axis, History, Limits, MINUTE, Measured, Noted, Step, Subject, Tick, in_words,
};
use nines_availability::nines::Availability;
use nines_ledger::{Answer, Heard};
use nines_prober::{Settled, Told};

use crate::terminal::tell;

/// Between two times that something is written.
const WRITE: Duration = Duration::from_secs(5);

pub(super) struct Keeper {
    axis: Axis,
    began: Instant,
    /// The monotonic clock, as the axis counts it.
    ticked: Duration,
    history: History,
    written: Instant,
    ledger: Option<Kept>,
    about: Measured,
}

/// The disk is waited for on a thread of its own, so that nobody is asked late for it.
struct Kept {
    keeper: nines_ledger::Keeper,
    /// Bounded by the orders: each is answered twice at most.
    answers: Receiver<Answer>,
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Keeper {
    pub(super) fn open(
        directory: Option<&Path>,
        vantage: &str,
        system: String,
        objective: Availability,
    ) -> anyhow::Result<Self> {
        let mut history = History::new(vantage, Limits::default());
        let mut ledger = None;
        if let Some(directory) = directory {
            let place = directory.display();
            if let Some((of, by)) =
                nines_ledger::owner(directory).filter(|(of, by)| (of, by.as_str()) != (&system, vantage))
            {
                anyhow::bail!(
                    "{place} has what {by} saw of {of}, and this would be what {vantage} sees of {system}: name another directory, or say `--vantage {by} --system {of}`"
                );
            }
            let (says, answers) = channel();
            let says = move |answer| says.send(answer).is_ok();
            let mut keeper = nines_ledger::Keeper::start(directory.to_owned(), vantage, says);
            let Ok(answer) = answers.recv() else { anyhow::bail!("{place} can't be opened") };
            match keeper.hear(answer) {
                Heard::NotOpened(error) => return Err(error.into()),
                Heard::Opened(there, told) => {
                    told.iter().for_each(|told| tell(format_args!("nines: {told}")));
                    history = *there;
                }
                _ => {}
            }
            let last = history.presence().map(|(_, last)| last);
            if let (_, Some(Step::Back { by, .. })) = Axis::start(Duration::ZERO, wall(), last) {
                anyhow::bail!(
                    "this machine's clock is {} behind what is kept in {place}: set it right, or name another directory",
                    in_words(by)
                );
            }
            ledger = Some(Kept { keeper, answers });
        }
        let (axis, step) = Axis::start(Duration::ZERO, wall(), history.presence().map(|(_, last)| last));
        let about = Measured {
            version: 1,
            system,
            objective: objective.fraction(),
            objective_text: objective.as_stated(),
            now: axis.name(Duration::ZERO),
            ahead: 0,
            kept_in: directory.map(|directory| directory.display().to_string()),
            problems: Vec::new(),
            related: Default::default(),
            history: History::new(vantage, Limits::default()),
        };
        let mut this = Self {
            axis,
            began: Instant::now(),
            ticked: Duration::ZERO,
            history,
            written: Instant::now(),
            ledger,
            about,
        };
        this.stepped(step);
        if let Some(Kept { keeper, .. }) = &mut this.ledger {
            keeper.begin(this.axis.name(Duration::ZERO) / MINUTE);
            keeper.describe(this.about.clone());
        }
        Ok(this)
    }

    fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.began)
    }

    /// What a moment is called, in microseconds since 1970.
    pub(super) fn name_us(&self, at: Instant) -> u64 {
        self.axis.name_us(self.since(at))
    }

    pub(super) fn told(&mut self, subject: &Subject, told: &Told) {
        let (at_us, kind, why) = match told {
            Told::Seconds(of) => return self.settled(subject, of),
            Told::Down(of) => (of.from_us, "down", of.first.with(&of.why)),
            Told::Up(of) => {
                (of.to_us.unwrap_or(of.from_us), "up", format!("answered again after {:?}", of.lasted))
            }
        };
        self.note(Noted { at_ms: at_us / 1000, kind: kind.to_owned(), subject: subject.name.clone(), why });
    }

    fn settled(&mut self, subject: &Subject, of: &Settled) {
        let first = Tick { from: of.from, to: of.from, step: None };
        self.history.record(subject, &first, of.state, of.good, of.bad);
        if of.to > of.from {
            let rest = Tick { from: of.from + 1, to: of.to, step: None };
            self.history.record(subject, &rest, of.state, 0, 0);
        }
        if let Some(Kept { keeper, .. }) = &mut self.ledger {
            keeper.again_from(of.from / MINUTE);
        }
    }

    /// Something of note, for the ledger's reader.
    fn note(&mut self, event: Noted) {
        self.history.note(event.clone());
        if let Some(Kept { keeper, .. }) = &mut self.ledger {
            keeper.note(event);
        }
    }

    pub(super) fn turn(&mut self, now: Instant) {
        let monotonic = self.since(now);
        if monotonic.saturating_sub(self.ticked) >= Duration::from_secs(1) {
            self.ticked = monotonic;
            let step = self.axis.tick(monotonic, wall()).step;
            self.stepped(step);
            if monotonic.as_secs().is_multiple_of(MINUTE) {
                self.history.trim(self.axis.name(monotonic));
            }
        }
        if now.saturating_duration_since(self.written) >= WRITE {
            self.written = now;
            self.hear();
            let now = self.axis.name(monotonic);
            if let Some(Kept { keeper, .. }) = &mut self.ledger {
                keeper.keep(&self.history, || self.about.clone(), now);
            }
        }
    }

    /// Tells whoever watches what became of what was to be kept.
    fn hear(&mut self) {
        let Some(Kept { keeper, answers }) = &mut self.ledger else { return };
        let place = self.about.kept_in.as_deref().unwrap_or_default();
        while let Ok(answer) = answers.try_recv() {
            match keeper.hear(answer) {
                Heard::Failing(why) => tell(format_args!(
                    "nines: what was seen can't be kept in {place} now, and stays in memory until it can: {why}"
                )),
                Heard::KeptAgain => tell(format_args!("nines: what was seen is kept in {place} again")),
                Heard::Lost(troubles) => {
                    troubles.iter().for_each(|trouble| tell(format_args!("nines: {trouble}")));
                }
                Heard::Opened(..) | Heard::NotOpened(_) | Heard::Nothing => {}
            }
        }
    }

    fn stepped(&mut self, step: Option<Step>) {
        if let Some(Step::Back { by, to }) = step {
            tell(format_args!(
                "nines: the clock was set back by {}; what was seen under later names goes",
                in_words(by)
            ));
            self.history.forget_from(to);
            if let Some(Kept { keeper, .. }) = &mut self.ledger {
                keeper.forget_from(to);
            }
        }
    }

    /// Everything is kept; what it was, with what of it this run has seen.
    pub(super) fn close(mut self) -> Measured {
        let (now, began) = (self.since(Instant::now()), self.axis.name(Duration::ZERO));
        self.about.now = self.axis.name(now);
        self.about.ahead = self.axis.ahead(now, wall());
        if let Some(Kept { keeper, .. }) = &mut self.ledger {
            keeper.describe(self.about.clone());
            keeper.end(&self.history, || self.about.clone(), self.about.now, true);
        }
        self.hear();
        if self.ledger.as_ref().is_some_and(|kept| kept.keeper.is_busy() || !kept.keeper.is_kept()) {
            let place = self.about.kept_in.as_deref().unwrap_or_default();
            tell(format_args!("nines: the last minutes could not be kept in {place}"));
        }
        Measured { history: self.history.since(began), ..self.about }
    }
}
