//! Rules for Prometheus: the share of good requests over many windows, alerts on how fast the budget goes, and symptoms.
//!
//! What fails is counted by each host and summed by listener, after `rate`, so that hosts may come, go and start anew. A share exists
//! only where something was asked: without traffic there is nothing to compare, and nobody is told.

use std::fmt::Write as _;
use std::time::Duration;

use nines_availability::measurement::{FEW, OBJECTIVE_WINDOW};
use nines_availability::nines::{AlertSeverity, BURN_ALERTS, BurnAlert};

use super::{About, symptoms};

/// What clients did wrong themselves.
pub(super) const CLIENTS_OWN: &str = "bad-request|client-timeout|no-route";

/// What has a budget, as `kind` of what is measured and as the label that its name gets.
const SUBJECTS: [&str; 2] = ["listener", "database"];
const BAD: &str = r#",outcome="bad""#;

/// Over these the counters themselves are asked.
const SHORT: [&str; 5] = ["5m", "30m", "1h", "2h", "6h"];
const LONG: [&str; 2] = ["1d", "3d"];
/// Over this what was recorded every minute: raw counters of a month are too many to read again and again.
const MONTH: &str = "30d";

/// Something to tell somebody.
pub(super) struct Alert {
    pub(super) name: &'static str,
    pub(super) expr: String,
    /// How long it must last before anybody is told.
    pub(super) lasts: &'static str,
    pub(super) severity: AlertSeverity,
    pub(super) summary: String,
    pub(super) description: String,
    /// What to do, with the commands to type.
    pub(super) action: String,
    /// Besides the severity.
    pub(super) labels: Vec<(&'static str, String)>,
}

pub(super) fn text(about: &About) -> String {
    let mut out = format!(
        "# Rules for Prometheus, printed by `nines export prometheus-rules`, version {}.\n\
         # They are about what is scraped from /metrics of every host as `job_name: {}`.\n\
         # severity `page`: a person is needed now. `ticket`: during working hours.\n",
        env!("CARGO_PKG_VERSION"),
        about.job
    );
    if let Some(targets) = about.names.as_ref().map(|names| &names.targets).filter(|all| !all.is_empty()) {
        let (job, targets) = (quoted(&about.job), serde_json::Value::from(targets.clone()));
        let _ = writeln!(
            out,
            "#\n# What prometheus.yml says for it, with this file's name under `rule_files`:\n#   scrape_configs:\n\
             #   - job_name: {job}\n#     static_configs: [{{ targets: {targets} }}]"
        );
    }
    out += "groups:\n";
    group(&mut out, "nines-shares", None);
    record(&mut out, about, "nines:objective:ratio", &format!("vector({})", about.objective.fraction()));
    let subjects: Vec<&str> = SUBJECTS.into_iter().filter(|kind| about.has(kind)).collect();
    for kind in &subjects {
        record(&mut out, about, &format!("{kind}:nines_asked:rate5m"), &asked(about, kind, "5m"));
        record(&mut out, about, &format!("{kind}:nines_failed:rate5m"), &failed(about, kind, "5m"));
        for window in SHORT {
            record(&mut out, about, &good(kind, window), &share(about, kind, window));
        }
    }
    // Not rarer than Prometheus forgets a sample: five minutes.
    group(&mut out, "nines-long-shares", Some("2m"));
    for kind in &subjects {
        for window in LONG {
            record(&mut out, about, &good(kind, window), &share(about, kind, window));
        }
        record(&mut out, about, &good(kind, MONTH), &share_of_month(about, kind));
        let month = about.of(&good(kind, MONTH), "");
        let left = format!("1 - (1 - {month}) / {}", plain(about.objective.unavailability()));
        record(&mut out, about, &format!("{kind}:nines_budget_left:ratio30d"), &left);
    }
    group(&mut out, "nines-budget", None);
    for burn in &BURN_ALERTS {
        let told: Vec<Alert> = subjects.iter().filter_map(|kind| burns(about, kind, burn)).collect();
        match told.is_empty() {
            false => told.iter().for_each(|told| alert(&mut out, about, told)),
            true => {
                let _ = writeln!(
                    out,
                    "  # {} over {} is left out: with this objective not even a total failure spends the budget so fast.",
                    burn.rate,
                    span(burn.long)
                );
            }
        }
    }
    group(&mut out, "nines-symptoms", None);
    for told in symptoms::all(about) {
        alert(&mut out, about, &told);
    }
    out
}

pub(super) fn good(kind: &str, window: &str) -> String {
    format!("{kind}:nines_good:ratio_rate{window}")
}

/// What was asked of each subject of a kind, by a function of its counters, and ended so (`nines report` counts the same): requests, of TCP
/// listeners connections, of databases connections to their gates. What is the client's own doing is not in it.
fn ended(about: &About, kind: &str, outcome: &str, function: &str, window: &str) -> String {
    let labels = format!(r#"kind="{kind}"{outcome}"#);
    let rate = format!("{function}({}[{window}])", about.of("nines_measured_requests_total", &labels));
    format!(r#"sum by (job, {kind}) (label_replace({rate}, "{kind}", "$1", "subject", "(.+)"))"#)
}

fn asked(about: &About, kind: &str, window: &str) -> String {
    format!("{} > 0", ended(about, kind, "", "rate", window))
}

fn failed(about: &About, kind: &str, window: &str) -> String {
    ended(about, kind, BAD, "rate", window)
}

fn share(about: &About, kind: &str, window: &str) -> String {
    format!("1 - (\n  {}\n  / ({})\n)", failed(about, kind, window), asked(about, kind, window))
}

/// Each minute counts by what was asked in it.
fn share_of_month(about: &About, kind: &str) -> String {
    let sum = |name: &str| format!("sum_over_time({}[{MONTH}])", about.of(&format!("{kind}:{name}"), ""));
    format!("1 - (\n  {}\n  / ({} > 0)\n)", sum("nines_failed:rate5m"), sum("nines_asked:rate5m"))
}

fn burns(about: &About, kind: &str, burn: &BurnAlert) -> Option<Alert> {
    let allowed = about.objective.unavailability();
    if burn.rate * allowed >= 1.0 {
        return None;
    }
    let (long, short) = (span(burn.long), span(burn.short));
    let limit = format!("{} * {}", burn.rate, plain(allowed));
    let over = |window: &str| format!("1 - {} > {limit}", about.of(&good(kind, window), ""));
    // At night a single one may be all that is asked.
    let several = format!("{} > {FEW}", ended(about, kind, BAD, "increase", &short));
    let objective = about.objective.as_stated();
    let spent = Duration::from_secs_f64(OBJECTIVE_WINDOW as f64 / burn.rate);
    Some(Alert {
        name: if kind == "database" { "NinesDatabaseBudgetBurns" } else { "NinesBudgetBurns" },
        expr: format!("({})\nand\n({})\nand\n({several})", over(&long), over(&short)),
        lasts: "0s",
        severity: burn.severity,
        summary: format!(
            "{{{{ $labels.{kind} }}}}: {{{{ $value | humanizePercentage }}}} of what was asked over {long} failed"
        ),
        description: format!(
            "The objective is {objective}. Over {long} and over {short} failures spend what it allows at least {} times as fast as it \
             lasts: the budget of thirty days would be gone in {}.",
            burn.rate,
            span(spent)
        ),
        action: match kind {
            "database" => {
                "Type `nines status` on the database's hosts: it says why a gate lets nobody in or cuts connections, and `nines events` what \
                 changed first."
            }
            _ => {
                "Type `nines status` on the load balancers to see who can't serve, and `nines events` for what changed first. If a \
                 release did it, take it back; if one member did it, `nines drain MEMBER`."
            }
        }
        .to_owned(),
        labels: vec![("long", long), ("short", short)],
    })
}

/// `5m`, `1h`, `3d`, as Prometheus writes it.
fn span(of: Duration) -> String {
    let minutes = of.as_secs() / 60;
    match minutes {
        m if m.is_multiple_of(1440) => format!("{}d", m / 1440),
        m if m.is_multiple_of(60) => format!("{}h", m / 60),
        m => format!("{m}m"),
    }
}

/// A small number without an exponent, as people write thresholds.
fn plain(number: f64) -> String {
    format!("{number}")
}

fn group(out: &mut String, name: &str, every: Option<&str>) {
    let _ = writeln!(out, "- name: {name}");
    if let Some(every) = every {
        let _ = writeln!(out, "  interval: {every}");
    }
    let _ = writeln!(out, "  rules:");
}

fn record(out: &mut String, about: &About, name: &str, expr: &str) {
    let _ = writeln!(out, "  - record: {name}");
    block(out, expr);
    if !expr.contains("job=") {
        let _ = writeln!(out, "    labels: {{job: {}}}", quoted(&about.job));
    }
}

fn alert(out: &mut String, about: &About, told: &Alert) {
    let severity = match told.severity {
        AlertSeverity::Page => "page",
        AlertSeverity::Ticket => "ticket",
    };
    let _ = writeln!(out, "  - alert: {}", told.name);
    block(out, &told.expr);
    if told.lasts != "0s" {
        let _ = writeln!(out, "    for: {}", told.lasts);
    }
    let _ = writeln!(out, "    labels:\n      severity: {severity}");
    if let Some(names) = &about.names {
        let _ = writeln!(out, "      system: {}", quoted(&names.system));
    }
    for (label, value) in &told.labels {
        let _ = writeln!(out, "      {label}: {}", quoted(value));
    }
    let _ = writeln!(out, "    annotations:");
    for (name, text) in
        [("summary", &told.summary), ("description", &told.description), ("action", &told.action)]
    {
        let _ = writeln!(out, "      {name}: {}", quoted(text));
    }
}

fn block(out: &mut String, expr: &str) {
    let _ = writeln!(out, "    expr: |-");
    for line in expr.lines() {
        let _ = writeln!(out, "      {line}");
    }
}

/// What JSON quotes, YAML understands.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_written_as_prometheus_does() {
        let written: Vec<String> =
            BURN_ALERTS.iter().flat_map(|one| [span(one.long), span(one.short)]).collect();
        assert_eq!(written, ["1h", "5m", "6h", "30m", "1d", "2h", "3d", "6h"]);
    }
}
