//! Virtual addresses of load balancers: which, who may hold them, and what goes over the wire.
//!
//! What two of them must not share is in [`across`], how one is authenticated in [`secrets`], and whom advertisements
//! go to in [`unicast`].

mod across;
mod address;
mod secrets;
mod unicast;

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use toml::de::DeValue;

use self::across::{Across, Member, Router};
use super::names::Named;
use super::texts;
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{Candidate, Host, HostAddress, HostId, VirtualIp, VrrpChecksum, VrrpVersion};
use crate::{shape, units};

/// The most addresses that one advertisement names.
const ADDRESSES: usize = 20;
/// The priority of the most preferred host, what each further one has less, and the least of all.
const FIRST: usize = 200;
const STEP: usize = 10;
const LEAST: usize = 20;

/// The load balancer whose virtual addresses they are.
pub(super) struct Balancer<'r> {
    pub(super) name: &'r str,
    /// Those of its hosts that could be read, and whether these are all.
    pub(super) hosts: &'r [HostId],
    pub(super) whole: bool,
    pub(super) hosts_place: Option<Span>,
}

/// Reads the virtual addresses of one load balancer after the other.
pub(super) struct Reader<'r, 'a> {
    hosts: &'r Named<'a, Host>,
    across: Across,
    warnings: Vec<Mistake>,
}

