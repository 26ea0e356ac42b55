//! Header fields: which ones forwarding cares about, and the values that decide framing and persistence.

use super::{Span, Version, cut};

/// Connection may name this many fields to be removed: each costs a look at every line of the head.
const NOMINATED_MAX: usize = 16;

/// What a field's name means to forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Passes.
    Other,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Upgrade,
    Expect,
    /// Removed always: Keep-Alive, Proxy-Connection, TE, and Proxy (which CGI programs take for `HTTP_PROXY`).
    Dropped,
    ForwardedFor,
    ForwardedProto,
    ForwardedHost,
    Forwarded,
    /// Another `X-Forwarded-…`, or X-Real-IP.
    ForwardedOther,
    /// One of the above with `_` for `-`: removed from requests.
    ForwardedLookalike,
    /// Content-Length or Transfer-Encoding with `_` for `-`.
    FramingLookalike,
}

/// Told by length and first letter first, so that most names cost no comparison.
pub(super) fn classify(name: &[u8]) -> Field {
    let first = name.first().copied().unwrap_or_default() | 0x20;
    let (expected, field): (&[u8], Field) = match (name.len(), first) {
        (2, b't') => (b"te", Field::Dropped),
        (4, b'h') => (b"host", Field::Host),
        (5, b'p') => (b"proxy", Field::Dropped),
        (6, b'e') => (b"expect", Field::Expect),
        (7, b'u') => (b"upgrade", Field::Upgrade),
        (9, b'f') => (b"forwarded", Field::Forwarded),
        (10, b'c') => (b"connection", Field::Connection),
        (10, b'k') => (b"keep-alive", Field::Dropped),
        (14, b'c') => (b"content-length", Field::ContentLength),
        (16, b'p') => (b"proxy-connection", Field::Dropped),
        (17, b't') => (b"transfer-encoding", Field::TransferEncoding),
        (9 | 13.., b'x') => return classify_forwarded(name),
        _ => return Field::Other,
    };
    if !alike(name, expected) {
        Field::Other
    } else if !name.contains(&b'_') {
        field
    } else if matches!(field, Field::ContentLength | Field::TransferEncoding) {
        Field::FramingLookalike
    } else {
        Field::Other
    }
}

fn classify_forwarded(name: &[u8]) -> Field {
    let field = match name.split_at_checked(b"x-forwarded-".len()) {
        Some((prefix, rest)) if alike(prefix, b"x-forwarded-") => match rest.len() {
            3 if alike(rest, b"for") => Field::ForwardedFor,
            4 if alike(rest, b"host") => Field::ForwardedHost,
            5 if alike(rest, b"proto") => Field::ForwardedProto,
            _ => Field::ForwardedOther,
        },
        None if alike(name, b"x-real-ip") => Field::ForwardedOther,
        _ => return Field::Other,
    };
    if name.contains(&b'_') { Field::ForwardedLookalike } else { field }
}

/// Equal but for case and `_` in place of `-`. `expected` is in lower case.
fn alike(name: &[u8], expected: &[u8]) -> bool {
    name.len() == expected.len()
        && name
            .iter()
            .zip(expected)
            .all(|(&byte, &wanted)| byte.to_ascii_lowercase() == wanted || (byte == b'_' && wanted == b'-'))
}

/// Whether Connection or a trailer must not touch this field: framing, routing, authentication and provenance
/// stand on it, or RFC 9110 says that it is for all recipients.
pub(super) fn is_end_to_end(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 12] = [
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"cookie",
        b"max-forwards",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"range",
        b"set-cookie",
        b"www-authenticate",
    ];
    match classify(name) {
        Field::Dropped | Field::Upgrade => false,
        Field::Other => NAMES.iter().any(|known| alike(name, known)),
        _ => true,
    }
}

pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The elements of a comma-separated list, without the white space around them.
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim)
}

/// Without spaces and tabs at both ends.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits alone, at most 2⁶³ − 1.
pub(super) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let mut length = 0_u64;
    for &byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        length = length * 10 + u64::from(digit); // 19 digits fit
    }
    (length <= i64::MAX as u64).then_some(length)
}

/// What a Transfer-Encoding field asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Chunked,
    /// A coding that we don't know, or know and don't undo.
    Unknown,
    /// Not a list of codings, or one that does not end with its only `chunked`.
    Malformed,
}

pub(super) fn transfer_encoding(value: &[u8]) -> Coding {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Coding::Chunked;
    }
    const REGISTERED: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
    let (mut chunked, mut last_is_chunked, mut unknown) = (0, false, false);
    for coding in elements(value) {
        if coding.is_empty() || !coding.iter().copied().all(is_token) {
            return Coding::Malformed;
        }
        last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        chunked += u32::from(last_is_chunked);
        unknown |= !last_is_chunked && !REGISTERED.iter().any(|known| coding.eq_ignore_ascii_case(known));
    }
    if unknown || (chunked == 1 && last_is_chunked) { Coding::Unknown } else { Coding::Malformed }
}

/// What the Connection fields of one head say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Connection {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// How many fields it names besides.
    pub nominated: usize,
}

