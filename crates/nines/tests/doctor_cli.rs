//! `nines doctor` as a person calls it, on whatever machine this is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::Value;

fn doctor(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nines")).arg("doctor").args(args).env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// lb1 has an address of the documentation's networks (RFC 5737), which no machine has.
fn file(bind: &str, virtual_ips: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "name = \"shop\"\n[hosts]\nlb1 = \"203.0.113.10\"\nlb2 = \"203.0.113.11\"\napp1 = \"203.0.113.21\"\n\
         [load_balancers.front]\nhosts = [\"lb1\", \"lb2\"]\nlisteners = [{{ bind = \"{bind}\", pool = \"web\" }}]\n\
         {virtual_ips}\n[pools.web]\nmembers = [\"app1:8080\"]\n"
    );
    std::fs::write(file.path(), text).unwrap();
    file
}

/// What it says about this, as JSON has it: level and words.
fn findings(json: &Value, about: &str) -> Vec<(String, String)> {
    let all = json["findings"].as_array().unwrap();
    let word = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    all.iter().filter(|it| it["about"] == about).map(|it| (word(it, "level"), word(it, "what"))).collect()
}

#[test]
fn without_a_file_the_machine_alone_is_looked_at() {
    let output = doctor(&[]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let out = text(&output.stdout);
    for part in ["CAP_NET_ADMIN", "CAP_NET_RAW", "open files", "Linux ", "clock", "`nines rehearse`"] {
        assert!(out.contains(part), "nothing of {part}: {out}");
    }
    assert!(out.lines().last().unwrap().starts_with("nothing is wrong, "), "{out}");
    let json: Value = serde_json::from_slice(&doctor(&["--json"]).stdout).unwrap();
    assert_eq!(
        (&json["version"], &json["host"], &json["peers"]),
        (&1.into(), &Value::Null, &Vec::<Value>::new().into())
    );
}

#[test]
fn a_host_of_the_file_that_is_another_machine_is_told_so() {
    let file = file("127.0.0.1:18080", "virtual_ips = [\"203.0.113.100\"]");
    let path = file.path().to_str().unwrap();
    let output = doctor(&[path, "--host", "lb1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let out = text(&output.stdout);
    let wrong = "203.0.113.10, where the file says that lb1 is, is on no interface of this machine";
    assert!(out.lines().any(|line| line.starts_with("✗ wrong") && line.contains(wrong)), "{out}");
    assert!(out.contains("\n    → run this on lb1"), "what to do stands beneath: {out}");

    let json: Value = serde_json::from_slice(&doctor(&[path, "--host", "lb1", "--json"]).stdout).unwrap();
    assert_eq!((&json["system"], &json["host"]), (&"shop".into(), &"lb1".into()));
    assert_eq!(findings(&json, "host"), [("wrong".to_owned(), wrong.to_owned())]);
    let [(level, what)] = findings(&json, "front/203.0.113.100").try_into().unwrap();
    assert!(level == "wrong" && what.starts_with("it has no interface here"), "{what}");
    let [(level, what)] = findings(&json, "daemon").try_into().unwrap();
    assert!(level == "note" && what.starts_with("this host takes no part now: no daemon answers"), "{what}");
}

#[test]
fn a_port_that_another_program_has_is_named_with_it() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = file(&other.local_addr().unwrap().to_string(), "");
    let output = doctor(&[file.path().to_str().unwrap(), "--host", "lb1", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let port = other.local_addr().unwrap().port();
    let [(level, what)] =
        findings(&json, &format!("listener front/http-127.0.0.1-{port}")).try_into().unwrap();
    let pid = std::process::id();
    assert!(level == "wrong" && what.contains(&format!("(pid {pid}) listens on 127.0.0.1:{port}")), "{what}");

    drop(other);
    let output = doctor(&[file.path().to_str().unwrap(), "--host", "lb1", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [(level, what)] =
        findings(&json, &format!("listener front/http-127.0.0.1-{port}")).try_into().unwrap();
    assert_eq!((level.as_str(), what), ("ok", format!("port {port} is free")));
}

#[test]
fn wrong_usage_and_wrong_files_have_their_codes() {
    let file = file(":80", "");
    let path = file.path().to_str().unwrap();
    assert_eq!(doctor(&[path]).status.code(), Some(2), "whose part?");
    assert_eq!(doctor(&["--host", "lb1"]).status.code(), Some(2), "of which file?");
    assert_eq!(doctor(&[path, "--host", "lb1", "--seconds", "0"]).status.code(), Some(2));
    let unknown = doctor(&[path, "--host", "lb9"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("has no host called lb9 (did you mean lb1?)"), "{unknown:?}");
    std::fs::write(path, "name = 3").unwrap();
    assert_eq!(doctor(&[path, "--host", "lb1"]).status.code(), Some(78));
    assert_eq!(doctor(&["/nowhere.toml", "--host", "lb1"]).status.code(), Some(78));
}

#[test]
fn a_host_that_is_no_load_balancer_has_little_to_lack() {
    let file = file(":80", "");
    let output = doctor(&[file.path().to_str().unwrap(), "--host", "app1", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = findings(&json, "host");
    assert!(
        said.contains(&("note".to_owned(), "the file gives app1 no load balancer to be".to_owned())),
        "{said:?}"
    );
}
