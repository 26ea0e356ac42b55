//! Which reports are read, and which of their cases are failovers, came about, or were missed.

use std::collections::BTreeMap;

use nines_availability::assumptions::Rehearsed;
use nines_rehearsal::report::{Course, Percentiles, Requests, WritesReport};

use super::*;

const PAIR: &str = include_str!("../../../../examples/pair.toml");
const SHOP: &str = include_str!("../../../../examples/shop.toml");

pub(super) fn case(host: &str, fault: Fault, gap_ms: f64) -> CaseReport {
    CaseReport {
        component: host.to_owned(),
        role: None,
        fault,
        requests: Requests { sent: 3000, failed: 200, ..Requests::default() },
        writes: None,
        longest_gap_ms: gap_ms,
        promised_gap_ms: Some(500.0),
        slowest_ms: Some(20.0),
        noticed_ms: Some(300.0),
        taken_over_ms: None,
        recovered_ms: Some(1000.0),
        verdict: Verdict::Held,
        why: Vec::new(),
        expected: "no gap longer than 500 ms".to_owned(),
        together: false,
        zone: None,
        hosts: vec![host.to_owned()],
        members: Vec::new(),
        rate: 1000,
        seconds: 3.0,
        latency_ms: Percentiles::default(),
        clients_late_ms: 0.0,
        failed_before: 0,
        first_failures: Vec::new(),
        course: Course::default(),
        predicted: None,
        difference: None,
    }
}

fn of_primary(fault: Fault, gap_ms: f64) -> CaseReport {
    CaseReport {
        component: "orders".to_owned(),
        role: Some("primary".to_owned()),
        writes: Some(WritesReport { acked: 2000, lost: Some(0), ..WritesReport::default() }),
        promised_gap_ms: Some(3000.0),
        taken_over_ms: Some(1700.0),
        ..case("db2", fault, gap_ms)
    }
}

pub(super) fn report(at: u64, fingerprint: &str, results: Vec<CaseReport>) -> Report {
    Report {
        format: FORMAT,
        program: "0.1.0".to_owned(),
        at,
        fingerprint: fingerprint.to_owned(),
        system: "pair".to_owned(),
        objective: "99.99 %".to_owned(),
        verdict: Verdict::Held,
        complete: true,
        machine: None,
        not_possible: Vec::new(),
        results,
    }
}

fn counted(text: &str, results: Vec<CaseReport>) -> BTreeMap<String, Rehearsed> {
    let system = nines_system::parse("test.toml", text).unwrap();
    let service = Service::of(&system, &BTreeMap::new());
    let report = report(1, "f", results);
    let tried: Vec<Tried> = report.results.iter().map(|case| Tried::of(&report, case)).collect();
    failovers(&service, &tried)
}

fn only(name: &str, failovers: u64, missed: u64, seconds: Option<f64>) -> BTreeMap<String, Rehearsed> {
    BTreeMap::from([(name.to_owned(), Rehearsed { failovers, missed, seconds })])
}

#[test]
fn what_takes_an_address_from_its_holder_is_a_failover() {
    let deaf = CaseReport { promised_gap_ms: None, ..case("lb1", Fault::CutIn, 2000.0) };
    let all = [Fault::Kill, Fault::PowerOff, Fault::Freeze, Fault::CutOff, Fault::CutOut];
    let mut results: Vec<CaseReport> = all.map(|fault| case("lb1", fault, 300.0)).to_vec();
    results.push(deaf);
    assert_eq!(counted(PAIR, results), only("front", 6, 0, Some(2.0)));
}

#[test]
fn what_is_planned_or_hits_who_stands_by_is_none() {
    let gentle = |fault| CaseReport { promised_gap_ms: None, noticed_ms: None, ..case("lb1", fault, 10.0) };
    let standing_by =
        CaseReport { promised_gap_ms: None, noticed_ms: None, ..case("lb2", Fault::Kill, 10.0) };
    let split = case("lb1", Fault::Split, 20.0);
    let server = CaseReport { promised_gap_ms: None, ..case("app1", Fault::Kill, 20.0) };
    let web = CaseReport { together: true, ..case("web", Fault::Kill, 3100.0) };
    let results = vec![gentle(Fault::Drain), gentle(Fault::Restart), standing_by, split, server, web];
    assert_eq!(counted(PAIR, results), BTreeMap::new());
}

#[test]
fn a_failover_is_missed_if_the_gap_lasted_as_long_as_the_fault() {
    let late = CaseReport { verdict: Verdict::Broken, ..case("lb1", Fault::Kill, 900.0) };
    let never = CaseReport { promised_gap_ms: None, noticed_ms: None, ..case("lb1", Fault::CutIn, 3400.0) };
    // Broken for another reason: it did not become healthy again.
    let other =
        CaseReport { verdict: Verdict::Broken, recovered_ms: None, ..case("lb1", Fault::Freeze, 300.0) };
    assert_eq!(counted(PAIR, vec![late, never, other]), only("front", 3, 1, Some(0.9)));
}

