//! What every host does that is not the primary: pledge itself when asked, follow who is, and come back as a standby.

use super::{Effect, Failover, Kind, Origin, Pledge, Register, Report, Role, Rule, Term, Value};

impl Failover {
    /// A host whose disk is new may have pledged itself, and have confirmed writes, without knowing. Before it does
    /// anything it says in the store that its data are gone; whatever an earlier process of this host still has under way
    /// to that register fails then.
    pub(super) fn fence(&mut self) -> bool {
        let new = |report: &Report| report.origin != Origin::Ruled || is_blank(report);
        if self.fenced || !self.report.as_ref().is_some_and(new) {
            return true;
        }
        self.pledge_nothing();
        false
    }

    pub(super) fn pledge_nothing(&mut self) {
        let pledge = Pledge { term: self.floor(), position: None, fit: false };
        self.set(Register::Pledge(self.settings.me.clone()), Value::Pledge(pledge));
    }

    /// Hosts are recruited for a term: stop streaming, record it, and say how far this host's data go.
    pub(super) fn answer(&mut self, term: Term) {
        let Some(report) = self.report.clone() else { return };
        if report.origin == Origin::Initialised && self.position().is_none() {
            // It was not the first: its data don't count, and it never confirmed anything.
            return;
        }
        let floor = self.floor();
        if floor > term {
            let why = format!(
                "pledged to {floor}, while {term} is recruited for: the store is older than this host"
            );
            return self.say(Kind::Conflict, why);
        }
        // One that was broken off half-way is not done, though it is recorded.
        let half = report.role == Role::Primary || report.serves.is_some() || report.source.is_some();
        if report.pledged < term || half {
            if self.is_due(self.retry_at) {
                self.begin(Effect::Pledge { term });
            }
            return;
        }
        if self.doing.is_some() {
            return;
        }
        let pledge = Pledge { term, position: self.position(), fit: self.is_fit() };
        if self.known.pledge(&self.settings.me) != pledge {
            self.set(Register::Pledge(self.settings.me.clone()), Value::Pledge(pledge));
        }
    }

    /// Follow the primary of the rule, with whatever it takes.
    pub(super) fn stand_by(&mut self, rule: &Rule) {
        let Some(report) = self.fresh().cloned() else { return };
        let me = &self.settings.me;
        if rule.taking.is_some() || rule.primary == *me || self.floor() > rule.term {
            return;
        }
        if report.role == Role::Primary && report.serves.is_none() {
            self.say(Kind::Conflict, "somebody made it a primary by hand: it never serves".to_owned());
        }
        if self.known.wish.value.paused || self.doing.is_some() || !self.is_due(self.retry_at) {
            return;
        }
        let follows = report.source.as_ref() == Some(&(rule.primary.clone(), rule.term));
        let (primary, term) = (rule.primary.clone(), rule.term);
        if self.position().is_none() || (follows && report.diverged) {
            self.begin(Effect::Rejoin { primary, term });
        } else if !follows || report.role != Role::Standby {
            self.say(Kind::Following, format!("follows {primary} of term {term}"));
            self.begin(Effect::Follow { primary, term });
        }
    }
}

/// Nothing is there, and nothing was ever recorded.
pub(super) fn is_blank(report: &Report) -> bool {
    report.pledged == 0 && report.position.is_none() && report.origin != Origin::Foreign
}
