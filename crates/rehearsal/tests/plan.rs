//! What a system file has in it to be broken.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use nines_rehearsal::plan::{ComponentKind, Manner, Promise};
use nines_rehearsal::{Fault, Plan};
use nines_system::System;

fn system(text: &str) -> System {
    nines_system::parse("shop.toml", text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)))
}

fn shop() -> System {
    system(include_str!("../../../examples/shop.toml"))
}

fn cases(plan: &Plan) -> Vec<String> {
    plan.cases.iter().map(|case| format!("{} {}", case.component.name, case.fault)).collect()
}

#[test]
fn every_server_meets_every_fault_and_the_whole_pool_is_killed() {
    let plan = Plan::of(&shop());
    assert_eq!(cases(&plan).len(), 3 * 5 + 1 + 1);
    assert_eq!(cases(&plan)[..5], ["app1 kill", "app1 freeze", "app1 cut-off", "app1 drain", "app1 restart"]);
    assert_eq!(cases(&plan)[15..], ["lb1 reload", "web kill"]);
    assert_eq!(plan.component_names(), ["app1", "app2", "app3", "lb1", "web"]);
    assert_eq!(plan.left_out, []);

    let app3 = &plan.cases[14];
    assert_eq!(app3.promise, Promise::NothingLost);
    assert_eq!(app3.component.zone.as_deref(), Some("b"));
    assert_eq!(app3.component.members, ["web/app3:8080"]);
    let web = &plan.cases[16];
    assert_eq!((web.promise, web.component.kind), (Promise::ComesBack, ComponentKind::WholePool));
    assert_eq!(web.component.hosts, ["app1", "app2", "app3"]);
    assert_eq!(web.component.zone, None);
    let door = &web.component.doors[0];
    assert_eq!((door.host.as_str(), door.address, door.port), ("lb1", None, 80));
}

#[test]
fn a_component_has_calm_between_its_faults() {
    let plan = Plan::of(&shop());
    let order = plan.playing_order();
    let played: Vec<String> =
        order.iter().map(|case| format!("{} {}", case.component.name, case.fault)).collect();
    assert_eq!(played[..4], ["app1 kill", "app2 kill", "app3 kill", "app1 freeze"]);
    assert_eq!(played[16], "web kill", "what hits everything comes last");
    assert_eq!(played.len(), plan.cases.len());
}

#[test]
fn names_narrow_it_and_unknown_ones_are_told_with_the_known() {
    let narrow = |only: &[&str], faults: &[&str]| {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        Plan::of(&shop()).narrow(&words(only), &words(faults))
    };
    assert_eq!(cases(&narrow(&["app2", "app1"], &["freeze"]).unwrap()), ["app1 freeze", "app2 freeze"]);
    assert_eq!(cases(&narrow(&["web"], &[]).unwrap()), ["web kill"]);
    let component = narrow(&["app9"], &[]).unwrap_err().to_string();
    assert_eq!(
        component,
        r#"there is no component "app9" to rehearse; there are: app1, app2, app3, lb1, web"#
    );
    let fault = narrow(&[], &["explode"]).unwrap_err().to_string();
    assert!(fault.ends_with("there are: kill, freeze, cut-off, drain, restart, reload"), "{fault}");
}

/// A listener for each kind of door, and hosts that are shared.
const MIXED: &str = r#"
name = "mixed"

[hosts]
lb1 = "10.0.0.10"
lb2 = "10.0.0.11"
box = "10.0.0.21"
one = "10.0.0.22"

[load_balancers.front]
hosts = ["lb1", "lb2"]

[[load_balancers.front.listeners]]
bind = ":80"
routes = [
  { host = "shop.example", path = "/", pool = "web" },
  { host = "*.api.example", path = "/v1", pool = "api" },
]

[[load_balancers.front.listeners]]
bind = ":5432"
protocol = "tcp"
pool = "cache"

[pools.web]
members = ["box:8080", "one:8080"]

[pools.api]
members = ["box:8081", "lb2:8081"]

[pools.cache]
command = ["redis-server", "--port", "{port}"]
members = ["one:6379"]

[pools.unreached]
members = ["box:9000"]
"#;

#[test]
fn a_host_of_several_pools_is_one_component_with_every_door_to_them() {
    let plan = Plan::of(&system(MIXED));
    let shared = &plan.cases.iter().find(|case| case.component.name == "box").unwrap().component;
    assert_eq!(shared.members, ["web/box:8080", "api/box:8081", "unreached/box:9000"]);
    let said: Vec<(&str, &Manner)> =
        shared.doors.iter().map(|door| (door.host.as_str(), &door.manner)).collect();
    let get = |host: &str, path: &str| Manner::Get { host: host.to_owned(), path: path.to_owned() };
    let (shop, api) = (get("shop.example", "/"), get("rehearsal.api.example", "/v1"));
    assert_eq!(said, [("lb1", &shop), ("lb2", &shop), ("lb1", &api), ("lb2", &api)]);
    assert_eq!(shared.alone_in, ["unreached"]);
}

#[test]
fn clients_of_a_load_balancers_host_come_to_that_host() {
    let plan = Plan::of(&system(MIXED));
    let case = plan.cases.iter().find(|case| case.component.name == "lb1").unwrap();
    assert_eq!((case.fault, case.component.kind), (Fault::Reload, ComponentKind::LoadBalancer));
    assert_eq!(case.component.doors.len(), 3);
    assert!(case.component.doors.iter().all(|door| door.host == "lb1"));
}

#[test]
fn where_a_request_cannot_be_repeated_only_the_return_is_promised() {
    let plan = Plan::of(&system(MIXED));
    let one = plan.cases.iter().find(|case| case.component.name == "one").unwrap();
    assert_eq!(one.promise, Promise::ComesBack);
    assert!(one.component.doors.iter().any(|door| door.manner == Manner::OpenAndClose));
}

#[test]
fn a_host_that_balances_too_is_left_out_and_said_to_be() {
    let plan = Plan::of(&system(MIXED));
    assert_eq!(plan.left_out, [("lb2".to_owned(), "load balancer front runs there too".to_owned())]);
    assert!(
        plan.cases.iter().all(|case| case.component.name != "lb2" || case.fault == Fault::Reload),
        "its file may be loaded again"
    );
    // One of `api`'s members is there, so `api` can't be killed as a whole; `web` can.
    let whole: Vec<&str> = plan
        .cases
        .iter()
        .filter(|case| case.component.kind == ComponentKind::WholePool)
        .map(|case| case.component.name.as_str())
        .collect();
    assert_eq!(whole, ["web"]);
    assert!(
        plan.cases
            .iter()
            .all(|case| case.component.kind != ComponentKind::WholePool || case.fault == Fault::Kill)
    );
}
