//! Directories of the hosts' own: whose they are, what they outlive, and that nothing is left of them.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use nines_lab::{Furniture, Inside, Running};
use rustix::process::{Pid, Signal, kill_process};

use crate::inside::{Built, TWO_ZONES, build_with};
use crate::tools::{myself, processes_with, until};

/// Neither is there on a usual machine.
const OWN: &str = "/var/lib/nines-lab-test/deep";
const SHARED: &str = "/var/lib/nines-lab-test/deep/shared";

fn furniture() -> Furniture {
    Furniture { own: vec![OWN.into()], shared: vec![SHARED.into()] }
}

impl Built {
    /// Runs a line of a shell on a host to its end, and gives what it said, if it ended well.
    fn shell(&mut self, host: &str, line: &str) -> Result<String, String> {
        let log = self.lab.output(self.host(host));
        let before = fs::read(&log).unwrap_or_default().len();
        let process = self.start(host, &["sh", "-c", line].map(Into::into));
        let status = self.runtime.block_on(self.lab.exited(process)).unwrap();
        let said = String::from_utf8(fs::read(&log).unwrap().split_off(before)).unwrap();
        if status.success() { Ok(said.trim().to_owned()) } else { Err(said) }
    }
}

pub(crate) fn own(inside: &Inside) {
    let before: Vec<_> = fs::read_dir("/var/lib").unwrap().map(|it| it.unwrap().file_name()).collect();
    let mut built = build_with(inside, TWO_ZONES, &furniture());
    built.shell("app1", &format!("echo one > {OWN}/who && echo all > {SHARED}/who")).unwrap();
    built.shell("app2", &format!("test ! -e {OWN}/who && echo two > {OWN}/who")).unwrap();
    assert_eq!(built.shell("app1", &format!("cat {OWN}/who {SHARED}/who")).unwrap(), "one\nall");
    assert_eq!(built.shell("app2", &format!("cat {OWN}/who {SHARED}/who")).unwrap(), "two\nall");
    // A relative path means the same on every host as where the program was started.
    let here = std::env::current_dir().unwrap();
    assert_eq!(built.shell("app1", "pwd -P").unwrap(), here.canonicalize().unwrap().to_str().unwrap());
    for name in before {
        let path = Path::new("/var/lib").join(name);
        built.shell("app1", &format!("test -e '{0}' || test -L '{0}'", path.display())).unwrap();
    }
    let directory = built.lab.disk(built.host("app1")).unwrap().to_owned();
    built.shell("app1", &format!("echo beside > {}/beside", directory.display())).unwrap();
    assert_eq!(fs::read_to_string(directory.join("beside")).unwrap(), "beside\n");
}

pub(crate) fn power(inside: &Inside) {
    let mut built = build_with(inside, TWO_ZONES, &furniture());
    built.shell("app1", &format!("echo kept > {OWN}/file; mkdir {OWN}/sub; ln -s / {OWN}/sub/root")).unwrap();
    built.start("app1", &["sleep", "4720"].map(Into::into));
    until("it sleeps", || (processes_with("4720") == 1).then_some(()));
    let app1 = built.host("app1");
    built.runtime.block_on(built.lab.power_off(app1)).unwrap();
    assert_eq!(processes_with("4720"), 0);
    built.runtime.block_on(built.lab.heal(app1)).unwrap();
    assert_eq!(built.shell("app1", &format!("cat {OWN}/file")).unwrap(), "kept");
    built.shell("app2", &format!("echo other > {OWN}/file; echo all > {SHARED}/file")).unwrap();
    built.lab.wipe(app1).unwrap();
    built
        .shell("app1", &format!("test ! -e {OWN}/file && test ! -e {OWN}/sub && test -e /etc/hosts"))
        .unwrap();
    assert_eq!(built.shell("app1", &format!("cat {SHARED}/file")).unwrap(), "all");
    assert_eq!(built.shell("app2", &format!("cat {OWN}/file")).unwrap(), "other");
}

pub(crate) fn some(inside: &Inside) {
    let mut built = build_with(inside, TWO_ZONES, &furniture());
    built.start("app1", &["sh", "-c", &format!("cd {OWN} && sleep 4721 & exec sleep 4722")].map(Into::into));
    built.start("app2", &["sh", "-c", &format!("cd {OWN} && exec sleep 4723")].map(Into::into));
    let app1 = built.host("app1");
    let there = |it: &Running| it.program == "sleep" && it.directory == Path::new(OWN);
    let found = until("both sleep", || {
        let all = built.lab.running(app1).unwrap();
        (all.iter().filter(|it| it.program == "sleep").count() == 2).then_some(all)
    });
    assert_eq!(found.iter().filter(|it| there(it)).count(), 1, "{found:?}");
    until("the other host's sleeps, too", || (processes_with("4723") == 1).then_some(()));
    built.lab.freeze_some(app1, &there).unwrap();
    built.lab.thaw_some(app1, &there).unwrap();
    built.lab.kill_some(app1, &there).unwrap();
    assert_eq!([processes_with("4721"), processes_with("4722"), processes_with("4723")], [0, 1, 1]);
}

