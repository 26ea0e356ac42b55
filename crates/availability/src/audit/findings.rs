//! Flaws that a file shows by itself, each with what to do about it.

mod surroundings;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Capacity, Prediction, Remains, SinglePoint, TimeBudget};
use crate::service::{CheckKind, Database, Entry, Pool, Service};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Clients lose something when one thing fails, or the promise can't be kept.
    Critical,
    /// It will be worse than it looks.
    Warning,
    /// Worth knowing.
    Note,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Stable, for whoever wants to filter.
    pub code: &'static str,
    pub severity: Severity,
    /// Where in the file: `databases.main`.
    pub place: String,
    pub text: String,
    pub suggestion: String,
}

/// What findings follow from.
pub(super) struct Known<'a> {
    pub(super) service: &'a Service,
    pub(super) accepted: &'a BTreeMap<String, String>,
    pub(super) single_points: &'a [SinglePoint],
    pub(super) prediction: Option<&'a Prediction>,
    pub(super) time_budget: &'a [TimeBudget],
    pub(super) capacity: &'a [Capacity],
}

struct Findings<'a> {
    service: &'a Service,
    all: Vec<Finding>,
}

pub(super) fn findings(of: &Known<'_>) -> Vec<Finding> {
    let service = of.service;
    let mut findings = Findings { service, all: Vec::new() };
    findings.promise(of.single_points, of.prediction, of.time_budget);
    findings.accepted(of.accepted, of.single_points);
    findings.places();
    service.entries.iter().enumerate().for_each(|(at, entry)| findings.entry(at, entry));
    service.pools.iter().filter(|pool| pool.reaches.is_none()).for_each(|pool| findings.pool(pool));
    of.capacity.iter().for_each(|capacity| findings.capacity(capacity));
    service.databases.iter().for_each(|database| findings.database(database));
    findings.shared_hosts();
    findings.quorum();
    findings.voters();
    findings.watchers();
    findings.shared();
    findings.names(of.time_budget);
    findings.certificates();
    findings.not_counted();
    findings.maintenance(of.single_points);
    findings.all.sort_by_key(|finding| finding.severity);
    findings.all
}

pub(super) fn entangled() -> Finding {
    Finding {
        code: "too-entangled",
        severity: Severity::Warning,
        place: "the system".into(),
        text: "too much depends on too much else for everything to be worked out: a prediction or pairs are missing".into(),
        suggestion: "`nines simulate FILE` has no such bound; and members of one weight take far less than of many".into(),
    }
}

pub(super) fn rounded() -> Finding {
    Finding {
        code: "weights-rounded",
        severity: Severity::Note,
        place: "the system".into(),
        text: "members have so many different weights that these were rounded: for the best prediction and the worst, and evenly for the likely one"
            .into(),
        suggestion: "`nines simulate FILE` takes them as they are; or weights that are multiples of one another".into(),
    }
}

pub(super) fn not_tried(changes: usize) -> Finding {
    Finding {
        code: "changes-not-tried",
        severity: Severity::Note,
        place: "the system".into(),
        text: format!("{changes} more changes could be tried, and what they buy was not worked out"),
        suggestion: "those that are listed first: then others have their turn".into(),
    }
}

/// That nobody looked for what so many pairs take is no sign that nothing helps.
pub(super) fn not_sought(pairs: f64, sought: usize) -> Option<Finding> {
    let left = pairs - sought as f64;
    (left > 0.0).then(|| Finding {
        code: "pairs-not-sought",
        severity: Severity::Note,
        place: "the system".into(),
        text: format!(
            "what it takes to bear {left:.0} of {pairs:.0} pairs that are fatal together was not looked for to the end"
        ),
        suggestion: "what is proposed for the others first: that often helps against these too".into(),
    })
}

fn seconds(of: f64) -> String {
    match of {
        of if of < 10.0 => format!("{of:.2} s"),
        of if of < 300.0 => format!("{of:.0} s"),
        of => format!("{:.0} min", of / 60.0),
    }
}

