//! The tries of one request: a further one starts when the one before fails or is silent for longer than its pool
//! usually takes, and the first to reach the goal wins.
//!
//! The first try runs in place; only a further one costs an allocation. Every further try is paid from the pool's
//! retry budget, but one after a connection that was refused: nobody has worked for the request yet, so trying elsewhere
//! makes no overload worse, and a pool that has lost most of its members at one stroke would be out of tries when it needs
//! them. What the winner outlasted is reported to the supervisor as silent.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use nines_control::statistics::Refused;
use nines_control::traffic::Failure;

use crate::attempt::{Lost, Outgoing, Reply, another, exchange, judge, max_tries};
use crate::kit::Kit;
use crate::pool::{Member, Seat, Tried};
use crate::upstream::Connection;

/// Where a try is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// At a connection, because the request may be written once only.
    Connection,
    /// At the reply's head.
    Reply,
}

pub(crate) enum Reached {
    Connection(Connection),
    Reply(Reply),
}

/// How far a try has come, for the race to read while the try runs.
struct Track {
    member: Rc<Member>,
    index: usize,
    stage: Cell<Stage>,
    /// When its stage began.
    since: Cell<Instant>,
    /// It was silent for so long that a further try was wanted.
    outlasted: Cell<bool>,
    /// It was started because of another's silence.
    hedge: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Waiting,
    Over,
}

impl Track {
    fn new(seat: &Seat, now: Instant, hedge: bool) -> Self {
        Self {
            member: seat.member.clone(),
            index: seat.index,
            stage: Cell::new(Stage::Connecting),
            since: Cell::new(now),
            outlasted: Cell::new(false),
            hedge,
        }
    }

    fn is_running(&self) -> bool {
        self.stage.get() != Stage::Over
    }

    /// What to call it when it has been silent for too long.
    fn silence(&self) -> Failure {
        if self.stage.get() == Stage::Connecting { Failure::ConnectTimeout } else { Failure::Silent }
    }
}

/// Runs tries until one reaches the goal, or none may be made any more. `tries` counts along.
pub(crate) async fn run(
    kit: &Kit,
    request: &Outgoing<'_>,
    seat: Seat,
    goal: Goal,
    tries: &Cell<u32>,
) -> Result<Reached, Refused> {
    let start = Instant::now();
    tries.set(tries.get() + 1);
    let first = Track::new(&seat, start, false);
    let mut in_place = pin!(Some(attempt(kit, request, seat, goal, false, &first)));
    let connecting_since = Cell::new(start);
    let mut race = Race {
        kit,
        request,
        goal,
        tries,
        connecting_since,
        first: &first,
        tried: Tried::default(),
        fresh: false,
        refused: false,
    };
    race.tried.add(first.index);
    let mut further = Further::default();
    loop {
        let Further { tracks, tries: futures } = &mut further;
        let happened = {
            let step = poll_fn(|cx| {
                if let Some(running) = in_place.as_mut().as_pin_mut()
                    && let Poll::Ready(done) = running.poll(cx)
                {
                    return Poll::Ready((0, done));
                }
                poll_further(futures, cx)
            });
            kit.timers.timeout(|| race.next_look(tracks), step).await
        };
        let lost = match happened {
            Ok((which, Ok(reached))) => return Ok(race.won(which, &further.tracks, reached)),
            Ok((which, Err(lost))) => vec![(which, lost)],
            Err(_) => race.overdue(&further.tracks)?,
        };
        for &(which, lost) in &lost {
            if which == 0 {
                in_place.set(None);
            } else {
                further.tries[which - 1] = None;
            }
            race.lost(which, &further.tracks, lost);
        }
        for (_, lost) in lost {
            let running = race.any_running(&further.tracks);
            let wanted = race.further(false, running);
            match wanted {
                Some(seat) => further.start(&race, seat, false),
                None if running => {}
                None => return Err(lost.refusal()),
            }
        }
        if race.is_silent(&further.tracks)
            && let Some(seat) = race.further(true, true)
        {
            further.start(&race, seat, true);
        }
    }
}

