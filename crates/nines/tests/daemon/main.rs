//! `nines run` as its operator and its clients meet it: the real program, on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod addresses;
mod load;
mod measured;
mod prometheus;
mod world;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use load::{Connection, Load, get};
use nines_control::status::{Phase, Wish};
use rustix::process::Signal;
use world::{Daemon, File, Member, eventually, free_port};

fn members(count: usize) -> Vec<Member> {
    (1..=count).map(Member::start).collect()
}

/// The members that answer some requests in a row.
fn who_answers(port: u16) -> BTreeSet<String> {
    (0..30).map(|_| get(port, "/").unwrap().body.trim().to_owned()).collect()
}

#[test]
fn listeners_open_once_the_first_checks_are_in() {
    // A member that takes its check but lets it wait.
    let slow = TcpListener::bind("127.0.0.2:0").unwrap();
    let file = File {
        listeners: vec![free_port()],
        members: vec![slow.local_addr().unwrap()],
        load_balancer: String::new(),
        pool: "check = { http = \"/\", interval = \"20s\", timeout = \"20s\" }\n".to_owned(),
    };
    let daemon = Daemon::start(&file);
    let (mut check, _) = slow.accept().unwrap();
    assert_eq!(daemon.status().phase, Phase::Starting);
    assert!(!daemon.status().listeners[0].open);
    assert!(TcpStream::connect(("127.0.0.1", file.listeners[0])).is_err());

    check.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    daemon.until("it serves", |status| status.phase == Phase::Serving && status.listeners[0].open);
    eventually("clients are let in", || TcpStream::connect(("127.0.0.1", file.listeners[0])).ok());
}

#[test]
fn it_serves_and_says_so() {
    let members = members(2);
    let file = File::new(&members);
    let daemon = Daemon::serving(&file);
    assert_eq!(who_answers(file.listeners[0]).len(), 2, "both members answer");

    let output = daemon.nines(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["version"], 1);
    assert_eq!(status["phase"], "serving");
    assert_eq!(status["pools"][0]["members"][0]["health"], "up");
    daemon.until("the requests are counted", |status| status.statistics.listeners[0].responses[1] >= 30);

    let screen = String::from_utf8(daemon.nines(&["status"]).stdout).unwrap();
    assert!(screen.contains("2 of 2 get traffic"), "{screen}");
    let events = String::from_utf8(daemon.nines(&["events"]).stdout).unwrap();
    assert!(events.contains("listener  front/http-"), "{events}");
}

#[test]
fn a_member_that_dies_is_seen_and_costs_no_request() {
    let mut members = members(3);
    let file = File::new(&members);
    let daemon = Daemon::serving(&file);
    let load = Load::start(file.listeners[0]);
    daemon.until("there is load", |status| status.statistics.listeners[0].responses[1] > 200);
    drop(members.remove(0));
    daemon.until("its death is known", |status| !status.pools[0].members[0].eligible);
    let seen = load.stop();
    assert_eq!(seen.failed, Vec::<String>::new());
    assert_eq!(seen.refused, 0);
}

