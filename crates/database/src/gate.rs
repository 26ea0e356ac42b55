//! What stands between clients and PostgreSQL, and closes in microseconds.
//!
//! It is the only way to an instance: clients reach the primary while its lease lasts, readers a standby that follows, standbys
//! the primary of the term that they follow. It has threads of its own, so that nothing else in the program holds it up; and a
//! process that stands still lets nothing pass.
//!
//! - **The deadline is looked at before each write** ([`guarded`], [`permit`]), whatever timers do, by a clock that goes on while the
//!   machine sleeps. What a socket of the kernel has taken before can't be called back.
//! - **[`Gate::set`] returns when it is so**: after it has shut the gate no byte passes.
//! - **Nothing is rewritten.** Types and lengths of messages are followed ([`exchange`]), payloads are not looked at, but for the notice
//!   that a commit was not confirmed.

mod bell;
mod clock;
mod count;
mod exchange;
mod frame;
mod guarded;
mod listen;
mod permit;
mod questions;
mod refusal;
mod relay;
mod session;
mod shared;
mod startup;
mod tls;
mod wire;
mod worker;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use nines_control::failover::{self, Term};
use nines_control::gate::{Serves, Standing};
use nines_system::GateTls;

use self::clock::Translation;
pub use self::count::Counts;
pub use self::refusal::Refused;
pub use self::shared::{Engine, Lineage};
use self::shared::{Shared, Tls};
use self::worker::Port;

/// More take work from PostgreSQL rather than to it.
const MOST_WORKERS: usize = 4;

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The database's name, for threads and the log.
    pub name: String,
    /// `None`: on all addresses of the host.
    pub address: Option<IpAddr>,
    pub port: u16,
    pub read_port: u16,
    /// `None`: one for each core, and at most 4.
    pub workers: Option<usize>,
    /// Of clients, at one time. Others have a few hundred of their own.
    pub connections: usize,
    pub tls: GateTls,
    /// As whom standbys connect: with a term in its options it passes as they do, not as a client.
    pub replication_user: String,
    /// Roles that nobody from outside is: to PostgreSQL all who come through the gate are the user that nines runs as, and `peer` lets
    /// that one in.
    pub withheld: Vec<String>,
}

/// Whether a standby may serve reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    Allow { until: Instant },
    Deny { why: String },
}

pub struct Gate {
    shared: Arc<Shared>,
    address: SocketAddr,
    read_address: SocketAddr,
    /// One who sets it at a time.
    clocks: Mutex<Clocks>,
    threads: Vec<JoinHandle<()>>,
}

struct Clocks {
    main: Translation,
    reads: Translation,
}

