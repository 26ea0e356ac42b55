//! When is everything healthy?
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod status;

use std::collections::BTreeSet;

use nines_control::status::{
    DatabaseMember, DatabaseRole, DatabaseStatus, Health, MemberStatus, Phase, Standing, Status, Wish,
};
use nines_rehearsal::health::{self, Expected, ExpectedDatabase, away, missing};
use status::{member, pair, pool, status};

fn missing_of(change: impl FnOnce(&mut MemberStatus)) -> Vec<String> {
    let mut second = member("app2", Health::Up);
    change(&mut second);
    missing(&[status(vec![member("app1", Health::Up), second])], &Expected::default())
}

#[test]
fn whatever_keeps_a_member_from_its_share_is_named() {
    assert_eq!(missing_of(|_| ()), [""; 0]);
    assert_eq!(missing_of(|m| m.health = Health::Down), ["web/app2:8080 is down: connection refused"]);
    assert_eq!(missing_of(|m| m.health = Health::Unknown), ["web/app2:8080 is not checked yet"]);
    assert_eq!(missing_of(|m| m.ejected_ms = Some(5)), ["web/app2:8080 is ejected: connection refused"]);
    assert_eq!(missing_of(|m| m.wish = Wish::Draining), ["web/app2:8080 is draining"]);
}

#[test]
fn a_pool_that_no_listener_reaches_is_not_waited_for() {
    let mut all = status(vec![member("app1", Health::Up)]);
    all.pools.push(pool("elsewhere", vec![member("far", Health::Unknown)]));
    assert_eq!(missing(&[all], &Expected::default()), [""; 0]);
}

#[test]
fn an_unchecked_pool_is_healthy_until_traffic_says_otherwise() {
    let unchecked = Expected { unchecked: BTreeSet::from(["web".to_owned()]), ..Expected::default() };
    let mut unknown = member("app1", Health::Unknown);
    assert_eq!(missing(&[status(vec![unknown.clone()])], &unchecked), [""; 0]);
    unknown.ejected_ms = Some(1);
    assert_eq!(missing(&[status(vec![unknown])], &unchecked).len(), 1);
}

fn expected() -> Expected {
    let text = include_str!("../../../examples/pair.toml");
    Expected::of(&nines_system::parse("pair.toml", text).unwrap())
}

/// What is missing, and what is not at home, when lb1 and lb2 say this of the address.
fn held(lb1: Standing, lb2: Standing) -> (Vec<String>, Vec<String>) {
    let all = pair(lb1, lb2);
    (missing(&all, &expected()), away(&all, &expected()))
}

#[test]
fn exactly_one_host_answers_on_a_virtual_address_and_the_other_stands_by() {
    use Standing::{Backup, Listening, Master, Off};
    let nothing = Vec::<String>::new();
    assert_eq!(held(Master, Backup), (nothing.clone(), nothing.clone()));
    let back = "front/10.0.1.100 is on lb2 and goes back to lb1".to_owned();
    assert_eq!(held(Backup, Master), (nothing.clone(), vec![back]));
    assert_eq!(held(Backup, Backup).0, ["nobody answers on front/10.0.1.100"]);
    assert_eq!(held(Master, Master).0, ["lb1 and lb2 answer on front/10.0.1.100"]);
    for idle in [Off, Listening] {
        assert_eq!(
            held(Master, idle),
            (vec!["lb2 does not stand by for front/10.0.1.100".to_owned()], nothing.clone())
        );
    }
    let unknown: Vec<Status> = vec![status(vec![member("app1", Health::Up)])];
    assert_eq!(missing(&unknown, &expected()), ["nobody answers on front/10.0.1.100"]);
}

