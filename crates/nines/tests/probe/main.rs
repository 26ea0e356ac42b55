//! `nines probe` against a server that fails on command.
#![allow(clippy::unwrap_used, clippy::panic)] // In a test they are its failure.

mod postgres;
mod ways;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use nines_availability::measurement::{Kind, Measured, State, Subject};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    Good,
    Unavailable,
    Reset,
    /// Takes the question and never answers.
    Stall,
    /// Answers after 150 ms.
    Slow,
    /// Ends in the middle of an answer.
    Half,
    /// Says what is no HTTP.
    Nonsense,
}

const MODES: [Mode; 7] =
    [Mode::Good, Mode::Unavailable, Mode::Reset, Mode::Stall, Mode::Slow, Mode::Half, Mode::Nonsense];

struct Server {
    address: SocketAddr,
    mode: Arc<AtomicU8>,
    asked: Arc<AtomicU64>,
}

impl Server {
    /// On a thread that ends with the test.
    fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, asked) = (Arc::new(AtomicU8::new(mode as u8)), Arc::new(AtomicU64::new(0)));
        let (now, count) = (Arc::clone(&mode), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                count.fetch_add(1, SeqCst);
                let mode = MODES[usize::from(now.load(SeqCst))];
                std::thread::spawn(move || drop(answer(stream, mode)));
            }
        });
        Self { address, mode, asked }
    }

    fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, SeqCst);
    }

    fn url(&self) -> String {
        format!("http://{}/healthz", self.address)
    }
}

fn answer(mut stream: TcpStream, mode: Mode) -> std::io::Result<()> {
    let mut head = [0; 4096];
    let read = stream.read(&mut head)?;
    assert!(!head[..read].starts_with(b"GET") || head.starts_with(b"GET /healthz HTTP/1.1\r\n"));
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nall ok";
    match mode {
        Mode::Good => stream.write_all(whole),
        Mode::Unavailable => {
            stream.write_all(b"HTTP/1.1 503 No\r\nnines-cause: no-member\r\ncontent-length: 0\r\n\r\n")
        }
        Mode::Reset => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        Mode::Stall => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Mode::Slow => {
            std::thread::sleep(Duration::from_millis(150));
            stream.write_all(whole)
        }
        Mode::Half => stream.write_all(&whole[..whole.len() - 3]),
        Mode::Nonsense => stream.write_all(b"220 mail.example ESMTP\r\n"),
    }
}

