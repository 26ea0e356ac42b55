//! One virtual router: its state, and each step from one to the next. What it makes of others' advertisements is in
//! [`hearing`].

pub(in crate::vrrp) mod hearing;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use nines_system::VrrpVersion;

use super::problems::Problems;
use super::timing::{self, OWNER, text};
use super::{Advertisement, Cause, Fitness, Output, RouterIndex, Settings};
use crate::event::Kind;

/// After a loss that was not planned (a stall, a link without carrier) a host does not push a serving master aside for so
/// long, however preferred it is: what failed once may do so again soon.
pub(super) const PROBATION: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Takes no part: this host is not fit. May be entered from everywhere.
    Off,
    /// Follows a master, or waits for one. From `Off` when fit, from `Master` when somebody better was heard, from
    /// `Listening` when somebody else was. Says nothing.
    Backup {
        /// When the master counts as dead.
        down_at: Instant,
        /// It has, but another router of the group still hears its own.
        waits_for_group: bool,
    },
    /// Was the master and did not run for a while. Only from `Master`; holds the addresses, says nothing.
    Listening { until: Instant },
    /// Answers. From `Backup` and `Listening`, when nobody else does; advertises.
    Master { sent: Instant, next: Instant },
}

/// A master that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) from: IpAddr,
    pub(super) priority: u8,
    pub(super) interval: Duration,
    pub(super) at: Instant,
}

/// What the others of a router's group have to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Took { from: Option<IpAddr> },
    Gave { lingers: bool },
}

#[derive(Debug, Clone)]
pub(super) struct Router {
    pub(super) index: RouterIndex,
    pub(super) settings: Settings,
    pub(super) fitness: Fitness,
    pub(super) state: State,
    pub(super) since: Instant,
    pub(super) cause: Cause,
    pub(super) why: String,
    /// The master that is followed.
    pub(super) master: Option<Heard>,
    /// A master that serves, but is to be pushed aside; since when it was heard.
    rival: Option<(Heard, Instant)>,
    /// The latest other master, and when it was last heard. Kept through everything, since it tells when the addresses moved.
    holder: Option<(IpAddr, Instant)>,
    /// Since when one and the same host, perhaps this one, has been the master.
    held_since: Instant,
    /// Who gave the addresses up, and when it was last heard to.
    resigned: Option<(IpAddr, Instant)>,
    pub(super) lingers_until: Option<Instant>,
    /// Whether another master was heard since this one gave the addresses up. Until then it lingers on.
    claimed: bool,
    /// When it is told that none was.
    unclaimed_at: Option<Instant>,
    /// Until then it says again and again that it gives them up: whoever comes may not have heard it.
    resigns_at: Option<Instant>,
    probation_until: Option<Instant>,
    pub(super) problems: Problems,
    pub(super) taken: u64,
    pub(super) released: BTreeMap<Cause, u64>,
    pub(super) moved: Option<Move>,
}

/// What is wanted done, until it is polled: what one input can cause, if it is polled after each.
pub(super) type Outbox = VecDeque<Output>;

impl Router {
    pub(super) fn new(now: Instant, index: RouterIndex, settings: Settings) -> Self {
        Self {
            index,
            settings,
            fitness: Fitness::Unfit("starts".to_owned()),
            state: State::Off,
            since: now,
            cause: Cause::Start,
            why: "starts".to_owned(),
            master: None,
            rival: None,
            holder: None,
            held_since: now,
            resigned: None,
            lingers_until: None,
            claimed: true,
            unclaimed_at: None,
            resigns_at: None,
            probation_until: None,
            problems: Problems::default(),
            taken: 0,
            released: BTreeMap::new(),
            moved: None,
        }
    }

    /// The same router as the file now has it.
    pub(super) fn with(self, index: RouterIndex, settings: Settings) -> Self {
        Self { index, settings, ..self }
    }

    /// What it advertises, or would.
    pub(super) fn priority(&self) -> u8 {
        match self.fitness {
            Fitness::Fit => self.settings.priority,
            Fitness::Slow(_) => timing::when_slow(self.settings.priority),
            Fitness::Sick(_) => timing::when_sick(self.settings.priority),
            Fitness::Leaving(_) | Fitness::Unfit(_) => 0,
        }
    }

    pub(super) fn is_master(&self) -> bool {
        matches!(self.state, State::Master { .. })
    }

    pub(super) fn holds(&self) -> bool {
        matches!(self.state, State::Master { .. } | State::Listening { .. }) || self.lingers_until.is_some()
    }

