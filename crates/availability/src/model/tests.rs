//! The shop in three zones, with one thing changed at a time; and the model against a chain and against simulated years.

mod surroundings;
mod worse;
mod years;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::assumptions::Rehearsed;
use crate::markov::Pair;
use crate::nines::{Availability, HOURS_PER_YEAR, MINUTES_PER_YEAR};
use crate::service::tests::shop;
use crate::service::{Host, Quorum, Voter, Zone};
use crate::simulation::{Answer, Simulation};

fn minutes(service: &Service) -> f64 {
    downtime(service, &Assumptions::default(), Limits::default()).unwrap().likely
}

/// Names of what is fatal alone, but for what has no name of its own place.
fn single_points(service: &Service) -> Vec<Kind> {
    let model = Model::of(service, &Assumptions::default(), Case::Likely);
    let sets = model.analyse(Limits::default()).unwrap().cut_sets(1).unwrap();
    let kinds = sets.list(100).into_iter().map(|set| model.kinds[set[0].index()].clone());
    kinds.filter(Kind::is_place).collect()
}

#[test]
fn a_shop_in_three_zones_has_no_single_point_of_failure() {
    assert_eq!(single_points(&shop()), []);
    let down = downtime(&shop(), &Assumptions::default(), Limits::default()).unwrap();
    assert!(down.low < down.likely && down.likely < down.high);
    // More than three nines, and what is left is mostly people and what nobody rehearsed.
    assert!((20.0..120.0).contains(&down.likely), "{down:?}");
}

#[test]
fn what_is_in_one_zone_falls_with_it() {
    let mut service = shop();
    service.hosts[1].zone = 0;
    assert_eq!(single_points(&service), [Kind::Zone(0)]);
    assert!(minutes(&service) > minutes(&shop()) + 400.0);
}

#[test]
fn a_quorum_in_two_zones_has_one_that_it_needs() {
    let mut service = shop();
    service.hosts[7].zone = 1;
    assert_eq!(single_points(&service), [Kind::Zone(1)]);
}

#[test]
fn strict_with_as_many_standbys_as_must_confirm_needs_every_host() {
    let mut service = shop();
    service.databases[0].confirm = 2;
    assert_eq!(
        single_points(&service),
        [0, 1, 2].map(Kind::Zone).into_iter().chain([5, 6, 7].map(Kind::Host)).collect::<Vec<_>>()
    );
    service.databases[0].strict = false;
    assert_eq!(single_points(&service), []);
}

#[test]
fn where_nobody_confirms_nobody_takes_over() {
    let mut service = shop();
    service.databases[0].confirm = 0;
    assert_eq!(single_points(&service), [Kind::Zone(0), Kind::Host(5)]);
}

#[test]
fn a_zone_that_takes_more_hosts_than_confirm_stops_the_takeover() {
    let mut service = shop();
    service.hosts.extend(["db4", "db5"].map(|name| Host { name: name.into(), zone: 1, ..Host::default() }));
    service.databases[0].hosts.extend([8, 9]);
    // db2, db4 and db5 are in b: with all of them, whatever two confirmed is gone.
    (service.databases[0].confirm, service.databases[0].strict) = (2, false);
    assert_eq!(single_points(&service), [Kind::Zone(1)]);
    service.databases[0].confirm = 3;
    assert_eq!(single_points(&service), []);
}

#[test]
fn a_pool_that_needs_all_of_its_members_is_no_redundancy() {
    let mut service = shop();
    service.pools[0].needed = 2;
    assert_eq!(single_points(&service), []);
    service.pools[0].needed = 3;
    assert_eq!(single_points(&service).len(), 6);
    service.pools[0].needed = 1;
    service.pools[0].refuses_below = 3;
    assert_eq!(single_points(&service).len(), 6);
}