#[test]
fn a_drained_member_gets_no_new_work_until_it_is_ready_again() {
    let members = members(2);
    let file = File::new(&members);
    let daemon = Daemon::serving(&file);
    let output = daemon.nines(&["drain", "app1"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("web/app1:"));
    eventually("only app2 answers", || (who_answers(file.listeners[0]).len() == 1).then_some(()));
    assert_eq!(who_answers(file.listeners[0]), BTreeSet::from(["app2".to_owned()]));

    daemon.nines(&["ready", "app1"]);
    eventually("both answer", || (who_answers(file.listeners[0]).len() == 2).then_some(()));
    let unknown = daemon.nines(&["drain", "ap1"]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        said.starts_with("nines: no host, pool or member is called `ap1`; did you mean `app1`?\n"),
        "{said}"
    );
    assert!(said.contains("\nknown: lb1, web, app1, app2, web/app1:"), "{said}");
}

#[test]
fn who_means_a_load_balancers_host_is_told_whom_to_ask() {
    let file = File::new(&members(1));
    let daemon = Daemon::serving(&file);
    // In no pool.
    let text = file.text().replace("[hosts]\n", "[hosts]\nlb2 = \"127.0.0.9\"\n");
    let status = daemon.reload(&text.replace("hosts = [\"lb1\"]", "hosts = [\"lb1\", \"lb2\"]"));
    assert_eq!(status.file.refused, None);
    let refusal = |target: &str| {
        let output = daemon.nines(&["drain", target]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refusal("lb2");
    assert!(
        said.starts_with("nines: lb2 is another load balancer's host: ask its own daemon, on lb2\n"),
        "{said}"
    );
    let said = refusal("lb9");
    let (first, known) = said.split_once('\n').unwrap();
    assert_eq!(first, "nines: no host, pool or member is called `lb9`; did you mean `lb1`?");
    assert!(known.starts_with("known: lb1, web, app1, web/app1:"), "{known}");
    assert!(daemon.nines(&["drain", "lb1"]).status.success());
    assert_eq!(daemon.status().wish, Wish::Draining);
}

#[test]
fn a_bad_file_is_refused_and_the_old_one_keeps_serving() {
    let members = members(1);
    let file = File::new(&members);
    let daemon = Daemon::serving(&file);
    let status = daemon.reload(&format!("nonsense = 3\n{}", file.text()));
    let refused = status.file.refused.expect("the refusal is in the status");
    assert!(refused.starts_with("line 1: ") && refused.contains("nonsense"), "{refused}");
    assert_eq!(status.file.generation, 1);
    assert_eq!(get(file.listeners[0], "/").unwrap().status, 200);
    let screen = String::from_utf8(daemon.nines(&["status"]).stdout).unwrap();
    assert!(screen.contains("The latest reload was refused"), "{screen}");
    let log = daemon.log();
    assert!(log.contains("--> "), "the log shows the place: {log}");
    assert!(log.lines().any(|line| line.contains(" WARN refused")), "{log}");

    let status = daemon.reload(&file.text());
    assert_eq!((status.file.generation, status.file.refused), (2, None));
}

#[test]
fn a_reload_changes_what_the_file_changes_and_nothing_else() {
    let members = members(3);
    let mut file = File::new(&members);
    let third = file.members.pop().unwrap();
    file.listeners.push(free_port());
    let daemon = Daemon::serving(&file);
    daemon.nines(&["drain", "app1"]);
    let mut kept = Connection::open(file.listeners[0]).unwrap();
    kept.send("/").unwrap();
    kept.reply().unwrap();
    let before = daemon.status();

    let closed = file.listeners.pop().unwrap();
    let opened = free_port();
    file.listeners.push(opened);
    file.members.push(third);
    let status = daemon.reload(&file.text());
    assert_eq!(status.pools[0].members[0].wish, Wish::Draining, "a wish survives");
    assert_eq!(status.pools[0].members[1].health, nines_control::status::Health::Up, "health survives");
    assert!(status.statistics.listeners[0].responses[1] >= before.statistics.listeners[0].responses[1]);
    kept.send("/").unwrap();
    assert_eq!(kept.reply().unwrap().status, 200, "a connection survives");
    eventually("the new listener serves", || get(opened, "/").ok());
    eventually("the old listener is gone", || TcpStream::connect(("127.0.0.1", closed)).err());
    eventually("the new member answers", || who_answers(opened).contains("app3").then_some(()));
    let events = String::from_utf8(daemon.nines(&["events"]).stdout).unwrap();
    assert!(events.contains("no longer in the file"), "{events}");
}

#[test]
fn a_listener_that_cannot_be_bound_changes_nothing() {
    let members = members(1);
    let mut file = File::new(&members);
    let daemon = Daemon::serving(&file);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = file.listeners[0];
    file.listeners = vec![taken.local_addr().unwrap().port()];
    let status = daemon.reload(&file.text());
    let refused = status.file.refused.unwrap();
    assert!(refused.contains("can't bind"), "{refused}");
    assert_eq!(refused.matches("in use").count(), 1, "{refused}");
    assert_eq!(get(port, "/").unwrap().status, 200);
    assert_eq!(daemon.status().listeners.len(), 1);
}

#[test]
fn a_hundred_reloads_under_load_cost_no_request() {
    let members = members(3);
    let mut file = File::new(&members);
    let daemon = Daemon::serving(&file);
    let load = Load::start(file.listeners[0]);
    let mut third = None;
    for n in 0..100 {
        // The third member comes and goes, and so does a second listener.
        match third.take() {
            None => third = file.members.pop(),
            Some(member) => file.members.push(member),
        }
        match file.listeners.len() {
            1 => file.listeners.push(free_port()),
            _ => file.listeners.truncate(1),
        }
        let status = daemon.reload(&file.text());
        assert_eq!((status.file.generation, status.file.refused), (n + 2, None));
    }
    let seen = load.stop();
    assert_eq!(seen.failed, Vec::<String>::new());
    assert_eq!(seen.refused, 0);
    assert!(seen.answered > 100, "{seen:?}");
}

#[test]
fn told_to_stop_under_load_it_finishes_every_request() {
    let members = members(2);
    let file = File::new(&members);
    let mut daemon = Daemon::serving(&file);
    let load = Load::start(file.listeners[0]);
    daemon.until("there is load", |status| status.statistics.listeners[0].responses[1] > 200);
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.exit_code(), Some(0));
    let seen = load.stop();
    assert_eq!(seen.failed, Vec::<String>::new());
    assert!(!daemon.socket().exists(), "the socket goes with the daemon");
}

#[test]
fn told_to_stop_it_waits_for_a_long_reply() {
    // A member that answers when it is told to.
    let slow = TcpListener::bind("127.0.0.2:0").unwrap();
    let file = File {
        listeners: vec![free_port()],
        members: vec![slow.local_addr().unwrap()],
        load_balancer: String::new(),
        pool: "check = \"none\"\n".to_owned(),
    };
    let mut daemon = Daemon::serving(&file);
    let mut client = Connection::open(file.listeners[0]).unwrap();
    client.send("/").unwrap();
    let (mut request, _) = slow.accept().unwrap();
    daemon.process.signal(Signal::TERM);
    daemon.until("it drains", |status| status.phase == Phase::Draining);
    request.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().status, 200);
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn the_drain_is_bounded_and_a_second_signal_cuts_it_short() {
    let members = members(1);
    let mut file = File::new(&members);
    file.load_balancer = "drain = \"300ms\"".to_owned();
    for signals in [1, 2] {
        if signals == 2 {
            file.load_balancer = "drain = \"1h\"".to_owned();
        }
        let mut daemon = Daemon::serving(&file);
        let mut client = Connection::open(file.listeners[0]).unwrap();
        client.send("/slow?ms=20000").unwrap();
        daemon.until("it is in flight", |status| status.statistics.pools[0].members[0].in_flight == 1);
        daemon.process.signal(Signal::TERM);
        if signals == 2 {
            daemon.until("it drains", |status| status.phase == Phase::Draining);
            daemon.process.signal(Signal::TERM);
        }
        assert_eq!(daemon.exit_code(), Some(signals - 1), "cut off before its time is not fine");
        assert!(client.reply().is_err());
    }
}

#[test]
fn a_log_that_cannot_be_written_does_not_end_the_service() {
    let members = members(1);
    let file = File::new(&members);
    let daemon = Daemon::start_with_log(&file, "/dev/full");
    daemon.until("it serves", |status| status.phase == Phase::Serving);
    assert_eq!(daemon.reload(&file.text()).file.generation, 2);
    eventually("it answers", || get(file.listeners[0], "/").ok().filter(|reply| reply.status == 200));
}

#[test]
fn a_rotated_access_log_is_opened_anew_with_a_reload() {
    let members = members(1);
    let mut file = File::new(&members);
    let logs = tempfile::tempdir().unwrap();
    let (log, old) = (logs.path().join("access.log"), logs.path().join("access.log.1"));
    file.load_balancer = format!("access_log = \"{}\"", log.display());
    let daemon = Daemon::serving(&file);
    let lines = |path: &std::path::Path, target: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &serde_json::Value| line["target"] == target).collect()
    };
    get(file.listeners[0], "/before").unwrap();
    let line = eventually("it is logged", || lines(&log, "/before").pop());
    assert_eq!(line["member"], daemon.status().pools[0].members[0].name);
    assert_eq!((&line["tries"], &line["ended"]), (&1.into(), &"done".into()));

    std::fs::rename(&log, &old).unwrap();
    daemon.reload(&file.text());
    for _ in 0..10 {
        get(file.listeners[0], "/after").unwrap();
    }
    eventually("all go into the new one", || (lines(&log, "/after").len() == 10).then_some(()));
    assert_eq!(lines(&old, "/before").len(), 1);
}

#[test]
fn a_second_daemon_in_the_same_place_says_that_there_is_one() {
    let members = members(1);
    let file = File::new(&members);
    let daemon = Daemon::serving(&file);
    let output = daemon.another();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("another daemon answers on"), "{error}");
    assert_eq!(get(file.listeners[0], "/").unwrap().status, 200);
    assert_eq!(daemon.status().phase, Phase::Serving);
}

#[test]
fn where_the_file_asks_metrics_are_served_over_tcp_and_follow_it() {
    let members = members(1);
    let mut file = File::new(&members);
    let (first, second) = (free_port(), free_port());
    file.load_balancer = format!("admin = \"127.0.0.1:{first}\"");
    let daemon = Daemon::serving(&file);
    let metrics = |port| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        Some(page)
    };
    let page = metrics(first).unwrap();
    assert!(page.contains("nines_member_health{pool=\"web\",member=\"app1:"), "{page}");

    file.load_balancer = format!("admin = \"127.0.0.1:{second}\"");
    daemon.reload(&file.text());
    assert!(metrics(second).unwrap().contains("nines_build_info{"));
    eventually("the old address is given up", || metrics(first).is_none().then_some(()));
}
