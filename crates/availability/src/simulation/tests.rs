//! Simulated years against the exact arithmetic, within what chance allows; and what only a simulation has.

use proptest::prelude::*;

use super::*;
use crate::markov::{Pair, redundant};
use crate::nines::{Availability, MINUTES_PER_YEAR};
use crate::structure::Limits;

fn unit(mean_life: f64, repair: f64) -> Behaviour {
    Behaviour {
        life: Some(Hours::Exponential { mean: mean_life }),
        repair: Hours::Exponential { mean: repair },
        crew: None,
    }
}

fn maintenance(event: EventId, every: f64, takes: f64) -> Maintenance {
    Maintenance {
        event,
        every: Hours::Fixed(every),
        takes: Hours::Fixed(takes),
        waits_for: Vec::new(),
        even_if_down: false,
    }
}

fn plain(tree: Tree, top: NodeId, behaviours: Vec<Behaviour>) -> Plant {
    Plant {
        tree,
        top,
        behaviours,
        failovers: Vec::new(),
        sharing: Vec::new(),
        crews: Vec::new(),
        maintenance: Vec::new(),
    }
}

fn answer(plant: &Plant, seed: u64, years: u32) -> Answer {
    let blocks = Simulation::new(plant.clone()).run(seed, years);
    Answer::of(blocks, Availability::from_fraction(0.9999))
}

/// Within five times the standard error: by chance, once in two million.
fn agrees(answer: &Answer, minutes: f64) -> bool {
    let error = (answer.mean.high - answer.mean.likely) / 1.96;
    (answer.mean.likely - minutes).abs() <= 5.0 * error + 1e-9 * minutes
}

/// A pair with one that serves, as in the reference, but with several figures.
fn pair(of: Pair) -> Plant {
    let mut tree = Tree::new();
    let hosts = [tree.event(), tree.event()];
    let (failing_over, missed) = (tree.event(), tree.event());
    let both = tree.all(hosts);
    let top = tree.any([both, failing_over, missed]);
    let host = Behaviour { crew: Some(0), ..unit(1.0 / of.failures, 1.0 / of.repairs) };
    Plant {
        top,
        behaviours: vec![host, host, Behaviour::NEVER, Behaviour::NEVER],
        failovers: vec![Failover {
            members: hosts.to_vec(),
            failing_over: tree.event_of(failing_over).unwrap(),
            takes: Hours::Exponential { mean: of.failover },
            missed: tree.event_of(missed).unwrap(),
            by_hand: Hours::Exponential { mean: of.by_hand },
            coverage: of.coverage,
            returns: of.returns,
            prefers_first: false,
        }],
        sharing: Vec::new(),
        crews: vec![of.crews],
        maintenance: Vec::new(),
        tree,
    }
}

const REFERENCE: Pair = Pair {
    failures: 1.0 / 4380.0,
    repairs: 0.25,
    crews: 1,
    failover: 10.0 / 3600.0,
    coverage: 0.9,
    by_hand: 0.5,
    returns: false,
};

#[test]
fn the_pair_of_the_reference_is_as_its_chain_says() {
    for (coverage, minutes) in [(1.0, 1.2078), (0.95, 4.1857), (0.90, 7.1635)] {
        let got = answer(&pair(Pair { coverage, ..REFERENCE }), 1, 40_000);
        assert!(agrees(&got, minutes), "{coverage}: {:?} is not {minutes}", got.mean);
    }
}

#[test]
fn a_missed_failover_is_over_when_the_host_that_was_lost_is_back() {
    // A person comes after half a day, and the host is back after an hour.
    let of = Pair { coverage: 0.5, repairs: 1.0, by_hand: 12.0, crews: 2, ..REFERENCE };
    for returns in [false, true] {
        let of = Pair { returns, ..of };
        let wanted = of.availability().unwrap().minutes_per_year();
        let got = answer(&pair(of), 7, 20_000);
        // The one that waits may fail meanwhile, which the chain does not know.
        assert!(
            agrees(&got, wanted) || (got.mean.likely / wanted - 1.0).abs() < 0.02,
            "{:?} is not {wanted}",
            got.mean
        );
    }
}

