//! For each component: what clients lose if it fails, for how long, who takes over, how it is noticed, whether a person is needed.

use std::time::Duration;

use serde::Serialize;

use crate::forecast::{fewer, percent};
use crate::model::{Fallen, Kind, Model, Ways, ways};
use crate::service::{Database, Member, Name, Pool, Service};
use crate::structure::EventId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    Region,
    Zone,
    Host,
    /// A load balancer's nines on one host.
    LoadBalancer,
    /// A pool's member: the application, not its host.
    Member,
    /// A database's instance: the engine, not its host.
    Instance,
    /// A database's nines on one host, whose gate is the way to the engine.
    Keeper,
    /// A virtual address: not the hosts that may hold it, but that it leads to one of them.
    Address,
    Coordination,
    /// What hosts share: a switch, a power line; and what all do: the file, and the program.
    Shared,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Component {
    pub kind: ComponentKind,
    pub name: String,
}

/// What follows from the failure of one component, when everything else is well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Consequence {
    pub component: Component,
    /// What clients do without until it is repaired. Empty: nothing.
    pub lost: Vec<String>,
    /// On what that depends, in words: where it may as well not come about.
    pub provided: Vec<String>,
    /// What else happens to clients, in words.
    pub impact: Vec<String>,
    /// The longest that clients wait, in seconds, if everything works as meant and nothing is lost.
    pub gap: f64,
    /// The longest that a part of the requests fails, in seconds, where they are tried once: 0 where traffic notices after a few of
    /// them. `None`: none do; or, with `person` and
    /// nothing lost, they do until it is repaired.
    pub part_fails: Option<f64>,
    pub takes_over: Vec<String>,
    pub noticed: Vec<String>,
    /// Whether it takes a person to end what clients lose.
    pub person: bool,
}

impl Consequence {
    fn new(kind: ComponentKind, name: impl Into<String>) -> Self {
        Self {
            component: Component { kind, name: name.into() },
            lost: Vec::new(),
            provided: Vec::new(),
            impact: Vec::new(),
            gap: 0.0,
            part_fails: None,
            takes_over: Vec::new(),
            noticed: Vec::new(),
            person: false,
        }
    }
}

pub(super) fn consequences(service: &Service, model: &Model) -> Vec<Consequence> {
    let index = Index::new(service);
    let mut rows = Vec::new();
    for region in service.regions() {
        let hosts = hosts_in(service, |host| service.region_of(host) == Some(region));
        rows.push(of_hosts(
            service,
            model,
            &index,
            ComponentKind::Region,
            region,
            &hosts,
            &Kind::Region(region.into()),
        ));
    }
    for (at, zone) in service.zones.iter().enumerate() {
        let hosts = hosts_in(service, |host| service.zone_of(host) == at);
        rows.push(of_hosts(service, model, &index, ComponentKind::Zone, &zone.name, &hosts, &Kind::Zone(at)));
    }
    for (at, host) in service.hosts.iter().enumerate() {
        rows.push(of_hosts(service, model, &index, ComponentKind::Host, &host.name, &[at], &Kind::Host(at)));
    }
    for (at, shared) in service.shared.iter().enumerate() {
        let hosts = hosts_in(service, |host| service.is_under(shared, host));
        let event = Kind::Shared(at);
        let mut row = of_hosts(service, model, &index, ComponentKind::Shared, &shared.name, &hosts, &event);
        row.impact.insert(0, format!("{} of {}", shared.what, host_names(service, &hosts)));
        rows.push(row);
    }
    rows.extend(balancers(service, model));
    rows.extend(addresses(service));
    rows.extend(members(service));
    rows.extend(instances(service, model, ComponentKind::Instance));
    rows.extend(instances(service, model, ComponentKind::Keeper));
    rows.extend(voters(service));
    rows.extend(around(service));
    rows.push(shared(model));
    rows
}

