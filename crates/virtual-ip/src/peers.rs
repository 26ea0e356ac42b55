//! Where the other hosts are on the link. The kernel only learns it when it talks to them itself, and then it is late.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::interface::Mac;

/// How long what is known of a host is good.
const FRESH: Duration = Duration::from_secs(10);
/// From question to question, while there is no answer.
const AGAIN: Duration = Duration::from_secs(1);
/// Hosts remembered; a link has no more routers of ours.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<IpAddr, Peer>);

#[derive(Debug)]
struct Peer {
    mac: Option<Mac>,
    asked: Instant,
    answered: Option<Instant>,
}

impl Peers {
    /// A host was heard; whether to ask where it is.
    pub(crate) fn heard(&mut self, address: IpAddr, now: Instant) -> bool {
        if let Some(peer) = self.0.get_mut(&address) {
            let known = peer.answered.is_some_and(|at| now.saturating_duration_since(at) < FRESH);
            let ask = !known && now.saturating_duration_since(peer.asked) >= AGAIN;
            if ask {
                peer.asked = now;
            }
            return ask;
        }
        if self.0.len() >= MOST {
            return false;
        }
        self.0.insert(address, Peer { mac: None, asked: now, answered: None });
        true
    }

    pub(crate) fn answered(&mut self, address: IpAddr, mac: Mac, now: Instant) {
        if let Some(peer) = self.0.get_mut(&address) {
            peer.mac = Some(mac);
            peer.answered = Some(now);
        }
    }

    pub(crate) fn mac(&self, address: IpAddr) -> Option<Mac> {
        self.0.get(&address)?.mac
    }
}
