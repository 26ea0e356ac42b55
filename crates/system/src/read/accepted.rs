//! Single points of failure that are accepted, each with its reason.

use toml::de::DeValue;

use super::names::{Named, Names};
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, all_nearest};
use crate::model::{Accepted, Coordination, EtcdMember, Store, Zone};

/// `coordination`: what could be read of it; nothing is said of names while it could not.
pub(super) fn accepted(
    system: &Fields<'_>,
    zones: &Named<'_, Zone>,
    hosts: &Names<'_>,
    shared: &Names<'_>,
    coordination: Option<&Option<Coordination>>,
) -> Vec<Accepted> {
    let Some(item) = system.get("accepted") else { return Vec::new() };
    let DeValue::Table(table) = item.value.get_ref() else {
        item.wrong_type();
        return Vec::new();
    };
    let mut known: Vec<String> = Vec::new();
    let named = |what: &str, names: &Names<'_>| {
        (0..names.len()).map(|id| format!("{what} {}", names.name(id))).collect::<Vec<_>>()
    };
    known.extend(named("host", hosts));
    known.extend(named("zone", &zones.names));
    let regions = (0..zones.names.len()).filter_map(|id| zones.get(id)?.region.as_ref());
    known.extend(regions.map(|region| format!("region {region}")));
    known.extend(named("shared", shared));
    known.extend(coordination.into_iter().flatten().flat_map(elsewhere));
    known.dedup();
    let kind = item.kind.named().unwrap_or(item.kind);
    let mut all = Vec::new();
    for (name, value) in table {
        let (component, span) = (name.get_ref().as_ref(), name.span());
        let reason = Item { name: component, kind, value, ..item };
        let Some(text) = reason.text() else { continue };
        if text.trim().is_empty() {
            reason.note(
                format!("`{component}` is accepted without a reason"),
                "empty",
                "say why, so that others know: \"there is no second one yet\"",
            );
        } else if coordination.is_some() && !known.iter().any(|known| known == component) {
            item.notes.add(
                Mistake::new(format!("there is nothing called `{component}`"), span, "not defined")
                    .of_the_whole()
                    .help(meant(component, &known)),
            );
        }
        all.push(Accepted { component: component.to_owned(), reason: text.trim().to_owned() });
    }
    all
}

/// Members of etcd that are no hosts of the system.
fn elsewhere(coordination: &Coordination) -> Vec<String> {
    let name = |member: &EtcdMember| match member {
        EtcdMember::Host { .. } => None,
        EtcdMember::Address(address) => Some(format!("coordination member {address}")),
        EtcdMember::Name { name, port } => Some(format!("coordination member {name}:{port}")),
    };
    match &coordination.store {
        Store::Embedded { .. } => Vec::new(),
        Store::Etcd(etcd) => etcd.members.iter().filter_map(name).collect(),
    }
}

fn meant(component: &str, known: &[String]) -> String {
    let last = |known: &&String| known.rsplit(' ').next() == Some(component);
    let alone: Vec<&str> = known.iter().filter(last).map(String::as_str).collect();
    let near =
        if alone.is_empty() { all_nearest(component, known.iter().map(String::as_str)) } else { alone };
    match near.as_slice() {
        [] => "as `nines audit` calls it: `host lb1`, `zone a`, `region x`, `shared sw1`, `coordination member …`".to_owned(),
        near => {
            let near: Vec<String> = near.iter().take(3).map(|name| format!("`{name}`")).collect();
            format!("did you mean {}?", near.join(" or "))
        }
    }
}
