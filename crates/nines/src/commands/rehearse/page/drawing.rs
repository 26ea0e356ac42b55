//! The system drawn: its zones, its hosts, and how traffic goes through it.

use std::collections::BTreeSet;

use nines_page::{Chip, Diagram, Markup, Tier, Tone};
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{CaseReport, Report};
use nines_system::{
    Access, DatabaseId, EtcdMember, Host, HostId, LoadBalancerId, Pool, PoolId, Protocol, Store, System,
};

use super::{Around, count, id};
use crate::terminal::thousands;

/// Clients are the first tier.
const CLIENTS: usize = 0;

pub(super) fn draw(system: &System, report: &Report, around: &Around<'_>) -> Markup {
    let zones = system.zones.iter().map(|zone| (zone.name.clone(), zone.region.clone())).collect();
    let title = format!("The system {}", system.name);
    let mut drawing = Drawing { system, report, placed: BTreeSet::new() };
    let mut diagram = Diagram::new(title, description(system), zones);
    diagram = diagram
        .tier(Tier::new("clients", vec![format!("{} requests a second", thousands(around.rate.into()))]));
    for id in system.load_balancer_ids() {
        diagram = diagram.tier(drawing.load_balancer(id));
    }
    for id in system.pool_ids().filter(|&id| system[id].reaches.is_none()) {
        diagram = diagram.tier(drawing.pool(id));
    }
    for id in system.database_ids() {
        diagram = diagram.tier(drawing.database(id));
    }
    diagram = drawing.coordination().into_iter().fold(diagram, Diagram::tier);
    diagram = drawing.others().into_iter().fold(diagram, Diagram::tier);
    diagram.figure()
}

fn description(system: &System) -> String {
    let zone = |zone: nines_system::ZoneId| {
        let hosts: Vec<&str> =
            system.hosts.iter().filter(|host| host.zone == zone).map(|host| host.name.as_str()).collect();
        format!("zone {} with {}", system[zone].name, hosts.join(", "))
    };
    system.zone_ids().map(zone).collect::<Vec<_>>().join("; ")
}

struct Drawing<'a> {
    system: &'a System,
    report: &'a Report,
    /// Hosts that stand somewhere already.
    placed: BTreeSet<HostId>,
}

