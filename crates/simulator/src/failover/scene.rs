//! What is played: how many hosts, how many confirmations, clocks, and a network that fits them.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use nines_control::failover::{Cohort, Durability, Host, Rule, Settings};
use nines_control::random::Random;

use crate::{HostIndex, chance, of_any_size};

/// The rate that a clock may be wrong by, as far as the hosts are told.
const CLOCK_ERROR: f64 = 0.05;

/// What is there when the run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// A database, and its rule.
    Ruled,
    /// Nothing at all.
    Blank,
    /// Nothing, and the hosts' lists are not in the same order.
    Confused,
    /// A database that this host has, which the operator wants to be the first one's; some of the others follow it.
    Adopted(HostIndex),
    /// A database whose rule was lost; this host has no data.
    Emptied(HostIndex),
}

/// Everything about a run that the seed decides beforehand.
#[derive(Debug, Clone)]
pub struct Scene {
    pub(super) hosts: usize,
    pub(super) begins: Begins,
    pub(super) names: Rc<Vec<Host>>,
    pub(super) confirm: usize,
    pub(super) durability: Durability,
    pub(super) lease: Duration,
    pub(super) heartbeat: Duration,
    pub(super) writes_every: Duration,
    /// Millionths that each host's clock is too fast.
    pub(super) drift_ppm: Vec<i32>,
    /// How late a timer may go off.
    pub(super) lateness: Duration,
    /// No message is under way for longer, ever.
    pub(super) longest_delay: Duration,
    /// A promotion takes no longer.
    pub(super) promotes_within: Duration,
    /// A primary's engine never ends a connection for its silence: what comes of it the hosts must see for themselves.
    pub(super) never_hangs_up: bool,
    /// Every effect takes so long, instead of any time.
    pub(super) effects_take: Option<Duration>,
}

impl Scene {
    pub(super) fn draw(random: &mut Random) -> Self {
        let hosts = [2, 3, 3, 3, 3, 3, 4, 5][random.below(8)];
        let confirm = if hosts > 2 && chance(random, 0.25) { 2 } else { 1 };
        let durability = if chance(random, 0.6) { Durability::Strict } else { Durability::Available };
        let lease = Duration::from_millis([1000, 1500, 1500, 3000][random.below(4)]);
        // In one of eight, worse than the hosts are told.
        let worst: i32 = [0, 1000, 50_000, 50_000, 50_000, 50_000, 50_000, 250_000][random.below(8)];
        let drift = |random: &mut Random| {
            let share = 2.0 * random.unit() - 1.0;
            // The extremes are what hurts.
            let share = if chance(random, 0.4) { share.signum() } else { share };
            (f64::from(worst) * share) as i32
        };
        let some = random.below(hosts);
        let begins = match random.below(10) {
            0 => Begins::Blank,
            1 => Begins::Confused,
            2 => Begins::Adopted(some),
            3 if chance(random, 0.3) => Begins::Emptied(some),
            _ => Begins::Ruled,
        };
        Self {
            hosts,
            begins,
            names: Rc::new((0..hosts).map(|host| Host::from(format!("db{}", host + 1))).collect()),
            confirm,
            durability,
            lease,
            heartbeat: lease / 6,
            writes_every: Duration::from_millis([100, 200, 300][random.below(3)]),
            drift_ppm: (0..hosts).map(|_| drift(random)).collect(),
            lateness: of_any_size(random, Duration::from_micros(10), lease / 20),
            longest_delay: of_any_size(random, Duration::from_millis(2), 2 * lease),
            promotes_within: of_any_size(random, Duration::from_millis(2), lease / 2),
            // Of a source of its own, so that seeds of earlier times play what they did.
            never_hangs_up: chance(&mut Random::seeded(random.clone().next_u64()), 0.25),
            effects_take: None,
        }
    }

    /// Three hosts with the settings that a file has by default, and nothing is left to chance.
    pub(super) fn plain(effects_take: Duration) -> Self {
        let hosts = 3;
        Self {
            hosts,
            begins: Begins::Ruled,
            names: Rc::new((0..hosts).map(|host| Host::from(format!("db{}", host + 1))).collect()),
            confirm: 1,
            durability: Durability::Strict,
            lease: Duration::from_millis(1500),
            heartbeat: Duration::from_millis(250),
            writes_every: Duration::from_millis(5),
            drift_ppm: vec![0; hosts],
            lateness: Duration::ZERO,
            longest_delay: Duration::from_millis(1),
            promotes_within: effects_take,
            never_hangs_up: false,
            effects_take: Some(effects_take),
        }
    }

    pub(super) fn settings(&self, host: HostIndex) -> Settings {
        let mut hosts = self.names.as_ref().clone();
        if self.begins == Begins::Confused {
            hosts.rotate_left(host);
        }
        Settings {
            me: self.names[host].clone(),
            hosts,
            confirm: self.confirm,
            durability: self.durability,
            lease: self.lease,
            heartbeat: self.heartbeat,
            clock_error: CLOCK_ERROR,
            absent_after: 2 * self.lease,
            apart: self.apart(),
            lag: 5,
            switchover_within: 2 * self.lease,
            promote_within: 4 * self.lease,
            retry_after: self.lease / 4,
        }
    }

    /// Every host is a member, and the first one is the primary.
    pub(super) fn first_rule(&self) -> Option<Rule> {
        let members = self.names.iter().cloned().collect();
        let rule = Rule::first(self.names[0].clone(), Cohort { members, copies: self.confirm + 1 });
        (self.begins == Begins::Ruled).then_some(rule)
    }

    pub(super) fn apart(&self) -> Duration {
        15 * self.lease
    }

    /// Whether all clocks are as good as the hosts believe.
    pub(super) fn has_good_clocks(&self) -> bool {
        self.drift_ppm.iter().all(|drift| f64::from(drift.abs()) <= CLOCK_ERROR * 1e6)
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} hosts, {:?}, {} confirm, {:?}, lease {:?}, a write every {:?}, messages take up to {:?}, timers {:?} late",
            self.hosts,
            self.begins,
            self.confirm,
            self.durability,
            self.lease,
            self.writes_every,
            self.longest_delay,
            self.lateness
        )?;
        if self.never_hangs_up {
            writeln!(f, "primaries do not end connections for their silence")?;
        }
        writeln!(f, "clocks too fast by (millionths): {:?}", self.drift_ppm)
    }
}
