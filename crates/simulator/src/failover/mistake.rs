//! Mistakes made on purpose around the machine, to show that whoever checks sees them.

/// What every host does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Says that it has pledged itself, and streams and confirms on.
    SkipsPledge,
    /// Counts recruits that never pledged themselves.
    CountsGhosts,
    /// The engine goes by a new cohort before the register demands it.
    LoosensEarly,
    /// The engine goes by the old cohort on, though it says that it goes by the new one.
    TightensLate,
    /// While two cohorts hold, the older one is not asked for recruits.
    IgnoresOldRule,
    /// Of two histories the longer one wins.
    ForgetsTerm,
    /// The lease lasts from when the answer came, not from when the question was sent.
    LeaseFromTheAnswer,
    /// The gate stays as it was opened, however late it is.
    GateWithoutDeadline,
    /// A new disk counts as one that has what the old one had.
    CountsEmptyDisks,
    /// Streams to whoever connects.
    FollowsWithAnyHistory,
    /// Serves as soon as the engine is a primary, whoever made it one.
    ServesAnyPrimary,
    /// Whoever takes over names another primary than the one that has the most.
    NamesTheWrongOne,
    /// Makes a database where no rule is, whatever the others have.
    MakesAnother,
    /// What it made counts, though another one's rule was the first.
    ForgetsOrigin,
}
