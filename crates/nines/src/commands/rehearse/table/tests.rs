//! The table as a person reads it, and what is in it when something broke.

use nines_rehearsal::report::{Course, NotPlayed, Percentiles, Predicted, Requests};

use super::*;

fn result(component: &str, fault: Fault, failed: u64, sent: u64) -> CaseReport {
    CaseReport {
        component: component.to_owned(),
        role: None,
        writes: None,
        taken_over_ms: None,
        fault,
        requests: Requests { sent, failed, ..Requests::default() },
        longest_gap_ms: 21.4,
        promised_gap_ms: None,
        slowest_ms: Some(14.2),
        noticed_ms: Some(1.2),
        recovered_ms: Some(1402.0),
        verdict: Verdict::Held,
        why: Vec::new(),
        expected: "no request fails".to_owned(),
        together: false,
        zone: Some("a".to_owned()),
        hosts: vec![component.to_owned()],
        members: vec![format!("web/{component}:8080")],
        rate: 1000,
        seconds: 3.0,
        latency_ms: Percentiles::default(),
        clients_late_ms: 2.0,
        failed_before: 0,
        first_failures: Vec::new(),
        course: Course::default(),
        predicted: None,
        difference: None,
    }
}

fn report(results: Vec<CaseReport>, complete: bool) -> Report {
    let held = results.iter().all(|result| result.verdict == Verdict::Held);
    Report {
        format: nines_rehearsal::report::FORMAT,
        program: String::new(),
        at: 0,
        fingerprint: String::new(),
        system: "shop".to_owned(),
        objective: "99.99 %".to_owned(),
        verdict: if held { Verdict::Held } else { Verdict::Broken },
        complete,
        machine: None,
        not_possible: Vec::new(),
        results,
    }
}

/// As a pipe sees it.
fn plain(report: &Report) -> String {
    lines(report, None).iter().map(|line| format!("{}\n", anstream::adapter::strip_str(line))).collect()
}

#[test]
fn columns_line_up() {
    let mut frozen = result("app1", Fault::Freeze, 0, 6008);
    frozen.slowest_ms = Some(220.0);
    let mut drained = result("app2", Fault::Drain, 0, 612);
    drained.noticed_ms = None;
    drained.zone = Some("default".to_owned());
    let mut web = result("web", Fault::Kill, 3012, 6012);
    web.together = true;
    web.zone = None;
    let report = report(vec![result("app1", Fault::Kill, 0, 6012), frozen, drained, web], true);
    assert_eq!(
        plain(&report),
        "\
what failed    how              clients saw                 longest gap  slowest  noticed in  well again
app1 (zone a)  killed           0 of 6,012 requests failed        22 ms    15 ms        2 ms       1.4 s
app1           frozen           0 of 6,008 failed                 22 ms   220 ms        2 ms       1.4 s
app2           drained          0 of 612 failed                   22 ms    15 ms           –       1.4 s
all of web     killed together  3,012 of 6,012 failed             22 ms    15 ms        2 ms       1.4 s
verdict: every promise held
"
    );
}

#[test]
fn a_broken_promise_says_why_below_its_row() {
    let mut broken = result("app1", Fault::CutOff, 1, 600);
    broken.verdict = Verdict::Broken;
    broken.why = vec!["1 request failed (1 timeout)".to_owned()];
    let text = plain(&report(vec![broken, result("app2", Fault::Kill, 0, 600)], true));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[2], "  broken: 1 request failed (1 timeout)");
    assert!(lines[3].starts_with("app2 (zone a)"), "{text}");
    assert_eq!(lines[4], "verdict: 1 of 2 promises broken");
}

#[test]
fn what_was_not_tried_is_not_claimed() {
    let some = plain(&report(vec![result("app1", Fault::Kill, 0, 600)], false));
    assert!(some.ends_with("verdict: every promise held so far; not all were put to the test\n"), "{some}");
    let none = plain(&report(Vec::new(), false));
    assert!(none.ends_with("verdict: none, nothing was rehearsed\n"), "{none}");
}

#[test]
fn a_busy_machine_is_owned_up_to() {
    let mut late = result("app1", Fault::Kill, 0, 600);
    late.clients_late_ms = 340.0;
    let text = plain(&report(vec![late], true));
    assert!(text.contains("note: the clients themselves were up to 340 ms late"), "{text}");
}

