//! Registers in a directory of one machine, for any number of processes at once.

mod document;
mod folder;
mod watch;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use crate::claim::Known;
use crate::error::Error;
use crate::nonce::{Nonces, random_id};
use crate::watch::Mailbox;
use crate::{Entry, Outcome, Revision, lock};

use self::document::Document;
use self::folder::{Folder, Made};

/// Threads that may wait for the disk at once. A disk that stalls must not eat all that tokio has.
const THREADS: usize = 4;
/// Bytes that all registers of a store may hold together.
const LARGEST_STORE: usize = 1024 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Embedded(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    nonces: Nonces,
    threads: Arc<Semaphore>,
    mark: Mutex<Mark>,
    guard: Mutex<Option<(String, Entry)>>,
}

/// What is known of the store.
#[derive(Debug, Default)]
struct Mark {
    store: Option<String>,
    /// The newest seen.
    number: u64,
    /// The newest that is known to survive a loss of power.
    durable: u64,
}

/// What one try to change came to.
enum Step {
    Done(Outcome),
    Again,
}

impl Embedded {
    pub(crate) fn open(path: &Path, known: Option<&Known>) -> Result<Self, Error> {
        let folder = Folder::open(path)?;
        let mark = known.map_or_else(Mark::default, |known| Mark {
            store: Some(known.store.clone()),
            number: known.revision,
            durable: 0,
        });
        Ok(Self(Arc::new(Inner {
            folder,
            nonces: Nonces::new()?,
            threads: Arc::new(Semaphore::new(THREADS)),
            mark: Mutex::new(mark),
            guard: Mutex::default(),
        })))
    }

    pub(crate) fn mark(&self) -> (String, u64) {
        let mark = lock(&self.0.mark);
        (mark.store.clone().unwrap_or_default(), mark.number)
    }

    pub(crate) async fn get(&self, path: &str, deadline: Instant) -> Result<Option<Entry>, Error> {
        let mut document = self.last(deadline).await?;
        Ok(document.registers.remove(path))
    }

    pub(crate) async fn guard(&self, path: &str, deadline: Instant) -> Result<(), Error> {
        let entry = self.get(path, deadline).await?;
        let entry = entry.ok_or_else(|| Error::Regressed { why: format!("the register {path} has gone") })?;
        *lock(&self.0.guard) = Some((path.to_owned(), entry));
        Ok(())
    }

    pub(crate) async fn change(
        &self,
        path: &str,
        expected: Option<Revision>,
        value: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        let value = value.map(<[u8]>::to_vec);
        let its = path.to_owned();
        let work = move |inner: &Inner| {
            while Instant::now() < deadline {
                match inner.try_change(&its, expected, value.as_deref(), deadline)? {
                    Step::Done(outcome) => return Ok(outcome),
                    Step::Again => {}
                }
            }
            Err(inner.folder.unreachable(&"others change it all the time"))
        };
        let unknown =
            || Error::Unknown { what: path.to_owned(), why: "the disk does not answer in time".to_owned() };
        self.blocking(deadline, work, unknown).await
    }

    async fn last(&self, deadline: Instant) -> Result<Document, Error> {
        let late = || self.0.folder.unreachable(&"the disk does not answer in time");
        self.blocking(deadline, Inner::last, late).await
    }

    /// Does `work` on a thread that may wait for the disk, and answers `late` if the deadline comes meanwhile.
    async fn blocking<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
        late: impl FnOnce() -> Error,
    ) -> Result<T, Error> {
        let nothing = |why: &str| Err(self.0.folder.unreachable(&why));
        if Instant::now() >= deadline {
            return nothing("there was no time left to ask");
        }
        let place = timeout_at(deadline.into(), self.0.threads.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return nothing("the disk does not answer in time") };
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&inner)
        });
        match timeout_at(deadline.into(), done).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }

    pub(crate) async fn watch(&self, under: String, mailbox: &Mailbox) {
        watch::run(self, &under, mailbox).await;
    }
}

impl Inner {
    /// The last document, checked against what is known of the store, and safe from a loss of power: what others do because of it
    /// must not outlive it.
    fn last(&self) -> Result<Document, Error> {
        let floor = lock(&self.mark).number;
        let document = self.folder.last()?;
        let known = lock(&self.mark).store.clone();
        if let Some(known) = known
            && known != document.store
        {
            let what = if document.number == 0 { "empty".to_owned() } else { document.store.clone() };
            return Err(self.regressed(&format!("it was the store {known}, and is {what}")));
        }
        if document.number < floor {
            return Err(self.regressed(&format!("it was at revision {floor}, and is at {}", document.number)));
        }
        if lock(&self.mark).durable < document.number {
            self.folder.sync().map_err(|error| self.folder.unreachable(&error))?;
        }
        let mut mark = lock(&self.mark);
        if document.number > 0 {
            mark.store.get_or_insert_with(|| document.store.clone());
        }
        mark.number = mark.number.max(document.number);
        mark.durable = mark.durable.max(document.number);
        Ok(document)
    }

    fn try_change(
        &self,
        path: &str,
        expected: Option<Revision>,
        value: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<Step, Error> {
        let mut document = self.last()?;
        if let Some((claim, entry)) = lock(&self.guard).as_ref()
            && document.registers.get(claim) != Some(entry)
        {
            return Err(self.regressed(&format!("the register {claim} is not what it was")));
        }
        let current = document.registers.get(path);
        if current.map(|entry| entry.revision) != expected {
            return Ok(Step::Done(Outcome::Lost { current: current.cloned() }));
        }
        if document.number == 0 {
            document.store = random_id()?;
        }
        document.number += 1;
        let revision = Revision(document.number);
        match value {
            Some(value) => {
                document.registers.insert(path.to_owned(), Entry { value: value.to_vec(), revision })
            }
            None => document.registers.remove(path),
        };
        if document.size() > LARGEST_STORE {
            return Err(Error::Refused {
                why: format!("all registers together hold {LARGEST_STORE} bytes at most"),
            });
        }
        match self.folder.add(&document, &self.nonces.next(), deadline)? {
            Made::Yes => {
                let mut mark = lock(&self.mark);
                mark.store.get_or_insert(document.store);
                mark.number = mark.number.max(revision.0);
                mark.durable = mark.durable.max(revision.0);
                Ok(Step::Done(Outcome::Won(revision)))
            }
            Made::Taken => Ok(Step::Again),
            Made::Unclear => Err(Error::Unknown {
                what: path.to_owned(),
                why: "this process slept, or the disk failed, in the middle of it".to_owned(),
            }),
        }
    }

    fn regressed(&self, why: &str) -> Error {
        Error::Regressed { why: format!("{}: {why}", self.folder.path().display()) }
    }
}
