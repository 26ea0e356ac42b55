//! Every distribution here comes from a fixed seed; the bounds are five standard deviations or more.

use std::collections::BTreeSet;

use nines_system::HashKey;
use proptest::prelude::*;

use super::*;
use crate::view::MemberKey;

const ROUND_ROBIN: Balance = Balance::RoundRobin;
const LEAST_REQUESTS: Balance = Balance::LeastRequests;
const HASH: Balance = Balance::Hash(HashKey::ClientAddress);

#[derive(Debug, Clone, Default)]
struct Crowd {
    in_flight: Vec<u32>,
    unusable: BTreeSet<usize>,
}

impl Loads for Crowd {
    fn in_flight(&self, member: usize) -> u32 {
        self.in_flight.get(member).copied().unwrap_or(0)
    }

    fn usable(&self, member: usize) -> bool {
        !self.unusable.contains(&member)
    }
}

fn pool(shares: &[u32]) -> PoolView {
    let member = |(at, &share): (usize, &u32)| MemberView {
        key: MemberKey(at as u32),
        address: Some(SocketAddr::from(([10, 0, (at / 250) as u8, (at % 250) as u8 + 1], 8080))),
        eligible: true,
        share,
        backup: false,
        close_at: None,
    };
    PoolView { members: shares.iter().enumerate().map(member).collect(), serving: Serving::Healthy }
}

/// How often each member is picked in `n` picks with distinct keys and standing loads.
fn tally(balance: &Balance, view: &PoolView, loads: &Crowd, n: u64) -> Vec<u32> {
    let (mut balancer, mut random) = (Balancer::new(balance), Random::seeded(1));
    let mut counts = vec![0; view.members.len()];
    for key in 0..n {
        let picked = balancer.pick(view, loads, Some(mix(key)), &mut random);
        counts[picked.expect("somebody is picked")] += 1;
    }
    counts
}

fn assert_near(counts: &[u32], shares: &[u32]) {
    let (n, total) = (f64::from(counts.iter().sum::<u32>()), f64::from(shares.iter().sum::<u32>()));
    for (&count, &share) in counts.iter().zip(shares) {
        let part = f64::from(share) / total;
        let deviation = (n * part * (1.0 - part)).sqrt();
        assert!((f64::from(count) - n * part).abs() <= 5.0 * deviation + 1.0, "{counts:?} for {shares:?}");
    }
}

#[test]
fn idle_members_are_picked_as_often_as_their_shares_say() {
    for balance in [LEAST_REQUESTS, ROUND_ROBIN, HASH] {
        for shares in
            [&[100, 100, 100][..], &[100, 200, 700], &[10, 100], &[100], &[100; 40], &[1, 1, 10_000]]
        {
            assert_near(&tally(&balance, &pool(shares), &Crowd::default(), 20_000), shares);
        }
    }
}

#[test]
fn of_two_members_the_less_busy_is_always_picked() {
    let loads = Crowd { in_flight: vec![3, 2], ..Crowd::default() };
    assert_eq!(tally(&LEAST_REQUESTS, &pool(&[100, 100]), &loads, 1_000), [0, 1_000]);
    assert_eq!(
        tally(&LEAST_REQUESTS, &pool(&[200, 100]), &loads, 1_000),
        [1_000, 0],
        "3 of 2 is less than 2 of 1"
    );
}

#[test]
fn the_busiest_of_many_is_never_picked() {
    let loads = Crowd { in_flight: vec![1, 1, 9, 1, 1], ..Crowd::default() };
    assert_eq!(tally(&LEAST_REQUESTS, &pool(&[100; 5]), &loads, 10_000)[2], 0);
}

#[test]
fn those_that_are_equally_idle_get_equally_much() {
    let loads = Crowd { in_flight: vec![9, 0, 0, 0], ..Crowd::default() };
    assert_near(&tally(&LEAST_REQUESTS, &pool(&[100; 4]), &loads, 30_000)[1..], &[100; 3]);
}

#[test]
fn least_requests_keeps_slow_members_from_piling_up() {
    let (view, mut random) = (pool(&[100; 10]), Random::seeded(3));
    let mut loads = Crowd { in_flight: vec![0; 10], ..Crowd::default() };
    let mut balancer = Balancer::new(&LEAST_REQUESTS);
    let mut running = std::collections::VecDeque::new();
    for _ in 0..50_000 {
        let picked = balancer.pick(&view, &loads, None, &mut random).unwrap();
        loads.in_flight[picked] += 1;
        running.push_back(picked);
        if running.len() > 200 {
            loads.in_flight[running.pop_front().unwrap()] -= 1;
        }
    }
    assert!(loads.in_flight.iter().all(|&n| (15..=25).contains(&n)), "{:?}", loads.in_flight);
}