impl Findings<'_> {
    fn add(
        &mut self,
        code: &'static str,
        severity: Severity,
        place: String,
        text: String,
        suggestion: impl Into<String>,
    ) {
        self.all.push(Finding { code, severity, place, text, suggestion: suggestion.into() });
    }

    fn zone(&self, zone: usize) -> &str {
        &self.service.zones[zone].name
    }

    fn promise(&mut self, points: &[SinglePoint], prediction: Option<&Prediction>, budget: &[TimeBudget]) {
        for point in points.iter().filter(|point| point.acknowledged.is_none()) {
            let text = format!("{} alone takes down: {}", point.component, point.lost.join(", "));
            let remedy = point
                .remedy
                .clone()
                .unwrap_or_else(|| "a second one, elsewhere; or say in the file why it is accepted".into());
            self.add("single-point-of-failure", Severity::Critical, point.component.clone(), text, remedy);
        }
        if let Some(of) = prediction.filter(|of| !of.reachable) {
            let text = format!(
                "{:.0} minutes of downtime a year are to be expected, and {} allows {:.0}",
                of.minutes_per_year.likely,
                self.service.objective.as_stated(),
                of.objective_minutes
            );
            let most = of.contributions.first().map(|of| of.cause.clone()).unwrap_or_default();
            let suggestion = format!("what takes most is: {most}");
            self.add("objective-out-of-reach", Severity::Critical, "objective".into(), text, suggestion);
        } else if let Some(of) = prediction.filter(|of| !of.certain) {
            let text = format!(
                "the objective can be kept, but not if every figure is as bad as it may be: then {:.0} minutes a year, of {:.0}",
                of.minutes_per_year.high, of.objective_minutes
            );
            self.add(
                "objective-uncertain",
                Severity::Note,
                "objective".into(),
                text,
                "rehearse: measured figures take the place of assumed ones",
            );
        }
        for (row, allowed) in
            budget.iter().filter_map(|row| Some((row, row.allowed_in_30_days.filter(|&times| times < 4.0)?)))
        {
            // Said of names in their own words.
            if self.service.names.iter().any(|name| name.name == row.component) {
                continue;
            }
            let text = format!(
                "when {}, it takes up to {}, which the objective allows {:.1} times in thirty days",
                row.what,
                seconds(row.notice + row.take_over),
                allowed
            );
            self.add(
                "slow-failover",
                Severity::Warning,
                row.component.clone(),
                text,
                if self.service.databases.iter().any(|of| of.name == row.component) {
                    "a shorter lease, or a smaller promise"
                } else {
                    "shorter intervals, or a smaller promise"
                },
            );
        }
    }

    fn places(&mut self) {
        if self.service.zones.len() == 1 && self.service.hosts.len() > 1 {
            let text = format!("everything is in zone {}: what fails there fails everything", self.zone(0));
            self.add(
                "one-zone",
                Severity::Critical,
                "zones".into(),
                text,
                "name the zones that hosts are in; if it is one, a second",
            );
        }
        let hosts = self.service.hosts.iter().filter(|host| host.by_name).map(|host| host.name.clone());
        let voters = self.service.quorum.iter().flat_map(|quorum| &quorum.members);
        let voters = voters.filter(|voter| voter.by_name).map(|voter| voter.name.clone());
        let by_name: Vec<String> = hosts.chain(voters).collect();
        if !by_name.is_empty() {
            let text = format!("found by DNS: {}", by_name.join(", "));
            self.add(
                "depends-on-dns",
                Severity::Note,
                "hosts".into(),
                text,
                "the last answer stays in force, but nobody starts without a first one",
            );
        }
    }

    /// Several hosts that are all in one of several zones.
    fn one_zone(&mut self, place: String, what: &str, hosts: &[usize]) {
        let zones = self.service.zones_of(hosts);
        let mut apart = hosts.to_vec();
        apart.sort_unstable();
        apart.dedup();
        if self.service.zones.len() > 1 && apart.len() > 1 && zones.len() == 1 {
            let text = format!("all {} of its {what} are in zone {}", apart.len(), self.zone(zones[0]));
            self.add(
                "redundant-in-one-zone",
                Severity::Critical,
                place.clone(),
                text,
                "one of them in another zone",
            );
        } else if apart.len() == 1 && hosts.len() > 1 {
            let text = format!(
                "all {} of its {what} are on host {}",
                hosts.len(),
                self.service.hosts[apart[0]].name
            );
            self.add("redundant-on-one-host", Severity::Critical, place, text, "one of them on another host");
        }
    }

    fn entry(&mut self, at: usize, entry: &Entry) {
        let place = format!("load_balancers.{}", entry.name);
        // Others stand in for those of a name that can go to them.
        if self.service.stand_ins(at).is_empty() {
            self.one_zone(place.clone(), "hosts", &entry.hosts);
        }
        if !self.service.is_led(at) {
            let text = format!(
                "nothing leads clients from a host that is gone to one that is not: 1 of {} of them lose service with each",
                entry.hosts.len()
            );
            self.add(
                "no-virtual-address",
                Severity::Critical,
                place.clone(),
                text,
                "`virtual_ips`; or a name with `retry` (clients try every host) or `checked`",
            );
        }
        for address in
            entry.addresses.iter().filter(|address| address.hosts.len() == 1 && entry.hosts.len() > 1)
        {
            let text =
                format!("only {} may hold {}", self.service.hosts[address.hosts[0]].name, address.name);
            self.add(
                "address-without-backup",
                Severity::Critical,
                place.clone(),
                text,
                "every host of the load balancer in `hosts`",
            );
        }
    }

    fn pool(&mut self, pool: &Pool) {
        let place = format!("pools.{}", pool.name);
        self.one_zone(place.clone(), "members", &pool.hosts());
        if let Some(by) = &pool.sticky {
            let text = format!(
                "clients stay at one member by {by}: if its members know something of them, it goes with the member"
            );
            self.add(
                "sticky-pool",
                Severity::Warning,
                place.clone(),
                text,
                "keep sessions where every member finds them, and any other balance",
            );
        }
        if pool.members.len() > 1 && pool.tries <= 1 {
            let text =
                "requests are tried once: each failure of a member is a failure for clients".to_owned();
            self.add("no-retries", Severity::Warning, place.clone(), text, "`retries.tries` of 2 or 3");
        }
        if pool.tries > 1 && pool.retry_budget >= 0.5 {
            let text = format!(
                "further tries may be {:.0} % of requests: an overload feeds itself",
                pool.retry_budget * 100.0
            );
            self.add(
                "retries-without-budget",
                Severity::Warning,
                place.clone(),
                text,
                "`retries.budget` of 20 % or less",
            );
        }
        match (pool.check, pool.failures) {
            (CheckKind::None, None) => {
                let text = "neither checks nor traffic notice that a member is gone".to_owned();
                self.add("nobody-notices", Severity::Critical, place.clone(), text, "a check");
            }
            (CheckKind::None, Some(_)) => {
                let text = "only clients' requests notice that a member is gone".to_owned();
                self.add("no-check", Severity::Warning, place.clone(), text, "a check");
            }
            (CheckKind::Tcp, _) => {
                let text = "a check that only connects does not see a program that accepts and answers nothing, or errors".to_owned();
                self.add(
                    "shallow-check",
                    Severity::Note,
                    place.clone(),
                    text,
                    "a check over HTTP, or a command",
                );
            }
            (CheckKind::Deep, _) => {}
        }
    }

    fn capacity(&mut self, of: &Capacity) {
        let place = format!("pools.{}", of.pool);
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let lacking =
            |what: &str| of.after.iter().find(|left| left.without.starts_with(what) && !left.enough);
        let left = |left: &Remains| {
            format!(
                "without {} there are {} of {} members, which carry {} of the peak",
                left.without,
                left.members,
                of.members,
                percent(left.of_peak)
            )
        };
        if of.runs_at > 1.0 {
            let text = format!("it takes {}, and its members are worth {}", of.needed, of.worth());
            self.add("too-few-members", Severity::Critical, place, text, "more members");
        } else if let Some(after) = lacking("member").or_else(|| lacking("host")) {
            self.add(
                "no-capacity-after-one-host",
                Severity::Critical,
                place,
                left(after),
                "one more member, on a host of its own",
            );
        } else if let Some(after) = lacking("zone").filter(|_| self.service.zones.len() > 1) {
            let text = format!(
                "{}: at the peak it runs at {}, and may at {}",
                left(after),
                percent(of.runs_at),
                percent(after.may_run_at)
            );
            let suggestion =
                "n zones must each run at no more than (n - 1)/n: more members in the other zones";
            self.add("no-capacity-after-one-zone", Severity::Critical, place, text, suggestion);
        } else if !of.stated && of.members > 1 {
            let text =
                "how many members it takes to carry the peak is not said; one is taken for enough".to_owned();
            self.add(
                "capacity-not-stated",
                Severity::Note,
                place,
                text,
                "`needs`, or `peak` and `member_peak`: then what is left after a zone can be compared",
            );
        }
    }

    fn database(&mut self, database: &Database) {
        let place = format!("databases.{}", database.name);
        let hosts = database.hosts.len();
        self.one_zone(place.clone(), "hosts", &database.hosts);
        if hosts == 1 {
            let text = "it has one host: when that is gone, so are its writes until somebody restores a copy"
                .to_owned();
            self.add(
                "database-without-standby",
                Severity::Critical,
                place,
                text,
                "two standbys in two other zones",
            );
            return;
        }
        if database.confirm == 0 {
            let text = "no standby confirms a write, so none may take over: it might lack what clients were told is safe".to_owned();
            self.add("standby-cannot-take-over", Severity::Critical, place, text, "`confirm = 1`");
            return;
        }
        if database.strict && database.confirm + 1 == hosts {
            let text = format!(
                "each write waits for all {} standbys: any host that is gone stops all writes",
                database.confirm
            );
            self.add(
                "every-host-needed",
                Severity::Critical,
                place.clone(),
                text,
                "one more standby, or `durability = \"available\"`",
            );
        }
        if !database.strict {
            let text = "when too few standbys confirm, it goes on with fewer copies; if then the primary is lost, nobody takes over until it returns";
            self.add(
                "fewer-copies",
                Severity::Note,
                place.clone(),
                text.to_owned(),
                "`durability = \"strict\"` and one more standby",
            );
        }
        for zone in self.service.zones_of(&database.hosts) {
            let holds = database.hosts.iter().filter(|&&host| self.service.zone_of(host) == zone).count();
            if database.may_lack_writes(holds) && holds < hosts {
                let text = format!(
                    "zone {} holds {holds} of its {hosts} hosts, and {} confirm: if the primary is there, with the zone may go what nobody else has, so nobody takes over",
                    self.zone(zone),
                    database.confirm
                );
                self.add(
                    "zone-holds-too-many",
                    Severity::Critical,
                    place.clone(),
                    text,
                    "no more hosts in a zone than must confirm",
                );
            }
        }
    }

    fn shared_hosts(&mut self) {
        let databases = &self.service.databases;
        for (at, one) in databases.iter().enumerate() {
            for other in &databases[at + 1..] {
                let both = one.hosts.iter().find(|host| other.hosts.contains(host));
                if let Some(&host) = both {
                    let name = &self.service.hosts[host].name;
                    let text = format!(
                        "{} and {} are both on {name}: they share its memory, its disk and its fate",
                        one.name, other.name
                    );
                    self.add(
                        "databases-share-a-host",
                        Severity::Warning,
                        format!("databases.{}", one.name),
                        text,
                        "a host for each",
                    );
                }
            }
        }
    }

    fn quorum(&mut self) {
        let Some(quorum) = self.service.asked_quorum() else { return };
        let place = "coordination".to_owned();
        let members = quorum.members.len();
        let hosts: Vec<usize> = quorum.members.iter().filter_map(|voter| voter.host).collect();
        match members {
            0 => {
                let several = self.service.databases.iter().any(|database| database.hosts.len() > 1);
                if several {
                    let text = "hosts agree over a directory of one machine, and the database has several"
                        .to_owned();
                    self.add(
                        "quorum-of-one-machine",
                        Severity::Critical,
                        place,
                        text,
                        "etcd, with three members in three zones",
                    );
                }
                return;
            }
            1 => {
                let text = "one member: without it nobody stays the primary".to_owned();
                self.add(
                    "quorum-of-one",
                    Severity::Critical,
                    place.clone(),
                    text,
                    "three members in three zones",
                );
            }
            2 => {
                let text = "two members agree only if both are there: that is worse than one".to_owned();
                self.add(
                    "quorum-of-two",
                    Severity::Critical,
                    place.clone(),
                    text,
                    "three members in three zones",
                );
            }
            even if even % 2 == 0 => {
                let text = format!("{even} members bear as many failures as {} do", even - 1);
                self.add("quorum-even", Severity::Warning, place.clone(), text, "an odd number of members");
            }
            _ => {}
        }
        if members < 3 {
            return;
        }
        for zone in self.service.zones_of(&hosts) {
            let holds = hosts.iter().filter(|&&host| self.service.zone_of(host) == zone).count();
            if members - holds < quorum.majority() {
                let text = format!(
                    "zone {} holds {holds} of its {members} members: without it there is no majority",
                    self.zone(zone)
                );
                self.add(
                    "quorum-in-too-few-zones",
                    Severity::Critical,
                    place.clone(),
                    text,
                    "three zones, the third for one small member alone if need be",
                );
            }
        }
    }
}
