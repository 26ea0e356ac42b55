//! Every metric, label and word that rules and dashboard ask for is one that the daemon's `/metrics` has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nines_admin::api::{DatabaseOrder, Problem};
use nines_admin::{Gone, Source, bind, router, serve};
use nines_control::event::Event;
use nines_control::failover;
use nines_control::statistics::{ListenerStatistics, MemberStatistics, PoolStatistics, Refused, Statistics};
use nines_control::status::{
    DatabaseMember, DatabaseRole, DatabaseStatus, FileStatus, Health, ListenerStatus, MeasuredStatus,
    MemberStatus, Phase, PoolStatus, Standing, Status, VirtualIpStatus, Wish,
};
use nines_control::traffic::Failure;
use nines_control::vrrp::Cause;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::export;

/// A daemon that has one of everything.
#[derive(Clone)]
struct Fake;

impl Source for Fake {
    async fn status(&self) -> Result<Status, Gone> {
        Ok(sample())
    }
    async fn events(&self, _: u64) -> Result<Vec<Event>, Gone> {
        Ok(Vec::new())
    }
    async fn measured(&self, _: u64) -> Result<String, Gone> {
        Err(Gone)
    }
    async fn newer(&self, _: u64) {}
    async fn wish(&self, _: String, _: Wish) -> Result<Result<Vec<String>, Problem>, Gone> {
        Err(Gone)
    }
    async fn database(&self, _: DatabaseOrder) -> Result<Result<String, Problem>, Gone> {
        Err(Gone)
    }
}

fn sample() -> Status {
    let listener = |protocol: &str| ListenerStatus {
        name: format!("front/{protocol}-1"),
        address: "0.0.0.0:1".to_owned(),
        protocol: protocol.to_owned(),
        open: true,
        pools: vec!["web".to_owned()],
    };
    Status {
        version: 1,
        system: "shop".to_owned(),
        objective: "99.9 %".to_owned(),
        host: "lb1".to_owned(),
        program: "0.1.0".to_owned(),
        pid: 1,
        uptime_s: 1,
        phase: Phase::Serving,
        file: FileStatus { path: "shop.toml".to_owned(), generation: 1, loaded_us: 0, refused: None },
        wish: Wish::Ready,
        listeners: vec![listener("http"), listener("tcp")],
        virtual_ips: vec![VirtualIpStatus {
            name: "front/10.0.0.100".to_owned(),
            state: Standing::Master,
            released: [(Cause::Stall, 1)].into(),
            refused: [("checksum".to_owned(), 1)].into(),
            ..VirtualIpStatus::default()
        }],
        databases: vec![database()],
        pools: vec![pool()],
        statistics: Statistics {
            listeners: vec![ListenerStatistics {
                name: "front/http-1".to_owned(),
                refused: Refused::ALL.map(|cause| (cause, 0)).into(),
                ..ListenerStatistics::default()
            }],
            pools: vec![PoolStatistics {
                name: "web".to_owned(),
                members: vec![MemberStatistics {
                    name: "app1:8080".to_owned(),
                    failures: Failure::ALL.map(|failure| (failure, 0)).into(),
                    ..MemberStatistics::default()
                }],
                ..PoolStatistics::default()
            }],
            ..Statistics::default()
        },
        events: BTreeMap::new(),
        objective_fraction: 0.999,
        not_kept: None,
        slow: false,
        measured: [("listener", "front/http-1"), ("database", "orders")]
            .map(|(kind, name)| MeasuredStatus {
                kind: kind.to_owned(),
                name: name.to_owned(),
                ..MeasuredStatus::default()
            })
            .into(),
    }
}

fn database() -> DatabaseStatus {
    let member = |host: &str, role| DatabaseMember {
        host: host.to_owned(),
        role,
        streaming: true,
        lag: Some(0),
        in_cohort: true,
    };
    let mut database = DatabaseStatus {
        name: "orders".to_owned(),
        role: DatabaseRole::Primary,
        members: vec![member("db1", DatabaseRole::Primary), member("db2", DatabaseRole::Standby)],
        failover: None::<failover::Status>,
        ..DatabaseStatus::default()
    };
    database.gate.refused.insert("shut".to_owned(), 1);
    database
}

