//! A piece of a file: how long it is, a checksum, and what it says. Read as if a stranger had written it.

use std::collections::BTreeMap;

use nines_availability::measurement::{Day, History, Minute, Noted, Subject};
use sha2::{Digest, Sha256};

/// Each file begins so; another format would have another number.
pub(crate) const BEGIN: &[u8] = b"nines ledger 2\n";
/// Each piece begins so: behind a damaged one the next is found by it.
const MARK: &[u8; 4] = b"\xa5\x9cp\n";
/// The mark, the length and the checksum.
const HEAD: usize = 16;
/// After so many pieces subjects are named again: who named them first may be damaged.
const NAMED: u32 = 60;
/// A piece is no longer than this; more is cut into several.
pub(crate) const LONGEST: usize = 4 << 20;
/// A day has so many minutes.
const MINUTES: u64 = 1440;

const SUBJECT: u8 = b'S';
const MINUTE: u8 = b'M';
const DAY: u8 = b'D';
const EVENT: u8 = b'E';

/// Pieces in the making, and the numbers by which they call subjects.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    numbers: BTreeMap<Subject, u32>,
    /// What those had who were named since the last time that it was all written.
    new: Vec<Subject>,
    /// Never given twice, so that no minute is taken for another's.
    next: u32,
    pieces: u32,
    done: Vec<u8>,
    body: Vec<u8>,
}

impl Writer {
    pub(crate) fn minute(&mut self, subject: &Subject, of_day: u64, minute: Minute) {
        let packed = Day::pack(&[minute]);
        let number = self.number(subject);
        self.entry(MINUTE, number, of_day as u32, packed.bytes());
    }

    pub(crate) fn day(&mut self, subject: &Subject, day: &Day) {
        let number = self.number(subject);
        self.entry(DAY, number, 0, day.bytes());
    }

    pub(crate) fn event(&mut self, event: &Noted) {
        if let Ok(text) = serde_json::to_vec(event) {
            self.entry(EVENT, 0, 0, &text);
        }
    }

    fn number(&mut self, subject: &Subject) -> u32 {
        if let Some(&number) = self.numbers.get(subject) {
            return number;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.numbers.insert(subject.clone(), number);
        self.new.push(subject.clone());
        self.entry(SUBJECT, number, 0, subject.to_string().as_bytes());
        number
    }

    fn entry(&mut self, what: u8, number: u32, at: u32, bytes: &[u8]) {
        if self.body.len() + bytes.len() + 13 > LONGEST {
            self.end_piece();
        }
        self.body.push(what);
        for field in [number, at, bytes.len() as u32] {
            self.body.extend(field.to_le_bytes());
        }
        self.body.extend(bytes);
    }

    fn end_piece(&mut self) {
        if self.body.is_empty() {
            return;
        }
        self.done.extend(MARK);
        self.done.extend((self.body.len() as u32).to_le_bytes());
        self.done.extend(sum(&self.body));
        self.done.append(&mut self.body);
    }

    /// What is to be added to the file.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.end_piece();
        std::mem::take(&mut self.done)
    }

    /// It is in the file.
    pub(crate) fn written(&mut self) {
        self.new.clear();
        self.pieces += 1;
        if self.pieces >= NAMED {
            (self.pieces, self.numbers) = (0, BTreeMap::new());
        }
    }

    /// It isn't: who was named for the first time has to be named again.
    pub(crate) fn lost(&mut self) {
        for subject in self.new.drain(..) {
            self.numbers.remove(&subject);
        }
    }
}

fn sum(body: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(body);
    std::array::from_fn(|at| digest[at])
}

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum End {
    Whole,
    /// The last piece is not all there, as a crash leaves it; so far it is good.
    Torn(usize),
    /// There is something else in it, first here; what could be read after that is read too.
    Damaged(usize),
}

/// Adds what the bytes of a day's file say.
pub(crate) fn read(bytes: &[u8], day: u64, history: &mut History) -> End {
    // The very beginning may be torn, too.
    let Some(mut rest) = bytes.strip_prefix(BEGIN) else {
        let begun = bytes.iter().zip(BEGIN).take_while(|(one, other)| one == other).count();
        return if zeros(&bytes[begun..]) { End::Torn(0) } else { End::Damaged(0) };
    };
    let mut subjects = BTreeMap::new();
    let mut damaged = None;
    while !rest.is_empty() {
        let so_far = bytes.len() - rest.len();
        match piece(rest) {
            Piece::Whole(body, after) => {
                rest = after;
                if entries(body, day, &mut subjects, history, damaged.is_some()).is_none() {
                    damaged = damaged.or(Some(so_far));
                }
            }
            Piece::Torn if damaged.is_none() && next(rest).is_none() => return End::Torn(so_far),
            Piece::Torn | Piece::Damaged => {
                damaged = damaged.or(Some(so_far));
                let Some(after) = next(rest) else { break };
                rest = after;
            }
        }
    }
    damaged.map_or(End::Whole, End::Damaged)
}

enum Piece<'a> {
    /// What it says, and what comes after it.
    Whole(&'a [u8], &'a [u8]),
    Torn,
    Damaged,
}

fn piece(rest: &[u8]) -> Piece<'_> {
    let Some((head, after)) = rest.split_at_checked(HEAD) else { return Piece::Torn };
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    if !head.starts_with(MARK) || length == 0 || length > LONGEST {
        let mark = head.iter().zip(MARK).take_while(|(one, other)| one == other).count();
        return if zeros(&rest[mark..]) { Piece::Torn } else { Piece::Damaged };
    }
    let Some((body, after)) = after.split_at_checked(length) else { return Piece::Torn };
    if sum(body) == head[8..] {
        return Piece::Whole(body, after);
    }
    // The file may be as long as it should and its last blocks not written.
    if zeros(after) { Piece::Torn } else { Piece::Damaged }
}

/// From the next mark on.
fn next(rest: &[u8]) -> Option<&[u8]> {
    let place = rest.get(1..)?.windows(MARK.len()).position(|bytes| bytes == MARK)?;
    rest.get(place + 1..)
}

/// A file system may have made a file longer before it knew what was in it.
fn zeros(rest: &[u8]) -> bool {
    rest.iter().all(|&byte| byte == 0)
}

/// `None`: one of them can't be understood. `after_damage`: whose name is lost is left out.
fn entries(
    body: &[u8],
    day: u64,
    subjects: &mut BTreeMap<u32, Subject>,
    history: &mut History,
    after_damage: bool,
) -> Option<()> {
    let mut rest = body;
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(13)?;
        let field = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let (number, at, length) = (field(1)?, u64::from(field(5)?), field(9)? as usize);
        let (bytes, after) = after.split_at_checked(length)?;
        rest = after;
        if after_damage && matches!(head[0], MINUTE | DAY) && !subjects.contains_key(&number) {
            continue;
        }
        match head[0] {
            SUBJECT => {
                subjects.insert(number, std::str::from_utf8(bytes).ok()?.parse().ok()?);
            }
            MINUTE if at < MINUTES => {
                let minute = Day::from_bytes(bytes).ok()?.minutes().next().map(|(_, minute)| minute);
                history.put_minute(subjects.get(&number)?, day * MINUTES + at, minute.unwrap_or_default());
            }
            DAY => history.put_day(subjects.get(&number)?, day, &Day::from_bytes(bytes).ok()?),
            EVENT => history.note(serde_json::from_slice(bytes).ok()?),
            _ => return None,
        }
    }
    Some(())
}
