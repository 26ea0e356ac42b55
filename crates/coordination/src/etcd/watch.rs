//! A watch of etcd: a stream for speed, and a linearizable look several times a second for truth. A stream alone does not do: it
//! stays silent when its member is frozen or cut off, ends with each reconnect, and can't begin at what was compacted. What it says
//! and what a look finds go through one [`Tracker`], so their order doesn't matter.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::time::{sleep_until, timeout};
use tonic::{Status, Streaming};

use crate::error::Error;
use crate::lock;
use crate::tracker::{Told, Tracker};
use crate::watch::Mailbox;

use super::member::{Connection, Failure, failure};
use super::wire::{DELETE, RangeRequest, WATCH, WatchCreateRequest, WatchRequest, WatchResponse};
use super::{Etcd, all, key};

/// From one look to the next while a stream tells what happens, and while there is none.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_WITHOUT_STREAM: Duration = Duration::from_millis(50);
/// A look that takes longer is trouble.
const LOOK_BOUND: Duration = Duration::from_secs(2);
/// A stream that doesn't tell within this time what a look has found is given up.
const LATE: Duration = Duration::from_secs(1);
const OPEN_BOUND: Duration = Duration::from_secs(1);
/// Between tries to open a stream.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_MOST: Duration = Duration::from_secs(2);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a look found at `at`: everything, or what is newer than was asked for.
struct Look {
    at: u64,
    whole: bool,
    told: Vec<Told>,
}

struct Stream {
    answers: Streaming<WatchResponse>,
    connection: Connection,
    member: usize,
}

struct Watcher<'a> {
    etcd: &'a Etcd,
    /// All keys under this, as etcd has them.
    under: Vec<u8>,
    mailbox: &'a Mailbox,
    tracker: Tracker,
    /// Whether the tracker has a whole picture to go on from.
    whole: bool,
    looking: Option<(Instant, Pending<Result<Look, Error>>)>,
    next_look: Instant,
    stream: Option<Stream>,
    opening: Option<Pending<Result<Stream, usize>>>,
    next_open: Instant,
    again: Duration,
    /// Which member the next stream goes to, counted from the preferred one.
    skip: usize,
    /// What a look has found and the stream has yet to tell, and since when.
    owed: Option<(u64, Instant)>,
}

pub(super) async fn run(etcd: &Etcd, under: &str, mailbox: &Mailbox) {
    let now = Instant::now();
    let mut watcher = Watcher {
        etcd,
        under: key(under),
        mailbox,
        tracker: Tracker::default(),
        whole: false,
        looking: None,
        next_look: now,
        stream: None,
        opening: None,
        next_open: now,
        again: AGAIN,
        skip: 0,
        owed: None,
    };
    loop {
        watcher.turn().await;
    }
}

