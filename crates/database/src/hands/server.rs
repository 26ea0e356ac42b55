//! Starting, stopping and setting the server of this database.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nines_control::failover::{Disk, Failure, Lsn};
use nines_control::gate::Branch;
use rustix::process::Signal;

use super::body::Body;
use super::config::{self, Part};
use super::history;
use super::place::{self, Place};
use super::probe;
use super::process::{self, Process};
use super::replay::{self, Replay};
use super::sql::{Session, Trouble};
use super::state;
use super::{Settings, fail, lock};

/// A log that is longer is put by when a server is started.
const LONG_LOG: u64 = 64 * 1024 * 1024;
/// How long a server may take to go by new settings.
const RELOADS_WITHIN: Duration = Duration::from_secs(5);
/// A standby that needs more from its source than is coming is given up after this.
const GROWS_WITHIN: Duration = Duration::from_secs(15);
/// Between two looks at something that takes milliseconds.
pub(super) const SOON: Duration = Duration::from_millis(2);

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// With a checkpoint, if that takes no longer.
    Clean(Duration),
    /// What is flushed stays, nothing is added.
    AtOnce,
}

impl Body {
    /// The part that the state gives it.
    pub(super) fn part(&self) -> Part {
        let state = self.state();
        if state.serves.is_some() {
            return Part::Primary { cohort: state.cohort };
        }
        match &state.source {
            Some((host, term)) if state.attached => {
                Part::Standby { source: self.settings.peers.get(host), term: *term }
            }
            _ => Part::Standby { source: None, term: 0 },
        }
    }

    /// Puts all settings there; what a server that goes by them says when it is asked for `nines.revision`.
    pub(super) async fn write_settings(&self, part: &Part) -> Result<String, Failure> {
        let pgdata = self.place.pgdata.clone();
        self.servant.files("ALTER SYSTEM's settings", move || take_back_own(&pgdata)).await?;
        let revision = state::new_id().map_err(fail)?;
        let adopted = self.adopted.load(Ordering::SeqCst);
        let wanted = self.wanted();
        let least = match part {
            Part::Primary { .. } => String::new(),
            Part::Standby { .. } => self.least(&wanted.settings).await,
        };
        let conf =
            config::render(&wanted.settings, &self.place, part, &revision, adopted, self.port()) + &least;
        let (access, identities) = (config::access(&wanted.settings), config::identities(&self.user));
        let user = self.user.clone();
        self.files(move |place| {
            place::put(&place.access(), &access, Some(&user), false)?;
            place::put(&place.identities(), &identities, Some(&user), false)?;
            place::put(&place.config(), &conf, Some(&user), false)
        })
        .await?;
        Ok(revision)
    }

    /// A standby doesn't start with less than its primary had of some things, though the file wants less: until it is the primary itself.
    async fn least(&self, settings: &Settings) -> String {
        let Ok(control) = self.control_file().await else { return String::new() };
        let theirs = fs::read_to_string(self.place.adopted()).unwrap_or_default();
        config::at_least(&control.least, &settings.parameters, &theirs)
    }

    /// What a standby shows its source; `None` takes it away, so that no connection can be made any more.
    pub(super) async fn set_passfile(&self, there: bool) -> Result<(), Failure> {
        let path = self.place.passfile();
        let text = self.wanted().replication_password.clone().map(|password| {
            let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
            format!("*:*:*:*:{escaped}\n")
        });
        self.servant
            .files("the password for replication", move || match text.filter(|_| there) {
                Some(text) => place::put(&path, &text, None, false),
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            })
            .await
    }

    /// Whether PostgreSQL can make sense of the settings: nothing goes by them yet.
    pub(super) async fn validate(&self, settings: &Settings) -> Result<(), Failure> {
        let adopted = self.adopted.load(Ordering::SeqCst);
        let conf = config::render(settings, &self.place, &self.part(), "", adopted, self.port());
        let user = self.user.clone();
        self.files(move |place| place::put(&place.candidate(), &conf, Some(&user), false)).await?;
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(&self.place.pgdata).arg("-C").arg("port");
        command.arg("-c").arg(format!("config_file={}", self.place.candidate().display()));
        let output = self.servant.files("postgres", move || command.output()).await?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(fail(format!("PostgreSQL refuses its parameters: {}", problems(&said))))
    }

