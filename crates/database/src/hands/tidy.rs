//! What an earlier nines left, whenever its end came: finished or undone before the first report.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::SystemTime;

use nines_control::failover::{Failure, Term};

use super::body::Body;
use super::config::Part;
use super::effects::{clear_away, set_synchronous, stand_still};
use super::place::{self, Place};
use super::process::{self, Process};
use super::programs::Programs;
use super::servant::User;
use super::server::Stop;
use super::state::{Busy, State};
use super::{Refusal, effects, history, lock};

pub(super) async fn tidy(body: &Arc<Body>) -> Result<(), Refusal> {
    process::clear(&body.place.root, process::COPIERS).await?;
    process::clear(&body.place.making(), process::COPIERS).await?;
    clear_away(body).await?;
    if !has_data(body).await? {
        body.tell_gate();
        return Ok(());
    }
    body.control_file().await?;
    body.validate(&body.wanted().settings).await?;
    body.set_server(Process::server_of(&body.place.pgdata).map(Arc::new));
    body.tell_gate();
    settle_promotion(body).await?;
    spot_stray(body).await?;
    let state = body.state();
    if !state.counts() {
        return Ok(());
    }
    if body.server().is_some() {
        if let Err(failure) = take_over(body, &state).await {
            // It is what it is: the reports say so.
            body.note(format!("the PostgreSQL that runs: {}", failure.0)).await;
        }
    } else if let Err(failure) = find_end(body, &state).await {
        body.note(failure.0).await;
    }
    Ok(())
}

/// Whether there are data, and they are those that the state is of.
async fn has_data(body: &Arc<Body>) -> Result<bool, Refusal> {
    let state = body.state();
    let pgdata = body.place.pgdata.clone();
    let half = matches!(state.busy, Some(Busy::Copying | Busy::Rewinding | Busy::Recovering));
    if !body.files(|place| place::is_filled(&place.pgdata)).await? {
        let lost = state.id.is_some() && !half;
        // What was pledged went with the data.
        let empty = if lost { State::default() } else { State { id: None, busy: None, ..state } };
        body.change(|state| *state = empty).await?;
        if lost {
            body.note("its data are gone: it begins anew, as with a new disk").await;
        }
        return Ok(false);
    }
    let id = fs::read_to_string(Place::id(&pgdata)).ok();
    if state.busy == Some(Busy::Initialising) {
        // Nobody has seen it.
        body.files(|place| fs::rename(&place.pgdata, place.aside(SystemTime::now(), "not-finished"))).await?;
        body.change(|state| *state = State::default()).await?;
        return Ok(false);
    }
    if !half && (id.is_none() || id != state.id) {
        let what = if id.is_some() { "they belong to another state file" } else { "nines did not make them" };
        let how = "nothing of them is touched; nines adopt takes them over, nines reinit sets them aside for a copy";
        body.note(format!("{}: there are data, and {what}: {how}", pgdata.display())).await;
        body.is_of_others();
        return Ok(false);
    }
    check_version(&body.programs, &pgdata)?;
    check_owner(&body.user, &pgdata)?;
    Ok(true)
}

pub(super) fn check_version(programs: &Programs, pgdata: &std::path::Path) -> Result<(), Refusal> {
    let path = pgdata.join("PG_VERSION");
    let version = fs::read_to_string(&path).map_err(|error| Refusal::at(&path, error))?;
    let (found, wanted) = (version.trim(), programs.version.to_string());
    if found == wanted {
        return Ok(());
    }
    Err(Refusal::at(
        pgdata,
        format!("data of PostgreSQL {found}, where the programs are {wanted}'s (version, programs)"),
    ))
}

pub(super) fn check_owner(user: &User, pgdata: &std::path::Path) -> Result<(), Refusal> {
    let metadata = fs::symlink_metadata(pgdata).map_err(|error| Refusal::at(pgdata, error))?;
    if !metadata.is_dir() {
        return Err(Refusal::at(pgdata, "it is no directory"));
    }
    if metadata.uid() == user.uid {
        return Ok(());
    }
    let (user, uid) = (&user.name, metadata.uid());
    Err(Refusal::at(
        pgdata,
        format!("it belongs to user {uid}, not to {user}, whom PostgreSQL runs as (user = \"…\")"),
    ))
}

