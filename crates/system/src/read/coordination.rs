//! Where the hosts of databases agree: the members of etcd, or a directory.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use toml::de::DeValue;

use super::databases::{Databases, Directory, apart, optional};
use super::names::Named;
use super::ports::{Bound, By, Ports};
use super::{secrets, texts};
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{Coordination, Etcd, EtcdMember, EtcdTls, Host, HostAddress, HostId, Secret, Store};
use crate::shape;

struct Reader<'r, 'a> {
    hosts: &'r Named<'a, Host>,
    databases: &'r Databases<'a>,
    zones: usize,
    warnings: Vec<Mistake>,
}

/// `Some(None)`: there is none, and none is needed.
pub(super) fn coordination<'a>(
    system: &Fields<'a>,
    name: Option<&str>,
    hosts: &Named<'a, Host>,
    zones: usize,
    databases: &Databases<'a>,
    ports: &mut Ports,
) -> (Option<Option<Coordination>>, Vec<Mistake>) {
    let mut reader = Reader { hosts, databases, zones, warnings: Vec::new() };
    let read = match system.get("coordination") {
        Some(item) => reader.coordination(item, name, ports).map(Some),
        None => {
            if databases.named.names.len() > 0 && system.is_missed("coordination") {
                reader.missing(system);
            }
            Some(None)
        }
    };
    if let (Some(key), 0) = (system.key_place("coordination"), databases.named.names.len()) {
        reader.warnings.push(
            Mistake::new("there is a coordination and no database", key, "not used")
                .help("take it out, or add a database: [databases.orders]"),
        );
    }
    (read, reader.warnings)
}

impl Reader<'_, '_> {
    fn missing(&self, system: &Fields<'_>) {
        let place = system.key_place("databases").unwrap_or_default();
        let hosts = self.database_hosts();
        let help = match hosts.as_slice() {
            [_] => "add [coordination] with embedded = \"/var/lib/nines/coordination\", or with etcd = [\"…:2379\"]"
                .to_owned(),
            [] => "add [coordination] with etcd = [\"db1:2379\", \"db2:2379\", \"db3:2379\"]".to_owned(),
            several => {
                let members = several.iter().take(3).map(|host| format!("\"{}:2379\"", self.hosts.names.name(host.0)));
                format!("add [coordination] with etcd = [{}]", members.collect::<Vec<_>>().join(", "))
            }
        };
        system.notes().add(
            Mistake::new("there are databases and no `coordination`", place, "where do their hosts agree?")
                .of_the_whole()
                .help(help),
        );
    }

    /// Each once.
    fn database_hosts(&self) -> Vec<HostId> {
        let named = &self.databases.named;
        let all = (0..named.names.len()).filter_map(|id| named.get(id));
        let mut hosts: Vec<HostId> = all.flat_map(|database| database.hosts.iter().copied()).collect();
        let mut seen = Vec::new();
        hosts.retain(|host| {
            let new = !seen.contains(host);
            seen.push(*host);
            new
        });
        hosts
    }

    fn coordination(
        &mut self,
        item: Item<'_>,
        name: Option<&str>,
        ports: &mut Ports,
    ) -> Option<Coordination> {
        let fields = item.fields(&shape::COORDINATION)?;
        let prefix = match fields.get("prefix") {
            Some(item) => prefix(&item),
            None => name.map(str::to_ascii_lowercase),
        };
        let store = match (fields.get("etcd"), fields.get("embedded")) {
            (Some(etcd), Some(embedded)) => {
                fields.notes().add(
                    Mistake::new(
                        "the coordination is either `etcd` or `embedded`",
                        embedded.span(),
                        "one store",
                    )
                    .and(etcd.span(), "another")
                    .help("take one out: `etcd` where there are several machines"),
                );
                None
            }
            (Some(etcd), None) => self.etcd(&fields, etcd, ports),
            (None, Some(embedded)) => self.embedded(&fields, embedded),
            (None, None) => {
                if fields.is_missed("etcd") && fields.is_missed("embedded") {
                    fields.notes().add(
                        Mistake::new(
                            "the coordination has neither `etcd` nor `embedded`",
                            fields.span(),
                            "which store?",
                        )
                        .of_the_whole()
                        .help("add etcd = [\"db1:2379\", \"db2:2379\", \"db3:2379\"]"),
                    );
                }
                None
            }
        };
        Some(Coordination { prefix: prefix?, store: store? })
    }

    fn etcd(&mut self, fields: &Fields<'_>, list: Item<'_>, ports: &mut Ports) -> Option<Store> {
        let members = self.members(list, ports);
        let tls = optional(fields.get("tls"), etcd_tls);
        let user = optional(fields.get("user"), etcd_user);
        let members = members?;
        self.warn(&members, list.span());
        Some(Store::Etcd(Etcd { members, tls: tls?, user: user? }))
    }

