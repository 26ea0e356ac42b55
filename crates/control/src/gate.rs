//! What a database's gate can be asked by other parts of nines: whether it serves (load balancers), and what its history is
//! (standbys, before they stream). Pure bytes; who carries them is elsewhere.
//!
//! A question stands where a PostgreSQL client's startup packet would (protocol, "Message Formats"): its length in four bytes, itself
//! included; the code [`CODE`], which is no version of the protocol, so that a PostgreSQL without a gate refuses it; and
//! JSON. The answer is a length of four bytes, itself included, and JSON. Then the next question may follow.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::failover::{Lsn, Term};

/// `NINE`, in the place of the protocol's version.
pub const CODE: u32 = 0x4e49_4e45;

/// Longer is neither a question nor an answer.
pub const LONGEST: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// Answered by [`Standing`]: at once if it is another than the one with this number, else when it becomes another, but
    /// after so many milliseconds at the latest.
    Standing { seen: u64, within_ms: u32 },
    /// Answered by [`Ancestry`].
    Ancestry { term: Term },
}

/// What a gate lets through now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Another one for each change; of different runs of the program too.
    pub number: u64,
    pub serves: Serves,
    /// Of the primary that it is or follows. Of two that say that they are the primary, the higher one is.
    pub term: Term,
    /// How much of the log it lacks of what it knows that there is.
    pub lag: u64,
    /// In words, where it serves nobody.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serves {
    /// The primary, in its lease.
    Everything,
    /// The primary, about to hand over: who is there may finish, and who is new had better wait for the next one.
    Handover,
    /// A standby that streams.
    Reads,
    Nobody,
}

/// Of the primary of a term: where its branches begin. A standby may stream from it if its own history is a part of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestry {
    /// `None`: it is not the primary of that term.
    pub branches: Option<Vec<Branch>>,
    /// What tells databases apart that were initialised apart.
    pub system: String,
}

/// From `begin` to the next one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    pub term: Term,
    pub begin: Lsn,
}

/// A question as it goes onto the wire.
pub fn question(ask: &Ask) -> Vec<u8> {
    let body = serde_json::to_vec(ask).unwrap_or_default();
    let mut bytes = length(body.len() + 8).to_vec();
    bytes.extend(CODE.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// An answer as it goes onto the wire.
pub fn answer(what: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_vec(what).unwrap_or_default();
    let mut bytes = length(body.len() + 4).to_vec();
    bytes.extend(body);
    bytes
}

/// The first whole message in there, without its length, and how long it was with it; `None`: more must come.
///
/// # Errors
/// Such a length can't be.
pub fn message(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, &'static str> {
    let Some((head, _)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
    if !(4..=LONGEST).contains(&length) {
        return Err("a message of an impossible length");
    }
    Ok(bytes.get(4..length).map(|body| (body, length)))
}

/// What a message says: of a question, what follows the code.
///
/// # Errors
/// It is no such thing.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_can_be_read_again_and_not_before_it_is_whole() {
        let ask = Ask::Standing { seen: 7, within_ms: 500 };
        let bytes = question(&ask);
        for end in 0..bytes.len() {
            assert_eq!(message(&bytes[..end]), Ok(None), "{end} bytes of {}", bytes.len());
        }
        let (body, used) = message(&bytes).expect("a length that can be").expect("all of it");
        let (code, json) = body.split_first_chunk::<4>().expect("a code");
        assert_eq!((u32::from_be_bytes(*code), used), (CODE, bytes.len()));
        assert_eq!(read::<Ask>(json), Ok(ask));
    }

    #[test]
    fn an_impossible_length_is_refused() {
        assert!(message(&[0, 0, 0, 3]).is_err());
        assert!(message(&[0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
