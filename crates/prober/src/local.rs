//! Whether this machine has a network at all: if not, what can't be reached is not to blame.

use std::fs;
use std::net::IpAddr;

/// Whether something could be sent towards an address: loopback always, others by an interface that works and has a route.
pub(crate) fn has_way_to(address: Option<IpAddr>) -> bool {
    if address.is_some_and(|address| address.to_canonical().is_loopback()) {
        return true;
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (v4, v6) = (read("/proc/net/route"), read("/proc/net/ipv6_route"));
    let v6_wanted = address.is_none_or(|address| address.to_canonical().is_ipv6());
    let v4_wanted = address.is_none_or(|address| address.to_canonical().is_ipv4());
    let works = |interface: &str| {
        let state = read(&format!("/sys/class/net/{interface}/operstate"));
        // Tunnels and the like don't know how they are.
        !matches!(state.trim(), "down" | "lowerlayerdown" | "notpresent" | "dormant")
    };
    let mut ways = Vec::new();
    if v4_wanted {
        ways.extend(interfaces_v4(&v4));
    }
    if v6_wanted {
        ways.extend(interfaces_v6(&v6));
    }
    ways.into_iter().any(works)
}

/// Those that `/proc/net/route` has a route over.
fn interfaces_v4(text: &str) -> Vec<&str> {
    let lines = text.lines().skip(1);
    lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "lo").collect()
}

/// Those that `/proc/net/ipv6_route` has a route over, but the kernel's own to what is on the link.
fn interfaces_v6(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (destination, interface) = (fields.first()?, fields.get(9)?);
            let on_link = destination.starts_with("fe80") || destination.starts_with("ff00");
            (!on_link && *interface != "lo").then_some(*interface)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_always_there() {
        assert!(has_way_to(Some("127.0.0.1".parse().unwrap())));
        assert!(has_way_to(Some("::ffff:127.0.0.1".parse().unwrap())));
    }

    #[test]
    fn routes_over_real_interfaces_are_found() {
        let v4 = "Iface\tDestination\tGateway \tFlags\n\
                  eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        assert_eq!(interfaces_v4(v4), ["eth0"]);
        assert!(interfaces_v4("Iface\tDestination\n").is_empty());
        let route = |to: &str, interface: &str| {
            format!(
                "{to} 00 {zero} 00 {zero} 00000100 00000001 00000000 00000001 {interface}\n",
                zero = "0".repeat(32)
            )
        };
        let loopback = route(&format!("{}1", "0".repeat(31)), "lo");
        let link = route(&format!("fe80{}", "0".repeat(28)), "eth0");
        assert!(interfaces_v6(&(loopback.clone() + &link)).is_empty());
        let default = route(&"0".repeat(32), "eth1");
        assert_eq!(interfaces_v6(&(loopback + &link + &default)), ["eth1"]);
    }
}
