//! The machine over all pools of one host's load balancers: probes and traffic reports in, a [`View`] out.
//!
//! `handle` what happens, then `poll` until there is nothing more to do, and come back at `deadline`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_system::{PoolId, Probe, System};

use crate::event::Kind;
use crate::gate::{Serves, Standing};
use crate::random::Random;
use crate::status::{PoolStatus, Wish};
use crate::traffic::Traffic;
use crate::view::{MemberKey, View};

mod member;
mod names;
mod pool;
mod reach;
mod reload;
mod report;
mod wish;

use member::Member;
use names::Names;
use pool::Pool;

/// Every pool of one host's load balancers.
///
/// A copy is a rehearsal: what a reload would lead to, before anything is done about it.
#[derive(Debug, Clone)]
pub struct Pools {
    system: Arc<System>,
    /// In the order of the system's.
    pools: Vec<Pool>,
    /// Position of each member: pool, member.
    places: BTreeMap<MemberKey, (usize, usize)>,
    names: Names,
    /// Whether [`Output::FirstChecksIn`] was said.
    open: bool,
    keys: u32,
    probes: u64,
    random: Random,
    view: Arc<View>,
    outbox: Outbox,
    /// A broken invariant has been reported.
    defect_said: bool,
    /// The latest time heard of; time never goes back.
    now: Instant,
}

/// Everything that can happen to the pools.
#[derive(Debug)]
pub enum Input {
    /// The deadline has come.
    Timer,
    Probed {
        ticket: Ticket,
        result: Probed,
    },
    Traffic {
        member: MemberKey,
        traffic: Traffic,
    },
    /// The answer to [`Output::Resolve`].
    Resolved {
        name: String,
        addresses: Result<Vec<IpAddr>, String>,
    },
    /// Another system, or the same with other settings. What is known of members that stay is kept.
    Reload {
        system: Arc<System>,
        used: Vec<PoolId>,
    },
}

/// Everything that the pools want done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Probe(ProbeOrder),
    /// The first output after a reload is always one of these: a view goes with its system.
    Publish(Arc<View>),
    Event {
        kind: Kind,
        subject: String,
        why: String,
    },
    /// Once: every member has been checked, or has had its time. Listeners may open.
    FirstChecksIn,
    /// Look this name up; asked again every ten seconds.
    Resolve {
        name: String,
    },
}

/// Goes out with a probe and comes back with its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    member: MemberKey,
    number: u64,
}

