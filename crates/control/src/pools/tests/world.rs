//! A world around a [`Pools`] in which the test decides what checks and names say, and when time passes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use crate::gate::{Serves, Standing};
use crate::status::MemberStatus;
use crate::traffic::Failure;
use crate::view::{MemberView, PoolView, Serving};

pub(super) const HALF_A_MS: Duration = Duration::from_micros(500);

pub(super) struct World {
    pub(super) pools: Pools,
    pub(super) system: Arc<System>,
    pub(super) start: Instant,
    pub(super) now: Instant,
    /// Members whose checks fail, and those whose checks never end.
    pub(super) bad: BTreeSet<String>,
    pub(super) mute: BTreeSet<String>,
    pub(super) names: BTreeMap<String, Result<Vec<IpAddr>, String>>,
    /// What came out, with the milliseconds since the start.
    pub(super) events: Vec<(u128, Kind, String)>,
    pub(super) views: Vec<(u128, Arc<View>)>,
    pub(super) probes: Vec<(u128, String)>,
    pub(super) opened: Option<u128>,
    pub(super) lookups: Vec<u128>,
    coming: Vec<(Instant, Ticket, Probed)>,
    /// What gates say of themselves, by host, and questions that wait for something else than they have heard.
    pub(super) standings: BTreeMap<String, Standing>,
    asked: Vec<ProbeOrder>,
    numbers: u64,
}

/// A database on the hosts db1, db2 and db3: the first pool is for everything, the second for reads.
pub(super) fn database() -> Arc<System> {
    parse(
        "name = \"t\"\n[hosts]\nlb1 = \"10.0.0.10\"\ndb1 = \"10.0.0.31\"\ndb2 = \"10.0.0.32\"\ndb3 = \"10.0.0.33\"\n\
         [load_balancers.front]\nhosts = [\"lb1\"]\nlisteners = [\n\
         { bind = \":5432\", database = \"orders\" },\n\
         { bind = \":5433\", database = \"orders\", access = \"read-only\" },\n]\n\
         [databases.orders]\nhosts = [\"db1\", \"db2\", \"db3\"]\nreplication_password = \"not-to-be-guessed\"\n\
         [coordination]\netcd = [\"db1:2379\", \"db2:2379\", \"db3:2379\"]\n",
    )
}

/// Hosts app1 to app9 and a pool `web` with these members; `pool` are further lines of the pool.
pub(super) fn file(members: &str, pool: &str) -> Arc<System> {
    let hosts: String = (1..=9).map(|n| format!("app{n} = \"10.0.0.2{n}\"\n")).collect();
    let members: Vec<String> = members.split_whitespace().map(|name| format!("\"{name}:80\"")).collect();
    parse(&format!(
        "name = \"t\"\n[hosts]\nlb1 = \"10.0.0.10\"\nnamed = \"app.internal\"\n{hosts}\n[load_balancers.front]\n\
         hosts = [\"lb1\"]\nlisteners = [{{ bind = \":80\", pool = \"web\" }}]\n\
         [pools.web]\nmembers = [{}]\n{pool}\n",
        members.join(", ")
    ))
}

pub(super) fn parse(text: &str) -> Arc<System> {
    let parsed = nines_system::parse("t.toml", text);
    Arc::new(parsed.unwrap_or_else(|mistakes| panic!("{}\n{text}", mistakes.render(false))))
}

impl World {
    /// Every check is good, and half a millisecond away.
    pub(super) fn of(system: Arc<System>) -> Self {
        Self::with(system, &[])
    }

    pub(super) fn new(members: &str, pool: &str) -> Self {
        Self::of(file(members, pool))
    }

    /// The checks of `bad` fail from the start.
    pub(super) fn with(system: Arc<System>, bad: &[&str]) -> Self {
        let mut world = Self::before_it_begins(system);
        world.bad = bad.iter().map(|&name| name.to_owned()).collect();
        world.drain();
        world
    }

