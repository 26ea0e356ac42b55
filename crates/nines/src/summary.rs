//! A system in a few lines: what `nines check` answers about a file that is right.

mod databases;
mod surroundings;

use nines_system::{
    Balance, HashKey, HostPattern, Listener, Pool, Probe, Protocol, Route, System, VirtualIp,
};
use serde_json::{Value, json};

/// More names than these are counted and not told.
const TOLD: usize = 6;

/// Two aligned columns: what, and what about it.
pub(crate) fn text(system: &System) -> String {
    let mut rows: Vec<(String, String)> = vec![("objective".to_owned(), system.objective.text.clone())];
    for id in system.zone_ids() {
        let hosts = system.hosts.iter().filter(|host| host.zone == id).map(|host| host.name.as_str());
        rows.push((format!("zone {}", system[id].name), names(hosts, "hosts")));
    }
    for load_balancer in &system.load_balancers {
        let hosts = load_balancer.hosts.iter().map(|&host| system[host].name.as_str());
        rows.push((format!("load balancer {}", load_balancer.name), format!("on {}", names(hosts, "hosts"))));
        for listener in &load_balancer.listeners {
            rows.push((String::new(), listens(system, listener)));
        }
        for virtual_ip in &load_balancer.virtual_ips {
            rows.extend(held(system, virtual_ip));
        }
    }
    for pool in system.pools.iter().filter(|pool| pool.reaches.is_none()) {
        let members = pool.members.iter().map(|member| member.name.as_str());
        rows.push((format!("pool {}", pool.name), names(members, "members")));
        rows.push((String::new(), format!("{}, {}", checked(pool), balanced(pool))));
    }
    rows.extend(databases::rows(system));
    rows.extend(surroundings::rows(system));
    let width = rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    let rows = rows.iter().map(|(what, about)| format!("{what:width$}   {about}\n"));
    format!("{}: the file is right\n\n{}", system.name, rows.collect::<String>())
}

/// The same facts for a program.
pub(crate) fn json(system: &System) -> Value {
    let listener = |listener: &Listener| {
        json!({
            "name": listener.name,
            "bind": bind(listener),
            "protocol": protocol(listener),
            "pools": listener.protocol.pools().iter().map(|&pool| &system[pool].name).collect::<Vec<_>>(),
            "database": databases::reached(system, listener),
        })
    };
    let virtual_ip = |virtual_ip: &VirtualIp| {
        let hosts = virtual_ip
            .hosts
            .iter()
            .map(|candidate| json!({ "name": system[candidate.host].name, "priority": candidate.priority }));
        json!({
            "addresses": virtual_ip.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "router_id": virtual_ip.router_id,
            "interval_ms": virtual_ip.interval.as_millis() as u64,
            "hosts": hosts.collect::<Vec<_>>(),
        })
    };
    let hosts = system.hosts.iter().map(|host| {
        json!({ "name": host.name, "zone": system[host.zone].name, "address": host.address.to_string() })
    });
    let load_balancers = system.load_balancers.iter().map(|load_balancer| {
        json!({
            "name": load_balancer.name,
            "hosts": load_balancer.hosts.iter().map(|&host| &system[host].name).collect::<Vec<_>>(),
            "listeners": load_balancer.listeners.iter().map(listener).collect::<Vec<_>>(),
            "virtual_ips": load_balancer.virtual_ips.iter().map(virtual_ip).collect::<Vec<_>>(),
        })
    });
    let pools = system.pools.iter().filter(|pool| pool.reaches.is_none()).map(|pool| {
        json!({
            "name": pool.name,
            "members": pool.members.iter().map(|member| &member.name).collect::<Vec<_>>(),
        })
    });
    let mut summary = json!({
        "name": system.name,
        "objective": { "text": system.objective.text, "fraction": system.objective.fraction },
        "zones": system.zones.iter().map(|zone| &zone.name).collect::<Vec<_>>(),
        "hosts": hosts.collect::<Vec<_>>(),
        "load_balancers": load_balancers.collect::<Vec<_>>(),
        "pools": pools.collect::<Vec<_>>(),
        "databases": databases::json(system),
        "coordination": databases::coordination(system),
    });
    surroundings::json(system, &mut summary);
    summary
}

