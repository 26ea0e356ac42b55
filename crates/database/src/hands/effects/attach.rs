//! A standby begins to stream from the primary of a term, once that has said what its history is, and the standby's own is a part of
//! it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::failover::{Failure, Host, Lsn, Term};
use nines_control::gate::{Ancestry, Branch};

use crate::hands::body::Body;
use crate::hands::config::Part;
use crate::hands::server::Stop;
use crate::hands::state::State;
use crate::hands::{ask, fail, history, lock};

use super::{quiet, stand_still};

/// How long an effect tries before it leaves it to what happens between effects.
const AT_FIRST: Duration = Duration::from_millis(400);
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
/// A standby that does not stream for so long looks why.
const FED_WITHIN: Duration = Duration::from_millis(500);
/// One that does not know why after this does again all that it takes: something of it may have failed. Then more and more rarely.
const AGAIN_AFTER: Duration = Duration::from_secs(3);
const AGAIN_AT_LAST: Duration = Duration::from_secs(60);

/// What was learnt without changing anything.
pub(in crate::hands) enum Asked {
    Source {
        at: SocketAddr,
        ancestry: Ancestry,
    },
    /// It may stream and doesn't.
    Unfed(String),
    /// The source's gate is elsewhere.
    Moved,
    /// It may stream and doesn't, and nothing says why.
    Silent,
}

/// What it takes to stream was done again.
#[derive(Debug, Clone, Copy)]
pub(in crate::hands) struct Repeated {
    at: Instant,
    /// In a row.
    times: u32,
}

impl Repeated {
    /// With this time.
    fn next(before: Option<Self>, at: Instant) -> Self {
        Self { at, times: before.map_or(0, |before| before.times).saturating_add(1) }
    }

    fn is_due(before: Option<Self>, now: Instant) -> bool {
        before.is_none_or(|before| {
            let wait = AGAIN_AFTER * 2_u32.saturating_pow(before.times.min(6));
            now.duration_since(before.at) >= wait.min(AGAIN_AT_LAST)
        })
    }
}

