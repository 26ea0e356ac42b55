//! What was rehearsed last, for each system a file under `$XDG_STATE_HOME/nines`, or `~/.local/state/nines`.
//!
//! It is the user's: what root rehearses is remembered for root. `/var/lib/nines` is the daemon's and the databases', whom nothing
//! here concerns.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nines_rehearsal::Report;
use serde::{Deserialize, Serialize};

use super::{Tried, Unusable, merge};

/// What can be read by whoever knows this number.
const FORMAT: u32 = 1;
/// Cases that are kept, the newest.
const MOST: usize = 5_000;
const LARGEST: u64 = 32 << 20;

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

fn file(system: &str) -> Option<PathBuf> {
    let folder = folder(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))?;
    Some(folder.join(file_name(system)))
}

/// A name can hold anything; a file's can't.
fn file_name(system: &str) -> String {
    let mut name = String::from("rehearsals-");
    for byte in system.bytes().take(100) {
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
    let Some(path) = file(system) else {
        return Err(Unusable::Nothing(system.to_owned(), "$HOME, which is not set".to_owned()));
    };
    let name = path.display().to_string();
    match load(&path) {
        Ok(memory) if memory.format > FORMAT => Err(Unusable::New(name, memory.format.into())),
        Ok(memory) if memory.system != system => {
            Err(Unusable::OtherSystem(name, memory.system, system.to_owned()))
        }
        Ok(memory) => Ok((name, memory.cases)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Unusable::Nothing(system.to_owned(), name))
        }
        Err(error) => Err(Unusable::Read(name, error)),
    }
}

/// When the newest of what is remembered was played, if there is anything; quietly.
pub(crate) fn newest(system: &str) -> Option<u64> {
    let (_, tried) = recall(system).ok()?;
    tried.iter().map(|tried| tried.at).max()
}

/// Adds a rehearsal to what is remembered.
///
/// # Errors
/// If it can't be written, or what is there is a newer program's.
pub(crate) fn keep(report: &Report) -> Result<(), Unusable> {
    // Without a home there is nowhere to.
    let Some(path) = file(&report.system).filter(|_| !report.results.is_empty()) else { return Ok(()) };
    keep_in(&path, report)
}

fn keep_in(path: &Path, report: &Report) -> Result<(), Unusable> {
    let name = || path.display().to_string();
    let mut memory = match load(path) {
        Ok(memory) if memory.format > FORMAT => return Err(Unusable::New(name(), memory.format.into())),
        Ok(memory) => memory,
        // What is not there, or was spoilt, is begun anew.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Memory { format: FORMAT, system: report.system.clone(), cases: Vec::new() }
        }
        Err(error) => return Err(Unusable::Read(name(), error)),
    };
    for case in &report.results {
        merge(&mut memory.cases, Tried::of(report, case));
    }
    memory.cases.sort_by_key(|case| std::cmp::Reverse(case.at));
    memory.cases.truncate(MOST);
    store(path, &memory).map_err(|error| Unusable::Read(name(), error))
}

fn load(path: &Path) -> io::Result<Memory> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(LARGEST).read_to_end(&mut text)?;
    let spoilt = |error: serde_json::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    let Number { format } = serde_json::from_slice(&text).map_err(spoilt)?;
    if format > FORMAT {
        return Ok(Memory { format, system: String::new(), cases: Vec::new() });
    }
    serde_json::from_slice(&text).map_err(spoilt)
}

/// Whole or not at all.
fn store(path: &Path, memory: &Memory) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let written = fs::File::create(&new).and_then(|mut file| {
        file.write_all(&serde_json::to_vec(memory)?)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&new, path));
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    done
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
        assert_eq!(file_name("../a b"), "rehearsals-%2e%2e%2fa%20b.json");
    }

    #[test]
    fn the_newest_of_each_case_stays_and_tries_with_one_file_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nines/rehearsals-pair.json");
        let kept = |path: &Path| load(path).unwrap().cases;
        let first =
            report(100, "f1", vec![case("lb1", Fault::Kill, 300.0), case("lb1", Fault::Freeze, 310.0)]);
        keep_in(&path, &first).unwrap();
        keep_in(&path, &report(200, "f1", vec![case("lb1", Fault::Kill, 350.0)])).unwrap();
        let cases = kept(&path);
        assert_eq!(cases.len(), 2);
        let killed = cases.iter().find(|case| case.fault == Fault::Kill).unwrap();
        assert_eq!((killed.at, killed.times, killed.longest_gap_ms), (200, 2, 350.0));
        // Another file: what was played before says nothing of this one.
        keep_in(&path, &report(300, "f2", vec![case("lb1", Fault::Kill, 320.0)])).unwrap();
        let cases = kept(&path);
        let killed = cases.iter().find(|case| case.fault == Fault::Kill).unwrap();
        assert_eq!((killed.times, killed.longest_taken_over_ms), (1, Some(320.0)));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no leftovers");
    }

    #[test]
    fn what_was_spoilt_is_begun_anew_and_what_is_newer_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rehearsals-pair.json");
        fs::write(&path, "{\"format\": 1, \"sys").unwrap();
        keep_in(&path, &report(100, "f1", vec![case("lb1", Fault::Kill, 300.0)])).unwrap();
        assert_eq!(load(&path).unwrap().cases.len(), 1);
        fs::write(&path, "{\"format\": 9, \"else\": true}").unwrap();
        let refused = keep_in(&path, &report(100, "f1", Vec::new())).unwrap_err();
        assert!(matches!(refused, Unusable::New(_, 9)), "{refused}");
        assert!(fs::read_to_string(&path).unwrap().contains("else"));
    }
}
