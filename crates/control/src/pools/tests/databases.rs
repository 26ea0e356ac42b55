//! The way to a database: who gets connections, whose must end, and what is said of it.

use proptest::prelude::*;

use super::super::*;
use super::world::*;
use crate::status::{Health, Wish};
use crate::vrrp::Fitness;

const WRITES: usize = 0;
const READS: usize = 1;

/// db1 is the primary of term 7, the others follow it.
fn well() -> World {
    let mut world = World::before_it_begins(database());
    world.stands("db1", Serves::Everything, 7);
    world.stands("db2", Serves::Reads, 7);
    world.stands("db3", Serves::Reads, 7);
    world.drain();
    world.run(300);
    world
}

fn eligible(world: &World, pool: usize) -> Vec<&'static str> {
    let view = world.view_of(pool);
    let hosts = ["db1", "db2", "db3"].into_iter().zip(view.members);
    hosts.filter(|(_, member)| member.eligible).map(|(host, _)| host).collect()
}

/// Whose connections end now.
fn ended(world: &World, pool: usize) -> Vec<&'static str> {
    let view = world.view_of(pool);
    let hosts = ["db1", "db2", "db3"].into_iter().zip(view.members);
    hosts
        .filter(|(_, member)| member.close_at.is_some_and(|at| at <= world.now))
        .map(|(host, _)| host)
        .collect()
}

#[test]
fn everything_goes_to_the_primary_and_reads_to_standbys() {
    let mut world = well();
    assert_eq!((eligible(&world, WRITES), eligible(&world, READS)), (vec!["db1"], vec!["db2", "db3"]));
    assert_eq!(ended(&world, WRITES), ["db2", "db3"]);
    assert_eq!(ended(&world, READS), [""; 0], "the primary serves reads, though no new ones");
    let said = world.said(Kind::Serving, 0);
    assert_eq!(said, ["orders-reads: standbys serve reads", "orders: db1:5432 is the primary of term 7"]);
    assert_eq!(world.status("db1").why, "primary of term 7");
    assert_eq!(world.status("db2").why, "standby, 120 bytes behind");
    for host in ["db1", "db2", "db3"] {
        let status = world.status(host);
        assert_eq!(
            (status.health, status.eligible),
            (Health::Up, host == "db1"),
            "a standby is well, and does not serve"
        );
    }
    world.stands("db2", Serves::Nobody, 7);
    world.stands("db3", Serves::Nobody, 7);
    world.run(1);
    assert_eq!((eligible(&world, READS), ended(&world, READS)), (vec!["db1"], vec!["db2", "db3"]));
    assert_eq!(
        (world.status("db3").health, world.status("db3").why.as_str()),
        (Health::Down, "is being copied")
    );
    assert_eq!(world.said(Kind::Serving, 300), ["orders-reads: no standby can: db1:5433 serves reads"]);
}

#[test]
fn another_primary_is_known_within_a_millisecond_or_two() {
    let mut world = well();
    world.run(10_000);
    let asked = world.probes.len();
    world.stands("db1", Serves::Nobody, 7);
    world.run(1);
    assert_eq!((eligible(&world, WRITES), ended(&world, WRITES)), (vec![], vec!["db1", "db2", "db3"]));
    world.run(1_500);
    world.stands("db3", Serves::Everything, 8);
    world.run(1);
    assert_eq!((eligible(&world, WRITES), ended(&world, WRITES)), (vec!["db3"], vec!["db1", "db2"]));
    let said = world.said(Kind::Serving, 300);
    let writes: Vec<&&str> = said.iter().filter(|said| said.starts_with("orders:")).collect();
    assert_eq!(
        writes,
        [
            &"orders: there is no primary: connections wait for one",
            &"orders: db3:5432 is the primary of term 8"
        ]
    );
    // Two questions each half a time-out for six members, and a few for what was new.
    assert!(world.probes.len() - asked < 60, "{} questions in 1.5 s", world.probes.len() - asked);
}

