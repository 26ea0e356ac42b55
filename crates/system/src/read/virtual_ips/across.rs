//! What two virtual addresses must not share, and what those of one group must.

use std::net::IpAddr;
use std::time::Duration;

use super::hosts_place;
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{Candidate, HostId};

/// What was read so far.
#[derive(Default)]
pub(super) struct Across {
    /// Address, load balancer, place.
    addresses: Vec<(IpAddr, String, Span)>,
    routers: Vec<Router>,
    /// Of the current load balancer, the first of each group.
    groups: Vec<Member>,
}

/// A virtual router, known by its number and its first address.
pub(super) struct Router {
    pub(super) address: IpAddr,
    pub(super) id: u8,
    /// The number is made from the address.
    pub(super) derived: bool,
    pub(super) hosts: Vec<HostId>,
    pub(super) place: Span,
}

/// What the virtual addresses of a group have in common.
pub(super) struct Member {
    group: String,
    /// By host: of equals the order says nothing.
    candidates: Vec<Candidate>,
    hosts_place: Span,
    preempt: Option<Duration>,
    preempt_place: Span,
}

impl Member {
    pub(super) fn new(
        group: &str,
        candidates: &[Candidate],
        preempt: Option<Duration>,
        fields: &Fields<'_>,
    ) -> Self {
        let mut candidates = candidates.to_vec();
        candidates.sort_by_key(|candidate| candidate.host);
        // What a default says is shown at the group's name.
        let place = fields.place("group").unwrap_or_default();
        let preempt_place = fields.place("preempt_delay").or_else(|| fields.place("preempt"));
        Self {
            group: group.to_owned(),
            candidates,
            hosts_place: hosts_place(fields).unwrap_or_else(|| place.clone()),
            preempt,
            preempt_place: preempt_place.unwrap_or(place),
        }
    }
}

impl Across {
    pub(super) fn next_load_balancer(&mut self) {
        self.groups.clear();
    }

    /// Notes an address that is there already.
    pub(super) fn address(&mut self, load_balancer: &str, address: IpAddr, item: &Item<'_>) {
        match self.addresses.iter().find(|(other, _, _)| *other == address) {
            Some((_, owner, first)) => item.notes.add(
                Mistake::new(format!("`{address}` is a virtual IP twice"), item.span(), "again")
                    .and(first.clone(), format!("first, of load balancer `{owner}`"))
                    .help("take one out"),
            ),
            None => self.addresses.push((address, load_balancer.to_owned(), item.span())),
        }
    }

    /// Notes a number that another virtual router has on a host of both.
    pub(super) fn router(&mut self, fields: &Fields<'_>, new: Router) {
        let rivals = |old: &&Router| {
            old.address.is_ipv4() == new.address.is_ipv4()
                && old.id == new.id
                && old.hosts.iter().any(|host| new.hosts.contains(host))
                // The same address twice is told already.
                && !(old.derived && new.derived && old.address == new.address)
        };
        if let Some(old) = self.routers.iter().find(rivals) {
            let label = |router: &Router| match router.derived {
                true => format!("{}, from the address", router.id),
                false => router.id.to_string(),
            };
            let taken = |id: &u8| {
                let same_family = |router: &&Router| router.address.is_ipv4() == new.address.is_ipv4();
                self.routers.iter().filter(same_family).any(|router| router.id == *id)
            };
            let help = match (1..=u8::MAX).cycle().skip(usize::from(new.id)).take(255).find(|id| !taken(id)) {
                Some(free) => format!("give one of them another number: router_id = {free}"),
                None => "give one of them another `router_id`".to_owned(),
            };
            let title = format!("two virtual IPs have the router_id {} on the same host", new.id);
            fields.notes().add(
                Mistake::new(title, new.place.clone(), label(&new))
                    .and(old.place.clone(), label(old))
                    .help(help),
            );
        }
        self.routers.push(new);
    }

    /// Notes what keeps a virtual address from going with its group.
    pub(super) fn together(&mut self, fields: &Fields<'_>, new: Member) {
        let Some(first) = self.groups.iter().find(|first| first.group == new.group) else {
            self.groups.push(new);
            return;
        };
        let group = &new.group;
        if first.candidates != new.candidates {
            fields.notes().add(
                Mistake::new(
                    format!("virtual IPs of group `{group}` have different hosts or priorities"),
                    new.hosts_place,
                    "not the same",
                )
                .and(first.hosts_place.clone(), "of the first in the group")
                .help("what moves together has the same hosts with the same priorities"),
            );
        }
        if first.preempt != new.preempt {
            fields.notes().add(
                Mistake::new(
                    format!("virtual IPs of group `{group}` differ in when they are taken back"),
                    new.preempt_place,
                    "not the same",
                )
                .and(first.preempt_place.clone(), "of the first in the group")
                .help("what moves together has the same `preempt` and `preempt_delay`"),
            );
        }
    }
}
