//! What the data plane has counted: plain numbers, summed over the workers, shared by status and metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::vrrp::Turns;

/// A counter or a gauge that one thread alone writes, and any number read: a plain load and store, without a lock prefix.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counters only grow while the daemon runs; gauges are the value now. They survive a reload by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    pub listeners: Vec<ListenerStatistics>,
    pub pools: Vec<PoolStatistics>,
    /// Longest time since a worker last turned its loop, in milliseconds.
    pub worker_stall_ms: u64,
    pub workers: usize,
    /// Turns that the workers set a timer for, and of those the ones that came late.
    #[serde(default)]
    pub turns: Turns,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ListenerStatistics {
    /// `front/http-80`.
    pub name: String,
    /// Connections now.
    pub connections: u64,
    /// Connections ever.
    pub accepted: u64,
    /// Requests by the reply's class: index 0 is 1xx … 4 is 5xx.
    pub responses: [u64; 5],
    /// Requests that `nines` answered itself, by cause.
    pub refused: Vec<(Refused, u64)>,
    /// Clients that went away before their reply was complete.
    pub client_gone: u64,
    /// Requests that were served well, and not, when they ended: docs/measurement.md says what counts as which. What is the client's own
    /// doing is neither.
    #[serde(default)]
    pub good: u64,
    #[serde(default)]
    pub bad: u64,
    /// Seconds that the oldest request has been waiting for its reply to begin; 63 at most.
    #[serde(default)]
    pub waiting: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Why `nines` answered a request (or closed a connection) itself: one word each, the same in the access log,
/// the metrics and the `nines-cause` header of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refused {
    /// 400, 431, 501, 505: the request's framing or head is not acceptable.
    BadRequest,
    /// 408: the head or body did not come in time.
    ClientTimeout,
    /// 404: no route.
    NoRoute,
    /// 503: no member may serve.
    NoMember,
    /// 503: queue full.
    QueueFull,
    /// 503: waited too long in the queue.
    QueueTimeout,
    /// 502: no member accepted a connection.
    Connect,
    /// 504: no member accepted a connection in time.
    ConnectTimeout,
    /// 502: the member closed or reset before a reply.
    Reset,
    /// 504: the member did not begin its reply in time.
    FirstByteTimeout,
    /// 504: the whole request's time was up.
    RequestTimeout,
    /// 502: the member's reply could not be understood.
    BadReply,
}

impl Refused {
    pub const ALL: [Self; 12] = [
        Self::BadRequest,
        Self::ClientTimeout,
        Self::NoRoute,
        Self::NoMember,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Reset,
        Self::FirstByteTimeout,
        Self::RequestTimeout,
        Self::BadReply,
    ];

    /// The word as it stands in logs, metrics and headers.
    pub fn word(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::ClientTimeout => "client-timeout",
            Self::NoRoute => "no-route",
            Self::NoMember => "no-member",
            Self::QueueFull => "queue-full",
            Self::QueueTimeout => "queue-timeout",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect-timeout",
            Self::Reset => "reset",
            Self::FirstByteTimeout => "first-byte-timeout",
            Self::RequestTimeout => "request-timeout",
            Self::BadReply => "bad-reply",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolStatistics {
    pub name: String,
    pub members: Vec<MemberStatistics>,
    /// Requests waiting for a place now.
    pub queued: u64,
    /// Further tries because an earlier one failed.
    pub retries: u64,
    /// Further tries because an earlier one was silent.
    pub hedges: u64,
    /// Hedges whose reply was the one used.
    pub hedges_won: u64,
    /// Further tries not made because the budget was empty.
    pub budget_empty: u64,
    /// Requests for it that were served well, and not, whatever it took.
    #[serde(default)]
    pub good: u64,
    #[serde(default)]
    pub bad: u64,
    /// Seconds that the oldest request has been waiting for its reply to begin; 63 at most.
    #[serde(default)]
    pub waiting: u64,
    /// Time to the reply's first byte.
    pub latency: Latency,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberStatistics {
    /// `app1:8080`.
    pub name: String,
    /// Requests (HTTP) or connections (TCP) now.
    pub in_flight: u64,
    /// Connections to it that are idle now.
    pub idle_connections: u64,
    /// Tries sent to it.
    pub tries: u64,
    /// Tries by how they ended, without those that were called off because another was faster.
    pub replies: [u64; 5],
    pub failures: Vec<(crate::traffic::Failure, u64)>,
    /// Connections opened to it.
    pub connects: u64,
    pub latency: Latency,
}

/// A histogram of durations with fixed upper bounds, as Prometheus has it, not cumulative here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub counts: [u64; Latency::BOUNDS_US.len() + 1],
    pub sum_us: u64,
}

impl Latency {
    /// Upper bounds of the buckets in microseconds; the last bucket has none.
    pub const BOUNDS_US: [u64; 14] = [
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        10_000_000, 30_000_000,
    ];

    pub fn bucket(us: u64) -> usize {
        Self::BOUNDS_US.partition_point(|&bound| bound < us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        assert_eq!(Latency::bucket(0), 0);
        assert_eq!(Latency::bucket(500), 0);
        assert_eq!(Latency::bucket(501), 1);
        assert_eq!(Latency::bucket(u64::MAX), Latency::BOUNDS_US.len());
    }

    #[test]
    fn words_are_what_serde_writes() {
        for cause in Refused::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.word());
        }
    }
}
