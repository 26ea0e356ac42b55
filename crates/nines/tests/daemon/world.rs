//! A daemon of its own for each test, with members behind it; everything ends with the test.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nines_control::event::Kind;
use nines_control::status::Status;
use rustix::process::{Pid, Signal, kill_process};

/// Far longer than anything takes here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port of 127.0.0.1 on which nobody listens.
pub(crate) fn free_port() -> u16 {
    nines_trial::port::free().unwrap()
}

/// A process that is killed with its guard, whatever becomes of the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn of(child: Child) -> Self {
        Self(child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A stand-in server `app1`, `app2`, … on an address of its own.
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Member {
    pub(crate) fn start(n: usize) -> Self {
        let name = format!("app{n}");
        let listen = format!("127.0.0.{}:0", n + 1);
        let mut child = Command::new(env!("CARGO_BIN_EXE_nines"))
            .args(["stand-in", "--listen", &listen, "--name", &name])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let process = Process(child);
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        Self { address, _process: process }
    }
}

/// What varies from test to test in the file of a system with one load balancer and one pool.
pub(crate) struct File {
    pub(crate) listeners: Vec<u16>,
    pub(crate) members: Vec<SocketAddr>,
    pub(crate) load_balancer: String,
    pub(crate) pool: String,
}

impl File {
    pub(crate) fn new(members: &[Member]) -> Self {
        Self {
            listeners: vec![free_port()],
            members: members.iter().map(|member| member.address).collect(),
            load_balancer: String::new(),
            pool: "check = { http = \"/healthz\", interval = \"1s\" }\n".to_owned(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = "name = \"shop\"\n[hosts]\nlb1 = \"127.0.0.1\"\n".to_owned();
        for (n, member) in (1..).zip(&self.members) {
            let _ = writeln!(text, "app{n} = \"{}\"", member.ip());
        }
        let list = |items: Vec<String>| items.join(", ");
        let listeners =
            self.listeners.iter().map(|port| format!("{{ bind = \"127.0.0.1:{port}\", pool = \"web\" }}"));
        let members = (1..).zip(&self.members).map(|(n, member)| format!("\"app{n}:{}\"", member.port()));
        let _ = write!(
            text,
            "[load_balancers.front]\nhosts = [\"lb1\"]\nworkers = 2\nlisteners = [{}]\n{}\n\
             [pools.web]\nmembers = [{}]\n{}",
            list(listeners.collect()),
            self.load_balancer,
            list(members.collect()),
            self.pool,
        );
        text
    }
}

pub(crate) struct Daemon {
    pub(crate) process: Process,
    pub(crate) directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    client: nines_admin::Client,
}

impl Daemon {
    /// Starts it without waiting for anything but its first answer.
    pub(crate) fn start(file: &File) -> Self {
        Self::start_with_log(file, "log")
    }

    /// `log`: where it writes its log, in its directory or anywhere.
    pub(crate) fn start_with_log(file: &File, log: &str) -> Self {
        Self::start_by(&[], &file.text(), log)
    }

    /// `by`: a program, with arguments, that becomes the daemon.
    pub(crate) fn start_by(by: &[&str], text: &str, log: &str) -> Self {
        Self::start_as(by, text, log, |_| ())
    }

    /// `prepare`: what is in its directory before.
    pub(crate) fn start_in(file: &File, prepare: impl FnOnce(&std::path::Path)) -> Self {
        Self::start_as(&[], &file.text(), "log", prepare)
    }

    fn start_as(by: &[&str], text: &str, log: &str, prepare: impl FnOnce(&std::path::Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        std::fs::write(directory.path().join("shop.toml"), text).unwrap();
        let log = std::fs::File::create(directory.path().join(log)).unwrap();
        let child = Self::command(by, &directory).stderr(log).spawn().unwrap();
        let daemon = Self {
            process: Process(child),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            client: nines_admin::Client::new(directory.path().join("lb1.sock")),
            directory,
        };
        eventually("the daemon answers", || daemon.runtime.block_on(daemon.client.status()).ok());
        daemon
    }

    /// After its end, where it was.
    pub(crate) fn start_again(&mut self) {
        let log = std::fs::File::options().append(true).open(self.directory.path().join("log")).unwrap();
        self.process = Process(Self::command(&[], &self.directory).stderr(log).spawn().unwrap());
        eventually("the daemon answers", || self.runtime.block_on(self.client.status()).ok());
    }

    pub(crate) fn serving(file: &File) -> Self {
        let daemon = Self::start(file);
        daemon.until("it serves", |status| status.listeners.iter().all(|listener| listener.open));
        for port in &file.listeners {
            eventually("the listener accepts", || std::net::TcpStream::connect(("127.0.0.1", *port)).ok());
        }
        daemon
    }

    fn command(by: &[&str], directory: &tempfile::TempDir) -> Command {
        let words = [by, &[env!("CARGO_BIN_EXE_nines")]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("run").arg(directory.path().join("shop.toml")).args([
            "--host",
            "lb1",
            "--admin-socket",
        ]);
        command.arg(directory.path().join("lb1.sock")).arg("--state").arg(directory.path().join("state"));
        command
    }

    /// Starts another one in the same place, to its end.
    pub(crate) fn another(&self) -> Output {
        Self::command(&[], &self.directory).output().unwrap()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("lb1.sock")
    }

    /// Runs one of the operator's commands.
    pub(crate) fn nines(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nines"));
        command.args(args).arg("--admin-socket").arg(self.socket()).env("NO_COLOR", "1").output().unwrap()
    }

    pub(crate) fn status(&self) -> Status {
        self.runtime.block_on(self.client.status()).unwrap()
    }

    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
        eventually(what, || Some(self.status()).filter(&holds))
    }

    /// Writes the file and has it loaded; returns once the daemon has decided about it.
    pub(crate) fn reload(&self, text: &str) -> Status {
        let decisions = |status: &Status| status.events.get(&Kind::Reload).copied().unwrap_or(0);
        let before = decisions(&self.status());
        std::fs::write(self.directory.path().join("shop.toml"), text).unwrap();
        self.process.signal(Signal::HUP);
        self.until("the reload is decided", |status| decisions(status) > before)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        eventually("the daemon ends", || self.process.ended()).code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}
