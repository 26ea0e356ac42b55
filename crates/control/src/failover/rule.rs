//! The rule: who is the primary, and on how many hosts each acknowledged write is. From it follows who must be asked
//! before somebody else becomes the primary.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::register::{Host, Intent, Position, Term};

/// Cohorts that may hold beside the newest one.
pub(super) const COHORTS: usize = 4;

/// Every write that is acknowledged under it is on at least `copies` of the `members`.
///
/// It says nothing of who the primary is, so it stays the same through any change of primary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cohort {
    pub members: BTreeSet<Host>,
    /// The primary's own one is counted if it is a member.
    pub copies: usize,
}

impl Cohort {
    /// How many of the other members must confirm a commit of this primary: `ANY n (others)`.
    pub fn confirmations(&self, primary: &Host) -> usize {
        self.copies.saturating_sub(usize::from(self.members.contains(primary)))
    }

    /// Of so many members, one has every write that was acknowledged under it.
    pub fn recruits_needed(&self) -> usize {
        (self.members.len() + 1).saturating_sub(self.copies)
    }

    /// The members other than this host.
    pub fn others<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = &'a Host> {
        self.members.iter().filter(move |member| *member != host)
    }
}

impl fmt::Display for Cohort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of ", self.copies)?;
        for (at, member) in self.members.iter().enumerate() {
            write!(f, "{}{member}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Changed by compare-and-set alone: whoever changes it has seen what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    pub term: Term,
    pub primary: Host,
    /// Who put this primary there. Its gate is shut, so the primary need not wait for its lease to end.
    pub by: Host,
    /// What the primary's engine is to go by.
    pub cohort: Cohort,
    /// What it may still go by, or has acknowledged writes by that are not yet where `cohort` wants them.
    pub also: Vec<Cohort>,
    /// A higher term that is being recruited for.
    pub taking: Option<Intent>,
}

/// Hosts that pledged themselves, and where their data end.
pub type Recruits = BTreeMap<Host, Position>;

/// Whether these recruits are enough to change the primary, and who has the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The position that holds every acknowledged write.
    Enough(Position),
    /// For each cohort that lacks some: how many more it takes, and of whom.
    Missing(Vec<(usize, BTreeSet<Host>)>),
}

impl Rule {
    /// The first rule of a database.
    pub fn first(primary: Host, cohort: Cohort) -> Self {
        Self { term: 1, by: primary.clone(), primary, cohort, also: Vec::new(), taking: None }
    }

    /// All that hold.
    pub fn cohorts(&self) -> impl Iterator<Item = &Cohort> {
        std::iter::once(&self.cohort).chain(&self.also)
    }

    /// Whether its data may decide.
    pub fn knows(&self, host: &Host) -> bool {
        self.primary == *host || self.cohorts().any(|cohort| cohort.members.contains(host))
    }

    /// The primary has every acknowledged write; without it, enough members of each cohort must be there.
    pub fn verdict(&self, recruits: &Recruits) -> Verdict {
        let there = |host: &Host| recruits.contains_key(host);
        let lacks = |cohort: &Cohort| {
            let absent: BTreeSet<Host> = cohort.members.iter().filter(|one| !there(one)).cloned().collect();
            let missing = cohort.recruits_needed().saturating_sub(cohort.members.len() - absent.len());
            (missing > 0).then_some((missing, absent))
        };
        let missing: Vec<_> =
            if there(&self.primary) { Vec::new() } else { self.cohorts().filter_map(lacks).collect() };
        let best = recruits.iter().filter(|(host, _)| self.knows(host)).map(|(_, position)| *position).max();
        match best {
            Some(best) if missing.is_empty() => Verdict::Enough(best),
            _ => Verdict::Missing(missing),
        }
    }

    /// The same, and from now on this cohort is what the primary goes by. `None`: too many changes are not finished.
    pub(super) fn with_cohort(&self, cohort: Cohort) -> Option<Self> {
        let mut also: Vec<Cohort> = self.cohorts().filter(|one| **one != cohort).cloned().collect();
        also.sort();
        also.dedup();
        (also.len() <= COHORTS).then(|| Self { cohort, also, ..self.clone() })
    }

    /// The same, and only the newest cohort holds.
    pub(super) fn settled(&self) -> Self {
        Self { also: Vec::new(), ..self.clone() }
    }

    pub(super) fn recruiting(&self, term: Term, candidate: Host) -> Self {
        Self { taking: Some(Intent { term, candidate }), ..self.clone() }
    }

    /// The next term begins.
    pub(super) fn won_by(&self, primary: Host, intent: &Intent) -> Self {
        Self { term: intent.term, primary, by: intent.candidate.clone(), taking: None, ..self.clone() }
    }
}
