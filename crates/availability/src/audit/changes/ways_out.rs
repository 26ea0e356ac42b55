//! What it takes for the service to bear the loss of certain places: single changes, or several together where one is not enough.
//!
//! Each step takes as few machines as any that mends something; that is not proven to be the least for the whole.

use super::{Candidate, parts, structural};
use crate::model::{Fallen, Kind};
use crate::service::Service;

/// Changes that are made together.
const STEPS: usize = 8;

/// Hosts in all services that may still be tried: thousands of changes of a small one, some dozens of a large one.
pub(in crate::audit) struct Effort(usize);

impl Default for Effort {
    fn default() -> Self {
        Self(100_000)
    }
}

/// How much of what clients need is lost while these places are gone. Of something shared that came in two each half may be the
/// one: with the worse of them, and with all one after the other.
fn lost(before: &Service, now: &Service, gone: &[Kind]) -> (usize, usize) {
    let with = |half: Option<usize>| {
        let places = gone.iter().map(|kind| match (kind, half) {
            (Kind::Shared(_), Some(half)) => Kind::Shared(half),
            _ => kind.clone(),
        });
        let places: Vec<Kind> = places.collect();
        Fallen::new(now, &places).lacks()
    };
    let shared = gone.iter().any(|kind| matches!(kind, Kind::Shared(_)));
    let halves = (before.shared.len()..now.shared.len()).filter(|_| shared).map(Some);
    let lacks = std::iter::once(None).chain(halves).map(with);
    lacks.fold((0, 0), |(most, sum), lacks| (most.max(lacks), sum + lacks))
}

/// Whether all that was there is where it was: then nothing else can have become fatal.
fn only_adds(before: &Service, after: &Service) -> bool {
    let stay = before.hosts.iter().zip(&after.hosts).all(|(a, b)| a.zone == b.zone);
    let voters = |of: &Service| of.quorum.iter().flat_map(|of| of.members.clone()).collect::<Vec<_>>();
    let databases = before.databases.iter().zip(&after.databases);
    stay && voters(after).starts_with(&voters(before))
        && databases.clone().all(|(a, b)| a.strict == b.strict && a.confirm <= b.confirm)
}

/// The changes that make the service bear it, and the service then. `pairs`: nothing that is there may change its place, since that
/// would make another pair fatal.
pub(in crate::audit) fn way_out(
    service: &Service,
    gone: &[Kind],
    pairs: bool,
    effort: &mut Effort,
) -> Option<Candidate> {
    let mut steps: Vec<Candidate> = Vec::new();
    let mut left = lost(service, service, gone);
    while left.0 > 0 && steps.len() < STEPS {
        let now = steps.last().map_or(service, |step| &step.service);
        let mut all = structural(now);
        if pairs {
            parts::growth(now, &mut |text, service| all.push(Candidate::new(text, service)));
            all.retain(|candidate| only_adds(now, &candidate.service));
        }
        let tried = all.into_iter().take_while(|candidate| {
            effort.0 = effort.0.saturating_sub(candidate.service.hosts.len());
            effort.0 > 0
        });
        let (_, after, best) = tried
            .map(|candidate| {
                let hosts = candidate.service.hosts.len() - now.hosts.len();
                (hosts, lost(service, &candidate.service, gone), candidate)
            })
            .filter(|(_, after, _)| *after < left)
            .min_by_key(|(hosts, after, _)| (*hosts, *after))?;
        left = after;
        steps.push(best);
    }
    let texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
    let text = texts.join("; ");
    let count = steps.len();
    let last = steps.pop().filter(|_| left.0 == 0)?;
    Some(Candidate { steps: count, ..Candidate::new(text, last.service) })
}
