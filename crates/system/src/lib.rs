//! The system file: text in, a checked [`System`] out, or every mistake at once with its place.
//!
//! A pure room: no I/O, no clock, no randomness. Whoever reads the file hands its text in.

mod explain;
mod fields;
mod item;
mod kind;
mod mistake;
pub mod model;
mod read;
mod reference;
#[cfg(test)]
mod roundtrip;
mod schema;
mod shape;
mod units;
pub mod usual_repair;

pub use explain::{explain, explain_with_secrets};
pub use mistake::{Mark, Mistake, Mistakes, Span, nearest};
pub use model::*;
pub use read::{parse, parse_with_warnings, refused_parameter};
pub use reference::reference;
pub use schema::schema;
pub use units::{read_duration, read_share};

/// A system file to begin with: it works as it is, and says what its parts are for.
pub fn example() -> &'static str {
    include_str!("../../../examples/shop.toml")
}
