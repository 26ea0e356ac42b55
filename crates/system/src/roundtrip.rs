//! Tests: whatever system there is, its explanation reads back as the same system.

mod databases;
mod failures;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::model::*;
use crate::units;

const SECOND: u64 = 1_000_000_000;

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..=1.0, Just(0.0), Just(1.0), (0_u32..=10_000).prop_map(|n| f64::from(n) / 10_000.0)]
}

/// 10 ms to 1 h: inside the bounds of every duration.
fn time() -> impl Strategy<Value = Duration> {
    let round = |size| (1_u64..60).prop_map(move |n| Duration::from_nanos(n * size));
    prop_oneof![
        (SECOND / 100..=3600 * SECOND).prop_map(Duration::from_nanos),
        round(SECOND / 100),
        round(SECOND),
        round(60 * SECOND),
    ]
}

/// Two of them, the shorter first.
fn times() -> impl Strategy<Value = (Duration, Duration)> {
    (time(), time()).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9][a-zA-Z0-9._-]{0,10}"
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

fn words() -> impl Strategy<Value = Vec<String>> {
    ("[^{}]{1,10}", vec("[^{}]{0,10}", 0..3)).prop_map(|(first, rest)| [vec![first], rest].concat())
}

fn probe() -> impl Strategy<Value = Probe> {
    let status = (100_u16..=599, 100_u16..=599).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let http =
        ("/[!-\"$-~]{0,10}", vec(status, 1..4), option::of(any::<String>()), option::of("[!-~]{1,10}"))
            .prop_map(|(path, status, body, host)| Probe::Http(HttpProbe { path, status, body, host }));
    prop_oneof![Just(Probe::Tcp), http, words().prop_map(Probe::Command)]
}

fn check() -> impl Strategy<Value = Check> {
    let check = (probe(), time(), time(), time(), share(), 1_u32..=100, 1_u32..=100, option::of(1_u16..));
    check.prop_map(|(probe, interval, fast_interval, timeout, jitter, rise, fall, port)| Check {
        probe,
        interval,
        fast_interval: fast_interval.min(interval),
        timeout: timeout.min(interval),
        jitter,
        rise,
        fall,
        port,
    })
}

fn passive() -> impl Strategy<Value = Passive> {
    (1_u32..=1000, times(), share(), any::<bool>()).prop_map(
        |(failures, (eject, eject_max), max_ejected, server_errors)| Passive {
            failures: Some(failures),
            eject,
            eject_max,
            max_ejected,
            server_errors,
        },
    )
}

fn balance() -> impl Strategy<Value = Balance> {
    prop_oneof![
        Just(Balance::LeastRequests),
        Just(Balance::RoundRobin),
        Just(Balance::Hash(HashKey::ClientAddress)),
        "[a-z0-9-]{1,10}".prop_map(|name| Balance::Hash(HashKey::Header(name))),
        "[a-zA-Z0-9_-]{1,10}".prop_map(|name| Balance::Hash(HashKey::Cookie(name))),
    ]
}

fn retries() -> impl Strategy<Value = Retries> {
    (1_u32..=10, share(), 0_u32..=1_000_000, time(), times(), 0_u32..=64 << 20).prop_map(
        |(tries, budget, minimum_per_second, race_connect, (silence_min, silence_max), body_bytes)| Retries {
            tries,
            budget,
            minimum_per_second,
            race_connect,
            silence_min,
            silence_max,
            body_bytes,
        },
    )
}

fn limits() -> impl Strategy<Value = PoolLimits> {
    let limit = || option::of(1_u32..=10_000_000);
    (limit(), limit(), 0_u32..=1_000_000, time(), 0_u32..=100_000).prop_map(
        |(connections, member_connections, queue, queue_timeout, idle_connections)| PoolLimits {
            connections,
            member_connections,
            queue,
            queue_timeout,
            idle_connections,
        },
    )
}

fn timeouts() -> impl Strategy<Value = PoolTimeouts> {
    (time(), time(), time(), time(), time()).prop_map(|(connect, first_byte, stall, request, idle)| {
        PoolTimeouts { connect, first_byte, stall, request, idle }
    })
}

/// Hosts of members by number; the first is never a backup.
fn members() -> impl Strategy<Value = Vec<Member>> {
    let member = (1_u8..=100, any::<bool>(), option::of(1_u32..=10_000_000), any::<usize>());
    vec(member, 1..5).prop_map(|members| {
        let numbered = members.into_iter().enumerate();
        let member = |(i, (weight, backup, connections, host))| Member {
            name: String::new(),
            host: HostId(host),
            port: 50_000 + i as u16,
            weight,
            backup: backup && i > 0,
            connections,
        };
        numbered.map(member).collect()
    })
}