#[test]
fn of_two_that_say_they_are_the_primary_the_newer_one_is() {
    let mut world = well();
    world.stands("db2", Serves::Everything, 8);
    world.run(1);
    assert_eq!((eligible(&world, WRITES), ended(&world, WRITES)), (vec!["db2"], vec!["db1", "db3"]));
    let old = world.status("db1");
    assert_eq!(old.why, "says that it is the primary of term 7; the newest is 8");
    assert!(!eligible(&world, READS).contains(&"db1") && ended(&world, READS).contains(&"db1"));
}

#[test]
fn a_standby_that_knows_of_a_newer_term_is_enough_against_an_old_primary() {
    let mut world = well();
    world.falls_silent("db1");
    world.stands("db3", Serves::Reads, 8);
    world.run(1);
    assert_eq!(eligible(&world, WRITES), [""; 0]);
    assert_eq!(ended(&world, WRITES), ["db1", "db2", "db3"], "before its silence has been noticed");
    world.mute.clear();
    world.stands("db3", Serves::Nobody, 0);
    world.run(30_000);
    assert_eq!(eligible(&world, WRITES), [""; 0], "what was heard is not forgotten");
}

#[test]
fn a_database_that_was_made_anew_is_served_after_a_while() {
    let mut world = well();
    for host in ["db1", "db2", "db3"] {
        world.stands(host, Serves::Nobody, 0);
    }
    world.run(100);
    world.stands("db2", Serves::Everything, 1);
    world.run(59_000);
    assert_eq!(eligible(&world, WRITES), [""; 0]);
    world.run(2_000);
    assert_eq!(eligible(&world, WRITES), ["db2"]);
}

#[test]
fn a_short_pause_costs_nobody_a_connection_and_a_long_one_all() {
    let mut world = well();
    world.falls_silent("db1");
    world.run(510);
    assert_eq!((eligible(&world, WRITES), ended(&world, WRITES)), (vec![], vec!["db2", "db3"]));
    assert_eq!(
        world.said(Kind::Serving, 300),
        ["orders: db1:5432, the primary of term 7, is silent: connections wait for one"]
    );
    world.mute.clear();
    world.run(510);
    assert_eq!(eligible(&world, WRITES), ["db1"]);
    world.falls_silent("db1");
    world.run(1_100);
    assert_eq!((eligible(&world, WRITES), ended(&world, WRITES)), (vec![], vec!["db1", "db2", "db3"]));
    assert_eq!(world.status("db1").health, Health::Down);
    world.mute.clear();
    world.run(600);
    assert_eq!(eligible(&world, WRITES), ["db1"], "one answer brings it back");
}

#[test]
fn a_gate_that_is_gone_is_missed_at_once_and_asked_again_soon() {
    let mut world = well();
    let before = world.standings.remove("db1");
    world.run(251);
    assert_eq!((eligible(&world, WRITES), ended(&world, WRITES)), (vec![], vec!["db1", "db2", "db3"]));
    world.run(5_000);
    world.standings.extend(before.map(|standing| ("db1".to_owned(), standing)));
    world.run(250);
    assert_eq!(eligible(&world, WRITES), ["db1"]);
}

#[test]
fn a_load_balancer_is_not_to_blame_for_a_database_without_a_primary() {
    let mut world = well();
    let balancer = world.system.load_balancer_ids().next().unwrap();
    world.stands("db1", Serves::Nobody, 7);
    world.run(10);
    assert_eq!(Fitness::of_pools(&world.system, balancer, &world.pools), Fitness::Fit);
    for host in ["db1", "db2", "db3"] {
        world.falls_silent(host);
    }
    world.run(2_000);
    assert!(matches!(Fitness::of_pools(&world.system, balancer, &world.pools), Fitness::Sick(_)));
}

#[test]
fn traffic_ejects_none_of_a_databases_hosts() {
    let mut world = well();
    world.breaks("db1");
    world.breaks("db1");
    assert_eq!(eligible(&world, WRITES), ["db1"]);
    assert_eq!(world.said(Kind::Ejected, 0).len() + world.said(Kind::Spared, 0).len(), 0);
}

