//! Terms as timelines: which promotions a log went through, and the history files in `pg_wal` by which PostgreSQL knows of them.
//!
//! PostgreSQL numbers a new timeline by the history files that it finds one after another, from its own on: empty files fill the
//! numbers between two terms. An empty one must never be the highest, since PostgreSQL would take it for its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nines_control::failover::{Lsn, Position, Term};
use nines_control::gate::Branch;

/// More terms in a row than this have never been without a promotion; each costs a file.
pub(super) const LONGEST_GAP: Term = 100_000;

/// From the log's beginning. The last branch has no end yet.
pub(super) type History = Vec<Branch>;

pub(super) fn first() -> History {
    vec![Branch { term: 1, begin: 0 }]
}

/// `16/B374D848`, as PostgreSQL writes it.
pub(super) fn parse_lsn(text: &str) -> Option<Lsn> {
    let (high, low) = text.trim().split_once('/')?;
    let high = u64::from(u32::from_str_radix(high, 16).ok()?);
    let low = u64::from(u32::from_str_radix(low, 16).ok()?);
    Some(high << 32 | low)
}

pub(super) fn show_lsn(lsn: Lsn) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

/// Where a log that ends there ends: in the branch that its last byte is of.
pub(super) fn position(history: &[Branch], lsn: Lsn) -> Option<Position> {
    let branch = history.iter().rev().find(|branch| branch.begin < lsn).or(history.first())?;
    Some(Position { term: branch.term, lsn })
}

/// The branches that a log up to there really has something of.
pub(super) fn up_to(history: &[Branch], lsn: Lsn) -> &[Branch] {
    let count = history.iter().take_while(|branch| branch.begin < lsn || branch.begin == 0).count();
    &history[..count]
}

/// Whether a log with these branches and this end is a part of that history.
pub(super) fn is_part(own: &[Branch], end: Lsn, of: &[Branch]) -> bool {
    let own = up_to(own, end);
    own.len() <= of.len() && own == &of[..own.len()] && of.get(own.len()).is_none_or(|next| end <= next.begin)
}

/// Where two logs stop being the same.
pub(super) fn fork(one: &[Branch], other: &[Branch]) -> Lsn {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let begin = |branches: &[Branch]| branches.get(same).map_or(Lsn::MAX, |branch| branch.begin);
    begin(one).min(begin(other))
}

/// What a history file says: each timeline but the last, and where it was left.
pub(super) fn file_of(history: &[Branch]) -> String {
    let steps = history.iter().zip(history.iter().skip(1));
    steps.map(|(one, next)| format!("{}\t{}\tnines\n", one.term, show_lsn(next.begin))).collect()
}

/// The branches of the timeline whose history file this is.
pub(super) fn parse(term: Term, text: &str) -> Option<History> {
    let mut history = Vec::new();
    let mut begin = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (timeline, end) = (words.next()?.parse().ok()?, parse_lsn(words.next()?)?);
        history.push(Branch { term: timeline, begin });
        begin = end;
    }
    history.push(Branch { term, begin });
    history.windows(2).all(|pair| pair[0].term < pair[1].term).then_some(history)
}

fn name(term: Term) -> String {
    format!("{term:08X}.history")
}

