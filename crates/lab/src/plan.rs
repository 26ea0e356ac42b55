//! Who gets which address: everything about the lab's network that can be decided before anything is made.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nines_system::{HostAddress, HostId, System};

use crate::error::LabError;

/// What a host's interface is called where the file doesn't say.
const INTERFACE: &str = "eth0";

/// The lab's network on paper.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Bridges: the system's zones in their order, after them the clients', and then one for each group of hosts that
    /// share virtual addresses.
    pub(crate) segments: usize,
    /// The system's hosts in their order, and after them the clients' place.
    pub(crate) hosts: Vec<PlannedHost>,
    /// Addresses that move between the hosts of one segment. The lab gives them to nobody; whoever takes one over puts
    /// it on its own interface.
    pub(crate) virtual_addresses: Vec<VirtualAddress>,
    pub(crate) gateways: Gateways,
}

#[derive(Debug)]
pub(crate) struct PlannedHost {
    pub(crate) name: String,
    /// A name by which other hosts look it up, besides its own.
    pub(crate) dns_name: Option<String>,
    /// The bridge that it is on: its zone's, unless it shares virtual addresses with others.
    pub(crate) segment: usize,
    /// The first is the one that the system file gives, if it gives one. Further ones: of the other family where the
    /// system uses both, and addresses that its listeners bind.
    pub(crate) addresses: Vec<IpAddr>,
    /// What the host calls its end of the wire.
    pub(crate) interface: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VirtualAddress {
    pub(crate) address: IpAddr,
    pub(crate) segment: usize,
}

/// The router's address as the hosts see it, the same on every bridge. Link-local, because it must not be one that a
/// host might have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gateways {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Plan {
    pub(crate) fn of(system: &System) -> Result<Self, LabError> {
        let mut used = BTreeSet::new();
        for host in &system.hosts {
            if let HostAddress::Ip(address) = host.address {
                usable(address).map_err(|why| LabError::Address { host: host.name.clone(), address, why })?;
                used.insert(address);
            }
        }
        let interfaces =
            system.host_ids().map(|host| interface(system, host)).collect::<Result<Vec<_>, _>>()?;
        let outside = system.zones.len();
        let groups = candidates(system);
        let zones: Vec<usize> = system.hosts.iter().map(|host| host.zone.index()).collect();
        let (placed, segments) = place_on_segments(&zones, &groups, outside + 1);
        let virtual_addresses = virtual_addresses(system, &placed, &used)?;
        used.extend(virtual_addresses.iter().map(|it| it.address));
        let bound = bound_addresses(system, &used);
        used.extend(bound.iter().map(|&(_, address)| address));
        let has = |family: fn(&IpAddr) -> bool| used.iter().any(family);
        let families =
            Families { v4: has(IpAddr::is_ipv4) || !has(IpAddr::is_ipv6), v6: has(IpAddr::is_ipv6) };

        let mut free = Free::besides(used.clone());
        let mut hosts = Vec::with_capacity(system.hosts.len() + 1);
        for ((index, host), interface) in system.hosts.iter().enumerate().zip(interfaces) {
            let (mut addresses, dns_name) = match &host.address {
                HostAddress::Ip(address) => (vec![*address], None),
                HostAddress::Dns(name) => (Vec::new(), Some(name.clone())),
            };
            free.complete(&mut addresses, families);
            addresses.extend(bound.iter().filter(|&&(owner, _)| owner == index).map(|&(_, address)| address));
            let segment = placed[index];
            hosts.push(PlannedHost { name: host.name.clone(), dns_name, segment, addresses, interface });
        }
        let mut addresses = Vec::new();
        free.complete(&mut addresses, families);
        hosts.push(PlannedHost {
            name: "clients".to_owned(),
            dns_name: None,
            segment: outside,
            addresses,
            interface: INTERFACE.to_owned(),
        });

        let v4 =
            (1..=254).map(|last| Ipv4Addr::new(169, 254, 1, last)).find(|&v4| !used.contains(&v4.into()));
        let gateways = Gateways {
            v4: v4.unwrap_or(Ipv4Addr::new(169, 254, 1, 1)),
            v6: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        };
        Ok(Self { segments, hosts, virtual_addresses, gateways })
    }