    #[allow(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    pub(super) fn before_it_begins(system: Arc<System>) -> Self {
        let start = Instant::now();
        let pools = Pools::new(start, system.clone(), system.pool_ids().collect(), 7);
        Self {
            pools,
            system,
            start,
            now: start,
            bad: BTreeSet::new(),
            mute: BTreeSet::new(),
            names: BTreeMap::new(),
            events: Vec::new(),
            views: Vec::new(),
            probes: Vec::new(),
            opened: None,
            lookups: Vec::new(),
            coming: Vec::new(),
            standings: BTreeMap::new(),
            asked: Vec::new(),
            numbers: 0,
        }
    }

    pub(super) fn ms(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.pools.poll() {
            let at = self.ms();
            match output {
                Output::Probe(order) if matches!(order.probe, Probe::Gate(_)) => self.asks(order),
                Output::Probe(order) => {
                    let host = order.host.clone();
                    self.probes.push((at, host.clone()));
                    let (outcome, after) = match () {
                        () if self.mute.contains(&host) => continue,
                        () if self.bad.contains(&host) => (Err("connection refused".to_owned()), HALF_A_MS),
                        () => (Ok("HTTP 200".to_owned()), HALF_A_MS),
                    };
                    self.coming.push((self.now + after, order.ticket, Probed::new(outcome, after)));
                }
                Output::Publish(view) => self.views.push((at, view)),
                Output::Event { kind, subject, why } => {
                    self.events.push((at, kind, format!("{subject}: {why}")));
                }
                Output::FirstChecksIn => {
                    assert!(self.opened.replace(at).is_none(), "said twice");
                }
                Output::Resolve { name } => {
                    self.lookups.push(at);
                    if let Some(addresses) = self.names.get(&name).cloned() {
                        self.pools.handle(self.now, Input::Resolved { name, addresses });
                    }
                }
            }
        }
    }

    fn asks(&mut self, order: ProbeOrder) {
        self.probes.push((self.ms(), order.host.clone()));
        if self.mute.contains(&order.host) {
            let why = Err("no answer".to_owned());
            self.coming.push((self.now + order.timeout, order.ticket, Probed::new(why, order.timeout)));
            return;
        }
        let Some(standing) = self.standings.get(&order.host).cloned() else {
            let why = Err("connection refused".to_owned());
            self.coming.push((self.now + HALF_A_MS, order.ticket, Probed::new(why, HALF_A_MS)));
            return;
        };
        if standing.number == order.seen {
            let late = Probed::of_gate(standing, HALF_A_MS);
            self.coming.push((self.now + order.timeout / 2, order.ticket, late));
            self.asked.push(order);
        } else {
            self.coming.push((self.now + HALF_A_MS, order.ticket, Probed::of_gate(standing, HALF_A_MS)));
        }
    }

    /// What a gate says from now on.
    pub(super) fn stands(&mut self, host: &str, serves: Serves, term: u64) {
        self.numbers += 1;
        let why = "is being copied".to_owned();
        let standing = Standing { number: self.numbers, serves, term, lag: 120, why };
        self.standings.insert(host.to_owned(), standing.clone());
        if !self.mute.contains(host) {
            for order in self.asked.extract_if(.., |order| order.host == host) {
                self.coming.retain(|(_, ticket, _)| *ticket != order.ticket);
                let result = Probed::of_gate(standing.clone(), HALF_A_MS);
                self.coming.push((self.now + HALF_A_MS, order.ticket, result));
            }
        }
    }

    /// From now on its gate says nothing, not even what it was asked before.
    pub(super) fn falls_silent(&mut self, host: &str) {
        self.mute.insert(host.to_owned());
        for order in self.asked.extract_if(.., |order| order.host == host) {
            for (at, ticket, result) in &mut self.coming {
                if *ticket == order.ticket {
                    *at += order.timeout / 2;
                    *result = Probed::new(Err("no answer".to_owned()), order.timeout);
                }
            }
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.pools.handle(self.now, input);
        self.drain();
    }

    /// Lets time pass, doing what comes due on the way.
    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let result = self.coming.iter().map(|(at, ..)| *at).min();
            let next = result.into_iter().chain(self.pools.deadline()).min().filter(|&next| next <= end);
            let Some(next) = next else { break };
            self.now = next;
            match self.coming.iter().position(|(at, ..)| *at <= next) {
                Some(done) => {
                    let (_, ticket, result) = self.coming.swap_remove(done);
                    self.asked.retain(|order| order.ticket != ticket);
                    self.handle(Input::Probed { ticket, result });
                }
                None => self.handle(Input::Timer),
            }
        }
        self.now = end;
    }

    pub(super) fn reload(&mut self, system: Arc<System>) {
        self.system = system.clone();
        self.pools.handle(self.now, Input::Reload { used: system.pool_ids().collect(), system });
        let first = self.pools.poll();
        let Some(Output::Publish(view)) = first else { panic!("{first:?} came before the view") };
        self.views.push((self.ms(), view));
        self.drain();
    }

    pub(super) fn wish(&mut self, target: &str, wish: Wish) -> Result<Vec<String>, UnknownTarget> {
        let touched = self.pools.wish(self.now, target, wish);
        self.drain();
        touched
    }

    pub(super) fn view(&self) -> PoolView {
        self.view_of(0)
    }

    pub(super) fn view_of(&self, pool: usize) -> PoolView {
        let view = self.pools.view();
        let last = &self.views.last().expect("something was published").1;
        assert_eq!(view, *last, "what is in force was published");
        view.pools[pool].clone()
    }

    pub(super) fn member(&self, host: &str) -> MemberView {
        let members = &self.system.pools[0].members;
        let at = members.iter().position(|member| self.system[member.host].name == host);
        self.view().members[at.expect("a member of the pool")]
    }

    pub(super) fn status(&self, host: &str) -> MemberStatus {
        let mut pools = self.pools.status(self.now);
        let members = std::mem::take(&mut pools[0].members);
        members.into_iter().find(|member| member.host == host).expect("a member of the pool")
    }

    /// Hosts whose members get traffic.
    pub(super) fn eligible(&self) -> Vec<&str> {
        let members = self.system.pools[0].members.iter().zip(self.view().members);
        members
            .filter(|(_, view)| view.eligible)
            .map(|(member, _)| self.system[member.host].name.as_str())
            .collect()
    }

    pub(super) fn serving(&self) -> Serving {
        self.view().serving
    }

    pub(super) fn fails(&mut self, host: &str, failure: Failure) {
        let member = self.member(host).key;
        self.handle(Input::Traffic { member, traffic: Traffic::Failed(failure) });
    }

    pub(super) fn recovers(&mut self, host: &str) {
        let member = self.member(host).key;
        self.handle(Input::Traffic { member, traffic: Traffic::Recovered });
    }

    /// As many failures as eject a member by default.
    pub(super) fn breaks(&mut self, host: &str) {
        for _ in 0..3 {
            self.fails(host, Failure::Reset);
        }
    }

    /// Texts of the events of a kind since `since` ms.
    pub(super) fn said(&self, kind: Kind, since: u128) -> Vec<&str> {
        let events = self.events.iter().filter(|(at, of, _)| *of == kind && *at >= since);
        events.map(|(_, _, text)| text.as_str()).collect()
    }
}
