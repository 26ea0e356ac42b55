//! Taking over a database that somebody else has made, without a dump: its data directory is moved to where nines has its data (renamed, so
//! both must be on one file system), and its settings are kept below nines' own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nines_control::failover::{Failure, Origin, Term};
use rustix::process::Signal;
use tokio::sync::mpsc;

use super::body::Body;
use super::control_file::ControlFile;
use super::place::{self, Place};
use super::process::Process;
use super::state::new_id;
use super::{Doorkeeper, Listens, Refusal, Settings, config, fail, history, tidy};

/// A clean stop writes all that is not written yet.
const STOPS_WITHIN: Duration = Duration::from_secs(120);
/// Includes in includes in includes.
const DEEPEST: usize = 10;

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

/// Takes over the data directory of a PostgreSQL that runs, which is shut down for it, or is stopped; of a primary or of a standby. It is
/// started again by whoever takes it in hand next.
///
/// # Errors
/// It is not what it should be; then it was left as it is, and if it ran, it may have been stopped.
pub async fn adopt(settings: Settings, existing: &Path) -> Result<Adopted, Refusal> {
    let (tell, _) = mpsc::channel(1);
    let body = Body::new(settings, Arc::new(NoDoor), tell).await?;
    let existing = existing.canonicalize().map_err(|error| Refusal::at(existing, error))?;
    let in_the_way = body.files(|place| place::is_filled(&place.pgdata)).await?;
    if in_the_way || body.state().id.is_some() || body.state().pledged > 0 {
        return Err(Refusal::at(
            &body.place.root,
            "there is a database of nines' already; nothing was changed",
        ));
    }
    if Place::id(&existing).exists() {
        return Err(Refusal::at(&existing, "it is a data directory of nines' already"));
    }
    tidy::check_version(&body, &existing)?;
    tidy::check_owner(&body, &existing)?;
    let source = find_settings(&body, &existing)?;
    let mut notes = Vec::new();
    let kept = keep_settings(&source, &existing, &mut notes)?;
    can_be_moved(&body, &existing)?;
    stop(&existing).await?;
    let control = control_file(&body, &existing).await?;
    if !control.is_shut_down() {
        let why = format!("its data are \"{}\": start it as it was, and shut it down cleanly", control.state);
        return Err(Refusal::at(&existing, why));
    }
    let primary = !existing.join("standby.signal").exists();
    take(&body, &existing, &kept, &control, primary).await?;
    Ok(Adopted { term: control.timeline, primary, notes })
}

struct NoDoor;

impl Doorkeeper for NoDoor {
    fn close_replication(&self) {}

    fn engine(&self, _: &Listens) {}
}

async fn take(
    body: &Body,
    existing: &Path,
    kept: &str,
    control: &ControlFile,
    primary: bool,
) -> Result<(), Refusal> {
    let term = control.timeline;
    let wal = existing.join("pg_wal");
    let branches = if term == 1 {
        history::first()
    } else {
        let found = body.servant.files("the history", move || history::read(&wal, term)).await?;
        found
            .ok_or_else(|| Refusal::at(existing, format!("the history of its timeline {term} is missing")))?
    };
    let id = new_id().map_err(fail)?;
    let (text, user, from) = (kept.to_owned(), body.user.clone(), existing.to_owned());
    body.files(move |place| {
        place::put(&place.adopted(), &text, Some(&user), true)?;
        fs::rename(&from, &place.pgdata)?;
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
fn can_be_moved(body: &Body, existing: &Path) -> Result<(), Refusal> {
    use std::os::unix::fs::MetadataExt;
    let device =
        |path: &Path| fs::metadata(path).map(|found| found.dev()).map_err(|error| Refusal::at(path, error));
    let parent = existing.parent().unwrap_or(existing);
    if device(existing)? == device(&body.place.root)? && device(parent)? == device(existing)? {
        return Ok(());
    }
    let why = format!(
        "it can't be renamed to {}, which is on another file system: set `data` to a directory beside it",
        body.place.pgdata.display()
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

async fn control_file(body: &Body, existing: &Path) -> Result<ControlFile, Failure> {
    let mut command = body.programs.command("pg_controldata");
    command.arg("-D").arg(existing);
    let said = body.servant.files("pg_controldata", move || command.output()).await?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    ControlFile::parse(&text).ok_or_else(|| fail("pg_controldata says nothing of it"))
}

/// Where its settings are: in its directory; else where a server that runs was told; else where Debian has them.
fn find_settings(body: &Body, existing: &Path) -> Result<PathBuf, Refusal> {
    let own = existing.join("postgresql.conf");
    if own.exists() {
        return Ok(own);
    }
    let debian = Path::new("/etc/postgresql").join(body.programs.version.to_string());
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
}
