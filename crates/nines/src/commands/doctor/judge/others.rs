//! Who else is on the link of a virtual IP: speakers that are no candidates, and whoever answers for the addresses.

use std::net::IpAddr;

use super::peers::{Way, addresses, is_master, refusals, same_addresses, took_over_in_peace};
use super::{Findings, listed};
use crate::commands::doctor::facts::{Daemon, Place, Router, Speaker};

/// Who advertises our router id and is not known as a candidate.
pub(super) fn strangers(router: &Router, ways: &[Way<'_>], findings: &mut Findings) {
    let known =
        |speaker: &Speaker| ways.iter().any(|way| way.speaker.is_some_and(|it| std::ptr::eq(it, speaker)));
    // Link-local addresses are not in the file, nor are those behind DNS names.
    let mut unseen = ways.iter().filter(|way| {
        way.speaker.is_none() && way.peer.address.is_none_or(|address| router.is_v6() || address.is_ipv6())
    });
    for (source, speaker) in &router.heard.speakers {
        if known(speaker) || router.besides.contains(source) {
            continue;
        }
        let id = router.router_id;
        let who = source.to_string();
        if !same_addresses(router, speaker) {
            findings.wrong(
                &router.name,
                format!("another VRRP speaker with our router id {id}: {who}, for {}", addresses(speaker)),
                "give this virtual IP another `router_id`",
            );
        } else if let Some(way) = unseen.next() {
            findings.note(
                &router.name,
                format!(
                    "{who} advertises it with priority {}; it may be {}",
                    speaker.priority, way.peer.host
                ),
            );
            refusals(router, &who, speaker, findings);
        } else {
            findings.warn(
                &router.name,
                format!(
                    "another VRRP speaker with our router id {id}, and for the same addresses: {who}, with priority {}, \
                     which is no candidate of the file",
                    speaker.priority
                ),
                "add that host to the file, or stop what speaks there; if it is another system's, \
                 another `router_id`",
            );
            refusals(router, &who, speaker, findings);
        }
    }
}

/// Who answers when it is asked where the addresses are.
pub(super) fn answers(place: &Place, router: &Router, findings: &mut Findings) {
    if router.heard.asked {
        for address in &router.addresses {
            answered(place, router, *address, findings);
        }
    }
}

fn answered(place: &Place, router: &Router, address: IpAddr, findings: &mut Findings) {
    let about = &router.name;
    let held = router.status.as_ref().is_some_and(|status| status.held);
    let cards = router.heard.answers.get(&address).into_iter().flatten();
    let names: Vec<String> = cards
        .map(|card| match router.heard.cards.get(card) {
            Some(host) => format!("{host} ({card})"),
            None => format!("a machine that is no candidate, or that did not answer for itself ({card})"),
        })
        .collect();
    let all = listed(&names);
    let two =
        "two masters that don't hear each other, or a machine that has the address for good: take it from ";
    match (names.len(), held) {
        (0, true) => findings.ok(about, format!("{address} is answered for by this host alone")),
        (0, false) if matches!(place.daemon, Daemon::Silent(_)) => {
            findings.note(about, format!("nobody else answers for {address}"));
        }
        (0, false) => findings.wrong(
            about,
            format!("nobody answers for {address}"),
            "`nines status` on every candidate says why none holds it",
        ),
        (1, false) => findings.ok(about, format!("{address} is answered for by {all}")),
        (_, false) => findings.wrong(
            about,
            format!("{address} is answered for by several: {all}"),
            format!("{two}all but one"),
        ),
        (1, true) if !is_master(router) => findings
            .ok(about, format!("{address} is answered for by {all}; this host finishes what is connected")),
        (_, true) if took_over_in_peace(router) && router.heard.speakers.is_empty() => findings.note(
            about,
            format!(
                "{address} is answered for by {all} too: after a handover, as long as something is \
                 connected there"
            ),
        ),
        (_, true) => findings.wrong(
            about,
            format!("{address} is answered for by this host and by {all}"),
            format!("{two}the other"),
        ),
    }
}
