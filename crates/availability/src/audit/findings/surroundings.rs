//! What is around the hosts: things that they share, names that lead to them, certificates, maintenance; and what of it is accepted.

use std::collections::BTreeMap;

use super::{Findings, Severity, seconds};
use crate::audit::{SinglePoint, TimeBudget};
use crate::model::{Fallen, Kind};
use crate::service::Service;

/// Hosts that stand in for one another: whose they are, who they are, and whether those are enough that don't fail with a thing.
type Group<'a> = (&'a str, Vec<usize>, bool);

fn groups<'a>(service: &'a Service, thing: &Kind) -> Vec<Group<'a>> {
    let fallen = Fallen::new(service, [thing]);
    let mut groups: Vec<Group<'a>> = Vec::new();
    let entries = service.entries.iter().enumerate();
    groups.extend(entries.map(|(at, of)| (of.name.as_str(), of.hosts.clone(), !fallen.takes_entry(at))));
    let pools = service.pools.iter().enumerate().filter(|(_, pool)| pool.reaches.is_none());
    groups.extend(pools.map(|(at, of)| (of.name.as_str(), of.hosts(), !fallen.takes_pool(at))));
    let databases = service.databases.iter().enumerate();
    groups.extend(databases.map(|(at, of)| (of.name.as_str(), of.hosts.clone(), !fallen.takes_database(at))));
    if let Some(quorum) = service.asked_quorum() {
        let hosts: Vec<usize> = quorum.members.iter().filter_map(|voter| voter.host).collect();
        groups.push(("coordination", hosts, !fallen.takes_quorum()));
    }
    groups
}

