//! The operator's commands as a person sees them, asked of a daemon that is made up.
#![allow(clippy::unwrap_used, clippy::panic)] // In a test they are its failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use nines_admin::api::{DatabaseOrder, Problem};
use nines_admin::{Gone, Source, bind, router, serve};
use nines_control::event::{Event, Kind};
use nines_control::statistics::{ListenerStatistics, MemberStatistics, PoolStatistics, Refused, Statistics};
use nines_control::status::{
    CheckStatus, FileStatus, Health, ListenerStatus, MemberStatus, Phase, PoolStatus, Status, Wish,
};
use nines_control::traffic::Failure;

#[derive(Clone)]
struct Fake(Arc<Mutex<Status>>);

impl Source for Fake {
    async fn status(&self) -> Result<Status, Gone> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn events(&self, after: u64) -> Result<Vec<Event>, Gone> {
        Ok(events().into_iter().filter(|event| event.sequence > after).collect())
    }

    async fn measured(&self, _: u64) -> Result<String, Gone> {
        Err(Gone)
    }

    async fn newer(&self, after: u64) {
        if after >= 2 {
            std::future::pending::<()>().await;
        }
    }

    async fn wish(&self, target: String, wish: Wish) -> Result<Result<Vec<String>, Problem>, Gone> {
        let mut status = self.0.lock().unwrap();
        Ok(match status.pools[0].members.iter_mut().find(|member| member.host == target) {
            Some(member) => {
                member.wish = wish;
                Ok(vec![format!("web/{}", member.name)])
            }
            None => {
                let known = vec!["app1".to_owned(), "app2".to_owned()];
                Err(Problem { known, ..Problem::new(format!("nothing is called `{target}`")) })
            }
        })
    }

    async fn database(&self, order: DatabaseOrder) -> Result<Result<String, Problem>, Gone> {
        if order.database != "orders" {
            let known = vec!["orders".to_owned()];
            let error = format!("no database is called `{}`", order.database);
            return Ok(Err(Problem { known, ..Problem::new(error) }));
        }
        Ok(Ok(format!("{:?}", order.verb)))
    }
}

fn events() -> Vec<Event> {
    let event = |sequence, kind, subject: &str, why: &str| Event {
        sequence,
        at_us: 1_795_403_045_678_000 + sequence * 1000,
        kind,
        subject: subject.to_owned(),
        why: why.to_owned(),
    };
    vec![
        event(1, Kind::Listener, "front/http-80", "open on 0.0.0.0:80"),
        event(2, Kind::Down, "web/app2:8080", "2 bad checks in a row: connection refused"),
    ]
}

fn member(name: &str, zone: &str, health: Health, wish: Wish) -> MemberStatus {
    let up = health == Health::Up;
    MemberStatus {
        name: name.to_owned(),
        host: name.split(':').next().unwrap().to_owned(),
        zone: zone.to_owned(),
        address: Some("10.0.1.21:8080".to_owned()),
        health,
        wish,
        eligible: up && wish == Wish::Ready,
        backup: false,
        ejected_ms: None,
        ejections: 0,
        why: if up { "HTTP 200" } else { "connection refused (2 of 2)" }.to_owned(),
        since_ms: 72_000,
        check: Some(CheckStatus {
            good: up,
            said: if up { "HTTP 200" } else { "connection refused" }.to_owned(),
            took_us: 1_400,
            ago_ms: 300,
        }),
    }
}

fn sample() -> Status {
    let counted = |name: &str, tries, failures| MemberStatistics {
        name: name.to_owned(),
        in_flight: 3,
        tries,
        failures,
        ..MemberStatistics::default()
    };
    Status {
        version: 1,
        system: "shop".to_owned(),
        objective: "99.99 %".to_owned(),
        host: "lb1".to_owned(),
        program: "0.1.0".to_owned(),
        pid: 4242,
        uptime_s: 11_520,
        phase: Phase::Serving,
        file: FileStatus {
            path: "shop.toml".to_owned(),
            generation: 3,
            loaded_us: 0,
            refused: Some("line 4: unknown key `adress`".to_owned()),
        },
        wish: Wish::Ready,
        virtual_ips: Vec::new(),
        databases: Vec::new(),
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
            members: vec![
                member("app1:8080", "a", Health::Up, Wish::Ready),
                member("app2:8080", "b", Health::Down, Wish::Ready),
                member("app10:8080", "b", Health::Up, Wish::Draining),
            ],
        }],
        statistics: Statistics {
            listeners: vec![ListenerStatistics {
                name: "front/http-80".to_owned(),
                connections: 128,
                responses: [0, 1_234_000, 500, 67, 0],
                refused: vec![(Refused::BadRequest, 7)],
                ..ListenerStatistics::default()
            }],
            pools: vec![PoolStatistics {
                name: "web".to_owned(),
                members: vec![
                    counted("app1:8080", 1_000_000, vec![]),
                    counted("app2:8080", 234_000, vec![(Failure::Refused, 12)]),
                ],
                retries: 12,
                hedges: 1,
                ..PoolStatistics::default()
            }],
            worker_stall_ms: 1,
            workers: 2,
            ..Statistics::default()
        },
        events: BTreeMap::new(),
        objective_fraction: 0.9999,
        not_kept: None,
        slow: false,
        measured: Vec::new(),
    }
}

