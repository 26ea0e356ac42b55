//! `cargo xtask demo`: from a fresh clone to a rehearsed system in one command.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::setup::{self, For};
use crate::shell;

/// Ends as the rehearsal ends: 0 when every promise held.
pub(crate) fn run() -> Result<ExitCode> {
    // PostgreSQL runs as a user of its own, on a disk of its own: only root can give it those.
    let file = if setup::is_root() {
        setup::prepare(For::Demo)?;
        "examples/shop.toml"
    } else {
        eprintln!("demo: databases take root; this rehearses examples/pair.toml, which has none");
        "examples/pair.toml"
    };
    shell::run(shell::cargo().args(["build", "--profile", "quick", "--locked", "--package", "nines"]))?;
    let nines = shell::target().join("quick/nines");
    let mut rehearse = Command::new(nines);
    // What it remembers for audits stays with what was built.
    rehearse.env("XDG_STATE_HOME", shell::target().join("state"));
    let rehearsal = shell::status(rehearse.current_dir(shell::root()).args(["rehearse", file]))?;
    Ok(match rehearsal.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => ExitCode::from(code),
        None => ExitCode::FAILURE,
    })
}
