//! What is measured, and what `nines` must reach in it.

use super::load::{Headers, Load};
use super::proxy::Kind;

pub(crate) struct Scenario {
    /// As the command line calls it.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: Measure,
    /// The first is the one that the others are compared with.
    pub(crate) proxies: &'static [Kind],
    pub(crate) reach: Reach,
}

pub(crate) enum Measure {
    /// CPU at the proxy for each request; requests a second; latency.
    Http(Load),
    /// The same requests, through a proxy that looks at no more than TCP.
    Tcp(Load),
    /// Memory for each of many clients that were answered once and stay connected.
    Idle,
}

pub(crate) enum Reach {
    /// At most this share of the first proxy's CPU for each request.
    Cpu(f64),
    /// The same, and a p99 not above the first proxy's.
    CpuAndTail(f64),
    /// At most this many bytes for each client.
    Memory(f64),
    /// Nothing stated: shown for information.
    Unstated,
}

const NINES: Kind = Kind::Nines { workers: 1 };
const ALL: &[Kind] = &[Kind::Haproxy, Kind::Nginx, NINES];

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const fn load(body: usize, connections: usize, headers: Headers) -> Load {
    Load { body, connections, headers }
}

const fn http(
    name: &'static str,
    about: &'static str,
    (body, connections, headers): (usize, usize, Headers),
    reach: Reach,
) -> Scenario {
    Scenario { name, about, measure: Measure::Http(load(body, connections, headers)), proxies: ALL, reach }
}

pub(crate) static SCENARIOS: [Scenario; 11] = [
    http(
        "keep-alive",
        "HTTP/1.1, 1 KiB, 64 kept-alive connections",
        (KIB, 64, Headers::Bare),
        Reach::CpuAndTail(0.80),
    ),
    http(
        "browser",
        "HTTP/1.1, 1 KiB, 64 kept-alive connections, ten headers of a browser",
        (KIB, 64, Headers::Browser),
        Reach::CpuAndTail(0.80),
    ),
    http("crowd", "HTTP/1.1, 1 KiB, 512 kept-alive connections", (KIB, 512, Headers::Bare), Reach::Cpu(0.70)),
    http("single", "HTTP/1.1, 1 KiB, 1 kept-alive connection", (KIB, 1, Headers::Bare), Reach::Unstated),
    http(
        "close",
        "HTTP/1.1, 1 KiB, a connection per request, 64 at a time",
        (KIB, 64, Headers::Close),
        Reach::Cpu(0.90),
    ),
    http(
        "medium",
        "HTTP/1.1, 64 KiB bodies, 64 connections",
        (64 * KIB, 64, Headers::Bare),
        Reach::Cpu(0.85),
    ),
    http("large", "HTTP/1.1, 1 MiB bodies, 16 connections", (MIB, 16, Headers::Bare), Reach::Cpu(0.80)),
    Scenario {
        name: "tcp",
        about: "TCP, 1 KiB replies, 64 connections",
        measure: Measure::Tcp(load(KIB, 64, Headers::Bare)),
        proxies: ALL,
        reach: Reach::Cpu(0.92),
    },
    Scenario {
        name: "tcp-bulk",
        about: "TCP, 1 MiB replies, 16 connections, against HAProxy with splice",
        measure: Measure::Tcp(load(MIB, 16, Headers::Bare)),
        proxies: &[Kind::HaproxySplice, Kind::Haproxy, Kind::Nginx, NINES],
        reach: Reach::Cpu(1.0),
    },
    Scenario {
        name: "idle",
        about: "memory for each idle kept-alive client connection",
        measure: Measure::Idle,
        proxies: ALL,
        reach: Reach::Memory(2048.0),
    },
    Scenario {
        name: "workers",
        about: "HTTP/1.1, 1 KiB, 64 kept-alive connections: one worker on one core, two on two",
        measure: Measure::Http(load(KIB, 64, Headers::Bare)),
        proxies: &[NINES, Kind::Nines { workers: 2 }],
        reach: Reach::Unstated,
    },
];
