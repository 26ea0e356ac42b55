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
    /// Whether an Upgrade line stays: in replies 101 and 426.
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
        let lines = Lines::new(reply.headers, buffer, len).ok_or(BadReply("a line ends with a bare LF"))?;
        self.read_fields(&lines, version, asked)?;
        Ok(true)
    }

    fn read_fields(&mut self, lines: &Lines<'_, '_>, version: Version, asked: Asked) -> Result<(), BadReply> {
        self.cuts.clear();
        self.upgrade = false;
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
                Field::Upgrade if matches!(self.status, 101 | 426) => self.upgrade = true,
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
        let persistence: &[u8] = match (self.keeps_client(to), to.version) {
            _ if self.is_interim() || self.switched() => b"",
            (false, _) => b"close",
            (true, Version::Http10) => b"keep-alive",
            (true, Version::Http11) => b"",
        };
        if self.upgrade || !persistence.is_empty() {
            out.extend_from_slice(b"Connection: ");
            out.extend_from_slice(match (self.upgrade, persistence.is_empty()) {
                (true, true) => b"upgrade",
                (true, false) => b"upgrade, ",
                (false, _) => b"",
            });
            out.extend_from_slice(persistence);
            out.extend_from_slice(b"\r\n");
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head_bytes: 32 * 1024, headers: 100 };
    const GET: Asked = Asked { method: Method::Get, upgrade: false };
    const HEAD: Asked = Asked { method: Method::Head, upgrade: false };
    const UPGRADE: Asked = Asked { method: Method::Get, upgrade: true };

    fn parsed(text: &str, asked: Asked) -> ResponseHead {
        let mut head = ResponseHead::new();
        assert_eq!(head.parse(text.as_bytes(), asked, &LIMITS), Ok(true), "{text:?}");
        head
    }

    #[test]
    fn where_a_body_ends_follows_from_status_method_and_fields() {
        for (text, asked, framing, keep_alive) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", GET, Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HEAD, Framing::None, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", GET, Framing::Chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD, Framing::None, true),
            ("HTTP/1.1 200 OK\r\n\r\n", GET, Framing::UntilClose, false),
            (
                "HTTP/1.1 200\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                GET,
                Framing::Length(0),
                false,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", GET, Framing::Length(5), false),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
                GET,
                Framing::Length(5),
                true,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", GET, Framing::None, true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", GET, Framing::None, true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", GET, Framing::None, false),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", GET, Framing::None, true),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", GET, Framing::None, true),
            (
                "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                UPGRADE,
                Framing::None,
                false,
            ),
        ] {
            let head = parsed(text, asked);
            assert_eq!((head.framing(), head.keep_alive()), (framing, keep_alive), "{text:?} to {asked:?}");
        }
    }

    #[test]
    fn a_reply_is_rendered_for_its_client() {
        let to_10 = Downstream { version: Version::Http10, keep_alive: true };
        let to_11 = Downstream { version: Version::Http11, keep_alive: true };
        let closing = Downstream { version: Version::Http11, keep_alive: false };
        for (text, asked, to, expected) in [
            (
                "HTTP/1.1 200 OK\r\nA: 1\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\
                 x-mine: 1\r\nUpgrade: h2,h2c\r\nB: 2\r\n\r\n",
                GET,
                to_11,
                "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 5\r\nB: 2\r\n\r\n",
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\n",
                GET,
                closing,
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
                GET,
                to_10,
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n",
                GET,
                to_11,
                "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n",
                GET,
                to_10,
                "HTTP/1.1 200 OK\r\nA: 1\r\nConnection: close\r\n\r\n",
            ),
            ("HTTP/1.0 200 OK\r\n\r\n", GET, to_11, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("HTTP/1.0 200 OK\r\n\r\n", GET, closing, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
            (
                "HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n",
                GET,
                closing,
                "HTTP/1.1 100 Continue\r\n\r\n",
            ),
            ("HTTP/1.1 204 Gone\r\nContent-Length: 0\r\n\r\n", GET, to_11, "HTTP/1.1 204 Gone\r\n\r\n"),
            (
                "HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n",
                GET,
                to_11,
                "HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n",
            ),
            (
                "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                UPGRADE,
                to_11,
                "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            ),
            (
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
                GET,
                closing,
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\nConnection: upgrade, close\r\n\r\n",
            ),
        ] {
            let mut out = Vec::new();
            parsed(text, asked).render(text.as_bytes(), to, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text:?} to {to:?}");
        }
    }
}
