//! What is played: how many hosts, which routers with which settings, clocks, and a network that fits them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use nines_control::random::Random;
use nines_control::vrrp::{RouterIndex, Settings, master_down};
use nines_system::VrrpVersion;

use super::host::START_UP;
use crate::{Conditions, HostIndex, between, chance, of_any_size};

/// Everything about a run that the seed decides beforehand.
#[derive(Debug, Clone)]
pub struct Scene {
    pub(super) hosts: usize,
    pub(super) routers: Vec<Plan>,
    /// Millionths that each host's clock is too fast.
    pub(super) drift_ppm: Vec<i32>,
    /// How late a timer may go off.
    pub(super) lateness: Duration,
    /// No packet is under way for longer, ever.
    pub(super) longest_delay: Duration,
}

/// One virtual router, as each host has it.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) version: VrrpVersion,
    /// Routers of one number are one group.
    pub(super) group: Option<usize>,
    pub(super) linger: Duration,
    pub(super) at: Vec<Place>,
}

#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) priority: u8,
    pub(super) interval: Duration,
    pub(super) preempt: Option<Duration>,
    pub(super) source: IpAddr,
}

impl Scene {
    pub(super) fn draw(random: &mut Random) -> Self {
        let hosts = [2, 2, 2, 3, 3, 4, 5][random.below(7)];
        let version = if chance(random, 0.25) { VrrpVersion::V2 } else { VrrpVersion::V3 };
        let interval = interval(random, version);
        let worst = [0, 100, 1000, 5000][random.below(4)];
        let drift =
            |random: &mut Random| i32::try_from(random.below(2 * worst + 1)).unwrap_or(0) - worst as i32;
        let drift_ppm = (0..hosts).map(|_| drift(random)).collect();
        let mut routers = Vec::new();
        match random.below(4) {
            0 | 1 => routers.extend(unit(random, hosts, (version, interval), None, 1)),
            2 => {
                for _ in 0..2 {
                    routers.extend(unit(random, hosts, (version, interval), None, 1));
                }
            }
            _ => {
                let size = 2 + random.below(2);
                routers.extend(unit(random, hosts, (version, interval), Some(0), size));
            }
        }
        let mut scene =
            Self { hosts, routers, drift_ppm, lateness: Duration::ZERO, longest_delay: Duration::ZERO };
        scene.lateness = of_any_size(random, Duration::from_micros(1), scene.shortest_interval() / 20);
        scene.longest_delay = of_any_size(random, 2 * Conditions::GOOD.longest, 3 * scene.longest_interval());
        scene
    }

    pub(super) fn source(router: RouterIndex, last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, u8::try_from(router).unwrap_or(u8::MAX), last))
    }

    /// Of each host, for each router.
    pub(super) fn sources(&self) -> Vec<Vec<IpAddr>> {
        let of = |host: HostIndex| self.routers.iter().map(|plan| plan.at[host].source).collect();
        (0..self.hosts).map(of).collect()
    }

    pub(super) fn settings(&self, host: HostIndex, ungrouped: bool) -> Vec<Settings> {
        let one = |(router, plan): (RouterIndex, &Plan)| {
            let place = &plan.at[host];
            let number = u8::try_from(router + 1).unwrap_or(u8::MAX);
            Settings {
                name: format!("vip{number}"),
                version: plan.version,
                router_id: number,
                addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 1, number, 1))],
                priority: place.priority,
                interval: place.interval,
                preempt: place.preempt,
                group: plan.group.filter(|_| !ungrouped).map(|group| format!("group{group}")),
                linger: plan.linger,
                source: place.source,
                names: (0..self.hosts)
                    .map(|host| (plan.at[host].source, format!("host{}", host + 1)))
                    .collect(),
            }
        };
        self.routers.iter().enumerate().map(one).collect()
    }

    /// A router and those of its group.
    pub(super) fn group_of(&self, router: RouterIndex) -> impl Iterator<Item = RouterIndex> + '_ {
        let group = self.routers[router].group;
        let same = move |other: &RouterIndex| {
            *other == router || (group.is_some() && self.routers[*other].group == group)
        };
        (0..self.routers.len()).filter(same)
    }

    pub(super) fn longest_interval(&self) -> Duration {
        self.places().map(|(_, place)| place.interval).max().unwrap_or_default()
    }

    pub(super) fn shortest_interval(&self) -> Duration {
        self.places().map(|(_, place)| place.interval).min().unwrap_or_default()
    }

    pub(super) fn longest_linger(&self) -> Duration {
        self.routers.iter().map(|plan| plan.linger).max().unwrap_or_default()
    }

    pub(super) fn longest_preempt_delay(&self) -> Duration {
        self.places().filter_map(|(_, place)| place.preempt).max().unwrap_or_default()
    }

    /// The patience of the least preferred host with the slowest router.
    pub(super) fn longest_patience(&self) -> Duration {
        self.places()
            .map(|(plan, place)| master_down(plan.version, 1, place.interval))
            .max()
            .unwrap_or_default()
    }

    /// On any host's clock, what is `time` of the world at most; and the reverse.
    pub(super) fn with_drift(&self, time: Duration) -> Duration {
        let worst = self.drift_ppm.iter().map(|drift| drift.unsigned_abs()).max().unwrap_or_default();
        time + time.mul_f64(f64::from(2 * worst + 10) / 1e6)
    }

    /// How long after the last disturbance there is exactly one master, the healthiest.
    ///
    /// What was under way arrives; a process that starts learns how its host is; the least patient hears nothing for its
    /// master-down time and takes over; two that did so at once hear each other within an interval; a sick one is relieved
    /// one skew after its advertisement.
    pub(super) fn settles_within(&self) -> Duration {
        let patience = self.with_drift(self.longest_patience() + 2 * self.longest_interval());
        let skew = self.longest_patience() - 3 * self.longest_interval();
        self.longest_delay + START_UP + patience + skew + 3 * Conditions::GOOD.longest + 6 * self.lateness
    }

    fn places(&self) -> impl Iterator<Item = (&Plan, &Place)> {
        self.routers.iter().flat_map(|plan| plan.at.iter().map(move |place| (plan, place)))
    }
}

