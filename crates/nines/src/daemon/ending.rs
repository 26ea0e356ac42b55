//! How the daemon ends: what clients come to first goes to other hosts, and what is in flight is finished.

use std::time::Instant;

use nines_control::event::Kind;
use nines_virtual_ip::VirtualIps;

use super::{Daemon, Happening, databases};

impl Daemon {
    /// Told to stop: what clients come to first goes to other hosts, and then this one drains.
    pub(super) fn terminate(&mut self) {
        let most = self.part.drain();
        self.draining_until = Some(Instant::now() + most);
        let why =
            format!("told to stop: takes nothing new, finishes what is there within {} s", most.as_secs());
        self.journal.note(Kind::Daemon, self.orders.host.clone(), why);
        match self.databases.leave() {
            Some(left) => {
                // First they hand over, and then the rest has its time.
                self.draining_until = Some(Instant::now() + databases::LEAVE + most);
                self.begun.spawn(async move {
                    left.await;
                    Happening::DatabasesLeft
                });
            }
            None => self.leave_addresses(),
        }
    }

    pub(super) fn leave_addresses(&mut self) {
        match self.addresses.handed_over() {
            Some(handed_over) => {
                self.data_plane.keep_retiring(true);
                self.begun.spawn(async move {
                    handed_over.await;
                    Happening::HandedOver
                });
            }
            None => self.drain(),
        }
    }

    pub(super) fn drain(&mut self) {
        self.data_plane.drain();
        let data_plane = self.data_plane.clone();
        self.begun.spawn(async move {
            data_plane.drained().await;
            Happening::Drained
        });
    }

    /// The thread of the virtual addresses has ended: the kernel takes them away by itself, and without it this host has
    /// no part in them until the program is started anew.
    pub(super) fn needs_addresses_minded(&mut self) -> bool {
        self.addresses.forget();
        let (needs, then) = match self.draining_until {
            _ if !VirtualIps::wanted(&self.part.system, self.part.host) => (false, "none is needed"),
            // It ends as it is; what else is in flight can still be finished.
            Some(_) => (false, "the addresses end before the rest does"),
            None => (true, "stops, to be started anew"),
        };
        let why = format!("the thread of the virtual addresses has ended by itself: {then}");
        self.journal.warn(Kind::Daemon, self.orders.host.clone(), why);
        needs
    }

    /// The last thing that is done. The kernel may take its time, but no more than that.
    pub(super) async fn let_addresses_go(&mut self) {
        let Some(end) = self.addresses.stop() else { return };
        while let Ok(Some(happened)) = tokio::time::timeout_at(end.into(), self.addresses.happened()).await {
            self.note_address(happened);
        }
    }

    pub(super) fn stopped(&mut self, why: &str) {
        self.journal.note(Kind::Daemon, self.orders.host.clone(), format!("stops: {why}"));
    }
}
