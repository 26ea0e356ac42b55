//! A thread that has the ledger: it may wait for the disk as long as the disk likes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use nines_availability::measurement::{History, Limits, Measured, Second};
use nines_ledger::{Batch, Ledger};
use tokio::sync::mpsc;

/// What is to be done may wait; more than this is not taken, and what it was comes again.
const JOBS: usize = 8;
/// How long the end waits for a disk.
const END: Duration = Duration::from_secs(1);

pub(crate) enum Job {
    /// With a number, by which its answer is known.
    Keep(u64, Box<Batch>),
    ForgetFrom(Second),
    /// What is there no more is to be written as it is in memory.
    Restore(Box<History>),
    Describe(Box<Measured>),
}

pub(crate) enum Said {
    /// What there was, and what was not as it should be.
    Opened(Box<History>, Vec<String>),
    NotOpened(String),
    Kept(u64),
    NotKept(String),
    /// Files were damaged or removed meanwhile.
    Lost(Vec<String>),
}

pub(crate) struct Keeper {
    jobs: Option<SyncSender<Job>>,
    said: mpsc::UnboundedReceiver<Said>,
    open: bool,
}

impl Keeper {
    pub(crate) fn start(directory: PathBuf, vantage: &str) -> Self {
        let (jobs, asked) = sync_channel(JOBS);
        // Bounded by the jobs: each is answered twice at most, and there is one opening.
        let (says, said) = mpsc::unbounded_channel();
        let vantage = vantage.to_owned();
        let not_started = says.clone();
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        if let Err(error) = thread.spawn(move || keep(&directory, &vantage, &asked, &says)) {
            let _ = not_started.send(Said::NotOpened(format!("no thread to keep measurements: {error}")));
        }
        Self { jobs: Some(jobs), said, open: false }
    }

    /// The next thing; never, once the thread has ended.
    pub(crate) async fn said(&mut self) -> Said {
        match self.said.recv().await {
            Some(said) => {
                self.open |= matches!(said, Said::Opened(..));
                said
            }
            None => std::future::pending().await,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether it was taken.
    pub(crate) fn send(&self, job: Job) -> bool {
        self.open && self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }

    /// Lets it finish, if that doesn't take long.
    pub(crate) async fn end(&mut self) {
        self.jobs = None;
        let _ = tokio::time::timeout(END, async { while self.said.recv().await.is_some() {} }).await;
    }
}

fn keep(directory: &Path, vantage: &str, jobs: &Receiver<Job>, says: &mpsc::UnboundedSender<Said>) {
    let mut ledger = match Ledger::open(directory, vantage, Limits::default()) {
        Ok(opened) => {
            let _ = says.send(Said::Opened(Box::new(opened.history), opened.told));
            opened.ledger
        }
        Err(error) => {
            let _ = says.send(Said::NotOpened(format!("what is measured can't be kept: {error}")));
            return;
        }
    };
    let failed = |error: std::io::Error| Said::NotKept(format!("{}: {error}", directory.display()));
    for job in jobs {
        let said = match job {
            Job::Keep(number, batch) => {
                Some(ledger.write(&batch).map_or_else(failed, |()| Said::Kept(number)))
            }
            Job::ForgetFrom(second) => ledger.forget_from(second).err().map(failed),
            Job::Restore(history) => ledger.restore(&history).err().map(failed),
            Job::Describe(about) => ledger.describe(&about).err().map(failed),
        };
        let troubles = ledger.troubles();
        let lost = (!troubles.is_empty()).then_some(Said::Lost(troubles));
        if lost.into_iter().chain(said).any(|said| says.send(said).is_err()) {
            break;
        }
    }
    // What the program's end would not wait for is in the kernel's hands already.
    let _ = ledger.sync();
}
