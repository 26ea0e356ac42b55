//! What client and server owe each other, from the types of their messages: whether a transaction is open, whether answers are to come,
//! and whether the server has just acknowledged a commit that no standby confirmed.
//!
//! Each Query, FunctionCall and Sync is answered by one ReadyForQuery, which says whether a transaction is open. Everything
//! else a client sends is a part of something that a Sync will end.

use super::frame::{Frame, Lost};

/// PostgreSQL's function that waits for standbys. It gives notices when it is told not to, after the transaction was committed here; the
/// server's answer follows as if all were well. A notice names the function that gave it, in no language.
const WAITS: &[u8] = b"SyncRepWaitForLSN";

#[derive(Debug, Default, Clone)]
pub(crate) struct Exchange {
    client: Frame,
    server: Frame,
    authenticated: bool,
    /// Messages that are answered by a ReadyForQuery, and those answers.
    asked: u64,
    answered: u64,
    /// The number in `asked` of the last one that was no Sync.
    query: u64,
    /// Something was sent that only a Sync will end.
    unsynced: bool,
    /// Data is being copied; into the server, so that it takes no notice of a Sync.
    copying: bool,
    copying_in: bool,
    /// A transaction is open, failed or not.
    transaction: bool,
    notice: Notice,
}

/// What has been seen of a notice's fields.
#[derive(Debug, Default, Clone, Copy)]
enum Notice {
    /// The type of the next field.
    #[default]
    Field,
    /// In the routine's name, of which so much is as wanted.
    Routine(usize),
    Other,
    Found,
}

/// What was made of bytes of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All may go on.
    Fine,
    /// After so many bytes, the end of a message, it must go no further: what follows acknowledges a commit that no standby confirmed.
    Unconfirmed(usize),
}

impl Exchange {
    /// Something is under way that a hold must wait for.
    pub(crate) fn is_busy(&self) -> bool {
        self.asked != self.answered
            || self.unsynced
            || self.copying
            || self.transaction
            || (self.authenticated && !self.client.at_boundary())
    }

    /// During a hold: what is under way needs more from the client to end.
    pub(crate) fn wants_more(&self) -> bool {
        !self.authenticated
            || !self.client.at_boundary()
            || self.unsynced
            || self.copying
            || (self.transaction && self.asked == self.answered)
    }

    /// The server's bytes so far end with the end of a message.
    pub(crate) fn at_boundary(&self) -> bool {
        self.server.at_boundary()
    }

    /// Takes note of what the client says, and returns how much of it may be passed on: all, but in a hold no more than is wanted.
    pub(crate) fn client(&mut self, bytes: &[u8], hold: bool) -> Result<usize, Lost> {
        let mut taken = 0;
        while taken < bytes.len() && (!hold || self.wants_more()) {
            let (piece, used) = self.client.next(&bytes[taken..])?;
            taken += used;
            if let Some(piece) = piece.filter(|piece| piece.begins) {
                self.client_says(piece.kind);
            }
        }
        Ok(taken)
    }

    fn client_says(&mut self, kind: u8) {
        match kind {
            b'Q' | b'F' => {
                self.asked += 1;
                self.query = self.asked;
                self.unsynced = false;
            }
            b'S' if !self.copying_in => {
                self.asked += 1;
                self.unsynced = false;
            }
            b'P' | b'B' | b'D' | b'E' | b'C' if !self.copying_in => self.unsynced = true,
            b'c' | b'f' => self.copying_in = false,
            _ => {}
        }
    }

    pub(crate) fn server(&mut self, bytes: &[u8]) -> Result<Answer, Lost> {
        let mut taken = 0;
        while taken < bytes.len() {
            let (piece, used) = self.server.next(&bytes[taken..])?;
            taken += used;
            let Some(piece) = piece else { continue };
            match piece.kind {
                b'Z' => {
                    if let Some(status) = piece.payload.first() {
                        self.ready(*status);
                    }
                }
                b'N' => {
                    self.notice = self.notice.read(piece.payload, piece.begins);
                    if piece.ends && matches!(self.notice, Notice::Found) {
                        return Ok(Answer::Unconfirmed(taken));
                    }
                }
                b'G' if piece.begins => self.copies_in(),
                b'W' if piece.begins => self.copying = true,
                // What is still to be copied it throws away; the next Sync is answered again.
                b'E' if piece.begins => self.copying_in = false,
                _ => {}
            }
        }
        Ok(Answer::Fine)
    }

    fn ready(&mut self, status: u8) {
        if self.authenticated {
            self.answered = self.asked.min(self.answered + 1);
        }
        self.authenticated = true;
        self.transaction = status != b'I';
        self.copying = false;
        self.copying_in = false;
    }

    /// While it copies in, the server takes no notice of a Sync, such as the one that some clients send along with what begins the copying.
    fn copies_in(&mut self) {
        self.copying = true;
        self.copying_in = true;
        if self.query <= self.answered {
            self.asked = self.answered;
        }
    }
}

impl Notice {
    fn read(self, payload: &[u8], begins: bool) -> Self {
        let mut at = if begins { Self::Field } else { self };
        for &byte in payload {
            at = match at {
                Self::Found => return Self::Found,
                Self::Field if byte == b'R' => Self::Routine(0),
                Self::Field if byte == 0 => Self::Field,
                Self::Field => Self::Other,
                Self::Routine(so_far) if byte == 0 && so_far == WAITS.len() => Self::Found,
                Self::Routine(_) | Self::Other if byte == 0 => Self::Field,
                Self::Routine(so_far) if WAITS.get(so_far) == Some(&byte) => Self::Routine(so_far + 1),
                Self::Routine(_) | Self::Other => Self::Other,
            };
        }
        at
    }
}

#[cfg(test)]
mod tests;
