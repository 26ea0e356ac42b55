//! Privileges, limits, kernel and clock.

use std::time::Duration;

use nines_system::VrrpAuthentication;

use super::{Findings, Level};
use crate::commands::doctor::facts::{Facts, Machine, Place};

/// A capability: its bit, its name, what it is for.
struct Capability {
    bit: u8,
    name: &'static str,
    purpose: &'static str,
}

const BIND: Capability =
    Capability { bit: 10, name: "CAP_NET_BIND_SERVICE", purpose: "to listen on low ports" };
const ADMIN: Capability =
    Capability { bit: 12, name: "CAP_NET_ADMIN", purpose: "to put virtual addresses on an interface" };
const RAW: Capability = Capability { bit: 13, name: "CAP_NET_RAW", purpose: "to speak VRRP and ARP" };
const NICE: Capability =
    Capability { bit: 23, name: "CAP_SYS_NICE", purpose: "to advertise in time on a busy machine" };

/// Kernels, and what came with them that nines uses.
const SILENCE: ((u32, u32), &str) = (
    (4, 6),
    "a planned handover keeps connections only from Linux 4.6 on (SO_ATTACH_REUSEPORT_CBPF for TCP)",
);
const VRRP_V6: ((u32, u32), &str) = ((4, 20), "VRRP over IPv6 needs Linux 4.20 (IPV6_MULTICAST_ALL)");
const ONE_WAY: ((u32, u32), &str) =
    ((5, 18), "rehearsals can't cut a host off in one direction before Linux 5.18 (bridge port locking)");

/// How wrong a clock may be before signed advertisements are refused, at short intervals.
const REPLAY: Duration = Duration::from_secs(5);

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    privileges(facts, findings);
    open_files(facts, findings);
    kernel(facts, findings);
    clock(facts, findings);
    match &facts.machine.no_rehearsal {
        None => findings.ok("rehearsals", "`nines rehearse` may make its namespaces here"),
        Some(why) => findings.note("rehearsals", format!("`nines rehearse` can't run here: {why}")),
    }
}

fn whose(machine: &Machine) -> String {
    match machine.privileges.daemon {
        Some(pid) => format!("the running daemon (pid {pid})"),
        None => "this user".to_owned(),
    }
}

fn has(machine: &Machine, capability: &Capability) -> bool {
    machine.privileges.effective & (1 << capability.bit) != 0
}

/// All that is needed in one go: `setcap` replaces what was set before.
fn allow(needed: &[&Capability]) -> String {
    let names: Vec<&str> = needed.iter().map(|capability| capability.name).collect();
    format!(
        "run as root, or allow it: systemd `AmbientCapabilities={}`, else `setcap {}+ep $(which nines)`",
        names.join(" "),
        names.join(",").to_lowercase()
    )
}

fn privileges(facts: &Facts, findings: &mut Findings) {
    let machine = &facts.machine;
    let low_port = facts.place.as_ref().and_then(|place| {
        place.listeners.iter().map(|it| it.port).filter(|&port| port < machine.first_free_port).min()
    });
    let virtual_ips = facts.place.as_ref().is_some_and(|place| !place.routers.is_empty());
    let whose = whose(machine);
    let wanted = [(&ADMIN, virtual_ips), (&RAW, virtual_ips), (&BIND, low_port.is_some())];
    let needed: Vec<&Capability> = wanted.iter().filter(|(_, needed)| *needed).map(|(it, _)| *it).collect();
    for (capability, needed_here) in wanted {
        let Capability { name, purpose, .. } = capability;
        if has(machine, capability) {
            findings.ok("privileges", format!("{whose} has {name}, {purpose}"));
        } else if !needed_here {
            findings.note(
                "privileges",
                format!("{whose} lacks {name}, {purpose}; not needed for what was asked"),
            );
        } else if let Some(port) = low_port.filter(|_| capability.bit == BIND.bit) {
            findings.wrong(
                "privileges",
                format!("{whose} lacks {name}, {purpose}: the file wants port {port}"),
                format!(
                    "{}; or let low ports begin there: `sysctl net.ipv4.ip_unprivileged_port_start={port}`",
                    allow(&needed)
                ),
            );
        } else {
            findings.wrong("privileges", format!("{whose} lacks {name}, {purpose}"), allow(&needed));
        }
    }
    let realtime = machine.privileges.realtime;
    if has(machine, &NICE) {
        findings.ok("privileges", format!("{whose} has {}, {}", NICE.name, NICE.purpose));
    } else if realtime > 0 {
        findings
            .ok("privileges", format!("{whose} may take real-time priority {realtime}, {}", NICE.purpose));
    } else {
        let what = format!("{whose} may take no real-time priority, {}; it goes on without", NICE.purpose);
        let advice = "systemd `LimitRTPRIO=10`, or CAP_SYS_NICE".to_owned();
        findings.add(Level::Note, "privileges", what, virtual_ips.then_some(advice));
    }
}

