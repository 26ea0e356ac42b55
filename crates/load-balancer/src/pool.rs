//! One worker's side of a pool: who is picked, which connections wait for reuse, what the traffic says of each member.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::balance::{Balancer, Loads};
use nines_control::random::Random;
use nines_control::retry::{Budget, Patience, SILENT_AFTER};
use nines_control::traffic::{Failure, Traffic};
use nines_control::view::{MemberKey, MemberView, Serving, View};
use nines_system::{Engine, PoolId, System};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::count::{MemberCounts, PoolCounts};
use crate::places::{InUse, Places};
use crate::shared::Shared;
use crate::socket::is_quiet;

/// Tries of one request that are remembered, and so the most there can be.
pub(crate) const MAX_TRIES: usize = 10;

pub(crate) struct Pool {
    system: Arc<System>,
    id: PoolId,
    view: RefCell<Arc<View>>,
    balancer: RefCell<Balancer>,
    pub(crate) budget: RefCell<Budget>,
    pub(crate) patience: RefCell<Patience>,
    pub(crate) members: Vec<Rc<Member>>,
    pub(crate) counts: Arc<PoolCounts>,
    pub(crate) places: Arc<Places>,
}

/// One worker's side of a member; it survives a reload.
pub(crate) struct Member {
    pub(crate) key: MemberKey,
    pub(crate) name: String,
    address: Cell<Option<SocketAddr>>,
    /// When connections to it must end, while it drains.
    pub(crate) close_at: Cell<Option<Instant>>,
    eligible: Cell<bool>,
    in_flight: Cell<u32>,
    /// Connections that wait for a request, the most recently used last.
    idle: RefCell<Vec<Idle>>,
    /// The latest traffic failed, and the supervisor was told.
    failing: Cell<bool>,
    /// When its latest reply began.
    heard: Cell<Option<Instant>>,
    in_use: Arc<InUse>,
    pub(crate) counts: Arc<MemberCounts>,
    reports: mpsc::Sender<(MemberKey, Traffic)>,
}

struct Idle {
    stream: TcpStream,
    /// When a sweep first found it: most are gone again before, and then no clock is read for them.
    since: Option<Instant>,
}

/// A member's part in one try, given back when dropped.
pub(crate) struct Seat {
    pub(crate) member: Rc<Member>,
    pub(crate) address: SocketAddr,
    pub(crate) index: usize,
    limited: bool,
    waiting_room: Arc<Places>,
}

/// A place in the pool for one request or connection, given back when dropped.
pub(crate) struct Place(Option<Arc<Places>>);

pub(crate) enum Picked {
    Seat(Seat),
    /// Members may serve, but all that may are full.
    Full,
    Nobody,
}

/// Members that this request has been sent to already.
#[derive(Default, Clone, Copy)]
pub(crate) struct Tried {
    members: [u32; MAX_TRIES],
    count: usize,
}

impl Tried {
    pub(crate) fn add(&mut self, member: usize) {
        if let Some(slot) = self.members.get_mut(self.count) {
            *slot = member as u32;
            self.count += 1;
        }
    }

    pub(crate) fn forget(&mut self, member: usize) {
        if let Some(position) = self.members[..self.count].iter().position(|&tried| tried == member as u32) {
            self.count -= 1;
            self.members.swap(position, self.count);
        }
    }

    fn has(&self, member: usize) -> bool {
        self.members[..self.count].contains(&(member as u32))
    }
}

struct Candidates<'a> {
    pool: &'a Pool,
    tried: &'a Tried,
}

impl Loads for Candidates<'_> {
    fn in_flight(&self, member: usize) -> u32 {
        self.pool.members[member].in_flight.get()
    }

    fn usable(&self, member: usize) -> bool {
        !self.tried.has(member) && !self.pool.members[member].in_use.is_full(self.pool.member_limit(member))
    }
}

