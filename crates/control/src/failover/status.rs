//! What a person wants to know of a database, as this host sees it; above all: what if its primary died now?

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Failover, Gate, Host, Lsn, Origin, Position, Recruits, Register, Role, Rule, Term, Verdict};

/// As long as nobody has seen one: about what a promotion takes.
const PROMOTION: Duration = Duration::from_millis(500);

/// The problem of a host that can't know who is the primary.
pub const NO_STORE: &str = "the store doesn't answer";

/// A database, as one of its hosts sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Who sees it so.
    pub host: Host,
    /// Whether clients can write here now.
    pub serves: bool,
    /// Why they can't.
    pub why: Option<String>,
    pub rule: Option<Rule>,
    pub lease: LeaseStatus,
    pub paused: bool,
    pub switchover: Option<HandingOver>,
    pub takeover: Option<TakingOver>,
    /// All hosts of the database.
    pub members: Vec<Member>,
    pub if_primary_died: Forecast,
    /// Nothing is under way here: no takeover, no handover, no change of cohort, no effect.
    pub settled: bool,
    /// What is wrong with this host, in words.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseStatus {
    pub term: Term,
    pub holder: Option<Host>,
    /// How long it still lasts. Only its holder knows.
    pub left: Option<Duration>,
    /// How long it has not changed, as far as this host has seen.
    pub unchanged: Duration,
}

/// A switchover that is wished for, or under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandingOver {
    pub to: Option<Host>,
    pub stage: String,
    /// Until it is given up. Only the primary knows.
    pub left: Option<Duration>,
}

/// A term that is being recruited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakingOver {
    pub term: Term,
    pub candidate: Host,
    pub recruits: Vec<Host>,
    /// In words; empty: enough are there.
    pub lacks: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub host: Host,
    /// [`Role::Unknown`] also if nothing is known of it.
    pub role: Role,
    pub origin: Origin,
    /// Where its data end, or ended when it last said so.
    pub position: Option<Position>,
    /// The highest term that it is known to have pledged itself to.
    pub pledged: Term,
    /// From the primary of the rule.
    pub streams: bool,
    /// Bytes of the primary's log that it has not confirmed, as far as is known here. 0 of the primary.
    pub lag: Option<u64>,
    /// Some of these hold each write.
    pub in_cohort: bool,
    /// In the cohort, and it streams: its confirmation counts now.
    pub confirms: bool,
    /// Why it could not serve.
    pub unfit: Option<String>,
    /// When it last told how it is. `None`: never. Zero: it is this host, or it streams from here.
    pub heard: Option<Duration>,
}

/// What would happen if the primary's host died now, and the store and the other hosts did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Who would be the primary. `None`: nobody, without an operator.
    pub successor: Option<Host>,
    /// By when it would serve, if nothing else fails.
    pub within: Option<Duration>,
    /// How many bytes of acknowledged writes nobody else may have. 0 if there is a successor; `None`: unknown.
    pub at_risk: Option<u64>,
    /// Why nobody would.
    pub refused: Option<String>,
    /// Of each other host, why it would not be.
    pub others: Vec<(Host, String)>,
}

impl Failover {
    pub fn status(&self, now: Instant) -> Status {
        let rule = self.rule();
        let serves = match &self.gate {
            Gate::Open { until, .. } => now < *until,
            Gate::Hold { .. } | Gate::Close { .. } => false,
        };
        let why = match &self.gate {
            _ if serves => None,
            Gate::Open { .. } => Some("the lease has run out"),
            Gate::Hold { .. } => Some("hands over"),
            Gate::Close { why } => Some(*why),
        };
        let moving = rule.is_none_or(|rule| rule.taking.is_some() || !rule.also.is_empty());
        let busy = self.doing.is_some() || self.handover.is_some() || self.candidacy.is_some();
        let mut problems: Vec<String> = Vec::new();
        problems.extend(self.why_unfit().map(ToOwned::to_owned));
        if !self.is_in_contact() {
            problems.push(NO_STORE.to_owned());
        }
        Status {
            host: self.settings.me.clone(),
            serves,
            why: why.map(ToOwned::to_owned),
            lease: self.lease_status(now),
            paused: self.known.wish.value.paused,
            switchover: self.switchover_status(now),
            takeover: rule.and_then(|rule| self.takeover_status(rule)),
            members: self.members(now),
            if_primary_died: self.forecast(now),
            settled: self.known.read && !moving && !busy,
            problems,
            rule: rule.cloned(),
        }
    }