fn pool() -> PoolStatus {
    PoolStatus {
        name: "web".to_owned(),
        serving: "healthy".to_owned(),
        who: None,
        members: vec![MemberStatus {
            name: "app1:8080".to_owned(),
            host: "app1".to_owned(),
            zone: "a".to_owned(),
            address: None,
            health: Health::Up,
            wish: Wish::Ready,
            eligible: true,
            backup: false,
            ejected_ms: None,
            ejections: 0,
            why: String::new(),
            since_ms: 0,
            check: None,
        }],
    }
}

/// By metric: each of its labels, with the values that it has.
type Served = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// As Prometheus gets it, over the admin socket.
fn served() -> Served {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lb1.sock");
        let server = tokio::spawn(serve(bind(&path).unwrap(), router(Fake)));
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: application/openmetrics-text;version=1.0.0\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut page = String::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut page));
        read.await.unwrap().unwrap();
        server.abort();
        page
    });
    let mut served = Served::new();
    for line in page.lines().filter(|line| line.starts_with("nines_")) {
        let (name, labels) = selector(line);
        let known = served.entry(name.to_owned()).or_default();
        for (label, _, value) in labels {
            known.entry(label.to_owned()).or_default().insert(value.to_owned());
        }
    }
    served
}

type Label<'a> = (&'a str, &'a str, &'a str);

/// `name{label="value",…}` at the beginning of a text: the name, and its labels with their operators.
fn selector(text: &str) -> (&str, Vec<Label<'_>>) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c))).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let mut labels = Vec::new();
    while let Some(next) = rest.strip_prefix(['{', ',']) {
        let Some((label, value)) = next.split_once('"') else { break };
        let (value, after) = value.split_once('"').unwrap();
        let Some(label_end) = label.find(['=', '!']) else { break };
        labels.push((&label[..label_end], &label[label_end..], value));
        rest = after;
    }
    (name, labels)
}

/// Every selector of an expression, or of whatever has some.
fn selectors(text: &str) -> Vec<(&str, Vec<Label<'_>>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if is_part(c) && !is_part(before) {
            found.push(selector(&text[at..]));
        }
        before = c;
    }
    found
}

fn check(text: &str, served: &Served, recorded: &BTreeSet<String>) {
    let metrics = |name: &str| name.starts_with("nines_");
    for (name, labels) in selectors(text) {
        if name.contains(":nines_") || name.starts_with("nines:") {
            assert!(recorded.contains(name), "{name} is not recorded by any rule");
        } else if metrics(name) {
            let known = served.get(name).unwrap_or_else(|| panic!("/metrics has no {name}"));
            for (label, operator, value) in labels {
                if ["job", "instance"].contains(&label) {
                    continue; // Prometheus' own.
                }
                let values = known.get(label).unwrap_or_else(|| panic!("{name} has no label {label}"));
                // Names of a system are its own; the words are nines'.
                let is_word =
                    !["listener", "virtual_ip", "database", "pool", "member", "subject"].contains(&label);
                if is_word && !value.contains('[') {
                    for word in value.split('|') {
                        assert!(values.contains(word), "{name}{{{label}{operator}{word}}} is never served");
                    }
                }
            }
        }
    }
}

fn recorded(rules: &str) -> BTreeSet<String> {
    rules.lines().filter_map(|line| Some(line.trim().strip_prefix("- record: ")?.to_owned())).collect()
}

#[test]
fn every_metric_label_and_word_of_rules_and_dashboard_is_served() {
    let served = served();
    assert!(served.len() > 50, "{served:?}");
    for named in [false, true] {
        let rules = export("prometheus-rules", named);
        let prose = ["#", "summary: ", "description: ", "action: "];
        let is_prose = |line: &&str| prose.iter().any(|begin| line.trim().starts_with(begin));
        let expressions: Vec<&str> = rules.lines().filter(|line| !is_prose(line)).collect();
        let recorded = recorded(&rules);
        check(&expressions.join("\n"), &served, &recorded);
        for (_, expr) in crate::dashboard::expressions(&export("grafana", named)) {
            check(&expr, &served, &recorded);
        }
    }
}

#[test]
fn a_name_that_is_not_served_is_found() {
    let served = Served::from([("nines_phase".to_owned(), BTreeMap::new())]);
    for wrong in ["sum(nines_fase) > 1", r#"nines_phase{phase="x"}"#, "listener:nines_goood:ratio_rate5m"] {
        let found = std::panic::catch_unwind(|| check(wrong, &served, &BTreeSet::new()));
        assert!(found.is_err(), "{wrong}");
    }
    check("max(nines_phase) > 1", &served, &BTreeSet::new());
}
