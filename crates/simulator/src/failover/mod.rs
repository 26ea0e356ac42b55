//! A database in a world that fails: two to five hosts, each with the machine of `control` and a model of an engine, and
//! one store of registers; through chaos and calm, in turn; every promise checked after every event.

mod check;
mod engine;
mod gap;
mod history;
mod message;
mod mistake;
mod nemesis;
mod node;
mod scene;
mod shell;
mod store;

use std::fmt;
use std::time::{Duration, Instant};

use nines_control::failover::{Disk, Register};
use nines_control::random::Random;

pub use gap::{Blow, Gap, gap};
pub use message::{Message, Note, Order};
pub use mistake::Mistake;
pub use node::{EngineNode, Node, StoreNode};
pub use scene::{Begins, Scene};
pub use shell::Shell;

use crate::play::play_until;
use crate::{Clock, Conditions, Fault, Happened, HostIndex, Plot, Time, Violation, World, chance};
use check::{Checker, Due};
use engine::Engine;
use nemesis::Nemesis;
use store::Store;

/// Far more than happens in any part of a run that goes well.
const STEPS: u32 = 1_000_000;

pub type Options = crate::Options<Mistake>;
pub type Report = crate::Report<Seen>;

/// What a run came across.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Acknowledgements that clients got.
    pub writes: u64,
    /// How often there was a new primary.
    pub terms: usize,
    /// How often there could not be one, since what might be missing was elsewhere.
    pub refused: u32,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, terms, refused } = self;
        write!(f, "{writes} acknowledgements, {terms} terms, {refused} times refused")
    }
}

/// Plays one seed to its end, or to the first broken promise. `origin`: any instant; nothing depends on which.
pub fn run(origin: Instant, seed: u64, options: &Options) -> Report {
    run_from(origin, seed, options, None)
}

/// The same, and it begins with this, whatever the seed says.
pub fn run_from(origin: Instant, seed: u64, options: &Options, begins: Option<Begins>) -> Report {
    // Room below it, since some look back a little.
    let origin = origin + Duration::from_secs(60);
    let mut random = Random::seeded(seed);
    let mut scene = Scene::draw(&mut random);
    scene.begins = begins.unwrap_or(scene.begins);
    let world = populate(origin, seed, &scene, &mut random, options);
    let checker = Checker::new(scene.clone(), options.mistake);
    let mut play = Play { world, checker, random, scene, refused: 0, in_chaos: false };
    let violation = play.all(options).err();
    let (writes, terms, refused) = (play.checker.writes, play.checker.terms(), play.refused);
    Report::of((Plot::Failover, seed, &play.scene), &play.world, Seen { writes, terms, refused }, violation)
}

/// The managers, then the engines, then the store.
fn populate(
    origin: Instant,
    seed: u64,
    scene: &Scene,
    random: &mut Random,
    options: &Options,
) -> World<Node> {
    let mut programs = Vec::new();
    let clock = |host: HostIndex| Clock::new(origin, scene.drift_ppm[host]);
    for host in 0..scene.hosts {
        let shell = Shell::new(scene, host, seed ^ (host as u64 + 1), options.mistake);
        programs.push((Node::Manager(Box::new(shell)), clock(host)));
    }
    for host in 0..scene.hosts {
        let engine = Engine::new(scene, host, seed ^ (host as u64 + 100), options.mistake);
        programs.push((Node::Engine(Box::new(EngineNode(engine))), clock(host)));
    }
    let store = Store::new(scene.names.clone(), scene.first_rule());
    programs.push((Node::Store(Box::new(StoreNode(store))), Clock::new(origin, 0)));
    World::new(random.next_u64(), programs, scene.lateness, options.trace_lines)
}

struct Play {
    world: World<Node>,
    checker: Checker,
    random: Random,
    scene: Scene,
    refused: u32,
    in_chaos: bool,
}

/// Where something happened that decides something.
fn decisive(happened: &Happened<Node>) -> Option<HostIndex> {
    let Happened::Noted(node, note) = happened else { return None };
    let register = matches!(note, Note::Set(Register::Rule | Register::Pledge(_)));
    (register || matches!(note, Note::Engine(_) | Note::Synchronous(_))).then_some(*node)
}