fn pool() -> impl Strategy<Value = Pool> {
    let basics = (name(), members(), check(), passive(), balance(), share(), any::<bool>(), time());
    let needs = option::of(failures::needs());
    let rest = (retries(), limits(), timeouts(), time(), 0_u8..3, option::of(words()), 0_u8..8, needs);
    (basics, rest).prop_map(|(basics, rest)| {
        let (name, members, check, passive, balance, minimum_healthy, refuse, slow_start) = basics;
        let (retries, limits, timeouts, drain, proxy, command, off, needs) = rest;
        let defaults = || crate::parse("", crate::example()).unwrap().pools.remove(0);
        // Where nothing is checked, or traffic is not judged, the file has no place for the rest of it.
        let check = match off {
            0 => Check { probe: Probe::None, ..defaults().check },
            _ => check,
        };
        let passive = match off {
            1 => Passive { failures: None, ..defaults().passive },
            _ => passive,
        };
        Pool {
            name,
            members,
            check,
            passive,
            balance,
            minimum_healthy,
            when_too_few: if refuse { WhenTooFew::Refuse } else { WhenTooFew::ServeAll },
            needs,
            slow_start,
            retries,
            limits,
            timeouts,
            drain,
            send_proxy: [None, Some(ProxyVersion::V1), Some(ProxyVersion::V2)][usize::from(proxy)],
            command,
            reaches: None,
        }
    })
}

fn trust() -> impl Strategy<Value = Trust> {
    let network = (address(), 0_u8..=128).prop_map(|(address, prefix)| Network {
        address,
        prefix: if address.is_ipv4() { prefix.min(32) } else { prefix },
    });
    prop_oneof![Just(Trust::Nobody), Just(Trust::Everybody), vec(network, 0..3).prop_map(Trust::Networks)]
}

fn route() -> impl Strategy<Value = Route> {
    let host = prop_oneof![
        Just(HostPattern::Any),
        "[a-z][a-z0-9]{0,5}(\\.[a-z]{1,5}){0,2}".prop_map(HostPattern::Exact),
        "(\\.[a-z]{1,5}){1,3}".prop_map(HostPattern::Suffix),
    ];
    (host, "/[!-\"$->@-~]{0,8}", any::<usize>(), any::<bool>()).prop_map(
        |(host, path, pool, repeat_any_method)| {
            let path = match path.trim_end_matches('/') {
                "" => "/".to_owned(),
                path => path.to_owned(),
            };
            Route { host, path, pool: PoolId(pool), repeat_any_method }
        },
    )
}

fn listener() -> impl Strategy<Value = Listener> {
    let http = (vec(route(), 1..4), trust(), (time(), time(), time()), 1024_u32..=64 << 10, 1_u16..=256)
        .prop_map(|(routes, trust_forwarded, (head, idle, stall), head_bytes, headers)| {
            let mut distinct: Vec<Route> = Vec::new();
            for route in routes {
                if distinct.iter().all(|other| (&other.host, &other.path) != (&route.host, &route.path)) {
                    distinct.push(route);
                }
            }
            let timeouts = ClientTimeouts { head, idle, stall };
            Protocol::Http(HttpListener { routes: distinct, trust_forwarded, timeouts, head_bytes, headers })
        });
    let tcp = (any::<usize>(), time())
        .prop_map(|(pool, idle)| Protocol::Tcp(TcpListener { pool: PoolId(pool), idle }));
    (name(), option::of(address()), prop_oneof![http, tcp], any::<bool>(), 1_u32..=10_000_000).prop_map(
        |(name, address, protocol, accept_proxy, connections)| Listener {
            name,
            address,
            port: 0,
            protocol,
            accept_proxy,
            connections,
        },
    )
}

