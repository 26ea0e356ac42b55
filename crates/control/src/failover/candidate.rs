//! Taking over: the lease first, so that one tries at a time; then the intent, so that all hosts see it; then recruits, and
//! with enough of them the next term.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Failover, Host, Intent, Kind, Lease, Position, Recruits, Register, Rule, Term, Value, Verdict};

/// This part of the time between takeovers a primary must be silent for, where one only seemed to be dead: by default 15 s, longer
/// than a network that comes and goes would be away.
const PATIENT: u32 = 4;

impl Failover {
    /// Takes over from a primary that has lost its lease, or from a candidate that got stuck.
    pub(super) fn seek(&mut self, rule: &Rule) {
        let Some(term) = self.candidacy else { return self.try_lease(rule) };
        self.keep_lease(term);
        match &rule.taking {
            Some(intent) if intent.term == term && intent.candidate == self.settings.me => {
                self.recruit(rule, intent);
            }
            Some(intent) if intent.term >= term => self.candidacy = None,
            _ => {
                self.say(Kind::Takeover, format!("recruits for term {term}: {} is silent", rule.primary));
                self.set_rule(rule.recruiting(term, self.settings.me.clone()));
            }
        }
    }

    fn try_lease(&mut self, rule: &Rule) {
        let me = self.settings.me.clone();
        if self.known.wish.value.paused || !rule.knows(&me) || !self.is_fit() {
            return;
        }
        // One after the other, so that they need not compete.
        let others = self.settings.hosts.iter().filter(|host| **host != rule.primary);
        let rank = others.take_while(|host| **host != me).count();
        let mut turn = self.settings.heartbeat / 2 * u32::try_from(rank).unwrap_or(u32::MAX);
        if self.is_lonely_still() {
            turn += 2 * self.settings.lease;
        }
        let lease = self.known.lease.value.clone();
        let given_up = lease.holder.is_none() && self.known.lease.revision > 0;
        let free = if given_up {
            let at = self.known.lease_changed + turn;
            self.is_in_contact() && self.is_due(at)
        } else {
            let by_primary = lease.holder.as_ref() == Some(&rule.primary) && lease.term == rule.term;
            let more =
                if by_primary && self.backs_off() { self.settings.apart / PATIENT } else { Duration::ZERO };
            self.is_lease_silent(turn + more)
        };
        if free {
            let term = self.next_term(rule);
            self.take_lease(term);
        }
    }

    /// A primary only seemed to be dead not long ago: another one that is silent may be alive as well, and must be silent for longer.
    /// So must one whose silence begins in that time and outlasts it: else whoever is away at its end would be taken for dead at once.
    fn backs_off(&mut self) -> bool {
        let Some((term, learned)) = self.known.seemed else { return false };
        let backs_off =
            term > self.known.forgiven && self.known.lease_changed < learned + self.settings.apart;
        if backs_off && self.is_lease_silent(Duration::ZERO) {
            let why = "the primary is silent, as one was that only seemed to be dead: waits, since the network may come and go";
            self.say(Kind::Refused, why.to_owned());
        }
        backs_off
    }

    /// Higher than any that anybody can have heard of.
    pub(super) fn next_term(&self, rule: &Rule) -> Term {
        let pledged = self.known.pledges.values().map(|pledge| pledge.value.term).max();
        let taking = rule.taking.as_ref().map(|intent| intent.term);
        let all = [Some(rule.term), Some(self.floor()), Some(self.known.lease.value.term), pledged, taking];
        all.into_iter().flatten().max().unwrap_or(0) + 1
    }

    pub(super) fn take_lease(&mut self, term: Term) {
        let lease = Lease {
            term,
            holder: Some(self.settings.me.clone()),
            beat: self.known.lease.value.beat + 1,
            end: self.position(),
        };
        self.set(Register::Lease, Value::Lease(lease));
    }

    /// Renews it with every heartbeat.
    pub(super) fn keep_lease(&mut self, term: Term) {
        let renewed = self.held.as_ref().filter(|held| held.term == term).map(|held| held.renewed);
        let heartbeat = self.settings.heartbeat;
        if renewed.is_none_or(|renewed| self.is_due(renewed + heartbeat)) {
            self.take_lease(term);
        }
    }

