//! Hosts, the gate in front of each, and what tests ask of them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nines_control::failover::{Cohort, Effect, Failure, Host, Lsn, Report, Role, Term};
use nines_control::gate::{self, Ask};
use nines_database::hands::{Doorkeeper, Hands, Listens, Peers, Records, Refusal, Settings, Told};
use nines_system::{GateTls, Secret};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// Of anything that is waited for; a slow machine has time.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Whether there is a PostgreSQL to test with.
pub(crate) fn is_there() -> bool {
    let found = Path::new("/usr/lib/postgresql").is_dir();
    assert!(found || std::env::var_os("CI").is_none(), "no PostgreSQL is installed");
    if !found {
        eprintln!("skipped: no PostgreSQL is installed");
    }
    found
}

/// The newest version's.
pub(crate) fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").unwrap().flatten();
    let newest = versions.filter_map(|it| it.file_name().to_str()?.parse::<u16>().ok()).max().unwrap();
    Path::new("/usr/lib/postgresql").join(newest.to_string()).join("bin")
}

/// Runs it as PostgreSQL's user; whether it did well.
pub(crate) fn as_postgres(command: &mut std::process::Command) -> bool {
    if rustix::process::geteuid().is_root() {
        let owner = fs::metadata("/var/lib/postgresql").unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    command.stdout(std::process::Stdio::null()).current_dir("/").status().unwrap().success()
}

/// Where nobody comes through.
pub(crate) struct Nobody;

impl Nobody {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self)
    }
}

impl Doorkeeper for Nobody {
    fn close_replication(&self) {}

    fn engine(&self, _: &Listens) {}
}

#[derive(Default)]
struct Door {
    engine: Mutex<Option<Listens>>,
    records: Mutex<Option<Records>>,
    replication: Mutex<Vec<AbortHandle>>,
}

impl Doorkeeper for Door {
    fn close_replication(&self) {
        for connection in self.replication.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    fn engine(&self, listens: &Listens) {
        *self.engine.lock().unwrap() = Some(listens.clone());
    }
}

/// A gate: it lets everybody through to PostgreSQL, standbys only if they follow the primary that this one is.
async fn keep(door: Arc<Door>, listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let task = tokio::spawn(pass(door.clone(), stream));
        let handle = task.abort_handle();
        door.replication.lock().unwrap().retain(|one| !one.is_finished());
        door.replication.lock().unwrap().push(handle);
    }
}