/// A promotion that was broken off has made a primary, or has not. It can go on as one only if PostgreSQL itself would.
pub(super) async fn settle_promotion(body: &Arc<Body>) -> Result<(), Failure> {
    let Some(Busy::Promoting { term }) = body.state().busy else { return Ok(()) };
    body.stop(Stop::AtOnce).await?;
    if is_promoted(body, term).await? {
        return effects::complete(body, term).await;
    }
    // Nobody can have had anything of it: its gate lets nobody through.
    let wal = body.place.wal();
    let signal = body.place.standby_signal();
    let undo = move || {
        place::put(&signal, "", None, true)?;
        let files = history::files(&wal)?;
        let of_it = files.into_iter().filter(|(file, _)| *file == term);
        of_it.into_iter().try_for_each(|(file, _)| history::put_away(&wal, file))
    };
    body.servant.files("the history", undo).await?;
    body.change(|state| state.busy = None).await?;
    Ok(())
}

async fn is_promoted(body: &Body, term: Term) -> Result<bool, Failure> {
    let wal = body.place.wal();
    let history = body.servant.files("the history", move || history::read(&wal, term)).await?;
    Ok(history.is_some() && body.control_file().await?.timeline == term)
}

/// Data that somebody promoted by hand never count again. PostgreSQL takes `standby.signal` away before the first write of a primary; who put it
/// back is found out by the timeline.
pub(super) async fn spot_stray(body: &Body) -> Result<(), Failure> {
    let state = body.state();
    if !state.counts() || state.serves.is_some() || state.busy.is_some() {
        return Ok(());
    }
    let mut stray = !body.place.standby_signal().exists();
    if !stray && body.server().is_none() {
        let timeline = body.control_file().await?.timeline;
        stray = !state.history.iter().any(|branch| branch.term == timeline);
    }
    if stray {
        body.change(|state| (state.stray, state.end) = (true, None)).await?;
        body.note("somebody made it a primary by hand: what it has does not count any more").await;
    }
    Ok(())
}

/// A server that an earlier nines started goes on as what the state says that it is.
async fn take_over(body: &Arc<Body>, state: &State) -> Result<(), Failure> {
    let session = body.session().await?;
    let standby = session.one("SELECT pg_is_in_recovery()").await?.as_deref() == Some("t");
    drop(session);
    match (standby, state.serves, state.attached) {
        (false, Some(_), _) => {
            let session = body.set(&Part::Primary { cohort: state.cohort.clone() }).await?;
            drop(session);
            match &state.cohort {
                Some(cohort) => set_synchronous(body, cohort).await,
                None => Ok(()),
            }
        }
        (true, None, true) => {
            let (wal, branches) = (body.place.wal(), state.history.clone());
            body.servant.files("the history", move || history::establish(&wal, &branches)).await?;
            body.set_passfile(true).await?;
            body.set(&body.part()).await.map(drop)
        }
        (true, None, false) if state.end.is_none() => {
            let session = stand_still(body).await?;
            let end = body.end(&session).await?;
            let end = history::position(&state.history, end);
            body.change(|state| state.end = end).await.map(drop)
        }
        // By somebody's hand, or on the way to be no primary any more.
        _ => Ok(()),
    }
}

/// Where the data of a server end that doesn't run: exactly, if nothing could be asked about it before.
async fn find_end(body: &Arc<Body>, state: &State) -> Result<(), Failure> {
    if state.serves.is_none() && state.source.is_none() && state.end.is_none() {
        let session = stand_still(body).await?;
        let end = history::position(&state.history, body.end(&session).await?);
        return body.change(|state| state.end = end).await.map(drop);
    }
    // It goes that far at least; who needs to know exactly has it started first.
    let control = body.control_file().await?;
    lock(&body.memory).last = history::position(&state.history, control.at_least);
    Ok(())
}
