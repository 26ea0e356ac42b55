//! A system in a few lines: what `nines check` answers about a file that is right.

use nines_system::{Balance, HashKey, HostPattern, Listener, Pool, Probe, Protocol, Route, System};
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
    }
    for pool in &system.pools {
        let members = pool.members.iter().map(|member| member.name.as_str());
        rows.push((format!("pool {}", pool.name), names(members, "members")));
        rows.push((String::new(), format!("{}, {}", checked(pool), balanced(pool))));
    }
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
        })
    });
    let pools = system.pools.iter().map(|pool| {
        json!({
            "name": pool.name,
            "members": pool.members.iter().map(|member| &member.name).collect::<Vec<_>>(),
        })
    });
    json!({
        "name": system.name,
        "objective": { "text": system.objective.text, "fraction": system.objective.fraction },
        "zones": system.zones.iter().map(|zone| &zone.name).collect::<Vec<_>>(),
        "hosts": hosts.collect::<Vec<_>>(),
        "load_balancers": load_balancers.collect::<Vec<_>>(),
        "pools": pools.collect::<Vec<_>>(),
    })
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
        Protocol::Tcp(tcp) => system[tcp.pool].name.clone(),
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
