//! A system written out as a file in which no default is left unsaid.

mod databases;
mod failures;
mod hidden;

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use crate::kind::{Absent, Section};
use crate::model::{
    Access, AccessLog, Balance, Check, HashKey, HostPattern, HttpListener, HttpProbe, Listener, LoadBalancer,
    Needs, Network, Passive, Pool, PoolId, Probe, Protocol, ProxyVersion, Retries, Route, System, Trust,
    VirtualIp, VrrpAuthentication, VrrpChecksum, VrrpKey, VrrpVersion, WhenTooFew,
};
use crate::shape;
use crate::units::{write_bytes, write_duration, write_share};

/// The system as a file with every default filled in, for people to read: passwords and keys are not in it, and the reader
/// says so to whoever uses it as a file.
pub fn explain(system: &System) -> String {
    explain_with_secrets(&hidden::hidden(system))
}

/// The same with passwords and keys. [`crate::parse`] makes the same system of it.
pub fn explain_with_secrets(system: &System) -> String {
    let mut file = Table::new(&shape::SYSTEM)
        .set("name", text(&system.name))
        .set("objective", text(&system.objective.text))
        .finish("");
    file.push_str("\n[zones]\n");
    for zone in &system.zones {
        let region =
            zone.region.as_ref().map_or_else(String::new, |region| format!(" region = {} ", text(region)));
        _ = writeln!(file, "{} = {{{region}}}", key(&zone.name));
    }
    file.push_str("\n[hosts]\n");
    for host in &system.hosts {
        let (zone, address) = (text(&system[host.zone].name), text(&host.address.to_string()));
        let host_table = failures::host(host, Inline::default().set("zone", zone).set("address", address));
        _ = writeln!(file, "{} = {}", key(&host.name), host_table.finish());
    }
    for load_balancer in &system.load_balancers {
        file.push_str(&explain_load_balancer(system, load_balancer));
    }
    // Those that reach a database follow from it.
    for pool in system.pools.iter().filter(|pool| pool.reaches.is_none()) {
        file.push_str(&explain_pool(pool));
    }
    for database in &system.databases {
        file.push_str(&databases::explain_database(system, database));
    }
    if let Some(coordination) = &system.coordination {
        file.push_str(&databases::explain_coordination(system, coordination));
    }
    file.push_str(&failures::explain(system));
    file
}

fn explain_load_balancer(system: &System, load_balancer: &LoadBalancer) -> String {
    let header = format!("load_balancers.{}", key(&load_balancer.name));
    let hosts = load_balancer.hosts.iter().map(|&host| text(&system[host].name));
    let mut table = Table::new(&shape::LOAD_BALANCER)
        .set("hosts", list(hosts))
        .maybe("admin", load_balancer.admin.map(|socket| text(&socket.to_string())))
        .maybe("workers", load_balancer.workers.map(|workers| workers.to_string()))
        .maybe(
            "access_log",
            load_balancer.access_log.as_ref().map(|log| match log {
                AccessLog::Stdout => text("stdout"),
                AccessLog::File(path) => text(&path.to_string_lossy()),
            }),
        )
        .set("drain", time(load_balancer.drain));
    if load_balancer.virtual_ips.is_empty() {
        table = table.maybe("virtual_ips", None);
    }
    let mut out = table.finish(&format!("[{header}]"));
    for virtual_ip in &load_balancer.virtual_ips {
        out.push_str(&explain_virtual_ip(system, virtual_ip, &format!("[[{header}.virtual_ips]]")));
    }
    for listener in &load_balancer.listeners {
        out.push_str(&explain_listener(system, listener, &format!("[[{header}.listeners]]")));
    }
    out
}

