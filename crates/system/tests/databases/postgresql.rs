//! What of PostgreSQL the file may set.

use super::mistake;

mistake! {
    root_as_a_databases_user:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
user = "root""#;
    r#"
error: PostgreSQL does not run as root
  --> shop.toml:17:8
   |
17 | user = "root"
   |        ^^^^^^ would refuse to start
   |
   = help: write another user, such as "postgres"
"#
}

mistake! {
    a_databases_user_that_is_none:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
user = "Post Gres""#;
    r#"
error: `Post Gres` is not a user of the operating system
  --> shop.toml:17:8
   |
17 | user = "Post Gres"
   |        ^^^^^^^^^^^ not a user's name
   |
   = help: write a name as `getent passwd` shows it, such as "postgres"
"#
}

mistake! {
    tls_without_a_certificate:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
tls = { key = "/etc/key" }"#;
    r#"
error: a database's tls has no `certificate`
  --> shop.toml:17:7
   |
17 | tls = { key = "/etc/key" }
   |       ^^^^^^^^^^^^^^^^^^^^ `certificate` is missing
   |
   = help: add certificate = "/etc/nines/orders.crt": the certificate, and those that lead up to its root (PEM)
"#
}

mistake! {
    tls_that_is_on:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
tls = "on""#;
    r#"
error: `tls` can't be `on`
  --> shop.toml:17:7
   |
17 | tls = "on"
   |       ^^^^ unknown word
   |
   = help: write a table: tls = { certificate = "/…", key = "/…" }, or "off"
"#
}

mistake! {
    tls_of_an_unknown_mode:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
tls = { mode = "passthrough", certificate = "/a", key = "/b" }"#;
    r#"
error: `mode` can't be `passthrough`
  --> shop.toml:17:16
   |
17 | tls = { mode = "passthrough", certificate = "/a", key = "/b" }
   |                ^^^^^^^^^^^^^ unknown word
   |
   = help: did you mean `pass-through`?
"#
}

mistake! {
    no_replication_password:
        r#"replication_password = "secret"
"# => "";
    r#"
error: a database has no `replication_password`
  --> shop.toml:14:12
   |
14 | [databases.orders]
   |            ^^^^^^ `replication_password` is missing
   |
   = help: add replication_password = "a-long-text-that-nobody-can-guess": what standbys show the primary. Needed where there is more than one host
"#
}

mistake! {
    an_empty_password:
        r#"replication_password = "secret""# => r#"replication_password = """#;
    r#"
error: that can't be a `replication_password`
  --> shop.toml:16:24
   |
16 | replication_password = ""
   |                        ^^ empty
   |
   = help: write 1 to 1000 bytes in one line, or { file = "/…" }
"#
}

mistake! {
    a_password_of_two_lines:
        r#"replication_password = "secret""# => r#"replication_password = "a\nb""#;
    r#"
error: that can't be a `replication_password`
  --> shop.toml:16:24
   |
16 | replication_password = "a\nb"
   |                        ^^^^^^ too long, or with characters that nobody sees
   |
   = help: write 1 to 1000 bytes in one line, or { file = "/…" }
"#
}

mistake! {
    a_password_in_a_relative_file:
        r#"replication_password = "secret""# => r#"replication_password = { file = "orders.password" }"#;
    r#"
error: `file` is not a path that can be used
  --> shop.toml:16:33
   |
16 | replication_password = { file = "orders.password" }
   |                                 ^^^^^^^^^^^^^^^^^ not absolute
   |
   = help: write a path that begins with `/`, such as "/etc/nines/orders.password"
"#
}

mistake! {
    a_password_that_an_explanation_has_hidden:
        r#"replication_password = "secret""# => r#"replication_password = "(hidden)""#;
    r#"
error: `replication_password` is not in this file
  --> shop.toml:16:24
   |
16 | replication_password = "(hidden)"
   |                        ^^^^^^^^^^ hidden by `nines check --explain`
   |
   = help: write what the file that was explained says
"#
}

mistake! {
    a_setting_that_nines_makes:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { listen_addresses = "*" }"#;
    r#"
error: nines sets `listen_addresses` itself
  --> shop.toml:17:16
   |
17 | parameters = { listen_addresses = "*" }
   |                ^^^^^^^^^^^^^^^^ not yours to set
   |
   = help: PostgreSQL listens for nines alone; clients come to the gate, at `port` and `read_port` of the database
   = help: take it out
"#
}

mistake! {
    a_setting_in_capital_letters:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { Synchronous_Standby_Names = "*" }"#;
    r#"
error: nines sets `synchronous_standby_names` itself
  --> shop.toml:17:16
   |
17 | parameters = { Synchronous_Standby_Names = "*" }
   |                ^^^^^^^^^^^^^^^^^^^^^^^^^ not yours to set
   |
   = help: it changes with who is there, in step with the coordination: `confirm` says how many standbys
   = help: take it out
"#
}

