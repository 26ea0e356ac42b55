//! What a watch has told so far, and what is new in what the store says now. The store may say things twice and late; they are told
//! once, and never backwards.

use std::collections::BTreeMap;

use crate::{Entry, Revision};

/// A register as the store has it: `None` is one that was deleted.
pub(crate) type Told = (String, u64, Option<Vec<u8>>);

#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// What exists, by path.
    known: BTreeMap<String, Entry>,
    /// Everything up to this revision has been told.
    through: u64,
}

impl Tracker {
    pub(crate) fn through(&self) -> u64 {
        self.through
    }

    /// Everything that there was at revision `at`: what is different from what was told.
    pub(crate) fn all(&mut self, at: u64, present: Vec<Told>) -> Vec<(String, Option<Entry>)> {
        if at < self.through {
            return Vec::new();
        }
        let mut gone: Vec<String> = self.known.keys().cloned().collect();
        gone.retain(|path| !present.iter().any(|(there, _, value)| there == path && value.is_some()));
        let mut news: Vec<_> = present.into_iter().filter_map(|told| self.tell(told)).collect();
        for path in gone {
            if self.known.remove(&path).is_some() {
                news.push((path, None));
            }
        }
        self.through = at;
        news
    }

    /// Everything that changed after what was told, up to revision `at`.
    pub(crate) fn since(&mut self, at: u64, changed: Vec<Told>) -> Vec<(String, Option<Entry>)> {
        if at < self.through {
            return Vec::new();
        }
        let through = self.through;
        let new = changed.into_iter().filter(|(_, revision, _)| *revision > through);
        let mut new: Vec<Told> = new.collect();
        new.sort_by_key(|(_, revision, _)| *revision);
        self.through = at;
        new.into_iter().filter_map(|told| self.tell(told)).collect()
    }

    fn tell(&mut self, (path, revision, value): Told) -> Option<(String, Option<Entry>)> {
        let Some(value) = value else {
            return self.known.remove(&path).map(|_| (path, None));
        };
        let entry = Entry { value, revision: Revision(revision) };
        if self.known.get(&path).is_some_and(|known| known.revision >= entry.revision) {
            return None;
        }
        self.known.insert(path.clone(), entry.clone());
        Some((path, Some(entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, revision: u64, value: Option<&str>) -> Told {
        (path.to_owned(), revision, value.map(|value| value.as_bytes().to_vec()))
    }

    fn names(news: &[(String, Option<Entry>)]) -> Vec<(&str, Option<u64>)> {
        news.iter().map(|(path, entry)| (path.as_str(), entry.as_ref().map(|e| e.revision.get()))).collect()
    }

    #[test]
    fn what_was_told_is_not_told_again_and_nothing_goes_backwards() {
        let mut tracker = Tracker::default();
        let first = tracker.all(5, vec![told("a", 3, Some("1")), told("b", 5, Some("1"))]);
        assert_eq!(names(&first), [("a", Some(3)), ("b", Some(5))]);
        // Late: from before what is known.
        assert!(tracker.all(4, vec![told("a", 3, Some("1"))]).is_empty());
        assert!(tracker.since(5, vec![told("b", 5, Some("1"))]).is_empty());
        assert_eq!(names(&tracker.since(7, vec![told("a", 7, Some("2"))])), [("a", Some(7))]);
        assert!(tracker.since(6, vec![told("a", 6, Some("x"))]).is_empty());
        assert_eq!(tracker.through(), 7);
    }

    #[test]
    fn what_is_missing_in_a_whole_picture_is_gone() {
        let mut tracker = Tracker::default();
        tracker.all(5, vec![told("a", 3, Some("1")), told("b", 5, Some("1"))]);
        assert_eq!(names(&tracker.all(8, vec![told("b", 5, Some("1"))])), [("a", None)]);
        assert_eq!(names(&tracker.since(9, vec![told("b", 9, None)])), [("b", None)]);
        assert!(tracker.since(10, vec![told("b", 10, None)]).is_empty());
    }

    #[test]
    fn one_batch_with_several_changes_of_a_register_ends_with_the_last() {
        let mut tracker = Tracker::default();
        let news = tracker.since(4, vec![told("a", 4, None), told("a", 3, Some("1"))]);
        assert_eq!(names(&news), [("a", Some(3)), ("a", None)]);
        assert!(tracker.known.is_empty());
    }
}
