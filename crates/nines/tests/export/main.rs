//! `nines export`: every name in it is one that `/metrics` serves, Prometheus' own tool accepts every rule, and each alert is told when it
//! should be and at no other time.
//!
//! Without `promtool` (Debian: prometheus) the latter are skipped, with a line that says so, unless `CI` is set.
#![allow(clippy::unwrap_used, clippy::panic)] // In a test they are its failure.

mod alerts;
mod budget;
mod dashboard;
mod names;
mod promtool;

use std::process::Command;

/// Of three load balancers' hosts, three databases' hosts and one database without standbys.
const FILE: &str = r#"
name = "shop"
objective = "99.9 %"
[hosts]
lb1 = "10.0.0.10"
lb2 = "10.0.0.11"
app1 = "10.0.0.21"
app2 = "10.0.0.22"
db1 = "10.0.0.31"
db2 = "10.0.0.32"
db3 = "10.0.0.33"
[load_balancers.front]
hosts = ["lb1", "lb2"]
admin = "0.0.0.0:9009"
virtual_ips = ["10.0.0.100"]
listeners = [{ bind = ":80", pool = "web" }, { bind = ":5432", database = "orders" }]
[pools.web]
members = ["app1:8080", "app2:8080"]
[databases.orders]
hosts = ["db1", "db2", "db3"]
admin = "0.0.0.0:9010"
replication_password = "for-tests"
users = []
[coordination]
etcd = ["db1:2379", "db2:2379", "db3:2379"]
"#;

/// What the command prints; with a file if `named`.
fn export(what: &str, named: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.toml"), FILE).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nines"));
    command.args(["export", what]).current_dir(folder.path());
    if named {
        command.arg("shop.toml");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn hosts_that_prometheus_cannot_ask_are_told() {
    let told_of = |file: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shop.toml"), file).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_nines"))
            .args(["export", "prometheus-rules", "shop.toml"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(told_of(FILE), "");
    let (balancers, databases) = ("admin = \"0.0.0.0:9009\"\n", "admin = \"0.0.0.0:9010\"\n");
    let told = told_of(&FILE.replace(databases, ""));
    assert!(told.contains("gives db1, db2, db3 no `admin` address"), "{told}");
    let told = told_of(&FILE.replace(balancers, "").replace(databases, ""));
    assert!(told.contains("gives lb1, lb2, db1, db2, db3 no `admin` address"), "{told}");
    let told = told_of(&FILE.replace(balancers, "admin = \"127.0.0.1:9009\"\n"));
    assert!(told.contains("address of lb1, lb2 is a loopback address"), "{told}");
}

#[test]
fn the_rules_say_whom_to_ask() {
    let rules = export("prometheus-rules", true);
    let targets = r#"["10.0.0.10:9009","10.0.0.11:9009","10.0.0.31:9010","10.0.0.32:9010","10.0.0.33:9010"]"#;
    let said = format!("#   - job_name: \"nines\"\n#     static_configs: [{{ targets: {targets} }}]\n");
    assert!(rules.contains(&said), "{rules}");
    assert!(!export("prometheus-rules", false).contains("scrape_configs"));
}

#[test]
fn what_can_be_no_objective_is_a_mistake_of_the_caller() {
    for wrong in ["99.9", "100 %", "much"] {
        let output = Command::new(env!("CARGO_BIN_EXE_nines"))
            .args(["export", "prometheus-rules", "--objective", wrong])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}
