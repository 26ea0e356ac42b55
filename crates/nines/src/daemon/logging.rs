//! The daemon's log on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How much is logged: `NINES_LOG=debug`, or by room as `tracing_subscriber::EnvFilter` has it.
const VARIABLE: &str = "NINES_LOG";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For a person
    Text,
    /// One object a line
    Json,
}

pub(crate) fn start(format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_target(false)
        // A log that can't be written, on a full disk say, must not end the service: by default it would be a panic.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}
