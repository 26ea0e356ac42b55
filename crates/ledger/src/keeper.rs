//! For whoever must not wait for a disk: a thread that has the ledger, and what of the measurements it has not kept yet.
//!
//! What is measured stays in its owner's memory; here is known from which minute on it is to be brought. A batch is under way at a time, and
//! what it holds counts as kept only when the thread has said so. So a full disk, a slow one or one that is away costs nothing but time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use nines_availability::measurement::{History, Limits, MINUTE, Measured, Noted, Second};

use crate::{Batch, Ledger, LedgerError};

/// Orders that may wait for the disk. What does not fit comes again.
const ORDERS: usize = 8;
/// Minutes that are brought again after a disk was full.
const BEHIND: u64 = 2 * 1440;
/// Events that wait to be kept, the latest: they tell how it ended.
const EVENTS: usize = 1_000;

enum Order {
    /// With a number, by which its answer is known.
    Keep(u64, Batch),
    ForgetFrom(Second),
    /// What is there no more is to be written as it is in memory.
    Restore(Box<History>),
    Describe(Box<Measured>),
}

/// What the thread says. To be given to [`Keeper::hear`].
#[derive(Debug)]
pub enum Answer {
    Opened(Box<History>, Vec<String>),
    NotOpened(LedgerError),
    Kept(u64),
    NotKept(String),
    /// With what there is to tell of it: nothing, where only writing it anew has failed.
    Lost(Vec<String>),
}

/// What is to be made of an answer.
#[derive(Debug)]
pub enum Heard {
    /// What there was, and what was not as it should be.
    Opened(Box<History>, Vec<String>),
    NotOpened(LedgerError),
    /// Nothing of what is measured now is kept, since a moment ago.
    Failing(String),
    /// Now it is again.
    KeptAgain,
    /// Files were damaged or removed meanwhile. They will be written anew.
    Lost(Vec<String>),
    Nothing,
}

/// Of one history, which whoever measures has.
#[derive(Debug)]
pub struct Keeper {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    open: bool,
    /// The first minute that is not known to be kept.
    from: u64,
    under_way: Option<UnderWay>,
    events: VecDeque<Noted>,
    /// The latest batch's number.
    number: u64,
    failing: Option<String>,
    /// What the thread could not take yet.
    forget: Option<Second>,
    restore: bool,
    about: Option<Box<Measured>>,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    /// What it covers: everything before this minute, and so many events.
    minute: u64,
    events: usize,
}

impl Keeper {
    /// `says` is called by the thread with each answer, and tells whether anybody still hears. There are at most two for each order, and one more.
    pub fn start(
        directory: PathBuf,
        vantage: &str,
        says: impl Fn(Answer) -> bool + Clone + Send + 'static,
    ) -> Self {
        let (orders, ordered) = sync_channel(ORDERS);
        let vantage = vantage.to_owned();
        let (not_started, place) = (says.clone(), directory.clone());
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        let thread = thread.spawn(move || obey(&directory, &vantage, &ordered, &says));
        let thread =
            thread.map_err(|error| not_started(Answer::NotOpened(LedgerError::Io(place, error)))).ok();
        Self {
            orders: Some(orders),
            thread,
            open: false,
            from: 0,
            under_way: None,
            events: VecDeque::new(),
            number: 0,
            failing: None,
            forget: None,
            restore: false,
            about: None,
        }
    }

