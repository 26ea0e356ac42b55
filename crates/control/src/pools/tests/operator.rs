//! Wishes, reloads, and names that resolve or don't.

use super::super::*;
use super::world::*;
use crate::status::Health;
use crate::view::Serving;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_draining_member_gets_nothing_new_and_is_closed_in_time() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    assert_eq!(world.wish("app1", Wish::Draining).unwrap(), ["web/app1:80"]);
    assert_eq!(world.eligible(), ["app2", "app3"]);
    assert_eq!(world.member("app1").close_at, Some(world.now + Duration::from_secs(30)));
    assert_eq!(world.serving(), Serving::Healthy);
    let probes = world.probes.len();
    world.run(3_000);
    assert!(world.probes[probes..].iter().any(|(_, host)| host == "app1"), "checks go on");
    world.wish("app1", Wish::Ready).unwrap();
    assert_eq!(world.eligible().len(), 3);
    assert_eq!(world.member("app1").close_at, None);
    assert_eq!(
        world.said(Kind::Wish, 0),
        [
            "web/app1:80: draining, as the operator wishes; what is in flight has 30 s",
            "web/app1:80: ready, as the operator wishes",
        ]
    );
}

#[test]
fn a_member_in_maintenance_is_not_checked_and_needs_a_good_check_to_come_back() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.wish("app1", Wish::Maintenance).unwrap();
    let probes = world.probes.len();
    world.run(5_000);
    assert!(!world.probes[probes..].iter().any(|(_, host)| host == "app1"));
    assert_eq!(world.status("app1").why, "not checked in maintenance");
    world.wish("app1", Wish::Ready).unwrap();
    assert_eq!(world.eligible(), ["app2", "app3"]);
    world.run(1);
    assert_eq!(world.eligible().len(), 3);
}

#[test]
fn taking_members_out_is_not_too_few_healthy() {
    let mut world = World::new("app1 app2 app3", "when_too_few = \"refuse\"");
    world.run(500);
    world.wish("app1", Wish::Draining).unwrap();
    world.wish("app2", Wish::Maintenance).unwrap();
    assert_eq!((world.serving(), world.eligible()), (Serving::Healthy, vec!["app3"]));
    world.wish("app3", Wish::Draining).unwrap();
    assert_eq!(world.serving(), Serving::Nobody);
    let said = "web: every member is draining or in maintenance: requests are refused";
    assert_eq!(world.said(Kind::Serving, 0), [said]);
}

#[test]
fn everyone_leaves_out_whom_the_operator_took_out() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    world.wish("app1", Wish::Draining).unwrap();
    world.bad.extend(["app2".to_owned(), "app3".to_owned()]);
    world.run(2_000);
    assert_eq!((world.serving(), world.eligible()), (Serving::Everyone, vec!["app2", "app3"]));
}

#[test]
fn a_wish_finds_members_hosts_and_pools_and_says_what_there_is_instead() {
    let mut world = World::new("app1 app2", "");
    for target in ["app1", "app1:80", "web/app1:80", "web/app1"] {
        assert_eq!(world.wish(target, Wish::Draining).unwrap(), ["web/app1:80"], "{target}");
    }
    assert_eq!(world.wish("web", Wish::Draining).unwrap(), ["web/app1:80", "web/app2:80"]);
    assert_eq!(world.said(Kind::Wish, 0).len(), 2, "a wish that is already so is no news");
    for target in ["", "/", "app3", "web/", "shop/app1", "app1:81", "lb1"] {
        let error = world.wish(target, Wish::Ready).unwrap_err();
        assert_eq!(error.known, ["web", "app1", "app2", "web/app1:80", "web/app2:80"], "{target}");
    }
    let error = world.wish("ap1", Wish::Ready).unwrap_err();
    assert_eq!(error.to_string(), "no host, pool or member is called `ap1`; did you mean `app1`?");
}