    /// The interval that is in force: the master's own, or that of the master that is followed.
    pub(super) fn interval(&self) -> Duration {
        match (self.state, self.master) {
            (State::Backup { .. }, Some(master)) => master.interval,
            _ => self.settings.interval,
        }
    }

    fn master_down(&self, interval: Duration) -> Duration {
        timing::master_down(self.settings.version, self.priority(), interval)
    }

    fn skew(&self) -> Duration {
        timing::skew(self.settings.version, self.priority(), self.interval())
    }

    pub(super) fn name_of(&self, address: IpAddr) -> String {
        let named = self.settings.names.iter().find(|(known, _)| *known == address);
        named.map_or_else(|| address.to_string(), |(_, name)| format!("{name} ({address})"))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = match self.state {
            State::Off | State::Backup { waits_for_group: true, .. } => None,
            State::Backup { down_at, .. } => Some(down_at),
            State::Listening { until } => Some(until),
            State::Master { next, .. } => Some(next),
        };
        let problems = if self.is_master() { self.problems.deadline() } else { None };
        let lingers = self.lingers_until.filter(|_| self.claimed);
        let resigns = self.resigns_at.filter(|_| !self.claimed);
        [state, lingers, resigns, self.unclaimed_at, problems].into_iter().flatten().min()
    }

    /// For how long it pushes nobody aside.
    pub(super) fn probation(&self, now: Instant) -> Option<Duration> {
        self.probation_until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Whether it gave the addresses up long enough ago that another master should have been heard, and none was.
    pub(super) fn is_unclaimed(&self) -> bool {
        !self.claimed && self.unclaimed_at.is_none() && self.lingers_until.is_some()
    }

    /// Nothing is connected to the addresses any more.
    pub(super) fn idle(&mut self, now: Instant, out: &mut Outbox) {
        if self.lingers_until.is_some() && self.claimed {
            self.end_linger(now, out);
        }
    }

    /// Before anything else that happens: has this router slept too long to know what it is?
    pub(super) fn wake(&mut self, now: Instant, out: &mut Outbox) {
        match self.state {
            State::Master { sent, .. }
                if now.saturating_duration_since(sent) >= 3 * self.settings.interval =>
            {
                let slept = now.saturating_duration_since(sent);
                let until = now + self.master_down(self.settings.interval);
                self.probation_until = Some(now + PROBATION);
                self.problems.end();
                let why = format!("did not run for {}: listens before it speaks", text(slept));
                self.enter(now, State::Listening { until }, Cause::Stall, why.clone());
                self.event(Kind::Standby, why, out);
            }
            State::Backup { down_at, waits_for_group: false }
                if now.saturating_duration_since(down_at) >= 3 * self.interval() =>
            {
                self.probation_until = Some(now + PROBATION);
                self.wait_for_silence(now + self.master_down(self.interval()));
            }
            // It slept again, and may have missed what it listened for.
            State::Listening { until }
                if now.saturating_duration_since(until) >= 3 * self.settings.interval =>
            {
                self.probation_until = Some(now + PROBATION);
                self.state = State::Listening { until: now + self.master_down(self.settings.interval) };
            }
            _ => {}
        }
    }

    /// The time has come for whatever is due.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Outbox) {
        if self.claimed && self.lingers_until.is_some_and(|until| until <= now) {
            self.end_linger(now, out);
        }
        if !self.claimed && self.resigns_at.is_some_and(|at| at <= now) {
            self.resign(now, out);
        }
        if self.unclaimed_at.is_some_and(|at| at <= now) {
            self.unclaimed_at = None;
            self.event(Kind::Conflict, "given up, and no other host has taken over".to_owned(), out);
        }
        if let State::Master { next, .. } = self.state {
            if next <= now {
                self.advertise(now, out);
            }
            let fit = self.fitness == Fitness::Fit;
            for from in self.problems.tick(now, fit) {
                out.push_back(Output::Announce { router: self.index, from });
            }
        }
    }

    /// Nobody was heard for as long as it had to listen.
    pub(super) fn end_listening(&mut self, now: Instant, out: &mut Outbox) {
        if let State::Listening { until } = self.state
            && until <= now
        {
            self.take(now, Cause::Stall, "nobody took over meanwhile".to_owned(), None, out);
        }
    }

