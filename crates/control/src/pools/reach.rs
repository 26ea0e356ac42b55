//! Who of a database's hosts gets connections, and whose connections must end, by what their gates say of themselves.
//!
//! The gates guard the data: whoever is sent to the wrong one is refused there. What is decided here is how soon clients
//! reach the right one, and that nobody hangs at one that is gone.

use std::time::{Duration, Instant};

use nines_system::Access;

use crate::failover::Term;
use crate::gate::{Serves, Standing};

/// A term that nobody has spoken of for so long is no longer held against lower ones: the database was made anew. Many
/// times as long as any lease, so an old primary has long stopped saying that it is one.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// The latest that a member's gate has said.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) standing: Standing,
    /// The latest question was not answered. It may be a short pause, so its connections stay, but nobody is sent there.
    pub(super) silent: bool,
}

/// The highest term that any gate of the database has spoken of, and when one did last.
#[derive(Debug, Clone, Default)]
pub(super) struct Newest(Option<(Term, Instant)>);

impl Newest {
    pub(super) fn hear(&mut self, now: Instant, term: Term) {
        let stands = |(newest, at)| term < newest && now.saturating_duration_since(at) < FORGOTTEN;
        if !self.0.is_some_and(stands) {
            self.0 = Some((term, now));
        }
    }

    pub(super) fn term(&self) -> Term {
        self.0.map_or(0, |(term, _)| term)
    }
}

/// A member as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The operator lets it work, and its address is known.
    pub(super) ready: bool,
    /// Its gate was asked and did not answer, just now.
    pub(super) silent: bool,
    pub(super) serves: Serves,
    pub(super) term: Term,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// New connections may go there.
    pub(super) eligible: bool,
    /// Connections that are there may stay.
    pub(super) serves: bool,
}

/// The role of each member; `None` is one whose gate says nothing, or was not asked yet.
pub(super) fn roles(access: Access, newest: Term, members: &[Option<Candidate>]) -> Vec<Role> {
    let serving = serving(access, newest, members);
    let rank = |place: usize| {
        let member = members[place].filter(|member| serving[place] && member.ready && !member.silent)?;
        if member.serves == Serves::Handover {
            return None;
        }
        Some(match (access, member.serves) {
            (Access::ReadWrite, _) => 0,
            (Access::ReadOnly, Serves::Reads) if member.term == newest => 0,
            (Access::ReadOnly, Serves::Everything) => 1,
            // It follows a primary that is one no more.
            (Access::ReadOnly, _) => 2,
        })
    };
    let best = (0..members.len()).filter_map(rank).min();
    let role =
        |place: usize| Role { eligible: best.is_some() && rank(place) == best, serves: serving[place] };
    (0..members.len()).map(role).collect()
}

fn serving(access: Access, newest: Term, members: &[Option<Candidate>]) -> Vec<bool> {
    let leads = |serves| matches!(serves, Serves::Everything | Serves::Handover);
    let is_primary = |member: &Candidate| leads(member.serves) && member.term == newest;
    // There are no two primaries of one term; whatever is said, one is believed, and rather one that answers.
    let primaries = members.iter().enumerate().filter_map(|(place, member)| Some((place, (*member)?)));
    let primaries = primaries.filter(|(_, member)| is_primary(member));
    let primary = primaries.min_by_key(|(_, member)| member.silent).map(|(place, _)| place);
    let serves = |(place, member): (usize, &Option<Candidate>)| match access {
        Access::ReadWrite => primary == Some(place),
        Access::ReadOnly => {
            primary == Some(place) || member.is_some_and(|member| member.serves == Serves::Reads)
        }
    };
    members.iter().enumerate().map(serves).collect()
}

/// What a gate said, for a person.
pub(super) fn words(standing: &Standing) -> String {
    let behind = |bytes| match bytes {
        1 => "1 byte behind".to_owned(),
        bytes => format!("{bytes} bytes behind"),
    };
    match standing.serves {
        Serves::Everything => format!("primary of term {}", standing.term),
        Serves::Handover => format!("primary of term {}, hands over", standing.term),
        Serves::Reads => format!("standby, {}", behind(standing.lag)),
        Serves::Nobody if standing.why.is_empty() => "serves nobody".to_owned(),
        Serves::Nobody => standing.why.clone(),
    }
}
