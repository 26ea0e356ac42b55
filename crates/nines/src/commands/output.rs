//! A page's way into its file: whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where a page will be written: known to be possible before the work that it takes, which may be an hour's.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    making: PathBuf,
}

impl Output {
    /// # Errors
    /// When nothing can be written there.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("can't write a report to {}", path.display());
        let name = path.file_name().with_context(cannot)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = parent.canonicalize().with_context(cannot)?;
        anyhow::ensure!(!path.is_dir(), "{}: it is a directory", cannot());
        let mut making = std::ffi::OsString::from(".");
        making.push(name);
        making.push(format!(".{}", std::process::id()));
        let output = Self { path: directory.join(name), making: directory.join(making) };
        File::create(&output.making).with_context(cannot)?;
        fs::remove_file(&output.making).with_context(cannot)?;
        Ok(output)
    }

    /// # Errors
    /// When it can't be written; an earlier one is still there then.
    pub(crate) fn write(&self, page: &str) -> anyhow::Result<()> {
        let written = File::create(&self.making).and_then(|mut file| {
            file.write_all(page.as_bytes())?;
            file.sync_all()?;
            fs::rename(&self.making, &self.path)
        });
        if written.is_err() {
            // What it was to become matters more than what is left of it.
            let _ = fs::remove_file(&self.making);
        }
        written.with_context(|| format!("can't write the report {}", self.path.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_an_earlier_one_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.html");
        let output = Output::at(&path).unwrap();
        assert!(!path.exists(), "nothing is there before there is something to read");
        for page in ["one", "two"] {
            output.write(page).unwrap();
            assert_eq!(fs::read_to_string(output.path()).unwrap(), page);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn where_nothing_can_be_written_that_is_said_before() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("no/out.html")] {
            let error = Output::at(&path).unwrap_err();
            assert!(format!("{error:#}").starts_with("can't write a report to"), "{error:#}");
        }
    }
}
