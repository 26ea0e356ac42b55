//! Everybody who uses the system while a case is played: clients that ask, and writers where a database is looked at.

use std::net::SocketAddr;
use std::time::Duration;

use nines_system::Secret;

use super::{Error, Options, stage_error};
use crate::clients::{Clients, Load, Target};
use crate::plan::{Component, Door, Writes};
use crate::record::Record;
use crate::stage::{Enter, Stage};
use crate::writers::{Found, Login, Place, Way, WriteLoad, WriteRecord, Writers, find};

pub(super) struct Crowd {
    clients: Clients,
    writers: Option<Writers>,
}

/// What was written, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) record: WriteRecord,
    pub(crate) ways: usize,
    pub(crate) found: Found,
}

impl Crowd {
    pub(super) async fn come<S: Stage>(
        stage: &S,
        component: &Component,
        options: &Options,
    ) -> Result<Self, Error> {
        let writers = match &component.writes {
            Some(writes) => Some(Writers::start(place(stage)?, load(stage, writes, options)?).await?),
            None => None,
        };
        let target = |door: &Door| {
            let address = address(stage, door)?;
            Ok(Target { address, proxy_header: door.proxy_header, manner: door.manner.clone() })
        };
        let targets = component.doors.iter().map(target).collect::<Result<Vec<_>, Error>>()?;
        let load = Load { targets, rate: options.rate_of(component), timeout: options.timeout };
        Ok(Self { clients: Clients::start(place(stage)?, load)?, writers })
    }

    pub(super) async fn go(self) -> Result<(Record, Option<WriteRecord>), Error> {
        let record = self.clients.stop().await?;
        Ok(match self.writers {
            Some(writers) => (record, Some(writers.stop().await?)),
            None => (record, None),
        })
    }

    pub(super) fn sent(&self) -> u64 {
        let written = self.writers.as_ref().map_or(0, |writers| writers.live().acknowledged());
        self.clients.live().sent() + written
    }

    pub(super) fn failed(&self) -> u64 {
        let errors = self.writers.as_ref().map_or(0, |writers| writers.live().errors());
        self.clients.live().failed() + errors
    }
}

/// Looks for every acknowledged row: where clients write, and on each host of the database.
pub(super) async fn look_for<S: Stage>(
    stage: &S,
    writes: &Writes,
    record: WriteRecord,
    patience: Duration,
) -> Result<Written, Error> {
    let ways = ways(stage, writes)?;
    let first = *ways.first().ok_or_else(|| Error::NoAddress(writes.database.clone()))?;
    let mut hosts = Vec::new();
    for host in &writes.hosts {
        let ip = stage.address(host).ok_or_else(|| Error::NoAddress(host.clone()))?;
        let address = SocketAddr::new(ip, writes.read_port);
        hosts.push(Place { name: host.clone(), way: Way { address, proxy_header: false } });
    }
    let found = find(place(stage)?, (first, hosts), login(writes)?, &record, patience).await?;
    Ok(Written { record, ways: ways.len(), found })
}

fn load<S: Stage>(stage: &S, writes: &Writes, options: &Options) -> Result<WriteLoad, Error> {
    Ok(WriteLoad {
        ways: ways(stage, writes)?,
        login: login(writes)?,
        writers: options.writers,
        pace: options.pace,
        timeout: options.timeout,
        patience: options.patience,
    })
}

pub(crate) fn ways<S: Stage>(stage: &S, writes: &Writes) -> Result<Vec<Way>, Error> {
    let way = |door: &Door| Ok(Way { address: address(stage, door)?, proxy_header: door.proxy_header });
    writes.doors.iter().map(way).collect()
}

pub(crate) fn login(writes: &Writes) -> Result<Login, Error> {
    let password = match &writes.password {
        Secret::Text(text) => text.clone(),
        Secret::File(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| Error::Password(writes.user.clone(), path.clone(), error))?;
            Secret::in_file(&text).unwrap_or_default().to_owned()
        }
    };
    Ok(Login { user: writes.user.clone(), password, database: writes.inside.clone() })
}

pub(crate) fn place<S: Stage>(stage: &S) -> Result<Enter, Error> {
    stage.clients_place().map_err(|why| stage_error("making room for clients", why))
}

fn address<S: Stage>(stage: &S, door: &Door) -> Result<SocketAddr, Error> {
    let ip = door.address.or_else(|| stage.address(&door.host));
    Ok(SocketAddr::new(ip.ok_or_else(|| Error::NoAddress(door.host.clone()))?, door.port))
}
