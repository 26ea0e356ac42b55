//! Which component is meant, as people call it.

use crate::audit::{Change, ComponentKind};
use crate::model::{ActivePassive, Fallen, Kind, Model};
use crate::service::Service;
use crate::structure::{EventId, NodeId};

/// A component of a service. Those that are several hosts are lost when all of them are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Region(String),
    Zone(usize),
    Host(usize),
    Entry(usize),
    Pool(usize),
    Database(usize),
    Coordination,
    /// A switch, a power line.
    Shared(usize),
    /// Something that an audit lists and that is no host and no group of hosts: a program on a host, a member of the coordination,
    /// a name, a certificate, what people change.
    Listed(Listed),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub(super) kind: ComponentKind,
    /// As an audit has it.
    pub(super) row: String,
    /// What people call it.
    name: String,
    /// The event that it is in the model.
    event: Option<Kind>,
    /// What it runs on.
    host: Option<usize>,
}

/// A name that nothing has, or several things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// All names that there are.
    Nothing(Vec<String>),
    /// Which of these?
    Several(Vec<String>),
}

impl Subject {
    /// `db1`, `a`, `zone a`, `front`, `load balancer front`.
    ///
    /// # Errors
    /// If nothing or more than one thing is called so.
    pub fn named(service: &Service, name: &str) -> Result<Self, Unknown> {
        let all = Self::all(service);
        let words = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_row = |of: &Self| matches!(of, Self::Listed(of) if of.row == words);
        if let Some(exactly) = all.iter().find(|of| of.label(service) == words || is_row(of)) {
            return Ok(exactly.clone());
        }
        let mut called = all.iter().filter(|of| of.name(service) == words);
        match (called.next(), called.next()) {
            (Some(one), None) => Ok(one.clone()),
            (None, _) => Err(Unknown::Nothing(all.iter().map(|of| of.name(service)).collect())),
            (Some(_), Some(_)) => {
                let same = all.iter().filter(|of| of.name(service) == words);
                Err(Unknown::Several(same.map(|of| of.label(service)).collect()))
            }
        }
    }

    fn all(service: &Service) -> Vec<Self> {
        let mut all: Vec<Self> = (0..service.hosts.len()).map(Self::Host).collect();
        all.extend((0..service.entries.len()).map(Self::Entry));
        all.extend(
            (0..service.pools.len()).filter(|&at| service.pools[at].reaches.is_none()).map(Self::Pool),
        );
        all.extend((0..service.databases.len()).map(Self::Database));
        all.extend(service.quorum.iter().filter(|of| !of.members.is_empty()).map(|_| Self::Coordination));
        all.extend((0..service.zones.len()).map(Self::Zone));
        all.extend(service.regions().into_iter().map(|region| Self::Region(region.to_owned())));
        all.extend((0..service.shared.len()).map(Self::Shared));
        all.extend(listed(service).into_iter().map(Self::Listed));
        all
    }

    fn name(&self, service: &Service) -> String {
        match self {
            Self::Region(name) => name.clone(),
            Self::Zone(at) => service.zones[*at].name.clone(),
            Self::Host(at) => service.hosts[*at].name.clone(),
            Self::Entry(at) => service.entries[*at].name.clone(),
            Self::Pool(at) => service.pools[*at].name.clone(),
            Self::Database(at) => service.databases[*at].name.clone(),
            Self::Coordination => "coordination".to_owned(),
            Self::Shared(at) => service.shared[*at].name.clone(),
            Self::Listed(of) => of.name.clone(),
        }
    }

    /// `host db1`, as accepted single points of failure are called; unlike its name, nothing else is called so.
    pub fn label(&self, service: &Service) -> String {
        let what = match self {
            Self::Region(_) => "region",
            Self::Zone(_) => "zone",
            Self::Host(_) => "host",
            Self::Entry(_) => "load balancer",
            Self::Pool(_) => "pool",
            Self::Database(_) => "database",
            Self::Coordination => return "coordination".to_owned(),
            Self::Shared(_) => "shared",
            Self::Listed(of) => match of.kind {
                ComponentKind::Member => return format!("member {}", of.row),
                ComponentKind::Instance => return format!("instance {}", of.row),
                ComponentKind::LoadBalancer | ComponentKind::Keeper => return format!("nines {}", of.row),
                ComponentKind::Address => return format!("address {}", of.row),
                ComponentKind::Coordination => return format!("coordination member {}", of.row),
                _ => return of.row.clone(),
            },
        };
        format!("{what} {}", self.name(service))
    }

