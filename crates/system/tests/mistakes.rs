//! Each mistake as an operator sees it: the words, the line, every place that has a part in it, and what to do.

/// What `nines check` says about a text.
fn said(text: &str) -> String {
    match nines_system::parse("shop.toml", text) {
        Ok(_) => "nothing".to_owned(),
        Err(mistakes) => mistakes.render(false),
    }
}

/// A good file with these words in the place of those.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

const GOOD: &str = r#"name = "shop"
zones = ["a", "b"]

[hosts]
lb1 = { zone = "a", address = "10.0.1.10" }
app1 = { zone = "a", address = "10.0.1.21" }
app2 = { zone = "b", address = "10.0.2.21" }

[load_balancers.front]
hosts = ["lb1"]
listeners = [{ bind = ":80", pool = "web" }]

[pools.web]
members = ["app1:8080", "app2:8080"]
check = { http = "/healthz", interval = "1s" }
"#;

#[track_caller]
fn assert_says(text: &str, expected: &str) {
    let said = said(text);
    let expected = expected.trim_start_matches('\n');
    assert!(said == expected, "it says\n{said}\nand not\n{expected}");
}

macro_rules! mistake {
    ($(#[$doc:meta])* $name:ident: $old:literal => $new:literal, $expected:literal) => {
        #[test]
        fn $name() {
            assert_says(&with($old, $new), $expected);
        }
    };
}

#[test]
fn a_good_file_has_no_mistake() {
    assert_eq!(said(GOOD), "nothing");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = with("\"1s\"", "500").replace("lb1\"]", "lb2\"]").replace("name", "nmae");
    let mistakes = nines_system::parse("shop.toml", &text).unwrap_err();
    let told: Vec<_> =
        mistakes.iter().map(|mistake| (mistakes.position(mistake), mistake.title.as_str())).collect();
    assert_eq!(
        told,
        [
            ((1, 1), "the system file has no key `nmae`"),
            ((10, 10), "there is no host `lb2`"),
            ((15, 41), "`interval` needs a unit"),
        ]
    );
}

#[test]
fn one_mistake_in_a_listener_does_not_hide_the_others() {
    // Its host and its pool are not known; its port, its name and its routes still count.
    let text = with("[\"lb1\"]", "[\"lb1\", \"lb9\"]").replace(
        r#"{ bind = ":80", pool = "web" }"#,
        r#"{ bind = ":80", pool = "wbe" },
    { bind = ":80", protocol = "https", limits = { conections = 5 }, pool = "web", routes = [{ path = "/a", pool = "nope" }, { path = "/a", pool = "web" }] },
"#,
    );
    let mistakes = nines_system::parse("shop.toml", &text).unwrap_err();
    let told: Vec<_> = mistakes.iter().map(|mistake| mistake.title.as_str()).collect();
    assert_eq!(
        told,
        [
            "there is no host `lb9`",
            "there is no pool `wbe`",
            "port 80 is used twice on the same host",
            "`protocol` can't be `https`",
            "a listener's limits has no key `conections`",
            "there is no pool `nope`",
            "a route is never reached",
        ]
    );
}

#[test]
fn one_mistake_in_a_pool_hides_no_other_and_none_is_told_twice() {
    let text = with("[\"app1:8080\"", "[{ adress = \"app1:8080\", weight = 0 }").replace(
        r#"{ http = "/healthz", interval = "1s" }"#,
        r#"{ http = "/", tcp = true, timeout = 500, rise = "2", fall = 0 }"#,
    );
    let mistakes = nines_system::parse("shop.toml", &text).unwrap_err();
    let told: Vec<_> = mistakes.iter().map(|mistake| mistake.title.as_str()).collect();
    assert_eq!(
        told,
        [
            "a member has no key `adress`",
            "`weight` is out of range",
            "a check has one probe",
            "`timeout` needs a unit",
            "`rise` must be a whole number, not a text",
            "`fall` is out of range",
        ]
    );
}

#[test]
fn what_an_empty_file_is_told_to_add_is_right() {
    let mistakes = nines_system::parse("shop.toml", "").unwrap_err();
    let hints = mistakes.iter().flat_map(|mistake| &mistake.help);
    let added: Vec<_> =
        hints.filter_map(|hint| Some(hint.strip_prefix("add ")?.split_once(": ")?.0)).collect();
    assert_eq!(added, ["name = \"shop\"", "hosts = { name = \"10.0.1.21\" }"]);
    assert_eq!(said(&added.join("\n")), "nothing");
}

#[test]
fn a_syntax_error_does_not_hide_mistakes_in_other_tables() {
    let text = with("app1 = {", "app1 = ").replace("\"1s\"", "500");
    let mistakes = nines_system::parse("shop.toml", &text).unwrap_err();
    let lines: Vec<_> = mistakes.iter().map(|mistake| mistakes.position(mistake).0).collect();
    assert_eq!(lines, [6, 15], "{mistakes}");
}

#[test]
fn columns_count_characters_and_lines_may_end_as_on_windows() {
    let text = GOOD.replace("name = \"shop\"", "\"näme\" = \"größer\" # ←").replace('\n', "\r\n");
    let text = text.replace("\"1s\" }", "\"1s\", host = \"wörld\", rise = 0 }");
    let mistakes = nines_system::parse("shop.toml", &text).unwrap_err();
    let places: Vec<_> = mistakes.iter().map(|mistake| mistakes.position(mistake)).collect();
    assert_eq!(places, [(1, 1), (15, 54), (15, 70)], "{mistakes}");
}

#[test]
fn what_is_defined_and_not_used_is_warned_of() {
    let text = with("app2 = { zone = \"b\"", "app2 = { zone = \"a\"").replace("\"app2:8080\"", "")
        + "\n[pools.idle]\nmembers = [\"app1:9090\"]\n";
    let (_, warnings) = nines_system::parse_with_warnings("shop.toml", &text).unwrap();
    let told: Vec<_> = warnings.iter().map(|warning| warning.title.as_str()).collect();
    assert_eq!(
        told,
        ["no host is in zone `b`", "nothing runs on host `app2`", "nothing sends to pool `idle`"]
    );
    assert!(
        warnings.render(false).starts_with("warning: no host is in zone `b`\n --> shop.toml:2:15\n"),
        "{warnings}"
    );
    let (_, warnings) = nines_system::parse_with_warnings("shop.toml", GOOD).unwrap();
    assert!(warnings.is_empty());
}

#[test]
fn colour_is_only_there_when_asked_for() {
    let mistakes = nines_system::parse("shop.toml", "").unwrap_err();
    assert!(!mistakes.render(false).contains('\x1b'));
    assert!(mistakes.render(true).contains('\x1b'));
}

mistake! {
    an_unclosed_text:
    r#"name = "shop""# => r#"name = "shop"#,
    r#"
error: a text is not closed
 --> shop.toml:1:13
  |
1 | name = "shop
  |             ^ the line ends here
  |
  = help: a `"` is missing at its end
"#
}

mistake! {
    a_text_without_quotes:
    r#"zone = "b""# => "zone = b",
    r#"
error: a text stands in quotes
 --> shop.toml:7:17
  |
7 | app2 = { zone = b, address = "10.0.2.21" }
  |                 ^ not in quotes
  |
  = help: write "b"
"#
}

mistake! {
    a_missing_comma:
    r#""a", address = "10.0.1.10""# => r#""a" address = "10.0.1.10""#,
    r#"
error: a comma is missing
 --> shop.toml:5:20
  |
5 | lb1 = { zone = "a" address = "10.0.1.10" }
  |                    ^ before this
  |
  = help: write a `,` between two keys of a table
"#
}

mistake! {
    an_unclosed_list:
    r#""app2:8080"]"# => r#""app2:8080""#,
    r#"
error: a list is not closed
  --> shop.toml:15:1
   |
14 | members = ["app1:8080", "app2:8080"
   |           - the list begins here
15 | check = { http = "/healthz", interval = "1s" }
   | ^ before this
   |
   = help: a `]` is missing at its end
"#
}

mistake! {
    a_key_twice:
    "lb1 = {" => "app1 = {",
    r#"
error: `app1` is there twice
 --> shop.toml:6:1
  |
5 | app1 = { zone = "a", address = "10.0.1.10" }
  | ---- first
6 | app1 = { zone = "a", address = "10.0.1.21" }
  | ^^^^ again
  |
  = help: keep one of them, or give one another name
"#
}

mistake! {
    a_table_twice:
    "[load_balancers.front]" => "[hosts]",
    r#"
error: `hosts` is there twice
 --> shop.toml:9:2
  |
4 | [hosts]
  |  ----- first
...
9 | [hosts]
  |  ^^^^^ again
  |
  = help: keep one of them, or give one another name
"#
}

mistake! {
    a_key_twice_in_an_inline_table:
    r#"interval = "1s""# => r#"http = "/""#,
    r#"
error: `http` is there twice
  --> shop.toml:15:30
   |
15 | check = { http = "/healthz", http = "/" }
   |           ---- first         ^^^^ again
   |
   = help: keep one of them, or give one another name
"#
}

mistake! {
    an_unknown_key_near_a_known_one:
    "check =" => "chekc =",
    r#"
error: a pool has no key `chekc`
  --> shop.toml:15:1
   |
15 | chekc = { http = "/healthz", interval = "1s" }
   | ^^^^^ unknown key
   |
   = help: did you mean `check`?
"#
}

mistake! {
    an_unknown_key_near_none:
    "check =" => "colour =",
    r#"
error: a pool has no key `colour`
  --> shop.toml:15:1
   |
15 | colour = { http = "/healthz", interval = "1s" }
   | ^^^^^^ unknown key
   |
   = help: known keys: `members`, `check`, `passive`, `balance`, `minimum_healthy`, `when_too_few`, `slow_start`, `retries`, `limits`, `timeouts`, `drain`, `send_proxy`, `command`
"#
}

mistake! {
    a_key_that_others_use:
    "members =" => "backends =",
    r#"
error: a pool has no key `backends`
  --> shop.toml:14:1
   |
14 | backends = ["app1:8080", "app2:8080"]
   | ^^^^^^^^ unknown key
   |
   = help: did you mean `members`?
"#
}

mistake! {
    a_key_one_level_too_high:
    "check =" => r#"interval = "5s"
check ="#,
    r#"
error: a pool has no key `interval`
  --> shop.toml:15:1
   |
15 | interval = "5s"
   | ^^^^^^^^ unknown key
   |
   = help: it belongs one level deeper: check = { interval = … }
"#
}

mistake! {
    a_missing_key:
    r#"name = "shop""# => "# nothing",
    r#"
error: the system file has no `name`
 --> shop.toml:1:1
  |
1 | # nothing
  | ^ `name` is missing
  |
  = help: add name = "shop": what the system is called in reports
"#
}

mistake! {
    a_wrong_type:
    r#"interval = "1s""# => r#"rise = "2""#,
    r#"
error: `rise` must be a whole number, not a text
  --> shop.toml:15:37
   |
15 | check = { http = "/healthz", rise = "2" }
   |                                     ^^^ a text
   |
   = help: write 2, without quotes
"#
}

mistake! {
    a_table_that_is_a_text:
    r#"check = { http = "/healthz", interval = "1s" }"# => r#"retries = "3""#,
    r#"
error: `retries` must be a table, not a text
  --> shop.toml:15:11
   |
15 | retries = "3"
   |           ^^^ a text
   |
   = help: for example { tries = 1 }
"#
}

mistake! {
    a_list_that_is_a_text:
    r#"hosts = ["lb1"]"# => r#"hosts = "lb1""#,
    r#"
error: `hosts` must be a list, not a text
  --> shop.toml:10:9
   |
10 | hosts = "lb1"
   |         ^^^^^ a text
   |
   = help: write ["lb1"]
"#
}

mistake! {
    a_duration_without_a_unit:
    r#""1s""# => "500",
    r#"
error: `interval` needs a unit
  --> shop.toml:15:41
   |
15 | check = { http = "/healthz", interval = 500 }
   |                                         ^^^ a number without a unit
   |
   = help: write "500ms"; units: ns, us, ms, s, min, h, d
"#
}

mistake! {
    a_duration_in_quotes_without_a_unit:
    r#""1s""# => r#""500""#,
    r#"
error: `interval` needs a unit
  --> shop.toml:15:41
   |
15 | check = { http = "/healthz", interval = "500" }
   |                                         ^^^^^ a number without a unit
   |
   = help: write "500ms"; units: ns, us, ms, s, min, h, d
"#
}

mistake! {
    an_unknown_unit:
    r#""1s""# => r#""500mss""#,
    r#"
error: `interval` has an unknown unit, `mss`
  --> shop.toml:15:41
   |
15 | check = { http = "/healthz", interval = "500mss" }
   |                                         ^^^^^^^^ unknown unit
   |
   = help: did you mean `ms`? units: ns, us, ms, s, min, h, d
"#
}

mistake! {
    a_size_without_a_unit:
    "check =" => "retries = { body = 64 }\ncheck =",
    r#"
error: `body` needs a unit
  --> shop.toml:15:20
   |
15 | retries = { body = 64 }
   |                    ^^ a number without a unit
   |
   = help: write "64KiB"; units: B, kB, KiB, MB, MiB, GB, GiB
"#
}

mistake! {
    a_percentage_without_its_sign:
    "check =" => "minimum_healthy = 0.5\ncheck =",
    r#"
error: `minimum_healthy` needs a unit
  --> shop.toml:15:19
   |
15 | minimum_healthy = 0.5
   |                   ^^^ a number without a unit
   |
   = help: write "50 %"; units: %
"#
}

mistake! {
    a_number_out_of_range:
    r#"interval = "1s""# => "rise = 0",
    r#"
error: `rise` is out of range
  --> shop.toml:15:37
   |
15 | check = { http = "/healthz", rise = 0 }
   |                                     ^ out of range
   |
   = help: it must be from 1 to 100
"#
}

mistake! {
    a_duration_out_of_range:
    r#""1s""# => r#""1ms""#,
    r#"
error: `interval` is out of range
  --> shop.toml:15:41
   |
15 | check = { http = "/healthz", interval = "1ms" }
   |                                         ^^^^^ out of range
   |
   = help: it must be from 10ms to 1h
"#
}

mistake! {
    an_objective_of_100_percent:
    "zones =" => r#"objective = "100 %"
zones ="#,
    r#"
error: `objective` is out of range
 --> shop.toml:2:13
  |
2 | objective = "100 %"
  |             ^^^^^^^ out of range
  |
  = help: it must be more than 0 % and less than 100 %
"#
}

mistake! {
    an_objective_of_nothing:
    "zones =" => r#"objective = "0 %"
zones ="#,
    r#"
error: `objective` is out of range
 --> shop.toml:2:13
  |
2 | objective = "0 %"
  |             ^^^^^ out of range
  |
  = help: it must be more than 0 % and less than 100 %
"#
}

mistake! {
    a_zone_twice:
    r#"["a", "b"]"# => r#"["a", "b", "a"]"#,
    r#"
error: zone `a` is there twice
 --> shop.toml:2:20
  |
2 | zones = ["a", "b", "a"]
  |          --- first ^^^ again
  |
  = help: take one out
"#
}

mistake! {
    a_host_that_does_not_exist:
    r#"hosts = ["lb1"]"# => r#"hosts = ["lb2"]"#,
    r#"
error: there is no host `lb2`
  --> shop.toml:10:10
   |
 5 | lb1 = { zone = "a", address = "10.0.1.10" }
   | --- `lb1` is defined here
...
10 | hosts = ["lb2"]
   |          ^^^^^ not defined
   |
   = help: did you mean `lb1`?
"#
}

mistake! {
    a_zone_that_does_not_exist:
    r#"zone = "b""# => r#"zone = "north""#,
    r#"
error: there is no zone `north`
 --> shop.toml:7:17
  |
2 | zones = ["a", "b"]
  | ----- zones are defined here
...
7 | app2 = { zone = "north", address = "10.0.2.21" }
  |                 ^^^^^^^ not defined
  |
  = help: zones: `a`, `b`
"#
}

mistake! {
    a_zone_where_none_is_named:
    r#"zones = ["a", "b"]
"# => "",
    r#"
error: there is no zone `a`
 --> shop.toml:4:16
  |
4 | lb1 = { zone = "a", address = "10.0.1.10" }
  |                ^^^ not defined
5 | app1 = { zone = "a", address = "10.0.1.21" }
6 | app2 = { zone = "b", address = "10.0.2.21" }
  |                 --- nor is this
  |
  = help: name them at the top of the file: zones = ["a", "b"]
"#
}

mistake! {
    a_pool_that_does_not_exist:
    r#"pool = "web""# => r#"pool = "wbe""#,
    r#"
error: there is no pool `wbe`
  --> shop.toml:11:37
   |
11 | listeners = [{ bind = ":80", pool = "wbe" }]
   |                                     ^^^^^ not defined
12 |
13 | [pools.web]
   |        --- `web` is defined here
   |
   = help: did you mean `web`?
"#
}

mistake! {
    a_member_on_a_host_that_does_not_exist:
    r#""app2:8080""# => r#""ap2:8080""#,
    r#"
error: there is no host `ap2`
  --> shop.toml:14:26
   |
 7 | app2 = { zone = "b", address = "10.0.2.21" }
   | ---- `app2` is defined here
...
14 | members = ["app1:8080", "ap2:8080"]
   |                          ^^^ not defined
   |
   = help: did you mean `app2`?
"#
}

mistake! {
    a_member_by_its_address:
    r#""app2:8080""# => r#""10.0.2.21:8080""#,
    r#"
error: a member is called by its host's name
  --> shop.toml:14:25
   |
 7 | app2 = { zone = "b", address = "10.0.2.21" }
   | ---- the host that has it
...
14 | members = ["app1:8080", "10.0.2.21:8080"]
   |                         ^^^^^^^^^^^^^^^^ an address
   |
   = help: write "app2:8080"
"#
}

mistake! {
    a_member_without_a_port:
    r#""app2:8080""# => r#""app2""#,
    r#"
error: `app2` is not a host and a port
  --> shop.toml:14:25
   |
14 | members = ["app1:8080", "app2"]
   |                         ^^^^^^ a port is missing or wrong
   |
   = help: write "app2:8080", with the port that it serves
"#
}

mistake! {
    a_host_without_a_zone:
    r#"{ zone = "b", address = "10.0.2.21" }"# => r#""10.0.2.21""#,
    r#"
error: host `app2` is in no zone
 --> shop.toml:7:1
  |
2 | zones = ["a", "b"]
  |          --- there is more than one zone
...
7 | app2 = "10.0.2.21"
  | ^^^^ in which zone?
  |
  = help: write app2 = { zone = "a", address = "10.0.2.21" }
"#
}

mistake! {
    an_address_twice:
    r#""10.0.2.21""# => r#""10.0.1.21""#,
    r#"
error: hosts `app1` and `app2` have the same address
 --> shop.toml:7:32
  |
6 | app1 = { zone = "a", address = "10.0.1.21" }
  |                                ----------- the address of `app1`
7 | app2 = { zone = "b", address = "10.0.1.21" }
  |                                ^^^^^^^^^^^ used again
  |
  = help: each host has an address of its own; what runs on one machine is one host
"#
}

mistake! {
    an_address_with_a_port:
    r#""10.0.2.21""# => r#""10.0.2.21:80""#,
    r#"
error: `10.0.2.21:80` is not an address
 --> shop.toml:7:32
  |
7 | app2 = { zone = "b", address = "10.0.2.21:80" }
  |                                ^^^^^^^^^^^^^^ neither an IP address nor a DNS name
  |
  = help: a host has no port, its members have: write "10.0.2.21"
"#
}

mistake! {
    an_address_that_is_none:
    r#""10.0.2.21""# => r#""10.0.2.256""#,
    r#"
error: `10.0.2.256` is not an address
 --> shop.toml:7:32
  |
7 | app2 = { zone = "b", address = "10.0.2.256" }
  |                                ^^^^^^^^^^^^ neither an IP address nor a DNS name
  |
  = help: write an IP address, such as "10.0.1.21", or a DNS name
"#
}

mistake! {
    a_port_twice:
    r#"[{ bind = ":80", pool = "web" }]"# => r#"[{ bind = ":80", pool = "web" }, { bind = "10.0.1.10:80", pool = "web" }]"#,
    r#"
error: port 80 is used twice on the same host
  --> shop.toml:11:55
   |
11 | listeners = [{ bind = ":80", pool = "web" }, { bind = "10.0.1.10:80", pool = "web" }]
   |                       -----                           ^^^^^^^^^^^^^^ listener `http-10.0.1.10-80` of `front`
   |                       |
   |                       listener `http-80` of `front` has it already
   |
   = help: give one of them another port
"#
}

mistake! {
    a_port_that_the_admin_listener_has:
    r#"hosts = ["lb1"]"# => r#"hosts = ["lb1"]
admin = "127.0.0.1:80""#,
    r#"
error: port 80 is used twice on the same host
  --> shop.toml:12:23
   |
11 | admin = "127.0.0.1:80"
   |         -------------- `admin` of `front` has it already
12 | listeners = [{ bind = ":80", pool = "web" }]
   |                       ^^^^^ listener `http-80` of `front`
   |
   = help: give one of them another port
"#
}

mistake! {
    two_listeners_of_one_name:
    r#"[{ bind = ":80", pool = "web" }]"# => r#"[{ bind = ":80", pool = "web", name = "x" }, { bind = ":81", pool = "web", name = "x" }]"#,
    r#"
error: two listeners of `front` are named `x`
  --> shop.toml:11:95
   |
11 | listeners = [{ bind = ":80", pool = "web", name = "x" }, { bind = ":81", pool = "web", name = "x" }]
   |                                                   --- first                                   ^^^ again
   |
   = help: give one of them another `name`
"#
}

mistake! {
    a_bind_without_a_colon:
    r#"":80""# => r#""80""#,
    r#"
error: can't listen on `80`
  --> shop.toml:11:23
   |
11 | listeners = [{ bind = "80", pool = "web" }]
   |                       ^^^^ not an address and a port
   |
   = help: write ":80" for this port of every address
"#
}

mistake! {
    a_member_twice:
    r#""app2:8080"]"# => r#""app2:8080", "app1:8080"]"#,
    r#"
error: `app1:8080` is in pool `web` twice
  --> shop.toml:14:38
   |
14 | members = ["app1:8080", "app2:8080", "app1:8080"]
   |            ----------- first         ^^^^^^^^^^^ again
   |
   = help: take one out; for a larger share, give it a `weight`
"#
}

mistake! {
    a_check_slower_than_its_interval:
    r#"interval = "1s""# => r#"interval = "1s", timeout = "2s""#,
    r#"
error: the check is slower than its interval
  --> shop.toml:15:57
   |
15 | check = { http = "/healthz", interval = "1s", timeout = "2s" }
   |                                         ----            ^^^^ 2s is longer than the interval
   |                                         |
   |                                         the interval
   |
   = help: make `timeout` at most the interval, or the interval longer
"#
}

mistake! {
    a_check_slower_than_the_default_interval:
    r#"interval = "1s""# => r#"timeout = "2s""#,
    r#"
error: the check is slower than its interval
  --> shop.toml:15:40
   |
15 | check = { http = "/healthz", timeout = "2s" }
   |                                        ^^^^ 2s is longer than the interval
   |
   = help: `interval` is 1s where the file says nothing
   = help: make `timeout` at most the interval, or the interval longer
"#
}

mistake! {
    a_fast_interval_longer_than_the_interval:
    r#"interval = "1s""# => r#"interval = "1s", fast_interval = "2s""#,
    r#"
error: `fast_interval` is longer than `interval`
  --> shop.toml:15:63
   |
15 | check = { http = "/healthz", interval = "1s", fast_interval = "2s" }
   |                                         ---- the interval     ^^^^ 2s is longer than the interval
   |
   = help: make `fast_interval` at most the interval, or the interval longer
"#
}

mistake! {
    two_probes:
    r#"interval = "1s""# => "tcp = true",
    r#"
error: a check has one probe
  --> shop.toml:15:36
   |
15 | check = { http = "/healthz", tcp = true }
   |                  ----------        ^^^^ a second probe, `tcp`
   |                  |
   |                  the first, `http`
   |
   = help: keep the one that says most about the member
"#
}

mistake! {
    a_setting_of_another_probe:
    r#"http = "/healthz""# => "status = 200",
    r#"
error: `status` does nothing without `http`
  --> shop.toml:15:11
   |
15 | check = { status = 200, interval = "1s" }
   |           ^^^^^^ for HTTP probes
   |
   = help: add http = "/healthz", or take it out
"#
}

mistake! {
    a_pool_without_a_member:
    r#"["app1:8080", "app2:8080"]"# => "[]",
    r#"
error: pool `web` has no member
  --> shop.toml:14:11
   |
14 | members = []
   |           ^^ empty
   |
   = help: add one: members = ["app1:8080"]
"#
}

mistake! {
    a_pool_of_backups:
    r#"["app1:8080", "app2:8080"]"# => r#"[{ address = "app1:8080", backup = true }]"#,
    r#"
error: every member of pool `web` is a backup
  --> shop.toml:14:11
   |
14 | members = [{ address = "app1:8080", backup = true }]
   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ nobody that they could stand in for
   |
   = help: take `backup` away from those that serve as a rule
"#
}

mistake! {
    a_route_that_is_never_reached:
    r#"pool = "web" }"# => r#"routes = [{ path = "/api", pool = "web" }, { path = "/api/", pool = "web" }] }"#,
    r#"
error: a route is never reached
  --> shop.toml:11:73
   |
11 | listeners = [{ bind = ":80", routes = [{ path = "/api", pool = "web" }, { path = "/api/", pool = "web" }] }]
   |                                        -------------------------------  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the same host and path again
   |                                        |
   |                                        takes all of its requests
   |
   = help: take one out, or give it another host or path
"#
}

mistake! {
    a_pool_where_a_route_takes_everything:
    r#"pool = "web" }"# => r#"pool = "web", routes = [{ pool = "web" }] }"#,
    r#"
error: a route is never reached
  --> shop.toml:11:37
   |
11 | listeners = [{ bind = ":80", pool = "web", routes = [{ pool = "web" }] }]
   |                                     ^^^^^            ---------------- takes all of its requests
   |                                     |
   |                                     the same host and path again
   |
   = help: take one out, or give it another host or path
"#
}

mistake! {
    a_listener_that_leads_nowhere:
    r#", pool = "web" }"# => " }",
    r#"
error: a listener has neither `pool` nor `routes`
  --> shop.toml:11:14
   |
11 | listeners = [{ bind = ":80" }]
   |              ^^^^^^^^^^^^^^^^ where do its requests go?
   |
   = help: add pool = "web", or routes
"#
}

mistake! {
    routes_on_a_tcp_listener:
    r#"pool = "web" }"# => r#"pool = "web", protocol = "tcp", routes = [] }"#,
    r#"
error: `routes` is for HTTP listeners only
  --> shop.toml:11:62
   |
11 | listeners = [{ bind = ":80", pool = "web", protocol = "tcp", routes = [] }]
   |                                                              ^^^^^^ does nothing here
   |
   = help: take it out, or change the listener's `protocol` to "http"
"#
}

mistake! {
    an_idle_time_on_an_http_listener:
    r#"pool = "web" }"# => r#"pool = "web", idle = "5s" }"#,
    r#"
error: `idle` is for TCP listeners only
  --> shop.toml:11:44
   |
11 | listeners = [{ bind = ":80", pool = "web", idle = "5s" }]
   |                                            ^^^^ does nothing here
   |
   = help: take it out, or change the listener's `protocol` to "tcp"
"#
}

mistake! {
    a_hash_that_tcp_can_not_see:
    r#"pool = "web" }]

[pools.web]"# => r#"pool = "web", protocol = "tcp" }]

[pools.web]
balance = { hash = "cookie:session" }"#,
    r#"
error: pool `web` hashes what a TCP listener can't see
  --> shop.toml:11:37
   |
11 | listeners = [{ bind = ":80", pool = "web", protocol = "tcp" }]
   |                                     ^^^^^ TCP has no headers
12 |
13 | [pools.web]
   |        --- hashes a header or a cookie
   |
   = help: hash "client-address", or make the listener's `protocol` "http"
"#
}

