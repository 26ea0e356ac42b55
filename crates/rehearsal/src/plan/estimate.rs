//! How long a rehearsal takes, before it begins.

use std::time::Duration;

use super::{Case, Plan, Promise};
use crate::fault::Fault;
use crate::sequence::Options;

/// Until everything runs and is healthy.
const BRINGING_UP: Duration = Duration::from_secs(3);
/// The same with databases, which are made and copied first.
const WITH_DATABASES: Duration = Duration::from_secs(10);
/// A load balancer's host that did not run, or heard nobody, takes its address back after this.
const MISTRUST: Duration = Duration::from_secs(30);
/// Members that were out come back step by step, and databases are read and compared.
const OF_REQUESTS: Duration = Duration::from_millis(1500);
const OF_WRITES: Duration = Duration::from_secs(4);
/// A host is shut down and started.
const RESTARTED: Duration = Duration::from_millis(1500);

impl Plan {
    /// Measured on small systems; a busy or a slow machine takes longer.
    pub fn estimate(&self, options: &Options) -> Duration {
        if self.cases.is_empty() {
            return Duration::ZERO;
        }
        let bringing_up = if self.databases().is_empty() { BRINGING_UP } else { WITH_DATABASES };
        self.cases.iter().map(|case| of(case, options)).sum::<Duration>() + bringing_up
    }
}

fn of(case: &Case, options: &Options) -> Duration {
    let component = &case.component;
    let hosts = u32::try_from(component.hosts.len()).unwrap_or(u32::MAX);
    let recovers = if component.writes.is_some() { OF_WRITES } else { OF_REQUESTS };
    let healed = options.settle + recovers;
    let moves = [Some(case.promise), case.asked].into_iter().flatten();
    let moves = moves.filter(|promise| matches!(promise, Promise::Moves { .. })).count() > 0;
    let mistrusts = moves && matches!(case.fault, Fault::Freeze | Fault::CutOff);
    let fault = match case.fault {
        Fault::RollingRestart => hosts * (RESTARTED + healed),
        Fault::Restart => RESTARTED + healed,
        fault if fault.lasts() => options.hold + healed,
        _ => healed,
    };
    options.warm + fault + if mistrusts { MISTRUST } else { Duration::ZERO }
}
