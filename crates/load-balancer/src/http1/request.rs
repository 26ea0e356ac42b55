//! A request's head: read strictly, then rendered for a member.

use std::mem::MaybeUninit;

use super::field::{self, Coding, Connection, Declared, Field, Line, Lines};
use super::forwarding::Provenance;
use super::{Forwarding, Framing, HEADERS_MAX, Limits, Method, Span, Version, copy_without, cut, target};

/// Why a request is refused. The connection has to be closed after the refusal: where the next request would
/// begin is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Rejection {
    pub status: u16,
    /// For the client and the log: what was wrong.
    pub reason: &'static str,
}

const fn bad(reason: &'static str) -> Rejection {
    Rejection { status: 400, reason }
}

/// What reading a reply needs to know of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub method: Method,
    /// Whether the request asked for an upgrade, so that 101 is an answer to it.
    pub upgrade: bool,
}

/// The head of a request: ranges of the buffer that it was parsed from, and what they mean.
///
/// Made once and reused: [`RequestHead::parse`] starts afresh and keeps the capacity. Every other method wants the buffer that
/// was parsed, and an answer `Ok(true)` before; they may be given a longer buffer that begins with the same bytes.
#[derive(Debug)]
pub struct RequestHead {
    span: Span,
    method: Method,
    version: Version,
    framing: Framing,
    connection: Connection,
    expects_continue: bool,
    upgrade: bool,
    absolute: bool,
    /// Whether a Host line has to be made: for an absolute-form target, or where HTTP/1.0 sent none.
    makes_host: bool,
    method_span: Span,
    target: Span,
    origin: Span,
    path: Span,
    /// `host[:port]`; empty only for HTTP/1.0.
    authority: Span,
    /// `authority` without the port.
    host: Span,
    /// Where the first header line begins.
    fields: u32,
    cuts: Vec<Span>,
    provenance: Vec<Provenance>,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestHead {
    pub fn new() -> Self {
        Self {
            span: Span::default(),
            method: Method::Other,
            version: Version::Http11,
            framing: Framing::None,
            connection: Connection::default(),
            expects_continue: false,
            upgrade: false,
            absolute: false,
            makes_host: false,
            method_span: Span::default(),
            target: Span::default(),
            origin: Span::default(),
            path: Span::default(),
            authority: Span::default(),
            host: Span::default(),
            fields: 0,
            cuts: Vec::new(),
            provenance: Vec::new(),
        }
    }

    /// Reads the head at the start of `buffer`; `Ok(false)`: it goes on, come back with more.
    ///
    /// Begins anew each time. What that costs with a client that sends single bytes stays below what the kernel
    /// spends on each of its packets, as a head is bounded.
    ///
    /// # Errors
    /// A [`Rejection`] as soon as it is certain: 400 for what is malformed or ambiguous, 414 and 431 for a head beyond the
    /// limits, 417, 501 and 505 for what we don't do.
    pub fn parse(&mut self, buffer: &[u8], limits: &Limits) -> Result<bool, Rejection> {
        let start = match buffer {
            [b'\r', b'\n', ..] => 2,
            [] | [b'\r'] => return Ok(false),
            _ => 0,
        };
        let window = &buffer[..buffer.len().min(limits.head_bytes)];
        let text = window.get(start..).unwrap_or_default();
        if matches!(text, [b'\r' | b'\n', ..]) {
            return Err(bad("empty lines before the request"));
        }

        let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let len = match request.parse_with_uninit_headers(text, &mut room[..limits.headers.min(HEADERS_MAX)])
        {
            Ok(httparse::Status::Complete(len)) => start + len,
            Ok(httparse::Status::Partial) if buffer.len() < limits.head_bytes => return Ok(false),
            Ok(httparse::Status::Partial) if !text.contains(&b'\n') => {
                return Err(Rejection { status: 414, reason: "the request line is too long" });
            }
            Ok(httparse::Status::Partial) => {
                return Err(Rejection { status: 431, reason: "the head is too long" });
            }
            Err(error) => return Err(explain(error, text)),
        };
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(bad("the request line is malformed"));
        };
        self.method_span = Span::within(buffer, method.as_bytes());
        self.method = Method::of(method.as_bytes());
        self.version = if version == 0 { Version::Http10 } else { Version::Http11 };
        self.span = Span::new(start, len);
        // After the target: a space, eight bytes of version, CR LF.
        self.fields = Span::within(buffer, target.as_bytes()).end + 11;
        if method == "CONNECT" {
            return Err(Rejection { status: 501, reason: "CONNECT: this is no proxy for tunnels" });
        }
        self.read_target(buffer, target.as_bytes())?;
        let lines = Lines::new(request.headers, buffer, len).ok_or(bad("a line ends with a bare LF"))?;
        self.read_fields(&lines, buffer)?;
        Ok(true)
    }

