//! Alerts on how fast the budget goes, over days that are made up. The objective is 99.9 %.

use crate::promtool::{self, Case, Question, Series, alerts};
use crate::{FILE, export};

const PAGE_1H: &str = "NinesBudgetBurns/page/1h";
const PAGE_6H: &str = "NinesBudgetBurns/page/6h";
const TICKET_1D: &str = "NinesBudgetBurns/ticket/1d";
const TICKET_3D: &str = "NinesBudgetBurns/ticket/3d";

fn requests(kind: &str, subject: &str, outcome: &str, instance: &str) -> String {
    format!(
        r#"nines_measured_requests_total{{job="nines",instance="{instance}",kind="{kind}",subject="{subject}",outcome="{outcome}"}}"#
    )
}

/// Only one group of the rules: the others would be worked out again and again for nothing.
fn group(rules: &str, name: &str) -> String {
    let groups = rules.split("\n- name: ").skip(1);
    let wanted = groups.into_iter().find(|group| group.lines().next() == Some(name)).unwrap();
    format!("groups:\n- name: {wanted}\n")
}

#[test]
fn each_pace_is_told_when_both_its_windows_show_it() {
    if !promtool::is_here() {
        return;
    }
    // Shares that fail of what is asked, in per cent; the objective allows 0.1.
    let case = |name: &str, shares: &[(&str, &str)], told: &[&str]| {
        let series = shares.iter().map(|(window, failing)| {
            let good = failing
                .parse::<f64>()
                .map_or_else(|_| (*failing).to_owned(), |share| (1.0 - share / 100.0).to_string());
            (
                format!(r#"listener:nines_good:ratio_rate{window}{{job="nines",listener="front/http-80"}}"#),
                format!("{good}x10"),
            )
        });
        let mut series: Series = series.collect();
        series.insert(requests("listener", "front/http-80", "bad", "lb1"), "0+60x10".to_owned());
        Case { name: name.to_owned(), series, questions: vec![alerts("5m", told)] }
    };
    let cases = [
        case("page within an hour", &[("1h", "1.5"), ("5m", "1.5")], &[PAGE_1H]),
        case("it is over", &[("1h", "1.5"), ("5m", "1.4")], &[]),
        case("it has only begun", &[("1h", "1.4"), ("5m", "100")], &[]),
        case("page within six hours", &[("6h", "0.61"), ("30m", "0.61")], &[PAGE_6H]),
        case("it is over", &[("6h", "0.61"), ("30m", "0.59")], &[]),
        case("it has only begun", &[("6h", "0.59"), ("30m", "100")], &[]),
        case("ticket within a day", &[("1d", "0.31"), ("2h", "0.31")], &[TICKET_1D]),
        case("it is over", &[("1d", "0.31"), ("2h", "0.29")], &[]),
        case("it has only begun", &[("1d", "0.29"), ("2h", "100")], &[]),
        case("ticket within three days", &[("3d", "0.11"), ("6h", "0.11")], &[TICKET_3D]),
        case("it is over", &[("3d", "0.11"), ("6h", "0.09")], &[]),
        case("it has only begun", &[("3d", "0.09"), ("6h", "100")], &[]),
        case("nothing was asked of late", &[("1h", "50"), ("1d", "50"), ("3d", "50")], &[]),
    ];
    promtool::test(&group(&export("prometheus-rules", true), "nines-budget"), &cases);
}

#[test]
fn an_outage_is_told_within_minutes_and_not_for_longer_than_it_is_news() {
    if !promtool::is_here() {
        return;
    }
    let of = |class: &str, instance: &str| {
        format!(
            r#"nines_measured_requests_total{{job="nines",instance="{instance}",kind="listener",subject="front/http-80",outcome="{class}"}}"#
        )
    };
    // Two good hours, six minutes in which everything fails, and it is good again. The other host stands by and is asked nothing.
    let series: Series = [
        (of("good", "lb1"), "0+600x120 72000x6 72600+600x180".to_owned()),
        (of("bad", "lb1"), "0x120 600+600x5 3600x181".to_owned()),
        (of("good", "lb2"), "0x307".to_owned()),
        (of("bad", "lb2"), "0x307".to_owned()),
    ]
    .into();
    let all = [PAGE_1H, PAGE_6H, TICKET_1D, TICKET_3D];
    let told: [(u32, &[&str]); 5] = [
        (118, &[]),
        (124, &all),
        (135, &[PAGE_6H, TICKET_1D, TICKET_3D]),
        (170, &[TICKET_1D, TICKET_3D]),
        (270, &[TICKET_3D]),
    ];
    let questions = told.iter().map(|(minute, told)| alerts(&format!("{minute}m"), told)).collect();
    let rules = export("prometheus-rules", true);
    let rules = rules.split("\n- name: nines-symptoms").next().unwrap();
    promtool::test(rules, &[Case { name: "an outage".to_owned(), series, questions }]);
}

#[test]
fn a_few_failures_at_night_wake_nobody_and_some_more_do() {
    if !promtool::is_here() {
        return;
    }
    // A good request a minute, and of late some that fail within a minute.
    let case = |name: &str, bad: u32, told: &[&str]| Case {
        name: name.to_owned(),
        series: [
            (requests("listener", "front/http-80", "good", "lb1"), "0+1x160".to_owned()),
            (requests("listener", "front/http-80", "bad", "lb1"), format!("0x120 {bad}x39")),
        ]
        .into(),
        questions: vec![alerts("119m", &[]), alerts("123m", told)],
    };
    let rules = export("prometheus-rules", true);
    let rules = rules.split("\n- name: nines-symptoms").next().unwrap();
    let all = [PAGE_1H, PAGE_6H, TICKET_1D, TICKET_3D];
    promtool::test(rules, &[case("one", 1, &[]), case("three", 3, &[]), case("a dozen", 12, &all)]);
}

#[test]
fn a_database_whose_gate_turns_clients_away_has_a_budget_too() {
    if !promtool::is_here() {
        return;
    }
    let series = [
        (requests("database", "orders", "good", "db1"), "0+60x120 7200x40".to_owned()),
        (requests("database", "orders", "bad", "db1"), "0x120 0+60x40".to_owned()),
    ];
    let name = |rest: &str| format!("NinesDatabaseBudgetBurns/{rest}");
    let all = ["page/1h", "page/6h", "ticket/1d", "ticket/3d"].map(name);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let questions = vec![alerts("119m", &[]), alerts("130m", &all)];
    let rules = export("prometheus-rules", true);
    let rules = rules.split("\n- name: nines-symptoms").next().unwrap();
    promtool::test(rules, &[Case { name: "a gate".to_owned(), series: series.into(), questions }]);
    // Who has no database has no rules about them.
    let folder = tempfile::tempdir().unwrap();
    let file = FILE
        .split("[databases.orders]")
        .next()
        .unwrap()
        .replace(", { bind = \":5432\", database = \"orders\" }", "");
    std::fs::write(folder.path().join("f.toml"), file).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_nines"))
        .args(["export", "prometheus-rules", "f.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let rules = String::from_utf8(output.stdout).unwrap();
    assert!(rules.contains("NinesBudgetBurns") && !rules.contains("database:nines_good"), "{rules}");
}

#[test]
fn shares_are_of_what_was_asked_whatever_starts_anew_and_nothing_comes_of_nothing() {
    if !promtool::is_here() {
        return;
    }
    let rules = export("prometheus-rules", true);
    let requests = |class: &str, instance: &str| {
        format!(
            r#"nines_measured_requests_total{{job="nines",instance="{instance}",kind="listener",subject="front/http-80",outcome="{class}"}}"#
        )
    };
    let share = |at: &str, window: &str, answer: &[f64]| Question {
        at: at.to_owned(),
        expr: format!("round(sum without (job) (listener:nines_good:ratio_rate{window}), 0.0001)"),
        answer: answer.iter().map(|value| (r#"{listener="front/http-80"}"#.to_owned(), *value)).collect(),
    };
    let cases = [
        Case {
            name: "two hosts, one of which starts anew: nothing is counted twice or less than nothing"
                .to_owned(),
            series: [
                (requests("good", "lb1"), "100000+90x10 0+90x20".to_owned()),
                (requests("bad", "lb1"), "5000+10x10 0+10x20".to_owned()),
                (requests("good", "lb2"), "0+180x30".to_owned()),
                (requests("bad", "lb2"), "0+20x30".to_owned()),
            ]
            .into(),
            questions: vec![
                share("8m", "5m", &[0.9]),
                share("14m", "5m", &[0.9]),
                share("30m", "30m", &[0.9]),
            ],
        },
        Case {
            name: "no traffic".to_owned(),
            series: [
                (requests("good", "lb1"), "7x30".to_owned()),
                (requests("bad", "lb1"), "0x30".to_owned()),
            ]
            .into(),
            questions: vec![share("20m", "5m", &[]), share("20m", "30m", &[]), share("20m", "30d", &[])],
        },
    ];
    promtool::test(&rules, &cases);
}

#[test]
fn a_month_counts_each_minute_by_what_was_asked_in_it() {
    if !promtool::is_here() {
        return;
    }
    let rules = export("prometheus-rules", true);
    let of = |class: &str| {
        format!(
            r#"nines_measured_requests_total{{job="nines",instance="lb1",kind="listener",subject="front/http-80",outcome="{class}"}}"#
        )
    };
    // A busy hour without a failure, then a quiet one in which half fails: 5,940 of 6,000 and 30 of 60 a minute.
    let series =
        [(of("good"), "0+6000x60 360000+30x59".to_owned()), (of("bad"), "0x60 0+30x59".to_owned())].into();
    let left = Question {
        at: "2h".to_owned(),
        expr: "round(listener:nines_budget_left:ratio30d)".to_owned(),
        // Of 363,540 requests 1,770 failed: 0.487 %, nearly five budgets. Were every minute as heavy, it would be 250.
        answer: vec![(r#"{job="nines",listener="front/http-80"}"#.to_owned(), -4.0)],
    };
    let name = "a busy hour and a quiet one".to_owned();
    promtool::test(&rules, &[Case { name, series, questions: vec![left] }]);
}

#[test]
fn what_can_never_be_told_is_left_out_and_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f.toml"), FILE.replace("99.9 %", "90 %")).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_nines"))
        .args(["export", "prometheus-rules", "f.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let rules = String::from_utf8(output.stdout).unwrap();
    assert!(rules.contains("# 14.4 over 1h is left out"), "{rules}");
    assert_eq!(rules.matches("- alert: NinesBudgetBurns").count(), 3);
    if promtool::is_here() {
        promtool::check(&rules);
    }
}
