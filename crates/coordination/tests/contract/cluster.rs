//! Real etcd on loopback ports: one member or three, killed, frozen and started again by their process ids. They end with the test,
//! however that ends: each is killed when it is dropped, and by the kernel when the thread that started it is gone.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nines_coordination::Settings;
use nines_coordination::settings::Etcd;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::LIMIT;

/// Whether there is an etcd to test with. Where tests must not be left out, it is an error that there is none.
pub(crate) fn there_is_etcd() -> bool {
    let there = ["etcd", "etcdctl", "setpriv"].into_iter().find(|program| find(program).is_none());
    let Some(missing) = there else { return true };
    let why = format!("there is no {missing} here (Debian: etcd-server, etcd-client, util-linux)");
    assert!(std::env::var_os("CI").is_none(), "{why}, and CI is set");
    println!("SKIPPED: {why}");
    false
}

pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// A cluster, and the directory in which it keeps everything.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Member>,
    dir: TempDir,
}

pub(crate) struct Member {
    pub(crate) name: String,
    /// Where clients reach it.
    pub(crate) port: u16,
    dir: PathBuf,
    peer: u16,
    cluster: String,
    extra: Vec<String>,
    tls: bool,
    process: Option<Child>,
}

impl Cluster {
    pub(crate) fn start(members: usize) -> Self {
        Self::start_with(members, &[])
    }

    pub(crate) fn start_with(members: usize, extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tls = extra.contains(&"--client-cert-auth");
        let names: Vec<String> = (1..=members).map(|number| format!("e{number}")).collect();
        let ports: Vec<(u16, u16)> = names.iter().map(|_| (free_port(), free_port())).collect();
        let peers: Vec<String> = names
            .iter()
            .zip(&ports)
            .map(|(name, (_, peer))| format!("{name}=http://127.0.0.1:{peer}"))
            .collect();
        let members = names.iter().zip(ports).map(|(name, (port, peer))| Member {
            name: name.clone(),
            port,
            dir: dir.path().join(name),
            peer,
            cluster: peers.join(","),
            extra: extra.iter().map(|word| (*word).to_owned()).collect(),
            tls,
            process: None,
        });
        let mut cluster = Self { members: members.collect(), dir };
        for member in &mut cluster.members {
            member.start();
        }
        for member in &cluster.members {
            member.wait();
        }
        cluster
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::Etcd(self.etcd())
    }

    pub(crate) fn etcd(&self) -> Etcd {
        let endpoints = self.members.iter().map(|member| format!("127.0.0.1:{}", member.port)).collect();
        Etcd { endpoints, tls: None, user: None }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Member {
    /// Starts it again where it was, with what it had.
    pub(crate) fn start(&mut self) {
        self.start_from(&["setpriv", "--pdeathsig", "KILL"], &format!("127.0.0.1:{}", self.port));
    }

    /// In a network that it has for itself, so that it reaches no peer; clients reach it by a socket in the directory.
    pub(crate) fn start_alone(&mut self, socket: &Path) {
        let words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--map-root-user", "--net"];
        self.start_from(&words, &socket.display().to_string());
    }

    fn start_from(&mut self, before: &[&str], listen: &str) {
        assert!(self.process.is_none());
        let scheme = match listen {
            listen if listen.starts_with('/') => "unix",
            _ if self.tls => "https",
            _ => "http",
        };
        let client = format!("{scheme}://{listen}");
        let advertised = format!("{}://127.0.0.1:{}", if self.tls { "https" } else { "http" }, self.port);
        let peer = format!("http://127.0.0.1:{}", self.peer);
        let log = File::options().create(true).append(true).open(self.dir.with_extension("log")).unwrap();
        let mut command = Command::new(before[0]);
        command.args(&before[1..]).arg("etcd").arg("--data-dir").arg(&self.dir);
        command.args(["--name", &self.name, "--initial-cluster", &self.cluster]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &advertised]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]).args(&self.extra);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    /// Waits until it has a leader, or at least answers.
    pub(crate) fn wait(&self) {
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            let mut asked = if self.tls {
                // It doesn't speak with etcdctl without a certificate; listening will do.
                Command::new(if self.listens() { "true" } else { "false" })
            } else {
                self.etcdctl(&["get", "nothing"])
            };
            if asked.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default();
        panic!("{} does not come up:\n{log}", self.name);
    }

    pub(crate) fn listens(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    pub(crate) fn etcdctl(&self, words: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(format!("127.0.0.1:{}", self.port));
        command.args(["--command-timeout", "2s"]).args(words);
        command
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().unwrap().id();
        kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
    }

    /// What it has on disk, for another time; it must not run.
    pub(crate) fn copy_to(&self, copy: &Path) {
        assert!(self.process.is_none());
        let done = Command::new("cp").arg("-a").arg(&self.dir).arg(copy).status().unwrap();
        assert!(done.success());
    }

    pub(crate) fn replace_by(&self, copy: Option<&Path>) {
        assert!(self.process.is_none());
        fs::remove_dir_all(&self.dir).unwrap();
        if let Some(copy) = copy {
            let done = Command::new("cp").arg("-a").arg(copy).arg(&self.dir).status().unwrap();
            assert!(done.success());
        }
    }

    pub(crate) fn rename_cluster(&mut self, token: &str) {
        self.extra.extend(["--initial-cluster-token".to_owned(), token.to_owned()]);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking()
            && let Ok(log) = fs::read_to_string(self.dir.with_extension("log"))
        {
            let lines: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("the last of {}'s log, newest first:\n{}\n", self.name, lines.join("\n"));
        }
    }
}

/// Runs a command of etcdctl that must work.
pub(crate) fn must(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
