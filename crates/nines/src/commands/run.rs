//! `nines run`: this host's part, for real.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::admin_socket;
use crate::daemon::logging::LogFormat;
use crate::daemon::part::{Part, PartError};
use crate::daemon::{self, Orders};
use crate::terminal::tell;
use crate::{EXIT_BAD, EXIT_FILE, EXIT_USAGE};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The system file; SIGHUP loads it again
    file: PathBuf,
    /// Which host of the system this is
    #[arg(long, value_name = "NAME")]
    host: String,
    /// Unix socket for the operator's commands. Default: /run/nines/NAME.sock as root, else nines/NAME.sock in
    /// $XDG_RUNTIME_DIR
    #[arg(long, value_name = "PATH")]
    admin_socket: Option<PathBuf>,
    /// Where what was measured is kept. Default: NAME.state in $STATE_DIRECTORY, or in /var/lib/nines as root, else in
    /// nines in $XDG_STATE_HOME
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How the log on stderr is written; NINES_LOG=debug shows more of it
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let part = match Part::read(&args.file, &args.host) {
        Ok(part) => part,
        Err(error) => return Ok(refuse(&error)),
    };
    let admin_socket = args.admin_socket.clone().unwrap_or_else(|| admin_socket::default_path(&args.host));
    daemon::logging::start(args.log_format)?;
    let state = args.state.clone().unwrap_or_else(|| default_state(&args.host));
    daemon::run(Orders { file: args.file.clone(), host: args.host.clone(), admin_socket, state }, part)
}

/// What systemd gives a service comes first; then root's place, then the user's own.
fn default_state(host: &str) -> PathBuf {
    // A database has its directory there, too, and may be called as the host is.
    let own_name = format!("{host}.state");
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = given("STATE_DIRECTORY") {
        return directory.join(own_name);
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/nines").join(own_name);
    }
    let own = given("XDG_STATE_HOME").or_else(|| Some(given("HOME")?.join(".local/state")));
    own.unwrap_or_else(std::env::temp_dir).join("nines").join(own_name)
}

fn refuse(error: &PartError) -> ExitCode {
    match error {
        PartError::Wrong(mistakes) => super::tell_all(mistakes),
        other => tell(format_args!("nines: {other}")),
    }
    ExitCode::from(match error {
        PartError::Wrong(_) | PartError::Unreadable(..) => EXIT_FILE,
        PartError::UnknownHost { .. } => EXIT_USAGE,
        PartError::NothingToDo { .. } => EXIT_BAD,
    })
}