#[test]
fn missed_failovers_are_named_as_what_cost_most() {
    let plant = pair(REFERENCE);
    let got = answer(&plant, 1, 10_000);
    assert_eq!(got.causes[0].events, [plant.failovers[0].missed]);
    let share = got.causes[0].minutes_per_year / got.mean.likely;
    assert!((0.75..0.9).contains(&share), "{share}");
    let sum: f64 = got.causes.iter().map(|cause| cause.minutes_per_year).sum();
    assert!((sum / got.mean.likely - 1.0).abs() < 1e-9);
}

#[test]
fn a_crew_that_is_busy_lets_others_wait() {
    for crews in [1, 2, 4] {
        let mut tree = Tree::new();
        let hosts: [NodeId; 4] = std::array::from_fn(|_| tree.event());
        let top = tree.redundant(3, hosts);
        let host = Behaviour { crew: Some(0), ..unit(1000.0, 10.0) };
        let plant = Plant { crews: vec![crews], ..plain(tree, top, vec![host; 4]) };
        let wanted = redundant(4, 3, 0.001, 0.1, crews).unwrap().minutes_per_year();
        let got = answer(&plant, 2, 20_000);
        assert!(agrees(&got, wanted), "{crews}: {:?} is not {wanted}", got.mean);
    }
}

#[test]
fn only_the_means_of_independent_repairs_count_for_the_mean() {
    let mut tree = Tree::new();
    let hosts: [NodeId; 3] = std::array::from_fn(|_| tree.event());
    let top = tree.at_least(2, hosts);
    let host = |repair| Behaviour { repair, ..unit(500.0, 1.0) };
    let lives = Behaviour { life: Some(Hours::weibull(500.0, 2.0)), ..host(Hours::Fixed(6.0)) };
    let behaviours = vec![host(Hours::log_normal(2.0, 20.0)), host(Hours::weibull(5.0, 0.8)), lives];
    let q: Vec<f64> =
        behaviours.iter().map(|of| of.repair.mean() / (of.repair.mean() + of.life.unwrap().mean())).collect();
    let exact = tree.analyse(top, Limits::default()).unwrap().probability(&q).likely;
    let got = answer(&plain(tree, top, behaviours), 3, 30_000);
    assert!(agrees(&got, exact * MINUTES_PER_YEAR), "{:?} is not {}", got.mean, exact * MINUTES_PER_YEAR);
}

#[test]
fn the_mean_hides_what_years_are_like() {
    let mut tree = Tree::new();
    let host = tree.event();
    let rare = |repair| Behaviour { repair, ..unit(20.0 * 8760.0, 1.0) };
    let top = tree.any([host]);
    let got = answer(&plain(tree, top, vec![rare(Hours::Fixed(20.0))]), 4, 20_000);
    assert!((got.spotless - (-0.05f64).exp()).abs() < 0.01);
    assert_eq!(got.median, 0.0);
    assert!(got.worst_of_100 >= 1199.0 && (got.mean.likely - 60.0).abs() < 6.0);
    assert!(got.kept.contains(got.kept.likely) && (got.kept.likely - got.spotless).abs() < 0.001);
}

#[test]
fn maintenance_is_put_off_while_it_would_take_the_service_down() {
    let mut tree = Tree::new();
    let hosts = [tree.event(), tree.event()];
    let top = tree.all(hosts);
    let events = hosts.map(|host| tree.event_of(host).unwrap());
    let windows = events.map(|event| maintenance(event, 168.0, 24.0));
    let idle = Behaviour::NEVER;
    let never = Plant { maintenance: windows.to_vec(), ..plain(tree.clone(), top, vec![idle; 2]) };
    let blocks = Simulation::new(never).run(5, 200);
    assert!(blocks.iter().all(|block| block.outages == 0));
    assert!(blocks.iter().map(|block| block.put_off).sum::<u64>() > 0);
    // A failure meanwhile does take it down, more often than without maintenance.
    let host = unit(1000.0, 2.0);
    let without = answer(&plain(tree.clone(), top, vec![host; 2]), 5, 2000);
    let with = Plant { maintenance: windows.to_vec(), ..plain(tree, top, vec![host; 2]) };
    let with = answer(&with, 5, 2000);
    assert!(with.mean.low > 10.0 * without.mean.high, "{:?} {:?}", with.mean, without.mean);
}

