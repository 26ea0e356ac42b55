//! Whether a standby that starts without a source gets on with the log that it has. Where a part is missing that its data need, PostgreSQL
//! lets nobody in and waits for it for ever; how far it is, is seen from outside only.

use std::fs;
use std::time::{Duration, Instant};

use super::process;

/// Of a second, as the kernel counts.
const TICKS: u64 = 100;

/// What can be seen of the process that reads the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    /// The file of the log that it reads, or waits for.
    file: String,
    /// From the disk.
    read: u64,
    /// Ticks.
    worked: u64,
}

#[derive(Debug, Default)]
pub(super) struct Replay(Option<(Sight, Instant)>);

impl Replay {
    /// The file that it has waited for too long.
    pub(super) fn stuck(&mut self, now: Instant, within: Duration, sight: Option<Sight>) -> Option<String> {
        let Some(sight) = sight else {
            self.0 = None;
            return None;
        };
        let (first, since) = self.0.get_or_insert_with(|| (sight.clone(), now));
        if (&first.file, first.read) != (&sight.file, sight.read) {
            (*first, *since) = (sight, now);
            return None;
        }
        if now.duration_since(*since) < within {
            return None;
        }
        // Who only looks again and again has little to do.
        let worked = sight.worked.saturating_sub(first.worked);
        if worked > within.as_secs() * TICKS / 5 {
            (*first, *since) = (sight, now);
            return None;
        }
        Some(sight.file)
    }
}

/// `None`: it reads no log so far, or can't be seen.
pub(super) fn look(server: i32) -> Option<Sight> {
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
    let mut found = pids.filter(|&pid: &i32| process::parent_of(pid) == Some(server)).filter_map(|pid| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some((pid, file_of(&String::from_utf8_lossy(&title))?))
    });
    let (pid, file) = found.next()?;
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let read = io.lines().find_map(|line| line.strip_prefix("read_bytes:")?.trim().parse().ok());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // What is before may have blanks in it.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Sight { file, read: read.unwrap_or(0), worked: user + system })
}

/// As PostgreSQL has it in the title of the process.
fn file_of(title: &str) -> Option<String> {
    let doing = title.trim_end_matches(['\0', ' ']).split_once("startup ")?.1;
    let file = doing.strip_prefix("recovering ").or_else(|| doing.strip_prefix("waiting for "))?;
    Some(file.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVES_WITHIN: Duration = Duration::from_secs(60);

    fn sight(file: &str, read: u64, worked: u64) -> Option<Sight> {
        Some(Sight { file: file.to_owned(), read, worked })
    }

    #[test]
    fn the_title_says_which_file_is_read() {
        let file = Some("000000010000000000000003".to_owned());
        assert_eq!(file_of("postgres: db1: startup recovering 000000010000000000000003\0"), file);
        assert_eq!(file_of("postgres: startup waiting for 000000010000000000000003   \0\0"), file);
        assert_eq!(file_of("postgres: db1: startup \0"), None);
        assert_eq!(file_of("postgres: db1: walwriter \0"), None);
    }

    #[test]
    fn who_waits_for_a_file_for_a_minute_is_stuck() {
        let (begin, mut replay) = (Instant::now(), Replay::default());
        assert_eq!(replay.stuck(begin, MOVES_WITHIN, sight("1", 5, 0)), None);
        assert_eq!(replay.stuck(begin + MOVES_WITHIN / 2, MOVES_WITHIN, sight("2", 5, 10)), None);
        assert_eq!(
            replay.stuck(begin + MOVES_WITHIN, MOVES_WITHIN, sight("2", 5, 20)),
            None,
            "it went on meanwhile"
        );
        assert_eq!(
            replay.stuck(begin + 2 * MOVES_WITHIN, MOVES_WITHIN, sight("2", 5, 40)),
            Some("2".to_owned())
        );
    }

    #[test]
    fn who_reads_from_the_disk_or_works_is_not_stuck() {
        let (begin, mut replay) = (Instant::now(), Replay::default());
        for minute in 0..5_u32 {
            let sight = sight("1", u64::from(minute), 0);
            assert_eq!(replay.stuck(begin + minute * MOVES_WITHIN, MOVES_WITHIN, sight), None);
        }
        let (begin, mut replay) = (Instant::now(), Replay::default());
        for minute in 0..5_u32 {
            let sight = sight("1", 0, u64::from(minute) * 60 * TICKS);
            assert_eq!(replay.stuck(begin + minute * MOVES_WITHIN, MOVES_WITHIN, sight), None);
        }
    }
}
