//! What a router makes of another's advertisement.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::timing::Level;
use super::super::{Advertisement, Cause, Fitness};
use super::{Heard, Outbox, PROBATION, Router, State};
use crate::event::Kind;

/// A slow master is pushed aside only once it has been followed for so long: two hosts that are slow by turns do not pass
/// the address to and fro.
pub(in crate::vrrp) const SETTLED: Duration = Duration::from_secs(30);

impl Router {
    /// `leads`: whether its addresses decide between equals.
    pub(in crate::vrrp) fn hear(
        &mut self,
        now: Instant,
        from: IpAddr,
        said: &Advertisement,
        leads: bool,
        out: &mut Outbox,
    ) {
        let heard = Heard { from, priority: said.priority, interval: said.interval, at: now };
        if heard.priority > 0 && !self.is_master() {
            self.claimed = true;
            self.unclaimed_at = None;
        }
        self.note_holder(now, &heard);
        match self.state {
            State::Off if said.priority == 0 => {
                self.master = None;
                self.resigned = Some((from, now));
            }
            State::Off => {
                self.master = Some(heard);
                self.resigned = None;
            }
            State::Backup { .. } => self.hear_as_backup(now, heard),
            State::Listening { .. } if said.priority == 0 => {}
            State::Listening { .. } => {
                let why = format!("{} took over while this host did not run", self.name_of(from));
                self.follow(now, heard, Cause::Stall, why.clone());
                self.release(now, Cause::Stall, why, false, out);
            }
            State::Master { .. } => self.hear_as_master(now, heard, leads, out),
        }
    }

    /// Who is the master, as others say, and since when.
    fn note_holder(&mut self, now: Instant, heard: &Heard) {
        if self.is_master() {
            return;
        }
        match &mut self.holder {
            Some((from, at)) if *from == heard.from => *at = now,
            // Two at one time: one of them is about to yield.
            Some((_, at)) if now < *at + 3 * heard.interval => {}
            _ if heard.priority == 0 => {}
            holder => {
                *holder = Some((heard.from, now));
                self.held_since = now;
            }
        }
    }

    pub(super) fn hear_as_backup(&mut self, now: Instant, heard: Heard) {
        let State::Backup { down_at, .. } = self.state else { return };
        if heard.priority == 0 {
            // Another than the master may speak for the last time; that is nothing to act on while the master is heard.
            let other = |master: &Heard| master.from != heard.from && now < master.at + 2 * master.interval;
            if !self.master.as_ref().is_some_and(other) {
                self.resigned = Some((heard.from, now));
                self.wait_for_silence(down_at.min(now + self.skew()));
            }
            return;
        }
        if heard.priority >= self.priority() {
            self.rival = None;
            // Of two masters the lesser is about to yield, and what it says last must not be taken for the other's word.
            let greater = |master: &Heard| {
                (master.priority, master.from) > (heard.priority, heard.from)
                    && master.from != heard.from
                    && now < master.at + 2 * master.interval
            };
            return match self.master.filter(greater) {
                Some(_) => self.wait_for_silence(down_at.max(now + self.master_down(heard.interval))),
                None => self.follow_on(heard),
            };
        }
        let since = self.rival.map_or(now, |(_, since)| since);
        self.rival = Some((heard, since));
        let (theirs, ours) = (Level::of(heard.priority), Level::of(self.priority()));
        let settled = now.saturating_duration_since(self.held_since) >= SETTLED;
        let relieves = theirs < ours && (theirs == Level::Sick || settled);
        // Nobody is served better by another slow host, or by one that is about to be.
        let bears = theirs == Level::Slow;
        let probation = self.probation(now).is_some();
        let waited = |delay: Duration| now.saturating_duration_since(since) >= delay;
        if relieves {
            self.wait_for_silence(down_at.min(now + self.skew()));
        } else if bears || probation || !self.settings.preempt.is_some_and(waited) {
            self.follow_on(heard);
        }
    }

    /// The master that is followed has said so again.
    pub(super) fn follow_on(&mut self, heard: Heard) {
        self.resigned = None;
        self.master = Some(heard);
        self.wait_for_silence(heard.at + self.master_down(heard.interval));
    }

    fn hear_as_master(&mut self, now: Instant, heard: Heard, leads: bool, out: &mut Outbox) {
        let ours = self.priority();
        let wins_tie = heard.priority == ours && leads && heard.from > self.settings.source;
        if heard.priority > ours || wins_tie {
            let why = format!("{} has priority {}, ours is {ours}", self.name_of(heard.from), heard.priority);
            if matches!(self.fitness, Fitness::Slow(_)) {
                self.probation_until = Some(now + PROBATION);
            }
            self.follow(now, heard, Cause::HigherPriority, why.clone());
            // The other may never have heard that there were two, and must announce the addresses over this host's word.
            self.resign(now, out);
            return self.release(now, Cause::HigherPriority, why, true, out);
        }
        if let State::Master { sent, .. } = self.state
            // A bound, should two answer each other.
            && now.saturating_duration_since(sent) >= self.settings.interval / 10
        {
            self.advertise(now, out);
        }
        let begins = self.problems.two_masters(heard);
        if begins && heard.priority > 0 {
            let why = format!(
                "{} answers too, at priority {} below our {}",
                self.name_of(heard.from),
                heard.priority,
                ours
            );
            self.event(Kind::Conflict, why, out);
        }
    }
}
