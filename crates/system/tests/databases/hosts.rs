//! Who has a database, and where.

use super::mistake;

mistake! {
    another_engine:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
engine = "mysql""#;
    r#"
error: `engine` can't be `mysql`
  --> shop.toml:17:10
   |
17 | engine = "mysql"
   |          ^^^^^^^ unknown word
   |
   = help: known words: `postgresql`
"#
}

mistake! {
    a_database_without_hosts:
        r#"hosts = ["db1", "db2", "db3"]
"# => "";
    r#"
error: a database has no `hosts`
  --> shop.toml:14:12
   |
14 | [databases.orders]
   |            ^^^^^^ `hosts` is missing
   |
   = help: add hosts = ["db1"]: who has an instance of it, each as good as the others; of those that may take over, the first tries first
"#
}

mistake! {
    a_database_on_no_host:
        r#"hosts = ["db1", "db2", "db3"]"# => "hosts = []";
    r#"
error: database `orders` has no host
  --> shop.toml:15:9
   |
15 | hosts = []
   |         ^^ empty
   |
   = help: name the hosts that it runs on: hosts = ["db1"]
"#
}

mistake! {
    a_database_on_an_unknown_host:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1", "db2", "db9"]"#;
    r#"
error: there is no host `db9`
  --> shop.toml:15:24
   |
 4 | [hosts]
   |  ----- hosts are defined here
...
15 | hosts = ["db1", "db2", "db9"]
   |                        ^^^^^ not defined
   |
   = help: did you mean `db1`, `db2` or `db3`?
"#
}

mistake! {
    a_database_on_a_host_twice:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1", "db2", "db1"]"#;
    r#"
error: database `orders` has a host twice
  --> shop.toml:15:24
   |
15 | hosts = ["db1", "db2", "db1"]
   |          ----- first   ^^^^^ again
   |
   = help: take one out
"#
}

mistake! {
    a_database_in_capital_letters:
        "[databases.orders]" => "[databases.Orders]";
    r#"
error: there is no database `orders`
  --> shop.toml:12:43
   |
12 | listeners = [{ bind = ":5432", database = "orders" }]
   |                                           ^^^^^^^^ not defined
13 |
14 | [databases.Orders]
   |            ------ `Orders` is defined here
   |
   = help: did you mean `Orders`?

error: database `Orders` has capital letters
  --> shop.toml:14:12
   |
14 | [databases.Orders]
   |            ^^^^^^ small letters only
   |
   = help: names in the coordination have none: write orders
"#
}

mistake! {
    a_database_on_a_host_in_capital_letters:
        "db1 = {" => "DB1 = {",
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["DB1", "db2", "db3"]"#,
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["DB1:2379", "db2:2379", "db3:2379"]"#;
    r#"
error: host `DB1` of a database has capital letters
 --> shop.toml:6:1
  |
6 | DB1 = { zone = "a", address = "10.0.1.31" }
  | ^^^ small letters only
  |
  = help: names in the coordination have none: write db1
"#
}

mistake! {
    a_database_under_the_name_that_others_give_it:
        "[databases.orders]" => "[postgresql.orders]";
    r#"
error: there is no database `orders`
  --> shop.toml:12:43
   |
12 | listeners = [{ bind = ":5432", database = "orders" }]
   |                                           ^^^^^^^^ not defined
   |
   = help: define it: [databases.orders]

error: the system file has no key `postgresql`
  --> shop.toml:14:2
   |
14 | [postgresql.orders]
   |  ^^^^^^^^^^ unknown key
   |
   = help: did you mean `databases`?
"#
}

mistake! {
    keys_that_patroni_has:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
ttl = 30"#;
    r#"
error: a database has no key `ttl`
  --> shop.toml:17:1
   |
17 | ttl = 30
   | ^^^ unknown key
   |
   = help: did you mean `lease`?
"#
}

mistake! {
    confirmed_by_more_than_there_are:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
confirm = 3"#;
    r#"
error: `confirm` is more than there are standbys
  --> shop.toml:17:11
   |
15 | hosts = ["db1", "db2", "db3"]
   |         --------------------- one primary, and its standbys
16 | replication_password = "secret"
17 | confirm = 3
   |           ^ there are 2 standbys
   |
   = help: it must be from 1 to 2
"#
}

mistake! {
    confirmed_by_nobody:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
confirm = 0"#;
    r#"
error: `confirm` is 0, so that no standby could ever take over
  --> shop.toml:17:11
   |
15 | hosts = ["db1", "db2", "db3"]
   |         --------------------- one primary, and its standbys
16 | replication_password = "secret"
17 | confirm = 0
   |           ^ writes would be on the primary alone
   |
   = help: it must be from 1 to 2
"#
}

mistake! {
    confirmed_where_there_is_one_host:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1"]
confirm = 1"#;
    r#"
error: `confirm` is more than there are standbys
  --> shop.toml:16:11
   |
15 | hosts = ["db1"]
   |         ------- one primary, and its standbys
16 | confirm = 1
   |           ^ there is no standby
   |
   = help: take it out, or add hosts
"#
}

