//! `nines drain`, `ready` and `maintenance`: what the operator wants of a member, apart from its health.

use std::io::Write;
use std::process::ExitCode;

use nines_admin::ClientError;
use nines_control::status::Wish;

use crate::EXIT_BAD;
use crate::admin_socket::Daemon;
use crate::terminal::tell;

/// Known names that are listed; more are counted.
const TOLD: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A member (app1:8080, web/app1:8080), every member on a host (app1), a whole pool (web), or the load balancer's
    /// host itself (lb1), whose virtual addresses then move to another
    target: String,
    #[command(flatten)]
    daemon: Daemon,
    /// Print what was touched as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, wish: Wish) -> anyhow::Result<ExitCode> {
    let client = args.daemon.client()?;
    match super::runtime()?.block_on(client.wish(&args.target, wish)) {
        Ok(touched) if args.json => {
            writeln!(std::io::stdout(), "{}", serde_json::json!({ "touched": touched }))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(touched) => {
            let now = match wish {
                Wish::Ready => "gets traffic again once it is healthy",
                Wish::Draining => "finishes what it has and gets nothing new",
                Wish::Maintenance => "gets nothing new and is not checked",
            };
            let mut out = anstream::stdout();
            for member in touched {
                writeln!(out, "{member} {now}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(ClientError::Refused(problem)) => {
            tell(format_args!("nines: {}", problem.error));
            let (told, others) = problem.known.split_at(problem.known.len().min(TOLD));
            if !told.is_empty() {
                let more =
                    if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
                tell(format_args!("known: {}{more}", told.join(", ")));
            }
            Ok(ExitCode::from(EXIT_BAD))
        }
        Err(error) => Err(error.into()),
    }
}
