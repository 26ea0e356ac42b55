//! Clients that append to lists and read them, in transactions, and write down what they know of each.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;
use tokio_postgres::Statement;

use super::{Entry, History, Known, Random, Step};
use crate::stage::Enter;
use crate::writers::{Login, Refusal, Session, Way, within};

/// Lists that are appended to at one time; few, so that transactions meet.
const LISTS: i64 = 6;
/// After so many appends a list is left alone and another begins, since each is read whole.
const FULL: u32 = 100;
/// Steps of a transaction, at most.
const STEPS: usize = 4;
/// Between transactions of one process, and between tries to connect.
const PACE: Duration = Duration::from_millis(5);
const BACK_OFF: Duration = Duration::from_millis(50);

const MAKE: &str = "CREATE TABLE IF NOT EXISTS nines_lists (key bigint PRIMARY KEY, list bigint[] NOT NULL)";
const APPEND: &str = "INSERT INTO nines_lists VALUES ($1, ARRAY[$2::bigint]) \
                      ON CONFLICT (key) DO UPDATE SET list = nines_lists.list || EXCLUDED.list";
const READ: &str = "SELECT list FROM nines_lists WHERE key = $1";

/// How much transactions may see of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    Serializable,
    /// An append takes its row for itself and goes on from what is there then, so none is lost even so.
    ReadCommitted,
}

impl Isolation {
    pub const ALL: [Self; 2] = [Self::Serializable, Self::ReadCommitted];

    /// What PostgreSQL promises for it, on one primary: of what was committed before it began a transaction sees all.
    pub(super) fn model(self) -> &'static str {
        match self {
            Self::Serializable => "strict-serializable",
            Self::ReadCommitted => "strong-read-committed",
        }
    }

    fn begin(self) -> &'static str {
        match self {
            Self::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
            Self::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Serializable => "serializable",
            Self::ReadCommitted => "read-committed",
        }
    }
}

#[derive(Debug, Clone)]
pub struct AppendLoad {
    pub way: Way,
    pub login: Login,
    pub isolation: Isolation,
    pub processes: usize,
    pub seed: u64,
    /// For connecting, and for each statement.
    pub timeout: Duration,
    /// How long the table may take to be made.
    pub patience: Duration,
}

/// Appenders that run until they are stopped, or dropped.
#[derive(Debug)]
pub struct Appenders {
    stop: oneshot::Sender<()>,
    history: oneshot::Receiver<io::Result<History>>,
}

impl Appenders {
    /// Starts them on a thread of their own: what is written down in one order happened in that order.
    ///
    /// # Errors
    /// When the thread can't be started; what goes wrong on it is said by [`Appenders::stop`].
    pub fn start(enter: Enter, load: AppendLoad) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, history) = oneshot::channel();
        std::thread::Builder::new().name("appenders".to_owned()).spawn(move || {
            let ran = enter().and_then(|()| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                LocalSet::new().block_on(&runtime, run(load, stopped))
            });
            // Nobody may be left to hear of it.
            let _ = tell.send(ran);
        })?;
        Ok(Self { stop, history })
    }

    /// # Errors
    /// When they could not get to their place, or never could make their table.
    pub async fn stop(self) -> io::Result<History> {
        drop(self.stop);
        self.history.await.map_err(|_| io::Error::other("the appenders' thread died"))?
    }
}

/// What all processes write into.
struct Book {
    began: Instant,
    history: History,
    next_process: i64,
    next_value: i64,
    /// The first list of this run.
    first_key: i64,
    /// Of each place for a list: how many were full, and how many appends the present one has.
    places: Vec<(i64, u32)>,
}

impl Book {
    fn new() -> Self {
        // No two runs have a list in common.
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
        Self {
            began: Instant::now(),
            history: History::default(),
            next_process: 0,
            next_value: 1,
            first_key: i64::try_from(since).unwrap_or_default(),
            places: (0..LISTS).map(|_| (0, 0)).collect(),
        }
    }

    fn write(&mut self, process: i64, known: Known, steps: &[Step]) {
        let at_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.history.entries.push(Entry { process, known, steps: steps.to_vec(), at_ns });
    }

