//! One worker: a thread with its own runtime, sockets, connections and counters, that follows the plan.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nines_control::random::Random;
use nines_system::Protocol;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::buffer::Buffers;
use crate::closing;
use crate::count::ListenerCounts;
use crate::front::Front;
use crate::http::Desk;
use crate::http1::ResponseHead;
use crate::plan::{Bound, Phase, Plan};
use crate::pool::Pool;
use crate::splice::Pipes;
use crate::timer::Timers;
use crate::{Shared, http, tcp};

/// Bytes in one buffer: a request's or reply's head must fit, and a bulk read should fill it.
const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers and heads kept while nobody uses them.
const KEPT: usize = 256;
const PIPES: usize = 256;
/// How often idle connections are looked over, and the worker says that it still turns.
const BEAT: Duration = Duration::from_millis(200);
/// After `accept` failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) buffers: Buffers,
    pub(crate) pipes: Pipes,
    pub(crate) random: RefCell<Random>,
    phase: Cell<Phase>,
    /// When draining began.
    draining_since: Cell<Option<Instant>>,
    /// By name, so that a reload finds what it keeps.
    pools: RefCell<BTreeMap<String, Rc<Pool>>>,
    listening: RefCell<Vec<Rc<Listening>>>,
    #[allow(clippy::vec_box, reason = "handed out boxed, and moved as a pointer")]
    reply_heads: RefCell<Vec<Box<ResponseHead>>>,
    #[allow(clippy::vec_box, reason = "the same")]
    desks: RefCell<Vec<Box<Desk>>>,
    vitals: Arc<Vitals>,
}

/// What others may see of a worker.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    /// Milliseconds since the data plane started, at the latest beat.
    pub(crate) beat_ms: AtomicU64,
    /// Client connections now.
    pub(crate) connections: AtomicU64,
    /// Sockets that may still accept one.
    pub(crate) open: AtomicU64,
}

/// A socket that may still accept a connection, counted while it may.
struct Open(Arc<Vitals>);

impl Open {
    fn new(vitals: Arc<Vitals>) -> Self {
        vitals.open.fetch_add(1, Ordering::Relaxed);
        Self(vitals)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // After the connections that it brought were counted.
        self.0.open.fetch_sub(1, Ordering::Release);
    }
}

/// One listening socket of this worker, and how its connections are served now.
pub(crate) struct Listening {
    address: SocketAddr,
    front: RefCell<Rc<Front>>,
    connections: Cell<u32>,
    /// A connection ended while the listener was at its limit.
    freed: Notify,
    closed: Notify,
}

impl Listening {
    pub(crate) fn front(&self) -> Rc<Front> {
        self.front.borrow().clone()
    }
}

/// Runs a worker until the plan's sender is gone.
pub(crate) fn run(
    index: usize,
    started: Instant,
    plan: watch::Receiver<Arc<Plan>>,
    shared: Arc<Shared>,
    vitals: Arc<Vitals>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let worker = Rc::new(Worker {
        index,
        shared,
        timers: Rc::new(Timers::new(started)),
        buffers: Buffers::new(BUFFER_BYTES, KEPT),
        pipes: Pipes::new(PIPES),
        random: RefCell::new(Random::seeded(0x6e69_6e65 + index as u64)),
        phase: Cell::new(Phase::Closed),
        draining_since: Cell::new(None),
        pools: RefCell::default(),
        listening: RefCell::default(),
        reply_heads: RefCell::default(),
        desks: RefCell::default(),
        vitals,
    });
    runtime.block_on(async {
        tokio::task::spawn_local(worker.timers.clone().drive());
        tokio::task::spawn_local(worker.clone().beat(started));
        worker.follow(plan).await;
    });
    Ok(())
}

impl Worker {
    /// Brings this worker in line with each plan that is published.
    async fn follow(self: Rc<Self>, mut plan: watch::Receiver<Arc<Plan>>) {
        let mut generation = None;
        loop {
            let current = plan.borrow_and_update().clone();
            if generation.replace(current.generation) != Some(current.generation) {
                self.take_system(&current);
            }
            let mut moved = self.phase.get() != current.phase;
            for pool in self.pools.borrow().values() {
                moved |= pool.follow(&current.view);
            }
            self.take_phase(&current);
            if moved {
                self.timers.wake_all();
            }
            if plan.changed().await.is_err() {
                return;
            }
        }
    }

    /// A new system: pools and fronts are made anew, from what there was.
    fn take_system(&self, plan: &Plan) {
        let mut pools = BTreeMap::new();
        for id in plan.system.pool_ids() {
            let name = &plan.system[id].name;
            let former = self.pools.borrow().get(name).cloned();
            let pool = Pool::new(&plan.system, id, &plan.view, former.as_deref(), &self.shared, self.index);
            pools.insert(name.clone(), Rc::new(pool));
        }
        *self.pools.borrow_mut() = pools;
        let mut listening = self.listening.borrow_mut();
        listening.retain(|listening| {
            let stays = plan.listeners.iter().any(|bound| bound.address == listening.address);
            if !stays {
                listening.closed.notify_one();
            }
            stays
        });
        for bound in plan.listeners.iter() {
            if let Some(listening) = listening.iter().find(|listening| listening.address == bound.address) {
                *listening.front.borrow_mut() = self.front(plan, bound);
            }
        }
    }

    fn front(&self, plan: &Plan, bound: &Bound) -> Rc<Front> {
        let pools = self.pools.borrow();
        let pool_of = |id: nines_system::PoolId| pools.get(&plan.system[id].name).cloned();
        Rc::new(Front::new(&plan.system, bound, pool_of, &self.shared, self.index))
    }

