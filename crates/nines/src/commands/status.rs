//! `nines status`: what is up, what is not, and why.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nines_admin::{Client, ClientError};
use nines_control::status::Status;

use crate::admin_socket::Daemon;
use crate::terminal;

mod databases;
mod rates;
mod screen;
mod virtual_ips;

use rates::Rates;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    daemon: Daemon,
    /// Print what the daemon answers, as JSON; with --watch one line each second
    #[arg(long)]
    json: bool,
    /// Show it again each second
    #[arg(long)]
    watch: bool,
}

/// Between the two looks that a rate takes.
const LOOK_TWICE: Duration = Duration::from_millis(500);
const WATCH: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let client = args.daemon.client()?;
    super::runtime()?.block_on(async {
        match (args.json, args.watch) {
            (true, false) => println_json(&client.status().await?)?,
            (true, true) => loop {
                println_json(&client.status().await?)?;
                tokio::time::sleep(WATCH).await;
            },
            (false, false) => {
                let before = Look::at(&client).await?;
                tokio::time::sleep(LOOK_TWICE).await;
                let now = Look::at(&client).await?;
                let screen = now.screen(&before);
                writeln!(anstream::stdout(), "{}", screen.join("\n"))?;
            }
            (false, true) => watch(&client).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn println_json(status: &Status) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(status)?)?)
}

/// Redraws in place on a terminal, else prints one screen after another. A daemon that is restarted is waited for.
async fn watch(client: &Client) -> anyhow::Result<()> {
    let in_place = std::io::stdout().is_terminal();
    let mut before: Option<Look> = None;
    loop {
        let screen = match Look::at(client).await {
            Ok(now) => {
                let screen = now.screen(before.as_ref().unwrap_or(&now));
                before = Some(now);
                screen
            }
            Err(error) => vec![error.to_string()],
        };
        // Written around anstream: moving the cursor is no matter of colour.
        let (start, end) = if in_place { ("\x1b[H", "\x1b[J") } else { ("", "\n") };
        let line_end = if in_place { "\x1b[K\n" } else { "\n" };
        let mut out = std::io::stdout().lock();
        write!(out, "{start}")?;
        for line in screen {
            write!(anstream::AutoStream::auto(&mut out), "{line}")?;
            write!(out, "{line_end}")?;
        }
        write!(out, "{end}")?;
        out.flush()?;
        drop(out);
        tokio::time::sleep(WATCH).await;
    }
}

/// The status at one moment of this program's clock.
struct Look {
    status: Status,
    at: Instant,
}

impl Look {
    async fn at(client: &Client) -> Result<Self, ClientError> {
        let status = client.status().await?;
        Ok(Self { status, at: Instant::now() })
    }

    fn screen(&self, before: &Self) -> Vec<String> {
        let rates = Rates::between(&before.status, &self.status, self.at - before.at);
        screen::render(&self.status, &rates, terminal::width())
    }
}
