//! The world: one queue of everything that will happen, worked off in order.
//!
//! Of what is due at one time, faults come first, then packets, then orders, then timers: a process has read everything
//! that has arrived before it is told that time has passed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use std::time::{Duration, Instant};

use nines_control::random::Random;

use crate::trace::Trace;
use crate::{Clock, Conditions, Doing, Fate, Fault, Happened, HostIndex, Input, Network, Program, between};

/// Since the world began.
pub type Time = Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    Running,
    Paused,
    Frozen,
    Down,
}

enum Event<P: Program> {
    Fault(Fault),
    Arrive {
        from: HostIndex,
        to: HostIndex,
        message: P::Message,
    },
    /// `life`: of the process that it is for; `None`: of any.
    Order {
        host: HostIndex,
        life: Option<u64>,
        order: P::Order,
    },
    /// What waited for a process that stood still.
    Waited {
        host: HostIndex,
        life: u64,
        input: Input<P::Message, P::Order>,
    },
    Timer {
        host: HostIndex,
        arming: u64,
    },
}

struct Scheduled<P: Program> {
    at: Time,
    class: u8,
    sequence: u64,
    event: Event<P>,
}

struct Host<P: Program> {
    program: P,
    clock: Clock,
    state: HostState,
    stopped_at: Time,
    /// What waits for a process that stands still.
    inbox: VecDeque<Input<P::Message, P::Order>>,
    /// Grows with each process.
    life: u64,
    /// The timer in force, and when it goes off.
    armed: Option<Time>,
    arming: u64,
}

/// Hosts, what runs on them, and what is between them.
pub struct World<P: Program> {
    now: Time,
    queue: BinaryHeap<Reverse<Scheduled<P>>>,
    sequence: u64,
    random: Random,
    pub network: Network,
    hosts: Vec<Host<P>>,
    /// A timer goes off up to so much late.
    lateness: Duration,
    trace: Trace<Happened<P>>,
    happened: Vec<Happened<P>>,
}

/// Messages that wait in the socket of a process that stands still; what comes after is lost.
pub const INBOX: usize = 256;

impl<P: Program> World<P> {
    /// A world of processes that all start at once. `lateness`: how late a timer may go off.
    pub fn new(seed: u64, programs: Vec<(P, Clock)>, lateness: Duration, trace_lines: usize) -> Self {
        let network = Network::new(programs.len());
        let host = |(program, clock)| Host {
            program,
            clock,
            state: HostState::Down,
            stopped_at: Duration::ZERO,
            inbox: VecDeque::new(),
            life: 0,
            armed: None,
            arming: 0,
        };
        let mut world = Self {
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            sequence: 0,
            random: Random::seeded(seed),
            network,
            hosts: programs.into_iter().map(host).collect(),
            lateness,
            trace: Trace::new(trace_lines),
            happened: Vec::new(),
        };
        for host in 0..world.hosts.len() {
            world.schedule(Duration::ZERO, Fault::Start(host));
        }
        world
    }

    pub fn now(&self) -> Time {
        self.now
    }

    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    pub fn program(&self, host: HostIndex) -> &P {
        &self.hosts[host].program
    }

    pub fn state(&self, host: HostIndex) -> HostState {
        self.hosts[host].state
    }

    pub fn is_running(&self, host: HostIndex) -> bool {
        self.state(host) == HostState::Running
    }

    /// What the host's clock shows.
    pub fn local(&self, host: HostIndex) -> Instant {
        self.hosts[host].clock.shows(self.now)
    }

    pub fn trace(&self) -> &Trace<Happened<P>> {
        &self.trace
    }

    /// What happened in the last step.
    pub fn happened(&self) -> &[Happened<P>] {
        &self.happened
    }

    pub fn schedule(&mut self, at: Time, fault: Fault) {
        self.push(at, 0, Event::Fault(fault));
    }

    /// A process is told something by its surroundings.
    pub fn order(&mut self, at: Time, host: HostIndex, order: P::Order) {
        self.push(at, 2, Event::Order { host, life: None, order });
    }