    fn read_target(&mut self, buffer: &[u8], sent: &[u8]) -> Result<(), Rejection> {
        let target = target::parse(self.method, sent).map_err(bad)?;
        self.target = Span::within(buffer, sent);
        self.origin = Span::within(buffer, target.origin);
        self.path = Span::within(buffer, target.path);
        self.absolute = target.authority.is_some();
        self.authority = Span::default();
        self.host = Span::default();
        match target.authority {
            Some(authority) => self.read_authority(buffer, authority),
            None => Ok(()),
        }
    }

    fn read_authority(&mut self, buffer: &[u8], authority: &[u8]) -> Result<(), Rejection> {
        let host = &authority[..host_len(authority)?];
        self.authority = Span::within(buffer, authority);
        self.host = Span::within(buffer, host);
        Ok(())
    }

    fn read_fields(&mut self, lines: &Lines<'_, '_>, buffer: &[u8]) -> Result<(), Rejection> {
        self.cuts.clear();
        self.provenance.clear();
        let mut seen = Seen::default();
        for (field, line) in lines.known() {
            self.read_field(field, line, &mut seen, buffer)?;
        }
        self.connection = seen.connection;
        if self.connection.nominated > 0 && !field::cut_nominated(lines, &mut self.cuts) {
            return Err(bad("Connection names a field that is not the connection's"));
        }
        self.decide_framing(seen.declared)?;
        self.decide_host(seen.host, buffer)?;
        self.decide_upgrade(seen.upgrade);
        self.decide_expect(seen.expect)
    }

