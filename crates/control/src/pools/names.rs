//! The addresses of hosts that are known by name. The last known good answer stays, whatever happens to DNS.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Outbox, Output};
use crate::event::Kind;

/// From one look-up to the next.
const AGAIN: Duration = Duration::from_secs(10);
/// The same, while there never was an answer.
const AGAIN_SOON: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
pub(super) struct Names(BTreeMap<String, Name>);

#[derive(Debug, Clone)]
struct Name {
    address: Option<IpAddr>,
    fails: bool,
    next: Instant,
}

impl Names {
    /// These names are wanted, no others.
    pub(super) fn want(&mut self, now: Instant, names: impl Iterator<Item = String>) {
        let mut before = std::mem::take(&mut self.0);
        for name in names {
            let known = before.remove(&name).unwrap_or(Name { address: None, fails: false, next: now });
            self.0.entry(name).or_insert(known);
        }
    }

    pub(super) fn address(&self, name: &str) -> Option<IpAddr> {
        self.0.get(name)?.address
    }

    pub(super) fn ask(&mut self, now: Instant, outbox: &mut Outbox) {
        for (name, known) in self.0.iter_mut().filter(|(_, known)| known.next <= now) {
            known.next = now + AGAIN;
            outbox.push(Output::Resolve { name: name.clone() });
        }
    }

    pub(super) fn answer(
        &mut self,
        now: Instant,
        name: &str,
        addresses: Result<Vec<IpAddr>, String>,
        outbox: &mut Outbox,
    ) {
        let Some(known) = self.0.get_mut(name) else { return };
        let none = || "no address".to_owned();
        match addresses
            .and_then(|addresses| addresses.iter().min().copied().ok_or_else(none).map(|a| (a, addresses)))
        {
            Ok((smallest, all)) => {
                let kept = known.address.filter(|address| all.contains(address));
                let address = kept.unwrap_or(smallest);
                match known.address.replace(address) {
                    Some(before) if before != address => {
                        outbox.event(Kind::Address, name, format!("now {address}, was {before}"));
                    }
                    _ if known.fails => {
                        outbox.event(Kind::Address, name, format!("resolves: {address}"));
                    }
                    _ => {}
                }
                known.fails = false;
            }
            Err(why) => {
                if !std::mem::replace(&mut known.fails, true) {
                    let stays = known.address.map_or("no address is known yet".to_owned(), |address| {
                        format!("{address} stays in use")
                    });
                    outbox.event(Kind::Address, name, format!("does not resolve: {why}; {stays}"));
                }
                if known.address.is_none() {
                    known.next = known.next.min(now + AGAIN_SOON);
                }
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|known| known.next).min()
    }
}
