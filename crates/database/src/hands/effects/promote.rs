//! A standby becomes the primary of a term, on the timeline of that number.

use std::sync::Arc;
use std::time::Duration;

use nines_control::failover::{Cohort, Failure, Origin, Term};

use crate::hands::body::Body;
use crate::hands::config::Part;
use crate::hands::server::{SOON, Stop};
use crate::hands::sql::Session;
use crate::hands::state::Busy;
use crate::hands::{fail, history, lock, users};

use super::synchronous::{prove_that_it_waits, set_synchronous};
use super::{quiet, stand_still};

/// While it is promoted: nothing is acknowledged.
const WAITING: Part = Part::Primary { cohort: None };
const PROMOTED_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn promote(body: &Arc<Body>, term: Term, cohort: &Cohort) -> Result<(), Failure> {
    let state = body.state();
    if !state.counts() {
        return Err(fail("it has no data that count"));
    }
    if state.serves == Some(term) {
        return go_on(body, term, cohort).await;
    }
    quiet(body, term).await?;
    let session = with_its_own_history(body).await?;
    let before = body.state().history;
    let last = before.last().map_or(1, |branch| branch.term);
    if term <= last {
        return Err(fail(format!("its history has the term {last} already")));
    }
    body.change(|state| {
        state.busy = Some(Busy::Promoting { term });
        state.end = None;
    })
    .await?;
    // Standbys return as soon as it is promoted; meanwhile.
    let slots = tokio::spawn(make_slots(body.clone()));
    let wal = body.place.wal();
    body.servant.files("the history", move || history::fill(&wal, last + 1, term)).await?;
    session.run("SELECT pg_promote(false)").await?;
    wait_until_promoted(body, &session, term).await?;
    if let Err(failure) = slots.await.unwrap_or_else(|error| Err(fail(error))) {
        tracing::info!(why = failure.0, "slots for standbys are made later");
    }
    complete(body, term).await?;
    go_by(body, &session, cohort).await
}

async fn make_slots(body: Arc<Body>) -> Result<(), Failure> {
    let session = body.session().await?;
    users::make_slots(&body, &session).await
}

/// A server whose newest timeline is that of its data: else the new one would be made a child of one that it has nothing of.
async fn with_its_own_history(body: &Arc<Body>) -> Result<Session, Failure> {
    let state = body.state();
    let end = state.end.ok_or_else(|| fail("its end is not known"))?;
    let own = history::up_to(&state.history, end.lsn).to_vec();
    if own == state.history {
        return if body.server().is_some() { Ok(body.session().await?) } else { stand_still(body).await };
    }
    body.stop(Stop::Clean(Duration::from_secs(2))).await?;
    body.change(|state| state.history = own).await?;
    stand_still(body).await
}

async fn wait_until_promoted(body: &Body, session: &Session, term: Term) -> Result<(), Failure> {
    let begin = tokio::time::Instant::now();
    loop {
        let query = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE \
                     substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END";
        if let Some(timeline) = session.one(query).await? {
            if Term::from_str_radix(&timeline, 16).ok() == Some(term) {
                return Ok(());
            }
            body.stop(Stop::AtOnce).await?;
            body.change(|state| (state.busy, state.stray) = (None, true)).await?;
            return Err(fail(format!("the promotion for {term} made the timeline {timeline}")));
        }
        if begin.elapsed() > PROMOTED_WITHIN {
            return Err(fail("PostgreSQL does not end its recovery"));
        }
        tokio::time::sleep(SOON).await;
    }
}

/// It is on the timeline of that term: says so durably.
pub(in crate::hands) async fn complete(body: &Body, term: Term) -> Result<(), Failure> {
    let wal = body.place.wal();
    let found = body.servant.files("the history", move || history::read(&wal, term)).await?;
    let found = found.ok_or_else(|| fail(format!("the timeline {term} has no history")))?;
    body.change(|state| {
        (state.serves, state.source, state.busy) = (Some(term), None, None);
        (state.attached, state.end) = (false, None);
        state.history = found;
    })
    .await?;
    Ok(())
}

/// It was the primary of this term, and may have stopped meanwhile.
async fn go_on(body: &Arc<Body>, term: Term, cohort: &Cohort) -> Result<(), Failure> {
    body.change(|state| (state.pledged, state.origin) = (term, Origin::Ruled)).await?;
    if body.server().is_none() {
        let control = body.control_file().await?;
        let last = body.state().history.last().map_or(1, |branch| branch.term);
        if control.timeline != last {
            return Err(fail(format!("its data are of the timeline {}, not of {last}", control.timeline)));
        }
        body.start(WAITING).await?;
    }
    let session = body.session().await?;
    if session.one("SELECT pg_is_in_recovery()").await?.as_deref() != Some("f") {
        return Err(fail("it runs as a standby, though it is the primary of this term"));
    }
    let session = body.set(&WAITING).await?;
    go_by(body, &session, cohort).await
}

/// So far it goes by a rule that nobody can fulfil, as every standby does.
async fn go_by(body: &Arc<Body>, session: &Session, cohort: &Cohort) -> Result<(), Failure> {
    prove_that_it_waits(body, session).await?;
    lock(&body.memory).proven = None;
    set_synchronous(body, cohort).await
}