    /// Where a system uses it, every host has it.
    pub(crate) fn has_ipv6(&self) -> bool {
        self.hosts.iter().flat_map(|host| &host.addresses).any(IpAddr::is_ipv6)
    }

    pub(crate) fn all_virtual(&self) -> Vec<IpAddr> {
        self.virtual_addresses.iter().map(|it| it.address).collect()
    }

    /// The virtual addresses of a segment.
    pub(crate) fn virtual_on(&self, segment: usize) -> impl Iterator<Item = IpAddr> {
        self.virtual_addresses.iter().filter(move |it| it.segment == segment).map(|it| it.address)
    }

    /// The gateway of each family that the host has.
    pub(crate) fn gateways_of(&self, host: &PlannedHost) -> impl Iterator<Item = IpAddr> {
        let v4 = host.addresses.iter().any(IpAddr::is_ipv4).then_some(self.gateways.v4.into());
        let v6 = host.addresses.iter().any(IpAddr::is_ipv6).then_some(self.gateways.v6.into());
        [v4, v6].into_iter().flatten()
    }

    /// What `/etc/hosts` says in the lab. Nothing of the machine's own file: it may give these names other addresses.
    pub(crate) fn hosts_file(&self) -> String {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
        for host in &self.hosts {
            for address in &host.addresses {
                let _ = write!(text, "{address} ");
                if let Some(dns_name) = &host.dns_name {
                    let _ = write!(text, "{dns_name} ");
                }
                let _ = writeln!(text, "{}", host.name);
            }
        }
        text
    }
}

#[derive(Clone, Copy)]
struct Families {
    v4: bool,
    v6: bool,
}

/// What the one interface of a host is called: as the virtual addresses that it may hold say, for it looks for it by name.
fn interface(system: &System, host: HostId) -> Result<String, LabError> {
    let all = system.load_balancers.iter().flat_map(|balancer| &balancer.virtual_ips);
    let held = all.filter(|it| it.hosts.iter().any(|candidate| candidate.host == host));
    let mut named = held.filter_map(|it| Some((it.addresses.first().copied()?, it.interface.as_deref()?)));
    let Some((address, name)) = named.next() else { return Ok(INTERFACE.to_owned()) };
    let owner = || system[host].name.clone();
    if let Some((other, another)) = named.find(|&(_, another)| another != name) {
        let (one, other) = ((address, name.to_owned()), (other, another.to_owned()));
        return Err(LabError::TwoInterfaces { host: owner(), one, other });
    }
    // What else the kernel demands of a name, the system file's reader has seen to.
    if name == "lo" {
        let why = "that is its loopback interface, which no other host can reach";
        return Err(LabError::Interface { host: owner(), name: name.to_owned(), why });
    }
    Ok(name.to_owned())
}

/// For each virtual address, or several that move as one, the hosts that may hold it.
fn candidates(system: &System) -> Vec<Vec<usize>> {
    let all = system.load_balancers.iter().flat_map(|balancer| &balancer.virtual_ips);
    all.map(|it| it.hosts.iter().map(|candidate| candidate.host.index()).collect()).collect()
}

/// Puts each host on its zone's segment; those of a group of several, and whoever shares a group with one of them, on
/// one of their own, numbered from `first` on. An address can only move between hosts that hear each other's ARP.
/// Returns each host's segment, and how many segments there are.
fn place_on_segments(zones: &[usize], groups: &[Vec<usize>], first: usize) -> (Vec<usize>, usize) {
    let mut placed = zones.to_vec();
    for (next, group) in (first..).zip(groups.iter().filter(|group| group.len() > 1)) {
        let shared: Vec<usize> =
            group.iter().map(|&host| placed[host]).filter(|&segment| segment >= first).collect();
        for (host, segment) in placed.iter_mut().enumerate() {
            if group.contains(&host) || shared.contains(segment) {
                *segment = next;
            }
        }
    }
    // Groups that were joined have left gaps in the numbers.
    let numbers: BTreeSet<usize> = placed.iter().copied().filter(|&segment| segment >= first).collect();
    for segment in placed.iter_mut().filter(|segment| **segment >= first) {
        *segment = first + numbers.iter().take_while(|&number| number < segment).count();
    }
    (placed, first + numbers.len())
}

