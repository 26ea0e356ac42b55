//! What the operator wants: from a verb and what is known, the next value of the `wish` register, or why not.

use super::{Failover, Host, Kind, Member, Register, Revision, Rule, Switchover, Value, Wish};

/// What the operator can want of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Another primary. `to`: this host; else whoever is best. `force`: transactions that are still open at the deadline are
    /// ended; else it is given up then.
    Switchover { to: Option<Host>, force: bool },
    /// Nothing new is begun, until it is resumed.
    Pause,
    /// As if nothing had been: a takeover is not put off because of an earlier one, either.
    Resume,
    /// This host sets its data aside and comes back as a copy of the primary's.
    Reinit { host: Host },
}

impl Failover {
    /// What is to be put into the register `wish` if it is at this revision. If it is not, ask again.
    ///
    /// # Errors
    /// Why this can't be.
    pub fn wish(&self, verb: &Verb) -> Result<(Revision, Wish), String> {
        if !self.known.read {
            return Err("the store has not answered yet".to_owned());
        }
        let wish = self.known.wish.value.clone();
        let next = match verb {
            Verb::Pause if wish.paused => return Err("it is paused already".to_owned()),
            Verb::Pause => Wish { paused: true, ..wish },
            Verb::Resume if !wish.paused => return Err("it is not paused".to_owned()),
            Verb::Resume => Wish { paused: false, ..wish },
            Verb::Switchover { .. } | Verb::Reinit { .. } if wish.paused => {
                return Err("it is paused: resume it first".to_owned());
            }
            Verb::Switchover { to, force } => self.wish_switchover(wish, to.as_ref(), *force)?,
            Verb::Reinit { host } => self.wish_reinit(wish, host)?,
        };
        Ok((self.known.revision(&Register::Wish), next))
    }

    fn wish_switchover(&self, wish: Wish, to: Option<&Host>, force: bool) -> Result<Wish, String> {
        let rule = self.rule().ok_or("there is no database yet")?;
        let status = self.status(self.now);
        if let Some(takeover) = status.takeover {
            return Err(format!("{} takes over in term {}", takeover.candidate, takeover.term));
        }
        if let Some(under_way) = status.switchover {
            let to = under_way.to.map_or_else(|| "whoever is best".to_owned(), |to| to.to_string());
            return Err(format!("a switchover to {to} is under way"));
        }
        let could = |one: &Member| could_be_next(rule, one);
        match to {
            Some(to) => could(self.known_member(&status.members, to)?)?,
            None if status.members.iter().any(|one| could(one).is_ok()) => {}
            None => return Err("no standby could be the primary now".to_owned()),
        }
        Ok(Wish { switchover: Some(Switchover { term: rule.term, to: to.cloned(), force }), ..wish })
    }

    fn wish_reinit(&self, wish: Wish, host: &Host) -> Result<Wish, String> {
        let rule = self.rule().ok_or("there is no database yet")?;
        let members = self.members(self.now);
        let member = self.known_member(&members, host)?;
        if *host == rule.primary {
            return Err(format!("{host} is the primary: switch over first"));
        }
        if wish.reinit.contains(host) {
            return Err(format!("{host} is to do so already"));
        }
        let confirming = members.iter().filter(|one| one.confirms && one.host != *host).count();
        if member.confirms && confirming < rule.cohort.confirmations(&rule.primary) {
            return Err(format!("too few would confirm writes without {host}"));
        }
        let mut next = wish;
        next.reinit.insert(host.clone());
        Ok(next)
    }

    fn known_member<'a>(&self, members: &'a [Member], host: &Host) -> Result<&'a Member, String> {
        let names: Vec<&str> = self.settings.hosts.iter().map(Host::name).collect();
        let unknown = || format!("{host} is not a host of this database: {}", names.join(", "));
        members.iter().find(|one| one.host == *host).ok_or_else(unknown)
    }

    pub(super) fn is_to_reinit(&self) -> bool {
        self.known.wish.value.reinit.contains(&self.settings.me) && !self.reinitialised
    }

    /// Takes itself out of the wish once it is done, or can't be.
    pub(super) fn tend_reinit(&mut self, rule: &Rule) {
        let me = self.settings.me.clone();
        if !self.known.wish.value.reinit.contains(&me) {
            self.reinitialised = false;
            return;
        }
        if rule.primary == me {
            self.say(Kind::Refused, "reinit: it is the primary".to_owned());
        } else if !self.reinitialised {
            return;
        }
        let mut wish = self.known.wish.value.clone();
        wish.reinit.remove(&me);
        self.set(Register::Wish, Value::Wish(wish));
    }
}

fn could_be_next(rule: &Rule, one: &Member) -> Result<(), String> {
    let host = &one.host;
    if *host == rule.primary {
        return Err(format!("{host} is the primary already"));
    }
    if let Some(unfit) = &one.unfit {
        return Err(format!("{host} could not serve: {unfit}"));
    }
    if !one.in_cohort {
        return Err(format!("{host} is not in the cohort: {}", rule.cohort));
    }
    if !one.streams {
        return Err(format!("{host} does not stream from {}", rule.primary));
    }
    Ok(())
}
