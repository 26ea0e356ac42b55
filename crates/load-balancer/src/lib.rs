//! The data plane: listeners, TCP and HTTP forwarding, connection pools, health probes on the wire.
//!
//! One `current_thread` runtime per worker, each with its own `SO_REUSEPORT` sockets, connections to members and
//! counters: no lock and no cross-core hop on a request's way. [`DataPlane`] is the handle that the rest of the
//! program holds: it publishes a plan, and every worker brings itself in line with it.

pub mod http1;
pub mod probe;
pub mod proxy_protocol;

mod access_log;
mod attempt;
mod beat;
mod bind;
mod body;
mod buffer;
mod closing;
mod count;
mod database;
mod error;
mod filter;
mod first_words;
mod flow;
mod forward;
mod front;
mod http;
mod kit;
mod listening;
mod places;
mod plan;
mod pool;
mod postgres;
mod proxy;
mod quiet;
mod race;
mod relay;
mod retire;
mod route;
mod shared;
mod socket;
mod splice;
mod tcp;
mod timer;
mod upstream;
mod vitality;
mod waits;
mod window;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nines_control::statistics::Statistics;
use nines_control::status::ListenerStatus;
use nines_control::traffic::Traffic;
use nines_control::view::{MemberKey, View};
use nines_system::{HostId, Protocol, System};
use tokio::sync::{mpsc, watch};

pub use crate::error::StartError;
use crate::plan::{Phase, Plan};
use crate::shared::{Shared, Vitals};
pub use crate::vitality::{Unable, Vitality};

/// Reports that may wait for the supervisor; past it the newest are dropped, for those before them say enough.
const REPORTS: usize = 4096;
/// How often [`DataPlane::drained`] looks.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// The workers of one host, and the plan that they follow. They end when this is dropped.
#[derive(Debug)]
pub struct DataPlane {
    plan: watch::Sender<Arc<Plan>>,
    shared: Arc<Shared>,
    vitality: Vitality,
}

/// What the traffic says about members, in order.
#[derive(Debug)]
pub struct Reports(mpsc::Receiver<(MemberKey, Traffic)>);

impl Reports {
    /// The next report; `None` once every worker has ended.
    pub async fn recv(&mut self) -> Option<(MemberKey, Traffic)> {
        self.0.recv().await
    }
}

