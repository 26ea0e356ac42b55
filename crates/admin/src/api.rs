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
