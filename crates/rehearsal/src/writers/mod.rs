//! Writers: clients that commit a row every few milliseconds, and remember each that was acknowledged.
//!
//! What they have to show is a promise that no average can: **a row whose commit was acknowledged is there afterwards**. So
//! each row has a number that no other has, none is ever written again, and what was not answered in time counts as an
//! error, never as acknowledged. After the healing all rows are read back ([`find`]) and compared.

mod find;
mod session;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::stage::Enter;
use crate::timeline::Timeline;
pub use find::{Found, Place, find};
pub use session::{Login, Refusal, Way};
pub(crate) use session::{Session, within};

/// Errors kept in full, of each record.
const FIRST_ERRORS: usize = 20;
/// Kinds of errors that are counted apart.
const KINDS: usize = 32;
/// Between two tries to connect: at first, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));
/// Between two tries to make the table.
const AGAIN: Duration = Duration::from_millis(50);

const MAKE: &str = "CREATE TABLE IF NOT EXISTS nines_rehearsal (writer bigint NOT NULL, n bigint NOT NULL)";
const WRITE: &str = "INSERT INTO nines_rehearsal (writer, n) VALUES ($1, $2)";

/// Who writes, where, and how often.
#[derive(Debug, Clone)]
pub struct WriteLoad {
    /// Writers are spread over them.
    pub ways: Vec<Way>,
    pub login: Login,
    /// Connections at one time, at least one for each way in.
    pub writers: usize,
    /// From one row of a writer to its next one.
    pub pace: Duration,
    /// For connecting, and for each statement.
    pub timeout: Duration,
    /// How long it may take until there is a table, and each writer has written its first row.
    pub patience: Duration,
}

/// A row that is there for good, by the database's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    pub writer: i64,
    pub n: i64,
    /// The way in that it went.
    pub way: usize,
    pub at: Instant,
}

/// One of the first errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedWrite {
    pub begun: Instant,
    pub took: Duration,
    pub refusal: Refusal,
}

/// What the writers saw from `started` on, and all rows of theirs. It grows by some hundred bytes a row at most, for as long as a case lasts.
#[derive(Debug, Clone)]
pub struct WriteRecord {
    pub started: Instant,
    pub stopped: Instant,
    /// The lowest number of a writer of this record; theirs are the next ones.
    pub first_writer: i64,
    pub acknowledged: Vec<Acknowledged>,
    pub errors: BTreeMap<String, u64>,
    pub first_errors: Vec<FailedWrite>,
    /// Rows and errors by when they were answered.
    pub timeline: Timeline<String>,
    /// The furthest that a writer began a row later than it could have: the machine's doing, not the database's.
    pub lateness: Duration,
}

impl WriteRecord {
    pub fn new(started: Instant, first_writer: i64) -> Self {
        Self {
            started,
            stopped: started,
            first_writer,
            acknowledged: Vec::new(),
            errors: BTreeMap::new(),
            first_errors: Vec::new(),
            timeline: Timeline::new(started),
            lateness: Duration::ZERO,
        }
    }

    pub fn errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The longest time without an acknowledged row on one of so many ways in, the time before the first and after the
    /// last one too.
    pub fn longest_gap(&self, ways: usize) -> Duration {
        self.gap(ways).1
    }

    /// The same, and when it began.
    pub fn gap(&self, ways: usize) -> (Instant, Duration) {
        let longest = |way| {
            let mut times: Vec<Instant> =
                self.acknowledged.iter().filter(|row| row.way == way).map(|row| row.at).collect();
            times.retain(|&at| at >= self.started);
            times.extend([self.started, self.stopped]);
            times.sort_unstable();
            times.windows(2).map(|pair| (pair[0], pair[1] - pair[0])).max_by_key(|gap| gap.1)
        };
        (0..ways).filter_map(longest).max_by_key(|gap| gap.1).unwrap_or((self.started, Duration::ZERO))
    }

    fn failed(&mut self, begun: Instant, refusal: Refusal) {
        let now = Instant::now();
        self.timeline.failed(now, &refusal.kind);
        if self.errors.len() < KINDS || self.errors.contains_key(&refusal.kind) {
            *self.errors.entry(refusal.kind.clone()).or_default() += 1;
        } else {
            *self.errors.entry("other".to_owned()).or_default() += 1;
        }
        if self.first_errors.len() < FIRST_ERRORS {
            self.first_errors.push(FailedWrite {
                begun,
                took: now.saturating_duration_since(begun),
                refusal,
            });
        }
    }

