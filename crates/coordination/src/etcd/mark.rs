//! What is known of the cluster, so that one that was restored from a copy, emptied or swapped for another is noticed.

use crate::Revision;
use crate::claim::Known;
use crate::error::Error;

use super::wire::Header;

#[derive(Debug, Default)]
pub(super) struct Mark {
    cluster: Option<u64>,
    /// The newest that any answer has said.
    revision: u64,
    /// The register with the newest change that was seen. Registers never vanish here, they only become newer.
    anchor: Option<Anchor>,
    /// The whole cluster was found not to be what it was. It can't become so again: it may only grow until it looks like it.
    regressed: Option<Error>,
}

#[derive(Debug, Clone)]
pub(super) struct Anchor {
    pub(super) key: Vec<u8>,
    pub(super) revision: u64,
}

impl Mark {
    pub(super) fn of(known: Option<&Known>) -> Result<Self, Error> {
        let Some(known) = known else { return Ok(Self::default()) };
        // A host that knows a directory of its own knows nothing of any cluster.
        let cluster = u64::from_str_radix(&known.store, 16).map_err(|_| Error::Regressed {
            why: format!("this host knows the store {}, which is no etcd cluster", known.store),
        })?;
        Ok(Self { cluster: Some(cluster), revision: known.revision, ..Self::default() })
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn anchor(&self) -> Option<Anchor> {
        self.anchor.clone()
    }

    pub(super) fn regressed(&self) -> Option<Error> {
        self.regressed.clone()
    }

    /// Nothing is asked of this cluster any more. Gives the error back.
    pub(super) fn give_up(&mut self, why: String) -> Error {
        self.regressed.insert(Error::Regressed { why }).clone()
    }

    pub(super) fn store(&self) -> String {
        self.cluster.map_or_else(String::new, |cluster| format!("{cluster:x}"))
    }

    /// Takes an answer's header to be good, or says why it is not. `floor` was known when the question was asked.
    pub(super) fn check(&mut self, header: &Header, floor: u64) -> Result<(), Error> {
        let regressed = |why| Err(Error::Regressed { why });
        if let Some(cluster) = self.cluster
            && cluster != header.cluster_id
        {
            let other = header.cluster_id;
            return regressed(format!("it was the etcd cluster {cluster:x}, and is {other:x}"));
        }
        let revision = u64::try_from(header.revision).unwrap_or(0);
        if revision < floor {
            return regressed(format!("it was at revision {floor}, and is at {revision}"));
        }
        self.cluster = Some(header.cluster_id);
        self.revision = self.revision.max(revision);
        Ok(())
    }

    pub(super) fn saw(&mut self, key: &[u8], revision: Revision) {
        if self.anchor.as_ref().is_none_or(|anchor| anchor.revision < revision.0) {
            self.anchor = Some(Anchor { key: key.to_vec(), revision: revision.0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cluster_id: u64, revision: i64) -> Header {
        Header { cluster_id, revision }
    }

    #[test]
    fn another_cluster_and_an_older_revision_are_noticed() {
        let mut mark = Mark::default();
        assert_eq!(mark.check(&header(7, 10), 0), Ok(()));
        assert_eq!(mark.revision(), 10);
        assert!(matches!(mark.check(&header(8, 11), 10), Err(Error::Regressed { .. })));
        assert!(matches!(mark.check(&header(7, 9), 10), Err(Error::Regressed { .. })));
        // An answer that was overtaken by a newer one.
        assert_eq!(mark.check(&header(7, 9), 8), Ok(()));
        assert_eq!(mark.revision(), 10);
    }

    #[test]
    fn the_anchor_is_the_newest_register() {
        let mut mark = Mark::default();
        mark.saw(b"a", Revision(5));
        mark.saw(b"b", Revision(3));
        assert_eq!(mark.anchor().map(|anchor| anchor.revision), Some(5));
    }
}
