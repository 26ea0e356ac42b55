//! What an operator sees of `check`, `schema` and `init`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn nines(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nines")).args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const PAIR: &str = include_str!("../../../examples/pair.toml");

const WRONG: &str = r#"name = "shop"
hosts = { app1 = "10.0.1.21" }
pools = { web = { members = ["app1:8080"], check = { interval = 500 } } }
"#;

#[test]
fn a_file_that_is_right_gets_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pair.toml"), PAIR).unwrap();
    let out = nines(folder.path(), &["check", "pair.toml"]);
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(text(&out.stderr), "");
    let summary = "\
pair: the file is right

objective               99.99 %
zone a                  lb1, app1
zone b                  lb2, app2, app3
load balancer front     on lb1, lb2
                        http :80 to web
virtual IP 10.0.1.100   on lb1, else lb2
pool web                app1:8080, app2:8080, app3:8080
                        checked by GET /healthz every 1s, least requests
";
    assert_eq!(text(&out.stdout), summary);
}

#[test]
fn the_summary_tells_what_a_database_promises_and_who_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.toml"), nines_system::example()).unwrap();
    let out = nines(folder.path(), &["check", "shop.toml"]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""));
    let summary = "
load balancer front     on lb1, lb2
                        http :80 to web
                        tcp :5432 to database orders, read-write
                        tcp :5433 to database orders, read-only
virtual IP 10.0.1.100   on lb1, else lb2
pool web                app1:8080, app2:8080, app3:8080
                        checked by GET /healthz every 1s, least requests
database orders         PostgreSQL on db1, db2, db3
                        port 5432, 5433 for reads
                        each write confirmed by 1 of 2 standbys, strict; lease 1.5s
coordination            etcd on db1:2379, db2:2379, db3:2379
";
    assert!(text(&out.stdout).ends_with(summary), "{}", text(&out.stdout));

    let out = nines(folder.path(), &["check", "shop.toml", "--json"]);
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    let summary = &answer["summary"];
    assert_eq!(summary["pools"].as_array().map(Vec::len), Some(1), "{summary}");
    assert_eq!(summary["databases"][0]["hosts"], serde_json::json!(["db1", "db2", "db3"]));
    assert_eq!(summary["databases"][0]["confirm"], 1);
    let reached = serde_json::json!({ "name": "orders", "access": "read-only" });
    assert_eq!(summary["load_balancers"][0]["listeners"][2]["database"], reached);
    assert_eq!(summary["coordination"]["store"]["etcd"][0], "db1:2379");

    let out = nines(folder.path(), &["check", "shop.toml", "--explain"]);
    let explained = text(&out.stdout);
    assert!(explained.contains("replication_password = \"(hidden)\""), "{explained}");
    assert!(!explained.contains("an-example-of-a-password"), "{explained}");
}

#[test]
fn a_file_that_is_wrong_is_shown_on_stderr_with_exit_78() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.toml"), WRONG).unwrap();
    let out = nines(folder.path(), &["check", "shop.toml"]);
    assert_eq!(out.status.code(), Some(78));
    assert_eq!(text(&out.stdout), "");
    let expected = "\
error: `interval` needs a unit
 --> shop.toml:3:65
  |
3 | pools = { web = { members = [\"app1:8080\"], check = { interval = 500 } } }
  |                                                                 ^^^ a number without a unit
  |
  = help: write \"500ms\"; units: ns, us, ms, s, min, h, d

shop.toml: 1 mistake
";
    assert_eq!(text(&out.stderr), expected);
}

#[test]
fn a_file_that_can_not_be_read_is_exit_78_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("latin1.toml"), b"name = \"caf\xe9\"").unwrap();
    for (file, why) in [("none.toml", "No such file"), (".", "directory"), ("latin1.toml", "UTF-8")] {
        let out = nines(folder.path(), &["check", file]);
        assert_eq!(out.status.code(), Some(78), "{file}");
        let said = text(&out.stderr);
        assert!(said.starts_with(&format!("nines: can't read {file}: ")) && said.contains(why), "{said}");
    }
}

