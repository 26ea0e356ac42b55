use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _wish: nines_control::status::Wish) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
