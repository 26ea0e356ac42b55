//! What an operator sees of `nines audit --with` and `nines what-if`. Needs no namespaces: the rehearsals are made up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const PAIR: &str = include_str!("../../../examples/pair.toml");
const SHOP: &str = include_str!("../../../examples/shop.toml");

/// A folder with the example's files, where nothing was rehearsed yet.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pair.toml"), PAIR).unwrap();
    std::fs::write(folder.path().join("shop.toml"), SHOP).unwrap();
    folder
}

fn nines(folder: &Path, args: &[&str]) -> Output {
    let state = folder.join("state");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nines"));
    command.args(args).current_dir(folder).env("XDG_STATE_HOME", state).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn case(fault: &str, gap_ms: f64) -> Value {
    json!({
        "component": "lb1", "role": null, "fault": fault,
        "requests": { "sent": 3000, "failed": 150, "kinds": {}, "causes": {} },
        "longest_gap_ms": gap_ms, "promised_gap_ms": 500.0, "slowest_ms": 20.0, "noticed_ms": 280.0,
        "taken_over_ms": null, "recovered_ms": 900.0, "verdict": "held", "why": [],
        "expected": "no gap longer than 500 ms", "together": false, "zone": "a", "hosts": ["lb1"], "members": [],
        "rate": 1000, "seconds": 3.0, "latency_ms": { "p50": 1.0, "p99": 2.0, "p999": 3.0 },
        "clients_late_ms": 1.0, "first_failures": [],
        "predicted": { "loss": "gap", "at_most_ms": 345.8, "how": "silence" }, "difference": null
    })
}

fn report(folder: &Path, name: &str, at: u64, results: &[Value]) {
    let report = json!({
        "format": 1, "program": "0.1.0", "at": at, "fingerprint": "0", "system": "pair", "objective": "99.99 %",
        "verdict": "held", "complete": false, "results": results
    });
    std::fs::write(folder.join(name), report.to_string()).unwrap();
}

#[test]
fn what_was_rehearsed_takes_the_place_of_what_is_assumed_with_its_bound() {
    let folder = folder();
    let all = ["kill", "power-off", "freeze", "cut-off", "cut-in", "cut-out"];
    report(folder.path(), "monday.json", 1_795_403_045, &all.map(|fault| case(fault, 300.0)));
    report(
        folder.path(),
        "tuesday.json",
        1_795_489_445,
        &["kill", "freeze", "drain", "cut-off"].map(|fault| case(fault, 310.0)),
    );
    let with = ["audit", "pair.toml", "--with", "monday.json", "--with", "tuesday.json"];
    let told = out(&nines(folder.path(), &with));
    // 0.05^(1/9) is 0.717: a bound is never rounded up.
    assert!(
        told.contains("front: 9 of 9 failovers came about: coverage at least 71 % (95 %); the longest took 0.31 s; 290 more without a miss would show 99 %"),
        "{told}"
    );
    assert!(
        told.contains("from monday.json: 6 cases, not complete, 2026-11-23 03:04, nines 0.1.0"),
        "{told}"
    );
    assert!(told.contains("the system file has changed since"), "{told}");
    let head = told.lines().find(|line| line.contains("rehearsed") && line.contains("assumed  ")).unwrap();
    assert!(head.starts_with("minutes of downtime a year"), "{told}");

    let answer: Value =
        serde_json::from_str(&out(&nines(folder.path(), &[&with[..], &["--json"]].concat()))).unwrap();
    let rehearsals = &answer["rehearsals"];
    assert_eq!(rehearsals["failovers"][0]["component"], "front");
    assert_eq!(
        (&rehearsals["failovers"][0]["failovers"], &rehearsals["failovers"][0]["more"]),
        (&json!(9), &json!(290))
    );
    assert_eq!(
        answer["assumptions"]["rehearsed"]["front"],
        json!({ "failovers": 9, "missed": 0, "seconds": 0.31 })
    );
    assert_eq!(
        rehearsals["after"], answer["prediction"]["minutes_per_year"],
        "what is predicted is what was rehearsed"
    );
    let worst = |of: &str| rehearsals[of]["high"].as_f64().unwrap();
    assert!(worst("after") < worst("before"), "nine that came about make nothing worse");

    // Six that were missed of nine cost more than anything that is assumed.
    let missed = |fault| {
        let mut case = case(fault, 3_200.0);
        case["verdict"] = "broken".into();
        case
    };
    let mut late = case("cut-off", 900.0);
    late["verdict"] = "broken".into();
    report(folder.path(), "bad.json", 1_795_403_045, &all.map(missed));
    report(folder.path(), "worse.json", 1_795_403_046, &[case("kill", 300.0), case("freeze", 300.0), late]);
    let args = ["audit", "pair.toml", "--with", "bad.json", "--with", "worse.json"];
    let output = nines(folder.path(), &args);
    assert!(
        out(&output).contains(
            "front: 3 of 9 failovers came about: coverage at least 9 % (95 %); the longest took 0.90 s"
        ),
        "{}",
        out(&output)
    );
    assert!(out(&output).contains("  1 of them later than promised"), "{}", out(&output));
    let answer: Value =
        serde_json::from_str(&out(&nines(folder.path(), &[&args[..], &["--json"]].concat()))).unwrap();
    let likely = |of: &str| answer["rehearsals"][of]["likely"].as_f64().unwrap();
    assert!(likely("after") > likely("before") + 5.0, "{} {}", likely("before"), likely("after"));
}

#[test]
fn a_rehearsal_of_something_else_is_refused() {
    let folder = folder();
    report(folder.path(), "out.json", 1, &[case("kill", 300.0)]);
    let refused = |args: &[&str]| {
        let output = nines(folder.path(), args);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""), "{args:?}");
        err(&output)
    };
    let told = refused(&["audit", "shop.toml", "--with", "out.json"]);
    assert_eq!(told, "nines: out.json is a rehearsal of pair, and this is shop\n");
    let renamed = PAIR.replace("lb1", "edge1");
    std::fs::write(folder.path().join("renamed.toml"), renamed).unwrap();
    let told = refused(&["audit", "renamed.toml", "--with", "out.json"]);
    assert_eq!(told, "nines: out.json is of another system: there is no host lb1 in this one\n");
    std::fs::write(folder.path().join("old.json"), r#"{"system": "pair", "results": []}"#).unwrap();
    let told = refused(&["what-if", "pair.toml", "lb1", "--with", "old.json"]);
    assert!(told.contains("older nines"), "{told}");
    let told = refused(&["audit", "pair.toml", "--with", "pair.toml"]);
    assert!(told.contains("is not what `nines rehearse --json` prints"), "{told}");
    let told = refused(&["audit", "pair.toml", "--with", "last"]);
    assert!(told.contains("nothing is remembered of pair") && told.contains("state/nines"), "{told}");
}

