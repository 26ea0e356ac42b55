//! Prometheus' own tool: are rules right, and what do they say of series that are made up?

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

/// Whether it is here; that it isn't is said, and in CI a failure.
pub(crate) fn is_here() -> bool {
    if Command::new("promtool").arg("--version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "promtool is missing: `cargo xtask setup` installs it");
    eprintln!("skipped: no promtool is installed (Debian: prometheus)");
    false
}

/// Runs `promtool check rules` on them.
pub(crate) fn check(rules: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    std::fs::write(&path, rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&path).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{said}\n{rules}");
}

/// Series by their selector, in promtool's notation: `1x60` is 61 times 1, `0+6x60` grows by 6.
pub(crate) type Series = BTreeMap<String, String>;

/// A question and the samples that it must give: labels and value.
pub(crate) struct Question {
    pub(crate) at: String,
    pub(crate) expr: String,
    pub(crate) answer: Vec<(String, f64)>,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) series: Series,
    pub(crate) questions: Vec<Question>,
}

/// Which alerts must be told at a time, and no others: `NinesStalls` or `NinesBudgetBurns/page/1h`.
pub(crate) fn alerts(at: &str, told: &[&str]) -> Question {
    let labels = |alert: &&str| {
        let mut parts = alert.split('/');
        let mut labels = format!(r#"{{alertname="{}""#, parts.next().unwrap());
        for (label, value) in ["severity", "long"].into_iter().zip(parts) {
            let _ = write!(labels, r#",{label}="{value}""#);
        }
        (labels + "}", 1.0)
    };
    let by =
        if told.iter().any(|alert| alert.contains('/')) { "alertname, severity, long" } else { "alertname" };
    Question {
        at: at.to_owned(),
        expr: format!(r#"max by ({by}) (ALERTS{{alertstate="firing"}})"#),
        answer: told.iter().map(labels).collect(),
    }
}

/// Plays the cases, a sample of each series every minute; fails with what promtool says.
pub(crate) fn test(rules: &str, cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let mut test = "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n".to_owned();
    for case in cases {
        let _ = writeln!(test, "- interval: 1m\n  name: {}\n  input_series:", quoted(&case.name));
        for (series, values) in &case.series {
            let _ = writeln!(test, "  - series: {}\n    values: {}", quoted(series), quoted(values));
        }
        let _ = writeln!(test, "  promql_expr_test:");
        for question in &case.questions {
            let _ = writeln!(test, "  - expr: {}\n    eval_time: {}", quoted(&question.expr), question.at);
            let _ = writeln!(test, "    exp_samples:{}", if question.answer.is_empty() { " []" } else { "" });
            for (labels, value) in &question.answer {
                let _ = writeln!(test, "    - labels: {}\n      value: {value}", quoted(labels));
            }
        }
    }
    std::fs::write(folder.path().join("test.yml"), &test).unwrap();
    let output = Command::new("promtool")
        .args(["test", "rules", "test.yml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