#[test]
fn a_reload_keeps_what_is_known_of_members_that_stay() {
    let mut world = World::new("app1 app2 app3 app4 app6", "");
    world.run(500);
    let keys: Vec<MemberKey> = world.view().members.iter().map(|member| member.key).collect();
    world.breaks("app1");
    world.wish("app2", Wish::Draining).unwrap();
    world.bad.insert("app3".to_owned());
    world.run(2_000);
    assert_eq!(world.eligible(), ["app4", "app6"]);
    let changed = "passive = { eject = \"7s\" }\ncheck = { interval = \"2s\" }";
    world.reload(file("app5 app6 app4 app3 app2 app1", changed));
    assert_eq!(world.eligible(), ["app6", "app4"], "app5 is new and not checked yet");
    let after: Vec<MemberKey> = world.view().members[1..].iter().rev().map(|member| member.key).collect();
    assert_eq!(after, keys);
    assert_eq!(world.status("app1").ejected_ms, Some(3_000));
    assert_eq!(world.status("app2").wish, Wish::Draining);
    assert_eq!(world.status("app3").health, Health::Down);
    world.run(1);
    assert_eq!(world.eligible(), ["app5", "app6", "app4"]);
    assert!(world.member("app5").share < 100, "a new member starts slowly beside others");
}

#[test]
fn a_reload_that_changes_nothing_takes_nobody_out_ever() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    for _ in 0..100 {
        world.reload(file("app1 app2 app3", ""));
        assert_eq!(world.eligible().len(), 3);
        world.run(7);
    }
    world.run(60_000);
    let probes = world.probes.iter().filter(|(_, host)| host == "app1").count();
    assert!((58..=64).contains(&probes), "{probes} in a minute");
    assert_eq!(world.events.len(), 3);
}

#[test]
fn a_shorter_interval_holds_at_once() {
    let mut world = World::new("app1 app2 app3", "check = { interval = \"1h\" }");
    world.run(10_000);
    let probes = world.probes.len();
    world.reload(file("app1 app2 app3", ""));
    world.run(1);
    assert_eq!(world.probes.len() - probes, 3);
}

#[test]
fn another_check_judges_anew_without_taking_anybody_out_meanwhile() {
    let mut world = World::new("app1 app2 app3", "when_too_few = \"refuse\"");
    world.run(500);
    let probes = world.probes.len();
    world.bad.insert("app1".to_owned());
    world.reload(file("app1 app2 app3", "when_too_few = \"refuse\"\ncheck = { http = \"/health\" }"));
    assert_eq!(world.eligible().len(), 3);
    assert_eq!(world.probes.len() - probes, 3, "at once");
    world.run(1);
    assert_eq!(world.eligible(), ["app2", "app3"], "one result decides, as at the start");
    let (probes, port) = (world.probes.len(), "check = { http = \"/health\", port = 9000 }");
    world.reload(file("app1 app2 app3", &format!("when_too_few = \"refuse\"\n{port}")));
    assert_eq!(world.probes.len() - probes, 3, "another port is another check");
}

#[test]
fn a_report_about_a_member_that_is_gone_is_no_news() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    let gone = world.member("app1").key;
    world.reload(file("app2 app3", ""));
    for _ in 0..5 {
        world.handle(Input::Traffic {
            member: gone,
            traffic: Traffic::Failed(crate::traffic::Failure::Reset),
        });
    }
    assert_eq!(world.eligible(), ["app2", "app3"]);
}

#[test]
fn a_probe_from_before_a_moved_address_says_nothing_about_it() {
    let mut world = World::new("app1 app2 app3", "");
    world.run(500);
    let text = "name = \"t\"\n[hosts]\nlb1 = \"10.0.0.10\"\napp1 = \"10.0.0.91\"\napp2 = \"10.0.0.22\"\n\
                app3 = \"10.0.0.23\"\n[load_balancers.front]\nhosts = [\"lb1\"]\n\
                listeners = [{ bind = \":80\", pool = \"web\" }]\n\
                [pools.web]\nmembers = [\"app1:80\", \"app2:80\", \"app3:80\"]\n";
    let key = world.member("app1").key;
    world.reload(parse(text));
    assert_eq!(world.member("app1").key, key);
    assert_eq!(world.status("app1").health, Health::Unknown);
    assert_eq!(world.eligible(), ["app2", "app3"]);
    world.run(1);
    assert_eq!(world.eligible().len(), 3);
    assert_eq!(world.member("app1").address, Some("10.0.0.91:80".parse().unwrap()));
}

