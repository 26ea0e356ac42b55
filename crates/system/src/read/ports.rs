//! Ports that something listens on, and who else wants them.

use std::net::{IpAddr, SocketAddr};

use super::names::Named;
use super::texts;
use crate::fields::Fields;
use crate::mistake::{Mistake, Notes, Span};
use crate::model::{Host, HostAddress, HostId, Pool};

/// A port that something listens on.
pub(super) struct Bound {
    /// ``listener `web` of `front` ``.
    pub(super) what: String,
    pub(super) by: By,
    pub(super) hosts: Vec<HostId>,
    /// `None`: every address.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) span: Span,
}

/// What listens there, as far as a pool's members care.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum By {
    /// Something of nines itself, which is nobody's server.
    Nines,
    /// The admin API, which several things on one host may have in common.
    Admin,
    /// The gate of this database, which is reached in another way.
    Gate(String),
    /// A server as good as any.
    Server,
}

#[derive(Default)]
pub(super) struct Ports(Vec<Bound>);

impl Ports {
    /// Reads where the admin API is asked for. All of a host is told there, so it matters not who asks for it.
    pub(super) fn admin(&mut self, name: &str, fields: &Fields<'_>, hosts: &[HostId]) -> Option<SocketAddr> {
        let item = fields.get("admin")?;
        let socket = texts::socket(&item)?;
        let (address, port) = (Some(socket.ip()), socket.port());
        let (what, by, span) = (format!("`admin` of `{name}`"), By::Admin, item.span());
        self.bind(Bound { what, by, hosts: hosts.to_vec(), address, port, span }, item.notes);
        Some(socket)
    }

    /// Notes when the port is already taken on a host that both share; tells whether it was free.
    pub(super) fn bind(&mut self, new: Bound, notes: &Notes) -> bool {
        let any = |address: Option<IpAddr>| address.is_none_or(|address| address.is_unspecified());
        let taken = self.0.iter().find(|old| {
            let shared = old.by == By::Admin && new.by == By::Admin && old.address == new.address;
            old.port == new.port
                && !shared
                && (old.address == new.address || any(old.address) || any(new.address))
                && old.hosts.iter().any(|host| new.hosts.contains(host))
        });
        if let Some(old) = taken {
            notes.add(
                Mistake::new(
                    format!("port {} is used twice on the same host", new.port),
                    new.span.clone(),
                    new.what.clone(),
                )
                .and(old.span.clone(), format!("{} has it already", old.what))
                .help("give one of them another port"),
            );
        }
        let free = taken.is_none();
        self.0.push(new);
        free
    }

    /// Notes members of pools whose port nines itself has.
    pub(super) fn check_members(&self, hosts: &Named<'_, Host>, pools: &Named<'_, Pool>, notes: &Notes) {
        for id in 0..pools.names.len() {
            let Some(pool) = pools.get(id) else { continue };
            for member in &pool.members {
                let address = hosts.get(member.host.0).map(|host| &host.address);
                let own = self.0.iter().filter(|own| own.by != By::Server).find(|own| {
                    let everywhere = own.address.is_none_or(|address| address.is_unspecified());
                    let same = everywhere || own.address.map(HostAddress::Ip).as_ref() == address;
                    own.hosts.contains(&member.host) && own.port == member.port && same
                });
                let Some(own) = own else { continue };
                let title = format!("member `{}` of pool `{}` is {}", member.name, pool.name, own.what);
                let mistake =
                    Mistake::new(title, pools.names.span(id), format!("has the member `{}`", member.name))
                        .and(own.span.clone(), "takes this port on the same host");
                notes.add(match &own.by {
                    By::Gate(name) => mistake.help(format!(
                        "a listener reaches a database without a pool: {{ bind = \":{}\", database = \"{name}\" }}",
                        own.port
                    )),
                    By::Nines | By::Admin | By::Server => mistake.help("one of them must have another port"),
                });
            }
        }
    }
}
