//! A reply's head: read as strictly as a request's, then rendered for the client.

use std::mem::MaybeUninit;

use super::field::{self, Coding, Connection, Declared, Field, Lines};
use super::{Asked, Framing, HEADERS_MAX, Limits, Method, Span, Version, copy_without, cut};

/// Why a member's reply cannot be passed on. Its connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadReply(pub &'static str);

/// Whom a reply is rendered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downstream {
    /// Of the request.
    pub version: Version,
    /// Whether the client's connection should stay open.
    pub keep_alive: bool,
}

/// The head of a reply: ranges of the buffer that it was parsed from, and what they mean.
///
/// Made once and reused, like [`super::RequestHead`].
#[derive(Debug)]
pub struct ResponseHead {
    len: u32,
    status: u16,
    framing: Framing,
    keep_alive: bool,
    /// Whether the Upgrade line stays: replies 101 and 426.
    upgrade: bool,
    cuts: Vec<Span>,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseHead {
    pub fn new() -> Self {
        Self {
            len: 0,
            status: 0,
            framing: Framing::None,
            keep_alive: false,
            upgrade: false,
            cuts: Vec::new(),
        }
    }

    /// Reads the head at the start of `buffer`; `Ok(false)`: it goes on, come back with more.
    ///
    /// # Errors
    /// [`BadReply`] for what is malformed, ambiguous, too long, or no answer to what was asked.
    pub fn parse(&mut self, buffer: &[u8], asked: Asked, limits: &Limits) -> Result<bool, BadReply> {
        if matches!(buffer, [b'\r' | b'\n', ..]) {
            return Err(BadReply("empty lines before the reply"));
        }
        let window = &buffer[..buffer.len().min(limits.head_bytes)];
        let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut reply = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut reply,
            window,
            &mut room[..limits.headers.min(HEADERS_MAX)],
        );
        let len = match parsed {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if buffer.len() < limits.head_bytes => return Ok(false),
            Ok(httparse::Status::Partial) => return Err(BadReply("the head is too long")),
            Err(error) => return Err(BadReply(explain(error))),
        };
        let (Some(version), Some(status)) = (reply.version, reply.code) else {
            return Err(BadReply("the status line is malformed"));
        };
        let version = if version == 0 { Version::Http10 } else { Version::Http11 };
        match status {
            100..=599 => {}
            _ => return Err(BadReply("a status that does not exist")),
        }
        if status == 101 && !asked.upgrade {
            return Err(BadReply("101 without a request to upgrade"));
        }
        self.len = len as u32;
        self.status = status;
        self.upgrade = matches!(status, 101 | 426);
        let lines = Lines::new(reply.headers, buffer, len).ok_or(BadReply("a line ends with a bare LF"))?;
        self.read_fields(&lines, version, asked)?;
        Ok(true)
    }

    fn read_fields(&mut self, lines: &Lines<'_, '_>, version: Version, asked: Asked) -> Result<(), BadReply> {
        self.cuts.clear();
        let mut declared = Declared::default();
        let mut length_line = None;
        let mut connection = Connection::default();
        for (field, line) in lines.known() {
            match field {
                Field::ContentLength => {
                    let length = field::content_length(line.value)
                        .ok_or(BadReply("Content-Length is not a length"))?;
                    if declared.length.replace(length).is_some() {
                        return Err(BadReply("more than one Content-Length"));
                    }
                    length_line = Some(line.span);
                }
                Field::TransferEncoding => {
                    if declared.chunked || field::transfer_encoding(line.value) != Coding::Chunked {
                        return Err(BadReply("a Transfer-Encoding other than chunked"));
                    }
                    declared.chunked = true;
                    self.cuts.push(line.span); // rendered anew where it applies
                }
                Field::Connection => {
                    if !connection.read(line.value) {
                        return Err(BadReply("Connection is not a list of a few options"));
                    }
                    self.cuts.push(line.span);
                }
                Field::Upgrade if self.upgrade => {}
                Field::Dropped | Field::Upgrade => self.cuts.push(line.span),
                _ => {}
            }
        }
        if connection.nominated > 0 {
            field::cut_nominated(lines, &mut self.cuts); // an option that must not be one is ignored
        }
        let bodiless = matches!(self.status, 100..=199 | 204);
        self.keep_alive = connection.persists(version) && self.status != 101;
        self.framing = match declared {
            Declared { length: Some(_), chunked: true } => {
                return Err(BadReply("both Content-Length and Transfer-Encoding"));
            }
            Declared { chunked: true, .. } if version == Version::Http10 => {
                return Err(BadReply("Transfer-Encoding in HTTP/1.0"));
            }
            _ if bodiless || self.status == 304 || asked.method == Method::Head => Framing::None,
            Declared { length: None, chunked: true } => Framing::Chunked,
            Declared { length: Some(length), .. } => Framing::Length(length),
            Declared { length: None, .. } => Framing::UntilClose,
        };
        if self.framing == Framing::UntilClose {
            self.keep_alive = false;
        }
        if bodiless {
            // Such a reply must not declare a body (RFC 9110 §8.6); a member that does may send one as well.
            self.keep_alive &= !declared.chunked && declared.length.is_none_or(|length| length == 0);
            if let Some(span) = length_line {
                cut(&mut self.cuts, span);
            }
        }
        Ok(())
    }

    /// Bytes of the head: the body begins there.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether nothing was parsed yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether another reply follows to the same request: 1xx but 101. An HTTP/1.0 client must not see it.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// Whether the connection speaks another protocol from here on.
    pub fn switched(&self) -> bool {
        self.status == 101
    }

    /// How the member frames the body.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// How the body has to be framed for the client. Where it differs from [`Self::framing`], the payload is taken out of
    /// its chunks (HTTP/1.0 client) or put into chunks (an end by close, but the client's connection stays).
    pub fn framing_for(&self, to: Downstream) -> Framing {
        match (self.framing, to.version) {
            (Framing::Chunked, Version::Http10) => Framing::UntilClose,
            (Framing::UntilClose, Version::Http11) if to.keep_alive => Framing::Chunked,
            (framing, _) => framing,
        }
    }

    /// Whether the client's connection really stays open after this reply.
    pub fn keeps_client(&self, to: Downstream) -> bool {
        to.keep_alive && !self.switched() && self.framing_for(to) != Framing::UntilClose
    }

    /// Whether the member's connection may carry another request once the body has ended.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Appends the head as the client gets it, framed as [`Self::framing_for`] says.
    pub fn render(&self, buffer: &[u8], to: Downstream, out: &mut Vec<u8>) {
        const ADDED: usize = 64; // more than the lines that are added
        const VERSION: &[u8] = b"HTTP/1.1"; // ours, whatever the member's (RFC 9110 §2.5)
        out.reserve(self.len() + ADDED);
        out.extend_from_slice(VERSION);
        copy_without(&self.cuts, buffer, VERSION.len() as u32, self.len - 2, out);
        if self.framing_for(to) == Framing::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if self.upgrade {
            out.extend_from_slice(b"Connection: upgrade\r\n");
        }
        if !self.is_interim() && !self.switched() {
            match (self.keeps_client(to), to.version) {
                (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
                (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
                (true, Version::Http11) => {}
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cold]
fn explain(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::TooManyHeaders => "too many header lines",
        httparse::Error::Version => "not HTTP/1.0 or HTTP/1.1",
        httparse::Error::HeaderName => "a header line without a proper name, or a folded one",
        httparse::Error::HeaderValue => "a control character in a header's value",
        httparse::Error::NewLine => "a bare CR",
        httparse::Error::Status | httparse::Error::Token => "the status line is malformed",
    }
}