fn explain_virtual_ip(system: &System, virtual_ip: &VirtualIp, header: &str) -> String {
    let priorities = virtual_ip.hosts.iter().fold(Inline::default(), |table, candidate| {
        table.set(&key(&system[candidate.host].name), candidate.priority)
    });
    let unicast = match &virtual_ip.unicast {
        None => "false".to_owned(),
        Some(peers) if peers.is_empty() => "true".to_owned(),
        Some(peers) => list(peers.iter().map(|peer| text(&peer.to_string()))),
    };
    let table = Table::new(&shape::VIRTUAL_IP)
        .set("address", list(virtual_ip.addresses.iter().map(|address| text(&address.to_string()))))
        .set("priorities", priorities.finish())
        .maybe("interface", virtual_ip.interface.as_ref().map(|name| text(name)))
        .set("router_id", virtual_ip.router_id.to_string())
        .set("interval", time(virtual_ip.interval))
        .set("preempt", virtual_ip.preempt.is_some().to_string())
        .set("unicast", unicast)
        .maybe("group", virtual_ip.group.as_ref().map(|name| text(name)));
    // The rest stands only where it does something.
    let table = match virtual_ip.preempt {
        Some(delay) => table.set("preempt_delay", time(delay)),
        None => table,
    };
    let checksum = match virtual_ip.checksum {
        VrrpChecksum::PseudoHeader => "pseudo-header",
        VrrpChecksum::Plain => "plain",
    };
    let v4 = virtual_ip.addresses.iter().all(IpAddr::is_ipv4);
    let table = match virtual_ip.version {
        VrrpVersion::V2 => table.set("version", "2".to_owned()),
        VrrpVersion::V3 if v4 => table.set("version", "3".to_owned()).set("checksum", text(checksum)),
        VrrpVersion::V3 => table.set("version", "3".to_owned()),
    };
    match &virtual_ip.authentication {
        VrrpAuthentication::None => table.maybe("keys", None),
        VrrpAuthentication::Password(password) => table.set("password", text(password)),
        VrrpAuthentication::Keys(keys) => {
            table.set(
                "keys",
                lines(keys.iter().map(|VrrpKey { id, key }| {
                    Inline::default().set("id", id).set("key", text(key)).finish()
                })),
            )
        }
    }
    .finish(header)
}

fn explain_listener(system: &System, listener: &Listener, header: &str) -> String {
    let bind = match listener.address {
        Some(address) => std::net::SocketAddr::new(address, listener.port).to_string(),
        None => format!(":{}", listener.port),
    };
    let limits = Inline::default().set("connections", listener.connections);
    let table = Table::new(&shape::LISTENER)
        .set("name", text(&listener.name))
        .set("bind", text(&bind))
        .set("accept_proxy", listener.accept_proxy.to_string());
    match &listener.protocol {
        Protocol::Tcp(tcp) => explain_target(system, tcp.pool, table)
            .set("protocol", text("tcp"))
            .set("limits", limits.finish())
            .set("idle", time(tcp.idle)),
        Protocol::Http(http) => {
            let limits =
                limits.set("head_bytes", size(http.head_bytes)).set("headers", http.headers).finish();
            explain_http(system, http, table.set("protocol", text("http")).set("limits", limits))
        }
    }
    .finish(header)
}

fn explain_target(system: &System, pool: PoolId, table: Table) -> Table {
    match system[pool].reaches {
        None => table.set("pool", text(&system[pool].name)),
        Some((database, access)) => {
            let access = match access {
                Access::ReadWrite => "read-write",
                Access::ReadOnly => "read-only",
            };
            table.set("database", text(&system[database].name)).set("access", text(access))
        }
    }
}

fn explain_http(system: &System, http: &HttpListener, table: Table) -> Table {
    let trust = match &http.trust_forwarded {
        Trust::Nobody => "false".to_owned(),
        Trust::Everybody => "true".to_owned(),
        Trust::Networks(networks) => {
            list(networks.iter().map(|Network { address, prefix }| text(&format!("{address}/{prefix}"))))
        }
    };
    let timeouts = Inline::default()
        .set("head", time(http.timeouts.head))
        .set("idle", time(http.timeouts.idle))
        .set("stall", time(http.timeouts.stall));
    table
        .set("routes", lines(http.routes.iter().map(|route| explain_route(system, route))))
        .set("trust_forwarded", trust)
        .set("timeouts", timeouts.finish())
}