#[test]
fn what_failed_before_the_fault_is_not_charged_to_it() {
    let mut early = result("app1", Fault::Kill, 1500, 6000);
    early.failed_before = 1234;
    let text = plain(&report(vec![early], true));
    assert!(
        text.contains("  note: 1,234 of these failed before anything was broken: this machine"),
        "{text}"
    );
    assert!(text.contains("try a lower --rate"), "{text}");
    assert!(!plain(&report(vec![result("app1", Fault::Kill, 1500, 6000)], true)).contains("note:"));
}

#[test]
fn colour_tells_lost_requests_from_broken_promises() {
    let colour = |failed, broken: bool| {
        let mut result = result("app1", Fault::Kill, failed, 600);
        result.verdict = if broken { Verdict::Broken } else { Verdict::Held };
        lines(&report(vec![result], true), None)[1].clone()
    };
    let has = |line: &str, style: anstyle::Style| line.contains(&style.render().to_string());
    assert!(has(&colour(0, false), GOOD));
    assert!(has(&colour(7, false), UNSURE));
    assert!(has(&colour(7, true), BAD));
}

#[test]
fn where_an_address_moves_the_gap_is_what_counts() {
    let mut killed = result("lb1", Fault::PowerOff, 212, 6012);
    (killed.longest_gap_ms, killed.promised_gap_ms) = (312.2, Some(500.0));
    let within = lines(&report(vec![killed.clone()], true), None)[1].clone();
    (killed.longest_gap_ms, killed.verdict) = (612.0, Verdict::Broken);
    killed.why = vec!["the longest gap was 612 ms, promised were 500 ms".to_owned()];
    let beyond = lines(&report(vec![killed.clone()], true), None)[1].clone();
    let styled = |line: &str, style: anstyle::Style| line.matches(&style.render().to_string()).count();
    assert_eq!((styled(&within, GOOD), styled(&within, BAD)), (1, 0), "the gap alone: {within:?}");
    assert_eq!((styled(&beyond, GOOD), styled(&beyond, BAD)), (0, 2), "the gap too: {beyond:?}");
    let text = plain(&report(vec![killed], true));
    assert!(text.contains("lb1 (zone a)  power cut  212 of 6,012 requests failed       612 ms"), "{text}");
    assert!(text.contains("  broken: the longest gap was 612 ms, promised were 500 ms\n"), "{text}");
}

#[test]
fn each_fault_has_its_own_word() {
    let words: Vec<String> = Fault::ALL.map(|fault| how(&result("lb1", fault, 0, 1))).to_vec();
    let expected = [
        "killed",
        "power cut",
        "frozen",
        "server killed",
        "server frozen",
        "nines killed",
        "nines frozen",
        "etcd killed",
        "etcd frozen",
        "member killed",
        "member frozen",
        "cut off",
        "partitioned",
        "deaf",
        "mute",
        "slow",
        "lossy",
        "split",
        "drained",
        "in maintenance",
        "switched over",
        "restarted",
        "restarted in turn",
        "reloaded × 100",
    ];
    assert_eq!(words, expected);
}

#[test]
fn what_could_not_be_played_is_told_and_never_counted_as_held() {
    let mut of = report(vec![result("app1", Fault::Kill, 0, 10)], true);
    let not = |component: &str, fault, why: &str| NotPlayed {
        component: component.to_owned(),
        role: None,
        fault,
        why: why.to_owned(),
    };
    of.not_possible = vec![
        not("app1", Fault::Lossy, "this kernel has no nftables"),
        not("lb1", Fault::CutOut, "this kernel is old"),
        not("lb1", Fault::Lossy, "this kernel has no nftables"),
    ];
    let text = plain(&of);
    assert!(
        text.contains("\nnot played: lossy: not possible here: this kernel has no nftables (app1, lb1)\n"),
        "{text}"
    );
    assert!(text.contains("\nnot played: cut-out: not possible here: this kernel is old (lb1)\n"), "{text}");
    assert!(text.contains("verdict: every promise held that could be put to the test here"), "{text}");
}

