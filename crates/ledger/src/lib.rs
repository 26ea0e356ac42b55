//! What was measured, on disk: bounded, and whole after a crash.
//!
//! A directory with a file for each day. The day that is being measured is a log, `2026-11-25.log`: pieces that are only ever added at its end, each
//! with a checksum and a mark by which the next is found. What a crash left of the last piece is cut off. A day that is over becomes `2026-11-25.day`, written beside it
//! and moved into its place, a few kilobytes for a subject. So damage costs some minutes and no more, and what is too old is a file to be
//! removed.
//!
//! The format is our own for one reason: a daemon that serves must not end because of what stands in a file about the past. The
//! embedded store that fits best answers some damaged pages with a panic; here every byte is looked at as if a stranger had sent it.
//!
//! Everything blocks; who must not wait has a [`Keeper`], which has a thread for it.

mod calendar;
mod directory;
mod keeper;
mod piece;

pub use directory::{Batch, Ledger, LedgerError, Opened, owner, read};
pub use keeper::{Answer, Heard, Keeper};
