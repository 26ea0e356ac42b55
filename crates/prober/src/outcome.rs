//! How asking once ended.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Characters of a reason that are kept: it comes from the other side.
const WHY: usize = 120;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Good,
    Failed(Failure, String),
    /// Whether it would have been answered is not known: who asks is to blame, and why.
    Unknown(String),
}

impl Outcome {
    pub(crate) fn failed(failure: Failure, why: impl fmt::Display) -> Self {
        Self::Failed(failure, said(why))
    }

    pub(crate) fn unknown(why: impl fmt::Display) -> Self {
        Self::Unknown(said(why))
    }
}

/// What can be shown on a terminal, and is not too long: a database's words may have any character in them.
fn said(why: impl fmt::Display) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    why.to_string().chars().take(WHY).map(plain).collect()
}

/// How it failed, as a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Its name does not resolve.
    Dns,
    Refused,
    Unreachable,
    /// No connection within the time-out.
    ConnectTimeout,
    /// No secure connection: a certificate that is not trusted, or is another's.
    Tls,
    /// Closed or reset before the answer was complete.
    Reset,
    /// Connected, but no complete answer within the time-out.
    Timeout,
    /// An answer that is not one of those expected.
    Status(u16),
    /// An answer without the text that was to be in it.
    Text,
    /// An answer that could not be understood.
    BadReply,
    /// A redirect that leads nowhere: it names no place, one that can't be asked, or another one again and again.
    Redirect,
    /// The database said no.
    Database,
}

impl Failure {
    /// With what was said, if anything was.
    pub fn with(self, why: &str) -> String {
        if why.is_empty() { self.to_string() } else { format!("{self}: {why}") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect-timeout",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Status(status) => return write!(f, "status-{status}"),
            Self::Text => "text-missing",
            Self::BadReply => "bad-reply",
            Self::Redirect => "redirect",
            Self::Database => "database",
        })
    }
}

/// One time that a target was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// From when it was due.
    pub took: Duration,
    /// Each address that was tried, and whether it took the connection; the last one is who answered, or did not.
    pub tried: Vec<(IpAddr, bool)>,
    pub outcome: Outcome,
    pub way: Way,
}

/// By what way it was answered, or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// It was one for a client who keeps his connection.
    pub kept: bool,
    /// A new connection had to be opened for it: the first, or the one before had ended.
    pub opened: bool,
    /// How often it was told to ask elsewhere.
    pub redirects: u64,
}

/// What an error on the way there or back means.
pub(crate) fn of_io(error: &io::Error) -> Outcome {
    use io::ErrorKind as Kind;
    let failure = match error.kind() {
        Kind::ConnectionRefused => Failure::Refused,
        Kind::HostUnreachable | Kind::NetworkUnreachable => Failure::Unreachable,
        Kind::TimedOut => Failure::Timeout,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof => Failure::Reset,
        // rustls tells by it what it did not like.
        Kind::InvalidData => Failure::BadReply,
        // No port, no descriptor, no memory, not allowed: the trouble is here.
        _ => return Outcome::unknown(error),
    };
    Outcome::failed(failure, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_side_says_can_not_draw_on_a_terminal() {
        let Outcome::Failed(_, why) = Outcome::failed(Failure::Database, "no\n\u{1b}[2Jthere \u{9b}31m")
        else {
            panic!("it failed")
        };
        assert_eq!(why, "no  [2Jthere  31m");
    }

    #[test]
    fn what_is_wrong_with_this_machine_is_not_the_services_failure() {
        // EMFILE, EADDRNOTAVAIL, EACCES, ENOBUFS.
        for code in [24, 99, 13, 105] {
            let outcome = of_io(&io::Error::from_raw_os_error(code));
            assert!(matches!(outcome, Outcome::Unknown(_)), "{code}: {outcome:?}");
        }
        // ECONNREFUSED, EHOSTUNREACH, ECONNRESET, EPIPE.
        for (code, failure) in [
            (111, Failure::Refused),
            (113, Failure::Unreachable),
            (104, Failure::Reset),
            (32, Failure::Reset),
        ] {
            let outcome = of_io(&io::Error::from_raw_os_error(code));
            assert!(matches!(outcome, Outcome::Failed(of, _) if of == failure), "{code}: {outcome:?}");
        }
    }
}
