//! The daemon: this host's part of the system, for as long as it runs.
//!
//! One loop owns everything. What happens (a probe's result, a report of the traffic, an operator's question, a signal, the
//! time) comes in one at a time; the machine in `control` decides; what it wants done is done, and whatever takes
//! time comes back as something that happens. Traffic itself flows in the workers of the data plane, which this loop
//! never holds up.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use nines_control::event::Kind;
use nines_control::pools::{Input, Output, Pools};
use nines_control::status::{FileStatus, Wish};
use nines_control::vrrp::{Fitness, Slowness};
use nines_load_balancer::probe::Prober;
use nines_load_balancer::{DataPlane, Reports};
use nines_system::LoadBalancerId;
use nines_virtual_ip::Happened;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::EXIT_BAD;
use addresses::{Addresses, BEAT};
use databases::Databases;
use desk::{Ask, Desk};
use journal::Journal;
use measure::Measure;
use part::Part;
use read_only::ReadOnly;
use signals::Signals;

mod addresses;
mod asked;
pub(crate) mod databases;
mod desk;
mod ending;
mod journal;
pub(crate) mod logging;
mod measure;
mod measuring;
pub(crate) mod open_files;
pub(crate) mod part;
mod read_only;
mod reload;
mod signals;
#[cfg(test)]
mod tests;

/// For a name's addresses; the machine asks again later.
const LOOKUP: Duration = Duration::from_secs(5);
/// Threads for lookups, which the C library answers while it blocks.
const LOOKUP_THREADS: usize = 4;

/// What `nines run` was told.
pub(crate) struct Orders {
    pub(crate) file: PathBuf,
    pub(crate) host: String,
    pub(crate) admin_socket: PathBuf,
    /// Where it keeps what it should know after a restart.
    pub(crate) state: PathBuf,
}

pub(crate) fn run(orders: Orders, part: Part) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(LOOKUP_THREADS)
        .build()
        .context("cannot start the runtime")?;
    let code = runtime.block_on(async { Daemon::start(orders, part)?.run().await });
    // A lookup that hangs in the C library must not hold up the end.
    runtime.shutdown_background();
    code
}

struct Daemon {
    orders: Orders,
    part: Part,
    pools: Pools,
    data_plane: Arc<DataPlane>,
    reports: Reports,
    addresses: Addresses,
    slowness: Slowness,
    databases: Databases,
    journal: Journal,
    measure: Measure,
    prober: Prober,
    /// What was begun and takes time; each ends as something that happens.
    begun: JoinSet<Happening>,
    desk: Desk,
    asks: mpsc::Receiver<Ask>,
    read_only: ReadOnly,
    signals: Signals,
    started: Instant,
    open: bool,
    /// What the operator wants of this host as a load balancer.
    wish: Wish,
    /// Since SIGTERM: when the wait for work in flight is over.
    draining_until: Option<Instant>,
    file: FileStatus,
    /// How often the file was to be loaded again.
    reloads: u64,
}

/// Everything that the daemon reacts to.
enum Happening {
    Input(Input),
    Asked(Ask),
    /// Something about a virtual address.
    Address(Happened),
    /// Something about a database.
    Database(databases::Happened),
    /// The databases have handed over and stopped, or had the time to.
    DatabasesLeft,
    /// The thread that minds them has ended, and nobody told it to.
    AddressesUnminded,
    /// Nothing, but the loop shall be seen to turn.
    Beat,
    /// A second has passed: what is up?
    Look,
    /// By whoever keeps what was measured.
    Said(nines_ledger::Answer),
    Hangup,
    /// The databases have said whether they could go by the file that was read for the reload of this number.
    Checked {
        number: u64,
        part: Box<Part>,
        changes: anyhow::Result<databases::Changes>,
    },
    Terminate,
    /// Other hosts answer on this one's virtual addresses, or none is there to.
    HandedOver,
    /// Nothing is in flight any more.
    Drained,
    /// The wait for that is over.
    DrainTimeout,
}

impl Daemon {
    fn start(orders: Orders, part: Part) -> anyhow::Result<Self> {
        let started = Instant::now();
        // First, since it tells whether another daemon is here already.
        let socket = nines_admin::bind(&orders.admin_socket)?;
        open_files::raise(&part);
        let seed = RandomState::new().build_hasher().finish();
        let pools = Pools::new(started, part.system.clone(), part.pools(), seed);
        let (data_plane, reports) =
            DataPlane::start(part.system.clone(), part.host, pools.view(), part.workers())?;
        let data_plane = Arc::new(data_plane);
        let addresses = Addresses::start(&part, &data_plane)?;
        let databases = Databases::start(&part)?;
        let mut journal = Journal::new();
        let measure =
            Measure::start(&orders.host, orders.state.join("measured"), measuring::about(&part), started);
        let (desk, asks) = Desk::new(journal.latest());
        let mut read_only = ReadOnly::default();
        read_only.apply(read_only.prepare(&part.admin_addresses())?, &desk);
        tokio::spawn(nines_admin::serve(socket, nines_admin::router(desk.clone())));

        let path = orders.file.display().to_string();
        let program = env!("CARGO_PKG_VERSION");
        journal.note(Kind::Daemon, orders.host.clone(), format!("started with {path}, nines {program}"));
        Ok(Self {
            file: FileStatus { path, generation: 1, loaded_us: journal::now_us(), refused: None },
            orders,
            part,
            pools,
            data_plane,
            reports,
            addresses,
            slowness: Slowness::default(),
            databases,
            journal,
            measure,
            prober: Prober::default(),
            begun: JoinSet::new(),
            desk,
            asks,
            read_only,
            signals: Signals::new().context("cannot listen for signals")?,
            started,
            open: false,
            wish: Wish::Ready,
            draining_until: None,
            reloads: 0,
        })
    }

