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
   = help: known keys: `members`, `check`, `passive`, `balance`, `minimum_healthy`, `when_too_few`, `needs`, `peak`, `member_peak`, `slow_start`, `retries`, `limits`, `timeouts`, `drain`, `send_proxy`, `command`
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
   = help: add pool = "web", routes, or database = "orders"
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
    "[pools.web]" => "[caches.main]\n\n[pools.web]",
    r#"
error: `caches` is not in this version yet
  --> shop.toml:13:2
   |
13 | [caches.main]
   |  ^^^^^^ comes in a later version
   |
   = help: take it out for now; it will say: failover for Redis or Valkey
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

/// A good file in which two hosts share an address.
const PAIR: &str = r#"name = "shop"

[hosts]
lb1 = "10.0.1.10"
lb2 = "10.0.1.11"
lb3 = "lb3.example"
app1 = "10.0.1.21"

[load_balancers.front]
hosts = ["lb1", "lb2"]
virtual_ips = ["10.0.1.100"]
listeners = [{ bind = ":80", pool = "web" }]

[pools.web]
members = ["app1:8080"]
"#;

const VIRTUAL_IPS: &str = r#"virtual_ips = ["10.0.1.100"]"#;

macro_rules! virtual_ip {
    ($name:ident: $virtual_ips:literal, $expected:literal) => {
        #[test]
        fn $name() {
            assert_says(&PAIR.replace(VIRTUAL_IPS, $virtual_ips), $expected);
        }
    };
}

#[test]
fn a_good_file_with_a_virtual_ip_has_no_mistake() {
    assert_eq!(said(PAIR), "nothing");
}

#[test]
fn one_mistake_in_a_virtual_ip_does_not_hide_the_others() {
    let text = PAIR.replace(
        VIRTUAL_IPS,
        r#"virtual_ips = [
    { adress = "10.0.1.100", version = 2, interval = "1500ms", checksum = "plain" },
    { address = "10.0.1.101/24", router_id = 0, priorities = { lb1 = 300, lb9 = 100 }, version = 3, password = "x" },
    { address = "10.0.1.102", interval = 5, preempt = 1, unicast = ["lb3"], keys = [{ id = 0, key = "" }], group = "" },
    "10.0.1.102",
]"#,
    );
    let mistakes = nines_system::parse("shop.toml", &text).unwrap_err();
    let told: Vec<_> = mistakes.iter().map(|mistake| mistake.title.as_str()).collect();
    assert_eq!(
        told,
        [
            "a virtual IP has no key `adress`",
            "`interval` is not in whole seconds",
            "`checksum` is for version 3 over IPv4 only",
            "`10.0.1.101/24` has a prefix length",
            "`router_id` is out of range",
            "`lb1` is out of range",
            "there is no host `lb9`",
            "`password` is for version 2 only",
            "`interval` needs a unit",
            "`preempt` must be true or false, not a whole number",
            "`lb3` is not an IP address",
            "`id` is out of range",
            "that can't be a key",
            "`` can't be a name",
            "`10.0.1.102` is a virtual IP twice",
        ]
    );
}

/// The same with a second load balancer on these hosts, with these virtual IPs.
fn with_back(hosts: &str, virtual_ips: &str) -> String {
    PAIR.replace(
        "[pools.web]",
        &format!(
            "[load_balancers.back]\nhosts = [{hosts}]\nvirtual_ips = [{virtual_ips}]\n\
             listeners = [{{ bind = \":81\", pool = \"web\" }}]\n\n[pools.web]"
        ),
    )
}

