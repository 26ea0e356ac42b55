//! Checks, ejections, too few healthy members, slow start.

use super::super::*;
use super::world::*;
use crate::status::Health;
use crate::traffic::Failure;
use crate::view::Serving;

#[test]
fn nobody_gets_traffic_before_the_first_good_check() {
    let mut world = World::new("app1 app2 app3", "");
    assert_eq!(world.eligible(), [""; 0]);
    assert_eq!(world.probes.len(), 3);
    assert_eq!(world.opened, None);
    world.run(1);
    assert_eq!(world.eligible(), ["app1", "app2", "app3"]);
    assert_eq!(world.opened, Some(0));
    assert_eq!(world.said(Kind::Up, 0)[0], "web/app1:80: the first check was good: HTTP 200");
    assert!(world.view().members.iter().all(|member| member.share == 100), "all start together, none slowly");
}

#[test]
fn a_member_that_is_down_at_the_start_needs_as_many_good_checks_as_rise_says() {
    let mut world = World::with(file("app1 app2 app3", ""), &["app3"]);
    world.run(1);
    assert_eq!(world.opened, Some(0));
    assert_eq!(world.eligible(), ["app1", "app2"]);
    assert_eq!(world.said(Kind::Down, 0), ["web/app3:80: the first check failed: connection refused"]);
    world.bad.clear();
    world.run(2_000);
    assert_eq!(world.eligible(), ["app1", "app2", "app3"]);
    assert_eq!(world.said(Kind::Up, 1), ["web/app3:80: 2 checks in a row were good: HTTP 200"]);
}

#[test]
fn listeners_open_after_a_while_even_if_a_name_never_resolves() {
    let mut world = World::new("app1 named", "");
    world.run(1_399);
    assert_eq!(world.opened, None);
    world.run(2);
    assert_eq!(world.opened, Some(1_400));
    assert_eq!((world.serving(), world.eligible()), (Serving::Healthy, vec!["app1"]));
}

#[test]
fn a_check_that_never_ends_has_failed() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(10);
    world.mute.insert("app2".to_owned());
    world.run(4_000);
    assert_eq!(world.eligible(), ["app1", "app3"]);
    assert_eq!(world.said(Kind::Down, 0), ["web/app2:80: 2 checks in a row failed: the check did not end"]);
}

#[test]
fn a_result_that_comes_too_late_is_not_taken_for_the_next_probes() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(10);
    world.mute.insert("app1".to_owned());
    world.run(4_000);
    let (member, probes) = (world.member("app1").key, world.probes.len());
    while world.probes[probes..].iter().all(|(_, host)| host != "app1") {
        world.run(1);
    }
    // Probes are numbered from 1 as they begin.
    let latest = world.probes.iter().rposition(|(_, host)| host == "app1").unwrap() as u64 + 1;
    let good = || Probed::new(Ok("HTTP 200".to_owned()), HALF_A_MS);
    for number in 0..latest {
        world.handle(Input::Probed { ticket: Ticket { member, number }, result: good() });
    }
    assert_eq!(world.status("app1").why, "the check did not end");
    world.handle(Input::Probed { ticket: Ticket { member, number: latest }, result: good() });
    assert_eq!(world.status("app1").why, "HTTP 200 (1 of 2)");
}

#[test]
fn checks_come_each_interval_and_faster_while_health_changes() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(60_000);
    let calm = world.probes.iter().filter(|(_, host)| host == "app1").count();
    assert!((58..=63).contains(&calm), "{calm} in 60 s");
    let waits: std::collections::BTreeSet<u128> =
        world.probes.windows(4).map(|probes| probes[3].0 - probes[0].0).collect();
    assert!(waits.len() > 10, "probes march in step");

    world.bad.insert("app1".to_owned());
    let from = world.ms();
    world.run(2_000);
    let (at, _, _) = world.events.iter().find(|(_, kind, _)| *kind == Kind::Down).unwrap();
    assert!(at - from <= 1_100 + 220, "{} ms", at - from);
    let after_first: Vec<u128> =
        world.probes.iter().filter(|(at, host)| host == "app1" && *at > from).map(|(at, _)| *at).collect();
    assert!(after_first[1] - after_first[0] <= 220, "{after_first:?}");
    assert!(after_first[2] - after_first[1] >= 890, "settled again: {after_first:?}");
}