/// Hosts by number; addresses and router ids are dealt out later.
fn virtual_ip() -> impl Strategy<Value = VirtualIp> {
    let interval = prop_oneof![(1_u64..=4095).prop_map(|n| 10 * n), (1_u64..=40).prop_map(|n| 1000 * n)];
    let candidates = vec((any::<usize>(), 20_u8..=254), 1..4);
    let preempt = option::of(prop_oneof![time(), Just(Duration::ZERO)]);
    let checksum = prop_oneof![Just(VrrpChecksum::PseudoHeader), Just(VrrpChecksum::Plain)];
    let keys = vec("[!-ei-~][!-~]{31,63}", 1..4).prop_map(|keys| {
        let key = |(i, key): (usize, String)| VrrpKey { id: 255 - i as u8, key };
        VrrpAuthentication::Keys(keys.into_iter().enumerate().map(key).collect())
    });
    let authentication = prop_oneof![
        Just(VrrpAuthentication::None),
        "[!-~]{1,8}".prop_map(VrrpAuthentication::Password),
        keys,
    ];
    let unicast = option::of(vec((1_u8..100).prop_map(|n| IpAddr::from([203, 0, 113, n])), 0..3));
    let basics = (candidates, option::of("[a-z]{1,8}[0-9.-]{0,4}[0-9]"), interval, preempt, any::<bool>());
    (basics, any::<bool>(), unicast, checksum, authentication, option::of("[ab]")).prop_map(
        |((candidates, interface, interval, preempt, v2), v6, unicast, checksum, authentication, group)| {
            let unspecified = if v6 { IpAddr::from([0_u16; 8]) } else { IpAddr::from([0_u8; 4]) };
            let hosts = candidates.into_iter();
            VirtualIp {
                addresses: vec![unspecified],
                router_id: 0,
                hosts: hosts.map(|(host, priority)| Candidate { host: HostId(host), priority }).collect(),
                interface,
                version: if v2 { VrrpVersion::V2 } else { VrrpVersion::V3 },
                interval: Duration::from_millis(interval),
                preempt,
                unicast,
                checksum,
                authentication,
                group,
            }
        },
    )
}

fn load_balancer() -> impl Strategy<Value = LoadBalancer> {
    let log =
        prop_oneof![Just(AccessLog::Stdout), "/[^\0]{0,10}".prop_map(|path| AccessLog::File(path.into()))];
    let basics = (name(), vec(any::<usize>(), 1..3), vec(listener(), 1..4), option::of(address()));
    (basics, option::of(1_usize..=1024), option::of(log), time(), vec(virtual_ip(), 0..4)).prop_map(
        |((name, hosts, listeners, admin), workers, access_log, drain, virtual_ips)| LoadBalancer {
            virtual_ips,
            name,
            hosts: hosts.into_iter().map(HostId).collect(),
            listeners,
            admin: admin.map(|address| SocketAddr::new(address, 1)),
            workers,
            access_log,
            drain,
        },
    )
}

fn system() -> impl Strategy<Value = System> {
    let objective = prop_oneof![Just(0.9999), Just(0.999), 0.000_001..0.999_999_9];
    let zones = vec((name(), option::of(name())), 1..4);
    let said = || (option::of(failures::failing()), option::of(failures::maintenance()));
    let hosts = vec((name(), any::<usize>(), any::<bool>(), said()), 1..6);
    let names = vec(failures::dns_name(), 0..3);
    let failing =
        (names, vec(failures::shared(), 0..3), failures::assumptions(), vec("[^\\s\\p{Cc}]{1,8}", 0..5));
    let stateful = (vec(databases::database(), 0..3), option::of(databases::coordination()));
    let parts = (vec(load_balancer(), 0..3), vec(pool(), 1..4), stateful, failing);
    (name(), objective, zones, hosts, parts).prop_map(
        |(name, fraction, zones, hosts, (load_balancers, pools, stateful, failing))| {
            let ((databases, coordination), (names, shared, assumptions, reasons)) = (stateful, failing);
            let zones: Vec<_> = zones
                .into_iter()
                .enumerate()
                .map(|(i, (name, region))| Zone { name: format!("{name}{i}"), region })
                .collect();
            let host =
                |(i, (name, zone, dns, (failures, maintenance))): (usize, (String, usize, bool, _))| Host {
                    name: format!("{name}{i}"),
                    zone: ZoneId(zone % zones.len()),
                    address: match dns {
                        true => HostAddress::Dns(format!("host{i}.example")),
                        false => HostAddress::Ip(IpAddr::from([192, 0, 2, i as u8])),
                    },
                    failures,
                    maintenance,
                };
            let hosts = hosts.into_iter().enumerate().map(host).collect();
            let objective = Objective { text: units::write_share(fraction), fraction };
            let mut system = tied(System {
                name,
                objective,
                zones,
                hosts,
                load_balancers,
                pools,
                databases,
                coordination,
                names,
                shared,
                assumptions,
                accepted: Vec::new(),
            });
            failures::tie(&mut system, &reasons);
            system
        },
    )
}

