//! Pages of made-up rehearsals with everything that can come out of one, looked at in a browser.

use std::collections::BTreeMap;

use nines_page::Plot;
use nines_rehearsal::report::{
    Course, FirstFailure, Happened, Loss, NotPlayed, Percentiles, Predicted, Requests, SlowReport,
    TimelineReport, WritesReport,
};
use nines_rehearsal::{Fault, Plan};
use nines_trial::browser::Browser;
use nines_trial::layout::{SCREENS, complaints};

use super::*;

const SHOP: &str = include_str!("../../../../../../examples/shop.toml");

fn system(text: &str) -> System {
    nines_system::parse("made-up.toml", text).unwrap()
}

fn around(planned: usize) -> Around<'static> {
    Around { ended_us: 1_764_000_000_000_000, planned, seconds: 3, rate: 1000, file: "shop.toml" }
}

/// Six seconds in which nothing good came from the fault on for `gap_ms`.
fn timeline(gap_ms: f64, kinds: &[&str]) -> TimelineReport {
    let in_gap = |slot: usize| (100..100 + (gap_ms / 10.0) as usize).contains(&slot);
    let good = (0..600).map(|slot| if in_gap(slot) { 0 } else { 9 + u32::from(slot % 3 == 0) }).collect();
    let slow = (0..600).map(|slot| u32::from(!in_gap(slot) && slot % 97 == 1)).collect();
    let of_kind = |index: usize| -> Vec<u32> {
        (0..600).map(|slot| if in_gap(slot) && slot % kinds.len() == index { 10 } else { 0 }).collect()
    };
    TimelineReport {
        from_ms: -1002.3,
        slot_ms: 10.0,
        slow_from_ms: 100.0,
        good,
        slow,
        failed: kinds.iter().enumerate().map(|(index, kind)| ((*kind).to_owned(), of_kind(index))).collect(),
        longest_ms: (0..600u16)
            .map(|slot| if in_gap(slot.into()) { 0.0 } else { f64::from(slot % 41) })
            .collect(),
    }
}

fn events(count: u32, why: &str) -> Vec<Happened> {
    let event = |n: u32| Happened {
        at_ms: f64::from(n) * 12.5,
        kind: "takeover".to_owned(),
        subject: "web/app1:8080".to_owned(),
        why: why.to_owned(),
    };
    (0..count).map(event).collect()
}

/// A case that held, without a blemish.
fn held(component: &str, fault: Fault) -> CaseReport {
    let course = Course {
        inflicted_ms: 2.0,
        healed_ms: 3010.0,
        gap_at_ms: Some(-4.0),
        slowest: vec![SlowReport { at_ms: 212.0, took_ms: 21.0 }; 5],
        timeline: timeline(0.0, &[]),
        events: events(3, "3 failures in a row: connection refused"),
        ..Course::default()
    };
    CaseReport {
        component: component.to_owned(),
        role: None,
        fault,
        requests: Requests { sent: 6012, ..Requests::default() },
        writes: None,
        longest_gap_ms: 12.4,
        promised_gap_ms: None,
        slowest_ms: Some(14.2),
        noticed_ms: Some(1.2),
        taken_over_ms: None,
        recovered_ms: Some(1402.0),
        verdict: Verdict::Held,
        why: Vec::new(),
        expected: "no request fails".to_owned(),
        together: false,
        zone: Some("a".to_owned()),
        hosts: vec![component.to_owned()],
        members: Vec::new(),
        rate: 1000,
        seconds: 3.0,
        latency_ms: Percentiles { p50: 1.1, p99: 9.4, p999: 14.0 },
        clients_late_ms: 2.0,
        failed_before: 0,
        first_failures: Vec::new(),
        course,
        predicted: None,
        difference: None,
    }
}

/// Requests failed in every way there is, for longer than was promised.
fn broken(component: &str) -> CaseReport {
    let kinds = ["503", "connect-timeout", "refused", "reset", "timeout", "bad-reply"];
    let mut it = held(component, Fault::CutOff);
    it.verdict = Verdict::Broken;
    it.why = vec!["the longest gap was 1213 ms, promised were 500 ms".to_owned()];
    it.requests.failed = 1210;
    it.requests.kinds = kinds.iter().map(|kind| ((*kind).to_owned(), 201)).collect();
    (it.longest_gap_ms, it.promised_gap_ms) = (1210.0, Some(500.0));
    it.course.gap_at_ms = Some(1.0);
    it.course.timeline = timeline(1210.0, &kinds);
    it.predicted =
        Some(Predicted { loss: Loss::Gap, at_most_ms: Some(500.0), how: "five intervals".to_owned() });
    it.difference = Some("it took 1.2 s, and 500 ms were expected at most".to_owned());
    let failure = |n: u32| FirstFailure {
        at_ms: f64::from(n) - 3.5,
        took_ms: 1000.0,
        kind: "connect-timeout".to_owned(),
        cause: n.is_multiple_of(2).then(|| "<b>no-member</b> ".repeat(12)),
    };
    it.first_failures = (0..20).map(failure).collect();
    it
}

