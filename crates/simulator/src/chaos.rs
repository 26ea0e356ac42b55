//! Failures at random: whatever can happen to hosts and links, often, and at once.

use std::time::Duration;

use nines_control::random::Random;

use crate::{Conditions, Fault, HostIndex, Program, Time, World, between, chance, of_any_size};

/// How bad it gets.
#[derive(Debug, Clone)]
pub struct Chaos {
    /// The pace of what is broken: failures last from a fraction of it to many times as long.
    pub unit: Duration,
    /// No packet is under way for longer.
    pub longest_delay: Duration,
}

impl Chaos {
    /// Puts failures and their ends into a world, from now until then. What lasts longer ends with [`World::heal`].
    pub fn unleash<P: Program>(&self, world: &mut World<P>, random: &mut Random, until: Time) {
        let mut at = world.now();
        // A bound, however short the unit.
        for _ in 0..1000 {
            at += between(random, self.unit / 2, 12 * self.unit);
            if at >= until {
                break;
            }
            let lasts = of_any_size(random, self.unit / 4, 40 * self.unit);
            self.one(world, random, at, at + lasts);
        }
    }

    fn one<P: Program>(&self, world: &mut World<P>, random: &mut Random, at: Time, end: Time) {
        let hosts = world.hosts();
        let host = random.below(hosts);
        match random.below(9) {
            0 | 1 => self.during(world, (at, end), Fault::Pause(host), Fault::Resume(host)),
            2 => self.during(world, (at, end), Fault::Freeze(host), Fault::Resume(host)),
            3 => self.during(world, (at, end), Fault::Crash(host), Fault::Start(host)),
            // One link, in one direction.
            4 => {
                let other = (host + 1 + random.below(hosts - 1)) % hosts;
                self.during(world, (at, end), Fault::Cut(host, other), Fault::Mend(host, other));
            }
            // One host: off altogether, or deaf, or dumb.
            5 => {
                let (deaf, dumb) = [(true, true), (true, false), (false, true)][random.below(3)];
                for other in (0..hosts).filter(|other| *other != host) {
                    if dumb {
                        self.during(world, (at, end), Fault::Cut(host, other), Fault::Mend(host, other));
                    }
                    if deaf {
                        self.during(world, (at, end), Fault::Cut(other, host), Fault::Mend(other, host));
                    }
                }
            }
            // Two halves.
            6 => {
                let left: Vec<bool> = (0..hosts).map(|_| chance(random, 0.5)).collect();
                for (from, to) in pairs(hosts).filter(|(from, to)| left[*from] != left[*to]) {
                    self.during(world, (at, end), Fault::Cut(from, to), Fault::Mend(from, to));
                }
            }
            // All links, or those of one host, get worse; they stay so until the next change.
            _ => {
                let everywhere = chance(random, 0.5);
                let conditions = self.weather(random);
                for (from, to) in pairs(hosts).filter(|pair| everywhere || pair.0 == host) {
                    world.schedule(at, Fault::Weather(from, to, conditions));
                }
            }
        }
    }

    fn during<P: Program>(&self, world: &mut World<P>, (at, end): (Time, Time), fault: Fault, ends: Fault) {
        world.schedule(at, fault);
        world.schedule(end, ends);
    }

    fn weather(&self, random: &mut Random) -> Conditions {
        let fair = chance(random, 0.4);
        Conditions {
            loss: if fair { 0.0 } else { random.unit().powi(2) },
            duplicate: if chance(random, 0.7) { 0.0 } else { random.unit() },
            shortest: Conditions::GOOD.shortest,
            longest: of_any_size(random, Conditions::GOOD.longest, self.longest_delay),
        }
    }
}

/// Every link, in each direction.
pub(crate) fn pairs(hosts: usize) -> impl Iterator<Item = (HostIndex, HostIndex)> {
    (0..hosts).flat_map(move |from| (0..hosts).map(move |to| (from, to))).filter(|(from, to)| from != to)
}