#[test]
fn a_log_gets_a_sentence() {
    assert_eq!(
        sentence(&result("app1", Fault::CutOff, 0, 6012)),
        "app1 cut off: 0 of 6,012 requests failed, longest gap 22 ms, slowest 15 ms: held"
    );
}

#[test]
fn the_headline_says_what_is_rehearsed() {
    let text = include_str!("../../../../../../examples/shop.toml");
    let shop = nines_system::parse("shop.toml", text).unwrap();
    assert_eq!(
        headline(&shop),
        "shop · 3 zones · load balancer front (2 hosts) · pool web (3 servers) · database orders (3 hosts) · objective 99.99 %"
    );
}

#[test]
fn a_database_is_shown_by_its_role_with_what_became_of_the_rows() {
    let written = |acked, errors, lost| {
        Some(WritesReport { acked, errors, lost, longest_gap_ms: 1804.2, ..WritesReport::default() })
    };
    let mut primary = result("orders", Fault::PowerOff, 0, 0);
    primary.role = Some("primary".to_owned());
    primary.hosts = vec!["db1".to_owned()];
    primary.writes = written(2412, 37, Some(0));
    (primary.longest_gap_ms, primary.promised_gap_ms, primary.slowest_ms) = (1804.2, Some(3000.0), None);
    primary.taken_over_ms = Some(1702.0);
    let mut lost = CaseReport { hosts: vec!["db2".to_owned()], fault: Fault::FreezeNines, ..primary.clone() };
    lost.writes = written(1200, 1, Some(2));
    lost.verdict = Verdict::Broken;
    lost.why = vec!["2 acknowledged rows are lost".to_owned()];
    let report = report(vec![primary.clone(), lost], true);
    assert_eq!(
        plain(&report),
        "\
what failed           how           clients saw                               longest gap  slowest  noticed in  taken over  well again
orders primary (db1)  power cut     2,412 rows written, 37 errors, none lost        1.8 s        –        2 ms       1.7 s       1.4 s
orders primary (db2)  nines frozen  1,200 rows written, 1 error, 2 LOST             1.8 s        –        2 ms       1.7 s       1.4 s
  broken: 2 acknowledged rows are lost
verdict: 1 of 2 promises broken
"
    );
    let sentence = sentence(&primary);
    assert!(
        sentence.starts_with("orders primary (db1) power cut: 2,412 rows written, 37 errors"),
        "{sentence}"
    );
}

#[test]
fn what_was_predicted_stands_beside_what_was_observed_and_a_difference_below() {
    let beside = |mut result: CaseReport, loss, at_most_ms, difference: Option<&str>| {
        result.predicted = Some(Predicted { loss, at_most_ms, how: "by the file".to_owned() });
        result.difference = difference.map(str::to_owned);
        result
    };
    let mut killed = result("lb1", Fault::Kill, 212, 6012);
    (killed.longest_gap_ms, killed.promised_gap_ms) = (312.2, Some(500.0));
    let told = "7 requests failed where none was predicted to";
    let report = report(
        vec![
            beside(result("app1", Fault::Kill, 7, 6012), Loss::Nothing, None, Some(told)),
            beside(killed, Loss::Gap, Some(345.8), None),
            beside(result("web", Fault::Kill, 3012, 6012), Loss::UntilRepaired, None, None),
            beside(result("app2", Fault::Kill, 12, 6012), Loss::Some, Some(2300.0), None),
            result("app3", Fault::Kill, 0, 6012),
        ],
        true,
    );
    assert_eq!(
        plain(&report),
        "\
what failed    how     clients saw                      predicted  longest gap  slowest  noticed in  well again
app1 (zone a)  killed  7 of 6,012 requests failed          no gap        22 ms    15 ms        2 ms       1.4 s
lb1 (zone a)   killed  212 of 6,012 failed               ≤ 346 ms       313 ms    15 ms        2 ms       1.4 s
web (zone a)   killed  3,012 of 6,012 failed       until repaired        22 ms    15 ms        2 ms       1.4 s
app2 (zone a)  killed  12 of 6,012 failed           some, ≤ 2.3 s        22 ms    15 ms        2 ms       1.4 s
app3 (zone a)  killed  0 of 6,012 failed                        –        22 ms    15 ms        2 ms       1.4 s
finding: app1 killed: 7 requests failed where none was predicted to (predicted: by the file)
verdict: every promise held
"
    );
}