fn names<'a>(names: impl Iterator<Item = &'a str>, what: &str) -> String {
    let names: Vec<_> = names.collect();
    match names.len() {
        0 => format!("no {what}"),
        1..=TOLD => names.join(", "),
        many => format!("{many} {what}"),
    }
}

fn bind(listener: &Listener) -> String {
    match listener.address {
        Some(address) => std::net::SocketAddr::new(address, listener.port).to_string(),
        None => format!(":{}", listener.port),
    }
}

fn protocol(listener: &Listener) -> &'static str {
    match listener.protocol {
        Protocol::Http(_) => "http",
        Protocol::Tcp(_) => "tcp",
    }
}

fn listens(system: &System, listener: &Listener) -> String {
    let to = match &listener.protocol {
        Protocol::Tcp(tcp) => databases::target(system, tcp.pool),
        Protocol::Http(http) => {
            let routes = http.routes.iter().map(|route| match pattern(route).as_str() {
                "" => system[route.pool].name.clone(),
                pattern => format!("{} for {pattern}", system[route.pool].name),
            });
            routes.collect::<Vec<_>>().join(", ")
        }
    };
    format!("{} {} to {to}", protocol(listener), bind(listener))
}

/// `virtual IP 10.0.1.100` and `on lb1, else lb2`; a row for each further address.
fn held(system: &System, virtual_ip: &VirtualIp) -> Vec<(String, String)> {
    let ranks = virtual_ip.hosts.chunk_by(|one, next| one.priority == next.priority);
    let ranks: Vec<_> = ranks
        .map(|equals| {
            let names = equals.iter().map(|candidate| system[candidate.host].name.as_str());
            names.collect::<Vec<_>>().join(" or ")
        })
        .collect();
    let on = match ranks.as_slice() {
        [first, _, ..] if virtual_ip.hosts.len() > TOLD => {
            format!("on {first}, else on another of {} hosts", virtual_ip.hosts.len())
        }
        ranks => format!("on {}", ranks.join(", else ")),
    };
    let addresses = virtual_ip.addresses.iter().enumerate();
    let about = |first| if first { on.clone() } else { "the same".to_owned() };
    addresses.map(|(i, address)| (format!("virtual IP {address}"), about(i == 0))).collect()
}

/// `shop.example/api`; nothing for everything.
fn pattern(route: &Route) -> String {
    let host = match &route.host {
        HostPattern::Any => "",
        HostPattern::Exact(name) => name,
        HostPattern::Suffix(suffix) => &format!("*{suffix}"),
    };
    format!("{host}{}", if route.path == "/" { "" } else { &route.path })
}

fn checked(pool: &Pool) -> String {
    let every = format!("every {:?}", pool.check.interval);
    match &pool.check.probe {
        Probe::Tcp => format!("checked by a connect {every}"),
        Probe::Http(http) => format!("checked by GET {} {every}", http.path),
        Probe::Command(words) => {
            format!("checked by {} {every}", words.first().map_or("a command", String::as_str))
        }
        Probe::Gate(_) => "asked by its gate".to_owned(),
        Probe::None => "not checked".to_owned(),
    }
}

fn balanced(pool: &Pool) -> String {
    match &pool.balance {
        Balance::LeastRequests => "least requests".to_owned(),
        Balance::RoundRobin => "round robin".to_owned(),
        Balance::Hash(HashKey::ClientAddress) => "by client address".to_owned(),
        Balance::Hash(HashKey::Header(name)) => format!("by header {name}"),
        Balance::Hash(HashKey::Cookie(name)) => format!("by cookie {name}"),
    }
}
