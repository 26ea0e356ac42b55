//! The way to the coordination store: opened when it answers, again and again until then, and what this host remembers of it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nines_coordination::settings::{Etcd, Identity, Settings, Tls, User};
use nines_coordination::{Claim, Entry, Error, Key, Known, Prefix, Registers};
use nines_system::{Coordination, EtcdMember, HostAddress, Store, System};

/// For one try.
const OPEN: Duration = Duration::from_secs(5);
/// From try to try.
const AGAIN: Duration = Duration::from_millis(500);
/// What only a person can mend is tried again after this.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);

/// What is needed to open the store.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    settings: Settings,
    prefix: Prefix,
    system: String,
    /// Where this host keeps what it knows of the store.
    known: PathBuf,
}

impl Opening {
    /// # Errors
    /// A password can't be read, or the prefix can't be one.
    pub(crate) fn of(system: &System, coordination: &Coordination, data: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            settings: settings(system, &coordination.store)?,
            prefix: Prefix::new(coordination.prefix.clone())?,
            system: system.name.clone(),
            known: data.join("coordination.json"),
        })
    }

    /// One try, and a wait after one that failed.
    pub(super) async fn try_it(&self) -> Result<Registers, Error> {
        let known = match read_known(&self.known) {
            Ok(known) => known,
            Err(error) => {
                tokio::time::sleep(REFUSED_AGAIN).await;
                return Err(Error::Settings { why: format!("{error:#}") });
            }
        };
        let claim = Claim { prefix: self.prefix.clone(), system: self.system.clone(), known };
        let opened = Registers::open(&self.settings, &claim, Instant::now() + OPEN).await;
        match &opened {
            Ok(_) => {}
            Err(Error::Unreachable { .. } | Error::Unknown { .. }) => tokio::time::sleep(AGAIN).await,
            Err(_) => tokio::time::sleep(REFUSED_AGAIN).await,
        }
        opened
    }

    /// What is there now, without claiming or changing anything.
    ///
    /// # Errors
    /// It does not answer, or another system has the prefix.
    pub(crate) async fn peek(&self, keys: &[Key], patience: Duration) -> Result<Vec<Option<Entry>>, Error> {
        let peek =
            nines_coordination::peek(&self.settings, &self.prefix, keys, Instant::now() + patience).await?;
        match peek.owner {
            Some(owner) if owner != self.system => Err(Error::Claimed {
                prefix: self.prefix.to_string(),
                by: format!("{owner:?}, and this one is {:?}", self.system),
            }),
            _ => Ok(peek.entries),
        }
    }

    /// Keeps what is known of the store for the next start.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn remember(&self, known: &Known) -> anyhow::Result<()> {
        let text = serde_json::to_vec(known)?;
        put(&self.known, &text).with_context(|| format!("cannot write {}", self.known.display()))
    }
}

/// All of it or nothing, whenever the power goes.
fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let next = path.with_extension("new");
    let mut file = File::create(&next)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&next, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// `None` on the first start.
fn read_known(path: &Path) -> anyhow::Result<Option<Known>> {
    match std::fs::read(path) {
        // Its disk lost it. Without it less is known, and nothing is wrong.
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => serde_json::from_slice(&text).map(Some).with_context(|| {
            format!("{} cannot be understood; it says which store this host knows", path.display())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

pub(crate) fn settings(system: &System, store: &Store) -> anyhow::Result<Settings> {
    let etcd = match store {
        Store::Embedded { path } => return Ok(Settings::Embedded { path: path.clone() }),
        Store::Etcd(etcd) => etcd,
    };
    let endpoint = |member: &EtcdMember| match member {
        EtcdMember::Host { host, port } => match &system[*host].address {
            HostAddress::Ip(ip) => std::net::SocketAddr::new(*ip, *port).to_string(),
            HostAddress::Dns(name) => format!("{name}:{port}"),
        },
        EtcdMember::Address(address) => address.to_string(),
        EtcdMember::Name { name, port } => format!("{name}:{port}"),
    };
    let user = match &etcd.user {
        Some((name, secret)) => Some(User { name: name.clone(), password: super::secret(secret)? }),
        None => None,
    };
    let tls = etcd.tls.as_ref().map(|tls| Tls {
        ca: tls.ca.clone(),
        identity: tls
            .identity
            .as_ref()
            .map(|(certificate, key)| Identity { certificate: certificate.clone(), key: key.clone() }),
    });
    Ok(Settings::Etcd(Etcd { endpoints: etcd.members.iter().map(endpoint).collect(), tls, user }))
}