/// Where Debian has it.
fn postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.map(|it| it.unwrap().path().join("bin")).find(|bin| bin.join("initdb").is_file())
}

pub(crate) fn server(inside: &Inside) {
    let Some(bin) = postgres().filter(|_| !inside.has_one_user()) else {
        nines_trial::skip("no PostgreSQL here, or nobody but one user to run it as");
    };
    let mut built = build_with(inside, TWO_ZONES, &furniture());
    let app1 = built.host("app1");
    let (bin, data) = (bin.display(), format!("{OWN}/data"));
    let run =
        |command: &str| format!("setpriv --reuid postgres --regid postgres --clear-groups {bin}/{command}");
    built
        .shell("app1", &format!("install -d -o postgres {data} && {}", run(&format!("initdb -D {data}"))))
        .unwrap();
    // As nines does it: in a session of its own, with nobody waiting for it.
    let start = run(&format!("postgres -D {data} -k {data} -c listen_addresses="));
    let start = format!("cd / && setsid {start} >> {data}/log 2>&1 &");
    let query = |text: &str| run(&format!("psql -h {data} -d postgres -Atc '{text}'"));
    let up = |built: &mut Built| {
        built.shell("app1", &start).unwrap();
        until("the server answers", || built.shell("app1", &query("select 1")).ok());
    };
    up(&mut built);
    built.shell("app1", &query("create table t as select 42 as n")).unwrap();
    let is_server = |it: &Running| it.program == "postgres" && it.directory.starts_with(OWN);
    let servers = |built: &Built| -> Vec<Running> {
        built.lab.running(app1).unwrap().into_iter().filter(is_server).collect()
    };
    assert!(servers(&built).len() > 3, "the postmaster and its children: {:?}", servers(&built));

    built.lab.freeze(app1).unwrap();
    let state = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(servers(&built).iter().all(|it| state(it.pid).contains(") T ")), "one is not stopped");
    built.lab.thaw(app1).unwrap();
    built.runtime.block_on(built.lab.power_off(app1)).unwrap();
    assert_eq!(servers(&built), []);
    built.runtime.block_on(built.lab.heal(app1)).unwrap();
    up(&mut built);
    assert_eq!(built.shell("app1", &query("select n from t")).unwrap(), "42");

    // The postmaster alone: its children see it and go.
    let all = servers(&built);
    let is_child = |it: &Running| all.iter().any(|other| other.pid == it.parent);
    let postmaster = all.iter().find(|it| !is_child(it)).unwrap().pid;
    built.lab.kill_some(app1, &|it| it.pid == postmaster).unwrap();
    until("its children are gone", || servers(&built).is_empty().then_some(()));
    up(&mut built);
}

/// A lab with something on its disks, until somebody ends it.
pub(crate) fn linger(inside: &Inside, mark: &str) -> ExitCode {
    let mut built = build_with(inside, TWO_ZONES, &furniture());
    let line = format!("echo there > {OWN}/file; exec sleep {mark}");
    built.start("app1", &["sh", "-c", &line].map(Into::into));
    until("it sleeps", || (processes_with(mark) == 1).then_some(()));
    println!("ready");
    io::stdout().flush().unwrap();
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

pub(crate) fn nothing_left() {
    let within = tempfile::tempdir().unwrap();
    let mark = format!("{}9", 2_000_000 + std::process::id());
    let mut outside = Command::new(myself())
        .arg("inside-with-disks")
        .arg(within.path())
        .arg(format!("mark={mark}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(outside.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    assert_eq!(fs::read_dir(within.path()).unwrap().count(), 1, "where the disks are");
    assert!(!Path::new(OWN).exists());
    kill_process(Pid::from_child(&outside), Signal::KILL).unwrap();
    outside.wait().unwrap();
    until("the disks are gone", || (fs::read_dir(within.path()).unwrap().count() == 0).then_some(()));
    until("all processes are gone", || {
        (processes_with(&mark) + processes_with(&format!("mark={mark}")) == 0).then_some(())
    });
    assert!(!Path::new(OWN).exists());
}