fn explain_route(system: &System, route: &Route) -> String {
    let host = match &route.host {
        HostPattern::Any => text("*"),
        HostPattern::Exact(name) => text(name),
        HostPattern::Suffix(suffix) => text(&format!("*{suffix}")),
    };
    Inline::default()
        .set("host", host)
        .set("path", text(&route.path))
        .set("pool", text(&system[route.pool].name))
        .set("repeat", text(if route.repeat_any_method { "any-method" } else { "idempotent" }))
        .finish()
}

fn explain_pool(pool: &Pool) -> String {
    let header = format!("pools.{}", key(&pool.name));
    let members = pool.members.iter().map(|member| {
        let table = Inline::default()
            .set("address", text(&member.name))
            .set("weight", member.weight)
            .set("backup", member.backup);
        match member.connections {
            Some(connections) => table.set("connections", connections).finish(),
            None => table.finish(),
        }
    });
    let balance = match &pool.balance {
        Balance::LeastRequests => text("least-requests"),
        Balance::RoundRobin => text("round-robin"),
        Balance::Hash(by) => {
            let by = match by {
                HashKey::ClientAddress => "client-address".to_owned(),
                HashKey::Header(name) => format!("header:{name}"),
                HashKey::Cookie(name) => format!("cookie:{name}"),
            };
            Inline::default().set("hash", text(&by)).finish()
        }
    };
    let when_too_few = match pool.when_too_few {
        WhenTooFew::ServeAll => "serve-all",
        WhenTooFew::Refuse => "refuse",
    };
    let send_proxy = pool.send_proxy.map(|version| match version {
        ProxyVersion::V1 => text("v1"),
        ProxyVersion::V2 => text("v2"),
    });
    let (needs, load) = match pool.needs {
        Some(Needs::Members(members)) => (Some(members.to_string()), None),
        Some(Needs::Load { peak, member }) => (None, Some((peak, member))),
        None => (None, None),
    };
    let mut table = Table::new(&shape::POOL)
        .set("members", lines(members))
        .set("balance", balance)
        .set("minimum_healthy", text(&write_share(pool.minimum_healthy)))
        .set("when_too_few", text(when_too_few))
        .maybe("needs", needs)
        .set("slow_start", time(pool.slow_start))
        .set("drain", time(pool.drain))
        .maybe("send_proxy", send_proxy)
        .maybe("command", pool.command.as_ref().map(|words| list(words.iter().map(|word| text(word)))));
    if let Some((peak, member)) = load {
        table = table.without("needs").set("peak", peak.to_string()).set("member_peak", member.to_string());
    }
    if pool.check.probe == Probe::None {
        table = table.set("check", text("none"));
    }
    if pool.passive.failures.is_none() {
        table = table.set("passive", "false".to_owned());
    }
    let mut out = table.finish(&format!("[{header}]"));
    out.push_str(&explain_check(&pool.check, &format!("[{header}.check]")));
    out.push_str(&explain_passive(&pool.passive, &format!("[{header}.passive]")));
    out.push_str(&explain_retries(&pool.retries, &format!("[{header}.retries]")));
    out.push_str(&explain_limits_and_timeouts(pool, &header));
    out
}

fn explain_check(check: &Check, header: &str) -> String {
    let table = Table::new(&shape::CHECK);
    let table = match &check.probe {
        // Said by the word "none" in the pool itself.
        // What reaches a database stands in no pool of the file.
        Probe::None | Probe::Gate(_) => return String::new(),
        Probe::Tcp => table.set("tcp", "true".to_owned()),
        Probe::Command(words) => table.set("command", list(words.iter().map(|word| text(word)))),
        Probe::Http(HttpProbe { path, status, body, host }) => {
            let status = status
                .iter()
                .map(|(from, to)| if from == to { from.to_string() } else { text(&format!("{from}-{to}")) });
            table
                .set("http", text(path))
                .set("status", list(status))
                .maybe("body", body.as_ref().map(|body| text(body)))
                .maybe("host", host.as_ref().map(|host| text(host)))
        }
    };
    table
        .set("interval", time(check.interval))
        .set("fast_interval", time(check.fast_interval))
        .set("timeout", time(check.timeout))
        .set("jitter", text(&write_share(check.jitter)))
        .set("rise", check.rise.to_string())
        .set("fall", check.fall.to_string())
        .maybe("port", check.port.map(|port| port.to_string()))
        .finish(header)
}

