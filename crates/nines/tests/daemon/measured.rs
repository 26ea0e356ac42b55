//! What the daemon measures, keeps over its own death, and reports.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::load::get;
use crate::world::{Daemon, File, eventually};
use rustix::process::Signal;

/// The report of whoever keeps its measurements there, without asking a daemon.
fn kept(directory: &Path) -> Option<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_nines"))
        .args(["report", "--json", "--no-daemon", "--with"])
        .arg(directory)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

fn asked(daemon: &Daemon) -> Value {
    let output = daemon.nines(&["report", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// Of the whole year.
fn of<'a>(report: &'a Value, kind: &str) -> &'a Value {
    let subjects = report["subjects"].as_array().unwrap();
    subjects.iter().find(|subject| subject["kind"] == kind).unwrap_or(&Value::Null)
}

fn totals<'a>(report: &'a Value, kind: &str) -> &'a Value {
    &of(report, kind)["windows"][3]["totals"]
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[test]
fn what_was_measured_outlives_the_daemon_and_its_absence_is_unknown() {
    let members = crate::members(1);
    let file = File::new(&members);
    let mut daemon = Daemon::serving(&file);
    let port = file.listeners[0];
    for _ in 0..40 {
        assert_eq!(get(port, "/").unwrap().status, 200);
    }
    // The member's own failure is a failure; what a client does wrong is none.
    for _ in 0..10 {
        assert_eq!(get(port, "/fail?status=500").unwrap().status, 500);
    }
    assert_eq!(get(port, "/fail?status=404").unwrap().status, 404);
    let state = daemon.directory.path().join("state");
    let before = eventually("it is kept", || {
        // It may be kept in between, when the last one is not in it yet.
        let all =
            |report: &Value| ["good", "bad"].map(|it| number(&totals(report, "listener")[it])) == [41, 10];
        kept(&state).filter(all)
    });
    for kind in ["listener", "pool"] {
        assert_eq!(["good", "bad"].map(|it| number(&totals(&before, kind)[it])), [41, 10], "{before}");
        assert!(number(&totals(&before, kind)["up"]) > 0, "{before}");
    }

    // It is killed, and for three seconds nobody looks.
    daemon.process.signal(Signal::KILL);
    eventually("it is dead", || daemon.process.ended());
    std::thread::sleep(Duration::from_secs(3));
    daemon.start_again();
    daemon.until("it serves", |status| status.listeners.iter().all(|listener| listener.open));
    assert_eq!(get(port, "/").unwrap().status, 200);
    let after = eventually("it measures on", || {
        Some(asked(&daemon)).filter(|report| number(&totals(report, "listener")["good"]) == 42)
    });
    let totals = totals(&after, "listener");
    assert_eq!(number(&totals["bad"]), 10, "{totals}");
    let [up, down, seconds] = ["up", "down", "seconds"].map(|field| number(&totals[field]));
    assert!(seconds - up - down >= 2, "the time in between is unknown: {totals}");
    let by_time = &of(&after, "listener")["windows"][3]["by_time"];
    assert_eq!(number(&by_time["unknown"]), seconds - up - down);
    assert!(
        by_time["worst"].as_f64() <= by_time["likely"].as_f64()
            && by_time["likely"].as_f64() <= by_time["best"].as_f64()
    );
    let by_request = &of(&after, "listener")["windows"][3]["by_request"];
    assert_eq!((number(&by_request["good"]), number(&by_request["all"])), (42, 52));
    assert_eq!(daemon.status().events.get(&nines_control::event::Kind::Conflict), None);

    // A person reads the same. Ten failed requests in the first seconds of a month have not spent its budget yet.
    let text = daemon.nines(&["report"]);
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("42 of 52") && text.contains("measured by lb1") && text.contains("predicted"),
        "{text}"
    );

    // So does whoever is given the page; where it can't be written, that is said before anybody is asked.
    let page = daemon.directory.path().join("out.html");
    let printed = daemon.nines(&["report", "--html", page.to_str().unwrap()]);
    assert!(!printed.stdout.is_empty() && String::from_utf8_lossy(&printed.stderr).contains("out.html"));
    let page = std::fs::read_to_string(page).unwrap();
    for said in ["<!DOCTYPE html>", "42 good of 52 requests", "within budget", "Predicted", "lb1"] {
        assert!(page.contains(said), "{said}");
    }
    let nowhere = ["report", "--no-daemon", "--with", "/nowhere/there.json", "--html", "/nowhere/out.html"];
    let refused = daemon.nines(&nowhere);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.stdout.is_empty() && said.contains("can't write a report to /nowhere/out.html"),
        "{said}"
    );

    // What is printed is what others take; and one vantage is not laid on itself.
    let path = daemon.directory.path().join("other.json");
    std::fs::write(&path, after.to_string()).unwrap();
    assert_eq!(number(&self::totals(&kept(&path).unwrap(), "listener")["good"]), 42);
    let twice = daemon.nines(&["report", "--with", path.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("lb1 is there twice"));
    // From elsewhere, it is: seen by both, and their requests add up.
    let elsewhere = after.to_string().replace("\"vantage\":\"lb1\"", "\"vantage\":\"lb2\"");
    std::fs::write(&path, elsewhere).unwrap();
    let both = daemon.nines(&["report", "--json", "--with", path.to_str().unwrap()]);
    let both: Value = serde_json::from_slice(&both.stdout).unwrap();
    assert_eq!(of(&both, "listener")["vantages"], serde_json::json!(["lb1", "lb2"]));
    assert_eq!(number(&self::totals(&both, "listener")["bad"]), 20);
}