/// A database's primary died; rows were lost, moments came one upon the other.
fn lost(host: &str) -> CaseReport {
    let mut it = held("orders", Fault::PowerOff);
    it.role = Some("primary".to_owned());
    it.hosts = vec![host.to_owned()];
    it.requests = Requests { sent: 300, failed: 20, ..Requests::default() };
    it.slowest_ms = None;
    it.writes = Some(WritesReport {
        acked: 2412,
        errors: 37,
        kinds: BTreeMap::from([("57P01".to_owned(), 30), ("reset".to_owned(), 7)]),
        longest_gap_ms: 2804.0,
        lost: Some(3),
        ..WritesReport::default()
    });
    it.verdict = Verdict::Broken;
    it.why = vec!["3 acknowledged rows are lost".to_owned()];
    (it.longest_gap_ms, it.promised_gap_ms) = (2804.0, Some(3000.0));
    (it.noticed_ms, it.taken_over_ms, it.recovered_ms) = (Some(1500.0), Some(1690.0), None);
    it.course.decided_ms = Some(1501.0);
    it.course.gap_at_ms = Some(-2.0);
    it.course.timeline = timeline(2804.0, &["57P01", "reset"]);
    it.course.requests = Some(timeline(200.0, &["503"]));
    it.course.events = events(200, "the lease ran out, and this host has everything that was acknowledged");
    it.course.events_left_out = 77;
    it.clients_late_ms = 312.0;
    it
}

fn report(system: &System, results: Vec<CaseReport>) -> Report {
    let verdict =
        if results.iter().all(|it| it.verdict == Verdict::Held) { Verdict::Held } else { Verdict::Broken };
    let machine = Machine {
        cores: 8,
        memory_bytes: 33 << 30,
        kernel: "Linux 6.1.0-30-amd64 x86_64".to_owned(),
        processor: "A Processor With A Name That Takes More Than Its Line @ 2.40GHz".to_owned(),
        load: 0.4,
        unoptimised: false,
        took_s: 412.3,
    };
    let machine = Some(machine);
    Report {
        verdict,
        complete: true,
        machine,
        not_possible: Vec::new(),
        ..Report::new(system, &Plan::of(system), results)
    }
}

/// Every case of a plan, with all kinds of outcomes among them.
fn whole(system: &System, most: usize) -> Report {
    let plan = Plan::of(system);
    let results = plan.cases.iter().take(most).enumerate().map(|(n, case)| {
        let component = case.component.name.as_str();
        let mut it = match n % 7 {
            3 => broken(component),
            5 => lost(component),
            _ => held(component, case.fault),
        };
        it.fault = case.fault;
        it.hosts.clone_from(&case.component.hosts);
        it.zone.clone_from(&case.component.zone);
        it
    });
    report(system, results.collect())
}

/// Thirty hosts in three zones, with long names.
fn many_hosts() -> String {
    let host = |n: usize| format!("application-server-number-{n:02}");
    let hosts: String = (0..28)
        .map(|n| {
            format!("{} = {{ zone = \"{}\", address = \"10.0.{n}.1\" }}\n", host(n), ["a", "b", "c"][n % 3])
        })
        .collect();
    let members: Vec<String> = (0..28).map(|n| format!("\"{}:8080\"", host(n))).collect();
    format!(
        "name = \"many\"\nobjective = \"99.9 %\"\nzones = [\"a\", \"b\", \"c\"]\n[hosts]\n{hosts}\
         lb1 = {{ zone = \"a\", address = \"10.1.0.1\" }}\nlb2 = {{ zone = \"b\", address = \"10.1.0.2\" }}\n\
         [load_balancers.front]\nhosts = [\"lb1\", \"lb2\"]\nvirtual_ips = [\"10.1.0.100\"]\n\
         listeners = [{{ bind = \":80\", pool = \"web\" }}]\n[pools.web]\nmembers = [{}]\n",
        members.join(", ")
    )
}

