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
use nines_control::pools::{Input, Output, Pools, UnknownTarget};
use nines_control::status::{FileStatus, ListenerStatus, Phase, Status, Wish};
use nines_control::vrrp::{Fitness, Slowness};
use nines_load_balancer::probe::Prober;
use nines_load_balancer::{DataPlane, Reports};
use nines_system::LoadBalancerId;
use nines_virtual_ip::{Happened, VirtualIps};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::EXIT_BAD;
use addresses::{Addresses, BEAT};
use databases::Databases;
use desk::{Ask, Desk};
use journal::Journal;
use measure::Measure;
use part::{Part, PartError};
use read_only::ReadOnly;

mod addresses;
pub(crate) mod databases;
mod desk;
mod journal;
pub(crate) mod logging;
mod measure;
mod measuring;
pub(crate) mod open_files;
pub(crate) mod part;
mod read_only;
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

    /// Told to stop: what clients come to first goes to other hosts, and then this one drains.
    fn terminate(&mut self) {
        let most = self.part.drain();
        self.draining_until = Some(Instant::now() + most);
        let why =
            format!("told to stop: takes nothing new, finishes what is there within {} s", most.as_secs());
        self.journal.note(Kind::Daemon, self.orders.host.clone(), why);
        match self.databases.leave() {
            Some(left) => {
                // First they hand over, and then the rest has its time.
                self.draining_until = Some(Instant::now() + databases::LEAVE + most);
                self.begun.spawn(async move {
                    left.await;
                    Happening::DatabasesLeft
                });
            }
            None => self.leave_addresses(),
        }
    }

    fn leave_addresses(&mut self) {
        match self.addresses.handed_over() {
            Some(handed_over) => {
                self.data_plane.keep_retiring(true);
                self.begun.spawn(async move {
                    handed_over.await;
                    Happening::HandedOver
                });
            }
            None => self.drain(),
        }
    }

    fn drain(&mut self) {
        self.data_plane.drain();
        let data_plane = self.data_plane.clone();
        self.begun.spawn(async move {
            data_plane.drained().await;
            Happening::Drained
        });
    }

    fn note_address(&mut self, Happened { kind, subject, why }: Happened) {
        self.journal.note(kind, subject, why);
    }

    /// The thread of the virtual addresses has ended: the kernel takes them away by itself, and without it this host has
    /// no part in them until the program is started anew.
    fn needs_addresses_minded(&mut self) -> bool {
        self.addresses.forget();
        let (needs, then) = match self.draining_until {
            _ if !VirtualIps::wanted(&self.part.system, self.part.host) => (false, "none is needed"),
            // It ends as it is; what else is in flight can still be finished.
            Some(_) => (false, "the addresses end before the rest does"),
            None => (true, "stops, to be started anew"),
        };
        let why = format!("the thread of the virtual addresses has ended by itself: {then}");
        self.journal.warn(Kind::Daemon, self.orders.host.clone(), why);
        needs
    }

    /// The last thing that is done. The kernel may take its time, but no more than that.
    async fn let_addresses_go(&mut self) {
        let Some(end) = self.addresses.stop() else { return };
        while let Ok(Some(happened)) = tokio::time::timeout_at(end.into(), self.addresses.happened()).await {
            self.note_address(happened);
        }
    }

    fn stopped(&mut self, why: &str) {
        self.journal.note(Kind::Daemon, self.orders.host.clone(), format!("stops: {why}"));
    }

    /// Reads the file; the databases, if there are any, are asked before anything goes by it.
    fn reload(&mut self) {
        if self.draining_until.is_some() {
            tracing::warn!("not reloaded: the daemon is draining");
            return;
        }
        // An earlier one that is still looked at is overtaken.
        self.reloads += 1;
        let number = self.reloads;
        let read = Part::read(&self.orders.file, &self.orders.host).map_err(anyhow::Error::from);
        let read = read.and_then(|part| Ok((self.databases.changes(&self.part, &part)?, part)));
        match read {
            Ok((Some(changes), part)) => {
                let part = Box::new(part);
                self.begun.spawn(async move {
                    Happening::Checked { number, part, changes: changes.check().await }
                });
            }
            Ok((None, part)) => self.reload_by(Ok((part, None))),
            Err(error) => self.reload_by(Err(error)),
        }
    }

    fn checked(&mut self, number: u64, part: Part, changes: anyhow::Result<databases::Changes>) {
        if number == self.reloads && self.draining_until.is_none() {
            self.reload_by(changes.map(|changes| (part, Some(changes))));
        }
    }

    fn reload_by(&mut self, read: anyhow::Result<(Part, Option<databases::Changes>)>) {
        let before = self.data_plane.listeners();
        let subject = self.file.path.clone();
        match read.and_then(|(part, changes)| self.try_reload(part, changes)) {
            Ok(()) => {
                self.file.generation += 1;
                self.file.loaded_us = journal::now_us();
                self.file.refused = None;
                let why = format!("loaded again, generation {}", self.file.generation);
                self.journal.note(Kind::Reload, subject, why);
                if self.open {
                    self.note_listeners(&before);
                }
            }
            Err(error) => {
                if let Some(PartError::Wrong(mistakes)) = error.downcast_ref() {
                    tracing::warn!("{}", mistakes.render(false).trim_end());
                }
                let why = format!("{error:#}");
                self.journal.warn(
                    Kind::Reload,
                    subject,
                    format!("refused, the old one stays in force: {why}"),
                );
                self.file.refused = Some(why);
            }
        }
    }

    /// All or nothing: whatever can fail comes before anything that changes.
    fn try_reload(&mut self, part: Part, changes: Option<databases::Changes>) -> anyhow::Result<()> {
        let admin = self.read_only.prepare(&part.admin_addresses())?;
        // The machine's next state is worked out on a copy, for the data plane may not be able to follow.
        let mut pools = self.pools.clone();
        let input = Input::Reload { system: part.system.clone(), used: part.pools() };
        pools.handle(Instant::now(), input);
        let addresses = self.addresses.prepare(&part, &self.data_plane)?;
        if let Err(error) = self.data_plane.reload(part.system.clone(), part.host, pools.view()) {
            addresses.withdraw();
            return Err(error.into());
        }
        self.addresses.apply(addresses, &part);
        if let Some(changes) = changes {
            changes.apply();
        }
        self.pools = pools;
        self.read_only.apply(admin, &self.desk);
        if part.workers() != self.part.workers() {
            tracing::warn!("another number of workers takes effect when the daemon is started anew");
        }
        self.part = part;
        self.measure.reload(measuring::about(&self.part));
        Ok(())
    }

    /// Notes the listeners that opened and closed since.
    fn note_listeners(&mut self, before: &[ListenerStatus]) {
        let now = self.data_plane.listeners();
        let missing = |one: &ListenerStatus, from: &[ListenerStatus]| {
            !from.iter().any(|other| other.name == one.name && other.address == one.address)
        };
        for closed in before.iter().filter(|one| missing(one, &now)) {
            let why = format!("closed on {}: no longer in the file", closed.address);
            self.journal.note(Kind::Listener, closed.name.clone(), why);
        }
        for opened in now.iter().filter(|one| missing(one, before)) {
            self.journal.note(Kind::Listener, opened.name.clone(), format!("open on {}", opened.address));
        }
    }

    /// Who asked may have gone meanwhile; then nobody hears the answer.
    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Status(reply) => drop(reply.send(self.status())),
            Ask::Events { after, reply } => drop(reply.send(self.journal.after(after))),
            Ask::Database { order, reply } => self.databases.order(order, reply),
            Ask::Measured { seconds, reply } => self.measured(seconds, reply),
            Ask::Wish { target, wish, reply } => drop(reply.send(self.wish(&target, wish))),
        }
    }

    /// For this host as a load balancer, for members, or for both where they bear one name.
    fn wish(&mut self, target: &str, wish: Wish) -> Result<Vec<String>, UnknownTarget> {
        let members = self.pools.wish(Instant::now(), target, wish);
        if target != self.orders.host {
            // The pools don't know that this host can be meant itself.
            return members.map_err(|mut unknown| {
                if !unknown.known.contains(&self.orders.host) {
                    unknown.known.insert(0, self.orders.host.clone());
                }
                unknown
            });
        }
        // A load balancer has no checks of its own that maintenance could switch off.
        let wish = if wish == Wish::Ready { Wish::Ready } else { Wish::Draining };
        if std::mem::replace(&mut self.wish, wish) != wish {
            self.data_plane.keep_retiring(wish != Wish::Ready);
            let why = match wish {
                Wish::Ready => "serves again",
                _ => {
                    "drained: gives its virtual addresses away, and closes each connection with its next reply"
                }
            };
            self.journal.note(Kind::Wish, self.orders.host.clone(), why.to_owned());
        }
        Ok([vec![self.orders.host.clone()], members.unwrap_or_default()].concat())
    }

    fn status(&mut self) -> Status {
        Status {
            version: nines_admin::api::VERSION,
            system: self.part.system.name.clone(),
            objective: self.part.system.objective.text.clone(),
            host: self.orders.host.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            phase: match (self.draining_until, self.open) {
                (Some(_), _) => Phase::Draining,
                (None, true) => Phase::Serving,
                (None, false) => Phase::Starting,
            },
            file: self.file.clone(),
            wish: self.wish,
            listeners: self.data_plane.listeners(),
            virtual_ips: self.addresses.status(),
            databases: self.databases.status(),
            pools: self.pools.status(Instant::now()),
            statistics: self.data_plane.statistics(),
            events: self.journal.counts().clone(),
            objective_fraction: self.part.system.objective.fraction,
            measured: self.measure.figures(Instant::now()),
            not_kept: self.measure.not_kept(),
            slow: self.slowness.is_slow(),
        }
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
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
