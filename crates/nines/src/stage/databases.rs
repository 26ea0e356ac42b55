//! What a stage needs for databases: disks of the hosts' own, and faults of a server or of nines alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nines_admin::api::DatabaseVerb;
use nines_lab::{Furniture, Inside, Running};
use nines_rehearsal::StageError;
use nines_rehearsal::stage::Victim;
use nines_system::{HostId, Store, System};

use super::{Kind, LOOK, LabStage};

/// Where nines keeps what it must not forget, on each host.
const OWN: &str = "/var/lib/nines";
/// What a server is called, whatever version it is of.
const SERVER: &str = "postgres";
/// How long what nines left running may take to end after SIGTERM, before it is killed: as a machine has it that goes down.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// How long a switchover may take: longer than the program itself gives it by default.
const SWITCHOVER: Duration = Duration::from_secs(15);

/// Whether this system's databases can run here at all.
pub(super) fn possible(inside: &Inside, system: &System) -> Result<(), StageError> {
    if !system.databases.is_empty() && inside.has_one_user() {
        return Err("databases can be rehearsed by root only: PostgreSQL runs as a user of its own, and in \
                    the user namespace that this rehearsal is played in there is only one user"
            .into());
    }
    Ok(())
}

/// Every host has its own of what the file names by an absolute path; a store of one machine is seen by all.
pub(super) fn furniture(system: &System) -> Furniture {
    let mut furniture = Furniture::default();
    if system.databases.is_empty() {
        return furniture;
    }
    let data: BTreeSet<PathBuf> = system.databases.iter().map(|database| database.data.clone()).collect();
    furniture.own.push(OWN.into());
    furniture.own.extend(data.into_iter().filter(|data| !data.starts_with(OWN)));
    if let Some(Store::Embedded { path }) = system.coordination.as_ref().map(|it| &it.store) {
        furniture.shared.push(path.clone());
    }
    furniture
}

impl LabStage {
    /// Tells the processes of a database's server from all others: each works in its data directory.
    pub(super) fn server(&self, victim: Victim<'_>) -> Result<impl Fn(&Running) -> bool + use<>, StageError> {
        let of_it = |name| self.system.databases.iter().find(|database| database.name == name);
        let database = victim.database.and_then(of_it).ok_or("there is no such database")?;
        let data = database.data.clone();
        Ok(move |it: &Running| it.program == SERVER && it.directory.starts_with(&data))
    }

    /// Kills the postmaster alone; its children go when they see it.
    pub(super) fn kill_server(&mut self, host: HostId, victim: Victim<'_>) -> Result<(), StageError> {
        let is_server = self.server(victim)?;
        let mut all = self.lab.running(host)?;
        all.retain(is_server);
        let postmaster = roots(&all).into_iter().next().ok_or("no server runs there")?;
        Ok(self.lab.kill_some(host, &|it| it.pid == postmaster)?)
    }

    /// The one program of this kind on a host.
    pub(super) fn one(
        &self,
        host: HostId,
        kind: Kind,
    ) -> Result<impl Fn(&Running) -> bool + use<>, StageError> {
        let programs = self.programs.get(&host).into_iter().flatten();
        let process = programs.filter(|program| program.kind == kind).find_map(|program| program.process);
        let pid = process.and_then(|process| self.lab.pid(process)).ok_or("it does not run there")?;
        Ok(move |it: &Running| it.pid == pid)
    }

    /// What `nines switchover` does, to whichever host takes it.
    pub(super) async fn switch_over(&mut self, host: HostId, victim: Victim<'_>) -> Result<(), StageError> {
        let database = victim.database.unwrap_or_default();
        let daemon = self.daemons.iter().find(|daemon| daemon.host == host);
        let daemon = daemon.ok_or("no nines runs there")?;
        daemon.client.database(database, DatabaseVerb::Switchover { to: None, force: false }).await?;
        let begin = Instant::now();
        loop {
            let status = daemon.client.status().await?;
            let primary =
                status.databases.into_iter().find(|it| it.name == database).and_then(|it| it.primary);
            if primary.is_some_and(|primary| primary != self.system[host].name) {
                return Ok(());
            }
            if begin.elapsed() > SWITCHOVER {
                return Err(
                    format!("{database} was not handed over within {} s", SWITCHOVER.as_secs()).into()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// By the daemon of the first host that answers.
    pub(super) async fn pause_and_resume(&mut self, database: &str) -> Result<(), StageError> {
        let hosts = |it: &&nines_system::Database| it.name == database;
        let hosts = self.system.databases.iter().find(hosts).map(|it| it.hosts.clone()).unwrap_or_default();
        let mut daemons = self.daemons.iter().filter(|daemon| hosts.contains(&daemon.host));
        let client = &daemons.next().ok_or("no nines runs there")?.client;
        client.database(database, DatabaseVerb::Pause).await?;
        let begin = Instant::now();
        // It may not have heard yet that it is paused.
        while let Err(error) = client.database(database, DatabaseVerb::Resume).await {
            if begin.elapsed() > SWITCHOVER {
                return Err(error.into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// SIGTERM to what nines left running, SIGKILL to what does not heed it.
    pub(super) async fn end_what_is_left(&mut self, host: HostId) -> Result<(), StageError> {
        let left = roots(&self.lab.running(host)?);
        self.lab.terminate_some(host, &|it| left.contains(&it.pid))?;
        let begin = Instant::now();
        while !self.lab.running(host)?.is_empty() {
            if begin.elapsed() > SHUTDOWN {
                return Ok(self.lab.kill(host)?);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Those that are nobody's child, of these.
fn roots(all: &[Running]) -> Vec<u32> {
    let is_child = |it: &Running| all.iter().any(|other| other.pid == it.parent);
    all.iter().filter(|it| !is_child(it)).map(|it| it.pid).collect()
}
