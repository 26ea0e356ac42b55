//! A seed, played to its end: what is common to everything that is put into a world.

use std::any::Any;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::{Program, Time, World, failover, vrrp};

/// What can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plot {
    /// Virtual addresses.
    Vrrp,
    /// Databases.
    Failover,
}

impl Plot {
    pub const ALL: [Self; 2] = [Self::Vrrp, Self::Failover];

    pub fn name(self) -> &'static str {
        match self {
            Self::Vrrp => "vrrp",
            Self::Failover => "failover",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plot| plot.name() == name)
    }

    /// Plays one seed to its end, or to the first broken promise, and keeps the latest so many lines of what happened. `origin`:
    /// any instant; nothing depends on which.
    pub fn play(self, origin: Instant, seed: u64, trace_lines: usize) -> Report<String> {
        match self {
            Self::Vrrp => {
                let options = vrrp::Options { trace_lines, ..Options::default() };
                vrrp::run(origin, seed, &options).in_words()
            }
            Self::Failover => {
                let options = failover::Options { trace_lines, ..Options::default() };
                failover::run(origin, seed, &options).in_words()
            }
        }
    }
}

/// How it is played.
#[derive(Debug, Clone)]
pub struct Options<Mistake> {
    /// Each part of a run comes so often.
    pub rounds: u32,
    /// The latest lines of what happened that a report keeps.
    pub trace_lines: usize,
    /// What every host does wrong, to see that it is found.
    pub mistake: Option<Mistake>,
}

impl<Mistake> Default for Options<Mistake> {
    fn default() -> Self {
        Self { rounds: 2, trace_lines: 60, mistake: None }
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub at: Time,
    pub promise: &'static str,
    pub what: String,
}

impl Violation {
    fn panicked(at: Time, with: &(dyn Any + Send)) -> Self {
        let text = with.downcast_ref::<String>().cloned();
        let text = text.or_else(|| with.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Self { at, promise: "nothing panics", what: text.unwrap_or_default() }
    }
}

/// What came of one seed.
#[derive(Debug, Clone)]
pub struct Report<Seen> {
    pub plot: Plot,
    pub seed: u64,
    /// What was played, in words.
    pub scene: String,
    /// The same for the same seed and options.
    pub fingerprint: u64,
    pub events: u64,
    /// Of the world's time.
    pub lasted: Duration,
    /// What happened of what matters.
    pub seen: Seen,
    pub violation: Option<Violation>,
    /// The latest of what happened.
    pub trace: Vec<String>,
}

impl<Seen: Display> Report<Seen> {
    pub(crate) fn of<P: Program>(
        (plot, seed, scene): (Plot, u64, &impl Display),
        world: &World<P>,
        seen: Seen,
        violation: Option<Violation>,
    ) -> Self {
        let trace = world.trace();
        Self {
            plot,
            seed,
            scene: scene.to_string(),
            fingerprint: trace.fingerprint(),
            events: trace.count(),
            lasted: world.now(),
            seen,
            violation,
            trace: trace.lines(),
        }
    }

    fn in_words(self) -> Report<String> {
        Report {
            plot: self.plot,
            seed: self.seed,
            scene: self.scene,
            fingerprint: self.fingerprint,
            events: self.events,
            lasted: self.lasted,
            seen: self.seen.to_string(),
            violation: self.violation,
            trace: self.trace,
        }
    }
}

impl<Seen: Display> Display for Report<Seen> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasted = self.lasted.as_secs_f64();
        let Some(violation) = &self.violation else {
            let (seed, events, seen) = (self.seed, self.events, &self.seen);
            return write!(f, "seed {seed}: {events} events in {lasted:.1} s, {seen}; every promise kept");
        };
        writeln!(f, "seed {}:", self.seed)?;
        write!(f, "{}", self.scene)?;
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        let Violation { at, promise, what } = violation;
        writeln!(f, "BROKEN after {:.6} s: {promise}: {what}", at.as_secs_f64())?;
        let (plot, seed) = (self.plot.name(), self.seed);
        write!(f, "again: nines simulate --world {plot} --seed {seed} --trace")
    }
}

/// Lets happen what happens until then, at most so many things; each is looked at.
pub(crate) fn play_until<P: Program>(
    world: &mut World<P>,
    end: Time,
    most: u32,
    mut look: impl FnMut(&mut World<P>) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let mut steps = 0;
    while world.next_at().is_some_and(|next| next <= end) {
        // So that the report tells how it came to that.
        let stepped = catch_unwind(AssertUnwindSafe(|| world.step()));
        stepped.map_err(|panicked| Violation::panicked(world.now(), panicked.as_ref()))?;
        look(world)?;
        steps += 1;
        if steps > most {
            let what = format!("more than {most} things happened before {end:?}");
            return Err(Violation { at: world.now(), promise: "time goes on", what });
        }
    }
    world.skip_to(end);
    Ok(())
}
