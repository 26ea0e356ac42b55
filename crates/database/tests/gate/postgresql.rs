//! A real PostgreSQL in a directory of its own, for the time of a test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nines_database::gate::{Engine, Gate, Settings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

use crate::stage::{HOUR, open_for, until};

pub(crate) const ROLE: &str = "app";
pub(crate) const PASSWORD: &str = "a word";

pub(crate) struct PostgreSql {
    programs: PathBuf,
    directory: TempDir,
    port: u16,
    servers: Vec<Child>,
}

impl PostgreSql {
    /// With these settings; `None`: there is no PostgreSQL here, and the test is skipped, with a line that says so.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            let why = "there is no PostgreSQL";
            assert!(std::env::var_os("CI").is_none(), "{why}, and CI is set");
            println!("SKIPPED: {why}");
            return None;
        };
        let directory = TempDir::new().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // A number that no other test of this machine uses: it names the socket, and the TCP port where there is one.
        let port = nines_trial::port::free().unwrap();
        let mut server = Self { programs, directory, port, servers: Vec::new() };
        let home = server.home();
        fs::create_dir(&home).unwrap();
        if let Some((user, group)) = user() {
            chown(&home, Some(user), Some(group)).unwrap();
        }
        let data = server.data("data");
        server.run(
            "initdb",
            &["-D", &data, "-U", "postgres", "--auth=trust", "--no-sync", "--no-instructions"],
        );
        let access = format!(
            "local all postgres trust\nlocal replication all trust\nlocal all trusted trust\nlocal all all scram-sha-256\nhostssl all {ROLE} 127.0.0.1/32 scram-sha-256\n"
        );
        fs::write(home.join("data/pg_hba.conf"), access).unwrap();
        server.serve("data", settings);
        server.sql(&format!(
            "create role {ROLE} login password '{PASSWORD}'; create role trusted login superuser; \
             create role nines_replication login replication; create table t (n int); grant all on t to {ROLE}"
        ));
        Some(server)
    }

    /// Starts what is in a directory.
    pub(crate) fn serve(&mut self, name: &str, settings: &[&str]) {
        let home = self.home().join(format!("{name}-socket"));
        fs::create_dir(&home).unwrap();
        if let Some((user, group)) = user() {
            chown(&home, Some(user), Some(group)).unwrap();
        }
        let mut command = self.program("postgres");
        command.args(["-D", &self.data(name), "-k"]).arg(&home);
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=", "-c", "fsync=off"]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let log = fs::File::create(self.directory.path().join(format!("{name}.log"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.servers.push(command.spawn().unwrap());
        until("PostgreSQL takes connections", || {
            let mut ready = self.program("pg_isready");
            ready.args(["-q", "-p", &self.port.to_string(), "-h"]).arg(&home);
            ready.status().unwrap().success()
        });
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home().join(format!("data-socket/.s.PGSQL.{}", self.port))
    }

    pub(crate) fn engine(&self, replicates: Option<u64>) -> Engine {
        Engine { socket: self.socket(), tls_port: Some(self.port), replicates }
    }

    /// An open gate in front of it.
    pub(crate) fn gate(&self, settings: Settings) -> Gate {
        let gate = Gate::open(settings).unwrap();
        gate.set_engine(Some(self.engine(None)));
        gate.set(&open_for(HOUR));
        gate
    }

    /// Not through the gate, as the superuser.
    pub(crate) fn sql(&self, text: &str) -> String {
        let mut psql = self.program("psql");
        psql.args(["-XAtq", "-U", "postgres", "-p", &self.port.to_string(), "-h"]);
        psql.arg(self.home().join("data-socket")).args(["-c", text, "postgres"]);
        output(psql).expect("SQL of the test itself")
    }

    pub(crate) fn run(&self, name: &str, arguments: &[&str]) {
        let mut command = self.program(name);
        command.args(arguments);
        output(command).unwrap();
    }

    /// As PostgreSQL's own user, which root can't be.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.stdin(Stdio::null()).env_remove("PGOPTIONS").env("HOME", self.home()).current_dir("/");
        if let Some((user, group)) = user() {
            command.uid(user).gid(group);
        }
        command
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    pub(crate) fn data(&self, name: &str) -> String {
        self.home().join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = kill_process(Pid::from_child(server), Signal::QUIT);
            let _ = server.wait();
        }
    }
}

fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|it| it.path()).collect();
    versions.sort();
    versions.into_iter().map(|path| path.join("bin")).rfind(|path| path.join("initdb").exists())
}

/// PostgreSQL refuses to be root.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("a user postgres");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    Some((fields.next().unwrap(), fields.next().unwrap()))
}

/// What a command says, or its complaint.
pub(crate) fn output(mut command: Command) -> Result<String, String> {
    let output = command.output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

pub(crate) fn config(gate: &Gate) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(gate.addresses().0.port()).user(ROLE).password(PASSWORD).dbname("postgres");
    config
}

/// A client, and how its connection ends.
pub(crate) async fn connect(
    gate: &Gate,
) -> Result<(Client, tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>), tokio_postgres::Error> {
    let (client, connection) = config(gate).connect(NoTls).await?;
    Ok((client, tokio::spawn(connection)))
}