#[test]
fn a_check_may_ask_another_port_than_the_traffic_uses() {
    let system = file("app1", "check = { http = \"/healthz\", port = 9000 }");
    let mut world = World::of(system.clone());
    let mut pools = Pools::new(world.now, system.clone(), system.pool_ids().collect(), 0);
    let orders = std::iter::from_fn(|| pools.poll()).find_map(|output| match output {
        Output::Probe(order) => Some(order),
        _ => None,
    });
    let order = orders.expect("a probe begins at once");
    assert_eq!(order.target, "10.0.0.21:9000".parse().unwrap());
    assert_eq!((order.member.as_str(), order.host.as_str()), ("app1:80", "app1"));
    assert_eq!(order.probe, system.pools[0].check.probe);
    world.run(1);
    assert_eq!(world.member("app1").address, Some("10.0.0.21:80".parse().unwrap()));
}

#[test]
fn one_bad_check_takes_nobody_down() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(10);
    world.bad.insert("app1".to_owned());
    let probes = world.probes.len();
    while !world.probes[probes..].iter().any(|(_, host)| host == "app1") {
        world.run(10);
    }
    world.bad.clear();
    assert_eq!(world.status("app1").why, "connection refused (1 of 2)");
    world.run(2_000);
    assert_eq!(world.said(Kind::Down, 0), [""; 0]);
    assert_eq!(world.status("app1").why, "HTTP 200");
}

#[test]
fn failures_in_a_row_eject_a_member_for_a_time() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.breaks("app1");
    assert_eq!(world.eligible(), ["app2", "app3"]);
    let said = "web/app1:80: 3 requests in a row failed: connection reset; out for 5 s";
    assert_eq!(world.said(Kind::Ejected, 0), [said]);
    assert_eq!(world.status("app1").ejected_ms, Some(5_000));
    assert_eq!(world.status("app1").ejections, 1);
    assert_eq!(world.status("app1").why, "3 requests in a row failed: connection reset");
    world.recovers("app1");
    assert_eq!(world.status("app1").why, "3 requests in a row failed: connection reset", "a late success");
    world.run(4_999);
    assert_eq!(world.eligible(), ["app2", "app3"], "good checks alone don't bring it back");
    world.run(2);
    assert_eq!(world.eligible(), ["app1", "app2", "app3"]);
    assert_eq!(world.said(Kind::Returned, 0).len(), 1);
    assert_eq!(world.status("app1").ejected_ms, None);
}

#[test]
fn a_success_between_failures_ends_the_row() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    for _ in 0..5 {
        world.fails("app1", Failure::Silent);
        world.fails("app1", Failure::Silent);
        world.recovers("app1");
    }
    assert_eq!(world.eligible().len(), 3);
}

#[test]
fn failures_far_apart_are_not_in_a_row() {
    let mut world = World::new("app1 app2 app3", "");
    for _ in 0..5 {
        world.run(31_000);
        world.fails("app1", Failure::Silent);
    }
    assert_eq!(world.said(Kind::Ejected, 0), [""; 0]);
}

#[test]
fn each_ejection_lasts_twice_as_long_until_its_bound_and_calm_is_forgiving() {
    let mut world = World::new("app1 app2 app3", "passive = { eject = \"5s\", eject_max = \"30s\" }");
    world.run(500);
    let mut lengths = Vec::new();
    for _ in 0..5 {
        world.breaks("app1");
        lengths.push(world.status("app1").ejected_ms.unwrap());
        world.run(lengths[lengths.len() - 1] + 1);
        assert_eq!(world.eligible().len(), 3);
    }
    assert_eq!(lengths, [5_000, 10_000, 20_000, 30_000, 30_000]);
    world.run(4 * 30_000);
    world.breaks("app1");
    assert_eq!(world.status("app1").ejected_ms, Some(10_000));
}

