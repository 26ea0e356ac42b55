//! One worker: a thread with its own runtime, sockets, connections and counters, that follows the plan.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_system::Protocol;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::beat::Beat;
use crate::front::Front;
use crate::kit::Kit;
use crate::listening::{Listening, Open, Served};
use crate::plan::{Bound, Phase, Plan};
use crate::pool::Pool;
use crate::quiet::Membership;
use crate::shared::{Shared, Vitals};
use crate::{closing, filter, http, tcp};

/// After `accept` failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Worker {
    index: usize,
    shared: Arc<Shared>,
    kit: Rc<Kit>,
    phase: Cell<Phase>,
    /// By name, so that a reload finds what it keeps.
    pools: RefCell<BTreeMap<String, Rc<Pool>>>,
    listening: RefCell<Vec<Rc<Listening>>>,
    vitals: Arc<Vitals>,
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
        kit: Rc::new(Kit::new(started, 0x6e69_6e65 + index as u64)),
        phase: Cell::new(Phase::Closed),
        pools: RefCell::default(),
        listening: RefCell::default(),
        vitals,
    });
    runtime.block_on(async {
        tokio::task::spawn_local(worker.kit.timers.clone().drive());
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
            moved |= self.take_retirement(&current);
            self.take_phase(&current);
            if moved {
                self.kit.timers.wake_all();
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
                listening.crowd.look_again();
            }
        }
    }

    fn front(&self, plan: &Plan, bound: &Bound) -> Rc<Front> {
        let pools = self.pools.borrow();
        let pool_of = |id: nines_system::PoolId| pools.get(&plan.system[id].name).cloned();
        Rc::new(Front::new(&plan.system, bound, pool_of, &self.shared, self.index))
    }

    /// Says whether connections are retired that were not, or the other way round.
    fn take_retirement(&self, plan: &Plan) -> bool {
        self.kit.retirement.follow(plan.round, plan.retires_everyone(), Instant::now())
    }

    fn take_phase(self: &Rc<Self>, plan: &Arc<Plan>) {
        self.phase.set(plan.phase);
        match plan.phase {
            Phase::Closed => {}
            Phase::Open => self.open(plan),
            Phase::Draining => {
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
            let listening = bound.listen(self.index, &self.shared.groups).and_then(|listening| {
                listening
                    .map(|(socket, membership)| Ok((TcpListener::from_std(socket)?, membership)))
                    .transpose()
            });
            match listening {
                Ok(Some((socket, membership))) => {
                    let listening =
                        Rc::new(Listening::new(bound.address, self.front(plan, bound), bound.crowd.clone()));
                    self.listening.borrow_mut().push(listening.clone());
                    tokio::task::spawn_local(self.clone().accept(
                        listening,
                        Open::new(self.vitals.clone()),
                        membership,
                        socket,
                    ));
                }
                Ok(None) => {}
                Err(error) => tracing::error!(listener = %bound.name, %error, "can't listen"),
            }
        }
    }

    async fn accept(
        self: Rc<Self>,
        listening: Rc<Listening>,
        _open: Open,
        _membership: Membership,
        socket: TcpListener,
    ) {
        let mut closed = std::pin::pin!(listening.closed.notified());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut closed => break,
                accepted = accept_within(&listening, &socket) => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(&listening, stream, peer),
                Err(error) => {
                    tracing::warn!(address = %listening.address, %error, "can't accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if let Err(error) = filter::ignore_new(&socket) {
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

    fn serve(self: &Rc<Self>, listening: &Rc<Listening>, stream: TcpStream, peer: SocketAddr) {
        let connection = Served::new(self.kit.clone(), self.vitals.clone(), listening.clone());
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
        let mut beat = Beat::new(self.vitals.clone(), started);
        loop {
            let now = Instant::now();
            for pool in self.pools.borrow().values() {
                pool.sweep(now);
            }
            beat.next().await;
        }
    }
}

/// The next connection, once the listener is below its limit.
async fn accept_within(listening: &Listening, socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    listening.has_room().await;
    socket.accept().await
}