#[test]
fn a_host_that_does_not_take_its_address_back_by_itself_is_not_waited_for() {
    let text = include_str!("../../../examples/pair.toml");
    let text = text.replace(r#"["10.0.1.100"]"#, r#"[{ address = "10.0.1.100", preempt = false }]"#);
    let expected = Expected::of(&nines_system::parse("pair.toml", &text).unwrap());
    let all = pair(Standing::Backup, Standing::Master);
    assert_eq!((missing(&all, &expected).len(), away(&all, &expected).len()), (0, 0));
}

#[test]
fn a_load_balancer_that_is_drained_is_named() {
    let mut all = pair(Standing::Backup, Standing::Master);
    all[0].wish = Wish::Draining;
    assert_eq!(missing(&all, &expected()), ["lb1 is draining"]);
}

#[test]
fn silence_is_not_health() {
    assert_eq!(missing(&[], &Expected::default()).len(), 1);
    let mut starting = status(vec![member("app1", Health::Up)]);
    starting.phase = Phase::Starting;
    starting.listeners[0].open = false;
    assert_eq!(missing(&[starting], &Expected::default()).len(), 2);
}

fn database(hosts: &[(&str, DatabaseRole, bool)], members: &[DatabaseMember]) -> Vec<Status> {
    let one = |&(host, role, serves): &(&str, DatabaseRole, bool)| {
        let it = DatabaseStatus {
            name: "orders".to_owned(),
            role,
            serves,
            members: members.to_vec(),
            settled: true,
            ..DatabaseStatus::default()
        };
        let well = status(Vec::new());
        Status {
            host: host.to_owned(),
            listeners: Vec::new(),
            pools: Vec::new(),
            databases: vec![it],
            ..well
        }
    };
    hosts.iter().map(one).collect()
}

fn of_database(host: &str, streaming: bool, in_cohort: bool) -> DatabaseMember {
    DatabaseMember { host: host.to_owned(), streaming, in_cohort, ..DatabaseMember::default() }
}

fn two() -> Expected {
    let hosts = ["db1", "db2"].map(str::to_owned).to_vec();
    Expected { databases: vec![ExpectedDatabase { name: "orders".to_owned(), hosts }], ..Expected::default() }
}

#[test]
fn a_database_is_healthy_with_one_that_serves_and_all_others_streaming_and_counting() {
    use DatabaseRole::{Primary, Standby, Stopped};
    let well = [of_database("db1", false, true), of_database("db2", true, true)];
    let all = database(&[("db1", Primary, true), ("db2", Standby, false)], &well);
    assert_eq!(missing(&all, &two()), Vec::<String>::new());
    assert_eq!(health::primary(&all, "orders").unwrap().0, "db1");
    assert_eq!(health::confirming(&all, "orders"), ["db2"]);

    let both = database(&[("db1", Primary, true), ("db2", Primary, true)], &well);
    assert_eq!(missing(&both, &two()), ["db1 and db2 serve orders"]);
    assert!(health::primary(&both, "orders").is_none());
    let nobody = database(&[("db1", Primary, false), ("db2", Standby, false)], &well);
    assert_eq!(missing(&nobody, &two()), ["nobody serves orders"]);
    let gone = database(&[("db1", Primary, true)], &well);
    assert_eq!(missing(&gone, &two()), ["db2 says nothing of orders"]);
    let stopped = database(&[("db1", Primary, true), ("db2", Stopped, false)], &well);
    assert_eq!(missing(&stopped, &two()), ["orders: db2 is no standby"]);

    let why = |streaming, in_cohort| {
        let members = [of_database("db1", false, true), of_database("db2", streaming, in_cohort)];
        missing(&database(&[("db1", Primary, true), ("db2", Standby, false)], &members), &two())
    };
    assert_eq!(why(false, true), ["orders: db2 doesn't stream"]);
    assert_eq!(why(true, false), ["orders: db2 doesn't count for commits"]);
    let mut busy = all;
    busy[1].databases[0].settled = false;
    assert_eq!(missing(&busy, &two()), ["orders: something is under way on db2"]);
}

#[test]
fn a_load_balancer_needs_one_of_a_databases_hosts_and_not_all() {
    let reaching = Expected { reaching: ["web".to_owned()].into(), ..Expected::default() };
    let shut = |host| MemberStatus { eligible: false, ..member(host, Health::Down) };
    assert_eq!(
        missing(&[status(vec![member("db1", Health::Up), shut("db2")])], &reaching),
        Vec::<String>::new()
    );
    let nobody = [status(vec![shut("db1"), shut("db2")])];
    assert_eq!(missing(&nobody, &reaching), ["lb1: web reaches nobody"]);
    let mut told = status(vec![shut("db1"), shut("db2")]);
    told.pools[0].who = Some("there is no primary: connections wait for one".to_owned());
    assert_eq!(missing(&[told], &reaching), ["lb1: web: there is no primary: connections wait for one"]);
}