mistake! {
    a_member_that_is_the_listener_itself:
    r#""app2:8080""# => r#""lb1:80""#,
    r#"
error: member `lb1:80` of pool `web` is listener `http-80` of `front`
  --> shop.toml:13:8
   |
11 | listeners = [{ bind = ":80", pool = "web" }]
   |                       ----- takes this port on the same host
12 |
13 | [pools.web]
   |        ^^^ has the member `lb1:80`
   |
   = help: one of them must have another port
"#
}

mistake! {
    a_path_without_a_slash:
    r#""/healthz""# => r#""healthz""#,
    r#"
error: `healthz` is not a path
  --> shop.toml:15:18
   |
15 | check = { http = "healthz", interval = "1s" }
   |                  ^^^^^^^^^ not a path
   |
   = help: write "/healthz"
"#
}

mistake! {
    a_command_with_quotes:
    "check =" => r#"command = "sh -c 'echo $PORT'"
check ="#,
    r#"
error: `command` is not run by a shell
  --> shop.toml:15:11
   |
15 | command = "sh -c 'echo $PORT'"
   |           ^^^^^^^^^^^^^^^^^^^^ quotes and the like would be passed on as they are
   |
   = help: write a list of words: ["sh", "-c", "…"]
"#
}

mistake! {
    a_placeholder_with_a_slip:
    "check =" => r#"command = "./app {prot}"
check ="#,
    r#"
error: `command` has an unknown placeholder, `{prot}`
  --> shop.toml:15:18
   |
15 | command = "./app {prot}"
   |                  ^^^^^^ would be passed on as it is
   |
   = help: did you mean `{port}`?
"#
}

