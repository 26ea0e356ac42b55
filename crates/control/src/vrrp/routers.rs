//! The machine over all virtual routers of one host: `handle` what happens, `poll` what is to be done, come back at
//! `deadline`.

use std::time::Instant;

use super::report;
use super::router::{Move, Outbox, Router, State};
use super::{Cause, Fitness, Input, Output, RouterIndex, Settings};
use crate::event::Kind;
use crate::status::VirtualIpStatus;

/// Every virtual router of one host.
#[derive(Debug, Clone)]
pub struct Routers {
    routers: Vec<Router>,
    /// What each router's own host can do, before its group is asked; `None` before it was told.
    fitness: Vec<Option<Fitness>>,
    outbox: Outbox,
    /// The latest time heard of; time never goes back.
    now: Instant,
}

impl Routers {
    /// Takes no part before it is told that it is fit.
    pub fn new(now: Instant, settings: Vec<Settings>) -> Self {
        let fitness = settings.iter().map(|_| None).collect();
        let routers = settings.into_iter().enumerate().map(|(index, one)| Router::new(now, index, one));
        Self { routers: routers.collect(), fitness, outbox: Outbox::new(), now }
    }

    /// A router that is no longer meant: it gives its addresses up at once, without its group. To be followed by
    /// [`Routers::replace`] once what this puts out has been done.
    pub fn abandon(&mut self, now: Instant, router: RouterIndex, why: &str) {
        if let Some(router) = self.routers.get_mut(router) {
            router.settings.group = None;
            router.become_fit(now.max(self.now), Fitness::Unfit(why.to_owned()), &mut self.outbox);
            router.moved = None;
        }
    }

    /// The file was loaded again. Routers that were there before (by name, number, version and addresses) go on as what
    /// they are, with their new settings; the others begin anew, as what their group is. Those that are gone must have been
    /// abandoned before: from here on the indices are those of the new settings.
    pub fn replace(&mut self, now: Instant, settings: Vec<Settings>) {
        let now = now.max(self.now);
        let before = std::mem::take(&mut self.routers);
        let fitness = std::mem::take(&mut self.fitness);
        for (index, settings) in settings.into_iter().enumerate() {
            let place = before.iter().position(|router| router.settings.is_same_router(&settings));
            let router = match place {
                Some(place) => before[place].clone().with(index, settings),
                None => Router::new(now, index, settings),
            };
            self.routers.push(router);
            self.fitness.push(place.and_then(|place| fitness[place].clone()));
        }
        for router in 0..self.routers.len() {
            self.weigh(now, router);
        }
        self.follow_groups(now);
    }

    /// Something happened. What a master owes by `now` is done too; whoever waits for silence judges it only by
    /// [`Input::Timer`], since of several packets that have arrived the next one may break it.
    pub fn handle(&mut self, now: Instant, input: Input) {
        let now = now.max(self.now);
        self.now = now;
        let all_read = input == Input::Timer;
        for router in &mut self.routers {
            router.wake(now, &mut self.outbox);
        }
        match input {
            Input::Timer => {}
            Input::Heard { router, from, advertisement } => {
                let leads = self.leads(router);
                if let Some(router) = self.routers.get_mut(router)
                    && !router.speaks_otherwise(&advertisement)
                    && from != router.settings.source
                {
                    router.hear(now, from, &advertisement, leads, &mut self.outbox);
                }
            }
            Input::Fitness { router, fitness } => {
                if let Some(own) = self.fitness.get_mut(router) {
                    *own = Some(fitness);
                    self.weigh(now, router);
                }
            }
            Input::Idle { router } => {
                if let Some(router) = self.routers.get_mut(router) {
                    router.idle(now, &mut self.outbox);
                }
            }
            Input::Answered { router, address, by } => {
                self.probed(now, router, format!("{by} answered for {address}, and should not"), true);
            }
            Input::Unanswered { router, address } => {
                self.probed(now, router, format!("nobody answers for {address}"), false);
            }
        }
        self.follow_groups(now);
        for router in &mut self.routers {
            router.tick(now, &mut self.outbox);
        }
        if all_read {
            self.catch_up(now);
        }
        if cfg!(debug_assertions) {
            self.check_invariants();
            assert!(!all_read || self.deadline().is_none_or(|at| at > now), "something due was not done");
        }
    }