/// Addresses, and where each stands.
type Placed = Vec<(IpAddr, Span)>;

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn new(hosts: &'r Named<'a, Host>) -> Self {
        Self { hosts, across: Across::default(), warnings: Vec::new() }
    }

    /// What is no mistake but looks forgotten.
    pub(super) fn into_warnings(self) -> Vec<Mistake> {
        self.warnings
    }

    pub(super) fn read(&mut self, of: &Balancer<'_>, fields: &Fields<'_>) -> Option<Vec<VirtualIp>> {
        let Some(list) = fields.get("virtual_ips") else { return Some(Vec::new()) };
        let mut virtual_ips = Vec::new();
        let mut whole = true;
        self.across.next_load_balancer();
        for item in list.items()? {
            match self.virtual_ip(of, item) {
                Some(virtual_ip) => virtual_ips.push(virtual_ip),
                None => whole = false,
            }
        }
        whole.then_some(virtual_ips)
    }

    fn virtual_ip(&mut self, of: &Balancer<'_>, item: Item<'_>) -> Option<VirtualIp> {
        let short = item.value.get_ref().is_str();
        let fields = match item.value.get_ref() {
            DeValue::Table(_) => item.fields(&shape::VIRTUAL_IP)?,
            DeValue::String(_) => Fields::absent(&shape::VIRTUAL_IP, item.notes),
            _ => {
                item.wrong_type();
                return None;
            }
        };
        let address = if short { Some(item) } else { fields.require("address") };
        let addresses = address.and_then(|address| self.addresses(of, &address));
        let first = addresses.as_ref().and_then(|addresses| addresses.first().cloned());
        let candidates = self.candidates(of, &fields);
        let version = version(&fields, first.as_ref());
        let router_id = self.router_id(of, &fields, candidates.as_deref(), first.as_ref());
        let preempt = preempt(&fields);
        let interface = optional(fields.get("interface"), |item| interface(&item));
        let interval = interval(&fields, version);
        let unicast = self.unicast(&fields, candidates.as_deref(), first.as_ref());
        let checksum = checksum(&fields, version, first.as_ref());
        let authentication = secrets::authentication(&fields, version);
        let group = optional(fields.get("group"), |item| texts::name(&item).map(str::to_owned));
        if let (Some(Some(group)), Some(candidates)) = (&group, &candidates) {
            self.across.together(&fields, Member::new(group, candidates, preempt, &fields));
        }
        let (addresses, hosts) = (addresses?, candidates?);
        if let ([_], Some((address, place))) = (hosts.as_slice(), &first) {
            let place = hosts_place(&fields).unwrap_or_else(|| place.clone());
            self.warnings.push(cannot_move(of, *address, place));
        }
        Some(VirtualIp {
            addresses: addresses.into_iter().map(|(address, _)| address).collect(),
            router_id: router_id?,
            hosts,
            interface: interface?,
            version: version?,
            interval: interval?,
            preempt,
            unicast: unicast?,
            checksum,
            authentication: authentication?,
            group: group?,
        })
    }

    fn addresses(&mut self, of: &Balancer<'_>, item: &Item<'_>) -> Option<Placed> {
        let items: Vec<Item<'_>> = match item.value.get_ref() {
            DeValue::Array(_) => item.items()?.collect(),
            DeValue::String(_) => vec![*item],
            _ => {
                item.wrong_type();
                return None;
            }
        };
        let mut addresses: Placed = Vec::new();
        let mut whole = true;
        for item in &items {
            match address::virtual_address(item) {
                Some(address) => {
                    self.free(of, address, item);
                    addresses.push((address, item.span()));
                }
                None => whole = false,
            }
        }
        if items.is_empty() {
            item.note("a virtual IP has no address", "empty", "write at least one: address = \"10.0.1.100\"");
        }
        if items.len() > ADDRESSES {
            item.note(
                format!("a virtual IP has more than {ADDRESSES} addresses"),
                format!("{} of them", items.len()),
                "make it two virtual IPs; those of one `group` stay together",
            );
        }
        let other = addresses.first().and_then(|(first, place)| {
            let other = addresses.iter().find(|(other, _)| other.is_ipv4() != first.is_ipv4())?;
            Some((place, &other.1, address::family(*first), address::family(other.0)))
        });
        if let Some((first, other, family, strange)) = other {
            item.notes.add(
                Mistake::new("a virtual IP has addresses of one family", other.clone(), strange)
                    .and(first.clone(), family)
                    .help("make it two virtual IPs; those of one `group` stay together"),
            );
        }
        (whole && !addresses.is_empty()).then_some(addresses)
    }

    /// Notes an address that a host or another virtual IP has.
    fn free(&mut self, of: &Balancer<'_>, address: IpAddr, item: &Item<'_>) {
        if let Some(host) = self.host_with(address) {
            let name = self.hosts.names.name(host);
            let title = format!("`{address}` is the address of host `{name}`");
            item.notes.add(
                Mistake::new(title, item.span(), "would move away from it")
                    .and(self.hosts.names.span(host), "has it")
                    .help("write an address of the same subnet that no host has"),
            );
        }
        self.across.address(of.name, address, item);
    }

    fn host_with(&self, address: IpAddr) -> Option<usize> {
        (0..self.hosts.names.len()).find(|&id| {
            self.hosts.get(id).is_some_and(
                |host| matches!(host.address, HostAddress::Ip(other) if other.to_canonical() == address),
            )
        })
    }

    fn router_id(
        &mut self,
        of: &Balancer<'_>,
        fields: &Fields<'_>,
        candidates: Option<&[Candidate]>,
        first: Option<&(IpAddr, Span)>,
    ) -> Option<u8> {
        let said = fields.maybe_whole::<u8>("router_id");
        let written = fields.place("router_id");
        let (address, place) = first?;
        let id = match (said, &written) {
            (None, Some(_)) => return None,
            (Some(id), _) => id,
            (None, None) => last_byte(*address),
        };
        let hosts = match candidates {
            Some(candidates) => candidates.iter().map(|candidate| candidate.host).collect(),
            None => of.hosts.to_vec(),
        };
        let derived = written.is_none();
        let place = written.unwrap_or_else(|| place.clone());
        self.across.router(fields, Router { address: *address, id, derived, hosts, place });
        Some(id)
    }

    fn candidates(&self, of: &Balancer<'_>, fields: &Fields<'_>) -> Option<Vec<Candidate>> {
        let (hosts, priorities) = (fields.get("hosts"), fields.get("priorities"));
        let candidates = match (hosts, priorities) {
            (Some(hosts), Some(priorities)) => {
                fields.notes().add(
                    Mistake::new(
                        "a virtual IP has either `hosts` or `priorities`",
                        priorities.span(),
                        "an order again",
                    )
                    .and(hosts.span(), "one order")
                    .help("take one out: `hosts` is the order alone, `priorities` says the numbers too"),
                );
                return None;
            }
            (Some(hosts), None) => ranked(self.in_order(of, hosts)?),
            (None, Some(priorities)) => self.by_priority(of, priorities)?,
            (None, None) => return of.whole.then(|| ranked(of.hosts.to_vec())),
        };
        if let (true, Some(item)) = (candidates.is_empty(), hosts.or(priorities)) {
            let help = format!("name those that may hold it, or leave `{}` out: then all may", item.name);
            item.note("a virtual IP has no host", "empty", help);
        }
        Some(candidates)
    }

    fn in_order(&self, of: &Balancer<'_>, list: Item<'_>) -> Option<Vec<HostId>> {
        let mut hosts: Vec<(HostId, Span)> = Vec::new();
        let mut whole = true;
        for item in list.items()? {
            let host = item.text().and_then(|name| self.own_host(of, name, item.span(), &item));
            let Some(host) = host else {
                whole = false;
                continue;
            };
            match hosts.iter().find(|(other, _)| *other == host) {
                Some((_, first)) => item.notes.add(
                    Mistake::new("a virtual IP has a host twice", item.span(), "again")
                        .and(first.clone(), "first")
                        .help("take one out"),
                ),
                None => hosts.push((host, item.span())),
            }
        }
        whole.then(|| hosts.into_iter().map(|(host, _)| host).collect())
    }

    fn by_priority(&self, of: &Balancer<'_>, table: Item<'_>) -> Option<Vec<Candidate>> {
        let Some(entries) = table.value.get_ref().as_table() else {
            table.wrong_type();
            return None;
        };
        let kind = table.kind.named().unwrap_or(table.kind);
        let crate::kind::Kind::Whole { min, max } = *kind else { unreachable!("a priority is a number") };
        let mut candidates = Vec::new();
        let mut whole = true;
        for (name, value) in entries {
            let span = name.span();
            let name = name.get_ref().as_ref();
            let item = Item { name, kind, value, ..table };
            let host = self.own_host(of, name, span, &item);
            let priority = item.whole(min, max).and_then(|priority| u8::try_from(priority).ok());
            match host.zip(priority) {
                Some((host, priority)) => candidates.push(Candidate { host, priority }),
                None => whole = false,
            }
        }
        candidates.sort_by_key(|candidate| Reverse(candidate.priority));
        whole.then_some(candidates)
    }

    /// The host of this name, if it is one of the load balancer's.
    fn own_host(&self, of: &Balancer<'_>, name: &str, span: Span, item: &Item<'_>) -> Option<HostId> {
        let host = self.hosts.names.find(name, span.clone(), item.notes).map(HostId)?;
        if of.hosts.contains(&host) || !of.whole {
            return Some(host);
        }
        let title = format!("host `{name}` is not one of load balancer `{}`", of.name);
        let mistake = Mistake::new(title, span, "can't hold its addresses").of_the_whole();
        let mistake = match &of.hosts_place {
            Some(place) => mistake.and(place.clone(), "the hosts that can"),
            None => mistake,
        };
        item.notes.add(mistake.help("take it out, or add it to the load balancer's `hosts`"));
        None
    }
}

