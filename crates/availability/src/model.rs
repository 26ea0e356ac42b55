//! From a service to its structure: what must fail for clients to lose something, and how often that does.

mod alternatives;
mod databases;
mod fallen;
mod in_common;
mod maintained;
mod partial;

use crate::assumptions::{Assumptions, Case, Failing, Rates};
use crate::bounds::Interval;
use crate::distribution::Hours;
use crate::service::{Access, Service};
use crate::simulation::{Behaviour, Failover, Plant, Sharing};
use crate::structure::{Analysis, EventId, Limits, NodeId, TooLarge, Tree};

pub use alternatives::Alternatives;
use alternatives::Door;
pub(crate) use alternatives::{Ways, ways};
pub(crate) use fallen::{Fallen, takes};
use in_common::InCommon;
use maintained::Maintained;

/// From the moment at which another host may take an address to the first packet that reaches it.
pub(crate) const ANNOUNCE: f64 = 0.02;

/// What a basic event is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Region(String),
    Zone(usize),
    Host(usize),
    /// Something that hosts share.
    Shared(usize),
    /// A member of the quorum outside of the system.
    Elsewhere(String),
    /// All hosts of this group at once, by what they have in common.
    CommonCause(String),
    /// While another host of this group takes over.
    FailingOver(String),
    /// While a person does what this group's failover did not.
    Missed(String),
    /// While clients of this name are on their way to another load balancer.
    Moving(String),
    /// Somebody changed something, everywhere.
    Change,
}

impl Kind {
    /// In words.
    pub fn label(&self, service: &Service) -> String {
        match self {
            Self::Region(name) => format!("region {name}"),
            Self::Zone(zone) => format!("zone {}", service.zones[*zone].name),
            Self::Host(host) => format!("host {}", service.hosts[*host].name),
            Self::Shared(shared) => format!("shared {}", service.shared[*shared].name),
            Self::Elsewhere(name) => format!("coordination member {name}"),
            Self::CommonCause(group) => format!("all hosts of {group} at once"),
            Self::FailingOver(group) => format!("failover of {group} under way"),
            Self::Missed(group) => format!("failover of {group} missed"),
            Self::Moving(name) => format!("clients of {name} on their way to another address"),
            Self::Change => "a change that breaks everything".into(),
        }
    }

    /// Whether it is a thing that stands somewhere, and could be there twice.
    pub fn is_place(&self) -> bool {
        matches!(self, Self::Region(_) | Self::Zone(_) | Self::Host(_) | Self::Shared(_) | Self::Elsewhere(_))
    }
}

/// Something that clients want, and what it means that they don't get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub node: NodeId,
}

/// Hosts of which one is active.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivePassive {
    /// The load balancer, the database.
    pub component: String,
    /// Which database it is; `None` for a load balancer.
    pub database: Option<usize>,
    /// What moves: an address, the primary.
    pub what: String,
    /// The preferred one first.
    pub hosts: Vec<usize>,
    /// Seconds, in the worst case: to notice, and to take over.
    pub notice: f64,
    /// To notice where the second host takes over, which the prediction goes by.
    pub second: f64,
    pub takes_over: f64,
    /// Whether the first takes it back as soon as it can; else whoever took over keeps it.
    pub taken_back: bool,
    /// Whether its time was rehearsed, and not worked out.
    pub measured: bool,
}

/// A service as a fault tree, with how likely each of its events is.
#[derive(Debug, Clone)]
pub struct Model {
    pub tree: Tree,
    pub top: NodeId,
    /// By the events' index.
    pub kinds: Vec<Kind>,
    pub q: Vec<f64>,
    pub functions: Vec<Function>,
    pub groups: Vec<ActivePassive>,
    /// Names whose clients have more than one load balancer to go to.
    pub alternatives: Vec<Alternatives>,
    /// How often an hour each event begins.
    frequency: Vec<f64>,
    maintained: Vec<Maintained>,
    /// The part of the time that clients lose by each event though the service is up; empty where there is none.
    partial: Vec<f64>,
    behaviours: Vec<Behaviour>,
    failovers: Vec<Failover>,
    sharing: Vec<Sharing>,
    crews: Vec<usize>,
}

struct Builder<'a> {
    service: &'a Service,
    rates: Rates<'a>,
    model: Model,
    /// Each host's event, and what it means that it can't be used.
    hosts: Vec<(NodeId, NodeId)>,
    zones: Vec<NodeId>,
    regions: Vec<(String, NodeId)>,
    shared: Vec<NodeId>,
    in_common: InCommon,
}

