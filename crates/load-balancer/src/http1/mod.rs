//! The HTTP/1.1 core: parse a head, decide its framing, render what goes to the other side, follow a chunked body.
//!
//! It does no I/O and keeps no copy of what it read: a head is a set of ranges into the caller's buffer, and is
//! reused from request to request, so that a request costs no allocation. What the core cannot read in exactly
//! one way it refuses, because two parties that read one message differently is how requests are smuggled
//! (RFC 9112 §11.2). The decisions that the RFCs leave open:
//!
//! - **Lines** end with CR LF and nothing else. At most one empty line may precede a request (RFC 9112 §2.2).
//! - **Framing**: one Content-Length of digits, or one `Transfer-Encoding: chunked`, never both, and no
//!   Transfer-Encoding in HTTP/1.0. Repeats are refused even if they agree. Spellings with `_` for `-` are refused, since
//!   gateways that make environment variables of fields cannot tell them apart. `chunked` is passed on in that one spelling.
//! - **Targets**: origin-form, absolute-form (sent on in origin-form, its authority becomes Host) and, for OPTIONS, `*`.
//!   A path goes to the member as it came, so that routes and members see the same bytes; hence what members resolve
//!   differently is refused: dot segments (also written `%2e`, also with `;parameters`) and backslashes. `//` passes.
//! - **Connection** removes what it names, but may not name what framing, routing or authentication stand on:
//!   such a request is refused, in a reply that option is ignored. TE goes too; Trailer and Proxy-Auth* pass.
//! - **Upgrade** passes unless it would hide further requests from us (`h2c`, `HTTP/…`, `TLS/…`), the request has a
//!   body, or is HTTP/1.0; then it is dropped, which a server may always do (RFC 9110 §7.8).
//! - **Provenance**: see [`Forwarding`]. No Via: the members are ours, and some switch compression off on seeing it.

mod chunked;
mod field;
mod forwarding;
mod refusal;
mod request;
mod response;
mod target;

pub use chunked::{ChunkError, ChunkedScanner, LAST_CHUNK, Progress, chunk_start};
pub use forwarding::{ClientText, Forwarding};
pub use refusal::Refusal;
pub use request::{Asked, Rejection, RequestHead};
pub use response::{BadReply, Downstream, ResponseHead};

/// Header lines that a head may have at most, whatever [`Limits`] says.
pub const HEADERS_MAX: usize = 256;

/// What a head (or the trailers of a chunked body) may measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, start line and empty line included.
    pub head_bytes: usize,
    /// Header lines; never more than [`HEADERS_MAX`].
    pub headers: usize,
}

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks and trailers: [`ChunkedScanner`] finds the end.
    Chunked,
    /// Replies only: all bytes until the connection closes.
    UntilClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// A request's method, as far as forwarding cares. Methods are case-sensitive: `get` is [`Method::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Other,
}

impl Method {
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// Whether sending it twice means the same as once (RFC 9110 §9.2.2).
    pub fn idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch | Self::Other)
    }
}

/// A range of the buffer that was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        // A head is bounded by `Limits::head_bytes`, which is far below 4 GiB.
        Self { start: start as u32, end: end as u32 }
    }

    /// Where `part`, a slice of `buffer`, lies in it.
    fn within(buffer: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr() as usize - buffer.as_ptr() as usize;
        Self::new(start, start + part.len())
    }

    fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.start as usize..self.end as usize]
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Appends `buffer[start..end]` without the `cuts`, which are sorted and do not overlap: neighbours go in one piece.
fn copy_without(cuts: &[Span], buffer: &[u8], start: u32, end: u32, out: &mut Vec<u8>) {
    let mut from = start;
    for cut in cuts {
        out.extend_from_slice(Span { start: from, end: cut.start }.of(buffer));
        from = cut.end;
    }
    out.extend_from_slice(Span { start: from, end }.of(buffer));
}

/// Adds a cut where it belongs, unless it is there already.
fn cut(cuts: &mut Vec<Span>, span: Span) {
    let at = cuts.partition_point(|cut| cut.start < span.start);
    if cuts.get(at) != Some(&span) {
        cuts.insert(at, span);
    }
}
