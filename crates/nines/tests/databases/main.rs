//! `nines run` on the hosts of a database as their operator meets it: the real program and a real PostgreSQL, on addresses of the loopback interface.
//!
//! Each host sees a directory of its own at one path, by a mount that only its processes see; so it takes root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod adopt;
mod mistakes;
mod reload;
mod world;
