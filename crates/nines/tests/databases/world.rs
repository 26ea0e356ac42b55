//! Hosts of one database; everything ends with the test.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nines_control::event::{Event, Kind};
use nines_control::status::{DatabaseMember, DatabaseRole, DatabaseStatus, Status};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far longer than anything takes here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether databases can be run here at all.
pub(crate) fn is_possible() -> bool {
    let possible = rustix::process::geteuid().is_root() && Path::new("/usr/lib/postgresql").is_dir();
    assert!(possible || std::env::var_os("CI").is_none(), "it takes root and PostgreSQL");
    if !possible {
        eprintln!("skipped: it takes root and PostgreSQL");
    }
    possible
}

/// The newest version's.
pub(crate) fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").unwrap().flatten();
    let newest = versions.filter_map(|it| it.file_name().to_str()?.parse::<u16>().ok()).max().unwrap();
    Path::new("/usr/lib/postgresql").join(newest.to_string()).join("bin")
}

/// User and group of PostgreSQL's user.
pub(crate) fn owner() -> (u32, u32) {
    let owner = fs::metadata("/var/lib/postgresql").unwrap();
    (owner.uid(), owner.gid())
}

/// Runs one of PostgreSQL's programs as its user, and says what it printed.
pub(crate) fn as_postgres(program: &str, args: &[&str]) -> String {
    let (uid, gid) = owner();
    let mut command = Command::new(programs().join(program));
    // What it leaves running keeps no pipe of this test's.
    command.args(args).uid(uid).gid(gid).current_dir("/").stdin(Stdio::null()).stderr(Stdio::inherit());
    let quiet = program == "pg_ctl";
    let output = command.stdout(if quiet { Stdio::null() } else { Stdio::piped() }).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a test may want otherwise.
pub(crate) struct Settings {
    /// Of `[databases.orders]`.
    pub(crate) database: String,
    pub(crate) parameters: String,
    pub(crate) users: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: "replication_password = \"between hosts\"\n".to_owned(),
            parameters: "shared_buffers = \"16MB\"".to_owned(),
            users: "{ name = \"shop\", password = \"secret\", owns = [\"shop\"] }".to_owned(),
        }
    }
}