/// Records the term and the source. It streams as soon as it can; if not at once, then later.
pub(super) async fn follow(body: &Arc<Body>, primary: &Host, term: Term) -> Result<(), Failure> {
    let state = body.state();
    let source = Some((primary.clone(), term));
    let runs = body.server().is_some() && state.serves.is_none();
    if state.source == source && state.pledged == term && runs {
        return Ok(());
    }
    quiet(body, term).await?;
    if !body.state().counts() {
        return Err(fail("it has no data that count: it must be made a copy"));
    }
    forget(body);
    body.change(|state| state.source = source).await?;
    let begin = Instant::now();
    while begin.elapsed() < AT_FIRST && !body.state().attached && !lock(&body.memory).diverged {
        match ask_source(body).await {
            Some(asked) => go_by(body, asked).await?,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    Ok(())
}

pub(super) fn forget(body: &Body) {
    let mut memory = lock(&body.memory);
    memory.diverged = false;
    memory.lacks_log = false;
    memory.repeated = None;
}

/// Between effects: what there is to be done about the source, whenever there is something. Can be broken off at any moment.
pub(in crate::hands) async fn wait_and_ask(body: &Body, every: Duration) -> Asked {
    let mut unfed: Option<(Instant, u64)> = None;
    let mut streams_from = None;
    loop {
        tokio::time::sleep(every).await;
        let state = body.state();
        let Some((host, _)) = state.source.clone() else { continue };
        if !state.counts() || lock(&body.memory).diverged || body.server().is_none() || state.serves.is_some()
        {
            continue;
        }
        if !state.attached {
            if let Some(asked) = ask_source(body).await {
                return asked;
            }
            continue;
        }
        let at = body.settings.peers.get(&host);
        if streams_from.is_some() && at.is_some() && streams_from != at {
            return Asked::Moved;
        }
        streams_from = at;
        if is_fed(body) {
            unfed = None;
            continue;
        }
        match unfed {
            None => unfed = Some((Instant::now(), body.log_end().await.saturating_sub(4096))),
            Some((since, from)) if since.elapsed() > FED_WITHIN => {
                if let Some(why) = body.why_not_fed(from).await {
                    return Asked::Unfed(why);
                }
                let before = lock(&body.memory).repeated;
                if since.elapsed() >= AGAIN_AFTER && Repeated::is_due(before, Instant::now()) {
                    return Asked::Silent;
                }
            }
            Some(_) => {}
        }
    }
}

fn is_fed(body: &Body) -> bool {
    let mut memory = lock(&body.memory);
    if memory.streams {
        memory.repeated = None;
    }
    memory.streams
}

async fn ask_source(body: &Body) -> Option<Asked> {
    let (host, term) = body.state().source?;
    let at = body.settings.peers.get(&host)?;
    match ask::ancestry(at, term, ANSWERS_WITHIN).await {
        Ok(ancestry) if ancestry.branches.is_some() => Some(Asked::Source { at, ancestry }),
        Ok(_) => None,
        Err(why) => {
            tracing::debug!(%host, why, "the primary's gate doesn't say its history");
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}

pub(in crate::hands) async fn go_by(body: &Arc<Body>, asked: Asked) -> Result<(), Failure> {
    match asked {
        Asked::Unfed(why) => {
            {
                let mut memory = lock(&body.memory);
                (memory.diverged, memory.lacks_log) = (true, true);
            }
            body.note(format!("it can't stream: {why}")).await;
            body.note_change();
            Ok(())
        }
        Asked::Moved => body.set(&body.part()).await.map(drop),
        Asked::Silent => {
            {
                let mut memory = lock(&body.memory);
                memory.repeated = Some(Repeated::next(memory.repeated, Instant::now()));
            }
            connect(body, body.state().history, &body.part()).await
        }
        Asked::Source { at, ancestry } => attach(body, at, ancestry).await,
    }
}

/// All that a server that runs needs to stream. May be done again.
async fn connect(body: &Body, branches: Vec<Branch>, part: &Part) -> Result<(), Failure> {
    let wal = body.place.wal();
    body.servant.files("the history", move || history::establish(&wal, &branches)).await?;
    body.set_passfile(true).await?;
    body.set(part).await.map(drop)
}

/// Whether another one's history can be this one's, and what it takes.
#[derive(Debug, PartialEq, Eq)]
enum Fits {
    /// It streams on.
    Yes,
    /// PostgreSQL must forget what it has taken for its history, or what it has of a record that nobody has whole.
    AfterRestart,
    No,
}

/// `received` is what was flushed, `read` the end of the last whole record.
fn fits(own: &[Branch], received: Lsn, read: Lsn, theirs: &[Branch]) -> Fits {
    let grows = theirs.len() >= own.len() && own == &theirs[..own.len()];
    if history::is_part(own, received, theirs) {
        if grows { Fits::Yes } else { Fits::AfterRestart }
    } else if history::is_part(own, read, theirs) {
        Fits::AfterRestart
    } else {
        Fits::No
    }
}

async fn attach(body: &Arc<Body>, at: SocketAddr, ancestry: Ancestry) -> Result<(), Failure> {
    let state = body.state();
    let (Some(branches), Some((host, term))) = (ancestry.branches, state.source.clone()) else {
        return Ok(());
    };
    let own_system = lock(&body.memory).system.clone();
    if own_system.as_ref() != Some(&ancestry.system) {
        let own = own_system.unwrap_or_default();
        body.note(format!(
            "{host} is another database ({}, this one is {own}): nothing is taken from it",
            ancestry.system
        ))
        .await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        return Ok(());
    }
    let session = body.session().await?;
    let received = body.end(&session).await?.max(state.end.map_or(0, |end| end.lsn));
    let read = session.one("SELECT pg_last_wal_replay_lsn()").await?;
    let read = read.and_then(|text| history::parse_lsn(&text)).unwrap_or(received);
    drop(session);
    match fits(&state.history, received, read, &branches) {
        Fits::No => {
            lock(&body.memory).diverged = true;
            body.note_change();
            let fork = history::show_lsn(history::fork(&state.history, &branches));
            let end = history::show_lsn(received);
            body.note(format!("its history is not {host}'s: they part at {fork}, and it goes to {end}"))
                .await;
            Ok(())
        }
        Fits::Yes => {
            begin(body, &state, branches.clone()).await?;
            connect(body, branches, &Part::Standby { source: Some(at), term }).await
        }
        Fits::AfterRestart => {
            body.stop(Stop::Clean(Duration::from_secs(2))).await?;
            let end = stand_still(body).await?;
            let end = body.end(&end).await?;
            if fits(&state.history, end, end, &branches) == Fits::No {
                return Err(fail("its end is not what it was"));
            }
            body.stop(Stop::Clean(Duration::from_secs(2))).await?;
            begin(body, &state, branches).await?;
            body.start(Part::Standby { source: Some(at), term }).await.map(drop)
        }
    }
}

/// From now on its data follow that history: before the first byte of it comes.
async fn begin(body: &Body, before: &State, branches: Vec<Branch>) -> Result<(), Failure> {
    let source = before.source.clone();
    body.change(|state| {
        state.history = branches;
        state.attached = state.source == source;
        state.end = None;
    })
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branches(list: &[(Term, Lsn)]) -> Vec<Branch> {
        list.iter().map(|&(term, begin)| Branch { term, begin }).collect()
    }

    #[test]
    fn what_is_done_again_becomes_rare() {
        let begin = Instant::now();
        let once = Some(Repeated::next(None, begin));
        assert!(Repeated::is_due(None, begin));
        assert!(!Repeated::is_due(once, begin + AGAIN_AFTER));
        assert!(Repeated::is_due(once, begin + 2 * AGAIN_AFTER));
        let often = (0..100).fold(None, |before, _| Some(Repeated::next(before, begin)));
        assert!(!Repeated::is_due(often, begin + AGAIN_AT_LAST / 2));
        assert!(Repeated::is_due(often, begin + AGAIN_AT_LAST));
    }

    #[test]
    fn a_standby_streams_on_if_what_it_has_is_a_part() {
        let (one, five) = (branches(&[(1, 0)]), branches(&[(1, 0), (5, 1000)]));
        assert_eq!(fits(&one, 900, 900, &five), Fits::Yes);
        assert_eq!(fits(&one, 1001, 1001, &five), Fits::No);
    }

    #[test]
    fn half_a_record_that_nobody_has_whole_is_no_other_history() {
        let (one, five) = (branches(&[(1, 0)]), branches(&[(1, 0), (5, 1000)]));
        assert_eq!(fits(&one, 1050, 1000, &five), Fits::AfterRestart);
    }

    #[test]
    fn a_promotion_of_which_it_has_nothing_is_forgotten() {
        let (five, seven) = (branches(&[(1, 0), (5, 1000)]), branches(&[(1, 0), (7, 950)]));
        assert_eq!(fits(&five, 900, 900, &seven), Fits::AfterRestart);
        assert_eq!(fits(&five, 1001, 1001, &seven), Fits::No);
    }
}