impl Pool {
    /// The pool `id` of `system`; members that `former` had keep their connections and counts.
    pub(crate) fn new(
        system: &Arc<System>,
        id: PoolId,
        view: &Arc<View>,
        former: Option<&Self>,
        shared: &Shared,
        worker: usize,
    ) -> Self {
        let plan = &system[id];
        let places = shared.places.pool(&plan.name);
        let views = view.pools.get(id.index()).map_or(&[][..], |pool| &pool.members);
        let members = plan
            .members
            .iter()
            .zip(views)
            .map(|(member, view)| {
                let kept = former.and_then(|former| former.members.iter().find(|m| m.key == view.key));
                kept.cloned().unwrap_or_else(|| {
                    Rc::new(Member {
                        key: view.key,
                        name: member.name.clone(),
                        address: Cell::new(None),
                        close_at: Cell::new(None),
                        eligible: Cell::new(false),
                        in_flight: Cell::new(0),
                        idle: RefCell::default(),
                        failing: Cell::new(false),
                        heard: Cell::new(None),
                        in_use: places.member(&member.name),
                        counts: shared.counts.member(&plan.name, &member.name, worker),
                        reports: shared.reports.clone(),
                    })
                })
            })
            .collect();
        let former = former.filter(|former| former.plan().retries == plan.retries);
        let pool = Self {
            id,
            view: RefCell::new(view.clone()),
            balancer: RefCell::new(Balancer::new(&plan.balance)),
            budget: former.map_or_else(|| RefCell::new(Budget::new(&plan.retries)), |f| f.budget.clone()),
            patience: former
                .map_or_else(|| RefCell::new(Patience::new(&plan.retries)), |f| f.patience.clone()),
            members,
            counts: shared.counts.pool(&plan.name, worker),
            places,
            system: system.clone(),
        };
        pool.follow(view);
        pool
    }

    pub(crate) fn plan(&self) -> &nines_system::Pool {
        &self.system[self.id]
    }

    /// Takes a new view of the same system. `true`: connections to a member must end at another time than before.
    pub(crate) fn follow(&self, view: &Arc<View>) -> bool {
        let (mut moved, mut gained) = (false, false);
        if let Some(pool) = view.pools.get(self.id.index()) {
            for (member, view) in self.members.iter().zip(&pool.members) {
                gained |= view.eligible && !member.eligible.get();
                moved |= member.follow(view);
            }
        }
        *self.view.borrow_mut() = view.clone();
        if gained && self.waits_for_somebody() {
            self.places.freed.notify_waiters();
        }
        moved
    }

    /// Where it reaches a database: while nobody serves, somebody soon will.
    pub(crate) fn waits_for_somebody(&self) -> bool {
        self.plan().reaches.is_some()
    }

    /// Whether its clients speak PostgreSQL's protocol.
    pub(crate) fn is_postgres(&self) -> bool {
        let engine = self.plan().reaches.map(|(database, _)| &self.system[database].engine);
        matches!(engine, Some(Engine::PostgreSql(_)))
    }

    fn member_limit(&self, index: usize) -> Option<u32> {
        let plan = self.plan();
        plan.members.get(index).and_then(|member| member.connections).or(plan.limits.member_connections)
    }

    /// A place in the pool, if its limit allows one more.
    pub(crate) fn enter(&self) -> Option<Place> {
        let limit = self.plan().limits.connections;
        self.places.pool.take(limit).then(|| Place(limit.map(|_| self.places.clone())))
    }

    /// A member for one try, not one of `tried`.
    pub(crate) fn pick(&self, key: Option<u64>, tried: &Tried, random: &mut Random) -> Picked {
        let view = self.view.borrow();
        let Some(pool) = view.pools.get(self.id.index()) else { return Picked::Nobody };
        // A place may be taken by another worker between the look and the grasp: as many looks as members.
        for _ in 0..=self.members.len() {
            let candidates = Candidates { pool: self, tried };
            let Some(index) = self.balancer.borrow_mut().pick(pool, &candidates, key, random) else { break };
            let limit = self.member_limit(index);
            let member = &self.members[index];
            let Some(address) = member.address.get() else { break };
            if member.in_use.take(limit) {
                member.in_flight.set(member.in_flight.get() + 1);
                member.counts.in_flight.add(1);
                return Picked::Seat(Seat {
                    member: member.clone(),
                    address,
                    index,
                    limited: limit.is_some(),
                    waiting_room: self.places.clone(),
                });
            }
        }
        let may_serve = |(index, member): (usize, &MemberView)| {
            member.eligible && self.members[index].in_use.is_full(self.member_limit(index))
        };
        if pool.serving != Serving::Nobody && pool.members.iter().enumerate().any(may_serve) {
            Picked::Full
        } else {
            Picked::Nobody
        }
    }

