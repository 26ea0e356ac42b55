//! A file per command. Each has its `Args` and a `run` that returns the exit code.

pub(crate) mod adopt;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod database;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod init;
pub(crate) mod output;
pub(crate) mod probe;
pub(crate) mod rehearse;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod simulate;
pub(crate) mod stand_in;
pub(crate) mod status;
pub(crate) mod what_if;
pub(crate) mod wish;

use nines_system::Mistakes;

use crate::terminal::tell;

/// Every mistake of a file, and how many there are.
fn tell_all(mistakes: &Mistakes) {
    let count = mistakes.len();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    tell(format_args!("{}\n{}: {count} {noun}", mistakes.render(true), mistakes.path()));
}

/// For a command's conversation with a daemon.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
