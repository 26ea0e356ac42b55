//! How a listener ends without losing a client.
//!
//! The kernel completes handshakes by itself; closing a listening socket resets every connection that it has completed
//! and nobody has accepted yet, though its client may have sent a request already. So new handshakes are ignored
//! first, those that have begun get time to complete and are accepted, and only then the socket is closed. Clients that
//! came in between try again after a second, by TCP's own rule, and are refused.

use std::time::Duration;

/// For a handshake that has begun: a round trip to the client.
pub(crate) const HANDSHAKE: Duration = Duration::from_millis(200);
