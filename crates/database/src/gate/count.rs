//! What a gate counts. Each worker has its own counters, which it alone writes.

use nines_control::statistics::Count;

use super::refusal::Refused;

/// Since the gate was opened, but for what is open now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of clients, now.
    pub connections: u64,
    /// Of standbys, and of those who rewind, now.
    pub replication_connections: u64,
    /// Waiting to be let in, now: in a hold, or before they have said what they want.
    pub waiting: u64,
    pub accepted: u64,
    pub replication_accepted: u64,
    pub refused: Vec<(Refused, u64)>,
    /// Clients' connections that were ended because the gate shut.
    pub closed: u64,
    /// Connections that were ended in the place of the answer to a commit that no standby confirmed.
    pub unconfirmed: u64,
    pub cancels: u64,
    pub questions: u64,
    /// As PostgreSQL gets them, and as they go onto the wire.
    pub bytes_from_clients: u64,
    pub bytes_to_clients: u64,
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerCounts {
    pub(crate) open: Count,
    pub(crate) clients: Count,
    pub(crate) replicas: Count,
    pub(crate) clients_accepted: Count,
    pub(crate) replicas_accepted: Count,
    pub(crate) refused: [Count; Refused::ALL.len()],
    pub(crate) closed: Count,
    pub(crate) unconfirmed: Count,
    pub(crate) cancels: Count,
    pub(crate) questions: Count,
    pub(crate) from_clients: Count,
    pub(crate) to_clients: Count,
}

impl WorkerCounts {
    pub(crate) fn refuse(&self, why: Refused) {
        for (known, count) in Refused::ALL.into_iter().zip(&self.refused) {
            if known == why {
                count.add(1);
            }
        }
    }
}

pub(crate) fn sum<'a>(workers: impl Iterator<Item = &'a WorkerCounts>) -> Counts {
    let mut sum = Counts { refused: Refused::ALL.map(|why| (why, 0)).to_vec(), ..Counts::default() };
    for counts in workers {
        let passing = counts.clients.get() + counts.replicas.get();
        sum.connections += counts.clients.get();
        sum.replication_connections += counts.replicas.get();
        sum.waiting += counts.open.get().saturating_sub(passing);
        sum.accepted += counts.clients_accepted.get();
        sum.replication_accepted += counts.replicas_accepted.get();
        for ((_, total), count) in sum.refused.iter_mut().zip(&counts.refused) {
            *total += count.get();
        }
        sum.closed += counts.closed.get();
        sum.unconfirmed += counts.unconfirmed.get();
        sum.cancels += counts.cancels.get();
        sum.questions += counts.questions.get();
        sum.bytes_from_clients += counts.from_clients.get();
        sum.bytes_to_clients += counts.to_clients.get();
    }
    sum
}
