//! SIGHUP: another file, all of it or nothing.

use std::time::Instant;

use nines_control::event::Kind;
use nines_control::pools::Input;
use nines_control::status::ListenerStatus;

use super::part::{Part, PartError};
use super::{Daemon, Happening, databases, journal, measuring};

impl Daemon {
    /// Reads the file; the databases, if there are any, are asked before anything goes by it.
    pub(super) fn reload(&mut self) {
        if self.draining_until.is_some() {
            tracing::warn!("not reloaded: the daemon is draining");
            return;
        }
        // An earlier one that is still looked at is overtaken.
        self.reloads += 1;
        let number = self.reloads;
        let read = Part::read(&self.orders.file, &self.orders.host).map_err(anyhow::Error::from);
        let read = read.and_then(|part| Ok((self.databases.changes(&self.part, &part)?, part)));
        match read {
            Ok((Some(changes), part)) => {
                let part = Box::new(part);
                self.begun.spawn(async move {
                    Happening::Checked { number, part, changes: changes.check().await }
                });
            }
            Ok((None, part)) => self.reload_by(Ok((part, None))),
            Err(error) => self.reload_by(Err(error)),
        }
    }

    pub(super) fn checked(&mut self, number: u64, part: Part, changes: anyhow::Result<databases::Changes>) {
        if number == self.reloads && self.draining_until.is_none() {
            self.reload_by(changes.map(|changes| (part, Some(changes))));
        }
    }

    pub(super) fn reload_by(&mut self, read: anyhow::Result<(Part, Option<databases::Changes>)>) {
        let before = self.data_plane.listeners();
        let subject = self.file.path.clone();
        match read.and_then(|(part, changes)| self.try_reload(part, changes)) {
            Ok(()) => {
                self.file.generation += 1;
                self.file.loaded_us = journal::now_us();
                self.file.refused = None;
                let why = format!("loaded again, generation {}", self.file.generation);
                self.journal.note(Kind::Reload, subject, why);
                if self.open {
                    self.note_listeners(&before);
                }
            }
            Err(error) => {
                if let Some(PartError::Wrong(mistakes)) = error.downcast_ref() {
                    tracing::warn!("{}", mistakes.render(false).trim_end());
                }
                let why = format!("{error:#}");
                self.journal.warn(
                    Kind::Reload,
                    subject,
                    format!("refused, the old one stays in force: {why}"),
                );
                self.file.refused = Some(why);
            }
        }
    }

    /// All or nothing: whatever can fail comes before anything that changes.
    pub(super) fn try_reload(
        &mut self,
        part: Part,
        changes: Option<databases::Changes>,
    ) -> anyhow::Result<()> {
        let admin = self.read_only.prepare(&part.admin_addresses())?;
        // The machine's next state is worked out on a copy, for the data plane may not be able to follow.
        let mut pools = self.pools.clone();
        let input = Input::Reload { system: part.system.clone(), used: part.pools() };
        pools.handle(Instant::now(), input);
        let addresses = self.addresses.prepare(&part, &self.data_plane)?;
        if let Err(error) = self.data_plane.reload(part.system.clone(), part.host, pools.view()) {
            addresses.withdraw();
            return Err(error.into());
        }
        self.addresses.apply(addresses, &part);
        if let Some(changes) = changes {
            changes.apply();
        }
        self.pools = pools;
        self.read_only.apply(admin, &self.desk);
        if part.workers() != self.part.workers() {
            tracing::warn!("another number of workers takes effect when the daemon is started anew");
        }
        self.part = part;
        self.measure.reload(measuring::about(&self.part));
        Ok(())
    }

    /// Notes the listeners that opened and closed since.
    pub(super) fn note_listeners(&mut self, before: &[ListenerStatus]) {
        let now = self.data_plane.listeners();
        let missing = |one: &ListenerStatus, from: &[ListenerStatus]| {
            !from.iter().any(|other| other.name == one.name && other.address == one.address)
        };
        for closed in before.iter().filter(|one| missing(one, &now)) {
            let why = format!("closed on {}: no longer in the file", closed.address);
            self.journal.note(Kind::Listener, closed.name.clone(), why);
        }
        for opened in now.iter().filter(|one| missing(one, before)) {
            self.journal.note(Kind::Listener, opened.name.clone(), format!("open on {}", opened.address));
        }
    }
}