/// What leads to the hosts, or vouches for them, and is none of theirs.
fn around(service: &Service) -> Vec<Consequence> {
    let functions = ways(service);
    let mut rows = Vec::new();
    for (at, name) in service.names.iter().enumerate() {
        let mut row = Consequence::new(ComponentKind::Shared, format!("the DNS of {}", name.name));
        let by_it = functions.iter().filter(|(_, ways, _)| matches!(ways, Ways::Name(of, _) if *of == at));
        row.lost = by_it.map(|(name, _, _)| name.clone()).collect();
        row.impact.push(format!(
            "who has an answer goes on with it for up to {:.0} s; nobody else finds the way",
            name.ttl.as_secs_f64()
        ));
        row.noticed.push("not by nines, which does not serve it".into());
        row.person = true;
        rows.push(row);
    }
    for (path, users) in &service.certificates {
        let mut row = Consequence::new(ComponentKind::Shared, format!("the certificate {path}"));
        let of_users = |pool: usize| {
            let reaches = service.pools[pool].reaches;
            reaches.is_some_and(|(database, _)| users.contains(&service.databases[database].name))
        };
        let reached = functions.iter().filter(|(_, _, pool)| of_users(*pool));
        row.lost = reached.map(|(name, _, _)| name.clone()).collect();
        if users.iter().any(|user| user == "coordination") {
            // Beside what else it is shown for.
            row.lost.extend(service.databases.iter().map(|database| format!("writes to {}", database.name)));
            row.impact.push("hosts of databases show it to etcd: none of them stays the primary".into());
        }
        if row.lost.is_empty() {
            row.lost = users.iter().map(|user| format!("connections to {user}")).collect();
        }
        row.impact.push("once it has expired, clients that look at it refuse new connections".into());
        row.noticed.push("by clients".into());
        row.person = true;
        rows.push(row);
    }
    rows
}

fn host_names(service: &Service, hosts: &[usize]) -> String {
    let names: Vec<&str> = hosts.iter().map(|&host| service.hosts[host].name.as_str()).collect();
    names.join(", ")
}

fn hosts_in(service: &Service, within: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..service.hosts.len()).filter(|&host| within(host)).collect()
}

/// Which pools a host has members of: a thousand hosts shall not each look through all members.
struct Index {
    pools: Vec<Vec<usize>>,
}

impl Index {
    fn new(service: &Service) -> Self {
        let mut pools = vec![Vec::new(); service.hosts.len()];
        for (at, pool) in service.pools.iter().enumerate().filter(|(_, pool)| pool.reaches.is_none()) {
            pool.members.iter().for_each(|member| pools[member.host].push(at));
        }
        Self { pools }
    }
}

fn of_hosts(
    service: &Service,
    model: &Model,
    index: &Index,
    kind: ComponentKind,
    name: &str,
    hosts: &[usize],
    event: &Kind,
) -> Consequence {
    let mut row = Consequence::new(kind, name);
    refusals(service, event, hosts, &mut row);
    let event: Vec<EventId> = model.event(event).into_iter().collect();
    row.lost = super::names(model, &event);
    row.person = !row.lost.is_empty();
    takeovers(service, model, hosts, &mut row);
    unled(service, hosts, &mut row);
    moves(service, model, &event, &mut row);
    let mut pools: Vec<usize> = hosts.iter().flat_map(|&host| index.pools[host].iter().copied()).collect();
    pools.sort_unstable();
    pools.dedup();
    for pool in pools.into_iter().map(|at| &service.pools[at]) {
        pool_loses(pool, |member| hosts.contains(&member.host), &mut row);
    }
    copies(service, model, hosts, &mut row);
    if let Some(quorum) = &service.quorum {
        let gone = quorum
            .members
            .iter()
            .filter(|voter| voter.host.is_some_and(|host| hosts.contains(&host)))
            .count();
        if gone > 0 && quorum.members.len() - gone >= quorum.majority() {
            row.takes_over.push(format!(
                "coordination: {} of {} left",
                quorum.members.len() - gone,
                quorum.members.len()
            ));
        }
    }
    if row.lost.is_empty() && row.impact.is_empty() && row.gap == 0.0 {
        row.impact.push("nothing".into());
    }
    row
}

/// Addresses and primaries that these hosts have, as long as nothing failed before.
fn takeovers(service: &Service, model: &Model, hosts: &[usize], row: &mut Consequence) {
    for group in &model.groups {
        if !hosts.contains(&group.hosts[0]) {
            continue;
        }
        let Some(&next) = group.hosts.iter().find(|host| !hosts.contains(host)) else { continue };
        row.takes_over
            .push(format!("{}: {} takes {}", group.component, service.hosts[next].name, group.what));
        row.noticed.push(format!("{}: by silence, within {:.2} s", group.component, group.notice));
        row.gap = row.gap.max(group.notice + group.takes_over);
        row.impact.push(format!(
            "{}: nothing answers for up to {:.2} s, and what is connected to the host is cut",
            group.component,
            group.notice + group.takes_over
        ));
    }
}

