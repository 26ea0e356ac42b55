//! What a host can do for the clients of a virtual address: the address follows what serves.

use nines_system::{LoadBalancerId, System};

use crate::pools::Pools;

/// What this host can do for a virtual address's clients, from the best to the worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness {
    Fit,
    /// It serves, but stands still again and again ([`super::Slowness`]).
    Slow(String),
    /// It serves nobody well: any other host should do it.
    Sick(String),
    /// It is wanted to leave, and serves to the end what is connected.
    Leaving(String),
    /// It can't serve at all.
    Unfit(String),
}

impl Fitness {
    /// What the pools have to say: a load balancer that reaches nobody is not well. Where that holds for every host, none
    /// of them goes before another for it.
    pub fn of_pools(system: &System, load_balancer: LoadBalancerId, pools: &Pools) -> Self {
        let listeners = &system[load_balancer].listeners;
        let mut reached: Vec<_> = listeners.iter().flat_map(|listener| listener.protocol.pools()).collect();
        reached.sort_unstable();
        reached.dedup();
        if reached.is_empty() || !reached.iter().all(|&pool| pools.is_down(pool)) {
            return Self::Fit;
        }
        let names: Vec<&str> = reached.iter().map(|&pool| system[pool].name.as_str()).collect();
        Self::Sick(format!("no member of {} is healthy from here", names.join(", ")))
    }

    /// The worse of two; of two equally bad ones the first.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Fit => 0,
            Self::Slow(_) => 1,
            Self::Sick(_) => 2,
            Self::Leaving(_) => 3,
            Self::Unfit(_) => 4,
        }
    }
}
