//! Alerts of symptoms: a system in order says nothing, and each thing that is wrong is told by its alert alone.

use std::collections::BTreeSet;

use crate::export;
use crate::promtool::{self, Case, Series, alerts};

/// How long the stories go on, in minutes.
const MINUTES: u32 = 90;

/// `metric{job="nines",instance="lb1",…}`.
fn of(metric: &str, instance: &str, labels: &str) -> String {
    let comma = if labels.is_empty() { "" } else { "," };
    format!(r#"{metric}{{job="nines",instance="{instance}"{comma}{labels}}}"#)
}

fn all_along(value: &str) -> String {
    format!("{value}x{MINUTES}")
}

/// Two load balancers and three hosts of a database, all in order.
fn healthy() -> Series {
    let mut all = Series::new();
    let mut put = |series: String, value: &str| all.insert(series, all_along(value));
    for host in ["lb1", "lb2", "db1", "db2", "db3"] {
        put(of("up", host, ""), "1");
        put(of("nines_build_info", host, r#"version="0.1.0""#), "1");
        put(of("nines_uptime_seconds", host, ""), "1000+60");
        put(of("nines_phase", host, r#"phase="serving""#), "1");
        put(of("nines_phase", host, r#"phase="starting""#), "0");
        put(of("nines_host_ready", host, ""), "1");
        put(of("nines_file_refused", host, ""), "0");
        put(of("nines_worker_stall_seconds", host, ""), "0.1");
        put(of("nines_host_slow", host, ""), "0");
    }
    for host in ["lb1", "lb2"] {
        for listener in ["front/http-80", "front/tcp-5432"] {
            put(of("nines_listener_open", host, &format!(r#"listener="{listener}""#)), "1");
            let subject = format!(r#"kind="listener",subject="{listener}""#);
            put(
                of("nines_measured_requests_total", host, &format!(r#"{subject},outcome="good""#)),
                "5000+600",
            );
            put(of("nines_measured_requests_total", host, &format!(r#"{subject},outcome="bad""#)), "0");
            // Only who has the address knows.
            for (state, at) in [("up", "lb1"), ("down", ""), ("unknown", "lb2")] {
                let grows = if host == at { "0+60" } else { "0" };
                let series =
                    of("nines_measured_seconds_total", host, &format!(r#"{subject},state="{state}""#));
                put(series, grows);
            }
        }
        let address = r#"virtual_ip="front/10.0.0.100""#;
        for (state, at) in [("master", "lb1"), ("backup", "lb2"), ("off", "")] {
            let is = if host == at { "1" } else { "0" };
            put(of("nines_virtual_ip_state", host, &format!(r#"{address},state="{state}""#)), is);
        }
        put(of("nines_virtual_ip_problems", host, address), "0");
        put(of("nines_virtual_ip_taken_total", host, address), "0");
        for rule in ["healthy", "everyone", "nobody"] {
            let is = if rule == "healthy" { "1" } else { "0" };
            put(of("nines_pool_serving", host, &format!(r#"pool="web",serving="{rule}""#)), is);
        }
        put(of("nines_queue_length", host, r#"pool="web""#), "0");
        put(of("nines_retry_budget_empty_total", host, r#"pool="web""#), "0");
        for member in ["app1:8080", "app2:8080"] {
            let name = format!(r#"pool="web",member="{member}""#);
            put(of("nines_member_health", host, &name), "1");
            put(of("nines_member_ready", host, &name), "1");
            put(of("nines_ejections_total", host, &name), "0");
        }
    }
    for host in ["db1", "db2", "db3"] {
        let name = r#"database="orders""#;
        let primary = host == "db1";
        put(of("nines_database_serves", host, name), if primary { "1" } else { "0" });
        // Only the primary knows of the others.
        put(of("nines_database_takeover_possible", host, name), if primary { "1" } else { "0" });
        put(of("nines_database_problems", host, name), "0");
        let subject = r#"kind="database",subject="orders""#;
        for (state, knows) in [("up", primary), ("down", false), ("unknown", !primary)] {
            let series = of("nines_measured_seconds_total", host, &format!(r#"{subject},state="{state}""#));
            put(series, if knows { "0+60" } else { "0" });
        }
        put(of("nines_database_settled", host, name), "1");
        put(of("nines_database_term", host, name), "7");
        for member in ["db1", "db2", "db3"] {
            let name = format!(r#"{name},host="{member}""#);
            put(of("nines_database_member_in_cohort", host, &name), "1");
            if member != "db1" {
                put(of("nines_database_member_streams", host, &name), if primary { "1" } else { "0" });
            }
        }
    }
    all
}

/// What is different from a system in order: a part of the series' names, and their values from then on.
struct Wrong<'a> {
    what: &'a str,
    change: Vec<(Vec<&'a str>, String)>,
    /// At which minute, and what is told then: nothing else.
    told: Vec<(u32, Vec<&'a str>)>,
}

/// Bad from the tenth minute on.
fn wrong<'a>(what: &'a str, change: &[(&[&'a str], &str)], told: &[(u32, &[&'a str])]) -> Wrong<'a> {
    let change = change.iter().map(|(parts, values)| (parts.to_vec(), (*values).to_owned()));
    Wrong {
        what,
        change: change.collect(),
        told: told.iter().map(|(minute, alerts)| (*minute, alerts.to_vec())).collect(),
    }
}

impl Wrong<'_> {
    fn case(&self) -> Case {
        let mut series = healthy();
        for (parts, values) in &self.change {
            let hit: Vec<String> =
                series.keys().filter(|name| parts.iter().all(|part| name.contains(part))).cloned().collect();
            assert!(!hit.is_empty(), "{}: no series has {parts:?}", self.what);
            for name in hit {
                let values = match values.as_str() {
                    GONE => series[&name].replace(&format!("x{MINUTES}"), "x9 stale _x79"),
                    values => values.to_owned(),
                };
                series.insert(name, values);
            }
        }
        let questions = self.told.iter().map(|(minute, told)| alerts(&format!("{minute}m"), told)).collect();
        Case { name: self.what.to_owned(), series, questions }
    }
}

/// What it was up to then, and then nothing.
const GONE: &str = "gone";
const ON: &str = "0x9 1x80";
const OFF: &str = "1x9 0x80";

fn in_order<'a>() -> Vec<Wrong<'a>> {
    let silent: &[(u32, &[&str])] = &[(5, &[]), (30, &[]), (70, &[])];
    vec![
        wrong("everything is in order", &[], silent),
        wrong("nobody asks for anything", &[(&["nines_measured_requests"], "7x90")], silent),
        wrong(
            "lb1 starts anew, once",
            &[
                (&["nines_measured_requests", "lb1", "http", "good"], "5000+600x9 0+600x80"),
                (&["nines_uptime", "lb1"], "9000+60x9 0+60x80"),
                (&["nines_phase", "lb1", "starting"], "0x9 1x1 0x79"),
                (&["nines_listener_open", "lb1"], "1x9 0x1 1x79"),
                (&["up{", "lb1"], "1x9 0 1x80"),
                (&["nines_virtual_ip_state", "lb1", "master"], "1x9 0x1 1x79"),
                (&["nines_virtual_ip_state", "lb2", "master"], "0x9 1x1 0x79"),
            ],
            silent,
        ),
        wrong(
            "lb1 is drained: the other one has the address and the requests",
            &[
                (&["nines_host_ready", "lb1"], OFF),
                (&["nines_listener_open", "lb1"], OFF),
                (&["nines_measured_requests", "lb1", "http", "good"], "5000+600x9 10400x80"),
                (&["nines_virtual_ip_state", "lb1", "master"], OFF),
                (&["nines_virtual_ip_state", "lb1", "backup"], ON),
                (&["nines_virtual_ip_state", "lb2", "master"], ON),
                (&["nines_virtual_ip_state", "lb2", "backup"], OFF),
            ],
            silent,
        ),
        wrong(
            "app1 is drained",
            &[(&["nines_member_ready", "app1"], OFF), (&["nines_member_health", "app1"], OFF)],
            silent,
        ),
        wrong(
            "the database is switched over between two scrapes: two primaries for a moment",
            &[
                (&["nines_database_serves", "db1"], "1x10 0x79"),
                (&["nines_database_serves", "db2"], "0x9 1x80"),
                (&["takeover_possible", "db2"], "0x9 1x80"),
                (&["member_streams", r#"instance="db2""#], "0x9 1x80"),
                (&["nines_database_term"], "7x9 8x80"),
            ],
            silent,
        ),
    ]
}

fn one_by_one<'a>() -> Vec<Wrong<'a>> {
    vec![
        wrong(
            "lb2 is gone",
            &[(&["lb2", "nines_"], GONE), (&["lb2", "up{"], OFF)],
            &[(10, &[]), (13, &["NinesInstanceGone"])],
        ),
        wrong(
            "lb1 starts again and again",
            &[(&["uptime", "lb1"], "9000 0 60 120 0 60 120 0 60 0x80")],
            &[(20, &["NinesStartsAgain"])],
        ),
        wrong(
            "everybody is drained",
            &[(&["listener_open", "http"], OFF)],
            &[(10, &[]), (12, &["NinesListenerClosed"])],
        ),
        wrong(
            "no member of a pool is left anywhere",
            &[(&["pool_serving", "nobody"], ON), (&["pool_serving", "healthy"], OFF)],
            &[
                (10, &[]),
                (11, &["NinesPoolServesNobody"]),
                (13, &["NinesPoolServesNobody", "NinesPoolServesByAnotherRule"]),
            ],
        ),
        wrong(
            "all members are dead, nobody asks, and everyone is the rule",
            &[
                (&["nines_measured_requests"], "7x90"),
                (&["measured_seconds", "lb1", "http", r#"state="up""#], "0+60x9 540x80"),
                (&["measured_seconds", "lb1", "http", r#"state="down""#], "0x9 0+60x80"),
            ],
            &[(10, &[]), (14, &["NinesMeasuredDown"])],
        ),
        wrong(
            "the database is measured down by who had it",
            &[
                (&["measured_seconds", "db1", "orders", r#"state="up""#], "0+60x9 540x80"),
                (&["measured_seconds", "db1", "orders", r#"state="down""#], "0x9 0+60x80"),
            ],
            &[(10, &[]), (14, &["NinesMeasuredDown"])],
        ),
        wrong(
            "a listener is down for two minutes of five",
            &[
                (&["measured_seconds", "lb1", "http", r#"state="up""#], "0+60x9 540x2 600+60x77"),
                (&["measured_seconds", "lb1", "http", r#"state="down""#], "0x9 60 120x79"),
            ],
            &[(11, &[]), (14, &[]), (30, &[])],
        ),
        wrong(
            "all that is known of a new listener is that it was down for twenty seconds",
            &[
                (&["measured_seconds", "http", r#"state="up""#], "_x9 0 10 70+60x77"),
                (&["measured_seconds", "http", r#"state="down""#], "_x9 0 20x79"),
            ],
            &[(11, &[]), (12, &[])],
        ),
        wrong(
            "one load balancer sees too few members",
            &[(&["pool_serving", "everyone", "lb2"], ON), (&["pool_serving", "healthy", "lb2"], OFF)],
            &[(10, &[]), (13, &["NinesPoolServesByAnotherRule"])],
        ),
        wrong(
            "requests wait",
            &[(&["queue_length", "lb1"], "0x9 3x80")],
            &[(12, &[]), (16, &["NinesRequestsQueue"])],
        ),
        wrong(
            "the budget for retries is empty",
            &[(&["retry_budget", "lb1"], "0x9 0+5x80")],
            &[(20, &["NinesRetryBudgetEmpty"])],
        ),
        wrong(
            "a member is down for one load balancer",
            &[(&["member_health", "lb1", "app2"], OFF)],
            &[(12, &[]), (16, &["NinesMemberDown"])],
        ),
        wrong(
            "a member is ejected again and again",
            &[(&["ejections", "app2"], "0x9 0+1x80")],
            &[(12, &[]), (25, &["NinesMemberFails"])],
        ),
        wrong(
            "nobody has the address",
            &[
                (&["virtual_ip_state", "master"], "1x9 0x80"),
                (&["virtual_ip_state", "master", "lb2"], "0x90"),
                (&["virtual_ip_state", "lb1", "backup"], ON),
            ],
            &[(9, &[]), (11, &["NinesVirtualAddressWithoutMaster"])],
        ),
        wrong(
            "two have the address",
            &[(&["virtual_ip_state", "master", "lb2"], ON)],
            &[(9, &[]), (11, &["NinesVirtualAddressWithTwoMasters"])],
        ),
        wrong(
            "nobody stands by",
            &[(&["virtual_ip_state", "backup", "lb2"], OFF)],
            &[(15, &[]), (20, &["NinesVirtualAddressWithoutBackup"])],
        ),
        wrong(
            "the address has a problem",
            &[(&["virtual_ip_problems", "lb2"], ON)],
            &[(12, &["NinesVirtualAddressProblem"])],
        ),
        wrong(
            "the address moves to and fro",
            &[(&["virtual_ip_taken", "lb1"], "0x9 0+1x80")],
            &[(25, &["NinesVirtualAddressMoves"])],
        ),
        wrong(
            "nobody is the primary",
            &[(&["database_serves", "db1"], OFF)],
            &[(9, &[]), (11, &["NinesDatabaseWithoutPrimary"])],
        ),
        wrong(
            "two say that they are",
            &[
                (&["database_serves", "db2"], ON),
                (&["takeover_possible", "db2"], ON),
                (&["streams", r#"instance="db2""#], ON),
            ],
            &[(9, &[]), (11, &["NinesDatabaseWithTwoPrimaries"])],
        ),
        wrong(
            "nobody could take over",
            &[(&["takeover_possible", "db1"], OFF)],
            &[(12, &[]), (16, &["NinesDatabaseTakeoverImpossible"])],
        ),
        wrong(
            "a standby is missing",
            &[(&["streams", r#"instance="db1""#, r#"host="db3""#], OFF)],
            &[(15, &[]), (22, &["NinesDatabaseStandbyMissing"])],
        ),
        wrong(
            "an instance has a problem",
            &[(&["database_problems", "db2"], ON)],
            &[(12, &[]), (16, &["NinesDatabaseProblem"])],
        ),
        wrong(
            "something is under way for ever",
            &[(&["settled", "db2"], OFF)],
            &[(60, &[]), (71, &["NinesDatabaseUnsettled"])],
        ),
        wrong(
            "the primary changes again and again",
            &[(&["database_term"], "7x9 7+1x80")],
            &[(25, &["NinesDatabaseChangesPrimary"])],
        ),
        wrong(
            "a file was refused",
            &[(&["file_refused", "lb1"], ON)],
            &[(12, &[]), (16, &["NinesFileRefused"])],
        ),
        wrong("a worker stalls", &[(&["stall", "lb1"], "0x9 4x80")], &[(12, &["NinesStalls"])]),
        wrong("a host is slow", &[(&["host_slow", "lb1"], ON)], &[(11, &[]), (13, &["NinesHostSlow"])]),
        wrong(
            "nines does not get beyond its start",
            &[(&["starting", "lb1"], ON)],
            &[(16, &["NinesStartsForLong"])],
        ),
    ]
}

/// Those that wait for a day.
fn after_a_day() -> Vec<Case> {
    let day = |what: &str, name: &str, values: &str, told: &str| {
        let series = [(of("up", "lb1", ""), "1x1600".to_owned()), (name.to_owned(), values.to_owned())];
        let mut series: Series = series.into();
        if told == "NinesVersionsDiffer" {
            series.insert(of("nines_build_info", "lb2", r#"version="0.2.0""#), "1x1600".to_owned());
        }
        let questions = vec![alerts("1400m", &[]), alerts("1500m", &[told])];
        Case { name: what.to_owned(), series, questions }
    };
    vec![
        day("a drain is forgotten", &of("nines_host_ready", "lb1", ""), "0x1600", "NinesDrainedForLong"),
        day(
            "a member's drain is forgotten",
            &of("nines_member_ready", "lb1", r#"pool="web",member="app1:8080""#),
            "0x1600",
            "NinesMemberOutForLong",
        ),
        day(
            "an update is not finished",
            &of("nines_build_info", "lb1", r#"version="0.1.0""#),
            "1x1600",
            "NinesVersionsDiffer",
        ),
    ]
}

/// What all hosts together can't tell when nobody is left to tell it: only names can.
fn when_all_are_gone(named: bool) -> Wrong<'static> {
    let names: &[&str] = if named {
        &[
            "NinesNobodyAnswers",
            "NinesInstanceGone",
            "NinesListenerClosed",
            "NinesVirtualAddressWithoutMaster",
            "NinesDatabaseWithoutPrimary",
        ]
    } else {
        &["NinesNobodyAnswers", "NinesInstanceGone"]
    };
    wrong("all hosts are gone", &[(&["nines_"], GONE), (&["up{"], OFF)], &[(13, names)])
}

#[test]
fn a_system_in_order_says_nothing_and_each_alert_is_told_alone() {
    if !promtool::is_here() {
        return;
    }
    for named in [false, true] {
        let rules = export("prometheus-rules", named);
        promtool::check(&rules);
        let mut wrong = in_order();
        wrong.extend(one_by_one());
        wrong.push(when_all_are_gone(named));
        let told: BTreeSet<&str> =
            wrong.iter().flat_map(|one| one.told.iter().flat_map(|(_, told)| told.iter().copied())).collect();
        // Shares over days are left out: of ninety minutes they say nothing new, and take long.
        let (short, rest) = rules.split_once("- name: nines-long-shares").unwrap();
        let (_, rest) = rest.split_once("- name: nines-budget").unwrap();
        let cases: Vec<Case> = wrong.iter().map(Wrong::case).collect();
        promtool::test(&format!("{short}- name: nines-budget{rest}"), &cases);

        // Names are missed in these, which have no more than they are about.
        if !named {
            promtool::test(&rules, &after_a_day());
        }
        let days = [
            "NinesDrainedForLong",
            "NinesMemberOutForLong",
            "NinesVersionsDiffer",
            "NinesBudgetBurns",
            "NinesDatabaseBudgetBurns",
        ];
        let tested: BTreeSet<&str> = told.into_iter().chain(days).collect();
        let alerts: BTreeSet<&str> =
            rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
        assert_eq!(tested, alerts, "every alert has a story in which it is told");
    }
}

#[test]
fn every_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do() {
    let rules = export("prometheus-rules", true);
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 30);
    for alert in alerts {
        for needed in ["severity: ", "summary: \"", "description: \"", "action: \"", "system: \"shop\""] {
            assert!(alert.contains(needed), "{needed}: {alert}");
        }
        let action = alert.split("action: \"").nth(1).unwrap().lines().next().unwrap();
        assert!(action.contains('`') && !action.contains("://"), "{action}");
    }
}
