//! A file per command. Each has its `Args` and a `run` that returns the exit code.

pub(crate) mod check;
pub(crate) mod events;
pub(crate) mod init;
pub(crate) mod rehearse;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod stand_in;
pub(crate) mod status;
pub(crate) mod wish;

/// For a command's conversation with a daemon.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
