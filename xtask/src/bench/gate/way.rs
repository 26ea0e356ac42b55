//! The ways to one PostgreSQL: direct, and through each of those that can stand in front of it.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{RUN, USER};
use crate::bench::allowed_cores;
use crate::bench::namespace::program;
use crate::bench::process::Process;
use crate::shell;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// TCP.
    Direct,
    /// PostgreSQL's own Unix socket behind it, as on a host of a database.
    Nines,
    /// Session mode, the same socket behind it.
    PgBouncer,
    /// TCP on both sides.
    Haproxy,
}

/// The first is the one that the others are compared with.
pub(crate) const WAYS: [Way; 4] = [Way::Direct, Way::Nines, Way::PgBouncer, Way::Haproxy];

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nines => "nines",
            Self::PgBouncer => "pgbouncer",
            Self::Haproxy => "haproxy",
        }
    }

    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Direct => 5432,
            Self::Nines => 5433,
            Self::PgBouncer => 5434,
            Self::Haproxy => 5435,
        }
    }
}

/// All that runs.
pub(crate) struct Ways {
    pub(crate) open: Vec<Way>,
    /// What stands in front of PostgreSQL, for each that is open.
    processes: Vec<(Way, Process)>,
}

impl Ways {
    /// PostgreSQL and what stands in front of it run and answer.
    pub(crate) fn open(wanted: &[Way], gate: &Path, programs: &Path) -> Result<Self> {
        let mut ways = Self { open: wanted.to_vec(), processes: Vec::new() };
        for &way in wanted {
            let command = match way {
                Way::Direct => postgres(programs)?,
                Way::Nines => {
                    let mut command = as_user(gate);
                    let socket = Path::new(RUN).join(format!(".s.PGSQL.{}", Way::Direct.port()));
                    command.arg(way.port().to_string()).arg(socket);
                    command
                }
                Way::PgBouncer => pgbouncer()?,
                Way::Haproxy => haproxy()?,
            };
            let log = PathBuf::from(RUN).join(way.name()).with_extension("log");
            let cores: Vec<String> = allowed_cores().iter().map(ToString::to_string).collect();
            let mut process = Process::start(&command, &cores.join(","), &log)?;
            until_it_listens(way, &mut process)?;
            ways.processes.push((way, process));
        }
        Ok(ways)
    }

    /// What has been spent in front of PostgreSQL; nothing on the direct way.
    pub(crate) fn cpu(&self, way: Way) -> Result<Duration> {
        match self.processes.iter().find(|(other, _)| *other == way) {
            Some((way, process)) if *way != Way::Direct => process.cpu(),
            _ => Ok(Duration::ZERO),
        }
    }
}

fn as_user(file: &Path) -> Command {
    let mut command = Command::new(program("setpriv"));
    command.args(["--reuid", USER, "--regid", USER, "--init-groups"]).arg(file);
    command
}

/// Trusts everybody: who somebody is, is asked once for each connection.
fn postgres(programs: &Path) -> Result<Command> {
    let data = Path::new(RUN).join("postgresql");
    fs::create_dir_all(&data)?;
    shell::run(Command::new(program("chown")).args([USER, RUN]).arg(&data))?;
    let mut initdb = as_user(&programs.join("initdb"));
    initdb.args(["--auth", "trust", "--encoding", "UTF8", "--data-checksums", "--pgdata"]).arg(&data);
    shell::run(initdb.stdout(std::process::Stdio::null()))?;
    let mut postgres = as_user(&programs.join("postgres"));
    postgres.arg("-D").arg(data).args(["-p", &Way::Direct.port().to_string(), "-k", RUN]);
    postgres.args(["-c", "listen_addresses=127.0.0.1"]);
    Ok(postgres)
}

fn pgbouncer() -> Result<Command> {
    let users = Path::new(RUN).join("users");
    fs::write(&users, format!("\"{USER}\" \"\"\n"))?;
    let file = Path::new(RUN).join("pgbouncer.ini");
    let text = format!(
        "[databases]
* = host={RUN} port={}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {}
unix_socket_dir =
auth_type = trust
auth_file = {}
pool_mode = session
default_pool_size = 50
max_client_conn = 100
ignore_startup_parameters = extra_float_digits
",
        Way::Direct.port(),
        Way::PgBouncer.port(),
        users.display(),
    );
    fs::write(&file, text)?;
    let mut command = as_user(&program("pgbouncer"));
    command.arg(file);
    Ok(command)
}

fn haproxy() -> Result<Command> {
    let file = Path::new(RUN).join("haproxy.cfg");
    let text = format!(
        "global
    maxconn 1000
defaults
    mode tcp
    timeout connect 3s
    timeout client 10m
    timeout server 10m
listen postgresql
    bind 127.0.0.1:{}
    server direct 127.0.0.1:{}
",
        Way::Haproxy.port(),
        Way::Direct.port(),
    );
    fs::write(&file, text)?;
    let mut command = Command::new(program("haproxy"));
    command.args(["-db", "-f"]).arg(file);
    Ok(command)
}

fn until_it_listens(way: Way, process: &mut Process) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, way.port())).is_err() {
        if process.ended() {
            bail!("{} ended before it listened", way.name());
        }
        if Instant::now() > patience {
            bail!("{} does not listen", way.name());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
