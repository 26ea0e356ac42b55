//! What a file says of failures: what is read, and each mistake with what to do about it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::time::Duration;

use nines_system::{FailureRate, Maintenance, Needs, System};

const BASE: &str = r#"name = "shop"
zones = { a = { region = "north" }, b = { region = "north" } }
[hosts]
lb1 = { zone = "a", address = "10.0.1.10" }
lb2 = { zone = "b", address = "10.0.2.10" }
db1 = { zone = "a", address = "10.0.1.21" }
[load_balancers.front]
hosts = ["lb1", "lb2"]
listeners = [{ bind = ":80", pool = "web" }]
[pools.web]
members = ["db1:8080"]
[databases.main]
hosts = ["db1"]
[coordination]
etcd = ["db1:2379", "10.9.0.31:2379", "etcd3.example:2379"]
"#;

fn read(rest: &str) -> System {
    let text = format!("{BASE}{rest}");
    nines_system::parse("shop.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The one mistake of a file that ends so: its title and what to do.
#[track_caller]
fn mistake(rest: &str) -> (String, String) {
    let text = format!("{BASE}{rest}");
    let mistakes = nines_system::parse("shop.toml", &text).expect_err(rest);
    let all: Vec<_> = mistakes.iter().collect();
    assert_eq!(all.len(), 1, "{mistakes}");
    let (line, _) = mistakes.position(all[0]);
    assert!(line > BASE.lines().count(), "it is not where it stands: {mistakes}");
    (all[0].title.clone(), all[0].help.join("; "))
}

#[test]
fn what_is_accepted_is_called_as_an_audit_calls_it() {
    let system = read(
        r#"
        [shared.sw1]
        hosts = ["lb1", "lb2"]
        [accepted]
        "host lb1" = " it is a test "
        "zone a" = "b"
        "region north" = "b"
        "shared sw1" = "b"
        "coordination member 10.9.0.31:2379" = "b"
        "coordination member etcd3.example:2379" = "b""#,
    );
    let components: Vec<&str> = system.accepted.iter().map(|it| it.component.as_str()).collect();
    assert_eq!(components.len(), 6);
    assert!(components.contains(&"host lb1") && components.contains(&"shared sw1"));
    assert_eq!(system.accepted.iter().find(|it| it.component == "host lb1").unwrap().reason, "it is a test");
}

#[test]
fn a_mistake_comes_with_what_to_do() {
    let table = [
        (
            "[accepted]\n\"host lb3\" = \"x\"",
            "there is nothing called `host lb3`",
            "did you mean `host lb1` or `host lb2`?",
        ),
        ("[accepted]\nlb1 = \"x\"", "there is nothing called `lb1`", "did you mean `host lb1`?"),
        (
            "[accepted]\n\"the moon\" = \"x\"",
            "there is nothing called `the moon`",
            "as `nines audit` calls it",
        ),
        ("[accepted]\n\"zone a\" = \" \"", "`zone a` is accepted without a reason", "say why"),
        ("[accepted]\n\"zone a\" = true", "`zone a` must be a text in quotes, not true", "for example"),
        (
            "[pools.api]\nmembers = [\"db1:1\"]\npeak = 5",
            "`peak` says nothing without `member_peak`",
            "add member_peak",
        ),
        (
            "[pools.api]\nmembers = [\"db1:1\"]\nmember_peak = 5",
            "`member_peak` says nothing without `peak`",
            "add peak",
        ),
        (
            "[pools.api]\nmembers = [\"db1:1\"]\nneeds = 1\npeak = 5\nmember_peak = 5",
            "what the pool needs is said twice",
            "keep `needs`, or `peak` and `member_peak`",
        ),
        (
            "[assumptions]\nhost = { repair = \"4h\" }",
            "how often it fails is not said",
            "add availability = \"99.9 %\"",
        ),
        (
            "[assumptions]\nzone = { every = \"2h\", repair = \"3h\" }",
            "a failure lasts longer than from one to the next",
            "the repair included",
        ),
        (
            "[assumptions]\nhost = { every = \"2h\" }",
            "a failure lasts longer than from one to the next",
            "it is taken to last 4h: say how long",
        ),
        (
            "[assumptions]\nhost = { every = \"90d\", repair = \"10d\" }\n[shared.sw1]\nhosts = [\"db1\"]\nfailures = { every = \"1h\" }",
            "a failure lasts longer than from one to the next",
            "it is taken to last 2h",
        ),
        (
            "[assumptions]\nzone = { availability = \"99 %\", every = \"90d\" }",
            "how often it fails is said twice",
            "keep the one that you know",
        ),
        (
            "[assumptions]\nzone = { availability = \"100 %\" }",
            "`availability` is out of range",
            "less than 100 %",
        ),
        ("[assumptions]\ncoverage = 0.9", "`coverage` needs a unit", "90 %"),
        ("[assumptions]\nby_hand = { source = \"x\" }", "a time has no `value`", "add value"),
        (
            "[assumptions]\ncoverege = \"90 %\"",
            "assumptions has no key `coverege`",
            "did you mean `coverage`?",
        ),
        ("[shared.sw1]\nwhat = \"switch\"", "nothing shares `sw1`", "add hosts"),
        ("[shared.sw1]\nhosts = []", "`sw1` has no host", "name at least one"),
        ("[shared.sw1]\nhosts = [\"lb1\", \"lb1\"]", "`sw1` has a host twice", "take one out"),
        ("[shared.sw1]\nzones = [\"c\"]", "there is no zone `c`", "zones: `a`, `b`"),
        ("[names.\"shop.example\"]\nttl = \"1min\"", "a name has no `load_balancers`", "add load_balancers"),
        (
            "[names.\"shop.example\"]\nload_balancers = [\"frnot\"]",
            "there is no load balancer `frnot`",
            "did you mean `front`?",
        ),
        (
            "[names.\"shop.example\"]\nload_balancers = [\"front\"]\nnotice = \"5s\"",
            "`notice` does nothing without `checked`",
            "add checked = true",
        ),
        (
            "[names.shop_-]\nload_balancers = [\"front\"]",
            "`shop_-` is not a DNS name",
            "write the name that clients use",
        ),
        (
            "[hosts.new]\nzone = \"a\"\naddress = \"10.0.1.99\"\nmaintenance = \"never\"",
            "`maintenance` can't be `never`",
            "`none`",
        ),
        (
            "[hosts.new]\nzone = \"a\"\naddress = \"10.0.1.99\"\nmaintenance = { every = \"1h\", takes = \"2h\" }",
            "maintenance takes longer than from one to the next",
            "`takes` is how long",
        ),
        (
            "[hosts.new]\nzone = \"a\"\naddress = \"10.0.1.99\"\nmaintenance = { every = \"1d\" }",
            "maintenance has no `takes`",
            "add takes",
        ),
    ];
    for (rest, title, help) in table {
        let (its_title, its_help) = mistake(rest);
        assert_eq!(its_title, title);
        assert!(its_help.contains(help), "{title}: {its_help}");
    }
}

#[test]
fn a_name_that_a_mistake_elsewhere_left_unread_is_not_told_as_a_second_mistake() {
    let text = BASE.replace("\"10.9.0.31:2379\"", "\"10.9.0.31\"")
        + "[accepted]\n\"coordination member 10.9.0.31:2379\" = \"x\"";
    let mistakes = nines_system::parse("shop.toml", &text).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes}");
}

#[test]
fn maintenance_is_for_every_host_that_says_nothing_else() {
    let text = BASE.replacen(
        "name = \"shop\"\n",
        "name = \"shop\"\nmaintenance = { every = \"30d\", takes = \"10min\" }\n",
        1,
    );
    let text = text.replace("\"10.0.2.10\" }", "\"10.0.2.10\", maintenance = \"none\" }").replace(
        "\"10.0.1.21\" }",
        "\"10.0.1.21\", maintenance = { every = \"7d\", takes = \"1h\" }, failures = { every = \"100d\", repair = \"8h\" } }",
    );
    let system = nines_system::parse("shop.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let hours = |host: usize| {
        system.hosts[host]
            .maintenance
            .map(|Maintenance { every, takes }| (every.as_secs() / 3600, takes.as_secs() / 60))
    };
    assert_eq!([hours(0), hours(1), hours(2)], [Some((720, 10)), None, Some((168, 60))]);
    let failures = system.hosts[2].failures.as_ref().unwrap();
    assert_eq!(failures.rate, FailureRate::Every(Duration::from_secs(100 * 86_400)));
    assert_eq!(failures.repair, Some(Duration::from_secs(8 * 3600)));
}

#[test]
fn figures_are_read_with_where_they_come_from() {
    let system = read(
        "[assumptions]\nhost = { availability = \"99.95 %\", source = \"records\" }\ncommon_cause = \"2 %\"\n\
         coverage = { value = \"97 %\", source = \"drills\" }\nby_hand = \"10min\"\ncrew = 2\n\
         [pools.api]\nmembers = [\"db1:1\"]\npeak = 3000\nmember_peak = 1500\n",
    );
    let of = &system.assumptions;
    let host = of.host.as_ref().unwrap();
    assert_eq!((host.rate, host.source.as_deref()), (FailureRate::Availability(0.9995), Some("records")));
    assert_eq!(of.common_cause.as_ref().map(|it| it.value), Some(0.02));
    assert_eq!(of.coverage.as_ref().and_then(|it| it.source.as_deref()), Some("drills"));
    assert_eq!(of.by_hand.as_ref().map(|it| it.value.as_secs()), Some(600));
    assert_eq!((of.crew, of.zone.as_ref(), of.promotion.as_ref()), (Some(2), None, None));
    let api = system.pools.iter().find(|pool| pool.name == "api").unwrap();
    assert_eq!(api.needs, Some(Needs::Load { peak: 3000, member: 1500 }));
}

#[test]
fn a_name_leads_to_load_balancers_and_has_defaults() {
    let system = read("[names.\"shop.example\"]\nload_balancers = [\"front\"]\n");
    let name = &system.names[0];
    assert_eq!((name.ttl.as_secs(), name.checked, name.retry), (60, None, false));
    assert_eq!(system[name.load_balancers[0]].name, "front");
    let system = read("[names.\"shop.example\"]\nload_balancers = [\"front\"]\nchecked = true\n");
    assert_eq!(system.names[0].checked, Some(Duration::from_secs(30)));
}
