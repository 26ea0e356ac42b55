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

use tokio::time::Sleep;

use crate::shared::Vitals;

/// From one sign to the next.
const BEAT: Duration = Duration::from_millis(200);
/// Signs that are given while the task which sets the timer waits for its turn.
const AHEAD: u32 = 8;

pub(crate) struct Beat {
    vitals: Arc<Vitals>,
    started: Instant,
    timers: Vec<Pin<Box<Sleep>>>,
}

/// Is woken in the task's stead, gives the sign and wakes the task.
struct Sign {
    vitals: Arc<Vitals>,
    started: Instant,
    task: Waker,
}

impl Beat {
    pub(crate) fn new(vitals: Arc<Vitals>, started: Instant) -> Self {
        let timers = (0..AHEAD).map(|_| Box::pin(tokio::time::sleep(BEAT))).collect();
        Self { vitals, started, timers }
    }

    /// Gives a sign, and waits until it is time for the next.
    pub(crate) async fn next(&mut self) {
        give(&self.vitals, self.started);
        let now = tokio::time::Instant::now();
        for (nth, timer) in (1..).zip(&mut self.timers) {
            timer.as_mut().reset(now + BEAT * nth);
        }
        poll_fn(|cx| {
            let (vitals, started) = (self.vitals.clone(), self.started);
            let sign = Waker::from(Arc::new(Sign { vitals, started, task: cx.waker().clone() }));
            let mut cx = Context::from_waker(&sign);
            let due = self.timers.iter_mut().any(|timer| timer.as_mut().poll(&mut cx).is_ready());
            if due { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Wake for Sign {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
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
    use super::*;

    /// So long that the task must miss a sign, and the timer must not.
    const BUSY: Duration = BEAT.saturating_mul(5);

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
            assert!(silent < BUSY - BEAT, "{silent:?}");
        });
    }
}
