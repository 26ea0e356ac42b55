//! What an audit proposes against what is fatal, alone and in twos: made, it takes that away, and nothing cheaper was there.

use super::*;
use crate::audit::changes::{Candidate, Effort, NoWay, way_out};
use crate::service::{Voter, Zone};

fn model(service: &Service) -> Model {
    Model::of(service, &Assumptions::default(), Case::Likely)
}

fn is_fatal_together(service: &Service, gone: &[Kind]) -> bool {
    let model = model(service);
    let events: Vec<_> = gone.iter().filter_map(|kind| model.event(kind)).collect();
    assert_eq!(events.len(), gone.len());
    model.tree.fails(model.top, |event| events.contains(&event))
}

fn all_in_one_zone() -> Service {
    let mut service = shop();
    service.zones.truncate(1);
    service.hosts.iter_mut().for_each(|host| host.zone = 0);
    service
}

/// One machine has everything, and agrees with itself.
fn one_machine() -> Service {
    let mut service = all_in_one_zone();
    service.hosts.truncate(1);
    service.entries[0].hosts = vec![0];
    service.entries[0].addresses.clear();
    service.pools[0].members.truncate(1);
    service.pools[0].members[0].host = 0;
    (service.databases[0].hosts, service.databases[0].confirm) = (vec![0], 0);
    service.quorum = Some(Quorum { members: Vec::new() });
    service
}

/// All of the shop is in three zones of the north; with `south` there is a zone in another region, and nothing in it.
fn one_region(south: bool) -> Service {
    let mut service = shop();
    service.zones.iter_mut().for_each(|zone| zone.region = Some("north".into()));
    if south {
        service.zones.push(Zone { name: "d".into(), region: Some("south".into()) });
    }
    service
}

#[test]
fn each_single_point_of_failure_has_a_way_out_however_many_changes_it_takes() {
    let services = [
        ("one zone", all_in_one_zone(), 100.0),
        ("one machine", one_machine(), 100.0),
        ("one of two regions", one_region(true), 10.0),
        ("one region", one_region(false), 10.0),
        ("switches", switches(), 10.0),
    ];
    for (what, service, minutes) in services {
        let audit = Audit::of(&service, &Options::default());
        assert!(!audit.single_points.is_empty(), "{what}");
        for point in &audit.single_points {
            let text = point.remedy.as_ref().unwrap_or_else(|| panic!("{what}: {point:?}"));
            let change = audit.changes.iter().find(|change| &change.text == text).unwrap();
            assert!(change.removes.contains(&point.component) && change.adds.is_empty(), "{change:#?}");
            assert!(change.saves.unwrap() > minutes, "{change:#?}");
        }
    }
    // Things only have to be moved where there are enough of them.
    let audit = Audit::of(&all_in_one_zone(), &Options::default());
    let change = audit.changes.iter().find(|change| !change.removes.is_empty()).unwrap();
    assert_eq!(change.hosts, 0, "{change:#?}");
    // One machine more for the load balancer, one for the pool, two for the database and what it agrees by.
    let audit = Audit::of(&one_machine(), &Options::default());
    let change = audit.changes.iter().find(|change| change.removes.len() == 2).unwrap();
    assert_eq!(
        (change.hosts, change.text.contains("an etcd member beside each host")),
        (4, true),
        "{change:#?}"
    );
}

#[test]
fn what_is_made_of_a_service_is_what_its_audit_says_of_it_then() {
    let region = Kind::Region("north".into());
    for (service, of) in [
        (all_in_one_zone(), Kind::Zone(0)),
        (one_machine(), Kind::Zone(0)),
        (one_region(true), region),
        (switches(), Kind::Shared(0)),
    ] {
        let options = Options::default();
        let now = Audit::of(&service, &options);
        let found = way_out(&service, std::slice::from_ref(&of), false, &mut Effort::default()).unwrap();
        let then = Audit::of(&found.service, &options);
        let left = then.single_points.iter().map(|point| &point.component);
        // All that is on the switches is in one zone.
        let may_be_left: &[&str] = if matches!(of, Kind::Shared(_)) { &["zone a"] } else { &[] };
        assert_eq!(left.collect::<Vec<_>>(), may_be_left, "{}", found.text);
        let minutes = |audit: &Audit| audit.prediction.as_ref().unwrap().minutes_per_year.likely;
        let change = now.changes.iter().find(|change| change.text == found.text).unwrap();
        assert!((minutes(&now) - minutes(&then) - change.saves.unwrap()).abs() < 0.1, "{change:?}");
    }
}

