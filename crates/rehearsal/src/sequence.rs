//! One case from beginning to end: healthy, clients, fault, hold, heal, healthy again, verdict.

mod crowd;
mod notice;
mod soup;

use std::time::{Duration, Instant, SystemTime};

use nines_control::event::Event;

use crate::fault::Fault;
use crate::health::{self, Expected};
use crate::plan::{Case, Component, Whom};
use crate::report::{CaseReport, Measured};
use crate::stage::{Stage, StageError, Victim};
use crate::verdict::{self, Bounds};
use crowd::Crowd;
pub(crate) use crowd::Written;
use notice::Notice;
pub use soup::{HistoryReport, Soup, SoupFault, SoupReport};

/// How often the system is asked how it is.
const GLANCE: Duration = Duration::from_millis(20);

/// Where rows are written too, this part of the rate is asked.
const BESIDE_WRITERS: u32 = 5;

/// How a rehearsal is played.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests a second.
    pub rate: u32,
    /// How long a fault lasts, where it is one that lasts.
    pub hold: Duration,
    /// Clients run this long before the fault.
    pub warm: Duration,
    /// Full health must last this long to count; clients run on until then.
    pub settle: Duration,
    /// How long full health may take to come, before the first case and after each healing.
    pub patience: Duration,
    /// A client's patience with one request.
    pub timeout: Duration,
    /// An answer this slow breaks a promise.
    pub slow: Duration,
    /// Where a database is broken: connections that write.
    pub writers: usize,
    /// From one row of a writer to its next one.
    pub pace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate: 1000,
            hold: Duration::from_secs(3),
            warm: Duration::from_secs(1),
            settle: Duration::from_secs(1),
            patience: Duration::from_secs(60),
            timeout: Duration::from_secs(1),
            slow: Duration::from_millis(500),
            writers: 4,
            pace: Duration::from_millis(5),
        }
    }
}

impl Options {
    /// Requests a second in a case of this component. Where rows are written as well, a machine has enough to do with them, and
    /// what is to be seen is whether requests go through.
    pub(crate) fn rate_of(&self, component: &Component) -> u32 {
        if component.writes.is_some() { (self.rate / BESIDE_WRITERS).max(1) } else { self.rate.max(1) }
    }
}

/// What goes on, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    BringingUp,
    /// Waiting for full health before a case.
    Waiting,
    /// Clients run, nothing is broken yet.
    Warming,
    /// The fault is in.
    Broken,
    /// It is healed; waiting for full health.
    Healing,
}

/// One look at a rehearsal that is going on.
#[derive(Debug)]
pub struct Glance<'a> {
    pub phase: Phase,
    /// The case's requests so far, or rows that were acknowledged.
    pub sent: u64,
    pub failed: u64,
    /// What is not healthy now.
    pub missing: &'a [String],
}

/// Called with every look, some fifty times a second.
pub type Watch<'a> = dyn FnMut(&Glance<'_>) + 'a;

