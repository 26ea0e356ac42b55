//! Virtual addresses in a world that fails: two to five hosts, each with the routers of `control`, through chaos, calm
//! and planned changes, in turn; every promise checked after every event.

mod check;
mod host;
mod mistake;
mod scene;

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use nines_control::random::Random;
use nines_control::vrrp::Cause;

pub use host::{Condition, Note, Order, Packet, VrrpHost};
pub use mistake::Mistake;
pub use scene::Scene;

use crate::play::play_until;
use crate::{Chaos, Clock, Conditions, Fault, Happened, Plot, Violation, World, chance, of_any_size};
use check::Checker;

/// Far more than happens in any part of a run that goes well.
const STEPS: u32 = 2_000_000;

pub type Options = crate::Options<Mistake>;
pub type Report = crate::Report<Seen>;

/// What a run came across.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Why routers ceased to be the master.
    pub released: BTreeSet<Cause>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "masters released for {} different causes", self.released.len())
    }
}

/// Plays one seed to its end, or to the first broken promise. `origin`: any instant; nothing depends on which.
pub fn run(origin: Instant, seed: u64, options: &Options) -> Report {
    let mut random = Random::seeded(seed);
    let scene = Scene::draw(&mut random);
    let host = |(at, drift): (usize, &i32)| {
        let program = VrrpHost::new(&scene, at, seed ^ (at as u64 + 1), options.mistake);
        (program, Clock::new(origin, *drift))
    };
    let programs = scene.drift_ppm.iter().enumerate().map(host).collect();
    let world = World::new(random.next_u64(), programs, scene.lateness, options.trace_lines);
    let checker = Checker::new(scene.clone());
    let mut play = Play { world, checker, random, scene, seen: Seen::default() };
    let violation = play.all(options).err();
    Report::of((Plot::Vrrp, seed, &play.scene), &play.world, play.seen, violation)
}

struct Play {
    world: World<VrrpHost>,
    checker: Checker,
    random: Random,
    scene: Scene,
    seen: Seen,
}

impl Play {
    fn all(&mut self, options: &Options) -> Result<(), Violation> {
        for _ in 0..options.rounds {
            self.chaos()?;
            self.calm()?;
            self.planned()?;
            self.calm()?;
        }
        self.chaos()?;
        self.heal();
        self.play_for(self.checker.rests_within())?;
        self.checker.preferred(&self.world)?;
        // Nothing more happens, for as long as it likes.
        self.play_for(10 * self.scene.longest_interval())
    }

    fn chaos(&mut self) -> Result<(), Violation> {
        let unit = self.scene.longest_interval();
        let lasts = (50 * unit).max(Duration::from_secs(4));
        let chaos = Chaos { unit, longest_delay: self.scene.longest_delay };
        let until = self.world.now() + lasts;
        chaos.unleash(&mut self.world, &mut self.random, until);
        self.orders(8, lasts, true);
        self.play_for(lasts)
    }

    fn heal(&mut self) {
        self.world.heal(Conditions::GOOD);
        self.checker.healed(self.world.now());
    }

    /// The world heals, and has to settle.
    fn calm(&mut self) -> Result<(), Violation> {
        self.heal();
        self.play_for(self.checker.settles_within() + 10 * self.scene.longest_interval())
    }

    /// Hosts get well and sick, leave and come back; nothing fails, though packets may be lost.
    fn planned(&mut self) -> Result<(), Violation> {
        let loss = if chance(&mut self.random, 0.5) { 0.0 } else { 0.2 * self.random.unit() };
        let conditions = Conditions { loss, ..Conditions::GOOD };
        for (from, to) in crate::chaos::pairs(self.scene.hosts) {
            self.world.schedule(self.world.now(), Fault::Weather(from, to, conditions));
        }
        let settles = self.checker.settles_within();
        self.play_for(settles + host::LIFETIME)?;
        self.orders(10, 6 * settles, false);
        self.play_for(6 * settles)
    }

    fn orders(&mut self, count: usize, within: Duration, unfit: bool) {
        let mut at = self.world.now();
        let end = at + within;
        for _ in 0..count {
            at += of_any_size(&mut self.random, within / 5000, within / 3);
            if at >= end {
                return;
            }
            let host = self.random.below(self.scene.hosts);
            let condition = match self.random.below(if unfit { 8 } else { 7 }) {
                0..=2 => Condition::Fit,
                3 => Condition::Sick,
                4 => Condition::Slow,
                5 | 6 => Condition::Leaving,
                _ => Condition::Unfit,
            };
            // Most of what ails a host ails it for all its addresses.
            let one = self.random.below(3 * self.scene.routers.len());
            for router in 0..self.scene.routers.len() {
                if one >= self.scene.routers.len() || one == router {
                    self.world.order(at, host, Order::Become(router, condition));
                }
            }
        }
    }

    fn play_for(&mut self, time: Duration) -> Result<(), Violation> {
        let Self { world, checker, seen, .. } = self;
        let end = world.now() + time;
        play_until(world, end, STEPS, |world| {
            checker.observe(world)?;
            if world.happened().iter().any(|one| matches!(one, Happened::Noted(..))) {
                seen.look(world);
            }
            Ok(())
        })
    }
}

impl Seen {
    /// What a person would see is not checked, but must be there; and it knows the causes.
    fn look(&mut self, world: &World<VrrpHost>) {
        for host in 0..world.hosts() {
            let Some(machine) = world.program(host).machine() else { continue };
            for status in machine.status(world.local(host)) {
                self.released.extend(status.released.keys());
            }
        }
    }
}
