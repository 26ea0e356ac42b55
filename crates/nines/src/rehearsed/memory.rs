//! What was rehearsed last, for each system a file under `$XDG_STATE_HOME/nines`, or `~/.local/state/nines`.
//!
//! It is the user's: what root rehearses is remembered for root. `/var/lib/nines` is the daemon's and the databases', whom nothing
//! here concerns.
//!
//! Several rehearsals may end at the same time, each in a lab with process ids and a `/run` of its own. So the folder is opened before
//! the lab is entered, and whoever adds to a file holds a lock.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nines_rehearsal::Report;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Tried, Unusable, merge};
use crate::terminal::tell;

/// What can be read by whoever knows this number.
const FORMAT: u32 = 1;
/// Cases that are kept, the newest.
const MOST: usize = 5_000;
const LARGEST: u64 = 32 << 20;
/// Whoever holds the lock writes one file.
const PATIENCE: Duration = Duration::from_secs(10);
/// One for all systems.
const LOCK: &str = "rehearsals.lock";
/// Of a file's name, well below what file systems allow.
const LONGEST: usize = 200;

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    format: u32,
    system: String,
    cases: Vec<Tried>,
}

/// A newer format may have other fields: only its number is looked at then.
#[derive(Deserialize)]
struct Number {
    format: u32,
}

/// Where it is kept; `None` without a home. Relative paths don't count, as the XDG specification has it.
fn folder(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = state.and_then(absolute);
    let state = state.or_else(|| Some(home.and_then(absolute)?.join(".local/state")))?;
    Some(state.join("nines"))
}

fn own_folder() -> Option<PathBuf> {
    folder(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

/// A name can hold anything; a file's can't.
fn file_name(system: &str) -> String {
    let mut name = String::from("rehearsals-");
    for byte in system.bytes() {
        if name.len() > LONGEST {
            break;
        }
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    name + ".json"
}

/// Everything that is remembered of a system, and from where.
pub(crate) fn recall(system: &str) -> Result<(String, Vec<Tried>), Unusable> {
    let Some(path) = own_folder().map(|folder| folder.join(file_name(system))) else {
        return Err(Unusable::Nothing(system.to_owned(), "$HOME, which is not set".to_owned()));
    };
    recall_from(&path, system)
}

fn recall_from(path: &Path, system: &str) -> Result<(String, Vec<Tried>), Unusable> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unusable::Nothing(system.to_owned(), name.clone()),
        _ => Unusable::Read(name.clone(), error),
    })?;
    Ok((name.clone(), load(file, &name, system)?.cases))
}

/// When the newest of what is remembered was played, if there is anything.
pub(crate) fn newest(system: &str) -> Option<u64> {
    match recall(system) {
        Ok((_, tried)) => tried.iter().map(|tried| tried.at).max(),
        Err(Unusable::Nothing(..)) => None,
        Err(unusable) => {
            tell(format_args!("nines: what was rehearsed last can't be used: {unusable}"));
            None
        }
    }
}

/// Where a rehearsal will be remembered.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: OwnedFd,
    /// As the user knows it.
    path: PathBuf,
}

impl Keeper {
    /// For the user; before the lab is entered, for some of what is here now can't be seen from there. `None` without a home.
    ///
    /// # Errors
    /// If there is no such folder and it can't be made.
    pub(crate) fn open() -> Result<Option<Self>, Unusable> {
        own_folder().map(|folder| Self::at(&folder)).transpose()
    }

