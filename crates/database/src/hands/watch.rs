//! Looks at PostgreSQL all the time and reports: with every heartbeat, and at once when something changed. It has a connection of its own, and
//! waits for no answer longer than two thirds of the lease: a machine that is short of time is no reason to fail over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::failover::{Host, Lsn, Position, Report, Role, Term};
use tokio::time::timeout;

use super::body::{Body, Memory};
use super::config;
use super::history;
use super::server::has_read_all;
use super::sql::{self, Row, Session, Trouble};
use super::state::{Busy, State};
use super::{Confirming, Told, lock, users};

/// How often what was set aside is looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// How often a report is begun anew because something changed meanwhile.
const TRIES: usize = 4;

/// The watch's own.
#[derive(Default)]
pub(super) struct Look {
    session: Option<Session>,
}

/// What PostgreSQL says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    Stopped,
    /// It runs and doesn't answer.
    Unknown,
    Primary {
        timeline: Term,
        flushed: Lsn,
        rule: String,
        standbys: Vec<Confirming>,
    },
    Standby {
        received: Option<Lsn>,
        replayed: Lsn,
        has_read_all: bool,
        streams: bool,
        behind: Option<Duration>,
    },
}

const QUERY: &str = "SELECT pg_is_in_recovery(), \
     CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn()::text END, \
     CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END, \
     (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'), \
     pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), \
     current_setting('synchronous_standby_names'), \
     (SELECT round(1000 * extract(epoch FROM clock_timestamp() - last_msg_receipt_time))::bigint::text FROM pg_stat_wal_receiver \
      WHERE status = 'streaming'), \
     (SELECT string_agg(name, ',') FROM pg_settings WHERE pending_restart), \
     round(1000 * extract(epoch FROM now() - pg_last_xact_replay_timestamp()))::bigint, \
     round(1000 * extract(epoch FROM now() - pg_postmaster_start_time()))::bigint, \
     NULL, NULL, NULL, NULL \
     UNION ALL \
     SELECT * FROM (SELECT NULL::boolean, NULL, NULL, NULL, NULL::pg_lsn, NULL::pg_lsn, NULL, NULL, NULL, NULL::bigint, NULL::bigint, \
     application_name, pid::text, flush_lsn::text, round(1000 * extract(epoch FROM flush_lag))::text \
     FROM pg_stat_replication WHERE flush_lsn IS NOT NULL AND state IN ('streaming', 'catchup') ORDER BY backend_start) AS standbys";