/// All history files of that directory, and whether there is anything in them.
pub(super) fn files(wal: &Path) -> io::Result<Vec<(Term, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(wal)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let digits = file_name.to_str().and_then(|name| name.strip_suffix(".history"));
        if let Some(term) =
            digits.filter(|digits| digits.len() == 8).and_then(|it| Term::from_str_radix(it, 16).ok())
        {
            found.push((term, entry.metadata()?.len() > 0));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What the file of that timeline says, if there is one that says something.
pub(super) fn read(wal: &Path, term: Term) -> io::Result<Option<History>> {
    match fs::read_to_string(wal.join(name(term))) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(parse(term, &text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the files there say this history and no other: the newest first, then the empty ones below it from the top, so that
/// PostgreSQL finds all of them or none.
pub(super) fn establish(wal: &Path, history: &[Branch]) -> io::Result<()> {
    let newest = history.last().map_or(1, |branch| branch.term);
    let files = files(wal)?;
    for (term, _) in files.iter().rev().filter(|(term, _)| *term > newest) {
        put_away(wal, *term)?;
    }
    if newest > 1 {
        if read(wal, newest)?.as_deref() != Some(history) {
            put(&wal.join(name(newest)), &file_of(history))?;
        }
        fill(wal, 2, newest)?;
    }
    sync(wal)
}

/// Empty files for the terms from `from` to the one before `to`, where there are none.
pub(super) fn fill(wal: &Path, from: Term, to: Term) -> io::Result<()> {
    if to.saturating_sub(from) > LONGEST_GAP {
        return Err(io::Error::other(format!("between the terms {from} and {to} are too many")));
    }
    for term in (from.max(2)..to).rev() {
        let path = wal.join(name(term));
        if !path.try_exists()? {
            put(&path, "")?;
        }
    }
    sync(wal)
}

/// PostgreSQL doesn't know it by its new name.
pub(super) fn put_away(wal: &Path, term: Term) -> io::Result<()> {
    let path = wal.join(name(term));
    if fs::metadata(&path)?.len() == 0 { fs::remove_file(path) } else { fs::rename(&path, away(&path)) }
}

fn away(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".not-followed");
    name.into()
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let making = path.with_extension("nines");
    let mut file = File::create(&making)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(making, path)
}

pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branches(list: &[(Term, Lsn)]) -> History {
        list.iter().map(|&(term, begin)| Branch { term, begin }).collect()
    }

    #[test]
    fn places_in_the_log_are_read_as_postgresql_writes_them() {
        assert_eq!(parse_lsn("16/B374D848"), Some(0x16_B374_D848));
        assert_eq!(show_lsn(0x16_B374_D848), "16/B374D848");
        for wrong in ["", "16", "16/", "x/1", "1/100000000", "1/2/3"] {
            assert_eq!(parse_lsn(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_term_of_a_position_is_that_of_its_last_byte() {
        let history = branches(&[(1, 0), (5, 1000), (7, 2000)]);
        let term = |lsn| position(&history, lsn).unwrap().term;
        assert_eq!((term(999), term(1000), term(1001), term(2000), term(2001)), (1, 1, 5, 5, 7));
        assert_eq!(position(&[], 7), None);
    }

    #[test]
    fn a_log_is_a_part_of_another_history_up_to_its_first_branch_that_it_lacks() {
        let old = branches(&[(1, 0)]);
        let new = branches(&[(1, 0), (5, 1000)]);
        assert!(is_part(&old, 1000, &new) && !is_part(&old, 1001, &new));
        assert!(
            is_part(&new, 1000, &old) && !is_part(&new, 1001, &old),
            "nothing of 5 counts as not having it"
        );
        let other = branches(&[(1, 0), (6, 1000)]);
        assert!(is_part(&new, 900, &other) && !is_part(&new, 1001, &other));
        assert!(!is_part(&branches(&[(1, 0), (5, 900)]), 950, &new));
        assert_eq!((fork(&old, &new), fork(&new, &other)), (1000, 1000));
    }

    #[test]
    fn a_history_file_says_the_same_again() {
        let history = branches(&[(1, 0), (5, 0x1_0000_1000), (7, 0x1_0000_2000)]);
        let text = file_of(&history);
        assert_eq!(text, "1\t1/1000\tnines\n5\t1/2000\tnines\n");
        assert_eq!(parse(7, &text), Some(history));
        assert_eq!(parse(2, "# a comment\n\n1\t0/3000148\tno recovery target specified\n").unwrap().len(), 2);
        assert_eq!(parse(2, "2\t0/1\t"), None, "a timeline is no child of itself");
        assert_eq!(parse(2, "nonsense"), None);
    }

    #[test]
    fn the_newest_file_is_never_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let wal = directory.path();
        // Left by a promotion to 5 that never was, and by somebody's hand.
        fill(wal, 2, 5).unwrap();
        put(&wal.join(name(9)), "1\t0/300\tby hand\n").unwrap();
        establish(wal, &first()).unwrap();
        assert_eq!(files(wal).unwrap(), []);
        let history = branches(&[(1, 0), (4, 1000)]);
        establish(wal, &history).unwrap();
        assert_eq!(files(wal).unwrap(), [(2, false), (3, false), (4, true)]);
        assert_eq!(read(wal, 4).unwrap(), Some(history));
        assert_eq!(read(wal, 3).unwrap(), None);
    }
}