#[test]
fn each_pair_has_a_way_out_that_moves_nothing_and_makes_nothing_else_fatal() {
    let mut under = shop();
    under.shared.push(shared(&[0, 2, 5]));
    let mut outside = shop();
    let voter = &mut outside.quorum.as_mut().unwrap().members[2];
    (voter.host, voter.name) = (None, "10.9.0.1:2379".into());
    let mut by_name = shop();
    two_entries(&mut by_name, |_| {});
    for service in [shop(), under, outside, by_name] {
        let before = model(&service);
        let (pairs, _) = pairs(&before, &before.analyse(Limits::default()).unwrap()).unwrap();
        assert!(pairs.len() > 8);
        for pair in pairs {
            assert!(is_fatal_together(&service, &pair));
            let Candidate { text, service: after, .. } =
                way_out(&service, &pair, true, &mut Effort::default()).unwrap_or_else(|_| panic!("{pair:?}"));
            assert!(!is_fatal_together(&after, &pair), "{pair:?}: {text}");
            assert_eq!(places(&model(&after)), [], "{pair:?}: {text}");
            assert!(after.hosts.iter().zip(&service.hosts).all(|(a, b)| a.zone == b.zone), "{text}");
        }
    }
}

#[test]
fn a_pair_comes_with_what_it_takes_in_machines_and_what_it_buys() {
    let audit = audit(|_| {});
    let of = |one: &str, other: &str| {
        let pair = audit.pairs.iter().find(|pair| pair.components == [one, other]).unwrap();
        pair.remedy.clone().unwrap()
    };
    let balancers = of("host lb1", "host lb2");
    assert_eq!(
        (balancers.text.as_str(), balancers.hosts),
        ("one more host for front in zone c (on the same network)", 1)
    );
    assert!(balancers.saves.unwrap() > 0.0, "{balancers:?}");
    // A standby more, and two votes more, of which one is beside it.
    let databases = of("host db1", "host db2");
    assert_eq!(databases.hosts, 2, "{databases:?}");
    assert!(databases.text.contains("a standby of main") && databases.text.contains("two more coordination"));
    // Every pair of a small system is looked at.
    assert!(audit.pairs.iter().all(|pair| pair.remedy.is_some()));
}

#[test]
fn nothing_is_bought_that_can_be_moved() {
    let remedy = |change: &dyn Fn(&mut Service)| {
        let audit = audit(change);
        let point = audit.single_points.first().unwrap_or_else(|| panic!("{:?}", audit.findings)).clone();
        let text = point.remedy.unwrap();
        let change = audit.changes.iter().find(|change| change.text == text).unwrap();
        (text, change.hosts)
    };
    // Three members in one zone of three.
    let together = remedy(&|shop| (2..5).for_each(|host| shop.hosts[host].zone = 0));
    assert_eq!(together, ("members of web elsewhere: app3 in zone b instead of a".to_owned(), 0));
    // Two of three, and two are needed: the other way round in another zone helps nobody, a zone of its own does.
    let two = remedy(&|shop| {
        (shop.pools[0].needed, shop.pools[0].stated) = (2, true);
        shop.hosts[4].zone = 1;
    });
    assert_eq!(two, ("members of web elsewhere: app3 in zone c instead of b".to_owned(), 0));
    // Where every host is in use and nothing can be spared, it takes one more, as able as the others.
    let heavy = remedy(&|shop| {
        let pool = &mut shop.pools[0];
        (pool.needed, pool.by_weight, pool.stated) = (5, true, true);
        pool.members.iter_mut().for_each(|member| member.weight = 2);
    });
    assert!(heavy.0.starts_with("one more member of web") && heavy.1 == 1, "{heavy:?}");
    // A vote can stand beside another database's host.
    let votes = remedy(&|shop| {
        shop.hosts.push(Host { name: "etcd3".into(), zone: 1, ..Host::default() });
        shop.quorum.as_mut().unwrap().members[2].host = Some(8);
    });
    assert_eq!(votes.1, 0, "{votes:?}");
    // All hosts must confirm: fewer copies cost no machine, and are called by their name.
    let each = remedy(&|shop| shop.databases[0].confirm = 2);
    assert_eq!(each, ("1 confirming for main instead of 2".to_owned(), 0));
    let two = remedy(&|shop| shop.databases[0].hosts.truncate(2));
    assert!(two.0.contains("on one disk alone") && two.1 == 0, "{two:?}");
}