/// One try: a connection, new or waiting for reuse, and, if that is the goal, the request and its reply's head.
async fn attempt(
    kit: &Kit,
    request: &Outgoing<'_>,
    seat: Seat,
    goal: Goal,
    fresh: bool,
    track: &Track,
) -> Result<Reached, Lost> {
    let reused = if fresh || !request.preface.is_empty() { Err(seat) } else { Connection::reuse(seat) };
    let connection = match reused {
        Ok(connection) => connection,
        Err(seat) => {
            let connection =
                Connection::open(seat, request.preface).await.map_err(|error| Lost::in_connecting(&error))?;
            track.since.set(Instant::now());
            connection
        }
    };
    if goal == Goal::Connection {
        return Ok(Reached::Connection(connection));
    }
    track.stage.set(Stage::Waiting);
    let written = Cell::new(0);
    let incoming = exchange(kit, request, &connection, &written).await?;
    Ok(Reached::Reply(Reply { connection, incoming }))
}

/// The tries after the first; a try that is over leaves its place empty.
#[derive(Default)]
struct Further<'a> {
    tracks: Vec<Rc<Track>>,
    tries: Vec<Option<Try<'a>>>,
}

type Try<'a> = Pin<Box<dyn Future<Output = Result<Reached, Lost>> + 'a>>;

impl<'a> Further<'a> {
    fn start(&mut self, race: &Race<'a, '_>, seat: Seat, hedge: bool) {
        let now = Instant::now();
        if !race.tracks(&self.tracks).any(|track| track.stage.get() == Stage::Connecting) {
            race.connecting_since.set(now);
        }
        let track = Rc::new(Track::new(&seat, now, hedge));
        self.tracks.push(track.clone());
        let (kit, request, goal, fresh) = (race.kit, race.request, race.goal, race.fresh);
        self.tries
            .push(Some(Box::pin(async move { attempt(kit, request, seat, goal, fresh, &track).await })));
    }
}

