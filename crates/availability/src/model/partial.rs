//! What takes a part of the clients' requests along, and not the service: a member that gets its share though it is gone.
//!
//! Where requests are tried once, a member's share is lost until somebody notices, and where nobody does, until it is repaired.
//! That is counted as such a part of the time: a third of the requests for three hours is an hour. Where they are tried again they
//! find another member, and count as answered.

use super::{Builder, Kind, Model, takes};
use crate::distribution::Hours;
use crate::service::Pool;
use crate::simulation::Sharing;
use crate::structure::Analysis;

/// Hours until nobody is sent to a member any more that is gone; `None`: only its repair ends it. No hours where it costs nothing.
fn lasts(pool: &Pool) -> Option<f64> {
    match pool.tries > 1 {
        true => Some(0.0),
        false => pool.unnoticed().map(|time| time.as_secs_f64() / 3600.0),
    }
}

impl Model {
    /// The share of time that clients lose by each event while the service is up: what they lose while it is down as well is
    /// counted already.
    pub(crate) fn by_partial_losses(&self, analysis: &Analysis) -> Vec<(&Kind, f64)> {
        if self.partial.iter().all(|share| *share == 0.0) {
            return Vec::new();
        }
        let down = analysis.probability(&self.q).likely;
        let matters = analysis.importance(&self.q);
        let lost = |at: usize| {
            let down_with_it = down + (1.0 - self.q[at]) * matters[at].birnbaum;
            (&self.kinds[at], self.partial[at] * (1.0 - down_with_it).max(0.0))
        };
        (0..self.partial.len()).map(lost).filter(|(_, share)| *share > 0.0).collect()
    }
}

impl Builder<'_> {
    /// For each event the part of the time that clients lose by it, where it does not take the service down alone.
    pub(super) fn partial_losses(&mut self) {
        let mut partial = vec![0.0_f64; self.model.kinds.len()];
        let pools = self.service.pools.iter().filter(|pool| pool.reaches.is_none() && pool.members.len() > 1);
        let pools: Vec<(&Pool, Option<f64>)> =
            pools.map(|pool| (pool, lasts(pool))).filter(|(_, lasts)| *lasts != Some(0.0)).collect();
        if pools.is_empty() {
            return;
        }
        let sharing = pools.iter().map(|(pool, lasts)| {
            let members = pool.members.iter().filter(|member| !member.backup);
            let members = members.map(|member| (self.hosts[member.host].1, member.weight as u64));
            Sharing { members: members.collect(), lasts: *lasts }
        });
        self.model.sharing = sharing.collect();
        for (at, kind) in self.model.kinds.iter().enumerate().filter(|(_, kind)| kind.is_place()) {
            let most = pools.iter().map(|(pool, lasts)| {
                let time = match lasts {
                    Some(hours) => {
                        let repair = self.model.behaviours[at].repair;
                        self.model.frequency[at] * repair.first_of(&Hours::Fixed(*hours))
                    }
                    None => self.model.q[at],
                };
                pool.share(|member| takes(self.service, kind, member.host)) * time
            });
            partial[at] = most.fold(0.0, f64::max);
        }
        for (at, part) in partial.iter_mut().enumerate().filter(|(_, part)| **part > 0.0) {
            if self.model.tree.fails(self.model.top, |event| event.index() == at) {
                *part = 0.0;
            }
        }
        self.model.partial = partial;
    }
}
