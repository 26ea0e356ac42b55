//! The system file: text in, a checked [`System`] out, or every mistake at once with its place.
//!
//! A pure room: no I/O, no clock, no randomness. Whoever reads the file hands its text in.

pub mod model;

pub use model::*;
