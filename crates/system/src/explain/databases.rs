//! Databases and the coordination, written out.

use std::path::Path;

use super::{Inline, Table, key, lines, list, text, time};
use crate::model::{
    Coordination, Database, DatabaseUser, Durability, Engine, Etcd, EtcdMember, GateTls, HostId, PostgreSql,
    Secret, Store, System,
};
use crate::shape;
use crate::units::write_bytes;

pub(super) fn explain_database(system: &System, database: &Database) -> String {
    let header = format!("databases.{}", key(&database.name));
    let Engine::PostgreSql(engine) = &database.engine;
    let durability = match database.durability {
        Durability::Strict => "strict",
        Durability::Available => "available",
    };
    let hosts = database.hosts.iter().map(|&host| text(&system[host].name));
    let mut table = Table::new(&shape::DATABASE)
        .set("engine", text("postgresql"))
        .set("hosts", list(hosts))
        .set("port", database.port.to_string())
        .set("read_port", database.read_port.to_string())
        .maybe("admin", database.admin.map(|socket| text(&socket.to_string())))
        .set("data", path(&database.data))
        .set("confirm", database.confirm.to_string())
        .set("durability", text(durability))
        .set("lease", time(database.lease))
        .set("heartbeat", time(database.heartbeat))
        .set("lag", text(&write_bytes(database.lag)))
        .set("switchover_within", time(database.switchover_within))
        .set("tls", gate_tls(&database.tls))
        .maybe("keep", database.keep.map(time));
    table = explain_postgresql(engine, table);
    let mut out = table.finish(&format!("[{header}]"));
    if !engine.parameters.is_empty() {
        out.push_str(&format!("\n[{header}.parameters]\n"));
        for (name, value) in &engine.parameters {
            out.push_str(&format!("{} = {}\n", key(name), text(value)));
        }
    }
    out
}

fn explain_postgresql(engine: &PostgreSql, table: Table) -> Table {
    let table = table
        .maybe("programs", engine.programs.as_deref().map(path))
        .maybe("version", engine.version.map(|version| version.to_string()))
        .set("user", text(&engine.user))
        .set("access", list(engine.access.iter().map(|line| text(line))))
        .set("users", lines(engine.users.iter().map(user)))
        .maybe("replication_password", engine.replication_password.as_ref().map(secret));
    if engine.parameters.is_empty() { table.maybe("parameters", None) } else { table }
}

fn user(user: &DatabaseUser) -> String {
    Inline::default()
        .set("name", text(&user.name))
        .set("password", secret(&user.password))
        .set("owns", list(user.owns.iter().map(|name| text(name))))
        .finish()
}

fn gate_tls(tls: &GateTls) -> String {
    let (mode, certificate, key) = match tls {
        GateTls::Off => return text("off"),
        GateTls::PassThrough { certificate, key } => ("pass-through", certificate, key),
        GateTls::Terminate { certificate, key } => ("terminate", certificate, key),
    };
    Inline::default()
        .set("mode", text(mode))
        .set("certificate", path(certificate))
        .set("key", path(key))
        .finish()
}

pub(super) fn explain_coordination(system: &System, coordination: &Coordination) -> String {
    let table = Table::new(&shape::COORDINATION).set("prefix", text(&coordination.prefix));
    match &coordination.store {
        Store::Embedded { path } => table.set("embedded", embedded(system, path)),
        Store::Etcd(etcd) => explain_etcd(system, etcd, table),
    }
    .finish("[coordination]")
}

/// That several hosts are one machine must be said again.
fn embedded(system: &System, directory: &Path) -> String {
    let mut hosts: Vec<HostId> =
        system.databases.iter().flat_map(|database| database.hosts.clone()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    match hosts.len() {
        0 | 1 => path(directory),
        _ => Inline::default().set("path", path(directory)).set("one_machine", "true").finish(),
    }
}

fn explain_etcd(system: &System, etcd: &Etcd, table: Table) -> Table {
    let member = |member: &EtcdMember| match member {
        EtcdMember::Host { host, port } => text(&format!("{}:{port}", system[*host].name)),
        EtcdMember::Address(socket) => text(&socket.to_string()),
        EtcdMember::Name { name, port } => text(&format!("{name}:{port}")),
    };
    let tls = etcd.tls.as_ref().map(|tls| {
        let inline = Inline::default().set("ca", path(&tls.ca));
        match &tls.identity {
            Some((certificate, key)) => inline.set("certificate", path(certificate)).set("key", path(key)),
            None => inline,
        }
        .finish()
    });
    let user = etcd.user.as_ref().map(|(name, password)| {
        Inline::default().set("name", text(name)).set("password", secret(password)).finish()
    });
    table.set("etcd", list(etcd.members.iter().map(member))).maybe("tls", tls).maybe("user", user)
}

fn secret(secret: &Secret) -> String {
    match secret {
        Secret::Text(secret) => text(secret),
        Secret::File(file) => Inline::default().set("file", path(file)).finish(),
    }
}

fn path(path: &Path) -> String {
    text(&path.to_string_lossy())
}