    fn merge(&mut self, other: Self) {
        self.timeline.merge(other.timeline);
        self.lateness = self.lateness.max(other.lateness);
        self.acknowledged.extend(other.acknowledged);
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.first_errors.extend(other.first_errors);
        self.first_errors.sort_by_key(|failed| failed.begun);
        self.first_errors.truncate(FIRST_ERRORS);
    }
}

/// Counts of a run that is going on.
#[derive(Debug, Default)]
pub struct LiveWrites {
    acknowledged: AtomicU64,
    errors: AtomicU64,
}

impl LiveWrites {
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}

/// Writers that run until they are stopped, or dropped.
#[derive(Debug)]
pub struct Writers {
    live: Arc<LiveWrites>,
    /// Dropped: the writers stop.
    stop: oneshot::Sender<()>,
    record: oneshot::Receiver<io::Result<WriteRecord>>,
}

impl Writers {
    /// Starts them on a thread of their own, and returns once each of them has written a row.
    ///
    /// # Errors
    /// When they can't get to their place, or can't write within the patience.
    pub async fn start(enter: Enter, load: WriteLoad) -> io::Result<Self> {
        let live = Arc::new(LiveWrites::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, record) = oneshot::channel();
        let (tell_ready, ready) = oneshot::channel();
        let counts = Arc::clone(&live);
        std::thread::Builder::new().name("writers".to_owned()).spawn(move || {
            // Nobody may be left to hear of it: the rehearsal was called off.
            let _ = tell.send(run(enter, load, tell_ready, stopped, &counts));
        })?;
        let writers = Self { live, stop, record };
        match ready.await {
            Ok(()) => Ok(writers),
            // It ended before: what it ended with is the reason.
            Err(_) => match writers.stop().await {
                Err(error) => Err(error),
                Ok(_) => Err(io::Error::other("the writers ended before they began")),
            },
        }
    }

    pub fn live(&self) -> &LiveWrites {
        &self.live
    }

    /// Lets each writer end its row, at most within the time-out, and says what they saw.
    ///
    /// # Errors
    /// When their thread died.
    pub async fn stop(self) -> io::Result<WriteRecord> {
        drop(self.stop);
        self.record.await.map_err(|_| io::Error::other("the writers' thread died"))?
    }
}

fn run(
    enter: Enter,
    load: WriteLoad,
    ready: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
    live: &Arc<LiveWrites>,
) -> io::Result<WriteRecord> {
    enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        make_table(&load).await.map_err(io::Error::other)?;
        write(load, ready, stopped, live).await
    })
}

