//! Time-outs of one worker: a hashed wheel (Varghese, Lauck 1987) with a coarse tick, because nearly every
//! time-out is called off before it fires and must then cost next to nothing.
//!
//! A [`Timeout`] asks for its deadline again whenever its timer fires, so a deadline may move; [`Timers::wake_all`]
//! makes everyone ask at once (the worker drains, a member's connections must close).

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Deadlines are kept to this precision, always late rather than early.
const TICK: Duration = Duration::from_millis(4);
/// Slots of the wheel; deadlines further ahead stay in their slot for more than one turn.
const SLOTS: usize = 512;
/// Ahead of any deadline: where there is none.
pub(crate) const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Timers {
    start: Instant,
    wheel: RefCell<Wheel>,
    /// The tick that the driver sleeps until.
    driver_wakes: Cell<u64>,
    driver: RefCell<Option<Waker>>,
}

#[derive(Debug)]
struct Wheel {
    entries: Vec<Entry>,
    free: Vec<u32>,
    slots: Vec<Slot>,
    /// Every tick up to this one has been looked at.
    turned: u64,
}

#[derive(Debug, Default)]
struct Slot {
    entries: Vec<u32>,
    /// No entry in this slot is due before this tick.
    earliest: u64,
}

#[derive(Debug)]
struct Entry {
    due: u64,
    /// Where in its slot this entry stands; `u32::MAX` once it has fired.
    position: u32,
    waker: Waker,
}

const FIRED: u32 = u32::MAX;

impl Timers {
    pub(crate) fn new(start: Instant) -> Self {
        let slots = (0..SLOTS).map(|_| Slot { entries: Vec::new(), earliest: NEVER }).collect();
        Self {
            start,
            wheel: RefCell::new(Wheel { entries: Vec::new(), free: Vec::new(), slots, turned: 0 }),
            driver_wakes: Cell::new(NEVER),
            driver: RefCell::new(None),
        }
    }

    /// Runs `future` until `deadline()`; the deadline is asked for again when it is reached or on [`Timers::wake_all`].
    pub(crate) fn timeout<F, D>(&self, deadline: D, future: F) -> Timeout<'_, F, D>
    where
        F: Future,
        D: Fn() -> Instant,
    {
        Timeout { future, deadline, timer: Timer::new(self) }
    }

    /// Waits until `deadline()`.
    pub(crate) fn sleep<D: Fn() -> Instant>(&self, deadline: D) -> impl Future<Output = ()> {
        let mut timer = Timer::new(self);
        std::future::poll_fn(move |cx| timer.poll(cx, &deadline))
    }

