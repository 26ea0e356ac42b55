//! Listeners that reach a database.

use super::mistake;

mistake! {
    a_listener_to_an_unknown_database:
        r#"{ bind = ":5432", database = "orders" }"# => r#"{ bind = ":5432", database = "order" }"#;
    r#"
error: there is no database `order`
  --> shop.toml:12:43
   |
12 | listeners = [{ bind = ":5432", database = "order" }]
   |                                           ^^^^^^^ not defined
13 |
14 | [databases.orders]
   |            ------ `orders` is defined here
   |
   = help: did you mean `orders`?
"#
}

mistake! {
    a_listener_to_a_pool_and_a_database:
        r#"{ bind = ":5432", database = "orders" }"# => r#"{ bind = ":5432", database = "orders", pool = "web" }"#;
    r#"
error: a listener has either `pool` or `database`
  --> shop.toml:12:43
   |
12 | listeners = [{ bind = ":5432", database = "orders", pool = "web" }]
   |                                           ^^^^^^^^ one     ----- the other
   |
   = help: take one out
"#
}

mistake! {
    a_listener_that_speaks_http_to_a_database:
        r#"{ bind = ":5432", database = "orders" }"# => r#"{ bind = ":5432", database = "orders", protocol = "http" }"#;
    r#"
error: a database does not speak HTTP
  --> shop.toml:12:64
   |
12 | listeners = [{ bind = ":5432", database = "orders", protocol = "http" }]
   |                                           -------- a database  ^^^^^^ HTTP
   |
   = help: leave `protocol` out: it is "tcp" with `database`
"#
}

mistake! {
    routes_to_a_database:
        r#"{ bind = ":5432", database = "orders" }"# => r#"{ bind = ":5432", database = "orders", routes = [] }"#;
    r#"
error: `routes` is for HTTP listeners only
  --> shop.toml:12:53
   |
12 | listeners = [{ bind = ":5432", database = "orders", routes = [] }]
   |                                                     ^^^^^^ does nothing here
   |
   = help: take it out, or change the listener's `protocol` to "http"
"#
}

mistake! {
    access_to_no_database:
        r#"{ bind = ":5432", database = "orders" }"# => r#"{ bind = ":5432", database = "orders" }, { bind = ":80", protocol = "tcp", pool = "web", access = "read-only" }"#,
        "[databases.orders]" => r#"[pools.web]
members = ["db1:80"]

[databases.orders]"#;
    r#"
error: `access` is for listeners with `database` only
  --> shop.toml:12:103
   |
12 | listeners = [{ bind = ":5432", database = "orders" }, { bind = ":80", protocol = "tcp", pool = "web", access = "read-only" }]
   |                                                                                                       ^^^^^^ does nothing here
   |
   = help: take it out, or name a database
"#
}

mistake! {
    an_unknown_access:
        r#"{ bind = ":5432", database = "orders" }"# => r#"{ bind = ":5432", database = "orders", access = "write" }"#;
    r#"
error: `access` can't be `write`
  --> shop.toml:12:62
   |
12 | listeners = [{ bind = ":5432", database = "orders", access = "write" }]
   |                                                              ^^^^^^^ unknown word
   |
   = help: did you mean `read-write`?
"#
}

mistake! {
    a_listener_to_nothing:
        r#"{ bind = ":5432", database = "orders" }"# => r#"{ bind = ":5432" }"#;
    r#"
error: a listener has neither `pool` nor `routes`
  --> shop.toml:12:14
   |
12 | listeners = [{ bind = ":5432" }]
   |              ^^^^^^^^^^^^^^^^^^ where do its requests go?
   |
   = help: add pool = "web", routes, or database = "orders"
"#
}
