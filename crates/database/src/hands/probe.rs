//! Whether the disk takes writes: a small file is written and flushed again and again, by a thread that nobody waits for.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nines_control::failover::Disk;

use super::lock;
use super::servant::{Servant, User};

/// Between two writes.
const EVERY: Duration = Duration::from_millis(500);
/// Good writes after which a disk that was not well is.
const GOOD: u32 = 4;
/// Less than two segments of the log are as good as none; to be well again it takes twice that.
const SPACE: u64 = 2 * 16 * 1024 * 1024;

/// What is written.
pub(super) const FILE: &str = "nines.probe";

#[derive(Debug)]
struct Last {
    /// Of a write that has not ended.
    begun: Option<Instant>,
    ended: Instant,
    disk: Disk,
    good: u32,
}

#[derive(Debug)]
pub(super) struct Probe {
    servant: Servant,
    last: Arc<Mutex<Last>>,
    stalls_after: Duration,
    fallback: PathBuf,
    pgdata: PathBuf,
}

impl Probe {
    /// In the data directory, or where that will be.
    pub(super) fn new(
        user: &User,
        pgdata: &Path,
        fallback: &Path,
        stalls_after: Duration,
    ) -> io::Result<Self> {
        let last = Last { begun: None, ended: Instant::now() - EVERY, disk: Disk::Well, good: GOOD };
        Ok(Self {
            servant: Servant::hire(user)?,
            last: Arc::new(Mutex::new(last)),
            stalls_after,
            fallback: fallback.to_owned(),
            pgdata: pgdata.to_owned(),
        })
    }

    /// How the disk is; begins the next write if it is time.
    pub(super) fn look(&self) -> Disk {
        let now = Instant::now();
        let mut last = lock(&self.last);
        match last.begun {
            Some(begun) if now - begun > self.stalls_after => last.note(Disk::Stalled),
            None if now - last.ended >= EVERY => {
                last.begun = Some(now);
                let (shared, limit) = (self.last.clone(), self.stalls_after);
                let (pgdata, fallback) = (self.pgdata.clone(), self.fallback.clone());
                self.servant.begin(move || {
                    let spots = if pgdata.is_dir() { spots(&pgdata) } else { vec![fallback] };
                    let disk = worst(spots.iter().map(|spot| try_it(&spot.join(FILE))));
                    let mut last = lock(&shared);
                    let late = last.begun.take().is_some_and(|begun| begun.elapsed() > limit);
                    last.ended = Instant::now();
                    last.note(if late { Disk::Stalled } else { disk });
                });
            }
            _ => {}
        }
        last.disk
    }
}

impl Last {
    /// Bad at once, good when it has been good for a while.
    fn note(&mut self, disk: Disk) {
        if disk == Disk::Well {
            self.good = self.good.saturating_add(1);
            if self.good < GOOD {
                return;
            }
        } else {
            self.good = 0;
        }
        self.disk = disk;
    }
}

/// One of each file system: whoever made the data may have put the log on another one.
fn spots(pgdata: &Path) -> Vec<PathBuf> {
    let wal = pgdata.join("pg_wal");
    let device = |path: &Path| fs::metadata(path).map(|it| it.dev()).ok();
    let mut spots = vec![pgdata.to_owned()];
    if device(&wal).is_some_and(|other| Some(other) != device(pgdata)) {
        spots.push(wal);
    }
    spots
}

fn worst(disks: impl Iterator<Item = Disk>) -> Disk {
    disks.fold(Disk::Well, |worst, disk| match (worst, disk) {
        (Disk::Stalled, _) | (_, Disk::Stalled) => Disk::Stalled,
        (Disk::Full, _) | (_, Disk::Full) => Disk::Full,
        (Disk::Well, Disk::Well) => Disk::Well,
    })
}

fn try_it(path: &Path) -> Disk {
    let write = || -> io::Result<u64> {
        let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
        file.write_all(&[b'.'; 512])?;
        file.sync_data()?;
        let space = rustix::fs::fstatvfs(&file)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    };
    match write() {
        Ok(free) if free >= SPACE => Disk::Well,
        Ok(_) => Disk::Full,
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Disk::Full
        }
        // Where the directory is not: it is about to be made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Disk::Well,
        // It can't be written to: like one that hangs.
        Err(_) => Disk::Stalled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_bad_at_once_and_well_only_after_a_while() {
        let mut last = Last { begun: None, ended: Instant::now(), disk: Disk::Well, good: GOOD };
        last.note(Disk::Full);
        assert_eq!(last.disk, Disk::Full);
        for _ in 1..GOOD {
            last.note(Disk::Well);
            assert_eq!(last.disk, Disk::Full);
        }
        last.note(Disk::Well);
        assert_eq!(last.disk, Disk::Well);
    }

    #[test]
    fn a_log_on_another_file_system_is_tried_too_and_the_worst_counts() {
        let here = tempfile::tempdir().unwrap();
        let pgdata = here.path().join("pgdata");
        fs::create_dir_all(pgdata.join("pg_wal")).unwrap();
        assert_eq!(spots(&pgdata), [pgdata.as_path()]);
        let device = |path: &Path| fs::metadata(path).unwrap().dev();
        if let Some(other) = ["/dev/shm", "/run", "/tmp"]
            .map(Path::new)
            .into_iter()
            .find(|path| path.is_dir() && device(path) != device(here.path()))
        {
            fs::remove_dir(pgdata.join("pg_wal")).unwrap();
            std::os::unix::fs::symlink(other, pgdata.join("pg_wal")).unwrap();
            assert_eq!(spots(&pgdata), [pgdata.clone(), pgdata.join("pg_wal")]);
        }
        for (disks, wanted) in [
            ([Disk::Well, Disk::Well], Disk::Well),
            ([Disk::Well, Disk::Full], Disk::Full),
            ([Disk::Stalled, Disk::Full], Disk::Stalled),
        ] {
            assert_eq!(worst(disks.into_iter()), wanted);
        }
    }
}
