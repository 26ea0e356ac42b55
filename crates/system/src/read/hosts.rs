//! Zones and hosts.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::names::{Named, Names};
use super::{failures, texts};
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{Host, HostAddress, HostId, Zone, ZoneId};
use crate::shape;

pub(crate) fn zones<'a>(system: &Fields<'a>) -> Named<'a, Zone> {
    let item = system.get("zones");
    let zones = match item.map(|item| (item, item.value.get_ref())) {
        Some((item, DeValue::Array(_))) => listed(system, item),
        _ => Named::read("zone", "zones", system, |name, _, item| {
            let fields = item.fields(&shape::ZONE)?;
            let region = fields.get("region").and_then(|item| texts::name(&item));
            Some(Zone { name: name.to_owned(), region: region.map(str::to_owned) })
        }),
    };
    if zones.names.len() > 0 {
        return zones;
    }
    let default = Zone { name: "default".to_owned(), region: None };
    Named::new(Names::of("zone", None, vec![("default", 0..0)]), vec![Some(default)])
}

/// `zones = ["a", "b"]`.
fn listed<'a>(system: &Fields<'a>, item: Item<'a>) -> Named<'a, Zone> {
    let mut names: Vec<(&str, Span)> = Vec::new();
    for item in item.items().into_iter().flatten() {
        let Some(name) = texts::name(&item) else { continue };
        match names.iter().find(|(other, _)| *other == name) {
            Some((_, first)) => system.notes().add(
                Mistake::new(format!("zone `{name}` is there twice"), item.span(), "again")
                    .and(first.clone(), "first")
                    .help("take one out"),
            ),
            None => names.push((name, item.span())),
        }
    }
    let list = names.iter().map(|(name, _)| Some(Zone { name: (*name).to_owned(), region: None })).collect();
    Named::new(Names::of("zone", system.key_place("zones"), names), list)
}

pub(crate) fn hosts<'a>(system: &Fields<'a>, zones: &Names<'a>, repair: Duration) -> Named<'a, Host> {
    let mut addresses: Vec<(HostAddress, &str, Span)> = Vec::new();
    let item = system.require("hosts");
    if let Some(item) = item.filter(|_| !zones.are_written()) {
        no_zones(&item);
    }
    let planned = system.get("maintenance").and_then(failures::maintenance);
    let hosts = Named::read("host", "hosts", system, |name, key, item| {
        let (mut failing, mut maintenance) = (None, planned);
        let (zone, address) = match item.value.get_ref() {
            DeValue::Table(_) => {
                let fields = item.fields(&shape::HOST)?.named(key.clone());
                failing = fields.get("failures").and_then(|item| failures::failing(item, repair));
                if let Some(own) = fields.get("maintenance") {
                    maintenance = failures::host_maintenance(own);
                }
                (zone(name, key, zones, &item, fields.get("zone")), fields.require("address"))
            }
            _ => (zone(name, key, zones, &item, None), Some(item)),
        };
        let address_item = address?;
        let address = texts::address(&address_item)?;
        match addresses.iter().find(|(other, _, _)| *other == address) {
            Some((_, other, span)) => system.notes().add(
                Mistake::new(
                    format!("hosts `{other}` and `{name}` have the same address"),
                    address_item.span(),
                    "used again",
                )
                .and(span.clone(), format!("the address of `{other}`"))
                .help("each host has an address of its own; what runs on one machine is one host"),
            ),
            None => addresses.push((address.clone(), name, address_item.span())),
        }
        Some(Host { name: name.to_owned(), zone: ZoneId(zone?), address, failures: failing, maintenance })
    });
    if let Some(item) = item.filter(|item| item.value.get_ref().as_table().is_some_and(DeTable::is_empty)) {
        item.note("there is no host", "empty", "add one: app1 = \"10.0.1.21\"");
    }
    hosts
}

/// Notes, once, hosts in zones where the file has none.
fn no_zones(hosts: &Item<'_>) {
    let hosts_in_zones = hosts.value.get_ref().as_table().into_iter().flat_map(DeTable::values);
    let mut zones: Vec<(&str, Span)> = Vec::new();
    for zone in hosts_in_zones.filter_map(|host| host.get_ref().as_table()?.get("zone")) {
        let name = zone.get_ref().as_str().unwrap_or("a");
        if zones.iter().all(|(other, _)| *other != name) {
            zones.push((name, zone.span()));
        }
    }
    let list: Vec<_> = zones.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    if let Some(((name, span), others)) = zones.split_first() {
        let mistake =
            Mistake::new(format!("there is no zone `{name}`"), span.clone(), "not defined").of_the_whole();
        let mistake =
            others.iter().fold(mistake, |mistake, (_, span)| mistake.and(span.clone(), "nor is this"));
        hosts
            .notes
            .add(mistake.help(format!("name them at the top of the file: zones = [{}]", list.join(", "))));
    }
}

fn zone(name: &str, key: Span, zones: &Names<'_>, host: &Item<'_>, zone: Option<Item<'_>>) -> Option<usize> {
    match zone {
        Some(_) if !zones.are_written() => None,
        Some(zone) => zones.refer(&zone),
        None if zones.len() == 1 => Some(0),
        None => {
            let first = zones.name(0);
            let mistake = Mistake::new(format!("host `{name}` is in no zone"), key, "in which zone?");
            let help = match host.value.get_ref().as_str() {
                Some(address) => format!("write {name} = {{ zone = \"{first}\", address = \"{address}\" }}"),
                None => format!("add zone = \"{first}\", or another of them"),
            };
            host.notes
                .add(mistake.of_the_whole().and(zones.span(0), "there is more than one zone").help(help));
            None
        }
    }
}

/// The hosts under `hosts` of a table that runs on several: those that could be read, and whether these are all.
/// `of`: ``load balancer `front` ``.
pub(super) fn own_hosts(of: &str, fields: &Fields<'_>, hosts: &Names<'_>) -> (Vec<HostId>, bool) {
    let Some((list, items)) = fields.require("hosts").and_then(|list| Some((list, list.items()?))) else {
        return (Vec::new(), false);
    };
    let mut own: Vec<(HostId, Span)> = Vec::new();
    let mut whole = true;
    for item in items {
        let Some(id) = hosts.refer(&item).map(HostId) else {
            whole = false;
            continue;
        };
        match own.iter().find(|(other, _)| *other == id) {
            Some((_, first)) => item.notes.add(
                Mistake::new(format!("{of} has a host twice"), item.span(), "again")
                    .and(first.clone(), "first")
                    .help("take one out"),
            ),
            None => own.push((id, item.span())),
        }
    }
    if own.is_empty() && whole {
        list.note(
            format!("{of} has no host"),
            "empty",
            format!("name the hosts that it runs on: hosts = {}", list.kind.example()),
        );
        whole = false;
    }
    (own.into_iter().map(|(id, _)| id).collect(), whole)
}