    fn read_field<'b>(
        &mut self,
        field: Field,
        line: Line<'b>,
        seen: &mut Seen<'b>,
        buffer: &[u8],
    ) -> Result<(), Rejection> {
        let refused = match field {
            Field::Host if seen.host.replace(line.value).is_some() => "more than one Host",
            Field::Host if !self.absolute => return Ok(()),
            Field::Connection if !seen.connection.read(line.value) => {
                "Connection is not a list of a few options"
            }
            Field::ContentLength => match field::content_length(line.value) {
                None => "Content-Length is not a length",
                Some(length) if seen.declared.length.replace(length).is_some() => {
                    "more than one Content-Length"
                }
                Some(_) => return Ok(()),
            },
            Field::TransferEncoding => {
                read_transfer_encoding(line.value, &mut seen.declared)?;
                self.cuts.push(line.span); // rendered anew, in the one spelling that every member knows
                return Ok(());
            }
            Field::FramingLookalike => "a framing field spelled with an underscore",
            Field::Upgrade if seen.upgrade.replace(line).is_some() => "more than one Upgrade",
            Field::Expect if seen.expect.replace(line).is_some() => "more than one Expect",
            Field::Upgrade | Field::Expect | Field::Other => return Ok(()),
            Field::Host | Field::Connection | Field::Dropped | Field::ForwardedLookalike => {
                self.cuts.push(line.span);
                return Ok(());
            }
            Field::ForwardedFor
            | Field::ForwardedProto
            | Field::ForwardedHost
            | Field::Forwarded
            | Field::ForwardedOther => {
                self.cuts.push(line.span);
                self.provenance.push(Provenance {
                    field,
                    value: Span::within(buffer, line.value),
                    line: line.span,
                });
                return Ok(());
            }
        };
        Err(bad(refused))
    }

    fn cut(&mut self, span: Span) {
        cut(&mut self.cuts, span);
    }

    fn decide_framing(&mut self, declared: Declared) -> Result<(), Rejection> {
        self.framing = match declared {
            Declared { length: None, chunked: false } => Framing::None,
            Declared { length: Some(length), chunked: false } => Framing::Length(length),
            Declared { length: Some(_), chunked: true } => {
                return Err(bad("both Content-Length and Transfer-Encoding"));
            }
            Declared { length: None, chunked: true } if self.version == Version::Http10 => {
                return Err(bad("Transfer-Encoding in HTTP/1.0"));
            }
            Declared { length: None, chunked: true } => Framing::Chunked,
        };
        Ok(())
    }

    fn decide_host(&mut self, sent: Option<&[u8]>, buffer: &[u8]) -> Result<(), Rejection> {
        self.makes_host = self.absolute || sent.is_none();
        match sent {
            None if self.version == Version::Http11 => return Err(bad("no Host")),
            Some([]) if self.version == Version::Http11 && !self.absolute => {
                return Err(bad("an empty Host"));
            }
            None | Some([]) => {}
            Some(host) => {
                if self.absolute {
                    host_len(host)?; // it is replaced, but has to be one
                } else {
                    self.read_authority(buffer, host)?;
                }
            }
        }
        Ok(())
    }

    fn decide_upgrade(&mut self, upgrade: Option<Line<'_>>) {
        let possible = self.connection.upgrade && self.version == Version::Http11 && !self.has_body();
        self.upgrade = possible && upgrade.is_some_and(|line| !hides_requests(line.value));
        if let Some(line) = upgrade.filter(|_| !self.upgrade) {
            self.cut(line.span);
        }
    }

    fn decide_expect(&mut self, expect: Option<Line<'_>>) -> Result<(), Rejection> {
        let Some(line) = expect else {
            self.expects_continue = false;
            return Ok(());
        };
        if self.version == Version::Http11 && !line.value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Rejection {
                status: 417,
                reason: "the only expectation that is known is 100-continue",
            });
        }
        self.expects_continue = self.version == Version::Http11 && self.has_body();
        if !self.expects_continue {
            self.cut(line.span);
        }
        Ok(())
    }

    fn has_body(&self) -> bool {
        !matches!(self.framing, Framing::None | Framing::Length(0))
    }

    /// Bytes of the head, an empty line before it included: the body, or the next request, begins there.
    pub fn len(&self) -> usize {
        self.span.end as usize
    }

    /// Whether nothing was parsed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn method(&self) -> Method {
        self.method
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    pub fn asked(&self) -> Asked {
        Asked { method: self.method, upgrade: self.upgrade }
    }

    pub fn idempotent(&self) -> bool {
        self.method.idempotent()
    }

    /// Whether the client wants to go on using its connection after this request.
    pub fn keep_alive(&self) -> bool {
        self.connection.persists(self.version)
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether a 101 may follow. The upgrade is passed on.
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }

    pub fn method_bytes<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        self.method_span.of(buffer)
    }

    /// As sent: for the log.
    pub fn target<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        self.target.of(buffer)
    }

    /// The host that the request is for, without a port, as spelled by the client; an IPv6 address in its brackets. Empty only if
    /// an HTTP/1.0 client named none.
    pub fn host<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        self.host.of(buffer)
    }

    /// Without the query; `/` where the target has none, `*` for `OPTIONS *`.
    pub fn path<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        if self.path.is_empty() { self.empty_path() } else { self.path.of(buffer) }
    }

    /// What stands for the missing path of an absolute-form target (RFC 9112 §3.2.4).
    fn empty_path(&self) -> &'static [u8] {
        if self.method == Method::Options && self.origin.is_empty() { b"*" } else { b"/" }
    }

    /// The value of the first field of this name.
    pub fn field<'b>(&self, buffer: &'b [u8], name: &str) -> Option<&'b [u8]> {
        self.values(buffer, name).next()
    }

    fn values<'b>(&self, buffer: &'b [u8], name: &str) -> impl Iterator<Item = &'b [u8]> {
        let fields = &buffer[self.fields as usize..self.span.end as usize];
        fields.split(|&byte| byte == b'\n').filter_map(move |line| {
            let (start, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?.strip_suffix(b"\r")?;
            start.eq_ignore_ascii_case(name.as_bytes()).then(|| field::trim(value))
        })
    }

    /// The value of the first cookie of this name.
    pub fn cookie<'b>(&self, buffer: &'b [u8], name: &str) -> Option<&'b [u8]> {
        self.values(buffer, "cookie")
            .flat_map(|value| value.split(|&byte| byte == b';'))
            .find_map(|pair| field::trim(pair).strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// Appends the head as a member gets it: the same bytes each time, so that a repeat may be rendered anew.
    pub fn render(&self, buffer: &[u8], forwarding: &Forwarding<'_>, out: &mut Vec<u8>) {
        const ADDED: usize = 384; // more than the lines that are added, but for long hosts
        out.reserve(self.len() + ADDED);
        let end = self.span.end - 2;
        if self.version == Version::Http11 && !self.absolute {
            copy_without(&self.cuts, buffer, self.method_span.start, end, out);
        } else {
            out.extend_from_slice(self.method_bytes(buffer));
            out.push(b' ');
            if self.path.is_empty() {
                out.extend_from_slice(self.empty_path());
            }
            out.extend_from_slice(self.origin.of(buffer));
            out.extend_from_slice(b" HTTP/1.1\r\n");
            if self.makes_host {
                out.extend_from_slice(b"Host: ");
                out.extend_from_slice(self.authority.of(buffer));
                out.extend_from_slice(b"\r\n");
            }
            copy_without(&self.cuts, buffer, self.fields, end, out);
        }
        if self.framing == Framing::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if self.upgrade {
            out.extend_from_slice(b"Connection: upgrade\r\n");
        }
        forwarding.render(buffer, &self.provenance, self.authority.of(buffer), out);
        out.extend_from_slice(b"\r\n");
    }
}