    /// Keeps a connection for the next request, unless its member gets none at present.
    pub(crate) fn keep(&self, seat: &Seat, stream: TcpStream) {
        let plan = self.plan();
        let stays = seat.member.eligible.get() && seat.member.address.get() == Some(seat.address);
        if stays && plan.send_proxy.is_none() {
            seat.member.keep(stream, plan.limits.idle_connections);
        }
    }

    /// Closes idle connections that are older than `idle`, or that the member has closed.
    pub(crate) fn sweep(&self, now: Instant) {
        let idle = self.plan().timeouts.idle;
        for member in &self.members {
            member.sweep(now, idle);
        }
    }
}

impl Place {
    /// Nobody is woken for it, least of all the one who gives it back: nothing has become free.
    pub(crate) fn give_back_unused(mut self) {
        if let Some(places) = self.0.take() {
            places.pool.give_back();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = self.0.take() {
            places.pool.give_back();
            places.freed.notify_one();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let in_flight = &self.member.in_flight;
        in_flight.set(in_flight.get().saturating_sub(1));
        self.member.counts.in_flight.sub(1);
        if self.limited {
            self.member.in_use.give_back();
            self.waiting_room.freed.notify_one();
        }
    }
}

impl Member {
    fn follow(&self, view: &MemberView) -> bool {
        let moved = self.address.replace(view.address) != view.address;
        let out = self.eligible.replace(view.eligible) && !view.eligible;
        // What waits there may lead to a machine that is gone.
        if moved || out {
            self.idle.borrow_mut().clear();
            self.counts.idle_connections.set(0);
        }
        self.close_at.replace(view.close_at) != view.close_at
    }

    /// The most recently used idle connection that the member has not closed.
    pub(crate) fn reuse(&self) -> Option<TcpStream> {
        let mut idle = self.idle.borrow_mut();
        let found = std::iter::from_fn(|| idle.pop()).find(|idle| is_quiet(&idle.stream));
        self.counts.idle_connections.set(idle.len() as u64);
        found.map(|idle| idle.stream)
    }

    fn keep(&self, stream: TcpStream, bound: u32) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < bound as usize {
            idle.push(Idle { stream, since: None });
            self.counts.idle_connections.set(idle.len() as u64);
        }
    }

    fn sweep(&self, now: Instant, age: Duration) {
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|idle| {
            let since = *idle.since.get_or_insert(now);
            now.saturating_duration_since(since) < age && is_quiet(&idle.stream)
        });
        self.counts.idle_connections.set(idle.len() as u64);
    }

    /// Tells the supervisor that a try failed.
    pub(crate) fn failed(&self, failure: Failure) {
        let position = Failure::ALL.iter().position(|&other| other == failure).unwrap_or(0);
        self.counts.failures[position].add(1);
        self.failing.set(true);
        let _ = self.reports.try_send((self.key, Traffic::Failed(failure)));
    }

    /// Another member answered in its place. Held against it only if nothing was heard from it for a while.
    pub(crate) fn was_outlasted(&self, failure: Failure, now: Instant) {
        let lately = |heard| now.saturating_duration_since(heard) < SILENT_AFTER;
        if !self.heard.get().is_some_and(lately) {
            self.failed(failure);
        }
    }

    pub(crate) fn was_heard(&self, now: Instant) {
        self.heard.set(Some(now));
    }

    /// Notes a try that went well; the supervisor hears of the first after a failure.
    pub(crate) fn succeeded(&self) {
        if self.failing.replace(false) {
            let _ = self.reports.try_send((self.key, Traffic::Recovered));
        }
    }
}

/// A key for consistent hashing: FNV-1a.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The same for a client's address.
pub(crate) fn hash_of(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(v4) => hash(&v4.octets()),
        IpAddr::V6(v6) => hash(&v6.octets()),
    }
}
