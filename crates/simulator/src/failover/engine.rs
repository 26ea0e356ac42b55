//! A model of a database server with the hands that manage it: a log on a disk, streaming, confirmations, promotion,
//! copies; each takes its time, and each can be broken off.

mod effects;

use std::rc::Rc;
use std::time::{Duration, Instant};

use nines_control::failover::{Cohort, Disk, Effect, Host, Id, Lsn, Origin, Report, Role, Term};
use nines_control::random::Random;

use super::history::History;
use super::message::{Life, Message, Note, Order};
use super::mistake::Mistake;
use super::node::Node;
use super::scene::{Begins, Scene};
use crate::{Doing, HostIndex, Input, between};

/// A standby that heard nothing for so long connects again; so long a primary believes that one is there.
const SILENCE: Duration = Duration::from_millis(700);
/// A standby whose source does not answer asks again, so often, before it waits for silence.
const AGAIN: Duration = Duration::from_millis(40);
const TRIES: u8 = 8;
/// A copy for which nothing arrives is given up.
const COPY_WITHIN: Duration = Duration::from_secs(3);

/// What outlives the server, until the disk is lost.
#[derive(Debug, Clone, Default)]
pub(super) struct OnDisk {
    pub(super) history: Option<History>,
    pub(super) origin: Origin,
    pub(super) pledged: Term,
    pub(super) primary: bool,
    pub(super) serves: Option<Term>,
    /// Somebody promoted it by hand.
    pub(super) stray: bool,
    pub(super) source: Option<(HostIndex, Term)>,
    pub(super) synchronous: Option<Cohort>,
}

impl OnDisk {
    fn first(scene: &Scene, me: HostIndex) -> Self {
        let ruled = |primary: bool| Self {
            history: Some(History::first()),
            pledged: 1,
            primary,
            serves: primary.then_some(1),
            source: (!primary).then_some((0, 1)),
            synchronous: scene.first_rule().filter(|_| primary).map(|rule| rule.cohort),
            ..Self::default()
        };
        match scene.begins {
            Begins::Ruled => ruled(me == 0),
            Begins::Blank | Begins::Confused => Self::default(),
            Begins::Emptied(blank) if blank == me => Self::default(),
            Begins::Emptied(_) => ruled(false),
            Begins::Adopted(host) => {
                let adopted = me == host;
                // Some are standbys that lag, some have nothing.
                let end = if adopted { 9 } else { 3 + me as u64 };
                let follows = adopted || (me + host).is_multiple_of(2);
                let history = follows.then(|| History::begun(0, 5, end));
                let origin = if adopted { Origin::Adopted } else { Origin::Ruled };
                let pledged = if follows { 5 } else { 0 };
                let serves = adopted.then_some(5);
                Self { history, origin, pledged, primary: adopted, serves, ..Self::default() }
            }
        }
    }
}

/// A standby that streams from here.
#[derive(Debug, Clone, Copy)]
struct Session {
    id: u64,
    confirmed: Lsn,
    heard: Instant,
}

/// The connection to the source.
#[derive(Debug, Clone, Copy)]
struct Upstream {
    session: u64,
    heard: Instant,
    /// It has sent something.
    streams: bool,
}

#[derive(Debug, Clone)]
struct Effecting {
    life: Life,
    id: Id,
    effect: Rc<Effect>,
    ticket: u64,
    /// What a copy will be, once it has arrived.
    copy: Option<History>,
}

#[derive(Debug)]
pub(super) struct Engine {
    me: HostIndex,
    names: Rc<Vec<Host>>,
    random: Random,
    mistake: Option<Mistake>,
    beat: Duration,
    pub(super) disk: OnDisk,
    pub(super) condition: Disk,
    pub(super) up: bool,
    sessions: Vec<Option<Session>>,
    upstream: Option<Upstream>,
    now: Option<Instant>,
    diverged: bool,
    doing: Option<Effecting>,
    /// What was acknowledged to the gate in this run of the server.
    told: Lsn,
    /// Whoever confirms up to there, it is told at once.
    measured: Option<Lsn>,
    numbers: u64,
    loses_disk: bool,
    promotes_within: Duration,
    never_hangs_up: bool,
    effects_take: Option<Duration>,
    /// What it says that it goes by, if that is not so.
    claims: Option<Cohort>,
}

