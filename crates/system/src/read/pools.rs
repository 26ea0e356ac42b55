//! Pools: members, checks, and how work is shared among them.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::names::Named;
use super::texts;
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{
    Balance, Check, Host, HostAddress, HostId, HttpProbe, Member, Needs, Passive, Pool, PoolLimits,
    PoolTimeouts, Probe, ProxyVersion, Retries, WhenTooFew,
};
use crate::{shape, units};

pub(crate) fn pools<'a>(system: &Fields<'a>, hosts: &Named<'a, Host>) -> Named<'a, Pool> {
    Named::read("pool", "pools", system, |name, key, item| {
        let fields = item.fields(&shape::POOL)?.named(key);
        pool(name, &fields, hosts)
    })
}

fn pool(name: &str, fields: &Fields<'_>, hosts: &Named<'_, Host>) -> Option<Pool> {
    let members = members(name, fields, hosts);
    let check = check(fields);
    let passive = passive(fields);
    let balance = balance(fields);
    let when_too_few = match fields.word("when_too_few") {
        "refuse" => WhenTooFew::Refuse,
        _ => WhenTooFew::ServeAll,
    };
    let send_proxy = fields.maybe_word("send_proxy").map(|version| match version {
        "v1" => ProxyVersion::V1,
        _ => ProxyVersion::V2,
    });
    Some(Pool {
        name: name.to_owned(),
        minimum_healthy: fields.share("minimum_healthy"),
        when_too_few,
        needs: needs(fields),
        slow_start: fields.time("slow_start"),
        retries: retries(&fields.table("retries")),
        limits: limits(&fields.table("limits")),
        timeouts: timeouts(&fields.table("timeouts")),
        drain: fields.time("drain"),
        send_proxy,
        command: fields.get("command").and_then(texts::command),
        reaches: None,
        members: members?,
        check: check?,
        passive: passive?,
        balance: balance?,
    })
}

/// What the pool takes to carry its peak; half of a statement is a mistake.
fn needs(fields: &Fields<'_>) -> Option<Needs> {
    let members = fields.maybe_whole("needs");
    let (peak, member) = (fields.maybe_whole("peak"), fields.maybe_whole("member_peak"));
    let place = |name: &str| fields.key_place(name);
    match (place("needs"), place("peak"), place("member_peak")) {
        (Some(here), Some(other), _) | (Some(here), None, Some(other)) => fields.notes().add(
            Mistake::new("what the pool needs is said twice", here, "as a number of members")
                .and(other, "and as a load")
                .help("keep `needs`, or `peak` and `member_peak`"),
        ),
        (None, Some(here), None) if fields.is_missed("member_peak") => fields.notes().add(
            Mistake::new("`peak` says nothing without `member_peak`", here, "how many members carry that?")
                .help("add member_peak = 1000: the most that one member carries; or write `needs`"),
        ),
        (None, None, Some(here)) if fields.is_missed("peak") => fields.notes().add(
            Mistake::new("`member_peak` says nothing without `peak`", here, "how much comes?")
                .help("add peak = 1000: the most that comes to the whole pool; or write `needs`"),
        ),
        _ => {}
    }
    match (members, peak, member) {
        (Some(members), _, _) => Some(Needs::Members(members)),
        (None, Some(peak), Some(member)) => Some(Needs::Load { peak, member }),
        _ => None,
    }
}

fn members(pool: &str, fields: &Fields<'_>, hosts: &Named<'_, Host>) -> Option<Vec<Member>> {
    let list = fields.require("members")?;
    let mut seen: BTreeMap<(usize, u16), Span> = BTreeMap::new();
    let mut members = Vec::new();
    let mut whole = true;
    for item in list.items()? {
        let Some((member, span)) = member(item, hosts) else {
            whole = false;
            continue;
        };
        match seen.get(&(member.host.0, member.port)) {
            Some(first) => item.notes.add(
                Mistake::new(format!("`{}` is in pool `{pool}` twice", member.name), span, "again")
                    .and(first.clone(), "first")
                    .help("take one out; for a larger share, give it a `weight`"),
            ),
            None => _ = seen.insert((member.host.0, member.port), span),
        }
        members.push(member);
    }
    if members.is_empty() && whole {
        list.note(format!("pool `{pool}` has no member"), "empty", "add one: members = [\"app1:8080\"]");
    } else if whole && members.iter().all(|member| member.backup) {
        list.note(
            format!("every member of pool `{pool}` is a backup"),
            "nobody that they could stand in for",
            "take `backup` away from those that serve as a rule",
        );
    }
    whole.then_some(members)
}

