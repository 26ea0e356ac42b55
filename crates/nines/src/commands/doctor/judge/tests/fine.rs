//! Made-up facts on which everything is right.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use nines_control::status::{Standing, VirtualIpStatus};
use nines_system::{VrrpAuthentication, VrrpVersion};
use nines_virtual_ip::clock::Clock;
use nines_virtual_ip::interface::{Address, Interface, Mac};

use crate::commands::doctor::facts::{
    Daemon, Doctor, Facts, Heard, Link, Listener, Machine, OwnAddress, Peer, Place, Privileges, Router,
    Settings, Speaker,
};

pub(super) const NAME: &str = "front/10.0.1.100";

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// lb1 of lb1 and lb2, on which nothing is wrong: it stands by, and hears lb2, which hears it.
pub(super) fn fine() -> Facts {
    Facts { machine: machine(), place: Some(place()) }
}

pub(super) fn machine() -> Machine {
    Machine {
        kernel: "6.1.0-18-amd64".to_owned(),
        privileges: Privileges { daemon: None, effective: u64::MAX, open_files: Some(1 << 20), realtime: 10 },
        first_free_port: 1024,
        resets: Some(true),
        no_rehearsal: None,
        clock: Some(Clock { synchronised: true, error: Duration::from_millis(3) }),
    }
}

pub(super) fn place() -> Place {
    Place {
        system: "shop".to_owned(),
        host: "lb1".to_owned(),
        address: OwnAddress::Here(ip("10.0.1.10"), "eth0".to_owned()),
        is_load_balancer: true,
        open_files_needed: 40_256,
        listeners: vec![Listener {
            name: "front/http-80".to_owned(),
            address: None,
            port: 80,
            is_virtual: false,
            is_here: true,
            open: true,
            taken: None,
        }],
        daemon: Daemon::Runs { pid: 812 },
        databases: Vec::new(),
        store: None,
        routers: vec![router()],
        clocks: BTreeMap::from([("lb2".to_owned(), 12)]),
        doubles: BTreeSet::new(),
    }
}

pub(super) fn router() -> Router {
    let interface = Interface {
        name: "eth0".to_owned(),
        index: 2,
        mac: Some(mac(1)),
        up: true,
        carrier: true,
        loopback: false,
        addresses: vec![Address { address: ip("10.0.1.10"), prefix: 24, usable: true }],
    };
    let settings = Settings {
        rp_filter: Some(0),
        arp_ignore: Some(0),
        arp_announce: Some(2),
        disable_ipv6: Some(0),
        accept_dad: Some(1),
        forwarding: Some(0),
    };
    let peer = Peer {
        host: "lb2".to_owned(),
        address: Some(ip("10.0.1.11")),
        priority: 190,
        via: Some("eth0".to_owned()),
    };
    Router {
        name: NAME.to_owned(),
        addresses: vec![ip("10.0.1.100")],
        router_id: 51,
        version: VrrpVersion::V3,
        interval: Duration::from_millis(100),
        priority: 200,
        unicast: false,
        authentication: VrrpAuthentication::None,
        linger: Duration::from_secs(30),
        peers: vec![peer],
        besides: Vec::new(),
        link: Result::Ok(Link { interface, source: Some(ip("10.0.1.10")), settings }),
        status: Some(status(Standing::Backup)),
        heard: Heard {
            speakers: BTreeMap::from([(ip("10.0.1.11"), speaker())]),
            answers: BTreeMap::from([(ip("10.0.1.100"), BTreeSet::from([mac(2)]))]),
            asked: true,
            cards: BTreeMap::from([(mac(2), "lb2".to_owned())]),
            doctors: BTreeMap::from([("lb2".to_owned(), doctor(true))]),
            ..Heard::default()
        },
    }
}

pub(super) fn status(state: Standing) -> VirtualIpStatus {
    VirtualIpStatus {
        name: NAME.to_owned(),
        state,
        held: state == Standing::Master,
        holder: Some("lb2".to_owned()),
        priority: 200,
        since_ms: 3_600_000,
        ..VirtualIpStatus::default()
    }
}

pub(super) fn speaker() -> Speaker {
    Speaker {
        version: 3,
        priority: 190,
        interval: Duration::from_millis(100),
        addresses: vec![ip("10.0.1.100")],
        accepted: 20,
        refused: BTreeMap::new(),
    }
}

pub(super) fn doctor(hears_us: bool) -> Doctor {
    let (by_group, directly) = (10, 10);
    Doctor { from: BTreeSet::from([ip("10.0.1.11")]), by_group, directly, hears_us, deaf: 10 }
}