/// Databases of which so many hosts go at one stroke that nobody takes over, if one of them is the primary; else it goes on.
fn refusals(service: &Service, event: &Kind, hosts: &[usize], row: &mut Consequence) {
    let fallen = Fallen::new(service, [event]);
    for database in service.databases.iter().filter(|of| of.can_fail_over()) {
        let gone = database.hosts.iter().filter(|host| hosts.contains(host)).count();
        let left = database.hosts.len() - gone;
        if database.may_lack_writes(gone) && left >= database.least() && !fallen.takes_quorum() {
            row.provided.push(format!("{}: if the primary is there", database.name));
            row.impact.push(format!(
                "{}: {gone} of its {} hosts go at one stroke, and {} confirm: if the primary is among them, those that are left may lack writes, and nobody takes over",
                database.name,
                database.hosts.len(),
                database.confirm
            ));
        }
    }
}

/// Databases that go on with fewer copies than each write must have, and the time until they do.
fn copies(service: &Service, model: &Model, hosts: &[usize], row: &mut Consequence) {
    for (at, database) in service.databases.iter().enumerate() {
        let gone = database.hosts.iter().filter(|host| hosts.contains(host)).count();
        let of_primary =
            |host: &usize| model.groups.iter().find(|of| of.database == Some(at) && of.hosts[0] == *host);
        let takeover = hosts.iter().find_map(of_primary).map(|group| group.notice + group.takes_over);
        fewer_copies(database, gone, takeover, takeover.is_none(), row);
    }
}

/// The same of one, of which so many hosts are gone: after a takeover of so many seconds, if the primary is among them.
fn fewer_copies(
    database: &Database,
    gone: usize,
    takeover: Option<f64>,
    silent: bool,
    row: &mut Consequence,
) {
    let (all, name) = (database.hosts.len(), &database.name);
    let left = all - gone;
    if gone == 0 || left == 0 || left < database.least() || database.may_lack_writes(gone) {
        return;
    }
    let Some((seconds, how)) = fewer(database, left, silent) else { return };
    let gap = takeover.unwrap_or(0.0) + seconds;
    row.gap = row.gap.max(gap);
    row.takes_over.push(format!("{name}: goes on with {left} of {all}"));
    row.impact.push(format!(
        "{name}: goes on with fewer copies than {}, and takes no write for up to {gap:.2} s: {how}",
        database.confirm + 1
    ));
    row.noticed.push(format!("{name}: by absence, within {seconds:.2} s"));
}

/// Load balancers whose clients know one host each, and nothing else.
fn unled(service: &Service, hosts: &[usize], row: &mut Consequence) {
    for (at, entry) in service.entries.iter().enumerate().filter(|(at, _)| !service.is_led(*at)) {
        let gone = entry.hosts.iter().filter(|host| hosts.contains(host)).count();
        if gone > 0 {
            row.impact.push(format!(
                "{}: nothing leads clients elsewhere, so {gone} of {} of them get no answer until it is repaired",
                service.entries[at].name,
                entry.hosts.len()
            ));
            row.noticed.push(format!("{}: not by nines, which moves nothing", entry.name));
            row.person = true;
        }
    }
}

/// Names whose preferred load balancer these events take away, and that have another one.
fn moves(service: &Service, model: &Model, events: &[EventId], row: &mut Consequence) {
    for of in &model.alternatives {
        let name = &service.names[of.name].name;
        let fails = |node| model.tree.fails(node, |event| events.contains(&event));
        let next = of.entries.iter().zip(&of.lasting).find(|(_, node)| !fails(**node));
        let (Some((&next, _)), true) = (next, fails(of.lasting[0])) else { continue };
        let next = &service.entries[next].name;
        row.gap = row.gap.max(of.notice + of.ttl);
        if service.names[of.name].moves_within().is_some() {
            row.takes_over.push(format!("{name}: {next} is the answer"));
            row.noticed.push(format!("{name}: by whoever answers for it, within {:.0} s", of.notice));
            row.impact.push(format!("{name}: clients keep the old answer for up to {:.0} s more", of.ttl));
        } else {
            row.takes_over.push(format!("{name}: clients try {next} by themselves"));
        }
    }
}