/// What the fields of a head have said, before it is decided what follows from them.
#[derive(Default)]
struct Seen<'b> {
    host: Option<&'b [u8]>,
    connection: Connection,
    declared: Declared,
    upgrade: Option<Line<'b>>,
    expect: Option<Line<'b>>,
}

fn host_len(authority: &[u8]) -> Result<usize, Rejection> {
    target::host_len(authority).ok_or(bad("the host is not a name or an address"))
}

fn read_transfer_encoding(value: &[u8], declared: &mut Declared) -> Result<(), Rejection> {
    match field::transfer_encoding(value) {
        _ if declared.chunked => Err(bad("more than one Transfer-Encoding")),
        Coding::Chunked => {
            declared.chunked = true;
            Ok(())
        }
        Coding::Unknown => Err(Rejection { status: 501, reason: "a transfer coding other than chunked" }),
        Coding::Malformed => Err(bad("Transfer-Encoding does not end with its only chunked")),
    }
}

/// Whether the connection would then carry further requests in a protocol that we would pass on unread.
fn hides_requests(upgrade: &[u8]) -> bool {
    field::elements(upgrade).any(|protocol| {
        let name = protocol.split(|&byte| byte == b'/').next().unwrap_or_default();
        [&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|other| name.eq_ignore_ascii_case(other))
    })
}