impl Ticket {
    /// Whose probe it is.
    pub fn member(&self) -> MemberKey {
        self.member
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ProbeOrder {
    pub ticket: Ticket,
    pub probe: Probe,
    /// The number of the standing that is known of a gate: it answers when it has another one, or in half of the time-out.
    pub seen: u64,
    pub target: SocketAddr,
    /// `app1:8080`: the Host header of an HTTP probe that names no other.
    pub member: String,
    /// The host's name in the system file: `{host}` of a command.
    pub host: String,
    pub timeout: Duration,
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// `HTTP 200`, or what went wrong: `connection refused`.
    pub outcome: Result<String, String>,
    pub took: Duration,
    /// What a gate said of itself.
    pub standing: Option<Standing>,
}

impl Probed {
    pub fn new(outcome: Result<String, String>, took: Duration) -> Self {
        Self { outcome, took, standing: None }
    }

    /// A gate's answer.
    pub fn of_gate(standing: Standing, took: Duration) -> Self {
        let words = reach::words(&standing);
        let outcome = if standing.serves == Serves::Nobody { Err(words) } else { Ok(words) };
        Self { outcome, took, standing: Some(standing) }
    }
}

/// Nothing bears the name that a wish is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTarget {
    pub target: String,
    /// It is a load balancer's host, whose own daemon is to be asked.
    pub elsewhere: bool,
    /// Every name that means something: pools, hosts, members.
    pub known: Vec<String>,
}

impl fmt::Display for UnknownTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.elsewhere {
            return write!(f, "{0} is another load balancer's host: ask its own daemon, on {0}", self.target);
        }
        write!(f, "no host, pool or member is called `{}`", self.target)?;
        match nines_system::nearest(&self.target, self.known.iter().map(String::as_str)) {
            Some(meant) => write!(f, "; did you mean `{meant}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownTarget {}

impl Pools {
    /// `used`: the pools that this host's listeners reach. Nothing is probed in the others and nobody serves there.
    pub fn new(now: Instant, system: Arc<System>, used: Vec<PoolId>, seed: u64) -> Self {
        let mut pools = Self {
            system: system.clone(),
            pools: Vec::new(),
            places: BTreeMap::new(),
            names: Names::default(),
            open: false,
            keys: 0,
            probes: 0,
            random: Random::seeded(seed),
            view: Arc::new(View { pools: Vec::new() }),
            outbox: Outbox::default(),
            defect_said: false,
            now,
        };
        pools.load(now, system, used);
        pools.catch_up(now);
        pools
    }

    /// Something happened. Whatever else is due by `now` is done too.
    pub fn handle(&mut self, now: Instant, input: Input) {
        let now = now.max(self.now);
        let reloads = matches!(input, Input::Reload { .. });
        match input {
            Input::Timer => {}
            Input::Probed { ticket, result } => self.probed(now, ticket, result),
            Input::Traffic { member, traffic } => self.traffic(now, member, traffic),
            Input::Resolved { name, addresses } => {
                self.names.answer(now, &name, addresses, &mut self.outbox);
                self.take_addresses(now);
            }
            Input::Reload { system, used } => self.load(now, system, used),
        }
        self.catch_up(now);
        if reloads {
            self.outbox.put_view_first(self.view.clone());
        }
    }

    /// The next thing wanted done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.take()
    }

    /// When to call `handle` with [`Input::Timer`], if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let used = self.pools.iter().zip(&self.system.pools).filter(|(pool, _)| pool.used);
        used.filter_map(|(pool, rules)| pool.deadline(self.now, rules)).chain(self.names.deadline()).min()
    }

    pub fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    /// Whether every member of a pool is known to be broken, or taken out by the operator.
    pub fn is_down(&self, pool: PoolId) -> bool {
        self.pools.get(pool.index()).is_some_and(Pool::is_down)
    }

    /// What a person sees of the pools that are used here.
    pub fn status(&self, now: Instant) -> Vec<PoolStatus> {
        report::status(self, now.max(self.now))
    }

    /// The operator's wish for a member (`app1:8080`, `web/app1:8080`), everything on a host (`app1`) or a
    /// whole pool (`web`). Names the members that it is for.
    pub fn wish(&mut self, now: Instant, target: &str, wish: Wish) -> Result<Vec<String>, UnknownTarget> {
        let now = now.max(self.now);
        let places = wish::find(&self.system, target)?;
        let mut names = Vec::new();
        for (at, place) in places {
            let rules = &self.system.pools[at];
            let subject = subject(rules, place);
            self.pools[at].members[place].wish(now, wish, rules, &subject, &mut self.outbox);
            names.push(subject);
        }
        self.catch_up(now);
        Ok(names)
    }

    fn probed(&mut self, now: Instant, ticket: Ticket, result: Probed) {
        let Some(&(at, place)) = self.places.get(&ticket.member) else { return };
        let rules = &self.system.pools[at];
        let pool = &mut self.pools[at];
        let member = &mut pool.members[place];
        let Some(began) = member.schedule.end(ticket.number) else { return };
        if let Some(standing) = &result.standing {
            pool.newest.hear(now, standing.term);
        }
        member.judge(now, began, result, rules, &subject(rules, place), &mut self.outbox);
        let wait = member.wait(now, &rules.check, &mut self.random);
        member.schedule.again(now, wait);
    }

    fn traffic(&mut self, now: Instant, key: MemberKey, traffic: Traffic) {
        let Some(&(at, place)) = self.places.get(&key) else { return };
        let rules = &self.system.pools[at];
        // A gate says itself whom it serves, and there may be no other.
        if rules.passive.failures.is_none() || rules.reaches.is_some() {
            return;
        }
        match traffic {
            Traffic::Recovered => {
                let member = &mut self.pools[at].members[place];
                if !member.ejections.is_ejected() {
                    member.ejections.recovered();
                }
            }
            Traffic::Failed(failure) => {
                let member = &mut self.pools[at].members[place];
                member.ejections.failed(now, failure);
                member.schedule.hurry(now, rules.check.fast_interval);
                self.pools[at].eject_if_due(now, place, rules, &mut self.outbox);
            }
        }
    }

    /// Does what is due, and publishes what came of it.
    fn catch_up(&mut self, now: Instant) {
        self.now = now;
        self.names.ask(now, &mut self.outbox);
        self.probe();
        for (pool, rules) in self.pools.iter_mut().zip(&self.system.pools).filter(|(pool, _)| pool.used) {
            pool.settle(now, rules, &mut self.outbox);
        }
        let opens = !self.open && self.pools.iter().all(|pool| !pool.used || pool.is_settled());
        self.open |= opens;
        self.publish_changes(now);
        if opens {
            self.outbox.push(Output::FirstChecksIn);
        }
        if cfg!(debug_assertions) {
            self.check_invariants();
        } else if let Some(broken) = self.broken_invariant().filter(|_| !self.defect_said) {
            // Traffic is worth more than being right about it: in production a defect is reported, not fatal.
            self.defect_said = true;
            self.outbox.event(Kind::Daemon, "pools", format!("a defect, please report it: {broken}"));
        }
    }

    /// Gives up probes that never ended, and begins those that are due.
    fn probe(&mut self) {
        let now = self.now;
        for (pool, rules) in self.pools.iter_mut().zip(&self.system.pools).filter(|(pool, _)| pool.used) {
            for (place, member) in pool.members.iter_mut().enumerate() {
                member.arrange_probes(now, &rules.check.probe);
                member.give_up_lost(now, rules, place, &mut self.random, &mut self.outbox);
                if let Some(target) = member.due(now, rules) {
                    self.probes += 1;
                    let ticket = Ticket { member: member.key, number: self.probes };
                    member.schedule.begin(now, ticket.number, rules.check.timeout);
                    self.outbox.push(Output::Probe(ProbeOrder {
                        ticket,
                        probe: rules.check.probe.clone(),
                        seen: member.seen(),
                        target,
                        member: rules.members[place].name.clone(),
                        host: self.system[rules.members[place].host].name.clone(),
                        timeout: rules.check.timeout,
                    }));
                }
            }
        }
    }

    fn publish_changes(&mut self, now: Instant) {
        let open = self.open;
        let rules = self.system.pools.iter();
        let pools = self.pools.iter_mut().zip(rules);
        let view = View {
            pools: pools.map(|(pool, rules)| pool.view(now, rules, open, &mut self.outbox)).collect(),
        };
        if view != *self.view {
            self.view = Arc::new(view);
            self.outbox.publish(self.view.clone());
        }
    }

    /// Panics if the machine contradicts itself.
    pub fn check_invariants(&self) {
        if let Some(broken) = self.broken_invariant() {
            assert!(broken.is_empty(), "{broken}");
        }
    }

    fn broken_invariant(&self) -> Option<String> {
        if self.deadline().is_some_and(|deadline| deadline <= self.now) {
            return Some("something due was not done".to_owned());
        }
        let parts = self.pools.iter().zip(&self.system.pools).zip(&self.view.pools);
        parts.into_iter().find_map(|((pool, rules), view)| pool.broken_invariant(rules, view))
    }
}

/// `web/app1:8080`.
fn subject(rules: &nines_system::Pool, place: usize) -> String {
    format!("{}/{}", rules.name, rules.members[place].name)
}

/// What is wanted done, until it is polled: what one input can cause, if the shell polls after each.
#[derive(Debug, Clone, Default)]
struct Outbox(VecDeque<Output>);

impl Outbox {
    fn push(&mut self, output: Output) {
        self.0.push_back(output);
    }

    fn event(&mut self, kind: Kind, subject: impl Into<String>, why: String) {
        self.push(Output::Event { kind, subject: subject.into(), why });
    }

    /// Only the latest view is of use.
    fn publish(&mut self, view: Arc<View>) {
        self.0.retain(|output| !matches!(output, Output::Publish(_)));
        self.push(Output::Publish(view));
    }

    fn put_view_first(&mut self, view: Arc<View>) {
        self.0.retain(|output| !matches!(output, Output::Publish(_)));
        self.0.push_front(Output::Publish(view));
    }

    fn take(&mut self) -> Option<Output> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests;
