//! Components by their names, and what is known of them, on a shop in three zones.

use super::*;
use crate::bounds::Interval;
use crate::service::tests::shop;

fn named(name: &str) -> Subject {
    Subject::named(&shop(), name).unwrap()
}

fn what_if(service: &Service, subject: &Subject) -> WhatIf {
    let options = Options::default();
    WhatIf::of(service, &options, &Audit::of(service, &options), subject)
}

fn begun(service: &Service, options: &Options, subject: &Subject, years: u64) -> Begun {
    let model = Model::of(service, &options.assumptions, Case::Likely);
    let simulation = Simulation::new(model.plant());
    let blocks: Vec<Block> = (0..years).map(|number| year(&simulation, 7, number)).collect();
    Begun::of(service, &model, subject, &blocks, 7)
}

#[test]
fn a_component_is_found_as_people_call_it() {
    assert_eq!(named("db1"), Subject::Host(5));
    assert_eq!(named("host  db1"), Subject::Host(5));
    assert_eq!(named("zone a"), Subject::Zone(0));
    assert_eq!(named("a"), Subject::Zone(0));
    assert_eq!(named("front"), Subject::Entry(0));
    assert_eq!(named("web"), Subject::Pool(0));
    assert_eq!(named("main"), Subject::Database(0));
    assert_eq!(named("coordination"), Subject::Coordination);
    let mut service = shop();
    service.zones[0].name = "db1".into();
    let several = Subject::named(&service, "db1").unwrap_err();
    assert_eq!(several, Unknown::Several(vec!["host db1".into(), "zone db1".into()]));
    assert_eq!(Subject::named(&service, "zone db1"), Ok(Subject::Zone(0)));
    let Err(Unknown::Nothing(names)) = Subject::named(&service, "db9") else { panic!("it is there") };
    assert!(names.contains(&"db1".to_owned()) && names.contains(&"coordination".to_owned()));
}

#[test]
fn the_primarys_host_costs_a_takeover_and_is_fatal_with_another_of_its_kind() {
    let db1 = what_if(&shop(), &named("db1"));
    assert!(db1.lost.is_empty() && !db1.fatal && !db1.person, "{db1:?}");
    let silent = &db1.ways[0];
    assert_eq!((silent.loss, silent.at_most_seconds.map(|of| (of * 1e3).round())), ("gap", Some(3825.0)));
    assert!(db1.fatal_with.contains(&"host db2".to_owned()) && db1.fatal_with.contains(&"zone b".to_owned()));
    // Standing in zone a, it is lost with it anyway: then zone a needs no second one but b or c.
    assert!(!db1.fatal_with.contains(&"zone a".to_owned()), "{:?}", db1.fatal_with);
    let account = db1.account.unwrap();
    assert_eq!(account.failovers.len(), 1);
    assert!(account.failovers[0].missed > account.failovers[0].failing_over);
    let given = db1.given.unwrap();
    assert_eq!(given.hours, 4.0);
    // 95 % of takeovers in 3.8 s, the others by hand in half an hour.
    assert!((given.taking_over - (0.95 * 3.825 / 60.0 + 0.05 * 30.0)).abs() < 1e-6);
    assert!(given.down > 0.001 && given.down < 0.02, "{given:?}");
    let names: Vec<&str> = db1.consequences.iter().map(|row| row.component.name.as_str()).collect();
    assert_eq!(names, ["db1", "main on db1", "main on db1", "db1:2379"]);
}

#[test]
fn what_is_fatal_alone_says_so_and_what_would_help() {
    let mut service = shop();
    service.entries[0].hosts.truncate(1);
    service.entries[0].addresses[0].hosts.truncate(1);
    let lb1 = what_if(&service, &Subject::Host(0));
    assert!(lb1.fatal && lb1.person && lb1.fatal_with.is_empty());
    assert_eq!(lb1.ways[0].loss, "until-repaired");
    assert!(
        lb1.changes.iter().any(|change| change.removes.contains(&"host lb1".to_owned())),
        "{:?}",
        lb1.changes
    );
    assert_eq!(lb1.given.unwrap().down, 1.0);
    // The database's hosts have in common what those of coordination have.
    assert!(what_if(&shop(), &named("main")).failures_per_year.is_some());
    let front = what_if(&shop(), &named("front"));
    assert!(front.fatal && front.lost == ["front http-80 to web"]);
}