/// Every virtual address with the segment of those who may hold it; those that a host has for good are not among them.
fn virtual_addresses(
    system: &System,
    placed: &[usize],
    hosts: &BTreeSet<IpAddr>,
) -> Result<Vec<VirtualAddress>, LabError> {
    let mut found: Vec<VirtualAddress> = Vec::new();
    for it in system.load_balancers.iter().flat_map(|balancer| &balancer.virtual_ips) {
        let Some(first) = it.hosts.first() else { continue };
        for &address in it.addresses.iter().filter(|address| !hosts.contains(address)) {
            usable(address).map_err(|why| LabError::Address {
                host: system[first.host].name.clone(),
                address,
                why,
            })?;
            if found.iter().all(|other| other.address != address) {
                found.push(VirtualAddress { address, segment: placed[first.host.index()] });
            }
        }
    }
    Ok(found)
}

/// Addresses that a load balancer's listeners name and nobody else has, no virtual ones: its first host gets them.
fn bound_addresses(system: &System, hosts: &BTreeSet<IpAddr>) -> Vec<(usize, IpAddr)> {
    let mut bound: Vec<(usize, IpAddr)> = Vec::new();
    for balancer in &system.load_balancers {
        let Some(owner) = balancer.hosts.first() else { continue };
        for address in balancer.listeners.iter().filter_map(|listener| listener.address) {
            let taken = hosts.contains(&address) || bound.iter().any(|&(_, other)| other == address);
            if !taken && usable(address).is_ok() {
                bound.push((owner.index(), address));
            }
        }
    }
    bound
}

fn usable(address: IpAddr) -> Result<(), &'static str> {
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_loopback() {
        Err(
            "a loopback address is every host's own; give the host one of a private network, such as 10.0.0.11",
        )
    } else if address.is_unspecified() || address.is_multicast() || broadcast {
        Err("no single host can have it")
    } else if link_local {
        Err("a link-local address is valid on one link only, and a zone's hosts are reached through a router")
    } else {
        Ok(())
    }
}

/// Addresses from the ranges set aside for test networks (RFC 2544, RFC 5180), without those in use.
struct Free {
    used: BTreeSet<IpAddr>,
    v4: u32,
    v6: u128,
}