mistake! {
    a_word_with_a_slip:
    "check =" => r#"when_too_few = "serve_all"
check ="#,
    r#"
error: `when_too_few` can't be `serve_all`
  --> shop.toml:15:16
   |
15 | when_too_few = "serve_all"
   |                ^^^^^^^^^^^ unknown word
   |
   = help: did you mean `serve-all`?
"#
}

mistake! {
    a_status_that_is_none:
    r#"interval = "1s""# => r#"status = "200-1000""#,
    r#"
error: `200-1000` is not an HTTP status
  --> shop.toml:15:39
   |
15 | check = { http = "/healthz", status = "200-1000" }
   |                                       ^^^^^^^^^^ neither a status nor a range
   |
   = help: write 200, "200-399", or a list of such
"#
}

mistake! {
    a_name_that_can_not_be_one:
    "app1 =" => r#""app 1" ="#,
    r#"
error: `app 1` can't be a name
 --> shop.toml:6:1
  |
6 | "app 1" = { zone = "a", address = "10.0.1.21" }
  | ^^^^^^^ not a name
  |
  = help: a name has letters, digits, `-`, `_` and `.`, begins with a letter or a digit, and is at most 63 long

error: there is no host `app1`
  --> shop.toml:14:13
   |
 6 | "app 1" = { zone = "a", address = "10.0.1.21" }
   | ------- `app 1` is defined here
...
14 | members = ["app1:8080", "app2:8080"]
   |             ^^^^ not defined
   |
   = help: did you mean `app 1`?
"#
}

