//! Databases, and the coordination by which their hosts agree.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::HostId;

/// A connection between a primary and a standby on which nothing is heard for so many leases is given up.
pub const UNHEARD_FOR_LEASES: u32 = 2;
/// A standby that has had none for so many leases is absent: from then on the database may go on without it.
pub const ABSENT_AFTER_LEASES: u32 = 4;

/// One primary, and standbys that follow it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Database {
    /// In small letters, as are those of its hosts: they are parts of registers' names.
    pub name: String,
    pub engine: Engine,
    /// Who has an instance of it; of those that may take over, the first tries first. At least one, each once.
    pub hosts: Vec<HostId>,
    /// Of the gate, on each of its hosts: reaches the primary alone. Default 5432.
    pub port: u16,
    /// The same for clients that only read: a standby that is no further behind than `lag`, or the primary. Default: one above
    /// `port`.
    pub read_port: u16,
    /// HTTP address of the admin API and `/metrics` on each of its hosts, besides the Unix socket; a load balancer there, or
    /// another database, may have the same. Default: none.
    pub admin: Option<SocketAddr>,
    /// A directory of nines' own, on each host. Absolute, at most 80 bytes long. Default `/var/lib/nines/NAME`.
    pub data: PathBuf,
    /// How many standbys confirm each commit: at least 1, and fewer than there are hosts. Default 1. 0 only where there is one
    /// host.
    pub confirm: usize,
    /// Default: strict.
    pub durability: Durability,
    /// How long the right to serve lasts without being renewed. Default 1.5 s.
    pub lease: Duration,
    /// At most a third of the lease. Default: a sixth of it, 250 ms.
    pub heartbeat: Duration,
    /// A standby that is further behind serves no reads, in bytes of the log. Default 16 MiB.
    pub lag: u64,
    /// A switchover that takes longer is given up. Default 10 s.
    pub switchover_within: Duration,
    /// How clients' connections are encrypted. Default: not.
    pub tls: GateTls,
    /// How long directories that were set aside are kept. Default: until somebody removes them.
    pub keep: Option<Duration>,
}

/// What is specific to an engine.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Engine {
    PostgreSql(PostgreSql),
}

/// PostgreSQL 13 or newer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PostgreSql {
    /// Where `postgres`, `initdb` and the others are. Default: of the newest version that the host has installed as Debian does.
    pub programs: Option<PathBuf>,
    /// The major version that it must be. Default: whatever is there.
    pub version: Option<u16>,
    /// The user of the operating system that it runs as, where nines runs as root. Default `postgres`.
    pub user: String,
    /// Its settings, but those that nines must have in its own hands. In the file's order, names in small letters, values as
    /// `postgresql.conf` would have them between quotes.
    pub parameters: Vec<(String, String)>,
    /// Lines of `pg_hba.conf` that come before the last one, which lets everybody in by password. They begin with `local`;
    /// with [`GateTls::PassThrough`] also with `host` and its kin.
    pub access: Vec<String>,
    /// Roles that are made with the database, and databases that belong to them.
    pub users: Vec<DatabaseUser>,
    /// What standbys show the primary. `None` only where there is one host.
    pub replication_password: Option<Secret>,
}

impl PostgreSql {
    /// The role that nines itself comes in as. No role of the file is called so, or `nines`, or begins with `nines_`.
    pub const SUPERUSER: &'static str = "postgres";
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DatabaseUser {
    pub name: String,
    pub password: Secret,
    /// Databases inside the instance that are made for it, and that it owns.
    pub owns: Vec<String>,
}

/// Something that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// As it stands in the file.
    Text(String),
    /// The first line of this file, read when it is needed.
    File(PathBuf),
}

impl Secret {
    /// What such a file's text holds: its first line, without what is blank at the end. `None`: nothing.
    pub fn in_file(text: &str) -> Option<&str> {
        text.lines().next().map(str::trim_end).filter(|line| !line.is_empty())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What a primary does that too few standbys confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Writes wait.
    Strict,
    /// It goes on with fewer; from then on only who has everything may take over.
    Available,
}

/// What a client wants of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// The primary.
    ReadWrite,
    /// A standby that is not far behind; the primary if there is none.
    ReadOnly,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateTls {
    Off,
    /// PostgreSQL has its own certificate and the gate sees nothing.
    PassThrough {
        certificate: PathBuf,
        key: PathBuf,
    },
    /// The gate has it, and speaks plainly with PostgreSQL over a socket of the machine.
    Terminate {
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// Where the hosts' registers are.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Coordination {
    /// What all registers' names begin with: `a-z`, `0-9`, `-`, `_` and `.`. Default: the system's name in small letters.
    pub prefix: String,
    pub store: Store,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Store {
    /// A directory, where one machine is all there is: the databases are on one host, or the file says that all of their hosts
    /// are one machine.
    Embedded {
        path: PathBuf,
    },
    Etcd(Etcd),
}

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Etcd {
    /// At least one.
    pub members: Vec<EtcdMember>,
    pub tls: Option<EtcdTls>,
    pub user: Option<(String, Secret)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcdMember {
    /// On a host of the system: `rehearse` starts it there.
    Host { host: HostId, port: u16 },
    /// Somewhere else.
    Address(SocketAddr),
    /// Somewhere else, by name.
    Name { name: String, port: u16 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdTls {
    pub ca: PathBuf,
    /// Certificate and key that members are shown.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Whether the hosts that are left may lack what clients were told is safe, when so many of a database are lost at one stroke and
/// `confirm` standbys confirm each commit: the primary and those that confirmed it may be among the lost, so nobody takes over.
pub fn may_lack_writes(confirm: usize, lost: usize) -> bool {
    lost > confirm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_secret_is_its_first_line_without_what_is_blank_at_the_end() {
        for text in ["a b", "a b\n", "a b \t\r\nand more\n"] {
            assert_eq!(Secret::in_file(text), Some("a b"), "{text:?}");
        }
        for text in ["", "\n", "  \nsecond\n"] {
            assert_eq!(Secret::in_file(text), None, "{text:?}");
        }
    }
}
