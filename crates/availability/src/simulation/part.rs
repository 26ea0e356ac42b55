//! Work that goes to members that are gone already: which of them still get their part, and since what.

use super::Sharing;
use crate::structure::EventId;

/// A member that is gone, and still gets work.
#[derive(Debug, Clone, Copy)]
struct Lost {
    member: u32,
    weight: u64,
    by: EventId,
}

#[derive(Debug, Clone)]
struct Part {
    weights: Vec<u64>,
    all: u64,
    /// Whether each member is gone, and how often it has changed.
    gone: Vec<(bool, u32)>,
    lost: Vec<Lost>,
}

/// All that share work.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    of: Vec<Part>,
    /// How many members are lost in all: most of the time none.
    lost: usize,
}

impl Parts {
    pub(super) fn of(all: &[Sharing]) -> Self {
        let part = |sharing: &Sharing| {
            let weights: Vec<u64> = sharing.members.iter().map(|(_, weight)| *weight).collect();
            Part {
                all: weights.iter().sum::<u64>().max(1),
                gone: vec![(false, 0); weights.len()],
                weights,
                lost: Vec::new(),
            }
        };
        Self { of: all.iter().map(part).collect(), lost: 0 }
    }

    /// A member is gone or back, by this event or in peace. What to call the loss by, if one has begun.
    pub(super) fn changed(&mut self, at: u32, member: u32, gone: bool, by: Option<EventId>) -> Option<u32> {
        let part = &mut self.of[at as usize];
        let (was, since) = &mut part.gone[member as usize];
        if *was == gone {
            return None;
        }
        (*was, *since) = (gone, since.wrapping_add(1));
        let since = *since;
        self.end(at, member);
        let by = by.filter(|_| gone)?;
        let part = &mut self.of[at as usize];
        part.lost.push(Lost { member, weight: part.weights[member as usize], by });
        self.lost += 1;
        Some(since)
    }

    /// It was noticed that a member is gone, if it still is since then.
    pub(super) fn noticed(&mut self, at: u32, member: u32, since: u32) {
        if self.of[at as usize].gone[member as usize] == (true, since) {
            self.end(at, member);
        }
    }

    fn end(&mut self, at: u32, member: u32) {
        let lost = &mut self.of[at as usize].lost;
        let before = lost.len();
        lost.retain(|of| of.member != member);
        self.lost -= before - lost.len();
    }

    /// The greatest share that is lost now, and of which of those that share work.
    pub(super) fn worst(&self) -> Option<(f64, usize)> {
        if self.lost == 0 {
            return None;
        }
        let share = |part: &Part| part.lost.iter().map(|of| of.weight).sum::<u64>() as f64 / part.all as f64;
        let shares = self.of.iter().map(share).zip(0..);
        shares.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(share, _)| *share > 0.0)
    }

    /// The share that each event has in what is lost.
    pub(super) fn lost_by(&self, at: usize) -> impl Iterator<Item = (EventId, f64)> {
        let part = &self.of[at];
        part.lost.iter().map(|of| (of.by, of.weight as f64 / part.all as f64))
    }
}
