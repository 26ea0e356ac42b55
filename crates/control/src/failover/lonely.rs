//! A primary that reaches the store, and too few standbys: it keeps its lease, and no write is acknowledged. If others say that
//! they lack it, are enough, and none of them has tried in vain lately, it leaves it to them.
//!
//! Who did that, or was the primary and could gather nobody, says so for a while, and is not preferred. So each tries at most
//! once in that time.

use std::time::{Duration, Instant};

use super::{Failover, Host, Lsn, Recruits, Report, Rule, Verdict};

/// How far a standby keeps up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Where the log ended when it had last confirmed all that it was to.
    target: Lsn,
    since: Instant,
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

    pub(super) fn watch_pace(&mut self, report: &Report, end: Lsn) {
        let streams = |host: &Host| report.standbys.iter().any(|(one, _)| one == host);
        self.pace.retain(|host, _| streams(host));
        for (host, confirmed) in &report.standbys {
            let anew = Pace { target: end, since: self.now };
            let pace = self.pace.entry(host.clone()).or_insert(anew);
            if *confirmed >= pace.target {
                *pace = anew;
            }
        }
    }

    /// Enough others lack this primary as well.
    pub(super) fn leaves_it_to_others(&mut self, rule: &Rule) -> bool {
        let Some(report) = self.fresh().cloned() else { return false };
        let (Some(end), Some(cohort)) = (self.position(), &report.synchronous) else { return false };
        self.watch_pace(&report, end.lsn);
        let me = self.settings.me.clone();
        let keeps_pace =
            |host: &&Host| self.pace.contains_key(*host) && self.stuck_for(host) < self.settings.lease / 2;
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
            let told = self.told_lately(host);
            **host != me.0
                && told.is_some_and(|told| told.streams.as_ref() != Some(&me) && told.unfit.is_none())
        };
        let lacking: Vec<&Host> = self.settings.hosts.iter().filter(lack).collect();
        let fresh = lacking
            .iter()
            .any(|host| rule.knows(host) && self.told_lately(host).is_some_and(|told| !told.lonely));
        let position = |host: &&Host| Some(((*host).clone(), self.told_lately(host)?.position?));
        let recruits: Recruits = lacking.iter().filter_map(position).collect();
        let enough = matches!(rule.verdict(&recruits), Verdict::Enough(_));
        fresh && enough && recruits.len() >= rule.cohort.copies
    }
}