#[test]
fn what_the_same_hosts_have_in_common_counts_once() {
    let common = |service: &Service| {
        let model = Model::of(service, &Assumptions::default(), Case::Likely);
        model.kinds.iter().filter(|kind| matches!(kind, Kind::CommonCause(_))).count()
    };
    // Load balancers, application servers, and what are both the database's hosts and the quorum's.
    assert_eq!(common(&shop()), 3);
    let mut apart = shop();
    apart.hosts.push(Host { name: "etcd3".into(), zone: 2, ..Host::default() });
    apart.quorum.iter_mut().for_each(|quorum| quorum.members[2].host = Some(8));
    // Two of three are enough for one cause, and one is not.
    assert_eq!(common(&apart), 3);
    apart.hosts.push(Host { name: "etcd2".into(), zone: 1, ..Host::default() });
    apart.quorum.iter_mut().for_each(|quorum| quorum.members[1].host = Some(9));
    assert_eq!(common(&apart), 4);
    let mut more = shop();
    more.hosts.push(Host { name: "db4".into(), zone: 2, ..Host::default() });
    more.databases[0].hosts.push(8);
    assert_eq!(common(&more), 3);
}

#[test]
fn a_region_is_one_more_thing_that_zones_share() {
    let mut service = shop();
    service.zones.iter_mut().for_each(|zone| zone.region = Some("north".into()));
    assert_eq!(single_points(&service), [Kind::Region("north".into())]);
    service.zones[2].region = Some("south".into());
    // Two of three of everything that votes are in the north.
    assert_eq!(single_points(&service), [Kind::Region("north".into())]);
}

