//! One worker: a thread with its own runtime, listeners and connections.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::bell::Bell;
use super::clock::{self, Nanoseconds};
use super::count::WorkerCounts;
use super::permit::Section;
use super::refusal::{Fatal, Refused};
use super::session;
use super::shared::Shared;

/// After `accept` failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What all connections of a worker read into.
const BUFFER: usize = 64 * 1024;
/// Connections of others than clients, and of those who have not said yet what they are.
const OTHERS: usize = 256;
/// For last words when the gate is taken away.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What others see of a worker.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub(crate) section: Section,
    /// Connections that a hold waits for.
    pub(crate) busy: AtomicUsize,
    pub(crate) counts: WorkerCounts,
}

pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) bell: Rc<Bell>,
    pub(crate) buffer: RefCell<Box<[u8]>>,
}

/// Which of the two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Main,
    Reads,
}

pub(crate) fn run(
    shared: Arc<Shared>,
    vitals: Arc<Vitals>,
    listeners: [(Port, std::net::TcpListener); 2],
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let buffer = RefCell::new(vec![0; BUFFER].into_boxed_slice());
    let worker = Rc::new(Worker { shared, vitals, bell: Rc::default(), buffer });
    runtime.block_on(async {
        for (port, listener) in listeners {
            let listener = TcpListener::from_std(listener)?;
            tokio::task::spawn_local(worker.clone().accept(port, listener));
        }
        worker.follow().await;
        Ok(())
    })
}

impl Worker {
    pub(crate) fn counts(&self) -> &WorkerCounts {
        &self.vitals.counts
    }

    /// Rings for what others changed, and for each deadline that passes; until the gate is taken away.
    async fn follow(&self) {
        let mut changed = self.shared.changed.subscribe();
        let mut rung = [0; 2];
        loop {
            changed.borrow_and_update();
            self.bell.ring();
            if self.shared.stopping.load(Ordering::Acquire) {
                break;
            }
            loop {
                let now = clock::now();
                let ends = [self.shared.permits.main.until(), self.shared.permits.reads.until()];
                for (end, rung) in ends.into_iter().zip(&mut rung) {
                    if end != 0 && end <= now && *rung != end {
                        *rung = end;
                        self.bell.ring();
                    }
                }
                tokio::select! {
                    biased;
                    outcome = changed.changed() => {
                        if outcome.is_err() {
                            return;
                        }
                        break;
                    }
                    () = wait_for(&ends, now) => {}
                }
            }
        }
        let gone = async {
            while self.shared.open.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, gone).await;
    }

    async fn accept(self: Rc<Self>, port: Port, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.take(port, stream),
                Err(error) => {
                    tracing::warn!(%error, "the gate can't accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(self: &Rc<Self>, port: Port, stream: TcpStream) {
        let open = Place::take(self, Kind::Any);
        let Some(open) = open else {
            self.counts().refuse(Refused::TooMany);
            let _ = stream.try_write(&Fatal::too_many(self.shared.settings.connections).bytes());
            return;
        };
        tokio::task::spawn_local(session::serve(self.clone(), port, stream, open));
    }
}

/// Until the next deadline. There may be none.
async fn wait_for(ends: &[Nanoseconds], now: Nanoseconds) {
    match ends.iter().filter(|end| **end > now).min() {
        Some(end) => tokio::time::sleep(Duration::from_nanos(end - now)).await,
        None => poll_fn(|_| Poll::Pending).await,
    }
}

/// What connections are counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each, from the first to the last moment.
    Any,
    Client,
    Replica,
}

/// One of as many connections as there may be.
pub(crate) struct Place {
    worker: Rc<Worker>,
    kind: Kind,
}

impl Place {
    pub(crate) fn take(worker: &Rc<Worker>, kind: Kind) -> Option<Self> {
        let clients = worker.shared.settings.connections;
        let (taken, limit) = match kind {
            Kind::Any => (&worker.shared.open, clients.saturating_add(OTHERS)),
            Kind::Client => (&worker.shared.clients, clients),
            Kind::Replica => (&worker.shared.replicas, OTHERS / 2),
        };
        if taken.fetch_add(1, Ordering::AcqRel) >= limit {
            taken.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let counts = worker.counts();
        match kind {
            Kind::Any => counts.open.add(1),
            Kind::Client => {
                counts.clients.add(1);
                counts.clients_accepted.add(1);
            }
            Kind::Replica => {
                counts.replicas.add(1);
                counts.replicas_accepted.add(1);
            }
        }
        Some(Self { worker: worker.clone(), kind })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counts = self.worker.counts();
        let (taken, count) = match self.kind {
            Kind::Any => (&self.worker.shared.open, &counts.open),
            Kind::Client => (&self.worker.shared.clients, &counts.clients),
            Kind::Replica => (&self.worker.shared.replicas, &counts.replicas),
        };
        taken.fetch_sub(1, Ordering::AcqRel);
        count.sub(1);
    }
}

/// Whether a connection is one that a hold waits for.
pub(crate) struct Busy {
    worker: Rc<Worker>,
    is: Cell<bool>,
}

impl Busy {
    pub(crate) fn new(worker: Rc<Worker>) -> Self {
        Self { worker, is: Cell::new(false) }
    }

    #[inline]
    pub(crate) fn set(&self, busy: bool) {
        if self.is.replace(busy) == busy {
            return;
        }
        let count = &self.worker.vitals.busy;
        let before = count.load(Ordering::Relaxed);
        // This worker alone writes it.
        count.store(if busy { before + 1 } else { before.saturating_sub(1) }, Ordering::Release);
        if !busy && self.worker.shared.permits.is_held() {
            self.worker.shared.idle.notify_waiters();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.set(false);
    }
}
