//! What `nines audit` says of the examples is what the documentation shows; and what a file accepts, needs and assumes counts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn nines(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nines"));
    command.args(args).current_dir(folder).env("NO_COLOR", "1").output().unwrap()
}

/// The document with what each of its commands prints today: a line `    $ nines audit FILE` begins what it printed, in one block.
fn with_today(document: &str) -> String {
    let mut out = String::new();
    let mut blocks = document.split("```\n");
    out.push_str(blocks.next().unwrap_or_default());
    for (at, part) in blocks.enumerate() {
        out.push_str("```\n");
        let command = part.lines().next().and_then(|line| line.strip_prefix("$ nines "));
        match command.filter(|_| at % 2 == 0) {
            Some(command) => {
                let args: Vec<&str> = command.split_whitespace().collect();
                let got = nines(root(), &args);
                let text = String::from_utf8(got.stdout).unwrap();
                let lines: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
                out.push_str(&format!("$ nines {command}\n{lines}"));
                out.push_str(&format!("(exit {})\n", got.status.code().unwrap()));
            }
            None => out.push_str(part),
        }
    }
    out
}

#[test]
fn the_documented_audits_are_of_this_version() {
    let path = root().join("docs/audits.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let today = with_today(&written);
    for example in ["single", "pair", "shop", "two-datacentres"] {
        assert!(today.contains(&format!("$ nines audit examples/{example}.toml\n")), "{example}");
    }
    if std::env::var_os("NINES_WRITE_DOCS").is_some() {
        std::fs::write(&path, &today).unwrap();
        return;
    }
    assert!(
        written == today,
        "docs/audits.md is out of date; write it by: NINES_WRITE_DOCS=1 cargo test -p nines --test audits"
    );
}

const PAIR_IN_ONE_ZONE: &str = r#"name = "t"
objective = "99 %"
zones = ["a", "b"]
[hosts]
lb1 = { zone = "a", address = "10.0.1.10" }
lb2 = { zone = "a", address = "10.0.1.11" }
app1 = { zone = "a", address = "10.0.1.21" }
app2 = { zone = "b", address = "10.0.2.21" }
[load_balancers.front]
hosts = ["lb1", "lb2"]
virtual_ips = ["10.0.1.100"]
listeners = [{ bind = ":80", pool = "web" }]
[pools.web]
members = ["app1:8080", "app2:8080"]
check = { http = "/" }
"#;

#[test]
fn a_check_tells_what_is_around_the_hosts() {
    let out = nines(root(), &["check", "examples/everything.toml"]);
    let text = String::from_utf8(out.stdout).unwrap();
    for (what, about) in [
        ("name shop.example ", "   to front; clients try each by themselves\n"),
        ("shared sw1 ", "   switch of db3, db4, zone a\n"),
        ("accepted zone a ", "   half of what clients see is there until the move is done\n"),
    ] {
        let row = text.split_inclusive('\n').find(|line| line.starts_with(what)).unwrap_or_default();
        assert!(row.ends_with(about), "{what}: {text}");
    }
    let out = nines(root(), &["check", "examples/two-datacentres.toml", "--json"]);
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    let name = &answer["summary"]["names"][0];
    assert_eq!((&name["name"], &name["ttl_ms"]), (&"shop.example".into(), &60_000.into()));
}

struct Audited {
    code: i32,
    json: Value,
}

impl Audited {
    fn codes(&self) -> Vec<&str> {
        self.json["findings"].as_array().unwrap().iter().map(|of| of["code"].as_str().unwrap()).collect()
    }
}

fn audit(text: &str, args: &[&str]) -> Audited {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("t.toml");
    std::fs::write(&file, text).unwrap();
    let got = nines(folder.path(), &[&["audit", "t.toml", "--json"], args].concat());
    let json = serde_json::from_slice(&got.stdout).unwrap();
    Audited { code: got.status.code().unwrap(), json }
}

#[test]
fn what_the_file_accepts_is_accepted_and_options_add_to_it() {
    assert_eq!(audit(PAIR_IN_ONE_ZONE, &[]).code, 1);
    let accepted = format!("{PAIR_IN_ONE_ZONE}[accepted]\n\"zone a\" = \"one rack\"\n");
    let audited = audit(&accepted, &[]);
    assert_eq!(audited.code, 0);
    assert_eq!(audited.json["single_points"][0]["acknowledged"], "one rack");
    assert!(!audited.codes().contains(&"accepted-without-need"));
    // A switch makes a second one, and the option accepts it.
    let switch = format!("{accepted}[shared.sw1]\nwhat = \"switch\"\nhosts = [\"lb1\", \"lb2\"]\n");
    assert_eq!(audit(&switch, &[]).code, 1);
    assert_eq!(audit(&switch, &["--accept", "shared sw1=ordered"]).code, 0);
    // What is no single point of failure any more is told.
    let apart = accepted.replace("lb2 = { zone = \"a\"", "lb2 = { zone = \"b\"");
    assert!(audit(&apart, &[]).codes().contains(&"accepted-without-need"));
}

const SHOP: &str = include_str!("../../../examples/shop.toml");

#[test]
fn who_decides_must_not_be_reached_through_what_is_decided() {
    let found = |text: &str| audit(text, &[]).codes().contains(&"watcher-behind-watched");
    assert!(!found(SHOP));
    let behind = |third: &str| SHOP.replace(r#""db3:2379"]"#, &format!(r#""{third}:2379"]"#));
    assert!(found(&behind("10.0.1.100")), "it is an address of front");
    let named = format!("{}[names.\"shop.example\"]\nload_balancers = [\"front\"]\n", behind("shop.example"));
    assert!(found(&named));
    assert!(!found(&behind("10.9.0.31")), "it is somewhere else");
}

#[test]
fn a_certificate_that_etcd_is_shown_is_told_as_what_takes_the_primary_away() {
    let tls = "tls = { ca = \"/etc/ca.crt\", certificate = \"/etc/nines.crt\", key = \"/etc/nines.key\" }\n";
    let audited = audit(&format!("{SHOP}{tls}"), &[]);
    let rows = audited.json["components"].as_array().unwrap();
    let row = rows.iter().find(|row| row["component"]["name"] == "the certificate /etc/nines.crt").unwrap();
    assert_eq!(row["lost"], serde_json::json!(["writes to orders"]));
    let finding = |of: &Audited| {
        let findings = of.json["findings"].as_array().unwrap();
        let finding = findings.iter().find(|of| of["code"] == "certificate-not-counted").unwrap();
        (finding["place"].clone(), finding["text"].as_str().unwrap().to_owned())
    };
    let (place, text) = finding(&audited);
    assert!(place == "coordination" && text.contains("no host stays the primary"), "{place}: {text}");
    assert!(!text.contains("new connections"), "{text}");
    // The same file for clients: they lose what they come in by as well, to read and to write.
    let both = SHOP.replace(
        "replication_password",
        "tls = { mode = \"pass-through\", certificate = \"/etc/nines.crt\", key = \"/etc/nines.key\" }\nreplication_password",
    );
    let both = audit(&format!("{both}{tls}"), &[]);
    let rows = both.json["components"].as_array().unwrap();
    let row = rows.iter().find(|row| row["component"]["name"] == "the certificate /etc/nines.crt").unwrap();
    let lost: Vec<&str> = row["lost"].as_array().unwrap().iter().filter_map(|of| of.as_str()).collect();
    assert!(lost.len() > 1 && lost.contains(&"writes to orders"), "{lost:?}");
    let (place, text) = finding(&both);
    let said = "new connections to orders are refused, and no host stays the primary";
    assert!(place == "databases" && text.contains(said), "{place}: {text}");
}

#[test]
fn what_is_proposed_and_done_takes_away_what_was_said_and_as_many_minutes() {
    let minutes = |of: &Audited| of.json["prediction"]["minutes_per_year"]["likely"].as_f64().unwrap();
    let done = |before: &str, after: &str, text: &str, point: &str| {
        let (now, then) = (audit(before, &[]), audit(after, &[]));
        let changes = now.json["changes"].as_array().unwrap();
        let change = changes
            .iter()
            .find(|change| change["text"] == text)
            .unwrap_or_else(|| panic!("{text}: {changes:#?}"));
        let saves = change["saves"].as_f64().unwrap();
        assert!((minutes(&now) - minutes(&then) - saves).abs() < 0.1, "{text}: {saves}");
        let point_of = |of: &Audited| {
            let points = of.json["single_points"].as_array().unwrap();
            points.iter().find(|of| of["component"] == point).cloned()
        };
        assert_eq!(point_of(&now).unwrap()["remedy"], text);
        assert_eq!(point_of(&then), None);
    };
    let etcd = |members: &str| SHOP.replace(r#"etcd = ["db1:2379", "db2:2379", "db3:2379"]"#, members);
    done(
        &etcd(r#"etcd = ["db1:2379"]"#),
        SHOP,
        "three coordination members in three zones, with new ones beside db2 and beside db3",
        "host db1",
    );
    done(
        &SHOP.replace(r#"db3 = { zone = "c""#, r#"db3 = { zone = "b""#),
        SHOP,
        "db3 of orders in zone c instead of b",
        "zone b",
    );
    done(
        &SHOP.replace("virtual_ips = [\"10.0.1.100\"]\n", ""),
        SHOP,
        "a virtual address for front",
        "host lb1",
    );
    let two = SHOP.replace("member_peak = 1000", "member_peak = 400");
    let third = two.replace(r#"app3 = { zone = "b""#, r#"app3 = { zone = "c""#);
    done(&two, &third, "members of web elsewhere: app3 in zone c instead of b", "zone b");
    // Both at once, where one is not enough.
    let bare = r#"name = "t"
        zones = ["a", "b"]
        [hosts]
        lb1 = { zone = "a", address = "10.0.0.10" }
        app1 = { zone = "a", address = "10.0.0.21" }
        app2 = { zone = "a", address = "10.0.0.22" }
        [load_balancers.front]
        hosts = ["lb1"]
        listeners = [{ bind = ":80", pool = "web" }]
        [pools.web]
        members = ["app1:8080", "app2:8080"]
    "#;
    let apart = bare
        .replace(r#"app2 = { zone = "a""#, r#"app2 = { zone = "b""#)
        .replace("[load_balancers", "lb2 = { zone = \"b\", address = \"10.0.0.11\" }\n[load_balancers")
        .replace(r#"hosts = ["lb1"]"#, "hosts = [\"lb1\", \"lb2\"]\nvirtual_ips = [\"10.0.0.100\"]");
    let both = "members of web elsewhere: app2 in zone b instead of a; a second host for front in zone b, and a virtual address (on the same network)";
    done(bare, &apart, both, "zone a");
}

/// Everything of the shop on one switch, and what agrees on machines of its own.
fn on_switches(shared: &str) -> String {
    let hosts = "[hosts]\ne1 = { zone = \"a\", address = \"10.0.1.41\" }\ne2 = { zone = \"a\", address = \"10.0.1.42\" }\ne3 = { zone = \"a\", address = \"10.0.1.43\" }\n";
    let shop = SHOP.replace("[hosts]\n", hosts);
    let shop = shop.replace(r#""db1:2379", "db2:2379", "db3:2379""#, r#""e1:2379", "e2:2379", "e3:2379""#);
    format!(
        "{}{shared}",
        shop.replace("zone = \"b\"", "zone = \"a\"").replace("zone = \"c\"", "zone = \"a\"")
    )
}

#[test]
fn switches_that_are_bought_as_proposed_are_enough() {
    let all = ["lb1", "lb2", "app1", "app2", "app3", "db1", "db2", "db3", "e1", "e2", "e3"];
    let switch =
        |name: &str, hosts: &[&str]| format!("[shared.{name}]\nwhat = \"switch\"\nhosts = {hosts:?}\n");
    let remedy = |of: &Audited, name: &str| {
        let points = of.json["single_points"].as_array().unwrap();
        let point = points.iter().find(|point| point["component"] == name)?;
        Some(point["remedy"].as_str().unwrap_or_default().to_owned())
    };
    let now = audit(&on_switches(&switch("sw1", &all)), &[]);
    let proposed = remedy(&now, "shared sw1").unwrap();
    let mut switches: Vec<(String, Vec<&str>)> = vec![("sw1".into(), all.to_vec())];
    for step in proposed.split("; ") {
        let (new, hosts) = step.split_once(", with ").unwrap();
        let name = new.split(", ").nth(1).unwrap_or_else(|| panic!("{proposed}"));
        let from = new.split("beside ").nth(1).unwrap();
        let hosts: Vec<&str> = hosts.split(", ").collect();
        let (_, old) = switches.iter_mut().find(|(of, _)| of == from).unwrap();
        old.retain(|host| !hosts.contains(host));
        switches.push((name.to_owned(), hosts));
    }
    assert!(switches.len() > 2, "{proposed}");
    let done: String = switches.iter().map(|(name, hosts)| switch(name, hosts)).collect();
    let then = audit(&on_switches(&done), &[]);
    for (name, _) in &switches {
        assert_eq!(remedy(&then, &format!("shared {name}")), None, "{proposed}");
    }
}

#[test]
fn what_a_pool_needs_is_in_the_file_and_an_option_says_otherwise() {
    let needs = PAIR_IN_ONE_ZONE.replace("check =", "peak = 300\nmember_peak = 200\ncheck =");
    let audited = audit(&needs, &[]);
    assert!(audited.codes().contains(&"no-capacity-after-one-host"));
    assert_eq!(audited.json["capacity"][0]["after"][0]["of_peak"], 0.5);
    assert!(!audit(&needs, &["--needs", "web=1"]).codes().contains(&"no-capacity-after-one-host"));
}

#[test]
fn figures_of_the_file_are_used_and_shown_with_where_they_come_from() {
    let text = format!(
        "{PAIR_IN_ONE_ZONE}[assumptions]\nzone = {{ availability = \"99.99 %\", repair = \"1h\", source = \"our records\" }}\n"
    );
    let (before, after) = (audit(PAIR_IN_ONE_ZONE, &[]).json, audit(&text, &[]).json);
    let minutes = |of: &Value| of["prediction"]["minutes_per_year"]["likely"].as_f64().unwrap();
    // 99.9 % of the zone were 525 minutes, and 99.99 % are 53.
    assert!((minutes(&before) - minutes(&after) - 473.0).abs() < 5.0);
    let zone = &after["assumptions"]["zone"]["per_year"];
    assert_eq!((&zone["origin"], &zone["source"]), (&"stated".into(), &"our records".into()));
    // And simulated years go by them too.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.toml"), &text).unwrap();
    let got = nines(folder.path(), &["simulate", "t.toml", "--years", "4000", "--json"]);
    let simulated: Value = serde_json::from_slice(&got.stdout).unwrap();
    let mean = simulated["mean"]["likely"].as_f64().unwrap();
    assert!((mean / minutes(&after) - 1.0).abs() < 0.2, "{mean} is not {}", minutes(&after));
}
