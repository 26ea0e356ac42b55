//! The lab's wires: bridges, links, addresses and routes over netlink, and how a host is cut off from them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use rtnetlink::packet_route::link::{InfoBridgePort, InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{
    AddressMessageBuilder, Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth,
    RouteMessageBuilder,
};

use crate::error::{LabError, failed};
use crate::nft::{self, Tables};
use crate::place::Place;
use crate::plan::{Plan, PlannedHost};
use crate::{island, loss};

/// Interface numbers are the lab's to choose, since all namespaces are its own.
const LOOPBACK: u32 = 1;
const LINK: u32 = 2;

/// The first kernel with bridge port locking.
const LOCKING_SINCE: (u32, u32) = (5, 18);

/// Which way packets vanish, as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Nothing reaches the host and nothing leaves it; its link has no carrier, as with the cable out.
    Both,
    /// What others send does not reach the host.
    In,
    /// What the host sends reaches nobody.
    Out,
}

/// The router's end of everything.
pub(crate) struct Network {
    router: Handle,
    /// Or why there are none.
    tables: Result<Tables, String>,
}

fn bridge(segment: usize) -> u32 {
    u32::try_from(100 + segment).unwrap_or(u32::MAX)
}

fn port(host: usize) -> u32 {
    u32::try_from(1_000_000 + host).unwrap_or(u32::MAX)
}

