//! From any state to a standby that streams from nobody, whose end is known exactly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::failover::{Failure, Origin, Position, Term};
use rustix::process::Signal;

use crate::hands::body::Body;
use crate::hands::config::Part;
use crate::hands::process::{self, Process};
use crate::hands::server::{SOON, Stop};
use crate::hands::sql::Session;
use crate::hands::{fail, history, tidy, users};

/// A standby that has not ceased to stream by then is killed.
const PATIENCE: Duration = Duration::from_secs(2);

const NOBODY: Part = Part::Standby { source: None, term: 0 };

/// Records the term, then ceases to be a primary, or to stream. When it ends, nothing is confirmed to anybody of a lower term any more,
/// and the end is known.
pub(in crate::hands) async fn quiet(body: &Arc<Body>, term: Term) -> Result<(), Failure> {
    let before = body
        .change(|state| {
            state.pledged = term;
            state.origin = Origin::Ruled;
        })
        .await?;
    body.door.close_replication();
    body.forget_proof();
    if !before.counts() {
        return cease(body).await;
    }
    let still = before.end.is_some() && before.source.is_none() && before.serves.is_none();
    if still && body.server().is_some() {
        return Ok(());
    }
    let session = stand_still(body).await?;
    let end = body.end(&session).await?;
    users::drop_slots(&session).await?;
    settle(body, end).await
}

/// A server that follows nobody: the one that runs, if it can be made so; else it is started so.
pub(in crate::hands) async fn stand_still(body: &Arc<Body>) -> Result<Session, Failure> {
    // What connects from now on has no password to show.
    body.set_passfile(false).await?;
    let state = body.state();
    let standby =
        state.serves.is_none() && !matches!(state.busy, Some(crate::hands::state::Busy::Promoting { .. }));
    if standby && let Some(server) = body.server() {
        match tokio::time::timeout(PATIENCE, cut_off(body, &server)).await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(failure)) => tracing::info!(why = failure.0, "a standby is killed, to end its streaming"),
            Err(_) => tracing::info!("a standby is killed, to end its streaming"),
        }
    }
    // What a primary would write when it shuts down would be of no use, and in its way.
    body.stop(Stop::AtOnce).await?;
    if standby {
        tidy::spot_stray(body).await?;
        if !body.state().counts() {
            return Err(fail("somebody made it a primary by hand"));
        }
    }
    body.start(NOBODY).await
}

/// Ends the streaming of a standby that goes on running.
async fn cut_off(body: &Body, server: &Process) -> Result<Session, Failure> {
    let session = body.set(&NOBODY).await?;
    if session.one("SELECT pg_is_in_recovery()").await?.as_deref() != Some("t") {
        return Err(fail("it is a primary"));
    }
    loop {
        let receivers =
            session.rows("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'").await?;
        if receivers.is_empty() {
            return Ok(session);
        }
        for row in receivers {
            let pid = row.into_iter().next().flatten().and_then(|pid| pid.parse().ok());
            if let Some(receiver) = pid.and_then(|pid| Process::child_of(server, pid)) {
                receiver.signal(Signal::TERM);
            }
        }
        tokio::time::sleep(SOON).await;
    }
}

async fn settle(body: &Body, end: u64) -> Result<(), Failure> {
    let state = body.state();
    let position: Option<Position> = history::position(&state.history, end);
    body.change(|state| {
        (state.serves, state.source, state.cohort) = (None, None, None);
        state.attached = false;
        state.end = position;
    })
    .await?;
    Ok(())
}

/// Nothing in there counts: it is stopped, and stays so.
async fn cease(body: &Body) -> Result<(), Failure> {
    body.set_passfile(false).await?;
    let begin = Instant::now();
    body.stop(Stop::AtOnce).await?;
    process::clear(&body.place.root, process::COPIERS).await?;
    tracing::debug!(after = ?begin.elapsed(), "what does not count is stopped");
    body.change(|state| {
        (state.serves, state.source, state.cohort, state.end) = (None, None, None, None);
        state.attached = false;
    })
    .await?;
    Ok(())
}