    /// The hosts that are lost with it.
    pub fn hosts(&self, service: &Service) -> Vec<usize> {
        let within = |is: &dyn Fn(usize) -> bool| {
            (0..service.hosts.len()).filter(|&host| is(host)).collect::<Vec<_>>()
        };
        match self {
            Self::Region(name) => within(&|host| service.region_of(host) == Some(name)),
            Self::Zone(at) => within(&|host| service.zone_of(host) == *at),
            Self::Host(at) => vec![*at],
            Self::Entry(at) => service.entries[*at].hosts.clone(),
            Self::Pool(at) => service.pools[*at].hosts(),
            Self::Database(at) => service.databases[*at].hosts.clone(),
            Self::Coordination => {
                let voters = service.quorum.iter().flat_map(|quorum| &quorum.members);
                voters.filter_map(|voter| voter.host).collect()
            }
            Self::Shared(at) => within(&|host| service.is_under(&service.shared[*at], host)),
            Self::Listed(_) => Vec::new(),
        }
    }

    /// The host that it runs on, if it is a program.
    pub fn runs_on<'a>(&self, service: &'a Service) -> Option<&'a str> {
        match self {
            Self::Listed(of) => of.host.map(|host| service.hosts[host].name.as_str()),
            _ => None,
        }
    }

    /// Whether it is an event, or several, in the model.
    pub fn is_modelled(&self) -> bool {
        !matches!(self, Self::Listed(of) if of.event.is_none())
    }

    /// Whether it is several hosts that do one thing.
    pub(super) fn is_group(&self) -> bool {
        matches!(self, Self::Entry(_) | Self::Pool(_) | Self::Database(_) | Self::Coordination)
    }

    /// Of a group: whether it is lost, or being taken over, while these events last.
    pub(super) fn is_lost(&self, service: &Service, model: &Model, set: &[EventId]) -> bool {
        let happens = |kind: &Kind| set.iter().any(|event| model.kinds[event.index()] == *kind);
        let over = self.failovers(service, model).into_iter().any(|group| {
            let name = format!("{} ({})", group.component, group.what);
            happens(&Kind::FailingOver(name.clone())) || happens(&Kind::Missed(name))
        });
        if over || self.failure(service, model).is_some_and(|event| set.contains(&event)) {
            return true;
        }
        let fallen = Fallen::new(service, set.iter().map(|event| &model.kinds[event.index()]));
        match self {
            Self::Entry(at) => {
                let mut others = model.alternatives.iter().filter(|of| of.entries.contains(at)).peekable();
                if others.peek().is_none() {
                    return fallen.takes_entry(*at);
                }
                // Its clients have others to go to: what they lose beside that is not its doing.
                others.any(|of| {
                    let name = &service.names[of.name].name;
                    let moves = happens(&Kind::Moving(name.clone())) || happens(&Kind::Missed(name.clone()));
                    let lost = |&node: &NodeId| model.tree.fails(node, |event| set.contains(&event));
                    moves && of.entries[0] == *at
                        || happens(&Kind::CommonCause(name.clone()))
                        || of.lasting.iter().all(lost)
                })
            }
            Self::Pool(at) => fallen.takes_pool(*at),
            Self::Database(at) => fallen.takes_database(*at),
            Self::Coordination => fallen.takes_quorum(),
            _ => false,
        }
    }

    /// Events that all happen when it is lost.
    pub(super) fn events(&self, service: &Service, model: &Model) -> Vec<EventId> {
        let kinds: Vec<Kind> = match self {
            Self::Region(name) => vec![Kind::Region(name.clone())],
            Self::Zone(at) => vec![Kind::Zone(*at)],
            Self::Shared(at) => vec![Kind::Shared(*at)],
            Self::Listed(of) => of.event.iter().cloned().collect(),
            _ => {
                let elsewhere = service.quorum.iter().flat_map(|quorum| &quorum.members);
                let elsewhere = elsewhere.filter(|of| of.host.is_none() && *self == Self::Coordination);
                let hosts = self.hosts(service).into_iter().map(Kind::Host);
                hosts.chain(elsewhere.map(|of| Kind::Elsewhere(of.name.clone()))).collect()
            }
        };
        kinds.iter().filter_map(|kind| model.event(kind)).collect()
    }

    /// The event of its own failure: of several hosts, that all of them fail by what they have in common.
    pub(super) fn failure(&self, service: &Service, model: &Model) -> Option<EventId> {
        match self {
            Self::Region(_) | Self::Zone(_) | Self::Host(_) | Self::Shared(_) | Self::Listed(_) => {
                self.events(service, model).first().copied()
            }
            _ => {
                let apart = |of: &Self| {
                    let mut hosts = of.hosts(service);
                    hosts.sort_unstable();
                    hosts.dedup();
                    hosts
                };
                let hosts = apart(self);
                if let [one] = hosts.as_slice() {
                    return model.event(&Kind::Host(*one));
                }
                // What the same hosts have in common is one event, under the name of whatever they make up first.
                let alike = Self::all(service).into_iter().filter(|of| apart(of) == hosts);
                let mut names = alike.map(|of| Kind::CommonCause(of.name(service)));
                names.find_map(|kind| model.event(&kind))
            }
        }
    }

    /// Events that count as its own: for several hosts those of each, and what they have in common.
    pub(super) fn own(&self, service: &Service, model: &Model) -> Vec<EventId> {
        let mut events = self.events(service, model);
        events.extend(self.failure(service, model));
        events.sort_unstable();
        events.dedup();
        events
    }

    /// Failovers that begin when it fails, as long as nothing failed before; or that are its own.
    pub(super) fn failovers<'a>(&self, service: &Service, model: &'a Model) -> Vec<&'a ActivePassive> {
        let hosts = self.hosts(service);
        let is_of = |group: &&ActivePassive| match self {
            Self::Entry(at) => group.database.is_none() && group.component == service.entries[*at].name,
            Self::Database(at) => group.database == Some(*at),
            Self::Pool(_) | Self::Coordination | Self::Listed(_) => false,
            Self::Region(_) | Self::Zone(_) | Self::Host(_) | Self::Shared(_) => {
                hosts.contains(&group.hosts[0])
            }
        };
        model.groups.iter().filter(is_of).collect()
    }

    /// Changes that remove it as a single point of failure, or that speak of it or of what is on it.
    pub(super) fn helped_by(&self, service: &Service, changes: &[Change]) -> Vec<Change> {
        let label = self.label(service);
        let names: Vec<String> = match self {
            // Everything is in some zone.
            Self::Region(_) | Self::Zone(_) | Self::Listed(_) => Vec::new(),
            Self::Host(at) => {
                let entries = service.entries.iter().filter(|of| of.hosts.contains(at)).map(|of| &of.name);
                let pools = service.pools.iter().filter(|of| of.reaches.is_none() && of.hosts().contains(at));
                let databases =
                    service.databases.iter().filter(|of| of.hosts.contains(at)).map(|of| &of.name);
                let on_it = entries.chain(pools.map(|of| &of.name)).chain(databases).cloned();
                on_it.chain([self.name(service)]).collect()
            }
            _ => vec![self.name(service)],
        };
        let tells = |change: &&Change| {
            let mut words = change.text.split(|letter: char| letter.is_whitespace() || letter == ',');
            change.removes.contains(&label)
                || words.any(|word| names.iter().any(|name| name == word))
                || (matches!(self, Self::Zone(_))
                    && change.text.contains(&format!("instead of {}", self.name(service))))
        };
        changes.iter().filter(tells).cloned().collect()
    }
}

