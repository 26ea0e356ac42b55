//! Who may pass now. One writer, who shuts; many workers, who look before each write; no lock between them.
//!
//! A worker looks and writes inside its [`Section`]. Who shuts waits until every worker is out of the one that it may have
//! been in: after that nothing passes that was allowed before.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::time::{Duration, Instant};

use nines_control::failover::Term;

use super::clock::Nanoseconds;

/// A worker needs microseconds; one that doesn't come out for so long is stuck in the kernel, and is reported.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Permits {
    /// To the primary.
    pub(crate) main: Span,
    /// To a standby.
    pub(crate) reads: Span,
    /// Transactions end and none begins.
    hold: AtomicBool,
    /// 0: nobody's.
    replicates: AtomicU64,
    replication: AtomicU64,
}

/// A time in which one may pass; whoever was let in during one is not let through in the next.
#[derive(Debug, Default)]
pub(crate) struct Span {
    /// 0: shut.
    until: AtomicU64,
    generation: AtomicU64,
}

/// What a connection passes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Main { generation: u64 },
    Either { main: u64, reads: u64 },
    Replication { term: Term, generation: u64 },
}

impl Span {
    pub(crate) fn is_open(&self, now: Nanoseconds) -> bool {
        now < self.until.load(Acquire)
    }

    pub(crate) fn until(&self) -> Nanoseconds {
        self.until.load(Acquire)
    }

    fn passes(&self, generation: u64, now: Nanoseconds) -> bool {
        // In this order: a later span's end is seen only with its generation.
        now < self.until.load(Acquire) && generation == self.generation.load(Acquire)
    }

    /// Opens it, or moves its end. If it had been open and run out it is a new one. Says whether it ends sooner than before.
    fn open(&self, until: Nanoseconds, now: Nanoseconds) -> bool {
        let before = self.until.load(Acquire);
        if before <= now {
            self.shut(); // where it was open
        }
        self.until.store(until, Release);
        until < before
    }

    fn shut(&self) {
        if self.until.swap(0, SeqCst) != 0 {
            self.generation.fetch_add(1, Release);
        }
    }
}

impl Permits {
    pub(crate) fn is_held(&self) -> bool {
        self.hold.load(Acquire)
    }

    /// What somebody gets who comes now; whether it passes is another question.
    pub(crate) fn right(&self, reads_too: bool) -> Right {
        let main = self.main.generation.load(Acquire);
        if reads_too {
            Right::Either { main, reads: self.reads.generation.load(Acquire) }
        } else {
            Right::Main { generation: main }
        }
    }

    pub(crate) fn replication(&self, term: Term) -> Right {
        Right::Replication { term, generation: self.replication.load(Acquire) }
    }

    pub(crate) fn passes(&self, right: Right, now: Nanoseconds) -> bool {
        match right {
            Right::Main { generation } => self.main.passes(generation, now),
            Right::Either { main, reads } => self.main.passes(main, now) || self.reads.passes(reads, now),
            Right::Replication { term, generation } => {
                term != 0
                    && self.replicates.load(Acquire) == term
                    && self.replication.load(Acquire) == generation
            }
        }
    }

    pub(crate) fn replicates(&self) -> Option<Term> {
        Some(self.replicates.load(Acquire)).filter(|term| *term != 0)
    }

    /// Says whether somebody has less than before, and must be waited for.
    pub(crate) fn open(&self, until: Nanoseconds, now: Nanoseconds) -> bool {
        let less = self.main.open(until, now);
        self.hold.store(false, Release);
        less
    }

    pub(crate) fn hold(&self, until: Nanoseconds, now: Nanoseconds) {
        self.hold.store(true, Release);
        self.main.open(until, now);
    }

    pub(crate) fn shut(&self) {
        self.main.shut();
        self.hold.store(false, Release);
    }

    pub(crate) fn open_reads(&self, until: Nanoseconds, now: Nanoseconds) -> bool {
        self.reads.open(until, now)
    }

    pub(crate) fn shut_reads(&self) {
        self.reads.shut();
    }

    /// Replication of this term passes, and of no other. Says whether that is another one than before.
    pub(crate) fn replicate(&self, term: Option<Term>) -> bool {
        let term = term.unwrap_or(0);
        let before = self.replicates.swap(term, SeqCst);
        if before != term {
            self.replication.fetch_add(1, Release);
        }
        before != term
    }
}