#[test]
fn a_program_gets_the_same_as_json() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wrong.toml"), WRONG).unwrap();
    let out = nines(folder.path(), &["check", "wrong.toml", "--json"]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(78), ""));
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["ok"], false);
    let mistake = &answer["mistakes"][0];
    assert_eq!((&mistake["line"], &mistake["column"]), (&Value::from(3), &Value::from(65)));
    assert_eq!(mistake["message"], "`interval` needs a unit");
    assert!(mistake["help"].as_str().unwrap().starts_with("write \"500ms\""));

    std::fs::write(folder.path().join("right.toml"), WRONG.replace("500", "\"500ms\"")).unwrap();
    let out = nines(folder.path(), &["check", "right.toml", "--json"]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""));
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["mistakes"], Value::Array(Vec::new()));
    assert_eq!(answer["warnings"][0]["message"], "nothing sends to pool `web`");
    assert_eq!(answer["summary"]["pools"][0]["members"][0], "app1:8080");
}

#[test]
fn the_summary_tells_which_host_answers_on_a_virtual_address() {
    let folder = tempfile::tempdir().unwrap();
    let file = r#"
name = "pair"

[hosts]
lb1 = "10.0.1.10"
lb2 = "10.0.1.11"
lb3 = "10.0.1.12"
app1 = "10.0.1.21"

[load_balancers.front]
hosts = ["lb1", "lb2", "lb3"]
listeners = [{ bind = ":80", pool = "web" }]
virtual_ips = [
    "10.0.1.100",
    { address = ["10.0.1.101", "10.0.1.102"], priorities = { lb1 = 100, lb2 = 150, lb3 = 100 }, interval = "1s" },
]

[pools.web]
members = ["app1:8080"]
"#;
    std::fs::write(folder.path().join("pair.toml"), file).unwrap();
    let out = nines(folder.path(), &["check", "pair.toml"]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""));
    let summary = "
load balancer front     on lb1, lb2, lb3
                        http :80 to web
virtual IP 10.0.1.100   on lb1, else lb2, else lb3
virtual IP 10.0.1.101   on lb2, else lb1 or lb3
virtual IP 10.0.1.102   the same
pool web                app1:8080
";
    assert!(text(&out.stdout).contains(summary), "{}", text(&out.stdout));

    let out = nines(folder.path(), &["check", "pair.toml", "--json"]);
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    let host = |name: &str, priority: u8| serde_json::json!({ "name": name, "priority": priority });
    let expected = serde_json::json!([
        {
            "addresses": ["10.0.1.100"],
            "router_id": 100,
            "interval_ms": 100,
            "hosts": [host("lb1", 200), host("lb2", 190), host("lb3", 180)],
        },
        {
            "addresses": ["10.0.1.101", "10.0.1.102"],
            "router_id": 101,
            "interval_ms": 1000,
            "hosts": [host("lb2", 150), host("lb1", 100), host("lb3", 100)],
        },
    ]);
    assert_eq!(answer["summary"]["load_balancers"][0]["virtual_ips"], expected);
}

#[test]
fn an_explained_file_is_a_file_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pair.toml"), PAIR).unwrap();
    let explained = nines(folder.path(), &["check", "pair.toml", "--explain"]);
    assert_eq!(explained.status.code(), Some(0));
    assert!(text(&explained.stdout).contains("race_connect = \"50ms\""));
    std::fs::write(folder.path().join("explained.toml"), &explained.stdout).unwrap();
    let again = nines(folder.path(), &["check", "explained.toml", "--explain"]);
    assert_eq!(text(&again.stdout), text(&explained.stdout));
}

