//! Taking over a system, the first or another: members that stay keep their key, health, wishes and ejections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use nines_system::{Check, HostAddress, PoolId, System};

use super::reach::Newest;
use super::{Member, Pool, Pools};
use crate::view::{MemberKey, Serving};

impl Pools {
    pub(super) fn load(&mut self, now: Instant, system: Arc<System>, used: Vec<PoolId>) {
        let before = std::mem::replace(&mut self.system, system);
        let system = self.system.clone();
        let used: BTreeSet<PoolId> = used.into_iter().collect();
        let pools = std::mem::take(&mut self.pools).into_iter().zip(&before.pools);
        let mut known: BTreeMap<&str, (Pool, &nines_system::Pool)> =
            pools.map(|(pool, rules)| (rules.name.as_str(), (pool, rules))).collect();
        for (id, rules) in system.pool_ids().zip(&system.pools) {
            let used = used.contains(&id);
            let pool = match known.remove(rules.name.as_str()) {
                Some((pool, before)) => self.keep(now, pool, before, rules, used),
                None => self.begin(now, rules, used),
            };
            self.pools.push(pool);
        }
        self.places = BTreeMap::new();
        for (at, pool) in self.pools.iter().enumerate() {
            self.places
                .extend(pool.members.iter().enumerate().map(|(place, member)| (member.key, (at, place))));
        }
        self.want_names(now);
        self.take_addresses(now);
    }

    fn begin(&mut self, now: Instant, rules: &nines_system::Pool, used: bool) -> Pool {
        let members = rules.members.iter().map(|_| self.new_member(now, rules)).collect();
        let settles_by = Some(settles_by(now, &rules.check));
        Pool {
            used,
            members,
            serving: Serving::Healthy,
            told: Serving::Healthy,
            settles_by,
            newest: Newest::default(),
            who: String::new(),
        }
    }

    fn keep(
        &mut self,
        now: Instant,
        mut pool: Pool,
        before: &nines_system::Pool,
        rules: &nines_system::Pool,
        used: bool,
    ) -> Pool {
        let same_question = before.check.probe == rules.check.probe && before.check.port == rules.check.port;
        let names = before.members.iter().map(|member| member.name.as_str());
        let mut known: BTreeMap<&str, Member> = names.zip(std::mem::take(&mut pool.members)).collect();
        let mut members = Vec::with_capacity(rules.members.len());
        for rule in &rules.members {
            let Some(mut member) = known.remove(rule.name.as_str()) else {
                members.push(self.new_member(now, rules));
                continue;
            };
            if used != pool.used {
                member.forget(now, &rules.check.probe);
            } else if !same_question {
                member.checks.begin_anew(&rules.check.probe);
                member.schedule.stop();
            } else {
                member.schedule.hurry(now, rules.check.interval);
            }
            members.push(member);
        }
        let settles_by =
            if used && !pool.used { Some(settles_by(now, &rules.check)) } else { pool.settles_by };
        Pool { used, members, settles_by, ..pool }
    }

    fn new_member(&mut self, now: Instant, rules: &nines_system::Pool) -> Member {
        self.keys += 1;
        Member::new(now, MemberKey(self.keys), &rules.check.probe)
    }

    fn want_names(&mut self, now: Instant) {
        let used = self.pools.iter().zip(&self.system.pools).filter(|(pool, _)| pool.used);
        let hosts = used.flat_map(|(_, rules)| rules.members.iter().map(|member| &self.system[member.host]));
        let names: BTreeSet<String> = hosts
            .filter_map(|host| match &host.address {
                HostAddress::Ip(_) => None,
                HostAddress::Dns(name) => Some(name.clone()),
            })
            .collect();
        self.names.want(now, names.into_iter());
    }

    /// Gives every member the address that its host has now.
    pub(super) fn take_addresses(&mut self, now: Instant) {
        for (pool, rules) in self.pools.iter_mut().zip(&self.system.pools) {
            for (member, rule) in pool.members.iter_mut().zip(&rules.members) {
                let ip = match &self.system[rule.host].address {
                    HostAddress::Ip(ip) => Some(*ip),
                    HostAddress::Dns(name) => self.names.address(name),
                };
                if let Some(ip) = ip {
                    member.move_to(now, SocketAddr::new(ip, rule.port), &rules.check.probe);
                }
            }
        }
    }
}

/// First checks are not waited for any longer than this: enough for two that time out.
fn settles_by(now: Instant, check: &Check) -> Instant {
    now + 2 * (check.timeout + check.fast_interval)
}
