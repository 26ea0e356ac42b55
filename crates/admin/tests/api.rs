//! The API over a Unix socket, with a daemon that is made up.
#![allow(clippy::unwrap_used, clippy::panic)] // In a test they are its failure.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nines_admin::api::{DatabaseOrder, DatabaseVerb, Problem};
use nines_admin::{BindError, Client, ClientError, Gone, Source, bind, read_only, router, serve};
use nines_control::event::{Event, EventLog, Kind};
use nines_control::statistics::{
    Latency, ListenerStatistics, MemberStatistics, PoolStatistics, Refused, Statistics,
};
use nines_control::status::{
    FileStatus, Health, ListenerStatus, MeasuredStatus, MeasuredWindow, MemberStatus, Phase, PoolStatus,
    Standing, Status, VirtualIpStatus, Wish,
};
use nines_control::traffic::Failure;
use nines_control::vrrp::{Cause, Turns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

/// Asked for so many seconds, what was measured takes a while, or is too much.
const SLOW: u64 = 7;
const MUCH: u64 = 8;

#[derive(Clone)]
struct Fake {
    status: Arc<Mutex<Status>>,
    events: watch::Sender<Arc<Mutex<EventLog>>>,
}

impl Fake {
    fn new() -> Self {
        let log = Arc::new(Mutex::new(EventLog::new(10)));
        Self { status: Arc::new(Mutex::new(sample())), events: watch::Sender::new(log) }
    }

    fn push(&self, subject: &str) {
        self.events.send_modify(|log| {
            log.lock().unwrap().push(1, Kind::Down, subject.to_owned(), "connection refused".to_owned());
        });
    }
}

impl Source for Fake {
    async fn status(&self) -> Result<Status, Gone> {
        Ok(self.status.lock().unwrap().clone())
    }

    async fn events(&self, after: u64) -> Result<Vec<Event>, Gone> {
        Ok(self.events.borrow().lock().unwrap().after(after).cloned().collect())
    }

    async fn measured(&self, seconds: u64) -> Result<String, Gone> {
        match seconds {
            SLOW => tokio::time::sleep(Duration::from_millis(500)).await,
            MUCH => return Ok("0".repeat(65 << 20)),
            _ => {}
        }
        Ok(format!("{{\"seconds\":{seconds}}}"))
    }

    async fn newer(&self, after: u64) {
        let mut changes = self.events.subscribe();
        let _ = changes.wait_for(|log| log.lock().unwrap().latest() > after).await;
    }

    async fn wish(&self, target: String, wish: Wish) -> Result<Result<Vec<String>, Problem>, Gone> {
        let mut status = self.status.lock().unwrap();
        let known = vec![status.pools[0].members[0].name.clone()];
        if known[0] != target {
            return Ok(Err(Problem { known, ..Problem::new(format!("no member is called {target}")) }));
        }
        status.pools[0].members[0].wish = wish;
        Ok(Ok(vec![format!("web/{target}")]))
    }

    async fn database(&self, order: DatabaseOrder) -> Result<Result<String, Problem>, Gone> {
        if order.database != "orders" {
            let known = vec!["orders".to_owned()];
            return Ok(Err(Problem {
                known,
                ..Problem::new(format!("no database is called {}", order.database))
            }));
        }
        Ok(Ok(format!("{:?}", order.verb)))
    }
}

fn sample() -> Status {
    let latency = |counts: &[(usize, u64)], sum_us| {
        let mut latency = Latency { sum_us, ..Latency::default() };
        for &(bucket, count) in counts {
            latency.counts[bucket] = count;
        }
        latency
    };
    Status {
        version: 1,
        system: "shop".to_owned(),
        objective: "99.99 %".to_owned(),
        host: "lb1".to_owned(),
        program: "0.1.0".to_owned(),
        pid: 1,
        uptime_s: 60,
        phase: Phase::Serving,
        file: FileStatus { path: "shop.toml".to_owned(), generation: 2, loaded_us: 0, refused: None },
        wish: Wish::Ready,
        databases: Vec::new(),
        virtual_ips: vec![VirtualIpStatus {
            name: "front/10.0.1.100".to_owned(),
            state: Standing::Master,
            held: true,
            priority: 200,
            taken: 2,
            released: [(Cause::Stall, 1)].into(),
            sent: 7,
            refused: [("checksum".to_owned(), 3)].into(),
            ..VirtualIpStatus::default()
        }],
        listeners: vec![ListenerStatus {
            name: "front/http-80".to_owned(),
            address: "0.0.0.0:80".to_owned(),
            protocol: "http".to_owned(),
            open: true,
            pools: vec!["web".to_owned()],
        }],
        pools: vec![PoolStatus {
            name: "web".to_owned(),
            serving: "healthy".to_owned(),
            who: None,
            members: vec![MemberStatus {
                name: "app1:8080".to_owned(),
                host: "app1".to_owned(),
                zone: "a".to_owned(),
                address: Some("10.0.1.21:8080".to_owned()),
                health: Health::Up,
                wish: Wish::Ready,
                eligible: true,
                backup: false,
                ejected_ms: None,
                ejections: 3,
                why: "HTTP 200".to_owned(),
                since_ms: 1,
                check: None,
            }],
        }],
        statistics: Statistics {
            listeners: vec![ListenerStatistics {
                name: "front/http-80".to_owned(),
                connections: 5,
                accepted: 50,
                responses: [0, 1000, 2, 3, 4],
                refused: vec![(Refused::NoMember, 4)],
                client_gone: 1,
                good: 1005,
                bad: 4,
                waiting: 0,
                bytes_in: 10,
                bytes_out: 20,
            }],
            pools: vec![PoolStatistics {
                name: "web".to_owned(),
                members: vec![MemberStatistics {
                    name: "app1:8080".to_owned(),
                    in_flight: 1,
                    tries: 1010,
                    replies: [0, 1000, 2, 3, 0],
                    failures: vec![(Failure::Reset, 5)],
                    latency: latency(&[(0, 900), (3, 105)], 1_500_000),
                    ..MemberStatistics::default()
                }],
                retries: 5,
                hedges: 2,
                latency: latency(&[(1, 1000), (14, 5)], 200_000_000),
                ..PoolStatistics::default()
            }],
            worker_stall_ms: 2,
            workers: 2,
            turns: Turns { all: 50, late: 8 },
        },
        events: BTreeMap::from([(Kind::Ejected, 3)]),
        objective_fraction: 0.9999,
        not_kept: Some("a full disk".to_owned()),
        slow: true,
        measured: vec![MeasuredStatus {
            kind: "listener".to_owned(),
            name: "front/http-80".to_owned(),
            windows: vec![
                MeasuredWindow {
                    window: "5m".to_owned(),
                    burn_by_time: Some(14.5),
                    by_time: Some(0.5),
                    ..MeasuredWindow::default()
                },
                MeasuredWindow {
                    window: "30d".to_owned(),
                    by_time: Some(0.99995),
                    by_request: Some(0.9999),
                    ..MeasuredWindow::default()
                },
            ],
            budget_left_by_time: Some(0.5),
            budget_left_by_request: None,
            up: 50,
            down: 3,
            unknown: 7,
            good: 1005,
            bad: 4,
        }],
    }
}

/// A server on a socket in a directory of its own.
struct Served {
    directory: tempfile::TempDir,
    fake: Fake,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::new();
        let socket = bind(&directory.path().join("nines/lb1.sock")).unwrap();
        let server = tokio::spawn(serve(socket, router(fake.clone())));
        Self { directory, fake, server }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("nines/lb1.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.path())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Status code, head and body of an answer.
async fn get(path: &Path, target: &str) -> (u16, String, String) {
    ask(path, &format!("GET {target}"), "").await
}

/// `accept: …` and the like, each with its line's end.
async fn ask(path: &Path, method_and_target: &str, headers: &str) -> (u16, String, String) {
    let stream = tokio::net::UnixStream::connect(path).await.unwrap();
    let head = format!("{method_and_target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    exchange(stream, &head).await
}

/// The page as Prometheus gets it.
async fn open_metrics(path: &Path) -> String {
    let (code, head, page) =
        ask(path, "GET /metrics", "accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\n")
            .await;
    assert_eq!(code, 200);
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    page
}

async fn exchange(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    request: &str,
) -> (u16, String, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_client_reads_what_the_daemon_knows() {
    let served = Served::start();
    assert_eq!(served.client().status().await.unwrap(), sample());
    let (code, _, body) = get(&served.path(), "/status").await;
    assert_eq!(code, 200);
    assert!(body.starts_with(r#"{"version":1,"#), "{body}");
}

#[tokio::test]
async fn events_come_after_a_sequence_and_a_wait_ends_with_the_first() {
    let served = Served::start();
    let client = served.client();
    assert_eq!(client.events(0, Duration::ZERO).await.unwrap(), []);
    served.fake.push("web/app1:8080");
    served.fake.push("web/app2:8080");
    let after_one = client.events(1, Duration::ZERO).await.unwrap();
    assert_eq!(after_one.iter().map(|event| event.subject.as_str()).collect::<Vec<_>>(), ["web/app2:8080"]);

    // Far longer than the test may take: it can only end because the event came.
    let waiting = tokio::spawn(async move { client.events(2, Duration::from_secs(60)).await });
    served.fake.push("web/app3:8080");
    let came = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(came[0].sequence, 3);
}

#[tokio::test]
async fn an_order_to_a_database_reaches_the_daemon_and_an_unknown_one_names_the_known() {
    let served = Served::start();
    let client = served.client();
    let verb = DatabaseVerb::Switchover { to: Some("db2".to_owned()), force: false };
    assert_eq!(client.database("orders", verb.clone()).await.unwrap(), format!("{verb:?}"));
    let Err(ClientError::Refused(problem)) = client.database("order", DatabaseVerb::Pause).await else {
        panic!("no database is called so");
    };
    assert_eq!(problem.known, ["orders"]);
}

#[tokio::test]
async fn a_wish_reaches_the_daemon_and_an_unknown_target_names_the_known() {
    let served = Served::start();
    let client = served.client();
    assert_eq!(client.wish("app1:8080", Wish::Draining).await.unwrap(), ["web/app1:8080"]);
    assert_eq!(client.status().await.unwrap().pools[0].members[0].wish, Wish::Draining);
    let Err(ClientError::Refused(problem)) = client.wish("ap1:8080", Wish::Ready).await else {
        panic!("an unknown target was accepted")
    };
    assert_eq!(problem.known, ["app1:8080"]);
}

#[tokio::test]
async fn over_tcp_nothing_can_be_changed() {
    let fake = Fake::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, read_only(fake.clone())));
    let connect = || async { tokio::net::TcpStream::connect(address).await.unwrap() };

    let (code, ..) =
        exchange(connect().await, "GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(code, 200);
    let body = r#"{"target":"app1:8080","wish":"draining"}"#;
    let wish = format!(
        "POST /wish HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let (code, ..) = exchange(connect().await, &wish).await;
    assert_eq!(code, 404);
    assert_eq!(fake.status().await.unwrap().pools[0].members[0].wish, Wish::Ready);
    server.abort();
}

#[tokio::test]
async fn health_says_whether_the_host_serves() {
    let served = Served::start();
    assert_eq!(get(&served.path(), "/healthz").await.0, 200);
    served.fake.status.lock().unwrap().phase = Phase::Draining;
    assert_eq!(get(&served.path(), "/healthz").await.0, 503);
    assert_eq!(get(&served.path(), "/nothing").await.0, 404);
}

#[tokio::test]
async fn a_socket_is_private_to_user_and_group_and_goes_with_its_daemon() {
    let served = Served::start();
    let mode = std::fs::metadata(served.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(std::fs::read_dir(served.path().parent().unwrap()).unwrap().count(), 1);
    let path = served.path();
    let Served { ref server, .. } = served;
    server.abort();
    while path.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_leftover_socket_is_replaced_and_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lb1.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a leftover");
    let first = bind(&path).unwrap();
    assert!(matches!(bind(&path), Err(BindError::InUse(_))));
    drop(first);
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(bind(&path), Err(BindError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn what_was_measured_is_told_to_one_at_a_time_and_never_too_much() {
    let served = Served::start();
    let path = served.path();
    let slow = format!("/measured?seconds={SLOW}");
    let (one, other) = tokio::join!(get(&path, &slow), get(&path, &slow));
    let mut codes = [one.0, other.0];
    codes.sort_unstable();
    assert_eq!(codes, [200, 503]);
    let refused = if one.0 == 503 { one } else { other };
    assert!(refused.1.to_ascii_lowercase().contains("retry-after: 5"), "{}", refused.1);
    // Then it is the next one's turn.
    assert_eq!(get(&path, "/measured?seconds=1").await.0, 200);
    let (code, _, why) = get(&path, &format!("/measured?seconds={MUCH}")).await;
    assert!(code == 413 && why.contains("--window"), "{code} {why}");
    assert_eq!(get(&path, "/measured?seconds=1").await.0, 200);
}

#[tokio::test]
async fn metrics_are_well_formed_and_count() {
    let served = Served::start();
    let page = open_metrics(&served.path()).await;
    let samples = samples(&page);
    for (sample, value) in [
        (r#"nines_build_info{version="0.1.0"}"#, 1.0),
        (r#"nines_requests_total{listener="front/http-80",code_class="2xx"}"#, 1000.0),
        (r#"nines_refused_total{listener="front/http-80",cause="no-member"}"#, 4.0),
        (r#"nines_connections{listener="front/http-80"}"#, 5.0),
        (r#"nines_member_tries_total{pool="web",member="app1:8080",outcome="2xx"}"#, 1000.0),
        (r#"nines_member_tries_total{pool="web",member="app1:8080",outcome="reset"}"#, 5.0),
        (r#"nines_member_health{pool="web",member="app1:8080"}"#, 1.0),
        (r#"nines_ejections_total{pool="web",member="app1:8080"}"#, 3.0),
        (r#"nines_retries_total{pool="web"}"#, 5.0),
        (r#"nines_hedges_total{pool="web"}"#, 2.0),
        (r#"nines_queue_length{pool="web"}"#, 0.0),
        (r#"nines_request_duration_seconds_count{pool="web"}"#, 1005.0),
        (r#"nines_request_duration_seconds_sum{pool="web"}"#, 200.0),
        (r#"nines_request_duration_seconds_bucket{le="0.001",pool="web"}"#, 1000.0),
        (r#"nines_request_duration_seconds_bucket{le="+Inf",pool="web"}"#, 1005.0),
        ("nines_host_slow", 1.0),
        (r#"nines_worker_turns_total{late="yes"}"#, 8.0),
        (r#"nines_worker_turns_total{late="no"}"#, 42.0),
        (r#"nines_events_total{kind="ejected"}"#, 3.0),
        (r#"nines_events_total{kind="up"}"#, 0.0),
        ("nines_uptime_seconds", 60.0),
        ("nines_objective", 0.9999),
        ("nines_measurements_kept", 0.0),
        (
            r#"nines_availability_ratio{kind="listener",subject="front/http-80",window="30d",by="request"}"#,
            0.9999,
        ),
        (r#"nines_burn_rate{kind="listener",subject="front/http-80",window="5m",by="time"}"#, 14.5),
        (r#"nines_error_budget_left_ratio{kind="listener",subject="front/http-80",by="time"}"#, 0.5),
        (r#"nines_measured_seconds_total{kind="listener",subject="front/http-80",state="unknown"}"#, 7.0),
        (r#"nines_measured_requests_total{kind="listener",subject="front/http-80",outcome="bad"}"#, 4.0),
    ] {
        assert_eq!(samples.get(sample), Some(&value), "{sample}\n{page}");
    }
}

#[tokio::test]
async fn who_does_not_ask_for_open_metrics_gets_the_older_text() {
    let served = Served::start();
    let (code, head, page) = get(&served.path(), "/metrics").await;
    assert_eq!(code, 200);
    assert!(head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    // There a sample belongs to the family of its own name, but for a histogram's.
    let mut families = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped.insert(rest.split_once(' ').unwrap().0);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            families.insert(name, kind);
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let family = family.unwrap_or(name);
            assert!(families.contains_key(family) && helped.contains(family), "{line}");
        }
    }
    assert_eq!(families["nines_requests_total"], "counter");
    assert_eq!(families["nines_build_info"], "gauge");
    let open = samples(&open_metrics(&served.path()).await);
    assert_eq!(open, samples_in(&page), "the same samples in both");
}

#[tokio::test]
async fn every_refusal_is_a_problem_in_json() {
    let served = Served::start();
    for (request, headers, expected) in [
        ("GET /nothing", "", 404),
        ("GET /events?after=x", "", 400),
        ("POST /status", "content-length: 0\r\n", 405),
        ("GET /wish", "", 405),
        ("POST /wish", "content-length: 0\r\n", 415),
        ("POST /wish", "content-type: application/json\r\ncontent-length: 0\r\n", 400),
    ] {
        let (code, _, body) = ask(&served.path(), request, headers).await;
        assert_eq!(code, expected, "{request}");
        let problem: Problem = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{request}: {body}"));
        assert_eq!(problem.version, 1);
        assert!(!problem.error.is_empty(), "{request}");
    }
}

#[tokio::test]
async fn every_metric_is_documented_and_no_other() {
    let served = Served::start();
    let page = open_metrics(&served.path()).await;
    let served: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total | counter"),
            "info" => format!("{name}_info | info"),
            kind => format!("{name} | {kind}"),
        })
        .collect();
    let documented: BTreeSet<String> = include_str!("../../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `nines_")?.split_once("` | "))
        .filter_map(|(name, rest)| Some((name, rest.split(" | ").next()?)))
        .map(|(name, kind)| format!("nines_{} | {kind}", name))
        .collect();
    assert_eq!(documented, served);
}

#[test]
fn every_word_that_the_api_uses_is_documented() {
    let (metrics, operations, life) = (
        include_str!("../../../docs/metrics.md"),
        include_str!("../../../docs/operations.md"),
        include_str!("../../../docs/life-of-a-request.md"),
    );
    let has = |document: &str, word: &str| assert!(document.contains(&format!("`{word}`")), "{word}");
    for kind in Kind::ALL {
        has(operations, kind.word());
    }
    for cause in Refused::ALL {
        has(metrics, cause.word());
        has(life, cause.word());
    }
    for failure in Failure::ALL {
        has(metrics, failure.word());
    }
}

#[tokio::test]
async fn names_from_outside_cannot_break_the_metrics() {
    let served = Served::start();
    served.fake.status.lock().unwrap().statistics.pools[0].name = "a\"b\\c\nd".to_owned();
    let page = open_metrics(&served.path()).await;
    assert!(samples(&page).contains_key(r#"nines_retries_total{pool="a\"b\\c\nd"}"#), "{page}");
}

/// Every sample, without a look at how it stands.
fn samples_in(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(sample, value)| (sample.to_owned(), value.parse().unwrap())).collect()
}

/// Checks a page line by line against OpenMetrics 1.0, and returns its samples.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut families = BTreeSet::new();
    let mut family = (String::new(), String::new());
    let mut samples = BTreeMap::new();
    let body = page.strip_suffix("# EOF\n").expect("a page ends with EOF");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.contains(' '), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "{name} twice");
            family = (name.to_owned(), kind.to_owned());
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            assert!(
                name.starts_with("nines_") && name.chars().all(|c| c == '_' || c.is_ascii_lowercase()),
                "{name}"
            );
            let suffix =
                name.strip_prefix(&family.0).unwrap_or_else(|| panic!("{line} in the family {family:?}"));
            let allowed: &[&str] = match family.1.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_sum", "_count"],
                other => panic!("type {other}"),
            };
            assert!(allowed.contains(&suffix), "{line} in the family {family:?}");
            assert!(!sample.ends_with("{}"), "{line}");
            assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "{sample} twice");
        }
    }
    samples
}
