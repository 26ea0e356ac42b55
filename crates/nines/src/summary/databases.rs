//! What the summary says of databases and of their coordination.

use nines_system::{
    Access, Database, DatabaseId, Durability, Engine, EtcdMember, GateTls, Listener, PoolId, Protocol, Store,
    System,
};
use serde_json::{Value, json};

use super::names;

pub(super) fn rows(system: &System) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for database in &system.databases {
        let hosts = database.hosts.iter().map(|&host| system[host].name.as_str());
        rows.push((
            format!("database {}", database.name),
            format!("{} on {}", engine(database), names(hosts, "hosts")),
        ));
        rows.push((
            String::new(),
            format!("port {}, {} for reads{}", database.port, database.read_port, tls(database)),
        ));
        rows.push((String::new(), format!("{}; lease {:?}", confirmed(database), database.lease)));
    }
    if let Some(coordination) = &system.coordination {
        let about = match &coordination.store {
            Store::Embedded { path } => format!("in {}, of one machine", path.display()),
            Store::Etcd(etcd) => {
                let members: Vec<String> = etcd.members.iter().map(|member| at(system, member)).collect();
                format!("etcd on {}", names(members.iter().map(String::as_str), "members"))
            }
        };
        rows.push(("coordination".to_owned(), about));
    }
    rows
}

/// `database orders, read-write`, or the pool's name.
pub(super) fn target(system: &System, pool: PoolId) -> String {
    match system[pool].reaches {
        None => system[pool].name.clone(),
        Some((database, access)) => format!("database {}, {}", system[database].name, word(access)),
    }
}

/// What a listener reaches, if it is a database.
pub(super) fn reached(system: &System, listener: &Listener) -> Option<Value> {
    let Protocol::Tcp(tcp) = &listener.protocol else { return None };
    let (database, access) = system[tcp.pool].reaches?;
    Some(json!({ "name": system[database].name, "access": word(access) }))
}

pub(super) fn json(system: &System) -> Vec<Value> {
    let one = |id: DatabaseId| {
        let database = &system[id];
        json!({
            "name": database.name,
            "engine": "postgresql",
            "hosts": database.hosts.iter().map(|&host| &system[host].name).collect::<Vec<_>>(),
            "port": database.port,
            "read_port": database.read_port,
            "confirm": database.confirm,
            "durability": durability(database),
            "lease_ms": database.lease.as_millis() as u64,
        })
    };
    system.database_ids().map(one).collect()
}

pub(super) fn coordination(system: &System) -> Option<Value> {
    let coordination = system.coordination.as_ref()?;
    let store = match &coordination.store {
        Store::Embedded { path } => json!({ "embedded": path }),
        Store::Etcd(etcd) => {
            json!({ "etcd": etcd.members.iter().map(|member| at(system, member)).collect::<Vec<_>>() })
        }
    };
    Some(json!({ "prefix": coordination.prefix, "store": store }))
}

fn at(system: &System, member: &EtcdMember) -> String {
    match member {
        EtcdMember::Host { host, port } => format!("{}:{port}", system[*host].name),
        EtcdMember::Address(socket) => socket.to_string(),
        EtcdMember::Name { name, port } => format!("{name}:{port}"),
    }
}

fn word(access: Access) -> &'static str {
    match access {
        Access::ReadWrite => "read-write",
        Access::ReadOnly => "read-only",
    }
}

fn engine(database: &Database) -> String {
    match &database.engine {
        Engine::PostgreSql(engine) => match engine.version {
            Some(version) => format!("PostgreSQL {version}"),
            None => "PostgreSQL".to_owned(),
        },
        _ => "an engine".to_owned(),
    }
}

fn tls(database: &Database) -> &'static str {
    match database.tls {
        GateTls::Off => "",
        GateTls::Terminate { .. } => ", TLS ends at the gate",
        GateTls::PassThrough { .. } => ", TLS ends at PostgreSQL",
    }
}

fn durability(database: &Database) -> &'static str {
    match database.durability {
        Durability::Strict => "strict",
        Durability::Available => "available",
    }
}

fn confirmed(database: &Database) -> String {
    match (database.confirm, database.hosts.len().saturating_sub(1)) {
        (_, 0) => "a single instance".to_owned(),
        (confirm, standbys) => {
            format!("each write confirmed by {confirm} of {standbys} standbys, {}", durability(database))
        }
    }
}
