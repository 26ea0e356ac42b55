//! One pool: how many of its members may be out, who serves when too few are healthy.

use std::time::Instant;

use nines_system::{Access, WhenTooFew};

use super::member::words;
use super::reach::{self, Newest, Role};
use super::{Member, Outbox, subject};
use crate::event::Kind;
use crate::gate::Serves;
use crate::view::{PoolView, Serving};

#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// Whether a listener of this host reaches it.
    pub(super) used: bool,
    pub(super) members: Vec<Member>,
    pub(super) serving: Serving,
    /// What the latest event about it said. First checks are no news.
    pub(super) told: Serving,
    /// First checks are waited for until then; `None` once they are in.
    pub(super) settles_by: Option<Instant>,
    /// Where it reaches a database: its newest term.
    pub(super) newest: Newest,
    /// Where it reaches a database: who serves, as the latest event about it said.
    pub(super) who: String,
}

/// How many of the members that the operator leaves in are fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    healthy: usize,
    /// Those that have an address and that a check has judged.
    known: usize,
}

impl Pool {
    pub(super) fn is_settled(&self) -> bool {
        self.settles_by.is_none()
    }

    /// Nobody can be reached. A database's hosts that answer can be, whether one of them is the primary or not.
    pub(super) fn is_down(&self) -> bool {
        if self.members.iter().any(|member| member.heard.is_some()) {
            return false;
        }
        let may_serve = |member: &Member| member.is_healthy() || (member.is_ready() && !member.is_known());
        self.used && self.is_settled() && !self.members.iter().any(may_serve)
    }

    /// Draws conclusions: whose ejection is over, who starts slowly, whether all first checks are in.
    pub(super) fn settle(&mut self, now: Instant, rules: &nines_system::Pool, outbox: &mut Outbox) {
        for (place, member) in self.members.iter_mut().enumerate() {
            if member.ejections.is_over(now, &rules.check.probe) {
                member.ejections.end(now);
                if member.is_healthy() {
                    let why = "its time out is over and a check has been good since".to_owned();
                    outbox.event(Kind::Returned, subject(rules, place), why);
                }
            }
        }
        self.keep_to_the_cap(now, rules, outbox);
        self.start_slowly_who_came_back(now);
        let waited = |member: &Member| member.is_ready() && !member.is_known();
        if self.settles_by.is_some_and(|by| by <= now || !self.members.iter().any(waited)) {
            self.settles_by = None;
        }
    }

    /// The most members that may be ejected.
    fn cap(&self, rules: &nines_system::Pool) -> usize {
        let ready = self.members.iter().filter(|member| member.is_ready()).count();
        (rules.passive.max_ejected * ready as f64 + 1e-9) as usize
    }

    fn ejected(&self) -> usize {
        self.members.iter().filter(|member| member.counts_as_ejected()).count()
    }

    pub(super) fn eject_if_due(
        &mut self,
        now: Instant,
        place: usize,
        rules: &nines_system::Pool,
        outbox: &mut Outbox,
    ) {
        let member = &self.members[place];
        if !member.is_healthy() || !member.ejections.is_due(&rules.passive) {
            return;
        }
        let others = self.members.iter().enumerate();
        let last = !others.into_iter().any(|(other, member)| other != place && member.is_healthy());
        let full = self.ejected() >= self.cap(rules);
        let member = &mut self.members[place];
        let why = member.ejections.why();
        if last || full {
            if member.ejections.say_spared() {
                let spared = if last {
                    "stays in, since no other member is healthy".to_owned()
                } else {
                    format!("stays in, since at most {} may be ejected", percent(rules.passive.max_ejected))
                };
                outbox.event(Kind::Spared, subject(rules, place), format!("{why}; {spared}"));
            }
            return;
        }
        let length = member.ejections.eject(now, &rules.passive);
        member.times_ejected += 1;
        outbox.event(Kind::Ejected, subject(rules, place), format!("{why}; out for {}", words(length)));
    }

    /// Members that came up, went into a drain or left the pool may have made the cap smaller than what is out.
    fn keep_to_the_cap(&mut self, now: Instant, rules: &nines_system::Pool, outbox: &mut Outbox) {
        let cap = self.cap(rules);
        while self.ejected() > cap {
            let members = self.members.iter().enumerate().filter(|(_, member)| member.counts_as_ejected());
            let Some((place, _)) = members.min_by_key(|(_, member)| member.ejections.until()) else { return };
            self.members[place].ejections.end(now);
            let why = format!(
                "before its time, since at most {} may be ejected",
                percent(rules.passive.max_ejected)
            );
            outbox.event(Kind::Returned, subject(rules, place), why);
        }
    }