#[test]
fn what_came_about_later_than_promised_is_no_miss_and_is_told() {
    let system = nines_system::parse("test.toml", SHOP).unwrap();
    let service = Service::of(&system, &BTreeMap::new());
    let broken = |case: CaseReport| CaseReport { verdict: Verdict::Broken, ..case };
    let results = vec![
        // Taken over in 1.7 s, though rows came late; never; in time.
        broken(of_primary(Fault::Kill, 3100.0)),
        broken(CaseReport { taken_over_ms: None, ..of_primary(Fault::Freeze, 3500.0) }),
        of_primary(Fault::CutOff, 1900.0),
    ];
    let report = report(1, "f", results);
    let tried: Vec<Tried> = report.results.iter().map(|case| Tried::of(&report, case)).collect();
    assert_eq!(failovers(&service, &tried), only("orders", 3, 1, Some(3.1)));
    assert_eq!((late(&service, &tried, "orders"), late(&service, &tried, "front")), (1, 0));
}

#[test]
fn where_nobody_is_preferred_whoever_was_noticed_had_the_address() {
    let text = PAIR.replace("[\"10.0.1.100\"]", "[{ address = \"10.0.1.100\", preempt = false }]");
    let quiet = CaseReport { noticed_ms: None, ..case("lb1", Fault::Kill, 10.0) };
    let results = vec![quiet, case("lb2", Fault::Kill, 300.0)];
    assert_eq!(counted(&text, results), only("front", 1, 0, Some(0.3)));
}

#[test]
fn what_takes_a_primary_is_a_failover_of_its_database() {
    let of_standby = CaseReport { role: Some("standby".to_owned()), ..of_primary(Fault::Kill, 30.0) };
    let results = vec![
        of_primary(Fault::Kill, 1700.0),
        of_primary(Fault::KillServer, 430.0),
        CaseReport { verdict: Verdict::Broken, ..of_primary(Fault::FreezeNines, 3100.0) },
        of_primary(Fault::Switchover, 450.0),
        of_primary(Fault::Restart, 420.0),
        of_standby,
        // Too few are left to go on: no failover was to be had.
        CaseReport { promised_gap_ms: None, ..of_primary(Fault::CutOff, 3900.0) },
    ];
    assert_eq!(counted(SHOP, results), only("orders", 3, 0, Some(3.1)));
}

fn read_text(text: &str, system_text: &str) -> Result<Evidence, Unusable> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    std::fs::write(&path, text).unwrap();
    let system = nines_system::parse("test.toml", system_text).unwrap();
    let service = Service::of(&system, &BTreeMap::new());
    let subject = Subject { system: &system, service: &service, fingerprint: "f".to_owned() };
    read(&[path.clone(), path], &subject)
}

#[test]
fn a_report_is_read_once_however_often_it_is_given() {
    let mut report = report(7, "f", vec![case("lb1", Fault::Kill, 300.0)]);
    report.complete = false;
    let evidence = read_text(&serde_json::to_string(&report).unwrap(), PAIR).unwrap();
    assert_eq!((evidence.tried.len(), evidence.tried[0].times, evidence.from.len()), (1, 1, 1));
    let source = &evidence.from[0];
    assert_eq!((source.at, source.complete, source.file_changed), (7, Some(false), false));
    report.fingerprint = "g".to_owned();
    assert!(read_text(&serde_json::to_string(&report).unwrap(), PAIR).unwrap().from[0].file_changed);
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let fine = serde_json::to_value(report(7, "f", vec![case("lb1", Fault::Kill, 300.0)])).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = fine.clone();
        change(&mut value);
        read_text(&value.to_string(), PAIR).unwrap_err().to_string()
    };
    let old = refused(&|value| drop(value.as_object_mut().unwrap().remove("format")));
    assert!(old.contains("older nines"), "{old}");
    let new = refused(&|value| value["format"] = 99.into());
    assert!(new.contains("newer nines (format 99; this one reads 1)"), "{new}");
    let other = refused(&|value| value["system"] = "shop".into());
    assert!(other.ends_with("is a rehearsal of shop, and this is pair"), "{other}");
    let host = refused(&|value| value["results"][0]["hosts"][0] = "lb9".into());
    assert!(host.contains("no host lb9"), "{host}");
    let role = refused(&|value| {
        value["results"][0]["role"] = "primary".into();
        value["results"][0]["component"] = "orders".into();
    });
    assert!(role.contains("no database orders"), "{role}");
    let never = refused(&|value| value["results"][0]["longest_gap_ms"] = (-5).into());
    assert!(never.contains("in `results[0]`, `longest_gap_ms` of lb1 kill is -5.0: not a time"), "{never}");
    assert!(never.ends_with("; rehearse again"), "{never}");
    let place = refused(&|value| value["results"][0]["seconds"] = "three".into());
    assert!(place.contains("expected f64 at line 1 column"), "{place}");
    let form = read_text("{\"zones\": []}", PAIR).unwrap_err().to_string();
    assert!(form.contains("is not what `nines rehearse --json` prints"), "{form}");
    assert!(read_text("hello", PAIR).unwrap_err().to_string().contains("is not what"));
}
