//! A host with virtual routers: the machine of `control`, what drives it, and the kernel that has the addresses.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nines_control::random::Random;
use nines_control::vrrp::Input as Given;
use nines_control::vrrp::{Advertisement, Fitness, Output, RouterIndex, Routers, Settings};

use super::mistake::{Mistake, Tampering};
use super::scene::Scene;
use crate::{Doing, HostIndex, Input, Program, between};

/// How long the kernel keeps an address that the process no longer renews.
pub(super) const LIFETIME: Duration = Duration::from_secs(3);
const RENEWAL: Duration = Duration::from_secs(1);
/// A process that starts finds out that it can serve within so long.
pub(super) const START_UP: Duration = Duration::from_millis(50);

/// An advertisement on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub(super) router: RouterIndex,
    pub(super) said: Rc<Advertisement>,
}

impl Hash for Packet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.router, u64::from(self.said.priority), self.said.interval).hash(state);
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vip{} priority {}", self.router + 1, self.said.priority)
    }
}

/// What a host can do for an address's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    Fit,
    Slow,
    Sick,
    Leaving,
    Unfit,
}

impl Condition {
    pub(super) fn fitness(self) -> Fitness {
        match self {
            Self::Fit => Fitness::Fit,
            Self::Slow => Fitness::Slow("stands still again and again".to_owned()),
            Self::Sick => Fitness::Sick("its pool is down".to_owned()),
            Self::Leaving => Fitness::Leaving("drained".to_owned()),
            Self::Unfit => Fitness::Unfit("no listener".to_owned()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Order {
    /// The process has started, and knows how its host is.
    Ready,
    Become(RouterIndex, Condition),
    Idle(RouterIndex),
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("how its host is"),
            Self::Become(router, condition) => write!(f, "that it is {condition:?} for vip{}", router + 1),
            Self::Idle(router) => write!(f, "that nothing is connected to vip{}", router + 1),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Note {
    Takes(RouterIndex),
    Lingers(RouterIndex),
    LetsGo(RouterIndex),
    Says(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Takes(router) => write!(f, "TAKES vip{}", router + 1),
            Self::Lingers(router) => write!(f, "LINGERS on vip{}", router + 1),
            Self::LetsGo(router) => write!(f, "LETS GO of vip{}", router + 1),
            Self::Says(text) => write!(f, "says: {text}"),
        }
    }
}

/// What runs on a host, and what outlives it there.
#[derive(Debug)]
pub struct VrrpHost {
    /// The address that each host's advertisements of each router come from.
    sources: Vec<Vec<IpAddr>>,
    settings: Vec<Settings>,
    tampering: Option<Tampering>,
    random: Random,
    /// How the host is; it stays so when the process dies.
    conditions: Vec<Condition>,
    /// Until when the kernel has each router's addresses.
    kept_until: Vec<Option<Instant>>,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    machine: Routers,
    ready: bool,
    /// What it has on the interface for all that it knows.
    shown: Vec<bool>,
    renew_at: Instant,
}

impl VrrpHost {
    pub(super) fn new(scene: &Scene, host: HostIndex, seed: u64, mistake: Option<Mistake>) -> Self {
        let settings = scene.settings(host, mistake == Some(Mistake::SplitsGroups));
        let routers = settings.len();
        Self {
            sources: scene.sources(),
            tampering: mistake.map(|mistake| Tampering::new(mistake, settings.clone())),
            settings,
            random: Random::seeded(seed),
            conditions: vec![Condition::Fit; routers],
            kept_until: vec![None; routers],
            process: None,
        }
    }

    pub(super) fn is_master(&self, router: RouterIndex) -> bool {
        self.process.as_ref().is_some_and(|process| process.machine.is_master(router))
    }

    /// Whether the kernel answers for the addresses.
    pub(super) fn has_addresses(&self, router: RouterIndex, now: Instant) -> bool {
        self.kept_until[router].is_some_and(|until| now < until)
    }

    /// Whether what was put out and what the machine says of itself are the same.
    pub(super) fn is_consistent(&self, router: RouterIndex) -> bool {
        let same = |process: &Process| process.shown[router] == process.machine.holds(router);
        self.process.as_ref().is_none_or(same)
    }

    /// How the process believes its host to be for this router alone.
    pub(super) fn condition(&self, router: RouterIndex) -> Condition {
        if self.process.as_ref().is_some_and(|process| process.ready) {
            self.conditions[router]
        } else {
            Condition::Unfit
        }
    }

    pub(super) fn machine(&self) -> Option<&Routers> {
        self.process.as_ref().map(|process| &process.machine)
    }

    /// Gives it to the machine, and does what that puts out.
    fn give(&mut self, now: Instant, given: Given, doing: &mut Doing<Self>) {
        let Some(process) = &mut self.process else { return };
        let given = match &mut self.tampering {
            Some(tampering) => tampering.before(now, given, &process.machine, doing),
            None => vec![given],
        };
        for given in given {
            process.machine.handle(now, given);
        }
        while let Some(output) = process.machine.poll() {
            let output = match &mut self.tampering {
                Some(tampering) => tampering.after(output),
                None => Some(output),
            };
            match output {
                Some(Output::Send { router, advertisement }) => {
                    doing.broadcast(Packet { router, said: Rc::new(advertisement) });
                }
                Some(Output::Take { router, .. }) => {
                    process.shown[router] = true;
                    self.kept_until[router] = Some(now + LIFETIME);
                    doing.note(Note::Takes(router));
                }
                Some(Output::Linger { router }) => {
                    doing.note(Note::Lingers(router));
                    if is(&self.tampering, Mistake::KernelLosesAddresses) {
                        self.kept_until[router] = None;
                    }
                    let linger = self.settings[router].linger;
                    doing.later(between(&mut self.random, Duration::ZERO, 2 * linger), Order::Idle(router));
                }
                Some(Output::LetGo { router }) => {
                    process.shown[router] = false;
                    let kept = is(&self.tampering, Mistake::KernelKeepsAddresses);
                    self.kept_until[router] = kept.then(|| now + Duration::from_secs(3600));
                    doing.note(Note::LetsGo(router));
                }
                Some(Output::Event { kind, subject, why }) => {
                    doing.note(Note::Says(format!("{subject} {}: {why}", kind.word())));
                }
                Some(Output::Announce { .. }) | None => {}
            }
        }
    }

    /// The master has its addresses whatever the kernel did meanwhile; others keep only what is still there.
    fn renew(&mut self, now: Instant) {
        let Some(process) = &mut self.process else { return };
        if now < process.renew_at {
            return;
        }
        process.renew_at = now + RENEWAL;
        for (router, kept_until) in self.kept_until.iter_mut().enumerate() {
            let there = kept_until.is_some_and(|until| now < until);
            if process.shown[router] && (there || process.machine.is_master(router)) {
                *kept_until = Some(now + LIFETIME);
            }
        }
    }
}

fn is(tampering: &Option<Tampering>, mistake: Mistake) -> bool {
    tampering.as_ref().is_some_and(|tampering| tampering.is(mistake))
}

impl Program for VrrpHost {
    type Message = Packet;
    type Order = Order;
    type Note = Note;

    fn start(&mut self, now: Instant, doing: &mut Doing<Self>) {
        self.process = Some(Process {
            machine: Routers::new(now, self.settings.clone()),
            ready: false,
            shown: vec![false; self.settings.len()],
            renew_at: now + RENEWAL,
        });
        doing.later(between(&mut self.random, Duration::ZERO, START_UP), Order::Ready);
    }

    fn crash(&mut self) {
        self.process = None;
    }

    fn handle(&mut self, now: Instant, input: Input<Packet, Order>, doing: &mut Doing<Self>) {
        match input {
            Input::Timer => {
                self.give(now, Given::Timer, doing);
                self.renew(now);
            }
            Input::Message { from, message } => {
                let Packet { router, said } = message;
                let from = self.sources[from][router];
                self.give(
                    now,
                    Given::Heard { router, from, advertisement: Rc::unwrap_or_clone(said) },
                    doing,
                );
            }
            Input::Order(Order::Ready) => {
                if let Some(process) = &mut self.process {
                    process.ready = true;
                }
                for router in 0..self.conditions.len() {
                    let fitness = self.conditions[router].fitness();
                    self.give(now, Given::Fitness { router, fitness }, doing);
                }
            }
            Input::Order(Order::Become(router, condition)) => {
                self.conditions[router] = condition;
                if self.process.as_ref().is_some_and(|process| process.ready) {
                    self.give(now, Given::Fitness { router, fitness: condition.fitness() }, doing);
                }
            }
            Input::Order(Order::Idle(router)) => self.give(now, Given::Idle { router }, doing),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let process = self.process.as_ref()?;
        Some(process.machine.deadline().map_or(process.renew_at, |at| at.min(process.renew_at)))
    }
}
