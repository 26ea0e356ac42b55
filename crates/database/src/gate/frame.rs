//! Where messages begin and end in a stream of bytes that comes in pieces: a type, a length, and a payload that is skipped.

/// Type and length.
pub(crate) const HEAD: usize = 5;
/// PostgreSQL sends and takes none that is longer.
const LONGEST: u32 = 0x4000_0000;

/// Place in a stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct Frame {
    head: [u8; HEAD],
    /// Of the head, bytes that have come.
    have: usize,
    /// Of the payload, bytes that have not.
    left: usize,
}

/// A piece of one message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) kind: u8,
    pub(crate) payload: &'a [u8],
    /// The message begins, or ends, with this piece; both may be.
    pub(crate) begins: bool,
    pub(crate) ends: bool,
}

/// Such a length can't be; where messages end is not known any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost;

impl Frame {
    pub(crate) fn at_boundary(&self) -> bool {
        self.have == 0
    }

    /// The next piece of a message in there, and how many bytes it took with its head; `None` when only part of a head was left,
    /// which was taken.
    #[inline]
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(Option<Piece<'a>>, usize), Lost> {
        let mut used = 0;
        let begins = self.have < HEAD;
        if begins {
            let part = bytes.len().min(HEAD - self.have);
            self.head[self.have..self.have + part].copy_from_slice(&bytes[..part]);
            self.have += part;
            used = part;
            if self.have < HEAD {
                return Ok((None, used));
            }
            let [_, a, b, c, d] = self.head;
            let length = u32::from_be_bytes([a, b, c, d]);
            if !(4..=LONGEST).contains(&length) {
                return Err(Lost);
            }
            self.left = length as usize - 4;
        }
        let payload = &bytes[used..bytes.len().min(used.saturating_add(self.left))];
        self.left -= payload.len();
        used += payload.len();
        let ends = self.left == 0;
        if ends {
            self.have = 0;
        }
        Ok((Some(Piece { kind: self.head[0], payload, begins, ends }), used))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(frame: &mut Frame, mut bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>, bool)>, Lost> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (piece, used) = frame.next(bytes)?;
            bytes = &bytes[used..];
            found.extend(piece.map(|piece| (piece.kind, piece.payload.to_vec(), piece.ends)));
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn messages_are_found_however_they_are_cut(
            messages in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..10),
            cuts in proptest::collection::vec(1_usize..30, 1..40),
        ) {
            let mut stream = Vec::new();
            for (kind, payload) in &messages {
                stream.push(*kind);
                stream.extend((payload.len() as u32 + 4).to_be_bytes());
                stream.extend(payload);
            }
            let mut frame = Frame::default();
            let (mut rest, mut whole, mut part) = (stream.as_slice(), Vec::new(), Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at(rest.len().min(*cut));
                rest = later;
                for (kind, payload, ends) in pieces(&mut frame, piece).unwrap() {
                    part.extend(payload);
                    if ends {
                        whole.push((kind, std::mem::take(&mut part)));
                    }
                }
            }
            prop_assert!(frame.at_boundary());
            prop_assert_eq!(whole, messages);
        }

        #[test]
        fn any_bytes_end_in_some_way(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = pieces(&mut Frame::default(), &bytes);
        }
    }
}
