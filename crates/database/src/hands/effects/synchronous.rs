//! The rule that every commit waits for. It is in force when nothing in PostgreSQL goes by an earlier one any more, which PostgreSQL does not say:
//! it is proven by what it does.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::failover::{Cohort, Failure, Origin};

use crate::hands::body::Body;
use crate::hands::config::{self, Part};
use crate::hands::server::SOON;
use crate::hands::sql::{self, Session};
use crate::hands::{fail, history, lock};

/// A connection to a standby that has not proven itself by then is ended; the standby makes another one at once.
const PROVES_WITHIN: Duration = Duration::from_millis(200);
const WAITS_WITHIN: Duration = Duration::from_secs(10);
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Makes the server go by it, and returns when no commit can be acknowledged by an earlier one.
pub(in crate::hands) async fn set_synchronous(body: &Arc<Body>, cohort: &Cohort) -> Result<(), Failure> {
    let mut change = pin!(change_to(body, cohort));
    // In between the server goes by the one before or by this one, and neither is proven. Who saw just that would shut the gate on everybody
    // though commits are safe by both, so nobody looks until it is over, if that is soon: a report may be as old as a lease lasts, and of that
    // one look may take two thirds, and the next one begins a heartbeat later.
    let unseen = body.look.lock().await;
    let lease = body.settings.lease;
    let hold = (lease / 3).saturating_sub(body.settings.heartbeat).min(lease / 5);
    let changed = tokio::time::timeout(hold, &mut change).await;
    drop(unseen);
    match changed {
        Ok(changed) => changed,
        Err(_) => change.await,
    }
}

async fn change_to(body: &Arc<Body>, cohort: &Cohort) -> Result<(), Failure> {
    let session = body.session().await?;
    let before =
        session.one("SELECT current_setting('synchronous_standby_names')").await?.unwrap_or_default();
    drop(session);
    let names = config::names(Some(cohort), &body.settings.me);
    let nobody = config::names(None, &body.settings.me);
    if (before.is_empty() || before == nobody) && !names.is_empty() {
        // Nobody waits so far, and whether they do is told by a process that may be busy: with a checkpoint, for example, and then
        // an earlier try has changed the setting and proven nothing.
        let session = body.set(&Part::Primary { cohort: None }).await?;
        prove_that_it_waits(body, &session).await?;
    }
    body.change(|state| (state.cohort, state.origin) = (Some(cohort.clone()), Origin::Ruled)).await?;
    let session = body.set(&Part::Primary { cohort: Some(cohort.clone()) }).await?;
    let shows = session.one("SELECT current_setting('synchronous_standby_names')").await?;
    if shows.as_deref() != Some(&names) {
        return Err(fail(format!("PostgreSQL goes by {shows:?} instead of {names:?}: who set that?")));
    }
    prove_standbys(body, &session).await?;
    lock(&body.memory).proven = Some(cohort.clone());
    body.note_change();
    Ok(())
}

/// Each connection to a standby goes by what was set when its process has begun a round after the server had told it. What is written now
/// is sent in one round, and its confirmation is read in a later one.
async fn prove_standbys(body: &Body, session: &Session) -> Result<(), Failure> {
    let hosts: Vec<String> = body.settings.hosts.iter().map(|host| sql::string(host.name())).collect();
    let among = format!("state = 'streaming' AND application_name IN ({})", hosts.join(", "));
    let rows = session.rows(&format!("SELECT pid FROM pg_stat_replication WHERE {among}")).await?;
    let pids: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    if pids.is_empty() {
        return Ok(());
    }
    let written = session.one("SELECT pg_logical_emit_message(true, 'nines', '')").await?;
    let written =
        written.as_deref().and_then(history::parse_lsn).ok_or_else(|| fail("where does the log end?"))?;
    let written = sql::string(&history::show_lsn(written));
    let begin = Instant::now();
    let pids = pids.join(", ");
    loop {
        let left = format!(
            "SELECT pid FROM pg_stat_replication WHERE pid IN ({pids}) AND {among} AND coalesce(flush_lsn < {written}, true)"
        );
        if session.rows(&left).await?.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > ENDS_WITHIN {
            return Err(fail("connections to standbys can't be ended"));
        }
        if begin.elapsed() > PROVES_WITHIN {
            session.run(&format!("SELECT pg_terminate_backend(pid) FROM ({left}) AS late")).await?;
        }
        tokio::time::sleep(SOON).await;
    }
}

/// Under a rule that nobody can fulfil a commit waits, if commits wait at all. To be called under that rule, of which PostgreSQL's own process
/// for it may not have heard yet.
pub(super) async fn prove_that_it_waits(body: &Body, session: &Session) -> Result<(), Failure> {
    let begin = Instant::now();
    while begin.elapsed() < WAITS_WITHIN {
        let trial = body.session().await?.within(WAITS_WITHIN);
        let pid = trial.one("SELECT pg_backend_pid()").await?.unwrap_or_default();
        let mut commit = tokio::spawn(async move {
            trial.run("SET synchronous_commit = on").await?;
            trial.run("SELECT pg_logical_emit_message(true, 'nines', '')").await
        });
        let waits = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'SyncRep'");
        while begin.elapsed() < WAITS_WITHIN {
            if session.one(&waits).await?.is_some() {
                session.run(&format!("SELECT pg_terminate_backend({pid})")).await?;
                return Ok(());
            }
            if tokio::time::timeout(SOON, &mut commit).await.is_ok() {
                break;
            }
        }
    }
    Err(fail("PostgreSQL acknowledges commits that nobody confirms"))
}
