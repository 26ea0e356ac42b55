//! The directory of an embedded store. It holds the last few documents under their numbers, and the highest is the one that counts.
//!
//! A change is a new document under the next number, made whole and synced under another name, then linked: of those who are at it
//! at once, the kernel lets one have the number. So there is no lock that a killed or frozen process could hold, and at every moment
//! either the old document is the last or the new one is.
//!
//! A writer that slept since it read the last document could find its number free again, because old documents are removed. It sees
//! that afterwards: the last number is then [`KEPT`] or more ahead, which it can't be if the number was new.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;

use super::document::Document;

/// How many documents stay.
const KEPT: u64 = 64;
/// A document that is being made and older than this was left by a process that is gone. One that merely slept begins anew.
const LEFT: Duration = Duration::from_secs(60);
/// Nothing is read that is larger: as text, values can take six times what they are.
const LARGEST: u64 = 8 * 1024 * 1024;
/// How often a document may be removed between finding and reading it.
const TRIES: usize = 100;
/// Documents in the making: `making-` and a name of its own.
const MAKING: &str = "making-";

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

/// What came of making a document the next one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It is the next one, whatever happens now.
    Yes,
    /// Another one has its number; nothing has happened.
    Taken,
    /// This process slept so long that it can't be known.
    Unclear,
}

impl Folder {
    /// # Errors
    /// There is something else, or it can't be made.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let folder = Self { path: path.to_owned() };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| folder.settings(&error))?;
        for entry in fs::read_dir(path).map_err(|error| folder.settings(&error))? {
            let name = entry.map_err(|error| folder.settings(&error))?.file_name();
            let name = name.to_string_lossy();
            if number(&name).is_none() && !name.starts_with(MAKING) {
                return Err(folder.settings(&format!(
                    "it holds something else, {name}; give the store a directory of its own"
                )));
            }
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last document; an empty one if there is none yet.
    pub(super) fn last(&self) -> Result<Document, Error> {
        for _ in 0..TRIES {
            let Some(number) = self.newest().map_err(|error| self.unreachable(&error))? else {
                return Ok(Document::default());
            };
            match self.read(number) {
                Ok(document) => return Ok(document),
                Err(Unread::Gone) => {}
                Err(Unread::Io(error)) => return Err(self.unreachable(&error)),
                Err(Unread::Damaged(why)) => {
                    return Err(Error::Foreign { what: self.file(number).display().to_string(), why });
                }
            }
        }
        Err(self.unreachable(&"documents come and go faster than they can be read"))
    }

    /// The number of the last document.
    pub(super) fn newest(&self) -> io::Result<Option<u64>> {
        let mut newest = None;
        for entry in fs::read_dir(&self.path)? {
            newest = newest.max(number(&entry?.file_name().to_string_lossy()));
        }
        // A listing need not have what was made while it was read.
        while let Some(next) = newest.and_then(|last: u64| last.checked_add(1)) {
            if !self.file(next).try_exists()? {
                break;
            }
            newest = Some(next);
        }
        Ok(newest)
    }

    /// Everything that can be seen in the directory now will be there after a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Makes `document` the next one, if nobody is faster and the deadline has not come.
    ///
    /// # Errors
    /// It is not the next one, and won't be.
    pub(super) fn add(&self, document: &Document, name: &str, deadline: Instant) -> Result<Made, Error> {
        let making = self.path.join(format!("{MAKING}{name}"));
        let bytes = document.to_bytes().map_err(|error| self.unreachable(&error))?;
        let result = self.write(&making, &bytes).and_then(|()| {
            if Instant::now() >= deadline {
                return Err(io::Error::new(ErrorKind::TimedOut, "writing took too long"));
            }
            match fs::hard_link(&making, self.file(document.number)) {
                Ok(()) => Ok(Made::Yes),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Made::Taken),
                // Swept up while this process slept.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Made::Taken),
                Err(error) => Err(error),
            }
        });
        let _ = fs::remove_file(&making);
        let made = result.map_err(|error| self.unreachable(&error))?;
        if made == Made::Taken {
            return Ok(made);
        }
        let overtaken = |newest: Option<u64>| newest.is_none_or(|newest| newest >= document.number + KEPT);
        match self.newest() {
            Ok(newest) if !overtaken(newest) => {}
            _ => return Ok(Made::Unclear),
        }
        if self.sync().is_err() {
            return Ok(Made::Unclear);
        }
        self.sweep(document.number);
        Ok(Made::Yes)
    }

    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(file)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Removes what is no longer needed. What can't be removed now is removed another time.
    fn sweep(&self, newest: u64) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let old = number(&name).is_some_and(|number| number.saturating_add(KEPT) <= newest);
            let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
            if old || name.starts_with(MAKING) && age().is_some_and(|age| age > LEFT) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn read(&self, number: u64) -> Result<Document, Unread> {
        let file = match File::open(self.file(number)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(Unread::Gone),
            Err(error) => return Err(Unread::Io(error)),
        };
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes).map_err(Unread::Io)?;
        let document = Document::parse(&bytes).map_err(Unread::Damaged)?;
        if document.number == number {
            Ok(document)
        } else {
            Err(Unread::Damaged(format!("it is the document {}", document.number)))
        }
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:020}"))
    }

    fn settings(&self, why: &dyn std::fmt::Display) -> Error {
        Error::Settings { why: format!("{}: {why}", self.path.display()) }
    }

    pub(super) fn unreachable(&self, why: &dyn std::fmt::Display) -> Error {
        Error::Unreachable { why: format!("{}: {why}", self.path.display()) }
    }
}

enum Unread {
    Gone,
    Io(io::Error),
    Damaged(String),
}

/// The number of a document by its file's name: 20 digits, so that a listing is in order.
fn number(name: &str) -> Option<u64> {
    let digits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(number: u64) -> Document {
        Document { store: "s".into(), number, ..Document::default() }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn a_number_is_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.last(), Ok(Document::default()));
        assert_eq!(folder.add(&document(1), "a", soon()), Ok(Made::Yes));
        assert_eq!(folder.add(&document(1), "b", soon()), Ok(Made::Taken));
        assert_eq!(folder.last(), Ok(document(1)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_writer_that_slept_while_its_number_was_used_and_removed_knows_that_it_did() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        for number in 1..=KEPT + 5 {
            assert_eq!(folder.add(&document(number), "a", soon()), Ok(Made::Yes));
        }
        // It has read document 2 before all that.
        assert_eq!(folder.add(&document(3), "b", soon()), Ok(Made::Unclear));
        assert_eq!(folder.last(), Ok(document(KEPT + 5)));
        // One that slept a little less finds its number taken.
        assert_eq!(folder.add(&document(6), "b", soon()), Ok(Made::Taken));
    }

    #[test]
    fn old_documents_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        for number in 1..=3 * KEPT {
            folder.add(&document(number), "a", soon()).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count() as u64, KEPT);
    }

    #[test]
    fn nothing_is_written_after_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(matches!(folder.add(&document(1), "a", Instant::now()), Err(Error::Unreachable { .. })));
        assert_eq!(folder.last(), Ok(Document::default()));
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("PG_VERSION"), "15").unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(Error::Settings { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_document_is_refused_and_nothing_is_put_over_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        folder.add(&document(1), "a", soon()).unwrap();
        fs::write(folder.file(2), "{}").unwrap();
        assert!(matches!(folder.last(), Err(Error::Foreign { .. })));
    }
}