mistake! {
    writes_that_are_acknowledged_too_early:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { synchronous_commit = false }"#;
    r#"
error: `synchronous_commit` can't be `off`
  --> shop.toml:17:37
   |
17 | parameters = { synchronous_commit = false }
   |                                     ^^^^^ must be `on` or `remote_apply`
   |
   = help: with less, writes are acknowledged that are on no standby's disk, and lost with the primary
"#
}

mistake! {
    writes_that_are_on_no_standbys_disk:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { synchronous_commit = "remote_write" }"#;
    r#"
error: `synchronous_commit` can't be `remote_write`
  --> shop.toml:17:37
   |
17 | parameters = { synchronous_commit = "remote_write" }
   |                                     ^^^^^^^^^^^^^^ must be `on` or `remote_apply`
   |
   = help: with less, writes are acknowledged that are on no standby's disk, and lost with the primary
"#
}

mistake! {
    no_fsync:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { fsync = "of" }"#;
    r#"
error: `fsync` can't be `of`
  --> shop.toml:17:24
   |
17 | parameters = { fsync = "of" }
   |                        ^^^^ must be `on`
   |
   = help: without it, acknowledged writes can be lost with the power
"#
}

mistake! {
    a_minimal_log:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { wal_level = "minimal" }"#;
    r#"
error: `wal_level` can't be `minimal`
  --> shop.toml:17:28
   |
17 | parameters = { wal_level = "minimal" }
   |                            ^^^^^^^^^ must be `replica` or `logical`
   |
   = help: with less, standbys can't follow
"#
}

mistake! {
    no_connection_kept_for_nines:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { superuser_reserved_connections = 0 }"#;
    r#"
error: `superuser_reserved_connections` can't be `0`
  --> shop.toml:17:49
   |
17 | parameters = { superuser_reserved_connections = 0 }
   |                                                 ^ must be at least 8
   |
   = help: nines itself must get in, several times, when all other connections are taken
"#
}

mistake! {
    a_setting_twice:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { work_mem = "4MB", WORK_MEM = "8MB" }"#;
    r#"
error: `work_mem` is set twice
  --> shop.toml:17:34
   |
17 | parameters = { work_mem = "4MB", WORK_MEM = "8MB" }
   |                -------- first    ^^^^^^^^ again
   |
   = help: take one out; capital and small letters are the same
"#
}

mistake! {
    a_setting_that_is_a_list:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { search_path = ["a", "b"] }"#;
    r#"
error: `search_path` must be a text, a number, true or false
  --> shop.toml:17:30
   |
17 | parameters = { search_path = ["a", "b"] }
   |                              ^^^^^^^^^^ not a setting's value
   |
   = help: write it as in postgresql.conf: search_path = "…"
"#
}

mistake! {
    a_setting_of_two_lines:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { work_mem = "4MB\nfsync=off" }"#;
    r#"
error: `work_mem` can't have this value
  --> shop.toml:17:27
   |
17 | parameters = { work_mem = "4MB\nfsync=off" }
   |                           ^^^^^^^^^^^^^^^^ too long, or not in one line
   |
   = help: write at most 10000 bytes in one line
"#
}

mistake! {
    a_setting_without_a_proper_name:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = { "work mem" = "4MB" }"#;
    r#"
error: `work mem` is not the name of a setting
  --> shop.toml:17:16
   |
17 | parameters = { "work mem" = "4MB" }
   |                ^^^^^^^^^^ not a setting's name
   |
   = help: write it as postgresql.conf does, such as work_mem or "auto_explain.log_min_duration"
"#
}

mistake! {
    settings_that_are_a_text:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
parameters = "work_mem=4MB""#;
    r#"
error: `parameters` must be a table, not a text
  --> shop.toml:17:14
   |
17 | parameters = "work_mem=4MB"
   |              ^^^^^^^^^^^^^^ a text
   |
   = help: for example { name = "256MB" }
"#
}

mistake! {
    a_user_twice:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
users = [
    { name = "shop", password = "a" },
    { name = "shop", password = "b" },
]"#;
    r#"
error: user `shop` is there twice
  --> shop.toml:19:14
   |
18 |     { name = "shop", password = "a" },
   |              ------ first
19 |     { name = "shop", password = "b" },
   |              ^^^^^^ again
   |
   = help: take one out
"#
}

mistake! {
    a_user_without_a_password:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
users = [{ name = "shop" }]"#;
    r#"
error: a user has no `password`
  --> shop.toml:17:10
   |
17 | users = [{ name = "shop" }]
   |          ^^^^^^^^^^^^^^^^^ `password` is missing
   |
   = help: add password = "a-long-text-that-nobody-can-guess": the password
"#
}

mistake! {
    the_superuser_as_a_user:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
users = [{ name = "postgres", password = "a" }]"#;
    r#"
error: no role of yours can be called `postgres`
  --> shop.toml:17:19
   |
17 | users = [{ name = "postgres", password = "a" }]
   |                   ^^^^^^^^^^ nines itself comes in as this one, and nobody else
   |
   = help: write another name
"#
}

