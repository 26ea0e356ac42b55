//! When databases take no writes: what they agree by, who is left, and who may take over.

use super::{ActivePassive, Builder, Function, Kind};
use crate::service::{Database, Quorum};
use crate::structure::NodeId;

impl Builder<'_> {
    /// Nobody can be, or stay, the primary.
    pub(super) fn quorum(&mut self, quorum: &Quorum) -> Option<NodeId> {
        let mut gone = Vec::new();
        for voter in &quorum.members {
            gone.push(match voter.host {
                Some(host) => self.hosts[host].1,
                None => {
                    let host = &self.rates.of.host;
                    self.event(Kind::Elsewhere(voter.name.clone()), self.rates.per_hour(host), host.repair)
                }
            });
        }
        if gone.is_empty() {
            return None;
        }
        let hosts: Vec<usize> = quorum.members.iter().filter_map(|voter| voter.host).collect();
        let few = self.model.tree.redundant(quorum.majority(), gone);
        let node = self.with_common_cause("coordination", &hosts, few);
        self.model.functions.push(Function { name: "coordination".into(), node });
        Some(node)
    }

    /// Writes are not taken.
    pub(super) fn database(&mut self, at: usize, quorum: Option<NodeId>) -> NodeId {
        let database = &self.service.databases[at];
        let mut down: Vec<NodeId> = quorum.into_iter().collect();
        if database.can_fail_over() {
            let gone = self.gone(&database.hosts);
            down.push(self.model.tree.redundant(database.least(), gone));
            down.extend(self.refusing(database));
            let group = ActivePassive {
                component: database.name.clone(),
                database: Some(at),
                what: "the primary".into(),
                hosts: database.hosts.clone(),
                notice: database.notice().as_secs_f64(),
                second: database.notice().as_secs_f64(),
                takes_over: self.rates.promotion() * 3600.0,
                taken_back: false,
                measured: false,
            };
            if let Some((over, missed)) = self.failover(group) {
                down.extend([over, missed]);
            }
        } else {
            // Only the primary has every write.
            down.extend(database.hosts.first().map(|&host| self.hosts[host].1));
        }
        let node = self.model.tree.any(down);
        if database.can_fail_over() {
            self.with_common_cause(&database.name, &database.hosts, node)
        } else {
            node
        }
    }

    /// Whether so many of these hosts fail at once that those that are left may lack what was confirmed, and nobody takes over.
    pub(super) fn refuses(&self, database: &Database, falls: impl Fn(usize) -> bool) -> bool {
        database.may_lack_writes(database.hosts.iter().filter(|&&host| falls(host)).count())
    }

    /// Zones, regions and shared things that take so many.
    fn refusing(&self, database: &Database) -> Vec<NodeId> {
        let service = self.service;
        let zones = service.zones_of(&database.hosts).into_iter();
        let zones = zones.filter(|&zone| self.refuses(database, |host| service.zone_of(host) == zone));
        let regions = self.regions.iter();
        let regions =
            regions.filter(|(name, _)| self.refuses(database, |host| service.region_of(host) == Some(name)));
        let shared = service.shared.iter().zip(&self.shared);
        let shared =
            shared.filter(|(shared, _)| self.refuses(database, |host| service.is_under(shared, host)));
        let zones = zones.map(|zone| self.zones[zone]).chain(regions.map(|(_, node)| *node));
        zones.chain(shared.map(|(_, node)| *node)).collect()
    }
}
