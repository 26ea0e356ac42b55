//! What the facts mean for this host's part, and what to do about it. Pure: facts in, findings out.

mod databases;
mod link;
mod machine;
mod others;
mod peers;
mod place;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::facts::Facts;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    Ok,
    /// Good to know.
    Note,
    /// It works, but not always, or not as well.
    Warning,
    /// This host can't do its part.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// `clock`, `listener front/http-80`, `front/10.0.1.100`.
    pub(super) about: String,
    /// What was found, and what follows.
    pub(super) what: String,
    /// What to do.
    pub(super) advice: Option<String>,
}

/// Another candidate of a virtual IP, and which way its link carries advertisements. `None`: nobody can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PeerReport {
    pub(super) virtual_ip: String,
    pub(super) host: String,
    pub(super) address: Option<String>,
    pub(super) heard: Option<bool>,
    pub(super) hears_us: Option<bool>,
    /// Advertised now, if it advertises.
    pub(super) priority: Option<u8>,
}

pub(super) struct Judgement {
    pub(super) findings: Vec<Finding>,
    pub(super) peers: Vec<PeerReport>,
}

pub(super) fn judge(facts: &Facts) -> Judgement {
    let mut findings = Findings::default();
    let mut peers = Vec::new();
    machine::judge(facts, &mut findings);
    if let Some(place) = &facts.place {
        place::judge(place, &mut findings);
        databases::judge(facts, &mut findings);
        for router in &place.routers {
            link::judge(router, &mut findings);
            if router.link.is_ok() {
                peers.extend(peers::judge(place, router, &mut findings));
            }
        }
    }
    Judgement { findings: findings.0, peers }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        level: Level,
        about: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<Option<String>>,
    ) {
        self.0.push(Finding { level, about: about.into(), what: what.into(), advice: advice.into() });
    }

    fn ok(&mut self, about: impl Into<String>, what: impl Into<String>) {
        self.add(Level::Ok, about, what, None);
    }

    fn note(&mut self, about: impl Into<String>, what: impl Into<String>) {
        self.add(Level::Note, about, what, None);
    }

    fn warn(&mut self, about: impl Into<String>, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Warning, about, what, Some(advice.into()));
    }

    fn wrong(&mut self, about: impl Into<String>, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Wrong, about, what, Some(advice.into()));
    }
}

/// `one`, `one and other`, `one, two and three`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}