impl Play {
    fn all(&mut self, options: &Options) -> Result<(), Violation> {
        let everyone: Vec<HostIndex> = (0..self.scene.hosts).collect();
        match self.scene.begins {
            Begins::Ruled => {}
            Begins::Confused => {
                // Some stand still just as they have made one.
                let (scene, world, random) = (&self.scene, &mut self.world, &mut self.random);
                Nemesis { scene, world, random, disks: 0 }.beginning();
                self.play_until(5 * self.scene.lease)?;
            }
            _ if chance(&mut self.random, 0.5) => self.chaos(0)?,
            _ => {}
        }
        self.calm(&everyone)?;
        for _ in 0..options.rounds {
            self.chaos(1)?;
            let some = self.majority();
            self.calm(&some)?;
            self.chaos(1)?;
            self.calm(&everyone)?;
            self.planned()?;
            self.calm(&everyone)?;
            match self.random.below(2) {
                0 => self.islands()?,
                _ => self.flapping()?,
            }
        }
        self.calm(&everyone)
    }

    /// The operator moves the primary from host to host, while messages are lost and overtake each other.
    fn planned(&mut self) -> Result<(), Violation> {
        let lease = self.scene.lease;
        let end = self.world.now() + 8 * lease;
        let (scene, world, random) = (&self.scene, &mut self.world, &mut self.random);
        Nemesis { scene, world, random, disks: 0 }.switch_over(end);
        self.play_until(end)
    }

    fn chaos(&mut self, disks: u32) -> Result<(), Violation> {
        let until = self.world.now() + 12 * self.scene.lease;
        let (scene, world, random) = (&self.scene, &mut self.world, &mut self.random);
        Nemesis { scene, world, random, disks }.unleash(until);
        self.in_chaos = true;
        let played = self.play_until(until);
        self.in_chaos = false;
        played
    }

    /// Some hosts are cut off from their peers, not from the store. The others are enough: writes must be acknowledged again.
    fn islands(&mut self) -> Result<(), Violation> {
        let hosts = self.scene.hosts;
        let enough = self.scene.confirm + 1;
        if hosts <= enough {
            return Ok(());
        }
        let mut alone: Vec<HostIndex> = Vec::new();
        while alone.len() < 1 + self.random.below(hosts - enough) {
            let host = self.random.below(hosts);
            if !alone.contains(&host) {
                alone.push(host);
            }
        }
        let together: Vec<HostIndex> = (0..hosts).filter(|host| !alone.contains(host)).collect();
        if self.checker.due(&self.world, &together) != Due::Writes {
            // What may be only on those that are alone is not to be lost.
            return Ok(());
        }
        let (scene, world, random) = (&self.scene, &mut self.world, &mut self.random);
        Nemesis { scene, world, random, disks: 0 }.isolate(&alone);
        let begin = self.world.now();
        let tries = u32::try_from(alone.len() + 1).unwrap_or(u32::MAX);
        let bound = begin + tries * (25 * self.scene.lease + Duration::from_secs(10));
        // A switchover that was wished for before is none of theirs.
        let takeovers = self.checker.takeovers;
        let ordered = self.checker.terms() - takeovers;
        loop {
            let before = self.world.now();
            self.play_until(before + self.scene.lease)?;
            if self.checker.acknowledged_at > before && before > begin + 4 * self.scene.lease {
                break;
            }
            if self.world.now() > bound {
                let moved = self.checker.terms() - self.checker.takeovers > ordered;
                if moved && self.checker.due(&self.world, &together) != Due::Writes {
                    // It was given to one that is alone, and they are not enough without it.
                    return Ok(());
                }
                let what = format!("{alone:?} alone: no write since {:?}", self.checker.acknowledged_at);
                let at = self.world.now();
                return Err(Violation { at, promise: "who is enough acknowledges writes", what });
            }
        }
        // And it stays so.
        let steady = self.world.now() + 12 * self.scene.lease;
        self.play_until(steady)?;
        if self.checker.takeovers > takeovers + alone.len() {
            let at = self.world.now();
            let what = format!("{} in a partition of {alone:?}", self.checker.takeovers - takeovers);
            return Err(Violation { at, promise: "no more changes than hosts that are alone", what });
        }
        Ok(())
    }

