//! What is around the hosts, in a few lines: names that lead to them, what they share, what is accepted.

use nines_system::{DnsName, System};
use serde_json::{Value, json};

use super::names;

pub(super) fn rows(system: &System) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for name in &system.names {
        let to = name.load_balancers.iter().map(|&id| system[id].name.as_str());
        let about = format!("to {}; {}", names(to, "load balancers"), answers(name));
        rows.push((format!("name {}", name.name), about));
    }
    for shared in &system.shared {
        let hosts = shared.hosts.iter().map(|&id| system[id].name.clone());
        let zones = shared.zones.iter().map(|&id| format!("zone {}", system[id].name));
        let whose: Vec<String> = hosts.chain(zones).collect();
        let what = shared.what.as_deref().map_or_else(String::new, |what| format!("{what} "));
        let about = format!("{what}of {}", names(whose.iter().map(String::as_str), "hosts and zones"));
        rows.push((format!("shared {}", shared.name), about));
    }
    for accepted in &system.accepted {
        rows.push((format!("accepted {}", accepted.component), accepted.reason.clone()));
    }
    rows
}

fn answers(name: &DnsName) -> String {
    match (name.retry, name.checked) {
        (true, _) => "clients try each by themselves".to_owned(),
        (false, Some(notice)) => {
            format!("answers follow health in {notice:?}, and are kept for {:?}", name.ttl)
        }
        (false, None) => format!("answers never change, and are kept for {:?}", name.ttl),
    }
}

pub(super) fn json(system: &System, summary: &mut Value) {
    let name = |name: &DnsName| {
        json!({
            "name": name.name,
            "load_balancers": name.load_balancers.iter().map(|&id| &system[id].name).collect::<Vec<_>>(),
            "ttl_ms": name.ttl.as_millis() as u64,
            "checked": name.checked.is_some(),
            "retry": name.retry,
        })
    };
    let shared = system.shared.iter().map(|shared| {
        json!({
            "name": shared.name,
            "what": shared.what,
            "hosts": shared.hosts.iter().map(|&id| &system[id].name).collect::<Vec<_>>(),
            "zones": shared.zones.iter().map(|&id| &system[id].name).collect::<Vec<_>>(),
        })
    });
    summary["names"] = system.names.iter().map(name).collect();
    summary["shared"] = shared.collect();
    let accepted = system.accepted.iter();
    summary["accepted"] =
        accepted.map(|of| json!({ "component": of.component, "reason": of.reason })).collect();
}
