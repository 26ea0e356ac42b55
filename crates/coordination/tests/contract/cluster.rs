//! Real etcd on loopback ports: one member or three, killed, frozen and started again by their process ids. They end with the test,
//! however that ends: each is killed when it is dropped, and by the kernel when the thread that started it is gone.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nines_coordination::Settings;
use nines_coordination::settings::Etcd;
use tempfile::TempDir;

use crate::between::{Between, Who};
use crate::support::{LIMIT, freeze, thaw};

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
    /// Where the other members reach it, and where it really is.
    peer_told: u16,
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
        let ports: Vec<u16> = (0..members).map(|_| free_port()).collect();
        Self::start_at(&ports, &ports, extra)
    }

    /// Three members that can be cut off from each other.
    pub(crate) fn start_apart() -> (Self, Between) {
        let bind = |_| TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners: Vec<TcpListener> = (0..3).map(bind).collect();
        let told: Vec<u16> = listeners.iter().map(|there| there.local_addr().unwrap().port()).collect();
        let real: Vec<u16> = told.iter().map(|_| free_port()).collect();
        let between = Between::start(listeners.into_iter().zip(real.clone()).collect());
        (Self::start_at(&told, &real, &[]), between)
    }

    /// Members that tell each other ports `told`, and listen on ports `real`.
    fn start_at(told: &[u16], real: &[u16], extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tls = extra.contains(&"--client-cert-auth");
        let name = |index: usize| format!("e{}", index + 1);
        let peers: Vec<String> = told
            .iter()
            .enumerate()
            .map(|(at, port)| format!("{}=http://127.0.0.1:{port}", name(at)))
            .collect();
        let member = |(index, (told, real)): (usize, (&u16, &u16))| Member {
            name: name(index),
            port: free_port(),
            dir: dir.path().join(name(index)),
            peer_told: *told,
            peer: *real,
            cluster: peers.join(","),
            extra: extra.iter().map(|word| (*word).to_owned()).collect(),
            tls,
            process: None,
        };
        let members = told.iter().zip(real).enumerate().map(member).collect();
        let mut cluster = Self { members, dir };
        for member in &mut cluster.members {
            member.start();
        }
        for member in &cluster.members {
            member.wait();
        }
        cluster
    }

    /// A member as the others know it.
    pub(crate) fn who(&self, index: usize) -> Who {
        let list = must(self.members[index].etcdctl(&["member", "list"]));
        let name = format!(" {},", self.members[index].name);
        let line = list.lines().find(|line| line.contains(&name)).unwrap();
        Who { index, id: line.split(',').next().unwrap().to_owned() }
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
    /// Starts it, again where it was and with what it had.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none());
        let client = format!("{}://127.0.0.1:{}", if self.tls { "https" } else { "http" }, self.port);
        let peer = format!("http://127.0.0.1:{}", self.peer);
        let peer_told = format!("http://127.0.0.1:{}", self.peer_told);
        let log = File::options().create(true).append(true).open(self.dir.with_extension("log")).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "etcd", "--data-dir"]).arg(&self.dir);
        command.args(["--name", &self.name, "--initial-cluster", &self.cluster]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer_told]);
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
        freeze(self.process.as_ref().unwrap().id());
    }

    pub(crate) fn thaw(&self) {
        thaw(self.process.as_ref().unwrap().id());
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
    nines_trial::port::free().unwrap()
}