    /// Whoever is the primary is cut off from all, again and again, for too short a time for anybody to believe that it is dead.
    fn flapping(&mut self) -> Result<(), Violation> {
        let lease = self.scene.lease;
        let (begin, before) = (self.world.now(), self.checker.takeovers);
        for _ in 0..10 {
            let now = self.world.now();
            if let Some(primary) = self.checker.primary() {
                let (scene, world, random) = (&self.scene, &mut self.world, &mut self.random);
                Nemesis { scene, world, random, disks: 0 }.hide(primary, (now, now + 3 * lease));
            }
            self.play_until(now + 6 * lease)?;
        }
        // Clocks may be fast.
        let lasted = (self.world.now() - begin).as_secs_f64() * 1.25;
        let most = 1 + (lasted / self.scene.apart().as_secs_f64()).ceil() as usize;
        if self.checker.takeovers > before + most {
            let (at, takeovers) = (self.world.now(), self.checker.takeovers - before);
            let what = format!("{takeovers} in {lasted:.0} s, and {most} are enough");
            return Err(Violation { at, promise: "a network that flaps costs few takeovers", what });
        }
        Ok(())
    }

    fn majority(&mut self) -> Vec<HostIndex> {
        let mut hosts: Vec<HostIndex> = (0..self.scene.hosts).collect();
        for _ in 0..(self.scene.hosts - 1) / 2 {
            let gone = self.random.below(hosts.len());
            hosts.remove(gone);
        }
        hosts
    }

    /// These hosts and the store get well, the others are down. It must come to what is due, within a bound.
    fn calm(&mut self, well: &[HostIndex]) -> Result<(), Violation> {
        let now = self.world.now();
        let hosts = self.scene.hosts;
        self.world.heal(Conditions::GOOD);
        for host in (0..hosts).filter(|host| !well.contains(host)) {
            self.world.schedule(now, Fault::Crash(host));
            self.world.schedule(now, Fault::Crash(hosts + host));
        }
        for host in 0..hosts {
            self.world.order(now + Duration::from_millis(1), hosts + host, order_well());
        }
        self.world.order(now + Duration::from_millis(1), 2 * hosts, Order::Pause(false));
        // What is under way arrives.
        self.play_until(now + 2 * self.scene.longest_delay + Duration::from_millis(10))?;

        let begin = self.world.now();
        let bound = begin + 25 * self.scene.lease + self.scene.apart() + Duration::from_secs(10);
        let mut patience = begin + 6 * self.scene.lease;
        loop {
            let before = self.world.now();
            self.play_until(before + self.scene.lease)?;
            let due = self.checker.due(&self.world, well);
            let settled = self.checker.has_settled(&self.world, well, due, before);
            match settled {
                Ok(()) if due != Due::Refusal => return Ok(()),
                Ok(()) if self.world.now() > patience => {
                    self.refused += 1;
                    return Ok(());
                }
                Ok(()) => {}
                Err((promise, what)) if self.world.now() > bound => {
                    return Err(Violation { at: self.world.now(), promise, what });
                }
                Err(_) => patience = self.world.now() + 6 * self.scene.lease,
            }
        }
    }

    fn play_until(&mut self, end: Time) -> Result<(), Violation> {
        let Self { world, checker, random, scene, in_chaos, .. } = self;
        play_until(world, end, STEPS, |world| {
            checker.observe(world)?;
            if *in_chaos
                && let Some(node) = world.happened().iter().find_map(decisive)
                && chance(random, 0.15)
            {
                Nemesis { scene, world, random, disks: 0 }.strike(node);
            }
            Ok(())
        })
    }
}

fn order_well() -> Order {
    Order::Disk(Disk::Well)
}
