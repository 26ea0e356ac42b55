//! `nines switchover`, `pause`, `resume` and `reinit`: what the operator wants done with a database.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nines_admin::api::DatabaseVerb;
use nines_admin::{Client, ClientError};
use nines_control::event::Kind;

use crate::EXIT_BAD;
use crate::admin_socket::Daemon;
use crate::terminal::tell;

/// A switchover is done or given up by then: longer than any `switchover_within` that makes sense.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

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

/// Waits for what comes of it.
pub(crate) fn switchover(args: SwitchoverArgs) -> anyhow::Result<ExitCode> {
    let client = args.asked.daemon.client()?;
    let SwitchoverArgs { database, to, force, asked } = args;
    super::runtime()?.block_on(async {
        let begin = Instant::now();
        let events = client.events(0, Duration::ZERO).await?.last().map_or(0, |event| event.sequence);
        let before = primary(&client, &database).await?;
        if let Err(error) = client.database(&database, DatabaseVerb::Switchover { to, force }).await {
            return refused(error);
        }
        while begin.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK).await;
            let Ok(now) = primary(&client, &database).await else { continue };
            if let (Some((_, old)), Some((term, new))) = (&before, &now)
                && new != old
            {
                let took = begin.elapsed().as_millis();
                match asked.json {
                    true => {
                        let answer = serde_json::json!({ "primary": new, "term": term, "took_ms": took });
                        writeln!(std::io::stdout(), "{answer}")?;
                    }
                    false => {
                        writeln!(anstream::stdout(), "{database}: {new} is the primary, term {term}, after {took} ms")?;
                    }
                }
                return Ok(ExitCode::SUCCESS);
            }
            let news = client.events(events, Duration::ZERO).await.unwrap_or_default();
            let mut refusals = news.iter().filter(|event| event.kind == Kind::Refused);
            if let Some(event) = refusals.find(|event| event.subject == database) {
                tell(format_args!("nines: {database}: {}", event.why));
                return Ok(ExitCode::from(EXIT_BAD));
            }
        }
        tell(format_args!(
            "nines: {database}: nobody else is the primary after {} s; `nines status` and `nines events` say why",
            PATIENCE.as_secs()
        ));
        Ok(ExitCode::from(EXIT_BAD))
    })
}

/// Term and name of the primary, as this daemon knows them.
async fn primary(client: &Client, database: &str) -> anyhow::Result<Option<(u64, String)>> {
    let status = client.status().await?;
    let one = status.databases.into_iter().find(|one| one.name == database);
    Ok(one.and_then(|one| Some((one.term, one.primary?))))
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
        Err(error) => return refused(error),
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(error: ClientError) -> anyhow::Result<ExitCode> {
    let ClientError::Refused(problem) = error else { return Err(error.into()) };
    tell(format_args!("nines: {}", problem.error));
    if !problem.known.is_empty() {
        tell(format_args!("known: {}", problem.known.join(", ")));
    }
    Ok(ExitCode::from(EXIT_BAD))
}