    fn at(path: &Path) -> Result<Self, Unusable> {
        let cannot = |error| Unusable::Write(path.display().to_string(), error);
        fs::create_dir_all(path).map_err(cannot)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| cannot(error.into()))?;
        Ok(Self { folder, path: path.to_owned() })
    }

    /// Adds a rehearsal to what is remembered; returns what became of what was there, if that had to be put aside.
    ///
    /// # Errors
    /// If it can't be written, or what is there is a newer program's or another system's.
    pub(crate) fn keep(&self, report: &Report) -> Result<Option<String>, Unusable> {
        if report.results.is_empty() {
            return Ok(None);
        }
        let file = file_name(&report.system);
        let name = self.path.join(&file).display().to_string();
        let cannot = |error: io::Error| Unusable::Write(name.clone(), error);
        // Until it is dropped.
        let _lock = self.lock().map_err(cannot)?;
        let (mut cases, spoilt) = match self.file(&file, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
            Err(error) => return Err(Unusable::Read(name, error)),
            Ok(there) => match load(there, &name, &report.system) {
                Ok(memory) => (memory.cases, None),
                Err(Unusable::Spoilt(_, why)) => (Vec::new(), Some(why)),
                Err(unusable) => return Err(unusable),
            },
        };
        let told = spoilt.map(|why| self.put_aside(&file, &why)).transpose().map_err(cannot)?;
        for case in &report.results {
            merge(&mut cases, Tried::of(report, case));
        }
        cases.sort_by_key(|case| std::cmp::Reverse(case.at));
        cases.truncate(MOST);
        let memory = Memory { format: FORMAT, system: report.system.clone(), cases };
        self.store(&file, memory).map_err(cannot)?;
        Ok(told)
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        Ok(rustix::fs::openat(&self.folder, name, flags, mode)?.into())
    }

    /// With a limit, for whoever holds it may have been stopped.
    fn lock(&self) -> io::Result<File> {
        let lock = self.file(LOCK, OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW)?;
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(Errno::WOULDBLOCK | Errno::INTR) if begun.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(Errno::WOULDBLOCK) => {
                    let held =
                        format!("another program has held the lock {LOCK} for {} s", PATIENCE.as_secs());
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, held));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// It may be worth somebody's while to mend it.
    fn put_aside(&self, name: &str, why: &str) -> io::Result<String> {
        let aside = format!("{name}.spoilt-{}", nanoseconds());
        rustix::fs::renameat(&self.folder, name, &self.folder, aside.as_str())?;
        let (was, is) = (self.path.join(name), self.path.join(aside));
        Ok(format!(
            "{} was spoilt ({why}) and is begun anew; what it was is in {}",
            was.display(),
            is.display()
        ))
    }

    /// Whole or not at all, and on the disk when this returns.
    fn store(&self, name: &str, mut memory: Memory) -> io::Result<()> {
        let mut text = serde_json::to_vec(&memory)?;
        while text.len() as u64 > LARGEST && !memory.cases.is_empty() {
            memory.cases.truncate(memory.cases.len() / 2);
            text = serde_json::to_vec(&memory)?;
        }
        // Never a name that somebody else may have: in labs process ids are the same.
        let new = format!(".{name}.{}", nanoseconds());
        let mut file = self.file(&new, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        let written = file.write_all(&text).and_then(|()| file.sync_all());
        let renamed = || rustix::fs::renameat(&self.folder, new.as_str(), &self.folder, name);
        let done = written.and_then(|()| Ok(renamed()?));
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&self.folder, new.as_str(), AtFlags::empty());
        }
        done?;
        Ok(rustix::fs::fsync(&self.folder)?)
    }
}

fn nanoseconds() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos()
}