#[test]
fn init_writes_a_file_that_is_right_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let out = nines(folder.path(), &["init"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(nines(folder.path(), &["check", "nines.toml"]).status.code(), Some(0));

    std::fs::write(folder.path().join("mine.toml"), "mine").unwrap();
    let out = nines(folder.path(), &["init", "mine.toml"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("mine.toml is there already"), "{}", text(&out.stderr));
    assert_eq!(std::fs::read_to_string(folder.path().join("mine.toml")).unwrap(), "mine");
}

#[test]
fn the_schema_is_json() {
    let out = nines(&std::env::temp_dir(), &["schema"]);
    assert_eq!(out.status.code(), Some(0));
    let schema: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], serde_json::json!(["name", "hosts"]));
}

#[test]
fn an_audit_says_what_fails_alone_and_what_would_help() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pair.toml"), PAIR).unwrap();
    let out = nines(folder.path(), &["audit", "pair.toml", "--json"]);
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["single_points"], serde_json::json!([]));
    let lb1 = answer["components"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["component"]["name"] == "lb1")
        .unwrap();
    assert_eq!(lb1["takes_over"], serde_json::json!(["front: lb2 takes 10.0.1.100"]));

    let single = PAIR.replace("hosts = [\"lb1\", \"lb2\"]", "hosts = [\"lb1\"]");
    std::fs::write(folder.path().join("single.toml"), single.replace("virtual_ips", "# virtual_ips"))
        .unwrap();
    let out = nines(folder.path(), &["audit", "single.toml"]);
    assert_eq!(out.status.code(), Some(1));
    let told = text(&out.stdout);
    assert!(told.contains("host lb1 alone takes down: front http-80 to web"), "{told}");
    assert!(told.contains("a second host for front in zone b"), "{told}");
}

#[test]
fn simulated_years_are_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pair.toml"), PAIR).unwrap();
    let years =
        |seed| nines(folder.path(), &["simulate", "pair.toml", "--years", "500", "--json", "--seed", seed]);
    let (one, again, other) = (years("1"), years("1"), years("2"));
    assert_eq!(one.status.code(), Some(0));
    assert_eq!(one.stdout, again.stdout);
    assert_ne!(one.stdout, other.stdout);
    let answer: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert!(answer["mean"]["likely"].as_f64().unwrap() > 0.0 && answer["years"] == 500);
}

#[test]
fn a_simulated_world_is_the_same_again_down_to_the_hash_of_its_trace() {
    let folder = std::env::temp_dir();
    for world in ["failover", "vrrp"] {
        let play = |args: &[&str]| nines(&folder, &[&["simulate", "--world", world], args].concat());
        let traced = play(&["--seed", "7", "--trace"]);
        assert_eq!(traced.status.code(), Some(0));
        assert_eq!(traced.stdout, play(&["--seed", "7", "--trace"]).stdout);
        let told = text(&traced.stdout);
        assert!(told.lines().count() > 1000 && told.contains("every promise kept"), "{told}");

        let json = |args: &[&str]| -> Value {
            serde_json::from_slice(&play(&[args, &["--json"]].concat()).stdout).unwrap()
        };
        // Alone, and among others on all cores.
        let (alone, among) = (json(&["--seed", "7"]), json(&["--seed", "5", "--seeds", "4"]));
        assert_eq!(alone["seeds"][0], among["seeds"][2]);
        assert_ne!(among["seeds"][1]["fingerprint"], among["seeds"][2]["fingerprint"]);
        let hash = alone["seeds"][0]["fingerprint"].as_str().unwrap();
        assert!(told.contains(&format!("trace {hash}")), "{hash}");
        assert_eq!((&alone["world"], &alone["broken"]), (&Value::from(world), &Value::from(0)));
    }
}

#[test]
fn a_world_and_a_file_are_two_things() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pair.toml"), PAIR).unwrap();
    for args in [
        &["pair.toml", "--trace"][..],
        &["pair.toml", "--world", "vrrp"],
        &["--world", "vrrp", "--years", "3"],
        &[],
    ] {
        let out = nines(folder.path(), &[&["simulate"], args].concat());
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(2), ""), "{args:?}");
    }
}