/// What an audit lists besides.
fn listed(service: &Service) -> Vec<Listed> {
    let mut all = Vec::new();
    let mut add = |kind, row: String, name: &str, event, host| {
        all.push(Listed { kind, row, name: name.to_owned(), event, host });
    };
    for entry in &service.entries {
        for &host in &entry.hosts {
            let row = format!("{} on {}", entry.name, service.hosts[host].name);
            add(ComponentKind::LoadBalancer, row.clone(), &row, None, Some(host));
        }
    }
    for pool in service.pools.iter().filter(|pool| pool.reaches.is_none()) {
        for member in &pool.members {
            let row = format!("{} of {}", member.name, pool.name);
            add(ComponentKind::Member, row, &member.name, None, Some(member.host));
        }
    }
    for database in &service.databases {
        for &host in &database.hosts {
            let row = format!("{} on {}", database.name, service.hosts[host].name);
            add(ComponentKind::Instance, row.clone(), &row, None, Some(host));
        }
    }
    for database in &service.databases {
        for &host in &database.hosts {
            let name = &service.hosts[host].name;
            let row = format!("{} on {name}", database.name);
            add(ComponentKind::Keeper, row.clone(), &format!("nines {row}"), None, Some(host));
        }
    }
    for entry in &service.entries {
        for address in &entry.addresses {
            add(
                ComponentKind::Address,
                format!("{} of {}", address.name, entry.name),
                &address.name,
                None,
                None,
            );
        }
    }
    for voter in service.quorum.iter().flat_map(|quorum| &quorum.members) {
        let event = voter.host.is_none().then(|| Kind::Elsewhere(voter.name.clone()));
        add(ComponentKind::Coordination, voter.name.clone(), &voter.name, event, voter.host);
    }
    for name in &service.names {
        add(ComponentKind::Shared, format!("the DNS of {}", name.name), &name.name, None, None);
    }
    for (path, _) in &service.certificates {
        add(ComponentKind::Shared, format!("the certificate {path}"), path, None, None);
    }
    let change = "the system file and the program";
    add(ComponentKind::Shared, change.to_owned(), change, Some(Kind::Change), None);
    all
}
