//! Which host of a database is the primary, as a pure state machine: one for each database on each of its hosts.
//!
//! It never loses an acknowledged write. That rests on two things alone: registers that are changed by compare-and-set,
//! and pledges that outlive the process. Clocks decide when to try, never whether it is safe. docs/failover.md has the
//! invariants and why each step keeps them.
//!
//! - **Everything is decided anew from what is known** ([`Failover::handle`]): the registers, the engine's latest report,
//!   a few timers. So it does not matter at which step a process died.
//! - **There is no engine in here**: terms, positions and effects with ids. Who carries out an effect (the hands) ends it
//!   in some way, one after the other, and says so.

mod candidate;
mod cohort;
mod first;
mod gate;
mod handover;
mod known;
mod lead;
mod lonely;
mod machine;
mod member;
mod register;
mod rule;
mod status;
mod vitals;
mod wish;

use std::time::{Duration, Instant};

pub use machine::Failover;
pub use register::{
    Host, Intent, Lease, Lsn, Pledge, Position, Register, Revision, Switchover, Term, Value, Vitals, Wish,
};
pub use rule::{Cohort, Recruits, Rule, Verdict};
pub use status::{Forecast, HandingOver, LeaseStatus, Member, NO_STORE, Status, TakingOver};
pub use wish::Verb;

/// What this host is told about a database.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// This host.
    pub me: Host,
    /// All hosts of the database. The first of those that may take over tries first.
    pub hosts: Vec<Host>,
    /// How many standbys must confirm each commit, where there are so many.
    pub confirm: usize,
    pub durability: Durability,
    /// How long the right to serve lasts without being renewed.
    pub lease: Duration,
    pub heartbeat: Duration,
    /// How wrong the rate of any clock may be: 0.05 is 5 %. Beyond it the gates of two hosts may be open at one time;
    /// no acknowledged write is lost even then.
    pub clock_error: f64,
    /// A standby that doesn't stream for so long leaves the cohort.
    pub absent_after: Duration,
    /// For so long after a takeover from a primary that only seemed to be dead, another one must be silent for a quarter of this to
    /// be taken for dead; and a primary that gave up since it lacked standbys leaves it to others.
    pub apart: Duration,
    /// A standby that is no further behind may join the cohort.
    pub lag: u64,
    /// A switchover that takes longer is given up.
    pub switchover_within: Duration,
    /// A promotion that takes longer is left to another host.
    pub promote_within: Duration,
    /// Between two tries of what has failed.
    pub retry_after: Duration,
}

/// What a primary does that too few standbys confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Writes wait.
    Strict,
    /// It goes on with fewer, and says so in the rule first: from then on only who has everything may take over.
    Available,
}

/// Names one thing that was asked for, until its end is told.
pub type Id = u64;

/// Everything that can happen.
///
/// Whoever drives the machine reads everything that has arrived before it gives an [`Input::Timer`]: a host that ran late
/// must not take its own sleep for another's silence.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The deadline has come.
    Timer,
    /// All registers that exist, read from the store itself (not from a cache or a follower) after the machine was made.
    Registers(Vec<(Register, Revision, Value)>),
    /// A register as it was at some time. What is older than what is known already is ignored.
    Changed { register: Register, revision: Revision, value: Value },
    /// The store answered, and there is nothing new.
    Contact,
    /// The end of an [`Output::Set`].
    Set { id: Id, outcome: Outcome },
    /// The latest about this host's engine; to be given at the start, at least with every heartbeat, and at once when its
    /// role, its source, whether it streams or its disk changes; and, while the gate is shut after an [`Effect::Measure`], when
    /// a standby confirms what was there.
    Engine(Report),
    /// The end of an [`Output::Do`], and how the engine is after it.
    Done { id: Id, result: Result<(), Failure>, report: Report },
    /// After [`Gate::Hold`]: no transaction is open any more.
    GateIdle,
    /// This host is about to stop: hand over what it has.
    Leave,
}

/// What became of a compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done, and this is the register's revision now.
    Done(Revision),
    /// The register was at another revision; what it holds is told by [`Input::Changed`] too.
    Refused,
    /// No answer: it may have been done, and may still be.
    Unknown,
}

/// Why an effect failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure(pub String);