/// In one zone beside the shop's others: three machines with nothing but votes, and one with nothing at all, under one switch
/// with everything.
fn switches() -> Service {
    let mut service = shop();
    let first = service.hosts.len();
    let more = ["e1", "e2", "e3", "idle"].map(|name| Host { name: name.into(), ..Host::default() });
    service.hosts.extend(more);
    service.hosts.iter_mut().for_each(|host| host.zone = 0);
    let voters = (first..first + 3).map(|host| Voter::new(format!("{host}:2379"), Some(host)));
    service.quorum = Some(Quorum { members: voters.collect() });
    service.shared.push(shared(&(0..first + 4).collect::<Vec<_>>()));
    service
}

#[test]
fn whoever_was_on_a_switch_is_on_one_afterwards_and_each_new_one_has_a_name() {
    let service = switches();
    let found = way_out(&service, &[Kind::Shared(0)], false, &mut Effort::default()).unwrap();
    let mut hosts: Vec<usize> = found.service.shared.iter().flat_map(|of| of.hosts.clone()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, (0..service.hosts.len()).collect::<Vec<_>>(), "{}", found.text);
    let mut names: Vec<&str> = found.service.shared.iter().map(|of| of.name.as_str()).collect();
    assert!(names[1..].iter().all(|name| found.text.contains(&format!("a second switch, {name}, beside"))));
    let count = names.len();
    names.dedup();
    assert!(count > 2 && names.len() == count, "three votes need three: {}", found.text);
    for half in 0..count {
        assert!(!is_fatal(&model(&found.service), &Kind::Shared(half)), "{half}: {}", found.text);
    }
}

#[test]
fn each_single_point_has_its_own_way_out_and_not_what_was_found_for_a_larger_one() {
    // Zone a takes everything, which takes many moves; a switch in it only two load balancers.
    let audit = audit(|shop| {
        shop.hosts.iter_mut().for_each(|host| host.zone = 0);
        shop.shared.push(shared(&[0, 1, 5, 6]));
        shop.shared.push(Shared { name: "sw2".into(), ..shared(&[2, 3, 4]) });
    });
    let of = |name: &str| {
        let point = audit.single_points.iter().find(|point| point.component == name).unwrap();
        point.remedy.clone().unwrap_or_else(|| panic!("{:?}", audit.changes))
    };
    assert!(of("zone a").contains("in zone"), "{}", of("zone a"));
    for name in ["shared sw1", "shared sw2"] {
        assert!(of(name).starts_with("a second switch") && !of(name).contains("in zone"), "{}", of(name));
    }
}

/// Pools of six in six zones each, of which four are needed: behind one pair of load balancers.
fn many(pools: usize) -> Service {
    let mut service = shop();
    let zone = |at: usize| Zone { name: format!("z{at}"), region: None };
    service.zones.extend((3..20).map(zone));
    for pool in 0..pools {
        let first = service.hosts.len();
        let host =
            |at: usize| Host { name: format!("h{pool}-{at}"), zone: (pool + at) % 20, ..Host::default() };
        service.hosts.extend((0..6).map(host));
        let mut of = service.pools[0].clone();
        of.name = format!("p{pool}");
        (of.needed, of.stated) = (5, true);
        of.members = (0..6).map(|at| Member::new(format!("m{at}"), first + at)).collect();
        service.entries[0].serves.push((format!("p{pool}"), service.pools.len()));
        service.pools.push(of);
    }
    service
}

#[test]
fn pairs_of_a_large_system_have_their_ways_out_and_those_that_were_not_looked_at_are_told() {
    let audit = Audit::of(&many(30), &Options::default());
    assert!(audit.pair_count.unwrap() > 400.0);
    let sought = audit.pairs.iter().filter(|pair| pair.sought).count();
    // Two zones may take more than eight changes; everything else of the first hundred is found.
    let found = audit.pairs.iter().filter(|pair| pair.remedy.is_some()).count();
    assert!(found == sought && (90..=100).contains(&found), "{found} of {sought}");
    let finding = audit.findings.iter().find(|of| of.code == "pairs-not-sought").unwrap();
    let left = format!("{} of {} pairs", audit.pairs.len() - sought, audit.pairs.len());
    assert!(finding.text.contains(&left), "{}", finding.text);
}