    /// Starts it with its data as they are, and returns a connection as soon as it lets anybody in.
    pub(super) async fn start(&self, part: Part) -> Result<Session, Failure> {
        process::clear(&self.place.pgdata, process::SERVER).await?;
        let primary = matches!(part, Part::Primary { .. });
        let history = self.state().history;
        let (place, port) = (self.place.clone(), self.find_port().map_err(fail)?);
        let fed = matches!(part, Part::Standby { source: Some(_), .. });
        self.set_passfile(fed).await?;
        self.servant.files("the data directory", move || arrange(&place, port, primary, &history)).await?;
        self.write_settings(&part).await?;
        let (log, from) = self.files(open_log).await?;
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(&self.place.pgdata);
        command.arg("-c").arg(format!("config_file={}", self.place.config().display()));
        command.current_dir(&self.place.pgdata);
        command.stdout(log.try_clone().map_err(fail)?).stderr(log);
        let server = Arc::new(Process::spawn(&self.servant, command).await?);
        self.set_server(Some(server.clone()));
        self.tell_gate();
        let mut grew = (self.log_grows().await, Instant::now());
        let (mut replay, mut looked) = (Replay::default(), Instant::now());
        loop {
            if !server.is_running() {
                let why = self.files(move |place| log_since(place, from)).await.unwrap_or_default();
                return Err(fail(format!("PostgreSQL doesn't start: {}", problems(&why))));
            }
            match self.session().await {
                Ok(session) => return Ok(session),
                Err(Trouble::Failed(why) | Trouble::Gone(why)) => return Err(fail(why)),
                Err(_) => tokio::time::sleep(5 * SOON).await,
            }
            if !fed && !primary && looked.elapsed() > Duration::from_secs(1) {
                looked = Instant::now();
                self.gets_on(&server, &mut replay).await?;
            }
            if fed && grew.1.elapsed() > Duration::from_secs(1) {
                let now = self.log_grows().await;
                if now != grew.0 {
                    grew = (now, Instant::now());
                } else if grew.1.elapsed() > GROWS_WITHIN {
                    return Err(fail("what its source has yet to send does not come"));
                }
            }
        }
    }

    /// A standby that nobody feeds reads the log that it has. If that does not reach as far as its data need, they are of no use: they come
    /// back as a copy.
    async fn gets_on(&self, server: &Process, replay: &mut Replay) -> Result<(), Failure> {
        let pid = server.pid();
        let sight = self.files(move |_| Ok(replay::look(pid))).await?;
        // A disk that hangs is another trouble.
        let sight = sight.filter(|_| self.probe.look() == Disk::Well);
        let Some(file) = replay.stuck(Instant::now(), self.settings.hopeless_after, sight) else {
            return Ok(());
        };
        self.stop(Stop::AtOnce).await?;
        {
            let mut memory = lock(&self.memory);
            (memory.diverged, memory.lacks_log) = (true, true);
            memory.last = None;
        }
        self.change(|state| state.end = None).await?;
        let why = format!("its data need more of the log than there is: it waits in vain at {file}");
        self.note(why.clone()).await;
        Err(fail(why))
    }

    /// Afterwards no process of it is left.
    pub(super) async fn stop(&self, how: Stop) -> Result<(), Failure> {
        if let Some(server) = self.server() {
            let (signal, patience) = match how {
                Stop::Clean(patience) => (Signal::INT, patience),
                Stop::AtOnce => (Signal::QUIT, Duration::from_millis(500)),
            };
            server.signal(signal);
            if !server.ends_within(patience).await {
                if how != Stop::AtOnce {
                    server.signal(Signal::QUIT);
                    server.ends_within(Duration::from_millis(500)).await;
                }
                server.signal(Signal::KILL);
                server.ends_within(Duration::from_secs(5)).await;
            }
        }
        process::clear(&self.place.pgdata, process::SERVER).await?;
        self.set_server(None);
        Ok(())
    }

    /// For good, by the operator's wish.
    pub(super) async fn shut_down(&self) -> Result<(), Failure> {
        self.stop(Stop::Clean(Duration::from_secs(60))).await
    }

    /// Sets it, and returns a connection that was made after the server had told all its processes.
    pub(super) async fn set(&self, part: &Part) -> Result<Session, Failure> {
        let revision = self.write_settings(part).await?;
        let server = self.server().ok_or_else(|| fail("PostgreSQL doesn't run"))?;
        let begin = Instant::now();
        let mut silent = 0;
        server.signal(Signal::HUP);
        loop {
            match self.session().await {
                Ok(session) => {
                    let has = session.one("SELECT current_setting('nines.revision', true)").await?;
                    if has.as_deref() == Some(&revision) {
                        return Ok(session);
                    }
                }
                Err(Trouble::Silent) if silent > 0 => return Err(Trouble::Silent.into()),
                Err(Trouble::Silent) => silent += 1,
                Err(trouble) if !server.is_running() => return Err(trouble.into()),
                Err(_) => {}
            }
            if begin.elapsed() > RELOADS_WITHIN {
                let from = self.files(|place| log_since(place, u64::MAX)).await.unwrap_or_default();
                return Err(fail(format!("PostgreSQL doesn't go by its settings: {}", problems(&from))));
            }
            tokio::time::sleep(SOON).await;
        }
    }

