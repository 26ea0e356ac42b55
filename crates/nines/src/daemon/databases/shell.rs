//! What runs `control::failover` for one database on this host: a thread that carries what happens to the machine, and what it wants
//! done to the store, to PostgreSQL's hands and to the gate.
//!
//! It decides nothing. Everything that has arrived is given to the machine before the time is, so that a thread that ran late does not take
//! its own sleep for another's silence.

mod wishes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_admin::api::Problem;
use nines_control::event;
use nines_control::failover::{
    self, Effect, Failover, Gate as Wanted, Host, Input, Kind, Output, Report, Value,
};
use nines_control::status::DatabaseStatus;
use nines_coordination::{Error, Registers, Seen, Watch};
use nines_database::hands::{self, Hands, Leaving, Records, Told};
use nines_system::{DatabaseId, System};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::door::Door;
use super::names::Names;
use super::registers::{Answer, Shelf};
use super::reload::Change;
use super::store::Opening;
use super::trouble::{Of, Troubles};
use super::{Happened, LEAVE, Order, standing};
use crate::daemon::part::Part;
use wishes::Asked;

/// What this host knows of the store is written down at least so often.
const REMEMBER: Duration = Duration::from_secs(10);
/// PostgreSQL that can't be taken in hand is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// A change that failed is told to the machine no sooner than this after it was asked for, so that it does not spin.
const FAILED: Duration = Duration::from_millis(50);

/// A database that flaps fails over no more than once in this time.
const APART: Duration = Duration::from_secs(60);

pub(super) struct Shell {
    name: String,
    settings: failover::Settings,
    hands: hands::Settings,
    names: Names,
    opening: Opening,
    door: Arc<Door>,
    lag: u64,
    orders: mpsc::Receiver<Order>,
    news: mpsc::Sender<Happened>,
    status: watch::Sender<DatabaseStatus>,
    troubles: Troubles,
    /// The latest conflict or refusal, for as long as this host is not well again.
    ailment: Option<String>,
}

/// What takes time, and has ended.
enum Ended {
    Wished(Asked, Value, Answer),
    Opened(Result<Registers, Error>),
    Set(Answer),
    Remembered(anyhow::Result<()>),
    Checked(
        Box<Change>,
        oneshot::Sender<Result<Box<Change>, String>>,
        Result<hands::Checked, hands::Refusal>,
    ),
}

/// The machine and all that it works with, once PostgreSQL is in hand.
struct Life {
    machine: Failover,
    hands: Hands,
    records: Records,
    report: Option<Report>,
    /// What is done to PostgreSQL now ends its replication: reports that were made before say nothing of it.
    ends_replication: bool,
    begun: JoinSet<Ended>,
    store: Option<Open>,
    /// What is known of the store is being written: on a disk that hangs that takes its time.
    remembering: bool,
    /// The gate is held, and whether it has become idle is not known yet.
    holding: bool,
    leaving: Option<Instant>,
}

/// The store, since it answered.
struct Open {
    shelf: Shelf,
    watch: Watch,
    /// What all registers held at first, until all of it is there.
    first: Option<Vec<(failover::Register, failover::Revision, failover::Value)>>,
    remembered: Option<Instant>,
}

impl Shell {
    /// Opens the gate's ports, which stay shut to everybody so far.
    ///
    /// # Errors
    /// A port is taken; a password can't be read; this database can't be run on this host.
    pub(super) fn open(
        part: &Part,
        id: DatabaseId,
        orders: mpsc::Receiver<Order>,
        news: mpsc::Sender<Happened>,
    ) -> anyhow::Result<(Self, watch::Receiver<DatabaseStatus>)> {
        let system: &Arc<System> = &part.system;
        let database = &system[id];
        let coordination = system
            .coordination
            .as_ref()
            .ok_or_else(|| anyhow::anyhow!("a database without coordination: {}", database.name))?;
        let me = Host::from(system[part.host].name.as_str());
        let door = Arc::new(Door::open(system, id, part.host)?);
        let name = database.name.clone();
        let status = watch::Sender::new(DatabaseStatus { name: name.clone(), ..DatabaseStatus::default() });
        let told = status.subscribe();
        let shell = Self {
            settings: settings(system, id, &me),
            hands: hands::Settings::of(system, id, part.host)?,
            names: Names::of(system, id, part.host),
            opening: Opening::of(system, coordination, &database.data)?,
            lag: database.lag,
            name,
            door,
            orders,
            news,
            status,
            troubles: Troubles::default(),
            ailment: None,
        };
        Ok((shell, told))
    }

