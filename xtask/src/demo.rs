//! `cargo xtask demo`: from a fresh clone to a rehearsed system in one command.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::setup::{self, For};
use crate::shell;

/// Ends as the rehearsal ends: 0 when every promise held.
pub(crate) fn run() -> Result<ExitCode> {
    setup::prepare(For::Demo)?;
    shell::run(shell::cargo().args(["build", "--profile", "quick", "--locked", "--package", "nines"]))?;
    let nines = shell::target().join("quick/nines");
    let rehearsal = shell::status(
        Command::new(nines).current_dir(shell::root()).args(["rehearse", "examples/shop.toml"]),
    )?;
    Ok(match rehearsal.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => ExitCode::from(code),
        None => ExitCode::FAILURE,
    })
}
