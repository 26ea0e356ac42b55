//! What registers promise, whatever keeps them: one suite, run against the embedded store and against real etcd. And what each of
//! the two promises when it is broken.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod between;
mod cluster;
mod embedded;
mod etcd;
mod etcd_access;
mod lossy;
mod suite;
mod support;
