//! What a host may do at a moment, whatever the state of the world.

use std::time::Duration;

use nines_control::vrrp::{HEALTHY, RouterIndex, SLOW, master_down};

use super::{Checked, Checker, PROBATION, Vips};
use crate::HostIndex;
use crate::vrrp::host::{Condition, Order, Packet};

/// Advertisements of one router within one interval: one, ten in answer to others, and one for each change.
const STORM: u32 = 24;

impl Checker {
    pub(super) fn resumed(&mut self, world: &Vips, host: HostIndex, stood: Duration) {
        self.resumed_at[host] = Some(world.now());
        let slowest = self.scene.longest_interval();
        for router in 0..self.whole.len() {
            // What was heard before is old by now.
            self.seen[host][router].heard = None;
            // Who takes no part has nothing to doubt.
            if !self.is_able(world, host, router) {
                continue;
            }
            let plan = &self.scene.routers[router];
            let place = &plan.at[host];
            let seen = &mut self.seen[host][router];
            let patience = if seen.was_master {
                3 * place.interval
            } else {
                self.scene.longest_patience() + 3 * slowest
            };
            if stood >= patience {
                // A backup may go by its master's interval, which may be shorter than its own.
                let interval = if seen.was_master { place.interval } else { self.scene.shortest_interval() };
                let listens = master_down(plan.version, place.priority, interval);
                seen.listens_until = Some(world.local(host) + listens);
                // By any clock.
                seen.probation_until =
                    world.now() + PROBATION - (self.scene.with_drift(PROBATION) - PROBATION);
            }
        }
    }

    pub(super) fn sent(&mut self, world: &Vips, host: HostIndex, packet: &Packet) -> Checked {
        let (router, now) = (packet.router, world.now());
        if packet.said.priority == 0 {
            return Ok(());
        }
        let interval = self.scene.routers[router].at[host].interval;
        let seen = &mut self.seen[host][router];
        if now - seen.sent.0 >= interval {
            seen.sent = (now, 0);
        }
        seen.sent.1 += 1;
        seen.last_sent = now;
        let what = format!("host{} advertises vip{}", host + 1, router + 1);
        if seen.sent.1 > STORM {
            return Err((
                "no storm of advertisements",
                format!("{what} for the {STORM}th time in an interval"),
            ));
        }
        let local = world.local(host);
        if let Some(until) = seen.listens_until.filter(|until| local < *until) {
            let what = format!("{what}, and should listen for another {:?}", until - local);
            return Err(("who stood still listens first", what));
        }
        self.may_speak(host, router);
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        world: &Vips,
        from: HostIndex,
        host: HostIndex,
        packet: &Packet,
    ) -> Checked {
        let (router, now) = (packet.router, world.now());
        let (name, vip) = (host + 1, router + 1);
        let plan = &self.scene.routers[router];
        let interval = plan.at[host].interval;
        let (ours, source) = self.rank(world, host, router);
        let leads = self.scene.group_of(router).next() == Some(router);
        let better = packet.said.priority > ours
            || (packet.said.priority == ours && leads && plan.at[from].source > source);
        let is_master = world.program(host).is_master(router);
        let seen = &mut self.seen[host][router];
        if seen.took_on_resuming == Some(now) && packet.said.priority > ours {
            let what = format!("host{name} took vip{vip}, and this had arrived before: {packet}");
            return Err(("who takes over has read everything", what));
        }
        // Who ran late doubts itself; that is another matter.
        let awake = now - seen.last_sent < interval.mul_f64(2.9);
        if seen.was_master && !is_master && awake && !better {
            let what = format!("host{name}, the master of vip{vip} with priority {ours}, yields to {packet}");
            return Err(("nobody yields to a lesser", what));
        }
        if packet.said.priority > 0 {
            seen.heard_another |= !is_master;
            seen.heard = Some((now, packet.clone()));
            self.may_speak(host, router);
        } else {
            seen.heard = None;
            if !seen.was_master {
                seen.listens_until = None;
            }
        }
        Ok(())
    }

    /// Once all that it did about it is known.
    pub(super) fn answers(&self, world: &Vips, host: HostIndex, packet: &Packet) -> Checked {
        let router = packet.router;
        let seen = &self.seen[host][router];
        let silent = world.now() - seen.last_sent;
        let interval = self.scene.routers[router].at[host].interval;
        // It has to yield to its betters instead; and need not answer twice within a tenth of its interval.
        if packet.said.priority >= self.rank(world, host, router).0 {
            return Ok(());
        }
        if !seen.was_master || !world.program(host).is_master(router) || silent <= interval / 8 {
            return Ok(());
        }
        let what = format!("host{}, the master of vip{}, is silent after {packet}", host + 1, router + 1);
        Err(("a master answers another at once", what))
    }

    /// A master that is heard and serves well is pushed aside only by who may.
    pub(super) fn took(&mut self, world: &Vips, host: HostIndex, router: RouterIndex) -> Checked {
        let now = world.now();
        self.seen[host][router].took_on_resuming = self.resumed_at[host].filter(|at| *at == now);
        let Some((at, packet)) = &self.seen[host][router].heard else { return Ok(()) };
        let probation = now < self.seen[host][router].probation_until;
        let place = &self.scene.routers[router].at[host];
        let serves = now - *at < packet.said.interval.mul_f64(2.5);
        // Healthy, slow, or sick: none of its kind or a lesser one takes over for what it is.
        let level = |priority: u8| (priority >= SLOW, priority >= HEALTHY);
        let (theirs, ours) = (packet.said.priority, self.rank(world, host, router).0);
        let well = level(theirs) >= level(ours);
        // Of a group another router may have had the cause.
        let alone = self.scene.group_of(router).count() == 1;
        if serves && well && alone && (probation || place.preempt.is_none()) && place.priority < 255 {
            let what = format!("host{} takes vip{}, {:?} after {packet}", host + 1, router + 1, now - *at);
            return Err(("nobody pushes a master aside who may not", what));
        }
        Ok(())
    }

    /// A group moves as one.
    pub(super) fn may_speak(&mut self, host: HostIndex, router: RouterIndex) {
        for other in self.scene.group_of(router) {
            self.seen[host][other].listens_until = None;
        }
    }

    pub(super) fn ordered(&mut self, world: &Vips, host: HostIndex, order: &Order) {
        if let Order::Idle(_) = order {
            return;
        }
        self.disturb(world.now());
        self.forget_pairs();
        // An owner that has become fit does not wait.
        self.resumed_at[host] = None;
        self.seen[host].iter_mut().for_each(|seen| seen.listens_until = None);
        if matches!(order, Order::Ready | Order::Become(_, Condition::Unfit)) {
            self.failed_at = world.now();
        }
    }

    pub(super) fn let_go(&self, world: &Vips, host: HostIndex, router: RouterIndex) -> Checked {
        let heard = self.scene.group_of(router).any(|router| self.seen[host][router].heard_another);
        if heard || self.condition(world, host, router) == Condition::Unfit {
            return Ok(());
        }
        let what = format!("host{} lets go of vip{}, and heard of no other master", host + 1, router + 1);
        Err(("nobody lets go before another has taken", what))
    }
}
