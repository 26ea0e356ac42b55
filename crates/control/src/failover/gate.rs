//! Whether clients may reach the engine of this host now.

use std::time::{Duration, Instant};

use super::{Failover, Gate, Kind, Origin, Role, Term};

/// The lease, as far as this process itself knows that it has it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) term: Term,
    /// Just before the latest renewal that succeeded was sent.
    pub(super) renewed: Instant,
    /// By this host's clock, and before anybody else's patience can end.
    pub(super) until: Instant,
}

impl Failover {
    /// Until when this host may serve, or why it may not. All of it must be so.
    fn may_serve(&mut self) -> Result<(Instant, Term), &'static str> {
        if !self.known.read {
            return Err("starts");
        }
        let Some(rule) = self.known.rule.value.clone() else { return Err("no rule yet") };
        if rule.primary != self.settings.me {
            return Err("not the primary");
        }
        if rule.taking.is_some() && self.handover.is_none() {
            return Err("another term is being recruited for");
        }
        if self.floor() > rule.term {
            return Err("pledged to a higher term");
        }
        let Some(held) = self.held.clone().filter(|held| held.term == rule.term) else {
            return Err("without the lease");
        };
        if self.is_due(held.until) {
            return Err("the lease has run out");
        }
        let Some(report) = self.fresh() else { return Err("its engine doesn't answer") };
        if report.role != Role::Primary || report.serves != Some(rule.term) {
            return Err("its engine is not the primary of this term");
        }
        if report.origin != Origin::Ruled {
            return Err("its engine goes by no rule yet");
        }
        if let Some(why) = self.why_unfit() {
            return Err(why);
        }
        if !report.synchronous.as_ref().is_some_and(|rules| rule.cohorts().any(|cohort| cohort == rules)) {
            return Err("its engine goes by another synchronous rule");
        }
        Ok((held.until, rule.term))
    }

    pub(super) fn set_gate(&mut self) {
        let was_open = matches!(self.gate, Gate::Open { .. });
        let gate = match self.may_serve() {
            Err(why) => Gate::Close { why },
            Ok((until, term)) => match &self.handover {
                None => Gate::Open { until, term },
                Some(handover) if handover.is_preparing() => Gate::Open { until, term },
                Some(handover) if handover.is_holding() => Gate::Hold { until },
                Some(_) => Gate::Close { why: "hands over" },
            },
        };
        self.change_gate(gate.clone());
        if let (true, Gate::Close { why }) = (was_open, gate) {
            self.say(Kind::Released, why.to_owned());
        }
    }

    /// How long a lease must not have changed, by this host's clock, before it may be taken from its holder.
    pub(super) fn patience(&self) -> Duration {
        self.settings.lease.mul_f64(1.0 + self.settings.clock_error)
    }

    /// Whether the lease's holder has said nothing for long enough, and the store answers.
    pub(super) fn is_lease_silent(&mut self, more: Duration) -> bool {
        // That the register is still as it was seen then, the compare-and-set that takes the lease finds out. But when the store has been
        // away from everybody, the holder shall have time to renew it.
        let renewed = self.contact_since + self.settings.lease / 2;
        let at = renewed.max(self.known.lease_changed + self.patience()) + more;
        self.is_in_contact() && self.is_due(at)
    }
}