mistake! {
    bounds_the_wrong_way_round:
    "check =" => r#"retries = { silence = { min = "2s" } }
check ="#,
    r#"
error: `min` is longer than `max`
  --> shop.toml:15:31
   |
15 | retries = { silence = { min = "2s" } }
   |                               ^^^^ `min` is 2s
   |
   = help: `max` is 1s where the file says nothing
"#
}

mistake! {
    a_network_that_is_none:
    r#"pool = "web" }"# => r#"pool = "web", trust_forwarded = ["10.0.0.0/33"] }"#,
    r#"
error: `10.0.0.0/33` is not a network
  --> shop.toml:11:63
   |
11 | listeners = [{ bind = ":80", pool = "web", trust_forwarded = ["10.0.0.0/33"] }]
   |                                                               ^^^^^^^^^^^^^ not a network
   |
   = help: write an address and how many of its bits count, such as "10.0.0.0/8"
"#
}

mistake! {
    a_section_of_a_later_version:
    "[pools.web]" => "[databases.main]\n\n[pools.web]",
    r#"
error: `databases` is not in this version yet
  --> shop.toml:13:2
   |
13 | [databases.main]
   |  ^^^^^^^^^ comes in a later version
   |
   = help: take it out for now; it will say: PostgreSQL with failover
"#
}