    fn take_phase(self: &Rc<Self>, plan: &Arc<Plan>) {
        self.phase.set(plan.phase);
        match plan.phase {
            Phase::Closed => {}
            Phase::Open => self.open(plan),
            Phase::Draining => {
                if self.draining_since.get().is_none() {
                    self.draining_since.set(Some(Instant::now()));
                }
                for listening in self.listening.borrow_mut().drain(..) {
                    listening.closed.notify_one();
                }
            }
        }
    }

    /// Listens where it does not yet.
    fn open(self: &Rc<Self>, plan: &Plan) {
        for bound in plan.listeners.iter() {
            if self.listening.borrow().iter().any(|listening| listening.address == bound.address) {
                continue;
            }
            let socket =
                bound.listen(self.index).and_then(|socket| socket.map(TcpListener::from_std).transpose());
            match socket {
                Ok(Some(socket)) => {
                    let listening = Rc::new(Listening {
                        address: bound.address,
                        front: RefCell::new(self.front(plan, bound)),
                        connections: Cell::new(0),
                        freed: Notify::new(),
                        closed: Notify::new(),
                    });
                    self.listening.borrow_mut().push(listening.clone());
                    tokio::task::spawn_local(self.clone().accept(
                        listening,
                        socket,
                        Open::new(self.vitals.clone()),
                    ));
                }
                Ok(None) => {}
                Err(error) => tracing::error!(listener = %bound.name, %error, "can't listen"),
            }
        }
    }

    async fn accept(self: Rc<Self>, listening: Rc<Listening>, socket: TcpListener, _open: Open) {
        let mut closed = std::pin::pin!(listening.closed.notified());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut closed => break,
                accepted = accept_within(&listening, self.limit(&listening), &socket) => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(&listening, stream, peer),
                Err(error) => {
                    tracing::warn!(address = %listening.address, %error, "can't accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if let Err(error) = closing::ignore_new(&socket) {
            tracing::warn!(address = %listening.address, %error, "clients that connect just now are reset");
        }
        let mut handshakes = std::pin::pin!(tokio::time::sleep(closing::HANDSHAKE));
        while let Some(Ok((stream, peer))) = tokio::select! {
            biased;
            accepted = socket.accept() => Some(accepted),
            () = &mut handshakes => None,
        } {
            self.serve(&listening, stream, peer);
        }
        // The kernel knows of connections that the runtime has not heard of.
        let Ok(socket) = socket.into_std() else { return };
        while let Ok((stream, peer)) = socket.accept() {
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                self.serve(&listening, stream, peer);
            }
        }
    }

    /// This worker's part of the listener's limit.
    fn limit(&self, listening: &Listening) -> u32 {
        let front = listening.front.borrow();
        front.listener().connections.div_ceil(self.shared.workers).max(1)
    }

    fn serve(self: &Rc<Self>, listening: &Rc<Listening>, stream: TcpStream, peer: SocketAddr) {
        let connection = Served::new(self.clone(), listening.clone());
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let is_http = matches!(listening.front.borrow().listener().protocol, Protocol::Http(_));
        if is_http {
            tokio::task::spawn_local(http::serve(connection, stream, peer));
        } else {
            tokio::task::spawn_local(tcp::serve(connection, stream, peer));
        }
    }

    /// Says that the worker still turns its loop, and looks over idle connections.
    async fn beat(self: Rc<Self>, started: Instant) {
        loop {
            let now = Instant::now();
            let since = now.saturating_duration_since(started).as_millis();
            self.vitals.beat_ms.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
            for pool in self.pools.borrow().values() {
                pool.sweep(now);
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    /// When this worker began to drain, if it has.
    pub(crate) fn draining_since(&self) -> Option<Instant> {
        self.draining_since.get()
    }

    /// A reply's head to parse into; [`Worker::keep_reply_head`] takes it back.
    pub(crate) fn reply_head(&self) -> Box<ResponseHead> {
        self.reply_heads.borrow_mut().pop().unwrap_or_default()
    }

    /// What a request is served with; [`Worker::keep_desk`] takes it back.
    pub(crate) fn desk(&self) -> Box<Desk> {
        self.desks.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn keep_desk(&self, mut desk: Box<Desk>) {
        desk.shrink();
        let mut desks = self.desks.borrow_mut();
        if desks.len() < KEPT {
            desks.push(desk);
        }
    }

    pub(crate) fn keep_reply_head(&self, head: Box<ResponseHead>) {
        let mut heads = self.reply_heads.borrow_mut();
        if heads.len() < KEPT {
            heads.push(head);
        }
    }
}

/// A client's connection while it is served: counted from its first moment to its last.
pub(crate) struct Served {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listening: Rc<Listening>,
    counts: Arc<ListenerCounts>,
}

impl Served {
    fn new(worker: Rc<Worker>, listening: Rc<Listening>) -> Self {
        listening.connections.set(listening.connections.get() + 1);
        worker.vitals.connections.fetch_add(1, Ordering::Relaxed);
        let counts = listening.front.borrow().counts.clone();
        counts.accepted.add(1);
        counts.connections.add(1);
        Self { worker, listening, counts }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.listening.connections.set(self.listening.connections.get() - 1);
        self.worker.vitals.connections.fetch_sub(1, Ordering::Relaxed);
        self.counts.connections.sub(1);
        self.listening.freed.notify_one();
    }
}

/// The next connection, once the listener is below its limit.
async fn accept_within(
    listening: &Listening,
    limit: u32,
    socket: &TcpListener,
) -> io::Result<(TcpStream, SocketAddr)> {
    while listening.connections.get() >= limit {
        listening.freed.notified().await;
    }
    socket.accept().await
}