async fn make_table(load: &WriteLoad) -> Result<(), String> {
    let way = *load.ways.first().ok_or("no way in leads to the database")?;
    let until = Instant::now() + load.patience;
    loop {
        let made = async {
            let session = Session::open(way, &load.login, load.timeout).await?;
            within(load.timeout, session.client.batch_execute(MAKE)).await
        };
        match made.await {
            Ok(()) => return Ok(()),
            Err(refusal) if Instant::now() >= until => {
                return Err(format!(
                    "writers can't make their table, as {:?} over {}: {refusal}",
                    load.login, way.address
                ));
            }
            Err(_) => sleep(AGAIN).await,
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not all writers have written yet; what fails is tried again and not counted.
    Beginning,
    Running,
    Over,
}

async fn write(
    load: WriteLoad,
    ready: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
    live: &Arc<LiveWrites>,
) -> io::Result<WriteRecord> {
    // Of all rehearsals that this database ever sees, no two writers have one number.
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
    let first_writer = i64::try_from(since).unwrap_or_default();
    let mut record = WriteRecord::new(Instant::now(), first_writer);
    let load = Arc::new(load);
    let count = load.writers.max(load.ways.len());
    let (tell, told) = watch::channel(Stage::Beginning);
    let (have_written, mut written) = tokio::sync::mpsc::channel(count);
    let mut writers = JoinSet::new();
    for index in 0..count {
        let writer = Writer {
            number: first_writer + i64::try_from(index).unwrap_or_default(),
            way: index % load.ways.len().max(1),
            load: Arc::clone(&load),
            live: Arc::clone(live),
            record: WriteRecord::new(record.started, first_writer),
            n: 0,
            stage: told.clone(),
            written: Some(have_written.clone()),
        };
        writers.spawn(writer.run());
    }
    let all = async {
        for _ in 0..count {
            written.recv().await;
        }
    };
    if tokio::time::timeout(load.patience, all).await.is_err() {
        return Err(io::Error::other(format!("not every writer could write, as {:?}", load.login)));
    }
    record.started = Instant::now();
    tell.send_replace(Stage::Running);
    let _ = ready.send(());
    let _ = stopped.await;
    record.stopped = Instant::now();
    tell.send_replace(Stage::Over);
    while let Some(ended) = writers.join_next().await {
        // Of a writer that died the rows are not known any more, which must not pass for rows that were not lost.
        record.merge(ended.map_err(io::Error::other)?);
    }
    Ok(record)
}

struct Writer {
    number: i64,
    way: usize,
    load: Arc<WriteLoad>,
    live: Arc<LiveWrites>,
    record: WriteRecord,
    n: i64,
    stage: watch::Receiver<Stage>,
    /// To be told of the first row.
    written: Option<tokio::sync::mpsc::Sender<()>>,
}

impl Writer {
    async fn run(mut self) -> WriteRecord {
        let mut wait = BACK_OFF.0;
        while !self.is_over() {
            let begun = Instant::now();
            let before = self.record.acknowledged.len();
            if let Err(refusal) = self.rows().await {
                if *self.stage.borrow() != Stage::Beginning {
                    self.live.errors.fetch_add(1, Ordering::Relaxed);
                    self.record.failed(begun.max(self.last(before)), refusal);
                }
                wait = if self.record.acknowledged.len() > before {
                    BACK_OFF.0
                } else {
                    (wait * 2).min(BACK_OFF.1)
                };
                sleep(wait).await;
            }
        }
        self.record
    }

    /// When the last row since that many was acknowledged.
    fn last(&self, before: usize) -> Instant {
        self.record.acknowledged[before..].last().map_or(self.record.started, |row| row.at)
    }

    /// On one connection, until it fails or somebody says stop.
    async fn rows(&mut self) -> Result<(), Refusal> {
        let (way, patience) = (self.load.ways[self.way], self.load.timeout);
        let session = Session::open(way, &self.load.login, patience).await?;
        let insert = within(patience, session.client.prepare(WRITE)).await?;
        let mut pace = interval(self.load.pace);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_over() {
            let waits = tokio::time::Instant::now();
            let due = pace.tick().await.max(waits);
            self.record.lateness = self.record.lateness.max(due.elapsed());
            // Whatever becomes of it, this number is used up.
            self.n += 1;
            let (writer, n) = (self.number, self.n);
            let begun = Instant::now();
            within(patience, session.client.execute(&insert, &[&writer, &n])).await?;
            let at = Instant::now();
            self.record.acknowledged.push(Acknowledged { writer, n, way: self.way, at });
            self.record.timeline.good(at, at.saturating_duration_since(begun));
            self.live.acknowledged.fetch_add(1, Ordering::Relaxed);
            if let Some(written) = self.written.take() {
                // There is room for all of them.
                let _ = written.try_send(());
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        *self.stage.borrow() == Stage::Over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_of_one_way_in_with_both_ends_of_the_run() {
        let started = Instant::now();
        let mut record = WriteRecord::new(started, 0);
        let ms = Duration::from_millis;
        for (way, at) in [(0, 100), (1, 150), (0, 300), (1, 200), (0, 350)] {
            record.acknowledged.push(Acknowledged { writer: 0, n: 0, way, at: started + ms(at) });
        }
        record.stopped = started + ms(400);
        assert_eq!(record.longest_gap(2), ms(200));
        assert_eq!(record.longest_gap(1), ms(200));
        record.stopped = started + ms(900);
        assert_eq!(record.longest_gap(2), ms(700), "silence at the end, on the second way");
        assert_eq!(record.longest_gap(3), ms(900), "a way in on which nothing came");
    }
}