impl Findings<'_> {
    pub(super) fn accepted(&mut self, accepted: &BTreeMap<String, String>, points: &[SinglePoint]) {
        for component in accepted.keys() {
            if points.iter().all(|point| &point.component != component) {
                let text = format!("{component} is accepted, and takes nothing down alone");
                self.add("accepted-without-need", Severity::Note, "accepted".into(), text, "take it out");
            }
        }
    }

    /// Hosts that stand in for one another, all under one shared thing.
    pub(super) fn shared(&mut self) {
        let service = self.service;
        for (at, shared) in service.shared.iter().enumerate() {
            for (name, mut hosts, enough) in groups(service, &Kind::Shared(at)) {
                hosts.sort_unstable();
                hosts.dedup();
                let under = hosts.iter().filter(|&&host| service.is_under(shared, host)).count();
                if hosts.len() < 2 || under == 0 || enough {
                    continue;
                }
                let text = format!(
                    "{under} of {} hosts of {name} fail with {} ({}): what is left is not enough",
                    hosts.len(),
                    shared.name,
                    shared.what
                );
                self.add(
                    "shared-under-redundant",
                    Severity::Critical,
                    format!("shared.{}", shared.name),
                    text,
                    "a second one, for a part of them",
                );
            }
        }
    }

    pub(super) fn names(&mut self, budget: &[TimeBudget]) {
        for name in &self.service.names {
            let place = format!("names.{}", name.name);
            let entries: Vec<&str> =
                name.entries.iter().map(|&at| self.service.entries[at].name.as_str()).collect();
            if name.entries.len() > 1 && !name.has_alternatives() {
                let text = format!(
                    "its answers never change: clients that were given the address of one of {} lose service with it",
                    entries.join(" and ")
                );
                self.add(
                    "dns-answers-are-static",
                    Severity::Warning,
                    place.clone(),
                    text,
                    "answers that follow health (`checked`), or clients that try every address (`retry`)",
                );
            }
            let row = budget.iter().find(|row| row.component == name.name);
            let too_few = |allowed: Option<f64>| allowed.filter(|&times| times < 4.0);
            if let Some((row, times)) = row.and_then(|row| Some((row, too_few(row.allowed_in_30_days)?))) {
                let text = format!(
                    "clients keep an answer for {}: with {} until it changes, the objective allows {times:.1} moves in thirty days",
                    seconds(row.take_over),
                    seconds(row.notice)
                );
                let suggestion = "a shorter `ttl`, or clients that try every address";
                self.add("dns-ttl-too-long", Severity::Warning, place.clone(), text, suggestion);
            }
            let serves = |&at: &usize| {
                let mut pools: Vec<usize> =
                    self.service.entries[at].serves.iter().map(|(_, pool)| *pool).collect();
                pools.sort_unstable();
                pools.dedup();
                pools
            };
            let mut all = name.entries.iter().map(serves);
            let first = all.next();
            if all.any(|other| Some(&other) != first.as_ref()) {
                let text = format!("{} don't serve the same, and clients take either", entries.join(" and "));
                self.add(
                    "name-leads-astray",
                    Severity::Warning,
                    place,
                    text,
                    "the same pools and databases behind each of its load balancers",
                );
            }
        }
    }

    pub(super) fn certificates(&mut self) {
        for (path, users) in self.service.certificates.iter().filter(|(_, users)| users.len() > 1) {
            let text =
                format!("{} show {path}: when that expires, it does for all of them", users.join(" and "));
            self.add(
                "one-certificate",
                Severity::Note,
                "databases".into(),
                text,
                "a certificate for each, that don't end on one day",
            );
        }
    }

    /// Members of the coordination outside of the system: nobody says where they stand.
    pub(super) fn voters(&mut self) {
        let outside = self
            .service
            .asked_quorum()
            .into_iter()
            .flat_map(|quorum| &quorum.members)
            .filter(|voter| voter.host.is_none());
        let outside: Vec<&str> = outside.map(|voter| voter.name.as_str()).collect();
        if !outside.is_empty() {
            let text = format!(
                "which zones {} are in is not known: they are taken to fail each by itself, and with no zone",
                outside.join(", ")
            );
            let suggestion = "name them in `hosts`, with their zones";
            self.add("quorum-zones-unknown", Severity::Warning, "coordination".into(), text, suggestion);
        }
    }

    /// Who should notice that something is gone, and is gone or out of reach with it.
    pub(super) fn watchers(&mut self) {
        let service = self.service;
        let voters = service.asked_quorum().into_iter().flat_map(|quorum| &quorum.members);
        for (voter, through) in voters.filter_map(|voter| Some((voter, voter.through.as_ref()?))) {
            let text = format!(
                "{} is reached through {through}, a part of this system: who decides what takes over must not wait for what it decides on",
                voter.name
            );
            let suggestion = "addresses of the members themselves";
            self.add("watcher-behind-watched", Severity::Critical, "coordination".into(), text, suggestion);
        }
        for (at, pool) in service.pools.iter().enumerate().filter(|(_, pool)| pool.reaches.is_none()) {
            let serve = service.entries.iter().filter(|entry| entry.serves.iter().any(|(_, of)| *of == at));
            let watchers: Vec<usize> = serve.flat_map(|entry| entry.hosts.iter().copied()).collect();
            let Some(&watcher) = watchers.first() else { continue };
            let alone = watchers.iter().all(|&host| host == watcher);
            let within: Vec<&str> = pool
                .members
                .iter()
                .filter(|member| alone && member.host == watcher)
                .map(|member| member.name.as_str())
                .collect();
            if within.is_empty() {
                continue;
            }
            let text = format!(
                "only {} looks at {}, which it has itself: when it is gone or cut off, nobody is left who notices",
                service.hosts[watcher].name,
                within.join(", ")
            );
            let suggestion = "a load balancer on another host, and `nines probe` from elsewhere";
            self.add(
                "watched-from-within",
                Severity::Warning,
                format!("pools.{}", pool.name),
                text,
                suggestion,
            );
        }
    }

    /// What takes something from clients when it fails, and has no figure.
    pub(super) fn not_counted(&mut self) {
        for name in &self.service.names {
            let text = format!(
                "whoever answers for {} is taken to answer always: without an answer no client finds the way",
                name.name
            );
            let suggestion =
                "two providers of DNS, or at least one that promises something: add it to what is expected";
            self.add("dns-not-counted", Severity::Note, format!("names.{}", name.name), text, suggestion);
        }
        for (path, users) in &self.service.certificates {
            let (etcd, clients): (Vec<&str>, Vec<&str>) =
                users.iter().map(String::as_str).partition(|user| *user == "coordination");
            let refused = format!("new connections to {} are refused", clients.join(" and "));
            // Hosts show it to etcd: without it they can't renew a lease.
            let happens = match (clients.is_empty(), etcd.is_empty()) {
                (false, true) => refused,
                (false, false) => format!("{refused}, and no host stays the primary"),
                (true, _) => "no host stays the primary".to_owned(),
            };
            let text =
                format!("{path} is taken never to expire: when it does, {happens} until there is another");
            let suggestion = "renew it by a timer, and let somebody be told long before";
            let place = if clients.is_empty() { "coordination" } else { "databases" };
            self.add("certificate-not-counted", Severity::Note, place.into(), text, suggestion);
        }
    }

    pub(super) fn maintenance(&mut self, points: &[SinglePoint]) {
        for host in &self.service.hosts {
            let Some(planned) = host.maintenance else { continue };
            let label = format!("host {}", host.name);
            let Some(point) = points.iter().find(|point| point.component == label) else { continue };
            let times = 365.0 * 86_400.0 / (planned.every + planned.takes).as_secs_f64();
            let text = format!(
                "nobody stands in while it is away, {times:.0} times a year for {}: {}",
                seconds(planned.takes.as_secs_f64()),
                point.lost.join(", "),
            );
            self.add(
                "maintenance-without-redundancy",
                Severity::Warning,
                format!("hosts.{}", host.name),
                text,
                point.remedy.clone().unwrap_or_else(|| "a second host for the same".into()),
            );
        }
    }
}
