//! What is so long enough after the last disturbance.

use nines_control::vrrp::RouterIndex;

use super::{Checked, Checker, PROBATION, Vips};
use crate::Violation;
use crate::vrrp::host::{Condition, LIFETIME};
use crate::{HostIndex, HostState, Time};

impl Checker {
    /// Long enough after the last disturbance.
    pub(super) fn settled(&mut self, world: &Vips, router: RouterIndex) -> Checked {
        let hosts = 0..self.scene.hosts;
        let stopped = hosts.clone().any(|host| world.state(host) != HostState::Running);
        let early = world.now() < self.disturbed_at + self.settles_within;
        if early || stopped || !world.network.is_prompt() {
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
        let condition = |host: HostIndex| self.condition(world, host, router);
        let best = able.iter().copied().min_by_key(|host| condition(*host)).unwrap_or(master);
        let (is, could_be) = (condition(master), condition(best));
        let what = || format!("host{} is {is:?}, and host{} is {could_be:?}", master + 1, best + 1);
        if is == Condition::Sick && could_be < is {
            return Err(("no sick master while another is well", what()));
        }
        // It is followed for a while before it is relieved.
        if is == Condition::Slow && could_be < is && world.now() > self.relieved_by() {
            return Err(("no slow master for long while another is well", what()));
        }
        Ok(())
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

    /// Until then a slow master may have stayed.
    fn relieved_by(&self) -> Time {
        self.disturbed_at + self.scene.with_drift(PROBATION) + 2 * self.settles_within
    }

    /// In a settled world somebody takes over only because it is preferred, or healthy where the other is slow, once, and when
    /// its waiting ends.
    fn has_cause(&self, world: &Vips, router: RouterIndex, before: HostIndex, master: HostIndex) -> Checked {
        let (old, new) = (self.rank(world, before, router).0, self.rank(world, master, router).0);
        let place = &self.scene.routers[router].at[master];
        let waits = PROBATION.max(place.preempt.unwrap_or_default());
        let late = world.now() > self.disturbed_at + self.scene.with_drift(waits) + self.settles_within;
        let condition = |host| self.condition(world, host, router);
        let relieves = condition(before) == Condition::Slow && condition(master) == Condition::Fit;
        if relieves && world.now() <= self.relieved_by() && !self.whole[router].taken_by.contains(&master) {
            return Ok(());
        }
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
    pub(in crate::vrrp) fn preferred(&self, world: &Vips) -> Result<(), Violation> {
        for router in 0..self.whole.len() {
            let Some(master) = self.whole[router].master else { continue };
            let slow = |host: HostIndex| self.condition(world, host, router) == Condition::Slow;
            let better = (0..self.scene.hosts).find(|&host| {
                self.is_able(world, host, router)
                    // It is not for that that one slow host follows another.
                    && !(slow(host) && slow(master))
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
}
