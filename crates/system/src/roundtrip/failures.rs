//! Anything that can be said of failures.

use super::*;

const DAY: u64 = 24 * 3600;

fn source() -> impl Strategy<Value = Option<String>> {
    option::of(any::<String>())
}

pub(super) fn failing() -> impl Strategy<Value = Failing> {
    let rate = prop_oneof![
        (1_u32..1_000_000).prop_map(|n| FailureRate::Availability(f64::from(n) / 1_000_000.0)),
        (3600..3650 * DAY).prop_map(|seconds| FailureRate::Every(Duration::from_secs(seconds))),
    ];
    let repair = option::of((1..365 * DAY).prop_map(Duration::from_secs));
    (rate, repair, source()).prop_map(|(rate, repair, source)| {
        let shorter = |repair: &Duration| match rate {
            FailureRate::Every(every) => *repair < every,
            FailureRate::Availability(_) => true,
        };
        let repair = repair.filter(shorter);
        // What is not said is as assumed, which may be longer.
        let short = matches!(rate, FailureRate::Every(_)).then_some(Duration::from_secs(60));
        Failing { rate, repair: repair.or(short), source }
    })
}

pub(super) fn maintenance() -> impl Strategy<Value = Maintenance> {
    (3600..3650 * DAY, 1_u64..3600).prop_map(|(every, takes)| Maintenance {
        every: Duration::from_secs(every),
        takes: Duration::from_secs(takes),
    })
}

pub(super) fn needs() -> impl Strategy<Value = Needs> {
    prop_oneof![
        (1_u32..=10_000).prop_map(Needs::Members),
        (1_u64..=1_000_000_000, 1_u64..=1_000_000_000)
            .prop_map(|(peak, member)| Needs::Load { peak, member }),
    ]
}

pub(super) fn assumptions() -> impl Strategy<Value = Assumptions> {
    let failing = || option::of(failing());
    let of_share = || option::of((share(), source()).prop_map(|(value, source)| Stated { value, source }));
    let of_time = || {
        let time = (1_u64..=3600).prop_map(Duration::from_secs);
        option::of((time, source()).prop_map(|(value, source)| Stated { value, source }))
    };
    let failing = (failing(), failing(), failing(), failing(), failing());
    (failing, of_share(), of_share(), of_time(), of_time(), option::of(1_usize..=10_000)).prop_map(
        |((host, zone, region, shared, change), common_cause, coverage, by_hand, promotion, crew)| {
            Assumptions {
                host,
                zone,
                region,
                shared,
                change,
                common_cause,
                coverage,
                by_hand,
                promotion,
                crew,
            }
        },
    )
}

/// Hosts and zones by number.
pub(super) fn shared() -> impl Strategy<Value = Shared> {
    let whose = (vec(any::<usize>(), 0..3), vec(any::<usize>(), 1..3));
    (name(), option::of(any::<String>()), whose, option::of(failing())).prop_map(
        |(name, what, (hosts, zones), failures)| Shared {
            name,
            what,
            hosts: hosts.into_iter().map(HostId).collect(),
            zones: zones.into_iter().map(ZoneId).collect(),
            failures,
        },
    )
}

/// Load balancers by number.
pub(super) fn dns_name() -> impl Strategy<Value = DnsName> {
    ("[a-z]{1,5}\\.[a-z]{1,5}", vec(any::<usize>(), 1..3), time(), option::of(time()), any::<bool>())
        .prop_map(|(name, load_balancers, ttl, checked, retry)| DnsName {
            name,
            load_balancers: load_balancers.into_iter().map(LoadBalancerId).collect(),
            ttl,
            checked,
            retry,
        })
}

/// References that lead somewhere, each once; `reasons`: why each second host is accepted.
pub(super) fn tie(system: &mut System, reasons: &[String]) {
    let (hosts, zones, balancers) = (system.hosts.len(), system.zones.len(), system.load_balancers.len());
    for (i, shared) in system.shared.iter_mut().enumerate() {
        shared.name = format!("{}{i}", shared.name);
        shared.hosts.iter_mut().for_each(|host| host.0 %= hosts);
        shared.zones.iter_mut().for_each(|zone| zone.0 %= zones);
        shared.hosts.sort_unstable();
        shared.hosts.dedup();
        shared.zones.sort_unstable();
        shared.zones.dedup();
    }
    if balancers == 0 {
        system.names.clear();
    }
    for (i, name) in system.names.iter_mut().enumerate() {
        name.name = format!("n{i}.{}", name.name);
        name.load_balancers.iter_mut().for_each(|id| id.0 %= balancers);
        name.load_balancers.sort_unstable();
        name.load_balancers.dedup();
    }
    let labels = [
        system.hosts.first().map(|host| format!("host {}", host.name)),
        system.zones.last().map(|zone| format!("zone {}", zone.name)),
        system.zones.iter().find_map(|zone| Some(format!("region {}", zone.region.as_ref()?))),
        system.shared.first().map(|shared| format!("shared {}", shared.name)),
    ];
    let accepted = labels.into_iter().flatten().zip(reasons);
    system.accepted =
        accepted.map(|(component, reason)| Accepted { component, reason: reason.clone() }).collect();
}