/// The made-up daemon, in a thread that ends with it.
struct Daemon {
    directory: tempfile::TempDir,
    fake: Fake,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lb1.sock");
        let fake = Fake(Arc::new(Mutex::new(sample())));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let source = fake.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let socket = bind(&path).unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    () = serve(socket, router(source)) => {}
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().unwrap();
        Self { directory, fake, stop: Some(stop), thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("lb1.sock")
    }

    fn nines(&self, args: &[&str]) -> Output {
        nines(&self.socket(), args)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn nines(socket: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nines"));
    command.args(args).arg("--admin-socket").arg(socket).env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn status_is_one_screen() {
    let daemon = Daemon::start();
    let output = daemon.nines(&["status"]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(
        text(&output.stdout),
        "\
shop on lb1 · serving · up 3 h 12 min · objective 99.99 %
shop.toml, reloaded 2 times so far · nines 0.1.0, pid 4242
The latest reload was refused, an older file is in force: line 4: unknown key `adress`

LISTENER       ADDRESS           CONNECTIONS  REQUESTS/S   REQUESTS  REFUSED
front/http-80  0.0.0.0:80  open          128         0.0  1,234,567        7

pool web · the healthy serve · 1 of 3 get traffic · 0 queued · 12 retried, 1 hedged
  MEMBER      ZONE  HEALTH  WISH      IN FLIGHT  REQUESTS/S   REQUESTS  FAILURES  WHY
● app1:8080   a     up      ready             3         0.0  1,000,000         0  check 300 ms ago: HTTP 200 in 1 ms
○ app2:8080   b     down    ready             3         0.0    234,000        12  connection refused (2 of 2), for 1 min 12 s; check 300 ms ago: connection refused in 1 ms
○ app10:8080  b     up      draining          0           –          0         0  check 300 ms ago: HTTP 200 in 1 ms
"
    );
    assert!(output.status.success());
}

#[test]
fn status_as_json_is_what_the_daemon_answers() {
    let daemon = Daemon::start();
    let output = daemon.nines(&["status", "--json"]);
    let status: Status = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status, sample());
}

#[test]
fn events_are_one_line_each() {
    let daemon = Daemon::start();
    assert_eq!(
        text(&daemon.nines(&["events"]).stdout),
        "\
2026-11-23T03:04:05.679Z  listener  front/http-80  open on 0.0.0.0:80
2026-11-23T03:04:05.680Z  down      web/app2:8080  2 bad checks in a row: connection refused
"
    );
    let output = daemon.nines(&["events", "--json"]);
    let parsed: Vec<Event> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed, events());
}

#[test]
fn the_operators_verbs_say_what_they_touched() {
    let daemon = Daemon::start();
    let wish = || daemon.fake.0.lock().unwrap().pools[0].members[0].wish;
    let output = daemon.nines(&["drain", "app1"]);
    assert_eq!(text(&output.stdout), "web/app1:8080 finishes what it has and gets nothing new\n");
    assert_eq!(wish(), Wish::Draining);
    daemon.nines(&["maintenance", "app1"]);
    assert_eq!(wish(), Wish::Maintenance);
    let output = daemon.nines(&["ready", "app1", "--json"]);
    assert_eq!(text(&output.stdout), "{\"touched\":[\"web/app1:8080\"]}\n");
    assert_eq!(wish(), Wish::Ready);

    let output = daemon.nines(&["drain", "ap1"]);
    assert_eq!(text(&output.stderr), "nines: nothing is called `ap1`\nknown: app1, app2\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_order_to_a_database_is_answered_or_refused_with_the_known_names() {
    let daemon = Daemon::start();
    let output = daemon.nines(&["pause", "orders"]);
    assert_eq!((text(&output.stdout), output.status.code()), ("orders: Pause\n", Some(0)));
    let output = daemon.nines(&["reinit", "orders", "db3", "--json"]);
    assert_eq!(text(&output.stdout), "{\"said\":\"Reinit { host: \\\"db3\\\" }\"}\n");
    let output = daemon.nines(&["resume", "order"]);
    assert_eq!(text(&output.stderr), "nines: no database is called `order`\nknown: orders\n");
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(1)));
}

#[test]
fn without_a_daemon_every_command_says_what_it_tried() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("lb1.sock");
    for args in [&["status"][..], &["events"], &["drain", "app1"], &["switchover", "orders"]] {
        let output = nines(&socket, args);
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert!(error.contains("no daemon answers") && error.contains("lb1.sock"), "{error}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn narration_that_nobody_can_read_changes_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.toml");
    std::fs::write(&file, "name = 3").unwrap();
    let file = file.to_str().unwrap();
    for (args, code) in [(&["check", file][..], 78), (&["rehearse", file], 78), (&["drain", "app1"], 1)] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_nines")).args(args).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn a_file_or_host_that_is_wrong_stops_the_daemon_before_it_starts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.toml");
    let run = |text: &str, host: &str| {
        std::fs::write(&file, text).unwrap();
        nines(&directory.path().join("s.sock"), &["run", file.to_str().unwrap(), "--host", host])
    };
    let output = run("name = 3", "lb1");
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("shop.toml: 2 mistakes"), "{}", text(&output.stderr));

    let good = "\
name = \"shop\"
[hosts]
lb1 = \"127.0.0.1\"
app1 = \"127.0.0.2\"
";
    let output = run(good, "lb2");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).ends_with("has no host called lb2 (did you mean lb1?); it has lb1, app1\n"),
        "{}",
        text(&output.stderr)
    );
}
