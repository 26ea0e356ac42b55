//! What of a database's section takes effect when the file is loaded again, and why the rest doesn't.
//!
//! A daemon loads a file as a whole or not at all. So all of its databases are asked first whether they could go by it, which takes
//! PostgreSQL some time, and nothing is changed before all have said so.

use std::time::Duration;

use nines_control::failover::{self, Host};
use nines_database::hands;
use nines_system::{Database, DatabaseId, Engine, HostAddress, System};
use tokio::sync::{mpsc, oneshot};

use super::{Databases, Order, shell};
use crate::daemon::part::Part;

/// PostgreSQL's program reads the settings in milliseconds, if its disk answers.
const CHECKS_WITHIN: Duration = Duration::from_secs(20);

/// What one database is to go by.
#[derive(Debug)]
pub(in crate::daemon) struct Change {
    pub(super) failover: failover::Settings,
    pub(super) hands: hands::Settings,
    /// `None`: it has not looked, or PostgreSQL is not in hand yet.
    pub(super) checked: Option<hands::Checked>,
    pub(super) lag: u64,
}

/// What all of them are to go by.
#[derive(Debug)]
pub(in crate::daemon) struct Changes(Vec<(mpsc::Sender<Order>, String, Box<Change>)>);

impl Databases {
    /// What another file changes; `None`: this host has no database.
    ///
    /// # Errors
    /// It changes what stays for as long as the daemon runs.
    pub(in crate::daemon) fn changes(&self, before: &Part, after: &Part) -> anyhow::Result<Option<Changes>> {
        let names = |part: &Part| -> Vec<String> {
            part.system.databases_on(part.host).map(|id| part.system[id].name.clone()).collect()
        };
        let (old, new) = (names(before), names(after));
        if let Some(name) = new.iter().find(|name| !old.contains(name)) {
            anyhow::bail!("{name} is a new database on this host: restart nines here to begin with it");
        }
        if let Some(name) = old.iter().find(|name| !new.contains(name)) {
            anyhow::bail!(
                "{name} is in the file no more: stop nines on this host, and start it without the database"
            );
        }
        let named = |part: &Part, name: &str| {
            part.system.databases_on(part.host).find(|id| part.system[*id].name == name)
        };
        let mut changes = Vec::new();
        for running in &self.all {
            let (Some(old), Some(new)) = (named(before, &running.name), named(after, &running.name)) else {
                continue;
            };
            if let Some(why) = stays((&before.system, old), (&after.system, new)) {
                anyhow::bail!("databases.{}: {why}", running.name);
            }
            let me = Host::from(after.system[after.host].name.as_str());
            let change = Change {
                failover: shell::settings(&after.system, new, &me),
                hands: hands::Settings::of(&after.system, new, after.host)?,
                checked: None,
                lag: after.system[new].lag,
            };
            changes.push((running.orders.clone(), running.name.clone(), Box::new(change)));
        }
        Ok((!changes.is_empty()).then_some(Changes(changes)))
    }
}

impl Changes {
    /// Whether all of them could go by it. Nothing has changed then.
    ///
    /// # Errors
    /// One of them could not.
    pub(in crate::daemon) async fn check(self) -> anyhow::Result<Self> {
        let mut checked = Vec::new();
        for (orders, name, change) in self.0 {
            let (reply, answer) = oneshot::channel();
            let asked = orders.try_send(Order::Check { change, reply });
            let answer = match asked {
                Ok(()) => tokio::time::timeout(CHECKS_WITHIN, answer).await,
                Err(_) => anyhow::bail!("databases.{name}: it does not keep up with orders"),
            };
            match answer {
                Ok(Ok(Ok(change))) => checked.push((orders, name, change)),
                Ok(Ok(Err(why))) => anyhow::bail!("databases.{name}: {why}"),
                Ok(Err(_)) => anyhow::bail!("databases.{name}: nobody looks after it any more"),
                Err(_) => anyhow::bail!(
                    "databases.{name}: PostgreSQL did not look at its settings within {} s",
                    CHECKS_WITHIN.as_secs()
                ),
            }
        }
        Ok(Self(checked))
    }

    pub(in crate::daemon) fn apply(self) {
        for (orders, name, change) in self.0 {
            if orders.try_send(Order::Change(change)).is_err() {
                tracing::error!(name, "a database did not hear of its new settings: load the file again");
            }
        }
    }
}

