//! What is measured, and what can be said of it in one second.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `listener front/http-80`, `pool web`, `database orders` (for writes), `url https://shop.example/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    pub kind: Kind,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Listener,
    Pool,
    Database,
    /// What a prober asks for from outside.
    Url,
    /// All listeners and databases of a system, and what probers ask for: made from the others, never measured itself.
    Service,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Listener, Self::Pool, Self::Database, Self::Url, Self::Service];

    pub fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Pool => "pool",
            Self::Database => "database",
            Self::Url => "url",
            Self::Service => "service",
        }
    }
}

impl Subject {
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

/// As [`Subject`] writes itself.
impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(' ').ok_or("like `listener front/http-80`")?;
        let kind = Kind::ALL.into_iter().find(|known| known.word() == kind);
        Ok(Self::new(kind.ok_or_else(|| format!("{text} is of no known kind"))?, name))
    }
}

/// What is known of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Up,
    Down,
    /// Nobody looked, or who looked is not the one who would know.
    Unknown,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}