#[test]
fn two_load_balancers_have_no_virtual_ip_in_common() {
    assert_says(
        &with_back(r#""lb3""#, r#""10.0.1.100""#),
        r#"
error: `10.0.1.100` is a virtual IP twice
  --> shop.toml:16:16
   |
11 | virtual_ips = ["10.0.1.100"]
   |                ------------ first, of load balancer `front`
...
16 | virtual_ips = ["10.0.1.100"]
   |                ^^^^^^^^^^^^ again
   |
   = help: take one out
"#,
    );
}

#[test]
fn two_load_balancers_have_no_router_id_in_common_on_one_host() {
    assert_says(
        &with_back(r#""lb3", "lb2""#, r#""10.0.2.100""#),
        r#"
error: two virtual IPs have the router_id 100 on the same host
  --> shop.toml:16:16
   |
11 | virtual_ips = ["10.0.1.100"]
   |                ------------ 100, from the address
...
16 | virtual_ips = ["10.0.2.100"]
   |                ^^^^^^^^^^^^ 100, from the address
   |
   = help: give one of them another number: router_id = 101
"#,
    );
    assert_eq!(said(&with_back(r#""lb3""#, r#""10.0.2.100""#)), "nothing");
    assert_eq!(said(&with_back(r#""lb3", "lb2""#, r#""2001:db8::64""#)), "nothing");
    let on_lb3 = r#"{ address = "10.0.2.100", hosts = ["lb3"] }"#;
    assert_eq!(said(&with_back(r#""lb3", "lb2""#, on_lb3)), "nothing");
}

#[test]
fn groups_of_two_load_balancers_are_two_groups() {
    let text = with_back(r#""lb3", "lb2""#, r#"{ address = "10.0.1.101", group = "edge" }"#)
        .replace(VIRTUAL_IPS, r#"virtual_ips = [{ address = "10.0.1.100", group = "edge" }]"#);
    assert_eq!(said(&text), "nothing");
}

#[test]
fn a_group_is_of_one_mind_whatever_the_order_of_equals() {
    let text = PAIR.replace(
        VIRTUAL_IPS,
        r#"virtual_ips = [
    { address = "10.0.1.100", priorities = { lb1 = 100, lb2 = 100 }, group = "edge" },
    { address = "10.0.1.101", priorities = { lb2 = 100, lb1 = 100 }, group = "edge", preempt_delay = "0s" },
]"#,
    );
    assert_eq!(said(&text), "nothing");
}

#[test]
fn listeners_may_share_a_port_on_a_virtual_ip_and_on_the_hosts_own_address() {
    let listeners = |binds: &[&str]| {
        let one = |bind: &&str| format!("{{ bind = \"{bind}\", pool = \"web\" }}");
        let list: Vec<_> = binds.iter().map(one).collect();
        PAIR.replace(r#"{ bind = ":80", pool = "web" }"#, &list.join(", "))
    };
    assert_eq!(said(&listeners(&["10.0.1.100:80", "10.0.1.10:80"])), "nothing");
    for binds in [["10.0.1.100:80", ":80"], ["10.0.1.100:80", "10.0.1.100:80"]] {
        let said = said(&listeners(&binds));
        assert!(said.starts_with("error: port 80 is used twice on the same host\n"), "{said}");
    }
}

#[test]
fn a_virtual_ip_that_can_not_move_is_warned_of() {
    let warnings = |text: &str| {
        let (_, warnings) = nines_system::parse_with_warnings("shop.toml", text).unwrap();
        warnings.render(false)
    };
    let pair = PAIR.replace("lb3 = \"lb3.example\"\n", "");
    assert_eq!(warnings(&pair), "");
    let one_named = r#"virtual_ips = [{ address = "10.0.1.100", priorities = { lb2 = 100 } }]"#;
    assert_eq!(
        warnings(&pair.replace(VIRTUAL_IPS, one_named)),
        r#"warning: virtual IP `10.0.1.100` can't move
  --> shop.toml:10:55
   |
10 | virtual_ips = [{ address = "10.0.1.100", priorities = { lb2 = 100 } }]
   |                                                       ^^^^^^^^^^^^^ one host only
   |
   = help: name a second host
"#
    );
    let one_there = pair.replace("lb2 = \"10.0.1.11\"\n", "").replace(r#"["lb1", "lb2"]"#, r#"["lb1"]"#);
    assert_eq!(
        warnings(&one_there),
        r#"warning: virtual IP `10.0.1.100` can't move
 --> shop.toml:9:16
  |
9 | virtual_ips = ["10.0.1.100"]
  |                ^^^^^^^^^^^^ one host only
  |
  = help: give load balancer `front` a second host
"#
    );
}

virtual_ip! {
    a_virtual_ip_with_a_prefix:
    r#"virtual_ips = ["10.0.1.100/24"]"#,
    r#"
error: `10.0.1.100/24` has a prefix length
  --> shop.toml:11:16
   |
11 | virtual_ips = ["10.0.1.100/24"]
   |                ^^^^^^^^^^^^^^^ not an address alone
   |
   = help: a virtual address is always held as a single address (/32 or /128), whatever its subnet is: write "10.0.1.100"
"#
}

virtual_ip! {
    a_virtual_ip_with_a_port:
    r#"virtual_ips = ["10.0.1.100:80"]"#,
    r#"
error: `10.0.1.100:80` is not an IP address
  --> shop.toml:11:16
   |
11 | virtual_ips = ["10.0.1.100:80"]
   |                ^^^^^^^^^^^^^^^ not an IP address
   |
   = help: a virtual IP has no port: write "10.0.1.100"
"#
}

virtual_ip! {
    a_virtual_ip_that_is_a_name:
    r#"virtual_ips = ["vip.example"]"#,
    r#"
error: `vip.example` is not an IP address
  --> shop.toml:11:16
   |
11 | virtual_ips = ["vip.example"]
   |                ^^^^^^^^^^^^^ not an IP address
   |
   = help: write an IP address, such as "10.0.1.100" or "2001:db8::100"
"#
}

virtual_ip! {
    a_virtual_ip_on_the_loopback:
    r#"virtual_ips = ["127.0.0.1"]"#,
    r#"
error: `127.0.0.1` can't be a virtual IP
  --> shop.toml:11:16
   |
11 | virtual_ips = ["127.0.0.1"]
   |                ^^^^^^^^^^^ a loopback address: every host has it
   |
   = help: write an address of the network that clients or hosts are on
"#
}

virtual_ip! {
    a_virtual_ip_for_every_address:
    r#"virtual_ips = ["::"]"#,
    r#"
error: `::` can't be a virtual IP
  --> shop.toml:11:16
   |
11 | virtual_ips = ["::"]
   |                ^^^^ stands for every address
   |
   = help: write an address of the network that clients or hosts are on
"#
}

virtual_ip! {
    a_virtual_ip_that_is_multicast:
    r#"virtual_ips = ["224.0.0.18"]"#,
    r#"
error: `224.0.0.18` can't be a virtual IP
  --> shop.toml:11:16
   |
11 | virtual_ips = ["224.0.0.18"]
   |                ^^^^^^^^^^^^ a multicast address
   |
   = help: write an address of the network that clients or hosts are on
"#
}

virtual_ip! {
    a_virtual_ip_that_is_the_broadcast_address:
    r#"virtual_ips = ["255.255.255.255"]"#,
    r#"
error: `255.255.255.255` can't be a virtual IP
  --> shop.toml:11:16
   |
11 | virtual_ips = ["255.255.255.255"]
   |                ^^^^^^^^^^^^^^^^^ the broadcast address
   |
   = help: write an address of the network that clients or hosts are on
"#
}

virtual_ip! {
    a_virtual_ip_of_the_link_alone:
    r#"virtual_ips = ["fe80::1"]"#,
    r#"
error: `fe80::1` can't be a virtual IP
  --> shop.toml:11:16
   |
11 | virtual_ips = ["fe80::1"]
   |                ^^^^^^^^^ a link-local address
   |
   = help: write an address of the network that clients or hosts are on
"#
}

virtual_ip! {
    a_virtual_ip_of_the_ipv4_link_alone:
    r#"virtual_ips = ["169.254.0.1"]"#,
    r#"
error: `169.254.0.1` can't be a virtual IP
  --> shop.toml:11:16
   |
11 | virtual_ips = ["169.254.0.1"]
   |                ^^^^^^^^^^^^^ a link-local address
   |
   = help: write an address of the network that clients or hosts are on
"#
}

virtual_ip! {
    a_virtual_ip_in_ipv6_clothes:
    r#"virtual_ips = ["::ffff:10.0.1.100"]"#,
    r#"
error: `::ffff:10.0.1.100` can't be a virtual IP
  --> shop.toml:11:16
   |
11 | virtual_ips = ["::ffff:10.0.1.100"]
   |                ^^^^^^^^^^^^^^^^^^^ an IPv4 address written as IPv6
   |
   = help: write "10.0.1.100"
"#
}

virtual_ip! {
    a_virtual_ip_that_is_no_list:
    r#"virtual_ips = "10.0.1.100""#,
    r#"
error: `virtual_ips` must be a list, not a text
  --> shop.toml:11:15
   |
11 | virtual_ips = "10.0.1.100"
   |               ^^^^^^^^^^^^ a text
   |
   = help: write ["10.0.1.100"]
"#
}

virtual_ip! {
    a_virtual_ip_that_is_a_number:
    r#"virtual_ips = [5]"#,
    r#"
error: `virtual_ips` must be a text in quotes or a table, not a whole number
  --> shop.toml:11:16
   |
11 | virtual_ips = [5]
   |                ^ a whole number
   |
   = help: for example "10.0.1.100"
"#
}

virtual_ip! {
    a_virtual_ip_without_an_address:
    r#"virtual_ips = [{ group = "edge" }]"#,
    r#"
error: a virtual IP has no `address`
  --> shop.toml:11:16
   |
11 | virtual_ips = [{ group = "edge" }]
   |                ^^^^^^^^^^^^^^^^^^ `address` is missing
   |
   = help: add address = "10.0.1.100": the address, or up to 20 of one family that move together. No host has them as its own
"#
}

virtual_ip! {
    a_virtual_ip_whose_address_is_a_number:
    r#"virtual_ips = [{ address = 5 }]"#,
    r#"
error: `address` must be a text in quotes or a list, not a whole number
  --> shop.toml:11:28
   |
11 | virtual_ips = [{ address = 5 }]
   |                            ^ a whole number
   |
   = help: for example "10.0.1.100"
"#
}

virtual_ip! {
    a_virtual_ip_with_an_empty_list_of_addresses:
    r#"virtual_ips = [{ address = [] }]"#,
    r#"
error: a virtual IP has no address
  --> shop.toml:11:28
   |
11 | virtual_ips = [{ address = [] }]
   |                            ^^ empty
   |
   = help: write at least one: address = "10.0.1.100"
"#
}

virtual_ip! {
    a_virtual_ip_with_very_many_addresses:
    r#"virtual_ips = [{ address = ["10.0.2.1", "10.0.2.2", "10.0.2.3", "10.0.2.4", "10.0.2.5", "10.0.2.6", "10.0.2.7", "10.0.2.8", "10.0.2.9", "10.0.2.10", "10.0.2.11", "10.0.2.12", "10.0.2.13", "10.0.2.14", "10.0.2.15", "10.0.2.16", "10.0.2.17", "10.0.2.18", "10.0.2.19", "10.0.2.20", "10.0.2.21"] }]"#,
    r#"
error: a virtual IP has more than 20 addresses
  --> shop.toml:11:28
   |
11 | ... = ["10.0.2.1", "10.0.2.2", "10.0.2.3", "10.0.2.4", "10.0.2.5", "10.0.2.6", "10.0.2.7", "10.0.2.8", "10.0.2.9", "10.0.2.10", "10.0.2.11", "10.0.2.12", "10.0.2.13", "10.0.2.14", "10.0.2.15", "10.0.2.16", "10.0.2.17", "10.0.2.18", "10.0.2.19", "10.0.2.20", "10.0.2.21"] }]
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 21 of them
   |
   = help: make it two virtual IPs; those of one `group` stay together
"#
}

virtual_ip! {
    a_virtual_ip_of_two_families:
    r#"virtual_ips = [{ address = ["10.0.1.100", "2001:db8::100"] }]"#,
    r#"
error: a virtual IP has addresses of one family
  --> shop.toml:11:43
   |
11 | virtual_ips = [{ address = ["10.0.1.100", "2001:db8::100"] }]
   |                             ------------  ^^^^^^^^^^^^^^^ IPv6
   |                             |
   |                             IPv4
   |
   = help: make it two virtual IPs; those of one `group` stay together
"#
}

virtual_ip! {
    a_virtual_ip_twice:
    r#"virtual_ips = ["10.0.1.100", "10.0.1.100"]"#,
    r#"
error: `10.0.1.100` is a virtual IP twice
  --> shop.toml:11:30
   |
11 | virtual_ips = ["10.0.1.100", "10.0.1.100"]
   |                ------------  ^^^^^^^^^^^^ again
   |                |
   |                first, of load balancer `front`
   |
   = help: take one out
"#
}

virtual_ip! {
    a_virtual_ip_that_a_host_has:
    r#"virtual_ips = ["10.0.1.21"]"#,
    r#"
error: `10.0.1.21` is the address of host `app1`
  --> shop.toml:11:16
   |
 7 | app1 = "10.0.1.21"
   | ---- has it
...
11 | virtual_ips = ["10.0.1.21"]
   |                ^^^^^^^^^^^ would move away from it
   |
   = help: write an address of the same subnet that no host has
"#
}

virtual_ip! {
    virtual_ips_under_the_name_that_others_give_them:
    r#"vips = ["10.0.1.100"]"#,
    r#"
error: a load balancer has no key `vips`
  --> shop.toml:11:1
   |
11 | vips = ["10.0.1.100"]
   | ^^^^ unknown key
   |
   = help: did you mean `virtual_ips`?
"#
}

virtual_ip! {
    a_virtual_ip_with_the_key_of_keepalived:
    r#"virtual_ips = [{ address = "10.0.1.100", virtual_router_id = 51 }]"#,
    r#"
error: a virtual IP has no key `virtual_router_id`
  --> shop.toml:11:42
   |
11 | virtual_ips = [{ address = "10.0.1.100", virtual_router_id = 51 }]
   |                                          ^^^^^^^^^^^^^^^^^ unknown key
   |
   = help: did you mean `router_id`?
"#
}

virtual_ip! {
    a_router_id_out_of_range:
    r#"virtual_ips = [{ address = "10.0.1.100", router_id = 256 }]"#,
    r#"
error: `router_id` is out of range
  --> shop.toml:11:54
   |
11 | virtual_ips = [{ address = "10.0.1.100", router_id = 256 }]
   |                                                      ^^^ out of range
   |
   = help: it must be from 1 to 255
"#
}

virtual_ip! {
    two_virtual_ips_with_one_router_id:
    r#"virtual_ips = [{ address = "10.0.1.100", router_id = 51 }, { address = "10.0.1.101", router_id = 51 }]"#,
    r#"
error: two virtual IPs have the router_id 51 on the same host
  --> shop.toml:11:98
   |
11 | virtual_ips = [{ address = "10.0.1.100", router_id = 51 }, { address = "10.0.1.101", router_id = 51 }]
   |                                                      -- 51                                       ^^ 51
   |
   = help: give one of them another number: router_id = 52
"#
}

virtual_ip! {
    two_virtual_ips_whose_addresses_make_one_router_id:
    r#"virtual_ips = ["10.0.1.100", "10.0.2.100"]"#,
    r#"
error: two virtual IPs have the router_id 100 on the same host
  --> shop.toml:11:30
   |
11 | virtual_ips = ["10.0.1.100", "10.0.2.100"]
   |                ------------  ^^^^^^^^^^^^ 100, from the address
   |                |
   |                100, from the address
   |
   = help: give one of them another number: router_id = 101
"#
}

virtual_ip! {
    a_router_id_that_another_address_makes:
    r#"virtual_ips = ["10.0.1.100", { address = "10.0.1.101", router_id = 100 }]"#,
    r#"
error: two virtual IPs have the router_id 100 on the same host
  --> shop.toml:11:68
   |
11 | virtual_ips = ["10.0.1.100", { address = "10.0.1.101", router_id = 100 }]
   |                ------------ 100, from the address                  ^^^ 100
   |
   = help: give one of them another number: router_id = 101
"#
}

virtual_ip! {
    two_orders_of_a_virtual_ip:
    r#"virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "lb2"], priorities = { lb1 = 150, lb2 = 100 } }]"#,
    r#"
error: a virtual IP has either `hosts` or `priorities`
  --> shop.toml:11:79
   |
11 | virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "lb2"], priorities = { lb1 = 150, lb2 = 100 } }]
   |                                                  -------------- one order     ^^^^^^^^^^^^^^^^^^^^^^^^ an order again
   |
   = help: take one out: `hosts` is the order alone, `priorities` says the numbers too
"#
}

virtual_ip! {
    a_virtual_ip_without_a_host:
    r#"virtual_ips = [{ address = "10.0.1.100", hosts = [] }]"#,
    r#"
error: a virtual IP has no host
  --> shop.toml:11:50
   |
11 | virtual_ips = [{ address = "10.0.1.100", hosts = [] }]
   |                                                  ^^ empty
   |
   = help: name those that may hold it, or leave `hosts` out: then all may
"#
}

virtual_ip! {
    a_virtual_ip_without_a_priority:
    r#"virtual_ips = [{ address = "10.0.1.100", priorities = {} }]"#,
    r#"
error: a virtual IP has no host
  --> shop.toml:11:55
   |
11 | virtual_ips = [{ address = "10.0.1.100", priorities = {} }]
   |                                                       ^^ empty
   |
   = help: name those that may hold it, or leave `priorities` out: then all may
"#
}

virtual_ip! {
    a_host_twice_in_a_virtual_ip:
    r#"virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "lb2", "lb1"] }]"#,
    r#"
error: a virtual IP has a host twice
  --> shop.toml:11:65
   |
11 | virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "lb2", "lb1"] }]
   |                                                   ----- first   ^^^^^ again
   |
   = help: take one out
"#
}

virtual_ip! {
    a_virtual_ip_on_an_unknown_host:
    r#"virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "lb7"] }]"#,
    r#"
error: there is no host `lb7`
  --> shop.toml:11:58
   |
 3 | [hosts]
   |  ----- hosts are defined here
...
11 | virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "lb7"] }]
   |                                                          ^^^^^ not defined
   |
   = help: did you mean `lb1`, `lb2` or `lb3`?
"#
}

virtual_ip! {
    a_virtual_ip_on_a_host_of_others:
    r#"virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "app1"] }]"#,
    r#"
error: host `app1` is not one of load balancer `front`
  --> shop.toml:11:58
   |
10 | hosts = ["lb1", "lb2"]
   |         -------------- the hosts that can
11 | virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "app1"] }]
   |                                                          ^^^^^^ can't hold its addresses
   |
   = help: take it out, or add it to the load balancer's `hosts`
"#
}