    fn recruit(&mut self, rule: &Rule, intent: &Intent) {
        match self.elect(rule, intent.term) {
            Ok(primary) => self.set_rule(rule.won_by(primary, intent)),
            Err(why) => {
                // Hosts may take a while to answer.
                let since = self.lacks_since();
                if self.is_due(since + self.settings.lease) {
                    self.say(Kind::Refused, why);
                }
            }
        }
    }

    fn lacks_since(&mut self) -> Instant {
        *self.lacking.get_or_insert(self.now)
    }

    /// Those that could serve decide, if they are enough; if not, all that have pledged themselves, and the one that has the most
    /// must be able to serve. One that lately gathered no standbys is only taken if nobody better comes.
    fn elect(&mut self, rule: &Rule, term: Term) -> Result<Host, String> {
        let all = self.recruits(term, false);
        let fit = self.recruits(term, true);
        let hopeful: Recruits = fit
            .iter()
            .filter(|(host, _)| !self.is_lonely(host))
            .map(|(host, at)| (host.clone(), *at))
            .collect();
        if let Verdict::Enough(best) = rule.verdict(&hopeful)
            && let Some(primary) = self.choose(rule, &hopeful, best)
        {
            return Ok(primary);
        }
        let best = match rule.verdict(&all) {
            Verdict::Enough(best) => best,
            Verdict::Missing(missing) => return Err(self.lack(rule, &missing, &all)),
        };
        let chosen = match rule.verdict(&fit) {
            Verdict::Enough(best) => {
                self.choose(rule, &hopeful, best).or_else(|| self.choose(rule, &fit, best))
            }
            Verdict::Missing(_) => {
                let most: Recruits = fit.into_iter().filter(|(_, at)| *at == best).collect();
                self.choose(rule, &most, best)
            }
        };
        let Some(chosen) = chosen else {
            let who = all.iter().filter(|(_, at)| **at == best).map(|(host, _)| host.name());
            let who: Vec<&str> = who.collect();
            return Err(format!("{} has what nobody else has, and can't serve", who.join(", ")));
        };
        let since = self.lacks_since();
        if self.is_lonely(&chosen) && !self.is_due(since + self.settings.lease) {
            return Err(format!("{chosen} could not gather enough standbys"));
        }
        Ok(chosen)
    }

    pub(super) fn recruits(&self, term: Term, fit: bool) -> Recruits {
        let pledges = self.known.pledges.iter().filter(|(_, one)| one.value.term == term);
        let wanted = pledges.filter(|(_, one)| one.value.fit || !fit);
        wanted.filter_map(|(host, one)| Some((host.clone(), one.value.position?))).collect()
    }

    /// Of those that have the most, itself, since it certainly runs; else the first.
    fn choose(&self, rule: &Rule, recruits: &Recruits, best: Position) -> Option<Host> {
        let mut best_ones: Vec<&Host> = recruits
            .iter()
            .filter(|(host, position)| **position == best && rule.knows(host))
            .map(|(host, _)| host)
            .collect();
        best_ones.sort_by_key(|host| **host != self.settings.me);
        best_ones.first().map(|host| (*host).clone())
    }

    /// What is missing, and what would be lost.
    fn lack(&self, rule: &Rule, missing: &[(usize, BTreeSet<Host>)], recruits: &Recruits) -> String {
        let why = Self::in_words(rule, missing);
        let best = recruits.values().max().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let end = self.known.lease.value.end;
        let end = end.map_or_else(String::new, |end| format!(", the lease's latest holder: {end}"));
        format!("{why}: what only they have would be lost; here: {best}{end}")
    }

    /// Who is missing.
    pub(super) fn in_words(rule: &Rule, missing: &[(usize, BTreeSet<Host>)]) -> String {
        let mut parts: Vec<String> = Vec::new();
        for (count, of) in missing {
            let names: Vec<&str> = of.iter().map(Host::name).collect();
            parts.push(format!("{count} of {}", names.join(", ")));
        }
        let primary = &rule.primary;
        if parts.is_empty() {
            return format!("{primary} is missing");
        }
        format!("{primary} is missing, and without it {}", parts.join(" and "))
    }
}
