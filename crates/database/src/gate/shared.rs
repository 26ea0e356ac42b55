//! What the workers of one gate read, and who drives it writes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use nines_control::failover::Term;
use nines_control::gate::{Ancestry, Branch, Serves, Standing};
use tokio::sync::{Notify, watch};

use super::Settings;
use super::clock::Nanoseconds;
use super::permit::Permits;
use super::tls::Certificate;
use super::worker::{Port, Vitals};

const RUN_OUT: &str = "its right to serve has run out";

/// Where PostgreSQL is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its Unix socket, with its name.
    pub socket: PathBuf,
    /// Where it listens on 127.0.0.1, for TLS that the gate does not end.
    pub tls_port: Option<u16>,
    /// It is the primary of this term: standbys that take it for that may stream.
    pub replicates: Option<Term>,
}

/// The history of a primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Of which it is the primary.
    pub term: Term,
    pub branches: Vec<Branch>,
    pub system: String,
}

pub(crate) enum Tls {
    Off,
    PassThrough,
    Terminate(Certificate),
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) permits: Permits,
    pub(crate) tls: Tls,
    pub(crate) vitals: Vec<Arc<Vitals>>,
    told: Mutex<Told>,
    /// Workers look again at everything.
    pub(crate) changed: watch::Sender<u64>,
    /// A connection that was busy is not any more, in a hold.
    pub(crate) idle: Notify,
    pub(crate) open: AtomicUsize,
    pub(crate) clients: AtomicUsize,
    pub(crate) replicas: AtomicUsize,
    pub(crate) stopping: AtomicBool,
}

/// What is needed once for a connection or a question.
pub(crate) struct Told {
    pub(crate) engine: Option<Engine>,
    /// Why the primary's way is shut, and the standby's.
    pub(crate) shut: String,
    pub(crate) no_reads: String,
    pub(crate) standing: Standing,
    pub(crate) lineage: Option<Lineage>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, tls: Tls, workers: usize) -> Self {
        // Even ones are of what was told; the odd one above says that it ran out.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let number = u64::try_from(since.as_micros()).unwrap_or(0).wrapping_mul(2);
        let why = "starts".to_owned();
        let standing = Standing { number, serves: Serves::Nobody, term: 0, lag: 0, why: why.clone() };
        let told = Told { engine: None, shut: why.clone(), no_reads: why, standing, lineage: None };
        Self {
            settings,
            permits: Permits::default(),
            tls,
            vitals: (0..workers).map(|_| Arc::default()).collect(),
            told: Mutex::new(told),
            changed: watch::Sender::new(0),
            idle: Notify::new(),
            open: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
            replicas: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has every connection look again.
    pub(crate) fn ring(&self) {
        self.changed.send_modify(|round| *round = round.wrapping_add(1));
        self.idle.notify_waiters();
    }

    /// Nothing passes any more that passed by an earlier permit.
    pub(crate) fn wait_out(&self) {
        for (worker, vitals) in self.vitals.iter().enumerate() {
            if !vitals.section.wait_out() {
                tracing::error!(worker, "a worker of the gate is stuck in a write");
            }
        }
    }

    /// Why nobody gets in at this port.
    pub(crate) fn why(&self, port: Port) -> String {
        let told = self.told();
        let main = if self.permits.main.until() == 0 { &told.shut } else { RUN_OUT };
        match port {
            Port::Main => main.to_owned(),
            Port::Reads if self.permits.reads.until() != 0 => RUN_OUT.to_owned(),
            Port::Reads if told.no_reads.is_empty() || told.no_reads == main => main.to_owned(),
            Port::Reads => format!("{main}; no reads: {}", told.no_reads),
        }
    }

    /// What is so now: not more than the gate lets through.
    pub(crate) fn standing(&self, now: Nanoseconds) -> Standing {
        let mut standing = self.told().standing.clone();
        let main = self.permits.main.is_open(now);
        let holds = match standing.serves {
            Serves::Everything => main,
            Serves::Reads => main || self.permits.reads.is_open(now),
            Serves::Nobody => true,
        };
        if !holds {
            standing.number = standing.number.wrapping_add(1);
            standing.serves = Serves::Nobody;
            standing.why = RUN_OUT.to_owned();
        }
        standing
    }

    pub(crate) fn ancestry(&self, term: Term) -> Ancestry {
        let told = self.told();
        let Some(lineage) = &told.lineage else { return Ancestry { branches: None, system: String::new() } };
        let is_it = lineage.term == term && self.permits.replicates() == Some(term);
        Ancestry { branches: is_it.then(|| lineage.branches.clone()), system: lineage.system.clone() }
    }

    pub(crate) fn is_idle(&self) -> bool {
        use std::sync::atomic::Ordering::Acquire;
        self.permits.is_held() && self.vitals.iter().all(|vitals| vitals.busy.load(Acquire) == 0)
    }
}