virtual_ip! {
    a_priority_of_a_host_of_others:
    r#"virtual_ips = [{ address = "10.0.1.100", priorities = { lb1 = 150, app1 = 100 } }]"#,
    r#"
error: host `app1` is not one of load balancer `front`
  --> shop.toml:11:68
   |
10 | hosts = ["lb1", "lb2"]
   |         -------------- the hosts that can
11 | virtual_ips = [{ address = "10.0.1.100", priorities = { lb1 = 150, app1 = 100 } }]
   |                                                                    ^^^^ can't hold its addresses
   |
   = help: take it out, or add it to the load balancer's `hosts`
"#
}

virtual_ip! {
    a_priority_of_an_owner:
    r#"virtual_ips = [{ address = "10.0.1.100", priorities = { lb1 = 255, lb2 = 100 } }]"#,
    r#"
error: `lb1` is out of range
  --> shop.toml:11:63
   |
11 | virtual_ips = [{ address = "10.0.1.100", priorities = { lb1 = 255, lb2 = 100 } }]
   |                                                               ^^^ out of range
   |
   = help: it must be from 20 to 254
"#
}

virtual_ip! {
    priorities_that_are_no_table:
    r#"virtual_ips = [{ address = "10.0.1.100", priorities = [150, 100] }]"#,
    r#"
error: `priorities` must be a table, not a list
  --> shop.toml:11:55
   |
11 | virtual_ips = [{ address = "10.0.1.100", priorities = [150, 100] }]
   |                                                       ^^^^^^^^^^ a list
   |
   = help: for example { name = 20 }
"#
}