fn poll_further(tries: &mut [Option<Try<'_>>], cx: &mut Context<'_>) -> Poll<(usize, Result<Reached, Lost>)> {
    for (position, running) in tries.iter_mut().enumerate() {
        if let Some(running) = running
            && let Poll::Ready(done) = running.as_mut().poll(cx)
        {
            return Poll::Ready((position + 1, done));
        }
    }
    Poll::Pending
}

struct Race<'a, 't> {
    kit: &'a Kit,
    request: &'a Outgoing<'a>,
    goal: Goal,
    tries: &'t Cell<u32>,
    /// Since when a connection has been wanted without a break: the time to connect is for all tries together, but one
    /// that is made because a member failed after long work has it for itself.
    connecting_since: Cell<Instant>,
    first: &'t Track,
    tried: Tried,
    /// A reused connection proved stale: from now on new ones only.
    fresh: bool,
    /// The try that was lost last was refused at once: it has cost nobody anything.
    refused: bool,
}

impl Race<'_, '_> {
    fn tracks<'s>(&'s self, further: &'s [Rc<Track>]) -> impl Iterator<Item = &'s Track> {
        std::iter::once(self.first).chain(further.iter().map(Rc::as_ref))
    }

    fn any_running(&self, further: &[Rc<Track>]) -> bool {
        self.tracks(further).any(Track::is_running)
    }

    fn deadline(&self) -> Instant {
        self.request.received + self.request.pool.plan().timeouts.request
    }

    /// When this try counts as lost.
    fn limit(&self, track: &Track) -> Instant {
        let timeouts = &self.request.pool.plan().timeouts;
        match track.stage.get() {
            Stage::Connecting => self.connecting_since.get() + timeouts.connect,
            Stage::Waiting | Stage::Over => track.since.get() + timeouts.first_byte,
        }
    }

    /// When this try has been silent for longer than usual.
    fn patience_ends(&self, track: &Track) -> Instant {
        let pool = self.request.pool;
        track.since.get()
            + match track.stage.get() {
                Stage::Connecting => pool.plan().retries.race_connect,
                Stage::Waiting | Stage::Over => pool.patience.borrow().silence(),
            }
    }

    fn may_try(&self) -> bool {
        self.tries.get() < max_tries(self.request.pool)
    }

    /// When something is to be decided if nothing happens before.
    fn next_look(&self, further: &[Rc<Track>]) -> Instant {
        let may_try = self.may_try();
        self.tracks(further)
            .filter(|track| track.is_running())
            .map(|track| {
                let limit = self.limit(track);
                if may_try && !track.outlasted.get() { limit.min(self.patience_ends(track)) } else { limit }
            })
            .fold(self.deadline(), Instant::min)
    }

    /// The tries whose time is up; an error when the request's own is.
    fn overdue(&self, further: &[Rc<Track>]) -> Result<Vec<(usize, Lost)>, Refused> {
        let now = Instant::now();
        if now >= self.deadline() {
            // One that has only just begun has done nothing wrong.
            let silent = |track: &&Track| track.is_running() && now >= self.patience_ends(track);
            for track in self.tracks(further).filter(silent) {
                track.member.failed(track.silence());
            }
            self.request.lost_at.set(Some(self.first.member.clone()));
            return Err(Refused::RequestTimeout);
        }
        let overdue = |(which, track): (usize, &Track)| {
            (track.is_running() && now >= self.limit(track)).then(|| (which, Lost::Failed(track.silence())))
        };
        Ok(self.tracks(further).enumerate().filter_map(overdue).collect())
    }

    /// Whether a try has just been silent for longer than usual; each says so once.
    fn is_silent(&self, further: &[Rc<Track>]) -> bool {
        let now = Instant::now();
        let silent =
            |track: &&Track| track.is_running() && !track.outlasted.get() && now >= self.patience_ends(track);
        self.tracks(further).filter(silent).inspect(|track| track.outlasted.set(true)).count() > 0
    }

    fn lost(&mut self, which: usize, further: &[Rc<Track>], lost: Lost) {
        let track = if which == 0 { self.first } else { &further[which - 1] };
        track.stage.set(Stage::Over);
        self.request.lost_at.set(Some(track.member.clone()));
        self.refused = lost == Lost::Failed(Failure::Refused);
        match lost {
            Lost::Failed(failure) => track.member.failed(failure),
            Lost::Ours => {}
            Lost::Stale => {
                self.fresh = true;
                self.tried.forget(track.index);
                self.tries.set(self.tries.get().saturating_sub(1));
            }
        }
    }

    /// A member for a further try, if one is allowed, affordable and free.
    fn further(&mut self, hedge: bool, running: bool) -> Option<Seat> {
        if !self.may_try() {
            return None;
        }
        let pool = self.request.pool;
        let untried = another(self.kit, self.request, &self.tried);
        // A member that failed may be tried again if there is no other; one that is silent may not.
        let seat = if running {
            untried
        } else {
            untried.or_else(|| another(self.kit, self.request, &Tried::default()))
        }?;
        // A stale connection was nobody's fault, and a new one can't be stale: that try is free.
        let stale = self.fresh && self.tries.get() == 0;
        let free = !hedge && (stale || self.refused);
        if !free && !pool.budget.borrow_mut().spend(Instant::now()) {
            pool.counts.budget_empty.add(1);
            return None;
        }
        self.tries.set(self.tries.get() + 1);
        self.tried.add(seat.index);
        let counted = if hedge { &pool.counts.hedges } else { &pool.counts.retries };
        counted.add(1);
        Some(seat)
    }

    fn won(&self, which: usize, further: &[Rc<Track>], reached: Reached) -> Reached {
        let track = if which == 0 { self.first } else { &further[which - 1] };
        track.stage.set(Stage::Over);
        let pool = self.request.pool;
        if track.hedge {
            pool.counts.hedges_won.add(1);
        }
        // Where even the winner took longer than usual it is the request that is slow, and nobody is to blame.
        if !track.outlasted.get() {
            for loser in self.tracks(further).filter(|track| track.is_running() && track.outlasted.get()) {
                loser.member.was_outlasted(loser.silence(), Instant::now());
            }
        }
        if let Reached::Reply(reply) = &reached {
            judge(self.request, reply, track.since.get());
        }
        reached
    }
}