    /// What workers see of it.
    pub(super) fn view(
        &mut self,
        now: Instant,
        rules: &nines_system::Pool,
        open: bool,
        outbox: &mut Outbox,
    ) -> PoolView {
        if let Some((_, access)) = rules.reaches {
            return self.view_of_database(now, access, rules, outbox);
        }
        let serving = if self.used { self.serving(rules, open) } else { Serving::Nobody };
        if self.used && self.is_settled() && self.told != serving {
            self.told = serving;
            outbox.event(Kind::Serving, rules.name.as_str(), self.why_serving(serving, rules));
        }
        self.serving = serving;
        let serving_all = match serving {
            Serving::Healthy => Some(false),
            Serving::Everyone => Some(true),
            Serving::Nobody => None,
        };
        let members = self.members.iter().zip(&rules.members);
        let view = members.map(|(member, rule)| member.view(now, rule, rules.slow_start, serving_all));
        PoolView { members: view.collect(), serving }
    }

    /// The same where it reaches a database.
    fn view_of_database(
        &mut self,
        now: Instant,
        access: Access,
        rules: &nines_system::Pool,
        outbox: &mut Outbox,
    ) -> PoolView {
        let candidates: Vec<_> = self.members.iter().map(Member::candidate).collect();
        let roles = reach::roles(access, self.newest.term(), &candidates);
        let anyone = roles.iter().any(|role| role.eligible);
        self.serving = if anyone { Serving::Healthy } else { Serving::Nobody };
        if self.used && self.is_settled() {
            let who = self.who_serves(access, &roles, rules);
            if self.who != who {
                outbox.event(Kind::Serving, rules.name.as_str(), who.clone());
                self.who = who;
            }
        }
        let members = self.members.iter_mut().zip(&rules.members).zip(roles);
        let view =
            members.map(|((member, rule), role)| member.view_of_host(now, rule, rules.slow_start, role));
        PoolView { members: view.collect(), serving: self.serving }
    }

    /// `db2:5432 is the primary of term 8`.
    fn who_serves(&self, access: Access, roles: &[Role], rules: &nines_system::Pool) -> String {
        let primary = roles.iter().zip(&self.members).position(|(role, member)| {
            let heard = member.heard.as_ref();
            role.serves && heard.is_some_and(|heard| heard.standing.serves != Serves::Reads)
        });
        let hands_over = |place: usize| {
            let heard = self.members[place].heard.as_ref();
            heard.is_some_and(|heard| heard.standing.serves == Serves::Handover)
        };
        let eligible = |place: usize| roles[place].eligible;
        let name = |place: usize| rules.members[place].name.as_str();
        let term = self.newest.term();
        let none = "connections wait for one";
        match (access, primary) {
            (Access::ReadWrite, Some(it)) if eligible(it) => {
                format!("{} is the primary of term {term}", name(it))
            }
            (Access::ReadWrite, Some(it)) if hands_over(it) => {
                format!("{}, the primary of term {term}, hands over: {none}", name(it))
            }
            (Access::ReadWrite, Some(it)) if self.members[it].is_ready() => {
                format!("{}, the primary of term {term}, is silent: {none}", name(it))
            }
            (Access::ReadWrite, Some(it)) => {
                format!("{}, the primary of term {term}, is draining: {none}", name(it))
            }
            (Access::ReadWrite, None) => format!("there is no primary: {none}"),
            (Access::ReadOnly, Some(it)) if eligible(it) => {
                format!("no standby can: {} serves reads", name(it))
            }
            (Access::ReadOnly, _) if roles.iter().any(|role| role.eligible) => {
                "standbys serve reads".to_owned()
            }
            (Access::ReadOnly, _) => format!("nobody can serve reads: {none}"),
        }
    }

    /// Only where others can carry the load meanwhile, and not when all start together.
    fn start_slowly_who_came_back(&mut self, now: Instant) {
        let others_serve = self.members.iter().any(|member| member.was_healthy && member.is_healthy());
        let slowly = others_serve && self.is_settled();
        for member in &mut self.members {
            let healthy = member.is_healthy();
            if healthy != member.was_healthy {
                member.slow_since = (healthy && slowly).then_some(now);
            }
            member.was_healthy = healthy;
        }
    }