virtual_ip! {
    an_interface_with_its_parent:
    r#"virtual_ips = [{ address = "10.0.1.100", interface = "eth0.100@eth0/x" }]"#,
    r#"
error: `eth0.100@eth0/x` is not a network interface
  --> shop.toml:11:54
   |
11 | virtual_ips = [{ address = "10.0.1.100", interface = "eth0.100@eth0/x" }]
   |                                                      ^^^^^^^^^^^^^^^^^ not an interface's name
   |
   = help: write a name as `ip link` shows it, such as "eth0"; the part from an `@` on is not of the name
"#
}

#[test]
fn an_interface_has_a_name_that_linux_allows() {
    let with = |name: &str| {
        let named = format!(r#"virtual_ips = [{{ address = "10.0.1.100", interface = "{name}" }}]"#);
        said(&PAIR.replace(VIRTUAL_IPS, &named))
    };
    let wrong = ["sixteen-letters-", "eno 1", "eno1/0", "eno1:0", "eth%d", "é", "..", "all", "default", ""];
    for name in wrong {
        let title = format!("error: `{name}` is not a network interface");
        assert!(with(name).contains(&title), "{name}: {}", with(name));
    }
    for name in ["fifteen-letters", "eno1", "enp0s31f6", "bond0.100", "br-lan", "allow", "e_1"] {
        assert_eq!(with(name), "nothing", "{name}");
    }
}

virtual_ip! {
    an_unknown_version:
    r#"virtual_ips = [{ address = "10.0.1.100", version = 4 }]"#,
    r#"
error: `version` is out of range
  --> shop.toml:11:52
   |
11 | virtual_ips = [{ address = "10.0.1.100", version = 4 }]
   |                                                    ^ out of range
   |
   = help: it must be from 2 to 3
"#
}

virtual_ip! {
    a_version_that_knows_no_ipv6:
    r#"virtual_ips = [{ address = "2001:db8::100", version = 2 }]"#,
    r#"
error: version 2 of VRRP is for IPv4 only
  --> shop.toml:11:55
   |
11 | virtual_ips = [{ address = "2001:db8::100", version = 2 }]
   |                            --------------- IPv6       ^ knows no IPv6
   |
   = help: leave `version` out: version 3 is for both
"#
}

virtual_ip! {
    an_interval_between_two_hundredths:
    r#"virtual_ips = [{ address = "10.0.1.100", interval = "105ms" }]"#,
    r#"
error: `interval` is not in whole hundredths of a second
  --> shop.toml:11:53
   |
11 | virtual_ips = [{ address = "10.0.1.100", interval = "105ms" }]
   |                                                     ^^^^^^^ version 3 can't say this
   |
   = help: write "100ms" or "110ms"
"#
}

virtual_ip! {
    an_interval_between_two_seconds:
    r#"virtual_ips = [{ address = "10.0.1.100", version = 2, interval = "1500ms" }]"#,
    r#"
error: `interval` is not in whole seconds
  --> shop.toml:11:66
   |
11 | virtual_ips = [{ address = "10.0.1.100", version = 2, interval = "1500ms" }]
   |                                                                  ^^^^^^^^ version 2 can't say this
   |
   = help: write "1s" or "2s"
"#
}

virtual_ip! {
    an_interval_below_a_second_in_version_2:
    r#"virtual_ips = [{ address = "10.0.1.100", version = 2, interval = "100ms" }]"#,
    r#"
error: `interval` is not in whole seconds
  --> shop.toml:11:66
   |
11 | virtual_ips = [{ address = "10.0.1.100", version = 2, interval = "100ms" }]
   |                                                                  ^^^^^^^ version 2 can't say this
   |
   = help: write "1s"
"#
}

virtual_ip! {
    an_interval_too_long_for_version_3:
    r#"virtual_ips = [{ address = "10.0.1.100", interval = "1min" }]"#,
    r#"
error: `interval` is too long for version 3
  --> shop.toml:11:53
   |
11 | virtual_ips = [{ address = "10.0.1.100", interval = "1min" }]
   |                                                     ^^^^^^ 1min
   |
   = help: in version 3 it is at most "40950ms"
"#
}

virtual_ip! {
    an_interval_out_of_range:
    r#"virtual_ips = [{ address = "10.0.1.100", interval = "5ms" }]"#,
    r#"
error: `interval` is out of range
  --> shop.toml:11:53
   |
11 | virtual_ips = [{ address = "10.0.1.100", interval = "5ms" }]
   |                                                     ^^^^^ out of range
   |
   = help: it must be from 10ms to 255s
"#
}

virtual_ip! {
    an_interval_under_the_name_that_keepalived_gives_it:
    r#"virtual_ips = [{ address = "10.0.1.100", advert_int = 1 }]"#,
    r#"
error: a virtual IP has no key `advert_int`
  --> shop.toml:11:42
   |
11 | virtual_ips = [{ address = "10.0.1.100", advert_int = 1 }]
   |                                          ^^^^^^^^^^ unknown key
   |
   = help: did you mean `interval`?
"#
}

virtual_ip! {
    a_delay_of_nothing:
    r#"virtual_ips = [{ address = "10.0.1.100", preempt = false, preempt_delay = "30s" }]"#,
    r#"
error: `preempt_delay` does nothing without `preempt`
  --> shop.toml:11:59
   |
11 | virtual_ips = [{ address = "10.0.1.100", preempt = false, preempt_delay = "30s" }]
   |                                                    -----  ^^^^^^^^^^^^^ waits for nothing
   |                                                    |
   |                                                    never takes over from one that serves
   |
   = help: take one of them out
"#
}

#[test]
fn unicast_to_a_name() {
    let text = PAIR.replace(r#"hosts = ["lb1", "lb2"]"#, r#"hosts = ["lb1", "lb2", "lb3"]"#);
    let text = text.replace(
        VIRTUAL_IPS,
        r#"virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "lb2", "lb3"], unicast = true }]"#,
    );
    assert_says(
        &text,
        r#"
error: host `lb3` has a name where unicast needs an address
  --> shop.toml:11:83
   |
 6 | lb3 = "lb3.example"
   | --- is called by its name, `lb3.example`
...
11 | virtual_ips = [{ address = "10.0.1.100", hosts = ["lb1", "lb2", "lb3"], unicast = true }]
   |                            ------------ needs IPv4 peers                          ^^^^ to the hosts' own addresses
   |
   = help: give `lb3` an IPv4 address, or leave `unicast` out
"#,
    );
}

virtual_ip! {
    unicast_to_another_family:
    r#"virtual_ips = [{ address = "2001:db8::100", unicast = true, hosts = ["lb1", "lb2"] }]"#,
    r#"
error: host `lb1` has no IPv6 address for unicast
  --> shop.toml:11:55
   |
 4 | lb1 = "10.0.1.10"
   | --- has an IPv4 address
...
11 | virtual_ips = [{ address = "2001:db8::100", unicast = true, hosts = ["lb1", "lb2"] }]
   |                            ---------------            ^^^^ to the hosts' own addresses
   |                            |
   |                            needs IPv6 peers
   |
   = help: give `lb1` an IPv6 address, or leave `unicast` out

error: host `lb2` has no IPv6 address for unicast
  --> shop.toml:11:55
   |
 5 | lb2 = "10.0.1.11"
   | --- has an IPv4 address
...
11 | virtual_ips = [{ address = "2001:db8::100", unicast = true, hosts = ["lb1", "lb2"] }]
   |                            ---------------            ^^^^ to the hosts' own addresses
   |                            |
   |                            needs IPv6 peers
   |
   = help: give `lb2` an IPv6 address, or leave `unicast` out
"#
}

virtual_ip! {
    a_peer_that_is_a_host:
    r#"virtual_ips = [{ address = "10.0.1.100", unicast = ["10.0.1.11"] }]"#,
    r#"
error: `10.0.1.11` is the address of host `lb2`
  --> shop.toml:11:53
   |
 5 | lb2 = "10.0.1.11"
   | --- has it
...
11 | virtual_ips = [{ address = "10.0.1.100", unicast = ["10.0.1.11"] }]
   |                                                     ^^^^^^^^^^^ a host of this file
   |
   = help: take it out: the hosts that may hold the address are peers as it is
"#
}

virtual_ip! {
    a_peer_twice:
    r#"virtual_ips = [{ address = "10.0.1.100", unicast = ["10.0.1.3", "10.0.1.3"] }]"#,
    r#"
error: `10.0.1.3` is a peer twice
  --> shop.toml:11:65
   |
11 | virtual_ips = [{ address = "10.0.1.100", unicast = ["10.0.1.3", "10.0.1.3"] }]
   |                                                     ----------  ^^^^^^^^^^ again
   |                                                     |
   |                                                     first
   |
   = help: take one out
"#
}

virtual_ip! {
    a_peer_of_another_family:
    r#"virtual_ips = [{ address = "10.0.1.100", unicast = ["2001:db8::3"] }]"#,
    r#"
error: `2001:db8::3` can't be a peer
  --> shop.toml:11:53
   |
11 | virtual_ips = [{ address = "10.0.1.100", unicast = ["2001:db8::3"] }]
   |                            ------------ IPv4        ^^^^^^^^^^^^^ IPv6
   |
   = help: write the peer's address of the same family
"#
}

virtual_ip! {
    a_peer_with_a_prefix:
    r#"virtual_ips = [{ address = "10.0.1.100", unicast = ["10.0.1.3/24"] }]"#,
    r#"
error: `10.0.1.3/24` has a prefix length
  --> shop.toml:11:53
   |
11 | virtual_ips = [{ address = "10.0.1.100", unicast = ["10.0.1.3/24"] }]
   |                                                     ^^^^^^^^^^^^^ not an address alone
   |
   = help: a peer is a single address: write "10.0.1.3"
"#
}

virtual_ip! {
    a_peer_that_is_multicast:
    r#"virtual_ips = [{ address = "10.0.1.100", unicast = ["224.0.0.18"] }]"#,
    r#"
error: `224.0.0.18` can't be a peer
  --> shop.toml:11:53
   |
11 | virtual_ips = [{ address = "10.0.1.100", unicast = ["224.0.0.18"] }]
   |                                                     ^^^^^^^^^^^^ a multicast address
   |
   = help: write an address of the network that clients or hosts are on
"#
}

virtual_ip! {
    unicast_that_is_a_text:
    r#"virtual_ips = [{ address = "10.0.1.100", unicast = "10.0.1.3" }]"#,
    r#"
error: `unicast` must be true or false or a list, not a text
  --> shop.toml:11:52
   |
11 | virtual_ips = [{ address = "10.0.1.100", unicast = "10.0.1.3" }]
   |                                                    ^^^^^^^^^^ a text
   |
   = help: for example true
"#
}

virtual_ip! {
    a_checksum_in_version_2:
    r#"virtual_ips = [{ address = "10.0.1.100", version = 2, checksum = "plain" }]"#,
    r#"
error: `checksum` is for version 3 over IPv4 only
  --> shop.toml:11:55
   |
11 | virtual_ips = [{ address = "10.0.1.100", version = 2, checksum = "plain" }]
   |                                                    -  ^^^^^^^^ does nothing here
   |                                                    |
   |                                                    version 2
   |
   = help: take it out: there is one kind of checksum here
"#
}

virtual_ip! {
    a_checksum_over_ipv6:
    r#"virtual_ips = [{ address = "2001:db8::100", checksum = "plain" }]"#,
    r#"
error: `checksum` is for version 3 over IPv4 only
  --> shop.toml:11:45
   |
11 | virtual_ips = [{ address = "2001:db8::100", checksum = "plain" }]
   |                            ---------------  ^^^^^^^^ does nothing here
   |                            |
   |                            IPv6
   |
   = help: take it out: there is one kind of checksum here
"#
}

virtual_ip! {
    an_unknown_checksum:
    r#"virtual_ips = [{ address = "10.0.1.100", checksum = "pseudo" }]"#,
    r#"
error: `checksum` can't be `pseudo`
  --> shop.toml:11:53
   |
11 | virtual_ips = [{ address = "10.0.1.100", checksum = "pseudo" }]
   |                                                     ^^^^^^^^ unknown word
   |
   = help: did you mean `pseudo-header`?
"#
}

virtual_ip! {
    a_password_in_version_3:
    r#"virtual_ips = [{ address = "10.0.1.100", password = "secret" }]"#,
    r#"
error: `password` is for version 2 only
  --> shop.toml:11:42
   |
11 | virtual_ips = [{ address = "10.0.1.100", password = "secret" }]
   |                                          ^^^^^^^^ version 3 has no place for it
   |
   = help: `version` is 3 where the file says nothing
   = help: write `keys` in its place, or version = 2 if the peers are old
"#
}

virtual_ip! {
    a_password_in_version_3_as_written:
    r#"virtual_ips = [{ address = "10.0.1.100", version = 3, password = "secret" }]"#,
    r#"
error: `password` is for version 2 only
  --> shop.toml:11:55
   |
11 | virtual_ips = [{ address = "10.0.1.100", version = 3, password = "secret" }]
   |                                                    -  ^^^^^^^^ version 3 has no place for it
   |                                                    |
   |                                                    the version
   |
   = help: write `keys` in its place, or version = 2 if the peers are old
"#
}

virtual_ip! {
    a_password_too_long:
    r#"virtual_ips = [{ address = "10.0.1.100", version = 2, password = "secret-secret" }]"#,
    r#"
error: that can't be a password
  --> shop.toml:11:66
   |
11 | virtual_ips = [{ address = "10.0.1.100", version = 2, password = "secret-secret" }]
   |                                                                  ^^^^^^^^^^^^^^^ not 1 to 8 plain characters
   |
   = help: write 1 to 8 ASCII characters without blanks; it is no secret on the wire
"#
}

virtual_ip! {
    a_password_with_a_blank:
    r#"virtual_ips = [{ address = "10.0.1.100", version = 2, password = "se cret" }]"#,
    r#"
error: that can't be a password
  --> shop.toml:11:66
   |
11 | virtual_ips = [{ address = "10.0.1.100", version = 2, password = "se cret" }]
   |                                                                  ^^^^^^^^^ not 1 to 8 plain characters
   |
   = help: write 1 to 8 ASCII characters without blanks; it is no secret on the wire
"#
}

virtual_ip! {
    a_password_and_keys:
    r#"virtual_ips = [{ address = "10.0.1.100", version = 2, password = "secret", keys = [{ id = 1, key = "a-key-that-has-enough-characters" }] }]"#,
    r#"
error: a virtual IP has either `password` or `keys`
  --> shop.toml:11:66
   |
11 | ...sion = 2, password = "secret", keys = [{ id = 1, key = "a-key-that-has-enough-characters" }] }]
   |                         ^^^^^^^^         ------------------------------------------------------ a better proof
   |                         |
   |                         can be read by all
   |
   = help: take one out: `keys` are safe, `password` is for old peers
"#
}

