//! The shape of a load balancer's virtual addresses.

use super::{HOST_NAME, HOUR, NAME, SECOND, key, millis, whole};
use crate::kind::{Kind, Section, Syntax};

static VIRTUAL_ADDRESS: Syntax = Syntax { what: "an IP address", example: "10.0.1.100" };
static PEER: Syntax = Syntax { what: "an IP address", example: "10.0.1.2" };
static INTERFACE: Syntax = Syntax { what: "the name of a network interface", example: "eth0" };
static PASSWORD: Syntax = Syntax { what: "1 to 8 ASCII characters without blanks", example: "secret" };
static KEY: Syntax =
    Syntax { what: "32 to 64 ASCII characters without blanks", example: "a-long-text-that-nobody-can-guess" };

/// A list of these under `virtual_ips`.
pub(crate) const VIRTUAL_IP_KIND: Kind =
    Kind::Either(&[Kind::Text(&VIRTUAL_ADDRESS), Kind::Table(&VIRTUAL_IP)]);

pub(crate) static VIRTUAL_IP: Section = Section {
    what: "a virtual IP",
    about: "Addresses that one of the load balancer's hosts answers on, and another one when that can't: a virtual \
            router that speaks VRRP. Its hosts stand on one network segment. `\"10.0.1.100\"` alone is the short form.",
    keys: &[
        key(
            "address",
            Kind::Either(&[Kind::Text(&VIRTUAL_ADDRESS), Kind::List(&Kind::Text(&VIRTUAL_ADDRESS))]),
            "The address, or up to 20 of one family that move together. No host has them as its own.",
        )
        .also(&["addresses", "ip"])
        .required(),
        key("hosts", Kind::List(&Kind::Text(&HOST_NAME)), "Who may hold it, the most preferred first.")
            .otherwise("the load balancer's hosts in their order"),
        key(
            "priorities",
            Kind::Named(&whole(20, 254)),
            "The same with VRRP priorities, the highest preferred; hosts that it doesn't name don't take part. \
             In place of `hosts`.",
        )
        .otherwise("200 for the first host, then 10 less for each"),
        key("interface", Kind::Text(&INTERFACE), "Where it is held.")
            .otherwise("the interface with an address of the same subnet, or else with the host's own"),
        key("router_id", whole(1, 255), "The virtual router's number on the wire (VRID).")
            .also(&["vrid", "virtual_router_id"])
            .otherwise("the first address's last byte; 255 for 0"),
        key("version", whole(2, 3), "The version of VRRP. Version 2 is for IPv4 among old peers.").or("3"),
        key(
            "interval",
            millis(10, 255 * SECOND),
            "From advertisement to advertisement: whole hundredths of a second up to 40950ms; in version 2 whole \
             seconds.",
        )
        .also(&["advert_int", "advertisement_interval"])
        .otherwise("`\"100ms\"`; `\"1s\"` in version 2"),
        key("preempt", Kind::Flag, "A preferred host that comes back takes over from one that serves.")
            .or("true"),
        key("preempt_delay", millis(0, HOUR), "How long it waits before that.").or("0s"),
        key(
            "unicast",
            Kind::Either(&[Kind::Flag, Kind::List(&Kind::Text(&PEER))]),
            "Advertisements go to the other hosts one by one, and to these addresses besides, where the network drops \
             multicast.",
        )
        .or("false"),
        key(
            "checksum",
            Kind::Word(&["pseudo-header", "plain"]),
            "Version 3 over IPv4: how checksums are sent; either is understood. `plain`: as RFC 9568, Cisco and \
             Juniper do; `pseudo-header`: as keepalived and FRR do.",
        )
        .or("pseudo-header"),
        key("password", Kind::Text(&PASSWORD), "Version 2: goes along in clear text, for old peers.")
            .otherwise("none"),
        key(
            "keys",
            Kind::List(&Kind::Table(&VRRP_KEY)),
            "1 to 8 keys that prove where advertisements come from (HMAC-SHA256, as keepalived's `auth_hmac`). The \
             first signs, each is accepted.",
        )
        .otherwise("none"),
        key(
            "group",
            Kind::Text(&NAME),
            "Virtual IPs of one group are always on the same host. They have the same hosts, priorities and \
             preemption.",
        )
        .otherwise("none"),
    ],
};

pub(crate) static VRRP_KEY: Section = Section {
    what: "a key",
    about: "A secret that the hosts of a virtual IP share.",
    keys: &[
        key("id", whole(1, 255), "Its number on the wire.").required(),
        key("key", Kind::Text(&KEY), "The secret itself, the same on every peer.").required(),
    ],
};
