//! The shape of what is said of failures: how often, for how long, what fails together, and what of that is accepted.

use super::{DAY, HOUR, LOAD_BALANCER_NAME, SECOND, TEXT_SOURCE, ZONE_NAME, key, millis, whole};
use crate::kind::{Kind, Section, Syntax};

static HOST_NAME: Syntax = Syntax { what: "the name of a host", example: "lb1" };
static WHAT: Syntax = Syntax { what: "a text", example: "switch" };
static REASON: Syntax = Syntax { what: "the reason", example: "there is no second one yet" };

const YEAR: u64 = 365 * DAY;
const SHARE_INSIDE: Kind = Kind::Share { min: 0.0, max: 1.0, exclusive: true };
const ANY_SHARE: Kind = Kind::Share { min: 0.0, max: 1.0, exclusive: false };
const BY_HAND: Kind = millis(SECOND, 30 * DAY);
const PROMOTION: Kind = millis(1, HOUR);

pub(super) const ACCEPTED_KIND: Kind = Kind::Named(&Kind::Text(&REASON));
pub(super) const HOST_MAINTENANCE: Kind = Kind::Either(&[Kind::Table(&MAINTENANCE), Kind::Word(&["none"])]);

pub(crate) static FAILING: Section = Section {
    what: "what is said of failures",
    about: "How often something fails by itself, and for how long: by the share of time in which it works, or by the time from \
            failure to failure; one of the two.",
    keys: &[
        key("availability", SHARE_INSIDE, "The share of time in which it works.")
            .otherwise("as `every` says"),
        key("every", millis(HOUR, 100 * YEAR), "The time from failure to failure, on average.")
            .also(&["mtbf", "fails_every"])
            .otherwise("as `availability` says"),
        key("repair", millis(SECOND, YEAR), "How long a failure lasts, on average.")
            .also(&["mttr", "lasts"])
            .otherwise("as is assumed of its kind"),
        key("source", Kind::Text(&TEXT_SOURCE), "Where these figures come from.")
            .otherwise("the system file"),
    ],
};

pub(crate) static ASSUMPTIONS: Section = Section {
    what: "assumptions",
    about: "What `nines audit` and `nines simulate` take for granted about failures. What is not said has a default, which is \
            shown with where it comes from (docs/availability.md).",
    keys: &[
        key("host", Kind::Table(&FAILING), "How often a host fails by itself.").otherwise("99.9 %, 4 h"),
        key("zone", Kind::Table(&FAILING), "The same for a zone as a whole.")
            .otherwise("99.9 %; half are over in 1.9 h, 95 of 100 in 21.8 h"),
        key("region", Kind::Table(&FAILING), "The same for a region as a whole.")
            .otherwise("once in fifty years"),
        key("shared", Kind::Table(&FAILING), "The same for things that hosts share.")
            .otherwise("99.99 %, 2 h"),
        key("change", Kind::Table(&FAILING), "How often somebody changes something that breaks everything.")
            .otherwise("once in two years, half an hour"),
        key(
            "common_cause",
            Kind::Either(&[ANY_SHARE, Kind::Table(&SHARE_FIGURE)]),
            "The share of a host's failures that takes all hosts of a redundant group.",
        )
        .also(&["beta"])
        .otherwise("1 %"),
        key(
            "coverage",
            Kind::Either(&[ANY_SHARE, Kind::Table(&SHARE_FIGURE)]),
            "The share of failovers that come about by themselves.",
        )
        .otherwise("95 %, until it is rehearsed"),
        key(
            "by_hand",
            Kind::Either(&[BY_HAND, Kind::Table(&BY_HAND_FIGURE)]),
            "Until a person has done what a failover did not.",
        )
        .otherwise("half an hour"),
        key(
            "promotion",
            Kind::Either(&[PROMOTION, Kind::Table(&PROMOTION_FIGURE)]),
            "How long a standby takes to be the primary once it may.",
        )
        .otherwise("2 s"),
        key(
            "crew",
            whole(1, 10_000),
            "How many hosts are repaired at one time. Only `simulate` knows of it.",
        )
        .otherwise("as many as have failed"),
    ],
};

pub(crate) static SHARE_FIGURE: Section = Section {
    what: "a share",
    about: "A share, and where it comes from. The share alone is the short form.",
    keys: &[
        key("value", ANY_SHARE, "The share that is assumed.").required(),
        key("source", Kind::Text(&TEXT_SOURCE), "Where it comes from.").otherwise("the system file"),
    ],
};

pub(crate) static BY_HAND_FIGURE: Section = Section {
    what: "a time",
    about: "A time, and where it comes from. The time alone is the short form.",
    keys: &[
        key("value", BY_HAND, "The time that is assumed.").required(),
        key("source", Kind::Text(&TEXT_SOURCE), "Where it comes from.").otherwise("the system file"),
    ],
};

pub(crate) static PROMOTION_FIGURE: Section = Section {
    what: "a time",
    about: "A time, and where it comes from. The time alone is the short form.",
    keys: &[
        key("value", PROMOTION, "The time that is assumed.").required(),
        key("source", Kind::Text(&TEXT_SOURCE), "Where it comes from.").otherwise("the system file"),
    ],
};

pub(crate) static MAINTENANCE: Section = Section {
    what: "maintenance",
    about: "Work on a host that is planned: one host of a group at a time, after its work was given to others. For `audit` and \
            `simulate`; nines does not do it by itself.",
    keys: &[
        key("every", millis(HOUR, 100 * YEAR), "From the end of one to the beginning of the next.")
            .required(),
        key("takes", millis(SECOND, 30 * DAY), "How long the host is away; shorter than `every`.").required(),
    ],
};

pub(crate) static SHARED: Section = Section {
    what: "a shared thing",
    about: "Something that several hosts or zones have in common and fail with: a switch, a power line, an uplink, a \
            certificate, a provider. It serves only for `audit` and `simulate`.",
    keys: &[
        key("what", Kind::Text(&WHAT), "What it is: `switch`, `power`, `uplink`, `certificate`, `provider`.")
            .also(&["kind", "type"])
            .otherwise("`shared thing`"),
        key("hosts", Kind::List(&Kind::Text(&HOST_NAME)), "The hosts that fail with it.")
            .otherwise("those of `zones`"),
        key("zones", Kind::List(&Kind::Text(&ZONE_NAME)), "The zones whose hosts fail with it.")
            .otherwise("none"),
        key("failures", Kind::Table(&FAILING), "How often it fails.")
            .otherwise("as `assumptions.shared` says"),
    ],
};

pub(crate) static DNS_NAME: Section = Section {
    what: "a name",
    about: "A DNS name by which clients find load balancers, one address for each. Somebody else serves it; this says how, for \
            `audit` and `simulate`.",
    keys: &[
        key(
            "load_balancers",
            Kind::List(&Kind::Text(&LOAD_BALANCER_NAME)),
            "Those that it leads to, the preferred one first.",
        )
        .also(&["targets", "addresses"])
        .required(),
        key("ttl", millis(0, 7 * DAY), "How long clients keep an answer.").or("1min"),
        key("checked", Kind::Flag, "Answers follow health: what does not serve is no answer any more.")
            .or("false"),
        key("notice", millis(0, DAY), "With `checked`: how long until answers change.").or("30s"),
        key(
            "retry",
            Kind::Flag,
            "Clients get all addresses, and by themselves try another one when one does not answer.",
        )
        .or("false"),
    ],
};
