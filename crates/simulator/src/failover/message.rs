//! What goes between the parts of a host, its peers and the store; what they are told, and what they note.

use std::fmt;
use std::rc::Rc;

use nines_control::failover::{
    Cohort, Effect, Failure, Id, Lsn, Outcome, Register, Report, Revision, Term, Value,
};

use super::history::{BranchId, History};

/// Tells apart the processes of one host, one after the other.
pub(super) type Life = u64;

#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Message {
    // To the store, and from it.
    ReadAll {
        life: Life,
    },
    All {
        life: Life,
        upto: Revision,
        registers: Rc<Vec<(Register, Revision, Value)>>,
    },
    Poll {
        since: Revision,
    },
    Changes {
        upto: Revision,
        registers: Rc<Vec<(Register, Revision, Value)>>,
    },
    /// As soon as it is there; may be lost.
    Push {
        register: Register,
        revision: Revision,
        value: Rc<Value>,
    },
    Cas {
        life: Life,
        id: Id,
        register: Register,
        expected: Revision,
        value: Rc<Value>,
    },
    CasDone {
        life: Life,
        id: Id,
        outcome: Outcome,
        now: Option<Rc<(Register, Revision, Value)>>,
    },
    // From the manager to the engine of its host, and back.
    Do {
        life: Life,
        id: Id,
        effect: Rc<Effect>,
    },
    Ask,
    Write,
    Done {
        life: Life,
        id: Id,
        result: Rc<Result<(), Failure>>,
        sequence: u64,
        report: Rc<Report>,
    },
    /// `doing`: what it is at.
    Report {
        sequence: u64,
        doing: Option<(Life, Id)>,
        report: Rc<Report>,
    },
    /// What was written in this branch up to there is confirmed as the engine's rule wants it.
    Committed {
        branch: BranchId,
        lsn: Lsn,
    },
    // Between engines.
    Attach {
        session: u64,
        term: Term,
        history: History,
    },
    Append {
        session: u64,
        term: Term,
        history: History,
    },
    Confirm {
        session: u64,
        term: Term,
        end: Lsn,
    },
    Diverged {
        session: u64,
    },
    Fetch {
        session: u64,
        term: Term,
    },
    Copy {
        session: u64,
        history: History,
    },
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadAll { .. } => f.write_str("read all"),
            Self::All { registers, upto, .. } => write!(f, "all {} registers, at {upto}", registers.len()),
            Self::Poll { since } => write!(f, "what is new since {since}?"),
            Self::Changes { registers, upto } => write!(f, "{} changes up to {upto}", registers.len()),
            Self::Push { register, revision, value } => {
                write!(f, "{} is {} at {revision}", register, Content(value))
            }
            Self::Cas { register, expected, value, .. } => {
                write!(f, "set {} from {expected} to {}", register, Content(value))
            }
            Self::CasDone { outcome, .. } => write!(f, "{outcome:?}"),
            Self::Do { effect, .. } => write!(f, "do {}", Wanted(effect)),
            Self::Ask => f.write_str("how are you?"),
            Self::Write => f.write_str("a write"),
            Self::Done { result, report, .. } => match result.as_ref() {
                Ok(()) => write!(f, "done; {}", State(report)),
                Err(failure) => write!(f, "FAILED: {}; {}", failure.0, State(report)),
            },
            Self::Report { report, .. } => State(report).fmt(f),
            Self::Committed { branch, lsn } => write!(f, "{branch}:{lsn} is confirmed"),
            Self::Attach { term, history, .. } => write!(f, "attach for {term} at {}", history.position()),
            Self::Append { term, history, .. } => write!(f, "append for {term} to {}", history.position()),
            Self::Confirm { term, end, .. } => write!(f, "confirms {end} for {term}"),
            Self::Diverged { .. } => f.write_str("another history"),
            Self::Fetch { term, .. } => write!(f, "a copy for {term}, please"),
            Self::Copy { history, .. } => write!(f, "a copy at {}", history.position()),
        }
    }
}