fn probe(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nines"));
    command.arg("probe").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run_probe(args: &[&str]) -> Output {
    probe(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    let stdout = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{error}: {stdout}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The only target of a short run, as JSON.
fn target(args: &[&str]) -> Value {
    let all = json(&run_probe(&[args, &["--json", "--every", "50ms", "--for", "1s"]].concat()));
    all["targets"][0].clone()
}

/// The same, again until there is one of what is looked for (a JSON pointer to a count): a busy machine may keep the prober from knowing.
fn target_with(args: &[&str], what: &str) -> Value {
    let begun = Instant::now();
    loop {
        let seen = target(args);
        if seen.pointer(what).and_then(Value::as_u64).is_some_and(|count| count > 0) {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no {what}: {seen}");
    }
}

#[test]
fn a_service_that_answers_is_available_and_its_bound_is_what_so_few_questions_can_show() {
    let server = Server::start(Mode::Good);
    let output = run_probe(&[
        &server.url(),
        "--every",
        "50ms",
        "--for",
        "2s",
        "--text",
        "all ok",
        "--objective",
        "90 %",
        "--vantage",
        "home",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let all = json(&output);
    assert_eq!(all["vantage"], "home");
    let seen = &all["targets"][0];
    let good = seen["good"].as_u64().unwrap();
    assert_eq!(seen["failed"], serde_json::json!({}));
    assert_eq!(good + seen["unknown"].as_u64().unwrap(), 40);
    assert_eq!(server.asked.load(SeqCst), good, "each is a connection of its own");
    assert_eq!(seen["availability"], 1.0);
    // Reference case 20: about 3/n.
    let worst = 1.0 - seen["at_least"].as_f64().unwrap();
    assert!((worst * good as f64 - 3.0).abs() < 0.15, "{worst} of {good}");
    assert_eq!(seen["kept"], true);
    assert_eq!(seen["addresses"]["127.0.0.1"]["good"], good);
    assert!(seen["answered"]["p50_s"].as_f64().unwrap() > 0.0);
    assert_eq!(seen["outages"], serde_json::json!([]));
}

#[test]
fn each_way_to_fail_has_its_word() {
    let closed = format!("http://127.0.0.1:{}/", nines_trial::port::free().unwrap());
    let of = |mode| Server::start(mode).url();
    let secure = Server::start(Mode::Good).url().replace("http:", "https:");
    let cases = [
        (of(Mode::Unavailable), "status-503"),
        (of(Mode::Reset), "reset"),
        (of(Mode::Half), "reset"),
        (of(Mode::Stall), "timeout"),
        (of(Mode::Nonsense), "bad-reply"),
        (closed, "refused"),
        (secure, "tls"),
    ];
    for (url, word) in cases {
        // Only who never answers is not waited for.
        let timeout = if word == "timeout" { "300ms" } else { "10s" };
        let seen = target(&[&url, "--timeout", timeout]);
        let failed = seen["failed"].as_object().unwrap();
        assert_eq!(failed.keys().collect::<Vec<_>>(), [word], "{url}: {seen}");
        assert!(failed[word].as_u64().unwrap() >= 10, "{seen}");
        assert_eq!((&seen["good"], &seen["availability"]), (&0.into(), &0.0.into()));
        assert_eq!(seen["outage_count"], 1);
    }
}

#[test]
fn what_is_good_is_said_by_statuses_and_a_text() {
    let unavailable = Server::start(Mode::Unavailable);
    assert_eq!(target(&[&unavailable.url(), "--expect", "200,500-599"])["failed"], serde_json::json!({}));
    let good = Server::start(Mode::Good);
    let seen = target(&[&good.url(), "--text", "all well"]);
    assert_eq!(seen["good"], 0);
    assert!(seen["failed"]["text-missing"].as_u64().unwrap() >= 10, "{seen}");
}

#[test]
fn a_port_is_asked_whether_it_takes_connections() {
    let server = Server::start(Mode::Stall);
    let seen = target(&[&format!("tcp://{}", server.address)]);
    assert!(seen["good"].as_u64().unwrap() >= 10 && seen["failed"] == serde_json::json!({}), "{seen}");
}

/// Ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A key and its certificate for `localhost`, signed by itself, as `key.pem` and `cert.pem`; `false`: there is no openssl.
fn certificate(folder: &std::path::Path) -> bool {
    let make = "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE";
    let made = Command::new("openssl").args(make.split_whitespace()).current_dir(folder).output();
    let Ok(made) = made else {
        eprintln!("skipped: no openssl is installed");
        return false;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    true
}

#[test]
fn https_is_trusted_by_its_authority_and_name() {
    let folder = tempfile::tempdir().unwrap();
    if !certificate(folder.path()) {
        return;
    }
    let port = nines_trial::port::free().unwrap();
    let server = Command::new("openssl")
        .args([
            "s_server",
            "-4",
            "-key",
            "key.pem",
            "-cert",
            "cert.pem",
            "-www",
            "-quiet",
            "-accept",
            &port.to_string(),
        ])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Killed(server);
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "openssl does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ca = folder.path().join("cert.pem");
    let of = |host: &str| target(&[&format!("https://{host}:{port}/"), "--ca", ca.to_str().unwrap()]);
    let seen = of("localhost");
    assert!(seen["good"].as_u64().unwrap() >= 10 && seen["failed"] == serde_json::json!({}), "{seen}");
    // The certificate is another's.
    let seen = of("127.0.0.1");
    assert!(seen["good"] == 0 && seen["failed"]["tls"].as_u64().unwrap() >= 10, "{seen}");
}

#[test]
fn a_name_that_does_not_resolve_is_never_up() {
    // By RFC 6761 nobody has such a name. Where there is no network, that is not the service's failure.
    let seen = target(&["http://nobody.invalid/", "--timeout", "5s"]);
    let (dns, unknown) = (seen["failed"]["dns"].as_u64().unwrap_or(0), seen["unknown"].as_u64().unwrap());
    assert_eq!((seen["good"].as_u64(), dns + unknown), (Some(0), 20), "{seen}");
}

#[test]
fn nobody_waits_for_a_slow_answer() {
    let server = Server::start(Mode::Slow);
    let seen = target(&[&server.url()]);
    let asked = seen["good"].as_u64().unwrap() + seen["unknown"].as_u64().unwrap();
    // Three are on their way at any time, and each took its 150 ms.
    assert_eq!(asked, 20, "{seen}");
    assert!(seen["answered"]["p50_s"].as_f64().unwrap() >= 0.15, "{seen}");

    let stalled = Server::start(Mode::Stall);
    let begun = Instant::now();
    let seen = target(&[&stalled.url(), "--timeout", "400ms"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(seen["failed"]["timeout"].as_u64().unwrap() + seen["unknown"].as_u64().unwrap(), 20, "{seen}");
}

/// Waits until the server was asked so many times more.
fn asked_more(server: &Server, more: u64) {
    let (until, begun) = (server.asked.load(SeqCst) + more, Instant::now());
    while server.asked.load(SeqCst) < until {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody asks");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn an_outage_has_its_begin_and_end_and_ctrl_c_its_summary() {
    let server = Server::start(Mode::Good);
    let child = probe(&[&server.url(), "--every", "50ms", "--objective", "99.9 %"]).spawn().unwrap();
    asked_more(&server, 10);
    server.set(Mode::Unavailable);
    asked_more(&server, 10);
    server.set(Mode::Good);
    asked_more(&server, 10);
    signal(&child, rustix::process::Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "the objective was missed");
    let [said, told] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(told.contains("/healthz is down: status-503: no-member"), "{told}");
    assert!(told.contains("/healthz answers again after "), "{told}");
    for part in ["99.9 %: missed", "failed: status-503: no-member", "status-503\n", "half in ", "address  "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("since "), "{said}");
}

#[test]
fn ctrl_c_does_not_wait_for_answers_that_may_never_come_and_a_second_one_for_nothing() {
    // It takes connections, and nobody ever reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let started = || {
        let child = probe(&[&url, "--every", "100ms", "--timeout", "50s", "--json"]).spawn().unwrap();
        // It has asked.
        silent.set_nonblocking(false).unwrap();
        let asked = silent.accept().unwrap();
        (child, asked)
    };
    let begin = std::time::Instant::now();
    let (child, _asked) = started();
    signal(&child, rustix::process::Signal::INT);
    let seen = json(&child.wait_with_output().unwrap())["targets"][0].clone();
    assert!(seen["unknown"].as_u64().unwrap() >= 1, "{seen}");
    assert_eq!((&seen["good"], &seen["failed"]), (&serde_json::json!(0), &serde_json::json!({})), "{seen}");
    let (mut child, _asked) = started();
    // Two that come too soon after each other are one to it.
    while child.try_wait().unwrap().is_none() {
        signal(&child, rustix::process::Signal::INT);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(40), "nothing has waited for the time-out");
}

#[test]
fn a_prober_that_stood_still_knows_nothing_of_that_time() {
    let server = Server::start(Mode::Good);
    let child = probe(&[&server.url(), "--every", "100ms", "--timeout", "2s", "--json"]).spawn().unwrap();
    asked_more(&server, 10);
    // What is under way fails by its own clock while it can't look.
    server.set(Mode::Slow);
    asked_more(&server, 2);
    signal(&child, rustix::process::Signal::STOP);
    std::thread::sleep(Duration::from_millis(3_500));
    signal(&child, rustix::process::Signal::CONT);
    asked_more(&server, 10);
    signal(&child, rustix::process::Signal::TERM);
    let seen = json(&child.wait_with_output().unwrap())["targets"][0].clone();
    assert_eq!(seen["failed"], serde_json::json!({}), "{seen}");
    assert!(seen["unknown"].as_u64().unwrap() >= 25, "{seen}");
    let seconds = &seen["seconds"];
    assert_eq!(seconds["down"], 0);
    assert!(seconds["unknown"].as_u64().unwrap() >= 2, "{seconds}");
}

#[test]
fn a_prober_without_descriptors_blames_itself() {
    let server = Server::start(Mode::Stall);
    let script = format!(
        "ulimit -n 16; exec {} probe {} --every 20ms --timeout 2s --for 1s --json",
        env!("CARGO_BIN_EXE_nines"),
        server.url()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let seen = json(&output)["targets"][0].clone();
    assert!(seen["unknown"].as_u64().unwrap() >= 30, "{seen}");
    assert!(seen["unknown_for"].to_string().contains("Too many open files"), "{seen}");
}

#[test]
fn a_prober_without_a_network_blames_itself() {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", env!("CARGO_BIN_EXE_nines"), "probe", "http://192.0.2.1/"]);
    command.args(["--every", "100ms", "--for", "1s", "--timeout", "300ms", "--json"]);
    let output = command.output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        eprintln!("skipped: no network namespace can be made here");
        return;
    };
    let seen = json(&output)["targets"][0].clone();
    assert_eq!(seen["unknown"], 10, "{seen}");
    assert!(seen["availability"].is_null(), "{seen}");
}

#[test]
fn what_was_seen_is_kept_and_what_was_not_stays_unknown() {
    let server = Server::start(Mode::Good);
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let ledger = ledger.to_str().unwrap();
    let url = server.url();
    let run = || {
        let output = run_probe(&[
            &url,
            "--every",
            "200ms",
            "--for",
            "3s",
            "--ledger",
            ledger,
            "--vantage",
            "home",
            "--json",
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let measured: Measured = serde_json::from_value(json(&output)["measured"][0].clone()).unwrap();
        measured
    };
    let first = run();
    std::thread::sleep(Duration::from_secs(4));
    server.set(Mode::Unavailable);
    let second = run();

    let kept = nines_ledger::read(std::path::Path::new(ledger), 0).unwrap();
    assert_eq!((kept.history.vantage.as_str(), kept.system.as_str()), ("home", "127.0.0.1"));
    let subject = Subject::new(Kind::Url, url.clone());
    let series = kept.history.series(&subject).unwrap();
    let (begin, end) = series.span().unwrap();
    let count = |wanted| (begin..=end).filter(|&second| series.state(second) == wanted).count();
    assert!(count(State::Up) >= 2 && count(State::Down) >= 2 && count(State::Unknown) >= 2);
    // Questions are counted by the minute.
    let minutes = |(begin, end): (u64, u64)| (begin / 60 * 60, (end / 60 + 1) * 60);
    let (from, to) = minutes((begin, end));
    let totals = series.totals(from, to);
    assert!(totals.good >= 10 && totals.bad >= 10, "{totals:?}");
    // What the summary handed out is the same.
    let of = |measured: &Measured| {
        let series = measured.history.series(&subject).unwrap();
        let (from, to) = minutes(series.span().unwrap());
        series.totals(from, to)
    };
    assert_eq!(of(&first).bad, 0);
    assert_eq!((of(&second).bad, of(&first).good), (totals.bad, totals.good));
    let kinds: Vec<&str> = kept.history.events().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["down"]);

    // `nines report` reads either.
    let summary = folder.path().join("probe.json");
    let told = run_probe(&[&url, "--for", "1s", "--vantage", "office", "--json"]);
    std::fs::write(&summary, told.stdout).unwrap();
    let report = Command::new(env!("CARGO_BIN_EXE_nines"))
        .args(["report", "--no-daemon", "--json", "--with", ledger, "--with", summary.to_str().unwrap()])
        .output()
        .unwrap();
    let report = json(&report);
    let subject = &report["subjects"][0];
    assert_eq!((&subject["kind"], &subject["name"]), (&"url".into(), &url.clone().into()), "{report}");
    assert_eq!(subject["vantages"], serde_json::json!(["home", "office"]));

    // Who sees it from elsewhere does not go on in it.
    let other = run_probe(&[&url, "--for", "1s", "--vantage", "office", "--ledger", ledger]);
    let told = String::from_utf8_lossy(&other.stderr);
    assert!(!other.status.success() && told.contains("has what home saw of 127.0.0.1"), "{told}");

    // A clock that is ahead, and a file of another program.
    let text = std::fs::read_to_string(&summary).unwrap();
    let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, value, expected) in [
        ("now", serde_json::json!(first.now + 86_400), "the clock of office is 23 h ahead"),
        ("version", 2.into(), "version 2"),
        ("objective", (-5).into(), "an objective of -5"),
    ] {
        let mut wrong = whole.clone();
        wrong["measured"][0][key] = value;
        std::fs::write(&summary, wrong.to_string()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_nines"))
            .args(["report", "--no-daemon", "--with", ledger, "--with", summary.to_str().unwrap()])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(expected), "{told}");
    }
}

#[test]
fn a_prober_that_is_stopped_keeps_nothing_of_the_time_to_come() {
    let server = Server::start(Mode::Good);
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let child =
        probe(&[&server.url(), "--every", "1m", "--ledger", ledger.to_str().unwrap()]).spawn().unwrap();
    asked_more(&server, 1);
    std::thread::sleep(Duration::from_millis(1_500));
    signal(&child, rustix::process::Signal::INT);
    assert!(child.wait_with_output().unwrap().status.success());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let kept = nines_ledger::read(&ledger, 0).unwrap();
    let (begin, end) = kept.history.span().unwrap();
    assert!(end <= now && end - begin < 10, "{begin} to {end}, at {now}");
}