    /// The next thing wanted done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    /// When to call `handle` with [`Input::Timer`], if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.routers.iter().filter_map(Router::deadline).min()
    }

    /// What a person sees of each router; what only the wire knows (interface, counts) is left empty.
    pub fn status(&self, now: Instant) -> Vec<VirtualIpStatus> {
        let now = now.max(self.now);
        self.routers.iter().map(|router| report::status(router, now)).collect()
    }

    pub fn is_master(&self, router: RouterIndex) -> bool {
        self.routers.get(router).is_some_and(Router::is_master)
    }

    /// Whether this host has the addresses: as the master, while it listens after a stall, or for what is still connected.
    pub fn holds(&self, router: RouterIndex) -> bool {
        self.routers.get(router).is_some_and(Router::holds)
    }

    /// Whoever has heard nothing for long enough becomes the master.
    fn catch_up(&mut self, now: Instant) {
        for at in 0..self.routers.len() {
            self.routers[at].end_listening(now, &mut self.outbox);
            if self.routers[at].is_due(now) {
                let others = self.group_of(at);
                let alone = others.iter().any(|&other| {
                    !matches!(self.routers[other].state, State::Master { .. } | State::Listening { .. })
                        && !self.routers[other].is_due(now)
                });
                if alone {
                    self.routers[at].wait_for_group();
                } else {
                    self.routers[at].succeed(now, &mut self.outbox);
                }
            }
            self.follow_groups(now);
        }
    }

    /// The others of its group.
    fn group_of(&self, router: RouterIndex) -> Vec<RouterIndex> {
        let group = &self.routers[router].settings.group;
        let same = |other: &RouterIndex| {
            *other != router && group.is_some() && self.routers[*other].settings.group == *group
        };
        (0..self.routers.len()).filter(same).collect()
    }

    /// Whether it is the first of its group, or has none. Of two equal masters of a group, the addresses of the first
    /// router decide for all: each may have the higher one for another router, and both would give up everything.
    fn leads(&self, router: RouterIndex) -> bool {
        router < self.routers.len() && self.group_of(router).iter().all(|other| *other > router)
    }

    /// The fitness of a group is that of its weakest. One of which nothing was told yet goes by the others.
    fn weigh(&mut self, now: Instant, router: RouterIndex) {
        let mut all = self.group_of(router);
        all.push(router);
        let told = all.iter().filter_map(|&one| self.fitness[one].clone());
        let Some(worst) = told.reduce(Fitness::or_worse) else { return };
        for &one in &all {
            self.routers[one].become_fit(now, worst.clone(), &mut self.outbox);
            // All of the group have given up by themselves; an owner takes the others with it.
            let moved = &mut self.routers[one].moved;
            *moved = moved.take().filter(|moved| matches!(moved, Move::Took { .. }));
        }
        // Who joins a group joins it as what it is.
        if all.iter().any(|&one| self.routers[one].is_master()) {
            for &one in &all {
                if let State::Backup { .. } = self.routers[one].state {
                    let why = "its group answers here".to_owned();
                    self.routers[one].take(now, Cause::Group, why, None, &mut self.outbox);
                    self.routers[one].moved = None;
                }
            }
        }
    }

    /// Lets the others of a group do what one of them did.
    fn follow_groups(&mut self, now: Instant) {
        for at in 0..self.routers.len() {
            let Some(moved) = self.routers[at].moved.take() else { continue };
            for other in self.group_of(at) {
                let router = &mut self.routers[other];
                match (moved, router.state) {
                    (Move::Took { from }, State::Backup { .. }) => {
                        let why = "its group has moved".to_owned();
                        router.take(now, Cause::Group, why, from, &mut self.outbox);
                    }
                    (Move::Gave { lingers }, State::Master { .. }) => {
                        router.follow_group(now, lingers, &mut self.outbox);
                    }
                    _ => {}
                }
                router.moved = None;
            }
        }
    }

    fn probed(&mut self, now: Instant, router: RouterIndex, what: String, announce: bool) {
        let Some(router) = self.routers.get_mut(router) else { return };
        if router.problems.probed(now, what.clone(), announce) {
            router.event(Kind::Conflict, what, &mut self.outbox);
        }
    }

    /// Panics if the machine contradicts itself.
    pub fn check_invariants(&self) {
        for router in &self.routers {
            let name = &router.settings.name;
            assert!(
                router.lingers_until.is_none() || !router.is_master(),
                "{name}: lingers and is the master at one time"
            );
            assert!(router.priority() > 0 || !router.is_master(), "{name}: the master has no priority");
            for other in self.group_of(router.index) {
                let other = &self.routers[other];
                assert!(
                    !router.is_master()
                        || !matches!(other.state, State::Backup { waits_for_group: false, .. }),
                    "{name} is the master, {} of its group is a backup",
                    other.settings.name
                );
            }
        }
    }
}