/// The system with references that lead somewhere, names that differ, and ports that nothing else has.
fn tied(mut system: System) -> System {
    let (hosts, pools) = (system.hosts.len(), system.pools.len());
    let mut port = 1000;
    let mut next_port = || {
        port += 1;
        port
    };
    // Before anything is called by a host's name: databases want them in small letters.
    databases::tie(&mut system, &mut next_port);
    for (i, pool) in system.pools.iter_mut().enumerate() {
        pool.name = format!("{}{i}", pool.name);
        for member in &mut pool.members {
            member.host = HostId(member.host.0 % hosts);
            member.name = format!("{}:{}", system.hosts[member.host.0].name, member.port);
        }
    }
    for (i, load_balancer) in system.load_balancers.iter_mut().enumerate() {
        load_balancer.name = format!("{}{i}", load_balancer.name);
        load_balancer.hosts.iter_mut().for_each(|host| host.0 %= hosts);
        load_balancer.hosts.sort_unstable();
        load_balancer.hosts.dedup();
        if let Some(admin) = &mut load_balancer.admin {
            admin.set_port(next_port());
        }
        for (j, listener) in load_balancer.listeners.iter_mut().enumerate() {
            listener.name = format!("{}{j}", listener.name);
            listener.port = next_port();
            match &mut listener.protocol {
                Protocol::Http(http) => http.routes.iter_mut().for_each(|route| route.pool.0 %= pools),
                Protocol::Tcp(tcp) => {
                    tcp.pool.0 %= pools;
                    system.pools[tcp.pool.0].balance = Balance::Hash(HashKey::ClientAddress);
                }
            }
        }
    }
    let mut number = 0;
    for load_balancer in &mut system.load_balancers {
        tie_virtual_ips(load_balancer, &system.hosts, &mut number);
    }
    databases::reach(&mut system);
    system
}

/// Addresses and numbers that nothing else has, and no setting that would do nothing.
fn tie_virtual_ips(load_balancer: &mut LoadBalancer, hosts: &[Host], number: &mut u8) {
    let mut groups: Vec<VirtualIp> = Vec::new();
    for virtual_ip in &mut load_balancer.virtual_ips {
        *number += 1;
        virtual_ip.router_id = *number;
        let v4 = virtual_ip.addresses.iter().all(IpAddr::is_ipv4);
        let address = |n: u8| match v4 {
            true => IpAddr::from([198, 51, n, *number]),
            false => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, n.into(), u16::from(*number)]),
        };
        virtual_ip.addresses = (0..1 + *number % 3).map(address).collect();
        let mut taken = Vec::new();
        virtual_ip.hosts.retain_mut(|candidate| {
            candidate.host = load_balancer.hosts[candidate.host.0 % load_balancer.hosts.len()];
            let new = !taken.contains(&candidate.host);
            taken.push(candidate.host);
            new
        });
        virtual_ip.hosts.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
        match groups.iter().find(|first| first.group == virtual_ip.group) {
            Some(first) => {
                virtual_ip.hosts.clone_from(&first.hosts);
                virtual_ip.preempt = first.preempt;
            }
            None if virtual_ip.group.is_some() => groups.push(virtual_ip.clone()),
            None => {}
        }
        let is_named = |candidate: &Candidate| matches!(hosts[candidate.host.0].address, HostAddress::Dns(_));
        if !v4 || virtual_ip.hosts.iter().any(is_named) {
            virtual_ip.unicast = None;
        }
        if let Some(peers) = &mut virtual_ip.unicast {
            peers.sort_unstable();
            peers.dedup();
        }
        if !v4 {
            virtual_ip.version = VrrpVersion::V3;
        }
        let v2 = virtual_ip.version == VrrpVersion::V2;
        if v2 {
            virtual_ip.interval = Duration::from_secs(virtual_ip.interval.as_secs().max(1));
        }
        if v2 || !v4 {
            virtual_ip.checksum = VrrpChecksum::PseudoHeader;
        }
        if !v2 && matches!(virtual_ip.authentication, VrrpAuthentication::Password(_)) {
            virtual_ip.authentication = VrrpAuthentication::None;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn an_explained_system_reads_back_as_itself(system in system()) {
        let file = crate::explain_with_secrets(&system);
        match crate::parse("explained.toml", &file) {
            Ok(read) => prop_assert_eq!(read, system),
            Err(mistakes) => prop_assert!(false, "{}", mistakes),
        }
    }
}
