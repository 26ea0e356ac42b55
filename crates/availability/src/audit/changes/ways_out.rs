//! What it takes for the service to bear the loss of certain places: single changes, or several together where one is not enough.
//!
//! Each step takes as few machines as any that mends something; that is not proven to be the least for the whole.

use super::{Add, Candidate, growth, parts, surroundings};
use crate::model::{Fallen, Kind};
use crate::service::Service;

/// Changes that are made together.
const STEPS: usize = 8;

/// Hosts in all services that may still be tried: thousands of changes of a small one, some dozens of a large one.
pub(in crate::audit) struct Effort(pub(in crate::audit) usize);

impl Effort {
    /// For all pairs together.
    pub(in crate::audit) const FOR_ALL: Self = Self(1_000_000);

    /// As much as may be spent on one, of what is left for all.
    pub(in crate::audit) fn a_part(&self) -> Self {
        Self(Self::default().0.min(self.0))
    }

    /// What was spent of the part.
    pub(in crate::audit) fn less(&mut self, left: &Self) {
        self.0 -= self.a_part().0 - left.0;
    }
}

impl Default for Effort {
    fn default() -> Self {
        Self(60_000)
    }
}

/// Why there is no way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum NoWay {
    /// All that is known to help was tried.
    None,
    /// It was not looked for to the end.
    GaveUp,
}

/// What can be changed by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Entry(usize),
    Database(usize),
    Quorum,
    Pool(usize),
    Shared(usize),
    Name(usize),
}

impl Part {
    pub(super) fn all(service: &Service) -> impl Iterator<Item = Self> {
        let pools = (0..service.pools.len()).filter(|&at| service.pools[at].reaches.is_none());
        (0..service.entries.len())
            .map(Self::Entry)
            .chain((0..service.databases.len()).map(Self::Database))
            .chain(service.asked_quorum().map(|_| Self::Quorum))
            .chain(pools.map(Self::Pool))
            .chain((0..service.shared.len()).map(Self::Shared))
            .chain((0..service.names.len()).map(Self::Name))
    }

    /// `avoid`: zones that nothing new may stand in.
    pub(super) fn changes(self, service: &Service, avoid: &[usize], add: Add<'_>) {
        match self {
            Self::Entry(at) => parts::entry(service, at, avoid, add),
            Self::Database(at) => parts::database(service, at, avoid, add),
            Self::Quorum => {
                let quorum = service.asked_quorum();
                quorum.into_iter().for_each(|quorum| parts::coordination(service, quorum, avoid, add));
            }
            Self::Pool(at) => parts::pool(service, at, avoid, add),
            Self::Shared(at) => surroundings::second(service, at, add),
            Self::Name(at) => surroundings::name(service, at, add),
        }
    }

    /// One more of it.
    fn growth(self, service: &Service, avoid: &[usize], add: Add<'_>) {
        match self {
            Self::Entry(at) => growth::entry(service, at, avoid, add),
            Self::Quorum => {
                let quorum = service.asked_quorum();
                quorum.into_iter().for_each(|quorum| growth::coordination(service, quorum, avoid, add));
            }
            Self::Pool(at) => growth::pool(service, at, avoid, add),
            Self::Database(_) | Self::Shared(_) | Self::Name(_) => {}
        }
    }

    /// Whether it is among what is lost: to change anything else does not help.
    fn is_lost(self, service: &Service, fallen: &Fallen<'_>, gone: &[Kind], halves: usize) -> bool {
        match self {
            Self::Entry(at) => fallen.takes_entry(at),
            Self::Database(at) => fallen.takes_database(at),
            Self::Quorum => {
                fallen.takes_quorum()
                    || service.asked_quorum().is_some_and(|quorum| quorum.members.is_empty())
            }
            Self::Pool(at) => fallen.takes_pool(at),
            Self::Shared(at) => gone.iter().any(|kind| match kind {
                Kind::Shared(of) => *of == at || at >= halves,
                _ => false,
            }),
            Self::Name(at) => service.names[at].entries.iter().any(|&entry| fallen.takes_entry(entry)),
        }
    }
}

/// What may be gone: of something shared that came in two each half may be the one.
fn variants(before: &Service, now: &Service, gone: &[Kind]) -> Vec<Vec<Kind>> {
    let shared = gone.iter().any(|kind| matches!(kind, Kind::Shared(_)));
    let halves = (before.shared.len()..now.shared.len()).filter(|_| shared);
    let with = |half: usize| {
        let places = gone.iter().map(|kind| match kind {
            Kind::Shared(_) => Kind::Shared(half),
            _ => kind.clone(),
        });
        places.collect()
    };
    std::iter::once(gone.to_vec()).chain(halves.map(with)).collect()
}

