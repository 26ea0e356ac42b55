//! Weights and backups, shared things, names with several answers, maintenance: against brute force and simulated years.

use super::*;
use crate::service::{Maintenance, Member, Name, Shared};

/// The shop without its database: load balancers on hosts 0 and 1, members on 2, 3 and 4.
fn front_only() -> Service {
    let mut service = shop();
    service.hosts.truncate(5);
    (service.databases, service.quorum) = (Vec::new(), None);
    service
}

fn lost(service: &Service, kinds: &[Kind]) -> Vec<String> {
    let model = Model::of(service, &Assumptions::default(), Case::Likely);
    let events: Vec<EventId> = kinds.iter().map(|kind| model.event(kind).unwrap()).collect();
    model.lost(&events).into_iter().map(|function| function.name.clone()).collect()
}

fn shared(hosts: Vec<usize>) -> Shared {
    Shared { name: "sw1".into(), what: "switch".into(), hosts, zones: Vec::new(), failures: None }
}

/// A second datacentre's load balancer, on two hosts in zone c, and a name that leads to both.
fn named(ttl: u64, checked: Option<u64>, retry: bool) -> Service {
    let mut service = front_only();
    let mut south = service.entries[0].clone();
    for name in ["lb3", "lb4"] {
        service.hosts.push(Host { name: name.into(), zone: 2, ..Host::default() });
    }
    (south.name, south.hosts) = ("south".into(), vec![5, 6]);
    south.addresses[0].hosts = vec![5, 6];
    service.entries.push(south);
    // Both hosts of the first are in one zone, so that its failures are seen.
    service.hosts[1].zone = 0;
    service.names.push(Name {
        name: "shop.example".into(),
        entries: vec![0, 1],
        ttl: Duration::from_secs(ttl),
        checked: checked.map(Duration::from_secs),
        retry,
    });
    service
}

/// The exact figure, and that of so many simulated years with what chance allows: four times the error, and so much besides.
#[track_caller]
fn years_agree(service: &Service, years: u32, besides: f64) {
    let model = Model::of(service, &Assumptions::default(), Case::Likely);
    let analysis = model.analyse(Limits::default()).unwrap();
    let exact = model.unavailability(&analysis).likely * MINUTES_PER_YEAR;
    let got = Answer::of(Simulation::new(model.plant()).run(5, years), Availability::from_fraction(0.999));
    let error = (got.mean.high - got.mean.likely) / 1.96;
    assert!((got.mean.likely - exact).abs() < 4.0 * error + besides * exact, "{:?} is not {exact}", got.mean);
}