/// What of it can't change while it runs, and what is to be done instead.
fn stays((before, old): (&System, DatabaseId), (after, new): (&System, DatabaseId)) -> Option<String> {
    let here = |what: &str| {
        Some(format!(
            "{what} can't change while nines runs: restart nines on each host of it, one after the other, the primary last"
        ))
    };
    let (one, two) = (&before[old], &after[new]);
    if before.coordination != after.coordination {
        return Some("`coordination` can't change while nines runs: stop nines on all hosts of databases, and start it with the new one".to_owned());
    }
    let promise = |what: &str| {
        Some(format!(
            "hosts rely on each other's `{what}`: stop nines on all hosts of this database, and start it with the new one"
        ))
    };
    if one.lease != two.lease {
        return promise("lease");
    }
    if one.heartbeat != two.heartbeat {
        return promise("heartbeat");
    }
    if places(before, one) != places(after, two) {
        return here("`hosts`, or where they are,");
    }
    let plain: [(&str, bool); 4] = [
        ("`port`", one.port == two.port),
        ("`read_port`", one.read_port == two.read_port),
        ("`data`", one.data == two.data),
        ("`tls`", one.tls == two.tls),
    ];
    let engine = |database: &Database| match &database.engine {
        Engine::PostgreSql(engine) => Some((engine.programs.clone(), engine.version, engine.user.clone())),
        _ => None,
    };
    match plain.iter().find(|(_, same)| !same) {
        Some((what, _)) => here(what),
        None if engine(one) != engine(two) => here("what PostgreSQL is (`version`, `programs`, `user`)"),
        None => None,
    }
}

/// The hosts, and where each is.
fn places<'a>(system: &'a System, database: &Database) -> Vec<(&'a str, &'a HostAddress)> {
    database.hosts.iter().map(|&host| (system[host].name.as_str(), &system[host].address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
name = "t"
[hosts]
db1 = "10.0.0.1"
db2 = "10.0.0.2"
db3 = "10.0.0.3"
[databases.orders]
hosts = ["db1", "db2"]
replication_password = "x"
parameters = { work_mem = "4MB" }
[coordination]
etcd = ["db1:2379", "db2:2379", "db3:2379"]
"#;

    /// Why a daemon doesn't take the file with this instead of that.
    fn refused(from: &str, to: &str) -> Option<String> {
        let system = |text: &str| {
            nines_system::parse("t.toml", text).unwrap_or_else(|why| panic!("{}", why.render(false)))
        };
        assert!(FILE.contains(from));
        let (before, after) = (system(FILE), system(&FILE.replace(from, to)));
        let id = |system: &System| system.databases_on(system.host_named("db1").unwrap()).next().unwrap();
        stays((&before, id(&before)), (&after, id(&after)))
    }

    #[test]
    fn what_postgresql_and_the_cohort_go_by_may_change() {
        for more in [
            "confirm = 1\nlag = \"1MiB\"",
            "durability = \"available\"",
            "switchover_within = \"3s\"",
            "access = [\"local all all md5\"]",
            "keep = \"1d\"",
            "users = [{ name = \"a\", password = \"b\" }]",
        ] {
            assert_eq!(
                refused("replication_password = \"x\"", &format!("replication_password = \"y\"\n{more}")),
                None
            );
        }
        assert_eq!(refused("4MB", "8MB"), None);
    }

    #[test]
    fn what_stays_is_refused_with_what_to_do() {
        for (from, to, why) in [
            (
                "replication_password",
                "lease = \"3s\"\nheartbeat = \"250ms\"\nreplication_password",
                "stop nines on all hosts",
            ),
            ("replication_password", "heartbeat = \"100ms\"\nreplication_password", "`heartbeat`"),
            ("[\"db1\", \"db2\"]", "[\"db2\", \"db1\"]", "`hosts`"),
            ("10.0.0.2", "10.0.0.9", "where they are"),
            ("replication_password", "port = 6000\nreplication_password", "`port`"),
            ("replication_password", "data = \"/srv/orders\"\nreplication_password", "`data`"),
            ("replication_password", "version = 15\nreplication_password", "`version`"),
            ("db3:2379", "db3:2380", "`coordination`"),
        ] {
            let refused = refused(from, to).unwrap_or_else(|| panic!("{to} is taken"));
            assert!(refused.contains(why), "{to}: {refused}");
        }
    }
}