/// In which one worker looks and then writes. Written by that worker alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Section(AtomicU64);

/// A worker is in its section until this is dropped. They do not nest.
pub(crate) struct Inside<'a>(&'a AtomicU64);

impl Section {
    #[inline]
    pub(crate) fn enter(&self) -> Inside<'_> {
        // Odd: inside.
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
        // Either this worker sees what was shut, or who shut sees this worker inside.
        fence(SeqCst);
        Inside(&self.0)
    }

    /// Returns when the worker has left the section that it may be in now; `false` if it doesn't.
    pub(crate) fn wait_out(&self) -> bool {
        fence(SeqCst);
        let seen = self.0.load(Acquire);
        if seen.is_multiple_of(2) {
            return true;
        }
        let begun = Instant::now();
        let mut looks = 0_u32;
        while self.0.load(Acquire) == seen {
            looks = looks.saturating_add(1);
            match looks {
                0..200 => std::hint::spin_loop(),
                200..1000 => std::thread::yield_now(),
                _ if begun.elapsed() > PATIENCE => return false,
                _ => std::thread::sleep(Duration::from_micros(20)),
            }
        }
        true
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn nobody_passes_at_the_deadline_or_after_it() {
        let permits = Permits::default();
        permits.open(1000, 10);
        let right = permits.right(false);
        assert!(permits.passes(right, 999));
        assert!(!permits.passes(right, 1000));
        // A renewal in time moves it.
        permits.open(2000, 900);
        assert!(permits.passes(right, 1999));
    }

    #[test]
    fn a_deadline_that_has_passed_is_not_made_up_for_by_a_later_one() {
        let permits = Permits::default();
        permits.open(1000, 10);
        let right = permits.right(false);
        // The process stood still from before 1000 until 5000.
        permits.open(6000, 5000);
        assert!(!permits.passes(right, 5000));
        assert!(permits.passes(permits.right(false), 5000));
    }

    #[test]
    fn who_reads_stays_when_the_standby_becomes_the_primary() {
        let permits = Permits::default();
        permits.open_reads(1000, 10);
        let (reader, writer) = (permits.right(true), permits.right(false));
        assert!(permits.passes(reader, 20) && !permits.passes(writer, 20));
        permits.open(1000, 20);
        permits.shut_reads();
        assert!(permits.passes(reader, 30));
        permits.shut();
        permits.open_reads(1000, 40);
        assert!(!permits.passes(reader, 50), "there was a time in which it might not pass");
    }

    #[test]
    fn replication_is_of_one_term() {
        let permits = Permits::default();
        assert!(!permits.passes(permits.replication(0), 1), "no term is none");
        permits.replicate(Some(7));
        let right = permits.replication(7);
        assert!(permits.passes(right, 1) && !permits.passes(permits.replication(6), 1));
        permits.replicate(Some(7));
        assert!(permits.passes(right, 1));
        permits.replicate(None);
        permits.replicate(Some(7));
        assert!(!permits.passes(right, 1), "it was closed between");
    }

    #[test]
    fn after_shutting_no_worker_is_still_on_its_way() {
        let permits = Arc::new(Permits::default());
        let section = Arc::new(Section::default());
        let stop = Arc::new(AtomicBool::new(false));
        // What the worker writes to: the round in which it was let through.
        let written = Arc::new(AtomicU64::new(0));
        let worker = {
            let (permits, section, stop, written) =
                (permits.clone(), section.clone(), stop.clone(), written.clone());
            std::thread::spawn(move || {
                while !stop.load(Relaxed) {
                    let inside = section.enter();
                    if permits.passes(permits.right(false), 1) {
                        written.fetch_add(1, SeqCst);
                    }
                    drop(inside);
                }
            })
        };
        for _ in 0..2000 {
            permits.open(1000, 1);
            std::thread::yield_now();
            permits.shut();
            assert!(section.wait_out());
            let seen = written.load(SeqCst);
            std::thread::yield_now();
            assert_eq!(written.load(SeqCst), seen);
        }
        stop.store(true, Relaxed);
        worker.join().unwrap();
        assert!(written.load(SeqCst) > 0, "the worker never got through at all");
    }
}
