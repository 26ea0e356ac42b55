//! Mistakes made on purpose between the machine and its world, to show that whoever checks sees them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use nines_control::vrrp::{Advertisement, Fitness, HEALTHY, Input, Output, Routers, Settings};

use super::host::{Packet, VrrpHost};
use crate::Doing;

/// What a host does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A master that stood still advertises first, and listens then.
    SpeaksOnWaking,
    /// A master does not hear its betters.
    NeverYields,
    /// Does not do it when it should let go.
    KeepsAddresses,
    /// Lets go, and the kernel does not.
    KernelKeepsAddresses,
    /// The kernel loses what should linger.
    KernelLosesAddresses,
    /// Who should linger lets go.
    LetsGoAtOnce,
    /// Hears a master that is not there.
    HearsGhosts,
    /// Lets time pass before it reads what has arrived.
    JudgesTooEarly,
    /// Hears no master for a while, again and again.
    DeafAtTimes,
    /// A master says nothing for an answer to another.
    NeverAnswers,
    /// Answers every advertisement with one.
    AnswersEverything,
    /// A master yields to whoever it hears.
    YieldsToAnybody,
    /// Takes every healthy master for a preferred one.
    TooModest,
    /// Says that it is fit when it is sick.
    HidesSickness,
    /// Takes itself for healthy though it is slow.
    HidesSlowness,
    /// Routers of one group go their own ways.
    SplitsGroups,
}

#[derive(Debug)]
pub(super) struct Tampering {
    mistake: Mistake,
    settings: Vec<Settings>,
    began: Option<Instant>,
    latest: Option<Instant>,
}

impl Tampering {
    pub(super) fn new(mistake: Mistake, settings: Vec<Settings>) -> Self {
        Self { mistake, settings, began: None, latest: None }
    }

    /// What the machine is given instead.
    pub(super) fn before(
        &mut self,
        now: Instant,
        given: Input,
        machine: &Routers,
        doing: &mut Doing<VrrpHost>,
    ) -> Vec<Input> {
        let began = *self.began.get_or_insert(now);
        let since = self.latest.replace(now).map_or(Duration::ZERO, |latest| now - latest);
        match (self.mistake, given) {
            (Mistake::SpeaksOnWaking, given) => {
                for (router, settings) in self.settings.iter().enumerate() {
                    if machine.is_master(router) && since >= 3 * settings.interval {
                        let said = advertisement(settings, settings.priority).into();
                        doing.broadcast(Packet { router, said });
                    }
                }
                vec![given]
            }
            (Mistake::NeverYields, Input::Heard { router, advertisement, .. })
                if machine.is_master(router) && advertisement.priority >= self.settings[router].priority =>
            {
                Vec::new()
            }
            (Mistake::HearsGhosts, Input::Timer) => {
                let ghost = |(router, settings): (usize, &Settings)| Input::Heard {
                    router,
                    from: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    advertisement: advertisement(settings, 255),
                };
                let ghosts = self.settings.iter().enumerate().map(ghost);
                ghosts.chain([Input::Timer]).collect()
            }
            (Mistake::JudgesTooEarly, given @ Input::Heard { .. }) => vec![Input::Timer, given],
            (Mistake::DeafAtTimes, Input::Heard { router, .. })
                if !machine.is_master(router) && self.is_deaf(now - began, router) =>
            {
                Vec::new()
            }
            (Mistake::TooModest, Input::Heard { router, from, mut advertisement }) => {
                if advertisement.priority >= HEALTHY && !machine.is_master(router) {
                    advertisement.priority = 255;
                }
                vec![Input::Heard { router, from, advertisement }]
            }
            (Mistake::YieldsToAnybody, Input::Heard { router, from, mut advertisement }) => {
                if advertisement.priority > 0 && machine.is_master(router) {
                    advertisement.priority = 255;
                }
                vec![Input::Heard { router, from, advertisement }]
            }
            (Mistake::NeverAnswers, Input::Heard { router, advertisement, .. })
                if machine.is_master(router) && advertisement.priority < self.settings[router].priority =>
            {
                Vec::new()
            }
            (Mistake::AnswersEverything, given @ Input::Heard { router, .. }) => {
                let said = advertisement(&self.settings[router], 1).into();
                doing.broadcast(Packet { router, said });
                vec![given]
            }
            (Mistake::HidesSlowness, Input::Fitness { router, fitness: Fitness::Slow(_) }) => {
                vec![Input::Fitness { router, fitness: Fitness::Fit }]
            }
            (Mistake::HidesSickness, Input::Fitness { router, fitness: Fitness::Sick(_) }) => {
                vec![Input::Fitness { router, fitness: Fitness::Fit }]
            }
            (_, given) => vec![given],
        }
    }

    /// For five intervals of forty.
    fn is_deaf(&self, since: Duration, router: usize) -> bool {
        let turn = since.as_nanos() / (5 * self.settings[router].interval).as_nanos();
        turn.is_multiple_of(8)
    }

    pub(super) fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    /// What is done instead of what the machine wants.
    pub(super) fn after(&self, output: Output) -> Option<Output> {
        match (self.mistake, output) {
            (Mistake::KeepsAddresses, Output::LetGo { .. }) => None,
            (Mistake::LetsGoAtOnce, Output::Linger { router }) => Some(Output::LetGo { router }),
            (_, output) => Some(output),
        }
    }
}

fn advertisement(settings: &Settings, priority: u8) -> Advertisement {
    Advertisement {
        version: settings.version,
        router_id: settings.router_id,
        priority,
        interval: settings.interval,
        addresses: settings.addresses.clone(),
    }
}