/// `Some(None)` where there is nothing to read, `None` where it is wrong.
fn optional<'a, T>(item: Option<Item<'a>>, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<Option<T>> {
    match item {
        Some(item) => read(item).map(Some),
        None => Some(None),
    }
}

/// Where it is written who may hold the address.
fn hosts_place(fields: &Fields<'_>) -> Option<Span> {
    fields.place("hosts").or_else(|| fields.place("priorities"))
}

/// Hosts in their order with priorities that say it; of very many the last ones are equals.
fn ranked(hosts: Vec<HostId>) -> Vec<Candidate> {
    let room = (FIRST - LEAST) / hosts.len().saturating_sub(1).max(1);
    let step = room.clamp(1, STEP);
    let priority = |place: usize| FIRST.saturating_sub(place * step).max(LEAST) as u8;
    let hosts = hosts.into_iter().enumerate();
    hosts.map(|(place, host)| Candidate { host, priority: priority(place) }).collect()
}

fn last_byte(address: IpAddr) -> u8 {
    let last = match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    };
    // There is no virtual router 0.
    if last == 0 { 255 } else { last }
}

fn cannot_move(of: &Balancer<'_>, address: IpAddr, place: Span) -> Mistake {
    let help = match of.hosts {
        [_] => format!("give load balancer `{}` a second host", of.name),
        _ => "name a second host".to_owned(),
    };
    Mistake::new(format!("virtual IP `{address}` can't move"), place, "one host only").help(help)
}