mistake! {
    a_lease_too_short:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
lease = "100ms""#;
    r#"
error: `lease` is out of range
  --> shop.toml:17:9
   |
17 | lease = "100ms"
   |         ^^^^^^^ out of range
   |
   = help: it must be from 200ms to 1min
"#
}

mistake! {
    a_heartbeat_too_slow:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
heartbeat = "600ms""#;
    r#"
error: `heartbeat` is longer than a third of `lease`
  --> shop.toml:17:13
   |
17 | heartbeat = "600ms"
   |             ^^^^^^^ 600ms
   |
   = help: `lease` is 1500ms where the file says nothing
   = help: one that is late must not cost the lease: write "500ms" or less, or a longer `lease`
"#
}

mistake! {
    a_heartbeat_too_slow_for_its_lease:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
lease = "900ms"
heartbeat = "400ms""#;
    r#"
error: `heartbeat` is longer than a third of `lease`
  --> shop.toml:18:13
   |
17 | lease = "900ms"
   |         ------- `lease` is 900ms
18 | heartbeat = "400ms"
   |             ^^^^^^^ 400ms
   |
   = help: one that is late must not cost the lease: write "300ms" or less, or a longer `lease`
"#
}

mistake! {
    a_port_for_everything:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
read_port = 5432"#;
    r#"
error: `read_port` is the same as `port`
  --> shop.toml:17:13
   |
17 | read_port = 5432
   |             ^^^^ 5432
   |
   = help: `port` is 5432 where the file says nothing
   = help: reads have a port of their own: give one of them another
"#
}

mistake! {
    a_port_for_everything_as_written:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
port = 6432
read_port = 6432"#;
    r#"
error: `read_port` is the same as `port`
  --> shop.toml:18:13
   |
17 | port = 6432
   |        ---- the same
18 | read_port = 6432
   |             ^^^^ 6432
   |
   = help: reads have a port of their own: give one of them another
"#
}

mistake! {
    the_last_port:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
port = 65535"#;
    r#"
error: there is no port above `port` for reads
  --> shop.toml:17:8
   |
17 | port = 65535
   |        ^^^^^ the last one
   |
   = help: add read_port = 5433, or another
"#
}

mistake! {
    two_databases_on_one_port:
        "[coordination]" => r#"[databases.stock]
hosts = ["db3", "db2"]
replication_password = "secret"

[coordination]"#;
    r#"
error: port 5432 is used twice on the same host
  --> shop.toml:18:12
   |
14 | [databases.orders]
   |            ------ the gate of database `orders` has it already
...
18 | [databases.stock]
   |            ^^^^^ the gate of database `stock`
   |
   = help: give one of them another port

error: port 5433 is used twice on the same host
  --> shop.toml:18:12
   |
14 | [databases.orders]
   |            ------ the gate for reads of database `orders` has it already
...
18 | [databases.stock]
   |            ^^^^^ the gate for reads of database `stock`
   |
   = help: give one of them another port
"#
}

mistake! {
    an_admin_address_of_a_database_without_a_host:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
admin = ":9009""#;
    r#"
error: `:9009` is not an IP address and a port
  --> shop.toml:17:9
   |
17 | admin = ":9009"
   |         ^^^^^^^ not an IP address and a port
   |
   = help: write "127.0.0.1:9009" for this host only, or the address of the network that may see it
"#
}

mistake! {
    an_admin_address_on_the_port_of_the_gate:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
admin = "127.0.0.1:5433""#;
    r#"
error: port 5433 is used twice on the same host
  --> shop.toml:17:9
   |
14 | [databases.orders]
   |            ------ the gate for reads of database `orders` has it already
...
17 | admin = "127.0.0.1:5433"
   |         ^^^^^^^^^^^^^^^^ `admin` of `orders`
   |
   = help: give one of them another port
"#
}

mistake! {
    admin_addresses_that_overlap_and_are_not_the_same:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
admin = "127.0.0.1:9009""#,
        "[coordination]" => r#"[databases.stock]
hosts = ["db1"]
port = 6432
admin = "0.0.0.0:9009"

[coordination]"#;
    r#"
error: port 9009 is used twice on the same host
  --> shop.toml:22:9
   |
17 | admin = "127.0.0.1:9009"
   |         ---------------- `admin` of `orders` has it already
...
22 | admin = "0.0.0.0:9009"
   |         ^^^^^^^^^^^^^^ `admin` of `stock`
   |
   = help: give one of them another port
"#
}