fn pool_loses(pool: &Pool, is_gone: impl Fn(&Member) -> bool, row: &mut Consequence) {
    let gone = pool.members.iter().filter(|member| is_gone(member)).count();
    let left = pool.members.len() - gone;
    if !pool.serves(|member| !is_gone(member)) {
        return;
    }
    row.takes_over.push(format!("{}: {left} of {} members", pool.name, pool.members.len()));
    let checks = pool.notice.map(|notice| format!("by checks within {:.1} s", notice.as_secs_f64()));
    let traffic = pool.failures.map(|failures| format!("by traffic after {failures} failures in a row"));
    let ways: Vec<String> = traffic.into_iter().chain(checks).collect();
    row.noticed.push(match ways.is_empty() {
        true => format!("{}: not at all", pool.name),
        false => format!("{}: {}", pool.name, ways.join(", ")),
    });
    let nobody = ways.is_empty();
    let share = pool.share(&is_gone);
    if share == 0.0 {
        row.impact
            .push(format!("{}: only backups, which get nothing as long as others are there", pool.name));
        return;
    }
    row.person |= nobody;
    row.impact.push(if pool.tries > 1 {
        row.gap = row.gap.max(pool.silence.as_secs_f64());
        let others = match nobody {
            true => "others that come to it fail until it is repaired",
            false => "others that it was working on fail",
        };
        format!(
            "{}: requests that may be repeated are, after at most {:.2} s; {others}",
            pool.name,
            pool.silence.as_secs_f64()
        )
    } else {
        let until = if nobody { "it is repaired: nobody notices" } else { "it is noticed" };
        if let Some(time) = pool.unnoticed() {
            row.part_fails = Some(row.part_fails.unwrap_or(0.0).max(time.as_secs_f64()));
        }
        format!("{}: {} of the requests are lost until {until}", pool.name, percent(share))
    });
    if let Some(by) = &pool.sticky {
        row.impact.push(format!(
            "{}: clients that are kept together by {by} lose what its members know of them",
            pool.name
        ));
    }
}

/// What clients of this pool lose.
fn functions_of(service: &Service, pool: usize) -> Vec<String> {
    let of_pool = ways(service).into_iter().filter(|(_, _, other)| *other == pool);
    of_pool.map(|(name, _, _)| name).collect()
}

fn balancers(service: &Service, model: &Model) -> Vec<Consequence> {
    let mut rows = Vec::new();
    for (at, entry) in service.entries.iter().enumerate() {
        for &host in &entry.hosts {
            let name = format!("{} on {}", entry.name, service.hosts[host].name);
            let mut row = Consequence::new(ComponentKind::LoadBalancer, name);
            let alone = |hosts: &[usize]| hosts == [host];
            let alone = alone(&entry.hosts) || entry.addresses.iter().any(|address| alone(&address.hosts));
            let names = service.names.iter().filter(|name| name.entries.contains(&at));
            let names: Vec<&Name> = names.collect();
            if alone && !names.is_empty() && names.iter().all(|name| name.has_alternatives()) {
                for name in names {
                    let others = name.entries.iter().filter(|&&other| other != at);
                    let others: Vec<&str> =
                        others.map(|&other| service.entries[other].name.as_str()).collect();
                    row.takes_over.push(format!("{}: {}", name.name, others.join(" or ")));
                    let (notice, ttl) = name.moves_within().unwrap_or_default();
                    row.gap = row.gap.max((notice + ttl).as_secs_f64());
                }
            } else if alone {
                row.lost = entry.serves.iter().flat_map(|(_, pool)| functions_of(service, *pool)).collect();
                row.lost.sort_unstable();
                row.lost.dedup();
                // It is started again by whatever started it; if that is nobody, by somebody.
                row.person = true;
            } else if entry.addresses.is_empty() {
                let name = &service.hosts[host].name;
                if service.is_led(at) {
                    row.impact.push(format!("clients that use {name} must try another host by themselves"));
                } else {
                    row.impact.push(format!(
                        "clients that know {name}, 1 of {} of them, get no answer until it is repaired",
                        entry.hosts.len()
                    ));
                    row.person = true;
                }
                row.noticed.push("not by nines: nothing moves an address".into());
            } else {
                for group in model.groups.iter().filter(|group| {
                    group.database.is_none() && group.component == entry.name && group.hosts[0] == host
                }) {
                    row.gap = row.gap.max(group.notice + group.takes_over);
                    row.takes_over
                        .push(format!("{} takes {}", service.hosts[group.hosts[1]].name, group.what));
                    row.noticed.push(format!("by silence, within {:.2} s", group.notice));
                }
            }
            rows.push(row);
        }
    }
    rows
}

fn members(service: &Service) -> Vec<Consequence> {
    let mut rows = Vec::new();
    for (at, pool) in service.pools.iter().enumerate().filter(|(_, pool)| pool.reaches.is_none()) {
        for member in &pool.members {
            let mut row =
                Consequence::new(ComponentKind::Member, format!("{} of {}", member.name, pool.name));
            let is_it = |other: &Member| other.name == member.name;
            if !pool.serves(|other| !is_it(other)) {
                row.lost = functions_of(service, at);
                row.person = true;
            }
            pool_loses(pool, is_it, &mut row);
            rows.push(row);
        }
    }
    rows
}

