//! The gate as those on both sides of it see it: clients by bytes on a socket, servers that are made up, and real PostgreSQL.

mod closing;
mod frozen;
mod hold;
mod questions;
mod replication;
mod stage;
mod startup;
