//! The interface of a virtual IP, and the kernel's settings that bear on it (Documentation/networking/ip-sysctl.rst).

use super::{Findings, listed};
use crate::commands::doctor::facts::{Link, Router};

pub(super) fn judge(router: &Router, findings: &mut Findings) {
    let about = &router.name;
    let link = match &router.link {
        Ok(link) => link,
        Err(why) => {
            findings.wrong(
                about,
                format!("it has no interface here: {why}"),
                "name it in the file (`interface = \"eth0\"`), or give this host an address in that \
                 network",
            );
            return;
        }
    };
    interface(router, link, findings);
    if router.is_v6() {
        settings_v6(router, link, findings);
    } else {
        way_back(router, link, findings);
        arp_ignore(router, link, findings);
        arp_announce(router, link, findings);
    }
    if link.settings.forwarding == Some(1) {
        findings.note(
            about,
            format!(
                "{} forwards: packets for an address that it has just given up may go round until \
                 their TTL ends",
                link.interface.name
            ),
        );
    }
}

fn interface(router: &Router, link: &Link, findings: &mut Findings) {
    let about = &router.name;
    let name = &link.interface.name;
    if link.interface.loopback {
        findings.wrong(
            about,
            format!("it would be on {name}, the loopback interface"),
            "name the interface that faces the clients (`interface = \"eth0\"`)",
        );
        return;
    }
    if !link.interface.up {
        findings.wrong(about, format!("{name} is down"), format!("`ip link set {name} up`"));
    } else if !link.interface.carrier {
        findings.wrong(
            about,
            format!("{name} has no carrier: nothing is at the other end"),
            "see to its cable or its switch",
        );
    }
    let Some(mac) = link.interface.mac else {
        findings.wrong(
            about,
            format!("{name} is no Ethernet, so nobody can be told where the address is"),
            "name another interface (`interface = \"eth0\"`)",
        );
        return;
    };
    match link.source {
        Some(source) if link.interface.is_running() => {
            findings.ok(about, format!("on {name} ({mac}), which works; advertised from {source}"));
        }
        Some(_) => {}
        None if router.is_v6() => findings.wrong(
            about,
            format!("{name} has no link-local IPv6 address to advertise from"),
            format!(
                "`sysctl net.ipv6.conf.{name}.disable_ipv6=0`, and see that `addr_gen_mode` there is not 1"
            ),
        ),
        None => findings.wrong(
            about,
            format!("{name} has no IPv4 address of its own to advertise from"),
            format!("give {name} an address that stays"),
        ),
    }
}

fn settings_v6(router: &Router, link: &Link, findings: &mut Findings) {
    let name = &link.interface.name;
    match link.settings.disable_ipv6 {
        None => findings.wrong(
            &router.name,
            "this kernel has no IPv6",
            "boot without `ipv6.disable=1`, or give the virtual IP an IPv4 address",
        ),
        Some(0) => findings.ok(&router.name, format!("IPv6 is on at {name}")),
        Some(_) => findings.wrong(
            &router.name,
            format!("IPv6 is switched off on {name} (disable_ipv6)"),
            format!("`sysctl net.ipv6.conf.{name}.disable_ipv6=0`"),
        ),
    }
    if link.settings.accept_dad.is_some_and(|value| value >= 2) {
        findings.note(
            &router.name,
            format!(
                "accept_dad is 2 on {name}: two hosts with the same MAC address lose IPv6 altogether there"
            ),
        );
    }
}

/// The reverse path filter drops what comes from an address to which packets would leave another way; multicast too.
fn way_back(router: &Router, link: &Link, findings: &mut Findings) {
    let name = &link.interface.name;
    let elsewhere: Vec<String> = router
        .peers
        .iter()
        .filter_map(|peer| {
            let via = peer.via.as_ref().filter(|via| *via != name)?;
            Some(format!("{} ({}) through {via}", peer.host, peer.address?))
        })
        .collect();
    match (link.settings.rp_filter, elsewhere.is_empty()) {
        (Some(1), false) => findings.wrong(
            &router.name,
            format!(
                "rp_filter is strict (1), and packets to {} leave another way than {name}: what \
                 they advertise is dropped",
                listed(&elsewhere)
            ),
            format!("`sysctl net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=2`, or \
             correct the routes"),
        ),
        (Some(1), true) => findings.warn(
            &router.name,
            format!(
                "rp_filter is strict (1) on {name}: clients that are routed back another way than {name} get no answer, \
                 nor does a host whose advertisements come from another network"
            ),
            format!("loose is enough: `sysctl net.ipv4.conf.all.rp_filter=0 \
             net.ipv4.conf.{name}.rp_filter=2`"),
        ),
        (value, false) => findings.note(
            &router.name,
            format!(
                "packets to {} leave another way than {name}; rp_filter ({}) lets that pass",
                listed(&elsewhere),
                value.unwrap_or(0)
            ),
        ),
        (value, true) => {
            findings.ok(&router.name, format!("rp_filter ({}) drops nothing that comes by {name}", value.unwrap_or(0)));
        }
    }
}

/// Which requests for its addresses this host answers on that interface.
fn arp_ignore(router: &Router, link: &Link, findings: &mut Findings) {
    let name = &link.interface.name;
    let set = format!("`sysctl net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.{name}.arp_ignore=0`");
    let value = link.settings.arp_ignore.unwrap_or(0);
    match value {
        0 => findings.ok(&router.name, format!("ARP for it is answered on {name} (arp_ignore 0)")),
        1 | 3 => findings.ok(
            &router.name,
            format!(
                "arp_ignore is {value}: ARP is answered only where the address is, which is \
             {name}, as it should"
            ),
        ),
        2 if router.addresses.iter().all(|&address| {
            nines_virtual_ip::interface::by_subnet(std::slice::from_ref(&link.interface), address).is_ok()
        }) =>
        {
            findings.ok(
                &router.name,
                format!(
                    "arp_ignore is 2: ARP is answered to askers of the same network on {name}, \
                 which is enough"
                ),
            );
        }
        2 => findings.wrong(
            &router.name,
            format!(
                "arp_ignore is 2, and {name} has no address in the same network: nobody's ARP \
             for it is answered"
            ),
            set,
        ),
        8.. => findings.wrong(
            &router.name,
            format!("arp_ignore is {value}: this host answers no ARP, so nobody finds the address here"),
            set,
        ),
        other => findings.note(
            &router.name,
            format!(
                "arp_ignore is {other}, which Linux has no \
         meaning for"
            ),
        ),
    }
}

/// In whose name this host asks for neighbours, and so tells them where that address is.
fn arp_announce(router: &Router, link: &Link, findings: &mut Findings) {
    let name = &link.interface.name;
    match link.settings.arp_announce {
        Some(2) => findings.ok(&router.name, "arp_announce is 2: ARP is asked in the name of the \
         interface's own address"),
        value => findings.add(
            super::Level::Note,
            &router.name,
            format!(
                "arp_announce is {}: while connections are finished here after a handover, a neighbour that is asked \
                 in the address's name may take it to be here still, until the new holder announces it again",
                value.unwrap_or(0)
            ),
            format!("`sysctl net.ipv4.conf.{name}.arp_announce=2` avoids that"),
        ),
    }
}
