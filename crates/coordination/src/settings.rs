//! Where the registers are kept.

use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// For one machine: a directory on its own disk, which any number of processes may use at once.
    Embedded {
        path: PathBuf,
    },
    Etcd(Etcd),
}

/// An etcd cluster, version 3.4 or newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// `host:port` of each member.
    pub endpoints: Vec<String>,
    pub tls: Option<Tls>,
    pub user: Option<User>,
}

/// PEM files. They are read anew for each connection, so that they can be replaced while the program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Who may vouch for the members.
    pub ca: PathBuf,
    /// What we show them.
    pub identity: Option<Identity>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}
