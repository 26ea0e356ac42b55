//! Each finding with a service that has the flaw and one that has not; and what an audit says of the shop.

use super::*;
use crate::service::tests::shop;
use crate::service::{CheckKind, Host, Quorum};

fn audit(change: impl Fn(&mut Service)) -> Audit {
    let mut service = shop();
    change(&mut service);
    Audit::of(&service, &Options::default())
}

fn codes(audit: &Audit) -> Vec<&'static str> {
    audit.findings.iter().map(|finding| finding.code).collect()
}

/// The flaw is found where it is, and not in the shop.
#[track_caller]
fn flaw(code: &str, change: impl Fn(&mut Service)) -> Audit {
    assert!(!codes(&audit(|_| {})).contains(&code), "{code} is found where it is not");
    let flawed = audit(change);
    assert!(codes(&flawed).contains(&code), "{code} is not among {:?}", codes(&flawed));
    flawed
}

fn row<'a>(audit: &'a Audit, kind: ComponentKind, name: &str) -> &'a Consequence {
    audit.components.iter().find(|row| row.component.kind == kind && row.component.name == name).unwrap()
}

#[test]
fn a_shop_in_three_zones_is_good() {
    let audit = audit(|_| {});
    assert!(audit.is_good(), "{:?}", audit.findings);
    assert_eq!(codes(&audit), ["capacity-not-stated"], "{:#?}", audit.findings);
    let prediction = audit.prediction.as_ref().unwrap();
    let [worst, likely, best] = prediction.availability;
    assert!(worst < likely && likely < best);
    // Of what takes two, each would take all of it away: together more than there is.
    let share: f64 = prediction.contributions.iter().map(|of| of.share).sum();
    assert!((1.0..1.3).contains(&share), "{:#?}", prediction.contributions);
    assert_eq!(prediction.contributions[0].cause, "a change that breaks everything");
    assert_eq!(audit.pair_count, Some(audit.pairs.len() as f64));
    assert!(audit.pairs.contains(&["host lb1".into(), "host lb2".into()]));
    assert!(audit.pairs.contains(&["zone a".into(), "zone b".into()]));
    assert!(serde_json::to_value(&audit).unwrap()["prediction"]["reachable"].as_bool().unwrap());
}

#[test]
fn every_flaw_is_found_and_only_there() {
    flaw("single-point-of-failure", |shop| shop.hosts[1].zone = 0);
    flaw("objective-out-of-reach", |shop| shop.objective = Availability::from_fraction(0.99999));
    flaw("slow-failover", |shop| shop.entries[0].addresses[0].notice = std::time::Duration::from_secs(700));
    flaw("one-zone", |shop| {
        shop.zones.truncate(1);
        shop.hosts.iter_mut().for_each(|host| host.zone = 0);
    });
    flaw("depends-on-dns", |shop| shop.hosts[0].by_name = true);
    flaw("redundant-in-one-zone", |shop| shop.hosts[1].zone = 0);
    flaw("redundant-on-one-host", |shop| shop.pools[0].members.iter_mut().for_each(|member| member.host = 2));
    flaw("no-virtual-address", |shop| shop.entries[0].addresses.clear());
    flaw("address-without-backup", |shop| shop.entries[0].addresses[0].hosts.truncate(1));
    flaw("sticky-pool", |shop| shop.pools[0].sticky = Some("the cookie session".into()));
    flaw("no-retries", |shop| shop.pools[0].tries = 1);
    flaw("retries-without-budget", |shop| shop.pools[0].retry_budget = 1.0);
    flaw("nobody-notices", |shop| (shop.pools[0].check, shop.pools[0].failures) = (CheckKind::None, None));
    flaw("no-check", |shop| shop.pools[0].check = CheckKind::None);
    flaw("shallow-check", |shop| shop.pools[0].check = CheckKind::Tcp);
    flaw("too-few-members", |shop| shop.pools[0].needed = 4);
    flaw("no-capacity-after-one-host", |shop| shop.pools[0].needed = 3);
    flaw("no-capacity-after-one-zone", |shop| (shop.pools[0].needed, shop.hosts[4].zone) = (2, 1));
    flaw("database-without-standby", |shop| {
        (shop.databases[0].confirm, shop.databases[0].hosts) = (0, vec![5]);
    });
    flaw("standby-cannot-take-over", |shop| shop.databases[0].confirm = 0);
    flaw("every-host-needed", |shop| shop.databases[0].hosts.truncate(2));
    flaw("fewer-copies", |shop| shop.databases[0].strict = false);
    flaw("zone-holds-too-many", |shop| shop.hosts[7].zone = 1);
    flaw("databases-share-a-host", |shop| {
        let mut other = shop.databases[0].clone();
        other.name = "other".into();
        shop.databases.push(other);
    });
    flaw("quorum-of-one-machine", |shop| shop.quorum = Some(Quorum { members: Vec::new() }));
    let voters = |count: usize| {
        move |shop: &mut Service| shop.quorum.iter_mut().for_each(|quorum| quorum.members.truncate(count))
    };
    flaw("quorum-of-one", voters(1));
    flaw("quorum-of-two", voters(2));
    flaw("quorum-even", |shop| {
        let quorum = shop.quorum.as_mut().unwrap();
        quorum.members.push(crate::service::Voter { name: "10.9.9.9:2379".into(), host: None });
    });
    flaw("quorum-in-too-few-zones", |shop| shop.hosts[7].zone = 1);
}