    fn process(&mut self) -> i64 {
        self.next_process += 1;
        self.next_process
    }

    fn transaction(&mut self, random: &mut Random) -> Vec<Step> {
        let count = 1 + random.below(STEPS);
        (0..count).map(|_| self.step(random)).collect()
    }

    fn step(&mut self, random: &mut Random) -> Step {
        let index = random.below(self.places.len());
        let (full, appends) = &mut self.places[index];
        let place = i64::try_from(index).unwrap_or_default();
        let key = self.first_key + *full * LISTS + place;
        if random.below(2) == 0 {
            return Step::Read { key, list: None };
        }
        *appends += 1;
        if *appends == FULL {
            (*full, *appends) = (*full + 1, 0);
        }
        self.next_value += 1;
        Step::Append { key, value: self.next_value }
    }
}

async fn run(load: AppendLoad, stopped: oneshot::Receiver<()>) -> io::Result<History> {
    make_table(&load).await.map_err(|why| io::Error::other(format!("making lists: {why}")))?;
    let book = Rc::new(RefCell::new(Book::new()));
    let (tell, told) = watch::channel(false);
    let mut processes = JoinSet::new();
    for index in 0..load.processes {
        let random = Random::new(load.seed.wrapping_add(index as u64));
        let process = Process {
            load: load.clone(),
            book: Rc::clone(&book),
            random,
            number: book.borrow_mut().process(),
        };
        processes.spawn_local(process.run(told.clone()));
    }
    let _ = stopped.await;
    let _ = tell.send(true);
    while let Some(ended) = processes.join_next().await {
        ended.map_err(io::Error::other)?;
    }
    let history = std::mem::take(&mut book.borrow_mut().history);
    Ok(history)
}

async fn make_table(load: &AppendLoad) -> Result<(), Refusal> {
    let until = Instant::now() + load.patience;
    loop {
        let made = async {
            let session = Session::open(load.way, &load.login, load.timeout).await?;
            within(load.timeout, session.client.batch_execute(MAKE)).await
        };
        match made.await {
            Err(_) if Instant::now() < until => sleep(BACK_OFF).await,
            made => return made,
        }
    }
}

struct Process {
    load: AppendLoad,
    book: Rc<RefCell<Book>>,
    random: Random,
    number: i64,
}

impl Process {
    async fn run(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let Ok(mut lists) = Lists::open(&self.load).await else {
                sleep(BACK_OFF).await;
                continue;
            };
            while !*stop.borrow() && self.transaction(&mut lists).await {
                sleep(PACE).await;
            }
        }
    }

    /// Whether the connection is good for another one.
    async fn transaction(&mut self, lists: &mut Lists) -> bool {
        let mut steps = self.book.borrow_mut().transaction(&mut self.random);
        self.book.borrow_mut().write(self.number, Known::Invoke, &steps);
        let known = lists.transact(self.load.isolation, &mut steps).await;
        let known = match known {
            Ok(()) => Known::Ok,
            Err(Ending { unknown: true, .. }) => Known::Info,
            Err(Ending { unknown: false, .. }) => Known::Fail,
        };
        if known == Known::Info {
            forget_what_was_read(&mut steps);
        }
        self.book.borrow_mut().write(self.number, known, &steps);
        if known == Known::Info {
            // What it did may still come about, so it is not over, and its number is not free.
            self.number = self.book.borrow_mut().process();
        }
        known == Known::Ok || (known == Known::Fail && lists.roll_back().await)
    }
}

/// What a transaction read that may not have been committed proves nothing: its own appends are in it, and they may never
/// have been there for anybody else.
pub(super) fn forget_what_was_read(steps: &mut [Step]) {
    for step in steps {
        if let Step::Read { list, .. } = step {
            *list = None;
        }
    }
}

/// How a transaction failed.
struct Ending {
    /// It may have been committed.
    unknown: bool,
    refusal: Refusal,
}

/// A connection that knows how.
struct Lists {
    session: Session,
    append: Statement,
    read: Statement,
    timeout: Duration,
}