#[test]
fn what_broke_is_told_first_and_leads_to_its_case() {
    let shop = system(SHOP);
    let results = vec![held("app1", Fault::Kill), broken("lb1"), lost("db1")];
    let page = page(&shop, &report(&shop, results), &around(3));
    let first = page.find("Read this first").unwrap();
    let (table, case) = (page.find("<table").unwrap(), page.find("id=\"case-2-lb1-cut-off\"").unwrap());
    let link = page.find("href=\"#case-2-lb1-cut-off\"").unwrap();
    assert!(first < link && link < table && table < case);
    for part in [
        "2 of 3 promises broken, 1 held.",
        "3 acknowledged rows are lost",
        "not as predicted",
        "it took 1.2 s",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn moments_and_the_gap_are_on_the_plot() {
    let shop = system(SHOP);
    let page = page(&shop, &report(&shop, vec![lost("db1")]), &around(1));
    for part in [
        ">power cut<",
        ">noticed +1.5 s<",
        ">decided +1.5 s<",
        ">taken over +1.6 s<",
        ">first good answer after the gap +2.8 s<",
        ">healed +3.0 s<",
        ">gap of 2.8 s<",
        "writes per 10 ms",
        "requests per 10 ms",
        "200 events of the system, and 77 more",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("well again +"), "it did not become so");
}

#[test]
fn what_came_from_outside_is_never_markup() {
    let shop = system(SHOP);
    let mut evil = broken("<script>alert(1)</script>");
    evil.course.events = events(1, "<img src=x onerror=alert(1)>");
    evil.why = vec!["</title><script>".to_owned()];
    let page = page(&shop, &report(&shop, vec![evil]), &around(1));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
}

#[test]
fn what_was_not_played_is_said() {
    let shop = system(SHOP);
    let mut part = report(&shop, vec![held("app1", Fault::Kill)]);
    part.complete = false;
    let why = "this kernel has no nftables".to_owned();
    part.not_possible =
        vec![NotPlayed { component: "app1".to_owned(), role: None, fault: Fault::Lossy, why }];
    let page = page(&shop, &part, &around(40));
    for said in ["1 of 40 cases were played", "held so far", "this kernel has no nftables"] {
        assert!(page.contains(said), "{said}");
    }
    let nothing = super::page(&shop, &report(&shop, Vec::new()), &around(40));
    assert!(nothing.contains("Nothing was rehearsed."));
}

#[test]
fn a_page_of_sixty_cases_is_a_few_megabytes_at_most() {
    let shop = system(SHOP);
    let report = whole(&shop, 60);
    assert_eq!(report.results.len(), 60);
    let page = page(&shop, &report, &around(60));
    assert!(page.len() < 3_000_000, "{}", page.len());
}

#[test]
fn a_case_of_an_hour_is_drawn_in_as_many_slots_as_can_be_seen() {
    let shop = system(SHOP);
    let mut long = held("app1", Fault::Kill);
    long.course.timeline.good = vec![7; 4096];
    long.course.timeline.slot_ms = 1280.0;
    let page = page(&shop, &report(&shop, vec![long]), &around(1));
    assert_eq!(Plot::merging(4096), 5);
    assert!(page.contains("requests per 6.4 s"));
}

#[test]
fn every_page_can_be_read_on_every_screen() {
    let Some(mut browser) = Browser::start().unwrap() else { return };
    // With NINES_PAGES they are kept there, to be looked at.
    let directory = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("NINES_PAGES").map(std::path::PathBuf::from);
    let single = include_str!("../../../../../../examples/single.toml");
    let centres = include_str!("../../../../../../examples/two-datacentres.toml");
    let mut wrong = Vec::new();
    for (name, text, cases) in
        [("single", single, 3), ("shop", SHOP, 40), ("centres", centres, 4), ("many", &many_hosts(), 2)]
    {
        let system = system(text);
        let mut report = whole(&system, cases);
        report.complete = name != "centres";
        let file = kept.as_deref().unwrap_or(directory.path()).join(name);
        let file = file.with_extension("html");
        std::fs::write(&file, page(&system, &report, &around(cases))).unwrap();
        let found = complaints(&mut browser, &file, &SCREENS).unwrap();
        wrong.extend(found.into_iter().map(|what| format!("{name}, {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
