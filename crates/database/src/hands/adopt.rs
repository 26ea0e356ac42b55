//! Taking over a database that somebody else has made, without a dump: its data directory is moved to where nines has its data (renamed, so
//! both must be on one file system), and its settings are kept below nines' own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nines_control::failover::{Failure, Origin, Term};
use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::process::Signal;
use tokio::sync::mpsc;

use super::body::Body;
use super::control_file::ControlFile;
use super::place::{self, Place};
use super::process::Process;
use super::programs::Programs;
use super::servant::User;
use super::state::{State, new_id};
use super::{Doorkeeper, Listens, Refusal, Settings, config, fail, history, tidy};

/// A clean stop writes all that is not written yet.
const STOPS_WITHIN: Duration = Duration::from_secs(120);
/// Includes in includes in includes.
const DEEPEST: usize = 10;

/// What taking it over comes to; found out without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub from: PathBuf,
    /// The same as `from` where the data are in their place already.
    pub to: PathBuf,
    /// `15.8`.
    pub version: String,
    /// PostgreSQL's identifier: standbys have their primary's.
    pub system: String,
    pub timeline: Term,
    /// It is a primary; else a standby.
    pub primary: bool,
    /// Of the server that runs with these data.
    pub running: Option<i32>,
    /// Its `postgresql.conf`.
    pub settings: PathBuf,
    /// Lines of its settings that don't stay, since nines must have them in its own hands.
    pub left_out: Vec<String>,
    kept: String,
}

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Its timeline is its first term.
    pub term: Term,
    /// It was a primary; else a standby.
    pub primary: bool,
    /// For the operator: what was left out of its settings.
    pub notes: Vec<String>,
}

/// What [`adopt`] would do.
///
/// # Errors
/// It is not what it should be.
pub fn plan(settings: &Settings, existing: &Path) -> Result<Plan, Refusal> {
    settings.check()?;
    let programs = Programs::find(settings)?;
    let user = User::find(&settings.user).map_err(Refusal)?;
    let place = Place::new(&settings.data);
    let existing = existing.canonicalize().map_err(|error| Refusal::at(existing, error))?;
    is_for_nines(&place, &existing)?;
    tidy::check_version(&programs, &existing)?;
    tidy::check_owner(&user, &existing)?;
    has_no_tablespaces(&existing)?;
    let file = find_settings(&programs, &existing)?;
    let mut left_out = Vec::new();
    let kept = keep_settings(&file, &existing, &mut left_out)?;
    can_be_moved(&place, &existing)?;
    let control = control_file(programs.command("pg_controldata"), &existing)?;
    let running = Process::server_of(&existing).map(|server| server.pid());
    if running.is_none() && !control.is_shut_down() {
        return Err(unclean(&existing, &control));
    }
    Ok(Plan {
        to: place.pgdata.clone(),
        version: programs.full,
        system: control.system,
        timeline: control.timeline,
        primary: !existing.join("standby.signal").exists(),
        running,
        settings: file,
        left_out,
        kept,
        from: existing,
    })
}

/// Takes over the data directory of a PostgreSQL that runs, which is shut down for it, or is stopped; of a primary or of a standby. It is
/// started again by whoever takes it in hand next.
///
/// # Errors
/// It is not what it should be; then it was left as it is, and if it ran, it may have been stopped.
pub async fn adopt(settings: Settings, existing: &Path) -> Result<Adopted, Refusal> {
    let plan = plan(&settings, existing)?;
    let (tell, _) = mpsc::channel(1);
    let body = Body::new(settings, Arc::new(NoDoor), tell).await?;
    stop(&plan.from).await?;
    let (command, from) = (body.programs.command("pg_controldata"), plan.from.clone());
    let control = body.servant.run(move || control_file(command, &from)).await??;
    if !control.is_shut_down() {
        return Err(unclean(&plan.from, &control));
    }
    take(&body, &plan, &control).await?;
    Ok(Adopted { term: control.timeline, primary: plan.primary, notes: plan.left_out })
}

/// What is in the way: data of nines' own.
fn is_for_nines(place: &Place, existing: &Path) -> Result<(), Refusal> {
    // A copy of one of nines' (a backup) has an id in it, too, and no state file beside it.
    let owner = existing.parent().map(|parent| Place::new(parent).state());
    let owner = owner.and_then(|path| State::load(&path).ok().flatten()).and_then(|state| state.id);
    if owner.is_some() && fs::read_to_string(Place::id(existing)).ok() == owner {
        return Err(Refusal::at(existing, "nines has it in hand already; nothing was changed"));
    }
    let state = State::load(&place.state())?.unwrap_or_default();
    let filled = |path: &Path| place::is_filled(path).map_err(|error| Refusal::at(path, error));
    let in_its_place = place.pgdata.canonicalize().is_ok_and(|pgdata| pgdata == existing);
    if (!in_its_place && filled(&place.pgdata)?) || state.id.is_some() || state.pledged > 0 {
        let why = "there is a database of nines' already; nothing was changed. If it is of no use, rename the directory";
        return Err(Refusal::at(&place.root, why));
    }
    Ok(())
}