    /// The master that is followed has been silent for too long, or was given up.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Backup { down_at, .. } if down_at <= now)
    }

    pub(super) fn wait_for_group(&mut self) {
        if let State::Backup { waits_for_group, .. } = &mut self.state {
            *waits_for_group = true;
        }
    }

    /// Becomes the master because the one that is followed is due to be replaced.
    pub(super) fn succeed(&mut self, now: Instant, out: &mut Outbox) {
        let interval = self.interval();
        let alive = |heard: &Heard| now.saturating_duration_since(heard.at) <= 3 * heard.interval;
        let rival = self.rival.map(|(rival, _)| rival).filter(alive);
        let lingers = |&(_, at): &(IpAddr, Instant)| now < at + self.settings.linger;
        let resigned = self.resigned.filter(lingers).map(|(from, _)| from);
        let (cause, why, from) = match (resigned, rival, self.master) {
            (Some(from), ..) => {
                (Cause::MasterResigned, format!("{} gave it up", self.name_of(from)), Some(from))
            }
            (None, Some(rival), _) => {
                let why = format!(
                    "preferred: priority {} before {} of {}",
                    self.priority(),
                    rival.priority,
                    self.name_of(rival.from)
                );
                (Cause::Preempted, why, Some(rival.from))
            }
            (None, None, Some(master)) => {
                let silent = text(now.saturating_duration_since(master.at));
                let why = format!("{} has not been heard for {silent}", self.name_of(master.from));
                (Cause::MasterSilent, why, None)
            }
            (None, None, None) => {
                let why = format!("nobody was heard for {}", text(self.master_down(interval)));
                (Cause::MasterSilent, why, None)
            }
        };
        self.take(now, cause, why, from, out);
    }

    /// Becomes the master: advertises, takes the addresses, announces them, says so, in this order.
    pub(super) fn take(
        &mut self,
        now: Instant,
        cause: Cause,
        why: String,
        from: Option<IpAddr>,
        out: &mut Outbox,
    ) {
        self.lingers_until = None;
        self.claimed = true;
        self.unclaimed_at = None;
        self.taken += 1;
        (self.holder, self.held_since) = (None, now);
        self.moved = Some(Move::Took { from });
        self.problems.begin(now, from, self.settings.linger);
        self.enter(now, State::Master { sent: now, next: now }, cause, why.clone());
        self.advertise(now, out);
        out.push_back(Output::Take { router: self.index, from });
        self.event(Kind::Taken, why, out);
    }

    /// What this host can do has changed; `fitness` is that of its whole group.
    pub(super) fn become_fit(&mut self, now: Instant, fitness: Fitness, out: &mut Outbox) {
        if fitness == self.fitness {
            return;
        }
        let before = std::mem::replace(&mut self.fitness, fitness);
        match self.fitness.clone() {
            Fitness::Fit | Fitness::Slow(_) | Fitness::Sick(_) => self.take_part(now, &before, out),
            Fitness::Leaving(why) => self.step_out(now, Cause::Leaving, why, true, out),
            Fitness::Unfit(why) => {
                if self.holds() {
                    self.probation_until = Some(now + PROBATION);
                }
                self.step_out(now, Cause::Unfit, why, false, out);
            }
        }
    }

    fn take_part(&mut self, now: Instant, before: &Fitness, out: &mut Outbox) {
        let why = match &self.fitness {
            Fitness::Slow(why) => format!("slow, so healthy hosts go before: {why}"),
            Fitness::Sick(why) => format!("not well, so others go before: {why}"),
            _ => "fit".to_owned(),
        };
        let was_out = matches!(before, Fitness::Leaving(_) | Fitness::Unfit(_));
        if was_out && self.priority() == OWNER {
            return self.take(now, Cause::Owner, "it owns the addresses".to_owned(), None, out);
        }
        if was_out {
            // Whom it heard meanwhile may speak less often than it would itself.
            let alive = |master: &Heard| now.saturating_duration_since(master.at) <= 4 * master.interval;
            let (master, resigned) = (self.master.filter(alive), self.resigned);
            self.forget();
            self.master = master;
            // It may still serve what is connected to it.
            self.resigned = resigned;
            self.enter(now, State::Off, Cause::Fit, why.clone());
            let interval = master.map_or(self.settings.interval, |master| master.interval);
            self.wait_for_silence(now + self.master_down(interval));
        } else if self.is_master() {
            // At once, so that a healthy host need not wait for the next one to learn of it.
            self.advertise(now, out);
        } else if let Some((rival, _)) = self.rival {
            // It was about to push this one aside, and may not be the one to do so any more.
            self.hear_as_backup(now, rival);
        }
        self.event(Kind::Standby, why, out);
    }

    fn step_out(&mut self, now: Instant, cause: Cause, why: String, lingers: bool, out: &mut Outbox) {
        let was = self.state;
        let master = self.master;
        self.forget();
        match was {
            State::Master { .. } => {
                self.enter(now, State::Off, cause, why.clone());
                self.give_up(now, cause, why, lingers, out);
            }
            // Perhaps nobody has taken over yet: what is connected stays until somebody has.
            State::Listening { .. } if lingers => {
                self.enter(now, State::Off, cause, why.clone());
                self.give_up(now, cause, why, lingers, out);
            }
            State::Listening { .. } => {
                self.enter(now, State::Off, cause, why.clone());
                self.let_go(out);
                self.event(Kind::Standby, why, out);
            }
            State::Off | State::Backup { .. } => {
                self.master = master;
                if !lingers && self.lingers_until.is_some() {
                    self.let_go(out);
                }
                let tell = was != State::Off || self.why != why;
                self.enter(now, State::Off, cause, why.clone());
                if tell {
                    self.event(Kind::Standby, format!("takes no part: {why}"), out);
                }
            }
        }
    }

    /// Ceases to be the master for the group's sake; may succeed again once the others are silent.
    pub(super) fn follow_group(&mut self, now: Instant, lingers: bool, out: &mut Outbox) {
        let why = "its group has moved".to_owned();
        self.forget();
        self.enter(now, State::Off, Cause::Group, why.clone());
        self.give_up(now, Cause::Group, why, lingers, out);
        self.wait_for_silence(now + self.master_down(self.settings.interval));
    }

    /// Says that it is no longer the master, and lets what is connected end, or not. The state has been left already.
    fn give_up(&mut self, now: Instant, cause: Cause, why: String, lingers: bool, out: &mut Outbox) {
        self.resign(now, out);
        self.release(now, cause, why, lingers, out);
    }

    fn resign(&mut self, now: Instant, out: &mut Outbox) {
        out.push_back(Output::Send { router: self.index, advertisement: self.advertisement(0) });
        self.resigns_at = Some(now + self.settings.interval);
    }

    fn release(&mut self, now: Instant, cause: Cause, why: String, lingers: bool, out: &mut Outbox) {
        *self.released.entry(cause).or_default() += 1;
        self.moved = Some(Move::Gave { lingers });
        self.problems.end();
        if lingers {
            self.lingers_until = Some(now + self.settings.linger);
            self.claimed = self.master.is_some();
            // Enough for the least preferred of all to take over.
            let longest = timing::master_down(self.settings.version, 1, self.settings.interval);
            self.unclaimed_at = (!self.claimed).then(|| now + 2 * longest);
            out.push_back(Output::Linger { router: self.index });
        } else {
            self.let_go(out);
        }
        self.event(Kind::Released, why, out);
    }

    /// Whoever still comes to this host would find nobody from now on: the other is asked to announce itself once more.
    fn end_linger(&mut self, now: Instant, out: &mut Outbox) {
        self.resign(now, out);
        self.let_go(out);
    }

    fn let_go(&mut self, out: &mut Outbox) {
        self.lingers_until = None;
        self.claimed = true;
        self.unclaimed_at = None;
        out.push_back(Output::LetGo { router: self.index });
    }

    pub(super) fn advertise(&mut self, now: Instant, out: &mut Outbox) {
        out.push_back(Output::Send {
            router: self.index,
            advertisement: self.advertisement(self.priority()),
        });
        self.state = State::Master { sent: now, next: now + self.settings.interval };
    }

    fn advertisement(&self, priority: u8) -> Advertisement {
        Advertisement {
            version: self.settings.version,
            router_id: self.settings.router_id,
            priority,
            interval: self.settings.interval,
            addresses: self.settings.addresses.clone(),
        }
    }

    /// From master or listening to backup of another.
    fn follow(&mut self, now: Instant, heard: Heard, cause: Cause, why: String) {
        self.forget();
        self.enter(now, State::Off, cause, why);
        self.follow_on(heard);
    }

    fn wait_for_silence(&mut self, down_at: Instant) {
        self.state = State::Backup { down_at, waits_for_group: false };
    }

    fn forget(&mut self) {
        self.master = None;
        self.rival = None;
        self.resigned = None;
    }

    fn enter(&mut self, now: Instant, state: State, cause: Cause, why: String) {
        self.state = state;
        self.since = now;
        self.cause = cause;
        self.why = why;
    }

    pub(super) fn event(&self, kind: Kind, why: String, out: &mut Outbox) {
        out.push_back(Output::Event { kind, subject: self.settings.name.clone(), why });
    }

    /// Version 2 has no way to take over another's interval: such a master is not followed (RFC 3768 §7.1).
    pub(super) fn speaks_otherwise(&self, said: &Advertisement) -> bool {
        said.version != self.settings.version
            || said.router_id != self.settings.router_id
            || (said.version == VrrpVersion::V2 && said.interval != self.settings.interval)
    }
}
