//! What a database is where the file says little about it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nines_system::{
    Database, Durability, Engine, EtcdMember, GateTls, HostId, PostgreSql, Secret, Store, System,
};

use super::{GOOD, system, with, with_keys};

fn database(text: &str) -> Database {
    system(text).databases.remove(0)
}

fn postgresql(text: &str) -> PostgreSql {
    match database(text).engine {
        Engine::PostgreSql(engine) => engine,
        other => panic!("{other:?}"),
    }
}

fn host(system: &System, name: &str) -> HostId {
    system.host_named(name).expect("a host of the file")
}

#[test]
fn hosts_and_a_password_are_enough() {
    let system = system(GOOD);
    let database = &system.databases[0];
    assert_eq!(database.name, "orders");
    assert_eq!(database.hosts, ["db1", "db2", "db3"].map(|name| host(&system, name)));
    assert_eq!((database.port, database.read_port, database.admin), (5432, 5433, None));
    assert_eq!(database.data, PathBuf::from("/var/lib/nines/orders"));
    assert_eq!((database.confirm, database.durability), (1, Durability::Strict));
    assert_eq!(database.lease, Duration::from_millis(1500));
    assert_eq!(database.heartbeat, Duration::from_millis(250));
    assert_eq!(database.lag, 16 << 20);
    assert_eq!(database.switchover_within, Duration::from_secs(10));
    assert_eq!((&database.tls, database.keep), (&GateTls::Off, None));

    let engine = postgresql(GOOD);
    assert_eq!((engine.programs, engine.version), (None, None));
    assert_eq!(engine.user, "postgres");
    assert_eq!((engine.parameters, engine.access, engine.users), (vec![], vec![], vec![]));
    assert_eq!(engine.replication_password, Some(Secret::Text("secret".to_owned())));
}