    /// Backups stand outside the count, unless there is nothing else.
    fn tally(&self, rules: &nines_system::Pool) -> Tally {
        let only_backups = rules.members.iter().all(|member| member.backup);
        let members = self.members.iter().zip(&rules.members);
        let counted = members.filter(|(member, rule)| member.is_ready() && (only_backups || !rule.backup));
        let mut tally = Tally { healthy: 0, known: 0 };
        for (member, _) in counted {
            tally.healthy += usize::from(member.is_healthy());
            tally.known += usize::from(member.is_known());
        }
        tally
    }

    fn serving(&self, rules: &nines_system::Pool, open: bool) -> Serving {
        if !open {
            return Serving::Healthy;
        }
        if !self.members.iter().any(|member| member.is_ready() && member.address.is_some()) {
            return Serving::Nobody;
        }
        let mut backups = self.members.iter().zip(&rules.members).filter(|(_, rule)| rule.backup);
        let Tally { healthy, known } = self.tally(rules);
        let enough = known > 0 && healthy as f64 >= rules.minimum_healthy * known as f64 - 1e-9;
        let backup = backups.any(|(member, _)| member.is_healthy());
        match rules.when_too_few {
            _ if backup || (enough && healthy > 0) => Serving::Healthy,
            _ if enough => Serving::Nobody,
            WhenTooFew::ServeAll => Serving::Everyone,
            WhenTooFew::Refuse => Serving::Nobody,
        }
    }

    fn why_serving(&self, serving: Serving, rules: &nines_system::Pool) -> String {
        let Tally { healthy, known } = self.tally(rules);
        let least = percent(rules.minimum_healthy);
        let members = if known == 1 { "member" } else { "members" };
        let count = match known {
            0 => "no member has been checked yet".to_owned(),
            _ => format!("{healthy} of {known} {members} healthy"),
        };
        let too_few = match known {
            0 => count.clone(),
            _ if rules.minimum_healthy == 0.0 => count.clone(),
            _ => format!("{count}, below {least}"),
        };
        match serving {
            Serving::Healthy if healthy == 0 => format!("{count}: backups serve"),
            Serving::Healthy => format!("{count}: healthy members serve"),
            Serving::Everyone => format!("{too_few}: all members serve"),
            Serving::Nobody if !self.members.iter().any(Member::is_ready) => {
                "every member is draining or in maintenance: requests are refused".to_owned()
            }
            Serving::Nobody if !self.members.iter().any(|m| m.is_ready() && m.address.is_some()) => {
                "no member's name has resolved: requests are refused".to_owned()
            }
            Serving::Nobody => format!("{too_few}: requests are refused"),
        }
    }

    pub(super) fn deadline(&self, now: Instant, rules: &nines_system::Pool) -> Option<Instant> {
        let members = self.members.iter().filter_map(|member| member.deadline(now, rules.slow_start));
        members.chain(self.settles_by).min()
    }

    pub(super) fn broken_invariant(&self, rules: &nines_system::Pool, view: &PoolView) -> Option<String> {
        let (ejected, cap) = (self.ejected(), self.cap(rules));
        if ejected > cap {
            return Some(format!("{ejected} members of {} are ejected, {cap} may be", rules.name));
        }
        let eligible = view.members.iter().filter(|view| view.eligible).count();
        if matches!(rules.reaches, Some((_, Access::ReadWrite))) && eligible > 1 {
            return Some(format!("{eligible} members of {} are the primary", rules.name));
        }
        let mut members = self.members.iter().zip(&view.members).zip(&rules.members);
        members.find_map(|((member, view), rule)| {
            let name = format!("{}/{}", rules.name, rule.name);
            match () {
                () if view.key != member.key => Some(format!("{name} is not where the view has it")),
                () if view.eligible && view.address.is_none() => Some(format!("{name} is eligible nowhere")),
                () if view.eligible && !member.is_ready() => Some(format!("{name} is out, but eligible")),
                () if view.share == 0 => Some(format!("{name} has no share")),
                () => None,
            }
        })
    }
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 1000.0).round() / 10.0)
}