/// Reports, for as long as the hands are there.
pub(super) async fn watch(body: Arc<Body>) {
    let mut next = Instant::now();
    let mut tidied: Option<Instant> = None;
    loop {
        let server = body.server();
        let ended = async {
            match &server {
                Some(server) => server.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = body.changed.notified() => {}
            () = ended => {}
        }
        next = Instant::now() + body.settings.heartbeat;
        let mut look = body.look.lock().await;
        let report = look.report(&body).await;
        // Whoever listens so little gets the next one.
        let _ = body.tell.try_send(Told::Report(report));
        drop(look);
        if tidied.is_none_or(|tidied| tidied.elapsed() > HOUSEKEEPING) {
            tidied = Some(Instant::now());
            tokio::spawn(keep_house(body.clone()));
        }
    }
}

impl Look {
    /// How it is now.
    pub(super) async fn report(&mut self, body: &Body) -> Report {
        let mut tries = 0;
        loop {
            tries += 1;
            let version = body.version();
            let seen = self.see(body).await;
            if body.version() == version || tries == TRIES {
                return conclude(body, &seen);
            }
        }
    }

    async fn see(&mut self, body: &Body) -> Seen {
        if body.server().is_none() {
            self.session = None;
            return Seen::Stopped;
        }
        let patience = body.patience();
        let both = async { tokio::join!(sql::knock(&body.place, body.port(), patience), self.rows(body)) };
        match timeout(patience, both).await {
            Ok((Ok(()), Ok(rows))) => read(body, &rows).unwrap_or(Seen::Unknown),
            other => {
                if let Ok((_, Err(Trouble::Failed(why) | Trouble::Gone(why)))) = other {
                    tracing::warn!(why, "PostgreSQL doesn't say how it is");
                }
                // What was asked may still be answered: to nobody.
                self.session = None;
                if body.server().is_none() { Seen::Stopped } else { Seen::Unknown }
            }
        }
    }

    /// By the connection that there is; if that fails, or has become slow, by another one in what time is left.
    async fn rows(&mut self, body: &Body) -> Result<Vec<Row>, Trouble> {
        let half = body.patience() / 2;
        if let Some(session) = self.session.take()
            && let Ok(Ok(rows)) = timeout(half, session.rows(QUERY)).await
        {
            self.session = Some(session);
            return Ok(rows);
        }
        let session = body.session().await?;
        let rows = session.rows(QUERY).await?;
        self.session = Some(session);
        Ok(rows)
    }
}

fn read(body: &Body, rows: &[Row]) -> Option<Seen> {
    let (first, others) = rows.split_first()?;
    let text = |at: usize| first.get(at)?.as_deref();
    let lsn = |at: usize| text(at).and_then(history::parse_lsn);
    let span = |text: &str| text.parse().ok().map(Duration::from_millis);
    let standbys: Vec<Confirming> = others
        .iter()
        .filter_map(|row| {
            let text = |at: usize| row.get(at)?.as_deref();
            let host = Host::from(text(11)?);
            let flushed = history::parse_lsn(text(13)?)?;
            let pid = text(12)?.parse().ok()?;
            let known = body.settings.hosts.contains(&host) && host != body.settings.me;
            known.then(|| Confirming { host, pid, flushed, lag: text(14).and_then(span) })
        })
        .collect();
    let standbys = latest(standbys);
    let mut memory = lock(&body.memory);
    let facts = &mut memory.facts;
    facts.pending_restart =
        text(8).map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default();
    facts.running = text(10).and_then(span);
    if text(0)? == "f" {
        let timeline = Term::from_str_radix(text(2)?, 16).ok()?;
        return Some(Seen::Primary { timeline, flushed: lsn(1)?, rule: text(6)?.to_owned(), standbys });
    }
    Some(Seen::Standby {
        received: lsn(4),
        replayed: lsn(5)?,
        // It stands before them in the question: what was read is in them.
        has_read_all: text(3).is_some_and(has_read_all),
        // By one clock; if it is set, then once in the wrong.
        streams: text(7).and_then(span).is_some_and(|heard| heard <= body.settings.lease.mul_f64(1.2)),
        behind: text(9).and_then(span),
    })
}

/// Of each host the connection that began last: an older one may be of a disk that is gone.
fn latest(standbys: Vec<Confirming>) -> Vec<Confirming> {
    let mut latest: Vec<Confirming> = Vec::new();
    for standby in standbys {
        latest.retain(|known| known.host != standby.host);
        latest.push(standby);
    }
    latest
}

/// What is seen, with what is known.
fn conclude(body: &Body, seen: &Seen) -> Report {
    let state = body.state();
    let disk = body.probe.look();
    let mut memory = lock(&body.memory);
    let position = position(&state, seen, memory.last);
    if position.is_some() {
        memory.last = position;
    }
    let proven = memory.proven.clone().filter(|cohort| {
        matches!(seen, Seen::Primary { rule, .. } if *rule == config::names(Some(cohort), &body.settings.me))
    });
    let report = Report {
        role: match seen {
            Seen::Stopped => Role::Stopped,
            Seen::Unknown => Role::Unknown,
            Seen::Primary { .. } => Role::Primary,
            Seen::Standby { .. } => Role::Standby,
        },
        position,
        origin: state.origin,
        pledged: state.pledged,
        serves: state.serves,
        source: state.source.clone(),
        streams: matches!(seen, Seen::Standby { streams: true, .. }),
        diverged: memory.diverged,
        synchronous: proven,
        standbys: match seen {
            Seen::Primary { standbys, .. } => {
                standbys.iter().map(|standby| (standby.host.clone(), standby.flushed)).collect()
            }
            _ => Vec::new(),
        },
        disk,
    };
    remember(&mut memory, body, seen);
    report
}

fn remember(memory: &mut Memory, body: &Body, seen: &Seen) {
    let position = memory.last;
    memory.streams = matches!(seen, Seen::Standby { streams: true, .. });
    let facts = &mut memory.facts;
    facts.pid = body.server().map(|server| server.pid());
    if facts.pid.is_none() {
        facts.running = None;
    }
    facts.confirming = Vec::new();
    (facts.received, facts.replayed, facts.behind) = (None, None, None);
    match seen {
        Seen::Primary { timeline, standbys, .. } => {
            facts.timeline = Some(*timeline);
            facts.confirming = standbys.clone();
        }
        Seen::Standby { received, replayed, behind, .. } => {
            facts.timeline = position.map(|position| position.term);
            (facts.received, facts.replayed, facts.behind) = (*received, Some(*replayed), *behind);
        }
        Seen::Stopped | Seen::Unknown => {}
    }
}

/// Where the data end that count; what was last known where it can't be seen and may be more.
fn position(state: &State, seen: &Seen, last: Option<Position>) -> Option<Position> {
    if !state.counts() {
        return None;
    }
    match seen {
        Seen::Primary { timeline, flushed, .. } => {
            let ordered = match (state.serves, state.busy) {
                (_, Some(Busy::Promoting { term })) => *timeline == term,
                (Some(_), _) => state.history.last().is_some_and(|branch| branch.term == *timeline),
                (None, _) => false,
            };
            ordered.then_some(Position { term: *timeline, lsn: *flushed })
        }
        // Nothing can be written.
        _ if state.end.is_some() => state.end,
        Seen::Standby { received, replayed, has_read_all, .. } if received.is_some() || *has_read_all => {
            history::position(&state.history, (*replayed).max(received.unwrap_or(0)))
        }
        Seen::Standby { .. } | Seen::Stopped | Seen::Unknown => last,
    }
}

async fn keep_house(body: Arc<Body>) {
    if body.state().serves.is_some()
        && let Ok(session) = body.session().await
        && let Err(failure) = users::make_slots(&body, &session).await
    {
        tracing::warn!(why = failure.0, "slots for standbys can't be made");
    }
    let keep = body.wanted().settings.keep;
    let done = body.files(move |place| {
        let gone = match keep {
            Some(keep) => place.forget(std::time::SystemTime::now(), keep)?,
            None => Vec::new(),
        };
        Ok((gone, place.set_aside()))
    });
    match done.await {
        Ok((gone, aside)) => {
            lock(&body.memory).facts.set_aside = aside;
            for path in gone {
                body.note(format!("removed {}, which was set aside long enough ago", path.display())).await;
            }
        }
        Err(failure) => tracing::warn!(why = failure.0, "what was set aside can't be looked at"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nines_control::gate::Branch;

    fn state() -> State {
        State {
            id: Some("it".to_owned()),
            pledged: 5,
            history: vec![Branch { term: 1, begin: 0 }, Branch { term: 5, begin: 1000 }],
            ..State::default()
        }
    }

    fn primary(timeline: Term) -> Seen {
        Seen::Primary { timeline, flushed: 1200, rule: String::new(), standbys: Vec::new() }
    }

    fn standby(received: Option<Lsn>, replayed: Lsn, has_read_all: bool) -> Seen {
        Seen::Standby { received, replayed, has_read_all, streams: false, behind: None }
    }

    #[test]
    fn who_is_a_primary_by_somebodys_hand_has_nothing_that_counts() {
        assert_eq!(position(&state(), &primary(6), None), None);
        assert_eq!(position(&state(), &primary(5), None), None, "though the timeline is a term");
        let serves = State { serves: Some(5), ..state() };
        assert_eq!(position(&serves, &primary(5), None), Some(Position { term: 5, lsn: 1200 }));
        assert_eq!(position(&serves, &primary(6), None), None);
        let promoting = State { busy: Some(Busy::Promoting { term: 7 }), ..state() };
        assert_eq!(position(&promoting, &primary(7), None), Some(Position { term: 7, lsn: 1200 }));
    }

    #[test]
    fn a_standby_that_has_not_read_its_log_says_nothing_new() {
        let last = Some(Position { term: 5, lsn: 1100 });
        assert_eq!(position(&state(), &standby(None, 900, false), last), last);
        assert_eq!(
            position(&state(), &standby(None, 1000, true), last),
            Some(Position { term: 1, lsn: 1000 })
        );
        assert_eq!(
            position(&state(), &standby(Some(1300), 900, false), last),
            Some(Position { term: 5, lsn: 1300 })
        );
    }

    #[test]
    fn a_copy_that_is_not_whole_does_not_count() {
        for busy in [Busy::Copying, Busy::Rewinding, Busy::Recovering, Busy::Initialising] {
            let state = State { busy: Some(busy), ..state() };
            assert_eq!(position(&state, &standby(Some(1300), 900, true), None), None, "{busy:?}");
        }
    }

    #[test]
    fn of_two_connections_of_a_host_the_later_one_counts() {
        let one = |pid, flushed| Confirming { host: "db2".into(), pid, flushed, lag: None };
        assert_eq!(latest(vec![one(1, 900), one(2, 100)]), [one(2, 100)]);
    }
}
