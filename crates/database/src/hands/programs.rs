//! PostgreSQL's programs, and what differs from version to version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Refusal, Settings};

/// Where Debian puts each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Older ones take their standbys' settings from another file.
const OLDEST: u16 = 13;

#[derive(Debug, Clone)]
pub(super) struct Programs {
    directory: PathBuf,
    /// Major.
    pub(super) version: u16,
    /// `15.8`.
    pub(super) full: String,
}

impl Programs {
    pub(super) fn find(settings: &Settings) -> Result<Self, Refusal> {
        let directory = match (&settings.programs, settings.version) {
            (Some(directory), _) => directory.clone(),
            (None, Some(version)) => Path::new(DEBIAN).join(version.to_string()).join("bin"),
            (None, None) => newest(Path::new(DEBIAN)).ok_or_else(|| {
                let why = "no PostgreSQL is installed in there; programs = \"…\" says where it is";
                Refusal::at(Path::new(DEBIAN), why)
            })?,
        };
        let postgres = directory.join("postgres");
        let output = Command::new(&postgres).arg("--version").output();
        let output = output.map_err(|error| Refusal::at(&postgres, error))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (full, version) =
            parse(&text).ok_or_else(|| Refusal::at(&postgres, "it doesn't say which version it is"))?;
        if version < OLDEST {
            return Err(Refusal::at(&postgres, format!("version {full}: nines needs {OLDEST} or newer")));
        }
        if let Some(wanted) = settings.version.filter(|wanted| *wanted != version) {
            return Err(Refusal::at(&postgres, format!("version {full}, where the file wants {wanted}")));
        }
        Ok(Self { directory, version, full })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        command.env("LC_ALL", "C");
        command
    }
}

fn newest(debian: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(debian).ok()?.flatten().filter_map(|entry| {
        let version: u16 = entry.file_name().to_str()?.parse().ok()?;
        let bin = entry.path().join("bin");
        bin.join("postgres").exists().then_some((version, bin))
    });
    versions.max().map(|(_, bin)| bin)
}

/// Of `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`.
fn parse(text: &str) -> Option<(String, u16)> {
    let full = text.split("(PostgreSQL)").nth(1)?.split_whitespace().next()?;
    let digits: String = full.chars().take_while(char::is_ascii_digit).collect();
    Some((full.to_owned(), digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_it_says() {
        let debian = "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)\n";
        assert_eq!(parse(debian), Some(("15.8".to_owned(), 15)));
        assert_eq!(parse("postgres (PostgreSQL) 19devel\n"), Some(("19devel".to_owned(), 19)));
        assert_eq!(parse("bash 5"), None);
    }
}