/// What is known of this host's engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Report {
    pub role: Role,
    /// Where its durable data end. `None`: it has none that count, since there are none, a copy is not complete, or
    /// somebody made it a primary without an order.
    pub position: Option<Position>,
    /// Whose these data are.
    pub origin: Origin,
    /// The highest term it durably recorded; 0 if it never did, or its disk is new.
    pub pledged: Term,
    /// The term that it was made a primary for, by order. Durable; gone with [`Effect::Pledge`] and [`Effect::Follow`].
    pub serves: Option<Term>,
    /// What it is set to follow.
    pub source: Option<(Host, Term)>,
    /// It gets its source's log now, and has heard of it within about a lease.
    pub streams: bool,
    /// Its source says that their histories are not the same.
    pub diverged: bool,
    /// The rule that every commit waits for.
    pub synchronous: Option<Cohort>,
    /// Who streams from it now, and what each has confirmed.
    pub standbys: Vec<(Host, Lsn)>,
    pub disk: Disk,
}

/// How a host came by its data. Durable, and gone with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It has none, or a rule was in force when any effect but the next two was last carried out.
    #[default]
    Ruled,
    /// [`Effect::Initialise`] made them, and no other effect but [`Effect::Measure`] was carried out since.
    Initialised,
    /// The operator wants a database to begin with them (`nines adopt`), and no effect but [`Effect::Measure`] was carried
    /// out since.
    Adopted,
    /// Somebody else put them there. No effect touches them but [`Effect::Rejoin`], which sets them aside.
    Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Primary,
    Standby,
    Stopped,
    /// It runs and doesn't answer.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disk {
    Well,
    /// Writes hang.
    Stalled,
    Full,
}

/// Everything that is wanted done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Put the value there if the register is at this revision (0: does not exist).
    Set {
        id: Id,
        register: Register,
        expected: Revision,
        value: Value,
    },
    /// Do it to the engine; the next one is only asked for after the end of this.
    Do {
        id: Id,
        effect: Effect,
    },
    Gate(Gate),
    Event {
        kind: Kind,
        why: String,
    },
}

/// What can be done to the engine. What an earlier process began is finished or undone before the first report is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// There is no database yet: make an empty one, a running primary of term 1 (pledged 1, serves 1) that goes by no
    /// synchronous rule yet. Fails where data are, of whatever kind.
    Initialise,
    /// Record the term durably, then stop streaming; a primary stops being one. Afterwards its data grow no further, and
    /// nothing is confirmed to anybody of a lower term, whoever starts the engine again.
    Pledge { term: Term },
    /// Record the term durably, then stream from this host, which must be the primary of this term and no lower one. A
    /// primary stops being one first.
    Follow { primary: Host, term: Term },
    /// Set aside what is there and make it a copy of this primary (rewound, else cloned; `afresh`: cloned), then follow it.
    /// Until it is complete the data do not count. `Follow`'s conditions hold here too.
    Rejoin { primary: Host, term: Term, afresh: bool },
    /// Become the primary: the synchronous rule is in force before the first write is taken. If it was the primary of this
    /// very term before it stopped, it goes on as that.
    Promote { term: Term, cohort: Cohort },
    /// It is a running primary, nobody was another since: go on on the same history, for a new term.
    Continue { term: Term, cohort: Cohort },
    /// Done once no commit can be acknowledged by an earlier rule any more.
    SetSynchronous { term: Term, cohort: Cohort },
    /// Make a stop quick, if that is not just done, and report a position that covers everything written so far.
    Measure,
}

/// What clients may do here. Checked on the forwarding path.
#[derive(Debug, Clone, PartialEq)]
pub enum Gate {
    /// Everything, until then.
    Open {
        until: Instant,
        term: Term,
    },
    /// Finish the transaction that is open; begin none. [`Input::GateIdle`] says when none is.
    Hold {
        until: Instant,
    },
    Close {
        why: &'static str,
    },
}

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// This host tries to take over, or to hand over.
    Takeover,
    /// It can't, and what is missing.
    Refused,
    /// This host serves.
    Serving,
    /// It ceased to.
    Released,
    /// The hosts that must hold each write are others than before.
    Cohort,
    /// This host follows a primary, again or another one.
    Following,
    /// Something is wrong with this host's engine, or somebody meddled.
    Conflict,
}

#[cfg(test)]
mod tests;
