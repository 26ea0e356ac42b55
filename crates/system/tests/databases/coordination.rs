//! Where hosts agree.

use super::mistake;

mistake! {
    no_coordination:
        r#"[coordination]
etcd = ["db1:2379", "db2:2379", "db3:2379"]
"# => "";
    r#"
error: there are databases and no `coordination`
  --> shop.toml:14:2
   |
14 | [databases.orders]
   |  ^^^^^^^^^ where do their hosts agree?
   |
   = help: add [coordination] with etcd = ["db1:2379", "db2:2379", "db3:2379"]
"#
}

mistake! {
    no_coordination_for_one_host:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1"]"#,
        r#"[coordination]
etcd = ["db1:2379", "db2:2379", "db3:2379"]
"# => "";
    r#"
error: there are databases and no `coordination`
  --> shop.toml:14:2
   |
14 | [databases.orders]
   |  ^^^^^^^^^ where do their hosts agree?
   |
   = help: add [coordination] with embedded = "/var/lib/nines/coordination", or with etcd = ["…:2379"]
"#
}

mistake! {
    a_coordination_of_nothing:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => "";
    r#"
error: the coordination has neither `etcd` nor `embedded`
  --> shop.toml:18:1
   |
18 | [coordination]
   | ^^^^^^^^^^^^^^ which store?
   |
   = help: add etcd = ["db1:2379", "db2:2379", "db3:2379"]
"#
}

mistake! {
    two_coordinations:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]
embedded = "/var/lib/nines/coordination""#;
    r#"
error: the coordination is either `etcd` or `embedded`
  --> shop.toml:20:12
   |
19 | etcd = ["db1:2379", "db2:2379", "db3:2379"]
   |        ------------------------------------ another
20 | embedded = "/var/lib/nines/coordination"
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ one store
   |
   = help: take one out: `etcd` where there are several machines
"#
}

mistake! {
    etcd_without_members:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => "etcd = []";
    r#"
error: etcd has no member
  --> shop.toml:19:8
   |
19 | etcd = []
   |        ^^ empty
   |
   = help: name at least one, better three: etcd = ["db1:2379", "db2:2379", "db3:2379"]
"#
}

mistake! {
    etcd_on_an_unknown_host:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db4:2379", "db3:2379"]"#;
    r#"
error: there is no host `db4`
  --> shop.toml:19:22
   |
 4 | [hosts]
   |  ----- hosts are defined here
...
19 | etcd = ["db1:2379", "db4:2379", "db3:2379"]
   |                      ^^^ not defined
   |
   = help: did you mean `db1`, `db2` or `db3`?
"#
}

mistake! {
    etcd_by_a_hosts_address:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["10.0.1.31:2379"]"#;
    r#"
error: a member is called by its host's name
  --> shop.toml:19:9
   |
 6 | db1 = { zone = "a", address = "10.0.1.31" }
   | --- the host that has it
...
19 | etcd = ["10.0.1.31:2379"]
   |         ^^^^^^^^^^^^^^^^ an address
   |
   = help: write "db1:2379"
"#
}

mistake! {
    etcd_by_a_url:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["https://db1:2379"]"#;
    r#"
error: `https://db1:2379` is not a host and a port
  --> shop.toml:19:9
   |
19 | etcd = ["https://db1:2379"]
   |         ^^^^^^^^^^^^^^^^^^ a URL
   |
   = help: write "db1:2379"; `tls` of the coordination says the rest
"#
}

mistake! {
    etcd_without_a_port:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1", "db2:2379", "db3:2379"]"#;
    r#"
error: `db1` is not a host and a port
  --> shop.toml:19:9
   |
19 | etcd = ["db1", "db2:2379", "db3:2379"]
   |         ^^^^^ a port is missing or wrong
   |
   = help: write "db1:2379", with the port that it serves
"#
}

mistake! {
    an_etcd_member_twice:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379", "db1:2379"]"#;
    r#"
error: a member of etcd is there twice
  --> shop.toml:19:33
   |
19 | etcd = ["db1:2379", "db2:2379", "db1:2379"]
   |         ---------- first        ^^^^^^^^^^ again
   |
   = help: take one out
"#
}

