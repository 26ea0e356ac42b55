//! The thread of the virtual addresses: it reads what has arrived, lets the machine decide, and does what it says.
//!
//! A turn always reads everything that waits before it tells the machine the time: what was said while this process slept
//! is older than the silence that it would otherwise believe in.

mod ground;
mod perform;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::SyncSender;
use std::task::Poll;
use std::time::{Duration, Instant};

use nines_control::vrrp::{Advertisement, Fitness, Input, RouterIndex, Routers};
use rtnetlink::Handle;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::circuit::Circuit;
use crate::error::{Error, failed};
use crate::interface::{self, Change, Watch};
use crate::neighbour::{Answer, Neighbours};
use crate::packet::router_id;
use crate::peers::Peers;
use crate::shared::Shared;
use crate::socket::{BUFFER, Family, VrrpSocket};
use crate::{Happened, Surroundings, ready, realtime};

/// The longest that the thread waits: renewals, links and the data plane's health are looked after this often.
const LOOK: Duration = Duration::from_millis(100);
/// A turn that comes later than this after the one before tells that the process slept.
const SLEPT: Duration = Duration::from_millis(300);
/// After a sleep, nobody else's silence means anything for so long.
const EXCUSED: Duration = Duration::from_secs(1);
/// After a planned handover, late clients still come for a while, so that nothing connected does not mean nothing to come.
const LINGER_MIN: Duration = Duration::from_secs(1);
const IDLE_LOOK: Duration = Duration::from_millis(250);
/// Packets of one socket in one turn; a flood must not keep the thread from advertising.
const PACKETS_A_TURN: usize = 1024;