#[test]
fn a_failed_request_is_followed_by_a_check_at_once_so_that_a_dead_member_is_down_soon() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(60_000);
    while world.ms() < world.probes.iter().rfind(|(_, host)| host == "app1").unwrap().0 + 300 {
        world.run(10);
    }
    world.bad.insert("app1".to_owned());
    let from = world.ms();
    world.fails("app1", Failure::Refused);
    world.run(2_000);
    let (at, _, why) = world.events.iter().find(|(_, kind, _)| *kind == Kind::Down).unwrap();
    assert_eq!(why, "web/app1:80: 2 checks in a row failed: connection refused");
    assert!(at - from <= 225, "{} ms", at - from);
}

#[test]
fn a_storm_of_failures_makes_no_storm_of_checks() {
    let mut world = World::new("app1 app2", "");
    world.run(10_000);
    let probes = world.probes.len();
    for _ in 0..1_000 {
        world.run(1);
        world.fails("app1", Failure::Reset);
        world.recovers("app1");
    }
    let of_app1 = world.probes[probes..].iter().filter(|(_, host)| host == "app1").count();
    assert!(of_app1 <= 6, "{of_app1} in 1 s");
}

#[test]
fn an_ejected_member_whose_checks_fail_is_down_and_waits_for_both() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.bad.insert("app1".to_owned());
    world.breaks("app1");
    world.run(1_000);
    assert_eq!(world.status("app1").health, Health::Down);
    world.bad.clear();
    world.run(3_000);
    assert_eq!(world.status("app1").health, Health::Up);
    assert_eq!(world.eligible(), ["app2", "app3"], "its time is not over");
    assert!(world.said(Kind::Up, 500)[0].contains("still ejected for"), "{:?}", world.said(Kind::Up, 500));
    world.run(1_100);
    assert_eq!(world.eligible().len(), 3);
}

#[test]
fn failures_from_before_a_member_was_down_are_forgotten_when_it_is_up_again() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.bad.insert("app1".to_owned());
    world.fails("app1", Failure::Refused);
    world.fails("app1", Failure::Refused);
    world.run(2_000);
    assert_eq!(world.eligible(), ["app2", "app3"]);
    world.bad.clear();
    world.run(3_000);
    world.fails("app1", Failure::Reset);
    assert_eq!(world.eligible().len(), 3);
}

#[test]
fn a_member_that_is_down_past_the_time_of_its_ejection_is_just_down() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.bad.insert("app1".to_owned());
    world.breaks("app1");
    world.run(2_000);
    assert_eq!(world.status("app1").ejected_ms, Some(3_000));
    world.run(4_000);
    assert_eq!(world.status("app1").ejected_ms, None);
    assert_eq!(world.status("app1").why, "connection refused");
}

#[test]
fn checks_are_faster_while_requests_fail_and_slow_down_again() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.fails("app1", Failure::Silent);
    let count =
        |world: &World, from: usize| world.probes[from..].iter().filter(|(_, host)| host == "app1").count();
    let from = world.probes.len();
    world.run(2_000);
    assert!(count(&world, from) >= 9, "{} in 2 s", count(&world, from));
    world.run(30_000);
    let from = world.probes.len();
    world.run(10_000);
    assert!(count(&world, from) <= 11, "{} in 10 s", count(&world, from));
}

#[test]
fn an_ejection_that_is_over_waits_for_a_good_check_that_began_after_it() {
    let mut world = World::new("app1 app2 app3", "check = { interval = \"60s\", fast_interval = \"50s\" }");
    world.run(55_000);
    world.mute.insert("app1".to_owned());
    world.breaks("app1");
    world.run(5_100);
    assert_eq!(world.eligible(), ["app2", "app3"]);
    world.mute.clear();
    world.run(60_000);
    assert_eq!(world.eligible().len(), 3);
}

#[test]
fn a_check_that_began_before_the_ejection_says_nothing_about_what_came_after() {
    let mut world = World::new("app1 app2 app3", "check = { interval = \"60s\", fast_interval = \"50s\" }");
    world.run(55_000);
    world.fails("app1", Failure::Reset);
    world.now += HALF_A_MS / 2;
    world.fails("app1", Failure::Reset);
    world.fails("app1", Failure::Reset);
    world.run(5_100);
    let check = world.status("app1").check.expect("it was checked");
    assert!(
        check.good && check.ago_ms < 5_200,
        "the check that the first failure asked for was good: {check:?}"
    );
    assert_eq!(world.eligible(), ["app2", "app3"]);
    world.run(60_000);
    assert_eq!(world.eligible().len(), 3);
}

