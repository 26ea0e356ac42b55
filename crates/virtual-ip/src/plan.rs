//! What this host does for which virtual addresses: the system file, seen from here.

use std::net::IpAddr;
use std::time::Duration;

use nines_control::vrrp::Settings;
use nines_system::{HostAddress, HostId, LoadBalancerId, System, VirtualIp};

use crate::packet::Wire;

/// A virtual router that this host takes part in, before anything is known of the host's interfaces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    /// `front/10.0.1.100`.
    pub(crate) name: String,
    pub(crate) load_balancer: LoadBalancerId,
    pub(crate) virtual_ip: VirtualIp,
    priority: u8,
    linger: Duration,
    /// Where the file says that this host is reached.
    pub(crate) own: Option<IpAddr>,
    names: Vec<(IpAddr, String)>,
    /// `None`: the multicast group.
    pub(crate) peers: Option<Vec<IpAddr>>,
}

/// Every virtual router that `host` is a candidate of.
pub(crate) fn of(system: &System, host: HostId) -> Vec<Planned> {
    let mut planned = Vec::new();
    for load_balancer in system.load_balancer_ids() {
        for virtual_ip in &system[load_balancer].virtual_ips {
            let own = virtual_ip.hosts.iter().find(|candidate| candidate.host == host);
            if let Some(own) = own {
                planned.push(Planned::new(system, load_balancer, virtual_ip, host, own.priority));
            }
        }
    }
    planned
}

impl Planned {
    fn new(
        system: &System,
        load_balancer: LoadBalancerId,
        virtual_ip: &VirtualIp,
        host: HostId,
        priority: u8,
    ) -> Self {
        let address = |host: HostId| match system[host].address {
            HostAddress::Ip(address) => Some(address),
            HostAddress::Dns(_) => None,
        };
        let candidates = || virtual_ip.hosts.iter().map(|candidate| candidate.host);
        let peers = virtual_ip.unicast.as_ref().map(|besides| {
            let others = candidates().filter(|&other| other != host).filter_map(address);
            others.chain(besides.iter().copied()).collect()
        });
        let first = virtual_ip.addresses.first().map(ToString::to_string).unwrap_or_default();
        Self {
            name: format!("{}/{first}", system[load_balancer].name),
            load_balancer,
            virtual_ip: virtual_ip.clone(),
            priority,
            linger: system[load_balancer].drain,
            own: address(host),
            names: candidates()
                .filter_map(|host| Some((address(host)?, system[host].name.clone())))
                .collect(),
            peers,
        }
    }

    /// How long what is connected may go on after a planned handover.
    pub(crate) fn linger(&self) -> Duration {
        self.linger
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.virtual_ip.addresses.iter().any(IpAddr::is_ipv6)
    }

    /// `source`: where this host's advertisements come from.
    pub(crate) fn settings(&self, source: IpAddr) -> Settings {
        Settings {
            name: self.name.clone(),
            version: self.virtual_ip.version,
            router_id: self.virtual_ip.router_id,
            addresses: self.virtual_ip.addresses.clone(),
            priority: self.priority,
            interval: self.virtual_ip.interval,
            preempt: self.virtual_ip.preempt,
            // Groups of two load balancers may bear one name.
            group: self.virtual_ip.group.as_ref().map(|group| format!("{:?}/{group}", self.load_balancer)),
            linger: self.linger,
            source,
            names: self.names.clone(),
        }
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire {
            version: self.virtual_ip.version,
            router_id: self.virtual_ip.router_id,
            interval: self.virtual_ip.interval,
            peers: self.peers.clone(),
            checksum: self.virtual_ip.checksum,
            authentication: self.virtual_ip.authentication.clone(),
        }
    }
}
