//! Addresses that can move, and those of peers.

use std::net::{IpAddr, SocketAddr};

use crate::item::Item;

pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// An address that one host after the other can answer on.
pub(super) fn virtual_address(item: &Item<'_>) -> Option<IpAddr> {
    plain(
        item,
        "a virtual IP",
        "a virtual address is always held as a single address (/32 or /128), whatever its subnet is",
    )
}

/// An address that advertisements are sent to.
pub(super) fn peer(item: &Item<'_>) -> Option<IpAddr> {
    plain(item, "a peer", "a peer is a single address")
}

fn plain(item: &Item<'_>, what: &str, no_prefix: &str) -> Option<IpAddr> {
    let text = item.text()?;
    let Ok(address) = text.parse::<IpAddr>() else {
        let before = text.split_once('/').filter(|(before, _)| before.parse::<IpAddr>().is_ok());
        if let Some((before, _)) = before {
            item.note(
                format!("`{text}` has a prefix length"),
                "not an address alone",
                format!("{no_prefix}: write \"{before}\""),
            );
            return None;
        }
        let help = match text.parse::<SocketAddr>() {
            Ok(socket) => format!("{what} has no port: write \"{}\"", socket.ip()),
            Err(_) => "write an IP address, such as \"10.0.1.100\" or \"2001:db8::100\"".to_owned(),
        };
        item.note(format!("`{text}` is not an IP address"), "not an IP address", help);
        return None;
    };
    if let Some(reason) = unfit(address) {
        let help = match address.to_canonical() {
            IpAddr::V4(v4) if address.is_ipv6() => format!("write \"{v4}\""),
            _ => "write an address of the network that clients or hosts are on".to_owned(),
        };
        item.note(format!("`{text}` can't be {what}"), reason, help);
        return None;
    }
    Some(address)
}

/// Why an address is of no use to other hosts.
fn unfit(address: IpAddr) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    if address.is_loopback() {
        Some("a loopback address: every host has it")
    } else if address.is_unspecified() {
        Some("stands for every address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if matches!(address, IpAddr::V4(v4) if v4.is_broadcast()) {
        Some("the broadcast address")
    } else if link_local {
        Some("a link-local address")
    } else if address.to_canonical() != address {
        Some("an IPv4 address written as IPv6")
    } else {
        None
    }
}
