//! The directory: which files there are, which one grows, and what has to go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nines_availability::measurement::{
    DAY, History, Limits, MINUTE, Measured, Minute, Noted, Second, Subject,
};
use rustix::fs::FlockOperation;

use crate::calendar;
use crate::piece::{self, End, Writer};

/// A log that has grown to this is made into a day before the day is over.
const LOG_BYTES: u64 = 16 << 20;
/// Whatever is larger is none of ours.
const FILE_BYTES: u64 = 256 << 20;
/// Damaged files that are kept for whoever wants to look; the oldest go first.
const ASIDE: usize = 3;
/// Days that a clock set back made days to come, and that are kept for whoever wants them.
const LATER: usize = 400;
/// Between two times that the disk is waited for. A crash of the program loses nothing of it, one of the machine this much.
const SYNC: Duration = Duration::from_secs(60);
/// Whoever measures has written within this.
const SILENT: u64 = 60;
const ABOUT: &str = "about.json";
/// Days since 1970 that a date has a name for here.
const LAST_DAY: u64 = 30_000_000;

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    #[error("another process keeps its measurements in {}", .0.display())]
    Taken(PathBuf),
    #[error("{} holds no measurements", .0.display())]
    Nothing(PathBuf),
}

/// What is to be kept: minutes as they are now, and what happened. A minute may come again; the latest counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    pub minutes: Vec<(Subject, u64, Minute)>,
    pub events: Vec<Noted>,
}

/// A directory that this process alone writes in.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    limits: Limits,
    /// Held as long as this is there.
    lock: File,
    log: Option<Log>,
    /// Days of which something was lost while this was there, and what is to be told of it.
    lost: BTreeSet<u64>,
    told: Vec<String>,
    synced: Instant,
}

/// The file that grows.
#[derive(Debug)]
struct Log {
    day: u64,
    file: File,
    /// What of it is known to be whole.
    good: u64,
    writer: Writer,
}

/// What there was.
#[derive(Debug)]
pub struct Opened {
    pub ledger: Ledger,
    pub history: History,
    /// What was not as it should be, each in a sentence.
    pub told: Vec<String>,
}

impl Ledger {
    /// Makes the directory if there is none. `vantage`: who measures.
    ///
    /// # Errors
    /// It can't be read or written, or another process has it. What is damaged in it is no error.
    pub fn open(directory: &Path, vantage: &str, limits: Limits) -> Result<Opened, LedgerError> {
        let failed = |error| LedgerError::Io(directory.to_owned(), error);
        let mut ledger = Self {
            directory: directory.to_owned(),
            limits,
            lock: locked(directory)?,
            log: None,
            lost: BTreeSet::new(),
            told: Vec::new(),
            synced: Instant::now(),
        };
        let (mut history, mut told) = (History::new(vantage, limits), Vec::new());
        for (day, files) in files(directory).map_err(failed)? {
            let of_day = ledger.load(day, &files, &mut told);
            add(&of_day, &mut history);
        }
        ledger.let_go().map_err(failed)?;
        ledger.lost.clear();
        Ok(Opened { ledger, history, told })
    }