#[test]
fn what_clients_lose_with_a_component() {
    let model = Model::of(&shop(), &Assumptions::default(), Case::Likely);
    let lost = |kinds: &[Kind]| {
        let events: Vec<EventId> = kinds.iter().map(|kind| model.event(kind).unwrap()).collect();
        let lost = model.lost(&events);
        lost.into_iter().map(|function| function.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(lost(&[Kind::Zone(0)]), Vec::<String>::new());
    assert_eq!(lost(&[Kind::Host(0), Kind::Host(1)]), ["front http-80 to web"]);
    assert_eq!(lost(&[Kind::Host(5), Kind::Host(6)]), ["coordination", "writes to main"]);
}

#[test]
fn a_pair_alone_is_what_its_chain_says() {
    let mut service = shop();
    service.zones = vec![Zone { name: "a".into(), region: None }];
    service.hosts.truncate(3);
    service.hosts.iter_mut().for_each(|host| host.zone = 0);
    (service.databases, service.quorum) = (Vec::new(), None);
    service.pools[0].members.clear();
    service.pools[0].members = vec![crate::service::Member::new("app1:80", 2)];
    service.entries[0].addresses[0].second = Duration::from_secs_f64(10.0 - ANNOUNCE);
    let mut assumptions = Assumptions::default();
    let never = Interval::exactly(0.0);
    assumptions.zone.per_year.value = never;
    assumptions.change.per_year.value = never;
    assumptions.common_cause.value = never;
    assumptions.host.per_year.value = Interval::exactly(HOURS_PER_YEAR / 4380.0);
    let rehearsed = |failovers, missed| Some(Rehearsed { failovers, missed, seconds: Some(10.0) });
    let cases = [(1.0, None), (0.95, None), (0.9, None)]
        .into_iter()
        // Reference case 18, with coverage that was measured: it moves the prediction, whatever was assumed.
        .chain([(0.5, rehearsed(10_000, 100)), (0.5, rehearsed(1000, 100)), (0.5, rehearsed(9, 0))]);
    let mut predicted = Vec::new();
    for (coverage, measured) in cases {
        assumptions.coverage.value = Interval::exactly(coverage);
        assumptions.rehearsed = measured.map(|measured| ("front".to_owned(), measured)).into_iter().collect();
        let coverage = assumptions.coverage("front").value.likely;
        let mut model = Model::of(&service, &assumptions, Case::Likely);
        // The application server is another matter.
        let app = model.event(&Kind::Host(2)).unwrap();
        model.q[app.index()] = 0.0;
        let got = model.analyse(Limits::default()).unwrap().probability(&model.q).likely;
        let pair = Pair {
            failures: 1.0 / 4380.0,
            repairs: 0.25,
            crews: 2,
            failover: 10.0 / 3600.0,
            coverage,
            by_hand: 0.5,
            returns: true,
        };
        let wanted = pair.availability().unwrap().unavailability();
        assert!((got / wanted - 1.0).abs() < 0.003, "{coverage}: {got} is not {wanted}");
        if measured.is_some() {
            predicted.push((coverage, got * MINUTES_PER_YEAR));
        }
    }
    // As the reference has it between 0.99 and 0.90; but whoever is repaired before a person comes ends it, so that half an hour is
    // less: two an hour and a quarter of one.
    let [(well, few), (badly, many), _] = predicted[..] else { panic!("{predicted:?}") };
    let per_point = (7.1635 - 1.8034) / 9.0 * (2.0 / 2.25);
    let wanted = (well - badly) * 100.0 * per_point;
    assert!((many - few - wanted).abs() < 0.05, "{few} and {many}, apart by {wanted}");
}

#[test]
fn a_standby_is_never_worse_however_quickly_hosts_are_repaired_and_slowly_people_come() {
    let front = |hosts: usize, repair: f64, by_hand: f64| {
        let mut service = shop();
        service.entries[0].hosts.truncate(hosts);
        service.entries[0].addresses[0].hosts.truncate(hosts);
        let mut assumptions = Assumptions::default();
        for of in [&mut assumptions.host, &mut assumptions.zone] {
            of.repair = of.repair.scaled(repair / of.repair.mean());
        }
        (assumptions.coverage.value, assumptions.by_hand) =
            (Interval::exactly(0.5), Hours::Exponential { mean: by_hand });
        downtime(&service, &assumptions, Limits::default()).unwrap().likely
    };
    for (repair, by_hand) in [(1.0 / 60.0, 0.5), (0.001, 0.5), (4.0, 12.0), (0.5, 48.0)] {
        let (alone, pair) = (front(1, repair, by_hand), front(2, repair, by_hand));
        assert!(pair <= alone, "{repair} {by_hand}: {alone} {pair}");
    }
}

#[test]
fn simulated_years_of_the_shop_agree_with_its_diagram() {
    for (strict, needed) in [(true, 1), (false, 2)] {
        let mut service = shop();
        service.databases[0].strict = strict;
        service.pools[0].needed = needed;
        let model = Model::of(&service, &Assumptions::default(), Case::Likely);
        let exact = model.analyse(Limits::default()).unwrap().probability(&model.q).likely * MINUTES_PER_YEAR;
        let blocks = Simulation::new(model.plant()).run(21, 40_000);
        let got = Answer::of(blocks, Availability::from_fraction(0.999));
        let error = (got.mean.high - got.mean.likely) / 1.96;
        // What is counted twice by the diagram, and not by the years, is the failover beside another outage.
        assert!(
            (got.mean.likely - exact).abs() < 4.0 * error + 0.01 * exact,
            "{:?} is not {exact}",
            got.mean
        );
    }
}

#[test]
fn more_is_never_worse() {
    let before = minutes(&shop());
    let more = |change: &dyn Fn(&mut Service)| {
        let mut service = shop();
        change(&mut service);
        minutes(&service)
    };
    let new = |service: &mut Service, zone| {
        service.hosts.push(Host { name: "new".into(), zone, ..Host::default() });
        service.hosts.len() - 1
    };
    for zone in 0..3 {
        let member = more(&|service| {
            let host = new(service, zone);
            let member = crate::service::Member::new("new:80", host);
            service.pools[0].members.push(member);
        });
        let balancer = more(&|service| {
            let host = new(service, zone);
            service.entries[0].hosts.push(host);
            service.entries[0].addresses[0].hosts.push(host);
        });
        assert!(member <= before + 1e-9 && balancer <= before + 1e-9, "{zone}");
    }
}

/// As any host, and worse and better ones.
fn failing(which: usize) -> Option<nines_system::Failing> {
    let says = [
        "",
        ", failures = { availability = \"95 %\", repair = \"1d\" }",
        ", failures = { every = \"1000d\", repair = \"10min\" }",
    ];
    let text = format!("name = \"t\"\nhosts = {{ a = {{ address = \"10.0.0.1\"{} }} }}\n", says[which]);
    nines_system::parse("t", &text).unwrap().hosts[0].failures.clone()
}

#[test]
fn a_bad_third_host_makes_nothing_worse() {
    let mut service = shop();
    let before = minutes(&service);
    service.hosts.push(Host { name: "lb3".into(), zone: 2, failures: failing(1), ..Host::default() });
    service.entries[0].hosts.push(8);
    service.entries[0].addresses[0].hosts.push(8);
    let after = minutes(&service);
    assert!(after <= before, "{before} {after}");
}

proptest! {
    /// In one of its own zones it may be: two hosts of one zone fall together, and then too few are left that confirmed.
    #[test]
    fn a_standby_in_another_zone_is_never_worse(
        zones in prop::collection::vec(0usize..3, 1..6), confirm in 0usize..5, strict: bool, regions: bool,
        voters in 0usize..6, elsewhere in 0usize..3, rates in prop::collection::vec(0usize..3, 7),
    ) {
        let mut service = shop();
        // On the database's own hosts, and beside it.
        let voters = 5..5 + voters.min(zones.len());
        let mut members: Vec<Voter> = voters.map(|host| Voter::new(format!("h{host}"), Some(host))).collect();
        members.extend((0..elsewhere).map(|at| Voter::new(format!("etcd{at}"), None)));
        service.quorum = Some(Quorum { members }).filter(|quorum| !quorum.members.is_empty());
        service.hosts.truncate(5);
        if regions {
            service.zones[0].region = Some("north".into());
            service.zones[1].region = Some("north".into());
        }
        for (at, &zone) in zones.iter().enumerate() {
            service.hosts.push(Host { name: format!("db{at}"), zone, ..Host::default() });
        }
        for (host, &rate) in service.hosts[5..].iter_mut().zip(&rates) {
            host.failures = failing(rate);
        }
        let database = &mut service.databases[0];
        database.hosts = (5..5 + zones.len()).collect();
        (database.confirm, database.strict) = (confirm.min(zones.len() - 1), strict);
        let before = minutes(&service);
        service.zones.push(Zone { name: "d".into(), region: None });
        let failures = failing(rates[6]);
        service.hosts.push(Host { name: "more".into(), zone: 3, failures, ..Host::default() });
        service.databases[0].hosts.push(5 + zones.len());
        let after = minutes(&service);
        prop_assert!(after <= before * (1.0 + 1e-9), "{before} {after}");
    }
}

#[test]
fn what_was_rehearsed_counts_and_not_what_was_worked_out() {
    let mut assumptions = Assumptions::default();
    let before = downtime(&shop(), &assumptions, Limits::default()).unwrap();
    let rehearsed = Rehearsed { failovers: 2000, missed: 0, seconds: Some(0.5) };
    assumptions.rehearsed.extend(["front", "main"].map(|name| (name.to_owned(), rehearsed)));
    let after = downtime(&shop(), &assumptions, Limits::default()).unwrap();
    assert!(after.likely < before.likely - 5.0, "{before:?} {after:?}");
    let model = Model::of(&shop(), &assumptions, Case::Likely);
    assert!(model.groups.iter().all(|group| group.measured && group.notice == 0.5));
}