virtual_ip! {
    no_key_at_all:
    r#"virtual_ips = [{ address = "10.0.1.100", keys = [] }]"#,
    r#"
error: there is no key
  --> shop.toml:11:49
   |
11 | virtual_ips = [{ address = "10.0.1.100", keys = [] }]
   |                                                 ^^ empty
   |
   = help: write at least one, or leave `keys` out
"#
}

virtual_ip! {
    very_many_keys:
    r#"virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 1, key = "a-key-that-has-enough-characters" }, { id = 2, key = "a-key-that-has-enough-characters" }, { id = 3, key = "a-key-that-has-enough-characters" }, { id = 4, key = "a-key-that-has-enough-characters" }, { id = 5, key = "a-key-that-has-enough-characters" }, { id = 6, key = "a-key-that-has-enough-characters" }, { id = 7, key = "a-key-that-has-enough-characters" }, { id = 8, key = "a-key-that-has-enough-characters" }, { id = 9, key = "a-key-that-has-enough-characters" }] }]"#,
    r#"
error: there are more than 8 keys
  --> shop.toml:11:49
   |
11 | ... = [{ id = 1, key = "a-key-that-has-enough-chara..., key = "a-key-that-has-enough-characters" }] }]
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^...^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 9 keys
   |
   = help: take out those that no peer signs with any more
"#
}

virtual_ip! {
    two_keys_with_one_id:
    r#"virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 1, key = "a-key-that-has-enough-characters" }, { id = 1, key = "another-key-of-enough-characters" }] }]"#,
    r#"
error: two keys have the id 1
  --> shop.toml:11:111
   |
11 | virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 1, key = "a-key-that-has-enough-characters" }, { id = 1, key = "another-key-...
   |                                                         - first                                               ^ again
   |
   = help: give the new key an `id` of its own, on every peer the same
"#
}

virtual_ip! {
    a_key_without_an_id:
    r#"virtual_ips = [{ address = "10.0.1.100", keys = [{ key = "a-key-that-has-enough-characters" }] }]"#,
    r#"
error: a key has no `id`
  --> shop.toml:11:50
   |
11 | virtual_ips = [{ address = "10.0.1.100", keys = [{ key = "a-key-that-has-enough-characters" }] }]
   |                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `id` is missing
   |
   = help: add id = 1: its number on the wire
"#
}

virtual_ip! {
    a_key_with_the_id_0:
    r#"virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 0, key = "a-key-that-has-enough-characters" }] }]"#,
    r#"
error: `id` is out of range
  --> shop.toml:11:57
   |
11 | virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 0, key = "a-key-that-has-enough-characters" }] }]
   |                                                         ^ out of range
   |
   = help: it must be from 1 to 255
