//! What is said of failures, written out.

use std::time::Duration;

use super::{Inline, Table, key, list, text, time};
use crate::model::{Failing, FailureRate, Host, Maintenance, Stated, System};
use crate::shape;
use crate::units::write_share;

pub(super) fn explain(system: &System) -> String {
    let mut out = String::new();
    for name in &system.names {
        let load_balancers = name.load_balancers.iter().map(|&id| text(&system[id].name));
        let table = Table::new(&shape::DNS_NAME)
            .set("load_balancers", list(load_balancers))
            .set("ttl", time(name.ttl))
            .set("checked", name.checked.is_some().to_string())
            .set("retry", name.retry.to_string());
        let table = match name.checked {
            Some(notice) => table.set("notice", time(notice)),
            None => table,
        };
        out.push_str(&table.finish(&format!("[names.{}]", key(&name.name))));
    }
    for shared in &system.shared {
        let names =
            |names: Vec<&String>| (!names.is_empty()).then(|| list(names.into_iter().map(|name| text(name))));
        let table = Table::new(&shape::SHARED)
            .maybe("what", shared.what.as_ref().map(|what| text(what)))
            .maybe("hosts", names(shared.hosts.iter().map(|&id| &system[id].name).collect()))
            .maybe("zones", names(shared.zones.iter().map(|&id| &system[id].name).collect()))
            .maybe("failures", shared.failures.as_ref().map(failing));
        out.push_str(&table.finish(&format!("[shared.{}]", key(&shared.name))));
    }
    let assumed = &system.assumptions;
    let of = |failing_: &Option<Failing>| failing_.as_ref().map(failing);
    let share = |stated: &Option<Stated<f64>>| {
        stated.as_ref().map(|stated| figure(text(&write_share(stated.value)), &stated.source))
    };
    let lasting = |stated: &Option<Stated<Duration>>| {
        stated.as_ref().map(|stated| figure(time(stated.value), &stated.source))
    };
    let table = Table::new(&shape::ASSUMPTIONS)
        .maybe("host", of(&assumed.host))
        .maybe("zone", of(&assumed.zone))
        .maybe("region", of(&assumed.region))
        .maybe("shared", of(&assumed.shared))
        .maybe("change", of(&assumed.change))
        .maybe("common_cause", share(&assumed.common_cause))
        .maybe("coverage", share(&assumed.coverage))
        .maybe("by_hand", lasting(&assumed.by_hand))
        .maybe("promotion", lasting(&assumed.promotion))
        .maybe("crew", assumed.crew.map(|crew| crew.to_string()));
    out.push_str(&table.finish("[assumptions]"));
    if !system.accepted.is_empty() {
        out.push_str("\n[accepted]\n");
        for accepted in &system.accepted {
            out.push_str(&format!("{} = {}\n", text(&accepted.component), text(&accepted.reason)));
        }
    }
    out
}

fn figure(value: String, source: &Option<String>) -> String {
    match source {
        None => value,
        Some(source) => Inline::default().set("value", value).set("source", text(source)).finish(),
    }
}

fn failing(of: &Failing) -> String {
    let table = match of.rate {
        FailureRate::Availability(share) => Inline::default().set("availability", text(&write_share(share))),
        FailureRate::Every(every) => Inline::default().set("every", time(every)),
    };
    let table = match of.repair {
        Some(repair) => table.set("repair", time(repair)),
        None => table,
    };
    match &of.source {
        Some(source) => table.set("source", text(source)).finish(),
        None => table.finish(),
    }
}

/// What a host says besides its zone and its address.
pub(super) fn host(host: &Host, table: Inline) -> Inline {
    let table = match &host.failures {
        Some(failures) => table.set("failures", failing(failures)),
        None => table,
    };
    match host.maintenance {
        Some(Maintenance { every, takes }) => {
            let planned = Inline::default().set("every", time(every)).set("takes", time(takes));
            table.set("maintenance", planned.finish())
        }
        None => table,
    }
}