#[test]
fn what_was_looked_for_only_in_part_is_no_way_out() {
    let service = shop();
    let pair = [Kind::Host(0), Kind::Host(1)];
    let found = way_out(&service, &pair, true, &mut Effort::default());
    assert!(found.is_ok());
    let all = Effort::default().0;
    let mut effort = Effort(all);
    way_out(&service, &pair, true, &mut effort).unwrap();
    let needed = all - effort.0;
    assert!(needed < 200, "only what is lost is changed, and not everything: {needed}");
    // With less the first that helps might not be the cheapest.
    assert_eq!(way_out(&service, &pair, true, &mut Effort(0)).err(), Some(NoWay::GaveUp));
    let databases = [Kind::Host(5), Kind::Host(6)];
    let mut effort = Effort(all);
    way_out(&service, &databases, true, &mut effort).unwrap();
    let cut = Effort(all - effort.0 - service.hosts.len() * 3);
    assert_eq!(way_out(&service, &databases, true, &mut { cut }).err(), Some(NoWay::GaveUp));
    // What all pairs may take together is taken from by each.
    let mut for_all = Effort(all + 10);
    for_all.less(&Effort(3));
    assert_eq!((for_all.0, for_all.a_part().0), (13, 13));
}

#[test]
fn a_load_balancer_whose_addresses_are_in_one_place_gets_no_host_in_another() {
    let mut service = shop();
    two_entries(&mut service, |name| name.retry = true);
    // Two datacentres, each with an address of its own.
    service.hosts[1].zone = 0;
    service.hosts.push(Host { name: "lb4".into(), zone: 1, ..Host::default() });
    service.hosts[8].zone = 1;
    let mut address = service.entries[0].addresses[0].clone();
    (address.name, address.hosts) = ("10.0.2.100".into(), vec![8, 9]);
    service.entries[1].addresses = vec![address];
    service.entries[1].hosts = vec![8, 9];
    let pair = [Kind::Zone(0), Kind::Zone(1)];
    let found = way_out(&service, &pair, true, &mut Effort::default()).unwrap();
    assert!(found.text.contains("a load balancer besides front in zone "), "{}", found.text);
    let after = &found.service;
    for address in after.entries.iter().flat_map(|entry| &entry.addresses) {
        assert_eq!(after.zones_of(&address.hosts).len(), 1, "{}", found.text);
    }
    assert_eq!(
        (&after.names[0].entries, after.zone_of(after.entries[2].hosts[0]) > 1),
        (&vec![0, 1, 2], true)
    );
    // A host for an address is rather in the same region, a member of a pool rather in another one.
    let mut service = one_region(true);
    service.zones.push(Zone { name: "e".into(), region: Some("south".into()) });
    let text = |pair: [usize; 2]| {
        way_out(&service, &pair.map(Kind::Host), true, &mut Effort::default()).unwrap().text
    };
    assert_eq!(text([0, 1]), "one more host for front in zone c (on the same network)");
    assert!(text([5, 6]).starts_with("a standby of main in zone d"), "{}", text([5, 6]));
    // Where nobody is led elsewhere by name it is said what such a host takes.
    let found = way_out(&shop(), &[Kind::Host(0), Kind::Host(1)], true, &mut Effort::default()).unwrap();
    assert_eq!(found.text, "one more host for front in zone c (on the same network)");
}

#[test]
fn half_of_a_switch_is_no_way_out_if_it_is_as_fatal() {
    // Both load balancers in one zone, and two hosts of the database in the other: each half of the switch is fatal.
    let audit = audit(|shop| {
        shop.hosts[1].zone = 0;
        shop.hosts[7].zone = 1;
        shop.shared.push(shared(&[0, 1, 6, 7]));
    });
    // Alone it makes two things that are fatal of one.
    let halves = "a switch of its own for each zone in place of sw1";
    assert!(audit.changes.iter().all(|change| change.text != halves), "{:#?}", audit.changes);
    let point = audit.single_points.iter().find(|point| point.component == "shared sw1").unwrap();
    assert!(point.remedy.as_ref().is_some_and(|text| text.contains(&format!("{halves}; "))), "{point:#?}");
}
