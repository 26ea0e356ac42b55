//! Databases: who has an instance, where it is reached, and what of PostgreSQL the file may set.
//!
//! PostgreSQL's own settings are in [`parameters`], its `pg_hba.conf` in [`access`], its roles in [`users`].

mod access;
mod parameters;
mod users;

pub use parameters::refused_parameter;

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::hosts;
use super::names::{Named, Names};
use super::ports::{Bound, By, Ports};
use super::secrets;
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{Database, Durability, Engine, GateTls, Host, HostId, PostgreSql, ZoneId};
use crate::{shape, units};

/// A Unix socket's path has room for 107 bytes, and some are for what is inside the directory.
const DATA: usize = 80;
/// Ends the name of the pool by which listeners reach a database for reads.
pub(super) const READS: &str = "-reads";

/// A directory that something has on each of these hosts.
pub(super) struct Directory {
    pub(super) what: String,
    pub(super) hosts: Vec<HostId>,
    pub(super) path: PathBuf,
    pub(super) span: Span,
}

/// What is read, and what later parts of the file are compared with.
pub(super) struct Databases<'a> {
    pub(super) named: Named<'a, Database>,
    pub(super) directories: Vec<Directory>,
    pub(super) warnings: Vec<Mistake>,
}

struct Reader<'r, 'a> {
    hosts: &'r Named<'a, Host>,
    pools: &'r Names<'a>,
    /// The file names more than one.
    zones: bool,
    ports: &'r mut Ports,
    directories: Vec<Directory>,
    /// Names that pools of the databases read so far have, and where each comes from.
    taken: Vec<(String, Span)>,
    /// Hosts whose names are told to be wrong.
    told: Vec<HostId>,
    warnings: Vec<Mistake>,
}

pub(super) fn databases<'a>(
    system: &Fields<'a>,
    hosts: &Named<'a, Host>,
    zones: usize,
    pools: &Names<'a>,
    ports: &mut Ports,
) -> Databases<'a> {
    let mut reader = Reader {
        hosts,
        pools,
        zones: zones > 1,
        ports,
        directories: Vec::new(),
        taken: Vec::new(),
        told: Vec::new(),
        warnings: Vec::new(),
    };
    let named = Named::read("database", "databases", system, |name, key, item| {
        reader.name(name, &key, &item);
        let fields = item.fields(&shape::DATABASE)?.named(key);
        reader.database(name, &fields)
    });
    let Reader { directories, warnings, .. } = reader;
    Databases { named, directories, warnings }
}

impl Reader<'_, '_> {
    /// Notes a name that can't be part of the store's names, or that a pool has.
    fn name(&mut self, name: &str, key: &Span, item: &Item<'_>) {
        small_letters(&format!("database `{name}`"), name, key.clone(), item);
        let both = [name.to_owned(), format!("{name}{READS}")];
        let pool = (0..self.pools.len()).find(|&id| both.iter().any(|name| name == self.pools.name(id)));
        let database = self.taken.iter().find(|(other, _)| both.contains(other));
        let other = pool
            .map(|id| (self.pools.name(id).to_owned(), self.pools.span(id)))
            .or_else(|| database.map(|(name, span)| (name.clone(), span.clone())));
        if let Some((other, span)) = other {
            item.notes.add(
                Mistake::new(
                    format!("`{other}` would be the name of two pools"),
                    key.clone(),
                    "this database's",
                )
                .and(span, "another")
                .help(format!(
                    "what listeners reach of a database is called `{name}` and `{name}{READS}` in status and \
                         metrics: give one of them another name"
                )),
            );
        }
        self.taken.extend(both.map(|name| (name, key.clone())));
    }

