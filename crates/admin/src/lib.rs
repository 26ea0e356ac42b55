//! HTTP API and metrics over what the daemon knows.
//!
//! The room shows and asks, it decides nothing: whoever runs the daemon hands in a [`Source`], and this room serves it
//! on a Unix socket ([`bind`]) and, where the file asks, on a TCP address, read-only. [`Client`] is the other end, for
//! the operator's commands.
//!
//! | | |
//! |---|---|
//! | `GET /status` | [`Status`] |
//! | `GET /events?after=N&wait_ms=M` | [`api::Events`]; waits up to `M` ms for one after `N` |
//! | `GET /measured?seconds=N` | what was measured in the latest `N` seconds |
//! | `GET /metrics` | OpenMetrics text |
//! | `GET /healthz` | 200 while the host serves, 503 while it starts, drains or is drained |
//! | `POST /wish` | [`api::WishOrder`] → [`api::Touched`]; only on the Unix socket |
//! | `POST /databases` | [`api::DatabaseOrder`] → [`api::Granted`]; only on the Unix socket |

use std::future::Future;

use nines_control::event::Event;
use nines_control::status::{Status, Wish};

pub mod api;
mod client;
mod metrics;
mod server;
mod socket;

pub use client::{Client, ClientError};
pub use server::{read_only, router, serve};
pub use socket::{BindError, Socket, bind};

/// What the daemon knows and can be asked for. Cheap to clone: each connection has its own.
pub trait Source: Clone + Send + Sync + 'static {
    fn status(&self) -> impl Future<Output = Result<Status, Gone>> + Send;

    /// The events after this sequence that are still kept, oldest first.
    fn events(&self, after: u64) -> impl Future<Output = Result<Vec<Event>, Gone>> + Send;

    /// What was measured in the latest seconds, as JSON: this room does not look into it.
    fn measured(&self, seconds: u64) -> impl Future<Output = Result<String, Gone>> + Send;

    /// Until there is an event after this sequence.
    fn newer(&self, after: u64) -> impl Future<Output = ()> + Send;

    /// The operator's wish for a member or a pool: names what it touched.
    fn wish(
        &self,
        target: String,
        wish: Wish,
    ) -> impl Future<Output = Result<Result<Vec<String>, api::Problem>, Gone>> + Send;

    /// The operator's order to a database: what follows from it.
    fn database(
        &self,
        order: api::DatabaseOrder,
    ) -> impl Future<Output = Result<Result<String, api::Problem>, Gone>> + Send;
}

/// The daemon is on its way out and answers no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Gone;