#[test]
fn a_single_point_comes_with_the_change_that_removes_it() {
    let flawed = flaw("single-point-of-failure", |shop| shop.hosts[1].zone = 0);
    let point = &flawed.single_points[0];
    assert_eq!(
        (point.component.as_str(), point.lost.as_slice()),
        ("zone a", &["front http-80 to web".to_owned()][..])
    );
    assert_eq!(point.remedy.as_deref(), Some("lb2 of front in zone b instead of a"));
    assert!(!flawed.is_good());
    let change = &flawed.changes[0];
    assert_eq!((change.removes.as_slice(), change.hosts), (&["zone a".to_owned()][..], 0));
    assert!(change.saves.unwrap() > 400.0);
}

#[test]
fn a_single_point_that_is_accepted_is_good_enough() {
    let mut service = shop();
    service.objective = Availability::from_fraction(0.99);
    service.hosts[1].zone = 0;
    let mut options = Options::default();
    assert!(!Audit::of(&service, &options).is_good());
    options.acknowledged.insert("zone a".into(), "there is no second one yet".into());
    let audit = Audit::of(&service, &options);
    assert!(audit.is_good());
    assert!(!codes(&audit).contains(&"single-point-of-failure"));
}

#[test]
fn what_is_fatal_alone_is_known_even_where_nothing_else_is() {
    let mut service = shop();
    service.hosts[1].zone = 0;
    let options = Options { limits: Limits { nodes: 20, scenarios: 2 }, ..Options::default() };
    let audit = Audit::of(&service, &options);
    assert_eq!(audit.single_points.len(), 1);
    assert!(audit.prediction.is_none() && audit.pair_count.is_none() && !audit.is_good());
    assert!(codes(&audit).contains(&"too-entangled"));
}

#[test]
fn changes_say_what_they_buy() {
    let audit = audit(|shop| {
        shop.databases[0].hosts.truncate(2);
        shop.pools[0].members.truncate(1);
        shop.entries[0].hosts.truncate(1);
        shop.entries[0].addresses[0].hosts.truncate(1);
    });
    let texts: Vec<&str> = audit.changes.iter().map(|change| change.text.as_str()).collect();
    for wanted in [
        "a second host for front in zone c",
        "a standby of main in zone c, 1 confirming",
        "one more member of web in zone c",
        "changes go to a part first, so that nine of ten that break something break little",
    ] {
        assert!(texts.contains(&wanted), "{wanted}: {texts:#?}");
    }
    let alone = self::audit(|shop| shop.quorum.iter_mut().for_each(|quorum| quorum.members.truncate(1)));
    assert_eq!(alone.changes[0].text, "three coordination members in three zones");
    assert_eq!((alone.changes[0].removes.len(), alone.changes[0].hosts), (2, 2));
    assert!(audit.changes.is_sorted_by(|a, b| a.saves >= b.saves));
    assert!(audit.changes.iter().all(|change| change.saves.unwrap() > 0.0));
}

#[test]
fn what_each_component_means() {
    let audit = audit(|_| {});
    let lb1 = row(&audit, ComponentKind::Host, "lb1");
    assert!(lb1.lost.is_empty() && !lb1.person);
    assert_eq!(lb1.takes_over, ["front: lb2 takes 10.0.1.100"]);
    assert!((lb1.gap - 0.346).abs() < 1e-9);
    let zone = row(&audit, ComponentKind::Zone, "a");
    assert!(zone.takes_over.contains(&"main: db2 takes the primary".to_owned()), "{zone:?}");
    assert!(zone.takes_over.contains(&"coordination: 2 of 3 left".to_owned()));
    // Lease, clocks, heartbeat, promotion.
    assert!((zone.gap - (1.575 + 0.25 + 2.0)).abs() < 1e-9);
    assert_eq!(row(&audit, ComponentKind::Host, "lb2").impact, ["nothing"]);
    let app = row(&audit, ComponentKind::Member, "app1:80 of web");
    assert_eq!(app.noticed, ["web: by traffic after 3 failures in a row, by checks within 2.3 s"]);
    assert_eq!(row(&audit, ComponentKind::Instance, "main on db1").takes_over, ["db2 becomes the primary"]);
    assert_eq!(row(&audit, ComponentKind::Coordination, "db1:2379").takes_over, ["2 of 3 left"]);
    assert!(row(&audit, ComponentKind::Shared, "the system file and the program").person);
    assert_eq!(row(&audit, ComponentKind::LoadBalancer, "front on lb1").takes_over, ["lb2 takes 10.0.1.100"]);
}

/// A thousand hosts in twenty zones, in five pools and behind two load balancers.
pub(crate) fn thousand() -> Service {
    let mut service = shop();
    service.zones = (0..20).map(|at| crate::service::Zone { name: format!("z{at}"), region: None }).collect();
    service.hosts.iter_mut().enumerate().for_each(|(at, host)| host.zone = at % 20);
    let web = service.pools[0].clone();
    service.pools.clear();
    service.entries[0].serves.clear();
    for pool in 0..5 {
        let first = service.hosts.len();
        service.hosts.extend((0..198).map(|at| Host {
            name: format!("app{pool}-{at}"),
            zone: at % 20,
            by_name: false,
        }));
        let member = |host: usize| crate::service::Member { name: format!("m{host}"), host, backup: false };
        service.pools.push(crate::service::Pool {
            name: format!("web{pool}"),
            members: (first..first + 198).map(member).collect(),
            needed: 170,
            stated: true,
            ..web.clone()
        });
        service.entries[0].serves.push(("http-80".into(), pool));
    }
    service
}

#[test]
fn a_thousand_hosts_are_audited() {
    let audit = Audit::of(&thousand(), &Options::default());
    let prediction = audit.prediction.unwrap();
    assert!((1.0..1000.0).contains(&prediction.minutes_per_year.likely), "{prediction:?}");
    assert_eq!(audit.single_points.len(), 0);
    // Zone, host, member.
    assert_eq!(audit.components.len(), 20 + 998 + 990 + 2 + 3 + 3 + 1);
}