/// In what the version can say.
fn interval(random: &mut Random, version: VrrpVersion) -> Duration {
    match version {
        VrrpVersion::V2 => Duration::from_secs(1 + random.below(3) as u64),
        VrrpVersion::V3 => {
            let any = of_any_size(random, Duration::from_millis(10), Duration::from_secs(1));
            Duration::from_millis(any.as_millis() as u64 / 10 * 10)
        }
    }
}

/// Routers that go together: one, or a group.
fn unit(
    random: &mut Random,
    hosts: usize,
    (version, usual): (VrrpVersion, Duration),
    group: Option<usize>,
    size: usize,
) -> Vec<Plan> {
    // Every host's own, where version 3 allows for it.
    let mixed = version == VrrpVersion::V3 && chance(random, 0.1);
    let equal = chance(random, 0.15);
    let owner = chance(random, 0.05);
    let first = priority(random);
    let mut priorities: Vec<u8> = (0..hosts).map(|_| if equal { first } else { priority(random) }).collect();
    if owner {
        priorities[0] = 254;
    }
    let preempt = match random.below(4) {
        0 => None,
        1 => Some(between(random, Duration::ZERO, Duration::from_secs(10))),
        _ => Some(Duration::ZERO),
    };
    let one = |router: usize, random: &mut Random| {
        let mut lasts: Vec<u8> = (1..=u8::try_from(hosts).unwrap_or(u8::MAX)).collect();
        for at in (1..hosts).rev() {
            lasts.swap(at, random.below(at + 1));
        }
        let place = |host: HostIndex, random: &mut Random| Place {
            // It owns the first of the addresses.
            priority: if owner && router == 0 && host == 0 { 255 } else { priorities[host] },
            interval: if mixed { interval(random, version) } else { usual },
            preempt,
            source: Scene::source(router, lasts[host]),
        };
        Plan {
            version,
            group,
            linger: if chance(random, 0.2) {
                Duration::ZERO
            } else {
                between(random, Duration::ZERO, Duration::from_secs(3))
            },
            at: (0..hosts).map(|host| place(host, random)).collect(),
        }
    };
    (0..size).map(|router| one(router, random)).collect()
}

/// 20 to 254.
fn priority(random: &mut Random) -> u8 {
    u8::try_from(20 + random.below(235)).unwrap_or(254)
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} hosts, clocks {:?} millionths too fast, timers up to {:?} late, packets up to {:?} under way",
            self.hosts, self.drift_ppm, self.lateness, self.longest_delay
        )?;
        for (router, plan) in self.routers.iter().enumerate() {
            let number = router + 1;
            let group = plan.group.map_or(String::new(), |group| format!(", group{group}"));
            writeln!(f, "vip{number}: {:?}, lingers {:?}{group}", plan.version, plan.linger)?;
            for (host, place) in plan.at.iter().enumerate() {
                writeln!(
                    f,
                    "  host{}: {}, priority {}, every {:?}, preempts {}",
                    host + 1,
                    place.source,
                    place.priority,
                    place.interval,
                    place.preempt.map_or("never".to_owned(), |after| format!("after {after:?}"))
                )?;
            }
        }
        Ok(())
    }
}