/// A copy of them on another host would need to be told where to put each of them; on the same host both would be in one place.
fn has_no_tablespaces(existing: &Path) -> Result<(), Refusal> {
    let path = existing.join("pg_tblspc");
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Refusal::at(&path, error))?,
    };
    let places: Vec<String> = entries
        .flatten()
        .map(|entry| fs::read_link(entry.path()).unwrap_or_else(|_| entry.path()).display().to_string())
        .collect();
    if places.is_empty() {
        return Ok(());
    }
    let why = format!(
        "it has tablespaces ({}), which nines can't copy to other hosts; nothing was changed. Move what is in them to pg_default, and drop them",
        places.join(", ")
    );
    Err(Refusal::at(existing, why))
}

fn unclean(existing: &Path, control: &ControlFile) -> Refusal {
    let why = format!("its data are \"{}\": start it as it was, and shut it down cleanly", control.state);
    Refusal::at(existing, why)
}

struct NoDoor;

impl Doorkeeper for NoDoor {
    fn close_replication(&self) {}

    fn engine(&self, _: &Listens) {}
}

async fn take(body: &Body, plan: &Plan, control: &ControlFile) -> Result<(), Refusal> {
    let (term, existing, primary) = (control.timeline, &plan.from, plan.primary);
    let wal = existing.join("pg_wal");
    let branches = if term == 1 {
        history::first()
    } else {
        let found = body.servant.files("the history", move || history::read(&wal, term)).await?;
        found
            .ok_or_else(|| Refusal::at(existing, format!("the history of its timeline {term} is missing")))?
    };
    let id = new_id().map_err(fail)?;
    let (text, user, from) = (plan.kept.clone(), body.user.clone(), existing.to_owned());
    body.files(move |place| {
        place::put(&place.adopted(), &text, Some(&user), true)?;
        if place.pgdata.canonicalize().ok().as_ref() != Some(&from) {
            fs::rename(&from, &place.pgdata)?;
        }
        history::sync(&place.root)
    })
    .await?;
    // From here on only nines can start it; if this process ends now, it says what it finds.
    let (path, own) = (Place::id(&body.place.pgdata), id.clone());
    body.servant.files("the data's id", move || place::put(&path, &own, None, true)).await?;
    body.change(|state| {
        state.id = Some(id);
        (state.pledged, state.origin) = (term, if primary { Origin::Adopted } else { Origin::Ruled });
        state.serves = primary.then_some(term);
        state.history = branches;
    })
    .await?;
    Ok(())
}

/// A rename, and nothing else: data are not copied.
fn can_be_moved(place: &Place, existing: &Path) -> Result<(), Refusal> {
    // Binds of one file system are mounts of their own, too.
    let mount = |path: &Path| {
        let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID);
        found
            .map(|it| (it.stx_dev_major, it.stx_dev_minor, it.stx_mnt_id))
            .map_err(|error| Refusal::at(path, error))
    };
    let parent = existing.parent().unwrap_or(existing);
    if place.pgdata.canonicalize().is_ok_and(|pgdata| pgdata == existing) {
        return Ok(());
    }
    let target = place.root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if mount(existing)? == mount(target)? && mount(parent)? == mount(existing)? {
        return Ok(());
    }
    let why = format!(
        "it can't be renamed to {}, which is on another file system: set `data` to a directory beside it",
        place.pgdata.display()
    );
    Err(Refusal::at(existing, why))
}

async fn stop(existing: &Path) -> Result<(), Refusal> {
    let Some(server) = Process::server_of(existing) else { return Ok(()) };
    server.signal(Signal::INT);
    if server.ends_within(STOPS_WITHIN).await {
        return Ok(());
    }
    Err(Refusal::at(existing, "its PostgreSQL does not shut down; nothing was changed"))
}

fn control_file(mut command: Command, existing: &Path) -> Result<ControlFile, Failure> {
    command.arg("-D").arg(existing);
    let said = command.output().map_err(|error| fail(format!("pg_controldata: {error}")))?;
    let text = String::from_utf8_lossy(&said.stdout);
    ControlFile::parse(&text)
        .ok_or_else(|| fail(format!("pg_controldata: {}", String::from_utf8_lossy(&said.stderr).trim())))
}