impl Gate {
    /// Listens at both ports, and is shut.
    ///
    /// # Errors
    /// A port is taken, the certificate can't be read, or there can be no more threads.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = settings.workers.unwrap_or(cores.min(MOST_WORKERS)).max(1);
        let tls = match &settings.tls {
            GateTls::Off => Tls::Off,
            GateTls::PassThrough { .. } => Tls::PassThrough,
            GateTls::Terminate { certificate, key } => {
                Tls::Terminate(tls::Certificate::load(certificate, key)?)
            }
        };
        let (address, mains) = listen::listen(settings.address, settings.port, workers)?;
        let (read_address, reads) = listen::listen(settings.address, settings.read_port, workers)?;
        let clocks = Mutex::new(Clocks { main: Translation::new(), reads: Translation::new() });
        let shared = Arc::new(Shared::new(settings, tls, workers));
        let mut gate = Self { shared: shared.clone(), address, read_address, clocks, threads: Vec::new() };
        for (index, (main, read)) in mains.into_iter().zip(reads).enumerate() {
            let (shared, vitals) = (shared.clone(), shared.vitals[index].clone());
            let name = format!("gate-{}-{index}", shared.settings.name);
            let thread = thread::Builder::new().name(name.clone()).spawn(move || {
                let listeners = [(Port::Main, main), (Port::Reads, read)];
                if let Err(error) = worker::run(shared, vitals, listeners) {
                    tracing::error!(thread = name, %error, "a worker of the gate has ended");
                }
            })?;
            gate.threads.push(thread);
        }
        Ok(gate)
    }

    /// Where it listens for everything, and for reads.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.address, self.read_address)
    }

    /// When this returns it is so: what may not pass any more does not, however late a worker is. Microseconds as a rule.
    pub fn set(&self, gate: &failover::Gate) {
        let mut clocks = self.clocks();
        let permits = &self.shared.permits;
        let was_held = permits.is_held();
        let (wait, ring) = match gate {
            failover::Gate::Open { until, .. } => {
                let until = clocks.main.deadline(*until);
                let now = clock::now();
                let was_open = permits.main.is_open(now);
                let less = permits.open(until, now);
                (less, less || was_held || !was_open)
            }
            failover::Gate::Hold { until } => {
                permits.hold(clocks.main.deadline(*until), clock::now());
                (true, true)
            }
            failover::Gate::Close { why } => {
                (*why).clone_into(&mut self.shared.told().shut);
                permits.shut();
                (true, true)
            }
        };
        if wait {
            self.shared.wait_out();
        }
        if ring {
            self.shared.ring();
        }
    }

    /// Whether the read port leads to a standby; to the primary it leads as long as the gate is open. As [`Gate::set`], it is so on return.
    pub fn set_reads(&self, reads: Reads) {
        let mut clocks = self.clocks();
        let permits = &self.shared.permits;
        let (less, ring) = match reads {
            Reads::Allow { until } => {
                let until = clocks.reads.deadline(until);
                let now = clock::now();
                let was_open = permits.reads.is_open(now);
                let less = permits.open_reads(until, now);
                (less, less || !was_open)
            }
            Reads::Deny { why } => {
                self.shared.told().no_reads = why;
                permits.shut_reads();
                (true, true)
            }
        };
        if less {
            self.shared.wait_out();
        }
        if ring {
            self.shared.ring();
        }
    }

    /// Where PostgreSQL is; `None`: it does not run. Connections that are there stay, but for replication of another term.
    pub fn set_engine(&self, engine: Option<Engine>) {
        let _one = self.clocks();
        let term = engine.as_ref().and_then(|engine| engine.replicates);
        self.shared.told().engine = engine;
        self.replicate(term);
    }

    /// Ends all replication, and lets none pass until [`Gate::set_engine`] names a term again. It is so on return.
    pub fn close_replication(&self) {
        let _one = self.clocks();
        if let Some(engine) = &mut self.shared.told().engine {
            engine.replicates = None;
        }
        self.replicate(None);
    }

    fn replicate(&self, term: Option<Term>) {
        if self.shared.permits.replicate(term) {
            self.shared.wait_out();
            self.shared.ring();
        }
    }

    /// What is answered to who asks whom this gate serves, as long as it lets them through. Who waits for news is told, but not of a
    /// `lag` alone.
    pub fn set_standing(&self, serves: Serves, term: Term, lag: u64, why: &str) {
        let mut told = self.shared.told();
        let before = &told.standing;
        let is_news = (before.serves, before.term, before.why.as_str()) != (serves, term, why);
        let number = before.number.wrapping_add(if is_news { 2 } else { 0 });
        told.standing = Standing { number, serves, term, lag, why: why.to_owned() };
        drop(told);
        if is_news {
            self.shared.ring();
        }
    }

    /// What standbys are told of this primary's history. Answered only while the engine replicates that same term.
    pub fn set_lineage(&self, lineage: Option<Lineage>) {
        self.shared.told().lineage = lineage;
    }

    /// In a hold: when no client has a transaction open or an answer to come. Never ready without a hold.
    pub async fn idle(&self) {
        loop {
            let mut changed = pin!(self.shared.idle.notified());
            changed.as_mut().enable();
            if self.shared.is_idle() {
                return;
            }
            changed.await;
        }
    }

    pub fn counts(&self) -> Counts {
        count::sum(self.shared.vitals.iter().map(|vitals| &vitals.counts))
    }

    fn clocks(&self) -> std::sync::MutexGuard<'_, Clocks> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Gate {
    /// Shuts it; clients get the last word that is due to them.
    fn drop(&mut self) {
        self.set(&failover::Gate::Close { why: "nines stops here" });
        self.set_reads(Reads::Deny { why: "nines stops here".to_owned() });
        self.close_replication();
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.ring();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
