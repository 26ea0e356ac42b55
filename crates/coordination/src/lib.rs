//! Registers with compare-and-set and watch, which the hosts of one system share: over etcd where there are several machines,
//! over a directory where one machine is all there is. What they are used for is decided in `nines_control`; in words:
//! `docs/coordination.md`.
//!
//! There are no leases here. A lease is a register that its holder changes again and again, and that each observer judges by its
//! own clock from what [`Watch`] told it.

mod claim;
mod embedded;
mod error;
mod etcd;
mod key;
mod nonce;
pub mod settings;
mod tracker;
mod watch;

use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use crate::claim::{Claim, Known, SystemId};
use crate::embedded::Embedded;
pub use crate::error::Error;
use crate::etcd::Etcd;
pub use crate::key::{Key, KeyError, Prefix};
pub use crate::settings::Settings;
pub use crate::watch::{Change, Seen, Watch};

/// A register holds a page of JSON, not a file.
pub const LARGEST_VALUE: usize = 64 * 1024;

/// When a register was last changed, in the store's own count: no two changes of a store have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(pub(crate) u64);

impl Revision {
    pub fn get(self) -> u64 {
        self.0
    }
}

/// What a register holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: Vec<u8>,
    pub revision: Revision,
}

/// What came of a compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The register holds our value, since this revision.
    Won(Revision),
    /// The register was not as expected, and nothing of ours was or will be written; it holds this.
    Lost { current: Option<Entry> },
}

/// What came of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    Deleted,
    /// The register was not as expected; it holds this.
    Lost {
        current: Option<Entry>,
    },
}

/// The registers of one system. Clones share connections and memory; other processes share the registers.
///
/// Every call is linearizable, and ends at its deadline.
#[derive(Debug, Clone)]
pub struct Registers {
    backend: Backend,
    prefix: Prefix,
    system: SystemId,
}

#[derive(Debug, Clone)]
enum Backend {
    Embedded(Embedded),
    Etcd(Etcd),
}

impl Registers {
    /// Opens the store and claims a prefix of it for one system, or finds that it has it already.
    ///
    /// # Errors
    /// [`Error::Claimed`]: another system has it; [`Error::Regressed`]: the store is not the one that this host
    /// knows; [`Error::Unreachable`], and then it can be tried again; [`Error::Settings`] and [`Error::Refused`].
    pub async fn open(settings: &Settings, claim: &Claim, deadline: Instant) -> Result<Self, Error> {
        let known = claim.known.as_ref();
        let backend = match settings {
            Settings::Embedded { path } => Backend::Embedded(Embedded::open(path, known)?),
            Settings::Etcd(etcd) => Backend::Etcd(Etcd::open(etcd, known)?),
        };
        let system = claim::claim(&backend, claim, deadline).await?;
        Ok(Self { backend, prefix: claim.prefix.clone(), system })
    }

    /// What this host should keep on its own disk and give to [`Claim::known`] when it starts again, so that a store that went back
    /// in time is noticed then, too. An old one is good: it only says less.
    pub fn known(&self) -> Known {
        let (store, revision) = self.backend.mark();
        Known { system: self.system.clone(), store, revision }
    }

    /// What the register holds; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`Error`]; never [`Error::Unknown`].
    pub async fn get(&self, key: &Key, deadline: Instant) -> Result<Option<Entry>, Error> {
        self.backend.get(&self.path(key), deadline).await
    }

    /// Sets the register if nobody has changed it since `expected`; `None`: if it does not exist.
    ///
    /// # Errors
    /// [`Error::Unknown`] if it may have been set; any other says that it was not.
    pub async fn compare_and_set(
        &self,
        key: &Key,
        expected: Option<Revision>,
        value: &[u8],
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        if value.len() > LARGEST_VALUE {
            return Err(Error::TooBig { key: key.clone(), bytes: value.len(), most: LARGEST_VALUE });
        }
        self.backend.change(&self.path(key), expected, Some(value), deadline).await
    }

    /// Deletes the register if nobody has changed it since `expected`.
    ///
    /// # Errors
    /// [`Error::Unknown`] if it may have been deleted; any other says that it was not.
    pub async fn delete(&self, key: &Key, expected: Revision, deadline: Instant) -> Result<Deletion, Error> {
        Ok(match self.backend.change(&self.path(key), Some(expected), None, deadline).await? {
            Outcome::Won(_) => Deletion::Deleted,
            Outcome::Lost { current } => Deletion::Lost { current },
        })
    }

    /// Tells of all registers whose keys begin with the parts of `under`; `None`: of all of this system. Begins with what they hold now.
    ///
    /// To be called within a tokio runtime: a task of it does the work until the [`Watch`] is dropped.
    pub fn watch(&self, under: Option<&Key>) -> Watch {
        let root = format!("{}/", self.prefix);
        let under = under.map_or_else(|| root.clone(), |key| format!("{root}{key}/"));
        let backend = self.backend.clone();
        Watch::start(root, |mailbox| async move {
            match backend {
                Backend::Embedded(store) => store.watch(under, &mailbox).await,
                Backend::Etcd(etcd) => etcd.watch(under, &mailbox).await,
            }
        })
    }

    fn path(&self, key: &Key) -> String {
        format!("{}/{key}", self.prefix)
    }
}

/// What [`peek`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// The system that has the prefix, by its name; `None`: nobody has.
    pub owner: Option<String>,
    /// Of the keys that were asked for, in their order.
    pub entries: Vec<Option<Entry>>,
}

/// Looks into a store without claiming, writing or making anything.
///
/// # Errors
/// As with [`Registers::open`] and [`Registers::get`].
pub async fn peek(
    settings: &Settings,
    prefix: &Prefix,
    keys: &[Key],
    deadline: Instant,
) -> Result<Peek, Error> {
    let backend = match settings {
        Settings::Embedded { path } if !path.exists() => {
            return Ok(Peek { owner: None, entries: vec![None; keys.len()] });
        }
        Settings::Embedded { path } => Backend::Embedded(Embedded::open(path, None)?),
        Settings::Etcd(etcd) => Backend::Etcd(Etcd::open(etcd, None)?),
    };
    let owner = claim::owner(&backend, prefix, deadline).await?;
    let mut entries = Vec::new();
    for key in keys {
        entries.push(backend.get(&format!("{prefix}/{key}"), deadline).await?);
    }
    Ok(Peek { owner, entries })
}

impl Backend {
    async fn get(&self, path: &str, deadline: Instant) -> Result<Option<Entry>, Error> {
        match self {
            Self::Embedded(store) => store.get(path, deadline).await,
            Self::Etcd(etcd) => etcd.get(path, deadline).await,
        }
    }

    /// Sets the register at `path`, or deletes it without a value.
    async fn change(
        &self,
        path: &str,
        expected: Option<Revision>,
        value: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        match self {
            Self::Embedded(store) => store.change(path, expected, value, deadline).await,
            Self::Etcd(etcd) => etcd.change(path, expected, value, deadline).await,
        }
    }

    /// From now on nothing is written unless the register at `path` is as it is now.
    async fn guard(&self, path: &str, deadline: Instant) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.guard(path, deadline).await,
            Self::Etcd(etcd) => etcd.guard(path, deadline).await,
        }
    }

    /// Which store this is, and its newest revision seen.
    fn mark(&self) -> (String, u64) {
        match self {
            Self::Embedded(store) => store.mark(),
            Self::Etcd(etcd) => etcd.mark(),
        }
    }
}

/// A panic while one of our short locks is held leaves nothing half done: every holder only reads or replaces whole values.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
