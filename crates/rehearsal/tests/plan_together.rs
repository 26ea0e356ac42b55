//! What is lost at one stroke: what may be expected of what is left, and what can't be had on this machine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::collections::BTreeSet;
use std::time::Duration;

use nines_rehearsal::plan::{Case, ComponentKind, Fatal, MOST_PAIRS, Promise};
use nines_rehearsal::{Fault, Options, Plan};
use nines_system::System;

const PAIR: &str = include_str!("../../../examples/pair.toml");
const SHOP: &str = include_str!("../../../examples/shop.toml");

fn system(text: &str) -> System {
    nines_system::parse("test.toml", text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)))
}

fn case<'a>(plan: &'a Plan, name: &str) -> &'a Case {
    let called = |case: &&Case| case.component.name == name;
    plan.cases.iter().find(called).unwrap_or_else(|| panic!("no {name} in {:?}", plan.component_names()))
}

const MOVES: Promise = Promise::Moves { within: Duration::from_millis(500) };

#[test]
fn a_zone_is_lost_in_systems_without_databases_too() {
    let plan = Plan::of(&system(PAIR));
    // The host that answers is in one of them.
    assert_eq!(case(&plan, "zone a").promise, MOVES);
    assert_eq!(case(&plan, "zone b").promise, Promise::NothingLost);
    assert_eq!(case(&plan, "zone a").component.members, ["web/app1:8080"]);
    assert_eq!(
        case(&plan, "zone a").component.virtual_ips,
        ["front/10.0.1.100"],
        "which must be at home first"
    );
    assert_eq!(case(&plan, "everything").promise, Promise::ComesBack);
    let one_side = PAIR.replace(r#""app1:8080", "#, "");
    let plan = Plan::of(&system(&one_side));
    assert_eq!(case(&plan, "zone b").promise, Promise::ComesBack, "all of web is there");
    assert_eq!(plan.left_out, [("app1".to_owned(), "nothing of the system runs there".to_owned())]);
}

#[test]
fn a_zone_of_a_system_with_a_database_is_seen_by_those_who_write_and_those_who_ask() {
    let plan = Plan::of(&system(SHOP));
    let a = case(&plan, "zone a");
    assert_eq!(a.promise, Promise::KeepsWrites { within: Some(Duration::from_secs(5)) });
    assert_eq!(a.asked, Some(MOVES));
    assert_eq!(case(&plan, "zone c").asked, Some(Promise::NothingLost), "nothing of the web is there");
    let everything = case(&plan, "everything");
    assert_eq!(everything.promise, Promise::KeepsWrites { within: None });
    assert_eq!((everything.asked, everything.component.hosts.len()), (Some(Promise::ComesBack), 8));
}

#[test]
fn regions_are_lost_where_there_are_several() {
    let zones = r#"zones = { a = { region = "north" }, b = { region = "south" } }"#;
    let text = PAIR.replace(r#"zones = ["a", "b"]"#, zones);
    let plan = Plan::of(&system(&text));
    assert_eq!(case(&plan, "region north").component.hosts, ["lb1", "app1"]);
    assert_eq!(case(&plan, "region north").component.kind, ComponentKind::Region);
    let plan = Plan::of(&system(&text.replace("south", "north")));
    assert!(plan.cases.iter().all(|case| case.component.kind != ComponentKind::Region));
}

#[test]
fn what_is_shared_fails_as_what_it_is() {
    let shared = |what: &str, of: &str| format!("{PAIR}\n[shared.it]\n{what}\n{of}\n");
    let played = |text: &str| -> Vec<(Fault, Promise)> {
        let plan = Plan::of(&system(text));
        let cases = plan.cases.into_iter().filter(|case| case.component.name == "shared it");
        cases.map(|case| (case.fault, case.promise)).collect()
    };
    let both = r#"hosts = ["lb1", "lb2"]"#;
    assert_eq!(played(&shared(r#"what = "switch""#, both)), [(Fault::CutOff, Promise::ComesBack)]);
    assert_eq!(
        played(&shared(r#"what = "Power line 2""#, r#"hosts = ["lb1", "app1"]"#)),
        [(Fault::PowerOff, MOVES)]
    );
    let servers = r#"hosts = ["app1", "app2"]"#;
    // What is behind an uplink is not parted from each other.
    assert_eq!(played(&shared(r#"what = "uplinks""#, servers)), [(Fault::Partition, Promise::NothingLost)]);
    assert_eq!(
        played(&shared(r#"what = "network provider""#, servers)),
        [(Fault::Partition, Promise::NothingLost)]
    );
    assert_eq!(played(&shared("", both)).len(), 3, "it isn't said how");
    let zones = Plan::of(&system(&shared(r#"what = "provider""#, "hosts = [\"app1\"]\nzones = [\"b\"]")));
    let provider = case(&zones, "shared it");
    assert_eq!(provider.component.hosts, ["lb2", "app1", "app2", "app3"]);
    assert_eq!(provider.promise, Promise::ComesBack, "all of web is there");
    assert!(provider.component.kind.is_together());
    assert_eq!(zones.cases.iter().filter(|case| case.component.kind == ComponentKind::Everything).count(), 1);

    let certificate = shared(r#"what = "certificate""#, both);
    assert_eq!(played(&certificate), []);
    let (what, why) = Plan::of(&system(&certificate)).left_out.pop().unwrap();
    assert_eq!(what, "shared it");
    assert!(why.starts_with("how \"certificate\" fails can't be played"), "{why}");
}

#[test]
fn load_balancers_are_killed_as_a_whole_and_restarted_in_turn() {
    let plan = Plan::of(&system(PAIR));
    let of_front: Vec<_> = plan.cases.iter().filter(|case| case.component.name == "front").collect();
    let expected = [(Fault::Kill, Promise::ComesBack), (Fault::RollingRestart, Promise::NothingLost)];
    assert_eq!(of_front.iter().map(|case| (case.fault, case.promise)).collect::<Vec<_>>(), expected);
    assert_eq!(of_front[0].component.hosts, ["lb1", "lb2"]);
    // Without an address that moves, clients of a host that is restarted have nobody.
    let own = PAIR.replace(r#"virtual_ips = ["10.0.1.100"]"#, "");
    let plan = Plan::of(&system(&own));
    let rolling = plan.cases.iter().find(|case| case.component.name == "front" && !case.fault.weakens());
    assert_eq!(rolling.unwrap().promise, Promise::ComesBack);
}

#[test]
fn a_store_on_hosts_of_its_own_is_broken_as_hosts_are() {
    let text = SHOP.replace(r#""db3:2379""#, r#""vote:2379""#).replace(
        "[load_balancers.front]",
        "[hosts.vote]\nzone = \"c\"\naddress = \"10.0.3.41\"\n[load_balancers.front]",
    );
    let plan = Plan::of(&system(&text));
    let vote: Vec<_> = plan.cases.iter().filter(|case| case.component.name == "vote").collect();
    assert_eq!(vote.len(), Fault::OF_HOSTS.len());
    assert!(vote.iter().all(|case| case.component.kind == ComponentKind::Coordination));
    assert_eq!(vote[0].promise, Promise::KeepsWrites { within: Some(Duration::from_secs(3)) });
}

#[test]
fn pairs_are_of_different_zones_and_expect_what_is_left() {
    let plan = Plan::pairs(&system(PAIR), &Fatal::default(), &[]);
    let names = plan.component_names();
    assert!(names.contains(&"lb1 + app2".to_owned()) && names.contains(&"zone a + zone b".to_owned()));
    assert!(!names.contains(&"lb1 + app1".to_owned()), "they are lost with their zone");
    assert!(!names.contains(&"lb1 + zone a".to_owned()), "which it is in");
    assert_eq!(names.len(), 2 * 3 + 2 + 3 + 1);
    assert_eq!(case(&plan, "lb1 + app2").promise, MOVES);
    assert_eq!(case(&plan, "app1 + app2").promise, Promise::NothingLost, "app3 is left");
    assert_eq!(case(&plan, "lb1 + lb2").promise, Promise::ComesBack);
    assert_eq!(case(&plan, "app1 + zone b").promise, Promise::ComesBack, "nobody is left in web");
    let faults: Vec<_> = plan.cases.iter().filter(|case| case.component.name == "app1 + app2").collect();
    assert_eq!(faults.iter().map(|case| case.fault).collect::<Vec<_>>(), [Fault::Kill, Fault::CutOff]);
}

#[test]
fn of_a_pair_of_databases_hosts_no_write_is_lost_whatever_else_is() {
    let plan = Plan::pairs(&system(SHOP), &Fatal::default(), &[]);
    let within = |name: &str| case(&plan, name).promise.gap();
    assert_eq!(within("lb1 + db2"), Some(Duration::from_secs(5)));
    assert_eq!(within("db1 + db2"), None, "a write may be on these two alone");
    assert_eq!(within("app3 + zone a"), Some(Duration::from_secs(5)));
    assert!(plan.cases.iter().all(|case| matches!(case.promise, Promise::KeepsWrites { .. })));
    assert!(!plan.component_names().contains(&"lb1 + zone c".to_owned()), "that zone is db3 alone");
    // With five hosts of which two confirm, any two may be lost.
    let five = SHOP
        .replace(r#"hosts = ["db1", "db2", "db3"]"#, "hosts = [\"db1\", \"db2\", \"db3\", \"db4\", \"db5\"]\nconfirm = 2")
        .replace("db3 = {", "db4 = { zone = \"c\", address = \"10.0.3.32\" }\ndb5 = { zone = \"b\", address = \"10.0.2.32\" }\ndb3 = {")
        .replace(r#""db3:2379"]"#, r#""db3:2379", "db4:2379", "db5:2379"]"#);
    let plan = Plan::pairs(&system(&five), &Fatal::default(), &[]);
    assert_eq!(case(&plan, "db1 + db2").promise.gap(), Some(Duration::from_secs(5)));
}

#[test]
fn what_is_known_to_be_fatal_is_expected_to_come_back_and_no_more() {
    let pair = |one: &str, other: &str| [one.to_owned(), other.to_owned()];
    let fatal = Fatal {
        alone: BTreeSet::from(["host app3".to_owned()]),
        together: BTreeSet::from([pair("host app1", "host app2"), pair("zone b", "host db3")]),
    };
    let plan = Plan::pairs(&system(PAIR), &fatal, &[]);
    assert_eq!(case(&plan, "app1 + app2").promise, Promise::ComesBack);
    assert_eq!(case(&plan, "lb1 + app3").promise, Promise::ComesBack, "alone already");
    assert_eq!(case(&plan, "lb1 + app2").promise, MOVES);
    let plan = Plan::pairs(&system(SHOP), &fatal, &[]);
    let both = case(&plan, "db3 + zone b");
    assert_eq!((both.promise, both.asked), (Promise::KeepsWrites { within: None }, Some(Promise::ComesBack)));
}

/// Servers in twenty zones.
fn crowd(servers: usize) -> String {
    use std::fmt::Write;
    let mut text = String::from("name = \"crowd\"\nobjective = \"99.9 %\"\nzones = [");
    (0..20).for_each(|zone| write!(text, "\"z{zone}\", ").unwrap());
    text.push_str("]\n[hosts]\nlb1 = { zone = \"z0\", address = \"10.99.0.1\" }\n");
    for n in 0..servers {
        let zone = n % 20;
        writeln!(text, "a{n} = {{ zone = \"z{zone}\", address = \"10.{}.{}.5\" }}", n / 200, n % 200)
            .unwrap();
    }
    text.push_str(
        "[load_balancers.front]\nhosts = [\"lb1\"]\nlisteners = [{ bind = \":80\", pool = \"web\" }]\n",
    );
    text.push_str("[pools.web]\nmembers = [");
    (0..servers).for_each(|n| write!(text, "\"a{n}:80\", ").unwrap());
    text + "]\n"
}

#[test]
fn of_very_many_pairs_those_that_matter_most_are_played_and_the_others_are_counted() {
    let (system, begun) = (system(&crowd(400)), std::time::Instant::now());
    let pair = |one: &str, other: &str| [one.to_owned(), other.to_owned()];
    let fatal = Fatal { alone: BTreeSet::new(), together: BTreeSet::from([pair("host a399", "host a398")]) };
    let plan = Plan::pairs(&system, &fatal, &["a1 + a380".to_owned()]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let names = plan.component_names();
    assert_eq!(names.len(), MOST_PAIRS);
    assert_eq!(names[..2], ["a1 + a380", "a398 + a399"], "what is asked for, then what is fatal");
    assert!(names[2..].iter().all(|name| name.contains("zone ")), "there are enough of zones");
    // Hosts with hosts, with zones, and zones; without those of one zone.
    let all = 401 * 400 / 2 + 401 * 20 + 20 * 19 / 2 - (19 * 20 * 19 / 2 + 21 * 20 / 2) - 401;
    let left_out = plan.left_out.last().unwrap();
    assert_eq!(left_out.0, format!("{} more pairs", all - MOST_PAIRS));
}

#[test]
fn where_there_is_one_zone_pairs_are_of_its_hosts() {
    let text = PAIR
        .replace("zones = [\"a\", \"b\"]", "")
        .replace("zone = \"a\", ", "")
        .replace("zone = \"b\", ", "");
    let plan = Plan::pairs(&system(&text), &Fatal::default(), &[]);
    assert_eq!(plan.component_names().len(), 5 * 4 / 2);
}

#[test]
fn what_the_machine_cannot_do_is_not_played_and_said() {
    let plan = Plan::of(&system(PAIR));
    let all = plan.cases.len();
    assert!(plan.has(Fault::Lossy));
    let plan = plan.without(Fault::Lossy, "this kernel has no nftables");
    assert!(!plan.has(Fault::Lossy));
    assert_eq!((plan.cases.len(), plan.not_possible.len()), (all - 5, 5));
    assert_eq!(plan.not_possible[0].why, "this kernel has no nftables");
    assert_eq!(plan.not_possible[0].case.component.name, "app1");
}

#[test]
fn an_estimate_grows_with_the_cases_and_how_long_each_lasts() {
    let plan = Plan::of(&system(PAIR));
    let options = Options::default();
    let one = plan.clone().narrow(&["app1".to_owned()], &["kill".to_owned()]).unwrap().estimate(&options);
    assert!((Duration::from_secs(6)..Duration::from_secs(15)).contains(&one), "{one:?}");
    let whole = plan.estimate(&options);
    assert!(whole > 40 * Duration::from_secs(5), "{whole:?}");
    let longer = Options { hold: options.hold + Duration::from_secs(10), ..options };
    assert!(plan.estimate(&longer) > whole + Duration::from_secs(10 * 40));
    assert_eq!(Plan { cases: Vec::new(), ..plan }.estimate(&longer), Duration::ZERO);
}
