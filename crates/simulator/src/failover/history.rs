//! What is on a database's disk, as far as it matters: which promotions its log goes through, and how far it goes.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use nines_control::failover::{Lsn, Position, Term};

/// Names one promotion: no two have the same.
pub(super) type BranchId = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Branch {
    id: BranchId,
    term: Term,
    /// What comes after is of this branch, up to where the next one begins.
    from: Lsn,
}

/// A log. Two logs that have the same branch have the same in it, as far as both go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    branches: Rc<Vec<Branch>>,
    end: Lsn,
}

impl Hash for History {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.branch(), self.end).hash(state);
    }
}

impl History {
    /// The one that every host of a scene begins with.
    pub(super) fn first() -> Self {
        Self { branches: Rc::new(vec![Branch { id: 0, term: 1, from: 0 }]), end: 1 }
    }

    /// Of a database that is made, or found.
    pub(super) fn begun(id: BranchId, term: Term, end: Lsn) -> Self {
        Self { branches: Rc::new(vec![Branch { id, term, from: 0 }]), end }
    }

    pub(super) fn end(&self) -> Lsn {
        self.end
    }

    pub(super) fn position(&self) -> Position {
        Position { term: self.branches.last().map_or(0, |branch| branch.term), lsn: self.end }
    }

    /// The one that is written now.
    pub(super) fn branch(&self) -> BranchId {
        self.branches.last().map_or(0, |branch| branch.id)
    }

    pub(super) fn write(&mut self) {
        self.end += 1;
    }

    /// A promotion: its first record says so.
    pub(super) fn fork(&mut self, id: BranchId, term: Term) {
        let mut branches = self.branches.as_ref().clone();
        branches.push(Branch { id, term, from: self.end });
        self.branches = Rc::new(branches);
        self.end += 1;
    }

    /// Whether it has what was written at this place of this branch.
    pub(super) fn contains(&self, id: BranchId, lsn: Lsn) -> bool {
        let Some(at) = self.branches.iter().position(|branch| branch.id == id) else { return false };
        lsn <= self.branches.get(at + 1).map_or(self.end, |next| next.from)
    }

    /// Whether the other one is this one, and perhaps more.
    pub(super) fn is_prefix_of(&self, other: &Self) -> bool {
        self.end <= other.end
            && self.branches.len() <= other.branches.len()
            && (Rc::ptr_eq(&self.branches, &other.branches)
                || self.branches.iter().zip(other.branches.iter()).all(|(one, two)| one == two))
            && other.branches.get(self.branches.len()).is_none_or(|next| self.end <= next.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_know_what_they_have_in_common() {
        let mut old = History::first();
        old.write();
        let mut new = old.clone();
        assert!(old.is_prefix_of(&new) && new.is_prefix_of(&old));
        new.fork(7, 2);
        assert!(old.is_prefix_of(&new) && !new.is_prefix_of(&old));
        assert!(new.contains(0, 2) && new.contains(7, 3) && !old.contains(7, 3));
        // What only the old one wrote is not in the new one, and in its way.
        old.write();
        assert!(old.contains(0, 3) && !new.contains(0, 3));
        new.write();
        assert!(!old.is_prefix_of(&new));
        assert!(new.position() > old.position());
    }
}