#[test]
fn a_pool_without_a_member_is_an_outage_with_its_reason() {
    let mut members = crate::members(1);
    let file = File::new(&members);
    let daemon = Daemon::serving(&file);
    eventually("it is up", || (number(&totals(&asked(&daemon), "pool")["up"]) > 1).then_some(()));
    members.clear();
    let report = eventually("the outage is seen", || {
        Some(asked(&daemon)).filter(|report| number(&of(report, "pool")["outages"][0]["down"]) >= 2)
    });
    for kind in ["listener", "pool"] {
        let outage = &of(&report, kind)["outages"][0];
        assert_eq!(outage["lasts"], true, "{outage}");
        assert!(outage["cause"].as_str().is_some_and(|cause| cause.contains("web")), "{outage}");
        let timeline = outage["timeline"].as_array().unwrap();
        assert!(timeline.iter().any(|moment| moment["what"] == "detected"), "{outage}");
        assert!(!timeline.iter().any(|moment| moment["what"] == "rerouted"), "{outage}");
    }
    let down = "nines_measured_seconds_total{kind=\"pool\",subject=\"web\",state=\"down\"} ";
    eventually("the metrics say so", || {
        let metrics = metrics(&daemon);
        let seconds = metrics.lines().find_map(|line| line.strip_prefix(down)).unwrap_or("0");
        (seconds != "0").then_some(())
    });
}

#[test]
fn a_hang_is_down_from_its_first_second() {
    let members = crate::members(1);
    let file = File::new(&members);
    let daemon = Daemon::serving(&file);
    let port = file.listeners[0];
    assert_eq!(get(port, "/").unwrap().status, 200);
    eventually("it is up", || (number(&totals(&asked(&daemon), "pool")["up"]) > 3).then_some(()));
    let client = std::thread::spawn(move || get(port, "/slow?ms=9000").unwrap().status);
    for kind in ["listener", "pool"] {
        let report = eventually("it is seen to hang", || {
            Some(asked(&daemon)).filter(|report| number(&totals(report, kind)["down"]) > 0)
        });
        // It is not known before the fifth second, and true of those before.
        assert!(number(&totals(&report, kind)["down"]) >= 5, "{report}");
        let outage = &of(&report, kind)["outages"][0];
        assert_eq!(
            (&outage["lasts"], &of(&report, kind)["outage_count"]),
            (&true.into(), &1.into()),
            "{outage}"
        );
    }
    eventually("it is told, and told why", || {
        let report = asked(&daemon);
        ["listener", "pool"]
            .iter()
            .all(|kind| {
                let outage = &of(&report, kind)["outages"][0];
                outage["cause"].as_str().is_some_and(|cause| cause.starts_with("web: clients wait"))
            })
            .then_some(())
    });
    assert_eq!(client.join().unwrap(), 200);
    let state = daemon.directory.path().join("state");
    eventually("what was kept before is kept anew", || {
        kept(&state).filter(|report| number(&totals(report, "listener")["down"]) >= 8)
    });
    let down = "nines_measured_seconds_total{kind=\"pool\",subject=\"web\",state=\"down\"} ";
    let metrics = metrics(&daemon);
    let counted = metrics.lines().find_map(|line| line.strip_prefix(down)).unwrap_or("0");
    let reported = number(&totals(&asked(&daemon), "pool")["down"]);
    assert!(counted.parse::<u64>().unwrap().abs_diff(reported) <= 1, "{counted} of {reported}");
}

fn metrics(daemon: &Daemon) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: nines\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn a_daemon_that_can_keep_nothing_serves_and_measures_all_the_same() {
    let members = crate::members(1);
    let file = File::new(&members);
    let daemon =
        Daemon::start_in(&file, |directory| std::fs::write(directory.join("state"), "no directory").unwrap());
    daemon.until("it serves", |status| status.listeners.iter().all(|listener| listener.open));
    assert_eq!(get(file.listeners[0], "/").unwrap().status, 200);
    let report = eventually("it measures", || {
        Some(asked(&daemon)).filter(|report| number(&totals(report, "listener")["good"]) == 1)
    });
    assert_eq!(report["vantages"][0]["kept_in"], Value::Null);
    assert!(daemon.log().contains("measured in memory alone"), "{}", daemon.log());
    let text = String::from_utf8(daemon.nines(&["report"]).stdout).unwrap();
    assert!(text.contains("in memory alone") && text.contains("can't be kept"), "{text}");
}

#[test]
fn a_damaged_day_is_set_aside_and_told() {
    let members = crate::members(1);
    let file = File::new(&members);
    let daemon = Daemon::start_in(&file, |directory| {
        std::fs::create_dir_all(directory.join("state/measured")).unwrap();
        std::fs::write(directory.join("state/measured/2026-01-01.day"), "something else").unwrap();
    });
    daemon.until("it serves", |status| status.listeners.iter().all(|listener| listener.open));
    eventually("it is told", || daemon.log().contains("2026-01-01.day is damaged").then_some(()));
    assert!(daemon.directory.path().join("state/measured/2026-01-01.day.damaged").exists());
    eventually("it measures", || (number(&totals(&asked(&daemon), "pool")["up"]) > 0).then_some(()));
}