    fn members(&self, list: Item<'_>, ports: &mut Ports) -> Option<Vec<EtcdMember>> {
        let mut members: Vec<(EtcdMember, Span)> = Vec::new();
        let mut whole = true;
        for item in list.items()? {
            let Some(member) = self.member(&item) else {
                whole = false;
                continue;
            };
            if let Some((_, first)) = members.iter().find(|(other, _)| *other == member) {
                item.notes.add(
                    Mistake::new("a member of etcd is there twice", item.span(), "again")
                        .and(first.clone(), "first")
                        .help("take one out"),
                );
                whole = false;
                continue;
            }
            if let EtcdMember::Host { host, port } = member {
                let what = "a member of etcd".to_owned();
                let span = item.span();
                let new = Bound { what, by: By::Server, hosts: vec![host], address: None, port, span };
                ports.bind(new, item.notes);
            }
            members.push((member, item.span()));
        }
        if members.is_empty() && whole {
            list.note(
                "etcd has no member",
                "empty",
                "name at least one, better three: etcd = [\"db1:2379\", \"db2:2379\", \"db3:2379\"]",
            );
            return None;
        }
        whole.then(|| members.into_iter().map(|(member, _)| member).collect())
    }

    fn member(&self, item: &Item<'_>) -> Option<EtcdMember> {
        let text = item.text()?;
        if let Some((scheme, rest)) = text.split_once("://") {
            let help = match scheme {
                "https" => format!(
                    "write \"{}\"; `tls` of the coordination says the rest",
                    rest.trim_end_matches('/')
                ),
                _ => format!("write \"{}\"", rest.trim_end_matches('/')),
            };
            item.note(format!("`{text}` is not a host and a port"), "a URL", help);
            return None;
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return self.address(item, socket);
        }
        let (name, port) = texts::host_and_port(item)?;
        let known = (0..self.hosts.names.len()).find(|&id| self.hosts.names.name(id) == name);
        if let Some(host) = known {
            return Some(EtcdMember::Host { host: HostId(host), port });
        }
        // A name without a dot that is nobody's is a slip of the hand.
        if !name.contains('.') {
            self.hosts.names.find(name, item.part(name), item.notes);
            return None;
        }
        if !texts::is_dns_name(name) {
            item.note(
                format!("`{text}` is not a host and a port"),
                "neither a host, an address nor a DNS name",
                "write, for example, \"db1:2379\", \"10.0.1.31:2379\" or \"etcd1.example:2379\"",
            );
            return None;
        }
        let name = name.to_ascii_lowercase();
        match self.host_with(&HostAddress::Dns(name.clone())) {
            Some(host) => self.is_a_host(item, host, port),
            None => Some(EtcdMember::Name { name, port }),
        }
    }

    fn address(&self, item: &Item<'_>, socket: SocketAddr) -> Option<EtcdMember> {
        if socket.port() == 0 || socket.ip().is_unspecified() || socket.ip().is_multicast() {
            item.note(
                format!("nobody can be reached at `{socket}`"),
                "not an address and a port of a member",
                "write the address by which the hosts reach it, such as \"10.0.1.31:2379\"",
            );
            return None;
        }
        match self.host_with(&HostAddress::Ip(socket.ip())) {
            Some(host) => self.is_a_host(item, host, socket.port()),
            None => Some(EtcdMember::Address(socket)),
        }
    }

    fn host_with(&self, address: &HostAddress) -> Option<usize> {
        (0..self.hosts.names.len())
            .find(|&id| self.hosts.get(id).is_some_and(|host| host.address == *address))
    }

    fn is_a_host(&self, item: &Item<'_>, host: usize, port: u16) -> Option<EtcdMember> {
        let name = self.hosts.names.name(host);
        item.notes.add(
            Mistake::new("a member is called by its host's name", item.span(), "an address")
                .and(self.hosts.names.span(host), "the host that has it")
                .help(format!("write \"{name}:{port}\"")),
        );
        None
    }

    /// What is no mistake, but goes on less than it could.
    fn warn(&mut self, members: &[EtcdMember], place: Span) {
        let number = members.len();
        let warning = match number {
            1 => Some((
                "etcd has a single member",
                "when it fails, no primary can be chosen or keep its lease".to_owned(),
            )),
            2 => Some((
                "etcd with two members fails when either does",
                "not more than one member alone is worth".to_owned(),
            )),
            _ if number.is_multiple_of(2) => Some((
                "an even number of etcd members is no better than one less",
                format!("{number} members need {} that agree", number / 2 + 1),
            )),
            _ => None,
        };
        if let Some((title, label)) = warning {
            let help = match number {
                1 | 2 => "name three members, in three zones".to_owned(),
                _ => format!("name {} or {}", number - 1, number + 1),
            };
            self.warnings.push(Mistake::new(title, place.clone(), label).help(help));
        }
        let zones: Vec<_> = members
            .iter()
            .map(|member| match member {
                EtcdMember::Host { host, .. } => self.hosts.get(host.0).map(|host| host.zone),
                EtcdMember::Address(_) | EtcdMember::Name { .. } => None,
            })
            .collect();
        let together =
            zones.first().is_some_and(Option::is_some) && zones.windows(2).all(|two| two[0] == two[1]);
        if self.zones > 1 && number > 1 && together {
            self.warnings.push(
                Mistake::new("all members of etcd are in one zone", place, "fail together")
                    .help("put them into different zones"),
            );
        }
    }

