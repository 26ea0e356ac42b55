//! The shape of the system file, said once.
//!
//! The reader takes its known keys, bounds and defaults from here, and so do the JSON Schema and the reference in
//! `docs/system-file.md`: none of them can know a key that another does not.

mod databases;
mod failures;
mod virtual_ips;

use std::time::Duration;

pub(crate) use databases::{
    COORDINATION, DATABASE, DATABASE_USER, EMBEDDED, ETCD_TLS, ETCD_USER_TABLE, GATE_TLS, SECRET_FILE,
};
pub(crate) use failures::{
    ASSUMPTIONS, BY_HAND_FIGURE, DNS_NAME, FAILING, MAINTENANCE, PROMOTION_FIGURE, SHARE_FIGURE, SHARED,
};
pub(crate) use virtual_ips::{VIRTUAL_IP, VRRP_KEY};

use crate::kind::{Absent, Key, Kind, Section, Syntax};

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, about, absent: Absent::Words("nothing"), also: &[] }
}

const fn whole(min: u64, max: u64) -> Kind {
    Kind::Whole { min, max }
}

const fn millis(min: u64, max: u64) -> Kind {
    Kind::Time { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;
const ANY_SHARE: Kind = Kind::Share { min: 0.0, max: 1.0, exclusive: false };
const CONNECTIONS: Kind = whole(1, 10_000_000);
const LOAD: Kind = whole(1, 1_000_000_000);
const PORT: Kind = whole(1, 65_535);

static NAME: Syntax = Syntax { what: "a name", example: "shop" };
static ZONE_NAME: Syntax = Syntax { what: "the name of a zone", example: "a" };
static HOST_NAME: Syntax = Syntax { what: "the name of a host", example: "lb1" };
static LOAD_BALANCER_NAME: Syntax = Syntax { what: "the name of a load balancer", example: "front" };
static TEXT_SOURCE: Syntax = Syntax { what: "a text", example: "our own records" };
static POOL_NAME: Syntax = Syntax { what: "the name of a pool", example: "web" };
static DATABASE_NAME: Syntax = Syntax { what: "the name of a database", example: "orders" };
static ADDRESS: Syntax = Syntax { what: "an IP address or a DNS name", example: "10.0.1.21" };
static MEMBER: Syntax = Syntax { what: "a host and a port", example: "app1:8080" };
static BIND: Syntax = Syntax { what: "an address and a port, or a port alone", example: ":80" };
static SOCKET: Syntax = Syntax { what: "an IP address and a port", example: "127.0.0.1:9009" };
static LOG: Syntax = Syntax { what: "`stdout` or an absolute path", example: "/var/log/nines/access.log" };
static NETWORK: Syntax = Syntax { what: "a network", example: "10.0.0.0/8" };
static HOST_PATTERN: Syntax =
    Syntax { what: "a host name, `*.` and its ending, or `*` for any", example: "*.shop.example" };
static PATH: Syntax = Syntax { what: "a path that begins with a slash", example: "/api" };
static STATUS: Syntax = Syntax { what: "an HTTP status or a range of them", example: "200-399" };
static PROBE_PATH: Syntax = Syntax { what: "a path that begins with a slash", example: "/healthz" };
static TEXT: Syntax = Syntax { what: "a text", example: "ok" };
static HOST_HEADER: Syntax = Syntax { what: "a host name", example: "shop.example" };
static WORD: Syntax = Syntax { what: "a word", example: "./app" };
static HASH_KEY: Syntax =
    Syntax { what: "`client-address`, `header:NAME` or `cookie:NAME`", example: "cookie:session" };
static COMMAND: Syntax = Syntax { what: "a command line without quotes", example: "./app --port {port}" };

const COMMAND_KIND: Kind = Kind::Either(&[Kind::Text(&COMMAND), Kind::List(&Kind::Text(&WORD))]);

pub(crate) static SYSTEM: Section = Section {
    what: "the system file",
    about: "The whole service: one file, the same on every host.",
    keys: &[
        key("name", Kind::Text(&NAME), "What the system is called in reports.").required(),
        key(
            "objective",
            Kind::Share { min: 0.0, max: 1.0, exclusive: true },
            "The share of time in which the service must answer.",
        )
        .also(&["slo", "sla", "availability"])
        .or("99.9 %"),
        key(
            "zones",
            Kind::Either(&[Kind::Named(&Kind::Table(&ZONE)), Kind::List(&Kind::Text(&ZONE_NAME))]),
            "Failure domains: availability zones or datacentres.",
        )
        .also(&["datacenters", "datacentres", "failure_domains"])
        .otherwise("one zone, named `default`, with every host in it"),
        key(
            "hosts",
            Kind::Named(&Kind::Either(&[Kind::Table(&HOST), Kind::Text(&ADDRESS)])),
            "Machines, each running one `nines`. An address alone is enough where there is one zone.",
        )
        .also(&["nodes", "machines", "servers"])
        .required(),
        key(
            "load_balancers",
            Kind::Named(&Kind::Table(&LOAD_BALANCER)),
            "Hosts that receive client traffic, and what they do with it.",
        )
        .also(&["frontends", "frontend", "proxies", "lb"])
        .otherwise("none"),
        key("pools", Kind::Named(&Kind::Table(&POOL)), "Interchangeable application servers, all active.")
            .also(&["backends", "backend", "upstreams", "upstream"])
            .otherwise("none"),
        key("databases", Kind::Named(&Kind::Table(&DATABASE)), "PostgreSQL with failover.")
            .also(&["postgresql", "postgres", "clusters"])
            .otherwise("none"),
        key("coordination", Kind::Table(&COORDINATION), "Where the hosts of databases agree.")
            .also(&["dcs", "etcd", "etcd3", "consensus"])
            .otherwise("none; needed as soon as there is a database"),
        key("maintenance", Kind::Table(&MAINTENANCE), "What is planned for each host that says nothing else.")
            .otherwise("none"),
        key("names", Kind::Named(&Kind::Table(&DNS_NAME)), "DNS names by which clients find load balancers.")
            .also(&["dns_names", "domains"])
            .otherwise("none: clients know the addresses of each load balancer, and need each"),
        key("shared", Kind::Named(&Kind::Table(&SHARED)), "What hosts or zones share, and fail with.")
            .also(&["common", "shared_risks"])
            .otherwise("none"),
        key("assumptions", Kind::Table(&ASSUMPTIONS), "What is taken for granted about failures.")
            .also(&["assumed", "rates"])
            .otherwise("defaults"),
        key(
            "accepted",
            failures::ACCEPTED_KIND,
            "Single points of failure that are accepted, each with the reason; called as `nines audit` calls them: `host lb1`, \
             `zone a`, `region x`, `shared sw1`, `coordination member 10.9.0.31:2379`.",
        )
        .also(&["accept", "acknowledged"])
        .otherwise("none"),
        key("caches", Kind::Later, "Failover for Redis or Valkey."),
        key("services", Kind::Later, "Single processes that one host of several runs."),
        key("dns", Kind::Later, "Health-checked DNS answers."),
    ],
};

pub(crate) static ZONE: Section = Section {
    what: "a zone",
    about: "A failure domain: what can fail together. Without `[zones]` there is one, named `default`.",
    keys: &[key("region", Kind::Text(&NAME), "The region that groups it with other zones.").otherwise("none")],
};

pub(crate) static HOST: Section = Section {
    what: "a host",
    about: "A machine with an address, in one zone.",
    keys: &[
        key(
            "zone",
            Kind::Text(&ZONE_NAME),
            "The zone that it stands in. Needed as soon as there is more than one.",
        )
        .otherwise("the only zone"),
        key(
            "address",
            Kind::Text(&ADDRESS),
            "Where other hosts reach it. A DNS name is looked up again and again; the last good answer stays.",
        ).also(&["ip", "addr"])
        .required(),
        key("failures", Kind::Table(&FAILING), "How often it fails by itself.")
            .otherwise("as `assumptions.host` says"),
        key("maintenance", failures::HOST_MAINTENANCE, "What is planned for it. `\"none\"`: nothing.")
            .otherwise("as `maintenance` at the top of the file says"),
    ],
};

pub(crate) static LOAD_BALANCER: Section = Section {
    what: "a load balancer",
    about: "Hosts that receive client traffic. Each of them does the same.",
    keys: &[
        key("hosts", Kind::List(&Kind::Text(&HOST_NAME)), "The hosts that it runs on.").required(),
        key("listeners", Kind::List(&Kind::Table(&LISTENER)), "Where clients connect.")
            .also(&["ports", "listen"])
            .required(),
        key(
            "admin",
            Kind::Text(&SOCKET),
            "Where `/status`, `/events` and `/metrics` are served over HTTP, besides the Unix socket.",
        )
        .otherwise("the Unix socket only"),
        key("workers", whole(1, 1024), "Worker threads.").otherwise("one for each core"),
        key("access_log", Kind::Text(&LOG), "Where a JSON line about each request goes.")
            .otherwise("nowhere"),
        key("drain", millis(0, DAY), "How long a stopping load balancer waits for work in flight.").or("30s"),
        key(
            "virtual_ips",
            Kind::List(&virtual_ips::VIRTUAL_IP_KIND),
            "Addresses that move to a host that serves.",
        )
        .also(&["vips", "virtual_ip", "vip", "virtual_addresses"])
        .otherwise("none"),
    ],
};

pub(crate) static LISTENER: Section = Section {
    what: "a listener",
    about: "A port on which clients are served, and where their requests go.",
    keys: &[
        key("name", Kind::Text(&NAME), "What status and metrics call it.")
            .otherwise("protocol and port: `http-80`"),
        key("bind", Kind::Text(&BIND), "A port of every address (`:80`), or of one (`10.0.1.10:80`).").also(&["listen", "port", "address"]).required(),
        key("protocol", Kind::Word(&["http", "tcp"]), "What is spoken.")
            .also(&["mode"])
            .otherwise("`\"http\"`; `\"tcp\"` with `database`"),
        key("pool", Kind::Text(&POOL_NAME), "The pool that gets everything that no route takes.")
            .otherwise("only what a route takes is served"),
        key("database", Kind::Text(&DATABASE_NAME), "TCP: the database that gets everything, in place of `pool`.")
            .also(&["db"])
            .otherwise("none"),
        key(
            "access",
            Kind::Word(&["read-write", "read-only"]),
            "With `database`: `read-write`: the primary; `read-only`: a standby that is no further behind than the \
             database's `lag`, or the primary.",
        )
        .or("read-write"),
        key("routes", Kind::List(&Kind::Table(&ROUTE)), "HTTP: which requests go to which pool.")
            .otherwise("none"),
        key("accept_proxy", Kind::Flag, "Each connection must begin with a PROXY protocol header (v1 or v2).")
            .or("false"),
        key(
            "trust_forwarded",
            Kind::Either(&[Kind::Flag, Kind::List(&Kind::Text(&NETWORK))]),
            "HTTP: whose `X-Forwarded-*` and `Forwarded` are kept and appended to; from others they are replaced.",
        )
        .or("false"),
        key("timeouts", Kind::Table(&LISTENER_TIMEOUTS), "HTTP: how long a client may take.")
            .otherwise("their defaults"),
        key("limits", Kind::Table(&LISTENER_LIMITS), "How much a client may send.").otherwise("their defaults"),
        key("idle", millis(1, 7 * DAY), "TCP: a connection on which nobody says anything this long is closed.")
            .otherwise("`\"10min\"`; `\"7d\"` with `database`, whose clients keep connections for later"),
    ],
};

pub(crate) static LISTENER_TIMEOUTS: Section = Section {
    what: "a listener's timeouts",
    about: "How long an HTTP client may take.",
    keys: &[
        key("head", millis(1, HOUR), "From a request's first byte to the end of its head.").or("10s"),
        key("idle", millis(1, DAY), "A kept-alive connection without a request.").or("60s"),
        key("stall", millis(1, DAY), "Without progress in reading a body or writing a reply.").or("30s"),
    ],
};

pub(crate) static LISTENER_LIMITS: Section = Section {
    what: "a listener's limits",
    about: "How much clients may send at one time.",
    keys: &[
        key("connections", CONNECTIONS, "Client connections at one time; further ones wait in the kernel.")
            .or("20000"),
        key(
            "head_bytes",
            Kind::Size { min: 1024, max: 64 << 10 },
            "HTTP: bytes of a request's or a reply's head.",
        )
        .or("32KiB"),
        key("headers", whole(1, 256), "HTTP: header lines in a head.").or("100"),
    ],
};

pub(crate) static ROUTE: Section = Section {
    what: "a route",
    about: "Requests that go to one pool. The most specific route wins, whatever the order: an exact host before \
            `*.suffix` before any; then the longest path.",
    keys: &[
        key("host", Kind::Text(&HOST_PATTERN), "The host that the request is for.").or("*"),
        key(
            "path",
            Kind::Text(&PATH),
            "Path prefix, on borders of segments: `/api` takes `/api` and `/api/x`, not `/apix`.",
        )
        .or("/"),
        key("pool", Kind::Text(&POOL_NAME), "Where they go.").required(),
        key(
            "repeat",
            Kind::Word(&["idempotent", "any-method"]),
            "What may be repeated on another member after bytes of it were written.",
        )
        .or("idempotent"),
    ],
};

pub(crate) static POOL: Section = Section {
    what: "a pool",
    about: "Interchangeable application servers, all active: its members share the work.",
    keys: &[
        key(
            "members",
            Kind::List(&Kind::Either(&[Kind::Text(&MEMBER), Kind::Table(&MEMBER_TABLE)])),
            "The servers: a host of `[hosts]` and a port.",
        ).also(&["servers", "backends", "upstreams", "targets"])
        .required(),
        key(
            "check",
            Kind::Either(&[Kind::Table(&CHECK), Kind::Word(&["tcp", "none"])]),
            "How each member is probed. `\"none\"`: health is what the traffic says.",
        ).also(&["health", "health_check", "healthcheck", "checks"])
        .or("tcp"),
        key(
            "passive",
            Kind::Either(&[Kind::Table(&PASSIVE), Kind::Flag]),
            "How the traffic itself judges members. `false`: not at all.",
        ).also(&["outlier_detection", "ejection"])
        .or("true"),
        key(
            "balance",
            Kind::Either(&[Kind::Word(&["least-requests", "round-robin"]), Kind::Table(&BALANCE)]),
            "Who gets the next request. `least-requests`: the less busy of two picked at random.",
        ).also(&["algorithm", "strategy", "lb_policy"])
        .or("least-requests"),
        key("minimum_healthy", ANY_SHARE, "With a smaller share of members up, `when_too_few` applies.")
            .or("50 %"),
        key(
            "when_too_few",
            Kind::Word(&["serve-all", "refuse"]),
            "Send to every member, healthy or not, or answer 503.",
        )
        .or("serve-all"),
        key("needs", whole(1, 10_000), "How many members it takes to carry the peak. For `audit` and `simulate`.")
            .also(&["needed", "required"])
            .otherwise("one member"),
        key(
            "peak",
            LOAD,
            "With `member_peak`, in place of `needs`: the most that comes, in requests a second (or anything else, if both \
             are in it).",
        )
        .otherwise("not said"),
        key("member_peak", LOAD, "The most that a member of weight 1 carries; one of weight 2 carries twice that.")
            .also(&["member_capacity", "capacity"])
            .otherwise("not said"),
        key("slow_start", millis(0, HOUR), "Over this time a member that came back grows to its full share.")
            .or("10s"),
        key("retries", Kind::Table(&RETRIES), "When a request is tried on another member.")
            .otherwise("their defaults"),
        key("limits", Kind::Table(&POOL_LIMITS), "How much the pool takes at one time.")
            .otherwise("their defaults"),
        key("timeouts", Kind::Table(&POOL_TIMEOUTS), "How long members may take.").otherwise("their defaults"),
        key("drain", millis(0, DAY), "How long WebSockets and long replies may go on on a draining member.")
            .or("30s"),
        key("send_proxy", Kind::Word(&["v1", "v2"]), "The PROXY protocol that members are spoken to with.")
            .otherwise("none"),
        key(
            "command",
            COMMAND_KIND,
            "What `nines rehearse` runs as a member: words; `{host}`, `{address}` and `{port}` are filled in.",
        )
        .otherwise("a built-in stand-in server"),
    ],
};

pub(crate) static MEMBER_TABLE: Section = Section {
    what: "a member",
    about: "One server of a pool. `\"app1:8080\"` alone is the short form.",
    keys: &[
        key("address", Kind::Text(&MEMBER), "A host of `[hosts]` and a port.").required(),
        key("weight", whole(1, 100), "Its share relative to the others.").or("1"),
        key("backup", Kind::Flag, "Gets traffic only when no other member can.").or("false"),
        key("connections", CONNECTIONS, "Requests (HTTP) or connections (TCP) at one time.")
            .otherwise("the pool's `limits.member_connections`"),
    ],
};

pub(crate) static CHECK: Section = Section {
    what: "a check",
    about: "A probe (`http`, `command`, or `tcp` when neither is there), and the rule that turns probes into health.",
    keys: &[
        key("http", Kind::Text(&PROBE_PATH), "Probe by GET of this path.")
            .also(&["path", "url", "uri"])
            .otherwise("no HTTP probe"),
        key("tcp", Kind::Flag, "Probe by a TCP connect.").otherwise("true where there is no other probe"),
        key(
            "command",
            COMMAND_KIND,
            "Probe by a command: exit 0 is good; `{host}`, `{address}` and `{port}` are filled in.",
        )
        .otherwise("no command"),
        key(
            "status",
            Kind::Either(&[
                Kind::Text(&STATUS),
                Kind::Whole { min: 100, max: 599 },
                Kind::List(&Kind::Either(&[Kind::Text(&STATUS), Kind::Whole { min: 100, max: 599 }])),
            ]),
            "With `http`: the statuses that are good.",
        )
        .or("200-399"),
        key("body", Kind::Text(&TEXT), "With `http`: what the first 64 KiB of the body must contain.")
            .otherwise("not looked at"),
        key("host", Kind::Text(&HOST_HEADER), "With `http`: the Host header.").otherwise("the member's name"),
        key("interval", millis(10, HOUR), "From probe to probe.").or("1s"),
        key(
            "fast_interval",
            millis(10, HOUR),
            "The same while health is unknown or changing; at most `interval`.",
        )
        .or("200ms"),
        key("timeout", millis(1, HOUR), "A probe without an answer this long is bad; at most `interval`.")
            .or("500ms"),
        key(
            "jitter",
            ANY_SHARE,
            "Share of the interval by which each wait varies, so that probes don't march in step.",
        )
        .or("10 %"),
        key(
            "rise",
            whole(1, 100),
            "Good probes in a row that bring a member up. The very first check needs one.",
        )
        .or("2"),
        key("fall", whole(1, 100), "Bad probes in a row that take a member down.").or("2"),
        key("port", PORT, "Another port than the member's.").otherwise("the member's"),
    ],
};

pub(crate) static PASSIVE: Section = Section {
    what: "passive checks",
    about: "What the traffic itself says about a member.",
    keys: &[
        key("failures", whole(1, 1000), "Failures in a row that eject a member.").or("3"),
        key("eject", millis(10, HOUR), "How long the first ejection lasts; each further one doubles it.")
            .or("5s"),
        key("eject_max", millis(10, DAY), "The longest ejection.").or("5min"),
        key(
            "max_ejected",
            ANY_SHARE,
            "Largest share of the pool that may be ejected, counted after the ejection.",
        )
        .or("50 %"),
        key("server_errors", Kind::Flag, "HTTP: a 5xx reply is a failure.").or("false"),
    ],
};

pub(crate) static BALANCE: Section = Section {
    what: "a balance",
    about: "Consistent hashing with bounded load: the same key goes to the same member while that is not overloaded.",
    keys: &[key("hash", Kind::Text(&HASH_KEY), "What is hashed.").required()],
};

pub(crate) static RETRIES: Section = Section {
    what: "retries",
    about: "When a request is tried on another member.",
    keys: &[
        key("tries", whole(1, 10), "Tries of one request, the first included. 1: none but the first.")
            .or("3"),
        key("budget", ANY_SHARE, "Further tries, as a share of requests.").or("20 %"),
        key("minimum_per_second", whole(0, 1_000_000), "Further tries that are always allowed in a second.")
            .or("10"),
        key("race_connect", millis(1, HOUR), "A connect that takes longer races a second one.").or("50ms"),
        key("silence", Kind::Table(&SILENCE), "When silence is reason enough for a further try.")
            .otherwise("its defaults"),
        key(
            "body",
            Kind::Size { min: 0, max: 64 << 20 },
            "How much of a request's body is kept so that it can be repeated.",
        )
        .or("64KiB"),
    ],
};

pub(crate) static SILENCE: Section = Section {
    what: "a silence",
    about: "A repeatable request is tried elsewhere after a silence that is long for this pool: a high percentile of \
            what its members have shown, kept between these bounds.",
    keys: &[
        key("min", millis(1, HOUR), "The lower bound.").or("20ms"),
        key("max", millis(1, HOUR), "The upper bound.").or("1s"),
    ],
};

pub(crate) static POOL_LIMITS: Section = Section {
    what: "a pool's limits",
    about: "How much the pool takes at one time, from each load balancer's host.",
    keys: &[
        key("connections", CONNECTIONS, "Requests (HTTP) or connections (TCP) in the whole pool.")
            .otherwise("no limit"),
        key("member_connections", CONNECTIONS, "The same for each member.").otherwise("no limit"),
        key("queue", whole(0, 1_000_000), "Requests that may wait for a place.").or("1000"),
        key("queue_timeout", millis(1, HOUR), "How long one may wait; then 503.").or("5s"),
        key("idle_connections", whole(0, 100_000), "Idle connections kept to each member by each worker.")
            .or("1000"),
    ],
};

pub(crate) static POOL_TIMEOUTS: Section = Section {
    what: "a pool's timeouts",
    about: "How long members may take.",
    keys: &[
        key("connect", millis(1, HOUR), "All tries to connect.").or("3s"),
        key("first_byte", millis(1, DAY), "From the request's end to the reply's first byte.").or("30s"),
        key(
            "stall",
            millis(1, 7 * DAY),
            "Without progress in a reply's body, and in an upgraded connection.",
        )
        .or("60s"),
        key(
            "request",
            millis(1, DAY),
            "The whole request up to the reply's first byte, all tries and the queue included.",
        )
        .or("60s"),
        key("idle", millis(0, DAY), "An idle connection that is kept for reuse.").or("30s"),
    ],
};
