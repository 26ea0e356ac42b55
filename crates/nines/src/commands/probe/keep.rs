//! What was seen, second by second: in memory, and in a ledger where one is named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nines_availability::measurement::{
    Axis, History, Limits, MINUTE, Measured, Noted, Second, Step, Subject, Tick, in_words,
};
use nines_availability::nines::Availability;
use nines_ledger::{Batch, Ledger};
use nines_prober::{Settled, Told};

use crate::terminal::tell;

/// Between two times that something is written.
const WRITE: Duration = Duration::from_secs(5);
/// Batches that a slow disk may be behind; what doesn't fit is brought again later.
const BEHIND: usize = 16;

enum Order {
    Write(Batch),
    Forget(Second),
    Restore(Box<History>),
    Describe(Box<Measured>),
}

pub(super) struct Keeper {
    axis: Axis,
    began: Instant,
    /// The monotonic clock, as the axis counts it.
    ticked: Duration,
    history: History,
    /// Minutes that the disk doesn't have as they are.
    dirty: BTreeSet<(Subject, u64)>,
    written: Instant,
    /// The disk is waited for on a thread of its own, so that nobody is asked late for it.
    ledger: Option<(SyncSender<Order>, JoinHandle<()>)>,
    /// Something of what was kept is there no more.
    lost: Arc<AtomicBool>,
    kept_in: Option<PathBuf>,
    about: Measured,
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
        let lost = Arc::new(AtomicBool::new(false));
        if let Some(directory) = directory {
            let place = directory.display();
            if let Some((of, by)) =
                nines_ledger::owner(directory).filter(|(of, by)| (of, by.as_str()) != (&system, vantage))
            {
                anyhow::bail!(
                    "{place} has what {by} saw of {of}, and this would be what {vantage} sees of {system}: name another directory, or say `--vantage {by} --system {of}`"
                );
            }
            let opened = Ledger::open(directory, vantage, Limits::default())?;
            opened.told.iter().for_each(|told| tell(format_args!("nines: {told}")));
            history = opened.history;
            let last = history.presence().map(|(_, last)| last);
            if let (_, Some(Step::Back { by, .. })) = Axis::start(Duration::ZERO, wall(), last) {
                anyhow::bail!(
                    "this machine's clock is {} behind what is kept in {place}: set it right, or name another directory",
                    in_words(by)
                );
            }
            let (send, orders) = sync_channel(BEHIND);
            let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn({
                let lost = Arc::clone(&lost);
                move || write(opened.ledger, orders.into_iter(), &lost)
            })?;
            ledger = Some((send, thread));
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
        let mut keeper = Self {
            axis,
            began: Instant::now(),
            ticked: Duration::ZERO,
            history,
            dirty: BTreeSet::new(),
            written: Instant::now(),
            ledger,
            lost,
            kept_in: directory.map(Path::to_owned),
            about,
        };
        keeper.stepped(step);
        keeper.order(Order::Describe(Box::new(keeper.about.clone())));
        Ok(keeper)
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
        if self.ledger.is_some() {
            self.dirty.extend((of.from / MINUTE..=of.to / MINUTE).map(|minute| (subject.clone(), minute)));
        }
    }

    /// Something of note, for the ledger's reader.
    fn note(&mut self, event: Noted) {
        self.history.note(event.clone());
        self.order(Order::Write(Batch { events: vec![event], ..Batch::default() }));
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
            if self.lost.swap(false, Ordering::Relaxed) {
                let again = self.order(Order::Restore(Box::new(self.history.clone())))
                    && self.order(Order::Describe(Box::new(self.about.clone())));
                self.lost.fetch_or(!again, Ordering::Relaxed);
            }
            self.write();
        }
    }

    fn stepped(&mut self, step: Option<Step>) {
        if let Some(Step::Back { by, to }) = step {
            tell(format_args!(
                "nines: the clock was set back by {}; what was seen under later names goes",
                in_words(by)
            ));
            self.history.forget_from(to);
            self.dirty.retain(|(_, minute)| minute * MINUTE < to);
            self.order(Order::Forget(to));
        }
    }

    fn write(&mut self) {
        let minute = |(subject, number): &(Subject, u64)| {
            Some((subject.clone(), *number, self.history.series(subject)?.minute(*number)))
        };
        let minutes: Vec<_> = self.dirty.iter().filter_map(minute).collect();
        if minutes.is_empty() || self.order(Order::Write(Batch { minutes, ..Batch::default() })) {
            self.dirty.clear();
        }
    }

    /// Whether it was taken.
    fn order(&self, order: Order) -> bool {
        match &self.ledger {
            Some((send, _)) => match send.try_send(order) {
                Ok(()) => true,
                // What must not be lost is waited for; minutes come again.
                Err(TrySendError::Full(order @ (Order::Forget(_) | Order::Describe(_)))) => {
                    send.send(order).is_ok()
                }
                Err(_) => false,
            },
            None => true,
        }
    }

    /// Everything is kept; what it was, with what of it this run has seen.
    pub(super) fn close(mut self) -> Measured {
        let (now, began) = (self.since(Instant::now()), self.axis.name(Duration::ZERO));
        self.about.now = self.axis.name(now);
        self.about.ahead = self.axis.ahead(now, wall());
        let describe = Order::Describe(Box::new(self.about.clone()));
        let minute = |(subject, number): &(Subject, u64)| {
            Some((subject.clone(), *number, self.history.series(subject)?.minute(*number)))
        };
        let minutes = self.dirty.iter().filter_map(minute).collect();
        if let Some((send, thread)) = self.ledger.take() {
            let kept = send
                .send(Order::Write(Batch { minutes, ..Batch::default() }))
                .and_then(|()| send.send(describe));
            drop(send);
            if kept.is_err() || thread.join().is_err() {
                let directory = self.kept_in.as_deref().unwrap_or(Path::new("")).display().to_string();
                tell(format_args!("nines: the last minutes could not be kept in {directory}"));
            }
        }
        Measured { history: self.history.since(began), ..self.about }
    }
}

fn write(mut ledger: Ledger, orders: impl Iterator<Item = Order>, lost: &AtomicBool) {
    let mut told = false;
    for order in orders {
        let done = match order {
            Order::Write(batch) => ledger.write(&batch),
            Order::Forget(to) => ledger.forget_from(to),
            Order::Restore(history) => ledger.restore(&history),
            Order::Describe(about) => ledger.describe(&about),
        };
        for trouble in ledger.troubles() {
            tell(format_args!("nines: {trouble}"));
            lost.store(true, Ordering::Relaxed);
        }
        match done {
            Ok(()) => told = false,
            Err(error) if !told => {
                told = true;
                tell(format_args!(
                    "nines: what was seen can't be kept in {}: {error}",
                    ledger.directory().display()
                ));
            }
            Err(_) => {}
        }
    }
    let _ = ledger.sync();
}
