//! Makes this host's data a part of the primary's history again: rewound, if only the end of them is in the way; else copied anew.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::failover::{Failure, Host, Origin, Term};
use nines_control::gate::{Ancestry, Branch};

use crate::hands::body::Body;
use crate::hands::config::{self, Part};
use crate::hands::place::{self, Place};
use crate::hands::process::{Process, Program};
use crate::hands::server::Stop;
use crate::hands::state::{Busy, new_id};
use crate::hands::{ask, fail, history, lock};

use super::{attach, copy, quiet};

/// How long the primary may take to say that it is one.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to write its new timeline down, which pg_rewind goes by.
const CHECKPOINT_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn rejoin(body: &Arc<Body>, primary: &Host, term: Term) -> Result<(), Failure> {
    let (at, ancestry) = source(body, primary, term).await?;
    let branches = ancestry.branches.unwrap_or_default();
    let own_system = lock(&body.memory).system.clone();
    if body.state().counts() && own_system.as_ref() != Some(&ancestry.system) {
        return Err(fail(format!(
            "{primary} is another database ({}) than the data here ({}): nothing was changed; move {} away if they are not wanted",
            ancestry.system,
            own_system.unwrap_or_default(),
            body.place.pgdata.display()
        )));
    }
    if body.state().origin == Origin::Foreign && Process::server_of(&body.place.pgdata).is_some() {
        return Err(fail(
            "somebody else's PostgreSQL runs with the data here: shut it down, and they are set aside",
        ));
    }
    let lacks_log = lock(&body.memory).lacks_log;
    let quieted = quiet(body, term).await;
    let state = body.change(|state| state.source = Some((primary.clone(), term))).await?;
    if let (Ok(()), true, Some(end)) = (&quieted, state.counts() && !lacks_log, state.end) {
        if history::is_part(&state.history, end.lsn, &branches) {
            attach::forget(body);
            return attach::go_by(
                body,
                attach::Asked::Source { at, ancestry: Ancestry { branches: Some(branches), ..ancestry } },
            )
            .await;
        }
        body.at("rewinding");
        match rewind(body, at, term, &branches).await {
            Ok(()) => return catch_up(body, at, term).await,
            Err(failure) => body.note(format!("it can't be rewound, and is copied: {}", failure.0)).await,
        }
    }
    body.at("copying");
    body.stop(Stop::AtOnce).await?;
    body.change(|state| {
        state.busy = Some(Busy::Copying);
        (state.end, state.attached) = (None, false);
    })
    .await?;
    body.set_passfile(true).await?;
    let id = new_id().map_err(fail)?;
    copy::copy(body, at, term, &id).await?;
    body.change(|state| {
        state.id = Some(id);
        (state.history, state.attached) = (branches, true);
        (state.busy, state.stray) = (Some(Busy::Recovering), false);
    })
    .await?;
    lock(&body.memory).system = Some(ancestry.system);
    catch_up(body, at, term).await
}

/// The primary of that term, once it says that it is.
async fn source(body: &Body, primary: &Host, term: Term) -> Result<(SocketAddr, Ancestry), Failure> {
    let begin = Instant::now();
    let mut why = "where its gate is, is not known".to_owned();
    while begin.elapsed() < ANSWERS_WITHIN {
        if let Some(at) = body.settings.peers.get(primary) {
            match ask::ancestry(at, term, Duration::from_secs(2)).await {
                Ok(ancestry) if ancestry.branches.is_some() => return Ok((at, ancestry)),
                Ok(_) => "it does not serve yet".clone_into(&mut why),
                Err(error) => why = error,
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(fail(format!("{primary} as the primary of {term}: {why}")))
}

/// Takes back what the primary does not have. If that is broken off, the data are of no use to anybody.
async fn rewind(body: &Arc<Body>, at: SocketAddr, term: Term, branches: &[Branch]) -> Result<(), Failure> {
    body.stop(Stop::Clean(Duration::from_secs(60))).await?;
    let control = body.control_file().await?;
    if !control.is_shut_down() {
        return Err(fail(format!("its data are {}", control.state)));
    }
    body.set_passfile(true).await?;
    let newest = branches.last().map_or(1, |branch| branch.term);
    source_has_checkpoint(body, at, term, newest).await?;
    body.change(|state| {
        state.busy = Some(Busy::Rewinding);
        (state.end, state.attached) = (None, false);
    })
    .await?;
    let conninfo = config::conninfo(&body.settings, &body.place, at, term, "nines: rewinds");
    let mut command = body.programs.command("pg_rewind");
    command.arg("--target-pgdata").arg(&body.place.pgdata).arg("--source-server").arg(conninfo);
    command.args(["--no-ensure-shutdown", "--progress"]).current_dir(&body.place.root);
    Program::run(&body.servant, command, &body.place.logs().join("pg_rewind.log")).await?;
    let id = body.state().id.unwrap_or_default();
    let path = Place::id(&body.place.pgdata);
    body.servant.files("the data's id", move || place::put(&path, &id, None, true)).await?;
    body.change(|state| {
        (state.history, state.attached) = (branches.to_vec(), true);
        state.busy = Some(Busy::Recovering);
    })
    .await?;
    Ok(())
}

/// Before, pg_rewind would not see that there is a new timeline.
async fn source_has_checkpoint(
    body: &Body,
    at: SocketAddr,
    term: Term,
    timeline: Term,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let said = body.place.logs().join("psql.log");
    loop {
        let mut command = body.programs.command("psql");
        command.args(["-XAtq", "-d"]).arg(config::conninfo(
            &body.settings,
            &body.place,
            at,
            term,
            "nines: asks",
        ));
        command.args(["-c", "SELECT timeline_id FROM pg_control_checkpoint()"]).current_dir(&body.place.root);
        let text = Program::run(&body.servant, command, &said).await?;
        if text.trim().parse::<Term>().is_ok_and(|found| found >= timeline) {
            return Ok(());
        }
        if begin.elapsed() > CHECKPOINT_WITHIN {
            return Err(fail("the primary has made no checkpoint since its promotion"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The data count once PostgreSQL lets anybody in: then it has all that was written while they were copied.
async fn catch_up(body: &Arc<Body>, at: SocketAddr, term: Term) -> Result<(), Failure> {
    body.at("catching up");
    let started = body.start(Part::Standby { source: Some(at), term }).await;
    if let Err(failure) = started {
        body.stop(Stop::AtOnce).await?;
        return Err(failure);
    }
    attach::forget(body);
    body.change(|state| state.busy = None).await?;
    Ok(())
}
