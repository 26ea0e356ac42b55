//! The hands on real PostgreSQL: hosts of one machine, with a gate of the test's own between them.
//!
//! Where PostgreSQL is not installed they are skipped, with a line that says so, unless `CI` is set.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod adopting;
mod broken;
mod furnishing;
mod ports;
mod refused;
mod rejoining;
mod support;
mod synchronous;
mod terms;