#[test]
fn one_component_is_told_by_analysis_simulation_rehearsal_and_drill() {
    let folder = folder();
    report(folder.path(), "out.json", 1_795_403_045, &[case("kill", 300.0), case("freeze", 290.0)]);
    let told =
        out(&nines(folder.path(), &["what-if", "pair.toml", "lb1", "--with", "out.json", "--years", "300"]));
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "host lb1: nothing answers for up to 0.35 s, then others do",
        "longest gap if it fails ≤ 0.35 s – 0.30 s no drill yet",
        "fatal together with zone b, host lb2",
        "Simulation: 300 years, seed 1",
        "lb1 kill 2026-11-23 03:04 ≤ 0.35 s 0.30 s 150 of 3,000 held",
        "Last drill: it was broken in the real system no drill yet",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    let ask = |name: &str| {
        let output = nines(folder.path(), &["what-if", "shop.toml", name, "--years", "200", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", err(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let db1 = ask("db1");
    assert_eq!(
        (&db1["component"], &db1["last_rehearsal"], &db1["last_drill"]),
        (&json!("host db1"), &Value::Null, &Value::Null)
    );
    assert_eq!(db1["analysis"]["ways"][0]["at_most_seconds"], 3.825);
    assert!(db1["simulation"]["outages_per_year"].as_f64().unwrap() > 0.5, "{db1:#}");
    assert_eq!(ask("db1"), db1, "the same seed, the same years");
    for (name, label) in [
        ("zone a", "zone a"),
        ("front", "load balancer front"),
        ("web", "pool web"),
        ("orders", "database orders"),
        ("coordination", "coordination"),
    ] {
        assert_eq!(ask(name)["component"], label);
    }
}

#[test]
fn what_if_says_what_the_audit_says_and_a_command_that_works() {
    let folder = folder();
    let two = include_str!("../../../examples/two-datacentres.toml");
    std::fs::write(folder.path().join("two.toml"), two).unwrap();
    let ask = |args: &[&str]| {
        let output = nines(folder.path(), &[args, &["--years", "50"]].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", err(&output));
        out(&output)
    };
    let north = ask(&["what-if", "two.toml", "zone north"]);
    assert!(north.starts_with("zone north: nothing answers for up to 11.32 s, then others do\n"), "{north}");
    assert!(!north.contains("until repaired"), "{north}");
    let member = ask(&["what-if", "two.toml", "app-n1:8080"]);
    assert!(member.contains("member app-n1:8080 of web") && member.contains("host app-n1"), "{member}");
    for name in ["db1", "zone a", "web", "orders", "front", "coordination"] {
        let told = ask(&["what-if", "shop.toml", name]);
        let (_, rest) = told.split_once("`nines rehearse FILE ").unwrap_or_else(|| panic!("{told}"));
        let (words, _) = rest.split_once('`').unwrap();
        let mut args = vec!["rehearse", "shop.toml", "--list"];
        let names = words.split("--only ").map(|word| word.trim().trim_matches('"'));
        args.extend(names.filter(|name| !name.is_empty()).flat_map(|name| ["--only", name]));
        let listed = nines(folder.path(), &args);
        assert_eq!(listed.status.code(), Some(0), "{args:?}: {}", err(&listed));
    }
    assert!(ask(&["what-if", "shop.toml", "db1"]).contains("--only orders/primary`"));
}

#[test]
fn what_is_slow_has_not_failed() {
    let folder = folder();
    report(folder.path(), "out.json", 1_795_403_045, &[case("kill", 300.0), case("slow", 2_900.0)]);
    let told =
        out(&nines(folder.path(), &["what-if", "pair.toml", "lb1", "--with", "out.json", "--years", "50"]));
    let row = told.lines().find(|line| line.starts_with("longest gap if it fails")).unwrap();
    assert!(row.contains("0.30 s") && !row.contains("2.90 s"), "{told}");
    assert!(told.contains("2.90 s"), "it is told all the same: {told}");
}

#[test]
fn simulated_years_say_how_sure_they_are_and_whether_the_promise_is_kept() {
    let folder = folder();
    let ask = |args: &[&str]| nines(folder.path(), &[&["simulate"], args].concat());
    let kept = ask(&["pair.toml", "--years", "2000"]);
    assert!(out(&kept).contains("over 2,000 years") && out(&kept).contains(" (95 %)"), "{}", out(&kept));
    std::fs::write(folder.path().join("strict.toml"), PAIR.replace("99.99 %", "99.9999 %")).unwrap();
    let broken = ask(&["strict.toml", "--years", "2000"]);
    assert_eq!(broken.status.code(), Some(1), "{}", out(&broken));
    let one = out(&ask(&["pair.toml", "--years", "1"]));
    assert!(one.contains("over 1 year,") && !one.contains("worst of 100") && !one.contains("95 %)"), "{one}");
    let nobody = ask(&["pair.toml", "--crew", "0"]);
    assert!(nobody.status.code() == Some(2) && err(&nobody).contains("at least 1"), "{}", err(&nobody));
}

#[test]
fn an_audit_tells_times_what_is_left_and_what_is_accepted() {
    let folder = folder();
    let ask = |args: &[&str]| out(&nines(folder.path(), &[&["audit", "pair.toml"], args].concat()));
    let told = ask(&["--needs", "web=2", "--accept", "host lb1=we know"]);
    let has = |words: &str| {
        let words: Vec<&str> = words.split_whitespace().collect();
        told.lines()
            .any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").contains(&words.join(" ")))
    };
    assert!(has("front 0.33 0.02") && has("lb1 fails under 10.0.1.100"), "{told}");
    // Two of three are needed, two of two are left; one of three may be spared at two thirds.
    assert!(has("67 % in use all 3 members") && has("100 % in use without host app1: 2 of 3"), "{told}");
    assert!(has("at most 67 % in use"), "{told}");
    assert!(!told.contains("we know"), "it is not fatal alone: {told}");
    let told = ask(&["--needs", "web=2", "--accept", "zone b=there is no third one"]);
    assert!(told.contains("Fatal alone, and accepted\nzone b: there is no third one\n"), "{told}");
    assert!(told.contains("\nFatal together, and what it takes to bear that\n"), "{told}");
    let (_, pairs) = told.split_once("Fatal together").unwrap();
    let balancers = pairs.split("\none more host for front in zone ").collect::<Vec<_>>();
    // What is the same for several pairs is told once, with all of these beneath it.
    assert_eq!(balancers.len(), 2, "{told}");
    let beneath: Vec<&str> =
        balancers[1].lines().skip(1).take_while(|line| line.starts_with("    ")).collect();
    assert!(beneath.contains(&"    host lb1 and host lb2") && beneath.len() > 1, "{told}");
    assert!(!ask(&["--needs", "web=9"]).contains("What takes most"));
}

#[test]
fn a_part_of_the_requests_is_not_nothing_and_not_everything() {
    let folder = folder();
    let once = PAIR.replace("needs = 1", "needs = 1\nretries = { tries = 1 }");
    std::fs::write(folder.path().join("once.toml"), &once).unwrap();
    let bare = PAIR.replace("virtual_ips = [\"10.0.1.100\"]\n", "");
    std::fs::write(folder.path().join("bare.toml"), &bare).unwrap();
    let verdict = |file: &str, kind: &str, name: &str| {
        let told = out(&nines(folder.path(), &["audit", file]));
        let line = told.lines().find(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.starts_with(&[kind, name])
        });
        line.unwrap_or_else(|| panic!("{told}")).to_owned()
    };
    assert!(verdict("once.toml", "host", "app1").contains("some, up to 2.10 s"));
    assert!(verdict("once.toml", "member", "app1:8080").contains("some, up to 2.10 s"));
    assert!(verdict("bare.toml", "host", "lb2").contains("some, until repaired"));
    assert!(verdict("pair.toml", "host", "lb2").contains("nothing"));
    let ask = |file: &str| {
        let output = nines(folder.path(), &["what-if", file, "app1:8080", "--years", "20"]);
        out(&output).lines().next().unwrap().to_owned()
    };
    assert_eq!(
        ask("pair.toml"),
        "member app1:8080 of web: clients lose nothing that may be repeated, and wait for up to 1.00 s"
    );
    assert_eq!(ask("once.toml"), "member app1:8080 of web: some of what is asked fails for up to 2.10 s");
}

#[test]
fn a_component_that_is_not_there_is_answered_with_the_nearest() {
    let folder = folder();
    let output = nines(folder.path(), &["what-if", "shop.toml", "dbl1"]);
    assert_eq!(err(&output), "nines: there is no component dbl1; did you mean db1?\n");
    assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""));
}
