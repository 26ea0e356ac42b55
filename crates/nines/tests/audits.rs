//! What `nines audit` says of the examples is what the documentation shows; and what a file accepts, needs and assumes counts.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

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