    pub fn hear(&mut self, answer: Answer) -> Heard {
        match answer {
            Answer::Opened(history, told) => {
                // Whoever waited no longer has begun anew, and nothing of that is to be mixed with what was there.
                self.open = self.orders.is_some();
                Heard::Opened(history, told)
            }
            Answer::NotOpened(error) => {
                self.orders = None;
                Heard::NotOpened(error)
            }
            Answer::Kept(number) => {
                // An older one says nothing of the one that is under way.
                if let Some(done) = self.under_way.take_if(|one| one.number == number) {
                    self.from = self.from.max(done.minute);
                    self.events.drain(..done.events.min(self.events.len()));
                }
                self.failing.take().map_or(Heard::Nothing, |_| Heard::KeptAgain)
            }
            Answer::NotKept(why) => {
                self.under_way = None;
                match self.failing.replace(why.clone()) {
                    None => Heard::Failing(why),
                    Some(_) => Heard::Nothing,
                }
            }
            Answer::Lost(troubles) => {
                self.restore = true;
                if troubles.is_empty() { Heard::Nothing } else { Heard::Lost(troubles) }
            }
        }
    }

    /// Whether what is measured now outlives its owner.
    pub fn is_kept(&self) -> bool {
        self.open && self.failing.is_none()
    }

    /// Why nothing can be kept now.
    pub fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    /// Whether something is being written.
    pub fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Nothing before this minute has to be brought: it is there, or can't be used.
    pub fn begin(&mut self, minute: u64) {
        self.from = minute;
        self.under_way = None;
    }

    /// What was brought of this minute, and of those after it, is no longer true.
    pub fn again_from(&mut self, minute: u64) {
        self.from = self.from.min(minute);
        if let Some(under_way) = &mut self.under_way {
            under_way.minute = under_way.minute.min(minute);
        }
    }

    pub fn note(&mut self, event: Noted) {
        if self.events.len() >= EVENTS {
            self.events.pop_front();
            // What is under way covers one less of those that are there.
            if let Some(under_way) = &mut self.under_way {
                under_way.events = under_way.events.saturating_sub(1);
            }
        }
        self.events.push_back(event);
    }

    /// The first minute that is not known to be kept.
    pub fn unkept(&self) -> u64 {
        self.from
    }

    /// The events that are not known to be kept are the caller's: it may not be known yet whether they have the right names.
    pub fn take_events(&mut self) -> Vec<Noted> {
        self.under_way = None;
        std::mem::take(&mut self.events).into()
    }

    /// Of the events that are not known to be kept those that are called `to` or later are not to be kept.
    pub fn forget_events_from(&mut self, to: Second) {
        self.under_way = None;
        self.events.retain(|event| event.at_ms < to.saturating_mul(1000));
    }

    /// Nothing that is called `to` or later is true any more.
    pub fn forget_from(&mut self, to: Second) {
        self.forget = Some(self.forget.map_or(to, |other| other.min(to)));
        self.from = self.from.min(to / MINUTE);
        self.forget_events_from(to);
        self.flush(false);
    }

    /// What is measured there, and how.
    pub fn describe(&mut self, about: Measured) {
        self.about = Some(Box::new(about));
        self.flush(false);
    }

    /// Brings what is new up to `now`, unless it is at it still.
    pub fn keep(&mut self, history: &History, about: impl FnOnce() -> Measured, now: Second) {
        if self.under_way.is_none() {
            self.bring(history, about, now, false);
        }
    }

    /// The last thing. With `wait` the disk is waited for, as long as it takes.
    pub fn end(&mut self, history: &History, about: impl FnOnce() -> Measured, now: Second, wait: bool) {
        self.under_way = None;
        self.bring(history, about, now, wait);
        self.close();
        if wait && let Some(thread) = self.thread.take() {
            // One that has ended in another way has said nothing of having kept it.
            let _ = thread.join();
        }
    }

    /// Takes no more orders; the thread ends after those that it has.
    pub fn close(&mut self) {
        self.orders = None;
    }

