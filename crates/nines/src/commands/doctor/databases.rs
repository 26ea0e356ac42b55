//! Finds out whether this host can run its databases: PostgreSQL, the disk, and the store that hosts agree by.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nines_coordination::Prefix;
use nines_coordination::settings::{Etcd, Settings as StoreSettings};
use nines_database::hands::{self, Settings};
use nines_system::{DatabaseId, Engine};

use super::facts::{Database, Disk, Store, StoreMember};
use super::machine;
use crate::daemon::databases::store;
use crate::daemon::part::Part;

/// What PostgreSQL takes if it isn't told.
const CONNECTIONS: u64 = 100;
/// A member of the store that takes longer is of no use.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a disk is asked to flush.
const FLUSHES: usize = 9;

pub(super) fn look(part: &Part, id: DatabaseId) -> Database {
    let database = &part.system[id];
    let (parameters, wanted) = match &database.engine {
        Engine::PostgreSql(engine) => (engine.parameters.as_slice(), engine.version),
        _ => (&[][..], None),
    };
    let connections = parameters.iter().rev().find(|(name, _)| name == "max_connections");
    Database {
        name: database.name.clone(),
        postgresql: Settings::of(&part.system, id, part.host)
            .map(|settings| hands::examine(&settings))
            .map_err(|refusal| refusal.to_string()),
        wanted,
        as_root: rustix::process::geteuid().is_root(),
        disk: disk(&database.data),
        data: database.data.clone(),
        connections: connections.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(CONNECTIONS),
        overcommit: machine::number("vm/overcommit_memory"),
    }
}

/// Where the directory is, or would be made.
fn disk(data: &Path) -> Result<Disk, String> {
    let at = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let says = |error: rustix::io::Errno| format!("{}: {error}", at.display());
    let sizes = rustix::fs::statvfs(at).map_err(says)?;
    let kind = rustix::fs::statfs(at).map_err(says)?.f_type;
    Ok(Disk {
        exists: at == data,
        kind: match u32::try_from(kind & 0xffff_ffff).unwrap_or(0) {
            0x0102_1994 => "tmpfs",
            0x6969 => "nfs",
            0xff53_4d42 | 0xfe53_4d42 => "cifs",
            0x6573_5546 => "fuse",
            0x794c_7630 => "overlay",
            _ => "",
        },
        free: sizes.f_bavail.saturating_mul(sizes.f_frsize),
        flush: flush(at).map_err(|error| format!("{}: {error}", at.display())),
        at: at.to_owned(),
    })
}

/// How long a flush of a page takes: the one in the middle of some. The file that it takes is gone afterwards.
fn flush(directory: &Path) -> std::io::Result<Duration> {
    let path = directory.join(format!(".nines-doctor-{}", std::process::id()));
    let mut file = fs::File::options().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    let mut times = Vec::new();
    for _ in 0..FLUSHES {
        let begin = Instant::now();
        file.write_all(&[0; 8192])?;
        file.sync_data()?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(times[FLUSHES / 2])
}

/// Asks each member of the store by itself.
pub(super) async fn store(part: &Part) -> Option<Store> {
    part.system.databases_on(part.host).next()?;
    let coordination = part.system.coordination.as_ref()?;
    let settings = match store::settings(&part.system, &coordination.store) {
        Ok(settings) => settings,
        Err(error) => return Some(Store { why_not: Some(format!("{error:#}")), ..Store::default() }),
    };
    let prefix = Prefix::new(coordination.prefix.clone()).ok()?;
    let mut members = Vec::new();
    let mut embedded: Option<PathBuf> = None;
    match settings {
        StoreSettings::Embedded { path } => {
            let name = path.display().to_string();
            embedded = Some(path.clone());
            members.push(member(name, &StoreSettings::Embedded { path }, &prefix, &part.system.name).await);
        }
        StoreSettings::Etcd(etcd) => {
            for endpoint in &etcd.endpoints {
                let one = Etcd { endpoints: vec![endpoint.clone()], ..etcd.clone() };
                let one = StoreSettings::Etcd(one);
                members.push(member(endpoint.clone(), &one, &prefix, &part.system.name).await);
            }
        }
    }
    Some(Store { why_not: None, embedded, members })
}

/// A read that a majority has to agree on, by way of this member.
async fn member(name: String, settings: &StoreSettings, prefix: &Prefix, system: &str) -> StoreMember {
    let begin = Instant::now();
    let found = nines_coordination::peek(settings, prefix, &[], begin + PATIENCE).await;
    let took = begin.elapsed();
    match found {
        Ok(peek) => StoreMember { name, answer: Ok(took), owner: peek.owner.filter(|owner| owner != system) },
        Err(error) => StoreMember { name, answer: Err(error.to_string()), owner: None },
    }
}