/// Linux's rule: at most 15 bytes, without blanks, `/`, `:` and `%`, and no name that stands for all interfaces.
fn interface(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let wrong = |c: char| !c.is_ascii_graphic() || ['/', ':', '%'].contains(&c);
    if text.is_empty()
        || text.len() > 15
        || text.contains(wrong)
        || [".", "..", "all", "default"].contains(&text)
    {
        item.note(
            format!("`{text}` is not a network interface"),
            "not an interface's name",
            "write a name as `ip link` shows it, such as \"eth0\"; the part from an `@` on is not of the name",
        );
        return None;
    }
    Some(text.to_owned())
}

fn version(fields: &Fields<'_>, first: Option<&(IpAddr, Span)>) -> Option<VrrpVersion> {
    let said = fields.maybe_whole::<u8>("version");
    let place = fields.place("version");
    match (said, place) {
        (None, Some(_)) => None,
        (Some(2), Some(place)) => {
            if let Some((_, address)) = first.filter(|(address, _)| address.is_ipv6()) {
                fields.notes().add(
                    Mistake::new("version 2 of VRRP is for IPv4 only", place, "knows no IPv6")
                        .and(address.clone(), "IPv6")
                        .help("leave `version` out: version 3 is for both"),
                );
            }
            Some(VrrpVersion::V2)
        }
        _ => Some(VrrpVersion::V3),
    }
}

fn interval(fields: &Fields<'_>, version: Option<VrrpVersion>) -> Option<Duration> {
    let said = fields.maybe_time("interval");
    let place = fields.place("interval");
    let (number, unit, step, longest) = match version? {
        VrrpVersion::V2 => (2, "seconds", Duration::from_secs(1), Duration::from_secs(255)),
        VrrpVersion::V3 => {
            (3, "hundredths of a second", Duration::from_millis(10), Duration::from_millis(40_950))
        }
    };
    let (said, place) = match (said, place) {
        (None, None) if number == 2 => return Some(Duration::from_secs(1)),
        (None, None) => return Some(Duration::from_millis(100)),
        (said, place) => (said?, place?),
    };
    let write = units::write_duration;
    let past = Duration::from_nanos((said.as_nanos() % step.as_nanos()) as u64);
    if said > longest {
        let help = format!("in version {number} it is at most \"{}\"", write(longest));
        fields.notes().add(
            Mistake::new(format!("`interval` is too long for version {number}"), place, write(said))
                .help(help),
        );
    } else if !past.is_zero() {
        let (below, above) = (said - past, said - past + step);
        let near = match below.is_zero() {
            true => format!("\"{}\"", write(above)),
            false => format!("\"{}\" or \"{}\"", write(below), write(above)),
        };
        let title = format!("`interval` is not in whole {unit}");
        fields.notes().add(
            Mistake::new(title, place, format!("version {number} can't say this"))
                .help(format!("write {near}")),
        );
    }
    Some(said)
}

fn preempt(fields: &Fields<'_>) -> Option<Duration> {
    let (preempt, delay) = (fields.flag("preempt"), fields.time("preempt_delay"));
    if let (false, Some(key), Some(never)) =
        (preempt, fields.key_place("preempt_delay"), fields.place("preempt"))
    {
        fields.notes().add(
            Mistake::new("`preempt_delay` does nothing without `preempt`", key, "waits for nothing")
                .and(never, "never takes over from one that serves")
                .help("take one of them out"),
        );
    }
    preempt.then_some(delay)
}

fn checksum(
    fields: &Fields<'_>,
    version: Option<VrrpVersion>,
    first: Option<&(IpAddr, Span)>,
) -> VrrpChecksum {
    let checksum = match fields.word("checksum") {
        "plain" => VrrpChecksum::Plain,
        _ => VrrpChecksum::PseudoHeader,
    };
    let old = version == Some(VrrpVersion::V2);
    let v6 = first.is_some_and(|(address, _)| address.is_ipv6());
    if let (true, Some(key)) = (old || v6, fields.key_place("checksum")) {
        let mistake = Mistake::new("`checksum` is for version 3 over IPv4 only", key, "does nothing here");
        let mistake = match (first, fields.place("version")) {
            (Some((_, place)), _) if v6 => mistake.and(place.clone(), "IPv6"),
            (_, Some(place)) => mistake.and(place, "version 2"),
            _ => mistake,
        };
        fields.notes().add(mistake.help("take it out: there is one kind of checksum here"));
    }
    checksum
}
