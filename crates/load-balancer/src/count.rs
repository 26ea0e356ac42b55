//! Counters of the workers: each has one writer, its worker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nines_control::statistics::{
    Count, Latency, ListenerStatistics, MemberStatistics, PoolStatistics, Refused, Statistics,
};
use nines_control::traffic::Failure;

use crate::first_words::Beginnings;
use crate::waits::{self, Waits};

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    counts: [Count; Latency::BOUNDS_US.len() + 1],
    sum_us: Count,
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[Latency::bucket(us)].add(1);
        self.sum_us.add(us);
    }

    fn add_to(&self, sum: &mut Latency) {
        for (total, count) in sum.counts.iter_mut().zip(&self.counts) {
            *total += count.get();
        }
        sum.sum_us += self.sum_us.get();
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ListenerCounts {
    pub(crate) connections: Count,
    pub(crate) accepted: Count,
    pub(crate) responses: [Count; 5],
    pub(crate) refused: [Count; Refused::ALL.len()],
    pub(crate) client_gone: Count,
    pub(crate) good: Count,
    pub(crate) bad: Count,
    pub(crate) waits: Waits,
    /// Of TCP connections, for their first words to be answered.
    pub(crate) silences: Waits,
    pub(crate) bytes_in: Count,
    pub(crate) bytes_out: Count,
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct PoolCounts {
    pub(crate) queued: Count,
    pub(crate) retries: Count,
    pub(crate) hedges: Count,
    pub(crate) hedges_won: Count,
    pub(crate) budget_empty: Count,
    pub(crate) good: Count,
    pub(crate) bad: Count,
    pub(crate) waits: Waits,
    pub(crate) silences: Waits,
    pub(crate) beginnings: Beginnings,
    pub(crate) latency: Histogram,
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct MemberCounts {
    pub(crate) in_flight: Count,
    pub(crate) idle_connections: Count,
    pub(crate) tries: Count,
    pub(crate) replies: [Count; 5],
    pub(crate) failures: [Count; Failure::ALL.len()],
    pub(crate) connects: Count,
    pub(crate) latency: Histogram,
}

/// The position of a status code's class in `[Count; 5]`: 1xx is 0.
pub(crate) fn class(status: u16) -> usize {
    usize::from((status / 100).clamp(1, 5) - 1)
}

/// A name, and what each worker counts under it.
#[derive(Debug)]
struct ByName<T>(BTreeMap<String, BTreeMap<usize, Arc<T>>>);

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Default> ByName<T> {
    fn of(&mut self, name: &str, worker: usize) -> Arc<T> {
        self.0.entry(name.to_owned()).or_default().entry(worker).or_default().clone()
    }

    fn each<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a T> {
        self.0.get(name).into_iter().flat_map(|workers| workers.values().map(Arc::as_ref))
    }
}

/// Every counter of every worker, by name, so that they survive a reload.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    listeners: ByName<ListenerCounts>,
    pools: ByName<PoolCounts>,
    /// By `pool/member`.
    members: ByName<MemberCounts>,
}

impl Counts {
    pub(crate) fn listener(&self, name: &str, worker: usize) -> Arc<ListenerCounts> {
        self.names().listeners.of(name, worker)
    }

    pub(crate) fn pool(&self, name: &str, worker: usize) -> Arc<PoolCounts> {
        self.names().pools.of(name, worker)
    }

    pub(crate) fn member(&self, pool: &str, member: &str, worker: usize) -> Arc<MemberCounts> {
        self.names().members.of(&format!("{pool}/{member}"), worker)
    }

    /// Sums over the workers for the listeners and pools that are in force.
    pub(crate) fn sum<'a>(
        &self,
        listeners: impl Iterator<Item = &'a str>,
        pools: impl Iterator<Item = &'a nines_system::Pool>,
    ) -> Statistics {
        let names = self.names();
        Statistics {
            listeners: listeners.map(|name| sum_listener(&names, name)).collect(),
            pools: pools.map(|pool| sum_pool(&names, pool)).collect(),
            ..Statistics::default()
        }
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sum_listener(names: &Names, name: &str) -> ListenerStatistics {
    let mut sum = ListenerStatistics { name: name.to_owned(), ..Default::default() };
    let mut refused = [0; Refused::ALL.len()];
    let now = Instant::now();
    for counts in names.listeners.each(name) {
        sum.connections += counts.connections.get();
        sum.accepted += counts.accepted.get();
        add_each(&mut sum.responses, &counts.responses);
        add_each(&mut refused, &counts.refused);
        sum.client_gone += counts.client_gone.get();
        sum.good += counts.good.get();
        sum.bad += counts.bad.get();
        sum.waiting = sum.waiting.max(counts.waits.oldest(now));
        sum.bytes_in += counts.bytes_in.get();
        sum.bytes_out += counts.bytes_out.get();
    }
    let silences = || names.listeners.each(name).map(|counts| &counts.silences);
    sum.waiting = sum.waiting.max(waits::of_several(silences, now));
    sum.refused = Refused::ALL.into_iter().zip(refused).collect();
    sum
}

fn sum_pool(names: &Names, pool: &nines_system::Pool) -> PoolStatistics {
    let mut sum = PoolStatistics { name: pool.name.clone(), ..Default::default() };
    let now = Instant::now();
    for counts in names.pools.each(&pool.name) {
        sum.queued += counts.queued.get();
        sum.retries += counts.retries.get();
        sum.hedges += counts.hedges.get();
        sum.hedges_won += counts.hedges_won.get();
        sum.budget_empty += counts.budget_empty.get();
        sum.good += counts.good.get();
        sum.bad += counts.bad.get();
        sum.waiting = sum.waiting.max(counts.waits.oldest(now));
        counts.latency.add_to(&mut sum.latency);
    }
    let silences = || names.pools.each(&pool.name).map(|counts| &counts.silences);
    sum.waiting = sum.waiting.max(waits::of_several(silences, now));
    sum.members = pool.members.iter().map(|member| sum_member(names, &pool.name, &member.name)).collect();
    sum
}

fn sum_member(names: &Names, pool: &str, member: &str) -> MemberStatistics {
    let mut sum = MemberStatistics { name: member.to_owned(), ..Default::default() };
    let mut failures = [0; Failure::ALL.len()];
    for counts in names.members.each(&format!("{pool}/{member}")) {
        sum.in_flight += counts.in_flight.get();
        sum.idle_connections += counts.idle_connections.get();
        sum.tries += counts.tries.get();
        add_each(&mut sum.replies, &counts.replies);
        add_each(&mut failures, &counts.failures);
        sum.connects += counts.connects.get();
        counts.latency.add_to(&mut sum.latency);
    }
    sum.failures = Failure::ALL.into_iter().zip(failures).collect();
    sum
}

fn add_each(sums: &mut [u64], counts: &[Count]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count.get();
    }
}