fn explain_passive(passive: &Passive, header: &str) -> String {
    // Else said by `false` in the pool itself.
    let Some(failures) = passive.failures else { return String::new() };
    Table::new(&shape::PASSIVE)
        .set("failures", failures.to_string())
        .set("eject", time(passive.eject))
        .set("eject_max", time(passive.eject_max))
        .set("max_ejected", text(&write_share(passive.max_ejected)))
        .set("server_errors", passive.server_errors.to_string())
        .finish(header)
}

fn explain_retries(retries: &Retries, header: &str) -> String {
    let silence = Inline::default()
        .set("min", time(retries.silence_min))
        .set("max", time(retries.silence_max))
        .finish();
    Table::new(&shape::RETRIES)
        .set("tries", retries.tries.to_string())
        .set("budget", text(&write_share(retries.budget)))
        .set("minimum_per_second", retries.minimum_per_second.to_string())
        .set("race_connect", time(retries.race_connect))
        .set("silence", silence)
        .set("body", size(retries.body_bytes))
        .finish(header)
}

fn explain_limits_and_timeouts(pool: &Pool, header: &str) -> String {
    let (limits, timeouts) = (&pool.limits, &pool.timeouts);
    let mut out = Table::new(&shape::POOL_LIMITS)
        .maybe("connections", limits.connections.map(|limit| limit.to_string()))
        .maybe("member_connections", limits.member_connections.map(|limit| limit.to_string()))
        .set("queue", limits.queue.to_string())
        .set("queue_timeout", time(limits.queue_timeout))
        .set("idle_connections", limits.idle_connections.to_string())
        .finish(&format!("[{header}.limits]"));
    let timeouts = Table::new(&shape::POOL_TIMEOUTS)
        .set("connect", time(timeouts.connect))
        .set("first_byte", time(timeouts.first_byte))
        .set("stall", time(timeouts.stall))
        .set("request", time(timeouts.request))
        .set("idle", time(timeouts.idle))
        .finish(&format!("[{header}.timeouts]"));
    out.push_str(&timeouts);
    out
}

/// The lines of one table, in the order of the shape.
struct Table {
    section: &'static Section,
    values: Vec<(&'static str, Option<String>)>,
}

impl Table {
    fn new(section: &'static Section) -> Self {
        Self { section, values: Vec::new() }
    }

    fn set(self, name: &str, value: String) -> Self {
        self.maybe(name, Some(value))
    }

    /// `None`: a comment says what holds without the key.
    fn maybe(mut self, name: &str, value: Option<String>) -> Self {
        self.values.push((self.section.key(name).name, value));
        self
    }

    /// Said by other keys.
    fn without(mut self, name: &str) -> Self {
        self.values.retain(|(other, _)| *other != name);
        self
    }

    fn finish(self, header: &str) -> String {
        let mut out = if header.is_empty() { String::new() } else { format!("\n{header}\n") };
        for key in self.section.keys {
            match self.values.iter().find(|(name, _)| *name == key.name) {
                Some((name, Some(value))) => _ = writeln!(out, "{name} = {value}"),
                Some((name, None)) => {
                    let words = if let Absent::Words(words) = key.absent { words } else { "not set" };
                    _ = writeln!(out, "# {name}: {words}");
                }
                None => {}
            }
        }
        out
    }
}

/// `{ key = value, … }`.
#[derive(Default)]
struct Inline(Vec<String>);

impl Inline {
    fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.0.push(format!("{name} = {value}"));
        self
    }

    fn finish(self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }
}

fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn key(name: &str) -> String {
    let bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { text(name) }
}

fn time(time: Duration) -> String {
    text(&write_duration(time))
}

fn size(bytes: u32) -> String {
    text(&write_bytes(bytes.into()))
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// A list with a line for each value.
fn lines(values: impl Iterator<Item = String>) -> String {
    let values: String = values.map(|value| format!("    {value},\n")).collect();
    format!("[\n{values}]")
}
