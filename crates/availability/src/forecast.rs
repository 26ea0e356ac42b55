//! What a fault that is put in on purpose should cost clients, by the model: to be held against what they saw.
//!
//! A forecast is a worst case, so seeing less is as it should be. Seeing much more, seeing a loss where none was forecast, or being
//! served where nothing was left to serve, is a finding: either the model is wrong, or the system.

mod difference;

use std::collections::BTreeSet;

use crate::assumptions::Assumptions;
use crate::model::{ANNOUNCE, Ways, ways};
use crate::service::{Access, Address, Database, Entry, Member, Name, Pool, Service};

pub use difference::{Observed, difference};

/// What is done to hosts, as far as the model tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Every process dies; the kernel refuses and resets at once.
    Killed,
    /// No packet comes from it any more, or it comes and nobody hears it.
    Silent,
    /// The kernel accepts connections, nobody answers.
    Frozen,
    /// It hears nothing, and is heard.
    Deaf,
    /// The hosts of an address don't hear each other.
    Apart,
    /// What it does is given to others first.
    GivenAway,
    /// The same, and then it is away for as long as its programs take to start.
    Restarted,
    /// It takes its settings in anew.
    Reloaded,
    /// The database's server alone dies.
    ServerKilled,
    /// The database's server alone stands still.
    ServerFrozen,
    /// The program that looks after the database is gone, or stands still.
    Unattended,
    /// The member of the coordination store alone.
    StoreGone,
}

/// What clients ask meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Requests to these pools, and whether they may be repeated.
    Pools { pools: Vec<usize>, repeatable: bool },
    /// Rows are written into this database; whether its primary is among the hosts that are hit.
    Writes { database: usize, primary: Hit },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    Yes,
    No,
    /// It may be: then the worse is forecast.
    Perhaps,
}

/// A fault, put in on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blow {
    pub hosts: Vec<usize>,
    pub harm: Harm,
    pub asked: Asked,
    /// Whichever host of an address is hit may be the one that answers on it; else it is the preferred one.
    pub anyone_answers: bool,
    /// Clients are led by DNS names, and may go to another load balancer; else some come to each, and know no other.
    pub by_name: bool,
}

/// What clients lose, from bad to worse. Times are seconds, at most.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Loss {
    Nothing,
    /// Some of what is asked fails, for so long.
    Some(f64),
    /// Nothing is answered, for so long.
    Gap(f64),
    /// Nothing is answered until it is repaired, from so long after the fault on.
    UntilRepaired(f64),
}

/// A loss, and how it was worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    pub loss: Loss,
    pub how: String,
}

impl Forecast {
    fn new(loss: Loss, how: String) -> Self {
        Self { loss, how }
    }

    /// The worst of what is asked.
    pub fn of(service: &Service, assumptions: &Assumptions, blow: &Blow) -> Self {
        let nothing = || Self::new(Loss::Nothing, "nothing of what is asked depends on it".into());
        Self::worst(Self::each(service, assumptions, blow)).unwrap_or_else(nothing)
    }

    /// Of each part of what is asked. None where nothing depends on it.
    pub fn each(service: &Service, assumptions: &Assumptions, blow: &Blow) -> Vec<Self> {
        let forecaster = Forecaster { service, promotion: assumptions.promotion.value.likely, blow };
        let mut all = Vec::new();
        match &blow.asked {
            Asked::Pools { pools, repeatable } => {
                for pool in pools.iter().map(|&at| &service.pools[at]) {
                    all.extend(forecaster.pool(pool, *repeatable));
                }
                forecaster.entries(|pool| pools.contains(&pool), &mut all);
            }
            Asked::Writes { database, primary } => {
                forecaster.database(&service.databases[*database], *primary, &mut all);
                let reaches = Some((*database, Access::ReadWrite));
                forecaster.entries(|pool| service.pools[pool].reaches == reaches, &mut all);
            }
        }
        all
    }

    /// The first of the worst ones.
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        all.into_iter().reduce(|worst, next| if next.loss > worst.loss { next } else { worst })
    }
}

struct Forecaster<'a> {
    service: &'a Service,
    promotion: f64,
    blow: &'a Blow,
}

