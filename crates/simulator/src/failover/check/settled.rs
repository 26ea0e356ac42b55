//! What must be so once a part of the hosts has been well for long enough.

use super::{Checked, Checker, Databases, engine, store};
use crate::failover::scene::Begins;
use crate::{HostIndex, Time};

/// What a set of hosts in health must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::failover) enum Due {
    /// One primary, that acknowledges writes.
    Writes,
    /// One primary; too few are there to confirm.
    Primary,
    /// Nobody: what may be missing is on hosts that are not there.
    Refusal,
}

impl Checker {
    /// What is due of these hosts, by what is on their disks.
    pub(in crate::failover) fn due(&self, world: &Databases, well: &[HostIndex]) -> Due {
        let Some(rule) = store(world).rule() else {
            return if matches!(self.scene.begins, Begins::Emptied(_)) { Due::Refusal } else { Due::Writes };
        };
        let there = |name: &nines_control::failover::Host| {
            let host = self.host(name);
            well.contains(&host) && self.data(world, host).is_some()
        };
        let enough = there(&rule.primary)
            || rule.cohorts().all(|cohort| {
                let recruits = cohort.members.iter().filter(|member| there(member)).count();
                recruits >= cohort.recruits_needed()
            });
        let strict = self.scene.durability == nines_control::failover::Durability::Strict;
        match enough {
            false => Due::Refusal,
            true if strict && well.len() <= self.scene.confirm => Due::Primary,
            true => Due::Writes,
        }
    }

    /// Whether it has come to that. `since`: when a write must have been acknowledged after.
    pub(in crate::failover) fn has_settled(
        &self,
        world: &Databases,
        well: &[HostIndex],
        due: Due,
        since: Time,
    ) -> Checked {
        let err = |what: String| Err(("in the end all is well", what));
        let open: Vec<HostIndex> = (0..self.scene.hosts).filter(|host| self.is_open(world, *host)).collect();
        if due == Due::Refusal {
            if let Some(host) = open.first() {
                let what = format!("db{} serves, and not enough are there", host + 1);
                return Err(("too few are refused", what));
            }
            return Ok(());
        }
        let Some(rule) = store(world).rule() else { return err("there is no rule".to_owned()) };
        let primary = self.host(&rule.primary);
        if open != [primary] {
            return err(format!("open: {open:?}; the rule's primary is {}", rule.primary));
        }
        if rule.taking.is_some() {
            return err("a takeover is not finished".to_owned());
        }
        if due == Due::Primary {
            return Ok(());
        }
        if self.acknowledged_at <= since {
            return err("no write was acknowledged".to_owned());
        }
        for host in well {
            if !rule.cohort.members.contains(&self.scene.names[*host]) {
                return err(format!("db{} is not in the cohort: {}", host + 1, rule.cohort));
            }
            if *host != primary && engine(world, *host).disk.source != Some((primary, rule.term)) {
                return err(format!("db{} does not follow", host + 1));
            }
        }
        if !rule.also.is_empty() {
            return err("a change of the cohort is not finished".to_owned());
        }
        if well.len() > self.scene.confirm && rule.cohort.copies != self.scene.confirm + 1 {
            return err(format!("each write is on {}", rule.cohort));
        }
        Ok(())
    }
}