fn open_files(facts: &Facts, findings: &mut Findings) {
    let allowed = facts.machine.privileges.open_files;
    let Some(allowed) = allowed else {
        return findings.ok("open files", "no limit that is known");
    };
    match facts.place.as_ref().filter(|place| place.is_load_balancer).map(|place| place.open_files_needed) {
        None => {
            findings.note("open files", format!("{allowed} may be open; each client connection takes two"));
        }
        Some(needed) if needed <= allowed => {
            findings.ok(
                "open files",
                format!(
                    "{allowed} may be open, and the listeners may need \
             {needed}"
                ),
            );
        }
        Some(needed) => findings.warn(
            "open files",
            format!(
                "{allowed} may be open, but the listeners may need {needed}: some clients would be refused"
            ),
            format!("systemd `LimitNOFILE={needed}`, `ulimit -Hn`, or less `connections` in the file"),
        ),
    }
}

/// `None` where a release is written in a way that is not known.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(facts: &Facts, findings: &mut Findings) {
    let machine = &facts.machine;
    let routers = facts.place.as_ref().map(|place| place.routers.as_slice()).unwrap_or_default();
    let older = |than: (u32, u32)| version(&machine.kernel).is_some_and(|version| version < than);
    let mut fine = true;
    let mut lacks = |(since, what): ((u32, u32), &str), level: Level| {
        if older(since) {
            fine = false;
            let advice = (level > Level::Note).then(|| "a newer kernel".to_owned());
            findings.add(level, "kernel", format!("Linux {}: {what}", machine.kernel), advice);
        }
    };
    let v6 = routers.iter().any(super::super::facts::Router::is_v6);
    lacks(VRRP_V6, if v6 { Level::Wrong } else { Level::Note });
    lacks(SILENCE, if routers.is_empty() { Level::Note } else { Level::Warning });
    lacks(ONE_WAY, Level::Note);
    if fine {
        findings.ok("kernel", format!("Linux {} has all that nines uses", machine.kernel));
    }
    match machine.resets {
        Some(true) => findings.ok("kernel", "connections of a lost address can be reset (SOCK_DESTROY)"),
        Some(false) if routers.is_empty() => {
            findings.note("kernel", "connections can't be reset (built without CONFIG_INET_DIAG_DESTROY)");
        }
        Some(false) => findings.warn(
            "kernel",
            "connections of a lost address can't be reset, so their clients may wait for a time-out",
            "a kernel with CONFIG_INET_DIAG_DESTROY and the module tcp_diag",
        ),
        None => findings.note("kernel", "whether connections can be reset could not be tried"),
    }
}

fn clock(facts: &Facts, findings: &mut Findings) {
    let keys = facts.place.as_ref().is_some_and(signs);
    let need = if keys {
        "advertisements are signed with the time, and refused where clocks disagree"
    } else {
        "only signed advertisements (`keys`) and the order of logs go by it"
    };
    let keep = "run chrony, systemd-timesyncd or ntpd on every host";
    match facts.machine.clock {
        None => findings.note(
            "clock",
            format!(
                "the kernel does not tell whether it is kept right; \
         {need}"
            ),
        ),
        Some(clock) if clock.synchronised && clock.error <= REPLAY => {
            findings.ok("clock", format!("synchronised, to {} ms or better", clock.error.as_millis()));
        }
        Some(clock) => {
            let state = if clock.synchronised {
                format!("may be wrong by {} s", clock.error.as_secs())
            } else {
                "nothing keeps it right".to_owned()
            };
            let level = if keys { Level::Warning } else { Level::Note };
            findings.add(level, "clock", format!("{state}; {need}"), keys.then(|| keep.to_owned()));
        }
    }
    let Some(place) = &facts.place else { return };
    // As the authentication has it: three intervals, five seconds at least.
    let longest = place.routers.iter().map(|router| 3 * router.interval).max().unwrap_or_default();
    let bound = i64::try_from(longest.max(REPLAY).as_millis()).unwrap_or(i64::MAX);
    for (host, ahead) in &place.clocks {
        let off = ahead.saturating_abs();
        if off < 1000 {
            continue;
        }
        let way = if *ahead > 0 { "ahead of" } else { "behind" };
        let what = format!("{host}'s clock is {}.{} s {way} this one", off / 1000, off % 1000 / 100);
        if keys && off >= bound {
            findings.wrong("clock", format!("{what}: signed advertisements are refused"), keep);
        } else if keys {
            findings.warn("clock", format!("{what}; {need}"), keep);
        } else {
            findings.note("clock", format!("{what}; {need}"));
        }
    }
}

fn signs(place: &Place) -> bool {
    place.routers.iter().any(|router| matches!(router.authentication, VrrpAuthentication::Keys(_)))
}
