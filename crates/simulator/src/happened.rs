//! What can be done to hosts and links, and what happens to them: in words for the trace, as numbers for its fingerprint.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::{Conditions, HostIndex, Program};

/// What is done to hosts and links.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// The process stops (SIGSTOP); its host's kernel goes on and keeps what arrives, up to the socket's bound.
    Pause(HostIndex),
    /// The whole host stops; what arrives is lost. Its clock goes on.
    Freeze(HostIndex),
    /// The end of both.
    Resume(HostIndex),
    /// The process is killed.
    Crash(HostIndex),
    Start(HostIndex),
    Cut(HostIndex, HostIndex),
    Mend(HostIndex, HostIndex),
    Weather(HostIndex, HostIndex, Conditions),
}

impl Fault {
    /// Which kind, and whom it hits.
    fn numbers(&self) -> (u8, HostIndex, HostIndex) {
        match *self {
            Self::Pause(host) => (0, host, host),
            Self::Freeze(host) => (1, host, host),
            Self::Resume(host) => (2, host, host),
            Self::Crash(host) => (3, host, host),
            Self::Start(host) => (4, host, host),
            Self::Cut(from, to) => (5, from, to),
            Self::Mend(from, to) => (6, from, to),
            Self::Weather(from, to, _) => (7, from, to),
        }
    }
}

/// One thing that happened, for the trace and for whoever checks.
pub enum Happened<P: Program> {
    Fault(Fault),
    /// How long a process that goes on had stood still, by its own clock.
    Resumed(HostIndex, Duration),
    Sent(HostIndex, P::Message),
    /// From, to.
    Lost(HostIndex, HostIndex, P::Message),
    /// From, to: a process reads it.
    Read(HostIndex, HostIndex, P::Message),
    Ordered(HostIndex, P::Order),
    Timer(HostIndex),
    Noted(HostIndex, P::Note),
}

impl<P: Program> Clone for Happened<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Fault(fault) => Self::Fault(*fault),
            Self::Resumed(host, stood) => Self::Resumed(*host, *stood),
            Self::Sent(host, message) => Self::Sent(*host, message.clone()),
            Self::Lost(from, to, message) => Self::Lost(*from, *to, message.clone()),
            Self::Read(from, to, message) => Self::Read(*from, *to, message.clone()),
            Self::Ordered(host, order) => Self::Ordered(*host, order.clone()),
            Self::Timer(host) => Self::Timer(*host),
            Self::Noted(host, note) => Self::Noted(*host, note.clone()),
        }
    }
}

impl<P: Program> Hash for Happened<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Fault(fault) => (0_u64, fault.numbers()).hash(state),
            Self::Resumed(host, stood) => (1_u64, host, stood).hash(state),
            Self::Sent(host, message) => (2_u64, host, message).hash(state),
            Self::Lost(from, to, message) => (3_u64, from, to, message).hash(state),
            Self::Read(from, to, message) => (4_u64, from, to, message).hash(state),
            Self::Ordered(host, order) => (5_u64, host, order).hash(state),
            Self::Timer(host) => (6_u64, host).hash(state),
            Self::Noted(host, note) => (7_u64, host, note).hash(state),
        }
    }
}

/// Hosts are counted from one.
struct Name(HostIndex);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host{}", self.0 + 1)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, from, to) = self.numbers();
        let (from, to) = (Name(from), Name(to));
        match self {
            Self::Pause(_) => write!(f, "{from}  FAULT  its process is paused"),
            Self::Freeze(_) => write!(f, "{from}  FAULT  the whole host is frozen"),
            Self::Resume(_) => write!(f, "{from}  goes on"),
            Self::Crash(_) => write!(f, "{from}  FAULT  its process is killed"),
            Self::Start(_) => write!(f, "{from}  its process starts"),
            Self::Cut(..) => write!(f, "{from}  FAULT  cut off from {to}, in this direction"),
            Self::Mend(..) => write!(f, "{from}  reaches {to} again"),
            Self::Weather(.., conditions) => write!(
                f,
                "{from}  FAULT  to {to}: {:.0} % lost, {:.0} % doubled, delay {:?} to {:?}",
                conditions.loss * 100.0,
                conditions.duplicate * 100.0,
                conditions.shortest,
                conditions.longest
            ),
        }
    }
}

impl<P: Program> fmt::Display for Happened<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Resumed(host, stood) => write!(f, "{}  had stood still for {stood:?}", Name(*host)),
            Self::Sent(host, message) => write!(f, "{}  sends  {message}", Name(*host)),
            Self::Lost(from, to, message) => write!(f, "{}  loses  {message} of {}", Name(*to), Name(*from)),
            Self::Read(from, to, message) => write!(f, "{}  reads  {message} of {}", Name(*to), Name(*from)),
            Self::Ordered(host, order) => write!(f, "{}  learns {order}", Name(*host)),
            Self::Timer(host) => write!(f, "{}  timer", Name(*host)),
            Self::Noted(host, note) => write!(f, "{}  {note}", Name(*host)),
        }
    }
}