    fn database(&mut self, name: &str, fields: &Fields<'_>) -> Option<Database> {
        let what = format!("database `{name}`");
        let (hosts, whole) = hosts::own_hosts(&what, fields, &self.hosts.names);
        fields.word("engine");
        let ports = self.ports(name, fields, &hosts);
        let admin = self.ports.admin(name, fields, &hosts);
        let data = self.data(name, fields, &hosts);
        let confirm = confirm(fields, whole.then_some(hosts.len()));
        let durability = match fields.word("durability") {
            "available" => Durability::Available,
            _ => Durability::Strict,
        };
        let times = lease_and_heartbeat(fields);
        let lag = fields.size("lag");
        let switchover_within = fields.time("switchover_within");
        let keep = fields.maybe_time("keep");
        let tls = tls(fields);
        let engine = self.postgresql(fields, hosts.len(), tls.as_ref());
        if whole {
            self.hosts_are_named_in_small_letters(fields, &hosts);
            self.warn(name, fields, &hosts, confirm, durability);
        }
        let ((port, read_port), (lease, heartbeat)) = (ports?, times?);
        Some(Database {
            name: name.to_owned(),
            engine: Engine::PostgreSql(engine?),
            hosts: whole.then_some(hosts)?,
            port,
            read_port,
            admin,
            data: data?,
            confirm: confirm?,
            durability,
            lease,
            heartbeat,
            lag,
            switchover_within,
            tls: tls?,
            keep,
        })
    }

    /// Those of the gate: for everything, and for reads.
    fn ports(&mut self, name: &str, fields: &Fields<'_>, hosts: &[HostId]) -> Option<(u16, u16)> {
        let port = said_or(fields, "port", fields.maybe_whole("port"), || 5432_u16);
        let read_port = fields.maybe_whole::<u16>("read_port");
        let place = |name: &str| fields.place(name).unwrap_or_else(|| fields.span());
        let port = port?;
        let mut bind = |what: String, port, span| {
            let by = By::Gate(name.to_owned());
            let new = Bound { what, by, hosts: hosts.to_vec(), address: None, port, span };
            self.ports.bind(new, fields.notes());
        };
        bind(format!("the gate of database `{name}`"), port, place("port"));
        let read_port = match (read_port, fields.place("read_port")) {
            (Some(read_port), Some(span)) if read_port == port => {
                let mistake = Mistake::new("`read_port` is the same as `port`", span, read_port.to_string());
                let mistake = match fields.place("port") {
                    Some(port) => mistake.and(port, "the same"),
                    None => mistake.help("`port` is 5432 where the file says nothing"),
                };
                fields.notes().add(mistake.help("reads have a port of their own: give one of them another"));
                return None;
            }
            (Some(read_port), _) => read_port,
            (None, Some(_)) => return None,
            (None, None) => match port.checked_add(1) {
                Some(above) => above,
                None => {
                    fields.notes().add(
                        Mistake::new(
                            "there is no port above `port` for reads",
                            place("port"),
                            "the last one",
                        )
                        .help("add read_port = 5433, or another"),
                    );
                    return None;
                }
            },
        };
        let span = fields.place("read_port").unwrap_or_else(|| place("port"));
        bind(format!("the gate for reads of database `{name}`"), read_port, span);
        Some((port, read_port))
    }

    fn data(&mut self, name: &str, fields: &Fields<'_>, hosts: &[HostId]) -> Option<PathBuf> {
        let said = fields.get("data").map(|item| (secrets::path(&item), item.span()));
        let (path, span) = match said {
            Some((path, span)) => (path?, span),
            None => (format!("/var/lib/nines/{name}").into(), fields.span()),
        };
        let length = path.as_os_str().len();
        if length > DATA {
            fields.notes().add(
                Mistake::new(
                    format!("`data` of database `{name}` is too long"),
                    span.clone(),
                    format!("{length} bytes"),
                )
                .help(format!("a socket inside it must have a path too: write at most {DATA} bytes")),
            );
        }
        let what = format!("database `{name}`");
        let new = Directory { what, hosts: hosts.to_vec(), path: path.clone(), span };
        apart(&self.directories, &new, fields);
        self.directories.push(new);
        Some(path)
    }

    fn postgresql(&mut self, fields: &Fields<'_>, hosts: usize, tls: Option<&GateTls>) -> Option<PostgreSql> {
        let programs = optional(fields.get("programs"), |item| secrets::path(&item));
        let version = fields.maybe_whole("version");
        let user = said_or(fields, "user", fields.get("user").and_then(|item| os_user(&item)), || {
            "postgres".to_owned()
        });
        let parameters = parameters::parameters(fields);
        let passes_through = tls.is_none_or(|tls| matches!(tls, GateTls::PassThrough { .. }));
        let access = access::lines(fields, passes_through, &mut self.warnings);
        let users = users::users(fields);
        let password = match hosts {
            0 | 1 => fields.get("replication_password"),
            _ => match fields.require("replication_password") {
                Some(item) => Some(item),
                None => return None,
            },
        };
        let replication_password = optional(password, secrets::secret);
        Some(PostgreSql {
            programs: programs?,
            version,
            user: user?,
            parameters: parameters?,
            access: access?,
            users: users?,
            replication_password: replication_password?,
        })
    }