#[test]
fn round_robin_is_smooth() {
    let (view, mut random) = (pool(&[500, 100, 100]), Random::seeded(0));
    let mut balancer = Balancer::new(&ROUND_ROBIN);
    let picks: Vec<usize> =
        (0..7).filter_map(|_| balancer.pick(&view, &Crowd::default(), None, &mut random)).collect();
    assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn round_robin_goes_on_when_the_pool_changes_its_size() {
    let mut balancer = Balancer::new(&ROUND_ROBIN);
    let mut random = Random::seeded(0);
    for size in [3, 1, 7, 2] {
        let view = pool(&vec![100; size]);
        let mut picks: Vec<usize> =
            (0..size).filter_map(|_| balancer.pick(&view, &Crowd::default(), None, &mut random)).collect();
        picks.sort_unstable();
        assert_eq!(picks, (0..size).collect::<Vec<_>>());
    }
}

#[test]
fn backups_are_picked_only_when_nobody_else_can_be() {
    for balance in [LEAST_REQUESTS, ROUND_ROBIN, HASH] {
        let mut view = pool(&[100, 100, 100]);
        view.members[2].backup = true;
        assert_eq!(tally(&balance, &view, &Crowd::default(), 1_000)[2], 0);
        let tried = Crowd { unusable: BTreeSet::from([0, 1]), ..Crowd::default() };
        assert_eq!(tally(&balance, &view, &tried, 10), [0, 0, 10]);
    }
}

#[test]
fn a_key_stays_where_it_is_and_does_not_depend_on_the_worker() {
    let view = pool(&[100, 200, 100, 300]);
    let at = |seed, key| {
        Balancer::new(&HASH).pick(&view, &Crowd::default(), Some(key), &mut Random::seeded(seed)).unwrap()
    };
    assert!((0..1_000).all(|key| at(1, key) == at(2, key)));
}

#[test]
fn a_few_requests_of_one_client_stay_together_on_an_idle_pool() {
    let view = pool(&[100, 100, 100]);
    let (mut balancer, mut random) = (Balancer::new(&HASH), Random::seeded(0));
    let mut loads = Crowd { in_flight: vec![0; 3], ..Crowd::default() };
    for _ in 0..6 {
        let picked = balancer.pick(&view, &loads, Some(42), &mut random).unwrap();
        loads.in_flight[picked] += 1;
    }
    assert_eq!(loads.in_flight.iter().filter(|&&n| n > 0).count(), 1);
}

fn any_pool() -> impl Strategy<Value = (PoolView, Crowd)> {
    let member = (1..1_000u32, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.8), 0..50u32);
    prop::collection::vec(member, 0..20).prop_map(|members| {
        let mut view = pool(&members.iter().map(|member| member.0).collect::<Vec<_>>());
        let mut loads = Crowd::default();
        for (at, &(_, eligible, backup, usable, in_flight)) in members.iter().enumerate() {
            view.members[at].eligible = eligible;
            view.members[at].backup = backup;
            loads.in_flight.push(in_flight);
            if !usable {
                loads.unusable.insert(at);
            }
        }
        (view, loads)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_is_picked_may_be_picked((view, loads) in any_pool(), seed: u64, key: Option<u64>) {
        let may = |at: usize| view.members[at].eligible && loads.usable(at);
        let somebody = (0..view.members.len()).any(may);
        for balance in [LEAST_REQUESTS, ROUND_ROBIN, HASH] {
            let (mut balancer, mut random) = (Balancer::new(&balance), Random::seeded(seed));
            let picked = balancer.pick(&view, &loads, key, &mut random);
            prop_assert_eq!(picked.is_some(), somebody);
            prop_assert!(picked.is_none_or(may));
            let nobody = PoolView { serving: Serving::Nobody, ..view.clone() };
            prop_assert_eq!(balancer.pick(&nobody, &loads, key, &mut random), None);
        }
    }

    #[test]
    fn a_member_that_goes_takes_only_its_own_keys_along(
        shares in prop::collection::vec(1..1_000u32, 2..20),
        gone: prop::sample::Index,
    ) {
        let full = pool(&shares);
        let mut less = full.clone();
        let gone = gone.index(shares.len());
        less.members[gone].eligible = false;
        let (mut balancer, mut random) = (Balancer::new(&HASH), Random::seeded(0));
        for key in (0..200).map(mix) {
            let before = balancer.pick(&full, &Crowd::default(), Some(key), &mut random).unwrap();
            let after = balancer.pick(&less, &Crowd::default(), Some(key), &mut random).unwrap();
            prop_assert!(before == gone || before == after);
        }
    }

    #[test]
    fn a_member_whose_share_grows_only_gains_keys(
        shares in prop::collection::vec(1..1_000u32, 2..20),
        grows: prop::sample::Index,
    ) {
        let small = pool(&shares);
        let mut big = small.clone();
        let grows = grows.index(shares.len());
        big.members[grows].share *= 3;
        let (mut balancer, mut random) = (Balancer::new(&HASH), Random::seeded(0));
        for key in (0..200).map(mix) {
            let before = balancer.pick(&small, &Crowd::default(), Some(key), &mut random).unwrap();
            let after = balancer.pick(&big, &Crowd::default(), Some(key), &mut random).unwrap();
            prop_assert!(after == before || after == grows);
        }
    }

    #[test]
    fn hashing_loads_nobody_far_beyond_its_part(
        shares in prop::collection::vec(1..1_000u32, 1..20),
        keys in prop::collection::vec(0..5u64, 1..500),
    ) {
        let view = pool(&shares);
        let (mut balancer, mut random) = (Balancer::new(&HASH), Random::seeded(0));
        let mut loads = Crowd { in_flight: vec![0; shares.len()], ..Crowd::default() };
        for key in keys.iter().copied().map(mix) {
            let picked = balancer.pick(&view, &loads, Some(key), &mut random).unwrap();
            loads.in_flight[picked] += 1;
        }
        let total: u32 = shares.iter().sum();
        for (&in_flight, &share) in loads.in_flight.iter().zip(&shares) {
            let part = keys.len() as f64 * f64::from(share) / f64::from(total);
            prop_assert!(f64::from(in_flight) <= (1.25 * part).ceil().max(8.0), "{in_flight} of {part}");
        }
    }
}