impl Model {
    pub fn of(service: &Service, assumptions: &Assumptions, case: Case) -> Self {
        let tree = Tree::new();
        let mut builder = Builder {
            service,
            rates: assumptions.rates(case),
            model: Self {
                // Replaced at the end.
                top: NodeId(0),
                tree,
                kinds: Vec::new(),
                q: Vec::new(),
                functions: Vec::new(),
                groups: Vec::new(),
                alternatives: Vec::new(),
                frequency: Vec::new(),
                maintained: Vec::new(),
                partial: Vec::new(),
                behaviours: Vec::new(),
                failovers: Vec::new(),
                sharing: Vec::new(),
                crews: assumptions.crew.into_iter().collect(),
            },
            hosts: Vec::new(),
            zones: Vec::new(),
            regions: Vec::new(),
            shared: Vec::new(),
            in_common: InCommon::default(),
        };
        builder.places();
        builder.find_common_causes();
        builder.functions();
        builder.maintenance();
        builder.partial_losses();
        builder.model
    }

    pub fn event(&self, kind: &Kind) -> Option<EventId> {
        self.kinds.iter().position(|of| of == kind).map(|at| EventId(at as u32))
    }

    /// How often it fails by itself, and how long that lasts.
    pub fn behaviour(&self, event: EventId) -> Option<&Behaviour> {
        self.behaviours.get(event.index())
    }

    /// # Errors
    /// If the structure is too entangled.
    pub fn analyse(&self, limits: Limits) -> Result<Analysis, TooLarge> {
        self.tree.analyse(self.top, limits)
    }

    /// The functions that clients lose while these events last.
    pub fn lost(&self, events: &[EventId]) -> Vec<&Function> {
        let last = self.functions.iter().map(|function| function.node).max();
        let Some(last) = last else { return Vec::new() };
        let failed = self.tree.evaluate(last, |event| events.contains(&event));
        self.functions.iter().filter(|function| failed[function.node.index()]).collect()
    }

    /// The same for simulated years.
    pub fn plant(&self) -> Plant {
        Plant {
            tree: self.tree.clone(),
            top: self.top,
            behaviours: self.behaviours.clone(),
            failovers: self.failovers.clone(),
            sharing: self.sharing.clone(),
            crews: self.crews.clone(),
            maintenance: self.maintained.iter().map(Maintained::schedule).collect(),
        }
    }
}