fn prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Network {
    /// Makes the router of the namespace that the calling thread is in, and links every place to it.
    pub(crate) async fn build(plan: &Plan, places: &[Place]) -> Result<Self, LabError> {
        let (connection, router, _) = rtnetlink::new_connection().map_err(failed("open a netlink socket"))?;
        tokio::spawn(connection);
        let tables = Tables::open().map_err(|error| nft::why_not(&error));
        let network = Self { router, tables };
        network.make_router(plan).await?;
        for (index, (host, place)) in plan.hosts.iter().zip(places).enumerate() {
            network.link(index, host, place).await?;
            furnish(plan, index, place).await?;
        }
        Ok(network)
    }

    async fn make_router(&self, plan: &Plan) -> Result<(), LabError> {
        let side = Side { handle: &self.router, whose: "the router" };
        side.bring_up(LOOPBACK).await?;
        write_setting("ipv4/conf/all/rp_filter", "0")?;
        write_setting("ipv4/ip_forward", "1")?;
        let v6 = plan.has_ipv6();
        if v6 {
            write_setting("ipv6/conf/all/forwarding", "1")?;
        }
        for segment in 0..plan.segments {
            // With its own address the bridge does not change it whenever a port comes or goes.
            let message = LinkBridge::new(&format!("s{segment}"))
                .index(bridge(segment))
                .address(hardware_address(0xff, segment))
                .mcast_snooping(false)
                .build();
            let made = self.router.link().add(message).execute().await;
            made.map_err(|source| network_error(format!("make the bridge of segment {segment}"), source))?;
            side.add_address(bridge(segment), plan.gateways.v4.into(), 32).await?;
            if v6 {
                side.add_address(bridge(segment), plan.gateways.v6.into(), 64).await?;
            }
            for address in plan.virtual_on(segment) {
                side.add_neighbour(bridge(segment), address).await?;
            }
        }
        Ok(())
    }

    /// A veth pair: one end a port of its segment's bridge, the other the host's interface; and the router's way to it.
    async fn link(&self, index: usize, host: &PlannedHost, place: &Place) -> Result<(), LabError> {
        let peer: LinkMessage = LinkMessageBuilder::<LinkUnspec>::default()
            .name(host.interface.clone())
            .index(LINK)
            .address(hardware_address(0, index))
            .setns_by_fd(place.network().as_raw_fd())
            .build();
        let message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(format!("h{index}"))
            .index(port(index))
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        let made = self.router.link().add(message).execute().await;
        made.map_err(|source| network_error(format!("link host {}", host.name), source))?;
        let message = LinkUnspec::new_with_index(port(index)).controller(bridge(host.segment)).up().build();
        let set = self.router.link().set(message).execute().await;
        set.map_err(|source| network_error(format!("plug host {} into its bridge", host.name), source))?;
        for &address in &host.addresses {
            Side { handle: &self.router, whose: "the router" }
                .add_neighbour(bridge(host.segment), address)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn cut(&self, host: usize, name: &str, direction: Direction) -> Result<(), LabError> {
        match direction {
            Direction::Both => self.set_carrier(host, name, false).await,
            Direction::In => {
                // The bridge forgets where the host is, doesn't learn it again, and floods nothing to it.
                self.set_port(host, name, reachability(false)).await?;
                self.set_port(host, name, vec![InfoBridgePort::Flush]).await
            }
            Direction::Out => {
                // A locked port takes frames from known addresses only, and the bridge is made to forget them all.
                let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
                if kernel_version(&release).is_some_and(|version| version < LOCKING_SINCE) {
                    return Err(LabError::NoOneWay {
                        host: name.to_owned(),
                        release: release.trim().to_owned(),
                    });
                }
                self.set_port(host, name, vec![InfoBridgePort::Locked(true)]).await?;
                self.set_port(host, name, vec![InfoBridgePort::Flush]).await
            }
        }
    }

    /// Isolated ports of a bridge exchange nothing with each other, and everything with the other ports and the router.
    pub(crate) async fn isolate(&self, host: usize, name: &str) -> Result<(), LabError> {
        self.set_port(host, name, vec![InfoBridgePort::Isolated(true)]).await
    }

    /// Packets of a host are lost at random, either way.
    pub(crate) fn lose(&self, host: usize, name: &str, one_in: u32) -> Result<(), LabError> {
        let lossless = |why| LabError::NoLoss { host: name.to_owned(), why };
        let tables = self.tables.as_ref().map_err(|why| lossless(why.clone()))?;
        let done = loss::stop(tables, port(host)).and_then(|()| loss::lose(tables, port(host), one_in));
        done.map_err(|error| lossless(nft::why_not(&error)))
    }

    pub(crate) fn lose_nothing(&self, host: usize, name: &str) -> Result<(), LabError> {
        let Ok(tables) = &self.tables else { return Ok(()) };
        loss::stop(tables, port(host)).map_err(failed(format!("have the link of host {name} lose nothing")))
    }

    /// These hosts hear each other, and nobody else.
    pub(crate) fn part(&self, plan: &Plan, hosts: &[usize]) -> Result<(), LabError> {
        let tables = self.tables.as_ref().map_err(|why| LabError::NoIsland { why: why.clone() })?;
        let ports: Vec<u32> = hosts.iter().map(|&host| port(host)).collect();
        let done = island::cut(tables, &ports, &plan.all_virtual());
        done.map_err(|error| LabError::NoIsland { why: nft::why_not(&error) })
    }

    pub(crate) fn join(&self) -> Result<(), LabError> {
        let Ok(tables) = &self.tables else { return Ok(()) };
        island::join(tables).map_err(failed("join hosts that were parted from all others"))
    }

    /// Undoes every cut, whichever there are.
    pub(crate) async fn heal(&self, host: usize, name: &str) -> Result<(), LabError> {
        self.set_carrier(host, name, true).await?;
        let mut settings = reachability(true);
        settings.push(InfoBridgePort::Isolated(false));
        if has_locking(&kernel_release()) {
            settings.push(InfoBridgePort::Locked(false));
        }
        self.set_port(host, name, settings).await
    }

    async fn set_carrier(&self, host: usize, name: &str, carrier: bool) -> Result<(), LabError> {
        let port = LinkUnspec::new_with_index(port(host));
        let message = if carrier { port.up() } else { port.down() }.build();
        let set = self.router.link().set(message).execute().await;
        set.map_err(|source| network_error(format!("set the link of host {name}"), source))
    }

    async fn set_port(&self, host: usize, name: &str, settings: Vec<InfoBridgePort>) -> Result<(), LabError> {
        let port = LinkBridgePort::new(port(host));
        let message =
            settings.into_iter().fold(port, LinkMessageBuilder::<LinkBridgePort>::append_info_data).build();
        let set = self.router.link().set_port(message).execute().await;
        set.map_err(|source| network_error(format!("set the bridge port of host {name}"), source))
    }
}

/// Why no host can be cut off in one direction here, [`Direction::Out`], if it can't.
pub fn never_mute() -> Option<String> {
    let release = kernel_release();
    let why = || format!("this kernel ({release}) has no bridge port locking, which came with Linux 5.18");
    (!has_locking(&release)).then(why)
}

/// The settings of a port on which it depends whether the bridge sends anything to it.
fn reachability(reachable: bool) -> Vec<InfoBridgePort> {
    vec![
        InfoBridgePort::Learning(reachable),
        InfoBridgePort::UnicastFlood(reachable),
        InfoBridgePort::MulticastFlood(reachable),
        InfoBridgePort::BroadcastFlood(reachable),
    ]
}

fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// A kernel that ignores a setting which it does not know says nothing, hence by its version.
fn has_locking(release: &str) -> bool {
    kernel_version(release).is_none_or(|version| version >= LOCKING_SINCE)
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The host's side: its interfaces up, its addresses, its neighbours and the way to everywhere else.
async fn furnish(plan: &Plan, index: usize, place: &Place) -> Result<(), LabError> {
    let handle = open(place)?;
    let host = &plan.hosts[index];
    let side = Side { handle: &handle, whose: &host.name };
    if plan.has_ipv6() {
        // Else its link-local address, which VRRP speaks from, would be of no use for the first two seconds.
        let own = format!("ipv6/conf/{}/accept_dad", host.interface);
        let set = place.run(move || {
            write_setting("ipv6/conf/all/accept_dad", "0")?;
            write_setting(&own, "0")
        });
        set.map_err(failed(format!("run a thread on {}", place.name())))??;
    }
    side.bring_up(LOOPBACK).await?;
    side.bring_up(LINK).await?;
    for &address in &host.addresses {
        side.add_address(LINK, address, prefix(address)).await?;
    }
    let neighbours =
        plan.hosts.iter().enumerate().filter(|&(other, it)| other != index && it.segment == host.segment);
    let theirs = neighbours.flat_map(|(_, neighbour)| neighbour.addresses.iter().copied());
    for address in theirs.chain(plan.virtual_on(host.segment)) {
        side.add_neighbour(LINK, address).await?;
    }
    for gateway in plan.gateways_of(host) {
        side.add_neighbour(LINK, gateway).await?;
        side.add_default_route(LINK, gateway).await?;
    }
    Ok(())
}

/// A netlink socket in a place.
fn open(place: &Place) -> Result<Handle, LabError> {
    let runtime = tokio::runtime::Handle::current();
    let opened = place.run(move || {
        let _guard = runtime.enter();
        rtnetlink::new_connection()
    });
    let (connection, handle, _) = opened
        .and_then(|opened| opened)
        .map_err(failed(format!("open a netlink socket on {}", place.name())))?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Takes the virtual addresses from a host that has lost its power: an interface forgets them when it is switched off.
pub(crate) async fn strip(plan: &Plan, index: usize, place: &Place) -> Result<(), LabError> {
    let handle = open(place)?;
    for address in plan.virtual_on(plan.hosts[index].segment) {
        let message = match address {
            IpAddr::V4(v4) => AddressMessageBuilder::<Ipv4Addr>::new().index(LINK).address(v4, 32).build(),
            IpAddr::V6(v6) => AddressMessageBuilder::<Ipv6Addr>::new().index(LINK).address(v6, 128).build(),
        };
        match handle.address().del(message).execute().await {
            Err(rtnetlink::Error::NetlinkError(answer)) if answer.raw_code() == -libc::EADDRNOTAVAIL => {}
            done => {
                done.map_err(|source| {
                    network_error(format!("take {address} from {}", place.name()), source)
                })?;
            }
        }
    }
    Ok(())
}

/// One namespace's settings over netlink.
struct Side<'a> {
    handle: &'a Handle,
    whose: &'a str,
}

impl Side<'_> {
    async fn bring_up(&self, interface: u32) -> Result<(), LabError> {
        let message = LinkUnspec::new_with_index(interface).up().build();
        let set = self.handle.link().set(message).execute().await;
        set.map_err(|source| network_error(format!("bring up an interface of {}", self.whose), source))
    }

    /// Without duplicate address detection, which would keep an IPv6 address back for a second.
    async fn add_address(&self, interface: u32, address: IpAddr, prefix: u8) -> Result<(), LabError> {
        let mut request = self.handle.address().add(interface, address, prefix);
        let message = request.message_mut();
        if message.header.family == AddressFamily::Inet6 {
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let added = request.execute().await;
        added.map_err(|source| network_error(format!("give {} the address {address}", self.whose), source))
    }

    /// The route to a single address that is on the link itself.
    async fn add_neighbour(&self, interface: u32, address: IpAddr) -> Result<(), LabError> {
        let route = match address {
            IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(v4, 32)
                .scope(RouteScope::Link)
                .output_interface(interface)
                .build(),
            IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(v6, 128)
                .output_interface(interface)
                .build(),
        };
        let added = self.handle.route().add(route).execute().await;
        added.map_err(|source| network_error(format!("give {} a route to {address}", self.whose), source))
    }

    async fn add_default_route(&self, interface: u32, gateway: IpAddr) -> Result<(), LabError> {
        let route = match gateway {
            IpAddr::V4(v4) => {
                RouteMessageBuilder::<Ipv4Addr>::new().gateway(v4).output_interface(interface).build()
            }
            IpAddr::V6(v6) => {
                RouteMessageBuilder::<Ipv6Addr>::new().gateway(v6).output_interface(interface).build()
            }
        };
        let added = self.handle.route().add(route).execute().await;
        added.map_err(|source| network_error(format!("give {} a route to the router", self.whose), source))
    }
}

/// Locally administered, so it can't be a real card's.
fn hardware_address(kind: u8, number: usize) -> Vec<u8> {
    let [.., high, middle, low] = number.to_be_bytes();
    vec![0x02, 0x99, kind, high, middle, low]
}

fn write_setting(name: &str, value: &str) -> Result<(), LabError> {
    let path = format!("/proc/sys/net/{name}");
    fs::write(&path, value).map_err(failed(format!("write {path}")))
}

fn network_error(what: impl Into<String>, source: rtnetlink::Error) -> LabError {
    LabError::Network { what: what.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_release_tells_its_version() {
        assert_eq!(kernel_version("6.1.0-18-amd64\n"), Some((6, 1)));
        assert_eq!(kernel_version("5.15.167.4-microsoft-standard-WSL2"), Some((5, 15)));
        assert_eq!(kernel_version("6.18-rc1"), Some((6, 18)));
        assert_eq!(kernel_version(""), None);
    }
}