    fn lease_status(&self, now: Instant) -> LeaseStatus {
        let lease = &self.known.lease.value;
        let held = self.held.as_ref().filter(|held| held.term == lease.term);
        LeaseStatus {
            term: lease.term,
            holder: lease.holder.clone(),
            left: held.map(|held| held.until.saturating_duration_since(now)),
            unchanged: now.saturating_duration_since(self.known.lease_changed),
        }
    }

    fn switchover_status(&self, now: Instant) -> Option<HandingOver> {
        if let Some(handover) = &self.handover {
            return Some(handover.status(now));
        }
        let wished = self.known.wish.value.switchover.as_ref()?;
        let done = self.wish_done == self.known.wish.revision;
        let current = self.rule().is_some_and(|rule| rule.term == wished.term) && !done;
        current.then(|| HandingOver { to: wished.to.clone(), stage: "wished".to_owned(), left: None })
    }

    fn takeover_status(&self, rule: &Rule) -> Option<TakingOver> {
        let intent = rule.taking.as_ref()?;
        let recruits = self.recruits(intent.term, false);
        let lacks = match rule.verdict(&recruits) {
            Verdict::Enough(_) => String::new(),
            Verdict::Missing(missing) => Self::in_words(rule, &missing),
        };
        let recruits = recruits.into_keys().collect();
        Some(TakingOver { term: intent.term, candidate: intent.candidate.clone(), recruits, lacks })
    }

    /// All that the file names, and all that the rule does.
    pub(super) fn members(&self, now: Instant) -> Vec<Member> {
        let mut hosts = self.settings.hosts.clone();
        let of_rule = self.rule().into_iter().flat_map(|rule| rule.cohorts().flat_map(|one| &one.members));
        let more: Vec<Host> = of_rule.filter(|host| !hosts.contains(host)).cloned().collect();
        hosts.extend(more);
        hosts.dedup();
        hosts.into_iter().map(|host| self.member(now, host)).collect()
    }

    fn member(&self, now: Instant, host: Host) -> Member {
        let rule = self.rule();
        let mine = host == self.settings.me;
        let told = if mine { Some(self.vitals()) } else { self.known.vitals(&host).cloned() };
        let from_here = self.streaming_from_here(&host);
        let is_primary = rule.is_some_and(|rule| rule.primary == host);
        let source = rule.map(|rule| (rule.primary.clone(), rule.term));
        let streams = match self.serves_rule() {
            // Only the primary knows now.
            true => from_here.is_some(),
            false => source.is_some() && told.as_ref().is_some_and(|told| told.streams == source),
        };
        let position = match from_here {
            Some(lsn) => self.position().map(|at| Position { lsn, ..at }),
            None => told.as_ref().and_then(|told| told.position),
        };
        let lag = match (self.end_of_log(), position) {
            _ if is_primary => Some(0),
            (Some(end), Some(at)) if end.term == at.term => Some(end.lsn.saturating_sub(at.lsn)),
            _ => None,
        };
        let in_cohort = rule.is_some_and(|rule| rule.cohort.members.contains(&host));
        let heard = self.known.vitals.get(&host).map(|(_, at)| now.saturating_duration_since(*at));
        let pledged = if mine { self.floor() } else { self.known.pledge(&host).term };
        Member {
            role: told.as_ref().map_or(Role::Unknown, |told| told.role),
            origin: told.as_ref().map(|told| told.origin).unwrap_or_default(),
            position,
            pledged,
            streams,
            lag,
            in_cohort,
            confirms: in_cohort && streams,
            unfit: told.and_then(|told| told.unfit),
            heard: if mine || from_here.is_some() { Some(Duration::ZERO) } else { heard },
            host,
        }
    }

