//! Load balancers: hosts, listeners and routes.

use std::net::IpAddr;
use std::time::Duration;

use toml::de::DeValue;

use super::names::{Named, Names};
use super::ports::{Bound, By, Ports};
use super::reach::Reached;
use super::{hosts, texts, virtual_ips};
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Notes, Span};
use crate::model::{
    Access, Balance, ClientTimeouts, Database, DatabaseId, HashKey, Host, HostId, HostPattern, HttpListener,
    Listener, LoadBalancer, Pool, PoolId, Protocol, Route, TcpListener, Trust,
};
use crate::shape;

/// Silence after which a TCP connection is closed, where the file says nothing.
const IDLE: Duration = Duration::from_secs(600);
/// The same of a database's clients, who keep connections for later.
const DATABASE_IDLE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What load balancers send to, and what else of the file they are read with.
pub(super) struct Around<'r, 'a> {
    pub(super) hosts: &'r Named<'a, Host>,
    pub(super) pools: &'r Named<'a, Pool>,
    pub(super) databases: &'r Named<'a, Database>,
    pub(super) ports: &'r mut Ports,
    pub(super) reached: &'r mut Reached,
}

/// The load balancers, and what looks forgotten in them.
pub(super) fn load_balancers<'a>(
    system: &Fields<'a>,
    around: &mut Around<'_, 'a>,
) -> (Named<'a, LoadBalancer>, Vec<Mistake>) {
    let mut virtual_ips = virtual_ips::Reader::new(around.hosts);
    let load_balancers = Named::read("load balancer", "load_balancers", system, |name, key, item| {
        let fields = item.fields(&shape::LOAD_BALANCER)?.named(key);
        load_balancer(name, &fields, around, &mut virtual_ips)
    });
    (load_balancers, virtual_ips.into_warnings())
}

fn load_balancer(
    name: &str,
    fields: &Fields<'_>,
    around: &mut Around<'_, '_>,
    virtual_ips: &mut virtual_ips::Reader<'_, '_>,
) -> Option<LoadBalancer> {
    let (hosts, all_hosts) =
        hosts::own_hosts(&format!("load balancer `{name}`"), fields, &around.hosts.names);
    let admin = around.ports.admin(name, fields, &hosts);
    let listeners = listeners(name, fields, &hosts, around);
    let hosts_place = fields.place("hosts");
    let of = virtual_ips::Balancer { name, hosts: &hosts, whole: all_hosts, hosts_place };
    let virtual_ips = virtual_ips.read(&of, fields);
    Some(LoadBalancer {
        name: name.to_owned(),
        admin,
        workers: fields.maybe_whole("workers"),
        access_log: fields.get("access_log").and_then(|item| texts::access_log(&item)),
        drain: fields.time("drain"),
        virtual_ips: virtual_ips?,
        hosts: all_hosts.then_some(hosts)?,
        listeners: listeners?,
    })
}

fn listeners(
    load_balancer: &str,
    fields: &Fields<'_>,
    hosts: &[HostId],
    around: &mut Around<'_, '_>,
) -> Option<Vec<Listener>> {
    let list = fields.require("listeners")?;
    let mut names: Vec<(String, Span)> = Vec::new();
    let mut listeners = Vec::new();
    let mut whole = true;
    for item in list.items()? {
        let Some(fields) = item.fields(&shape::LISTENER) else {
            whole = false;
            continue;
        };
        let protocol = protocol(&fields);
        let place = place(&fields, protocol);
        if let Some(place) = &place {
            let what = format!("listener `{}` of `{load_balancer}`", place.name);
            let (address, port, span) = (place.address, place.port, place.span.clone());
            let new = Bound { what, by: By::Nines, hosts: hosts.to_vec(), address, port, span };
            let free = around.ports.bind(new, item.notes);
            // The same port twice makes the same name twice, where nobody has chosen one.
            if free || place.name_span != place.span {
                named(load_balancer, place, &mut names, item.notes);
            }
        }
        match listener(&fields, protocol, place, around) {
            Some(listener) => listeners.push(listener),
            None => whole = false,
        }
    }
    if listeners.is_empty() && whole {
        list.note(
            format!("load balancer `{load_balancer}` has no listener"),
            "empty",
            "add one: listeners = [{ bind = \":80\", pool = \"web\" }]",
        );
    }
    whole.then_some(listeners)
}

/// Where a listener listens, and what it is called; known even if nothing else of it could be read.
struct Place {
    name: String,
    address: Option<IpAddr>,
    port: u16,
    /// Of its `bind`.
    span: Span,
    /// Of its `name`, or else of the `bind` that names it.
    name_span: Span,
}