/// What was wrong with a head that `httparse` refuses, in the client's terms.
#[cold]
fn explain(error: httparse::Error, text: &[u8]) -> Rejection {
    match error {
        httparse::Error::TooManyHeaders => Rejection { status: 431, reason: "too many header lines" },
        httparse::Error::Version => {
            let version = text.splitn(3, |&byte| byte == b' ').nth(2).unwrap_or_default();
            match version {
                [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => {
                    Rejection { status: 505, reason: "an HTTP version other than 1.0 and 1.1" }
                }
                _ => bad("the request line is malformed"),
            }
        }
        httparse::Error::HeaderName => bad("a header line without a proper name, or a folded one"),
        httparse::Error::HeaderValue => bad("a control character in a header's value"),
        httparse::Error::NewLine => bad("a bare CR"),
        httparse::Error::Token | httparse::Error::Status => bad("the request line is malformed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::ClientText;

    const LIMITS: Limits = Limits { head_bytes: 32 * 1024, headers: 100 };

    fn rendered(text: &str, trusted: bool) -> String {
        let mut head = RequestHead::new();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(true), "{text:?}");
        let client = ClientText::new("192.0.2.7".parse().unwrap());
        let mut out = Vec::new();
        head.render(text.as_bytes(), &Forwarding { client: &client, trusted, proto: "http" }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plain_request_passes_with_its_provenance() {
        assert_eq!(
            rendered(
                "GET /a?b HTTP/1.1\r\nHost: shop.example:80\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n",
                false
            ),
            "GET /a?b HTTP/1.1\r\nHost: shop.example:80\r\nAccept: */*\r\n\
             X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example:80\r\n\
             Forwarded: for=192.0.2.7;host=\"shop.example:80\";proto=http\r\n\r\n"
        );
    }

    #[test]
    fn a_trusted_client_is_appended_and_what_it_says_of_the_first_hop_stays() {
        let text = "GET / HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1, 10.0.0.1\r\nHost: shop.example\r\n\
                    X-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example\r\n\
                    x-forwarded-port: 443\r\nX_Forwarded_For: 1.1.1.1\r\nForwarded: for=198.51.100.1\r\n\r\n";
        assert_eq!(
            rendered(text, true),
            "GET / HTTP/1.1\r\nHost: shop.example\r\n\
             X-Forwarded-For: 198.51.100.1, 10.0.0.1, 10.0.0.2, 192.0.2.7\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example\r\n\
             Forwarded: for=198.51.100.1, for=192.0.2.7;host=shop.example;proto=http\r\n\
             x-forwarded-port: 443\r\n\r\n"
        );
    }

    #[test]
    fn fields_and_cookies_are_found_by_name() {
        let text = b"GET /a?b HTTP/1.1\r\nHost: Shop.Example:80\r\nX-Key: \t k \r\nX-Key: l\r\nX-Keys: m\r\nEmpty:\r\n\
                     Cookie: a=1; bb=2\r\ncookie: b=3;c=\r\n\r\nX-Body: 1\r\n";
        let mut head = RequestHead::new();
        assert_eq!(head.parse(text, &LIMITS), Ok(true));
        assert_eq!(head.field(text, "x-key"), Some(&b"k"[..]));
        assert_eq!(head.field(text, "empty"), Some(&b""[..]));
        assert_eq!(head.field(text, "x-body"), None);
        assert_eq!(head.field(text, "x"), None);
        assert_eq!(head.cookie(text, "b"), Some(&b"3"[..]));
        assert_eq!(head.cookie(text, "c"), Some(&b""[..]));
        assert_eq!(head.cookie(text, "d"), None);
        assert_eq!(head.host(text), b"Shop.Example");
        assert_eq!(head.path(text), b"/a");
        assert_eq!(head.target(text), b"/a?b");
    }
}