#[test]
fn a_switchover_for_maintenance_costs_nothing() {
    let mut plant = pair(Pair { coverage: 0.0, failures: 1e-12, ..REFERENCE });
    plant.maintenance = plant.failovers[0]
        .members
        .iter()
        .map(|&member| maintenance(plant.tree.event_of(member).unwrap(), 100.0, 1.0))
        .collect();
    assert_eq!(answer(&plant, 6, 100).outages_per_year, 0.0);
}

#[test]
fn what_can_never_serve_is_down_from_the_beginning() {
    let mut tree = Tree::new();
    let host = tree.event();
    let top = tree.redundant(2, [host]);
    let got = answer(&plain(tree, top, vec![unit(1000.0, 1.0)]), 7, 10);
    assert!((got.mean.likely / MINUTES_PER_YEAR - 1.0).abs() < 1e-9);
    assert_eq!(got.kept.likely, 0.0);
}

#[test]
fn blocks_in_any_order_give_the_same_answer() {
    let simulation = Simulation::new(pair(REFERENCE));
    let mut blocks = simulation.run(8, 950);
    assert_eq!(blocks.iter().map(|block| block.minutes.len()).sum::<usize>(), 950);
    let one = Answer::of(blocks.clone(), Availability::PERFECT);
    blocks.reverse();
    assert_eq!(Answer::of(blocks, Availability::PERFECT), one);
    let others = Simulation::blocks(950).map(|(at, years)| simulation.block(9, at, years)).collect();
    assert_ne!(Answer::of(others, Availability::PERFECT), one);
}

/// A random tree, and for each event how long it lives and is repaired.
fn any_plant() -> impl Strategy<Value = Plant> {
    let gates =
        prop::collection::vec((1usize..4, prop::collection::vec(any::<prop::sample::Index>(), 1..5)), 1..7);
    let units = prop::collection::vec((50.0f64..2000.0, 1.0f64..50.0), 2..7);
    (units, gates).prop_map(|(units, gates)| {
        let mut tree = Tree::new();
        let mut nodes: Vec<NodeId> = units.iter().map(|_| tree.event()).collect();
        for (need, of) in gates {
            let of: Vec<NodeId> = of.iter().map(|index| nodes[index.index(nodes.len())]).collect();
            nodes.push(tree.at_least(need, of));
        }
        let top = *nodes.last().unwrap();
        plain(tree, top, units.iter().map(|&(life, repair)| unit(life, repair)).collect())
    })
}

proptest! {
    // The seed is fixed, so that chance decides once and for all.
    #![proptest_config(ProptestConfig { cases: 60, rng_seed: proptest::test_runner::RngSeed::Fixed(11), ..Default::default() })]

    #[test]
    fn years_agree_with_diagrams_and_chains_on_random_systems(plant in any_plant()) {
        let q: Vec<f64> = plant.behaviours.iter()
            .map(|of| of.repair.mean() / (of.repair.mean() + of.life.unwrap().mean()))
            .collect();
        let analysis = plant.tree.analyse(plant.top, Limits::default()).unwrap();
        let exact = analysis.probability(&q).likely;
        // The same as a Markov chain over every combination of failures.
        let units = q.len();
        let mut chain = crate::markov::Chain::new(1 << units).unwrap();
        for state in 0..1usize << units {
            for (at, of) in plant.behaviours.iter().enumerate() {
                let (rate, to) = match state >> at & 1 {
                    0 => (1.0 / of.life.unwrap().mean(), state | 1 << at),
                    _ => (1.0 / of.repair.mean(), state & !(1 << at)),
                };
                chain.rate(state, to, rate);
            }
        }
        let up = |state: usize| !plant.tree.fails(plant.top, |event| state >> event.index() & 1 == 1);
        let markov = chain.availability(up).unwrap().unavailability();
        prop_assert!((markov - exact).abs() <= 1e-9 * exact.max(1e-9), "{markov} {exact}");
        let got = answer(&plant, 12, 1000);
        // Where hardly anything happens, there is too little for a confidence interval.
        if got.outages_per_year > 0.1 {
            prop_assert!(agrees(&got, exact * MINUTES_PER_YEAR), "{:?} is not {}", got.mean, exact * MINUTES_PER_YEAR);
        } else {
            prop_assert!(exact * MINUTES_PER_YEAR < 1000.0);
        }
    }
}
