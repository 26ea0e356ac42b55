//! What the hosts of a database know in common: registers in the coordination store.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::{Origin, Role};

/// Grows with each change of primary.
pub type Term = u64;

/// Where a byte of the log is.
pub type Lsn = u64;

/// Grows with each change of a register; 0: the register does not exist.
pub type Revision = u64;

/// A host by the name that the file gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Host(Arc<str>);

impl Host {
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Host {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Host {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0.as_ref().to_owned()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where somebody's log ends: of two, the one of the higher term has everything acknowledged that the other has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Of the latest promotion in its history.
    pub term: Term,
    pub lsn: Lsn,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.lsn)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    Rule,
    Lease,
    /// Written by this host alone.
    Pledge(Host),
    Wish,
    /// Written by this host alone.
    Vitals(Host),
}

impl Register {
    /// As it is called in the store: `rule`, `pledge/db1`.
    pub fn key(&self) -> String {
        match self {
            Self::Rule => "rule".to_owned(),
            Self::Lease => "lease".to_owned(),
            Self::Wish => "wish".to_owned(),
            Self::Pledge(host) => format!("pledge/{host}"),
            Self::Vitals(host) => format!("vitals/{host}"),
        }
    }

    /// `None`: there is no such register.
    pub fn of_key(key: &str) -> Option<Self> {
        match key {
            "rule" => Some(Self::Rule),
            "lease" => Some(Self::Lease),
            "wish" => Some(Self::Wish),
            _ => match key.split_once('/')? {
                ("pledge", host) => Some(Self::Pledge(host.into())),
                ("vitals", host) => Some(Self::Vitals(host.into())),
                _ => None,
            },
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    Rule(Rule),
    Lease(Lease),
    Pledge(Pledge),
    Wish(Wish),
    Vitals(Vitals),
}

impl Value {
    /// Whether it is what such a register holds.
    pub fn fits(&self, register: &Register) -> bool {
        matches!(
            (register, self),
            (Register::Rule, Self::Rule(_))
                | (Register::Lease, Self::Lease(_))
                | (Register::Pledge(_), Self::Pledge(_))
                | (Register::Wish, Self::Wish(_))
                | (Register::Vitals(_), Self::Vitals(_))
        )
    }
}

/// Who may serve. Changed with every heartbeat; how long it has not changed is judged by each by its own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    pub term: Term,
    /// `None`: given up.
    pub holder: Option<Host>,
    pub beat: u64,
    /// Where the holder's log ended: what is at risk if it is never seen again.
    pub end: Option<Position>,
}

/// Somebody announces that the hosts are to be recruited for a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Intent {
    pub term: Term,
    pub candidate: Host,
}

/// This host confirms nothing for a lower term any more, and its data end there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pledge {
    pub term: Term,
    /// `None`: it has nothing that counts.
    pub position: Option<Position>,
    /// Whether it could serve.
    pub fit: bool,
}

/// How a host is, for the others to see. It is written seldom, and nothing is safe because of what it says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vitals {
    pub role: Role,
    pub origin: Origin,
    /// Where its data ended when this was written.
    pub position: Option<Position>,
    /// Whose log it gets now, in that primary's term.
    pub streams: Option<(Host, Term)>,
    /// Why it could not serve, if it could not.
    pub unfit: Option<String>,
}

/// What the operator wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wish {
    /// Nothing new is begun: no takeover, no change of the cohort, no return. What has begun is finished.
    pub paused: bool,
    pub switchover: Option<Switchover>,
    /// These hosts set their data aside and come back as copies of the primary's. Each takes itself out once it is one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reinit: BTreeSet<Host>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Switchover {
    /// The term that it was wished in; void in any other.
    pub term: Term,
    /// `None`: whoever is best.
    pub to: Option<Host>,
    /// Transactions that are still open at the deadline are ended; else the switchover is given up then.
    #[serde(default)]
    pub force: bool,
}