mistake! {
    a_load_balancer_without_a_host:
    r#"hosts = ["lb1"]"# => "hosts = []",
    r#"
error: load balancer `front` has no host
  --> shop.toml:10:9
   |
10 | hosts = []
   |         ^^ empty
   |
   = help: name the hosts that it runs on: hosts = ["lb1"]
"#
}

mistake! {
    a_route_with_a_query:
    r#"pool = "web" }"# => r#"routes = [{ path = "/api?x=1", pool = "web" }] }"#,
    r#"
error: `/api?x=1` has a query
  --> shop.toml:11:49
   |
11 | listeners = [{ bind = ":80", routes = [{ path = "/api?x=1", pool = "web" }] }]
   |                                                 ^^^^^^^^^^ never matches
   |
   = help: routes go by path alone: write "/api"
"#
}

mistake! {
    a_host_header_that_is_none:
    r#"interval = "1s""# => r#"host = "two words""#,
    r#"
error: that can't be a Host header
  --> shop.toml:15:37
   |
15 | check = { http = "/healthz", host = "two words" }
   |                                     ^^^^^^^^^^^ not a host
   |
   = help: write a name, such as "shop.example"
"#
}

mistake! {
    an_access_log_in_a_relative_place:
    r#"hosts = ["lb1"]"# => r#"hosts = ["lb1"]
access_log = "log/access""#,
    r#"
error: can't write the access log to `log/access`
  --> shop.toml:11:14
   |
11 | access_log = "log/access"
   |              ^^^^^^^^^^^^ neither "stdout" nor an absolute path
   |
   = help: write "stdout", or a path that begins with `/`
"#
}

