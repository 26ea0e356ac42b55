//! When a member is probed: one probe at a time, each of them bounded.

use std::time::{Duration, Instant};

/// What a probe may take beyond its time-out before it counts as lost, and so as failed.
const GRACE: Duration = Duration::from_millis(250);
/// No two probes of a member begin closer together than this, whatever the file says.
const CLOSEST: Duration = Duration::from_millis(1);

/// The probes of one member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schedule {
    /// When the next probe begins; `None` while one runs, and when none is wanted.
    next: Option<Instant>,
    running: Option<Running>,
    /// When the latest probe began.
    began: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    number: u64,
    lost_at: Instant,
}

impl Schedule {
    /// A probe as soon as may be; one that runs is forgotten, since it asked something else.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.running = None;
        self.next = Some(now);
    }

    pub(crate) fn stop(&mut self) {
        self.running = None;
        self.next = None;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.next.is_none() && self.running.is_none()
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    pub(crate) fn begin(&mut self, now: Instant, number: u64, timeout: Duration) {
        self.next = None;
        self.began = Some(now);
        self.running = Some(Running { number, lost_at: now + timeout + GRACE });
    }

    /// The probe of this number has ended; when it had begun. `None` if it isn't the one that is waited for.
    pub(crate) fn end(&mut self, number: u64) -> Option<Instant> {
        self.running.take_if(|running| running.number == number)?;
        self.began
    }

    /// The running probe's result has not come and no longer will.
    pub(crate) fn is_lost(&self, now: Instant) -> Option<u64> {
        self.running.filter(|running| running.lost_at <= now).map(|running| running.number)
    }

    /// After a probe: the next one begins `wait` after the latest began.
    pub(crate) fn again(&mut self, now: Instant, wait: Duration) {
        let next = self.began.map_or(now, |began| began + wait.max(CLOSEST));
        self.next = Some(next.max(now));
    }

    /// The next probe need not wait longer than `wait` after the latest one's begin.
    pub(crate) fn hurry(&mut self, now: Instant, wait: Duration) {
        let soon = self.began.map_or(now, |began| began + wait.max(CLOSEST)).max(now);
        self.next = self.next.map(|next| next.min(soon));
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.running.map(|running| running.lost_at).or(self.next)
    }
}
