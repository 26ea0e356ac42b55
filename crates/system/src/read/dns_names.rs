//! DNS names by which clients find load balancers.

use super::names::{Named, Names};
use super::texts;
use crate::fields::Fields;
use crate::mistake::Mistake;
use crate::model::{DnsName, LoadBalancerId};
use crate::shape;

pub(super) fn names<'a>(system: &Fields<'a>, load_balancers: &Names<'_>) -> Named<'a, DnsName> {
    Named::read("name", "names", system, |name, key, item| {
        let fields = item.fields(&shape::DNS_NAME)?.named(key.clone());
        if texts::is_name(name) && !texts::is_dns_name(name) {
            fields.notes().add(
                Mistake::new(format!("`{name}` is not a DNS name"), key, "nobody can look this up")
                    .help("write the name that clients use, in quotes: [names.\"shop.example\"]"),
            );
        }
        let list = fields.require("load_balancers");
        let leads = list.and_then(|list| load_balancers.refer_to_each(&format!("`{name}`"), list));
        let (checked, notice) = (fields.flag("checked"), fields.time("notice"));
        if let Some(place) = fields.key_place("notice").filter(|_| !checked) {
            fields.notes().add(
                Mistake::new("`notice` does nothing without `checked`", place, "answers never change")
                    .help("add checked = true, or take it out"),
            );
        }
        Some(DnsName {
            name: name.to_owned(),
            load_balancers: leads?.into_iter().map(LoadBalancerId).collect(),
            ttl: fields.time("ttl"),
            checked: checked.then_some(notice),
            retry: fields.flag("retry"),
        })
    })
}
