//! Finds out how this machine fits its place in a system: addresses, ports, interfaces, and what its daemon says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use nines_admin::Client;
use nines_control::status::Status;
use nines_system::{HostAddress, HostId, LoadBalancer, System, VirtualIp};
use nines_virtual_ip::interface::{self, Interface};

use super::facts::{Daemon, Heard, Link, Listener, OwnAddress, Peer, Place, Router, Settings};
use super::{databases, machine, ports};
use crate::daemon::open_files;
use crate::daemon::part::Part;

/// For a name that the resolver takes its time with.
const RESOLVE: Duration = Duration::from_secs(3);

/// Everything but what is heard on the links. To be called in a runtime.
pub(super) async fn look(part: &Part, socket: &Path) -> anyhow::Result<Place> {
    let system = &*part.system;
    let host = part.host;
    let interfaces = interface::list(&interface::connect()?).await?;
    let asked = Client::new(socket).status().await;
    let status = asked.as_ref().ok().filter(|status| status.host == system[host].name);
    let daemon = match (&asked, status) {
        (Ok(_), Some(status)) => Daemon::Runs { pid: status.pid },
        (Ok(other), None) => Daemon::Silent(format!("the daemon there is that of {}", other.host)),
        (Err(error), _) => Daemon::Silent(error.to_string()),
    };
    let routers = system
        .load_balancer_ids()
        .flat_map(|id| system[id].virtual_ips.iter().map(move |it| (&system[id], it)))
        .filter_map(|(balancer, virtual_ip)| router(system, balancer, virtual_ip, host, &interfaces, status))
        .collect();
    Ok(Place {
        system: system.name.clone(),
        host: system[host].name.clone(),
        address: own_address(&system[host].address, &interfaces).await,
        is_load_balancer: part.load_balancers().next().is_some(),
        open_files_needed: open_files::needed(part),
        listeners: listeners(part, &interfaces, status),
        daemon,
        databases: system.databases_on(host).map(|id| databases::look(part, id)).collect(),
        store: databases::store(part).await,
        routers,
        clocks: BTreeMap::new(),
        doubles: BTreeSet::new(),
    })
}

async fn own_address(address: &HostAddress, interfaces: &[Interface]) -> OwnAddress {
    let addresses = match address {
        HostAddress::Ip(address) => vec![*address],
        HostAddress::Dns(name) => {
            let lookup = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((name.as_str(), 0))).await;
            match lookup {
                Ok(Ok(found)) => found.map(|found| found.ip()).collect(),
                Ok(Err(_)) | Err(_) => return OwnAddress::Unresolved(name.clone()),
            }
        }
    };
    // All of 127.0.0.0/8 is here, though the interface has but one of them.
    if let Some(loopback) = addresses.iter().find(|address| address.is_loopback()) {
        return OwnAddress::Here(*loopback, "lo".to_owned());
    }
    let here = |&address: &IpAddr| Some((address, interface::by_address(interfaces, address).ok()?));
    match addresses.iter().find_map(here) {
        Some((address, interface)) => OwnAddress::Here(address, interface.name.clone()),
        None => OwnAddress::Elsewhere(addresses),
    }
}

fn listeners(part: &Part, interfaces: &[Interface], status: Option<&Status>) -> Vec<Listener> {
    let virtual_ips: BTreeSet<IpAddr> = part
        .load_balancers()
        .flat_map(|balancer| &balancer.virtual_ips)
        .flat_map(|it| it.addresses.iter().copied())
        .collect();
    let listening = ports::listening();
    let pid = status.map(|status| status.pid);
    let one = |name: String, address: Option<IpAddr>, port: u16| {
        let open = status.is_some_and(|status| {
            status.listeners.iter().any(|listener| listener.name == name && listener.open)
        });
        Listener {
            is_virtual: address.is_some_and(|address| virtual_ips.contains(&address)),
            is_here: address.is_none_or(|address| {
                address.is_unspecified()
                    || address.is_loopback()
                    || interface::by_address(interfaces, address).is_ok()
            }),
            taken: if open { None } else { ports::taken(&listening, address, port, pid) },
            name,
            address,
            port,
            open,
        }
    };
    let mut listeners = Vec::new();
    for balancer in part.load_balancers() {
        for listener in &balancer.listeners {
            let name = format!("{}/{}", balancer.name, listener.name);
            listeners.push(one(name, listener.address, listener.port));
        }
    }
    // What several of them ask for is served once.
    for admin in part.admin_addresses() {
        let of = part.load_balancers().find(|balancer| balancer.admin == Some(admin)).map(|it| &it.name);
        let of_database = || {
            let mut databases = part.system.databases_on(part.host).map(|id| &part.system[id]);
            databases.find(|database| database.admin == Some(admin)).map(|it| &it.name)
        };
        let Some(name) = of.or_else(of_database) else { continue };
        listeners.push(one(format!("{name}/admin"), Some(admin.ip()), admin.port()));
    }
    for id in part.system.databases_on(part.host) {
        let database = &part.system[id];
        let address = match part.system[part.host].address {
            HostAddress::Ip(ip) => Some(ip),
            HostAddress::Dns(_) => None,
        };
        let open = status.is_some_and(|status| status.databases.iter().any(|one| one.name == database.name));
        for (what, port) in [("gate", database.port), ("reads", database.read_port)] {
            let listener = one(format!("{}/{what}", database.name), address, port);
            listeners.push(Listener { open, taken: listener.taken.filter(|_| !open), ..listener });
        }
    }
    listeners
}

