//! What a system file has in it to be broken.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::net::SocketAddr;
use std::time::Duration;

use nines_rehearsal::plan::{Component, ComponentKind, Door, Manner, Promise, Whom};
use nines_rehearsal::{Fault, Plan};
use nines_system::System;

fn system(text: &str) -> System {
    nines_system::parse("shop.toml", text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)))
}

fn pair() -> System {
    system(include_str!("../../../examples/pair.toml"))
}

fn cases(plan: &Plan) -> Vec<String> {
    plan.cases.iter().map(|case| format!("{} {}", case.component.name, case.fault)).collect()
}

#[test]
fn every_host_meets_every_fault_and_what_is_more_than_a_host_is_lost_as_a_whole() {
    let plan = Plan::of(&pair());
    assert_eq!(cases(&plan).len(), 3 * 11 + 2 * 12 + 2 * 3 + 1 + 2 + 2);
    let faults = |of: &str| {
        let of_it = plan.cases.iter().filter(|case| case.component.name == of);
        of_it.map(|case| case.fault.word()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        faults("app1"),
        "kill power-off freeze cut-off cut-in cut-out slow lossy drain maintenance restart"
    );
    assert_eq!(
        faults("lb1"),
        "kill power-off freeze cut-off cut-in cut-out slow lossy split drain restart reload"
    );
    assert_eq!(
        (faults("web"), faults("front")),
        ("kill rolling-restart".into(), "kill rolling-restart".into())
    );
    let names = ["app1", "app2", "app3", "lb1", "lb2", "zone a", "zone b", "everything", "web", "front"];
    assert_eq!(plan.component_names(), names);
    assert_eq!(plan.left_out, []);

    let app3 = plan.cases.iter().find(|case| case.component.name == "app3").unwrap();
    assert_eq!(app3.promise, Promise::NothingLost);
    assert_eq!(app3.component.zone.as_deref(), Some("b"));
    assert_eq!(app3.component.members, ["web/app3:8080"]);
    let web = plan.cases.iter().find(|case| case.component.name == "web").unwrap();
    assert_eq!((web.promise, web.component.kind), (Promise::ComesBack, ComponentKind::WholePool));
    assert_eq!(web.component.hosts, ["app1", "app2", "app3"]);
    assert_eq!(web.component.zone, None);
    assert_eq!(doors_of(&web.component), ["10.0.1.100:80"], "clients know the virtual address alone");
    assert_eq!(web.component.doors[0].host, "lb1");
}

fn doors_of(component: &Component) -> Vec<String> {
    let text = |door: &Door| match door.address {
        Some(address) => SocketAddr::new(address, door.port).to_string(),
        None => format!("{}:{}", door.host, door.port),
    };
    component.doors.iter().map(text).collect()
}

fn promise(plan: &Plan, component: &str, fault: Fault) -> Promise {
    plan.cases.iter().find(|case| case.component.name == component && case.fault == fault).unwrap().promise
}

#[test]
fn an_address_moves_in_time_and_what_was_planned_or_is_not_in_use_costs_nothing() {
    let plan = Plan::of(&pair());
    let moves = Promise::Moves { within: Duration::from_millis(500) };
    for fault in Fault::OF_LOAD_BALANCERS {
        let (of_active, of_backup) = match fault {
            Fault::Drain | Fault::Restart | Fault::Reload => (Promise::NothingLost, Promise::NothingLost),
            Fault::CutIn | Fault::Lossy => (Promise::ComesBack, Promise::ComesBack),
            Fault::Slow => (Promise::ComesBack, Promise::NothingFails),
            Fault::Split => (moves, moves),
            _ => (moves, Promise::NothingLost),
        };
        assert_eq!(promise(&plan, "lb1", fault), of_active, "{fault} of the one that answers");
        assert_eq!(promise(&plan, "lb2", fault), of_backup, "{fault} of the one that stands by");
    }
    assert_eq!(moves.words(), "no gap longer than 500 ms");
}

#[test]
fn a_load_balancer_is_broken_gently_first_and_last_in_the_ways_that_make_it_mistrust_itself() {
    let plan = Plan::of(&pair());
    let order: Vec<String> = plan
        .playing_order()
        .iter()
        .filter(|case| case.component.name == "lb1")
        .map(|case| case.fault.to_string())
        .collect();
    let expected = [
        "drain",
        "restart",
        "reload",
        "kill",
        "power-off",
        "cut-out",
        "slow",
        "lossy",
        "split",
        "cut-off",
        "cut-in",
        "freeze",
    ];
    assert_eq!(order, expected);
}

/// Two addresses, each at home on another host, a third one that can't move, and listeners on some of them.
const BOTH_WORK: &str = r#"
name = "both"

[hosts]
lb1 = "10.0.0.10"
lb2 = "10.0.0.11"
lb3 = "10.0.0.12"
app1 = "10.0.0.21"
app2 = "10.0.0.22"

[load_balancers.front]
hosts = ["lb1", "lb2", "lb3"]
virtual_ips = [
  { address = "10.0.0.100", hosts = ["lb1", "lb2"], interval = "20ms" },
  { address = ["10.0.0.101", "10.0.0.102"], hosts = ["lb2", "lb1"], interval = "250ms" },
  { address = "10.0.0.103", hosts = ["lb3"] },
]

[[load_balancers.front.listeners]]
bind = ":80"
pool = "web"

[[load_balancers.front.listeners]]
bind = "10.0.0.102:81"
pool = "web"

[[load_balancers.front.listeners]]
bind = "10.0.0.10:82"
pool = "web"

[pools.web]
members = ["app1:8080", "app2:8080"]
"#;

#[test]
fn clients_come_in_by_the_virtual_addresses_that_a_listener_answers() {
    let plan = Plan::of(&system(BOTH_WORK));
    let doors =
        |name: &str| doors_of(&plan.cases.iter().find(|case| case.component.name == name).unwrap().component);
    let moving = ["10.0.0.100:80", "10.0.0.101:80", "10.0.0.102:80"];
    let own = "10.0.0.10:82";
    assert_eq!(doors("app1"), [&moving[..], &["10.0.0.103:80", "10.0.0.102:81", own]].concat());
    assert_eq!(doors("lb1"), [&moving[..], &["10.0.0.102:81"]].concat(), "what does not move is left out");
    assert_eq!(doors("lb2"), doors("lb1"));
}

#[test]
fn where_each_host_answers_on_an_address_of_its_own_each_is_active() {
    let plan = Plan::of(&system(BOTH_WORK));
    let moves = Promise::Moves { within: Duration::from_millis(1250) };
    assert_eq!(promise(&plan, "lb1", Fault::Kill), moves);
    assert_eq!(promise(&plan, "lb2", Fault::Kill), moves);
    // Nobody can take over from it.
    for case in plan.cases.iter().filter(|case| case.component.name == "lb3") {
        let planned = if case.fault == Fault::Reload { Promise::NothingLost } else { Promise::ComesBack };
        assert_eq!(case.promise, planned, "{}", case.fault);
    }
}

#[test]
fn a_short_interval_promises_no_shorter_gap_than_a_machine_can_keep() {
    let plan = Plan::of(&system(&BOTH_WORK.replace("250ms", "10ms")));
    assert_eq!(promise(&plan, "lb1", Fault::Freeze), Promise::Moves { within: Duration::from_millis(150) });
}

#[test]
fn a_server_that_balances_too_is_broken_as_a_load_balancer() {
    let plan = Plan::of(&system(
        &BOTH_WORK.replace(r#""app2:8080""#, r#""lb2:8080""#).replace(r#"app2 = "10.0.0.22""#, ""),
    ));
    assert_eq!(plan.left_out, []);
    assert!(plan.cases.iter().any(|case| case.component.name == "lb2" && case.fault == Fault::Kill));
}

#[test]
fn a_component_has_calm_between_its_faults() {
    let plan = Plan::of(&pair());
    let order = plan.playing_order();
    let played: Vec<String> =
        order.iter().map(|case| format!("{} {}", case.component.name, case.fault)).collect();
    assert_eq!(played[..4], ["app1 kill", "app2 kill", "app3 kill", "app1 power-off"]);
    assert_eq!(played[33..36], ["lb1 drain", "lb2 drain", "lb1 restart"]);
    assert_eq!(played[55..57], ["lb2 freeze", "lb1 freeze"], "what takes longest to return comes last");
    assert_eq!(played[57], "web kill", "what hits everything comes last");
    assert_eq!(played.last().unwrap(), "everything power-off");
    assert_eq!(played.len(), plan.cases.len());
}

#[test]
fn names_narrow_it_and_unknown_ones_are_told_with_the_known() {
    let narrow = |only: &[&str], faults: &[&str]| {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        Plan::of(&pair()).narrow(&words(only), &words(faults))
    };
    assert_eq!(cases(&narrow(&["app2", "app1"], &["freeze"]).unwrap()), ["app1 freeze", "app2 freeze"]);
    assert_eq!(cases(&narrow(&["web"], &[]).unwrap()), ["web kill", "web rolling-restart"]);
    let component = narrow(&["app9"], &[]).unwrap_err().to_string();
    assert_eq!(
        component,
        r#"there is no component "app9" to rehearse; there are: app1, app2, app3, lb1, lb2, zone a, zone b, everything, web, front"#
    );
    let fault = narrow(&[], &["explode"]).unwrap_err().to_string();
    assert!(fault.contains("kill, power-off, freeze, ") && fault.ends_with("restart, reload"), "{fault}");
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
    assert_eq!((case.promise, case.component.kind), (Promise::ComesBack, ComponentKind::LoadBalancer));
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
fn members_are_killed_alone_where_their_host_has_more_to_do() {
    let plan = Plan::of(&system(MIXED));
    assert_eq!(plan.left_out, [("pool unreached".to_owned(), "no listener leads to it".to_owned())]);
    let members: Vec<&str> = plan
        .cases
        .iter()
        .filter(|case| case.component.kind == ComponentKind::Member && case.fault == Fault::KillMember)
        .map(|case| case.component.name.as_str())
        .collect();
    let all = ["web/box:8080", "api/box:8081", "web/one:8080", "cache/one:6379", "api/lb2:8081"];
    let (mut members, mut all) = (members, all.to_vec());
    members.sort_unstable();
    all.sort_unstable();
    assert_eq!(members, all);
    let lone = plan.cases.iter().find(|case| case.component.name == "cache/one:6379").unwrap();
    assert_eq!(
        (lone.promise, lone.component.alone_in.as_slice()),
        (Promise::ComesBack, &["cache".to_owned()][..])
    );
    let spared = plan.cases.iter().find(|case| case.component.name == "api/lb2:8081").unwrap();
    assert_eq!(
        (spared.promise, spared.component.hosts.as_slice()),
        (Promise::NothingLost, &["lb2".to_owned()][..])
    );

    // One of `api`'s members is on a load balancer's host: as a whole it is its members that are killed.
    let whole: Vec<(&str, &str)> = plan
        .cases
        .iter()
        .filter(|case| case.component.kind == ComponentKind::WholePool)
        .map(|case| (case.component.name.as_str(), case.fault.word()))
        .collect();
    assert_eq!(whole, [("web", "kill"), ("web", "rolling-restart"), ("api", "kill-member")]);
    let api = plan.cases.iter().find(|case| case.component.name == "api").unwrap();
    assert_eq!(api.component.members, ["api/box:8081", "api/lb2:8081"], "and nobody else's");
}

fn shop() -> System {
    system(include_str!("../../../examples/shop.toml"))
}

fn of<'a>(plan: &'a Plan, label: &str) -> Vec<&'a nines_rehearsal::Case> {
    plan.cases.iter().filter(|case| case.component.label() == label).collect()
}

#[test]
fn a_database_is_broken_by_role_and_etcd_by_its_leader_and_as_a_whole() {
    let plan = Plan::of(&shop());
    assert_eq!(plan.left_out, []);
    let names = plan.component_names();
    assert_eq!(
        names[5..],
        [
            "orders/primary",
            "orders/standby",
            "orders/standbys",
            "orders",
            "coordination/leader",
            "coordination",
            "zone a",
            "zone b",
            "zone c",
            "everything",
            "web",
            "front"
        ]
    );
    // Two of the three hosts of each kind are elsewhere.
    let five = Promise::KeepsWrites { within: Some(Duration::from_secs(5)) };
    for zone in ["zone a", "zone b", "zone c"] {
        let cases = of(&plan, zone);
        assert!(cases.iter().all(|case| case.promise == five), "{cases:?}");
        // In zone c there is one host, which has nobody to be left with.
        let most = if zone == "zone c" { 2 } else { 3 };
        let faults: Vec<_> = cases.iter().map(|case| case.fault).collect();
        assert_eq!(faults, [Fault::PowerOff, Fault::CutOff, Fault::Partition][..most], "{zone}");
    }
    assert_eq!(of(&plan, "zone a")[0].component.hosts, ["lb1", "app1", "db1"]);
    let faults = |label: &str| of(&plan, label).iter().map(|case| case.fault.to_string()).collect::<Vec<_>>();
    assert_eq!(
        faults("orders/primary").join(" "),
        "kill power-off freeze kill-server freeze-server kill-nines freeze-nines cut-off cut-in cut-out \
         slow lossy switchover restart reload"
    );
    assert_eq!(
        faults("orders/standby").join(" "),
        "kill power-off freeze kill-server freeze-server kill-nines freeze-nines cut-off cut-in cut-out slow lossy \
         restart reload"
    );
    assert_eq!(faults("orders").join(" "), "power-off rolling-restart");
    assert_eq!(faults("orders/standbys").join(" "), "kill cut-off");
    assert_eq!(faults("coordination/leader").join(" "), "kill-store freeze-store");
    assert_eq!(faults("coordination").join(" "), "kill-store freeze-store");

    let primary = &of(&plan, "orders/primary")[0].component;
    assert_eq!((primary.kind, primary.whom), (ComponentKind::Database, Whom::Primary));
    assert_eq!((primary.hosts.len(), primary.doors.len()), (3, 0), "nobody asks it in HTTP");
    let writes = primary.writes.as_ref().unwrap();
    assert_eq!((writes.user.as_str(), writes.inside.as_str(), writes.read_port), ("shop", "shop", 5433));
    let [door] = &writes.doors[..] else { panic!("{:?}", writes.doors) };
    assert_eq!((door.address, door.port), (Some("10.0.1.100".parse().unwrap()), 5432), "read-write alone");
    let lb1 = &of(&plan, "lb1")[0].component;
    assert_eq!(doors_of(lb1), ["10.0.1.100:80"], "a database is not spoken to in HTTP");
}

#[test]
fn how_long_writes_may_stop_follows_from_the_lease_and_from_who_is_left() {
    fn within(plan: &Plan, label: &str, fault: Fault) -> Option<u128> {
        let case = *of(plan, label).iter().find(|case| case.fault == fault).unwrap();
        assert!(matches!(case.promise, Promise::KeepsWrites { .. }), "{:?}", case.promise);
        case.promise.gap().map(|gap| gap.as_millis())
    }
    let plan = Plan::of(&shop());
    let cases = [
        (Fault::KillServer, 1000),
        (Fault::Kill, 3000),
        (Fault::PowerOff, 3000),
        (Fault::CutOff, 3000),
        (Fault::KillNines, 3000),
        (Fault::FreezeNines, 3000),
        (Fault::FreezeServer, 3000),
        (Fault::CutIn, 5000),
        (Fault::CutOut, 5000),
        (Fault::Switchover, 500),
        (Fault::Restart, 1000),
        (Fault::Reload, 500),
        (Fault::Slow, 3000),
    ];
    for (fault, ms) in cases {
        assert_eq!(within(&plan, "orders/primary", fault), Some(ms), "{fault}");
    }
    assert_eq!(within(&plan, "orders/primary", Fault::Lossy), None, "what is lost is sent again, but when");
    assert_eq!(within(&plan, "orders", Fault::RollingRestart), Some(1000));
    assert_eq!(within(&plan, "orders", Fault::PowerOff), None);
    assert_eq!(within(&plan, "orders/standby", Fault::PowerOff), Some(1000));
    assert_eq!(within(&plan, "orders/standbys", Fault::Kill), None, "nobody is left to confirm");
    assert_eq!(within(&plan, "coordination/leader", Fault::KillStore), Some(1500));
    assert_eq!(within(&plan, "coordination", Fault::KillStore), None);

    let text = include_str!("../../../examples/shop.toml");
    let slower = text.replace("[databases.orders]", "[databases.orders]\nlease = \"3s\"");
    assert_eq!(within(&Plan::of(&system(&slower)), "orders/primary", Fault::PowerOff), Some(6000));
    // Two hosts: when one is gone, the other one has nobody to confirm.
    let two = text.replace("hosts = [\"db1\", \"db2\", \"db3\"]", "hosts = [\"db1\", \"db2\"]");
    let two = Plan::of(&system(&two));
    assert_eq!(within(&two, "orders/primary", Fault::PowerOff), None);
    assert_eq!(within(&two, "orders/standby", Fault::PowerOff), None);
    assert_eq!(of(&two, "orders/standbys").len(), 0);
}

#[test]
fn roles_can_be_chosen_and_what_nobody_can_write_into_is_left_out() {
    let narrow = |only: &str| Plan::of(&shop()).narrow(&[only.to_owned()], &[]);
    assert_eq!(narrow("orders").unwrap().cases.len(), 15 + 14 + 2 + 2);
    assert_eq!(narrow("orders/standbys").unwrap().cases.len(), 2);
    assert_eq!(narrow("coordination").unwrap().cases.len(), 4);
    assert!(narrow("orders/nobody").unwrap_err().known.contains(&"orders/primary".to_owned()));

    let text = include_str!("../../../examples/shop.toml");
    let nobody = text.replace(", owns = [\"shop\"]", "");
    let plan = Plan::of(&system(&nobody));
    assert_eq!(of(&plan, "orders/primary").len() + of(&plan, "coordination").len(), 0);
    let [(what, why), (other, _)] = &plan.left_out[..] else { panic!("{:?}", plan.left_out) };
    assert_eq!((what.as_str(), other.as_str()), ("database orders", "coordination"));
    assert!(why.contains("no user that owns a database"), "{why}");
}
