//! Failures at random, of everything that a database stands on, often, and at once; and an operator with wishes.

use std::time::Duration;

use nines_control::failover::Disk;
use nines_control::random::Random;

use super::message::Order;
use super::node::Node;
use super::scene::Scene;
use crate::{Conditions, Fault, HostIndex, Time, World, between, chance, of_any_size};

/// Puts failures and their ends into a world.
pub(super) struct Nemesis<'a> {
    pub(super) scene: &'a Scene,
    pub(super) world: &'a mut World<Node>,
    pub(super) random: &'a mut Random,
    /// A new disk at most so often.
    pub(super) disks: u32,
}

impl Nemesis<'_> {
    /// From now until then. What lasts longer ends with [`World::heal`].
    pub(super) fn unleash(&mut self, until: Time) {
        let lease = self.scene.lease;
        let mut at = self.world.now();
        // A bound, however short the lease.
        for _ in 0..1000 {
            at += of_any_size(self.random, lease / 10, 5 * lease);
            if at >= until {
                return;
            }
            let end = at + of_any_size(self.random, lease / 8, 12 * lease);
            self.one(at, end);
        }
    }

    /// Wishes alone, and bad weather.
    pub(super) fn switch_over(&mut self, until: Time) {
        let lease = self.scene.lease;
        let mut at = self.world.now();
        while at < until {
            self.weather(at);
            let to = chance(self.random, 0.7).then(|| self.random.below(self.scene.hosts));
            let force = chance(self.random, 0.5);
            at += of_any_size(self.random, lease / 10, lease);
            self.world.order(at, 2 * self.scene.hosts, Order::SwitchOver { to, force });
            at += of_any_size(self.random, lease / 2, 3 * lease);
        }
    }

    /// Some managers stand still for a while, soon.
    pub(super) fn beginning(&mut self) {
        let lease = self.scene.lease;
        for host in 0..self.scene.hosts {
            if chance(self.random, 0.5) {
                let at = of_any_size(self.random, Duration::from_millis(1), lease / 2);
                let end = at + of_any_size(self.random, lease / 2, 4 * lease);
                self.during((at, end), Fault::Pause(host), Fault::Resume(host));
            }
        }
    }

    /// Something decisive has just happened: now is the time.
    pub(super) fn strike(&mut self, node: HostIndex) {
        let lease = self.scene.lease;
        let by_chance = node == 2 * self.scene.hosts || chance(self.random, 0.4);
        let host = if by_chance { self.random.below(self.scene.hosts) } else { node % self.scene.hosts };
        let at = self.world.now() + of_any_size(self.random, Duration::from_micros(10), lease / 10);
        let end = at + of_any_size(self.random, lease / 8, 6 * lease);
        match self.random.below(6) {
            0 => self.kill_manager(host, at, end),
            1 => self.kill_host(host, at, end),
            2 => self.during((at, end), Fault::Pause(host), Fault::Resume(host)),
            3 => self.cut_off(host, (at, end)),
            4 => self.world.order(at, self.scene.hosts + host, Order::Die),
            _ => self.weather(at),
        }
    }

    fn one(&mut self, at: Time, end: Time) {
        let hosts = self.scene.hosts;
        let host = self.random.below(hosts);
        match self.random.below(21) {
            0 | 1 => self.during((at, end), Fault::Pause(host), Fault::Resume(host)),
            2 => self.during((at, end), Fault::Pause(hosts + host), Fault::Resume(hosts + host)),
            3 => {
                self.during((at, end), Fault::Freeze(host), Fault::Resume(host));
                self.during((at, end), Fault::Freeze(hosts + host), Fault::Resume(hosts + host));
            }
            4 | 5 => self.kill_manager(host, at, end),
            6 => self.kill_host(host, at, end),
            7 => {
                // It is shut down, and has a while to hand over.
                let notice =
                    between(self.random, Duration::ZERO, self.scene.lease).min(at - self.world.now());
                self.world.order(at - notice, host, Order::Leave);
                self.kill_host(host, at, end);
            }
            8 | 9 => self.world.order(at, hosts + host, Order::Die),
            10 | 11 => self.cut_off(host, (at, end)),
            12 => self.halves((at, end)),
            13 => {
                let store = 2 * hosts;
                self.during((at, end), Fault::Crash(store), Fault::Start(store));
            }
            14 => self.weather(at),
            15 => {
                let disk = [Disk::Full, Disk::Stalled][self.random.below(2)];
                self.world.order(at, hosts + host, Order::Disk(disk));
                self.world.order(end, hosts + host, Order::Disk(Disk::Well));
            }
            16 | 17 => {
                let to = chance(self.random, 0.7).then_some(host);
                let force = chance(self.random, 0.5);
                self.world.order(at, 2 * hosts, Order::SwitchOver { to, force });
            }
            18 => {
                self.world.order(at, 2 * hosts, Order::Pause(true));
                self.world.order(end, 2 * hosts, Order::Pause(false));
            }
            19 => self.slow_then_cut(host, at, end),
            _ => self.world.order(at, hosts + host, Order::PromoteByHand),
        }
    }

    fn kill_manager(&mut self, host: HostIndex, at: Time, end: Time) {
        self.during((at, end), Fault::Crash(host), Fault::Start(host));
        self.world.order(at, self.scene.hosts + host, Order::Orphaned);
    }

    fn kill_host(&mut self, host: HostIndex, at: Time, end: Time) {
        let engine = self.scene.hosts + host;
        if self.disks > 0 && chance(self.random, 0.3) {
            self.disks -= 1;
            self.world.order(at.saturating_sub(Duration::from_nanos(1)), engine, Order::LoseDisk);
        }
        self.during((at, end), Fault::Crash(host), Fault::Start(host));
        self.during((at, end), Fault::Crash(engine), Fault::Start(engine));
        // Mostly all of it at once: a power cut.
        if chance(self.random, 0.15) {
            for other in 0..self.scene.hosts {
                let end = between(self.random, at, end + self.scene.lease);
                self.during((at, end), Fault::Crash(other), Fault::Start(other));
                let engine = self.scene.hosts + other;
                self.during((at, end), Fault::Crash(engine), Fault::Start(engine));
            }
        }
    }

    /// From the store, or from its peers, or one of them, or everybody; in one direction or both.
    fn cut_off(&mut self, host: HostIndex, when: (Time, Time)) {
        let hosts = self.scene.hosts;
        let (out, into) = [(true, true), (true, true), (true, false), (false, true)][self.random.below(4)];
        let whom = self.random.below(4);
        let one = (host + 1 + self.random.below(hosts - 1)) % hosts;
        let mut links = Vec::new();
        if whom != 1 && whom != 2 {
            links.push((host, 2 * hosts));
        }
        if whom != 0 {
            let peers = (0..hosts).filter(|peer| *peer != host && (whom != 2 || *peer == one));
            links.extend(peers.map(|peer| (hosts + host, hosts + peer)));
        }
        for (from, to) in links {
            if out {
                self.during(when, Fault::Cut(from, to), Fault::Mend(from, to));
            }
            if into {
                self.during(when, Fault::Cut(to, from), Fault::Mend(to, from));
            }
        }
    }

    /// The store's answers take long, and then nothing reaches it any more: whoever counts from the answer counts too far.
    fn slow_then_cut(&mut self, host: HostIndex, at: Time, end: Time) {
        let store = 2 * self.scene.hosts;
        let lease = self.scene.lease;
        let takes = between(self.random, lease / 8, lease * 2 / 5);
        let slow = Conditions { shortest: takes, longest: takes, ..Conditions::GOOD };
        self.world.schedule(at, Fault::Weather(store, host, slow));
        let cut = at + between(self.random, lease / 2, 2 * lease);
        self.during((cut, cut + (end - at)), Fault::Cut(host, store), Fault::Mend(host, store));
        self.world.schedule(cut + 2 * lease, Fault::Weather(store, host, Conditions::GOOD));
    }

    /// Two halves; the store is in one of them.
    fn halves(&mut self, when: (Time, Time)) {
        let hosts = self.scene.hosts;
        let left: Vec<bool> = (0..=hosts).map(|_| chance(self.random, 0.5)).collect();
        for host in 0..hosts {
            if left[host] != left[hosts] {
                self.during(when, Fault::Cut(host, 2 * hosts), Fault::Mend(host, 2 * hosts));
                self.during(when, Fault::Cut(2 * hosts, host), Fault::Mend(2 * hosts, host));
            }
            for peer in (0..hosts).filter(|peer| left[host] != left[*peer]) {
                let (from, to) = (hosts + host, hosts + peer);
                self.during(when, Fault::Cut(from, to), Fault::Mend(from, to));
            }
        }
    }

    /// What is between all hosts and the store, or what goes out from one host, gets worse, or better; it stays so until the next change.
    fn weather(&mut self, at: Time) {
        let fair = chance(self.random, 0.4);
        let conditions = Conditions {
            loss: if fair { 0.0 } else { 0.6 * self.random.unit().powi(2) },
            longest: of_any_size(self.random, Conditions::GOOD.longest, self.scene.longest_delay),
            ..Conditions::GOOD
        };
        let hosts = self.scene.hosts;
        let one = chance(self.random, 0.5).then(|| self.random.below(hosts));
        for host in (0..hosts).filter(|host| one.is_none_or(|one| one == *host)) {
            self.world.schedule(at, Fault::Weather(host, 2 * hosts, conditions));
            self.world.schedule(at, Fault::Weather(2 * hosts, host, conditions));
            for peer in (0..hosts).filter(|peer| *peer != host) {
                self.world.schedule(at, Fault::Weather(hosts + host, hosts + peer, conditions));
            }
        }
    }

    fn during(&mut self, (at, end): (Time, Time), fault: Fault, ends: Fault) {
        self.world.schedule(at, fault);
        self.world.schedule(end, ends);
    }
}