fn router(
    system: &System,
    balancer: &LoadBalancer,
    virtual_ip: &VirtualIp,
    host: HostId,
    interfaces: &[Interface],
    status: Option<&Status>,
) -> Option<Router> {
    let own = virtual_ip.hosts.iter().find(|candidate| candidate.host == host)?;
    let first = virtual_ip.addresses.first()?;
    let name = format!("{}/{first}", balancer.name);
    let address = |host: HostId| match system[host].address {
        HostAddress::Ip(address) => Some(address),
        HostAddress::Dns(_) => None,
    };
    let peers = virtual_ip.hosts.iter().filter(|candidate| candidate.host != host).map(|candidate| Peer {
        host: system[candidate.host].name.clone(),
        address: address(candidate.host),
        priority: candidate.priority,
        via: address(candidate.host).and_then(|address| way_to(address, interfaces)),
    });
    Some(Router {
        addresses: virtual_ip.addresses.clone(),
        router_id: virtual_ip.router_id,
        version: virtual_ip.version,
        interval: virtual_ip.interval,
        priority: own.priority,
        unicast: virtual_ip.unicast.is_some(),
        authentication: virtual_ip.authentication.clone(),
        linger: balancer.drain,
        peers: peers.collect(),
        besides: virtual_ip.unicast.clone().unwrap_or_default(),
        link: find(virtual_ip, address(host), interfaces).map(|it| link(it, first.is_ipv6())),
        status: status.and_then(|status| status.virtual_ips.iter().find(|it| it.name == name).cloned()),
        heard: Heard::default(),
        name,
    })
}

/// As the daemon looks for it: by name, by the address's network, or where this host's own address is.
fn find<'a>(
    virtual_ip: &VirtualIp,
    own: Option<IpAddr>,
    interfaces: &'a [Interface],
) -> Result<&'a Interface, String> {
    if let Some(name) = &virtual_ip.interface {
        return interface::by_name(interfaces, name).map_err(|error| error.to_string());
    }
    let Some(&first) = virtual_ip.addresses.first() else { return Err("it has no address".to_owned()) };
    interface::by_subnet(interfaces, first).or_else(|error| {
        own.and_then(|own| interface::by_address(interfaces, own).ok()).ok_or_else(|| error.to_string())
    })
}

fn link(interface: &Interface, v6: bool) -> Link {
    let source = if v6 {
        interface.link_local_v6().map(IpAddr::from)
    } else {
        interface.primary_v4().map(IpAddr::from)
    };
    Link { source, settings: settings(&interface.name), interface: interface.clone() }
}

fn settings(interface: &str) -> Settings {
    let of = |family: &str, whose: &str, name: &str| {
        machine::number::<u8>(&format!("net/{family}/conf/{whose}/{name}"))
    };
    // For these the greater of both is in force (Documentation/networking/ip-sysctl.rst).
    let v4 = |name: &str| of("ipv4", "all", name).max(of("ipv4", interface, name));
    Settings {
        rp_filter: v4("rp_filter"),
        arp_ignore: v4("arp_ignore"),
        arp_announce: v4("arp_announce"),
        disable_ipv6: of("ipv6", interface, "disable_ipv6"),
        accept_dad: of("ipv6", "all", "accept_dad").max(of("ipv6", interface, "accept_dad")),
        forwarding: of("ipv4", interface, "forwarding"),
    }
}

/// The interface that packets to an address leave through: a socket that is connected, and sends nothing, knows where from.
fn way_to(address: IpAddr, interfaces: &[Interface]) -> Option<String> {
    let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(address, 9)).ok()?;
    let from = socket.local_addr().ok()?.ip();
    Some(interface::by_address(interfaces, from).ok()?.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_address_is_looked_at_once_however_many_ask_for_it() {
        let names = |of_orders: &str, of_stock: &str| -> Vec<String> {
            let text = format!(
                "name = \"t\"\n[hosts]\ndb1 = \"127.0.0.1\"\n\
                 [load_balancers.front]\nhosts = [\"db1\"]\nadmin = \"127.0.0.1:9009\"\n\
                 listeners = [{{ bind = \":80\", database = \"orders\" }}]\n\
                 [databases.orders]\nhosts = [\"db1\"]\nadmin = \"{of_orders}\"\n\
                 [databases.stock]\nhosts = [\"db1\"]\nport = 6432\nadmin = \"{of_stock}\"\n\
                 [coordination]\nembedded = \"/var/lib/nines/c\"\n"
            );
            let system = nines_system::parse("t.toml", &text).unwrap();
            let host = system.host_named("db1").unwrap();
            let part = Part { system: std::sync::Arc::new(system), host };
            let all = listeners(&part, &[], None).into_iter().map(|listener| listener.name);
            all.filter(|name| name.ends_with("/admin")).collect()
        };
        assert_eq!(names("127.0.0.1:9009", "127.0.0.1:9009"), ["front/admin"]);
        assert_eq!(names("127.0.0.1:9010", "127.0.0.1:9010"), ["front/admin", "orders/admin"]);
        assert_eq!(names("127.0.0.1:9010", "127.0.0.1:9011"), ["front/admin", "orders/admin", "stock/admin"]);
    }

    #[test]
    fn the_way_to_oneself_is_the_loopback() {
        let loopback = Interface {
            name: "lo".to_owned(),
            index: 1,
            mac: None,
            up: true,
            carrier: true,
            loopback: true,
            addresses: vec![interface::Address { address: [127, 0, 0, 1].into(), prefix: 8, usable: true }],
        };
        assert_eq!(way_to([127, 0, 0, 1].into(), &[loopback]), Some("lo".to_owned()));
        assert_eq!(way_to([127, 0, 0, 1].into(), &[]), None);
    }
}
