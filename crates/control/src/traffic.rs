//! What the traffic itself says about a member: reported by the data plane, judged by [`crate::pools`].

use serde::{Deserialize, Serialize};

/// How a try at a member failed, as the traffic saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The connection was refused or the host unreachable.
    Refused,
    ConnectTimeout,
    /// Closed or reset before the reply was complete.
    Reset,
    /// Silent while another member answered the same request, or past the first-byte time-out.
    Silent,
    /// A reply that could not be understood.
    BadReply,
    /// A 5xx reply, where the file asks for it.
    ServerError,
    /// A database's gate let a client in no further: it had ceased to serve, and that was not known here yet.
    TurnedAway,
}

impl Failure {
    pub const ALL: [Self; 7] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::Reset,
        Self::Silent,
        Self::BadReply,
        Self::ServerError,
        Self::TurnedAway,
    ];

    /// The word as it stands in `/status` and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::BadReply => "bad-reply",
            Self::ServerError => "server-error",
            Self::TurnedAway => "turned-away",
        }
    }

    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::ConnectTimeout => "connect timed out",
            Self::Reset => "connection reset",
            Self::Silent => "silent",
            Self::BadReply => "reply not understood",
            Self::ServerError => "server error",
            Self::TurnedAway => "turned away by the gate",
        }
    }
}

/// What the traffic reports about a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    Failed(Failure),
    /// The first success after failures on that worker.
    Recovered,
}