/// Where its settings are: in its directory; else where Debian has them.
fn find_settings(programs: &Programs, existing: &Path) -> Result<PathBuf, Refusal> {
    let own = existing.join("postgresql.conf");
    if own.exists() {
        return Ok(own);
    }
    let debian = Path::new("/etc/postgresql").join(programs.version.to_string());
    let clusters = fs::read_dir(&debian).into_iter().flatten().flatten();
    let files = clusters.map(|cluster| cluster.path().join("postgresql.conf"));
    let is_of_it = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| {
            let line = line.trim_start();
            line.starts_with("data_directory") && line.contains(&format!("'{}'", existing.display()))
        })
    };
    let mut found = files.into_iter().filter(is_of_it);
    found
        .next()
        .ok_or_else(|| Refusal::at(existing, "where is its postgresql.conf? Put a copy of it in there"))
}

fn keep_settings(file: &Path, existing: &Path, notes: &mut Vec<String>) -> Result<String, Refusal> {
    let mut text = String::new();
    read_settings(file, &mut text, 0).map_err(|error| Refusal::at(file, error))?;
    text.push_str(&fs::read_to_string(existing.join("postgresql.auto.conf")).unwrap_or_default());
    let kept = config::without_own(&text);
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()) {
        if !kept.lines().any(|known| known == line) {
            notes.push(format!("left out: {}", line.trim()));
        }
    }
    Ok(format!(
        "# What this server had been set to before nines took it over. nines.conf, below which it is, wins.\n{kept}"
    ))
}

/// With what it includes, in its place.
fn read_settings(file: &Path, text: &mut String, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("it includes itself"));
    }
    let directory = file.parent().unwrap_or(Path::new("/"));
    for line in fs::read_to_string(file)?.lines() {
        let mut words = line.trim().splitn(2, |c: char| c.is_whitespace() || c == '=');
        let (word, rest) = (words.next().unwrap_or("").to_ascii_lowercase(), words.next().unwrap_or(""));
        let value = rest
            .split('#')
            .next()
            .unwrap_or("")
            .trim_matches(|c: char| c.is_whitespace() || c == '=' || c == '\'');
        let path = directory.join(value);
        match word.as_str() {
            "include" => read_settings(&path, text, depth + 1)?,
            "include_if_exists" if path.exists() => read_settings(&path, text, depth + 1)?,
            "include_dir" => {
                let mut files: Vec<PathBuf> =
                    fs::read_dir(&path)?.flatten().map(|entry| entry.path()).collect();
                files.retain(|file| file.extension().is_some_and(|ending| ending == "conf"));
                files.sort();
                for file in files {
                    read_settings(&file, text, depth + 1)?;
                }
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_with_what_they_include_and_without_what_is_nines_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("conf.d")).unwrap();
        fs::write(path("conf.d/a.conf"), "work_mem = 8MB\n").unwrap();
        fs::write(path("conf.d/ignored"), "work_mem = 9MB\n").unwrap();
        fs::write(
            path("postgresql.conf"),
            "port = 5433\ninclude_dir = 'conf.d'  # more\nshared_buffers = 64MB\n",
        )
        .unwrap();
        fs::write(path("postgresql.auto.conf"), "synchronous_standby_names = '*'\n").unwrap();
        let mut notes = Vec::new();
        let kept = keep_settings(&path("postgresql.conf"), directory.path(), &mut notes).unwrap();
        let lines: Vec<&str> = kept.lines().skip(1).collect();
        assert_eq!(lines, ["work_mem = 8MB", "shared_buffers = 64MB"]);
        assert_eq!(notes, ["left out: port = 5433", "left out: synchronous_standby_names = '*'"]);
        fs::write(path("postgresql.conf"), "include 'postgresql.conf'\n").unwrap();
        assert!(keep_settings(&path("postgresql.conf"), directory.path(), &mut notes).is_err());
    }

    #[test]
    fn data_with_tablespaces_are_refused_with_where_they_are() {
        let directory = tempfile::tempdir().unwrap();
        assert!(has_no_tablespaces(directory.path()).is_ok());
        let links = directory.path().join("pg_tblspc");
        fs::create_dir(&links).unwrap();
        assert!(has_no_tablespaces(directory.path()).is_ok());
        std::os::unix::fs::symlink("/srv/fast", links.join("16384")).unwrap();
        let refusal = has_no_tablespaces(directory.path()).unwrap_err();
        assert!(refusal.0.contains("/srv/fast"), "{refusal}");
    }
}
