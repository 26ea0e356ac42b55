//! Steady clients: an open loop that sends at its rate whatever the answers do.
//!
//! Request `n` is due at `start + n / rate`, and its latency counts from then: a server that stalls doesn't slow
//! the clients down, and what queued up behind the stall is charged in full (no coordinated omission). Requests
//! alternate between a connection of their own and a kept-alive one. All of it runs on one thread, which can
//! live in a network namespace of its own. Requests in flight are bounded by the rate times the time-out.

pub(crate) mod exchange;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

use crate::plan::Manner;
use crate::record::{Failure, Outcome, Record};
use crate::stage::Enter;
use exchange::{Connection, Exchange};

/// What is sent, where, and how often.
#[derive(Debug, Clone)]
pub struct Load {
    /// Taken in turn.
    pub targets: Vec<Target>,
    /// Requests a second, over all targets.
    pub rate: u32,
    /// For the whole of one request, from when it is sent.
    pub timeout: Duration,
}

/// A door with its address.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub proxy_header: bool,
    pub manner: Manner,
}

/// Counts of a run that is going on.
#[derive(Debug, Default)]
pub struct Live {
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Live {
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Clients that run until they are stopped, or dropped.
#[derive(Debug)]
pub struct Clients {
    live: Arc<Live>,
    /// Dropped: the clients stop.
    stop: oneshot::Sender<()>,
    record: oneshot::Receiver<io::Result<Record>>,
}

impl Clients {
    /// Starts them on a thread of their own.
    ///
    /// # Errors
    /// When the thread can't be started. What goes wrong on it (entering its place) is said by [`Clients::stop`].
    pub fn start(enter: Enter, load: Load) -> io::Result<Self> {
        let live = Arc::new(Live::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, record) = oneshot::channel();
        let counts = Arc::clone(&live);
        std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
            // Nobody may be left to hear of it: the rehearsal was called off.
            let _ = tell.send(run(enter, load, stopped, &counts));
        })?;
        Ok(Self { live, stop, record })
    }

    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Sends nothing more, waits for what is in flight (at most the time-out) and says what was seen.
    ///
    /// # Errors
    /// When the clients could not get to their place.
    pub async fn stop(self) -> io::Result<Record> {
        drop(self.stop);
        self.record.await.map_err(|_| io::Error::other("the clients' thread died"))?
    }
}

fn run(enter: Enter, load: Load, stopped: oneshot::Receiver<()>, live: &Live) -> io::Result<Record> {
    enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(OpenLoop::new(load).run(stopped, live)))
}

struct OpenLoop {
    exchanges: Vec<Arc<Exchange>>,
    rate: u32,
    /// Idle kept-alive connections of each target, the latest used last.
    idle: Vec<Vec<Connection>>,
    in_flight: JoinSet<Done>,
    record: Record,
}

/// One request that has ended.
struct Done {
    due: Instant,
    end: Instant,
    target: usize,
    result: Result<Option<Connection>, (Failure, Option<String>)>,
}

impl OpenLoop {
    fn new(load: Load) -> Self {
        let timeout = load.timeout;
        let exchanges: Vec<_> =
            load.targets.into_iter().map(|target| Arc::new(Exchange::new(target, timeout))).collect();
        Self {
            idle: exchanges.iter().map(|_| Vec::new()).collect(),
            record: Record::new(Instant::now(), exchanges.len()),
            exchanges,
            rate: load.rate.max(1),
            in_flight: JoinSet::new(),
        }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>, live: &Live) -> Record {
        if self.exchanges.is_empty() {
            return self.record;
        }
        let mut next = 0;
        loop {
            let due = self.due(next);
            tokio::select! {
                _ = &mut stopped => break,
                () = tokio::time::sleep_until(due.into()) => {
                    self.send(next, due, live);
                    next += 1;
                }
                Some(done) = self.in_flight.join_next() => self.ended(done, live),
            }
        }
        let end = Instant::now();
        while let Some(done) = self.in_flight.join_next().await {
            self.ended(done, live);
        }
        self.record.stopped(end);
        self.record
    }

    /// Counted from the start each time, so that no rounding adds up.
    fn due(&self, n: u64) -> Instant {
        let rate = u64::from(self.rate);
        let fraction = Duration::from_nanos(n % rate * 1_000_000_000 / rate);
        self.record.started + Duration::from_secs(n / rate) + fraction
    }

    fn send(&mut self, n: u64, due: Instant, live: &Live) {
        let keep = n % 2 == 1;
        let target = usize::try_from(n / 2).unwrap_or(0) % self.exchanges.len();
        let kept = if keep { self.take_idle(target) } else { None };
        let exchange = Arc::clone(&self.exchanges[target]);
        self.record.sent(Instant::now().saturating_duration_since(due));
        live.sent.fetch_add(1, Ordering::Relaxed);
        self.in_flight.spawn(async move {
            let result = exchange.run(kept, keep).await;
            Done { due, end: Instant::now(), target, result }
        });
    }

    fn take_idle(&mut self, target: usize) -> Option<Connection> {
        let idle = &mut self.idle[target];
        while let Some(connection) = idle.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    fn ended(&mut self, done: Result<Done, JoinError>, live: &Live) {
        let Done { due, end, target, result } = done.unwrap_or_else(|died| {
            let now = Instant::now();
            Done { due: now, end: now, target: 0, result: Err((Failure::Local, Some(died.to_string()))) }
        });
        let outcome = match result {
            Ok(connection) => {
                self.idle[target].extend(connection);
                Outcome::Good
            }
            Err((failure, cause)) => {
                live.failed.fetch_add(1, Ordering::Relaxed);
                Outcome::Failed(failure, cause)
            }
        };
        self.record.ended(target, due, end, outcome);
    }
}