fn place(fields: &Fields<'_>, protocol: &str) -> Option<Place> {
    let name = fields.get("name").map(|item| texts::name(&item));
    let bind = fields.require("bind")?;
    let (address, port) = texts::bind(&bind)?;
    let name = match (name, address) {
        (Some(name), _) => name?.to_owned(),
        (None, Some(address)) => format!("{protocol}-{address}-{port}").replace(':', "-"),
        (None, None) => format!("{protocol}-{port}"),
    };
    let name_span = fields.place("name").unwrap_or(bind.span());
    Some(Place { name, address, port, span: bind.span(), name_span })
}

/// Notes when another listener has the name.
fn named(load_balancer: &str, place: &Place, names: &mut Vec<(String, Span)>, notes: &Notes) {
    let Place { name, name_span, .. } = place;
    match names.iter().find(|(other, _)| other == name) {
        Some((_, first)) => notes.add(
            Mistake::new(
                format!("two listeners of `{load_balancer}` are named `{name}`"),
                name_span.clone(),
                "again",
            )
            .and(first.clone(), "first")
            .help("give one of them another `name`"),
        ),
        None => names.push((name.clone(), name_span.clone())),
    }
}

fn listener(
    fields: &Fields<'_>,
    protocol: &str,
    place: Option<Place>,
    around: &mut Around<'_, '_>,
) -> Option<Listener> {
    let limits = fields.table("limits");
    let protocol = match protocol {
        "tcp" => tcp(fields, &limits, around),
        _ => http(fields, &limits, &around.pools.names),
    };
    let accept_proxy = fields.flag("accept_proxy");
    let connections = limits.whole("connections");
    let Place { name, address, port, .. } = place?;
    Some(Listener { name, address, port, protocol: protocol?, accept_proxy, connections })
}

