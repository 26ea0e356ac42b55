//! What an audit proposes against what is fatal, alone and in twos: made, it takes that away, and nothing cheaper was there.

use super::*;
use crate::audit::changes::{Candidate, Effort, way_out};

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

#[test]
fn each_single_point_of_failure_has_a_way_out_however_many_changes_it_takes() {
    for (what, service) in [("one zone", all_in_one_zone()), ("one machine", one_machine())] {
        let audit = Audit::of(&service, &Options::default());
        assert!(!audit.single_points.is_empty());
        for point in &audit.single_points {
            let text = point.remedy.as_ref().unwrap_or_else(|| panic!("{what}: {point:?}"));
            let change = audit.changes.iter().find(|change| &change.text == text).unwrap();
            assert!(change.removes.contains(&point.component) && change.adds.is_empty(), "{change:#?}");
            assert!(change.saves.unwrap() > 100.0, "{change:#?}");
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
    for service in [all_in_one_zone(), one_machine()] {
        let options = Options::default();
        let zone = Kind::Zone(0);
        let now = Audit::of(&service, &options);
        let found = way_out(&service, std::slice::from_ref(&zone), false, &mut Effort::default()).unwrap();
        let then = Audit::of(&found.service, &options);
        assert_eq!(then.single_points, [], "{}", found.text);
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
                way_out(&service, &pair, true, &mut Effort::default()).unwrap_or_else(|| panic!("{pair:?}"));
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
    assert_eq!((balancers.text.as_str(), balancers.hosts), ("one more host for front in zone c", 1));
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

#[test]
fn half_of_a_switch_is_no_way_out_if_it_is_as_fatal() {
    // Both load balancers in one zone, and two hosts of the database in the other: each half of the switch is fatal.
    let audit = audit(|shop| {
        shop.hosts[1].zone = 0;
        shop.hosts[7].zone = 1;
        shop.shared.push(shared(&[0, 1, 6, 7]));
    });
    let halves = |change: &&Change| change.text == "a switch of its own for each zone in place of sw1";
    for change in audit.changes.iter().filter(halves) {
        assert!(!change.removes.contains(&"shared sw1".to_owned()), "{change:#?}");
    }
    let point = audit.single_points.iter().find(|point| point.component == "shared sw1").unwrap();
    assert!(point.remedy.as_ref().is_some_and(|text| text.contains(';')), "{point:#?}");
}
