//! Which hosts must hold each write: the primary changes it as standbys come and go, so that losing a host costs no
//! more than that host.
//!
//! Always in this order: the register demands both cohorts; the engine goes by the new one; what was acknowledged by any
//! other is where the new one wants it (the barrier); the register demands only the new one.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Cohort, Durability, Effect, Failover, Host, Kind, Lsn, Origin, Report, Rule};

/// Everything that any cohort but this one acknowledged ends before there.
#[derive(Debug, Clone)]
pub(super) struct Barrier {
    pub(super) cohort: Cohort,
    pub(super) lsn: Lsn,
}

impl Failover {
    pub(super) fn tend_cohort(&mut self, rule: &Rule) {
        let Some(report) = self.fresh().cloned() else { return };
        let Some(end) = report.position.map(|position| position.lsn) else { return };
        self.watch_members(rule, &report, end);
        if self.doing.is_some() {
            return;
        }
        if report.synchronous.as_ref() != Some(&rule.cohort) || report.origin != Origin::Ruled {
            if !self.is_due(self.retry_at) {
                return;
            }
            let (term, cohort) = (rule.term, rule.cohort.clone());
            return self.begin(Effect::SetSynchronous { term, cohort });
        }
        if !rule.also.is_empty() {
            if self.barrier.as_ref().is_none_or(|barrier| barrier.cohort != rule.cohort) {
                self.barrier = Some(Barrier { cohort: rule.cohort.clone(), lsn: end });
            }
            let lsn = self.barrier.as_ref().map_or(end, |barrier| barrier.lsn);
            if self.copies(&report, &rule.cohort, lsn) >= rule.cohort.copies {
                return self.set_rule(rule.settled());
            }
            let confirms =
                |member: &&Host| **member == self.settings.me || self.still_confirms(&report, member);
            if rule.cohort.members.iter().filter(confirms).count() >= rule.cohort.copies {
                // They are there, and will confirm.
                return;
            }
        }
        let Some(wanted) = self.wanted_cohort(rule, &report, end) else { return };
        if wanted != rule.cohort
            && let Some(rule) = rule.with_cohort(wanted)
        {
            self.say(Kind::Cohort, format!("each write on {}", rule.cohort));
            self.set_rule(rule);
        }
    }

    /// On how many members the log is there up to this point.
    fn copies(&self, report: &Report, cohort: &Cohort, lsn: Lsn) -> usize {
        let holds = |member: &&Host| {
            let confirms = |(host, confirmed): &(Host, Lsn)| host == *member && *confirmed >= lsn;
            **member == self.settings.me || report.standbys.iter().any(confirms)
        };
        cohort.members.iter().filter(holds).count()
    }

    fn watch_members(&mut self, rule: &Rule, report: &Report, end: Lsn) {
        let near = self.near(report, end);
        let now = self.now;
        let members: BTreeSet<&Host> = rule.cohorts().flat_map(|cohort| &cohort.members).collect();
        let absent: Vec<Host> = members
            .into_iter()
            .filter(|one| !near.contains(one) && **one != self.settings.me)
            .cloned()
            .collect();
        self.absent.retain(|host, _| absent.contains(host));
        for host in absent {
            self.absent.entry(host).or_insert(now);
        }
        let ends: Vec<Instant> =
            self.absent.values().map(|since| *since + self.settings.absent_after).collect();
        for end in ends {
            // So that it is looked at again then.
            let _ = self.is_due(end);
        }
    }

    /// The standbys that keep up.
    fn near(&self, report: &Report, end: Lsn) -> BTreeSet<Host> {
        let near = |(host, confirmed): &&(Host, Lsn)| {
            let keeps_up = end.saturating_sub(*confirmed) <= self.settings.lag;
            self.settings.hosts.contains(host) && keeps_up && self.still_confirms(report, host)
        };
        report.standbys.iter().filter(near).map(|(host, _)| host.clone()).collect()
    }

    /// It streams, and has confirmed not long ago what was there then: a connection alone says nothing.
    fn still_confirms(&self, report: &Report, host: &Host) -> bool {
        let streams = report.standbys.iter().any(|(one, _)| one == host);
        streams && self.stuck_for(host) < self.settings.absent_after
    }

    fn is_gone(&self, host: &Host) -> bool {
        let after = self.settings.absent_after;
        self.absent.get(host).is_some_and(|since| self.now.saturating_duration_since(*since) >= after)
    }

    /// Who is there, and who has not been gone for long. `None`: as it is.
    fn wanted_cohort(&self, rule: &Rule, report: &Report, end: Lsn) -> Option<Cohort> {
        let me = &self.settings.me;
        let full = self.settings.confirm + 1;
        let mut near = self.near(report, end);
        near.insert(me.clone());
        let current = &rule.cohort;
        let waited_for: Vec<&Host> =
            current.others(me).filter(|one| !near.contains(one) && !self.is_gone(one)).collect();
        if near.len() >= full {
            let members = near.iter().chain(waited_for).cloned().collect();
            return Some(Cohort { members, copies: full });
        }
        match self.settings.durability {
            Durability::Available if waited_for.is_empty() => {
                Some(Cohort { copies: near.len(), members: near })
            }
            _ if !current.members.contains(me) => {
                let members = current.members.iter().chain([me]).cloned().collect();
                Some(Cohort { members, copies: current.copies })
            }
            _ => None,
        }
    }
}
