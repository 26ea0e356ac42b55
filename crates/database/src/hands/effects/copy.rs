//! A copy of the primary: made under another name, and the data only once it is whole.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nines_control::failover::{Disk, Failure, Term};

use crate::hands::body::{Body, NoCopy};
use crate::hands::config;
use crate::hands::place::{self, Place};
use crate::hands::process::Program;
use crate::hands::{fail, history, lock};

use super::initialise::{clear_away, prepare};

/// Between two words of progress.
const SAYS_EVERY: Duration = Duration::from_secs(10);
/// A copy that has not grown for so long has lost its source.
const GROWS_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn copy(body: &Arc<Body>, at: SocketAddr, term: Term, id: &str) -> Result<(), Failure> {
    let before = lock(&body.memory).no_copy.clone();
    if let Some(failed) = before.filter(|failed| failed.term == term && failed.waits()) {
        return Err(failed.why);
    }
    prepare(body).await?;
    let copied = fetch(body, at, term).await;
    if let Err(failure) = copied {
        // The program takes away what it has made when it fails, and can't write down why if there was no space left.
        let failure = match body.probe.look() {
            Disk::Full => fail(format!("the disk is full: a copy does not fit ({})", failure.0)),
            Disk::Well | Disk::Stalled => failure,
        };
        clear_away(body).await?;
        let mut memory = lock(&body.memory);
        let times = memory.no_copy.as_ref().map_or(0, |before| before.times) + 1;
        memory.no_copy = Some(NoCopy { term, why: failure.clone(), at: Instant::now(), times });
        return Err(failure);
    }
    lock(&body.memory).no_copy = None;
    install(body, id, Some("replaced-by-a-copy")).await
}

async fn fetch(body: &Arc<Body>, at: SocketAddr, term: Term) -> Result<(), Failure> {
    let making = body.place.making();
    let mut command = body.programs.command("pg_basebackup");
    // It must not be called like the host: a copy confirms nothing.
    command.arg("-d").arg(config::conninfo(&body.settings, &body.place, at, term, "nines: a copy"));
    command.arg("-D").arg(&making).args(["-X", "stream", "--checkpoint=fast", "--no-password"]);
    command.current_dir(&body.place.root);
    let said = body.place.logs().join("pg_basebackup.log");
    let run = Program::run(&body.servant, command, &said);
    tokio::pin!(run);
    let (mut size, mut grew, mut told) = (0, tokio::time::Instant::now(), tokio::time::Instant::now());
    loop {
        tokio::select! {
            done = &mut run => return done.map(drop),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let now = body.files(|place| Ok(place::size(&place.making(), 0))).await?;
        if now != size {
            (size, grew) = (now, tokio::time::Instant::now());
        } else if grew.elapsed() > GROWS_WITHIN {
            return Err(fail(format!("no more of the copy has come for {} s", GROWS_WITHIN.as_secs())));
        }
        let progress = format!("copying: {} MiB so far", size >> 20);
        body.at(progress.clone());
        if told.elapsed() > SAYS_EVERY {
            told = tokio::time::Instant::now();
            body.note(progress).await;
        }
    }
}

/// What was made becomes the data. What was there is set aside.
pub(in crate::hands) async fn install(
    body: &Arc<Body>,
    id: &str,
    why: Option<&'static str>,
) -> Result<(), Failure> {
    let (making, id) = (body.place.making(), id.to_owned());
    body.servant
        .files("the copy", move || {
            place::put(&Place::id(&making), &id, None, true)?;
            history::sync(&making)
        })
        .await?;
    let why = why.unwrap_or("in-the-way");
    let aside = body
        .files(move |place| {
            let mut aside = None;
            if place.pgdata.try_exists()? {
                let path = place.aside(SystemTime::now(), why);
                fs::rename(&place.pgdata, &path)?;
                aside = Some(path);
            }
            fs::rename(place.making(), &place.pgdata)?;
            history::sync(&place.root)?;
            Ok(aside)
        })
        .await?;
    if let Some(path) = aside {
        body.note(format!("set aside what was there: {}", path.display())).await;
    }
    Ok(())
}
