//! What this host has to know after its own end: in a file beside the data, flushed before anything that follows from it.
//!
//! It is of one data directory, which has the same id in it; with other data it says nothing.

use std::fs;
use std::io;
use std::path::Path;

use nines_control::failover::{Cohort, Host, Origin, Position, Term};
use serde::{Deserialize, Serialize};

use super::history::History;
use super::{Refusal, place};

/// Of this file. A newer one is refused.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct State {
    pub(super) format: u32,
    /// `None`: there are no data.
    pub(super) id: Option<String>,
    pub(super) pledged: Term,
    #[serde(default)]
    pub(super) origin: Origin,
    pub(super) serves: Option<Term>,
    pub(super) source: Option<(Host, Term)>,
    /// Which branches the data follow, or are about to.
    #[serde(default)]
    pub(super) history: History,
    /// The history is that of the source: it may stream.
    #[serde(default)]
    pub(super) attached: bool,
    /// Exactly, while nothing can be written: nothing is streamed, and it is no primary.
    #[serde(default)]
    pub(super) end: Option<Position>,
    /// What the primary's engine is to go by.
    #[serde(default)]
    pub(super) cohort: Option<Cohort>,
    #[serde(default)]
    pub(super) busy: Option<Busy>,
    /// Somebody promoted it by hand: these data never count again.
    #[serde(default)]
    pub(super) stray: bool,
}

/// What was begun, and leaves data that are not what they were if it is broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Busy {
    Initialising,
    /// The old data are still there, and don't count.
    Copying,
    Rewinding,
    /// A copy is there, and is not consistent before it has got all of what was written meanwhile.
    Recovering,
    Promoting {
        term: Term,
    },
}

impl State {
    /// `None`: there is no such file.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, Refusal> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Refusal::at(path, error)),
        };
        let format = serde_json::from_str::<serde_json::Value>(&text)
            .ok()
            .and_then(|value| value.get("format")?.as_u64())
            .ok_or_else(|| Refusal::at(path, "it is not nines' state of a database; it is left as it is"))?;
        if format > u64::from(FORMAT) {
            let why = "a newer nines wrote it: run that one, or a newer one; nothing was changed";
            return Err(Refusal::at(path, why));
        }
        serde_json::from_str(&text).map(Some).map_err(|error| Refusal::at(path, error))
    }

    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let state = Self { format: FORMAT, ..self.clone() };
        let text = serde_json::to_string_pretty(&state).map_err(io::Error::other)?;
        place::put(path, &text, None, true)
    }

    /// Whether the data are somebody's history, whole and of ordered terms only.
    pub(super) fn counts(&self) -> bool {
        self.id.is_some()
            && self.origin != Origin::Foreign
            && !self.stray
            && matches!(self.busy, None | Some(Busy::Promoting { .. }))
            && !self.history.is_empty()
    }
}

/// Nobody has had it before.
pub(super) fn new_id() -> io::Result<String> {
    use std::fmt::Write;
    use std::io::Read;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hands::history;

    #[test]
    fn what_was_saved_is_what_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nines.json");
        assert_eq!(State::load(&path).unwrap(), None);
        let state = State {
            format: FORMAT,
            id: Some(new_id().unwrap()),
            pledged: 7,
            serves: Some(7),
            source: Some(("db2".into(), 6)),
            history: history::first(),
            busy: Some(Busy::Promoting { term: 7 }),
            cohort: Some(Cohort { members: ["db1".into()].into(), copies: 1 }),
            ..State::default()
        };
        state.save(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), Some(state));
    }

    #[test]
    fn a_newer_or_a_strange_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nines.json");
        for (text, why) in
            [("{\"format\": 2}", "newer"), ("hello", "not nines' state"), ("{}", "not nines' state")]
        {
            fs::write(&path, text).unwrap();
            let refusal = State::load(&path).unwrap_err().to_string();
            assert!(refusal.contains(why), "{refusal}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
