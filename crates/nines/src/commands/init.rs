//! `nines init`: a system file to begin with.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::terminal::tell;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to write it; a file that is there stays as it is
    #[arg(default_value = "nines.toml")]
    path: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.path.display();
    let mut file = match File::create_new(&args.path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{path} is there already, and stays as it is; name another: nines init other.toml")
        }
        file => file.with_context(|| format!("can't write {path}"))?,
    };
    file.write_all(nines_system::example().as_bytes()).with_context(|| format!("can't write {path}"))?;
    tell(format_args!("wrote {path}; next: nines check {path}, then nines rehearse {path}"));
    Ok(ExitCode::SUCCESS)
}
