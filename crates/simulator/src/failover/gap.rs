//! How long writes stand still after one failure, where messages take 1 ms, effects as long as one likes, and nothing else
//! happens: what is left is what the decisions themselves cost.

use std::time::{Duration, Instant};

use nines_control::random::Random;

use super::message::{Note, Order};
use super::scene::Scene;
use super::{Options, populate};
use crate::{Conditions, Fault, Happened, HostIndex};

/// What happens to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    ServerKilled,
    /// The host, without a word.
    HostLost,
    /// It is told to stop, and has the time to.
    Stopped,
    SwitchOver,
    /// The manager alone; it is not started again.
    ManagerKilled,
    /// It reaches the store, and no other host.
    Isolated,
}

#[derive(Debug, Clone)]
pub struct Gap {
    /// The longest time between two acknowledgements, from shortly before the blow on.
    pub longest: Duration,
    /// From the blow to the first gate that is open elsewhere.
    pub opened: Option<Duration>,
    /// What happened from the blow on.
    pub trace: Vec<String>,
}

/// Deals it to a database with the settings that a file has by default. `origin`: any instant.
pub fn gap(origin: Instant, blow: Blow, effects_take: Duration) -> Gap {
    let origin = origin + Duration::from_secs(60);
    let scene = Scene::plain(effects_take);
    let options = Options { trace_lines: 4000, ..Options::default() };
    let mut world = populate(origin, 1, &scene, &mut Random::seeded(1), &options);
    let wire = Conditions {
        shortest: Duration::from_millis(1),
        longest: Duration::from_millis(1),
        ..Conditions::GOOD
    };
    world.network.mend(wire);
    // In between two heartbeats.
    let at = Duration::from_millis(10_117);
    let hosts = scene.hosts;
    match blow {
        Blow::ServerKilled => world.order(at, hosts, Order::Die),
        Blow::HostLost => {
            world.schedule(at, Fault::Crash(0));
            world.schedule(at, Fault::Crash(hosts));
        }
        Blow::Stopped => world.order(at, 0, Order::Leave),
        Blow::SwitchOver => world.order(at, 2 * hosts, Order::SwitchOver { to: Some(1), force: false }),
        Blow::ManagerKilled => world.schedule(at, Fault::Crash(0)),
        Blow::Isolated => {
            for peer in 1..hosts {
                world.schedule(at, Fault::Cut(hosts, hosts + peer));
                world.schedule(at, Fault::Cut(hosts + peer, hosts));
            }
        }
    }
    let mut acknowledged = at - Duration::from_millis(50);
    let mut gap = Gap { longest: Duration::ZERO, opened: None, trace: Vec::new() };
    while world.now() < at + Duration::from_secs(20) && world.step() {
        let now = world.now();
        for happened in world.happened() {
            match happened {
                Happened::Noted(_, Note::Acknowledged { .. }) if now > acknowledged => {
                    gap.longest = gap.longest.max(now - acknowledged);
                    acknowledged = now;
                }
                Happened::Noted(host, Note::Gate(what)) if now > at && opens_elsewhere(*host, what) => {
                    gap.opened.get_or_insert(now - at);
                }
                _ => {}
            }
        }
        if gap.opened.is_some() && gap.trace.is_empty() && acknowledged > at + gap.opened.unwrap_or_default()
        {
            gap.trace = world.trace().lines();
        }
    }
    gap.longest = gap.longest.max(world.now() - acknowledged);
    gap
}

fn opens_elsewhere(host: HostIndex, what: &str) -> bool {
    host != 0 && what.starts_with("opens")
}