#[test]
fn what_is_on_one_host_may_share_an_admin_address_or_have_several() {
    let three = |balancer: &str, orders: &str, stock: &str| {
        with(&[
            (r#"hosts = ["lb1"]"#, &format!("hosts = [\"lb1\", \"db1\"]\nadmin = \"{balancer}\"")),
            (r#"bind = ":5432""#, r#"bind = ":7432""#),
            ("[databases.orders]", &format!("[databases.orders]\nadmin = \"{orders}\"")),
            (
                "[coordination]",
                &format!(
                    "[databases.stock]\nhosts = [\"db1\"]\nport = 6432\nadmin = \"{stock}\"\n\n[coordination]"
                ),
            ),
        ])
    };
    let admins = |text: &str| {
        let system = system(text);
        let of = system.load_balancers[0].admin.into_iter();
        let all: Vec<_> = of.chain(system.databases.iter().filter_map(|database| database.admin)).collect();
        all.iter().map(SocketAddr::to_string).collect::<Vec<_>>()
    };
    let (one, other) = ("127.0.0.1:9009", "127.0.0.1:9010");
    assert_eq!(admins(&three(one, one, one)), [one, one, one]);
    assert_eq!(admins(&three(one, other, "127.0.0.2:9009")), [one, other, "127.0.0.2:9009"]);
}

#[test]
fn a_single_host_confirms_nothing_and_needs_no_password() {
    let text = with(&[
        (r#"hosts = ["db1", "db2", "db3"]"#, r#"hosts = ["db1"]"#),
        ("replication_password = \"secret\"", ""),
    ]);
    assert_eq!(database(&text).confirm, 0);
    assert_eq!(postgresql(&text).replication_password, None);
}

#[test]
fn what_is_not_said_follows_from_what_is() {
    let said = |keys: &str| database(&with_keys(keys));
    let moved = said("port = 6432");
    assert_eq!((moved.port, moved.read_port), (6432, 6433));
    assert_eq!(said("lease = \"200ms\"").heartbeat, Duration::from_millis(33));
    assert_eq!(said("lease = \"1min\"").heartbeat, Duration::from_secs(10));
    assert_eq!(said("lease = \"900ms\"\nheartbeat = \"300ms\"").heartbeat, Duration::from_millis(300));
    let (certificate, key) = (PathBuf::from("/c"), PathBuf::from("/k"));
    let tls = said("tls = { certificate = \"/c\", key = \"/k\" }").tls;
    assert_eq!(tls, GateTls::Terminate { certificate, key });
    assert_eq!(said("data = \"/srv/orders/\"").data, PathBuf::from("/srv/orders"));
}

#[test]
fn settings_are_written_as_postgresql_writes_them_in_the_order_of_the_file() {
    let keys = r#"parameters = { work_mem = "4MB", Jit = false, max_connections = 2_00, random_page_cost = 1.10, "auto_explain.log_analyze" = true, pg_stat_statements.max = 0x10, archive_command = "", SYNCHRONOUS_COMMIT = "remote_apply", fsync = true, wal_level = "Logical" }"#;
    let parameters = postgresql(&with_keys(keys)).parameters;
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        parameters,
        [
            ("work_mem", "4MB"),
            ("jit", "off"),
            ("max_connections", "200"),
            ("random_page_cost", "1.10"),
            ("auto_explain.log_analyze", "on"),
            ("pg_stat_statements.max", "16"),
            ("archive_command", ""),
            ("synchronous_commit", "remote_apply"),
            ("fsync", "on"),
            ("wal_level", "Logical"),
        ]
    );
}

#[test]
fn settings_from_elsewhere_are_judged_alike() {
    let refused = nines_system::refused_parameter;
    for (name, value) in [
        ("FSYNC", "off"),
        ("fsync", "F"),
        ("synchronous_commit", "local"),
        ("listen_addresses", ""),
        ("nines.revision", "1"),
        ("work mem", "4MB"),
        ("superuser_reserved_connections", "7"),
    ] {
        assert!(refused(name, value).is_some_and(|why| why.len() > 10), "{name} = {value}");
    }
    for (name, value) in [
        ("fsync", "TRUE"),
        ("fsync", " y "),
        ("synchronous_commit", "on"),
        ("pg_stat_statements.max", "1"),
        ("superuser_reserved_connections", "8"),
    ] {
        assert_eq!(refused(name, value), None, "{name} = {value}");
    }
}

#[test]
fn lines_of_access_are_kept_as_they_are_written() {
    let lines = r#"access = ['local  "a b", c	all reject # not now', "local all all ldap ldapserver=x"]"#;
    let kept = postgresql(&with_keys(lines)).access;
    assert_eq!(kept, ["local  \"a b\", c\tall reject # not now", "local all all ldap ldapserver=x"]);
    let over_tcp = r#"tls = { mode = "pass-through", certificate = "/c", key = "/k" }
access = ["hostssl all all 127.0.0.1/32 cert", "host all all 127.0.0.1 255.255.255.255 reject"]"#;
    assert_eq!(postgresql(&with_keys(over_tcp)).access.len(), 2);
}

#[test]
fn members_of_etcd_are_hosts_of_the_file_or_elsewhere() {
    let etcd = r#"etcd = ["db1:2379", "10.9.0.1:2379", "[2001:db8::1]:2379", "Etcd1.Example:2379"]"#;
    let system = system(&with(&[(r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"#, etcd)]));
    let coordination = system.coordination.as_ref().expect("a coordination");
    assert_eq!(coordination.prefix, "shop");
    let Store::Etcd(etcd) = &coordination.store else { panic!("{:?}", coordination.store) };
    let address = |text: &str| EtcdMember::Address(text.parse::<SocketAddr>().expect("an address"));
    assert_eq!(
        etcd.members,
        [
            EtcdMember::Host { host: host(&system, "db1"), port: 2379 },
            address("10.9.0.1:2379"),
            address("[2001:db8::1]:2379"),
            EtcdMember::Name { name: "etcd1.example".to_owned(), port: 2379 },
        ]
    );
    assert_eq!((&etcd.tls, &etcd.user), (&None, &None));
}

#[test]
fn a_prefix_is_the_systems_name_in_small_letters() {
    let system = system(&with(&[("\"shop\"", "\"Shop\"")]));
    assert_eq!(system.coordination.map(|coordination| coordination.prefix), Some("shop".to_owned()));
}

#[test]
fn a_directory_is_enough_where_addresses_say_that_all_is_one_machine() {
    let text = with(&[
        (r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"#, "embedded = \"/var/lib/nines/coordination\""),
        ("10.0.1.31", "127.0.1.31"),
        ("10.0.2.31", "127.0.2.31"),
        ("10.0.3.31", "::1"),
    ]);
    let store = system(&text).coordination.map(|coordination| coordination.store);
    assert_eq!(store, Some(Store::Embedded { path: "/var/lib/nines/coordination".into() }));
}
