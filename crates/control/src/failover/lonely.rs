//! A primary that reaches the store, and too few standbys: it keeps its lease, and no write is acknowledged. If others say that
//! they lack it, are enough, and who of them would be named has not tried in vain lately, it leaves it to them.
//!
//! Who did that, or was the primary and could gather nobody, says so for a while, and is not preferred. So each tries at most
//! once in that time.

use std::time::{Duration, Instant};

use super::{Failover, Host, Lsn, Recruits, Report, Rule, Term, Verdict, Vitals};

/// How far a standby keeps up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    term: Term,
    /// Where the log ended when it had last confirmed all that it was to.
    target: Lsn,
    since: Instant,
    confirmed: Lsn,
    /// When it last confirmed more, or all, or connected.
    moved: Instant,
    connected: bool,
}

impl Failover {
    pub(super) fn is_lonely_still(&self) -> bool {
        self.lonely_until.is_some_and(|until| self.now < until)
    }

    /// Whether this host, or another one, has said so lately.
    pub(super) fn is_lonely(&self, host: &Host) -> bool {
        if *host == self.settings.me {
            return self.is_lonely_still();
        }
        self.told_lately(host).is_some_and(|told| told.lonely)
    }

    /// How long a standby has not confirmed what was there at the beginning of that time.
    pub(super) fn stuck_for(&self, host: &Host) -> Duration {
        self.pace.get(host).map_or(Duration::ZERO, |pace| self.now.saturating_duration_since(pace.since))
    }

    /// A standby that comes back goes on where it was: one that connects again and again and never confirms anything keeps no pace.
    fn watch_pace(&mut self, term: Term, report: &Report, end: Lsn) {
        let now = self.now;
        let streams = |host: &Host| report.standbys.iter().any(|(one, _)| one == host);
        self.pace.retain(|host, pace| pace.term == term && self.settings.hosts.contains(host));
        for (host, pace) in &mut self.pace {
            pace.connected &= streams(host);
        }
        for (host, confirmed) in &report.standbys {
            let confirmed = *confirmed;
            let anew = Pace { term, target: end, since: now, confirmed, moved: now, connected: true };
            let pace = self.pace.entry(host.clone()).or_insert(anew);
            if confirmed >= pace.target {
                *pace = anew;
            } else if confirmed > pace.confirmed || !pace.connected {
                *pace = Pace { confirmed, moved: now, connected: true, ..*pace };
            }
        }
    }

    /// For so long nothing was heard of it that it should have confirmed, whatever it says itself.
    fn is_mute(&self, host: &Host) -> bool {
        let moved = self.pace.get(host).map(|pace| pace.moved);
        moved.is_none_or(|moved| self.now.saturating_duration_since(moved) >= self.settings.absent_after)
    }

    /// Enough others lack this primary as well.
    pub(super) fn leaves_it_to_others(&mut self, rule: &Rule) -> bool {
        let Some(report) = self.fresh().cloned() else { return false };
        let (Some(end), Some(cohort)) = (self.position(), &report.synchronous) else { return false };
        self.watch_pace(rule.term, &report, end.lsn);
        let me = self.settings.me.clone();
        let connected = |host: &Host| self.pace.get(host).is_some_and(|pace| pace.connected);
        let keeps_pace = |host: &&Host| connected(host) && self.stuck_for(host) < self.settings.lease / 2;
        if cohort.others(&me).filter(keeps_pace).count() >= cohort.confirmations(&me) {
            self.lonely_since = None;
            self.gathered = Some(rule.term);
            return false;
        }
        let begun = self.lonely_since.filter(|(term, _)| *term == rule.term);
        let (_, since) = *self.lonely_since.insert(begun.unwrap_or((rule.term, self.now)));
        let patience = match self.gathered == Some(rule.term) {
            true => self.settings.lease,
            // They may be about to come.
            false => 2 * (self.settings.lease + self.settings.absent_after),
        };
        // Where the store was away as well, the standbys had other worries.
        let since = since.max(self.contact_since);
        if !self.is_due(since + patience) || self.is_lonely_still() || !self.others_could(rule) {
            return false;
        }
        self.lonely_since = None;
        self.lonely_until = Some(self.now + self.settings.apart);
        self.unable("too few standbys get its log, and others could do better");
        true
    }

    /// Whether others are there that would be enough, and can confirm to each other as far as anybody knows.
    fn others_could(&self, rule: &Rule) -> bool {
        let me = (self.settings.me.clone(), rule.term);
        let lack = |host: &&Host| {
            let lacks = |told: &Vitals| told.streams.as_ref() != Some(&me) || self.is_mute(host);
            let told = self.told_lately(host);
            **host != me.0 && told.is_some_and(|told| told.unfit.is_none() && lacks(told))
        };
        let lacking: Vec<&Host> = self.settings.hosts.iter().filter(lack).collect();
        let position = |host: &&Host| Some(((*host).clone(), self.told_lately(host)?.position?));
        let recruits: Recruits = lacking.iter().filter_map(position).collect();
        let Verdict::Enough(best) = rule.verdict(&recruits) else { return false };
        // Who would be named has not tried in vain lately.
        let hopeful: Recruits = recruits
            .iter()
            .filter(|(host, _)| !self.is_lonely(host))
            .map(|(host, at)| (host.clone(), *at))
            .collect();
        let decides = matches!(rule.verdict(&hopeful), Verdict::Enough(_));
        let named = decides || hopeful.iter().any(|(host, at)| *at == best && rule.knows(host));
        named && recruits.len() >= rule.cohort.copies
    }
}
