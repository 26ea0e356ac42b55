//! Are the rows that were acknowledged there? Asked where clients write, and of each host by itself.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_postgres::Row;

use super::{Login, Refusal, Session, Way, WriteRecord, within};
use crate::stage::Enter;

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(100);

const READ: &str = "SELECT writer, n FROM nines_rehearsal WHERE writer >= $1";

/// Where rows are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A host's name.
    pub name: String,
    pub way: Way,
}

/// What was found of the acknowledged rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Not there where clients write, even in the end; or why it could not be read.
    pub lost: Result<u64, String>,
    /// How many each host lacks in the end, of those that could be read and lack some.
    pub lacking: BTreeMap<String, u64>,
    /// Hosts that could not be read, and why.
    pub unread: BTreeMap<String, String>,
}

/// Looks for every acknowledged row. A standby may be a moment behind, so each place is asked again until it has all, or
/// the patience is over.
///
/// # Errors
/// When the thread that asks can't be started, or can't get to its place.
pub async fn find(
    enter: Enter,
    (way, hosts): (Way, Vec<Place>),
    login: Login,
    record: &WriteRecord,
    patience: Duration,
) -> io::Result<Found> {
    let rows: HashSet<(i64, i64)> = record.acknowledged.iter().map(|row| (row.writer, row.n)).collect();
    let first = record.first_writer;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("readers".to_owned()).spawn(move || {
        let found = enter().and_then(|()| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(look(&way, &hosts, &login, &rows, first, patience)))
        });
        let _ = tell.send(found);
    })?;
    told.await.map_err(|_| io::Error::other("the readers' thread died"))?
}

async fn look(
    way: &Way,
    hosts: &[Place],
    login: &Login,
    rows: &HashSet<(i64, i64)>,
    first: i64,
    patience: Duration,
) -> Found {
    let until = Instant::now() + patience;
    let missing = missing_at(*way, login, rows, first, until, patience).await;
    let lost = missing.map_err(|refusal| refusal.to_string());
    let mut found = Found { lost, lacking: BTreeMap::new(), unread: BTreeMap::new() };
    for host in hosts {
        match missing_at(host.way, login, rows, first, until, patience).await {
            Ok(0) => {}
            Ok(lacking) => drop(found.lacking.insert(host.name.clone(), lacking)),
            Err(refusal) => drop(found.unread.insert(host.name.clone(), refusal.to_string())),
        }
    }
    found
}

async fn missing_at(
    way: Way,
    login: &Login,
    rows: &HashSet<(i64, i64)>,
    first: i64,
    until: Instant,
    patience: Duration,
) -> Result<u64, Refusal> {
    loop {
        let read = async {
            let session = Session::open(way, login, patience).await?;
            within(patience, session.client.query(READ, &[&first])).await
        };
        let missing = read.await.map(|there| {
            // What can't be read as such a row is none.
            let row = |row: &Row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?));
            let there: HashSet<(i64, i64)> = there.iter().filter_map(row).collect();
            rows.difference(&there).count() as u64
        });
        if missing.as_ref().is_ok_and(|&missing| missing == 0) || Instant::now() >= until {
            return missing;
        }
        sleep(AGAIN).await;
    }
}