fn load(file: File, name: &str, system: &str) -> Result<Memory, Unusable> {
    let mut text = Vec::new();
    let read = file.take(LARGEST + 1).read_to_end(&mut text);
    read.map_err(|error| Unusable::Read(name.to_owned(), error))?;
    let spoilt = |why: String| Unusable::Spoilt(name.to_owned(), why);
    if text.len() as u64 > LARGEST {
        return Err(spoilt(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    let Number { format } = serde_json::from_slice(&text).map_err(|error| spoilt(error.to_string()))?;
    if format > FORMAT {
        return Err(Unusable::New(name.to_owned(), format.into()));
    }
    let memory: Memory = serde_json::from_slice(&text).map_err(|error| spoilt(error.to_string()))?;
    if memory.system != system {
        return Err(Unusable::OtherSystem(name.to_owned(), memory.system, system.to_owned()));
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{case, report};
    use super::*;
    use nines_rehearsal::Fault;

    #[test]
    fn it_is_where_the_xdg_specification_has_it() {
        let of =
            |state: Option<&str>, home: Option<&str>| folder(state.map(Into::into), home.map(Into::into));
        assert_eq!(of(Some("/s"), Some("/home/a")), Some("/s/nines".into()));
        assert_eq!(of(None, Some("/home/a")), Some("/home/a/.local/state/nines".into()));
        assert_eq!(of(Some("relative"), Some("/home/a")), Some("/home/a/.local/state/nines".into()));
        assert_eq!(of(None, None), None);
        assert_eq!(file_name("shop"), "rehearsals-shop.json");
        assert!(file_name(&"\u{1f980}".repeat(90)).len() < 250, "file systems take no longer ones");
        assert_eq!(file_name("../a b"), "rehearsals-%2e%2e%2fa%20b.json");
    }

    fn killed(at: u64, fingerprint: &str, gap_ms: f64) -> Report {
        report(at, fingerprint, vec![case("lb1", Fault::Kill, gap_ms)])
    }

    fn kept(folder: &Path) -> Vec<Tried> {
        recall_from(&folder.join("rehearsals-pair.json"), "pair").unwrap().1
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_of_each_case_stays_and_tries_with_one_file_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("nines");
        let keeper = Keeper::at(&folder).unwrap();
        let first =
            report(100, "f1", vec![case("lb1", Fault::Kill, 300.0), case("lb1", Fault::Freeze, 310.0)]);
        assert_eq!(keeper.keep(&first).unwrap(), None);
        keeper.keep(&killed(200, "f1", 350.0)).unwrap();
        let cases = kept(&folder);
        assert_eq!(cases.len(), 2);
        let of_kill = cases.iter().find(|case| case.fault == Fault::Kill).unwrap();
        assert_eq!((of_kill.at, of_kill.times, of_kill.longest_gap_ms), (200, 2, 350.0));
        // Another file: what was played before says nothing of this one.
        keeper.keep(&killed(300, "f2", 320.0)).unwrap();
        let cases = kept(&folder);
        let of_kill = cases.iter().find(|case| case.fault == Fault::Kill).unwrap();
        assert_eq!((of_kill.times, of_kill.longest_taken_over_ms), (1, Some(320.0)));
        assert_eq!(names(&folder), ["rehearsals-pair.json", "rehearsals.lock"], "no leftovers");
    }

    #[test]
    fn rehearsals_that_end_at_the_same_time_are_all_remembered() {
        let folder = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for at in 0..8 {
                let keeper = Keeper::at(folder.path()).unwrap();
                scope.spawn(move || keeper.keep(&killed(at, "f1", 300.0)).unwrap());
            }
        });
        assert_eq!(kept(folder.path())[0].times, 8);
        assert_eq!(names(folder.path()), ["rehearsals-pair.json", "rehearsals.lock"]);
    }

    #[test]
    fn what_was_opened_is_written_to_whatever_is_at_its_path_by_then() {
        let folder = tempfile::tempdir().unwrap();
        let (state, moved) = (folder.path().join("state"), folder.path().join("moved"));
        let keeper = Keeper::at(&state).unwrap();
        fs::rename(&state, &moved).unwrap();
        keeper.keep(&killed(100, "f1", 300.0)).unwrap();
        assert_eq!(kept(&moved).len(), 1);
        assert!(!state.exists());
    }

    #[test]
    fn what_was_spoilt_is_put_aside_and_what_is_newer_or_of_another_system_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rehearsals-pair.json");
        let keeper = Keeper::at(folder.path()).unwrap();
        let spoilt = "{\"format\": 1, \"sys";
        fs::write(&path, spoilt).unwrap();
        let refused = recall_from(&path, "pair").unwrap_err().to_string();
        assert!(refused.contains("rehearsals-pair.json is spoilt: EOF"), "{refused}");
        assert!(refused.contains("line 1 column 18; delete it, or rehearse again"), "{refused}");
        let told = keeper.keep(&killed(100, "f1", 300.0)).unwrap().unwrap();
        assert!(told.contains("is begun anew"), "{told}");
        assert_eq!(kept(folder.path()).len(), 1);
        let aside = names(folder.path()).into_iter().find(|name| name.contains(".spoilt-")).unwrap();
        assert!(told.contains(&aside), "{told}");
        assert_eq!(fs::read_to_string(folder.path().join(aside)).unwrap(), spoilt);

        fs::write(&path, "{\"format\": 9, \"else\": true}").unwrap();
        let refused = keeper.keep(&killed(100, "f1", 300.0)).unwrap_err();
        assert!(matches!(refused, Unusable::New(_, 9)), "{refused}");
        assert!(fs::read_to_string(&path).unwrap().contains("else"));
        fs::write(&path, "{\"format\": 1, \"system\": \"shop\", \"cases\": []}").unwrap();
        let refused = keeper.keep(&killed(100, "f1", 300.0)).unwrap_err();
        assert!(matches!(refused, Unusable::OtherSystem(..)), "{refused}");
    }

    #[test]
    fn where_nothing_can_be_written_that_is_what_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("nines"), "a file").unwrap();
        let refused = Keeper::at(&folder.path().join("nines")).unwrap_err().to_string();
        assert!(refused.starts_with("can't write "), "{refused}");
    }
}
