//! What a database promises, held against everything that happens. It looks at what is really on the disks and in the
//! store, and counts for itself.

mod settled;

pub(in crate::failover) use settled::Due;

use std::collections::BTreeMap;

use nines_control::failover::{Cohort, Host, Lsn, Origin, Position, Register, Rule, Term};

use super::engine::{Engine, OnDisk};
use super::history::BranchId;
use super::message::{Message, Note};
use super::mistake::Mistake;
use super::node::Node;
use super::scene::{Begins, Scene};
use super::shell::Shell;
use super::store::Store;
use crate::{Fault, Happened, HostIndex, Time, Violation, World};

type Checked = Result<(), (&'static str, String)>;
type Databases = World<Node>;

#[derive(Debug)]
pub(super) struct Checker {
    scene: Scene,
    mistake: Option<Mistake>,
    /// Of each branch, up to where writes were acknowledged.
    acknowledged: BTreeMap<BranchId, Lsn>,
    pub(super) writes: u64,
    pub(super) acknowledged_at: Time,
    /// The highest term that each host has ever published a pledge for.
    published: Vec<Term>,
    /// The latest term that each host pledged itself to with data that counted then.
    recruited: Vec<Term>,
    /// How often a new term was none that the primary before gave away itself.
    pub(super) takeovers: usize,
    /// Who was named the primary of each term.
    named: BTreeMap<Term, HostIndex>,
    /// The rule as it was before.
    rule: Option<Rule>,
}

impl Checker {
    pub(super) fn new(scene: Scene, mistake: Option<Mistake>) -> Self {
        // What was there before counts as acknowledged.
        let adopted = matches!(scene.begins, Begins::Adopted(_));
        let rule = scene.first_rule();
        Self {
            acknowledged: adopted.then_some((0, 9)).into_iter().collect(),
            writes: 0,
            acknowledged_at: Time::ZERO,
            published: vec![0; scene.hosts],
            recruited: vec![0; scene.hosts],
            takeovers: 0,
            named: rule.iter().map(|rule| (rule.term, 0)).collect(),
            rule,
            scene,
            mistake,
        }
    }

    pub(super) fn terms(&self) -> usize {
        self.named.len()
    }

    pub(super) fn primary(&self) -> Option<HostIndex> {
        self.rule.as_ref().map(|rule| self.host(&rule.primary))
    }

    /// Looks at the last step.
    ///
    /// # Errors
    ///
    /// The first promise that was broken.
    pub(super) fn observe(&mut self, world: &Databases) -> Result<(), Violation> {
        let checked = self.all(world);
        checked.map_err(|(promise, what)| Violation { at: world.now(), promise, what })
    }

    fn all(&mut self, world: &Databases) -> Checked {
        let (mut gates, mut all) = (false, false);
        for happened in world.happened() {
            match happened {
                Happened::Sent(node, Message::Confirm { term, .. }) => self.confirms(*node, *term)?,
                Happened::Noted(node, note) => {
                    all |= !matches!(note, Note::Says(_));
                    self.noted(world, *node, note)?;
                }
                Happened::Read(_, _, Message::CasDone { .. }) => gates = true,
                Happened::Fault(Fault::Crash(_) | Fault::Start(_)) => all = true,
                _ => {}
            }
        }
        if gates || all {
            self.one_gate(world)?;
        }
        if all {
            self.nothing_is_lost(world)?;
            self.one_that_acknowledges(world)?;
            self.no_rule_too_early(world)?;
            self.nobody_unnamed_serves(world)?;
        }
        Ok(())
    }

    fn noted(&mut self, world: &Databases, node: HostIndex, note: &Note) -> Checked {
        match note {
            Note::Acknowledged { branch, lsn } => {
                let known = self.acknowledged.entry(*branch).or_default();
                *known = (*known).max(*lsn);
                self.writes += 1;
                self.acknowledged_at = world.now();
            }
            Note::Set(Register::Rule) => {
                let Some(rule) = store(world).rule() else { return Ok(()) };
                self.enough_recruits(rule)?;
                let taken = |before: &Rule| rule.term > before.term && rule.by != before.primary;
                self.takeovers += usize::from(self.rule.as_ref().is_some_and(taken));
                self.named.insert(rule.term, self.host(&rule.primary));
                self.rule = Some(rule.clone());
            }
            Note::Set(Register::Pledge(name)) => {
                let host = self.host(name);
                let term = store(world).pledge(name).term;
                self.published[host] = self.published[host].max(term);
            }
            Note::Gate(_) => self.status_agrees(world, node)?,
            Note::Initialised => self.made_anew(world, node - self.scene.hosts)?,
            Note::Pledged(term) => self.recruited[node - self.scene.hosts] = *term,
            _ => {}
        }
        Ok(())
    }

    /// A database is made only where none is; or by several at once, before the first rule tells which is the one.
    fn made_anew(&self, world: &Databases, host: HostIndex) -> Checked {
        if self.rule.is_some() {
            return Ok(());
        }
        let is_there = |other: &HostIndex| {
            let disk = &engine(world, *other).disk;
            disk.history.is_some() && disk.origin != Origin::Initialised
        };
        match (0..self.scene.hosts).find(is_there) {
            Some(other) => {
                let what = format!("db{} makes one, and db{} has data", host + 1, other + 1);
                Err(("no database is begun anew", what))
            }
            None => Ok(()),
        }
    }

    /// A term is won by pledges of enough hosts with data, or given away by the primary itself.
    fn enough_recruits(&self, rule: &Rule) -> Checked {
        let Some(before) = &self.rule else { return Ok(()) };
        if rule.term == before.term || rule.by == before.primary {
            return Ok(());
        }
        let recruited = |name: &&Host| self.recruited[self.host(name)] == rule.term;
        let enough = |cohort: &Cohort| {
            cohort.members.iter().filter(recruited).count() >= cohort.members.len() + 1 - cohort.copies
        };
        if recruited(&&before.primary) || before.cohorts().all(enough) {
            return Ok(());
        }
        let there: Vec<&str> = self.scene.names.iter().filter(recruited).map(Host::name).collect();
        Err(("a term is won with enough recruits", format!("{} has {}", rule.term, there.join(", "))))
    }

    fn host(&self, name: &Host) -> HostIndex {
        self.scene.names.iter().position(|known| known == name).unwrap_or(usize::MAX)
    }

    /// Who has said that it pledged itself confirms nothing for a lower term, not even with a new disk.
    fn confirms(&self, node: HostIndex, term: Term) -> Checked {
        let host = node - self.scene.hosts;
        if term >= self.published[host] {
            return Ok(());
        }
        let what =
            format!("db{} confirms for {term}, and has pledged itself to {}", host + 1, self.published[host]);
        Err(("a pledge is kept", what))
    }

    /// Whoever may be recruited, in whatever way that the rule allows: what comes of it has every acknowledged write.
    fn nothing_is_lost(&self, world: &Databases) -> Checked {
        let Some(rule) = store(world).rule() else { return Ok(()) };
        let hosts = self.scene.hosts;
        let mask = |cohort: &Cohort| {
            let members = cohort.members.iter().map(|member| 1_u32 << self.host(member));
            (members.sum::<u32>(), cohort.members.len() + 1 - cohort.copies)
        };
        let cohorts: Vec<(u32, usize)> = rule.cohorts().map(mask).collect();
        let primary = 1_u32 << self.host(&rule.primary);
        let known = cohorts.iter().fold(primary, |all, (members, _)| all | members);
        let data: Vec<_> = (0..hosts).map(|host| self.data(world, host)).collect();
        let there = (0..hosts).filter(|host| data[*host].is_some()).fold(0, |all, host| all | 1_u32 << host);
        for recruits in 1..1_u32 << hosts {
            let enough =
                |(members, needed): &(u32, usize)| (members & recruits).count_ones() as usize >= *needed;
            if recruits & !there != 0 || !(recruits & primary != 0 || cohorts.iter().all(enough)) {
                continue;
            }
            let chosen = (0..hosts).filter(|host| recruits & known & (1 << host) != 0);
            let Some(best) = chosen.filter_map(|host| Some(data[host]?.0)).max() else {
                continue;
            };
            let lacks = |host: &HostIndex| {
                recruits & known & (1 << host) != 0 && data[*host].is_some_and(|(at, all)| at == best && !all)
            };
            if let Some(host) = (0..hosts).find(lacks) {
                let what = format!(
                    "by the rule of term {} hosts {recruits:#07b} may make db{} the primary, and it lacks {}",
                    rule.term,
                    host + 1,
                    self.lacking(world, host)
                );
                return Err(("no acknowledged write is lost", what));
            }
        }
        Ok(())
    }

    /// Where its data end, and whether they have all that was acknowledged. `None`: they do not count.
    fn data(&self, world: &Databases, host: HostIndex) -> Option<(Position, bool)> {
        let disk = &engine(world, host).disk;
        let history = disk.history.as_ref().filter(|_| !disk.stray && self.is_of_rule(disk, host))?;
        let all = self.acknowledged.iter().all(|(branch, lsn)| history.contains(*branch, *lsn));
        Some((history.position(), all))
    }

    /// Those with which the database began count from when the rule says so.
    fn is_of_rule(&self, disk: &OnDisk, host: HostIndex) -> bool {
        let me = &self.scene.names[host];
        let first = self.rule.as_ref().is_some_and(|rule| {
            let alone = rule.cohorts().any(|cohort| cohort.copies == 1 && cohort.members.iter().eq([me]));
            rule.primary == *me && disk.serves == Some(rule.term) && alone
        });
        disk.origin == Origin::Ruled || first
    }

    fn lacking(&self, world: &Databases, host: HostIndex) -> String {
        let history = engine(world, host).disk.history.as_ref();
        let lacks =
            |(branch, lsn): &(&BranchId, &Lsn)| history.is_none_or(|one| !one.contains(**branch, **lsn));
        self.acknowledged
            .iter()
            .find(lacks)
            .map_or_else(String::new, |(branch, lsn)| format!("{branch}:{lsn}"))
    }

    /// Never can two hosts acknowledge writes: with the gate open, and enough others that may still confirm.
    fn one_that_acknowledges(&self, world: &Databases) -> Checked {
        let can: Vec<HostIndex> =
            (0..self.scene.hosts).filter(|host| self.can_acknowledge(world, *host)).collect();
        if can.len() <= 1 {
            return Ok(());
        }
        let what = format!("db{} and db{} can", can[0] + 1, can[1] + 1);
        Err(("one host at a time can acknowledge", what))
    }

    fn can_acknowledge(&self, world: &Databases, host: HostIndex) -> bool {
        let one = engine(world, host);
        let (Some(term), Some(cohort)) = (one.disk.serves, &one.disk.synchronous) else { return false };
        if !self.is_open(world, host) || !one.is_primary() {
            return false;
        }
        let me = &self.scene.names[host];
        let may = |member: &&Host| {
            let other = self.host(member);
            engine(world, other).disk.pledged.max(self.published[other]) <= term
        };
        cohort.others(me).filter(may).count() >= cohort.confirmations(me)
    }

    fn is_open(&self, world: &Databases, host: HostIndex) -> bool {
        world.is_running(host) && shell(world, host).open_until(world.local(host)).is_some()
    }

    /// Reads at two hosts at a time may be stale reads. This one needs good clocks.
    fn one_gate(&self, world: &Databases) -> Checked {
        if !self.scene.has_good_clocks() {
            return Ok(());
        }
        // Whoever stands still passes nothing now, and looks at the clock before it does.
        let open: Vec<HostIndex> = (0..self.scene.hosts).filter(|host| self.is_open(world, *host)).collect();
        if open.len() <= 1 {
            return Ok(());
        }
        Err(("one gate at a time", format!("db{}'s and db{}'s are open", open[0] + 1, open[1] + 1)))
    }

    /// The primary's engine goes by a cohort that the register demands recruits of.
    fn no_rule_too_early(&self, world: &Databases) -> Checked {
        let Some(rule) = store(world).rule() else { return Ok(()) };
        let host = self.host(&rule.primary);
        let disk = &engine(world, host).disk;
        if !disk.primary || disk.serves != Some(rule.term) {
            return Ok(());
        }
        let Some(goes_by) = &disk.synchronous else {
            if !self.is_open(world, host) {
                return Ok(());
            }
            return Err(("the register demands what the engine goes by", format!("db{} by none", host + 1)));
        };
        if rule.cohorts().any(|cohort| cohort == goes_by) {
            return Ok(());
        }
        let what = format!("db{} goes by {goes_by}, the register says {}", host + 1, rule.cohort);
        Err(("the register demands what the engine goes by", what))
    }

    /// What people are told: who says that it serves does, and nobody is promised who can't be.
    fn status_agrees(&self, world: &Databases, host: HostIndex) -> Checked {
        let Some(status) = shell(world, host).status(world.local(host)) else { return Ok(()) };
        let held = status.why.as_deref() == Some("hands over");
        if self.mistake.is_none() && !held && status.serves != self.is_open(world, host) {
            return Err(("what people are told is so", format!("db{}: {status:?}", host + 1)));
        }
        let forecast = &status.if_primary_died;
        if forecast.successor.is_some() && forecast.at_risk != Some(0) {
            return Err(("what people are told is so", format!("db{}: {forecast:?}", host + 1)));
        }
        Ok(())
    }

    /// Who serves was named for the term it serves.
    fn nobody_unnamed_serves(&self, world: &Databases) -> Checked {
        for host in (0..self.scene.hosts).filter(|host| self.is_open(world, *host)) {
            let one = engine(world, host);
            let named = one.disk.serves.is_some_and(|term| self.named.get(&term) == Some(&host));
            if one.is_primary() && !named {
                return Err(("only who was named serves", format!("db{} serves", host + 1)));
            }
        }
        Ok(())
    }
}

pub(super) fn shell(world: &Databases, host: HostIndex) -> &Shell {
    match world.program(host) {
        Node::Manager(shell) => shell,
        _ => unreachable!("managers come first"),
    }
}

pub(super) fn engine(world: &Databases, host: HostIndex) -> &Engine {
    match world.program(world.hosts() / 2 + host) {
        Node::Engine(engine) => &engine.0,
        _ => unreachable!("engines come second"),
    }
}

pub(super) fn store(world: &Databases) -> &Store {
    match world.program(world.hosts() - 1) {
        Node::Store(store) => &store.0,
        _ => unreachable!("the store comes last"),
    }
}
