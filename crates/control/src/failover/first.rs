//! How a database begins: no rule is in the register. Either no host has any data, and then the first host of the list makes
//! an empty database; or the operator says whose data it begins with. In any other case it doesn't: the store may have been
//! emptied.
//!
//! Whoever puts the first rule there has won; the data of anybody else who tried never count.

use std::collections::BTreeSet;

use super::member::is_blank;
use super::{
    Cohort, Disk, Durability, Effect, Failover, Host, Kind, Origin, Position, Register, Report, Rule, Term,
};

impl Failover {
    /// Where this host's data end, if they are those of the rule.
    pub(super) fn position(&self) -> Option<Position> {
        let report = self.report.as_ref()?;
        let counts = match report.origin {
            Origin::Ruled => true,
            Origin::Initialised | Origin::Adopted => self.is_the_first(report),
            Origin::Foreign => false,
        };
        report.position.filter(|_| counts)
    }

    /// What it was made with is what the rule began with. Before there is a rule it may be. Once others have everything, which is
    /// after its engine has gone by the rule, it is not: then somebody has put other data there.
    fn is_the_first(&self, report: &Report) -> bool {
        let Some(rule) = self.known.rule.value.as_deref() else { return true };
        let me = &self.settings.me;
        let alone = |cohort: &Cohort| cohort.copies == 1 && cohort.members.iter().eq([me]);
        rule.primary == *me && report.serves == Some(rule.term) && rule.cohorts().any(alone)
    }

    /// There are data that somebody put there, and another database is in force: this host takes no part, and touches nothing.
    pub(super) fn is_foreign(&mut self) -> bool {
        let Some(report) = &self.report else { return false };
        let foreign = match report.origin {
            Origin::Ruled | Origin::Initialised => false,
            Origin::Adopted => !self.is_the_first(report),
            Origin::Foreign => true,
        };
        if foreign {
            let why = "its data are of another database: it takes no part, and they stay as they are \
                       (a reinit sets them aside)";
            self.say(Kind::Conflict, why.to_owned());
        }
        foreign
    }

    /// There is no rule.
    pub(super) fn found(&mut self) {
        let Some(report) = self.fresh().cloned() else { return };
        if report.origin == Origin::Foreign {
            // It can't say that it has nothing.
            let why = "its data are not of nines' making, and nothing is known of a database: nines adopt begins one with them";
            return self.say(Kind::Conflict, why.to_owned());
        }
        if !self.state_term(&report) || self.known.wish.value.paused || self.doing.is_some() {
            return;
        }
        match (report.origin, report.serves) {
            (Origin::Initialised | Origin::Adopted, Some(term)) if report.position.is_some() => {
                self.put_first(&report, term);
            }
            _ if !is_blank(&report) => {
                self.lack_rule("it has data, and the store knows nothing of this database", true);
            }
            _ => self.initialise(&report),
        }
    }

    /// Says in the store that it has nothing, or which term it is pledged to, which says that it may have something.
    fn state_term(&mut self, report: &Report) -> bool {
        let me = Register::Pledge(self.settings.me.clone());
        if is_blank(report) {
            return self.fence();
        }
        if self.known.revision(&me) > 0 && self.known.pledge(&self.settings.me).term >= report.pledged {
            return true;
        }
        self.pledge_nothing();
        false
    }

    fn initialise(&mut self, report: &Report) {
        if self.settings.hosts.first() != Some(&self.settings.me) || report.disk != Disk::Well {
            return;
        }
        let hosts = self.settings.hosts.clone();
        let silent = |host: &&Host| self.known.revision(&Register::Pledge((*host).clone())) == 0;
        let silent: Vec<&str> = hosts.iter().filter(silent).map(Host::name).collect();
        let has_some = |host: &&Host| {
            let pledge = self.known.pledge(host);
            pledge.term > 0 || pledge.position.is_some()
        };
        let have: Vec<&str> = hosts.iter().filter(has_some).map(Host::name).collect();
        if !have.is_empty() {
            let why =
                format!("{} may have data, and the store knows nothing of this database", have.join(", "));
            self.lack_rule(&why, true);
        } else if !silent.is_empty() {
            let why = format!("no database is made before {} said that there are no data", silent.join(", "));
            self.lack_rule(&why, false);
        } else if self.is_due(self.retry_at) {
            self.say(Kind::Takeover, "no host has any data: makes an empty database".to_owned());
            self.begin(Effect::Initialise);
        }
    }

    /// Said when others had the time to say something.
    fn lack_rule(&mut self, why: &str, data: bool) {
        let since = *self.lacking.get_or_insert(self.now);
        let how = if data {
            ": it was emptied, or it is another store (bring back the right one, or a snapshot of it; nothing is begun anew over data)"
        } else {
            ""
        };
        if self.is_due(since + self.settings.lease) {
            self.say(Kind::Refused, format!("{why}{how}"));
        }
    }

    /// Strict: writes wait until enough standbys have everything, of before as well; until then only this host has.
    fn put_first(&mut self, report: &Report, term: Term) {
        let me = self.settings.me.clone();
        let alone = Cohort { members: BTreeSet::from([me.clone()]), copies: 1 };
        let copies = self.settings.confirm + 1;
        let (cohort, also) = match self.settings.durability {
            Durability::Strict if copies > 1 => {
                let members = self.settings.hosts.iter().chain([&me]).cloned().collect();
                (Cohort { members, copies }, vec![alone])
            }
            _ => (alone, Vec::new()),
        };
        let what = if report.origin == Origin::Adopted { "adopted" } else { "new" };
        self.say(Kind::Takeover, format!("begins with its {what} data, in term {term}"));
        self.set_rule(Rule { term, also, ..Rule::first(me, cohort) });
    }
}