#[test]
fn an_operators_drain_leaves_time() {
    let mut world = well();
    world.wish("orders/db1", Wish::Draining).unwrap();
    world.run(1);
    assert_eq!((eligible(&world, WRITES), ended(&world, WRITES)), (vec![], vec!["db2", "db3"]));
    world.wish("orders/db1", Wish::Maintenance).unwrap();
    world.run(1_000);
    assert_eq!(ended(&world, WRITES), ["db2", "db3"], "nobody is asked any more");
    world.run(30_000);
    assert_eq!(ended(&world, WRITES), ["db1", "db2", "db3"]);
    world.wish("orders/db1", Wish::Ready).unwrap();
    world.run(10);
    assert_eq!(eligible(&world, WRITES), ["db1"]);
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Stands(usize, Serves, u64),
    Mute(usize),
    Gone(usize),
    Speak(usize),
    Wish(usize, Wish),
}

fn step() -> impl Strategy<Value = Step> {
    let serves = prop_oneof![Just(Serves::Everything), Just(Serves::Reads), Just(Serves::Nobody)];
    let wish = prop_oneof![Just(Wish::Ready), Just(Wish::Draining), Just(Wish::Maintenance)];
    prop_oneof![
        4 => (0..800u64).prop_map(Step::Pass),
        6 => (0..3usize, serves, 1..6u64).prop_map(|(host, serves, term)| Step::Stands(host, serves, term)),
        1 => (0..3usize).prop_map(Step::Mute),
        1 => (0..3usize).prop_map(Step::Gone),
        2 => (0..3usize).prop_map(Step::Speak),
        1 => (0..3usize, wish).prop_map(|(host, wish)| Step::Wish(host, wish)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever gates say: one serves at most, it says so itself, and it is of the newest term that was heard.
    #[test]
    fn writes_go_to_one_and_never_to_one_that_is_overtaken(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::of(database());
        let name = |host: usize| format!("db{}", host + 1);
        let mut views = 0;
        // Terms since gates were asked: each answer takes half a millisecond.
        let mut newest = 0;
        for step in steps {
            match step {
                Step::Pass(ms) => world.run(ms),
                Step::Stands(host, serves, term) => {
                    world.stands(&name(host), serves, term);
                    world.run(30);
                }
                Step::Mute(host) => world.falls_silent(&name(host)),
                Step::Gone(host) => drop(world.standings.remove(&name(host))),
                Step::Speak(host) => drop(world.mute.remove(&name(host))),
                Step::Wish(host, wish) => drop(world.wish(&name(host), wish)),
            }
            newest = newest.max(world.pools.pools[WRITES].newest.term());
            prop_assert_eq!(newest, world.pools.pools[WRITES].newest.term());
            for (_, view) in &world.views[views..] {
                prop_assert!(view.pools[WRITES].members.iter().filter(|member| member.eligible).count() <= 1);
            }
            views = world.views.len();
            let view = world.view_of(WRITES);
            for (member, known) in view.members.iter().zip(&world.pools.pools[WRITES].members) {
                let heard = known.heard.as_ref();
                let is_primary = heard.is_some_and(|heard| {
                    heard.standing.serves == Serves::Everything && heard.standing.term == newest
                });
                prop_assert!(!member.eligible || is_primary);
                // Who is it no more keeps nobody, unless the operator has given what is in flight its time.
                let kept = member.close_at.is_none_or(|at| at > world.now);
                prop_assert!(!kept || is_primary || known.wish == Wish::Maintenance);
            }
        }
        // Once all is well the primary serves.
        world.mute.clear();
        world.wish("orders", Wish::Ready).unwrap();
        world.stands("db1", Serves::Reads, 6);
        world.stands("db2", Serves::Everything, 6);
        world.stands("db3", Serves::Reads, 6);
        world.run(1_500);
        prop_assert_eq!(eligible(&world, WRITES), vec!["db2"]);
    }
}
