//! The daemon: this host's part of the system, for as long as it runs.

pub(crate) mod part;
