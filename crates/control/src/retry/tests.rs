//! Retries are held to their budget, and patience to what a pool has shown.

use proptest::prelude::*;

use super::*;
use crate::random::Random;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// The retry rules of a file with these lines.
fn retries(lines: &str) -> Retries {
    let text = format!(
        "name = \"t\"\n[hosts]\nlb = \"10.0.0.1\"\napp = \"10.0.0.2\"\n[load_balancers.f]\nhosts = [\"lb\"]\n\
         listeners = [{{ bind = \":80\", pool = \"web\" }}]\n[pools.web]\nmembers = [\"app:80\"]\nretries = {{ {lines} }}\n"
    );
    let system = nines_system::parse("t.toml", &text);
    system.unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false))).pools[0].retries.clone()
}

#[allow(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
fn start() -> Instant {
    Instant::now()
}

fn spend_all(budget: &mut Budget, now: Instant) -> u32 {
    (0..).take_while(|_| budget.spend(now)).count() as u32
}

#[test]
fn a_budget_starts_with_ten_seconds_of_its_minimum() {
    let mut budget = Budget::new(&retries("minimum_per_second = 7"));
    assert_eq!(spend_all(&mut budget, start()), 70);
}

#[test]
fn every_request_pays_its_part_of_a_further_try() {
    let mut budget = Budget::new(&retries("budget = \"20 %\", minimum_per_second = 0"));
    let now = start();
    assert!(!budget.spend(now));
    for _ in 0..1_001 {
        budget.request(now);
    }
    assert_eq!(spend_all(&mut budget, now), 200);
}

#[test]
fn a_few_tries_a_second_are_always_allowed() {
    let mut budget = Budget::new(&retries("budget = \"0 %\", minimum_per_second = 10"));
    let mut now = start();
    spend_all(&mut budget, now);
    let mut made = 0;
    for _ in 0..600 {
        now += 100 * MS;
        made += spend_all(&mut budget, now);
    }
    assert!((580..=600).contains(&made), "{made} in 60 s");
}

#[test]
fn what_was_saved_long_ago_is_gone() {
    let mut budget = Budget::new(&retries("budget = \"100 %\", minimum_per_second = 0"));
    let now = start();
    for _ in 0..100_000 {
        budget.request(now);
    }
    assert_eq!(spend_all(&mut budget, now + 10 * SECOND), 0);
}

#[test]
fn after_a_long_calm_there_are_ten_seconds_of_the_minimum() {
    let mut budget = Budget::new(&retries("budget = \"100 %\", minimum_per_second = 3"));
    let now = start();
    for _ in 0..100_000 {
        budget.request(now);
    }
    assert_eq!(spend_all(&mut budget, now + 1_000 * SECOND), 30);
}

#[test]
fn time_that_goes_back_earns_nothing() {
    let mut budget = Budget::new(&retries("minimum_per_second = 1"));
    let now = start() + 100 * SECOND;
    spend_all(&mut budget, now);
    assert!(!budget.spend(now - 50 * SECOND));
    assert!(!budget.spend(now));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_the_long_run_no_more_is_spent_than_the_share_allows(
        percent in 0..=100u32,
        minimum in 0..50u32,
        steps in prop::collection::vec((0..2_000u64, 0..200u32, 0..200u32), 1..100),
    ) {
        let mut budget = Budget::new(&retries(&format!("budget = \"{percent} %\", minimum_per_second = {minimum}")));
        let from = start();
        let (mut now, mut requests, mut spent) = (from, 0, 0);
        for (ms, arrive, want) in steps {
            now += Duration::from_millis(ms);
            for _ in 0..arrive {
                budget.request(now);
            }
            requests += arrive;
            spent += (0..want).filter(|_| budget.spend(now)).count() as u32;
            let seconds = (now - from).as_secs_f64() + MEMORY;
            let allowed = f64::from(requests * percent) / 100.0 + f64::from(minimum) * seconds;
            prop_assert!(f64::from(spent) <= allowed + 1e-6, "{spent} of {allowed}");
        }
    }

    #[test]
    fn a_duration_is_at_most_a_fifth_below_its_buckets_bound(us in 1..60_000_000u64) {
        let took = Duration::from_micros(us);
        let bound = upper_bound(bucket(took));
        prop_assert!(bound >= took && bound <= took.mul_f64(1.25) + MS / 1_000, "{took:?} in {bound:?}");
    }

    #[test]
    fn silence_keeps_to_its_bounds(took in prop::collection::vec(0..u64::MAX, 0..1_000)) {
        let mut patience = Patience::new(&retries("silence = { min = \"30ms\", max = \"400ms\" }"));
        for us in took {
            patience.observe(Duration::from_micros(us));
            prop_assert!((30 * MS..=400 * MS).contains(&patience.silence()));
        }
    }
}

#[test]
fn until_enough_was_seen_silence_is_a_quarter_of_a_second_within_its_bounds() {
    assert_eq!(Patience::new(&retries("")).silence(), 250 * MS);
    assert_eq!(Patience::new(&retries("silence = { min = \"10ms\", max = \"100ms\" }")).silence(), 100 * MS);
    assert_eq!(Patience::new(&retries("silence = { min = \"300ms\" }")).silence(), 300 * MS);
    let mut patience = Patience::new(&retries(""));
    (1..LOOK_EVERY).for_each(|_| patience.observe(40 * MS));
    assert_eq!(patience.silence(), 250 * MS);
    patience.observe(40 * MS);
    assert!((80 * MS..=100 * MS).contains(&patience.silence()), "{:?}", patience.silence());
}

#[test]
fn silence_is_twice_what_all_but_one_in_a_hundred_took() {
    let mut patience = Patience::new(&retries(""));
    let mut random = Random::seeded(5);
    for _ in 0..100 * LOOK_EVERY {
        // One in fifty takes 200 ms: more than the one in a hundred that may be slower.
        let took = if random.below(50) == 0 { 200 * MS } else { 3 * MS };
        patience.observe(took);
    }
    assert!((400 * MS..=500 * MS).contains(&patience.silence()), "{:?}", patience.silence());
    for _ in 0..100 * LOOK_EVERY {
        let took = if random.below(500) == 0 { 200 * MS } else { 30 * MS };
        patience.observe(took);
    }
    assert!((60 * MS..=75 * MS).contains(&patience.silence()), "{:?}", patience.silence());
}

#[test]
fn what_was_long_ago_fades() {
    let mut patience = Patience::new(&retries(""));
    (0..100_000).for_each(|_| patience.observe(300 * MS));
    assert!(patience.silence() >= 600 * MS);
    (0..20 * LOOK_EVERY * FADE_EVERY).for_each(|_| patience.observe(20 * MS));
    assert!(patience.silence() <= 50 * MS, "{:?}", patience.silence());
}
