//! What the daemon and the thread tell each other: wishes one way, a status the other. The latest counts, so nothing
//! queues up.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nines_control::status::VirtualIpStatus;
use nines_control::vrrp::Fitness;
use nines_system::LoadBalancerId;
use tokio::sync::Notify;

use crate::plan::Planned;

/// A daemon's loop that has not been heard of for so long hangs.
const DAEMON_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Shared {
    wanted: Mutex<Wanted>,
    /// Something is wanted that was not before.
    pub(crate) changed: Notify,
    status: Mutex<(Instant, Vec<VirtualIpStatus>)>,
}

#[derive(Debug)]
struct Wanted {
    plan: Vec<Planned>,
    /// Grows with every plan.
    generation: u64,
    fitness: Vec<(LoadBalancerId, Fitness)>,
    /// When `fitness` was last set.
    heard: Instant,
    /// Since when the thread is to end.
    stop: Option<Instant>,
}

impl Shared {
    pub(crate) fn new(plan: Vec<Planned>) -> Self {
        let now = Instant::now();
        Self {
            wanted: Mutex::new(Wanted { plan, generation: 1, fitness: Vec::new(), heard: now, stop: None }),
            changed: Notify::new(),
            status: Mutex::new((now, Vec::new())),
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_fitness(&self, fitness: Vec<(LoadBalancerId, Fitness)>) {
        let mut wanted = self.wanted();
        wanted.heard = Instant::now();
        if wanted.fitness != fitness {
            wanted.fitness = fitness;
            self.changed.notify_one();
        }
    }

    pub(crate) fn set_plan(&self, plan: Vec<Planned>) {
        let mut wanted = self.wanted();
        if wanted.plan != plan {
            wanted.plan = plan;
            wanted.generation += 1;
            self.changed.notify_one();
        }
    }

    /// Returns when this was first said.
    pub(crate) fn stop(&self) -> Instant {
        let since = *self.wanted().stop.get_or_insert_with(Instant::now);
        self.changed.notify_one();
        since
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.wanted().stop.is_some()
    }

    /// The plan and its generation, if it is another one than that.
    pub(crate) fn plan_after(&self, generation: u64) -> Option<(Vec<Planned>, u64)> {
        let wanted = self.wanted();
        (wanted.generation != generation).then(|| (wanted.plan.clone(), wanted.generation))
    }

    /// What the daemon says of a load balancer. `excused`: this whole process has just been asleep, so that nobody's
    /// silence says anything.
    pub(crate) fn fitness(&self, of: LoadBalancerId, now: Instant, excused: bool) -> Fitness {
        let wanted = self.wanted();
        let said = wanted.fitness.iter().find(|(load_balancer, _)| *load_balancer == of);
        let said = said.map_or_else(|| Fitness::Unfit("starts".to_owned()), |(_, fitness)| fitness.clone());
        let silent = now.saturating_duration_since(wanted.heard);
        if excused || silent < DAEMON_PATIENCE {
            return said;
        }
        said.or_worse(Fitness::Sick("the daemon's loop hangs".to_owned()))
    }

    pub(crate) fn publish(&self, now: Instant, status: Vec<VirtualIpStatus>) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = (now, status);
    }

    pub(crate) fn status(&self) -> Vec<VirtualIpStatus> {
        let (at, mut status) = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let since = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        for one in &mut status {
            one.since_ms = one.since_ms.saturating_add(since);
        }
        status
    }
}