/// A member, and where its address stands.
fn member(item: Item<'_>, hosts: &Named<'_, Host>) -> Option<(Member, Span)> {
    let fields = match item.value.get_ref() {
        DeValue::Table(_) => item.fields(&shape::MEMBER_TABLE)?,
        DeValue::String(_) => Fields::absent(&shape::MEMBER_TABLE, item.notes),
        _ => {
            item.wrong_type();
            return None;
        }
    };
    let address = if item.value.get_ref().is_str() { Some(item) } else { fields.require("address") };
    let (weight, backup) = (fields.whole("weight"), fields.flag("backup"));
    let connections = fields.maybe_whole("connections");
    let address = address?;
    let (host_name, port) = texts::host_and_port(&address, 8080)?;
    let host = match host_with_address(host_name, hosts) {
        Some(host) => {
            let host_name = hosts.names.name(host);
            item.notes.add(
                Mistake::new("a member is called by its host's name", address.span(), "an address")
                    .and(hosts.names.span(host), "the host that has it")
                    .help(format!("write \"{host_name}:{port}\"")),
            );
            return None;
        }
        None => hosts.names.find(host_name, address.part(host_name), item.notes)?,
    };
    let name = format!("{host_name}:{port}");
    Some((Member { name, host: HostId(host), port, weight, backup, connections }, address.span()))
}

/// The host whose address was written where a name belongs.
fn host_with_address(text: &str, hosts: &Named<'_, Host>) -> Option<usize> {
    let text = text.trim_matches(['[', ']']);
    let address = match text.parse() {
        Ok(ip) => HostAddress::Ip(ip),
        Err(_) => HostAddress::Dns(text.to_ascii_lowercase()),
    };
    let named = (0..hosts.names.len()).any(|id| hosts.names.name(id) == text);
    let id = (0..hosts.names.len()).find(|&id| hosts.get(id).is_some_and(|host| host.address == address))?;
    (!named).then_some(id)
}

fn check(pool: &Fields<'_>) -> Option<Check> {
    let item = pool.get("check");
    let mut bare = Probe::Tcp;
    let fields = match item.map(|item| (item, item.value.get_ref())) {
        Some((item, DeValue::Table(_))) => item.fields(&shape::CHECK)?,
        Some((item, DeValue::String(_))) => {
            if item.word(&["tcp", "none"]) == Some("none") {
                bare = Probe::None;
            }
            Fields::absent(&shape::CHECK, pool.notes())
        }
        Some((item, _)) => {
            item.wrong_type();
            return None;
        }
        None => Fields::absent(&shape::CHECK, pool.notes()),
    };
    let interval = fields.time("interval");
    let interval_place = fields.place("interval");
    let at_most = |name: &str| {
        let Some(said) = fields.maybe_time(name) else { return fields.default_time(name).min(interval) };
        if said > interval {
            let mut mistake = Mistake::new(
                if name == "timeout" {
                    "the check is slower than its interval".to_owned()
                } else {
                    format!("`{name}` is longer than `interval`")
                },
                fields.place(name).unwrap_or_default(),
                format!("{} is longer than the interval", units::write_duration(said)),
            );
            mistake = match &interval_place {
                Some(place) => mistake.and(place.clone(), "the interval"),
                None => mistake.help(format!(
                    "`interval` is {} where the file says nothing",
                    units::write_duration(interval)
                )),
            };
            pool.notes()
                .add(mistake.help(format!("make `{name}` at most the interval, or the interval longer")));
        }
        said
    };
    let (fast_interval, timeout) = (at_most("fast_interval"), at_most("timeout"));
    let probe = probe(&fields, bare);
    Some(Check {
        interval,
        fast_interval,
        timeout,
        jitter: fields.share("jitter"),
        rise: fields.whole("rise"),
        fall: fields.whole("fall"),
        port: fields.maybe_whole("port"),
        probe: probe?,
    })
}