impl Connection {
    /// Takes in one field. `false`: not a list of tokens, or too long a list.
    pub(super) fn read(&mut self, value: &[u8]) -> bool {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return true;
        }
        for option in elements(value).filter(|option| !option.is_empty()) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ if option.iter().copied().all(is_token) => self.nominated += 1,
                _ => return false,
            }
        }
        self.nominated <= NOMINATED_MAX
    }

    pub(super) fn persists(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// The framing that one head's fields have declared so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Declared {
    pub length: Option<u64>,
    pub chunked: bool,
}

/// One header line in the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// From the name's first byte to the next line's.
    pub span: Span,
}

/// The lines of a head that `httparse` has read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<'h, 'b> {
    headers: &'h [httparse::Header<'b>],
    buffer: &'b [u8],
    /// Where the last line ends.
    end: usize,
}

impl<'h, 'b> Lines<'h, 'b> {
    /// `None`: not each of them ends with CR LF. `httparse` takes a bare LF as well but refuses a bare CR, so that a look
    /// at the byte before each LF is enough.
    pub(super) fn new(headers: &'h [httparse::Header<'b>], buffer: &'b [u8], len: usize) -> Option<Self> {
        let lines = Self { headers, buffer, end: len - 2 };
        let ends_with_crlf = |end: usize| buffer.get(end - 2) == Some(&b'\r');
        let strict = headers.iter().all(|header| ends_with_crlf(lines.start(header)))
            && buffer.get(..len).is_some_and(|head| head.ends_with(b"\r\n\r\n"));
        strict.then_some(lines)
    }

    fn start(&self, header: &httparse::Header<'_>) -> usize {
        header.name.as_ptr() as usize - self.buffer.as_ptr() as usize
    }

    fn line(&self, index: usize, header: &httparse::Header<'b>) -> Line<'b> {
        let end = self.headers.get(index + 1).map_or(self.end, |next| self.start(next));
        Line { name: header.name.as_bytes(), value: header.value, span: Span::new(self.start(header), end) }
    }

    fn all(&self) -> impl Iterator<Item = Line<'b>> {
        self.headers.iter().enumerate().map(|(index, header)| self.line(index, header))
    }

    /// Those which mean something to forwarding.
    pub(super) fn known(&self) -> impl Iterator<Item = (Field, Line<'b>)> {
        self.headers.iter().enumerate().filter_map(|(index, header)| match classify(header.name.as_bytes()) {
            Field::Other => None,
            field => Some((field, self.line(index, header))),
        })
    }
}

/// Cuts the lines that Connection names. `false`: it also names a field that is not the connection's, which stays.
pub(super) fn cut_nominated(lines: &Lines<'_, '_>, cuts: &mut Vec<Span>) -> bool {
    let mut all_may_go = true;
    for (_, connection) in lines.known().filter(|(field, _)| *field == Field::Connection) {
        for option in elements(connection.value).filter(|option| !option.is_empty()) {
            if is_end_to_end(option) {
                all_may_go = false;
            } else if !option.eq_ignore_ascii_case(b"upgrade") {
                let named = lines.all().filter(|line| line.name.eq_ignore_ascii_case(option));
                named.for_each(|line| cut(cuts, line.span));
            }
        }
    }
    all_may_go
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case() {
        for (name, field) in [
            ("Host", Field::Host),
            ("hOST", Field::Host),
            ("TE", Field::Dropped),
            ("Proxy", Field::Dropped),
            ("Transfer-Encoding", Field::TransferEncoding),
            ("CONTENT-LENGTH", Field::ContentLength),
            ("content_length", Field::FramingLookalike),
            ("Transfer_Encoding", Field::FramingLookalike),
            ("X-Forwarded-For", Field::ForwardedFor),
            ("x-forwarded-proto", Field::ForwardedProto),
            ("X-Forwarded-Host", Field::ForwardedHost),
            ("X-Forwarded-Port", Field::ForwardedOther),
            ("X-Real-IP", Field::ForwardedOther),
            ("X_Forwarded-For", Field::ForwardedLookalike),
            ("X_Real_IP", Field::ForwardedLookalike),
            ("Forwarded", Field::Forwarded),
            ("Accept-Language", Field::Other),
            ("X-Request-Id", Field::Other),
            ("X-Forwarded-", Field::Other),
            ("Hos", Field::Other),
        ] {
            assert_eq!(classify(name.as_bytes()), field, "{name}");
        }
    }

    #[test]
    fn a_length_is_digits_that_fit() {
        assert_eq!(content_length(b"0"), Some(0));
        assert_eq!(content_length(b"9223372036854775807"), Some(i64::MAX as u64));
        for bad in ["", "+4", "-4", "4 ", "4,4", "0x4", "9223372036854775808", "99999999999999999999", "4\t"]
        {
            assert_eq!(content_length(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn only_chunked_alone_is_a_coding_that_we_undo() {
        assert_eq!(transfer_encoding(b"Chunked"), Coding::Chunked);
        for unknown in ["xchunked", "gzip, chunked", "identity", "chunked, foo", "foo"] {
            assert_eq!(transfer_encoding(unknown.as_bytes()), Coding::Unknown, "{unknown:?}");
        }
        for bad in [
            "",
            ",",
            "chunked,",
            ", chunked",
            "chunked, chunked",
            "chunked, gzip",
            "gzip",
            "\"chunked\"",
            "chunked;q=1",
        ] {
            assert_eq!(transfer_encoding(bad.as_bytes()), Coding::Malformed, "{bad:?}");
        }
    }
}
