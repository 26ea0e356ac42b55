//! What the hands are told of one database on this host.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use nines_control::failover::Host;
use nines_system::{DatabaseId, Engine, GateTls, HostAddress, HostId, Secret, System};

use super::{REPLICATOR, Refusal, SUPERUSER, config};

const HOPELESS_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Settings {
    pub database: String,
    pub me: Host,
    /// All hosts of the database.
    pub hosts: Vec<Host>,
    /// A directory of nines' own.
    pub data: PathBuf,
    /// Where `postgres`, `initdb` and the others are; `None`: of the newest version as Debian installs it.
    pub programs: Option<PathBuf>,
    pub version: Option<u16>,
    /// Whom PostgreSQL runs as where this process is root's.
    pub user: String,
    pub parameters: Vec<(String, String)>,
    /// Lines of `pg_hba.conf`.
    pub access: Vec<String>,
    pub users: Vec<Role>,
    pub replication_password: Option<Secret>,
    pub tls: GateTls,
    pub lease: Duration,
    pub heartbeat: Duration,
    /// How long what was set aside is kept.
    pub keep: Option<Duration>,
    /// A standby that lacks log that its data need, and gets on with nothing for so long, is made a copy.
    pub hopeless_after: Duration,
    /// Where the gates of the other hosts are.
    pub peers: Peers,
}

/// Somebody who may log in, and the databases that are made for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub password: Secret,
    pub owns: Vec<String>,
}

/// Where the hosts' gates are, as far as that is known now: shared, and can change.
#[derive(Debug, Clone, Default)]
pub struct Peers(Arc<RwLock<BTreeMap<Host, SocketAddr>>>);

impl Peers {
    pub fn set(&self, host: Host, gate: SocketAddr) {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(host, gate);
    }

    pub fn get(&self, host: &Host) -> Option<SocketAddr> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(host).copied()
    }
}

impl Settings {
    /// As the system file has them. Hosts whose address is a name are to be put into `peers` by whoever looks names up.
    ///
    /// # Errors
    /// A parameter or a user is in nines' own hands.
    pub fn of(system: &System, database: DatabaseId, host: HostId) -> Result<Self, Refusal> {
        let database = &system[database];
        let Engine::PostgreSql(engine) = &database.engine else {
            return Err(Refusal(format!("{}: another engine than PostgreSQL", database.name)));
        };
        let name = |id: HostId| Host::from(system[id].name.as_str());
        let peers = Peers::default();
        for &id in &database.hosts {
            if let HostAddress::Ip(ip) = system[id].address {
                let ip: IpAddr = ip;
                peers.set(name(id), SocketAddr::new(ip, database.port));
            }
        }
        let settings = Self {
            database: database.name.clone(),
            me: name(host),
            hosts: database.hosts.iter().map(|&id| name(id)).collect(),
            data: database.data.clone(),
            programs: engine.programs.clone(),
            version: engine.version,
            user: engine.user.clone(),
            parameters: engine.parameters.clone(),
            access: engine.access.clone(),
            users: engine
                .users
                .iter()
                .map(|user| Role {
                    name: user.name.clone(),
                    password: user.password.clone(),
                    owns: user.owns.clone(),
                })
                .collect(),
            replication_password: engine.replication_password.clone(),
            tls: database.tls.clone(),
            lease: database.lease,
            heartbeat: database.heartbeat,
            keep: database.keep,
            hopeless_after: HOPELESS_AFTER,
            peers,
        };
        settings.check()?;
        Ok(settings)
    }

    /// # Errors
    /// What in there nines can't live with.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        for (name, value) in &self.parameters {
            if let Some(why) = config::refusal(name, value) {
                return Err(Refusal(format!("database {}: {why}", self.database)));
            }
        }
        for user in &self.users {
            if [SUPERUSER, REPLICATOR].contains(&user.name.as_str()) || user.name.starts_with("pg_") {
                return Err(Refusal(format!(
                    "database {}: {} is no name for a user",
                    self.database, user.name
                )));
            }
        }
        if let Some(line) = self.access.iter().find(|line| line.contains(['\n', '\r'])) {
            return Err(Refusal(format!(
                "database {}: more than one line of access: {line:?}",
                self.database
            )));
        }
        Ok(())
    }
}

/// What it says, now.
pub(super) fn reveal(secret: &Secret) -> Result<String, Refusal> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| Refusal::at(path, error))?;
            let password = Secret::in_file(&text).map(str::to_owned);
            password.ok_or_else(|| Refusal::at(path, "no password in its first line"))
        }
    }
}
