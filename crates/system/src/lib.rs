//! The system file: text in, a checked [`System`] out, or every mistake at once with its place.
//!
//! A pure room: no I/O, no clock, no randomness. Whoever reads the file hands its text in.

mod fields;
mod mistake;
pub mod model;
mod read;
mod schema;
mod shape;
mod units;

pub use mistake::{Mark, Mistake, Mistakes, Span, nearest};
pub use model::*;
pub use read::parse;
pub use schema::schema;