    /// Until it is told to leave. To be called on a thread of its own.
    pub(super) fn run(self) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "a database cannot be looked after"),
        };
        runtime.block_on(tokio::task::LocalSet::new().run_until(self.live()));
        runtime.shutdown_background();
    }

    async fn live(mut self) {
        let _names = self.names.look_up(&self.hands.peers);
        let Some(hands) = self.take_hands().await else { return };
        let mut life = Life {
            machine: Failover::new(Instant::now(), self.settings.clone()),
            records: hands.records(),
            hands,
            report: None,
            ends_replication: false,
            begun: JoinSet::new(),
            store: None,
            remembering: false,
            holding: false,
            leaving: None,
        };
        self.open_store(&mut life);
        loop {
            self.perform(&mut life);
            self.show(&life);
            if self.has_left(&life) {
                break;
            }
            self.next(&mut life).await;
        }
        life.hands.stop(Leaving::Stopped).await;
        self.say(event::Kind::Daemon, "PostgreSQL is stopped".to_owned());
    }

    /// Tries until PostgreSQL and its data are in hand; `None` if it is to leave before that.
    async fn take_hands(&mut self) -> Option<Hands> {
        loop {
            let refusal = tokio::select! {
                taken = Hands::take(self.hands.clone(), self.door.clone()) => match taken {
                    Ok(hands) => {
                        self.troubles.over(|of| matches!(of, Of::Hands(_)));
                        return Some(hands);
                    }
                    Err(refusal) => refusal.to_string(),
                },
                order = self.orders.recv() => {
                    self.order_early(order, "it has only just started: ask again")?;
                    continue;
                }
            };
            self.complain(Of::Hands(refusal.clone()), refusal.clone());
            self.show_refusal(&refusal);
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                order = self.orders.recv() => self.order_early(order, &refusal)?,
            }
        }
    }

    /// What can be done before PostgreSQL is in hand; `None`: it is to leave.
    fn order_early(&mut self, order: Option<Order>, why_not: &str) -> Option<()> {
        match order? {
            Order::Leave => return None,
            Order::Verb { reply, .. } => drop(reply.send(Err(Problem::new(why_not.to_owned())))),
            // It is looked at when it is taken in hand.
            Order::Check { change, reply } => drop(reply.send(Ok(change))),
            Order::Change(change) => self.change_early(*change),
        }
        Some(())
    }

    /// Nobody else says what is in the way.
    fn show_refusal(&self, why: &str) {
        self.status.send_modify(|shown| shown.problems = vec![why.to_owned()]);
    }

    fn open_store(&self, life: &mut Life) {
        let opening = self.opening.clone();
        life.begun.spawn(async move { Ended::Opened(opening.try_it().await) });
    }

    /// Waits for the next thing to happen, and gives it to the machine.
    async fn next(&mut self, life: &mut Life) {
        let deadline = life.machine.deadline();
        let leave = life.leaving;
        tokio::select! {
            biased;
            Some(order) = self.orders.recv() => self.order(life, order),
            seen = seen(&mut life.store) => self.seen(life, seen),
            Some(ended) = life.begun.join_next() => match ended {
                Ok(ended) => self.ended(life, ended),
                Err(error) => tracing::error!(%error, "a task of a database failed"),
            },
            told = life.hands.next() => self.told(life, told),
            () = self.door.idle(), if life.holding => {
                life.holding = false;
                life.give(Input::GateIdle);
            }
            () = super::super::until(deadline) => life.give(Input::Timer),
            () = super::super::until(leave) => {}
        }
    }

    fn order(&mut self, life: &mut Life, order: Order) {
        match order {
            Order::Leave => {
                life.leaving = Some(Instant::now() + LEAVE / 2);
                life.give(Input::Leave);
            }
            Order::Check { change, reply } => {
                let check = life.hands.check(change.hands.clone());
                life.begun.spawn(async move { Ended::Checked(change, reply, check.await) });
            }
            Order::Change(change) => self.change(life, *change),
            Order::Verb { verb, reply } => {
                self.wish(life, Asked::new(verb, reply));
            }
        }
    }

    /// What a file that was loaded again wants otherwise.
    fn change(&mut self, life: &mut Life, change: Change) {
        life.machine.reconfigure(Instant::now(), &change.failover);
        if let Some(checked) = change.checked {
            life.hands.reconfigure(checked);
        }
        self.lag = change.lag;
    }

    /// The same before PostgreSQL is in hand: what is in the way may be what the file said before.
    fn change_early(&mut self, change: Change) {
        self.settings = failover::Settings {
            lease: self.settings.lease,
            heartbeat: self.settings.heartbeat,
            ..change.failover
        };
        // Where the hosts are stays, and some of it was looked up.
        self.hands = hands::Settings { peers: self.hands.peers.clone(), ..change.hands };
        self.lag = change.lag;
    }

    fn seen(&mut self, life: &mut Life, seen: Seen) {
        let Some(store) = &mut life.store else { return };
        match seen {
            Seen::Change(change) => {
                let of = Of::Register(change.key.to_string());
                match (store.shelf.read(change), &mut store.first) {
                    (Some(Err(why)), _) => {
                        return self.complain(of, format!("the coordination store: {why}"));
                    }
                    (Some(Ok(held)), Some(first)) => first.push(held),
                    (Some(Ok((register, revision, value))), None) => {
                        life.give(Input::Changed { register, revision, value });
                    }
                    (None, _) => {}
                }
                self.troubles.over(|known| *known == of);
            }
            Seen::Current { .. } => {
                self.troubles.read(Instant::now());
                match store.first.take() {
                    Some(first) => life.give(Input::Registers(first)),
                    None => life.give(Input::Contact),
                }
                self.remember(life);
            }
            Seen::Trouble(error) => self.complain(Of::store(&error), error.to_string()),
        }
    }

    /// Writes down what is known of the store, if it is time; one at a time.
    fn remember(&self, life: &mut Life) {
        let Some(store) = life.store.as_mut().filter(|_| !life.remembering) else { return };
        if store.remembered.is_some_and(|at| at.elapsed() < REMEMBER) {
            return;
        }
        store.remembered = Some(Instant::now());
        life.remembering = true;
        let (opening, known) = (self.opening.clone(), store.shelf.registers().known());
        life.begun.spawn_blocking(move || Ended::Remembered(opening.remember(&known)));
    }

    fn ended(&mut self, life: &mut Life, ended: Ended) {
        match ended {
            Ended::Opened(Ok(registers)) => {
                let Ok(root) = Shelf::root(&self.name) else { return };
                let watch = registers.watch(Some(&root));
                let shelf = Shelf::new(registers, &self.name);
                life.store = Some(Open { shelf, watch, first: Some(Vec::new()), remembered: None });
                self.remember(life);
            }
            Ended::Opened(Err(error)) => {
                self.complain(Of::store(&error), error.to_string());
                self.open_store(life);
            }
            Ended::Set(answer) => {
                let Some(store) = &mut life.store else { return };
                if answer.won() {
                    self.troubles.written();
                }
                let (inputs, error) = store.shelf.answered(answer);
                if let Some(error) = error.filter(|error| self.troubles.note_write(Instant::now(), error)) {
                    self.say(event::Kind::Conflict, error.to_string());
                }
                for input in inputs {
                    life.give(input);
                }
            }
            Ended::Wished(asked, value, answer) => self.wished(life, asked, &value, answer),
            // Nobody waits for it any more, if this fails.
            Ended::Checked(change, reply, checked) => drop(reply.send(match checked {
                Ok(checked) => Ok(Box::new(Change { checked: Some(checked), ..*change })),
                Err(refusal) => Err(refusal.to_string()),
            })),
            Ended::Remembered(done) => {
                life.remembering = false;
                match done {
                    Ok(()) => self.troubles.over(|of| *of == Of::Memory),
                    Err(error) => self.complain(Of::Memory, format!("{error:#}")),
                }
            }
        }
    }

    fn told(&mut self, life: &mut Life, told: Told) {
        match told {
            Told::Report(report) => {
                if !life.ends_replication {
                    self.door.replicate(&report, &life.records);
                }
                life.report = Some(report.clone());
                life.give(Input::Engine(report));
            }
            Told::Done { id, result, report } => {
                life.ends_replication = false;
                self.door.replicate(&report, &life.records);
                life.report = Some(report.clone());
                life.give(Input::Done { id, result, report });
            }
            Told::Note(note) => self.say(event::Kind::Following, note),
        }
    }

    /// Does everything that the machine wants done.
    fn perform(&mut self, life: &mut Life) {
        while let Some(output) = life.machine.poll() {
            match output {
                Output::Set { id, register, expected, value } => {
                    let Some(store) = &life.store else { continue };
                    let deadline = Instant::now() + self.settings.lease / 2;
                    let set = store.shelf.set(id, register, expected, &value, deadline);
                    life.begun.spawn(async move {
                        let begin = Instant::now();
                        let answer = set.await;
                        if answer.tells_nothing() {
                            tokio::time::sleep_until((begin + FAILED).into()).await;
                        }
                        Ended::Set(answer)
                    });
                }
                Output::Do { id, effect } => {
                    life.ends_replication =
                        !matches!(effect, Effect::SetSynchronous { .. } | Effect::Measure);
                    life.hands.perform(id, effect);
                }
                Output::Gate(gate) => {
                    life.holding = matches!(gate, Wanted::Hold { .. });
                    self.door.set(&gate);
                }
                Output::Event { kind, why } => self.say(word(kind), why),
            }
        }
    }

    /// Tells everybody how it stands.
    fn show(&mut self, life: &Life) {
        let facts = life.records.facts();
        let now = Instant::now();
        let known = life.machine.status(now);
        let standing = standing::standing(&life.machine, &known, life.report.as_ref(), self.lag);
        self.door.stand(&standing, self.settings.lease);
        if standing::is_well(&known) && self.troubles.is_empty() {
            self.ailment = None;
        }
        let mut status = standing::status(&self.name, known, &facts, &self.door.counts());
        status.problems.extend(self.ailment.clone());
        self.status.send_if_modified(|shown| {
            let changed = *shown != status;
            if changed {
                *shown = status;
            }
            changed
        });
    }

    /// It has let go of everything that others wait for, or they have waited long enough.
    fn has_left(&self, life: &Life) -> bool {
        life.leaving.is_some_and(|until| life.machine.has_let_go() || Instant::now() >= until)
    }

    /// What goes wrong, and may go on doing so.
    fn complain(&mut self, of: Of, why: String) {
        if self.troubles.note(Instant::now(), of) {
            self.say(event::Kind::Conflict, why);
        }
    }

    fn say(&mut self, kind: event::Kind, why: String) {
        if matches!(kind, event::Kind::Conflict | event::Kind::Refused) {
            self.ailment = Some(why.clone());
        }
        let subject = self.name.clone();
        // Who does not read for so long has other troubles than this event.
        let _ = self.news.try_send(Happened { kind, subject, why });
    }
}