/// What is spoken where the file says it, or what follows from the rest.
fn protocol(fields: &Fields<'_>) -> &'static str {
    let database = fields.place("database");
    match (fields.maybe_word("protocol"), database) {
        (Some("http"), Some(database)) => {
            let place = fields.place("protocol").unwrap_or_default();
            fields.notes().add(
                Mistake::new("a database does not speak HTTP", place, "HTTP")
                    .and(database, "a database")
                    .help("leave `protocol` out: it is \"tcp\" with `database`"),
            );
            "tcp"
        }
        (Some(said), _) => said,
        (None, Some(_)) => "tcp",
        (None, None) => "http",
    }
}

fn tcp(fields: &Fields<'_>, limits: &Fields<'_>, around: &mut Around<'_, '_>) -> Option<Protocol> {
    for name in ["routes", "trust_forwarded", "timeouts"] {
        misplaced(fields, name, "HTTP");
    }
    for name in ["head_bytes", "headers"] {
        misplaced(limits, name, "HTTP");
    }
    let idle = fields.maybe_time("idle");
    if let Some(item) = fields.get("database") {
        let pool = to_database(fields, &item, around)?;
        return Some(Protocol::Tcp(TcpListener { pool, idle: idle.unwrap_or(DATABASE_IDLE) }));
    }
    only_with_database(fields);
    let pools = around.pools;
    let item = fields.require("pool")?;
    let pool = pools.names.refer(&item)?;
    if let Some(Balance::Hash(HashKey::Header(_) | HashKey::Cookie(_))) =
        pools.get(pool).map(|pool| &pool.balance)
    {
        let name = pools.names.name(pool);
        fields.notes().add(
            Mistake::new(
                format!("pool `{name}` hashes what a TCP listener can't see"),
                item.span(),
                "TCP has no headers",
            )
            .and(pools.names.span(pool), "hashes a header or a cookie")
            .help("hash \"client-address\", or make the listener's `protocol` \"http\""),
        );
    }
    Some(Protocol::Tcp(TcpListener { pool: PoolId(pool), idle: idle.unwrap_or(IDLE) }))
}

/// The pool by which a database is reached.
fn to_database(fields: &Fields<'_>, item: &Item<'_>, around: &mut Around<'_, '_>) -> Option<PoolId> {
    let access = match fields.word("access") {
        "read-only" => Access::ReadOnly,
        _ => Access::ReadWrite,
    };
    let pool = fields.place("pool");
    if let Some(pool) = &pool {
        fields.notes().add(
            Mistake::new("a listener has either `pool` or `database`", item.span(), "one")
                .and(pool.clone(), "the other")
                .help("take one out"),
        );
    }
    let database = around.databases.names.refer(item).map(DatabaseId)?;
    let reached = around.reached.pool(database, access);
    pool.is_none().then_some(reached)
}

/// Notes what says how a database is reached where none is.
fn only_with_database(fields: &Fields<'_>) {
    if let (Some(place), true) = (fields.key_place("access"), fields.is_missed("database")) {
        fields.notes().add(
            Mistake::new("`access` is for listeners with `database` only", place, "does nothing here")
                .help("take it out, or name a database"),
        );
    }
}

/// Notes a key that does nothing with the listener's protocol.
fn misplaced(fields: &Fields<'_>, name: &str, protocol: &str) {
    if let Some(place) = fields.key_place(name) {
        fields.notes().add(
            Mistake::new(format!("`{name}` is for {protocol} listeners only"), place, "does nothing here")
                .help(format!(
                    "take it out, or change the listener's `protocol` to \"{}\"",
                    protocol.to_lowercase()
                )),
        );
    }
}

fn http(fields: &Fields<'_>, limits: &Fields<'_>, pools: &Names<'_>) -> Option<Protocol> {
    misplaced(fields, "idle", "TCP");
    only_with_database(fields);
    let routes = routes(fields, pools);
    let timeouts = fields.table("timeouts");
    let timeouts = ClientTimeouts {
        head: timeouts.time("head"),
        idle: timeouts.time("idle"),
        stall: timeouts.time("stall"),
    };
    let (head_bytes, headers) = (limits.size("head_bytes"), limits.whole("headers"));
    let trust_forwarded = trust(fields)?;
    Some(Protocol::Http(HttpListener { routes: routes?, trust_forwarded, timeouts, head_bytes, headers }))
}

fn trust(fields: &Fields<'_>) -> Option<Trust> {
    let Some(item) = fields.get("trust_forwarded") else { return Some(Trust::Nobody) };
    match item.value.get_ref() {
        DeValue::Boolean(true) => Some(Trust::Everybody),
        DeValue::Boolean(false) => Some(Trust::Nobody),
        DeValue::Array(_) => {
            let networks: Option<Vec<_>> = item.items()?.map(|item| texts::network(&item)).collect();
            networks.map(Trust::Networks)
        }
        _ => {
            item.wrong_type();
            None
        }
    }
}

fn routes(fields: &Fields<'_>, pools: &Names<'_>) -> Option<Vec<Route>> {
    let mut taken: Vec<Taken> = Vec::new();
    let mut routes = Vec::new();
    let mut whole = true;
    let list = fields.get("routes");
    let items = list.and_then(Item::items);
    for item in items.into_iter().flatten() {
        match route(item, pools, &mut taken) {
            Some(route) => routes.push(route),
            None => whole = false,
        }
    }
    let pool = fields.get("pool");
    if let Some(item) = pool {
        let (host, path) = (HostPattern::Any, "/".to_owned());
        reachable(&mut taken, &host, &path, item.span(), item.notes);
        match pools.refer(&item).map(PoolId) {
            Some(pool) => routes.push(Route { host, path, pool, repeat_any_method: false }),
            None => whole = false,
        }
    }
    if pool.is_none() && list.is_none() {
        fields.notes().add(
            Mistake::new(
                "a listener has neither `pool` nor `routes`",
                fields.span(),
                "where do its requests go?",
            )
            .help("add pool = \"web\", routes, or database = \"orders\""),
        );
        return None;
    }
    if let (Some(list), true, true) = (list, whole, routes.is_empty()) {
        list.note("a listener has no route", "empty", "add pool = \"web\", or a route");
    }
    whole.then_some(routes)
}

fn route(item: Item<'_>, pools: &Names<'_>, taken: &mut Vec<Taken>) -> Option<Route> {
    let fields = item.fields(&shape::ROUTE)?;
    let host = fields.get("host").map_or(Some(HostPattern::Any), |item| texts::host_pattern(&item));
    let path = fields.get("path").map_or(Some("/"), |item| texts::path_prefix(&item));
    let repeat_any_method = fields.word("repeat") == "any-method";
    if let (Some(host), Some(path)) = (&host, path) {
        reachable(taken, host, path, item.span(), item.notes);
    }
    let pool = pools.refer(&fields.require("pool")?)?;
    Some(Route { host: host?, path: path?.to_owned(), pool: PoolId(pool), repeat_any_method })
}

/// What a route takes, and where it stands.
type Taken = (HostPattern, String, Span);

/// Notes a route that another takes everything from.
fn reachable(taken: &mut Vec<Taken>, host: &HostPattern, path: &str, span: Span, notes: &Notes) {
    match taken.iter().find(|(other, before, _)| other == host && before == path) {
        Some((_, _, first)) => notes.add(
            Mistake::new("a route is never reached", span, "the same host and path again")
                .and(first.clone(), "takes all of its requests")
                .help("take one out, or give it another host or path"),
        ),
        None => taken.push((host.clone(), path.to_owned(), span)),
    }
}