/// How much of what clients need is lost while these places are gone: at the worst, and with one variant after the other.
fn lost(before: &Service, now: &Service, gone: &[Kind]) -> (usize, usize) {
    let lacks = variants(before, now, gone);
    let lacks = lacks.iter().map(|places| Fallen::new(now, places).lacks());
    lacks.fold((0, 0), |(most, sum), lacks| (most.max(lacks), sum + lacks))
}

fn lost_parts(before: &Service, now: &Service, gone: &[Kind]) -> Vec<Part> {
    let variants = variants(before, now, gone);
    let fallen: Vec<Fallen<'_>> = variants.iter().map(|places| Fallen::new(now, places)).collect();
    let is_lost = |part: &Part| fallen.iter().any(|of| part.is_lost(now, of, gone, before.shared.len()));
    Part::all(now).filter(is_lost).collect()
}

/// Whether all that was there is where it was: then nothing else can have become fatal.
fn only_adds(before: &Service, after: &Service) -> bool {
    let stay = before.hosts.iter().zip(&after.hosts).all(|(a, b)| a.zone == b.zone);
    let voters = |of: &Service| of.quorum.iter().flat_map(|of| of.members.clone()).collect::<Vec<_>>();
    let databases = before.databases.iter().zip(&after.databases);
    stay && voters(after).starts_with(&voters(before))
        && databases.clone().all(|(a, b)| a.strict == b.strict && a.confirm <= b.confirm)
}

/// Zones that are gone with a region: what is to bear that must be somewhere else.
fn with_regions(service: &Service, gone: &[Kind]) -> Vec<usize> {
    let is_in = |zone: &usize| {
        let region = service.zones[*zone].region.as_ref();
        gone.iter().any(|kind| matches!(kind, Kind::Region(of) if Some(of) == region))
    };
    (0..service.zones.len()).filter(is_in).collect()
}

/// A change that mends something: the machines it takes, what is lost then, and the service.
type Step = (usize, (usize, usize), Candidate);

/// Of the changes of what is lost the one that mends something with the fewest machines.
fn next(
    (service, now): (&Service, &Service),
    (gone, pairs): (&[Kind], bool),
    left: (usize, usize),
    effort: &mut Effort,
) -> Result<Step, NoWay> {
    let avoid = with_regions(now, gone);
    let lost_parts = lost_parts(service, now, gone);
    let mut best: Option<Step> = None;
    for grow in [false, true].into_iter().take(1 + usize::from(pairs)) {
        for part in &lost_parts {
            if effort.0 == 0 {
                // The best of some would be passed off as the best of all.
                return Err(NoWay::GaveUp);
            }
            let mut add = |text: String, changed: Service| {
                effort.0 = effort.0.saturating_sub(changed.hosts.len());
                if pairs && !only_adds(now, &changed) {
                    return;
                }
                let hosts = changed.hosts.len() - now.hosts.len();
                let after = lost(service, &changed, gone);
                let is_better = best.as_ref().is_none_or(|(most, of, _)| (hosts, after) < (*most, *of));
                if after < left && is_better {
                    best = Some((hosts, after, Candidate::new(text, changed)));
                }
            };
            match grow {
                false => part.changes(now, &avoid, &mut add),
                true => part.growth(now, &avoid, &mut add),
            }
        }
    }
    best.ok_or(NoWay::None)
}

/// The changes that make the service bear it, and the service then. `pairs`: nothing that is there may change its place, since that
/// would make another pair fatal.
pub(in crate::audit) fn way_out(
    service: &Service,
    gone: &[Kind],
    pairs: bool,
    effort: &mut Effort,
) -> Result<Candidate, NoWay> {
    let mut steps: Vec<Candidate> = Vec::new();
    let mut left = lost(service, service, gone);
    while left.0 > 0 {
        if steps.len() == STEPS {
            return Err(NoWay::GaveUp);
        }
        let now = steps.last().map_or(service, |step| &step.service);
        let (_, after, best) = next((service, now), (gone, pairs), left, effort)?;
        left = after;
        steps.push(best);
    }
    let texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
    let text = texts.join("; ");
    let count = steps.len();
    let last = steps.pop().ok_or(NoWay::None)?;
    Ok(Candidate { steps: count, ..Candidate::new(text, last.service) })
}
