//! The gate as those on both sides of it see it: clients by bytes on a socket, servers that are made up, and real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod closing;
mod frozen;
mod hold;
mod postgresql;
mod questions;
mod real;
mod replication;
mod stage;
mod startup;
mod tls;
