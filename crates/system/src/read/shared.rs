//! What hosts or zones have in common.

use std::time::Duration;

use super::failures;
use super::names::{Named, Names};
use crate::fields::Fields;
use crate::mistake::Mistake;
use crate::model::{HostId, Shared, ZoneId};
use crate::shape;

pub(super) fn shared<'a>(
    system: &Fields<'a>,
    hosts: &Names<'_>,
    zones: &Names<'_>,
    repair: Duration,
) -> Named<'a, Shared> {
    Named::read("shared thing", "shared", system, |name, key, item| {
        let fields = item.fields(&shape::SHARED)?.named(key.clone());
        let of = format!("`{name}`");
        let each = |key: &str, names: &Names<'_>| {
            fields.get(key).map_or(Some(Vec::new()), |list| names.refer_to_each(&of, list))
        };
        let (its_hosts, its_zones) = (each("hosts", hosts), each("zones", zones));
        let what = fields.text("what").map(str::to_owned);
        let failures = fields.get("failures").and_then(|item| failures::failing(item, repair));
        let (its_hosts, its_zones) = (its_hosts?, its_zones?);
        if its_hosts.is_empty()
            && its_zones.is_empty()
            && fields.is_missed("hosts")
            && fields.is_missed("zones")
        {
            fields.notes().add(
                Mistake::new(format!("nothing shares `{name}`"), key, "whose hosts fail with it?")
                    .of_the_whole()
                    .help("add hosts = [\"lb1\", \"lb2\"], or zones = [\"a\"]"),
            );
            return None;
        }
        Some(Shared {
            name: name.to_owned(),
            what,
            hosts: its_hosts.into_iter().map(HostId).collect(),
            zones: its_zones.into_iter().map(ZoneId).collect(),
            failures,
        })
    })
}