async fn pass(door: Arc<Door>, mut stream: TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    let used = loop {
        if let Some((_, used)) = gate::message(&bytes).ok()? {
            break used;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let records = door.records.lock().unwrap().clone()?;
    if bytes.get(4..8) == Some(&gate::CODE.to_be_bytes()) {
        let Ask::Ancestry { term } = gate::read(&bytes[8..used]).ok()? else { return None };
        return stream.write_all(&gate::answer(&records.ancestry(term))).await.ok();
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let term = text.split("nines.term=").nth(1)?.split('\0').next()?.parse().ok()?;
    records.ancestry(term).branches?;
    let engine = door.engine.lock().unwrap().clone()?.socket;
    let mut engine = UnixStream::connect(engine).await.ok()?;
    engine.write_all(&bytes).await.ok()?;
    tokio::io::copy_bidirectional(&mut stream, &mut engine).await.ok().map(drop)
}

/// Hosts that know each other.
pub(crate) struct World {
    pub(crate) hopeless_after: Duration,
    pub(crate) lease: Duration,
    directory: TempDir,
    peers: Peers,
    names: Vec<Host>,
}

pub(crate) struct Member {
    pub(crate) name: Host,
    pub(crate) settings: Settings,
    door: Arc<Door>,
    hands: Option<Hands>,
    next: u64,
    pub(crate) notes: Vec<String>,
    /// The latest.
    pub(crate) report: Option<Report>,
    _gate: tokio::task::JoinHandle<()>,
}

impl World {
    pub(crate) fn new(names: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("nines-hands-").tempdir().unwrap();
        // PostgreSQL's user has to get through.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let hopeless_after = Duration::from_secs(60);
        Self {
            directory,
            hopeless_after,
            lease: Duration::from_millis(1500),
            peers: Peers::default(),
            names: names.iter().map(|&name| name.into()).collect(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn settings(&self, name: &str) -> Settings {
        Settings {
            database: "orders".to_owned(),
            me: name.into(),
            hosts: self.names.clone(),
            data: self.directory.path().join(name),
            programs: None,
            version: None,
            user: "postgres".to_owned(),
            parameters: vec![("shared_buffers".to_owned(), "16MB".to_owned())],
            access: Vec::new(),
            users: Vec::new(),
            replication_password: Some(Secret::Text("it's \\: secret".to_owned())),
            tls: GateTls::Off,
            lease: self.lease,
            heartbeat: Duration::from_millis(250),
            keep: None,
            hopeless_after: self.hopeless_after,
            peers: self.peers.clone(),
        }
    }

    pub(crate) async fn host(&self, name: &str) -> Member {
        self.host_with(self.settings(name)).await
    }

    pub(crate) async fn host_with(&self, settings: Settings) -> Member {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at: SocketAddr = listener.local_addr().unwrap();
        self.peers.set(settings.me.clone(), at);
        let door = Arc::new(Door::default());
        let gate = tokio::spawn(keep(door.clone(), listener));
        let name = settings.me.clone();
        let mut member = Member {
            name,
            settings,
            door,
            hands: None,
            next: 1,
            notes: Vec::new(),
            report: None,
            _gate: gate,
        };
        member.begin().await.unwrap();
        member
    }

    /// A primary of term 1, and standbys that are copies of it.
    pub(crate) async fn with_standbys(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for name in &self.names {
            members.push(self.host(name.name()).await);
        }
        self.form(&mut members).await;
        members
    }

    /// The first becomes the primary, the others copies of it.
    pub(crate) async fn form(&self, members: &mut [Member]) {
        let primary = members[0].name.clone();
        members[0].done(Effect::Initialise).await;
        let alone = cohort(&[primary.name()], 1);
        members[0].done(Effect::SetSynchronous { term: 1, cohort: alone }).await;
        members[0].is_furnished().await;
        let (first, others) = members.split_first_mut().unwrap();
        first.sql("CREATE TABLE rows (id int)").await;
        for other in others {
            other.done(Effect::Rejoin { primary: primary.clone(), term: 1, afresh: false }).await;
        }
        for other in &mut members[1..] {
            let name = other.name.clone();
            assert_eq!(other.report().await.source, Some((primary.clone(), 1)), "{name}");
        }
    }

    /// A directory of PostgreSQL's user.
    pub(crate) fn writable(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir(&path).unwrap();
        if rustix::process::geteuid().is_root() {
            let owner = fs::metadata("/var/lib/postgresql").map(|it| (it.uid(), it.gid())).unwrap();
            std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1)).unwrap();
        }
        path
    }
}

pub(crate) fn cohort(members: &[&str], copies: usize) -> Cohort {
    Cohort { members: members.iter().map(|&name| Host::from(name)).collect(), copies }
}

impl Member {
    /// As after a start of the program.
    pub(crate) async fn begin(&mut self) -> Result<(), Refusal> {
        let hands = tokio::time::timeout(LONG, Hands::take(self.settings.clone(), self.door.clone()))
            .await
            .unwrap()?;
        *self.door.records.lock().unwrap() = Some(hands.records());
        self.hands = Some(hands);
        self.report = None;
        Ok(())
    }

    /// As if the program had been killed: nothing is done any more, PostgreSQL runs on.
    pub(crate) fn end(&mut self) {
        *self.door.records.lock().unwrap() = None;
        self.hands = None;
    }

    pub(crate) fn hands(&self) -> &Hands {
        self.hands.as_ref().unwrap()
    }

    /// As the gate was told last.
    pub(crate) fn listens_at(&self) -> Option<SocketAddr> {
        self.door.engine.lock().unwrap().as_ref()?.address
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.settings.data.join("pgdata")
    }

    /// Begins it, and doesn't wait.
    pub(crate) fn begin_to(&mut self, effect: Effect) -> u64 {
        self.next += 1;
        self.hands().perform(self.next, effect);
        self.next
    }

    async fn hear(&mut self) -> Option<(u64, Result<(), Failure>)> {
        let told = tokio::time::timeout(LONG, self.hands.as_mut().unwrap().next()).await;
        match told.unwrap_or_else(|_| panic!("{} tells nothing", self.name)) {
            Told::Report(report) => self.report = Some(report),
            Told::Note(note) => self.notes.push(note),
            Told::Done { id, result, report } => {
                self.report = Some(report);
                return Some((id, result));
            }
        }
        None
    }

    pub(crate) async fn end_of(&mut self, id: u64) -> Result<Report, Failure> {
        loop {
            if let Some((ended, result)) = self.hear().await
                && ended == id
            {
                return result.map(|()| self.report.clone().unwrap());
            }
        }
    }

    /// All that come until its good end, with that of its end.
    pub(crate) async fn reports_until(&mut self, id: u64) -> Vec<Report> {
        let mut reports = Vec::new();
        loop {
            let ended = self.hear().await;
            reports.extend(self.report.take());
            if let Some((_, result)) = ended.filter(|(ended, _)| *ended == id) {
                result.unwrap_or_else(|failure| panic!("{}: {}", self.name, failure.0));
                return reports;
            }
        }
    }

    pub(crate) async fn perform(&mut self, effect: Effect) -> Result<Report, Failure> {
        let id = self.begin_to(effect);
        self.end_of(id).await
    }

    /// How it is after it, and how long that took.
    pub(crate) async fn done(&mut self, effect: Effect) -> Report {
        let begin = Instant::now();
        let word = effect.word();
        let report = self.perform(effect).await;
        eprintln!("{}: {word} took {:?}", self.name, begin.elapsed());
        report.unwrap_or_else(|failure| panic!("{}: {word}: {} ({:?})", self.name, failure.0, self.notes))
    }

    /// The next one, made after this was asked for.
    pub(crate) async fn report(&mut self) -> Report {
        // What waits to be heard is old.
        while let Ok(Some(_) | None) = tokio::time::timeout(Duration::ZERO, self.hear()).await {}
        self.report = None;
        loop {
            self.hear().await;
            if let Some(report) = &self.report {
                return report.clone();
            }
        }
    }

    pub(crate) async fn wait(&mut self, for_what: &str, is_so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(
                begin.elapsed() < LONG,
                "{} waits: {for_what}; {:?} {:?}",
                self.name,
                self.report,
                self.notes
            );
            let _ = tokio::time::timeout(Duration::from_millis(20), self.hear()).await;
        }
    }

    pub(crate) async fn wait_for(&mut self, for_what: &str, is_so: impl Fn(&Report) -> bool) -> Report {
        self.wait(for_what, |member| member.report.as_ref().is_some_and(&is_so)).await;
        self.report.clone().unwrap()
    }

    /// Streams from it in the end: with its data as they are, or rewound, since the former primary may have told one more than another
    /// before it was left.
    pub(crate) async fn goes_with(&mut self, primary: &str, term: Term) {
        self.done(Effect::Follow { primary: primary.into(), term }).await;
        let knows = |report: &Report| report.diverged || report.position.is_some_and(|at| at.term == term);
        if self.wait_for("knows whether it can follow", knows).await.diverged {
            self.done(Effect::Rejoin { primary: primary.into(), term, afresh: false }).await;
        }
    }

    /// Streams, and has all of this.
    pub(crate) async fn has(&mut self, end: Lsn) {
        self.wait_for("has what the primary has", |report| report.position.is_some_and(|at| at.lsn >= end))
            .await;
    }

    pub(crate) async fn is_furnished(&self) {
        let begin = Instant::now();
        let made = "SELECT 1 FROM pg_roles WHERE rolname = 'nines_replication'";
        while self.sql(made).await.is_empty() {
            assert!(begin.elapsed() < LONG, "{} makes no users: {:?}", self.name, self.notes);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.postmaster().unwrap()
    }

    /// While there is one: the file outlives a server that was killed, and its number may be somebody else's by then.
    fn postmaster(&self) -> Option<i32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid: i32 = file.lines().next()?.trim().parse().ok()?;
        let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        (works_in.canonicalize().ok()? == self.data().canonicalize().ok()?).then_some(pid)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// All that PostgreSQL has running.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let Some(postmaster) = self.postmaster() else { return Vec::new() };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_one = |pid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status
                .lines()
                .any(|line| line.strip_prefix("PPid:").is_some_and(|it| it.trim() == postmaster.to_string()))
        };
        std::iter::once(postmaster).chain(pids.filter(is_one)).collect()
    }

    pub(crate) async fn client(&self) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.settings.data.join("run")).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(crate) async fn sql(&self, statement: &str) -> Vec<Vec<String>> {
        query(&self.client().await, statement).await
    }

    /// These are all that there are, as soon as they can be seen.
    pub(crate) async fn sees(&self, expected: impl IntoIterator<Item = i32>) {
        let expected: Vec<i32> = expected.into_iter().collect();
        let begin = Instant::now();
        while self.rows().await != expected {
            assert!(begin.elapsed() < LONG, "{} has {:?}", self.name, self.rows().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn rows(&self) -> Vec<i32> {
        let rows = self.sql("SELECT id FROM rows ORDER BY id").await;
        rows.into_iter().map(|row| row[0].parse().unwrap()).collect()
    }

    pub(crate) async fn timeline(&self) -> Term {
        let name = self.sql("SELECT pg_walfile_name(pg_current_wal_lsn())").await;
        Term::from_str_radix(&name[0][0][..8], 16).unwrap()
    }

    /// Where the log of a primary ends now.
    pub(crate) async fn written(&self) -> Lsn {
        let text = self.sql("SELECT pg_current_wal_flush_lsn() - '0/0'").await;
        text[0][0].parse().unwrap()
    }

    pub(crate) fn aside(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.settings.data).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("set-aside-")).collect()
    }
}

pub(crate) async fn query(client: &Client, statement: &str) -> Vec<Vec<String>> {
    // A commit waits for ever for who does not confirm it.
    let answered = tokio::time::timeout(3 * LONG, client.simple_query(statement)).await;
    let answered = answered.unwrap_or_else(|_| panic!("{statement}: no answer"));
    let messages = answered.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).unwrap_or("").to_owned()).collect())
        }
        _ => None,
    });
    rows.collect()
}

pub(crate) fn is_standby_of(report: &Report, host: &str, term: Term) -> bool {
    report.role == Role::Standby && report.source == Some((host.into(), term))
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end();
        // What this test has started.
        for pid in self.processes().into_iter().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}