impl Builder<'_> {
    /// Something that fails so often and lasts so long.
    fn event(&mut self, kind: Kind, per_hour: f64, repair: Hours) -> NodeId {
        let repairable = matches!(kind, Kind::Host(_) | Kind::Elsewhere(_));
        let crew = (repairable && !self.model.crews.is_empty()).then_some(0);
        let load = per_hour * repair.mean();
        let life = (per_hour > 0.0).then(|| Hours::Exponential { mean: 1.0 / per_hour });
        self.model.kinds.push(kind);
        self.model.q.push(load / (1.0 + load));
        self.model.frequency.push(per_hour / (1.0 + load));
        self.model.behaviours.push(Behaviour { life, repair, crew });
        self.model.tree.event()
    }

    /// Something that begins so often because of something else, and lasts so many hours.
    fn caused(&mut self, kind: Kind, per_hour: f64, hours: f64) -> (NodeId, EventId) {
        self.model.kinds.push(kind);
        self.model.q.push((per_hour * hours).clamp(0.0, 1.0));
        self.model.frequency.push(per_hour);
        self.model.behaviours.push(Behaviour::NEVER);
        let node = self.model.tree.event();
        (node, EventId(self.model.kinds.len() as u32 - 1))
    }

    fn places(&mut self) {
        let of = self.rates.of;
        let service = self.service;
        for region in service.regions() {
            let rate = self.rates.per_hour(&of.region);
            let node = self.event(Kind::Region(region.to_owned()), rate, of.region.repair);
            self.regions.push((region.to_owned(), node));
        }
        for zone in 0..service.zones.len() {
            let node = self.event(Kind::Zone(zone), self.rates.per_hour(&of.zone), of.zone.repair);
            self.zones.push(node);
        }
        for (at, shared) in service.shared.iter().enumerate() {
            let failing = of.shared.stated(shared.failures.as_ref());
            let node = self.event(Kind::Shared(at), self.rates.per_hour(&failing), failing.repair);
            self.shared.push(node);
        }
        for (at, host) in service.hosts.iter().enumerate() {
            let failing = self.host_failing(at);
            let event = self.event(Kind::Host(at), self.rates.per_hour(&failing), failing.repair);
            let region = service.region_of(at);
            let region =
                self.regions.iter().find(|(name, _)| Some(name.as_str()) == region).map(|(_, node)| *node);
            let shared = service.shared.iter().zip(&self.shared);
            let shared = shared.filter(|(shared, _)| service.is_under(shared, at)).map(|(_, node)| *node);
            let around = region.into_iter().chain([self.zones[host.zone]]).chain(shared);
            let gone = self.model.tree.any(around.chain([event]).collect::<Vec<_>>());
            self.hosts.push((event, gone));
        }
    }

    fn gone(&self, hosts: &[usize]) -> Vec<NodeId> {
        hosts.iter().map(|&host| self.hosts[host].1).collect()
    }

    fn functions(&mut self) {
        let service = self.service;
        let mut needed = Vec::new();
        let quorum = service.asked_quorum().and_then(|quorum| self.quorum(quorum));
        let databases: Vec<NodeId> =
            (0..service.databases.len()).map(|at| self.database(at, quorum)).collect();
        let readable: Vec<NodeId> = service
            .databases
            .iter()
            .map(|database| {
                let gone = self.gone(&database.hosts);
                self.model.tree.all(gone)
            })
            .collect();
        let mut pools = Vec::new();
        for pool in &service.pools {
            pools.push(match pool.reaches {
                Some((database, Access::ReadWrite)) => databases[database],
                Some((database, Access::ReadOnly)) => readable[database],
                None => {
                    let few = self.pool(pool);
                    self.with_common_cause(&pool.name, &pool.hosts(), few)
                }
            });
        }
        let mut reached = vec![false; databases.len()];
        let doors: Vec<Door> = (0..service.entries.len()).map(|at| self.entry(at)).collect();
        for (name, ways, pool) in ways(service) {
            let door = match ways {
                Ways::Entry(at) => doors[at].shut,
                Ways::Name(at, entries) => self.alternatives(at, &entries, &doors),
            };
            let node = self.model.tree.any([door, pools[pool]]);
            self.model.functions.push(Function { name, node });
            needed.push(node);
            if let Some((database, Access::ReadWrite)) = service.pools[pool].reaches {
                reached[database] = true;
            }
        }
        for (at, database) in service.databases.iter().enumerate().filter(|(at, _)| !reached[*at]) {
            let name = format!("writes to {}", database.name);
            self.model.functions.push(Function { name, node: databases[at] });
            needed.push(databases[at]);
        }
        let change = &self.rates.of.change;
        let change = self.event(Kind::Change, self.rates.per_hour(change), change.repair);
        needed.push(change);
        self.model.top = self.model.tree.any(needed);
    }

    /// How often an hour a host fails by itself.
    fn host_rate(&self, host: usize) -> f64 {
        self.rates.per_hour(&self.host_failing(host))
    }

    fn host_failing(&self, host: usize) -> Failing {
        self.rates.of.host.stated(self.service.hosts[host].failures.as_ref())
    }

    /// Clients can't come in.
    fn entry(&mut self, at: usize) -> Door {
        let entry = &self.service.entries[at];
        let mut down = Vec::new();
        let mut short = Vec::new();
        let mut groups: Vec<&str> = Vec::new();
        for address in &entry.addresses {
            // What moves together fails together.
            if let Some(group) = address.group.as_deref() {
                if groups.contains(&group) {
                    continue;
                }
                groups.push(group);
            }
            let group = ActivePassive {
                component: entry.name.clone(),
                database: None,
                what: address.name.clone(),
                hosts: address.hosts.clone(),
                notice: address.notice.as_secs_f64(),
                second: address.second.as_secs_f64(),
                takes_over: ANNOUNCE,
                taken_back: address.preempt,
                measured: false,
            };
            let gone = self.gone(&address.hosts);
            down.push(self.model.tree.all(gone));
            if let Some((over, missed)) = self.failover(group) {
                short.push(over);
                down.push(missed);
            }
        }
        if !self.service.is_led(at) {
            // A part of the clients knows each host: as if all of them knew the first.
            down.extend(entry.hosts.first().map(|&host| self.hosts[host].1));
        } else if entry.addresses.is_empty() {
            let gone = self.gone(&entry.hosts);
            down.push(self.model.tree.all(gone));
        }
        let node = self.model.tree.any(down);
        let lasting = match self.service.is_led(at) {
            true => self.with_common_cause(&entry.name, &entry.hosts, node),
            false => node,
        };
        let shut = self.model.tree.any(std::iter::once(lasting).chain(short.iter().copied()));
        Door { lasting, short, shut }
    }

    /// The times in which nobody serves though somebody could. None where there is nobody else.
    /// The one by itself, and the one by hand.
    fn failover(&mut self, group: ActivePassive) -> Option<(NodeId, NodeId)> {
        let mut group = group;
        if group.hosts.len() < 2 {
            return None;
        }
        let rehearsed = self.rates.of.rehearsed.get(&group.component).and_then(|of| of.seconds);
        if let Some(seconds) = rehearsed {
            (group.notice, group.second) = (seconds, seconds);
            (group.takes_over, group.measured) = (0.0, true);
        }
        let coverage = self.rates.coverage(&group.component);
        let takes = (group.second + group.takes_over) / 3600.0;
        let by_hand = self.rates.of.by_hand;
        let causes = self.active_fails(&group);
        let failures: f64 = causes.iter().map(|(rate, _)| rate).sum();
        // It is over when whoever was lost is back, if that is sooner.
        let mean = |takes: Hours| {
            let sum: f64 = causes.iter().map(|(rate, repair)| rate * repair.first_of(&takes)).sum();
            if failures > 0.0 { sum / failures } else { 0.0 }
        };
        let name = format!("{} ({})", group.component, group.what);
        let (over, failing_over) =
            self.caused(Kind::FailingOver(name.clone()), coverage * failures, mean(Hours::Fixed(takes)));
        let (hand, missed) = self.caused(Kind::Missed(name), (1.0 - coverage) * failures, mean(by_hand));
        self.model.failovers.push(Failover {
            members: self.gone(&group.hosts),
            failing_over,
            takes: Hours::Fixed(takes),
            missed,
            by_hand,
            coverage,
            returns: true,
            prefers_first: group.taken_back,
        });
        self.model.groups.push(group);
        Some((over, hand))
    }

    /// How often an hour the active one is lost while another one may take over, and for how long it then is.
    fn active_fails(&self, group: &ActivePassive) -> Vec<(f64, Hours)> {
        let of_first = self.fails_as_active(group, group.hosts[0]);
        let Some(&second) = group.hosts.get(1).filter(|_| !group.taken_back) else { return of_first };
        // Whoever took over keeps it: the first two have it by turns, each for as long as it lasts.
        let of_second = self.fails_as_active(group, second);
        let sum = |causes: &[(f64, Hours)]| causes.iter().map(|(rate, _)| rate).sum::<f64>();
        let (first, second) = (sum(&of_first), sum(&of_second));
        if first + second <= 0.0 {
            return Vec::new();
        }
        let times = |causes: Vec<(f64, Hours)>, share: f64| {
            causes.into_iter().map(move |(rate, repair)| (rate * share, repair))
        };
        let by_turns = times(of_first, second / (first + second));
        by_turns.chain(times(of_second, first / (first + second))).collect()
    }

    /// The same of one of its hosts.
    fn fails_as_active(&self, group: &ActivePassive, first: usize) -> Vec<(f64, Hours)> {
        let of = self.rates.of;
        let service = self.service;
        let database = group.database.map(|at| &service.databases[at]);
        // What takes the service down for as long as it lasts costs nothing more by a failover meanwhile.
        let survives = |place: &Kind| {
            let falls = |host: usize| takes(service, place, host);
            group.hosts.iter().any(|&host| !falls(host))
                && !database.is_some_and(|of| self.refuses(of, falls))
                && !Fallen::new(service, [place]).takes_service()
        };
        let mut causes = vec![(self.host_rate(first), self.host_failing(first).repair)];
        for (at, shared) in service.shared.iter().enumerate() {
            if service.is_under(shared, first) && survives(&Kind::Shared(at)) {
                let repair = of.shared.stated(shared.failures.as_ref()).repair;
                causes.push((self.model.frequency_of(&Kind::Shared(at)), repair));
            }
        }
        if survives(&Kind::Zone(service.zone_of(first))) {
            causes.push((self.rates.per_hour(&of.zone), of.zone.repair));
        }
        let region = service.region_of(first);
        if region.is_some_and(|region| survives(&Kind::Region(region.to_owned()))) {
            causes.push((self.rates.per_hour(&of.region), of.region.repair));
        }
        causes
    }
}

/// How available the service will be, with every figure at its worst, likely and best: minutes of downtime a year.
///
/// # Errors
/// If the structure is too entangled.
pub fn downtime(service: &Service, assumptions: &Assumptions, limits: Limits) -> Result<Interval, TooLarge> {
    let minutes = |case| {
        let model = Model::of(service, assumptions, case);
        let share = model.unavailability(&model.analyse(limits)?);
        Ok(share.map(|share| share * crate::nines::MINUTES_PER_YEAR))
    };
    let (best, likely, worst): (Interval, Interval, Interval) =
        (minutes(Case::Best)?, minutes(Case::Likely)?, minutes(Case::Worst)?);
    Ok(Interval { low: best.low, likely: likely.likely, high: worst.high })
}

#[cfg(test)]
mod tests;