    /// Every fault ends, also those to come; processes that are down start.
    pub fn heal(&mut self, conditions: Conditions) {
        self.network.mend(conditions);
        let queue = std::mem::take(&mut self.queue);
        self.queue = queue.into_iter().filter(|one| !matches!(one.0.event, Event::Fault(_))).collect();
        for host in 0..self.hosts.len() {
            match self.state(host) {
                HostState::Running => {}
                HostState::Paused | HostState::Frozen => self.schedule(self.now, Fault::Resume(host)),
                HostState::Down => self.schedule(self.now, Fault::Start(host)),
            }
        }
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Time> {
        self.queue.peek().map(|next| next.0.at)
    }

    /// Lets one thing happen, with what follows from it at once. False if nothing ever will.
    pub fn step(&mut self) -> bool {
        self.happened.clear();
        let Some(Reverse(next)) = self.queue.pop() else { return false };
        self.now = self.now.max(next.at);
        match next.event {
            Event::Fault(fault) => self.apply(fault),
            Event::Arrive { from, to, message } => self.arrive(from, to, message),
            Event::Order { host, life, order } => {
                let known = life.is_none_or(|life| life == self.hosts[host].life);
                match self.state(host) {
                    HostState::Running if known => self.give(host, Input::Order(order)),
                    HostState::Paused | HostState::Frozen if known => {
                        self.hosts[host].inbox.push_back(Input::Order(order));
                    }
                    _ => {}
                }
            }
            Event::Waited { host, life, input } if life == self.hosts[host].life => {
                if self.is_running(host) {
                    self.give(host, input);
                } else {
                    self.hosts[host].inbox.push_back(input);
                }
            }
            Event::Waited { .. } => {}
            Event::Timer { host, arming } => self.timer(host, arming),
        }
        true
    }

    /// Time passes until then, if nothing happens before.
    pub fn skip_to(&mut self, at: Time) {
        if self.next_at().is_none_or(|next| next >= at) {
            self.now = self.now.max(at);
        }
    }

    fn apply(&mut self, fault: Fault) {
        let before = |host: HostIndex| self.hosts[host].state;
        let state = match fault {
            Fault::Pause(host) if before(host) == HostState::Running => Some((host, HostState::Paused)),
            Fault::Freeze(host) if before(host) == HostState::Running => Some((host, HostState::Frozen)),
            Fault::Resume(host) if matches!(before(host), HostState::Paused | HostState::Frozen) => {
                Some((host, HostState::Running))
            }
            Fault::Crash(host) if before(host) != HostState::Down => Some((host, HostState::Down)),
            Fault::Start(host) if before(host) == HostState::Down => Some((host, HostState::Running)),
            Fault::Pause(_) | Fault::Freeze(_) | Fault::Resume(_) | Fault::Crash(_) | Fault::Start(_) => {
                return;
            }
            Fault::Cut(from, to) => return self.link(fault, |network| network.cut(from, to, true)),
            Fault::Mend(from, to) => return self.link(fault, |network| network.cut(from, to, false)),
            Fault::Weather(from, to, conditions) => {
                return self.link(fault, |network| network.set(from, to, conditions));
            }
        };
        let Some((host, state)) = state else { return };
        self.record(Happened::Fault(fault));
        self.hosts[host].state = state;
        match fault {
            Fault::Start(_) => {
                self.hosts[host].life += 1;
                let now = self.local(host);
                let mut doing = Doing::default();
                self.hosts[host].program.start(now, &mut doing);
                self.carry_out(host, doing);
            }
            Fault::Crash(_) => {
                self.hosts[host].program.crash();
                self.hosts[host].inbox.clear();
                self.hosts[host].armed = None;
            }
            Fault::Resume(_) => self.resume(host),
            _ => self.hosts[host].stopped_at = self.now,
        }
    }

    fn link(&mut self, fault: Fault, change: impl FnOnce(&mut Network)) {
        change(&mut self.network);
        self.record(Happened::Fault(fault));
    }

    fn resume(&mut self, host: HostIndex) {
        let clock = self.hosts[host].clock;
        let stood = clock.shows(self.now) - clock.shows(self.hosts[host].stopped_at);
        self.record(Happened::Resumed(host, stood));
        let life = self.hosts[host].life;
        for input in std::mem::take(&mut self.hosts[host].inbox) {
            self.push(self.now, 1, Event::Waited { host, life, input });
        }
        self.hosts[host].armed = None;
        self.arm(host);
    }

    fn arrive(&mut self, from: HostIndex, to: HostIndex, message: P::Message) {
        let waiting = self.hosts[to].inbox.len();
        match self.state(to) {
            HostState::Running => self.give(to, Input::Message { from, message }),
            HostState::Paused if waiting < INBOX => {
                self.hosts[to].inbox.push_back(Input::Message { from, message });
            }
            HostState::Paused | HostState::Frozen | HostState::Down => {
                self.record(Happened::Lost(from, to, message));
            }
        }
    }

    fn timer(&mut self, host: HostIndex, arming: u64) {
        if self.hosts[host].arming != arming || !self.is_running(host) {
            return;
        }
        self.hosts[host].armed = None;
        let now = self.local(host);
        if self.hosts[host].program.deadline().is_some_and(|deadline| deadline <= now) {
            self.give(host, Input::Timer);
        } else {
            self.arm(host);
        }
    }

    fn give(&mut self, host: HostIndex, input: Input<P::Message, P::Order>) {
        self.record(match &input {
            Input::Timer => Happened::Timer(host),
            Input::Message { from, message } => Happened::Read(*from, host, message.clone()),
            Input::Order(order) => Happened::Ordered(host, order.clone()),
        });
        let now = self.local(host);
        let mut doing = Doing::default();
        self.hosts[host].program.handle(now, input, &mut doing);
        self.carry_out(host, doing);
    }

    fn carry_out(&mut self, host: HostIndex, doing: Doing<P>) {
        for note in doing.notes {
            self.record(Happened::Noted(host, note));
        }
        for (to, message) in doing.sends {
            self.record(Happened::Sent(host, message.clone()));
            let targets = to.map_or(0..self.hosts.len(), |to| to..to + 1);
            for target in targets.filter(|&target| target != host) {
                self.send(host, target, message.clone());
            }
        }
        let life = Some(self.hosts[host].life);
        for (after, order) in doing.later {
            self.push(self.now + after, 2, Event::Order { host, life, order });
        }
        self.arm(host);
    }

    fn send(&mut self, from: HostIndex, to: HostIndex, message: P::Message) {
        match self.network.carry(from, to, &mut self.random) {
            Fate::Lost => self.record(Happened::Lost(from, to, message)),
            Fate::Arrives(delay) => self.push(self.now + delay, 1, Event::Arrive { from, to, message }),
            Fate::ArrivesTwice(first, second) => {
                let again = message.clone();
                self.push(self.now + first, 1, Event::Arrive { from, to, message });
                self.push(self.now + second, 1, Event::Arrive { from, to, message: again });
            }
        }
    }

    /// A deadline that moves away leaves the timer as it is: it goes off, finds nothing due, and is set anew.
    fn arm(&mut self, host: HostIndex) {
        let Some(deadline) = self.hosts[host].program.deadline() else { return };
        let at = self.hosts[host].clock.when(deadline).max(self.now);
        if self.hosts[host].armed.is_some_and(|armed| armed <= at + self.lateness) {
            return;
        }
        let at = at + between(&mut self.random, Duration::ZERO, self.lateness);
        self.hosts[host].arming += 1;
        self.hosts[host].armed = Some(at);
        let arming = self.hosts[host].arming;
        self.push(at, 3, Event::Timer { host, arming });
    }

    fn push(&mut self, at: Time, class: u8, event: Event<P>) {
        self.sequence += 1;
        self.queue.push(Reverse(Scheduled { at, class, sequence: self.sequence, event }));
    }

    fn record(&mut self, happened: Happened<P>) {
        self.trace.push(self.now, happened.clone());
        self.happened.push(happened);
    }
}

impl<P: Program> Scheduled<P> {
    fn key(&self) -> (Time, u8, u64) {
        (self.at, self.class, self.sequence)
    }
}

impl<P: Program> PartialEq for Scheduled<P> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<P: Program> Eq for Scheduled<P> {}

impl<P: Program> PartialOrd for Scheduled<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P: Program> Ord for Scheduled<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