#[test]
fn no_more_than_the_cap_is_ejected_and_that_is_said_once() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.breaks("app1");
    for _ in 0..4 {
        world.breaks("app2");
    }
    assert_eq!(world.eligible(), ["app2", "app3"]);
    let said = "web/app2:80: 3 requests in a row failed: connection reset; \
                stays in, since at most 50 % may be ejected";
    assert_eq!(world.said(Kind::Spared, 0), [said]);
    world.recovers("app2");
    world.breaks("app2");
    assert_eq!(world.said(Kind::Spared, 0), [said, said], "another row of failures");
    world.run(5_001);
    world.fails("app2", Failure::Reset);
    assert_eq!(world.eligible(), ["app1", "app3"], "there is room now");
}

#[test]
fn the_last_healthy_member_stays_in() {
    let mut world = World::with(file("app1 app2", ""), &["app1"]);
    world.run(500);
    world.breaks("app2");
    assert_eq!(world.eligible(), ["app2"]);
    assert!(world.said(Kind::Spared, 0)[0].ends_with("stays in, since no other member is healthy"));
    let mut alone = World::new("app1", "");
    alone.run(500);
    alone.breaks("app1");
    assert_eq!(alone.eligible(), ["app1"]);
}

#[test]
fn a_smaller_cap_lets_the_ejected_return() {
    let mut world = World::new("app1 app2 app3 app4", "");
    world.run(500);
    world.breaks("app1");
    world.breaks("app2");
    assert_eq!(world.eligible(), ["app3", "app4"]);
    world.wish("app4", Wish::Draining).unwrap();
    assert_eq!(world.eligible(), ["app1", "app3"], "half of three is one");
    assert!(world.said(Kind::Returned, 0)[0].contains("before its time"));
}

#[test]
fn without_a_check_the_traffic_alone_judges() {
    let mut world = World::new("app1 app2", "check = \"none\"");
    assert_eq!(world.eligible(), ["app1", "app2"]);
    assert_eq!((world.opened, world.probes.len()), (Some(0), 0));
    world.breaks("app1");
    assert_eq!(world.eligible(), ["app2"]);
    world.run(5_001);
    assert_eq!(world.eligible(), ["app1", "app2"]);
    assert_eq!(world.probes.len(), 0);
}

#[test]
fn too_few_healthy_and_all_serve_until_enough_are_back() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.bad.insert("app1".to_owned());
    world.run(2_000);
    assert_eq!((world.serving(), world.eligible()), (Serving::Healthy, vec!["app2", "app3"]));
    world.bad.insert("app2".to_owned());
    world.run(2_000);
    assert_eq!((world.serving(), world.eligible()), (Serving::Everyone, vec!["app1", "app2", "app3"]));
    assert!(world.view().members.iter().all(|member| member.share == 100));
    world.bad.insert("app3".to_owned());
    world.run(2_000);
    assert_eq!((world.serving(), world.eligible().len()), (Serving::Everyone, 3));
    world.bad.clear();
    world.run(3_000);
    assert_eq!((world.serving(), world.eligible().len()), (Serving::Healthy, 3));
    assert_eq!(
        world.said(Kind::Serving, 0),
        [
            "web: 1 of 3 members healthy, below 50 %: all members serve",
            "web: 2 of 3 members healthy: healthy members serve",
        ]
    );
}

#[test]
fn a_pool_may_rather_refuse_than_serve_with_too_few() {
    let mut world = World::new("app1 app2 app3", "when_too_few = \"refuse\"");
    world.run(500);
    world.bad.extend(["app1".to_owned(), "app2".to_owned()]);
    world.run(2_000);
    assert_eq!((world.serving(), world.eligible().len()), (Serving::Nobody, 0));
    let said = "web: 1 of 3 members healthy, below 50 %: requests are refused";
    assert_eq!(world.said(Kind::Serving, 0), [said]);
}