    /// Everyone who waits looks at their deadline again.
    pub(crate) fn wake_all(&self) {
        let mut woken = Vec::new();
        {
            let wheel = &mut *self.wheel.borrow_mut();
            for slot in &mut wheel.slots {
                for id in slot.entries.drain(..) {
                    let entry = &mut wheel.entries[id as usize];
                    entry.position = FIRED;
                    woken.push(entry.waker.clone());
                }
                slot.earliest = NEVER;
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    fn tick_of(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since.div_ceil(TICK.as_nanos())).unwrap_or(NEVER - 1)
    }

    fn insert(&self, due: u64, waker: Waker) -> u32 {
        let id = self.wheel.borrow_mut().insert(due, waker);
        if due < self.driver_wakes.get() {
            self.driver_wakes.set(due);
            if let Some(driver) = self.driver.borrow().as_ref() {
                driver.wake_by_ref();
            }
        }
        id
    }

    /// Fires what is due; one task of the worker runs this for ever.
    pub(crate) async fn drive(self: Rc<Self>) {
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        std::future::poll_fn(|cx| {
            if !self.driver.borrow().as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
                *self.driver.borrow_mut() = Some(cx.waker().clone());
            }
            loop {
                let elapsed = Instant::now().saturating_duration_since(self.start).as_nanos();
                let now = u64::try_from(elapsed / TICK.as_nanos()).unwrap_or(NEVER - 1);
                let woken = self.wheel.borrow_mut().turn(now);
                woken.into_iter().for_each(Waker::wake);
                let next = self.wheel.borrow().earliest();
                self.driver_wakes.set(next);
                if next == NEVER {
                    return Poll::<()>::Pending;
                }
                sleep.as_mut().reset((self.start + since_start(next)).into());
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
}

/// When a tick is, counted from the start of the wheel.
fn since_start(tick: u64) -> Duration {
    const TICK_MS: u64 = TICK.as_millis() as u64;
    Duration::from_millis(tick.saturating_mul(TICK_MS))
}

impl Wheel {
    fn insert(&mut self, due: u64, waker: Waker) -> u32 {
        let due = due.max(self.turned + 1);
        let slot = &mut self.slots[(due % SLOTS as u64) as usize];
        let entry = Entry { due, position: slot.entries.len() as u32, waker };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        slot.entries.push(id);
        slot.earliest = slot.earliest.min(due);
        id
    }

    fn has_fired(&self, id: u32) -> bool {
        self.entries[id as usize].position == FIRED
    }

    fn remove(&mut self, id: u32) {
        let Entry { due, position, .. } = self.entries[id as usize];
        if position != FIRED {
            let slot = &mut self.slots[(due % SLOTS as u64) as usize];
            slot.entries.swap_remove(position as usize);
            match slot.entries.get(position as usize) {
                Some(&moved) => self.entries[moved as usize].position = position,
                None if slot.entries.is_empty() => slot.earliest = NEVER,
                None => {}
            }
        }
        self.free.push(id);
    }

    /// Looks at every slot up to `now`; the wakers of what is due.
    fn turn(&mut self, now: u64) -> Vec<Waker> {
        let mut woken = Vec::new();
        let steps = now.saturating_sub(self.turned).min(SLOTS as u64);
        for tick in now + 1 - steps..=now {
            let slot = &mut self.slots[(tick % SLOTS as u64) as usize];
            if slot.earliest > now {
                continue;
            }
            let mut earliest = NEVER;
            let mut position = 0;
            while let Some(&id) = slot.entries.get(position) {
                let due = self.entries[id as usize].due;
                if due <= now {
                    slot.entries.swap_remove(position);
                    if let Some(&moved) = slot.entries.get(position) {
                        self.entries[moved as usize].position = position as u32;
                    }
                    let entry = &mut self.entries[id as usize];
                    entry.position = FIRED;
                    woken.push(entry.waker.clone());
                } else {
                    earliest = earliest.min(due);
                    position += 1;
                }
            }
            slot.earliest = earliest;
        }
        self.turned = self.turned.max(now);
        woken
    }

    fn earliest(&self) -> u64 {
        self.slots.iter().map(|slot| slot.earliest).min().unwrap_or(NEVER)
    }
}

/// One registration, made at the first poll that has to wait, taken back on drop.
struct Timer<'a> {
    timers: &'a Timers,
    id: Option<u32>,
}

impl<'a> Timer<'a> {
    fn new(timers: &'a Timers) -> Self {
        Self { timers, id: None }
    }

    fn poll(&mut self, cx: &Context<'_>, deadline: impl Fn() -> Instant) -> Poll<()> {
        if let Some(id) = self.id {
            let mut wheel = self.timers.wheel.borrow_mut();
            if !wheel.has_fired(id) {
                let waker = &mut wheel.entries[id as usize].waker;
                if !waker.will_wake(cx.waker()) {
                    waker.clone_from(cx.waker());
                }
                return Poll::Pending;
            }
            drop(wheel);
            self.cancel();
            if Instant::now() >= deadline() {
                return Poll::Ready(());
            }
        }
        let due = self.timers.tick_of(deadline());
        self.id = Some(self.timers.insert(due, cx.waker().clone()));
        Poll::Pending
    }

    fn cancel(&mut self) {
        if let Some(id) = self.id.take() {
            self.timers.wheel.borrow_mut().remove(id);
        }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// The time was up before the future was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// See [`Timers::timeout`]. The future is polled first, so what is ready costs no timer.
#[must_use]
pub(crate) struct Timeout<'a, F, D> {
    future: F,
    deadline: D,
    timer: Timer<'a>,
}

impl<F: Future + Unpin, D: Fn() -> Instant + Unpin> Future for Timeout<'_, F, D> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(output) = Pin::new(&mut this.future).poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.timer.poll(cx, &this.deadline).map(|()| Err(Elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: std::sync::Arc<Self>) {}
    }

    fn local<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    async fn with_driver<F: Future>(timers: &Rc<Timers>, future: F) -> F::Output {
        tokio::select! {
            output = future => output,
            () = timers.clone().drive() => unreachable!("the driver runs for ever"),
        }
    }

    #[test]
    fn a_timeout_fires_at_its_deadline_and_not_before() {
        local(async {
            let timers = Rc::new(Timers::new(Instant::now()));
            for wait in [1, 5, 40] {
                let deadline = Instant::now() + Duration::from_millis(wait);
                let never = std::future::pending::<()>();
                let timed = timers.timeout(|| deadline, Box::pin(never));
                assert_eq!(with_driver(&timers, timed).await, Err(Elapsed));
                assert!(Instant::now() >= deadline);
            }
        });
    }

    #[test]
    fn a_timeout_fires_also_after_a_year_of_service() {
        local(async {
            let long_ago = Instant::now().checked_sub(FAR).expect("the clock goes below zero");
            let timers = Rc::new(Timers::new(long_ago));
            let deadline = Instant::now() + Duration::from_millis(20);
            let driver = tokio::task::yield_now();
            with_driver(&timers, async {
                tokio::join!(driver, timers.sleep(|| deadline));
            })
            .await;
            assert!(Instant::now() >= deadline);
        });
    }

    #[test]
    fn wake_all_makes_a_waiter_look_at_its_deadline_again() {
        local(async {
            let timers = Rc::new(Timers::new(Instant::now()));
            let deadline = Cell::new(Instant::now() + Duration::from_secs(3600));
            let waiting = timers.sleep(|| deadline.get());
            let poke = async {
                tokio::task::yield_now().await;
                deadline.set(Instant::now());
                timers.wake_all();
            };
            let both = async { tokio::join!(waiting, poke) };
            with_driver(&timers, both).await;
        });
    }

    #[test]
    fn removed_entries_never_fire_and_leave_no_trace() {
        let mut wheel = Timers::new(Instant::now()).wheel.into_inner();
        let waker = Waker::from(std::sync::Arc::new(Nothing));
        let mut ids: Vec<u32> = (1..=3000).map(|due| wheel.insert(due, waker.clone())).collect();
        let kept = ids.split_off(2990);
        for id in ids {
            wheel.remove(id);
        }
        assert_eq!(wheel.turn(2990).len(), 0);
        assert_eq!(wheel.earliest(), 2991);
        assert_eq!(wheel.turn(5000).len(), 10);
        for id in kept {
            assert!(wheel.has_fired(id));
            wheel.remove(id);
        }
        assert_eq!(wheel.earliest(), NEVER);
        assert_eq!(wheel.free.len(), wheel.entries.len());
    }

    proptest::proptest! {
        #[test]
        fn every_entry_fires_in_the_turn_that_reaches_it(
            dues in proptest::collection::vec(1u64..5000, 1..200),
            steps in proptest::collection::vec(1u64..900, 1..40),
        ) {
            let mut wheel = Timers::new(Instant::now()).wheel.into_inner();
            let waker = Waker::from(std::sync::Arc::new(Nothing));
            let ids: Vec<(u64, u32)> = dues.iter().map(|&due| (due, wheel.insert(due, waker.clone()))).collect();
            let mut now = 0;
            for step in steps {
                now += step;
                wheel.turn(now);
                for &(due, id) in &ids {
                    proptest::prop_assert_eq!(wheel.has_fired(id), due <= now);
                }
            }
        }
    }
}
