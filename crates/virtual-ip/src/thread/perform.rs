//! Doing what the machine says, and what has to be looked after meanwhile.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use nines_control::event::Kind;
use nines_control::status::Standing;
use nines_control::vrrp::{Input, Output, RouterIndex};

use super::{IDLE_LOOK, LINGER_MIN, Thread};
use crate::Happened;
use crate::circuit::{Circuit, Lingering};
use crate::handover::Handover;
use crate::probing::Role;

/// How long after a move another host may still answer for the address: longer than a dead host's kernel keeps it.
const CONTESTED: Duration = Duration::from_secs(10);
/// After a question, when it is answered again: by then every kernel has answered, busy ones at the latest by the last.
const LAST_WORDS: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(25), Duration::from_millis(100)];
/// Announcements in a row: a link loses a frame now and then.
const ANNOUNCEMENTS: usize = 2;

impl Thread<'_> {
    pub(super) async fn perform(&mut self, now: Instant) {
        while let Some(output) = self.routers.poll() {
            if self.is_stale(now, &output) {
                continue;
            }
            match output {
                Output::Send { router, advertisement } => {
                    let Some(circuit) = self.circuits.get_mut(router) else { continue };
                    let socket = self.sockets.values().find(|socket| circuit.is_on(socket.get_ref()));
                    if let Some(socket) = socket {
                        circuit.send(socket.get_ref(), &advertisement);
                    }
                }
                Output::Take { router, from } => self.take(router, from, now).await,
                Output::Announce { router, from } => {
                    if let Some(from) = from {
                        self.hand_over(router, from, now);
                    }
                    self.announce(router);
                }
                Output::Linger { router } => {
                    // A handover to this host that is not over goes on: what it brought may still arrive here.
                    if let Some(circuit) = self.circuits.get_mut(router) {
                        circuit.lingers = Some(Lingering { since: now, settled: false });
                    }
                    self.surroundings.retire();
                }
                Output::LetGo { router } => {
                    self.end_handover(router);
                    if let Some(circuit) = self.circuits.get_mut(router) {
                        circuit.let_go(&self.netlink);
                    }
                }
                Output::Event { kind, subject, why } => self.tell(kind, subject, why),
            }
        }
    }

    /// Whether this process slept between deciding this and doing it, for longer than the others wait. A master's word is
    /// then no longer good; the machine finds out with the next turn, and listens first.
    fn is_stale(&self, now: Instant, output: &Output) -> bool {
        let router = match output {
            Output::Send { router, advertisement } if advertisement.priority > 0 => *router,
            Output::Take { router, .. } | Output::Announce { router, .. } => *router,
            _ => return false,
        };
        self.circuits.get(router).is_some_and(|it| now.elapsed() >= 3 * it.planned.virtual_ip.interval)
    }

    async fn take(&mut self, router: RouterIndex, from: Option<IpAddr>, now: Instant) {
        match from {
            // Before the address is here: from its first moment, what belongs to the other must not be reset.
            Some(from) => self.hand_over(router, from, now),
            // Who never lost the addresses goes on with what it began when it took them.
            None if self.circuits.get(router).is_some_and(Circuit::is_held) => {}
            None => self.end_handover(router),
        }
        let Some(circuit) = self.circuits.get_mut(router) else { return };
        circuit.lingers = None;
        if let Err(error) = circuit.hold(&self.netlink, now).await {
            tracing::error!(virtual_ip = %circuit.planned.name, %error, "not taken");
            return;
        }
        circuit.in_force(&self.netlink).await;
        let lasts = if from.is_some() { CONTESTED.max(circuit.planned.linger()) } else { CONTESTED };
        circuit.listen_for_questions(now + lasts);
        for _ in 0..ANNOUNCEMENTS {
            self.announce(router);
        }
    }

    /// Who asks where an address is that has just moved is told after the kernels have answered.
    pub(super) fn answer_questions(&mut self, now: Instant) {
        for router in 0..self.circuits.len() {
            if self.circuits[router].is_asked_for(now) && self.routers.is_master(router) {
                self.announce(router);
                // Whoever asks meanwhile is answered with these.
                self.announce_again.retain(|(_, other)| *other != router);
                self.announce_again.extend(LAST_WORDS.map(|later| (now + later, router)));
            }
        }
        let due: Vec<_> = self.announce_again.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, router) in due {
            if self.routers.is_master(router) {
                self.announce(router);
            }
        }
    }

    pub(super) fn announce_again_at(&self) -> Option<Instant> {
        self.announce_again.iter().map(|(at, _)| *at).min()
    }

    fn announce(&self, router: RouterIndex) {
        let Some((circuit, neighbours)) = self.circuits.get(router).zip(self.neighbours_of(router)) else {
            return;
        };
        for &address in circuit.addresses() {
            if let Err(error) = neighbours.announce(address) {
                tracing::warn!(%address, %error, "not announced");
            }
        }
    }

    /// From now on, what belongs to connections of the host that held the addresses goes there.
    fn hand_over(&mut self, router: RouterIndex, from: IpAddr, now: Instant) {
        let Some(circuit) = self.circuits.get(router) else { return };
        let lasts = circuit.handover.as_ref().is_some_and(|handover| handover.from() == from);
        let (Some(interface), false) = (circuit.interface.clone(), lasts) else { return };
        let until = now + circuit.planned.linger();
        let addresses = circuit.addresses().to_vec();
        let mac = self.peers.mac(from);
        self.hush(true);
        let handover = Handover::new(now, from, interface, addresses, until, mac);
        if mac.is_none()
            && let Some(neighbours) = self.neighbours_of(router)
            && let Err(error) = neighbours.probe(from, None)
        {
            tracing::debug!(%from, %error, "not asked where it is");
        }
        self.circuits[router].handover = Some(handover);
    }

    fn end_handover(&mut self, router: RouterIndex) {
        if let Some(handover) = self.circuits.get_mut(router).and_then(|circuit| circuit.handover.take()) {
            // Its end waits for another thread's.
            tokio::task::spawn_blocking(move || drop(handover));
        }
        let any = self.circuits.iter().any(|circuit| circuit.handover.is_some());
        self.hush(any);
    }

    fn hush(&mut self, on: bool) {
        if std::mem::replace(&mut self.hushed, on) != on {
            self.surroundings.hush(on);
        }
    }

    fn tell(&self, kind: Kind, subject: String, why: String) {
        if let Err(refused) = self.events.try_send(Happened { kind, subject, why }) {
            let Happened { kind, subject, why } = refused.into_inner();
            tracing::warn!(kind = kind.word(), %subject, %why, "the daemon does not take this event");
        }
    }

    /// Renewals, late connections, probes, handovers.
    pub(super) async fn look_after(&mut self, now: Instant) {
        let statuses = self.routers.status(now);
        let look_idle = self.next_idle_look <= now;
        if look_idle {
            self.next_idle_look = now + IDLE_LOOK;
        }
        for router in 0..self.circuits.len() {
            let Some(status) = statuses.get(router) else { continue };
            let circuit = &mut self.circuits[router];
            circuit.renew(&self.netlink, now, status.state == Standing::Master).await;
            if let Some(lingering) =
                circuit.lingers.as_mut().filter(|it| look_idle && now >= it.since + LINGER_MIN)
            {
                if !std::mem::replace(&mut lingering.settled, true) {
                    // Those that were on their way when it began.
                    self.surroundings.retire();
                }
                if circuit.is_idle().await {
                    self.routers.handle(now, Input::Idle { router });
                }
            }
            self.mind_handover(router, now);
            let circuit = &self.circuits[router];
            let role = match status.state {
                _ if circuit.handover.is_some() || status.held && status.state != Standing::Master => {
                    Role::Other
                }
                Standing::Master => Role::Master,
                Standing::Backup if status.holder.is_some() => Role::Backup,
                _ => Role::Other,
            };
            self.probe(router, role, now);
        }
    }

    fn mind_handover(&mut self, router: RouterIndex, now: Instant) {
        let Some(handover) = self.circuits[router].handover.as_mut() else { return };
        let asks = handover.tick(now);
        if handover.is_over(now) {
            return self.end_handover(router);
        }
        let Some(mac) = asks else { return };
        let addresses = self.circuits[router].addresses().to_vec();
        if let (Some(neighbours), Some(&address)) = (self.neighbours_of(router), addresses.first())
            && let Err(error) = neighbours.probe(address, Some(mac))
        {
            tracing::debug!(%address, %error, "not asked whether it lingers");
        }
    }

    fn probe(&mut self, router: RouterIndex, role: Role, now: Instant) {
        let circuit = &mut self.circuits[router];
        let addresses = circuit.addresses().to_vec();
        if circuit.probing.is_due(now, role, &addresses)
            && let Some(neighbours) = self.neighbours_of(router)
        {
            for address in addresses {
                if let Err(error) = neighbours.probe(address, None) {
                    tracing::debug!(%address, %error, "not probed");
                }
            }
        }
        for input in self.circuits[router].probing.result(now, router) {
            self.routers.handle(now, input);
        }
    }
}