    /// Names of hosts are parts of names in the store, too.
    fn hosts_are_named_in_small_letters(&mut self, fields: &Fields<'_>, hosts: &[HostId]) {
        let Some(list) = fields.get("hosts") else { return };
        for host in hosts {
            if self.told.contains(host) {
                continue;
            }
            self.told.push(*host);
            let name = self.hosts.names.name(host.0);
            small_letters(
                &format!("host `{name}` of a database"),
                name,
                self.hosts.names.span(host.0),
                &list,
            );
        }
    }

    /// What is no mistake, but doesn't give what a database with standbys is for.
    fn warn(
        &mut self,
        name: &str,
        fields: &Fields<'_>,
        hosts: &[HostId],
        confirm: Option<usize>,
        durability: Durability,
    ) {
        let place = fields.place("hosts").unwrap_or_else(|| fields.span());
        if let [_] = hosts {
            self.warnings.push(
                Mistake::new(format!("database `{name}` is a single instance"), place, "one host only")
                    .help("nobody takes over when it fails: give it two more hosts, in other zones"),
            );
            return;
        }
        let zones: Vec<ZoneId> =
            hosts.iter().filter_map(|host| self.hosts.get(host.0)).map(|host| host.zone).collect();
        if self.zones && zones.windows(2).all(|two| two[0] == two[1]) {
            self.warnings.push(
                Mistake::new(
                    format!("all hosts of database `{name}` are in one zone"),
                    place.clone(),
                    "fail together",
                )
                .help("put them into different zones"),
            );
        }
        if durability == Durability::Strict && confirm.is_some_and(|confirm| confirm + 1 >= hosts.len()) {
            let label =
                format!("{} hosts, and each write waits for {}", hosts.len(), standbys(hosts.len() - 1));
            self.warnings.push(
                Mistake::new(
                    format!("writes of database `{name}` wait while any of its hosts is down"),
                    fields.place("confirm").unwrap_or(place),
                    label,
                )
                .help("give it one more host, let fewer `confirm`, or set `durability` to \"available\""),
            );
        }
    }
}

fn standbys(number: usize) -> String {
    if number == 1 { "the only standby".to_owned() } else { format!("all {number} standbys") }
}

/// What the file says, or the default where it says nothing; nothing where it is wrong, so that no other mistake
/// follows from it.
pub(super) fn said_or<T>(
    fields: &Fields<'_>,
    name: &str,
    said: Option<T>,
    default: impl FnOnce() -> T,
) -> Option<T> {
    match said {
        None if fields.place(name).is_none() => Some(default()),
        said => said,
    }
}

/// `Some(None)` where there is nothing to read, `None` where it is wrong.
pub(super) fn optional<'a, T>(
    item: Option<Item<'a>>,
    read: impl FnOnce(Item<'a>) -> Option<T>,
) -> Option<Option<T>> {
    match item {
        Some(item) => read(item).map(Some),
        None => Some(None),
    }
}

/// Notes a directory that lies in another's, or the other way round.
pub(super) fn apart(all: &[Directory], new: &Directory, fields: &Fields<'_>) {
    let inside = |old: &&Directory| {
        (old.path.starts_with(&new.path) || new.path.starts_with(&old.path))
            && old.hosts.iter().any(|host| new.hosts.contains(host))
    };
    if let Some(old) = all.iter().find(inside) {
        let title = match old.path == new.path {
            true => format!("{} and {} have the same directory", old.what, new.what),
            false => format!("the directories of {} and {} overlap", old.what, new.what),
        };
        fields.notes().add(
            Mistake::new(title, new.span.clone(), new.path.display().to_string())
                .and(old.span.clone(), old.path.display().to_string())
                .help("each has a directory of its own"),
        );
    }
}

