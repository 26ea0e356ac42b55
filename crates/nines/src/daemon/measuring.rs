//! Where the daemon's loop and what it measures meet.

use std::time::Instant;

use nines_availability::measurement::Measured;
use tokio::sync::oneshot;

use super::Daemon;
use super::measure::{About, Sight, Told, related};
use super::part::Part;
use nines_control::event::Kind;

pub(super) fn about(part: &Part) -> About {
    let system = &part.system;
    About {
        system: system.name.clone(),
        objective: system.objective.fraction,
        objective_text: system.objective.text.clone(),
        related: related(system, part.host),
    }
}

impl Daemon {
    /// The second that is now.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        let sight = Sight {
            system: &self.part.system,
            host: self.part.host,
            listeners: &self.data_plane.listeners(),
            virtual_ips: &self.addresses.status(),
            pools: &self.pools.status(now),
            databases: &self.databases.status(),
            statistics: &self.data_plane.statistics(),
        };
        let looks = sight.looks();
        let events = self.journal.after(self.measure.noted());
        let told = self.measure.look(&looks, &events, now);
        self.tell(told);
    }

    pub(super) fn tell(&mut self, told: Vec<Told>) {
        for one in told {
            let host = self.orders.host.clone();
            match one {
                Told::Fine(why) => self.journal.note(Kind::Daemon, host, why),
                Told::Wrong(why) => self.journal.warn(Kind::Daemon, host, why),
                Told::Hanging { pool, why } => self.journal.note(Kind::Hanging, pool, why),
            }
        }
    }

    /// Written by a thread: a year of many subjects takes a while.
    pub(super) fn measured(&self, seconds: u64, reply: oneshot::Sender<String>) {
        let measured: Measured = self.measure.measured(seconds.max(1));
        tokio::task::spawn_blocking(move || {
            let _ = reply.send(serde_json::to_string(&measured).unwrap_or_default());
        });
    }
}
