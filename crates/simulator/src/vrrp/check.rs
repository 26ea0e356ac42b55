//! What virtual routers promise, held against everything that happens. docs/simulation.md says it in words.

mod moment;
mod settled;

use std::time::{Duration, Instant};

use nines_control::vrrp::{HEALTHY, RouterIndex, SLOW};

use super::host::{Condition, LIFETIME, Note, Packet, VrrpHost};
use super::scene::Scene;
use crate::{Conditions, Fault, Happened, HostIndex, Time, Violation, World};

/// A host does not push a master aside for so long after it has failed itself (`control::vrrp`).
pub(super) const PROBATION: Duration = Duration::from_secs(30);

type Checked = Result<(), (&'static str, String)>;
type Vips = World<VrrpHost>;

/// What is known of one router on one host.
#[derive(Debug, Clone, Default)]
struct Seen {
    was_master: bool,
    /// Since this host was the master itself.
    heard_another: bool,
    /// Until then it may only listen, by its own clock.
    listens_until: Option<Instant>,
    /// It took over then, in the very moment in which it went on.
    took_on_resuming: Option<Time>,
    /// Advertisements since then.
    sent: (Time, u32),
    last_sent: Time,
    /// The latest master that this host heard, and when.
    heard: Option<(Time, Packet)>,
    /// It stood still for too long, and pushes nobody aside until then.
    probation_until: Time,
}

/// What is known of one router over all hosts.
#[derive(Debug, Clone, Default)]
struct Whole {
    /// The latest that was the only master of a settled world.
    master: Option<HostIndex>,
    /// Who has taken over in this settled world.
    taken_by: Vec<HostIndex>,
    moved_at: Time,
    /// Somebody had the addresses in this calm.
    had: bool,
}

/// Since when the better of two masters gets its advertisements through to the other.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    since: Option<Time>,
    better: HostIndex,
}

#[derive(Debug)]
pub(super) struct Checker {
    scene: Scene,
    settles_within: Duration,
    seen: Vec<Vec<Seen>>,
    whole: Vec<Whole>,
    pairs: Vec<Vec<Pair>>,
    /// When each host last went on.
    resumed_at: Vec<Option<Time>>,
    /// The latest fault, loss or change of fitness.
    disturbed_at: Time,
    /// The latest that could cost somebody the addresses.
    failed_at: Time,
}

impl Checker {
    pub(super) fn new(scene: Scene) -> Self {
        let routers = scene.routers.len();
        Self {
            settles_within: scene.settles_within(),
            seen: vec![vec![Seen::default(); routers]; scene.hosts],
            whole: vec![Whole::default(); routers],
            pairs: vec![vec![Pair::default(); scene.hosts * scene.hosts]; routers],
            resumed_at: vec![None; scene.hosts],
            scene,
            disturbed_at: Duration::ZERO,
            failed_at: Duration::ZERO,
        }
    }

    /// Looks at the last step.
    ///
    /// # Errors
    ///
    /// The first promise that was broken.
    pub(super) fn observe(&mut self, world: &Vips) -> Result<(), Violation> {
        let checked = self.all(world);
        checked.map_err(|(promise, what)| Violation { at: world.now(), promise, what })
    }

    fn all(&mut self, world: &Vips) -> Checked {
        let mut quiet = true;
        for happened in world.happened() {
            quiet &= matches!(happened, Happened::Read(..));
            self.one(world, happened)?;
        }
        for happened in world.happened() {
            if let Happened::Read(_, to, packet) = happened {
                self.answers(world, *to, packet)?;
            }
        }
        if quiet {
            // Nothing has changed; whatever lasts too long is seen with the next advertisement.
            return Ok(());
        }
        for router in 0..self.whole.len() {
            for host in 0..self.scene.hosts {
                let is_master = world.program(host).is_master(router);
                let seen = &mut self.seen[host][router];
                seen.was_master = is_master;
                seen.heard_another &= !is_master;
                if !world.program(host).is_consistent(router) {
                    let what = format!(
                        "host{}: vip{}: what was put out is not what it says it has",
                        host + 1,
                        router + 1
                    );
                    return Err(("what is put out is what is so", what));
                }
            }
            self.two_masters(world, router)?;
            self.never_unheld(world, router)?;
            self.settled(world, router)?;
        }
        Ok(())
    }

    fn one(&mut self, world: &Vips, happened: &Happened<VrrpHost>) -> Checked {
        let now = world.now();
        match happened {
            Happened::Fault(fault) => {
                self.failed_at = now;
                self.disturb(now);
                self.forget_pairs();
                if let Fault::Crash(host) | Fault::Start(host) = fault {
                    self.seen[*host].fill(Seen::default());
                }
            }
            Happened::Resumed(host, stood) => self.resumed(world, *host, *stood),
            Happened::Sent(host, packet) => return self.sent(world, *host, packet),
            Happened::Lost(from, to, packet) => {
                self.disturb(now);
                let pair = &mut self.pairs[packet.router][from * self.scene.hosts + to];
                pair.since = None;
                let pair = &mut self.pairs[packet.router][to * self.scene.hosts + from];
                pair.since = None;
            }
            Happened::Read(from, to, packet) => return self.read(world, *from, *to, packet),
            Happened::Ordered(host, order) => self.ordered(world, *host, order),
            Happened::Noted(host, Note::LetsGo(router)) => return self.let_go(world, *host, *router),
            Happened::Noted(host, Note::Takes(router)) => {
                return self.took(world, *host, *router);
            }
            Happened::Noted(..) | Happened::Timer(_) => {}
        }
        Ok(())
    }

