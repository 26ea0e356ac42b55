//! `nines schema`: what editors complete a system file from.

use std::io::Write;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    writeln!(anstream::stdout(), "{:#}", nines_system::schema())?;
    Ok(ExitCode::SUCCESS)
}
