//! A planned change of primary: no new writes; the target has everything; the next term is the target's. Until it is, the
//! old primary can go on, and does at its deadline.

use std::time::Instant;

use super::{Effect, Failover, HandingOver, Host, Kind, Position, Register, Rule, Term, Value, Wish};

#[derive(Debug, Clone)]
pub(super) struct Handover {
    /// The term that is given up.
    term: Term,
    to: Host,
    until: Instant,
    /// Transactions that are still open then are ended.
    force: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Clients go on, while a stop is made quick.
    Preparing,
    /// Transactions that are open may end.
    Holding,
    /// None is open, none begins.
    Idle,
    /// Nothing that was acknowledged is beyond `end`.
    Catching { end: Position },
    /// The hosts are recruited for this term.
    Asked { term: Term, end: Position },
}

impl Handover {
    pub(super) fn is_preparing(&self) -> bool {
        self.stage == Stage::Preparing
    }

    pub(super) fn is_holding(&self) -> bool {
        self.stage == Stage::Holding
    }

    /// To whom, since when no write is taken, in how long at the latest.
    pub(super) fn status(&self, now: Instant) -> HandingOver {
        let stage = match self.stage {
            Stage::Preparing => "a stop is made quick",
            Stage::Holding => "transactions that are open may end",
            Stage::Idle => "looks where the log ends",
            Stage::Catching { .. } => "the target is to have everything",
            Stage::Asked { .. } => "the target is to pledge itself",
        };
        let left = self.until.saturating_duration_since(now);
        HandingOver { to: Some(self.to.clone()), stage: stage.to_owned(), left: Some(left) }
    }

    /// Whether the rule has gone another way.
    pub(super) fn is_over(&self, rule: &Rule, me: &Host) -> bool {
        let own = rule.taking.as_ref().is_none_or(|intent| {
            intent.candidate == *me && matches!(self.stage, Stage::Asked { term, .. } if term == intent.term)
        });
        rule.primary != *me || rule.term != self.term || !own
    }
}

impl Failover {
    pub(super) fn begin_handover(&mut self, rule: &Rule) {
        let Some(wished) = self.known.wish.value.switchover.clone() else { return };
        let revision = self.known.wish.revision;
        if wished.term != rule.term || revision == self.wish_done {
            return self.clear_wish();
        }
        self.wish_done = revision;
        let me = self.settings.me.clone();
        if wished.to.as_ref() == Some(&me) {
            return self.clear_wish();
        }
        let streams = self.report.iter().flat_map(|report| report.standbys.clone());
        let can = |host: &Host| {
            rule.cohort.members.contains(host) && wished.to.as_ref().is_none_or(|wanted| wanted == host)
        };
        let best = streams.filter(|(host, _)| can(host)).max_by_key(|(_, confirmed)| *confirmed);
        let Some((to, _)) = best else {
            let whom = wished.to.map_or_else(|| "no standby".to_owned(), |to| format!("not {to}"));
            return self.say(Kind::Refused, format!("switchover: {whom} is in the cohort and streams"));
        };
        self.say(Kind::Takeover, format!("hands over to {to}"));
        let until = self.now + self.settings.switchover_within;
        self.handover =
            Some(Handover { term: rule.term, to, until, force: wished.force, stage: Stage::Preparing });
        let _ = self.is_due(until);
        self.begin(Effect::Measure);
    }

    fn clear_wish(&mut self) {
        let wish = Wish { switchover: None, ..self.known.wish.value.clone() };
        self.set(Register::Wish, Value::Wish(wish));
    }

    pub(super) fn gate_idle(&mut self) {
        if let Some(handover) = &mut self.handover
            && handover.stage == Stage::Holding
        {
            handover.stage = Stage::Idle;
        }
    }

    pub(super) fn measured(&mut self, end: Option<Position>) {
        let Some(handover) = &mut self.handover else { return };
        match (handover.stage, end) {
            (Stage::Preparing, _) => handover.stage = Stage::Holding,
            (Stage::Idle, Some(end)) => handover.stage = Stage::Catching { end },
            _ => {}
        }
    }

    pub(super) fn hand_over(&mut self, rule: &Rule) {
        let Some(handover) = self.handover.clone() else { return };
        let late = self.is_due(handover.until);
        match handover.stage {
            Stage::Holding if late && handover.force => {
                // The gate is shut, so nothing of theirs is acknowledged any more. The rest gets the same time.
                self.say(Kind::Takeover, format!("hands over to {}: ends what is still open", handover.to));
                let until = self.now + self.settings.switchover_within;
                let _ = self.is_due(until);
                self.handover = Some(Handover { until, stage: Stage::Idle, ..handover });
                self.set_gate();
                self.begin(Effect::Measure);
            }
            Stage::Preparing | Stage::Holding | Stage::Idle if late => self.resume("it took too long"),
            Stage::Holding => {}
            Stage::Preparing | Stage::Idle if !self.is_due(self.retry_at) => {}
            Stage::Preparing | Stage::Idle => self.begin(Effect::Measure),
            Stage::Catching { end } => {
                let caught_up = self.report.as_ref().is_some_and(|report| {
                    report.standbys.iter().any(|(host, at)| *host == handover.to && *at >= end.lsn)
                });
                if late {
                    self.resume("its target did not catch up in time");
                } else if caught_up {
                    let term = self.next_term(rule);
                    let stage = Stage::Asked { term, end };
                    self.handover = Some(Handover { stage, ..handover });
                    self.set_rule(rule.recruiting(term, self.settings.me.clone()));
                }
            }
            Stage::Asked { term, end } => self.conclude(rule, &handover.to, term, end, late),
        }
    }

    fn conclude(&mut self, rule: &Rule, to: &Host, term: Term, end: Position, late: bool) {
        let Some(intent) = &rule.taking else {
            if self.known.is_asked(&Register::Rule) {
                return;
            }
            if late {
                return self.resume("the store does not answer");
            }
            return self.set_rule(rule.recruiting(term, self.settings.me.clone()));
        };
        let pledge = self.known.pledge(to);
        // All that was ever acknowledged is in there: this host's own pledge is that its gate stays shut.
        let has_all = pledge.position.is_some_and(|at| at.term == end.term && at.lsn >= end.lsn);
        if pledge.term == term && has_all && !late {
            self.set_rule(rule.won_by(to.clone(), intent));
        } else if late {
            self.say(Kind::Refused, format!("switchover: {to} did not pledge itself in time"));
            self.set_rule(rule.won_by(self.settings.me.clone(), intent));
        }
    }

    /// On the old one, as if nothing had been.
    fn resume(&mut self, why: &str) {
        self.handover = None;
        self.say(Kind::Refused, format!("switchover: {why}"));
    }
}
