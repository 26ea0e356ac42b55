//! What comes over the admin socket: questions and an operator's wishes.

use std::time::Instant;

use nines_control::event::Kind;
use nines_control::pools::UnknownTarget;
use nines_control::status::{Phase, Status, Wish};

use super::Daemon;
use super::desk::Ask;

impl Daemon {
    /// Who asked may have gone meanwhile; then nobody hears the answer.
    pub(super) fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Status(reply) => drop(reply.send(self.status())),
            Ask::Events { after, reply } => drop(reply.send(self.journal.after(after))),
            Ask::Database { order, reply } => self.databases.order(order, reply),
            Ask::Measured { seconds, reply } => self.measured(seconds, reply),
            Ask::Wish { target, wish, reply } => drop(reply.send(self.wish(&target, wish))),
        }
    }

    /// For this host as a load balancer, for members, or for both where they bear one name.
    pub(super) fn wish(&mut self, target: &str, wish: Wish) -> Result<Vec<String>, UnknownTarget> {
        let members = self.pools.wish(Instant::now(), target, wish);
        if target != self.orders.host {
            // The pools don't know that this host can be meant itself.
            return members.map_err(|mut unknown| {
                if !unknown.known.contains(&self.orders.host) {
                    unknown.known.insert(0, self.orders.host.clone());
                }
                unknown
            });
        }
        // A load balancer has no checks of its own that maintenance could switch off.
        let wish = if wish == Wish::Ready { Wish::Ready } else { Wish::Draining };
        if std::mem::replace(&mut self.wish, wish) != wish {
            self.data_plane.keep_retiring(wish != Wish::Ready);
            let why = match wish {
                Wish::Ready => "serves again",
                _ => {
                    "drained: gives its virtual addresses away, and closes each connection with its next reply"
                }
            };
            self.journal.note(Kind::Wish, self.orders.host.clone(), why.to_owned());
        }
        Ok([vec![self.orders.host.clone()], members.unwrap_or_default()].concat())
    }

    pub(super) fn status(&mut self) -> Status {
        Status {
            version: nines_admin::api::VERSION,
            system: self.part.system.name.clone(),
            objective: self.part.system.objective.text.clone(),
            host: self.orders.host.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            phase: match (self.draining_until, self.open) {
                (Some(_), _) => Phase::Draining,
                (None, true) => Phase::Serving,
                (None, false) => Phase::Starting,
            },
            file: self.file.clone(),
            wish: self.wish,
            listeners: self.data_plane.listeners(),
            virtual_ips: self.addresses.status(),
            databases: self.databases.status(),
            pools: self.pools.status(Instant::now()),
            statistics: self.data_plane.statistics(),
            events: self.journal.counts().clone(),
            objective_fraction: self.part.system.objective.fraction,
            measured: self.measure.figures(Instant::now()),
            not_kept: self.measure.not_kept(),
            slow: self.slowness.is_slow(),
        }
    }
}
