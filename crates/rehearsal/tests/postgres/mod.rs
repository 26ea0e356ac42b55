//! A plain PostgreSQL on loopback, in a directory that goes with it. It ends with the test, however that ends.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nines_rehearsal::stage::Enter;
use nines_rehearsal::writers::{Login, Way};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Postgres {
    programs: PathBuf,
    directory: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// `None`, with a word about it, where there is none; where tests must not be left out, that is an error.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            let why = "there is no PostgreSQL here (Debian: postgresql)";
            assert!(std::env::var_os("CI").is_none(), "{why}, and CI is set");
            println!("SKIPPED: {why}");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let port = nines_trial::port::free().unwrap();
        let mut it = Self { programs, directory, port, server: None };
        if is_root() {
            must(Command::new("chown").arg("postgres").arg(it.directory.path()));
        }
        let password = it.directory.path().join("password");
        fs::write(&password, "secret\n").unwrap();
        let data = it.data();
        let initdb = ["-U", "shop", "-A", "scram-sha-256", "--no-sync", "--pwfile"];
        must(it.program("initdb").arg("-D").arg(&data).args(initdb).arg(&password));
        it.up();
        Some(it)
    }

    pub(crate) fn login(&self) -> Login {
        Login { user: "shop".to_owned(), password: "secret".to_owned(), database: "postgres".to_owned() }
    }

    pub(crate) fn way(&self) -> Way {
        Way { address: SocketAddr::from(([127, 0, 0, 1], self.port)), proxy_header: false }
    }

    /// Starts the server, and returns when it answers.
    pub(crate) fn up(&mut self) {
        let data = self.data();
        let log =
            fs::File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let mut command = self.program("postgres");
        command.arg("-D").arg(&data).arg("-k").arg(&data).args([
            "-p",
            &self.port.to_string(),
            "-h",
            "127.0.0.1",
        ]);
        // The machine does not crash here, and its disk may be slower than a time-out.
        command.args(["-c", "fsync=off"]);
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.server = Some(child);
        let until = Instant::now() + SOON;
        while self.ask("SELECT 1").is_err() {
            assert!(Instant::now() < until, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL to the postmaster; when it returns, nobody listens.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
            let until = Instant::now() + SOON;
            while TcpStream::connect(self.way().address).is_ok() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// SIGSTOP or SIGCONT to the postmaster and its children.
    pub(crate) fn signal(&self, signal: &str) {
        let postmaster = self.server.as_ref().unwrap().id().to_string();
        // First the one that makes others; one of those may end meanwhile.
        must(Command::new("kill").arg(signal).arg(&postmaster));
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
        let _ = Command::new("kill").arg(signal).args(children.split_whitespace()).output().unwrap();
    }

    pub(crate) fn ask(&self, text: &str) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        let port = self.port.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", "shop", "-d", "postgres", "-Atc", text]);
        let output = command.env("PGPASSWORD", "secret").output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// As a user that PostgreSQL accepts, and killed with the thread that started it.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).current_dir(self.directory.path());
        if is_root() {
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
        }
        command.arg(self.programs.join(name));
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn here() -> Enter {
    Box::new(|| Ok(()))
}

/// Where Debian has it.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.map(|it| it.unwrap().path().join("bin")).find(|bin| bin.join("initdb").is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self").metadata().unwrap().uid() == 0
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