mistake! {
    two_databases_in_one_directory:
        "[coordination]" => r#"[databases.stock]
hosts = ["db1", "db2", "db3"]
port = 6432
data = "/var/lib/nines/orders/"
replication_password = "secret"

[coordination]"#;
    r#"
error: database `orders` and database `stock` have the same directory
  --> shop.toml:21:8
   |
14 | [databases.orders]
   |            ------ /var/lib/nines/orders
...
21 | data = "/var/lib/nines/orders/"
   |        ^^^^^^^^^^^^^^^^^^^^^^^^ /var/lib/nines/orders
   |
   = help: each has a directory of its own
"#
}

mistake! {
    a_directory_in_another:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
data = "/srv""#,
        "[coordination]" => r#"[databases.stock]
hosts = ["db1"]
port = 6432
data = "/srv/stock"

[coordination]"#;
    r#"
error: the directories of database `orders` and database `stock` overlap
  --> shop.toml:22:8
   |
17 | data = "/srv"
   |        ------ /srv
...
22 | data = "/srv/stock"
   |        ^^^^^^^^^^^^ /srv/stock
   |
   = help: each has a directory of its own
"#
}

mistake! {
    a_database_on_a_listeners_port:
        r#"hosts = ["db1", "db2", "db3"]"# => r#"hosts = ["db1", "db2", "lb1"]"#;
    r#"
error: port 5432 is used twice on the same host
  --> shop.toml:12:23
   |
12 | listeners = [{ bind = ":5432", database = "orders" }]
   |                       ^^^^^^^ listener `tcp-5432` of `front`
13 |
14 | [databases.orders]
   |            ------ the gate of database `orders` has it already
   |
   = help: give one of them another port
"#
}

mistake! {
    a_database_on_a_members_port:
        "[databases.orders]" => r#"[pools.pg]
members = ["db1:5432"]

[databases.orders]"#;
    r#"
error: member `db1:5432` of pool `pg` is the gate of database `orders`
  --> shop.toml:14:8
   |
14 | [pools.pg]
   |        ^^ has the member `db1:5432`
...
17 | [databases.orders]
   |            ------ takes this port on the same host
   |
   = help: a listener reaches a database without a pool: { bind = ":5432", database = "orders" }
"#
}

mistake! {
    etcd_on_a_databases_port:
        r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"# => r#"etcd = ["db1:2379", "db2:2379", "db3:5433"]"#;
    r#"
error: port 5433 is used twice on the same host
  --> shop.toml:19:33
   |
14 | [databases.orders]
   |            ------ the gate for reads of database `orders` has it already
...
19 | etcd = ["db1:2379", "db2:2379", "db3:5433"]
   |                                 ^^^^^^^^^^ a member of etcd
   |
   = help: give one of them another port
"#
}

mistake! {
    a_relative_directory:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
data = "orders""#;
    r#"
error: `data` is not a path that can be used
  --> shop.toml:17:8
   |
17 | data = "orders"
   |        ^^^^^^^^ not absolute
   |
   = help: write a path that begins with `/`, such as "/var/lib/nines/orders"
"#
}

mistake! {
    the_root_directory:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
data = "/""#;
    r#"
error: `data` is not a path that can be used
  --> shop.toml:17:8
   |
17 | data = "/"
   |        ^^^ the root of everything
   |
   = help: write, for example, "/var/lib/nines/orders"
"#
}

mistake! {
    a_directory_with_dots:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
data = "/var/lib/../orders""#;
    r#"
error: `data` is not a path that can be used
  --> shop.toml:17:8
   |
17 | data = "/var/lib/../orders"
   |        ^^^^^^^^^^^^^^^^^^^^ goes up and down
   |
   = help: write the path without `.` and `..`
"#
}

mistake! {
    a_very_long_directory:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
data = "/var/lib/oooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo""#;
    r#"
error: `data` of database `orders` is too long
  --> shop.toml:17:8
   |
17 | data = "/var/lib/oooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo"
   |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 89 bytes
   |
   = help: a socket inside it must have a path too: write at most 80 bytes
"#
}

mistake! {
    a_database_and_a_pool_of_one_name:
        "[databases.orders]" => r#"[pools.orders-reads]
members = ["db1:80"]

[databases.orders]"#;
    r#"
error: `orders-reads` would be the name of two pools
  --> shop.toml:17:12
   |
14 | [pools.orders-reads]
   |        ------------ another
...
17 | [databases.orders]
   |            ^^^^^^ this database's
   |
   = help: what listeners reach of a database is called `orders` and `orders-reads` in status and metrics: give one of them another name
"#
}

mistake! {
    a_database_named_as_anothers_reads:
        "[coordination]" => r#"[databases.orders-reads]
hosts = ["lb1"]
port = 6432

[coordination]"#;
    r#"
error: `orders-reads` would be the name of two pools
  --> shop.toml:18:12
   |
14 | [databases.orders]
   |            ------ another
...
18 | [databases.orders-reads]
   |            ^^^^^^^^^^^^ this database's
   |
   = help: what listeners reach of a database is called `orders-reads` and `orders-reads-reads` in status and metrics: give one of them another name
"#
}
