//! What virtual routers promise, held against everything that happens. docs/simulation.md says it in words.

use std::any::Any;
use std::time::{Duration, Instant};

use nines_control::vrrp::{HEALTHY, RouterIndex, master_down};

use super::host::{Condition, LIFETIME, Note, Order, Packet, VrrpHost};
use super::scene::Scene;
use crate::{Conditions, Fault, Happened, HostIndex, HostState, Time, World};

/// A host does not push a master aside for so long after it has failed itself (`control::vrrp`).
pub(super) const PROBATION: Duration = Duration::from_secs(30);
/// Advertisements of one router within one interval: one, ten in answer to others, and one for each change.
const STORM: u32 = 24;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub at: Time,
    pub promise: &'static str,
    pub what: String,
}

impl Violation {
    pub(super) fn panicked(at: Time, with: &(dyn Any + Send)) -> Self {
        let text = with.downcast_ref::<String>().cloned();
        let text = text.or_else(|| with.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Self { at, promise: "nothing panics", what: text.unwrap_or_default() }
    }
}

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
            Happened::Read(_, to, packet) => return self.read(world, *to, packet),
            Happened::Ordered(host, order) => self.ordered(world, *host, order),
            Happened::Noted(host, Note::LetsGo(router)) => return self.let_go(world, *host, *router),
            Happened::Noted(host, Note::Takes(router)) => {
                let resumed = self.resumed_at[*host].filter(|at| *at == now);
                self.seen[*host][*router].took_on_resuming = resumed;
            }
            Happened::Noted(..) | Happened::Timer(_) => {}
        }
        Ok(())
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
        let priority = match self.condition(world, host, router) {
            Condition::Fit => place.priority,
            // The order that they have in health, below all that are.
            Condition::Sick => 1 + (u16::from(place.priority) * u16::from(HEALTHY - 2) / 255) as u8,
            Condition::Leaving | Condition::Unfit => 0,
        };
        (priority, place.source)
    }

    fn resumed(&mut self, world: &Vips, host: HostIndex, stood: Duration) {
        self.resumed_at[host] = Some(world.now());
        let slowest = self.scene.longest_interval();
        for router in 0..self.whole.len() {
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
            }
        }
    }

    fn sent(&mut self, world: &Vips, host: HostIndex, packet: &Packet) -> Checked {
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

    fn read(&mut self, world: &Vips, host: HostIndex, packet: &Packet) -> Checked {
        let ours = self.rank(world, host, packet.router).0;
        let seen = &mut self.seen[host][packet.router];
        if seen.took_on_resuming == Some(world.now()) && packet.said.priority > ours {
            let what = format!(
                "host{} took vip{}, and this had arrived before: {packet}",
                host + 1,
                packet.router + 1
            );
            return Err(("who takes over has read everything", what));
        }
        if packet.said.priority > 0 {
            seen.heard_another |= !world.program(host).is_master(packet.router);
            self.may_speak(host, packet.router);
        } else if !seen.was_master {
            seen.listens_until = None;
        }
        Ok(())
    }

    /// A group moves as one.
    fn may_speak(&mut self, host: HostIndex, router: RouterIndex) {
        for other in self.scene.group_of(router) {
            self.seen[host][other].listens_until = None;
        }
    }

    fn ordered(&mut self, world: &Vips, host: HostIndex, order: &Order) {
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

    fn let_go(&self, world: &Vips, host: HostIndex, router: RouterIndex) -> Checked {
        let heard = self.scene.group_of(router).any(|router| self.seen[host][router].heard_another);
        if heard || self.condition(world, host, router) == Condition::Unfit {
            return Ok(());
        }
        let what = format!("host{} lets go of vip{}, and heard of no other master", host + 1, router + 1);
        Err(("nobody lets go before another has taken", what))
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
        let calm = world.now() >= self.failed_at + self.settles_within + self.scene.with_drift(LIFETIME);
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

    /// Long enough after the last disturbance.
    fn settled(&mut self, world: &Vips, router: RouterIndex) -> Checked {
        let hosts = 0..self.scene.hosts;
        let stopped = hosts.clone().any(|host| world.state(host) != HostState::Running);
        if world.now() < self.disturbed_at + self.settles_within || stopped {
            return Ok(());
        }
        let masters: Vec<HostIndex> =
            hosts.clone().filter(|host| world.program(*host).is_master(router)).collect();
        let able: Vec<HostIndex> = hosts.filter(|host| self.is_able(world, *host, router)).collect();
        let vip = router + 1;
        match (&masters[..], &able[..]) {
            ([], []) => Ok(()),
            ([], _) => Err(("there is always a master", format!("nobody is the master of vip{vip}"))),
            ([master], _) => {
                self.is_healthiest(world, router, *master, &able)?;
                self.changed(world, router, *master)?;
                self.is_alone(world, router, *master)?;
                self.is_of_its_group(world, router, *master)
            }
            // While one is pushed aside; `two_masters` sees to it that it soon is.
            _ => {
                let Some(before) = self.whole[router].master else { return Ok(()) };
                let mut newcomers = masters.iter().filter(|host| **host != before);
                newcomers.try_for_each(|host| self.has_cause(world, router, before, *host))
            }
        }
    }

    fn is_healthiest(
        &self,
        world: &Vips,
        router: RouterIndex,
        master: HostIndex,
        able: &[HostIndex],
    ) -> Checked {
        let fit = |host: &&HostIndex| self.condition(world, **host, router) == Condition::Fit;
        match able.iter().find(fit) {
            Some(healthy) if !fit(&&master) => {
                let what = format!("host{} is, and host{} is well", master + 1, healthy + 1);
                Err(("no sick master while another is well", what))
            }
            _ => Ok(()),
        }
    }

    fn changed(&mut self, world: &Vips, router: RouterIndex, master: HostIndex) -> Checked {
        match self.whole[router].master.replace(master) {
            Some(before) if before != master => {
                self.has_cause(world, router, before, master)?;
                self.whole[router].taken_by.push(master);
                self.whole[router].moved_at = world.now();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// In a settled world somebody takes over only because it is preferred, once, and when its waiting ends.
    fn has_cause(&self, world: &Vips, router: RouterIndex, before: HostIndex, master: HostIndex) -> Checked {
        let (old, new) = (self.rank(world, before, router).0, self.rank(world, master, router).0);
        let place = &self.scene.routers[router].at[master];
        let waits = PROBATION.max(place.preempt.unwrap_or_default());
        let late = world.now() > self.disturbed_at + self.scene.with_drift(waits) + self.settles_within;
        if new > old && place.preempt.is_some() && !late && !self.whole[router].taken_by.contains(&master) {
            return Ok(());
        }
        let what = format!(
            "host{} took vip{} (priority {new}) from host{} ({old}), {:?} after the last disturbance",
            master + 1,
            router + 1,
            before + 1,
            world.now() - self.disturbed_at
        );
        Err(("no change without a cause", what))
    }

    fn is_alone(&self, world: &Vips, router: RouterIndex, master: HostIndex) -> Checked {
        let since = (self.disturbed_at + self.settles_within).max(self.whole[router].moved_at);
        let lingered =
            self.scene.with_drift(self.scene.longest_linger().max(LIFETIME)) + 2 * self.scene.lateness;
        let holders = self.holders(world, router);
        if world.now() < since + lingered + self.settles_within || holders == [master] {
            return Ok(());
        }
        let names: Vec<String> = holders.iter().map(|host| format!("host{}", host + 1)).collect();
        let what =
            format!("host{} is the master of vip{}; answered for by {names:?}", master + 1, router + 1);
        Err(("the master alone answers", what))
    }

    fn is_of_its_group(&self, world: &Vips, router: RouterIndex, master: HostIndex) -> Checked {
        let elsewhere = self.scene.group_of(router).find(|other| !world.program(master).is_master(*other));
        match elsewhere {
            Some(other) => {
                let what =
                    format!("host{} is the master of vip{}, not of vip{}", master + 1, router + 1, other + 1);
                Err(("a group has one master", what))
            }
            None => Ok(()),
        }
    }

    /// Once every wait is over: none that may take over is preferred to the master.
    pub(super) fn preferred(&self, world: &Vips) -> Result<(), Violation> {
        for router in 0..self.whole.len() {
            let Some(master) = self.whole[router].master else { continue };
            let better = (0..self.scene.hosts).find(|&host| {
                self.is_able(world, host, router)
                    && self.scene.routers[router].at[host].preempt.is_some()
                    && self.rank(world, host, router).0 > self.rank(world, master, router).0
            });
            if let Some(better) = better {
                let what =
                    format!("host{} is the master of vip{}, not host{}", master + 1, router + 1, better + 1);
                let promise = "in the end the preferred is the master";
                return Err(Violation { at: world.now(), promise, what });
            }
        }
        Ok(())
    }

    /// How long after the last disturbance nothing changes any more.
    pub(super) fn rests_within(&self) -> Duration {
        let waits = PROBATION.max(self.scene.longest_preempt_delay());
        self.scene.with_drift(waits) + 2 * self.settles_within + Conditions::GOOD.longest
    }

    pub(super) fn settles_within(&self) -> Duration {
        self.settles_within
    }
}
