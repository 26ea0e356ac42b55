//! `nines stand-in`: a small application server where a system file names none.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;

use crate::stand_in;

/// Answers its name to `GET /`, `200` to `/healthz`; waits on `/slow?ms=200`, fails on `/fail?status=503`, sends
/// `/bytes?n=1048576`, echoes what is posted, and after `Upgrade: echo` every byte. `POST
/// /_behave?delay_ms=500&fail=503&health=503` makes it slow or broken; what is left out is as usual again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// Which member it stands in for; said in the header `stand-in` of every answer
    #[arg(long)]
    name: String,

    /// Answer `GET /` with this many bytes instead of the name
    #[arg(long, value_name = "N")]
    body_bytes: Option<u64>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let app = stand_in::App::new(&args.name, args.body_bytes)
        .with_context(|| format!("`{}` can't be the name of a stand-in", args.name))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(stand_in::serve(args.listen, app))?;
    Ok(ExitCode::SUCCESS)
}
