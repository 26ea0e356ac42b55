//! What is no mistake, but not what databases with standbys are for.

use super::warning;

warning! {
    a_single_instance:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1"]"#;
    r#"
warning: database `orders` is a single instance
  --> shop.toml:15:9
   |
15 | hosts = ["db1"]
   |         ^^^^^^^ one host only
   |
   = help: nobody takes over when it fails: give it two more hosts, in other zones
"#
}

warning! {
    all_in_one_zone:
        r#"db2 = { zone = "b""# => r#"db2 = { zone = "a""#,
        r#"db3 = { zone = "c""# => r#"db3 = { zone = "a""#;
    r#"
warning: no host is in zone `b`
 --> shop.toml:2:15
  |
2 | zones = ["a", "b", "c"]
  |               ^^^ not used
  |
  = help: put a host there, or take it out

warning: no host is in zone `c`
 --> shop.toml:2:20
  |
2 | zones = ["a", "b", "c"]
  |                    ^^^ not used
  |
  = help: put a host there, or take it out

warning: all hosts of database `orders` are in one zone
  --> shop.toml:15:9
   |
15 | hosts = ["db1", "db2", "db3"]
   |         ^^^^^^^^^^^^^^^^^^^^^ fail together
   |
   = help: put them into different zones

warning: all members of etcd are in one zone
  --> shop.toml:19:8
   |
19 | etcd = ["db1:2379", "db2:2379", "db3:2379"]
   |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ fail together
   |
   = help: put them into different zones
"#
}

warning! {
    every_standby_is_waited_for:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1", "db2"]"#;
    r#"
warning: writes of database `orders` wait while any of its hosts is down
  --> shop.toml:15:9
   |
15 | hosts = ["db1", "db2"]
   |         ^^^^^^^^^^^^^^ 2 hosts, and each write waits for the only standby
   |
   = help: give it one more host, let fewer `confirm`, or set `durability` to "available"
"#
}

warning! {
    etcd_with_a_single_member:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379"]"#;
    r#"
warning: etcd has a single member
  --> shop.toml:19:8
   |
19 | etcd = ["db1:2379"]
   |        ^^^^^^^^^^^^ when it fails, no primary can be chosen or keep its lease
   |
   = help: name three members, in three zones
"#
}

warning! {
    etcd_with_two_members:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379"]"#;
    r#"
warning: etcd with two members fails when either does
  --> shop.toml:19:8
   |
19 | etcd = ["db1:2379", "db2:2379"]
   |        ^^^^^^^^^^^^^^^^^^^^^^^^ not more than one member alone is worth
   |
   = help: name three members, in three zones
"#
}

warning! {
    etcd_with_four_members:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379", "db3:2379", "lb1:2379"]"#;
    r#"
warning: an even number of etcd members is no better than one less
  --> shop.toml:19:8
   |
19 | etcd = ["db1:2379", "db2:2379", "db3:2379", "lb1:2379"]
   |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 4 members need 3 that agree
   |
   = help: name 3 or 5
"#
}

warning! {
    access_without_a_password:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
access = ["local all all trust"]"#;
    r#"
warning: everybody who reaches the gate gets in without a password
  --> shop.toml:17:11
   |
17 | access = ["local all all trust"]
   |           ^^^^^^^^^^^^^^^^^^^^^ `trust`
   |
   = help: write `scram-sha-256`
"#
}

warning! {
    several_hosts_of_one_machine:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"embedded = { path = "/var/lib/nines/coordination", one_machine = true }"#;
    r#"
warning: the hosts of databases agree by a directory
  --> shop.toml:19:12
   |
19 | embedded = { path = "/var/lib/nines/coordination", one_machine = true }
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ of one machine
   |
   = help: for trying things out; where there are several machines, name an etcd cluster
"#
}

warning! {
    a_coordination_for_nothing:
        r#"[databases.orders]
hosts = ["db1", "db2", "db3"]
replication_password = "secret"
"# => "",
        r#"{ bind = ":5432", database = "orders" }"# => r#"{ bind = ":80", pool = "web" }"#,
        "[coordination]" => r#"[pools.web]
members = ["lb1:8080"]

[coordination]"#;
    r#"
warning: there is a coordination and no database
  --> shop.toml:18:2
   |
18 | [coordination]
   |  ^^^^^^^^^^^^ not used
   |
   = help: take it out, or add a database: [databases.orders]
"#
}