    /// Where the data of a standby end that streams from nobody; known only once all that is on the disk has been read.
    pub(super) async fn end(&self, session: &Session) -> Result<Lsn, Failure> {
        let query = "SELECT pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), (SELECT wait_event FROM pg_stat_activity \
                     WHERE backend_type = 'startup')";
        let mut had_read_all = false;
        loop {
            let rows = session.rows(query).await?;
            let text = |at: usize| rows.first().and_then(|row| row.get(at)?.clone());
            let received = text(0).and_then(|text| history::parse_lsn(&text));
            let replayed = text(1).and_then(|text| history::parse_lsn(&text));
            // Where it ends is only asked for after it was seen to have read all: of two things in one question either may be the older one.
            if had_read_all {
                return Ok(received.max(replayed).unwrap_or(0));
            }
            had_read_all = received.is_some() || text(2).as_deref().is_some_and(has_read_all);
            if !had_read_all {
                tokio::time::sleep(SOON).await;
            }
        }
    }

    /// What is in the way of a standby that doesn't stream, if the source said that it can't.
    pub(super) async fn why_not_fed(&self, from: u64) -> Option<String> {
        let text = self.files(move |place| log_since(place, from)).await.ok()?;
        let line = text.lines().rev().find(|line| {
            line.contains("has already been removed")
                || line.contains("has been invalidated")
                || line.contains("is not in this server's history")
                || line.contains("is ahead of the WAL flush position")
        })?;
        Some(line.split("ERROR: ").last().unwrap_or(line).trim().to_owned())
    }

    pub(super) async fn log_end(&self) -> u64 {
        self.files(|place| Ok(fs::metadata(place.log())?.len())).await.unwrap_or(0)
    }

    /// Another value whenever something is added to the log.
    async fn log_grows(&self) -> (usize, Option<std::time::SystemTime>) {
        let wal = self.place.wal();
        let look = move || -> io::Result<_> {
            // The probe's is written all the time.
            let files = fs::read_dir(wal)?.flatten().filter(|entry| entry.file_name() != probe::FILE);
            let times = files.map(|entry| entry.metadata().and_then(|it| it.modified()).ok());
            let times: Vec<_> = times.collect();
            Ok((times.len(), times.into_iter().flatten().max()))
        };
        self.servant.files("the log", look).await.unwrap_or_default()
    }

    pub(super) fn forget_proof(&self) {
        lock(&self.memory).proven = None;
    }
}

/// What the process that reads the log waits for when there is nothing more on the disk.
pub(super) fn has_read_all(wait_event: &str) -> bool {
    matches!(wait_event, "RecoveryRetrieveRetryInterval" | "RecoveryWalStream")
}

/// Makes the data directory say what it is to be.
fn arrange(place: &Place, port: u16, primary: bool, history: &[Branch]) -> io::Result<()> {
    let pgdata = &place.pgdata;
    fs::set_permissions(pgdata, fs::Permissions::from_mode(0o700))?;
    for other in ["recovery.signal", "promote", "fallback_promote"] {
        remove(&pgdata.join(other))?;
    }
    // Of a server that is certainly gone, while its pid may be anybody's by now.
    remove(&pgdata.join("postmaster.pid"))?;
    remove(&place.socket(port).with_extension(format!("{port}.lock")))?;
    if primary {
        remove(&place.standby_signal())?;
    } else {
        place::put(&place.standby_signal(), "", None, true)?;
    }
    history::sync(pgdata)?;
    history::establish(&place.wal(), history)?;
    place::put(&pgdata.join("postgresql.conf"), &config::pointer(place), None, false)?;
    Ok(())
}

/// What somebody set by `ALTER SYSTEM` would win over everything.
fn take_back_own(pgdata: &Path) -> io::Result<()> {
    let auto = pgdata.join("postgresql.auto.conf");
    let text = fs::read_to_string(&auto).unwrap_or_default();
    let kept = config::without_own(&text);
    if kept == text { Ok(()) } else { place::put(&auto, &kept, None, false) }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn open_log(place: &Place) -> io::Result<(File, u64)> {
    let path = place.log();
    if fs::metadata(&path).is_ok_and(|file| file.len() > LONG_LOG) {
        fs::rename(&path, path.with_extension("log.1"))?;
    }
    let log = File::options().create(true).append(true).open(&path)?;
    log.set_permissions(fs::Permissions::from_mode(0o640))?;
    let end = log.metadata()?.len();
    Ok((log, end))
}

/// What was written there since, but no more than the last part.
fn log_since(place: &Place, from: u64) -> io::Result<String> {
    const PART: u64 = 64 * 1024;
    let mut file = File::open(place.log())?;
    let end = file.metadata()?.len();
    let from = if from == u64::MAX { end.saturating_sub(PART / 8) } else { from };
    file.seek(SeekFrom::Start(from.max(end.saturating_sub(PART)).min(end)))?;
    let mut bytes = Vec::new();
    file.take(PART).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines that say what is wrong.
pub(super) fn problems(log: &str) -> String {
    let marks = ["FATAL: ", "PANIC: ", "ERROR: ", "LOG:  syntax error", "invalid value", "unrecognized"];
    let lines: Vec<&str> = log.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).collect();
    let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default();
    if last.is_empty() { log.lines().last().unwrap_or("without a word").to_owned() } else { last.join("; ") }
}