pub(crate) struct World {
    directory: TempDir,
    hosts: usize,
    network: (u8, u8),
    pub(crate) port: u16,
    daemons: Vec<Option<Child>>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// `db1`, `db2`…: none runs so far.
    pub(crate) fn new(hosts: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::Builder::new().prefix("nines-db-").tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let number = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
        let [_, _, high, low] = number.to_be_bytes();
        let world = Self {
            hosts,
            network: (high | 1, low),
            port: TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() & !1,
            daemons: (0..hosts).map(|_| None).collect(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            directory,
        };
        fs::create_dir(world.path("host")).unwrap();
        for host in 1..=hosts {
            fs::create_dir(world.own(host)).unwrap();
        }
        world.write(&Settings::default());
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What this host sees as `host`.
    pub(crate) fn own(&self, host: usize) -> PathBuf {
        self.path(&format!("db{host}"))
    }

    /// The database's directory on this host.
    pub(crate) fn data(&self, host: usize) -> PathBuf {
        self.own(host).join("orders")
    }

    pub(crate) fn address(&self, host: usize) -> String {
        let (high, low) = self.network;
        format!("127.{high}.{low}.{host}")
    }

    pub(crate) fn text(&self, settings: &Settings) -> String {
        let mut text = "name = \"t\"\n[hosts]\n".to_owned();
        for host in 1..=self.hosts {
            let _ = writeln!(text, "db{host} = \"{}\"", self.address(host));
        }
        let names: Vec<String> = (1..=self.hosts).map(|host| format!("\"db{host}\"")).collect();
        let (data, store) = (self.path("host").join("orders"), self.path("store"));
        let _ = write!(
            text,
            "[databases.orders]\nhosts = [{}]\nport = {}\nread_port = {}\ndata = \"{}\"\n{}parameters = {{ {} }}\nusers = [{}]\n\
             [coordination]\nembedded = {{ path = \"{}\", one_machine = true }}\n",
            names.join(", "),
            self.port,
            self.port + 1,
            data.display(),
            settings.database,
            settings.parameters,
            settings.users,
            store.display(),
        );
        text
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("t.toml")
    }

    pub(crate) fn write(&self, settings: &Settings) {
        fs::write(self.file(), self.text(settings)).unwrap();
    }

    fn socket(&self, host: usize) -> PathBuf {
        self.path(&format!("db{host}.sock"))
    }

    /// Becomes nines on that host, which has its own directory there.
    fn on(&self, host: usize) -> Command {
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c"]);
        command.arg("mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"").arg("sh");
        command.arg(self.own(host)).arg(self.path("host")).arg(env!("CARGO_BIN_EXE_nines"));
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&mut self, host: usize) {
        let name = format!("db{host}");
        let log =
            fs::File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).unwrap();
        let mut command = self.on(host);
        command.arg("run").arg(self.file()).args(["--host", &name, "--admin-socket"]).arg(self.socket(host));
        command.arg("--state").arg(self.path(&format!("{name}.state")));
        self.daemons[host - 1] = Some(command.stderr(log).spawn().unwrap());
        eventually("the daemon answers", || self.try_status(host));
    }

    pub(crate) fn start_all(&mut self) {
        for host in 1..=self.hosts {
            self.start(host);
        }
    }

    /// Runs a command of nines on this host, to its end.
    pub(crate) fn nines(&self, host: usize, args: &[&str]) -> Output {
        self.on(host).args(args).output().unwrap()
    }

    /// `nines adopt` of what is in that directory of the host.
    pub(crate) fn adopt(&self, host: usize, from: &str, more: &[&str]) -> Output {
        let (file, name) = (self.file(), format!("db{host}"));
        let from = self.path("host").join(from);
        let (file, from, socket) = (file.to_str().unwrap(), from.to_str().unwrap(), self.socket(host));
        let socket = socket.to_str().unwrap();
        let args = ["adopt", file, "--host", &name, "orders", "--from", from, "--admin-socket", socket];
        self.nines(host, &[&args, more].concat())
    }

    pub(crate) fn signal(&self, host: usize, signal: Signal) {
        let child = self.daemons[host - 1].as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Has this host load the file; why it was refused, if it was.
    pub(crate) fn reload(&self, host: usize, text: &str) -> Option<String> {
        let decided = |status: &Status| status.events.get(&Kind::Reload).copied().unwrap_or(0);
        let before = self.try_status(host).map_or(0, |status| decided(&status));
        fs::write(self.file(), text).unwrap();
        self.signal(host, Signal::HUP);
        let status = eventually("the reload is decided", || {
            self.try_status(host).filter(|status| decided(status) > before)
        });
        status.file.refused
    }

    /// As `systemctl stop nines`.
    pub(crate) fn stop(&mut self, host: usize) {
        self.signal(host, Signal::TERM);
        let mut child = self.daemons[host - 1].take().unwrap();
        eventually("the daemon ends", || child.try_wait().unwrap());
    }

    /// The host is lost: nines and PostgreSQL.
    pub(crate) fn lose(&mut self, host: usize) {
        if let Some(mut child) = self.daemons[host - 1].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        if let Some(pid) = self.postmaster(host) {
            let _ = kill_process(pid, Signal::KILL);
            // Its processes end by themselves when they see it; one that holds the directory keeps the next one from starting.
            eventually("PostgreSQL is gone", || kill_process(pid, Signal::KILL).err());
        }
    }

    fn postmaster(&self, host: usize) -> Option<Pid> {
        let text = fs::read_to_string(self.data(host).join("pgdata/postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Pid::from_raw(pid).filter(|_| program.trim() == "postgres")
    }

    pub(crate) fn try_status(&self, host: usize) -> Option<Status> {
        let client = nines_admin::Client::new(self.socket(host));
        self.runtime.block_on(client.status()).ok()
    }

    pub(crate) fn status(&self, host: usize) -> DatabaseStatus {
        self.try_status(host).unwrap().databases.remove(0)
    }

    pub(crate) fn until(
        &self,
        host: usize,
        what: &str,
        holds: impl Fn(&DatabaseStatus) -> bool,
    ) -> DatabaseStatus {
        eventually(what, || Some(self.try_status(host)?.databases.remove(0)).filter(&holds))
    }

    pub(crate) fn events(&self, host: usize) -> Vec<Event> {
        let client = nines_admin::Client::new(self.socket(host));
        self.runtime.block_on(client.events(0, Duration::ZERO)).unwrap()
    }

    /// The first event that says that.
    pub(crate) fn says(&self, host: usize, what: &str) -> Event {
        eventually(&format!("db{host} says {what:?}"), || {
            self.events(host).into_iter().find(|event| event.why.contains(what))
        })
    }

    /// This host is the primary and lets clients in.
    pub(crate) fn serves(&self, host: usize) -> DatabaseStatus {
        self.until(host, "it serves", |status| status.role == DatabaseRole::Primary && status.serves)
    }

    /// All hosts have everything, and confirm.
    pub(crate) fn all_are_well(&self, primary: usize) {
        let hosts = self.hosts;
        self.until(primary, "all are in the cohort", |status| {
            let well =
                |one: &&DatabaseMember| one.in_cohort && (one.streaming || one.role == DatabaseRole::Primary);
            status.settled && status.members.iter().filter(well).count() == hosts
        });
    }

    /// As a client of this host's gate; `Err` is what it was told.
    pub(crate) fn ask(&self, host: usize, user: &str, password: &str, sql: &str) -> Result<String, String> {
        let connect = format!(
            "host={} port={} user={user} dbname=shop connect_timeout=5 sslmode=disable",
            self.address(host),
            self.port
        );
        let output = Command::new("psql")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, &connect])
            .env("PGPASSWORD", password)
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    /// The same as the file's user.
    pub(crate) fn sql(&self, host: usize, sql: &str) -> String {
        eventually(sql, || match self.ask(host, "shop", "secret", sql) {
            Ok(said) => Some(said),
            Err(why) => {
                eprintln!("{sql}: {why}");
                None
            }
        })
    }

    /// What was set aside on this host.
    pub(crate) fn aside(&self, host: usize) -> Vec<String> {
        let entries = fs::read_dir(self.data(host)).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("set-aside-")).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        for host in 1..=self.hosts {
            if failed {
                let log = self.path(&format!("db{host}.log"));
                eprintln!("db{host}:\n{}", fs::read_to_string(log).unwrap_or_default());
                let log = fs::read_to_string(self.data(host).join("log/postgresql.log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("its PostgreSQL, backwards:\n{}", last.join("\n"));
            }
            if let Some(mut child) = self.daemons[host - 1].take() {
                let _ = child.kill();
                let _ = child.wait();
            }
            if let Some(pid) = self.postmaster(host) {
                let _ = kill_process(pid, Signal::QUIT);
            }
        }
    }
}
