//! A real Prometheus that runs our rules over a real daemon: what it records is what `nines report` says, alerts are told when they should
//! be and end, and every panel of the dashboard has an answer.
//!
//! Without Prometheus (Debian: prometheus) it is skipped, with a line that says so, unless `CI` is set.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::load::get;
use crate::world::{Daemon, File, Member, PATIENCE, Process, eventually, free_port};

/// Prometheus asks and reckons once a second.
struct Prometheus {
    port: u16,
    _process: Process,
}

impl Prometheus {
    /// `None`: there is none here.
    fn start(folder: &Path, rules: &str) -> Option<Self> {
        if Command::new("prometheus").arg("--version").output().is_err() {
            assert!(
                std::env::var_os("CI").is_none(),
                "prometheus is missing: `cargo xtask setup` installs it"
            );
            eprintln!("skipped: no prometheus is installed (Debian: prometheus)");
            return None;
        }
        let port = free_port();
        std::fs::write(folder.join("rules.yml"), rules).unwrap();
        // Whom it asks stands in the rules, ready to use.
        let asks = rules.lines().skip_while(|line| !line.ends_with("scrape_configs:"));
        let asks: Vec<&str> = asks.map_while(|line| line.strip_prefix("#   ")).collect();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\n{}\n",
            asks.join("\n")
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let log = std::fs::File::create(folder.join("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=prometheus", "--log.level=error"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let it = Self { port, _process: Process::of(child) };
        eventually("Prometheus answers", || it.get("/api/v1/rules"));
        Some(it)
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        serde_json::from_str(reply.split_once("\r\n\r\n")?.1).ok()
    }

    /// Labels and value of each sample that answers now.
    fn ask(&self, expr: &str) -> Vec<(Value, f64)> {
        let coded: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={coded}")).unwrap_or_default();
        assert!(answer.is_null() || answer["status"] == "success", "{expr}: {answer}");
        let samples = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        samples
            .into_iter()
            .map(|sample| {
                let value = sample["value"][1].as_str().unwrap().parse().unwrap();
                (sample["metric"].clone(), value)
            })
            .collect()
    }

    /// The only sample that answers.
    fn figure(&self, expr: &str) -> Option<f64> {
        match self.ask(expr)[..] {
            [(_, figure)] => Some(figure),
            _ => None,
        }
    }

    /// Names of alerts in a state, each once, in order.
    fn alerts(&self, state: &str) -> Vec<String> {
        let expr = format!(r#"count by (alertname) (ALERTS{{alertstate="{state}"}})"#);
        let told = self.ask(&expr);
        let mut names: Vec<String> =
            told.iter().map(|(labels, _)| labels["alertname"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

fn export(daemon: &Daemon, what: &str) -> String {
    let file = daemon.directory.path().join("shop.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_nines")).args(["export", what]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Has all members answer with this status from now on; without, as usual.
fn all_answer(members: &[Member], status: Option<u16>) {
    let fail = status.map(|status| format!("?fail={status}")).unwrap_or_default();
    for member in members {
        let mut stream = TcpStream::connect(member.address).unwrap();
        let head = "Host: app\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        write!(stream, "POST /_behave{fail} HTTP/1.1\r\n{head}").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
}

fn ask_times(port: u16, times: usize, status: u16) {
    for _ in 0..times {
        assert_eq!(get(port, "/").unwrap().status, status);
    }
}

/// What the report says of the listener over an hour: good, bad, and their share.
fn reported(daemon: &Daemon) -> (u64, u64, f64) {
    let report: Value = serde_json::from_slice(&daemon.nines(&["report", "--json"]).stdout).unwrap();
    let subjects = report["subjects"].as_array().unwrap();
    let listener = subjects.iter().find(|one| one["kind"] == "listener").unwrap();
    let window = listener["windows"].as_array().unwrap().iter().find(|one| one["window"] == "1h").unwrap();
    let count = |name: &str| window["totals"][name].as_u64().unwrap();
    (count("good"), count("bad"), window["by_request"]["likely"].as_f64().unwrap())
}

#[test]
fn prometheus_records_what_the_report_says_and_alerts_begin_and_end() {
    let members: Vec<Member> = (1..=2).map(Member::start).collect();
    let mut file = File::new(&members);
    let admin = free_port();
    // So that a thousand good answers make up for a few failures.
    file.load_balancer = format!("admin = \"127.0.0.1:{admin}\"\n");
    let text = format!("objective = \"99 %\"\n{}", file.text());
    let mut daemon = Daemon::start_by(&[], &text, "log");
    daemon.until("it serves", |status| status.listeners.iter().all(|listener| listener.open));
    let folder = tempfile::tempdir().unwrap();
    let rules = export(&daemon, "prometheus-rules");
    let Some(prometheus) = Prometheus::start(folder.path(), &rules) else { return };
    let asked = r#"nines_measured_requests_total{kind="listener"}"#;
    eventually("nothing was asked yet", || (prometheus.ask(asked).len() == 2).then_some(()));

    // Less than a fifth fails: fast enough for every alert about the budget.
    let port = file.listeners[0];
    ask_times(port, 100, 200);
    all_answer(&members, Some(503));
    ask_times(port, 20, 503);
    all_answer(&members, None);
    eventually("the budget's alerts are told", || {
        let told = prometheus.ask(r#"ALERTS{alertname="NinesBudgetBurns",alertstate="firing"}"#);
        let of = |severity: &str| told.iter().filter(|(labels, _)| labels["severity"] == severity).count();
        (of("page") == 2).then_some(())
    });
    same_figures(&prometheus, &daemon, (100, 20));
    every_rule_works(&prometheus);
    every_panel_has_an_answer(&prometheus, &export(&daemon, "grafana"));

    // Good answers bring all windows below every pace.
    ask_times(port, 2_000, 200);
    eventually("nothing is told any more", || prometheus.alerts("firing").is_empty().then_some(()));
    same_figures(&prometheus, &daemon, (2_100, 20));

    // Of what is gone there is nothing left to sum, and it is missed all the same.
    daemon.process.signal(rustix::process::Signal::KILL);
    daemon.exit_code();
    let gone = ["NinesInstanceGone", "NinesListenerClosed", "NinesNobodyAnswers"];
    eventually("it is missed", || (prometheus.alerts("pending") == gone).then_some(()));
    daemon.start_again();
    eventually("it is back", || prometheus.alerts("pending").is_empty().then_some(()));
    assert_eq!(prometheus.alerts("firing"), Vec::<String>::new());
}

/// Once Prometheus knows all, it records the report's share to the last bit but a few, and the daemon's own figure is the same.
fn same_figures(prometheus: &Prometheus, daemon: &Daemon, (good, bad): (u64, u64)) {
    let (counted_good, counted_bad, share) = eventually("the report counts all of them", || {
        Some(reported(daemon)).filter(|(counted, failed, _)| (*counted, *failed) == (good, bad))
    });
    assert_eq!((counted_good, counted_bad), (good, bad));
    let expected = good as f64 / (good + bad) as f64;
    assert!((share - expected).abs() < 1e-9, "{share} for {expected}");
    for expr in [
        "listener:nines_good:ratio_rate5m",
        "listener:nines_good:ratio_rate1h",
        r#"nines_availability_ratio{kind="listener",window="1h",by="request"}"#,
    ] {
        eventually(&format!("{expr} is {expected}"), || {
            prometheus.figure(expr).filter(|figure| (figure - expected).abs() < 1e-9)
        });
    }
}

fn every_rule_works(prometheus: &Prometheus) {
    let rules = eventually("rules", || prometheus.get("/api/v1/rules"));
    let mut seen = 0;
    for group in rules["data"]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            // Those of the long windows are evaluated every other minute.
            assert!(rule["health"] == "ok" || rule["health"] == "unknown", "{rule}");
            assert!(rule["lastError"].is_null(), "{rule}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

fn every_panel_has_an_answer(prometheus: &Prometheus, dashboard: &str) {
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut empty = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            let expr = [("$job", "nines"), ("$host", ".*"), ("$__rate_interval", "1m")]
                .into_iter()
                .fold(expr.to_owned(), |expr, (variable, value)| expr.replace(variable, value));
            // Long windows are reckoned every other minute, and where nothing has happened there is nothing.
            let may_be_empty = ["30d", "rate3d", "> 0"].into_iter().any(|part| expr.contains(part));
            if !may_be_empty && prometheus.ask(&expr).is_empty() {
                empty.push(format!("{}: {expr}", panel["title"]));
            }
        }
    }
    assert_eq!(empty, Vec::<String>::new());
    // What the file does not have has no place in it.
    let titles: Vec<&str> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    assert!(titles.contains(&"Pools"), "{titles:?}");
    assert!(!titles.contains(&"Databases") && !titles.contains(&"Virtual addresses"), "{titles:?}");
}
