//! The bodies of the API's requests and answers, shared by both ends. `/status` is [`nines_control::status::Status`].

use nines_control::event::Event;
use nines_control::status::Wish;
use serde::{Deserialize, Serialize};

/// Of all answers. Fields are added, never changed in meaning, while it stays.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Events {
    pub version: u32,
    pub events: Vec<Event>,
}

/// `POST /wish`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WishOrder {
    /// A member (`app1:8080`, `web/app1:8080`), all members on a host (`app1`) or a whole pool (`web`).
    pub target: String,
    pub wish: Wish,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Touched {
    pub version: u32,
    /// `web/app1:8080`.
    pub touched: Vec<String>,
}

/// `POST /databases`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseOrder {
    /// `orders`.
    pub database: String,
    pub verb: DatabaseVerb,
}

/// What the operator wants done with a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DatabaseVerb {
    /// Another host becomes the primary: this one, or whichever is best. `force`: transactions that are still open at the deadline are
    /// ended, instead of the switchover.
    Switchover {
        to: Option<String>,
        force: bool,
    },
    /// Nothing new is begun: no takeover, no change of who confirms, no return.
    Pause,
    Resume,
    /// This standby sets its data aside and becomes a new copy of the primary.
    Reinit {
        host: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Granted {
    pub version: u32,
    /// What follows from it, in a sentence.
    pub said: String,
}

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub version: u32,
    pub error: String,
    /// Names that would have been understood, where a name was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
}

impl Problem {
    pub fn new(error: impl Into<String>) -> Self {
        Self { version: VERSION, error: error.into(), known: Vec::new() }
    }
}