    /// What the files of a day say. A log becomes a condensed file, the latest too: so a log is never continued that somebody else has begun.
    /// What is damaged is set aside, and what can be read of it written anew.
    fn load(&self, day: u64, files: &[PathBuf], told: &mut Vec<String>) -> History {
        let mut all = History::new("", self.limits);
        let mut damaged = Vec::new();
        let is_log = |file: &&PathBuf| file.extension().is_some_and(|kind| kind == "log");
        for file in files {
            let end = contents(file).map_or(End::Damaged(0), |bytes| piece::read(&bytes, day, &mut all));
            let so_far = match end {
                End::Damaged(so_far) => so_far,
                // One that was moved into its place was whole then.
                End::Torn(0) if !is_log(&file) => 0,
                End::Torn(_) | End::Whole => continue,
            };
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let rest = if so_far > 0 {
                "what else can be read of it is kept"
            } else {
                "nothing of it could be read"
            };
            told.push(format!(
                "{name} is damaged from byte {so_far} on: set aside as {name}.damaged, {rest}"
            ));
            damaged.push((file, self.directory.join(format!("{name}.damaged"))));
        }
        if damaged.is_empty() && !files.iter().any(|file| is_log(&file)) {
            return all;
        }
        let written = damaged
            .iter()
            .try_for_each(|(file, aside)| {
                let _ = fs::remove_file(aside);
                fs::hard_link(file, aside)
            })
            .and_then(|()| self.write_day(day, &all, &self.day_of(day)))
            .and_then(|()| files.iter().filter(is_log).try_for_each(fs::remove_file));
        if let Err(error) = written {
            told.push(format!("{} can't be written anew: {error}", calendar::name(day)));
        }
        all
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Says what is measured here, for those who read the directory without asking the daemon. Its history is left out.
    ///
    /// # Errors
    /// The disk's.
    pub fn describe(&self, about: &Measured) -> io::Result<()> {
        let about = Measured {
            history: History::new(about.history.vantage.clone(), Limits::default()),
            ..about.clone()
        };
        self.replace(&self.directory.join(ABOUT), &serde_json::to_vec_pretty(&about)?)
    }

    /// All of it, or nothing.
    ///
    /// # Errors
    /// The disk's. What was to be kept isn't, and may be brought again.
    pub fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let mut days: BTreeMap<u64, Batch> = BTreeMap::new();
        for one in &batch.minutes {
            days.entry(one.1 * MINUTE / DAY).or_default().minutes.push(one.clone());
        }
        for event in &batch.events {
            days.entry(event.at_ms / 1000 / DAY).or_default().events.push(event.clone());
        }
        self.look()?;
        for (day, batch) in days.range(..LAST_DAY) {
            self.add(*day, batch)?;
        }
        if self.synced.elapsed() >= SYNC {
            self.synced = Instant::now();
            if let Some(log) = &self.log {
                log.file.sync_data()?;
            }
        }
        Ok(())
    }