proptest! {
    #[test]
    fn a_pool_with_weights_and_backups_is_down_when_what_is_left_does_not_carry_the_load(
        members in prop::collection::vec((1usize..5, 0usize..5, any::<bool>()), 1..7), needed in 1usize..9,
    ) {
        let mut service = front_only();
        let pool = &mut service.pools[0];
        (pool.needed, pool.by_weight, pool.stated) = (needed, true, true);
        let member = |(at, &(weight, host, backup)): (usize, &(usize, usize, bool))| Member {
            weight,
            backup: backup && at > 0,
            ..Member::new(format!("m{at}"), host + 5)
        };
        pool.members = members.iter().enumerate().map(member).collect();
        service.hosts.extend((0..5).map(|at| Host { name: format!("app{at}"), zone: 2, ..Host::default() }));
        let pool = &service.pools[0];
        let model = Model::of(&service, &Assumptions::default(), Case::Likely);
        for gone in 0..1usize << 5 {
            let is_left = |member: &&Member| gone >> (member.host - 5) & 1 == 0;
            let (backups, others): (Vec<&Member>, Vec<&Member>) =
                pool.members.iter().filter(is_left).partition(|member| member.backup);
            // Backups get something only if nobody else is left.
            let serve = if others.is_empty() { &backups } else { &others };
            let carries = serve.iter().map(|member| member.weight).sum::<usize>() >= needed;
            let events: Vec<EventId> = (0..5)
                .filter(|at| gone >> at & 1 == 1)
                .map(|at| model.event(&Kind::Host(5 + at)).unwrap())
                .collect();
            let up = model.lost(&events).is_empty();
            prop_assert_eq!(up, pool.serves(|member| is_left(&member)));
            // Where one member alone would not do, backups are left out: never better than it is.
            prop_assert!(!up || carries, "{gone:b}");
            prop_assert!(up || !carries || !pool.backups_stand_in(), "{gone:b}");
        }
    }

    #[test]
    fn a_shared_thing_takes_what_all_of_its_hosts_would(
        hosts in prop::collection::btree_set(0usize..8, 1..5), zone in prop::option::of(0usize..3), confirm in 1usize..3,
    ) {
        let mut service = shop();
        service.databases[0].confirm = confirm;
        service.shared.push(Shared {
            zones: zone.into_iter().collect(),
            ..shared(hosts.into_iter().collect())
        });
        let under = (0..8).filter(|&host| service.is_under(&service.shared[0], host));
        let under: Vec<Kind> = under.map(Kind::Host).collect();
        prop_assert_eq!(lost(&service, &[Kind::Shared(0)]), lost(&service, &under));
        let without = Service { shared: Vec::new(), ..service.clone() };
        prop_assert!(minutes(&service) >= minutes(&without) - 1e-9);
    }

    #[test]
    fn a_name_is_lost_when_each_of_its_load_balancers_is(
        gone in prop::collection::btree_set(0usize..7, 0..5), zone in prop::option::of(0usize..3), retry: bool,
    ) {
        let service = named(60, Some(10), retry);
        let kinds: Vec<Kind> = gone.into_iter().map(Kind::Host).chain(zone.map(Kind::Zone)).collect();
        let each = lost(&Service { names: Vec::new(), ..service.clone() }, &kinds);
        prop_assert_eq!(lost(&service, &kinds).len(), usize::from(each.len() == 2));
        // Answers that never change need each of them.
        let fixed = lost(&named(60, None, false), &kinds);
        prop_assert_eq!(fixed.len(), usize::from(!each.is_empty()));
    }

    #[test]
    fn another_datacentre_behind_a_name_is_never_worse(ttl in 0u64..600, notice in 0u64..60, retry: bool) {
        let both = named(ttl, Some(notice), retry);
        let mut one = both.clone();
        one.names[0].entries.truncate(1);
        prop_assert!(minutes(&both) <= minutes(&one) + 1e-9);
        let mut longer = both.clone();
        longer.names[0].ttl += Duration::from_secs(60);
        prop_assert!(minutes(&longer) >= minutes(&both) - 1e-9);
    }

    #[test]
    fn maintenance_never_helps_and_a_third_host_makes_it_cheaper(
        every in 24u64..2000, takes in 1u64..300, of in prop::collection::vec(any::<bool>(), 8),
    ) {
        let mut service = shop();
        let planned = Maintenance {
            every: Duration::from_secs(every * 3600),
            takes: Duration::from_secs(takes * 60),
        };
        for (host, of) in service.hosts.iter_mut().zip(of) {
            host.maintenance = of.then_some(planned);
        }
        let none = shop();
        prop_assert!(minutes(&service) >= minutes(&none) - 1e-9);
        let third = |service: &Service| {
            let mut service = service.clone();
            service.hosts.push(Host { name: "new".into(), zone: 2, ..Host::default() });
            service.entries[0].hosts.push(8);
            service.entries[0].addresses[0].hosts.push(8);
            service
        };
        prop_assert!(minutes(&third(&service)) <= minutes(&service) + 1e-9);
    }
}

#[test]
fn both_load_balancers_on_one_switch_are_one_thing() {
    let mut service = shop();
    service.shared.push(shared(vec![0, 1]));
    assert_eq!(single_points(&service), [Kind::Shared(0)]);
    // 99.99 % is 52.6 minutes a year.
    assert!((minutes(&service) - minutes(&shop()) - 52.5).abs() < 1.0);
    service.shared[0].hosts.truncate(1);
    assert_eq!(single_points(&service), []);
}

#[test]
fn a_power_line_with_more_hosts_of_a_database_than_confirm_stops_the_takeover() {
    let mut service = shop();
    service.databases[0].strict = false;
    service.quorum = None;
    service.shared.push(shared(vec![5, 6]));
    assert_eq!(single_points(&service), [Kind::Shared(0)]);
    service.shared[0].hosts.truncate(1);
    assert_eq!(single_points(&service), []);
}

#[test]
fn a_host_may_fail_as_often_as_it_says() {
    let mut service = shop();
    service.databases[0].hosts.truncate(1);
    service.databases[0].confirm = 0;
    let before = minutes(&service);
    let text = "name = \"t\"\nhosts = { a = { address = \"10.0.0.1\", failures = { availability = \"99 %\", repair = \"1d\" } } }\n";
    let system = nines_system::parse("t", text).unwrap();
    service.hosts[5].failures.clone_from(&system.hosts[0].failures);
    // A hundredth of the year, in place of a thousandth; and a little more of what it has in common with others.
    let more = minutes(&service) - before;
    assert!((more / (0.009 * MINUTES_PER_YEAR) - 1.0).abs() < 0.01, "{more}");
}

