//! What the primary of the rule does: keep the lease, have its engine promoted, and serve.

use super::{Disk, Effect, Failover, Kind, Lease, Register, Report, Role, Rule, Value};

impl Failover {
    pub(super) fn lead(&mut self, rule: &Rule) {
        if self.floor() > rule.term {
            // It pledged itself to a term that is not the rule's: another one will be.
            return;
        }
        let may_have_lease = self.may_have_lease(rule);
        if self.is_promoted_too_late() {
            return self.give_up_lease("its engine takes too long to become a primary");
        }
        if !self.is_fit() {
            return self.give_up_lease(self.why_unfit().unwrap_or("it can't serve"));
        }
        if !may_have_lease {
            return;
        }
        self.keep_lease(rule.term);
        let until = self.held.as_ref().filter(|held| held.term == rule.term).map(|held| held.until);
        if until.is_none_or(|until| self.is_due(until)) {
            return;
        }
        if !self.is_promoted(rule) {
            self.promote(rule);
        } else if self.handover.is_some() {
            self.hand_over(rule);
        } else if !self.known.wish.value.paused {
            if self.leaves_it_to_others(rule) {
                return self.give_up_lease(self.why_unfit().unwrap_or("it lacks standbys"));
            }
            self.tend_cohort(rule);
            self.begin_handover(rule);
        }
    }

    /// The lease is its own; or free; or of somebody who certainly doesn't serve.
    fn may_have_lease(&mut self, rule: &Rule) -> bool {
        let lease = self.known.lease.value.clone();
        match &lease.holder {
            Some(holder) if *holder == self.settings.me => true,
            Some(holder) if *holder == rule.by && lease.term <= rule.term => true,
            None => true,
            Some(_) => self.is_lease_silent(std::time::Duration::ZERO),
        }
    }

    fn is_promoted(&self, rule: &Rule) -> bool {
        let so = |report: &Report| report.role == Role::Primary && report.serves == Some(rule.term);
        self.report.as_ref().is_some_and(so)
    }

    fn is_promoted_too_late(&mut self) -> bool {
        let within = self.settings.promote_within;
        let since =
            self.doing.as_ref().filter(|doing| doing.effect.makes_a_primary()).map(|doing| doing.since);
        since.is_some_and(|since| self.is_due(since + within))
    }

    fn promote(&mut self, rule: &Rule) {
        if self.doing.is_some() || !self.is_due(self.retry_at) {
            return;
        }
        let Some(report) = &self.report else { return };
        let (term, cohort) = (rule.term, rule.cohort.clone());
        // It never stopped being the primary: it wrote this term's rule itself, after a handover that came to nothing.
        let went_on = report.role == Role::Primary && report.serves.is_some() && report.pledged < term;
        if went_on && rule.by == self.settings.me {
            self.begin(Effect::Continue { term, cohort });
        } else if report.role == Role::Primary && report.serves.is_none() {
            self.say(Kind::Conflict, "somebody made it a primary by hand: it never serves".to_owned());
            self.unable("somebody made it a primary by hand");
        } else {
            self.begin(Effect::Promote { term, cohort });
        }
    }

    fn give_up_lease(&mut self, why: &str) {
        let lease = &self.known.lease.value;
        if lease.holder.as_ref() != Some(&self.settings.me) || !self.is_in_contact() {
            return;
        }
        let given_up = Lease { holder: None, beat: lease.beat + 1, ..lease.clone() };
        self.held = None;
        self.served = None;
        self.handover = None;
        // Before the store can know.
        self.set_gate();
        self.say(Kind::Released, format!("gives up the lease: {why}"));
        self.set(Register::Lease, Value::Lease(given_up));
    }

    /// Another host gets the time to take over.
    pub(super) fn unable(&mut self, why: &'static str) {
        self.unable_until = Some((self.now + 3 * self.settings.lease, why));
    }

    /// A primary's engine that stops is not started again at once: a standby is there sooner.
    pub(super) fn watch_engine(&mut self) {
        let Some(report) = &self.report else { return };
        let serves = self.known.rule.value.as_ref().is_some_and(|rule| rule.primary == self.settings.me);
        let failed = report.role == Role::Stopped || report.disk != Disk::Well;
        if serves && failed && self.held.is_some() && self.doing.is_none() && self.unable_until.is_none() {
            self.unable("its engine has just failed");
        }
    }
}

impl Effect {
    pub(super) fn makes_a_primary(&self) -> bool {
        matches!(self, Self::Promote { .. } | Self::Continue { .. })
    }
}