impl Watcher<'_> {
    async fn turn(&mut self) {
        let may_look = self.looking.is_none();
        let may_open = self.whole && self.stream.is_none() && self.opening.is_none();
        tokio::select! {
            found = finished(self.looking.as_mut().map(|(_, look)| look)) => {
                let asked = self.looking.take().map_or_else(Instant::now, |(asked, _)| asked);
                self.looked(asked, found);
            }
            opened = finished(self.opening.as_mut()) => {
                self.opening = None;
                self.opened(opened);
            }
            heard = heard(self.stream.as_mut()) => self.heard(heard).await,
            () = sleep_until(self.next_look.into()), if may_look => {
                let etcd = self.etcd.clone();
                let (under, whole) = (self.under.clone(), !self.whole);
                let through = self.tracker.through();
                let look = async move { look(&etcd, &under, whole, through).await };
                self.looking = Some((Instant::now(), Box::pin(look)));
            }
            () = sleep_until(self.next_open.into()), if may_open => {
                let member = self.etcd.0.members.preferred() + self.skip;
                let etcd = self.etcd.clone();
                let (under, from) = (self.under.clone(), self.tracker.through() + 1);
                self.opening = Some(Box::pin(async move { open(&etcd, member, &under, from).await }));
            }
        }
    }

    fn looked(&mut self, asked: Instant, found: Result<Look, Error>) {
        let pause = if self.stream.is_some() { LOOK } else { LOOK_WITHOUT_STREAM };
        self.next_look = Instant::now() + pause;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.next_look = Instant::now() + LOOK;
                if matches!(error, Error::Regressed { .. }) {
                    // Nor is a stream of it to be believed.
                    self.let_go();
                }
                return self.mailbox.trouble(error);
            }
        };
        let newest = found.told.iter().map(|(_, revision, _)| *revision).max().unwrap_or(0);
        if newest > self.tracker.through() && self.stream.is_some() {
            self.owed.get_or_insert((newest, Instant::now()));
        }
        let news = if found.whole {
            self.whole = found.at >= self.tracker.through();
            self.tracker.all(found.at, found.told)
        } else {
            self.tracker.since(found.at, found.told)
        };
        self.mailbox.changed(news);
        self.mailbox.current(asked);
        if self.owed.is_some_and(|(_, since)| since.elapsed() > LATE) {
            tracing::info!("a stream of etcd tells too late; another member is asked");
            self.let_go();
        }
    }

    fn opened(&mut self, opened: Result<Stream, usize>) {
        match opened {
            Ok(stream) => {
                self.stream = Some(stream);
                self.owed = None;
            }
            Err(_) => self.let_go(),
        }
    }

    async fn heard(&mut self, heard: Option<Result<WatchResponse, Status>>) {
        let response = match heard {
            Some(Ok(response)) if !response.canceled => response,
            ended => {
                self.ended(ended).await;
                return;
            }
        };
        let cluster = response.header.unwrap_or_default();
        if lock(&self.etcd.0.members.mark).check(&cluster, 0).is_err() {
            // A look says so, if no other member is what it was.
            self.let_go();
            return;
        }
        self.again = AGAIN;
        let mut newest = self.tracker.through();
        let mut told = Vec::new();
        for event in response.events {
            let Some(kv) = event.kv else { continue };
            let at = u64::try_from(kv.mod_revision).unwrap_or(0);
            newest = newest.max(at);
            self.owed = self.owed.filter(|(owed, _)| at < *owed);
            if event.kind == DELETE {
                // Not by us, who delete nothing. A look tells what remains.
                self.whole = false;
                self.next_look = Instant::now();
                continue;
            }
            told.extend(self.etcd.told(kv));
        }
        let news = self.tracker.since(newest, told);
        self.mailbox.changed(news);
    }

    /// The stream has ended, whatever for: compaction, no leader, a token that has run out (which etcd calls a lack of permission).
    /// A look bridges the gap, and a new connection gets a new token.
    async fn ended(&mut self, how: Option<Result<WatchResponse, Status>>) {
        let why = match how {
            Some(Ok(response)) => response.cancel_reason,
            Some(Err(status)) => match failure(&status) {
                Failure::Lost(why) | Failure::Stranger(why) | Failure::Unheard(why) => why,
                Failure::Refused(error) => error.to_string(),
            },
            None => "etcd has ended it".to_owned(),
        };
        tracing::debug!(why, "a stream of etcd has ended");
        if let Some(stream) = &self.stream {
            let member = self.etcd.0.members.member(stream.member);
            let _ = timeout(AGAIN, member.give_up(&stream.connection)).await;
        }
        self.let_go();
        self.next_look = Instant::now();
    }

    fn let_go(&mut self) {
        self.stream = None;
        // What somebody else has deleted until there is a new one, only a whole picture tells.
        self.whole = false;
        self.owed = None;
        self.skip = self.skip.wrapping_add(1) % 1024;
        self.next_open = Instant::now() + self.again;
        self.again = (self.again * 2).min(AGAIN_MOST);
    }
}

async fn finished<T>(pending: Option<&mut Pending<T>>) -> T {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

async fn heard(stream: Option<&mut Stream>) -> Option<Result<WatchResponse, Status>> {
    match stream {
        Some(stream) => stream.answers.next().await,
        None => std::future::pending().await,
    }
}

/// The whole of what there is, or what has changed since `through`.
async fn look(etcd: &Etcd, under: &[u8], whole: bool, through: u64) -> Result<Look, Error> {
    let deadline = Instant::now() + LOOK_BOUND;
    let (key, range_end) = all(under);
    let since = if whole { 0 } else { i64::try_from(through + 1).unwrap_or(i64::MAX) };
    let question = RangeRequest { key, range_end, min_mod_revision: since };
    let answer = etcd.range(&question, deadline).await?;
    let at = answer.header.and_then(|header| u64::try_from(header.revision).ok()).unwrap_or(0);
    let told = answer.kvs.into_iter().filter_map(|kv| etcd.told(kv)).collect();
    Ok(Look { at, whole, told })
}

/// Opens a stream that tells every change from the revision `from` on.
async fn open(etcd: &Etcd, index: usize, under: &[u8], from: u64) -> Result<Stream, usize> {
    let member = etcd.0.members.member(index);
    let (key, range_end) = all(under);
    let start_revision = i64::try_from(from).unwrap_or(i64::MAX);
    let create = Some(WatchCreateRequest { key, range_end, start_revision });
    let questions = futures_util::stream::iter([WatchRequest { create }]);
    // Hanging up would end the watch.
    let questions = questions.chain(futures_util::stream::pending());
    let opened = timeout(OPEN_BOUND, async {
        let mut connection = member.connection().await?;
        let answers = connection.listen(WATCH, questions).await?;
        Ok::<_, Failure>(Stream { answers, connection, member: index })
    });
    match opened.await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(failure)) => {
            tracing::debug!(endpoint = member.address(), ?failure, "no stream of etcd");
            Err(index)
        }
        Err(_) => Err(index),
    }
}