/// Why a rehearsal could not go on. What the system does wrong is no error but a verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{doing}: {why}")]
    Stage { doing: String, why: StageError },
    #[error("the system was not healthy after {} s: {missing}", patience.as_secs())]
    NotHealthy { patience: Duration, missing: String },
    #[error("the system cannot become healthy: {}", .0.join("; "))]
    Ended(Vec<String>),
    #[error("the clients could not run")]
    Clients(#[from] std::io::Error),
    #[error("the host {0} has no address for clients")]
    NoAddress(String),
    #[error("the password of {0} can't be read from {path}: {source}", path = .1.display(), source = .2)]
    Password(String, std::path::PathBuf, std::io::Error),
    #[error("nobody is the {what} of {of} now")]
    Nobody { what: &'static str, of: String },
}

/// Plays cases on a stage.
#[derive(Debug)]
pub struct Rehearsal<S> {
    stage: S,
    options: Options,
    expected: Expected,
}

impl<S: Stage> Rehearsal<S> {
    pub fn new(stage: S, options: Options, expected: Expected) -> Self {
        Self { stage, options, expected }
    }

    /// Gives the stage back, to be taken down.
    pub fn into_stage(self) -> S {
        self.stage
    }

    /// Starts the system and waits until all of it is healthy.
    ///
    /// # Errors
    /// When the stage can't bring it up, or it isn't healthy within the patience.
    pub async fn bring_up(&mut self, watch: &mut Watch<'_>) -> Result<(), Error> {
        watch(&Glance { phase: Phase::BringingUp, sent: 0, failed: 0, missing: &[] });
        self.stage.bring_up().await.map_err(|why| stage_error("bringing the system up", why))?;
        self.wait_until_healthy(false, watch).await
    }

    /// Plays one case. It begins with everything healthy, and ends so unless the verdict is broken.
    ///
    /// # Errors
    /// When it could not be played: then nothing is known.
    pub async fn play(&mut self, case: &Case, watch: &mut Watch<'_>) -> Result<CaseReport, Error> {
        // What a fault of a load balancer costs depends on whether it is the one that answers.
        self.wait_until_healthy(!case.component.virtual_ips.is_empty(), watch).await?;
        if let Some(writes) = &case.component.writes {
            let done = self.stage.forget_failures(&writes.database).await;
            done.map_err(|why| stage_error(&format!("resuming {}", writes.database), why))?;
            self.wait_until_healthy(false, watch).await?;
        }
        let crowd = Crowd::come(&self.stage, &case.component, &self.options).await?;
        let played = self.play_before(case, &crowd, watch).await;
        // Clients are stopped whatever happened: the next thing may be the taking down of their place.
        let (record, written) = crowd.go().await?;
        let mut measured = played?;
        // What was due so long before the fault had been answered too late by then, whatever became of it.
        if let Some(before) = measured.fault_at.checked_sub(self.options.slow) {
            measured.failed_before = measured.failed_before.max(record.timeline.failed_before(before));
        }
        // Requests go in twos to each way in, in turn.
        let ways = u32::try_from(case.component.doors.len()).unwrap_or(u32::MAX);
        let grain = Duration::from_secs(1) * 2 * ways / self.options.rate_of(&case.component);
        let bounds = Bounds { slow: self.options.slow, grain };
        let healthy = measured.recovered.is_some();
        if let (Some(writes), Some(written)) = (&case.component.writes, written) {
            let patience = if healthy { self.options.patience } else { self.options.timeout };
            let written = crowd::look_for(&self.stage, writes, written, patience).await?;
            measured.why = verdict::of_writes(case, &written, healthy);
            if let Some(promise) = case.asked {
                measured.why.extend(verdict::of_requests(&case.component, promise, &record, &bounds));
            }
            measured.written = Some(written);
        } else {
            measured.why = verdict::reasons(case, &record, healthy, &bounds);
        }
        Ok(CaseReport::new(case, &record, measured))
    }

    /// The part of a case that happens before the clients' eyes.
    async fn play_before(
        &mut self,
        case: &Case,
        clients: &Crowd,
        watch: &mut Watch<'_>,
    ) -> Result<Measured, Error> {
        let component = &case.component;
        self.run_for(self.options.warm, Phase::Warming, clients, watch).await?;
        self.events().await?;
        let hosts = self.meant(component).await?;
        let database = component.writes.as_ref().map(|writes| writes.database.as_str());
        let members = component.members.as_slice();
        let company = hosts.as_slice();
        let victims: Vec<Victim<'_>> =
            hosts.iter().map(|host| Victim { host, database, members, company }).collect();

        let failed_before = clients.failed();
        let (fault_at, fault_time) = (Instant::now(), SystemTime::now());
        let mut notice = Notice::of(component, fault_time);
        let mut recovered = None;
        // All at one stroke, or each once all is healthy after the one before.
        let at_once = if case.fault == Fault::RollingRestart { 1 } else { victims.len().max(1) };
        let mut lasted = Duration::ZERO;
        // Of several strokes: when the first was in, and the last was undone.
        let (mut inflicted, mut healed) = (None, Duration::ZERO);
        for victims in victims.chunks(at_once) {
            let begun = Instant::now();
            self.strike(case.fault, victims).await?;
            inflicted = inflicted.or(Some(fault_at.elapsed()));
            let hold = if case.fault.lasts() { self.options.hold } else { Duration::ZERO };
            notice.read(&self.run_for(hold, Phase::Broken, clients, watch).await?);
            lasted += begun.elapsed();
            self.heal(case.fault, victims).await?;
            healed = fault_at.elapsed();
            recovered = self.recover(clients, &mut notice, watch).await?;
            if recovered.is_none() {
                break;
            }
        }
        let Notice { noticed, taken_over, decided, events, events_left_out, .. } = notice.in_order();
        let rate = self.options.rate_of(component);
        let (written, why) = (None, Vec::new());
        Ok(Measured {
            fault_at,
            lasted,
            hosts,
            noticed,
            taken_over,
            recovered,
            rate,
            failed_before,
            written,
            why,
            inflicted: inflicted.unwrap_or_default(),
            decided,
            healed,
            events,
            events_left_out,
        })
    }

    async fn strike(&mut self, fault: Fault, victims: &[Victim<'_>]) -> Result<(), Error> {
        for &victim in victims {
            let done = self.stage.inflict(fault.of_one(), victim).await;
            done.map_err(|why| stage_error(&format!("putting {fault} into {}", victim.host), why))?;
        }
        Ok(())
    }

    async fn heal(&mut self, fault: Fault, victims: &[Victim<'_>]) -> Result<(), Error> {
        for &victim in victims {
            let done = self.stage.heal(fault.of_one(), victim).await;
            done.map_err(|why| stage_error(&format!("healing {fault} of {}", victim.host), why))?;
        }
        Ok(())
    }

    /// The hosts that a fault of a component hits, if it comes now.
    async fn meant(&mut self, component: &Component) -> Result<Vec<String>, Error> {
        let nobody =
            || Error::Nobody { what: component.whom.word().unwrap_or("host"), of: component.name.clone() };
        if component.whom == Whom::Each {
            return Ok(component.hosts.clone());
        }
        if component.whom == Whom::Leader {
            let leader = self.stage.store_leader().await;
            return Ok(vec![leader.map_err(|why| stage_error("finding etcd's leader", why))?]);
        }
        let all = self.stage.status().await.map_err(|why| stage_error("finding the primary", why))?;
        let (primary, _) = health::primary(&all, &component.name).ok_or_else(nobody)?;
        Ok(match component.whom {
            Whom::Each | Whom::Leader | Whom::Primary => vec![primary.to_owned()],
            Whom::Standby => {
                let first = health::confirming(&all, &component.name).first().copied();
                vec![first.ok_or_else(nobody)?.to_owned()]
            }
            Whom::Standbys => component.hosts.iter().filter(|host| *host != primary).cloned().collect(),
        })
    }

    /// How long full health took to come, and stay; `None` if it didn't within the patience, or can't.
    async fn recover(
        &mut self,
        clients: &Crowd,
        notice: &mut Notice<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Duration>, Error> {
        let healed = Instant::now();
        let mut healthy_since = None;
        loop {
            let missing = self.missing(false).await;
            notice.read(&self.events().await?);
            watch(&glance(Phase::Healing, clients, &missing));
            let now = Instant::now();
            let since = match (missing.is_empty(), healthy_since) {
                (false, _) => None,
                (true, since) => Some(since.unwrap_or(now)),
            };
            healthy_since = since;
            match since {
                Some(since) if now - since >= self.options.settle => return Ok(Some(since - healed)),
                None if now - healed >= self.options.patience => return Ok(None),
                None if !self.stage.ended().await.is_empty() => return Ok(None),
                _ => tokio::time::sleep(GLANCE).await,
            }
        }
    }

    /// `at_home`: every virtual address on its preferred host, too.
    async fn wait_until_healthy(&mut self, at_home: bool, watch: &mut Watch<'_>) -> Result<(), Error> {
        let patience = self.options.patience;
        let begin = Instant::now();
        loop {
            let missing = self.missing(at_home).await;
            watch(&Glance { phase: Phase::Waiting, sent: 0, failed: 0, missing: &missing });
            if missing.is_empty() {
                return Ok(());
            }
            let ended = self.stage.ended().await;
            if !ended.is_empty() {
                return Err(Error::Ended(ended));
            }
            if begin.elapsed() >= patience {
                return Err(Error::NotHealthy { patience, missing: missing.join("; ") });
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Lets time pass while clients run, and gives the events of that time.
    async fn run_for(
        &mut self,
        time: Duration,
        phase: Phase,
        clients: &Crowd,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Event>, Error> {
        let until = Instant::now() + time;
        let mut events = self.events().await?;
        while Instant::now() < until {
            watch(&glance(phase, clients, &[]));
            tokio::time::sleep(GLANCE.min(until.saturating_duration_since(Instant::now()))).await;
            events.extend(self.events().await?);
        }
        Ok(events)
    }

    /// A load balancer that does not answer is not healthy; that is no error.
    async fn missing(&mut self, at_home: bool) -> Vec<String> {
        match self.stage.status().await {
            Ok(all) => {
                let mut missing = health::missing(&all, &self.expected);
                if at_home {
                    missing.extend(health::away(&all, &self.expected));
                }
                missing
            }
            Err(error) => vec![error.to_string()],
        }
    }

    async fn events(&mut self) -> Result<Vec<Event>, Error> {
        self.stage.new_events().await.map_err(|why| stage_error("reading the events", why))
    }
}

fn glance<'a>(phase: Phase, clients: &Crowd, missing: &'a [String]) -> Glance<'a> {
    Glance { phase, sent: clients.sent(), failed: clients.failed(), missing }
}

fn stage_error(doing: &str, why: StageError) -> Error {
    Error::Stage { doing: doing.to_owned(), why }
}