mistake! {
    an_admin_address_without_a_host:
    r#"hosts = ["lb1"]"# => r#"hosts = ["lb1"]
admin = ":9009""#,
    r#"
error: `:9009` is not an IP address and a port
  --> shop.toml:11:9
   |
11 | admin = ":9009"
   |         ^^^^^^^ not an IP address and a port
   |
   = help: write "127.0.0.1:9009" for this host only, or the address of the network that may see it
"#
}

mistake! {
    a_hash_of_nothing:
    "check =" => r#"balance = { hash = "header" }
check ="#,
    r#"
error: can't hash by `header`
  --> shop.toml:15:20
   |
15 | balance = { hash = "header" }
   |                    ^^^^^^^^ nothing to hash
   |
   = help: write "client-address", "header:x-user" or "cookie:session"
"#
}

mistake! {
    a_date_where_a_number_belongs:
    r#"interval = "1s""# => "fall = 1979-05-27",
    r#"
error: `fall` must be a whole number, not a date
  --> shop.toml:15:37
   |
15 | check = { http = "/healthz", fall = 1979-05-27 }
   |                                     ^^^^^^^^^^ a date
   |
   = help: for example 1
"#
}

mistake! {
    no_hosts_at_all:
    r#"[hosts]
lb1 = { zone = "a", address = "10.0.1.10" }
app1 = { zone = "a", address = "10.0.1.21" }
app2 = { zone = "b", address = "10.0.2.21" }"# => "[hosts]",
    r#"
error: there is no host
 --> shop.toml:4:1
  |
4 | [hosts]
  | ^^^^^^^ empty
  |
  = help: add one: app1 = "10.0.1.21"
"#
}

mistake! {
    a_host_twice_in_a_load_balancer:
    r#"hosts = ["lb1"]"# => r#"hosts = ["lb1", "lb1"]"#,
    r#"
error: load balancer `front` has a host twice
  --> shop.toml:10:17
   |
10 | hosts = ["lb1", "lb1"]
   |          -----  ^^^^^ again
   |          |
   |          first
   |
   = help: take one out
"#
}

mistake! {
    no_pools_at_all:
    r#"[pools.web]
members = ["app1:8080", "app2:8080"]
check = { http = "/healthz", interval = "1s" }"# => "",
    r#"
error: there is no pool `web`
  --> shop.toml:11:37
   |
11 | listeners = [{ bind = ":80", pool = "web" }]
   |                                     ^^^^^ not defined
   |
   = help: define it: [pools.web]
"#
}
