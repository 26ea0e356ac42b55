//! Mistakes made on purpose between the machine and its world, to show that whoever checks sees them.

use std::time::{Duration, Instant};

use nines_control::vrrp::{Advertisement, Fitness, Input, Output, Routers, Settings};

use super::host::{Packet, VrrpHost};
use crate::Doing;

/// What a host does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A master that stood still advertises first, and listens then.
    SpeaksOnWaking,
    /// A master does not hear its betters.
    NeverYields,
    /// What should be let go stays on the interface.
    KeepsAddresses,
    /// Who should linger lets go.
    LetsGoAtOnce,
    /// No timer ever goes off.
    NeverActs,
    /// Hears nothing for a while, again and again.
    DeafAtTimes,
    /// Takes every master for a preferred one.
    TooModest,
    /// Says that it is fit when it is sick.
    HidesSickness,
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
    ) -> Option<Input> {
        let began = *self.began.get_or_insert(now);
        let since = self.latest.replace(now).map_or(Duration::ZERO, |latest| now - latest);
        match (self.mistake, given) {
            (Mistake::SpeaksOnWaking, given) => {
                for (router, settings) in self.settings.iter().enumerate() {
                    if machine.is_master(router) && since >= 3 * settings.interval {
                        doing.broadcast(Packet { router, said: advertisement(settings).into() });
                    }
                }
                Some(given)
            }
            (Mistake::NeverYields, Input::Heard { router, from, advertisement }) => {
                let better = (advertisement.priority, from)
                    > (self.settings[router].priority, self.settings[router].source);
                (!better || !machine.is_master(router)).then_some(Input::Heard {
                    router,
                    from,
                    advertisement,
                })
            }
            (Mistake::NeverActs, Input::Timer) => None,
            (Mistake::DeafAtTimes, Input::Heard { router, from, advertisement }) => {
                let interval = self.settings[router].interval;
                let turn = (now - began).as_nanos() / (5 * interval).as_nanos();
                (turn % 8 != 0).then_some(Input::Heard { router, from, advertisement })
            }
            (Mistake::TooModest, Input::Heard { router, from, mut advertisement }) => {
                if advertisement.priority > 0 && !machine.is_master(router) {
                    advertisement.priority = 255;
                }
                Some(Input::Heard { router, from, advertisement })
            }
            (Mistake::HidesSickness, Input::Fitness { router, fitness: Fitness::Sick(_) }) => {
                Some(Input::Fitness { router, fitness: Fitness::Fit })
            }
            (_, given) => Some(given),
        }
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

fn advertisement(settings: &Settings) -> Advertisement {
    Advertisement {
        version: settings.version,
        router_id: settings.router_id,
        priority: settings.priority,
        interval: settings.interval,
        addresses: settings.addresses.clone(),
    }
}