    /// Whether all is where it was left. What somebody has removed or cut is begun anew.
    fn look(&mut self) -> io::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let about = log.file.metadata()?;
        if !about.is_file() || (about.nlink() > 0 && about.len() == log.good) {
            return Ok(());
        }
        let what = if about.nlink() == 0 { "was removed" } else { "is not as long as it was left" };
        let name = format!("{}.log", calendar::name(log.day));
        self.lost.insert(log.day);
        self.log = None;
        if self.lock.metadata()?.nlink() == 0 {
            self.lock = locked(&self.directory).map_err(io::Error::other)?;
        }
        self.told.push(format!("{name} {what} while it was written: it is written anew from memory"));
        Ok(())
    }

    /// What is to be told of files that were damaged or removed meanwhile. Whoever has it in memory brings it to [`Self::restore`].
    pub fn troubles(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Writes the days of which something was lost, or that are there no more, as they are in memory.
    ///
    /// # Errors
    /// The disk's.
    pub fn restore(&mut self, history: &History) -> io::Result<()> {
        let days: BTreeSet<u64> = history.subjects().flat_map(|(_, series)| series.day_numbers()).collect();
        let there = files(&self.directory)?;
        for day in days {
            if !self.lost.contains(&day) && there.contains_key(&day) {
                continue;
            }
            let mut of_day = History::new("", self.limits);
            for (subject, series) in history.subjects() {
                series.days().filter(|(number, _)| *number == day).for_each(|(_, of)| {
                    of_day.put_day(subject, day, &of);
                });
            }
            history.events().filter(|event| event.at_ms / 1000 / DAY == day).for_each(|event| {
                of_day.note(event.clone());
            });
            self.write_day(day, &of_day, &self.day_of(day))?;
            self.log = self.log.take().filter(|log| log.day != day);
            match fs::remove_file(self.log_of(day)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.lost.remove(&day),
            };
        }
        Ok(())
    }

    fn add(&mut self, day: u64, batch: &Batch) -> io::Result<()> {
        let full = self.log.as_ref().is_some_and(|log| log.good > LOG_BYTES);
        if full || self.log.as_ref().is_some_and(|log| log.day != day) {
            let over = self.log.take().map(|log| log.day);
            self.condense(over.unwrap_or(day))?;
            self.let_go()?;
        }
        if self.log.is_none() {
            self.log = Some(self.begin(day)?);
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        for (subject, number, minute) in &batch.minutes {
            log.writer.minute(subject, number % (DAY / MINUTE), *minute);
        }
        batch.events.iter().for_each(|event| log.writer.event(event));
        let bytes = log.writer.take();
        match log.file.write_all(&bytes) {
            Ok(()) => {
                log.good += bytes.len() as u64;
                log.writer.written();
                Ok(())
            }
            Err(error) => {
                log.writer.lost();
                // What is half there has to go, else everything after it could not be read. Should that fail, another file is begun.
                if log.file.set_len(log.good).is_err() {
                    self.log = None;
                }
                Err(error)
            }
        }
    }

    /// A log of this day. One that is there already is made into a day first.
    fn begin(&mut self, day: u64) -> io::Result<Log> {
        let path = self.log_of(day);
        if path.exists() {
            self.condense(day)?;
        }
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        if let Err(error) = file.write_all(piece::BEGIN) {
            drop(file);
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Log { day, file, good: piece::BEGIN.len() as u64, writer: Writer::default() })
    }

    /// What is known of a day becomes one small file. What is damaged is set aside and told, as when it is opened.
    fn condense(&mut self, day: u64) -> io::Result<()> {
        let log = self.log_of(day);
        if !log.exists() {
            return Ok(());
        }
        let all = [self.day_of(day), log.clone()].into_iter().filter(|file| file.exists());
        let mut told = Vec::new();
        self.load(day, &all.collect::<Vec<_>>(), &mut told);
        if log.exists() {
            return Err(io::Error::other(format!("{} can't be written anew", log.display())));
        }
        if !told.is_empty() {
            self.lost.insert(day);
            self.told.append(&mut told);
        }
        Ok(())
    }

    fn write_day(&self, day: u64, history: &History, path: &Path) -> io::Result<()> {
        let mut writer = Writer::default();
        for (subject, series) in history.subjects() {
            series.days().filter(|(number, _)| *number == day).for_each(|(_, of)| writer.day(subject, &of));
        }
        // One that was brought twice, since the first time was not known to have worked, is one.
        let mut events: Vec<&Noted> = history.events().collect();
        events.sort_by_key(|event| (event.at_ms, &event.kind, &event.subject));
        events.dedup();
        events.into_iter().for_each(|event| writer.event(event));
        self.replace(path, &[piece::BEGIN, &writer.take()].concat())
    }

    /// There is the old file or the new one, whatever happens.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = path.with_extension("new");
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
        if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        File::open(&self.directory)?.sync_data()
    }

    /// Removes what is too old or too much.
    fn let_go(&self) -> io::Result<()> {
        let mut all: Vec<(u64, PathBuf, u64)> = Vec::new();
        for (day, files) in files(&self.directory)? {
            for file in files {
                let bytes = fs::metadata(&file).map_or(0, |about| about.len());
                all.push((day, file, bytes));
            }
        }
        // By how many days were measured, never by what a clock says: it may be wrong by years.
        let mut days: Vec<u64> = all.iter().map(|(day, ..)| *day).collect();
        days.dedup();
        let most = usize::try_from(self.limits.days).unwrap_or(usize::MAX).saturating_add(1);
        let first = days.len().checked_sub(most).and_then(|place| days.get(place)).copied().unwrap_or(0);
        let latest = days.last().copied().unwrap_or(0);
        let measured = self.log.as_ref().map(|log| log.day);
        let mut bytes: u64 = all.iter().map(|(.., bytes)| bytes).sum();
        for (day, file, of) in all {
            let old = day < first;
            if day < latest && measured != Some(day) && (old || bytes > self.limits.bytes as u64) {
                fs::remove_file(file)?;
                bytes -= of;
            }
        }
        self.let_go_aside(&["damaged", "new"], ASIDE)?;
        self.let_go_aside(&["later"], LATER)
    }

    /// Of files that were set aside only so many stay, the latest.
    fn let_go_aside(&self, kinds: &[&str], most: usize) -> io::Result<()> {
        let mut aside: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(&self.directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|kind| kinds.iter().any(|one| kind == *one)))
            .map(|path| {
                (
                    fs::metadata(&path).and_then(|about| about.modified()).unwrap_or(std::time::UNIX_EPOCH),
                    path,
                )
            })
            .collect();
        aside.sort();
        let most = aside.len().saturating_sub(most);
        for (_, path) in aside.drain(..most) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Nothing counts any more that is called `to` or later: the clock was set back. It is set aside as `….later`.
    ///
    /// # Errors
    /// The disk's.
    pub fn forget_from(&mut self, to: Second) -> io::Result<()> {
        self.log = None;
        for (day, files) in files(&self.directory)? {
            if day < to / DAY || files.is_empty() {
                continue;
            }
            self.condense(day)?;
            let path = self.day_of(day);
            let aside = path.with_extension("day.later");
            if day > to / DAY {
                fs::rename(path, aside)?;
                continue;
            }
            let _ = fs::remove_file(&aside);
            fs::hard_link(&path, &aside)?;
            let mut read = History::new("", self.limits);
            let _ = piece::read(&contents(&path)?, day, &mut read);
            read.forget_from(to);
            self.write_day(day, &read, &path)?;
        }
        Ok(())
    }

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&self) -> io::Result<()> {
        self.log.as_ref().map_or(Ok(()), |log| log.file.sync_data())
    }

    fn log_of(&self, day: u64) -> PathBuf {
        self.directory.join(calendar::name(day)).with_extension("log")
    }

    fn day_of(&self, day: u64) -> PathBuf {
        self.directory.join(calendar::name(day)).with_extension("day")
    }
}