    /// Every fault has ended. What was under way may still arrive.
    pub(super) fn healed(&mut self, now: Time) {
        self.failed_at = now;
        self.disturb(now);
    }

    fn disturb(&mut self, now: Time) {
        self.disturbed_at = now;
        for whole in &mut self.whole {
            whole.master = None;
            whole.taken_by.clear();
        }
    }

    fn forget_pairs(&mut self) {
        self.pairs.iter_mut().flatten().for_each(|pair| pair.since = None);
    }

    /// Of a whole group the weakest counts.
    fn condition(&self, world: &Vips, host: HostIndex, router: RouterIndex) -> Condition {
        let of = |router| world.program(host).condition(router);
        self.scene.group_of(router).map(of).max().unwrap_or(Condition::Unfit)
    }

    fn is_able(&self, world: &Vips, host: HostIndex, router: RouterIndex) -> bool {
        world.is_running(host) && self.condition(world, host, router) <= Condition::Sick
    }

    /// What it advertises, and the address that decides between equals.
    fn rank(&self, world: &Vips, host: HostIndex, router: RouterIndex) -> (u8, std::net::IpAddr) {
        let place = &self.scene.routers[router].at[host];
        let among =
            |first: u8, end: u8| first + (u16::from(place.priority) * u16::from(end - 1 - first) / 255) as u8;
        let priority = match self.condition(world, host, router) {
            Condition::Fit => place.priority,
            // The order that they have in health, below all that are.
            Condition::Slow => among(SLOW, HEALTHY),
            Condition::Sick => among(1, SLOW),
            Condition::Leaving | Condition::Unfit => 0,
        };
        (priority, place.source)
    }

    /// The lesser of two masters yields to the first advertisement that reaches it.
    fn two_masters(&mut self, world: &Vips, router: RouterIndex) -> Checked {
        let hosts = self.scene.hosts;
        let is_master = |host: &HostIndex| world.is_running(*host) && world.program(*host).is_master(router);
        for one in 0..hosts {
            for other in one + 1..hosts {
                let at = one * hosts + other;
                if !is_master(&one) || !is_master(&other) {
                    self.pairs[router][at].since = None;
                    continue;
                }
                let one_is = self.rank(world, one, router) > self.rank(world, other, router);
                let (better, lesser) = if one_is { (one, other) } else { (other, one) };
                // Between equals the first router of a group decides for all.
                let equal = self.rank(world, one, router).0 == self.rank(world, other, router).0;
                let leader = self.scene.group_of(router).next();
                if equal && leader != Some(router) {
                    continue;
                }
                let pair = &mut self.pairs[router][at];
                if world.network.is_cut(better, lesser) {
                    pair.since = None;
                } else if pair.since.is_none() || pair.better != better {
                    *pair = Pair { since: Some(world.now()), better };
                }
                let interval = self.scene.routers[router].at[better].interval;
                let bound =
                    self.scene.with_drift(interval) + self.scene.longest_delay + 2 * self.scene.lateness;
                let Some(lasts) = pair.since.map(|since| world.now() - since).filter(|lasts| *lasts > bound)
                else {
                    continue;
                };
                let what = format!(
                    "host{} and host{} have both been the master of vip{} for {lasts:?}, at most {bound:?}",
                    better + 1,
                    lesser + 1,
                    router + 1
                );
                return Err(("no two masters that hear each other", what));
            }
        }
        Ok(())
    }

    /// In calm, planned changes are made before others are broken off.
    fn never_unheld(&mut self, world: &Vips, router: RouterIndex) -> Checked {
        let calm = world.network.is_prompt()
            && world.now() >= self.failed_at + self.settles_within + self.scene.with_drift(LIFETIME);
        let held = !self.holders(world, router).is_empty();
        if calm && self.whole[router].had && !held {
            let what = format!("nobody answers for vip{}, and nothing has failed", router + 1);
            return Err(("planned changes leave no gap", what));
        }
        self.whole[router].had = calm && held;
        Ok(())
    }

    fn holders(&self, world: &Vips, router: RouterIndex) -> Vec<HostIndex> {
        let holds = |host: &HostIndex| world.program(*host).has_addresses(router, world.local(*host));
        (0..self.scene.hosts).filter(holds).collect()
    }

    /// How long after the last disturbance nothing changes any more.
    pub(super) fn rests_within(&self) -> Duration {
        let waits = PROBATION.max(self.scene.longest_preempt_delay());
        // A healthy host that is preferred may take over from the one that relieved a slow one.
        self.scene.with_drift(PROBATION + waits) + 3 * self.settles_within + Conditions::GOOD.longest
    }

    pub(super) fn settles_within(&self) -> Duration {
        self.settles_within
    }
}