struct Content<'a>(&'a Value);

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Rule(rule) => {
                write!(f, "[term {}: {} by {}, {}", rule.term, rule.primary, rule.by, rule.cohort)?;
                for also in &rule.also {
                    write!(f, ", also {also}")?;
                }
                if let Some(intent) = &rule.taking {
                    write!(f, "; {} recruits for {}", intent.candidate, intent.term)?;
                }
                f.write_str("]")
            }
            Value::Lease(lease) => {
                let holder = lease.holder.as_ref().map_or("nobody", |host| host.name());
                write!(f, "[{holder}'s, term {}, beat {}]", lease.term, lease.beat)
            }
            Value::Pledge(pledge) => {
                let at = pledge.position.map_or_else(|| "nothing".to_owned(), |at| at.to_string());
                write!(f, "[{}, has {at}{}]", pledge.term, if pledge.fit { "" } else { ", unfit" })
            }
            Value::Wish(wish) => write!(f, "{wish:?}"),
            Value::Vitals(vitals) => {
                let at = vitals.position.map_or_else(|| "nothing".to_owned(), |at| at.to_string());
                write!(f, "[{:?} at {at}", vitals.role)?;
                if let Some((host, term)) = &vitals.streams {
                    write!(f, ", streams from {host} of {term}")?;
                }
                write!(f, "{}]", vitals.unfit.as_ref().map_or_else(String::new, |why| format!(", {why}")))
            }
        }
    }
}

struct Wanted<'a>(&'a Effect);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())?;
        match self.0 {
            Effect::Pledge { term } => write!(f, " {term}"),
            Effect::Follow { primary, term } | Effect::Rejoin { primary, term, .. } => {
                write!(f, " {primary} of {term}")
            }
            Effect::Promote { term, cohort }
            | Effect::Continue { term, cohort }
            | Effect::SetSynchronous { term, cohort } => write!(f, " {term}, {cohort}"),
            Effect::Initialise | Effect::Measure => Ok(()),
        }
    }
}

struct State<'a>(&'a Report);

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let at = report.position.map_or_else(|| "nothing".to_owned(), |at| at.to_string());
        write!(f, "{:?} at {at}, pledged {}", report.role, report.pledged)?;
        if let Some(term) = report.serves {
            write!(f, ", serves {term}")?;
        }
        if let Some((host, term)) = &report.source {
            write!(f, ", follows {host} of {term}")?;
        }
        if report.diverged {
            f.write_str(", diverged")?;
        }
        for (host, lsn) in &report.standbys {
            write!(f, ", {host} has {lsn}")?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Order {
    /// Something to be done again and again.
    Beat,
    /// A client writes.
    Client,
    /// After a hold: the last transaction is over.
    Idle(u64),
    /// An effect ends.
    Finish(u64),
    /// A source has not answered yet.
    Again(u8),
    // From outside.
    /// The server stops; what manages it goes on.
    Die,
    /// It is told to stop.
    Leave,
    /// The manager of this host was killed.
    Orphaned,
    /// With the next crash of this host its disk is gone.
    LoseDisk,
    Disk(nines_control::failover::Disk),
    PromoteByHand,
    Pause(bool),
    Reinit(usize),
    SwitchOver {
        /// `None`: whoever is best.
        to: Option<usize>,
        force: bool,
    },
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beat => f.write_str("that time passes"),
            Self::Client => f.write_str("that a client writes"),
            Self::Idle(_) => f.write_str("that no transaction is open"),
            Self::Again(_) => f.write_str("that it is time to ask again"),
            Self::Finish(_) => f.write_str("that an effect ends"),
            Self::Die => f.write_str("FAULT  that its server is killed"),
            Self::Leave => f.write_str("that it is to stop"),
            Self::Orphaned => f.write_str("that its manager is gone"),
            Self::LoseDisk => f.write_str("FAULT  that its disk will be lost"),
            Self::Disk(disk) => write!(f, "FAULT  that its disk is {disk:?}"),
            Self::PromoteByHand => f.write_str("FAULT  that somebody promotes it by hand"),
            Self::Pause(on) => write!(f, "a wish: paused {on}"),
            Self::Reinit(host) => write!(f, "a wish: db{} begins anew", host + 1),
            Self::SwitchOver { to, force } => write!(f, "a wish: switch over to {to:?}, by force {force}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Note {
    Acknowledged {
        branch: BranchId,
        lsn: Lsn,
    },
    Gate(String),
    /// A register was changed.
    Set(Register),
    /// The engine did what it was asked for, or lost what it had.
    Engine(String),
    Synchronous(Cohort),
    /// It has made an empty database.
    Initialised,
    /// It has recorded the term, and its data, which count, grow no further.
    Pledged(Term),
    Says(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledged { branch, lsn } => write!(f, "ACKNOWLEDGES {branch}:{lsn}"),
            Self::Gate(text) => write!(f, "GATE {text}"),
            Self::Set(register) => write!(f, "SETS {}", register),
            Self::Engine(text) => write!(f, "ENGINE {text}"),
            Self::Synchronous(cohort) => write!(f, "ENGINE waits for {cohort}"),
            Self::Initialised => f.write_str("ENGINE made a database"),
            Self::Pledged(term) => write!(f, "ENGINE is pledged to {term}"),
            Self::Says(text) => write!(f, "says: {text}"),
        }
    }
}
