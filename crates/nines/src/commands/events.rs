//! `nines events`: what changed, when and why, one line each.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use nines_admin::Client;
use nines_control::event::{Event, Kind};

use crate::admin_socket::Daemon;
use crate::terminal::{self, BAD, BOLD, Cell, DIM, GOOD, PLAIN, UNSURE, tell};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    daemon: Daemon,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Go on with what comes
    #[arg(long)]
    watch: bool,
}

/// How long one question waits for the next event.
const WAIT: Duration = Duration::from_secs(30);
/// Between questions to a daemon that is gone.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let client = args.daemon.client()?;
    super::runtime()?.block_on(async {
        let latest = print(&client.events(0, Duration::ZERO).await?, args.json)?.unwrap_or(0);
        if args.watch {
            watch(&client, latest, args.json).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Forever; a daemon that is restarted is waited for, and its events count from 1 again.
async fn watch(client: &Client, mut latest: u64, json: bool) -> anyhow::Result<()> {
    let mut gone = false;
    loop {
        match client.events(latest, WAIT).await {
            Ok(events) => {
                gone = false;
                latest = print(&events, json)?.unwrap_or(latest);
            }
            Err(error) => {
                if !gone {
                    tell(format_args!("nines: {error}; waiting for it to come back"));
                }
                gone = true;
                latest = 0;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// The sequence of the last one printed.
fn print(events: &[Event], json: bool) -> anyhow::Result<Option<u64>> {
    let mut out = anstream::stdout().lock();
    for event in events {
        if json {
            writeln!(out, "{}", serde_json::to_string(event)?)?;
        } else {
            writeln!(out, "{}", line(event))?;
        }
    }
    out.flush()?;
    Ok(events.last().map(|event| event.sequence))
}

fn line(event: &Event) -> String {
    let style = match event.kind {
        Kind::Up | Kind::Returned | Kind::Taken | Kind::Following => GOOD,
        Kind::Down | Kind::Ejected | Kind::Spared | Kind::Hanging | Kind::Conflict | Kind::Refused => BAD,
        Kind::Wish
        | Kind::Serving
        | Kind::Address
        | Kind::Released
        | Kind::Standby
        | Kind::Takeover
        | Kind::Cohort => UNSURE,
        Kind::Listener | Kind::Reload | Kind::Daemon => PLAIN,
    };
    let cells = [
        Cell::new(terminal::timestamp(event.at_us), DIM),
        Cell::new(format!("  {:<8}", event.kind.word()), style),
        Cell::new(format!("  {}", event.subject), BOLD),
        Cell::new(format!("  {}", event.why), PLAIN),
    ];
    terminal::line(&cells, None)
}