mistake! {
    a_user_of_nines_own:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
users = [{ name = "nines_replicator", password = "a" }]"#;
    r#"
error: no role of yours can be called `nines_replicator`
  --> shop.toml:17:19
   |
17 | users = [{ name = "nines_replicator", password = "a" }]
   |                   ^^^^^^^^^^^^^^^^^^ nines' own roles are called so
   |
   = help: write another name
"#
}

mistake! {
    a_user_of_postgresqls_own:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
users = [{ name = "pg_monitor", password = "a" }]"#;
    r#"
error: no role of yours can be called `pg_monitor`
  --> shop.toml:17:19
   |
17 | users = [{ name = "pg_monitor", password = "a" }]
   |                   ^^^^^^^^^^^^ PostgreSQL keeps this name to itself
   |
   = help: write another name
"#
}

mistake! {
    a_database_with_two_owners:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
users = [
    { name = "shop", password = "a", owns = ["shop"] },
    { name = "report", password = "b", owns = ["shop"] },
]"#;
    r#"
error: database `shop` has two owners
  --> shop.toml:19:48
   |
18 |     { name = "shop", password = "a", owns = ["shop"] },
   |                                              ------ first
19 |     { name = "report", password = "b", owns = ["shop"] },
   |                                                ^^^^^^ again
   |
   = help: let one own it, and grant the other what it needs
"#
}

mistake! {
    a_database_that_is_there_already:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
users = [{ name = "shop", password = "a", owns = ["postgres"] }]"#;
    r#"
error: database `postgres` is there from the beginning
  --> shop.toml:17:51
   |
17 | users = [{ name = "shop", password = "a", owns = ["postgres"] }]
   |                                                   ^^^^^^^^^^ nobody's to own
   |
   = help: write another name
"#
}

mistake! {
    a_user_without_a_name_in_it:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
users = [{ name = "", password = "a" }]"#;
    r#"
error: that can't be the name of a role
  --> shop.toml:17:19
   |
17 | users = [{ name = "", password = "a" }]
   |                   ^^ empty
   |
   = help: write 1 to 63 bytes in one line
"#
}

mistake! {
    access_by_address:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
access = ["host all all 10.0.0.0/8 scram-sha-256"]"#;
    r#"
error: a line that begins with `host` never matches
  --> shop.toml:17:11
   |
17 | access = ["host all all 10.0.0.0/8 scram-sha-256"]
   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ to PostgreSQL, clients come over a socket of its host
   |
   = help: begin it with `local`, and leave the address out
"#
}

mistake! {
    access_as_nines_itself:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
access = ["local all all peer"]"#;
    r#"
error: `peer` would let every client in as nines itself
  --> shop.toml:17:11
   |
17 | access = ["local all all peer"]
   |           ^^^^^^^^^^^^^^^^^^^^ to PostgreSQL, nines is who comes over the socket
   |
   = help: write `scram-sha-256`
"#
}

mistake! {
    access_by_an_unknown_method:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
access = ["local all all scram"]"#;
    r#"
error: there is no method `scram`
  --> shop.toml:17:11
   |
17 | access = ["local all all scram"]
   |           ^^^^^^^^^^^^^^^^^^^^^ not a method
   |
   = help: did you mean `scram-sha-256`?
"#
}

mistake! {
    access_of_too_few_words:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
access = ["local all"]"#;
    r#"
error: a line of `access` has too few words
  --> shop.toml:17:11
   |
17 | access = ["local all"]
   |           ^^^^^^^^^^^ not whole
   |
   = help: for example "local all report scram-sha-256"
"#
}

mistake! {
    access_of_an_unknown_kind:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
access = ["locl all all md5"]"#;
    r#"
error: that is not a line of `pg_hba.conf`
  --> shop.toml:17:11
   |
17 | access = ["locl all all md5"]
   |           ^^^^^^^^^^^^^^^^^^ begins with an unknown word
   |
   = help: did you mean `local`?
"#
}

mistake! {
    access_in_an_empty_line:
        r#"replication_password = "secret""# => r##"replication_password = "secret"
access = ["# nothing"]"##;
    r##"
error: a line of `access` is empty
  --> shop.toml:17:11
   |
17 | access = ["# nothing"]
   |           ^^^^^^^^^^^ empty
   |
   = help: take it out
"##
}

mistake! {
    access_in_two_lines:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
access = ["local all all md5\nlocal all all trust"]"#;
    r#"
error: a line of `access` is one line
  --> shop.toml:17:11
   |
17 | access = ["local all all md5\nlocal all all trust"]
   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ has an end of a line in it
   |
   = help: make a list of lines
"#
}

mistake! {
    access_for_replication:
        r#"replication_password = "secret""# => r#"replication_password = "secret"
access = ["local replication all reject"]"#;
    r#"
error: a line of `access` is about replication
  --> shop.toml:17:11
   |
17 | access = ["local replication all reject"]
   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ nobody replicates but standbys
   |
   = help: take it out: nines has a line for its standbys
"#
}