    async fn run(mut self) -> anyhow::Result<ExitCode> {
        let code = self.until_told().await;
        self.look();
        self.let_addresses_go().await;
        self.measure.end(Instant::now()).await;
        Ok(code)
    }

    async fn until_told(&mut self) -> ExitCode {
        loop {
            self.perform();
            match self.next().await {
                Happening::Input(input) => self.pools.handle(Instant::now(), input),
                Happening::Asked(ask) => self.answer(ask),
                Happening::Hangup => self.reload(),
                Happening::Checked { number, part, changes } => self.checked(number, *part, changes),
                Happening::Terminate if self.draining_until.is_some() => {
                    self.stopped("told to a second time: what was in flight is cut off");
                    return ExitCode::from(EXIT_BAD);
                }
                Happening::Terminate => self.terminate(),
                Happening::Address(happened) => self.note_address(happened),
                Happening::Database(databases::Happened { kind, subject, why }) => {
                    self.journal.note(kind, subject, why);
                }
                Happening::DatabasesLeft => {
                    self.draining_until = Some(Instant::now() + self.part.drain());
                    self.leave_addresses();
                }
                Happening::AddressesUnminded => {
                    if self.needs_addresses_minded() {
                        return ExitCode::from(EXIT_BAD);
                    }
                }
                Happening::Beat => {}
                Happening::Look => self.look(),
                Happening::Said(said) => {
                    let told = self.measure.hear(said, Instant::now());
                    self.tell(told);
                }
                Happening::HandedOver => self.drain(),
                Happening::Drained => {
                    self.stopped("nothing is in flight");
                    return ExitCode::SUCCESS;
                }
                Happening::DrainTimeout => {
                    self.stopped("the time to drain is over: what was in flight is cut off");
                    return ExitCode::SUCCESS;
                }
            }
        }
    }

    /// Waits for the next thing to happen.
    async fn next(&mut self) -> Happening {
        let minds_addresses = self.addresses.any();
        tokio::select! {
            Some(done) = self.begun.join_next() => match done {
                Ok(happening) => happening,
                // Its result is lost; the machine finds out by the time.
                Err(error) => {
                    tracing::error!(%error, "a task of the supervisor failed");
                    Happening::Input(Input::Timer)
                }
            },
            Some((member, traffic)) = self.reports.recv() => Happening::Input(Input::Traffic { member, traffic }),
            Some(ask) = self.asks.recv() => Happening::Asked(ask),
            happened = self.addresses.happened() => happened.map_or(Happening::AddressesUnminded, Happening::Address),
            Some(happened) = self.databases.happened() => Happening::Database(happened),
            Some(()) = self.signals.hangup.recv() => Happening::Hangup,
            Some(()) = self.signals.terminate.recv() => Happening::Terminate,
            Some(()) = self.signals.interrupt.recv() => Happening::Terminate,
            () = until(self.pools.deadline()) => Happening::Input(Input::Timer),
            () = until(self.draining_until) => Happening::DrainTimeout,
            () = until(Some(self.measure.deadline())) => Happening::Look,
            said = self.measure.said() => Happening::Said(said),
            () = tokio::time::sleep(BEAT), if minds_addresses => Happening::Beat,
        }
    }

    /// Does everything that the machine wants done.
    fn perform(&mut self) {
        while let Some(output) = self.pools.poll() {
            match output {
                Output::Probe(order) => {
                    let prober = self.prober.clone();
                    self.begun.spawn(async move {
                        let result = prober.probe(&order).await;
                        Happening::Input(Input::Probed { ticket: order.ticket, result })
                    });
                }
                Output::Resolve { name } => {
                    self.begun.spawn(async move {
                        let addresses = look_up(&name).await;
                        Happening::Input(Input::Resolved { name, addresses })
                    });
                }
                Output::Publish(view) => self.data_plane.publish(view),
                Output::Event { kind, subject, why } => self.journal.note(kind, subject, why),
                Output::FirstChecksIn => self.open(),
            }
        }
        self.slowness.look(Instant::now(), || self.data_plane.vitality().turns());
        self.addresses.tell(|| self.fitness());
    }

    /// What each load balancer here can do for a virtual address's clients, as far as the daemon knows.
    fn fitness(&self) -> Vec<(LoadBalancerId, Fitness)> {
        let host = &self.orders.host;
        let slow = || match self.slowness.is_slow() {
            true => Fitness::Slow(format!("{host} stands still again and again")),
            false => Fitness::Fit,
        };
        let of_pools = |id| Fitness::of_pools(&self.part.system, id, &self.pools).or_worse(slow());
        let of = |load_balancer| match (self.draining_until, self.wish, self.open) {
            (Some(_), ..) => Fitness::Leaving(format!("{host} stops")),
            (None, Wish::Ready, true) => of_pools(load_balancer),
            (None, Wish::Ready, false) => Fitness::Unfit("starts: waits for the first checks".to_owned()),
            (None, ..) => Fitness::Leaving(format!("the operator drains {host}")),
        };
        let all = self.part.system.load_balancers_on(self.part.host);
        all.map(|load_balancer| (load_balancer, of(load_balancer))).collect()
    }

    fn open(&mut self) {
        self.open = true;
        if self.draining_until.is_none() {
            self.data_plane.open();
            self.note_listeners(&[]);
        }
    }

    fn note_address(&mut self, Happened { kind, subject, why }: Happened) {
        self.journal.note(kind, subject, why);
    }
}

/// For ever, if there is no such time.
pub(in crate::daemon) async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

async fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    match tokio::time::timeout(LOOKUP, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOKUP.as_secs())),
    }
}