    fn bring(&mut self, history: &History, about: impl FnOnce() -> Measured, now: Second, wait: bool) {
        if self.restore && self.send(Order::Restore(Box::new(history.clone())), wait).is_ok() {
            self.restore = false;
            self.about = Some(Box::new(about()));
        }
        if !self.flush(wait) {
            return;
        }
        let minute = now / MINUTE;
        let from = self.from.max(minute.saturating_sub(BEHIND));
        let minutes = history.subjects().flat_map(|(subject, series)| {
            series.minutes(from..minute + 1).map(|(number, of)| (subject.clone(), number, of))
        });
        let batch = Batch { minutes: minutes.collect(), events: self.events.iter().cloned().collect() };
        self.number += 1;
        let under_way = UnderWay { number: self.number, minute, events: batch.events.len() };
        if self.send(Order::Keep(self.number, batch), wait).is_ok() {
            self.under_way = Some(under_way);
        }
    }

    /// Whether the thread has been told everything else.
    fn flush(&mut self, wait: bool) -> bool {
        if let Some(to) = self.forget.take()
            && self.send(Order::ForgetFrom(to), wait).is_err()
        {
            self.forget = Some(to);
            return false;
        }
        if let Some(about) = self.about.take()
            && let Err(Order::Describe(about)) = self.send(Order::Describe(about), wait)
        {
            self.about = Some(about);
        }
        true
    }

    fn send(&self, order: Order, wait: bool) -> Result<(), Order> {
        let Some(orders) = self.orders.as_ref().filter(|_| self.open) else { return Err(order) };
        match wait {
            true => orders.send(order).map_err(|error| error.0),
            false => orders.try_send(order).map_err(|error| match error {
                TrySendError::Full(order) | TrySendError::Disconnected(order) => order,
            }),
        }
    }
}

fn obey(directory: &Path, vantage: &str, orders: &Receiver<Order>, says: &impl Fn(Answer) -> bool) {
    let mut ledger = match Ledger::open(directory, vantage, Limits::default()) {
        Ok(opened) => {
            says(Answer::Opened(Box::new(opened.history), opened.told));
            opened.ledger
        }
        Err(error) => {
            says(Answer::NotOpened(error));
            return;
        }
    };
    // What could not be forgotten yet comes before everything else.
    let mut forget: Option<Second> = None;
    // Nor is it told a second time what is measured there: without that nobody can read the rest.
    let mut about: Option<Box<Measured>> = None;
    for order in orders {
        let (restores, describes) = (matches!(order, Order::Restore(_)), matches!(order, Order::Describe(_)));
        match &order {
            Order::ForgetFrom(second) => forget = Some(forget.map_or(*second, |other| other.min(*second))),
            Order::Describe(new) => about = Some(new.clone()),
            Order::Keep(..) | Order::Restore(_) => {}
        }
        let mut done = match forget.map_or(Ok(()), |second| ledger.forget_from(second)) {
            Ok(()) => {
                forget = None;
                do_it(&mut ledger, order)
            }
            Err(error) => Err(error),
        };
        if let Some(new) = &about {
            match ledger.describe(new) {
                Ok(()) => about = None,
                // Said once; that it is tried again is nobody's concern.
                Err(error) if describes => done = Err(error),
                Err(_) => {}
            }
        }
        // What could not be written anew is lost still, and is brought again.
        let again = restores && done.is_err();
        let failed = |error| Some(Answer::NotKept(format!("{}: {error}", directory.display())));
        let answer = done.map_or_else(failed, |kept| kept.map(Answer::Kept));
        let troubles = ledger.troubles();
        let lost = (again || !troubles.is_empty()).then_some(Answer::Lost(troubles));
        if lost.into_iter().chain(answer).any(|answer| !says(answer)) {
            break;
        }
    }
    // What the program's end would not wait for is in the kernel's hands already.
    let _ = ledger.sync();
}

/// The number of the batch that is kept, if it is one.
fn do_it(ledger: &mut Ledger, order: Order) -> std::io::Result<Option<u64>> {
    match order {
        Order::Keep(number, batch) => ledger.write(&batch).map(|()| Some(number)),
        // Both are done with every order, until they have worked.
        Order::ForgetFrom(_) | Order::Describe(_) => Ok(None),
        Order::Restore(history) => ledger.restore(&history).map(|()| None),
    }
}

#[cfg(test)]
mod tests;
