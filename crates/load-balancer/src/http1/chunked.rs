//! The chunked coding (RFC 9112 §7.1): where a body ends while its bytes pass through, and what its payload is.

use super::{Limits, field};

/// The end of a body in chunks, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Extension bytes that one chunk may have.
const EXTENSION_MAX: u16 = 256;
/// The longest name of a field that trailers must not hold.
const KNOWN_NAME_MAX: usize = 24;

/// Appends what precedes `len` bytes of payload, which must not be 0; CR LF follows them.
pub fn chunk_start(len: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| b"0123456789abcdef"[len >> (4 * digit) & 15]));
    out.extend_from_slice(b"\r\n");
}

/// Why a chunked body is refused. Where it ends is not known: both connections are of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChunkError(pub &'static str);

/// How far a scan came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many of the bytes belong to this body.
    pub consumed: usize,
    /// Whether the body has ended, trailers included.
    pub done: bool,
}

/// Follows a chunked body, piece by piece. Data is skipped, not looked at.
///
/// Strict: hexadecimal sizes of at most 16 digits and 2⁶³ − 1, CR LF and nothing else ends a line, at most 256 bytes of
/// extensions for each chunk, trailers that are header lines within the limits and don't touch framing,
/// routing, authentication or content (RFC 9110 §6.5.1).
#[derive(Debug, Clone)]
pub struct ChunkedScanner {
    state: State,
    /// What the trailers may still hold.
    trailer_bytes: usize,
    trailer_lines: usize,
    /// The start of a trailer's name.
    name: [u8; KNOWN_NAME_MAX],
    name_len: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a chunk's size, after this many digits.
    Size {
        size: u64,
        digits: u8,
    },
    /// After `;`, with this many bytes of extensions.
    Extension {
        size: u64,
        len: u16,
    },
    /// After the CR that ends a size line.
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// Where a trailer or the last empty line begins.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl ChunkedScanner {
    /// For one body: `limits` bound its trailers.
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::Size { size: 0, digits: 0 },
            trailer_bytes: limits.head_bytes,
            trailer_lines: limits.headers,
            name: [0; KNOWN_NAME_MAX],
            name_len: 0,
        }
    }

    /// Takes in the next bytes, up to the body's end.
    ///
    /// # Errors
    /// [`ChunkError`] as soon as the coding is broken or a limit is passed.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Progress, ChunkError> {
        self.advance_with(bytes, |_| {})
    }

    /// Like [`Self::advance`], and hands over the payload in order.
    ///
    /// # Errors
    /// As [`Self::advance`]; what was handed over until then was payload.
    pub fn advance_with(
        &mut self,
        bytes: &[u8],
        mut payload: impl FnMut(&[u8]),
    ) -> Result<Progress, ChunkError> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Data { left } => {
                    let rest = &bytes[at..];
                    let here = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    payload(&rest[..here]);
                    at += here;
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                }
                State::Done => break,
                _ => {
                    self.state = self.step(byte)?;
                    at += 1;
                }
            }
        }
        Ok(Progress { consumed: at, done: self.state == State::Done })
    }

    /// Where one byte outside of data leads.
    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == 16 || size > (i64::MAX as u64) >> 4 {
                    return Err(ChunkError("a chunk's size that is too large"));
                }
                let digit = (byte & 15) + if byte > b'9' { 9 } else { 0 };
                State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { size, digits: 1.. }, b'\r') => State::SizeLf { size },
            (State::Size { size, digits: 1.. }, b';') => State::Extension { size, len: 0 },
            (State::Size { .. }, _) => return Err(ChunkError("a chunk's size that is not a number")),
            (State::Extension { size, .. }, b'\r') => State::SizeLf { size },
            (State::Extension { len: EXTENSION_MAX, .. }, _) => {
                return Err(ChunkError("a chunk's extensions that are too long"));
            }
            (State::Extension { size, len }, _) if is_text(byte) => State::Extension { size, len: len + 1 },
            (State::Extension { .. }, _) => {
                return Err(ChunkError("a control character in a chunk's extensions"));
            }
            (State::SizeLf { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLf { size }, b'\n') => State::Data { left: size },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataCr | State::DataLf, byte) if byte != b'\n' || self.state == State::DataCr => {
                return Err(ChunkError("a chunk that is longer than its size"));
            }
            (State::DataLf, _) => State::Size { size: 0, digits: 0 },
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf, _) => {
                self.trailer(byte)?
            }
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(ChunkError("a line that does not end with CR LF")),
        })
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.trailer_bytes =
            self.trailer_bytes.checked_sub(1).ok_or(ChunkError("trailers that are too long"))?;
        match (self.state, byte) {
            (State::TrailerStart, _) if field::is_token(byte) => {
                self.trailer_lines =
                    self.trailer_lines.checked_sub(1).ok_or(ChunkError("too many trailers"))?;
                self.name_len = 0;
                self.name_byte(byte);
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') if self.is_forbidden() => {
                Err(ChunkError("a trailer that belongs into the head"))
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, _) if field::is_token(byte) => {
                self.name_byte(byte);
                Ok(State::TrailerName)
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_text(byte) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            _ => Err(ChunkError("a trailer that is not a header line")),
        }
    }

    fn name_byte(&mut self, byte: u8) {
        if let Some(place) = self.name.get_mut(usize::from(self.name_len)) {
            *place = byte;
        }
        self.name_len = self.name_len.saturating_add(1);
    }

    fn is_forbidden(&self) -> bool {
        let known = &self.name[..usize::from(self.name_len).min(KNOWN_NAME_MAX)];
        field::classify(known) != field::Field::Other
            || (usize::from(self.name_len) == known.len() && field::is_end_to_end(known))
    }
}

/// What may be in a value: no control characters but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