    fn embedded(&mut self, fields: &Fields<'_>, item: Item<'_>) -> Option<Store> {
        for name in ["tls", "user"] {
            if let Some(place) = fields.key_place(name) {
                fields.notes().add(
                    Mistake::new(format!("`{name}` is for `etcd` only"), place, "does nothing here")
                        .help("take it out"),
                );
            }
        }
        let (path, one_machine) = match item.value.get_ref() {
            DeValue::Table(_) => {
                let fields = item.fields(&shape::EMBEDDED)?;
                let one_machine = fields.flag("one_machine");
                (secrets::required_path(&fields, "path"), one_machine)
            }
            DeValue::String(_) => (secrets::path(&item), false),
            _ => {
                item.wrong_type();
                return None;
            }
        };
        let hosts = self.database_hosts();
        let local = |host: &HostId| {
            let address = self.hosts.get(host.0).map(|host| &host.address);
            matches!(address, Some(HostAddress::Ip(address)) if is_loopback(*address))
        };
        if hosts.len() > 1 {
            if one_machine || hosts.iter().all(local) {
                self.warnings.push(
                    Mistake::new(
                        "the hosts of databases agree by a directory",
                        item.span(),
                        "of one machine",
                    )
                    .help("for trying things out; where there are several machines, name an etcd cluster"),
                );
            } else {
                self.one_directory_for_many(&hosts, &item);
            }
        }
        let path: PathBuf = path?;
        let what = "the coordination".to_owned();
        let new = Directory { what, hosts, path: path.clone(), span: item.span() };
        apart(&self.databases.directories, &new, fields);
        Some(Store::Embedded { path })
    }

    /// Each machine would have a directory of its own, and so a primary of its own.
    fn one_directory_for_many(&self, hosts: &[HostId], item: &Item<'_>) {
        let mistake = Mistake::new(
            "a directory is no coordination for several hosts",
            item.span(),
            "each host would have its own, and be a primary of its own",
        );
        let mistake = hosts
            .iter()
            .take(2)
            .fold(mistake, |mistake, host| mistake.and(self.hosts.names.span(host.0), "has databases"));
        item.notes.add(
            mistake
                .help(
                    "name the members of an etcd cluster: etcd = [\"db1:2379\", \"db2:2379\", \"db3:2379\"]",
                )
                .help(
                    "or, if all of them are one machine and see the same directory: \
                     embedded = { path = \"/var/lib/nines/coordination\", one_machine = true }",
                ),
        );
    }
}

pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn etcd_tls(item: Item<'_>) -> Option<EtcdTls> {
    let fields = item.fields(&shape::ETCD_TLS)?;
    let ca = secrets::required_path(&fields, "ca");
    let certificate = optional(fields.get("certificate"), |item| secrets::path(&item));
    let key = optional(fields.get("key"), |item| secrets::path(&item));
    let lone = match (fields.key_place("certificate"), fields.key_place("key")) {
        (Some(place), None) => Some((place, "certificate", "key")),
        (None, Some(place)) => Some((place, "key", "certificate")),
        _ => None,
    };
    if let Some((place, there, missing)) = lone {
        fields.notes().add(
            Mistake::new(
                format!("`{there}` is of no use without `{missing}`"),
                place,
                format!("no `{missing}`"),
            )
            .help(format!("add {missing} = \"/…\", or take it out")),
        );
        return None;
    }
    Some(EtcdTls { ca: ca?, identity: certificate?.zip(key?) })
}

fn etcd_user(item: Item<'_>) -> Option<(String, Secret)> {
    let fields = item.fields(&shape::ETCD_USER_TABLE)?;
    let name = fields.require("name").and_then(|item| {
        let text = item.text()?;
        if text.is_empty() || text.len() > 200 || text.contains(char::is_control) {
            item.note("that can't be a user of etcd", "not a name", "write 1 to 200 bytes in one line");
            return None;
        }
        Some(text.to_owned())
    });
    let password = fields.require("password").and_then(secrets::secret);
    name.zip(password)
}

/// One part of the names in the store.
fn prefix(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 200 || !text.bytes().all(fine) || [".", ".."].contains(&text) {
        item.note(
            format!("`{text}` can't be a prefix"),
            "not a prefix",
            "write small letters, digits, `-`, `_` and `.`, without slashes",
        );
        return None;
    }
    Some(text.to_owned())
}