fn probe(fields: &Fields<'_>, bare: Probe) -> Option<Probe> {
    let tcp = fields.get("tcp").filter(|item| item.flag() == Some(true));
    let given: Vec<Item<'_>> =
        [fields.get("http"), tcp, fields.get("command")].into_iter().flatten().collect();
    if let [first, second, ..] = given.as_slice() {
        fields.notes().add(
            Mistake::new(
                "a check has one probe",
                second.span(),
                format!("a second probe, `{}`", second.name),
            )
            .and(first.span(), format!("the first, `{}`", first.name))
            .help("keep the one that says most about the member"),
        );
        return None;
    }
    let Some(http) = fields.get("http") else {
        for name in ["status", "body", "host"] {
            if let Some(place) = fields.key_place(name) {
                fields.notes().add(
                    Mistake::new(format!("`{name}` does nothing without `http`"), place, "for HTTP probes")
                        .help("add http = \"/healthz\", or take it out"),
                );
            }
        }
        return match fields.get("command") {
            Some(command) => texts::command(command).map(Probe::Command),
            None => Some(bare),
        };
    };
    let path = texts::path(&http);
    let status = match fields.get("status") {
        Some(item) if item.value.get_ref().is_array() => {
            let ranges: Option<Vec<_>> = item.items()?.map(|item| texts::status(&item)).collect();
            if ranges.as_ref().is_some_and(Vec::is_empty) {
                item.note("no status is good", "empty", "write 200, \"200-399\", or a list of such");
                return None;
            }
            ranges
        }
        Some(item) => texts::status(&item).map(|range| vec![range]),
        None => Some(vec![(200, 399)]),
    };
    let body = fields.text("body").map(str::to_owned);
    let host = fields.get("host").and_then(|item| texts::host_header(&item)).map(str::to_owned);
    Some(Probe::Http(HttpProbe { path: path?.to_owned(), status: status?, body, host }))
}

fn passive(pool: &Fields<'_>) -> Option<Passive> {
    let mut judged = true;
    let fields = match pool.get("passive").map(|item| (item, item.value.get_ref())) {
        Some((item, DeValue::Table(_))) => item.fields(&shape::PASSIVE)?,
        Some((_, DeValue::Boolean(flag))) => {
            judged = *flag;
            Fields::absent(&shape::PASSIVE, pool.notes())
        }
        Some((item, _)) => {
            item.wrong_type();
            return None;
        }
        None => Fields::absent(&shape::PASSIVE, pool.notes()),
    };
    let (eject, eject_max) = ordered(&fields, "eject", "eject_max");
    Some(Passive {
        failures: judged.then(|| fields.whole("failures")),
        eject,
        eject_max,
        max_ejected: fields.share("max_ejected"),
        server_errors: fields.flag("server_errors"),
    })
}

/// Two durations of which the first may not be the longer.
fn ordered(fields: &Fields<'_>, small: &str, large: &str) -> (Duration, Duration) {
    let (least, most) = (fields.time(small), fields.time(large));
    if least > most {
        let label = |name: &str, time| format!("`{name}` is {}", units::write_duration(time));
        let (here, other) = if fields.place(small).is_some() { (small, large) } else { (large, small) };
        let (this, that) = if here == small { (least, most) } else { (most, least) };
        let place = fields.place(here).unwrap_or_default();
        let mut mistake =
            Mistake::new(format!("`{small}` is longer than `{large}`"), place, label(here, this));
        mistake = match fields.place(other) {
            Some(place) => mistake.and(place, label(other, that)),
            None => mistake.help(format!("{} where the file says nothing", label(other, that))),
        };
        fields.notes().add(mistake);
    }
    (least, most)
}

fn balance(pool: &Fields<'_>) -> Option<Balance> {
    let Some(item) = pool.get("balance") else { return Some(Balance::LeastRequests) };
    match item.value.get_ref() {
        DeValue::Table(_) => {
            let hash = item.fields(&shape::BALANCE)?.require("hash")?;
            texts::hash_key(&hash).map(Balance::Hash)
        }
        _ => match item.word(&["least-requests", "round-robin"])? {
            "round-robin" => Some(Balance::RoundRobin),
            _ => Some(Balance::LeastRequests),
        },
    }
}

pub(super) fn retries(fields: &Fields<'_>) -> Retries {
    let (silence_min, silence_max) = ordered(&fields.table("silence"), "min", "max");
    Retries {
        tries: fields.whole("tries"),
        budget: fields.share("budget"),
        minimum_per_second: fields.whole("minimum_per_second"),
        race_connect: fields.time("race_connect"),
        silence_min,
        silence_max,
        body_bytes: fields.size("body"),
    }
}

pub(super) fn limits(fields: &Fields<'_>) -> PoolLimits {
    PoolLimits {
        connections: fields.maybe_whole("connections"),
        member_connections: fields.maybe_whole("member_connections"),
        queue: fields.whole("queue"),
        queue_timeout: fields.time("queue_timeout"),
        idle_connections: fields.whole("idle_connections"),
    }
}

pub(super) fn timeouts(fields: &Fields<'_>) -> PoolTimeouts {
    PoolTimeouts {
        connect: fields.time("connect"),
        first_byte: fields.time("first_byte"),
        stall: fields.time("stall"),
        request: fields.time("request"),
        idle: fields.time("idle"),
    }
}