impl Life {
    fn give(&mut self, input: Input) {
        self.machine.handle(Instant::now(), input);
    }
}

/// The next that the store tells; never before it is open.
async fn seen(store: &mut Option<Open>) -> Seen {
    match store {
        Some(store) => store.watch.next().await,
        None => std::future::pending().await,
    }
}

/// As it is called beside everything else that happens on a host.
fn word(kind: Kind) -> event::Kind {
    match kind {
        Kind::Takeover => event::Kind::Takeover,
        Kind::Refused => event::Kind::Refused,
        Kind::Serving => event::Kind::Taken,
        Kind::Released => event::Kind::Released,
        Kind::Cohort => event::Kind::Cohort,
        Kind::Following => event::Kind::Following,
        Kind::Conflict => event::Kind::Conflict,
    }
}

/// What the machine is told of a database of the file.
pub(super) fn settings(system: &System, id: DatabaseId, me: &Host) -> failover::Settings {
    let database = &system[id];
    let names = database.hosts.iter().map(|&host| Host::from(system[host].name.as_str()));
    failover::Settings {
        me: me.clone(),
        hosts: names.collect(),
        confirm: database.confirm,
        durability: match database.durability {
            nines_system::Durability::Strict => failover::Durability::Strict,
            nines_system::Durability::Available => failover::Durability::Available,
        },
        lease: database.lease,
        heartbeat: database.heartbeat,
        clock_error: 0.05,
        absent_after: nines_system::ABSENT_AFTER_LEASES * database.lease,
        apart: APART,
        lag: 16 << 20,
        switchover_within: database.switchover_within,
        promote_within: 4 * database.lease,
        retry_after: database.lease / 2,
    }
}