/// One host and nothing else that fails: whatever is down was begun by it, as often as it fails and for as long.
#[test]
fn what_a_component_began_agrees_with_how_often_it_fails() {
    let mut service = shop();
    (service.databases, service.quorum) = (Vec::new(), None);
    service.entries[0].hosts.truncate(1);
    service.entries[0].addresses[0].hosts.truncate(1);
    let mut options = Options::default();
    let never = Interval::exactly(0.0);
    options.assumptions.change.per_year.value = never;
    options.assumptions.zone.per_year.value = never;
    options.assumptions.common_cause.value = never;
    let years = 4_000;
    let lb1 = begun(&service, &options, &Subject::Host(0), years);
    let per_year = options.assumptions.host.per_year.value.likely;
    // Three deviations of a mean of so many years.
    let error = 3.0 * (per_year / years as f64).sqrt();
    assert!((lb1.outages_per_year - per_year).abs() < error, "{lb1:?}");
    assert!(lb1.share_of_downtime > 0.99, "{lb1:?}");
    assert!((lb1.years_with[0] - (-per_year).exp()).abs() < 0.03, "{lb1:?}");
    assert!((lb1.years_with.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(lb1.median < lb1.worst_of_10 && lb1.worst_of_10 < lb1.worst_of_100);
    let app1 = begun(&service, &options, &Subject::Host(2), years);
    assert!(app1.outages_per_year < 0.01, "{app1:?}");
    assert_eq!(lb1, begun(&service, &options, &Subject::Host(0), years), "the same seed, the same years");
}

#[test]
fn of_a_group_only_those_outages_count_in_which_it_is_lost() {
    let options = Options::default();
    let [main, coordination, front] =
        ["main", "coordination", "front"].map(|name| begun(&shop(), &options, &named(name), 2_000));
    // Both are on the same hosts, and only one of them fails over.
    assert!(main.outages_per_year > 1.0 && coordination.outages_per_year < 0.2, "{main:?} {coordination:?}");
    assert!(main.minutes_per_year > coordination.minutes_per_year + 2.0, "{main:?} {coordination:?}");
    assert!(front.outages_per_year > 1.0, "{front:?}");
    // The same by the model, but for how the simulated ones fell.
    let account = |name: &str| what_if(&shop(), &named(name)).account.unwrap().own;
    for (name, begun) in [("main", &main), ("front", &front)] {
        let ratio = begun.minutes_per_year / account(name);
        assert!((0.6..1.6).contains(&ratio), "{name}: {ratio}");
    }
    assert!(account("coordination") < account("main") - 2.0);
}

#[test]
fn whatever_an_audit_lists_can_be_asked() {
    let mut service = shop();
    service.shared.push(crate::service::Shared {
        name: "sw1".into(),
        what: "switch".into(),
        hosts: vec![0, 1],
        zones: Vec::new(),
        failures: None,
    });
    service.certificates.push(("db.pem".into(), vec!["main".into()]));
    let options = Options::default();
    let audit = Audit::of(&service, &options);
    for row in &audit.components {
        let name = &row.component.name;
        let found = Subject::named(&service, name);
        let subject = found.unwrap_or_else(|unknown| panic!("{name}: {unknown:?}"));
        let of = WhatIf::of(&service, &options, &audit, &subject);
        assert_eq!(of.lost.is_empty(), row.lost.is_empty(), "{name}");
        assert!(!of.ways.is_empty(), "{name}");
    }
    let sw1 = WhatIf::of(&service, &options, &audit, &Subject::named(&service, "sw1").unwrap());
    assert!(sw1.fatal && sw1.is_place && sw1.failures_per_year.is_some(), "{sw1:?}");
    let app1 = WhatIf::of(&service, &options, &audit, &Subject::named(&service, "app1:80").unwrap());
    assert_eq!((app1.component.as_str(), app1.runs_on.as_deref()), ("member app1:80 of web", Some("app1")));
    assert!(app1.account.is_none() && !app1.is_modelled && app1.lost.is_empty(), "{app1:?}");
}

#[test]
fn a_failover_is_begun_by_the_host_that_was_active() {
    let options = Options::default();
    let [lb1, lb2] = [0, 1].map(|host| begun(&shop(), &options, &Subject::Host(host), 2_000));
    // Every failure of lb1 is a gap; those of lb2 only while it has the address.
    let per_year = options.assumptions.host.per_year.value.likely;
    assert!(lb1.outages_per_year + lb2.outages_per_year > 0.8 * per_year, "{lb1:?} {lb2:?}");
    assert!(lb1.minutes_per_year > 0.0);
}

/// Two load balancers in two datacentres, and the database's hosts in both and in a third place.
fn two_datacentres() -> Service {
    let mut service = shop();
    let mut south = service.entries[0].clone();
    (south.name, south.hosts, south.addresses[0].hosts) = ("south".into(), vec![1], vec![1]);
    service.entries.push(south);
    (service.entries[0].hosts, service.entries[0].addresses[0].hosts) = (vec![0], vec![0]);
    service.names.push(crate::service::Name {
        name: "shop.example".into(),
        entries: vec![0, 1],
        ttl: std::time::Duration::from_secs(60),
        checked: Some(std::time::Duration::from_secs(10)),
        retry: false,
    });
    service
}

#[test]
fn a_load_balancer_that_has_a_stand_in_costs_no_more_than_moving_there_and_losing_both() {
    let service = two_datacentres();
    let options = Options::default();
    let account = |name: &str| {
        let subject = Subject::named(&service, name).unwrap();
        (what_if(&service, &subject).account.unwrap().own, begun(&service, &options, &subject, 4_000))
    };
    let model = Model::of(&service, &options.assumptions, Case::Likely);
    let minutes = |kind: Kind| {
        let event = model.event(&kind).unwrap();
        model.q[event.index()] * MINUTES_PER_YEAR
    };
    let name = || "shop.example".to_owned();
    let moves = minutes(Kind::Moving(name())) + minutes(Kind::Missed(name()));
    let (first, begun_by_first) = account("front");
    // Moves, and what both have in common, and both of them at once; and not the majority that is lost with a zone and another one.
    let common = 0.01 * 0.001 * MINUTES_PER_YEAR;
    assert!((moves + common..moves + common + 2.5).contains(&first), "{first} of {moves} and {common}");
    assert!((0.7..1.4).contains(&(begun_by_first.minutes_per_year / first)), "{first}: {begun_by_first:?}");
    let (second, begun_by_second) = account("south");
    assert!(
        second < common + 2.5 && begun_by_second.minutes_per_year < 2.0 * common,
        "{second}: {begun_by_second:?}"
    );
}

#[test]
fn what_a_member_takes_along_is_on_its_account() {
    let mut service = shop();
    let pool = &mut service.pools[0];
    (pool.tries, pool.notice, pool.failures) = (1, None, None);
    // A third of the requests for a thousandth of the year.
    let wanted = 0.001 * MINUTES_PER_YEAR / 3.0;
    let app1 = what_if(&service, &named("app1"));
    let (account, given) = (app1.account.unwrap(), app1.given.unwrap());
    assert!((wanted * 0.98..wanted + 2.0).contains(&account.own), "{account:?} is not {wanted}");
    assert!(account.share > 0.1 && account.share < 0.2, "{account:?}");
    // A third of four hours.
    assert!((given.in_part - 80.0).abs() < 1.0 && given.minutes > given.in_part, "{given:?}");
    let begun = begun(&service, &Options::default(), &named("app1"), 2_000);
    assert!(
        (begun.in_part / wanted - 1.0).abs() < 0.1 && begun.minutes_per_year >= begun.in_part,
        "{begun:?}"
    );
    let pool = what_if(&service, &named("web")).account.unwrap().own;
    assert!(pool > 2.9 * wanted, "{pool}");
}