impl Engine {
    pub(super) fn new(scene: &Scene, me: HostIndex, seed: u64, mistake: Option<Mistake>) -> Self {
        let disk = OnDisk::first(scene, me);
        Self {
            me,
            names: scene.names.clone(),
            random: Random::seeded(seed),
            mistake,
            beat: scene.heartbeat,
            disk,
            condition: Disk::Well,
            up: false,
            sessions: vec![None; scene.hosts],
            upstream: None,
            now: None,
            diverged: false,
            doing: None,
            told: 0,
            measured: None,
            numbers: 0,
            loses_disk: false,
            promotes_within: scene.promotes_within,
            never_hangs_up: scene.never_hangs_up,
            effects_take: scene.effects_take,
            claims: None,
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers * 16 + self.me as u64
    }

    fn node(&self, host: HostIndex) -> HostIndex {
        self.names.len() + host
    }

    pub(super) fn is_primary(&self) -> bool {
        self.up && self.disk.primary
    }

    pub(super) fn start(&mut self, doing: &mut Doing<Node>) {
        doing.later(self.beat, Order::Beat);
    }

    /// The host is gone: its memory with it, and perhaps its disk.
    pub(super) fn crash(&mut self) {
        self.stop();
        self.doing = None;
        if std::mem::take(&mut self.loses_disk) {
            self.disk = OnDisk::default();
        }
    }

    fn stop(&mut self) {
        self.up = false;
        self.upstream = None;
        self.diverged = false;
        self.sessions.fill(None);
    }

    fn run(&mut self) {
        self.stop();
        self.up = true;
        self.told = self.disk.history.as_ref().map_or(0, History::end);
    }

    fn report(&self) -> Report {
        let disk = &self.disk;
        let role = match (self.up, disk.primary) {
            (false, _) => Role::Stopped,
            (true, true) => Role::Primary,
            (true, false) => Role::Standby,
        };
        let blank = self.mistake == Some(Mistake::CountsEmptyDisks);
        let empty = blank.then(|| History::first().position());
        let position = disk.history.as_ref().filter(|_| !disk.stray).map(History::position).or(empty);
        let skips = self.mistake == Some(Mistake::SkipsPledge)
            && disk.source.is_some_and(|(_, term)| term < disk.pledged);
        let sessions = self.sessions.iter().enumerate();
        Report {
            role,
            position,
            origin: disk.origin,
            pledged: disk.pledged,
            serves: disk.serves,
            source: disk.source.filter(|_| !skips).map(|(host, term)| (self.names[host].clone(), term)),
            streams: self.streams(),
            diverged: self.diverged,
            synchronous: self.claims.clone().or(disk.synchronous.clone()).filter(|_| disk.primary),
            standbys: sessions
                .filter_map(|(host, session)| Some((self.names[host].clone(), session.as_ref()?.confirmed)))
                .collect(),
            disk: self.condition,
        }
    }

    fn streams(&self) -> bool {
        let Some(now) = self.now else { return false };
        self.upstream.is_some_and(|upstream| upstream.streams && now - upstream.heard <= SILENCE)
    }

    fn tell(&mut self, doing: &mut Doing<Node>) {
        let (sequence, report) = (self.number(), Rc::new(self.report()));
        let at = self.doing.as_ref().map(|effecting| (effecting.life, effecting.id));
        doing.send(self.me, Message::Report { sequence, doing: at, report });
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input<Message, Order>, doing: &mut Doing<Node>) {
        self.now = Some(now);
        match input {
            Input::Timer => {}
            Input::Order(order) => self.order(now, &order, doing),
            Input::Message { from, message } => {
                let from = from.checked_sub(self.names.len()).unwrap_or(from);
                self.hear(now, from, message, doing);
            }
        }
    }

    fn order(&mut self, now: Instant, order: &Order, doing: &mut Doing<Node>) {
        match order {
            Order::Beat => {
                self.beat(now, doing);
                doing.later(self.beat, Order::Beat);
            }
            Order::Finish(ticket) => self.finish(now, *ticket, doing),
            Order::Again(tries) if *tries <= TRIES && self.upstream.is_some_and(|one| !one.streams) => {
                self.connect(now, doing);
                doing.later(AGAIN, Order::Again(tries + 1));
            }
            Order::Die if self.up => {
                self.stop();
                self.tell(doing);
            }
            Order::Orphaned => {
                // What it was told to do is done, or not, or half of it.
                if let Some(begun) = self.doing.take() {
                    match (self.random.below(3), begun.effect.as_ref()) {
                        (0, _) => drop(self.carry_out(&begun, doing)),
                        (1, Effect::Pledge { term }) if *term > self.disk.pledged => {
                            self.disk.pledged = *term;
                            doing.note(Note::Engine(format!("has recorded {term}, and no more")));
                            if !self.disk.primary && self.disk.source.is_none() && self.disk.history.is_some()
                            {
                                // There was nothing else to do.
                                doing.note(Note::Pledged(*term));
                            }
                        }
                        _ => {}
                    }
                }
            }
            Order::LoseDisk => self.loses_disk = true,
            Order::Disk(disk) => {
                self.condition = *disk;
                self.tell(doing);
            }
            Order::PromoteByHand if self.up && !self.disk.primary && self.disk.history.is_some() => {
                let id = self.number();
                let disk = &mut self.disk;
                if let Some(history) = &mut disk.history {
                    history.fork(id, 0);
                }
                disk.primary = true;
                disk.stray = true;
                disk.source = None;
                disk.serves = None;
                disk.synchronous = None;
                self.run();
                doing.note(Note::Engine("is a primary by somebody's hand".to_owned()));
                self.tell(doing);
            }
            _ => {}
        }
    }

    fn beat(&mut self, now: Instant, doing: &mut Doing<Node>) {
        if !self.up {
            return;
        }
        if self.disk.primary {
            let keeps = |session: &Session| self.never_hangs_up || now - session.heard < SILENCE;
            for session in &mut self.sessions {
                *session = session.filter(keeps);
            }
            self.push(doing);
        } else if self.upstream.is_none_or(|upstream| now - upstream.heard > SILENCE) {
            self.connect(now, doing);
            doing.later(AGAIN, Order::Again(1));
        }
    }

    /// To the source, as a standby.
    fn connect(&mut self, now: Instant, doing: &mut Doing<Node>) {
        if let (Some((source, term)), Some(history)) = (self.disk.source, self.disk.history.clone())
            && self.up
            && !self.disk.primary
        {
            let session = self.number();
            self.upstream = Some(Upstream { session, heard: now - SILENCE / 2, streams: false });
            doing.send(self.node(source), Message::Attach { session, term, history });
        }
    }

    /// To all that stream from here, what there is.
    fn push(&self, doing: &mut Doing<Node>) {
        let (Some(history), Some(term)) = (&self.disk.history, self.disk.serves) else { return };
        for (host, session) in self.sessions.iter().enumerate() {
            if let Some(session) = session {
                let history = history.clone();
                doing.send(self.node(host), Message::Append { session: session.id, term, history });
            }
        }
    }

    fn hear(&mut self, now: Instant, from: HostIndex, message: Message, doing: &mut Doing<Node>) {
        match message {
            Message::Ask => self.tell(doing),
            Message::Do { life, id, effect } => self.begin(life, id, effect, doing),
            Message::Write if self.is_primary() && self.condition == Disk::Well => {
                if let Some(history) = &mut self.disk.history {
                    history.write();
                }
                self.push(doing);
                self.settle(doing);
            }
            Message::Attach { session, term, history } => {
                self.attach(now, from, (session, term), &history, doing);
            }
            Message::Append { session, term, history } => {
                self.append(now, from, (session, term), history, doing);
            }
            Message::Confirm { session, end, .. } => {
                if let Some(known) = self.sessions[from].as_mut().filter(|known| known.id == session) {
                    let before = known.confirmed;
                    known.confirmed = known.confirmed.max(end);
                    known.heard = now;
                    self.settle(doing);
                    if self.measured.is_some_and(|measured| before < measured && end >= measured) {
                        self.tell(doing);
                    }
                }
            }
            Message::Diverged { session }
                if self.upstream.is_some_and(|upstream| upstream.session == session) && !self.diverged =>
            {
                self.diverged = true;
                self.tell(doing);
            }
            Message::Fetch { session, term } => {
                if let Some(history) = &self.disk.history
                    && self.is_primary()
                    && self.disk.serves == Some(term)
                {
                    doing.send(self.node(from), Message::Copy { session, history: history.clone() });
                }
            }
            Message::Copy { session, history } => {
                let wait = between(&mut self.random, Duration::from_millis(50), Duration::from_secs(2));
                if let Some(effecting) = self.doing.as_mut().filter(|one| one.ticket == session) {
                    effecting.copy = Some(history);
                    effecting.ticket += 1;
                    doing.later(wait, Order::Finish(session + 1));
                }
            }
            _ => {}
        }
    }

    fn attach(
        &mut self,
        now: Instant,
        from: HostIndex,
        (session, term): (u64, Term),
        history: &History,
        doing: &mut Doing<Node>,
    ) {
        let Some(own) = &self.disk.history else { return };
        if !self.is_primary() || self.disk.serves != Some(term) {
            return;
        }
        if history.is_prefix_of(own) || self.mistake == Some(Mistake::FollowsWithAnyHistory) {
            self.sessions[from] = Some(Session { id: session, confirmed: 0, heard: now });
            let history = own.clone();
            doing.send(self.node(from), Message::Append { session, term, history });
        } else {
            doing.send(self.node(from), Message::Diverged { session });
        }
    }

    fn append(
        &mut self,
        now: Instant,
        from: HostIndex,
        (session, term): (u64, Term),
        history: History,
        doing: &mut Doing<Node>,
    ) {
        let streams = self.up && !self.disk.primary && self.disk.source == Some((from, term));
        if !streams || self.upstream.is_none_or(|upstream| upstream.session != session) {
            return;
        }
        let Some(own) = &mut self.disk.history else { return };
        self.upstream = Some(Upstream { session, heard: now, streams: true });
        if self.condition != Disk::Well {
            return;
        }
        let mut end = own.end();
        if own.is_prefix_of(&history) {
            end = history.end();
            *own = history;
        } else if self.mistake == Some(Mistake::FollowsWithAnyHistory) {
            end = end.max(history.end());
        }
        doing.send(self.node(from), Message::Confirm { session, term, end });
    }

    /// What enough standbys have confirmed is told to the gate, once.
    fn settle(&mut self, doing: &mut Doing<Node>) {
        let (Some(history), Some(cohort)) = (&self.disk.history, &self.disk.synchronous) else { return };
        if !self.is_primary() {
            return;
        }
        let me = &self.names[self.me];
        let needed = cohort.confirmations(me);
        let mut confirmed: Vec<Lsn> = Vec::new();
        for (host, session) in self.sessions.iter().enumerate() {
            if let Some(session) = session
                && host != self.me
                && cohort.members.contains(&self.names[host])
            {
                confirmed.push(session.confirmed);
            }
        }
        confirmed.sort_unstable_by(|one, two| two.cmp(one));
        let there = match needed {
            0 => Some(history.end()),
            _ => confirmed.get(needed - 1).copied(),
        };
        let there = there.unwrap_or(0).min(history.end());
        if there > self.told {
            self.told = there;
            doing.send(self.me, Message::Committed { branch: history.branch(), lsn: there });
        }
    }
}