    /// Whether this host's engine is the primary of the rule.
    fn serves_rule(&self) -> bool {
        let term = self.rule().filter(|rule| rule.primary == self.settings.me).map(|rule| rule.term);
        let serves =
            self.fresh().filter(|report| report.role == Role::Primary).and_then(|report| report.serves);
        term.is_some() && serves == term
    }

    fn streaming_from_here(&self, host: &Host) -> Option<Lsn> {
        let report = self.fresh().filter(|_| self.serves_rule())?;
        report.standbys.iter().find(|(one, _)| one == host).map(|(_, lsn)| *lsn)
    }

    /// Of the primary, as far as it is known here.
    fn end_of_log(&self) -> Option<Position> {
        if self.serves_rule() { self.position() } else { self.known.lease.value.end }
    }

    fn forecast(&self, now: Instant) -> Forecast {
        let Some(rule) = self.rule() else {
            return Forecast { refused: Some("no database yet".to_owned()), ..Forecast::default() };
        };
        let members = self.members(now);
        let others: Vec<&Member> = members.iter().filter(|one| one.host != rule.primary).collect();
        let there = |one: &&&Member| one.streams || one.host == self.settings.me;
        let recruits: Recruits =
            others.iter().filter(there).filter_map(|one| Some((one.host.clone(), one.position?))).collect();
        let can = |one: &Member, best: Position| {
            recruits.get(&one.host) == Some(&best) && one.unfit.is_none() && rule.knows(&one.host)
        };
        let refuse = |why: String, at_risk: Option<u64>| Forecast {
            at_risk,
            refused: Some(why),
            others: others.iter().map(|one| (one.host.clone(), why_not(rule, one, None))).collect(),
            ..Forecast::default()
        };
        let behind = |best: Option<Position>| match (self.end_of_log(), best) {
            (Some(end), Some(best)) if end.term == best.term => Some(end.lsn.saturating_sub(best.lsn)),
            (Some(end), None) => Some(end.lsn),
            _ => None,
        };
        let best = match rule.verdict(&recruits) {
            Verdict::Enough(best) => best,
            Verdict::Missing(missing) => {
                return refuse(Self::in_words(rule, &missing), behind(recruits.values().max().copied()));
            }
        };
        if self.known.wish.value.paused {
            return refuse("the database is paused".to_owned(), Some(0));
        }
        let Some(successor) = others.iter().find(|one| can(one, best)) else {
            return refuse("none of those that have everything could serve".to_owned(), Some(0));
        };
        let turn = self.settings.heartbeat / 2 * u32::try_from(others.len()).unwrap_or(u32::MAX);
        let takes = self.patience() + turn + self.settings.heartbeat + self.promoted_in.unwrap_or(PROMOTION);
        let not = |one: &&&Member| one.host != successor.host;
        Forecast {
            successor: Some(successor.host.clone()),
            within: Some(takes),
            at_risk: Some(0),
            refused: None,
            others: others
                .iter()
                .filter(not)
                .map(|one| (one.host.clone(), why_not(rule, one, Some((&successor.host, best)))))
                .collect(),
        }
    }

    /// Whether that register was ever written, as far as is known here.
    pub fn has(&self, register: &Register) -> bool {
        self.known.revision(register) > 0
    }
}

/// Why this one would not be the next primary.
fn why_not(rule: &Rule, one: &Member, successor: Option<(&Host, Position)>) -> String {
    if let Some(unfit) = &one.unfit {
        return unfit.clone();
    }
    if one.origin == Origin::Foreign {
        return "its data are of another database".to_owned();
    }
    if !rule.knows(&one.host) {
        return "it is not in the cohort".to_owned();
    }
    if one.heard.is_none() {
        return "nothing was ever heard of it".to_owned();
    }
    if !one.streams {
        return "it does not stream from the primary".to_owned();
    }
    match (successor, one.position) {
        (_, None) => "where its data end is not known".to_owned(),
        (Some((_, best)), Some(at)) if at < best && at.term == best.term => {
            format!("it is {} bytes behind", best.lsn - at.lsn)
        }
        (Some((_, best)), Some(at)) if at < best => "its data are of an earlier term".to_owned(),
        (Some((successor, _)), Some(_)) => format!("it has as much, and {successor} comes first"),
        (None, Some(_)) => "what it has may not be everything".to_owned(),
    }
}
