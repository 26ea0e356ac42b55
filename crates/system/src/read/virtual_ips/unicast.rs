//! Whom advertisements go to, where it is not a multicast group.

use std::net::IpAddr;

use toml::de::DeValue;

use super::{Placed, Reader, address};
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{Candidate, Host, HostAddress, HostId};

impl Reader<'_, '_> {
    /// `Some(None)`: to the group.
    pub(super) fn unicast(
        &self,
        fields: &Fields<'_>,
        candidates: Option<&[Candidate]>,
        first: Option<&(IpAddr, Span)>,
    ) -> Option<Option<Vec<IpAddr>>> {
        let Some(item) = fields.get("unicast") else { return Some(None) };
        let peers = match item.value.get_ref() {
            DeValue::Boolean(false) => return Some(None),
            DeValue::Boolean(true) => Some(Vec::new()),
            DeValue::Array(_) => self.peers(item, first),
            _ => {
                item.wrong_type();
                None
            }
        };
        if let (Some(candidates), Some(first)) = (candidates, first) {
            candidates.iter().for_each(|candidate| self.check_reachable(candidate.host, first, &item));
        }
        peers.map(Some)
    }

    /// Peers that are no hosts of the file.
    fn peers(&self, list: Item<'_>, first: Option<&(IpAddr, Span)>) -> Option<Vec<IpAddr>> {
        let mut peers: Placed = Vec::new();
        let mut whole = true;
        for item in list.items()? {
            let Some(peer) = address::peer(&item) else {
                whole = false;
                continue;
            };
            let mistake = |title: String, label: &str| Mistake::new(title, item.span(), label);
            let twice = peers.iter().find(|(other, _)| *other == peer);
            if let Some((_, place)) = twice {
                item.notes.add(
                    mistake(format!("`{peer}` is a peer twice"), "again")
                        .and(place.clone(), "first")
                        .help("take one out"),
                );
            } else if let Some(host) = self.host_with(peer) {
                let name = self.hosts.names.name(host);
                item.notes.add(
                    mistake(format!("`{peer}` is the address of host `{name}`"), "a host of this file")
                        .and(self.hosts.names.span(host), "has it")
                        .help("take it out: the hosts that may hold the address are peers as it is"),
                );
            } else if let Some((address, place)) =
                first.filter(|(address, _)| address.is_ipv4() != peer.is_ipv4())
            {
                item.notes.add(
                    mistake(format!("`{peer}` can't be a peer"), address::family(peer))
                        .and(place.clone(), address::family(*address))
                        .help("write the peer's address of the same family"),
                );
            }
            peers.push((peer, item.span()));
        }
        whole.then(|| peers.into_iter().map(|(peer, _)| peer).collect())
    }

    /// Notes a host that no single packet of the address's family can be sent to.
    fn check_reachable(&self, host: HostId, (address, place): &(IpAddr, Span), unicast: &Item<'_>) {
        let Some(Host { name, address: own, .. }) = self.hosts.get(host.0) else { return };
        let family = address::family(*address);
        let (title, label) = match own {
            HostAddress::Dns(dns) => (
                format!("host `{name}` has a name where unicast needs an address"),
                format!("is called by its name, `{dns}`"),
            ),
            HostAddress::Ip(ip) if ip.is_ipv4() != address.is_ipv4() => (
                format!("host `{name}` has no {family} address for unicast"),
                format!("has an {} address", address::family(*ip)),
            ),
            HostAddress::Ip(_) => return,
        };
        let mistake = Mistake::new(title, unicast.span(), "to the hosts' own addresses")
            .and(self.hosts.names.span(host.0), label)
            .and(place.clone(), format!("needs {family} peers"));
        unicast.notes.add(mistake.help(format!("give `{name}` an {family} address, or leave `unicast` out")));
    }
}