"#
}

virtual_ip! {
    a_key_too_short:
    r#"virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 1, key = "short" }] }]"#,
    r#"
error: that can't be a key
  --> shop.toml:11:66
   |
11 | virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 1, key = "short" }] }]
   |                                                                  ^^^^^^^ 5 bytes
   |
   = help: write 32 to 64 ASCII characters without blanks; `openssl rand -hex 32` makes such a key
"#
}

virtual_ip! {
    a_key_too_long:
    r#"virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 1, key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" }] }]"#,
    r#"
error: that can't be a key
  --> shop.toml:11:66
   |
11 | ..., keys = [{ id = 1, key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" }] }]
   |                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 65 bytes
   |
   = help: write 32 to 64 ASCII characters without blanks; `openssl rand -hex 32` makes such a key
"#
}

virtual_ip! {
    a_key_in_hexadecimal:
    r#"virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 1, key = "hex:000102030405060708090a0b0c0d0e0f" }] }]"#,
    r#"
error: a key can't begin with `hex:`
  --> shop.toml:11:66
   |
11 | virtual_ips = [{ address = "10.0.1.100", keys = [{ id = 1, key = "hex:000102030405060708090a0b0c0d0e0f" }] }]
   |                                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ keepalived would read this in another way
   |
   = help: write the characters of the key themselves, 32 to 64 of them
"#
}

virtual_ip! {
    a_group_on_two_orders_of_hosts:
    r#"virtual_ips = [
    { address = "10.0.1.100", hosts = ["lb1", "lb2"], group = "edge" },
    { address = "10.0.1.101", hosts = ["lb2", "lb1"], group = "edge" },
]"#,
    r#"
error: virtual IPs of group `edge` have different hosts or priorities
  --> shop.toml:13:39
   |
12 |     { address = "10.0.1.100", hosts = ["lb1", "lb2"], group = "edge" },
   |                                       -------------- of the first in the group
13 |     { address = "10.0.1.101", hosts = ["lb2", "lb1"], group = "edge" },
   |                                       ^^^^^^^^^^^^^^ not the same
   |
   = help: what moves together has the same hosts with the same priorities
"#
}

virtual_ip! {
    a_group_on_hosts_and_on_the_default:
    r#"virtual_ips = [
    { address = "10.0.1.100", group = "edge" },
    { address = "10.0.1.101", priorities = { lb1 = 200, lb2 = 100 }, group = "edge" },
]"#,
    r#"
error: virtual IPs of group `edge` have different hosts or priorities
  --> shop.toml:13:44
   |
12 |     { address = "10.0.1.100", group = "edge" },
   |                                       ------ of the first in the group
13 |     { address = "10.0.1.101", priorities = { lb1 = 200, lb2 = 100 }, group = "edge" },
   |                                            ^^^^^^^^^^^^^^^^^^^^^^^^ not the same
   |
   = help: what moves together has the same hosts with the same priorities
"#
}

virtual_ip! {
    a_group_with_two_delays:
    r#"virtual_ips = [
    { address = "10.0.1.100", preempt_delay = "30s", group = "edge" },
    { address = "10.0.1.101", group = "edge" },
]"#,
    r#"
error: virtual IPs of group `edge` differ in when they are taken back
  --> shop.toml:13:39
   |
12 |     { address = "10.0.1.100", preempt_delay = "30s", group = "edge" },
   |                                               ----- of the first in the group
13 |     { address = "10.0.1.101", group = "edge" },
   |                                       ^^^^^^ not the same
   |
   = help: what moves together has the same `preempt` and `preempt_delay`
"#
}

virtual_ip! {
    a_group_that_is_no_name:
    r#"virtual_ips = [{ address = "10.0.1.100", group = "the edge" }]"#,
    r#"
error: `the edge` can't be a name
  --> shop.toml:11:50
   |
11 | virtual_ips = [{ address = "10.0.1.100", group = "the edge" }]
   |                                                  ^^^^^^^^^^ not a name
   |
   = help: a name has letters, digits, `-`, `_` and `.`, begins with a letter or a digit, and is at most 63 long
"#
}