mistake! {
    etcd_by_no_name:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["etcd.1:2379"]"#;
    r#"
error: `etcd.1:2379` is not a host and a port
  --> shop.toml:19:9
   |
19 | etcd = ["etcd.1:2379"]
   |         ^^^^^^^^^^^^^ neither a host, an address nor a DNS name
   |
   = help: write, for example, "db1:2379", "10.0.1.31:2379" or "etcd1.example:2379"
"#
}

mistake! {
    etcd_that_nobody_can_reach:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["0.0.0.0:2379"]"#;
    r#"
error: nobody can be reached at `0.0.0.0:2379`
  --> shop.toml:19:9
   |
19 | etcd = ["0.0.0.0:2379"]
   |         ^^^^^^^^^^^^^^ not an address and a port of a member
   |
   = help: write the address by which the hosts reach it, such as "10.0.1.31:2379"
"#
}

mistake! {
    etcd_with_half_an_identity:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]
tls = { ca = "/etc/ca", certificate = "/etc/crt" }"#;
    r#"
error: `certificate` is of no use without `key`
  --> shop.toml:20:25
   |
20 | tls = { ca = "/etc/ca", certificate = "/etc/crt" }
   |                         ^^^^^^^^^^^ no `key`
   |
   = help: add key = "/…", or take it out
"#
}

mistake! {
    etcds_tls_without_a_ca:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]
tls = { cacert = "/etc/ca" }"#;
    r#"
error: the coordination's tls has no key `cacert`
  --> shop.toml:20:9
   |
20 | tls = { cacert = "/etc/ca" }
   |         ^^^^^^ unknown key
   |
   = help: did you mean `ca`?
"#
}

mistake! {
    etcds_user_without_a_password:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]
user = { name = "nines" }"#;
    r#"
error: the coordination's user has no `password`
  --> shop.toml:20:8
   |
20 | user = { name = "nines" }
   |        ^^^^^^^^^^^^^^^^^^ `password` is missing
   |
   = help: add password = "a-long-text-that-nobody-can-guess": the password
"#
}

mistake! {
    a_prefix_with_slashes:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]
prefix = "/shop/""#;
    r#"
error: `/shop/` can't be a prefix
  --> shop.toml:20:10
   |
20 | prefix = "/shop/"
   |          ^^^^^^^^ not a prefix
   |
   = help: write small letters, digits, `-`, `_` and `.`, without slashes
"#
}

mistake! {
    a_directory_for_several_hosts:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"embedded = "/var/lib/nines/coordination""#;
    r#"
error: a directory is no coordination for several hosts
  --> shop.toml:19:12
   |
 6 | db1 = { zone = "a", address = "10.0.1.31" }
   | --- has databases
 7 | db2 = { zone = "b", address = "10.0.2.31" }
   | --- has databases
...
19 | embedded = "/var/lib/nines/coordination"
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ each host would have its own, and be a primary of its own
   |
   = help: name the members of an etcd cluster: etcd = ["db1:2379", "db2:2379", "db3:2379"]
   = help: or, if all of them are one machine and see the same directory: embedded = { path = "/var/lib/nines/coordination", one_machine = true }
"#
}

mistake! {
    a_directory_in_a_databases:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1"]"#,
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"embedded = "/var/lib/nines/orders/store""#;
    r#"
error: the directories of database `orders` and the coordination overlap
  --> shop.toml:19:12
   |
14 | [databases.orders]
   |            ------ /var/lib/nines/orders
...
19 | embedded = "/var/lib/nines/orders/store"
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ /var/lib/nines/orders/store
   |
   = help: each has a directory of its own
"#
}

mistake! {
    tls_of_a_directory:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1"]"#,
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"embedded = "/var/lib/nines/coordination"
tls = { ca = "/etc/ca" }"#;
    r#"
error: `tls` is for `etcd` only
  --> shop.toml:20:1
   |
20 | tls = { ca = "/etc/ca" }
   | ^^^ does nothing here
   |
   = help: take it out
"#
}

mistake! {
    a_relative_store:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1"]"#,
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"embedded = "store""#;
    r#"
error: `embedded` is not a path that can be used
  --> shop.toml:19:12
   |
19 | embedded = "store"
   |            ^^^^^^^ not absolute
   |
   = help: write a path that begins with `/`, such as "/var/lib/nines/coordination"
"#
}
