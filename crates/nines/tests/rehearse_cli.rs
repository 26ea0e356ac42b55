//! What `nines rehearse` says before anything is broken. Needs no namespaces.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::process::{Command, Output};

const PAIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pair.toml");

fn rehearse(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nines")).arg("rehearse").args(args).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn list_says_what_would_be_broken() {
    let (code, out, err) = told(&rehearse(&[PAIR, "--list", "--only", "app2,web"]));
    let expected = "app2: kill, power-off, freeze, cut-off, cut-in, cut-out, slow, lossy, drain, maintenance, restart\n\
                    web: kill, rolling-restart\n13 cases, about 2 min\n";
    // Where the kernel can't, it is told instead.
    if out.contains("lossy: not possible here: this kernel") {
        assert!(!out.contains("slow, lossy"), "{out}");
    } else {
        assert_eq!(out, expected);
    }
    assert_eq!((code, err.as_str()), (Some(0), ""));

    let (_, out, _) = told(&rehearse(&[PAIR, "--list", "--only", "lb2"]));
    let lb2 =
        "lb2: kill, power-off, freeze, cut-off, cut-in, cut-out, slow, lossy, split, drain, restart, reload";
    assert_eq!(out.lines().next(), Some(lb2));
    assert!(out.lines().last().unwrap().starts_with("12 cases, about "), "{out}");

    let (_, out, _) = told(&rehearse(&[PAIR, "--list", "--json", "--fault", "freeze"]));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["system"], "pair");
    assert_eq!(json["components"][2], serde_json::json!({ "component": "app3", "faults": ["freeze"] }));
    assert_eq!((&json["cases"], json["estimated_s"].is_u64()), (&5.into(), true));
    assert_eq!((&json["left_out"], &json["not_possible"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn a_file_that_can_not_be_rehearsed_is_told_so_by_the_list() {
    let everything = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/everything.toml");
    let (code, out, _) = told(&rehearse(&[everything, "--list"]));
    let why = "etcd at 10.9.0.31:2379 is on no host of the system";
    assert!(out.lines().last().unwrap().starts_with(&format!("none of it can be rehearsed: {why}")), "{out}");
    assert_eq!(code, Some(0));
    let (_, out, _) = told(&rehearse(&[everything, "--list", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(json["refused"].as_str().unwrap().starts_with(why), "{out}");
    let (code, out, err) = told(&rehearse(&[everything]));
    assert!(err.contains(why), "{err}");
    assert_eq!((code, out.as_str()), (Some(1), ""));

    let (_, out, _) = told(&rehearse(&[PAIR, "--list", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(json["refused"].is_null(), "{out}");
}

#[test]
fn pairs_are_listed_and_chosen_by_their_names() {
    let (code, out, _) =
        told(&rehearse(&[PAIR, "--pairs", "--list", "--only", "app1 + app2,zone a + zone b"]));
    assert_eq!(out, "app1 + app2: kill, cut-off\nzone a + zone b: kill, cut-off\n4 cases, about 29 s\n");
    assert_eq!(code, Some(0));
    let (code, _, err) = told(&rehearse(&[PAIR, "--pairs", "--only", "app1"]));
    assert!(err.contains("there is no component \"app1\"") && err.contains("lb1 + lb2"), "{err}");
    assert_eq!(code, Some(2));
}

#[test]
fn what_is_not_broken_is_listed_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("idle.toml");
    let text = std::fs::read_to_string(PAIR).unwrap().replace(r#""app3:8080""#, "");
    std::fs::write(&file, text + "[pools.other]\nmembers = [\"app2:9090\"]\n").unwrap();
    let (_, out, _) = told(&rehearse(&[file.to_str().unwrap(), "--list"]));
    assert!(out.contains("\napp3: nothing, nothing of the system runs there\n"), "{out}");
    assert!(out.contains("\npool other: nothing, no listener leads to it\n"), "{out}");
}

#[test]
fn an_unknown_name_is_answered_with_the_known() {
    let (code, out, err) = told(&rehearse(&[PAIR, "--only", "app9"]));
    assert_eq!(
        err,
        "nines: there is no component \"app9\" to rehearse; there are: app1, app2, app3, lb1, lb2, zone a, zone b, \
         everything, web, front\n"
    );
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let (code, _, err) = told(&rehearse(&[PAIR, "--fault", "explode"]));
    assert!(err.contains("kill, power-off, freeze, ") && err.ends_with("restart, reload\n"), "{err}");
    assert_eq!(code, Some(2));
}

#[test]
fn what_leaves_nothing_to_break_is_wrong_usage() {
    let (code, _, err) = told(&rehearse(&[PAIR, "--only", "web", "--fault", "drain"]));
    assert!(err.contains("nothing to rehearse"), "{err}");
    assert_eq!(code, Some(2));
    assert_eq!(rehearse(&[PAIR, "--rate", "0"]).status.code(), Some(2));
    assert_eq!(rehearse(&[PAIR, "--seconds", "0"]).status.code(), Some(2));
}

#[test]
fn a_wrong_file_is_told_with_its_lines() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    std::fs::write(&file, "name = \"shop\"\nzoness = [\"a\"]\n").unwrap();
    let (code, _, err) = told(&rehearse(&[file.to_str().unwrap()]));
    assert!(err.contains("wrong.toml:2") && err.contains("zoness"), "{err}");
    assert_eq!(code, Some(78));

    let (code, _, err) = told(&rehearse(&["no-such.toml"]));
    assert!(err.contains("no-such.toml"), "{err}");
    assert_eq!(code, Some(78));
}