impl Drawing<'_> {
    fn load_balancer(&mut self, id: LoadBalancerId) -> Tier {
        let it = &self.system[id];
        let addresses = it.virtual_ips.iter().flat_map(|virtual_ip| &virtual_ip.addresses);
        let mut words: Vec<String> = addresses.map(|address| format!("answers on {address}")).collect();
        words.extend(it.listeners.iter().map(|listener| {
            let pools = listener.protocol.pools().into_iter().map(|pool| self.target(&self.system[pool]));
            let pools: BTreeSet<String> = pools.collect();
            format!(":{} → {}", listener.port, pools.into_iter().collect::<Vec<_>>().join(", "))
        }));
        let tier = Tier::new(format!("load balancer {}", it.name), words).from(CLIENTS);
        self.with(tier, &it.hosts)
    }

    fn target(&self, pool: &Pool) -> String {
        match pool.reaches {
            None => pool.name.clone(),
            Some((database, access)) => {
                let what = match access {
                    Access::ReadWrite => "primary",
                    Access::ReadOnly => "read-only",
                };
                format!("{} ({what})", self.system[database].name)
            }
        }
    }

    fn pool(&mut self, id: PoolId) -> Tier {
        let pool = &self.system[id];
        let hosts: Vec<HostId> = pool.members.iter().map(|member| member.host).collect();
        let tier = Tier::new(format!("pool {}", pool.name), vec![count(pool.members.len(), "server")]);
        let tier = self.reached(tier, |of| of == id);
        self.with(tier, &hosts)
    }

    fn database(&mut self, id: DatabaseId) -> Tier {
        let it = &self.system[id];
        let mut words = vec![match it.hosts.len() {
            1 => "a primary alone".to_owned(),
            hosts => format!("a primary, {}", count(hosts - 1, "standby")),
        }];
        words
            .extend((it.confirm > 0).then(|| format!("each write on {} besides", count(it.confirm, "host"))));
        let tier = Tier::new(format!("database {}", it.name), words);
        let tier =
            self.reached(tier, |pool| self.system[pool].reaches.is_some_and(|(database, _)| database == id));
        self.with(tier, &it.hosts)
    }

    /// From every load balancer with a way to such a pool.
    fn reached(&self, tier: Tier, is_it: impl Fn(PoolId) -> bool) -> Tier {
        let leads = |protocol: &Protocol| protocol.pools().into_iter().any(&is_it);
        let balancers = self.system.load_balancers.iter().enumerate();
        let leading =
            balancers.filter(|(_, it)| it.listeners.iter().any(|listener| leads(&listener.protocol)));
        leading.fold(tier, |tier, (index, _)| tier.from(CLIENTS + 1 + index))
    }

    fn coordination(&mut self) -> Option<Tier> {
        let coordination = self.system.coordination.as_ref()?;
        match &coordination.store {
            Store::Embedded { .. } => None,
            Store::Etcd(etcd) => {
                let (mut hosts, mut elsewhere) = (Vec::new(), 0);
                for member in &etcd.members {
                    match member {
                        EtcdMember::Host { host, .. } => hosts.push(*host),
                        EtcdMember::Address(_) | EtcdMember::Name { .. } => elsewhere += 1,
                    }
                }
                let mut words = vec!["says who is the primary".to_owned()];
                words.extend((elsewhere > 0).then(|| format!("{} elsewhere", count(elsewhere, "member"))));
                Some(self.with(Tier::new("coordination: etcd", words), &hosts))
            }
        }
    }

    fn others(&mut self) -> Option<Tier> {
        let others: Vec<HostId> = self.system.host_ids().filter(|host| !self.placed.contains(host)).collect();
        (!others.is_empty()).then(|| self.with(Tier::new("other hosts", Vec::new()), &others))
    }

    /// Each host once in a tier; with all that it is where it stands first.
    fn with(&mut self, mut tier: Tier, hosts: &[HostId]) -> Tier {
        let mut here = BTreeSet::new();
        for &host in hosts {
            if here.insert(host) {
                let chip = if self.placed.insert(host) {
                    self.chip(host)
                } else {
                    Chip::new(self.system[host].name.clone(), Vec::new()).again()
                };
                tier = tier.place(self.system[host].zone.index(), chip);
            }
        }
        tier
    }

    fn chip(&self, host: HostId) -> Chip {
        let it = &self.system[host];
        let mut words = vec![it.address.to_string()];
        words.extend(self.roles(host));
        let chip = Chip::new(it.name.clone(), words);
        let own: Vec<(usize, &CaseReport)> = self.cases_of(it).collect();
        let broken: Vec<_> = own.iter().filter(|(_, result)| result.verdict == Verdict::Broken).collect();
        match (broken.first(), own.first()) {
            (Some((index, first)), _) => chip
                .note(Tone::Bad, format!("{} of {} broken", broken.len(), own.len()))
                .link(format!("#{}", id(*index, first))),
            (None, Some((index, first))) => {
                chip.note(Tone::Good, format!("{} held", own.len())).link(format!("#{}", id(*index, first)))
            }
            (None, None) => chip,
        }
    }

    /// Those in which it was hit alone.
    fn cases_of(&self, host: &Host) -> impl Iterator<Item = (usize, &CaseReport)> {
        let name = host.name.as_str();
        let results = self.report.results.iter().enumerate();
        results
            .filter(move |(_, result)| !result.together && result.hosts.iter().map(String::as_str).eq([name]))
    }

    /// Besides what the tier says of it: what else it is.
    fn roles(&self, host: HostId) -> Vec<String> {
        let system = self.system;
        let mut roles = Vec::new();
        if system.load_balancers_on(host).next().is_some() {
            let first = system.load_balancers.iter().flat_map(|it| &it.virtual_ips);
            let prefers =
                first.filter(|it| it.hosts.first().is_some_and(|candidate| candidate.host == host)).count();
            roles.push(if prefers > 0 { "load balancer, first" } else { "load balancer" }.to_owned());
        }
        let serves =
            |pool: &&Pool| pool.reaches.is_none() && pool.members.iter().any(|member| member.host == host);
        roles.extend(system.pools.iter().filter(serves).map(|pool| format!("serves {}", pool.name)));
        roles.extend(system.databases_on(host).map(|id| format!("database {}", system[id].name)));
        if let Some(Store::Etcd(etcd)) = system.coordination.as_ref().map(|it| &it.store) {
            let is_member =
                |member: &EtcdMember| matches!(member, EtcdMember::Host { host: of, .. } if *of == host);
            roles.extend(etcd.members.iter().any(is_member).then(|| "etcd".to_owned()));
        }
        roles
    }
}