impl Free {
    fn besides(used: BTreeSet<IpAddr>) -> Self {
        let v6 = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0);
        Self { used, v4: Ipv4Addr::new(198, 18, 0, 0).to_bits(), v6: v6.to_bits() }
    }

    /// Adds an address of each family that is wanted and lacking.
    fn complete(&mut self, addresses: &mut Vec<IpAddr>, families: Families) {
        if families.v4 && !addresses.iter().any(IpAddr::is_ipv4) {
            addresses.push(self.next(|free| {
                free.v4 += 1;
                Ipv4Addr::from_bits(free.v4).into()
            }));
        }
        if families.v6 && !addresses.iter().any(IpAddr::is_ipv6) {
            addresses.push(self.next(|free| {
                free.v6 += 1;
                Ipv6Addr::from_bits(free.v6).into()
            }));
        }
    }

    /// Ends, because each turn gives another address and the used ones are finitely many.
    fn next(&mut self, mut another: impl FnMut(&mut Self) -> IpAddr) -> IpAddr {
        loop {
            let candidate = another(self);
            if !self.used.contains(&candidate) {
                return candidate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(hosts: &str, bind: &str) -> Result<Plan, LabError> {
        let text = format!(
            r#"
            name = "test"
            zones = ["a", "b"]
            [hosts]
            {hosts}
            [load_balancers.front]
            hosts = ["lb1"]
            listeners = [{{ bind = "{bind}", pool = "web" }}]
            [pools.web]
            members = ["app1:8080"]
            "#
        );
        Plan::of(
            &nines_system::parse("test.toml", &text)
                .unwrap_or_else(|wrong| panic!("{}", wrong.render(false))),
        )
    }

    fn addresses(plan: &Plan) -> Vec<Vec<String>> {
        plan.hosts.iter().map(|host| host.addresses.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn hosts_have_the_addresses_of_the_file_and_clients_one_that_it_lacks() {
        let hosts = r#"
            lb1 = { zone = "a", address = "198.18.0.1" }
            app1 = { zone = "b", address = "169.254.1.1" }
        "#;
        let plan = plan(hosts, ":80").unwrap();
        assert_eq!(addresses(&plan), [["198.18.0.1"], ["169.254.1.1"], ["198.18.0.2"]]);
        assert_eq!(plan.hosts.iter().map(|host| host.segment).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(plan.gateways.v4, Ipv4Addr::new(169, 254, 1, 2));
    }

    #[test]
    fn where_both_families_are_used_every_host_has_both() {
        let hosts = r#"
            lb1 = { zone = "a", address = "10.0.0.1" }
            app1 = { zone = "b", address = "2001:2::1" }
        "#;
        let expected = [["10.0.0.1", "2001:2::2"], ["2001:2::1", "198.18.0.1"], ["198.18.0.2", "2001:2::3"]];
        assert_eq!(addresses(&plan(hosts, ":80").unwrap()), expected);
    }

    #[test]
    fn an_ipv6_system_has_no_ipv4() {
        let hosts = r#"
            lb1 = { zone = "a", address = "fd00::1" }
            app1 = { zone = "b", address = "app1.shop.example" }
        "#;
        let plan = plan(hosts, ":80").unwrap();
        assert_eq!(addresses(&plan), [["fd00::1"], ["2001:2::1"], ["2001:2::2"]]);
        assert!(plan.hosts_file().contains("2001:2::1 app1.shop.example app1\n"), "{}", plan.hosts_file());
    }

    #[test]
    fn what_a_listener_binds_and_no_host_has_is_the_load_balancers() {
        let hosts = r#"
            lb1 = { zone = "a", address = "10.0.0.1" }
            app1 = { zone = "b", address = "10.0.0.2" }
        "#;
        assert_eq!(addresses(&plan(hosts, "10.0.0.9:80").unwrap())[0], ["10.0.0.1", "10.0.0.9"]);
        assert_eq!(addresses(&plan(hosts, "10.0.0.1:80").unwrap())[0], ["10.0.0.1"]);
        assert_eq!(addresses(&plan(hosts, "127.0.0.1:80").unwrap())[0], ["10.0.0.1"]);
    }

    #[test]
    fn hosts_that_share_an_address_are_on_a_segment_of_their_own() {
        let place = |groups: &[Vec<usize>]| place_on_segments(&[0, 1, 1, 0, 1], groups, 3);
        assert_eq!(place(&[]), (vec![0, 1, 1, 0, 1], 3));
        assert_eq!(place(&[vec![2]]), (vec![0, 1, 1, 0, 1], 3), "what can't move needs nothing");
        assert_eq!(place(&[vec![0, 1]]), (vec![3, 3, 1, 0, 1], 4));
        assert_eq!(place(&[vec![0, 1], vec![1, 0]]), (vec![3, 3, 1, 0, 1], 4));
        assert_eq!(place(&[vec![0, 1], vec![3, 4]]), (vec![3, 3, 1, 4, 4], 5));
    }

    #[test]
    fn a_host_in_two_groups_makes_them_one() {
        let place = |groups: &[Vec<usize>]| place_on_segments(&[0, 1, 1, 0, 1, 0], groups, 3);
        assert_eq!(place(&[vec![0, 1], vec![2, 3], vec![1, 2]]), (vec![3, 3, 3, 3, 1, 0], 4));
        let (placed, segments) = place(&[vec![0, 1], vec![2, 3], vec![0, 4]]);
        assert_eq!(segments, 5);
        assert!(placed[0] == placed[1] && placed[1] == placed[4] && placed[2] == placed[3], "{placed:?}");
        assert_ne!(placed[0], placed[2]);
    }

    #[test]
    fn a_virtual_address_is_on_a_segment_and_on_no_host() {
        let text = r#"
            name = "test"
            zones = ["a", "b"]
            [hosts]
            lb1 = { zone = "a", address = "10.0.0.1" }
            lb2 = { zone = "b", address = "10.0.0.2" }
            app1 = { zone = "b", address = "10.0.0.3" }
            [load_balancers.front]
            hosts = ["lb1", "lb2"]
            virtual_ips = ["198.18.0.1", "fd00::9"]
            listeners = [{ bind = "198.18.0.1:80", pool = "web" }]
            [pools.web]
            members = ["app1:8080"]
        "#;
        let system = nines_system::parse("test.toml", text).unwrap();
        let plan = Plan::of(&system).unwrap();
        assert_eq!(plan.hosts.iter().map(|host| host.segment).collect::<Vec<_>>(), [3, 3, 1, 2]);
        assert_eq!(plan.segments, 4);
        let mine = ["198.18.0.1", "fd00::9"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(plan.virtual_on(3).collect::<Vec<_>>(), mine);
        assert!(plan.has_ipv6(), "a virtual address has a family too");
        let given: Vec<_> = plan.hosts.iter().flat_map(|host| &host.addresses).collect();
        assert!(mine.iter().all(|address| !given.contains(&address)), "{given:?}");
        assert!(!plan.hosts_file().contains("198.18.0.1 "), "{}", plan.hosts_file());
    }

    fn plan_with(virtual_ips: &str) -> Result<Plan, LabError> {
        let text = format!(
            r#"
            name = "test"
            [hosts]
            lb1 = "10.0.0.1"
            lb2 = "10.0.0.2"
            lb3 = "10.0.0.3"
            app1 = "10.0.0.4"
            [load_balancers.front]
            hosts = ["lb1", "lb2", "lb3"]
            virtual_ips = [{virtual_ips}]
            listeners = [{{ bind = ":80", pool = "web" }}]
            [pools.web]
            members = ["app1:8080"]
            "#
        );
        Plan::of(&nines_system::parse("test.toml", &text).unwrap())
    }

    fn interfaces(virtual_ips: &str) -> Vec<String> {
        plan_with(virtual_ips).unwrap().hosts.into_iter().map(|host| host.interface).collect()
    }

    #[test]
    fn an_interface_is_called_as_a_virtual_address_says_on_each_host_that_may_hold_it() {
        assert_eq!(interfaces(r#""10.0.0.100""#), ["eth0", "eth0", "eth0", "eth0", "eth0"]);
        let one = r#"{ address = "10.0.0.100", interface = "eno1", hosts = ["lb1", "lb2"] }, "10.0.0.101""#;
        assert_eq!(interfaces(one), ["eno1", "eno1", "eth0", "eth0", "eth0"]);
        let two = r#"{ address = "10.0.0.100", interface = "eno1", hosts = ["lb1"] },
            { address = "10.0.0.101", interface = "bond0.100", hosts = ["lb2", "lb3"] },
            { address = "10.0.0.102", interface = "bond0.100", hosts = ["lb3"] }"#;
        assert_eq!(interfaces(two), ["eno1", "bond0.100", "bond0.100", "eth0", "eth0"]);
    }

    #[test]
    fn a_host_with_two_interfaces_can_not_be_had() {
        let two = r#"{ address = "10.0.0.100", interface = "eno1", hosts = ["lb1", "lb2"] },
            { address = "10.0.0.101", interface = "eno2", hosts = ["lb2", "lb3"] }"#;
        assert_eq!(
            plan_with(two).unwrap_err().to_string(),
            "host lb2 cannot be had in a lab: its virtual IPs 10.0.0.100 and 10.0.0.101 name two interfaces, `eno1` \
             and `eno2`, and a host has one in a lab; rehearse a copy of the file in which they name the same one, \
             or none"
        );
    }

    #[test]
    fn loopback_can_not_be_what_others_reach() {
        let refused = plan_with(r#"{ address = "10.0.0.100", interface = "lo" }"#).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "host lb1: its interface cannot be called `lo` in a lab: that is its loopback interface, which no \
             other host can reach"
        );
    }

    #[test]
    fn an_address_that_no_single_host_can_have_is_refused() {
        for address in ["127.0.0.2", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "fe80::5", "ff02::1"] {
            assert!(usable(address.parse().unwrap()).is_err(), "{address}");
        }
        for address in ["10.0.0.1", "203.0.113.7", "2001:db8::1", "fd00::1"] {
            assert!(usable(address.parse().unwrap()).is_ok(), "{address}");
        }
    }
}
