//! The metrics of virtual addresses.

use std::fmt;

use nines_control::status::{Standing, Status, VirtualIpStatus};
use nines_control::vrrp::Cause;

use super::{Labels, Page, flag};

const STATES: [(&str, Standing); 4] = [
    ("off", Standing::Off),
    ("backup", Standing::Backup),
    ("listening", Standing::Listening),
    ("master", Standing::Master),
];

pub(super) fn families(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let all = &status.virtual_ips;
    let gauge = |value: fn(&VirtualIpStatus) -> f64| all.iter().map(move |one| (of(one), value(one)));
    let counter = |value: fn(&VirtualIpStatus) -> u64| all.iter().map(move |one| (of(one), value(one)));
    page.gauge(
        "nines_virtual_ip_state",
        "1 for what this host is for the virtual address",
        all.iter().flat_map(|one| {
            STATES.map(|(word, state)| {
                (vec![("virtual_ip", one.name.as_str()), ("state", word)], flag(one.state == state))
            })
        }),
    )?;
    page.gauge("nines_virtual_ip_held", "1 while this host has the address", gauge(|one| flag(one.held)))?;
    page.gauge(
        "nines_virtual_ip_priority",
        "What is advertised now: below 20 the host is not well, 0 takes no part",
        gauge(|one| f64::from(one.priority)),
    )?;
    page.gauge(
        "nines_virtual_ip_problems",
        "What is wrong with the address now, as seen from here",
        gauge(|one| one.problems.len() as f64),
    )?;
    page.counter(
        "nines_virtual_ip_taken",
        "Times that this host became the master",
        counter(|one| one.taken),
    )?;
    page.counter(
        "nines_virtual_ip_released",
        "Times that this host ceased to be the master, by cause",
        all.iter().flat_map(|one| {
            Cause::ALL.into_iter().filter_map(|cause| {
                let count = *one.released.get(&cause)?;
                Some((vec![("virtual_ip", one.name.as_str()), ("cause", cause.word())], count))
            })
        }),
    )?;
    page.counter(
        "nines_virtual_ip_conflicts",
        "Times that another master was heard while this host was one",
        counter(|one| one.conflicts),
    )?;
    page.counter(
        "nines_advertisements_sent",
        "Advertisements of the virtual address that this host sent",
        counter(|one| one.sent),
    )?;
    page.counter(
        "nines_advertisements_received",
        "Advertisements of the virtual address that were accepted",
        counter(|one| one.received),
    )?;
    page.counter(
        "nines_advertisements_refused",
        "Packets for the virtual address that were refused, by reason",
        all.iter().flat_map(|one| {
            one.refused.iter().map(|(reason, &count)| {
                (vec![("virtual_ip", one.name.as_str()), ("reason", reason.as_str())], count)
            })
        }),
    )
}

fn of(one: &VirtualIpStatus) -> Labels<'_> {
    vec![("virtual_ip", one.name.as_str())]
}
