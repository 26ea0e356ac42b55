//! What clients are told when they may not pass: PostgreSQL's own ErrorResponse (protocol, "Message Formats"), so that every
//! client library shows it as it should.

/// Why a connection was not let in, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The gate was shut.
    Shut,
    /// There were as many connections as there may be.
    TooMany,
    /// What it said is not the protocol, or of a kind that does not pass.
    Malformed,
    /// It said nothing for too long.
    Silent,
    /// A role that may not come from outside.
    Withheld,
    /// PostgreSQL could not be reached.
    Unreachable,
}

impl Refused {
    pub const ALL: [Self; 6] =
        [Self::Shut, Self::TooMany, Self::Malformed, Self::Silent, Self::Withheld, Self::Unreachable];

    pub fn word(self) -> &'static str {
        match self {
            Self::Shut => "shut",
            Self::TooMany => "too-many",
            Self::Malformed => "malformed",
            Self::Silent => "silent",
            Self::Withheld => "withheld",
            Self::Unreachable => "unreachable",
        }
    }
}

/// An error that ends the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fatal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) detail: &'static str,
    pub(crate) hint: &'static str,
}

impl Fatal {
    fn new(code: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self { code, message: message.into(), detail: "", hint }
    }

    /// To who comes while the gate is shut.
    pub(crate) fn shut(why: &str) -> Self {
        const HINT: &str = "Connect to the primary, or through a load balancer; a failover takes a few seconds, then try again.";
        Self::new("57P03", format!("this host does not serve the database now: {why}"), HINT)
    }

    /// To who is connected when it shuts.
    pub(crate) fn cut(why: &str) -> Self {
        const HINT: &str =
            "Connect again. Whether a commit that was not answered was made must be looked up.";
        Self::new("57P01", format!("this host serves the database no longer: {why}"), HINT)
    }

    pub(crate) fn too_many(limit: usize) -> Self {
        Self::new(
            "53300",
            format!("there are {limit} connections already, as many as the gate lets through"),
            "",
        )
    }

    pub(crate) fn malformed(what: &str) -> Self {
        Self::new("08P01", what, "")
    }

    pub(crate) fn unsupported(major: u16, minor: u16) -> Self {
        Self::new("0A000", format!("unsupported frontend protocol {major}.{minor}: it must be 3"), "")
    }

    pub(crate) fn withheld(user: &str) -> Self {
        Self::new("28000", format!("role \"{user}\" connects on the database's host only"), "")
    }

    pub(crate) fn not_replicated(term: u64, primary_of: Option<u64>) -> Self {
        let message = match primary_of {
            Some(other) => format!("this is the primary of term {other}, not of term {term}"),
            None => format!("this is not the primary of term {term}"),
        };
        Self::new("57P03", message, "")
    }

    pub(crate) fn unreachable(why: &str) -> Self {
        Self::new("57P03", format!("PostgreSQL can't be reached on this host: {why}"), "")
    }

    /// In the place of the answer to a commit that was cancelled while it waited for standbys.
    pub(crate) fn unconfirmed() -> Self {
        Self {
            code: "08007",
            message: "the transaction was not confirmed by a standby, because waiting for that was cancelled"
                .into(),
            detail: "It is committed on this host, and is lost if this host fails before a standby has it.",
            hint: "Look up whether it was made before doing it again.",
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let fields = [
            (b'S', "FATAL"),
            (b'V', "FATAL"),
            (b'C', self.code),
            (b'M', &self.message),
            (b'D', self.detail),
            (b'H', self.hint),
        ];
        let mut body = Vec::with_capacity(256);
        for (kind, text) in fields {
            if !text.is_empty() {
                body.push(kind);
                body.extend(text.bytes().filter(|byte| *byte != 0));
                body.push(0);
            }
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        let mut bytes = vec![b'E'];
        bytes.extend(length.to_be_bytes());
        bytes.extend(body);
        bytes
    }
}