#[test]
fn one_of_two_is_enough_and_one_of_one_is_tried_anyway() {
    let mut two = World::new("app1 app2", "");
    two.run(500);
    two.bad.insert("app1".to_owned());
    two.run(2_000);
    assert_eq!((two.serving(), two.eligible()), (Serving::Healthy, vec!["app2"]));
    let mut one = World::new("app1", "");
    one.run(500);
    one.bad.insert("app1".to_owned());
    one.run(2_000);
    assert_eq!((one.serving(), one.eligible()), (Serving::Everyone, vec!["app1"]));
}

#[test]
fn a_pool_that_is_down_from_the_start_opens_and_is_tried() {
    let mut world = World::with(file("app1 app2", ""), &["app1", "app2"]);
    world.run(1);
    assert_eq!((world.opened, world.serving()), (Some(0), Serving::Everyone));
}

#[test]
fn a_healthy_backup_stands_in_for_too_few() {
    let members =
        "[pools.web]\nmembers = [\"app1:80\", \"app2:80\", { address = \"app3:80\", backup = true }]";
    let text = "name = \"t\"\n[hosts]\nlb1 = \"10.0.0.10\"\napp1 = \"10.0.0.1\"\napp2 = \"10.0.0.2\"\n\
                app3 = \"10.0.0.3\"\n[load_balancers.front]\nhosts = [\"lb1\"]\n\
                listeners = [{ bind = \":80\", pool = \"web\" }]\n";
    let mut world = World::of(parse(&format!("{text}{members}")));
    world.run(500);
    world.bad.extend(["app1".to_owned(), "app2".to_owned()]);
    world.run(2_000);
    assert_eq!((world.serving(), world.eligible()), (Serving::Healthy, vec!["app3"]));
    world.bad.insert("app3".to_owned());
    world.run(2_000);
    assert_eq!((world.serving(), world.eligible().len()), (Serving::Everyone, 3));
    assert!(world.said(Kind::Serving, 0)[0].starts_with("web: 0 of 2 members healthy, below 50 %"));
}

#[test]
fn a_member_that_comes_back_starts_slowly_in_steps() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.bad.insert("app1".to_owned());
    world.run(2_000);
    world.bad.clear();
    while !world.member("app1").eligible {
        world.run(10);
    }
    let (from, views) = (world.ms(), world.views.len());
    assert_eq!(world.member("app1").share, 10);
    assert_eq!(world.member("app2").share, 100);
    world.run(5_000);
    assert_eq!(world.member("app1").share, 60);
    world.run(5_000);
    assert_eq!(world.member("app1").share, 100);
    assert_eq!(world.views.len() - views, 9, "one view a step, from {from} ms");
    let views = world.views.len();
    world.run(60_000);
    assert_eq!(world.views.len(), views, "nothing changes, nothing is published");
}

#[test]
fn when_everyone_serves_nobody_starts_slowly() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.bad.insert("app1".to_owned());
    world.run(2_000);
    world.bad.clear();
    while !world.member("app1").eligible {
        world.run(10);
    }
    assert!(world.member("app1").share < 100);
    world.bad.extend(["app2".to_owned(), "app3".to_owned()]);
    world.run(1_500);
    assert_eq!(world.serving(), Serving::Everyone);
    assert_eq!(world.member("app1").share, 100);
}

#[test]
fn nobody_starts_slowly_where_no_other_could_carry_the_load() {
    let mut world = World::with(file("app1 app2", ""), &["app1", "app2"]);
    world.run(5_000);
    world.bad.remove("app1");
    world.run(3_000);
    assert_eq!(world.member("app1").share, 100);
    world.bad.remove("app2");
    world.run(1_500);
    assert!(world.member("app2").share < 100);
}

#[test]
fn the_same_seed_and_inputs_make_the_same_decisions() {
    let life = || {
        let mut world = World::new("app1 app2 app3", "");
        world.run(3_000);
        world.bad.insert("app2".to_owned());
        world.run(7_000);
        world.breaks("app1");
        world.run(20_000);
        (world.events, world.probes)
    };
    assert_eq!(life(), life());
}