fn small_letters(what: &str, name: &str, span: Span, item: &Item<'_>) {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        item.notes.add(
            Mistake::new(format!("{what} has capital letters"), span, "small letters only")
                .help(format!("names in the coordination have none: write {}", name.to_ascii_lowercase())),
        );
    }
}

/// `hosts`: how many, if they could be read.
fn confirm(fields: &Fields<'_>, hosts: Option<usize>) -> Option<usize> {
    let said = fields.maybe_whole::<usize>("confirm");
    let hosts = hosts?;
    let most = hosts.saturating_sub(1);
    let Some(place) = fields.place("confirm") else { return Some(most.min(1)) };
    let confirm = said?;
    let (title, label) = if confirm > most {
        let label = match most {
            0 => "there is no standby".to_owned(),
            1 => "there is one standby".to_owned(),
            most => format!("there are {most} standbys"),
        };
        ("`confirm` is more than there are standbys", label)
    } else if confirm == 0 && most > 0 {
        (
            "`confirm` is 0, so that no standby could ever take over",
            "writes would be on the primary alone".to_owned(),
        )
    } else {
        return Some(confirm);
    };
    let mistake = Mistake::new(title, place, label);
    let mistake = match fields.place("hosts") {
        Some(hosts) => mistake.and(hosts, "one primary, and its standbys"),
        None => mistake,
    };
    fields.notes().add(match most {
        0 => mistake.help("take it out, or add hosts"),
        1 => mistake.help("it must be 1"),
        most => mistake.help(format!("it must be from 1 to {most}")),
    });
    None
}

fn lease_and_heartbeat(fields: &Fields<'_>) -> Option<(Duration, Duration)> {
    let lease = said_or(fields, "lease", fields.maybe_time("lease"), || fields.default_time("lease"));
    let heartbeat = fields.maybe_time("heartbeat");
    let lease = lease?;
    let write = units::write_duration;
    match (heartbeat, fields.place("heartbeat")) {
        // In whole milliseconds, so that it reads well.
        (None, None) => Some((lease, Duration::from_millis((lease / 6).as_millis() as u64))),
        (None, Some(_)) => None,
        (Some(heartbeat), Some(place)) if heartbeat > lease / 3 => {
            let mistake =
                Mistake::new("`heartbeat` is longer than a third of `lease`", place, write(heartbeat));
            let mistake = match fields.place("lease") {
                Some(place) => mistake.and(place, format!("`lease` is {}", write(lease))),
                None => mistake.help(format!("`lease` is {} where the file says nothing", write(lease))),
            };
            let most = Duration::from_millis((lease / 3).as_millis() as u64);
            fields.notes().add(mistake.help(format!(
                "one that is late must not cost the lease: write \"{}\" or less, or a longer `lease`",
                write(most)
            )));
            None
        }
        (Some(heartbeat), _) => Some((lease, heartbeat)),
    }
}

fn tls(fields: &Fields<'_>) -> Option<GateTls> {
    let Some(item) = fields.get("tls") else { return Some(GateTls::Off) };
    match item.value.get_ref() {
        DeValue::Table(_) => {
            let fields = item.fields(&shape::GATE_TLS)?;
            let mode = fields.word("mode");
            let certificate = secrets::required_path(&fields, "certificate");
            let key = secrets::required_path(&fields, "key");
            let (certificate, key) = (certificate?, key?);
            Some(match mode {
                "pass-through" => GateTls::PassThrough { certificate, key },
                _ => GateTls::Terminate { certificate, key },
            })
        }
        DeValue::String(text) if text == "off" => Some(GateTls::Off),
        DeValue::String(text) => {
            item.note(
                format!("`tls` can't be `{text}`"),
                "unknown word",
                "write a table: tls = { certificate = \"/…\", key = \"/…\" }, or \"off\"",
            );
            None
        }
        _ => {
            item.wrong_type();
            None
        }
    }
}

/// As `useradd` allows it.
fn os_user(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    if !first || text.len() > 32 || !text.bytes().all(rest) {
        item.note(
            format!("`{text}` is not a user of the operating system"),
            "not a user's name",
            "write a name as `getent passwd` shows it, such as \"postgres\"",
        );
        return None;
    }
    if text == "root" {
        item.note(
            "PostgreSQL does not run as root",
            "would refuse to start",
            "write another user, such as \"postgres\"",
        );
        return None;
    }
    Some(text.to_owned())
}
