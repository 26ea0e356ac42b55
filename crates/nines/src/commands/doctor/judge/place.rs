//! Whether this machine is the host that the file means, what its listeners need, and the daemon.

use super::Findings;
use crate::commands::doctor::facts::{Daemon, Listener, OwnAddress, Place};

pub(super) fn judge(place: &Place, findings: &mut Findings) {
    own_address(place, findings);
    for from in &place.doubles {
        findings.wrong(
            "host",
            format!("another machine, {from}, says that it is {} too", place.host),
            "give each machine the `--host` that is its own",
        );
    }
    if !place.is_load_balancer && place.databases.is_empty() {
        findings.note("host", format!("the file gives {} no load balancer to be", place.host));
        return;
    }
    daemon(place, findings);
    for listener in &place.listeners {
        self::listener(listener, findings);
    }
    if place.routers.is_empty() {
        findings.note("virtual IPs", format!("the file gives {} none", place.host));
    }
}

fn own_address(place: &Place, findings: &mut Findings) {
    let host = &place.host;
    match &place.address {
        OwnAddress::Here(address, interface) => {
            findings.ok("host", format!("{host} is this machine: {address} is on {interface}"));
        }
        OwnAddress::Elsewhere(addresses) => {
            let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            findings.wrong(
                "host",
                format!(
                    "{}, where the file says that {host} is, is on no interface of this \
                 machine",
                    super::listed(&all)
                ),
                format!(
                    "run this on {host}, say with `--host` which host this is, or correct the \
                 address in the file"
                ),
            );
        }
        OwnAddress::Unresolved(name) => findings.warn(
            "host",
            format!("{name}, where the file says that {host} is, does not resolve"),
            "see to DNS, or write an IP address into the file",
        ),
    }
}

fn daemon(place: &Place, findings: &mut Findings) {
    match &place.daemon {
        Daemon::Runs { pid } => findings.ok("daemon", format!("{} runs here, pid {pid}", place.host)),
        Daemon::Silent(why) => findings.note("daemon", format!("this host takes no part now: {why}")),
    }
}

fn listener(listener: &Listener, findings: &mut Findings) {
    let about = format!("listener {}", listener.name);
    let port = listener.port;
    if let Some(taken) = &listener.taken {
        let by = match &taken.owner {
            Some((pid, name)) => format!("{name} (pid {pid})"),
            None => "another program, which this user may not see,".to_owned(),
        };
        findings.wrong(
            about,
            format!("{by} listens on {} already", taken.at),
            "stop that program, or give this listener another port or address",
        );
        return;
    }
    match (listener.address, listener.is_virtual, listener.is_here) {
        _ if listener.open => findings.ok(about, format!("the daemon listens on port {port}")),
        // With or without net.ipv4.ip_nonlocal_bind.
        (Some(address), true, false) => findings.ok(
            about,
            format!(
                "port {port} is free; nines binds {address} before it is here, whatever \
                 ip_nonlocal_bind says"
            ),
        ),
        (Some(address), false, false) => findings.wrong(
            about,
            format!("it is to listen on {address}, which is on no interface of this machine"),
            "bind it to all addresses (\":80\"), or make this one a virtual IP",
        ),
        _ => findings.ok(about, format!("port {port} is free")),
    }
}
