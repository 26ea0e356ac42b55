//! A planned handover as the new master sees it: the old one still has the addresses, and serves what is connected to it.
//! Its packets come here now, and are sent on to it.
//!
//! Whether the old one really lingers is asked of it directly, by a probe that only it gets: one that does not (another
//! program, or one that has finished) has no address to answer for, and then what nobody knows is reset as always.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::interface::{Interface, Mac};
use crate::straggler::Stragglers;

/// From question to question.
const ASK: Duration = Duration::from_millis(250);
/// Questions without an answer after which it does not linger.
const UNANSWERED: u32 = 3;
/// How long it may take to find out where it is.
const SEEK: Duration = Duration::from_millis(300);

pub(crate) struct Handover {
    from: IpAddr,
    interface: Interface,
    addresses: Vec<IpAddr>,
    began: Instant,
    until: Instant,
    mac: Option<Mac>,
    stragglers: Option<Stragglers>,
    next_ask: Instant,
    unanswered: u32,
    failed: bool,
}

impl Handover {
    /// `mac`: where the old master is, if that is known.
    pub(crate) fn new(
        now: Instant,
        from: IpAddr,
        interface: Interface,
        addresses: Vec<IpAddr>,
        until: Instant,
        mac: Option<Mac>,
    ) -> Self {
        let mut handover = Self {
            from,
            interface,
            addresses,
            began: now,
            until,
            mac: None,
            stragglers: None,
            next_ask: now,
            unanswered: 0,
            failed: false,
        };
        if let Some(mac) = mac {
            handover.start(mac);
        }
        handover
    }

    pub(crate) fn from(&self) -> IpAddr {
        self.from
    }

    fn start(&mut self, mac: Mac) {
        self.mac = Some(mac);
        match Stragglers::start(&self.interface, &self.addresses, mac, self.until) {
            Ok(stragglers) => self.stragglers = Some(stragglers),
            Err(error) => {
                tracing::warn!(from = %self.from, %error, "late packets are not sent on");
                self.failed = true;
            }
        }
    }

    /// Somebody answered a probe.
    pub(crate) fn answered(&mut self, address: IpAddr, mac: Mac) {
        if address == self.from && self.mac.is_none() {
            self.start(mac);
        } else if self.mac == Some(mac) && self.addresses.contains(&address) {
            self.unanswered = 0;
        }
    }

    /// Whom to ask now whether it still has the addresses.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Mac> {
        let mac = self.mac?;
        if now < self.next_ask {
            return None;
        }
        self.next_ask = now + ASK;
        self.unanswered += 1;
        Some(mac)
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let lost = self.mac.is_none() && now >= self.began + SEEK;
        let ended = self.stragglers.as_ref().is_some_and(Stragglers::is_over);
        self.failed || lost || ended || now >= self.until || self.unanswered > UNANSWERED
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let (sent, lost) = self.stragglers.as_ref().map_or((0, 0), |it| (it.sent(), it.lost()));
        tracing::info!(from = %self.from, sent, lost, lingered = self.unanswered <= UNANSWERED, "handover over");
    }
}