#[test]
fn nothing_is_probed_in_a_pool_that_no_listener_of_this_host_reaches() {
    let system = file("app1 app2", "");
    let mut world = World::of(system.clone());
    world.run(500);
    world.breaks("app1");
    assert_eq!(world.eligible(), ["app2"]);
    let stricter = file("app1 app2", "passive = { max_ejected = \"20 %\" }");
    world.pools.handle(world.now, Input::Reload { system: stricter, used: Vec::new() });
    world.drain();
    let probes = world.probes.len();
    world.run(10_000);
    assert_eq!((world.probes.len(), world.serving(), world.eligible().len()), (probes, Serving::Nobody, 0));
    assert!(world.pools.status(world.now).is_empty());
    world.reload(system);
    assert_eq!(world.serving(), Serving::Everyone, "what was known is too old to go by");
    assert_eq!(world.status("app1").health, Health::Unknown);
    world.run(1);
    assert_eq!((world.serving(), world.eligible()), (Serving::Healthy, vec!["app1", "app2"]));
    assert!(world.view().members.iter().all(|member| member.share == 100), "all start together again");
}

#[test]
fn a_pool_that_a_reload_adds_is_tried_until_its_first_checks_and_that_is_no_news() {
    let mut world = World::new("app1 app2", "");
    world.run(500);
    let text = "name = \"t\"\n[hosts]\nlb1 = \"10.0.0.10\"\napp1 = \"10.0.0.21\"\napp2 = \"10.0.0.22\"\n\
                [load_balancers.front]\nhosts = [\"lb1\"]\n\
                listeners = [{ bind = \":81\", pool = \"new\" }, { bind = \":80\", pool = \"web\" }]\n\
                [pools.new]\nmembers = [\"app1:81\"]\n\
                [pools.web]\nmembers = [\"app1:80\", \"app2:80\"]\n";
    world.reload(parse(text));
    assert_eq!((world.serving(), world.eligible().len()), (Serving::Everyone, 1));
    world.run(1);
    assert_eq!((world.serving(), world.eligible().len()), (Serving::Healthy, 1));
    assert!(world.view().members.iter().all(|member| member.share == 100));
    assert!(world.view_of(1).members.iter().all(|member| member.eligible && member.share == 100));
    assert_eq!(world.said(Kind::Serving, 0), [""; 0]);
}

#[test]
fn a_name_is_looked_up_again_and_again_and_the_last_good_answer_stays() {
    let mut world = World::new("app1 named", "");
    assert_eq!(world.lookups, [0]);
    world.handle(Input::Resolved { name: "app.internal".to_owned(), addresses: Err("SERVFAIL".to_owned()) });
    world.names.insert("app.internal".to_owned(), Ok(vec![ip("10.0.0.9"), ip("10.0.0.8")]));
    world.run(1_001);
    assert_eq!(world.lookups, [0, 1_000], "sooner, while there is none");
    assert_eq!(world.member("named").address, Some("10.0.0.8:80".parse().unwrap()));
    assert_eq!(world.eligible(), ["app1", "named"]);

    world.names.insert("app.internal".to_owned(), Ok(vec![ip("10.0.0.7"), ip("10.0.0.8")]));
    world.run(10_000);
    assert_eq!(world.member("named").address, Some("10.0.0.8:80".parse().unwrap()), "still in the answer");
    world.names.insert("app.internal".to_owned(), Err("NXDOMAIN".to_owned()));
    world.run(30_000);
    assert_eq!(world.eligible(), ["app1", "named"]);
    world.names.insert("app.internal".to_owned(), Ok(vec![ip("10.0.0.7")]));
    world.run(10_002);
    assert_eq!(world.eligible(), ["app1", "named"]);
    let lookups = world.lookups.len();
    world.reload(file("app1 named", ""));
    assert_eq!(world.lookups.len(), lookups, "what is known is kept");
    assert_eq!(
        world.said(Kind::Address, 0),
        [
            "app.internal: does not resolve: SERVFAIL; no address is known yet",
            "app.internal: resolves: 10.0.0.8",
            "app.internal: does not resolve: NXDOMAIN; 10.0.0.8 stays in use",
            "app.internal: now 10.0.0.7, was 10.0.0.8",
        ]
    );
}