#[test]
fn simulated_years_move_clients_between_datacentres_as_the_diagram_says() {
    for service in [named(300, Some(30), false), named(3600, Some(60), false), named(60, None, true)] {
        years_agree(&service, 20_000, 0.01);
    }
    // The move is what costs: an hour and a minute each time that the zone of the first fails, or both of its hosts do.
    let moved = minutes(&named(3600, Some(60), false)) - minutes(&named(0, Some(0), false));
    let model = Model::of(&named(3600, Some(60), false), &Assumptions::default(), Case::Likely);
    let often = model.frequency_of(&Kind::Moving("shop.example".into())) * HOURS_PER_YEAR;
    assert!((1.3..2.0).contains(&often), "{often}");
    assert!((moved / (often * 61.0) - 1.0).abs() < 0.02, "{moved} {often}");
}

#[test]
fn simulated_years_have_the_maintenance_that_the_diagram_has() {
    let planned = |every: u64, takes: u64| {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Some(Maintenance { every: hours(every), takes: hours(takes) })
    };
    // Rarely and long, and often and short; and everybody, or the database's hosts alone.
    for (every, takes, first) in [(720, 12, 0), (100, 1, 0), (200, 8, 5)] {
        let mut service = shop();
        for host in &mut service.hosts[first..] {
            host.maintenance = planned(every, takes);
        }
        years_agree(&service, 20_000, 0.02);
    }
    // Where there is nobody else, it is downtime: 24 hours a month and more.
    let mut alone = shop();
    alone.entries[0].addresses.clear();
    alone.entries[0].hosts.truncate(1);
    alone.hosts[0].maintenance = planned(720, 24);
    years_agree(&alone, 2000, 0.01);
    let without = {
        let mut service = alone.clone();
        service.hosts[0].maintenance = None;
        service
    };
    let more = minutes(&alone) - minutes(&without);
    assert!((more / (24.0 / 744.0 * MINUTES_PER_YEAR) - 1.0).abs() < 0.01, "{more}");
}

#[test]
fn hosts_of_a_pair_are_never_in_maintenance_at_one_time() {
    let mut service = front_only();
    for host in &mut service.hosts[..2] {
        host.maintenance = Some(Maintenance {
            every: Duration::from_secs(20 * 3600),
            takes: Duration::from_secs(10 * 3600),
        });
    }
    let model = Model::of(&service, &Assumptions::default(), Case::Likely);
    let mut plant = model.plant();
    // Nothing fails by itself: if ever both were away, that would be seen.
    plant.behaviours.iter_mut().for_each(|behaviour| behaviour.life = None);
    let blocks = Simulation::new(plant).run(3, 100);
    assert!(blocks.iter().all(|block| block.outages == 0 && block.put_off > 0));
}

/// So many members in so many zones, of weights from 1 to 100, of which three fifths carry the load.
fn weighted(members: usize, zones: usize) -> Service {
    let mut service = front_only();
    service.zones = (0..zones).map(|at| Zone { name: format!("z{at}"), region: None }).collect();
    service.hosts[4].zone = 0;
    let mut random = crate::random::Random::seeded(7);
    let weights: Vec<usize> = (0..members).map(|_| 1 + (random.unit() * 100.0) as usize).collect();
    let pool = &mut service.pools[0];
    (pool.needed, pool.by_weight) = (weights.iter().sum::<usize>() * 6 / 10, true);
    let member = |(at, &weight)| Member { weight, ..Member::new(format!("m{at}"), at + 5) };
    pool.members = weights.iter().enumerate().map(member).collect();
    let host = |at| Host { name: format!("app{at}"), zone: at % zones, ..Host::default() };
    service.hosts.extend((0..members).map(host));
    service
}

#[test]
fn pools_of_many_weights_have_an_exact_prediction_and_of_very_many_one_between_bounds() {
    for (members, zones, exact) in [(60, 4, true), (300, 5, false)] {
        let service = weighted(members, zones);
        let model = Model::of(&service, &Assumptions::default(), Case::Likely);
        let analysis = model.analyse(Limits::default()).unwrap();
        assert_eq!(analysis.is_exact(), exact, "{members}");
        let down = model.unavailability(&analysis).map(|share| share * MINUTES_PER_YEAR);
        assert!(down.low <= down.likely && down.likely <= down.high, "{down:?}");
        assert!(exact == (down.low == down.high), "{down:?}");
        // What is really so, and not only nearly.
        let got =
            Answer::of(Simulation::new(model.plant()).run(5, 1_000), Availability::from_fraction(0.999));
        assert!(
            got.mean.low < down.likely * 1.2 && down.likely < got.mean.high * 1.2,
            "{:?} {down:?}",
            got.mean
        );
    }
}
