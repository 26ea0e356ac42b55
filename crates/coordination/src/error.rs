//! Why a register could not be read or changed, apart by what the caller must do next.

use crate::key::Key;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The change was asked for and not answered. Read again. It may even take effect later, for as long as the register is what
    /// the change expected; who must be sure that it doesn't, changes the register.
    #[error("whether {what} was changed is not known: {why}; it must be read again")]
    Unknown { what: String, why: String },

    /// No answer in time, and nothing was changed.
    #[error("no answer from the coordination store in time: {why}")]
    Unreachable { why: String },

    /// The store is not what it was: emptied, restored from a copy, or another one. Nothing is written any more.
    #[error(
        "the coordination store is not the one that it was: {why}. Nothing was written; stop nines on every host before you accept this store"
    )]
    Regressed { why: String },

    /// Another system has this prefix.
    #[error(
        "the coordination prefix {prefix:?} belongs to another system: {by}. Give this system a prefix of its own"
    )]
    Claimed { prefix: String, by: String },

    #[error("{key} cannot take {bytes} bytes: {most} are the most")]
    TooBig { key: Key, bytes: usize, most: usize },

    /// The store answered, and will answer the same when asked again.
    #[error("the coordination store refuses: {why}")]
    Refused { why: String },

    /// What is there was not written by this program, or is damaged. It is left as it is.
    #[error("{what} in the coordination store cannot be read: {why}")]
    Foreign { what: String, why: String },

    #[error("the settings of the coordination store don't work: {why}")]
    Settings { why: String },
}
