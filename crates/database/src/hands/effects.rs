//! What `control::failover` asks for, done to PostgreSQL. Each can be broken off at any step by the end of the process: then what is in the
//! state file says what has to be finished or undone.

pub(super) mod attach;
mod copy;
mod initialise;
mod promote;
mod quiet;
mod rejoin;
mod synchronous;

use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::failover::{Disk, Effect, Failure, Origin, Term};

use super::body::Body;
use super::{fail, lock};
use super::{tidy, users};

pub(super) use copy::install;
pub(super) use initialise::clear_away;
pub(super) use promote::complete;
pub(super) use quiet::{quiet, stand_still};
pub(super) use synchronous::set_synchronous;

/// A checkpoint that takes longer is not waited for.
const CHECKPOINT: Duration = Duration::from_millis(500);
/// One that began less than this ago is enough: clients wait for the second measure of a switchover, not for the first.
const CHECKPOINT_AGAIN: Duration = Duration::from_secs(15);

pub(super) async fn carry_out(body: &Arc<Body>, effect: &Effect) -> Result<(), Failure> {
    body.at(effect.word());
    tidy::settle_promotion(body).await?;
    tidy::spot_stray(body).await?;
    if body.state().origin == Origin::Foreign && !matches!(effect, Effect::Rejoin { .. } | Effect::Measure) {
        return Err(fail("somebody else put the data there: they are not touched"));
    }
    match effect {
        Effect::Initialise => initialise::initialise(body).await,
        Effect::Pledge { term } => pledge(body, *term).await,
        Effect::Follow { primary, term } => {
            accept(body, *term)?;
            attach::follow(body, primary, *term).await
        }
        Effect::Rejoin { primary, term, afresh } => {
            accept(body, *term)?;
            rejoin::rejoin(body, primary, *term, *afresh).await
        }
        Effect::Promote { term, cohort } => {
            accept(body, *term)?;
            if body.probe.look() == Disk::Full {
                return Err(fail("no space is left on the disk"));
            }
            promote::promote(body, *term, cohort).await?;
            tokio::spawn(users::after_promotion(body.clone()));
            Ok(())
        }
        Effect::Continue { term, cohort } => {
            accept(body, *term)?;
            let state = body.state();
            if state.serves.is_none() || body.server().is_none() {
                return Err(fail("it is no running primary"));
            }
            body.change(|state| {
                (state.pledged, state.origin) = (*term, Origin::Ruled);
                state.serves = Some(*term);
            })
            .await?;
            // Standbys return and say which term they follow.
            body.door.close_replication();
            set_synchronous(body, cohort).await
        }
        Effect::SetSynchronous { term, cohort } => {
            if body.state().serves != Some(*term) {
                return Err(fail(format!("it is not the primary of {term}")));
            }
            set_synchronous(body, cohort).await?;
            tokio::spawn(users::after_promotion(body.clone()));
            Ok(())
        }
        Effect::Measure => measure(body).await,
    }
}

fn accept(body: &Body, term: Term) -> Result<(), Failure> {
    let pledged = body.state().pledged;
    if term < pledged { Err(fail(format!("pledged to {pledged}"))) } else { Ok(()) }
}

async fn pledge(body: &Arc<Body>, term: Term) -> Result<(), Failure> {
    accept(body, term)?;
    quiet(body, term).await
}

/// Everything that is written now is flushed; what a stop would have to flush is, if that is quick.
async fn measure(body: &Body) -> Result<(), Failure> {
    if body.state().serves.is_none() {
        return Ok(());
    }
    let now = Instant::now();
    let latest = lock(&body.memory).checkpoint;
    if latest.is_none_or(|latest| now.duration_since(latest) > CHECKPOINT_AGAIN) {
        lock(&body.memory).checkpoint = Some(now);
        let checkpoint = body.session().await?.within(Duration::from_secs(60));
        let checkpoint = tokio::spawn(async move { checkpoint.run("CHECKPOINT").await });
        if let Ok(Ok(Err(trouble))) = tokio::time::timeout(CHECKPOINT, checkpoint).await {
            return Err(trouble.into());
        }
    }
    // A commit flushes all that was written before it.
    body.session().await?.run("SELECT pg_logical_emit_message(true, 'nines', '')").await?;
    Ok(())
}