/// A database's engine on each host, or the nines that looks after it.
fn instances(service: &Service, model: &Model, kind: ComponentKind) -> Vec<Consequence> {
    let mut rows = Vec::new();
    for (number, database) in service.databases.iter().enumerate() {
        for (at, &host) in database.hosts.iter().enumerate() {
            let name = format!("{} on {}", database.name, service.hosts[host].name);
            let mut row = Consequence::new(kind, name);
            let fatal =
                if database.can_fail_over() { database.hosts.len() - 1 < database.least() } else { at == 0 };
            if fatal {
                row.lost = vec![format!("writes to {}", database.name)];
                row.person = true;
            } else if at == 0 {
                for group in model.groups.iter().filter(|group| group.database == Some(number)) {
                    row.takes_over
                        .push(format!("{} becomes the primary", service.hosts[group.hosts[1]].name));
                    if kind == ComponentKind::Keeper {
                        row.gap = group.notice + group.takes_over;
                        row.noticed.push(format!("by silence, within {:.2} s", group.notice));
                        row.impact.push("its gate shuts with it, and the lease must run out".into());
                    } else {
                        row.gap = group.takes_over;
                        row.noticed.push("by its host, which gives the lease up at once".into());
                    }
                    row.impact
                        .push("transactions that are open are lost; none that was acknowledged is".into());
                    // Its host stays, and lets go of its connections at once.
                    fewer_copies(database, 1, Some(row.gap), false, &mut row);
                }
            } else {
                fewer_copies(database, 1, None, false, &mut row);
                let no_more = if row.gap > 0.0 {
                    "and reads that it was serving fail"
                } else {
                    "nothing, but for reads that it was serving"
                };
                row.impact.push(no_more.into());
            }
            rows.push(row);
        }
    }
    rows
}

/// Virtual addresses that lead nowhere: somebody else has one of them too, or a router has forgotten where it is.
fn addresses(service: &Service) -> Vec<Consequence> {
    let functions = ways(service);
    let mut rows = Vec::new();
    for (at, entry) in service.entries.iter().enumerate() {
        for address in &entry.addresses {
            let name = format!("{} of {}", address.name, entry.name);
            let mut row = Consequence::new(ComponentKind::Address, name);
            let mut longest = Duration::ZERO;
            for (function, ways, _) in &functions {
                match ways {
                    Ways::Entry(of) if *of == at => row.lost.push(function.clone()),
                    Ways::Name(name, entries) if entries.contains(&at) => {
                        let name = &service.names[*name];
                        if entries.len() < 2 || !name.has_alternatives() {
                            row.lost.push(function.clone());
                            continue;
                        }
                        let (notice, ttl) = name.moves_within().unwrap_or_default();
                        longest = longest.max(notice + ttl);
                        let moves = format!("{}: its other addresses", name.name);
                        if !row.takes_over.contains(&moves) {
                            row.takes_over.push(moves);
                        }
                    }
                    _ => {}
                }
            }
            row.gap = if row.lost.is_empty() { longest.as_secs_f64() } else { 0.0 };
            row.impact.push("whoever asks there is answered by something else, or by nobody".into());
            row.noticed.push("not by nines, whose hosts hear each other all the same".into());
            row.person = !row.lost.is_empty();
            rows.push(row);
        }
    }
    rows
}

fn voters(service: &Service) -> Vec<Consequence> {
    let Some(quorum) = &service.quorum else { return Vec::new() };
    let row = |voter: &crate::service::Voter| {
        let mut row = Consequence::new(ComponentKind::Coordination, voter.name.clone());
        let left = quorum.members.len() - 1;
        if left < quorum.majority() {
            row.lost =
                service.databases.iter().map(|database| format!("writes to {}", database.name)).collect();
            row.person = true;
        } else {
            row.takes_over.push(format!("{left} of {} left", quorum.members.len()));
            row.impact.push("nothing".into());
        }
        row
    };
    quorum.members.iter().map(row).collect()
}

fn shared(model: &Model) -> Consequence {
    let mut row = Consequence::new(ComponentKind::Shared, "the system file and the program");
    row.lost = model.functions.iter().map(|function| function.name.clone()).collect();
    row.impact.push(
        "a wrong file is refused by every host, which goes on as before; one that is right and not meant is done by all of them".into(),
    );
    row.noticed.push("by clients".into());
    row.person = true;
    row
}