impl Forecaster<'_> {
    fn is_hit(&self, host: usize) -> bool {
        self.blow.hosts.contains(&host)
    }

    fn host(&self, host: usize) -> &str {
        &self.service.hosts[host].name
    }

    /// Whether whole hosts are meant, and not one program of theirs.
    fn of_hosts(&self) -> bool {
        !matches!(self.blow.harm, Harm::ServerKilled | Harm::ServerFrozen | Harm::StoreGone)
    }

    fn entries(&self, asked: impl Fn(usize) -> bool, all: &mut Vec<Forecast>) {
        if !self.of_hosts() {
            return;
        }
        let service = self.service;
        let serving = |entry: &&usize| service.entries[**entry].serves.iter().any(|(_, pool)| asked(*pool));
        if !self.blow.by_name {
            let every: Vec<usize> = (0..service.entries.len()).collect();
            every.iter().filter(serving).for_each(|&entry| all.extend(self.entry(entry)));
            return;
        }
        for (_, ways, _) in ways(service).into_iter().filter(|(_, _, pool)| asked(*pool)) {
            match ways {
                Ways::Entry(entry) => all.extend(self.entry(entry)),
                Ways::Name(name, entries) => self.name(&service.names[name], &entries, all),
            }
        }
    }

    /// Everything of a load balancer that is hit.
    fn entry(&self, at: usize) -> Vec<Forecast> {
        let entry = &self.service.entries[at];
        if entry.addresses.is_empty() {
            return self.doors(entry).into_iter().collect();
        }
        let shared = entry.addresses.iter().filter(|of| of.hosts.iter().any(|&host| self.is_hit(host)));
        shared.map(|address| self.address(entry, address)).collect()
    }

    /// Load balancers that clients find by a name.
    fn name(&self, name: &Name, entries: &[usize], all: &mut Vec<Forecast>) {
        if entries.len() < 2 || !name.has_alternatives() {
            entries.iter().for_each(|&entry| all.extend(self.entry(entry)));
            return;
        }
        let moved = || match name.moves_within() {
            // As if all clients were at the first: a part of them in each of several moves costs as much.
            Some((notice, ttl)) if entries.first().is_some_and(|&first| self.is_shut(first)) => {
                Forecast::new(
                    Loss::Gap((notice + ttl).as_secs_f64()),
                    format!(
                        "{:.0} s until answers for {} change, and {:.0} s until clients ask again",
                        notice.as_secs_f64(),
                        name.name,
                        ttl.as_secs_f64()
                    ),
                )
            }
            _ => {
                let text = format!("clients of {} go to another of its load balancers", name.name);
                Forecast::new(Loss::Nothing, text)
            }
        };
        self.one_of(entries, moved, all);
    }

    fn is_shut(&self, entry: usize) -> bool {
        self.entry(entry).iter().any(|of| matches!(of.loss, Loss::UntilRepaired(_)))
    }

    /// Where one of these is enough: what it costs to leave those that are lost.
    fn one_of(&self, entries: &[usize], moved: impl Fn() -> Forecast, all: &mut Vec<Forecast>) {
        let (shut, open): (Vec<usize>, Vec<usize>) = entries.iter().partition(|&&entry| self.is_shut(entry));
        if open.is_empty() {
            shut.iter().for_each(|&entry| all.extend(self.entry(entry)));
            return;
        }
        open.iter().for_each(|&entry| all.extend(self.entry(entry)));
        if !shut.is_empty() {
            all.push(moved());
        }
    }

    /// Hosts that clients know by their own addresses.
    fn doors(&self, entry: &Entry) -> Option<Forecast> {
        let hit = entry.hosts.iter().copied().find(|&host| self.is_hit(host))?;
        let name = self.host(hit);
        Some(match self.blow.harm {
            Harm::Reloaded | Harm::Apart => {
                Forecast::new(Loss::Nothing, format!("{name} goes on serving while it loads its file"))
            }
            _ => Forecast::new(
                Loss::UntilRepaired(0.0),
                format!("no address of {} moves: clients of {name} must try another host", entry.name),
            ),
        })
    }

    fn address(&self, entry: &Entry, address: &Address) -> Forecast {
        let harm = self.blow.harm;
        let answers = self.is_hit(address.hosts[0]) || self.blow.anyone_answers;
        let Some(&next) = address.hosts.iter().find(|&&host| !self.is_hit(host)) else {
            return match harm {
                Harm::Reloaded => Forecast::new(Loss::Nothing, "its file is loaded while it serves".into()),
                _ => Forecast::new(
                    Loss::UntilRepaired(0.0),
                    format!("no host is left that may hold {}", address.name),
                ),
            };
        };
        let next = self.host(next);
        let silence = address.notice.as_secs_f64();
        let moves = silence + ANNOUNCE;
        let told = format!(
            "{silence:.2} s of silence (three intervals and the skew of the least preferred host), and {ANNOUNCE} s until {next} has announced {}",
            address.name
        );
        match harm {
            Harm::GivenAway | Harm::Restarted | Harm::Reloaded => Forecast::new(
                Loss::Nothing,
                format!("{} is handed over before, or stays where it is", address.name),
            ),
            Harm::Deaf => self.deaf(entry, address, moves),
            Harm::Apart => Forecast::new(Loss::Gap(moves), told),
            _ if answers => Forecast::new(Loss::Gap(moves), told),
            _ => Forecast::new(
                Loss::Nothing,
                format!("{} answers on {}", self.host(address.hosts[0]), address.name),
            ),
        }
    }

    /// It goes on advertising, or takes what it does not hear of, until its checks tell it that it reaches nobody.
    fn deaf(&self, entry: &Entry, address: &Address, moves: f64) -> Forecast {
        let pools = entry.serves.iter().map(|(_, pool)| &self.service.pools[*pool]);
        let notices: Option<Vec<f64>> = pools.map(|pool| pool.notice.map(|of| of.as_secs_f64())).collect();
        match notices {
            Some(notices) => {
                let checks = notices.into_iter().fold(0.0, f64::max);
                Forecast::new(
                    Loss::Gap(checks + moves),
                    format!(
                        "{checks:.1} s until its checks have found that it reaches no pool, and {moves:.2} s until another host has {}",
                        address.name
                    ),
                )
            }
            None => Forecast::new(
                Loss::UntilRepaired(0.0),
                format!(
                    "who hears nobody holds {}, and nothing is checked that could tell it so",
                    address.name
                ),
            ),
        }
    }

    fn pool(&self, pool: &Pool, repeatable: bool) -> Option<Forecast> {
        let gone = pool.members.iter().filter(|member| self.is_hit(member.host)).count();
        if gone == 0
            || !self.of_hosts()
            || matches!(self.blow.harm, Harm::Reloaded | Harm::Unattended | Harm::Apart)
        {
            return None;
        }
        let (of, name) = (pool.members.len(), &pool.name);
        let left = of - gone;
        let is_left = |member: &Member| !self.is_hit(member.host);
        if !pool.serves(is_left) {
            let carried = pool.carried(is_left);
            let text = if left < pool.refuses_below {
                format!(
                    "{left} of {of} members of {name} are left, and below {} it refuses",
                    pool.refuses_below
                )
            } else if pool.by_weight {
                format!("what is left of {name} has a weight of {carried}, and {} is needed", pool.load())
            } else if carried < left {
                format!(
                    "{name} needs {} members, and has {carried} left besides backups, which get nothing meanwhile",
                    pool.load()
                )
            } else {
                format!("{left} of {of} members of {name} are left, and {} needed", pool.load())
            };
            return Some(Forecast::new(Loss::UntilRepaired(0.0), text));
        }
        let harm = self.blow.harm;
        if harm == Harm::GivenAway {
            let text = format!("{left} of {of} members of {name} are left, and get its work before");
            return Some(Forecast::new(Loss::Nothing, text));
        }
        let share = pool.share(|member| !is_left(member));
        if share == 0.0 {
            let text = format!(
                "{left} of {of} members of {name} are left: only backups are gone, which get nothing"
            );
            return Some(Forecast::new(Loss::Nothing, text));
        }
        if !repeatable || pool.tries < 2 {
            let (loss, until) = match pool.unnoticed() {
                None => (Loss::UntilRepaired(0.0), "they are repaired: nobody notices"),
                Some(time) if time.is_zero() => (Loss::Some(0.0), "traffic has noticed, after a few"),
                Some(time) => (Loss::Some(time.as_secs_f64()), "it is noticed"),
            };
            let why = match repeatable {
                false => format!("what {name} is asked can't be repeated elsewhere"),
                true => format!("nothing that {name} is asked is tried twice"),
            };
            return Some(Forecast::new(loss, format!("{why}: {} of it fail until {until}", percent(share))));
        }
        let how = match harm {
            Harm::Killed | Harm::Restarted => "it refuses and resets at once".to_owned(),
            _ => format!("its silence costs a request {:.2} s at most", pool.silence.as_secs_f64()),
        };
        let text = format!("{left} of {of} members of {name} are left; {how}, and another is asked");
        Some(Forecast::new(Loss::Nothing, text))
    }

    fn database(&self, database: &Database, primary: Hit, all: &mut Vec<Forecast>) {
        let harm = self.blow.harm;
        if harm == Harm::Reloaded {
            return;
        }
        all.extend(self.quorum(database));
        let gone: BTreeSet<usize> =
            database.hosts.iter().copied().filter(|&host| self.is_hit(host)).collect();
        if gone.is_empty() || harm == Harm::StoreGone {
            return;
        }
        let (of, gone) = (database.hosts.len(), gone.len());
        let left = of - gone;
        let name = &database.name;
        if matches!(primary, Hit::Yes | Hit::Perhaps) {
            all.push(self.primary(database, left, gone));
        }
        if primary != Hit::Yes && harm != Harm::GivenAway && database.hosts.len() > 1 {
            let silent = matches!(harm, Harm::Silent | Harm::Frozen | Harm::Deaf | Harm::ServerFrozen);
            all.push(if left >= database.least() {
                let told = format!(
                    "{left} of {of} hosts of {name} are left, and a write needs {}",
                    database.least()
                );
                match fewer(database, left, silent) {
                    Some((seconds, how)) => Forecast::new(Loss::Gap(seconds), format!("{told}; {how}")),
                    None => Forecast::new(Loss::Nothing, told),
                }
            } else {
                Forecast::new(
                    Loss::UntilRepaired(0.0),
                    format!(
                        "{left} of {of} hosts of {name} are left, and a write must be on {}",
                        database.least()
                    ),
                )
            });
        }
    }

    /// A takeover, or none where too little is left.
    fn primary(&self, database: &Database, left: usize, gone: usize) -> Forecast {
        let (harm, name) = (self.blow.harm, &database.name);
        let assumed = format!("a promotion (taken for {:.1} s)", self.promotion);
        match harm {
            Harm::ServerKilled => {
                let how =
                    format!("its host gives the lease of {name} up at once, or starts it again; {assumed}");
                return Forecast::new(Loss::Gap(self.promotion), how);
            }
            Harm::GivenAway => {
                return Forecast::new(
                    Loss::Gap(self.promotion),
                    format!("{name} is handed over first; {assumed}"),
                );
            }
            _ => {}
        }
        let few = !database.can_fail_over() || left < database.least();
        if few || database.may_lack_writes(gone) {
            let how =
                if few { "too few are left to take over" } else { "those that are left may lack writes" };
            return Forecast::new(Loss::UntilRepaired(0.0), format!("{name}: {how}"));
        }
        if harm == Harm::Restarted {
            return Forecast::new(
                Loss::Gap(self.promotion),
                format!("{name} is handed over first; {assumed}"),
            );
        }
        let how = format!(
            "the lease of {:?} and 5 % for clocks, a heartbeat of {:?}, and {assumed}",
            database.lease, database.heartbeat
        );
        let takeover = database.notice().as_secs_f64() + self.promotion;
        // Who takes over is connected with nobody yet.
        match fewer(database, left, false) {
            Some((seconds, more)) => Forecast::new(Loss::Gap(takeover + seconds), format!("{how}; {more}")),
            None => Forecast::new(Loss::Gap(takeover), how),
        }
    }

    fn quorum(&self, database: &Database) -> Option<Forecast> {
        let quorum = self.service.quorum.as_ref().filter(|quorum| !quorum.members.is_empty())?;
        if !matches!(
            self.blow.harm,
            Harm::Killed | Harm::Silent | Harm::Frozen | Harm::Deaf | Harm::Restarted | Harm::StoreGone
        ) {
            return None;
        }
        let gone = quorum.members.iter().filter(|of| of.host.is_some_and(|host| self.is_hit(host))).count();
        let (of, left) = (quorum.members.len(), quorum.members.len() - gone);
        if gone == 0 {
            return None;
        }
        Some(if left < quorum.majority() {
            let after = database.notice().as_secs_f64();
            let how = format!(
                "{left} of {of} coordination members are no majority: nobody is primary when the lease has run out"
            );
            Forecast::new(Loss::UntilRepaired(after), how)
        } else {
            let how = format!("{left} of {of} coordination members agree before the lease has run out");
            Forecast::new(Loss::Nothing, how)
        })
    }
}

/// A share in per cent: `33 %`; where that would be none or all of it, `0.3 %`, `99.7 %`.
pub(crate) fn percent(share: f64) -> String {
    let of = share * 100.0;
    if of < 1.0 || (of > 99.0 && of < 100.0) { format!("{of:.1} %") } else { format!("{of:.0} %") }
}

/// What it costs that fewer are left than must confirm, where the database goes on with those: who is silent is given time to come back,
/// and then the rule is changed.
pub(crate) fn fewer(database: &Database, left: usize, silent: bool) -> Option<(f64, String)> {
    let absent = nines_system::ABSENT_AFTER_LEASES;
    let unheard = if silent { nines_system::UNHEARD_FOR_LEASES } else { 0 };
    let seconds = (database.lease * (unheard + absent + 1)).as_secs_f64();
    let first = if silent {
        format!("{unheard} leases until their connections are given up, ")
    } else {
        String::new()
    };
    let how = format!(
        "{} can confirm where {} must: {first}{absent} leases until those that are gone count as absent, and one until that is recorded",
        left.saturating_sub(1),
        database.confirm
    );
    (left <= database.confirm).then_some((seconds, how))
}

#[cfg(test)]
mod tests;
