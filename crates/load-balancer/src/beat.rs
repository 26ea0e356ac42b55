//! The sign that a worker turns its loop.
//!
//! The runtime's timer gives it, which has its turn after a few tasks; a task must wait behind all that are ready, and a
//! worker with much to do would pass for one that has stalled.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use nines_control::vrrp::LATE;
use tokio::time::Sleep;

use crate::shared::Vitals;

/// From one sign to the next, by turns: a processor that is taken away at a steady pace must not be missed by timers that keep
/// step with it.
const BEATS: [Duration; 4] = [
    Duration::from_millis(80),
    Duration::from_millis(130),
    Duration::from_millis(110),
    Duration::from_millis(90),
];
/// Signs that are given while the task which sets the timers waits for its turn.
const AHEAD: usize = 12;

pub(crate) struct Beat {
    vitals: Arc<Vitals>,
    started: Instant,
    timers: Vec<Pin<Box<Sleep>>>,
    /// Which of [`BEATS`] comes next.
    turn: usize,
}

/// Is woken in the task's stead, gives the sign and wakes the task.
struct Sign {
    vitals: Arc<Vitals>,
    started: Instant,
    /// When it was to be given.
    due: Instant,
    task: Waker,
}

impl Beat {
    pub(crate) fn new(vitals: Arc<Vitals>, started: Instant) -> Self {
        let timers = (0..AHEAD).map(|_| Box::pin(tokio::time::sleep(BEATS[0]))).collect();
        Self { vitals, started, timers, turn: 0 }
    }

    /// Gives a sign, and waits until it is time for the next.
    pub(crate) async fn next(&mut self) {
        give(&self.vitals, self.started);
        let mut due = tokio::time::Instant::now();
        for (nth, timer) in self.timers.iter_mut().enumerate() {
            due += BEATS[(self.turn + nth) % BEATS.len()];
            timer.as_mut().reset(due);
        }
        self.turn = (self.turn + 1) % BEATS.len();
        poll_fn(|cx| {
            let (vitals, started) = (self.vitals.clone(), self.started);
            let gone_off = self.timers.iter_mut().any(|timer| {
                let (vitals, due) = (vitals.clone(), timer.deadline().into_std());
                let sign = Waker::from(Arc::new(Sign { vitals, started, due, task: cx.waker().clone() }));
                timer.as_mut().poll(&mut Context::from_waker(&sign)).is_ready()
            });
            if gone_off { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Wake for Sign {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.vitals.beats.fetch_add(1, Ordering::Relaxed);
        if self.due.elapsed() > LATE {
            self.vitals.late.fetch_add(1, Ordering::Relaxed);
        }
        give(&self.vitals, self.started);
        self.task.wake_by_ref();
    }
}

fn give(vitals: &Vitals, started: Instant) {
    let since = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    vitals.beat_ms.store(since, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use nines_control::vrrp::{Turns, is_late};

    use super::*;

    /// So long that the task must miss a sign, and the timer must not.
    const BUSY: Duration = Duration::from_secs(1);

    #[test]
    fn a_task_that_waits_for_its_turn_does_not_keep_the_sign_back() {
        let (vitals, started) = (Arc::new(Vitals::default()), Instant::now());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let mut beat = Beat::new(vitals.clone(), started);
            let mut next = Box::pin(beat.next());
            poll_fn(|cx| {
                assert!(next.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            // Nobody polls it any more, as if it stood far back in the queue.
            let end = Instant::now() + BUSY;
            while Instant::now() < end {
                tokio::task::yield_now().await;
            }
            let silent = started.elapsed() - Duration::from_millis(vitals.beat_ms.load(Ordering::Relaxed));
            assert!(silent < BUSY / 2, "{silent:?}");
        });
    }

    #[test]
    fn a_worker_that_stands_still_again_and_again_is_seen_to_be_late_at_whatever_pace() {
        // Pauses and turns, in milliseconds.
        for (pause, turn) in [(200, 50), (300, 20), (250, 45)] {
            let (vitals, started) = (Arc::new(Vitals::default()), Instant::now());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build_local(tokio::runtime::LocalOptions::default())
                .unwrap();
            runtime.block_on(async {
                let mut beat = Beat::new(vitals.clone(), started);
                let beats = async {
                    loop {
                        beat.next().await;
                    }
                };
                let pauses = async {
                    while started.elapsed() < Duration::from_secs(2) {
                        // The whole thread, as when it gets no processor.
                        std::thread::sleep(Duration::from_millis(pause));
                        tokio::time::sleep(Duration::from_millis(turn)).await;
                    }
                };
                tokio::select! {
                    () = beats => {}
                    () = pauses => {}
                }
            });
            let (all, late) = (vitals.beats.load(Ordering::Relaxed), vitals.late.load(Ordering::Relaxed));
            assert!(
                all >= 4 && is_late(Turns { all, late }),
                "{pause} ms of {}: {late} of {all}",
                pause + turn
            );
        }
    }
}