/// The directory, made if there is none, with every other process kept out.
fn locked(directory: &Path) -> Result<File, LedgerError> {
    let failed = |error| LedgerError::Io(directory.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o750).create(directory).map_err(failed)?;
    let path = directory.join("lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LedgerError::Taken(directory.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

/// Of which system, and seen by whom; `None`: nobody has said so yet.
pub fn owner(directory: &Path) -> Option<(String, String)> {
    let about: Measured = serde_json::from_slice(&contents(&directory.join(ABOUT)).ok()?).ok()?;
    Some((about.system, about.history.vantage))
}

/// What a directory holds, for whoever has no daemon to ask. Nothing in it is changed.
///
/// # Errors
/// It can't be read, or nobody measured there. `wall`: the second that it is; of the time since the last look nothing is known.
pub fn read(directory: &Path, wall: Second) -> Result<Measured, LedgerError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => LedgerError::Nothing(directory.to_owned()),
        _ => LedgerError::Io(directory.to_owned(), error),
    };
    let about = contents(&directory.join(ABOUT)).map_err(failed)?;
    let about: Measured =
        serde_json::from_slice(&about).map_err(|_| LedgerError::Nothing(directory.to_owned()))?;
    let limits = Limits::default();
    let mut history = History::new(about.history.vantage.clone(), limits);
    let mut problems = about.problems.clone();
    for (day, files) in files(directory).map_err(failed)? {
        for file in files {
            let mut read = History::new("", limits);
            // The daemon may be at it: a file that is gone is in the other one.
            let Ok(bytes) = contents(&file) else { continue };
            if let End::Damaged(so_far) = piece::read(&bytes, day, &mut read) {
                problems.push(format!("{} is damaged from byte {so_far} on", file.display()));
            }
            add(&read, &mut history);
        }
    }
    let last = history.presence().map_or(about.now, |(_, last)| last + 1);
    let now = last.max(wall);
    if now - last > SILENT {
        let (hour, minute, second) = (last / 3600 % 24, last / MINUTE % 60, last % 60);
        let date = calendar::name(last / DAY);
        problems.push(format!("nothing since {date} {hour:02}:{minute:02}:{second:02}: nobody measures now"));
    }
    Ok(Measured { now, problems, history, ..about })
}

/// The files of each day, the earliest first; of a day the condensed one before its log.
fn files(directory: &Path) -> io::Result<BTreeMap<u64, Vec<PathBuf>>> {
    let mut days: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let known = path.extension().is_some_and(|kind| kind == "day" || kind == "log");
        let day = path.file_stem().and_then(|stem| calendar::day(stem.to_str()?));
        if let Some(day) = day.filter(|day| known && *day < LAST_DAY) {
            days.entry(day).or_default().push(path);
        }
    }
    days.values_mut().for_each(|files| files.sort());
    Ok(days)
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let about = fs::metadata(path)?;
    if !about.is_file() || about.len() > FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file of measurements"));
    }
    fs::read(path)
}

fn add(read: &History, history: &mut History) {
    for (subject, series) in read.subjects() {
        series.days().for_each(|(number, day)| history.put_day(subject, number, &day));
    }
    read.events().for_each(|event| history.note(event.clone()));
}

#[cfg(test)]
mod tests;
