//! What PostgreSQL's control file says of a data directory, by way of `pg_controldata`.

use std::collections::BTreeMap;

use nines_control::failover::{Lsn, Term};

use super::history;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ControlFile {
    pub(super) system: String,
    /// In PostgreSQL's words: `in production`, `shut down in recovery`…
    pub(super) state: String,
    /// Of the latest checkpoint, or of what must be recovered to: the higher one.
    pub(super) timeline: Term,
    /// The log goes that far at least.
    pub(super) at_least: Lsn,
    /// A standby must have no less of these: what the primary had, as the log up to there says.
    pub(super) least: Vec<(&'static str, u64)>,
}

/// In `pg_controldata`'s words, and PostgreSQL's.
const LEAST: [(&str, &str); 5] = [
    ("max_connections setting", "max_connections"),
    ("max_worker_processes setting", "max_worker_processes"),
    ("max_wal_senders setting", "max_wal_senders"),
    ("max_prepared_xacts setting", "max_prepared_transactions"),
    ("max_locks_per_xact setting", "max_locks_per_transaction"),
];

impl ControlFile {
    /// Of what `pg_controldata` printed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
            .collect();
        let timeline = |name: &str| fields.get(name)?.parse::<Term>().ok();
        let place = |name: &str| history::parse_lsn(fields.get(name)?);
        Some(Self {
            system: (*fields.get("Database system identifier")?).to_owned(),
            state: (*fields.get("Database cluster state")?).to_owned(),
            timeline: timeline("Latest checkpoint's TimeLineID")?
                .max(timeline("Min recovery ending loc's timeline")?),
            least: LEAST
                .iter()
                .filter_map(|(field, name)| Some((*name, fields.get(field)?.parse().ok()?)))
                .collect(),
            at_least: place("Latest checkpoint location")?.max(place("Minimum recovery ending location")?),
        })
    }

    pub(super) fn is_shut_down(&self) -> bool {
        matches!(self.state.as_str(), "shut down" | "shut down in recovery")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pg_controldata_prints_is_understood() {
        let text = "pg_control version number:            1300\nDatabase system identifier:           7329\n\
                    Database cluster state:               in production\n\
                    Latest checkpoint location:           0/1500028\n\
                    Latest checkpoint's TimeLineID:       1\n\
                    Minimum recovery ending location:     0/1600000\n\
                    Min recovery ending loc's timeline:   5\n\
                    max_connections setting:              100\n\
                    max_locks_per_xact setting:           64\n";
        let found = ControlFile::parse(text).unwrap();
        assert_eq!((found.timeline, found.at_least, found.is_shut_down()), (5, 0x160_0000, false));
        assert_eq!(found.least, [("max_connections", 100), ("max_locks_per_transaction", 64)]);
        assert_eq!(ControlFile::parse("pg_controldata: error"), None);
    }
}