pub(crate) fn run(
    shared: &Shared,
    surroundings: Box<dyn Surroundings>,
    events: mpsc::Sender<Happened>,
    started: &SyncSender<Result<(), Error>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(failed("start the runtime of the virtual addresses")(error)));
            return;
        }
    };
    match realtime::raise(realtime::LEAST) {
        Ok(priority) => tracing::debug!(priority, "virtual addresses are minded with real-time priority"),
        Err(error) => tracing::info!(%error, "virtual addresses are minded with ordinary priority"),
    }
    runtime.block_on(async {
        // Whoever waits for this is there until it has come.
        match Thread::start(shared, surroundings, events).await {
            Ok(thread) => {
                let _ = started.send(Ok(()));
                thread.run().await;
            }
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

struct Thread<'a> {
    shared: &'a Shared,
    surroundings: Box<dyn Surroundings>,
    events: mpsc::Sender<Happened>,
    netlink: Handle,
    watch: Watch,
    routers: Routers,
    /// One for each router, in the machine's order.
    circuits: Vec<Circuit>,
    /// What the machine was last told of each.
    told: Vec<Option<Fitness>>,
    generation: u64,
    sockets: BTreeMap<(u32, Family), AsyncFd<VrrpSocket>>,
    neighbours: BTreeMap<(u32, Family), AsyncFd<Neighbours>>,
    peers: Peers,
    /// Interfaces have changed since the latest look at them.
    stale: bool,
    hushed: bool,
    latest_turn: Instant,
    excused_until: Instant,
    /// What the data plane said last.
    able: Result<(), String>,
    next_idle_look: Instant,
    /// Addresses that were asked for, and when they are announced for it.
    announce_again: Vec<(Instant, RouterIndex)>,
    buffer: Vec<u8>,
}

impl<'a> Thread<'a> {
    async fn start(
        shared: &'a Shared,
        surroundings: Box<dyn Surroundings>,
        events: mpsc::Sender<Happened>,
    ) -> Result<Self, Error> {
        let now = Instant::now();
        let netlink = interface::connect()?;
        // Before the first look, so that no change falls between the two.
        let watch = interface::watch()?;
        let mut thread = Self {
            shared,
            surroundings,
            events,
            netlink,
            watch,
            routers: Routers::new(now, Vec::new()),
            circuits: Vec::new(),
            told: Vec::new(),
            generation: 0,
            sockets: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            peers: Peers::default(),
            stale: false,
            hushed: false,
            latest_turn: now,
            excused_until: now,
            able: Ok(()),
            next_idle_look: now,
            announce_again: Vec::new(),
            buffer: vec![0; BUFFER],
        };
        let interfaces = interface::list(&thread.netlink).await?;
        if let Some((plan, generation)) = shared.plan_after(0) {
            thread.generation = generation;
            thread.take_plan(plan, &interfaces, now).await;
        }
        thread.open_sockets()?;
        for circuit in &mut thread.circuits {
            circuit.clear(&thread.netlink);
        }
        Ok(thread)
    }

    async fn run(mut self) {
        loop {
            self.turn().await;
            if self.shared.is_stopping() {
                return self.leave().await;
            }
            let next = self.routers.deadline().into_iter().chain(self.announce_again_at()).min();
            let next = next.map_or(self.latest_turn + LOOK, |next| next.min(self.latest_turn + LOOK));
            tokio::select! {
                () = Self::readable(&self.sockets, &self.neighbours, &self.circuits) => {}
                () = self.shared.changed.notified() => {}
                change = self.watch.next() => self.note(change).await,
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }

    async fn note(&mut self, change: io::Result<Change>) {
        match change {
            // Our own renewals are told as well.
            Ok(Change::Has { address, .. })
                if self.circuits.iter().any(|it| it.is_held() && it.addresses().contains(&address)) => {}
            Ok(Change::Lost { address, .. }) => {
                self.stale = true;
                for circuit in &mut self.circuits {
                    circuit.lost(address);
                }
            }
            Ok(_) => self.stale = true,
            Err(error) => {
                self.stale = true;
                tracing::warn!(%error, "changes of interfaces are not told");
                // Not at once again, should it go on like this.
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn turn(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.latest_turn) > SLEPT {
            self.excused_until = now + EXCUSED;
        }
        self.latest_turn = now;
        self.read_all(now);
        self.look_at_interfaces(now).await;
        self.tell_fitness(now);
        self.routers.handle(now, Input::Timer);
        self.perform(now).await;
        self.answer_questions(now);
        self.look_after(now).await;
        self.perform(now).await;
        self.publish(now);
    }

    fn read_all(&mut self, now: Instant) {
        let mut heard: Vec<(RouterIndex, IpAddr, Advertisement)> = Vec::new();
        for socket in self.sockets.values() {
            for _ in 0..PACKETS_A_TURN {
                // Asked without waiting for readiness, which a process that has just woken may not have been told.
                let packet = match socket.get_ref().receive(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        tracing::debug!(%error, "receiving advertisements");
                        break;
                    }
                    Ok(Err(_)) => continue,
                    Ok(Ok(packet)) => packet,
                };
                let Some(id) = router_id(packet.payload) else { continue };
                let on = |circuit: &&mut Circuit| {
                    circuit.is_on(socket.get_ref()) && circuit.planned.virtual_ip.router_id == id
                };
                if let Some((at, circuit)) =
                    self.circuits.iter_mut().enumerate().find(|(_, circuit)| on(circuit))
                    && let Some(advertisement) = circuit.receive(&packet, now)
                {
                    heard.push((at, packet.source, advertisement));
                }
            }
            ready::forget(socket);
        }
        for (router, from, advertisement) in heard {
            self.seek(router, from, now);
            self.routers.handle(now, Input::Heard { router, from, advertisement });
        }
        for neighbours in self.neighbours.values() {
            for _ in 0..PACKETS_A_TURN {
                let Answer { address, mac } = match neighbours.get_ref().receive() {
                    Ok(answer) => answer,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                self.peers.answered(address, mac, now);
                for circuit in &mut self.circuits {
                    circuit.probing.answered(address, mac);
                    if let Some(handover) = &mut circuit.handover {
                        handover.answered(address, mac);
                    }
                }
            }
            ready::forget(neighbours);
        }
    }

    /// Makes sure that it is known where a host is that was heard.
    fn seek(&mut self, router: RouterIndex, from: IpAddr, now: Instant) {
        if !self.peers.heard(from, now) {
            return;
        }
        let Some(neighbours) = self.neighbours_of(router) else { return };
        if let Err(error) = neighbours.probe(from, None) {
            tracing::debug!(%from, %error, "not asked where it is");
        }
    }

    fn neighbours_of(&self, router: RouterIndex) -> Option<&Neighbours> {
        let circuit = self.circuits.get(router)?;
        let key = (circuit.interface.as_ref()?.index, circuit.family());
        self.neighbours.get(&key).map(AsyncFd::get_ref)
    }

    /// Tells the machine what each router's host can do, where that is something else than before.
    fn tell_fitness(&mut self, now: Instant) {
        let excused = now < self.excused_until;
        if !excused {
            self.able = self.surroundings.able();
        }
        for (router, circuit) in self.circuits.iter().enumerate() {
            let mut fitness = self.shared.fitness(circuit.load_balancer(), now, excused);
            // Who leaves serves what is there, with listeners or without.
            if let (Err(why), false) = (&self.able, matches!(fitness, Fitness::Leaving(_))) {
                fitness = fitness.or_worse(Fitness::Unfit(why.clone()));
            }
            let mut fitness = fitness.or_worse(circuit.fitness(now));
            if circuit.interface.is_some() && !self.sockets.values().any(|it| circuit.is_on(it.get_ref())) {
                fitness = fitness.or_worse(Fitness::Unfit("VRRP can't be spoken: see the log".to_owned()));
            }
            if self.told[router].as_ref() != Some(&fitness) {
                self.told[router] = Some(fitness.clone());
                self.routers.handle(now, Input::Fitness { router, fitness });
            }
        }
    }

    fn publish(&mut self, now: Instant) {
        let mut all = self.routers.status(now);
        for (status, circuit) in all.iter_mut().zip(&self.circuits) {
            circuit.report(now, status);
        }
        self.shared.publish(now, all);
    }

    /// The end: gives everything up and lets it go.
    async fn leave(mut self) {
        let now = Instant::now();
        for router in 0..self.circuits.len() {
            let fitness = Fitness::Unfit("stopped".to_owned());
            self.routers.handle(now, Input::Fitness { router, fitness });
        }
        self.perform(now).await;
        for circuit in &mut self.circuits {
            if circuit.is_held() {
                circuit.let_go(&self.netlink);
            }
            circuit.gone().await;
        }
        self.publish(now);
    }
}

impl Thread<'_> {
    /// Until one of the sockets has something.
    async fn readable(
        sockets: &BTreeMap<(u32, Family), AsyncFd<VrrpSocket>>,
        neighbours: &BTreeMap<(u32, Family), AsyncFd<Neighbours>>,
        circuits: &[Circuit],
    ) {
        poll_fn(|context| {
            // All of them are asked, so that each wakes the thread.
            let mut any = sockets.values().fold(false, |any, it| ready::is_ready(it, context) | any);
            any = neighbours.values().fold(any, |any, it| ready::is_ready(it, context) | any);
            let questions = circuits.iter().filter_map(|circuit| circuit.questions.as_ref());
            any = questions.fold(any, |any, (it, _)| ready::is_ready(it, context) | any);
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
