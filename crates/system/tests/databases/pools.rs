//! What listeners reach of a database is a pool like others.

use std::time::Duration;

use nines_system::{Access, HostId, Probe, Protocol, WhenTooFew};

use super::{GOOD, said, system, with};

const LISTENER: &str = r#"{ bind = ":5432", database = "orders" }"#;

#[test]
fn each_way_to_a_database_is_one_pool_after_those_of_the_file() {
    let text = with(&[
        (
            LISTENER,
            r#"{ bind = ":80", pool = "web" },
{ bind = ":5433", database = "orders", access = "read-only", idle = "1h" },
{ bind = ":5432", database = "orders", access = "read-write", protocol = "tcp" },
{ bind = ":15432", database = "orders", name = "again" },"#,
        ),
        ("[databases.orders]", "[pools.web]\nmembers = [\"db1:80\"]\n\n[databases.orders]\nport = 6000"),
    ]);
    let system = system(&text);
    let names: Vec<_> = system.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["web", "orders-reads", "orders"]);
    let listeners = &system.load_balancers[0].listeners;
    let reached = listeners.iter().map(|listener| match &listener.protocol {
        Protocol::Tcp(tcp) => (listener.name.as_str(), system[tcp.pool].name.as_str(), tcp.idle.as_secs()),
        Protocol::Http(_) => (listener.name.as_str(), "http", 0),
    });
    assert_eq!(
        reached.collect::<Vec<_>>(),
        [
            ("http-80", "http", 0),
            ("tcp-5433", "orders-reads", 3600),
            ("tcp-5432", "orders", 7 * 24 * 3600),
            ("again", "orders", 7 * 24 * 3600),
        ]
    );
    let id = system.database_ids().next().expect("a database");
    assert_eq!(system.pools[0].reaches, None);
    assert_eq!(system.pools[1].reaches, Some((id, Access::ReadOnly)));
    assert_eq!(system.pools[2].reaches, Some((id, Access::ReadWrite)));
    let members = |pool: usize| system.pools[pool].members.iter().map(|member| member.name.as_str());
    assert_eq!(members(1).collect::<Vec<_>>(), ["db1:6001", "db2:6001", "db3:6001"]);
    assert_eq!(members(2).collect::<Vec<_>>(), ["db1:6000", "db2:6000", "db3:6000"]);
}

#[test]
fn its_gate_is_asked_and_traffic_judges_nobody() {
    let system = system(GOOD);
    let pool = &system.pools[0];
    assert_eq!(pool.check.probe, Probe::Gate(Access::ReadWrite));
    assert_eq!((pool.check.rise, pool.check.fall, pool.check.port), (1, 2, None));
    assert_eq!(pool.check.timeout, Duration::from_millis(500));
    assert!(pool.check.fast_interval < pool.check.interval && pool.check.interval < pool.check.timeout);
    assert_eq!(pool.passive.failures, None);
    assert_eq!((pool.minimum_healthy, pool.when_too_few), (0.0, WhenTooFew::Refuse));
    assert_eq!(pool.slow_start, Duration::ZERO);
    assert_eq!(pool.drain, Duration::from_secs(30), "of a host that an operator drains");
    let hosts: Vec<HostId> = pool.members.iter().map(|member| member.host).collect();
    assert_eq!(hosts, system.databases[0].hosts);
    assert!(pool.members.iter().all(|member| member.weight == 1 && !member.backup));
}

#[test]
fn a_database_that_no_listener_reaches_has_no_pool_and_uses_its_hosts() {
    let text = with(&[
        (LISTENER, r#"{ bind = ":80", pool = "web" }"#),
        ("[databases.orders]", "[pools.web]\nmembers = [\"lb1:8080\"]\n\n[databases.orders]"),
    ]);
    assert_eq!(system(&text).pools.len(), 1);
    assert_eq!(said(&text), "");
}

#[test]
fn members_of_etcd_are_of_use_and_may_be_servers_of_a_pool() {
    let text = with(&[
        (r#"hosts = ["db1", "db2", "db3"]"#, r#"hosts = ["db1", "db2", "lb1"]"#),
        ("[load_balancers.front]\nhosts = [\"lb1\"]", "[load_balancers.front]\nhosts = [\"db4\"]"),
        ("db3 = {", "db4 = { zone = \"a\", address = \"10.0.1.34\" }\ndb3 = {"),
        (LISTENER, r#"{ bind = ":2379", protocol = "tcp", pool = "etcd" }"#),
        ("[databases.orders]", "[pools.etcd]\nmembers = [\"db1:2379\", \"db2:2379\"]\n\n[databases.orders]"),
    ]);
    assert_eq!(said(&text), "");
}
