//! Simulated years against the exact arithmetic where systems are not as even as the shop: hosts that fail more often than others, work
//! that is taken back or kept, requests that are lost in part; and systems drawn at random.

use super::*;
use crate::service::{Maintenance, Member};

/// Minutes a year: the exact figure, and what simulated years had.
fn both(service: &Service, years: u32) -> (f64, Answer) {
    let model = Model::of(service, &Assumptions::default(), Case::Likely);
    let exact = model.unavailability(&model.analyse(Limits::default()).unwrap()).likely * MINUTES_PER_YEAR;
    let blocks = Simulation::new(model.plant()).run(5, years);
    (exact, Answer::of(blocks, Availability::from_fraction(0.999)))
}

/// Within what chance allows, four times the error, and so much besides.
fn agree((exact, got): &(f64, Answer), besides: f64) -> bool {
    let error = (got.mean.high - got.mean.likely) / 1.96;
    (got.mean.likely - exact).abs() < 4.0 * error + besides * exact
}

/// The shop's first hosts, of which `bad` fail for a day each twenty days.
fn uneven(preempt: bool, bad: &[usize]) -> Service {
    let mut service = shop();
    service.entries[0].addresses[0].preempt = preempt;
    // So that failovers are what costs.
    service.entries[0].addresses[0].second = Duration::from_secs(120);
    for &host in bad {
        service.hosts[host].failures = failing(1);
    }
    service
}

#[test]
fn an_address_is_taken_back_and_a_primary_stays_where_it_is() {
    for preempt in [true, false] {
        for bad in [0, 1, 5, 6, 7] {
            let got = both(&uneven(preempt, &[bad]), 6_000);
            assert!(agree(&got, 0.02), "{preempt} {bad}: {:?} is not {}", got.1.mean, got.0);
        }
    }
    // Of a bad host that is preferred every failure is one of the service; of one that stands by, none is.
    let figure = |preempt, bad: usize| minutes(&uneven(preempt, &[bad]));
    assert!(figure(true, 0) > figure(true, 1) + 20.0);
    // Where nobody takes anything back, it is by turns, and doesn't matter which of them is the bad one.
    assert!((figure(false, 0) - figure(false, 1)).abs() < 0.01 * figure(false, 0));
    assert!(figure(false, 0) < figure(true, 0));
    assert!((figure(true, 5) - figure(true, 6)).abs() < 0.01 * figure(true, 5));
}

#[test]
fn whose_failures_begin_outages_is_seen_in_the_years() {
    let begun = |service: &Service, host: usize| {
        let model = Model::of(service, &Assumptions::default(), Case::Likely);
        let event = model.event(&Kind::Host(host)).unwrap();
        let blocks = Simulation::new(model.plant()).run(6, 2_000);
        blocks.iter().filter_map(|block| block.begun_by.get(&event)).map(|of| of.0).sum::<u64>() as f64 / 2e3
    };
    let per_year = Assumptions::default().host.per_year.value.likely;
    let back = uneven(true, &[]);
    assert!((begun(&back, 0) / per_year - 1.0).abs() < 0.05, "every failure of who is preferred");
    assert!(begun(&back, 1) < 0.05 * per_year, "who stands by hardly ever has the address");
    let kept = uneven(false, &[]);
    for host in [0, 1, 5, 6] {
        assert!((begun(&kept, host) / per_year - 0.5).abs() < 0.07, "{host}: {}", begun(&kept, host));
    }
}