impl DataPlane {
    /// Binds every listener of `host` and starts the workers; clients are refused until [`DataPlane::open`].
    ///
    /// # Errors
    /// A listener can't be bound, a thread can't be started, an access log can't be opened.
    pub fn start(
        system: Arc<System>,
        host: HostId,
        view: Arc<View>,
        workers: usize,
    ) -> Result<(Self, Reports), StartError> {
        let workers = workers.max(1);
        let (reports, received) = mpsc::channel(REPORTS);
        let shared = Arc::new(Shared {
            counts: count::Counts::default(),
            places: places::Registry::default(),
            reports,
            access_logs: access_log::Logs::default(),
            groups: Arc::default(),
        });
        shared.access_logs.open(&system, host)?;
        let listeners = plan::bind(&system, host, workers, &[])?;
        let vitality = Vitality::new(Instant::now(), workers);
        let (plan, follow) = watch::channel(Arc::new(Plan::new(system, view, listeners)));
        for (index, vitals) in vitality.workers.iter().enumerate() {
            let (follow, shared, vitals, started) =
                (follow.clone(), shared.clone(), vitals.clone(), vitality.started);
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    if let Err(error) = worker::run(index, started, follow, shared, vitals) {
                        tracing::error!(worker = index, %error, "worker ended");
                    }
                })
                .map_err(|error| StartError::Worker { worker: index, error })?;
        }
        Ok((Self { plan, shared, vitality }, Reports(received)))
    }

    /// Begins to accept clients.
    pub fn open(&self) {
        self.change(|plan| plan.phase = plan.phase.max(Phase::Open));
    }

    /// Takes a new view of the same system.
    pub fn publish(&self, view: Arc<View>) {
        self.change(|plan| plan.view = view);
    }

    /// Takes a new system with its first view, all at once; connections, counters and what can be kept are kept.
    /// `host` is this host in the new system.
    ///
    /// # Errors
    /// A new listener can't be bound, or an access log not opened; then nothing has changed.
    pub fn reload(&self, system: Arc<System>, host: HostId, view: Arc<View>) -> Result<(), StartError> {
        let present = self.plan.borrow().listeners.clone();
        self.shared.access_logs.open(&system, host)?;
        let listeners = plan::bind(&system, host, self.vitality.workers.len(), &present)?;
        self.change(|plan| {
            plan.system = system;
            plan.view = view;
            plan.listeners = listeners;
            plan.generation += 1;
        });
        Ok(())
    }

    /// Accepts no more clients, and closes kept-alive connections after their next reply or soon.
    pub fn drain(&self) {
        self.change(|plan| plan.phase = Phase::Draining);
    }

    /// Waits until nothing is accepted any more, no client is connected and the access logs are written out.
    pub async fn drained(&self) {
        let busy = |vitals: &Arc<Vitals>| {
            vitals.open.load(Ordering::Acquire) > 0 || vitals.connections.load(Ordering::Relaxed) > 0
        };
        while self.vitality.workers.iter().any(busy) || !self.shared.access_logs.are_written() {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    /// Retires every client connection that has been accepted until now: it is kept for what is in flight, its next reply
    /// says that it is the last, and once it is quiet it is closed; TCP goes on until it ends. Those that come later
    /// are not concerned.
    pub fn retire(&self) {
        self.change(|plan| plan.round = plan.round.saturating_add(1));
    }

    /// Until it is called with `false`, every client connection is retired as soon as it is accepted, and those that are
    /// there as well. Afterwards they are as all others are, if no [`DataPlane::retire`] came after them.
    pub fn keep_retiring(&self, on: bool) {
        self.change(|plan| plan.retiring = on);
    }

    /// Begins or ends silence: while it is on, segments of connections that this host does not know are dropped where
    /// they would be answered with a reset, since another host may still serve them. New connections are served as ever,
    /// and so are those that are there. It holds for all listeners, and for those that come.
    ///
    /// # Errors
    /// The kernel refuses, at some address at least; there resets are sent as ever.
    pub fn hush(&self, on: bool) -> io::Result<()> {
        self.shared.groups.hush(on)
    }

    /// To ask whether this data plane can serve, from any thread.
    pub fn vitality(&self) -> Vitality {
        self.vitality.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Plan)) {
        self.plan.send_modify(|plan| {
            let plan = Arc::make_mut(plan);
            change(plan);
            self.vitality.opened.store(plan.phase == Phase::Open, Ordering::Relaxed);
        });
    }

    /// What was counted so far, over all workers.
    pub fn statistics(&self) -> Statistics {
        let plan = self.plan.borrow().clone();
        let names = plan.listeners.iter().map(|bound| bound.name.as_str());
        let mut statistics = self.shared.counts.sum(names, plan.system.pools.iter());
        statistics.worker_stall_ms = u64::try_from(self.vitality.stall().as_millis()).unwrap_or(u64::MAX);
        statistics.workers = self.vitality.workers.len();
        for turns in self.vitality.turns() {
            statistics.turns.all += turns.all;
            statistics.turns.late += turns.late;
        }
        statistics
    }

    pub fn listeners(&self) -> Vec<ListenerStatus> {
        let plan = self.plan.borrow().clone();
        let status = |bound: &Arc<plan::Bound>| {
            let listener = bound.listener(&plan.system);
            let protocol = match listener.protocol {
                Protocol::Http(_) => "http",
                Protocol::Tcp(_) => "tcp",
            };
            let pools = listener.protocol.pools().into_iter().map(|id| plan.system[id].name.clone());
            ListenerStatus {
                name: bound.name.clone(),
                address: bound.address.to_string(),
                protocol: protocol.to_owned(),
                open: plan.phase == Phase::Open,
                pools: pools.collect(),
            }
        };
        plan.listeners.iter().map(status).collect()
    }
}
