//! `nines switchover`, `pause`, `resume` and `reinit`: what the operator wants done with a database.

use std::io::Write;
use std::process::ExitCode;

use nines_admin::ClientError;
use nines_admin::api::DatabaseVerb;

use crate::EXIT_BAD;
use crate::admin_socket::Daemon;
use crate::terminal::tell;

#[derive(clap::Args)]
pub(crate) struct SwitchoverArgs {
    /// The database: orders
    database: String,
    /// The host that becomes the primary. Default: whichever standby is furthest
    #[arg(long, value_name = "HOST")]
    to: Option<String>,
    /// End transactions that are still open at the deadline, instead of giving up
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    asked: Asked,
}

#[derive(clap::Args)]
pub(crate) struct PauseArgs {
    /// The database: orders
    database: String,
    #[command(flatten)]
    asked: Asked,
}

#[derive(clap::Args)]
pub(crate) struct ReinitArgs {
    /// The database: orders
    database: String,
    /// The standby that sets its data aside and becomes a new copy of the primary
    standby: String,
    #[command(flatten)]
    asked: Asked,
}

#[derive(clap::Args)]
struct Asked {
    #[command(flatten)]
    daemon: Daemon,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn switchover(args: SwitchoverArgs) -> anyhow::Result<ExitCode> {
    let verb = DatabaseVerb::Switchover { to: args.to, force: args.force };
    order(&args.asked, &args.database, verb)
}

pub(crate) fn pause(args: &PauseArgs) -> anyhow::Result<ExitCode> {
    order(&args.asked, &args.database, DatabaseVerb::Pause)
}

pub(crate) fn resume(args: &PauseArgs) -> anyhow::Result<ExitCode> {
    order(&args.asked, &args.database, DatabaseVerb::Resume)
}

pub(crate) fn reinit(args: ReinitArgs) -> anyhow::Result<ExitCode> {
    order(&args.asked, &args.database, DatabaseVerb::Reinit { host: args.standby })
}

fn order(asked: &Asked, database: &str, verb: DatabaseVerb) -> anyhow::Result<ExitCode> {
    let client = asked.daemon.client()?;
    match super::runtime()?.block_on(client.database(database, verb)) {
        Ok(said) if asked.json => writeln!(std::io::stdout(), "{}", serde_json::json!({ "said": said }))?,
        Ok(said) => writeln!(anstream::stdout(), "{database}: {said}")?,
        Err(ClientError::Refused(problem)) => {
            tell(format_args!("nines: {}", problem.error));
            if !problem.known.is_empty() {
                tell(format_args!("known: {}", problem.known.join(", ")));
            }
            return Ok(ExitCode::from(EXIT_BAD));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}