impl Lists {
    async fn open(load: &AppendLoad) -> Result<Self, Refusal> {
        let session = Session::open(load.way, &load.login, load.timeout).await?;
        let append = within(load.timeout, session.client.prepare(APPEND)).await?;
        let read = within(load.timeout, session.client.prepare(READ)).await?;
        Ok(Self { session, append, read, timeout: load.timeout })
    }

    /// Nothing can be committed before it is asked to be; from then on a failure says so only by its SQLSTATE: class 40 is a
    /// rollback.
    async fn transact(&mut self, isolation: Isolation, steps: &mut [Step]) -> Result<(), Ending> {
        let before = |refusal| Ending { unknown: false, refusal };
        self.say(isolation.begin()).await.map_err(before)?;
        for step in steps {
            self.step(step).await.map_err(before)?;
        }
        self.say("COMMIT")
            .await
            .map_err(|refusal| Ending { unknown: !refusal.kind.starts_with("40"), refusal })
    }

    async fn step(&self, step: &mut Step) -> Result<(), Refusal> {
        let client = &self.session.client;
        match step {
            Step::Append { key, value } => {
                within(self.timeout, client.execute(&self.append, &[key, value])).await?;
            }
            Step::Read { key, list } => {
                let row = within(self.timeout, client.query_opt(&self.read, &[key])).await?;
                *list = Some(match row {
                    Some(row) => row.try_get(0)?,
                    None => Vec::new(),
                });
            }
        }
        Ok(())
    }

    async fn say(&self, text: &str) -> Result<(), Refusal> {
        within(self.timeout, self.session.client.batch_execute(text)).await
    }

    async fn roll_back(&self) -> bool {
        self.say("ROLLBACK").await.is_ok()
    }
}

/// Reads every list of a history once more, each in a transaction that is written into it, and gives them.
///
/// # Errors
/// When they could not all be read within the patience.
pub async fn finish(
    enter: Enter,
    load: AppendLoad,
    mut history: History,
) -> io::Result<(History, BTreeMap<i64, Vec<i64>>)> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("readers".to_owned()).spawn(move || {
        let read = enter().and_then(|()| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let last = runtime.block_on(read_all(&load, &mut history));
            let last = last.map_err(|why| io::Error::other(format!("reading all lists: {why}")))?;
            Ok((history, last))
        });
        let _ = tell.send(read);
    })?;
    told.await.map_err(|_| io::Error::other("the readers' thread died"))?
}

async fn read_all(load: &AppendLoad, history: &mut History) -> Result<BTreeMap<i64, Vec<i64>>, Refusal> {
    let steps = history.entries.iter().flat_map(|entry| &entry.steps);
    let keys: BTreeSet<i64> = steps.map(Step::key).collect();
    let last = history.entries.iter().map(|entry| entry.process).max().unwrap_or_default();
    let began = Instant::now();
    let before = history.entries.last().map_or(0, |entry| entry.at_ns);
    let until = began + load.patience;
    let mut all = BTreeMap::new();
    let mut lists: Option<Lists> = None;
    for (process, key) in (last + 1..).zip(keys) {
        loop {
            let at_ns = || before + u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX / 2);
            let invoked = Entry {
                process,
                known: Known::Invoke,
                steps: vec![Step::Read { key, list: None }],
                at_ns: at_ns(),
            };
            let mut steps = invoked.steps.clone();
            let read = match lists.take() {
                Some(open) => Ok(open),
                None => Lists::open(load).await,
            };
            let ended = match read {
                Ok(mut open) => match open.transact(load.isolation, &mut steps).await {
                    Ok(()) => {
                        lists = Some(open);
                        Ok(())
                    }
                    Err(ending) => Err(ending.refusal),
                },
                Err(refusal) => Err(refusal),
            };
            match ended {
                Ok(()) => {
                    if let [Step::Read { list: Some(list), .. }] = &steps[..] {
                        all.insert(key, list.clone());
                    }
                    history.entries.push(invoked);
                    history.entries.push(Entry { process, known: Known::Ok, steps, at_ns: at_ns() });
                    break;
                }
                Err(refusal) if Instant::now() >= until => return Err(refusal),
                Err(_) => sleep(BACK_OFF).await,
            }
        }
    }
    Ok(all)
}
