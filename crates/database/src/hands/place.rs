//! Where things are on the disk. The directory itself is nines' own; what is PostgreSQL's is in directories of its user.
//!
//! Nothing in there is ever deleted but what a copy that came to nothing has left, and what was set aside longer ago than
//! `keep`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::servant::User;

/// Longer ones don't fit into a socket's address.
const LONGEST_SOCKET: usize = 107;
/// What names of directories that were set aside begin with.
const ASIDE: &str = "set-aside-";

#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `database.data`.
    pub(super) root: PathBuf,
    /// PostgreSQL's data directory.
    pub(super) pgdata: PathBuf,
}

impl Place {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), pgdata: root.join("pgdata") }
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.pgdata.join("pg_wal")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.root.join("nines.json")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.root.join("nines.conf")
    }

    /// Settings that nobody goes by yet.
    pub(super) fn candidate(&self) -> PathBuf {
        self.root.join("nines.conf.candidate")
    }

    /// What a server that was adopted had been set to.
    pub(super) fn adopted(&self) -> PathBuf {
        self.root.join("adopted.conf")
    }

    pub(super) fn access(&self) -> PathBuf {
        self.root.join("pg_hba.conf")
    }

    pub(super) fn identities(&self) -> PathBuf {
        self.root.join("pg_ident.conf")
    }

    /// Of sockets, and of what standbys show the primary: of PostgreSQL's user alone.
    pub(super) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Gone as soon as this host may not stream any more.
    pub(super) fn passfile(&self) -> PathBuf {
        self.run().join("replication.pass")
    }

    pub(super) fn socket(&self, port: u16) -> PathBuf {
        self.run().join(format!(".s.PGSQL.{port}"))
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.logs().join("postgresql.log")
    }

    /// A directory in the making.
    pub(super) fn making(&self) -> PathBuf {
        self.root.join("copying")
    }

    /// Which state file these data belong to.
    pub(super) fn id(data: &Path) -> PathBuf {
        data.join("nines.id")
    }

    pub(super) fn standby_signal(&self) -> PathBuf {
        self.pgdata.join("standby.signal")
    }

    /// Makes what is not there yet.
    pub(super) fn prepare(&self, user: &User) -> io::Result<()> {
        if self.socket(5432).as_os_str().len() > LONGEST_SOCKET {
            return Err(io::Error::other(format!(
                "{} is too long a name for sockets in there: data = \"…\" with at most 80 characters",
                self.root.display()
            )));
        }
        DirBuilder::new().recursive(true).mode(0o755).create(&self.root)?;
        for path in [self.run(), self.logs()] {
            if !path.try_exists()? {
                DirBuilder::new().mode(0o700).create(&path)?;
            }
        }
        own(&self.run(), user)
    }

    /// A name that is free, for what is in the way.
    pub(super) fn aside(&self, now: SystemTime, why: &str) -> PathBuf {
        let name = format!("{ASIDE}{}-{why}", show_time(now));
        let mut path = self.root.join(&name);
        let mut number = 2;
        while path.symlink_metadata().is_ok() {
            path = self.root.join(format!("{name}-{number}"));
            number += 1;
        }
        path
    }

    /// What was set aside, and its size.
    pub(super) fn set_aside(&self) -> Vec<(PathBuf, u64)> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let aside = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(ASIDE));
        let mut found: Vec<_> = aside.map(|entry| (entry.path(), size(&entry.path(), 0))).collect();
        found.sort();
        found
    }

    /// Removes what was set aside longer ago than that, by the time in its name. What is not named so stays.
    pub(super) fn forget(&self, now: SystemTime, keep: Duration) -> io::Result<Vec<PathBuf>> {
        let mut gone = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(when) = name.to_str().and_then(time_aside) else { continue };
            let old = now.duration_since(when).is_ok_and(|age| age > keep);
            if old && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
                gone.push(entry.path());
            }
        }
        Ok(gone)
    }
}

/// Makes it that user's, if this process may.
pub(super) fn own(path: &Path, user: &User) -> io::Result<()> {
    if fs::metadata(path)?.uid() != user.uid {
        std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))?;
    }
    Ok(())
}

/// Puts a file there whole or not at all, for that user to read.
pub(super) fn put(path: &Path, text: &str, user: Option<&User>, durably: bool) -> io::Result<()> {
    use std::io::Write;
    let mut making = path.as_os_str().to_owned();
    making.push(".making");
    let making = PathBuf::from(making);
    let _ = fs::remove_file(&making);
    let mut file = fs::File::options().write(true).create_new(true).open(&making)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    if let Some(user) = user.filter(|user| user.uid != rustix::process::geteuid().as_raw()) {
        std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid))?;
    }
    if durably {
        file.sync_all()?;
    }
    fs::rename(&making, path)?;
    match path.parent().filter(|_| durably) {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Whether there is something in there.
pub(super) fn is_filled(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Of all files in there; no deeper than any data directory is.
pub(super) fn size(path: &Path, depth: usize) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() || depth > 8 {
        return metadata.blocks() * 512;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path(), depth + 1)).sum()
}

/// `20260412T093000Z`.
pub(super) fn show_time(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, in eras of 400: so the day that comes and goes is the last of a year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}{month:02}{date:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// When a directory of this name was set aside.
fn time_aside(name: &str) -> Option<SystemTime> {
    let text = name.strip_prefix(ASIDE)?.split_once('-')?.0;
    let digits = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (digits(0, 4)?, digits(4, 6)?, digits(6, 8)?);
    let clock = digits(9, 11)? * 3600 + digits(11, 13)? * 60 + digits(13, 15)?;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year / 400 * 146_097 + year % 400 * 365 + year % 400 / 4 - year % 400 / 100
        + (153 * month + 2) / 5
        + day.checked_sub(1)?;
    let time = UNIX_EPOCH + Duration::from_secs(days.checked_sub(719_468)? * 86_400 + clock);
    // Only what was written so.
    (show_time(time) == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_the_calendar_has_them() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_767_225_599, "20251231T235959Z"),
            (1_772_323_200, "20260301T000000Z"),
        ] {
            assert_eq!(show_time(at(seconds)), text);
            assert_eq!(time_aside(&format!("set-aside-{text}-diverged")), Some(at(seconds)));
        }
        assert_eq!(time_aside("set-aside-20251301T000000Z-x"), None);
        assert_eq!(time_aside("pgdata"), None);
    }

    #[test]
    fn only_what_was_set_aside_and_is_old_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let now = SystemTime::now();
        let day = Duration::from_secs(86_400);
        for path in [place.aside(now - 3 * day, "old"), place.aside(now - day, "young"), place.pgdata.clone()]
        {
            fs::create_dir(path).unwrap();
        }
        fs::create_dir(place.root.join("set-aside-by-hand")).unwrap();
        let gone = place.forget(now, 2 * day).unwrap();
        assert!(gone.len() == 1 && gone[0].to_string_lossy().ends_with("-old"), "{gone:?}");
        assert_eq!(fs::read_dir(&place.root).unwrap().count(), 3);
        let again = place.aside(now - day, "young");
        assert!(again.to_string_lossy().ends_with("-young-2"), "a name that is taken is not taken again");
    }
}
