//! What a watch tells, and the box in which it waits to be fetched. The box holds at most one change of each register, the last, so
//! that a slow reader costs nothing and misses nothing that still matters.

use std::collections::BTreeMap;
use std::future::Future;
use std::mem::{self, Discriminant};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::key::Key;
use crate::{Entry, lock};

/// A register that is not what it was when it was last told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: Key,
    /// What it holds; `None`: it does not exist any more.
    pub entry: Option<Entry>,
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Change(Change),
    /// Every change that was made before `asked` has been told. Comes several times a second for as long as the store answers; the
    /// first one ends what the registers held when the watch began. Silence without it says nothing about the registers.
    Current {
        asked: Instant,
    },
    /// The store does not answer, or not what it should; told once for each kind of error, until it is [`Current`](Seen::Current) again.
    Trouble(Error),
}

/// Registers as they change. Dropped: it ends.
#[derive(Debug)]
pub struct Watch {
    mailbox: Arc<Mailbox>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    /// What is before the keys in the paths.
    root: String,
    mail: Mutex<Mail>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Mail {
    changes: BTreeMap<Key, Option<Entry>>,
    current: Option<Instant>,
    trouble: Option<Error>,
    /// Of what kind the trouble is that was told last.
    in_trouble: Option<Discriminant<Error>>,
}

impl Watch {
    pub(crate) fn start<F>(root: String, work: impl FnOnce(Arc<Mailbox>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mailbox = Arc::new(Mailbox { root, mail: Mutex::default(), arrived: Notify::new() });
        let task = tokio::spawn(work(mailbox.clone()));
        Self { mailbox, task }
    }

    /// Waits for the next thing to tell. May be dropped while it waits, and called again.
    pub async fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = lock(&self.mailbox.mail).take() {
                return seen;
            }
            self.mailbox.arrived.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mail {
    /// Changes before anything that is said about all of them.
    fn take(&mut self) -> Option<Seen> {
        if let Some((key, entry)) = self.changes.pop_first() {
            return Some(Seen::Change(Change { key, entry }));
        }
        if let Some(asked) = self.current.take() {
            return Some(Seen::Current { asked });
        }
        self.trouble.take().map(Seen::Trouble)
    }
}

impl Mailbox {
    /// `news` by path. What is not ours to tell of (the claim, names that are no keys) is left out.
    pub(crate) fn changed(&self, news: Vec<(String, Option<Entry>)>) {
        if news.is_empty() {
            return;
        }
        let mut mail = lock(&self.mail);
        for (path, entry) in news {
            let key = path.strip_prefix(&self.root).and_then(|key| Key::new(key).ok());
            if let Some(key) = key {
                mail.changes.insert(key, entry);
            }
        }
        drop(mail);
        self.arrived.notify_one();
    }

    pub(crate) fn current(&self, asked: Instant) {
        let mut mail = lock(&self.mail);
        mail.current = Some(asked);
        mail.trouble = None;
        mail.in_trouble = None;
        drop(mail);
        self.arrived.notify_one();
    }

    pub(crate) fn trouble(&self, error: Error) {
        let mut mail = lock(&self.mail);
        let kind = Some(mem::discriminant(&error));
        if mail.in_trouble == kind {
            return;
        }
        tracing::warn!(%error, "a watch does not hear from the coordination store");
        mail.in_trouble = kind;
        mail.trouble = Some(error);
        drop(mail);
        self.arrived.notify_one();
    }
}