#[test]
fn requests_that_members_take_along_are_in_the_years_as_well() {
    let lossy = |notice: Option<u64>, change: &dyn Fn(&mut Service)| {
        let mut service = shop();
        let pool = &mut service.pools[0];
        (pool.tries, pool.failures, pool.notice) = (1, None, notice.map(Duration::from_secs));
        change(&mut service);
        service
    };
    let weights = |service: &mut Service| service.pools[0].members[1].weight = 4;
    let maintained = |service: &mut Service| {
        let planned = Maintenance { every: Duration::from_hours(200), takes: Duration::from_hours(4) };
        service.hosts.iter_mut().for_each(|host| host.maintenance = Some(planned));
    };
    let changes: [&dyn Fn(&mut Service); 3] = [&|_| {}, &weights, &maintained];
    for change in changes {
        for notice in [None, Some(600), Some(3 * 3600)] {
            let service = lossy(notice, change);
            let got = both(&service, 10_000);
            assert!(agree(&got, 0.03), "{notice:?}: {:?} is not {}", got.1.mean, got.0);
            assert!(got.1.in_part > 0.0 && got.1.in_part < got.1.mean.likely);
            let causes: f64 = got.1.causes.iter().map(|cause| cause.minutes_per_year).sum();
            assert!((causes / got.1.mean.likely - 1.0).abs() < 1e-9, "all of it has a cause");
        }
    }
    // Nobody is sent to a member that is away on purpose.
    let model = Model::of(&lossy(None, &maintained), &Assumptions::default(), Case::Likely);
    let mut plant = model.plant();
    plant.behaviours.iter_mut().for_each(|behaviour| behaviour.life = None);
    let got = Answer::of(Simulation::new(plant).run(3, 100), Availability::from_fraction(0.999));
    assert_eq!((got.mean.likely, got.in_part), (0.0, 0.0));
}

/// One to three of each: load balancers, members, a database's hosts; in three zones, and some fail often.
fn any_service() -> impl Strategy<Value = Service> {
    let hosts = |most: usize| prop::collection::vec((0usize..3, 0usize..3), 1..=most);
    let all = (hosts(2), hosts(3), hosts(3));
    let rules = (any::<bool>(), 1usize..3, 1u32..3, prop::option::of(1u64..600), any::<bool>(), 0usize..2);
    (all, rules, any::<bool>()).prop_map(|((balancers, members, databases), rules, maintained)| {
        let (preempt, needed, tries, notice, strict, confirm) = rules;
        let mut service = shop();
        service.hosts.clear();
        let mut add = |of: &[(usize, usize)], name: &str| -> Vec<usize> {
            let host = |(at, &(zone, rate)): (usize, &(usize, usize))| Host {
                name: format!("{name}{at}"),
                zone,
                failures: failing(rate),
                ..Host::default()
            };
            let first = service.hosts.len();
            service.hosts.extend(of.iter().enumerate().map(host));
            (first..service.hosts.len()).collect()
        };
        let (balancers, apps, databases) =
            (add(&balancers, "lb"), add(&members, "app"), add(&databases, "db"));
        let entry = &mut service.entries[0];
        (entry.hosts, entry.addresses[0].hosts) = (balancers.clone(), balancers);
        (entry.addresses[0].preempt, entry.addresses[0].second) = (preempt, Duration::from_secs(30));
        let pool = &mut service.pools[0];
        (pool.needed, pool.tries, pool.failures) = (needed.min(apps.len()), tries, None);
        pool.notice = notice.map(Duration::from_secs);
        pool.members = apps.iter().map(|&host| Member::new(format!("h{host}:80"), host)).collect();
        let database = &mut service.databases[0];
        (database.confirm, database.strict) = (confirm.min(databases.len() - 1), strict);
        let voters = databases.iter().map(|&host| Voter::new(format!("h{host}"), Some(host)));
        service.quorum = Some(Quorum { members: voters.collect() });
        database.hosts = databases;
        if maintained {
            let planned = Maintenance { every: Duration::from_hours(500), takes: Duration::from_hours(2) };
            service.hosts.iter_mut().for_each(|host| host.maintenance = Some(planned));
        }
        service
    })
}

proptest! {
    // The seed is fixed, so that chance decides once and for all.
    #![proptest_config(ProptestConfig { cases: 40, rng_seed: proptest::test_runner::RngSeed::Fixed(17), ..Default::default() })]

    #[test]
    fn years_of_systems_drawn_at_random_agree_with_their_diagrams(service in any_service()) {
        let got = both(&service, 2_000);
        prop_assert!(agree(&got, 0.03), "{:?} is not {}", got.1.mean, got.0);
    }
}
