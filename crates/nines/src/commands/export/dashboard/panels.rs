//! What there is to see, row by row.

use super::{COLUMNS, Kind, Panel};
use crate::commands::export::About;
use crate::commands::export::rules::CLIENTS_OWN;

/// A metric of the hosts that are looked at.
fn of(metric: &str, labels: &str) -> String {
    let comma = if labels.is_empty() { "" } else { "," };
    format!(r#"{metric}{{job="$job",instance=~"$host"{comma}{labels}}}"#)
}

/// What rules have recorded for the whole system.
fn recorded(name: &str) -> String {
    format!(r#"{name}{{job="$job"}}"#)
}

fn row(title: &'static str) -> Panel {
    panel(title, "", Kind::Row, "", COLUMNS, [])
}

fn panel<const N: usize>(
    title: &'static str,
    about: &'static str,
    kind: Kind,
    unit: &'static str,
    width: u64,
    targets: [(String, &'static str); N],
) -> Panel {
    Panel { title, about, kind, unit, width, targets: targets.into() }
}

/// A second's increase, by these labels.
fn rate(by: &str, metric: &str, labels: &str) -> String {
    format!("sum by ({by}) (rate({}[$__rate_interval]))", of(metric, labels))
}

pub(super) fn all(about: &About) -> Vec<Panel> {
    let mut all = objective(about);
    all.extend(requests());
    all.extend(members_of_pools());
    all.extend(rules_of_pools());
    if about.has("virtual_ip") {
        all.extend(virtual_ips());
    }
    if about.has("database") {
        all.extend(primaries());
        all.extend(gates());
    }
    all.extend(hosts());
    all
}

fn objective(about: &About) -> Vec<Panel> {
    let promised = about.objective.fraction();
    let burning = |window: &str| {
        format!(
            "(1 - {}) / on (job) group_left () (1 - {})",
            recorded(&format!("listener:nines_good:ratio_rate{window}")),
            recorded("nines:objective:ratio")
        )
    };
    // Nines are never rounded up.
    let good = format!("floor({} * 1e6 + 1e-4) / 1e6", recorded("listener:nines_good:ratio_rate30d"));
    let figure = |bad_below, decimals| Kind::Stat { bad_below, decimals };
    vec![
        row("Objective"),
        panel(
            "Objective",
            "The share of what is asked that must be answered well, over thirty days.",
            figure(0.0, 4),
            "percentunit",
            4,
            [(recorded("nines:objective:ratio"), "promised")],
        ),
        panel(
            "Good over thirty days",
            "As the load balancers saw it. Clients who could not reach them are not in it.",
            figure(promised, 4),
            "percentunit",
            7,
            [(good, "{{listener}}")],
        ),
        panel(
            "Budget left",
            "What the objective still allows to fail within thirty days. Below zero it is broken.",
            figure(0.0, 1),
            "percentunit",
            6,
            [(recorded("listener:nines_budget_left:ratio30d"), "{{listener}}")],
        ),
        panel(
            "Alerts",
            "What is wrong now.",
            Kind::Table,
            "short",
            7,
            [(r#"ALERTS{alertname=~"Nines.*",alertstate="firing"}"#.to_owned(), "")],
        ),
        panel(
            "How fast the budget goes",
            "1: it lasts exactly for the thirty days. At 14.4 over an hour, or 6 over six, somebody is called.",
            Kind::Lines,
            "short",
            24,
            [
                (burning("1h"), "{{listener}} over 1 h"),
                (burning("6h"), "{{listener}} over 6 h"),
                (burning("3d"), "{{listener}} over 3 d"),
            ],
        ),
    ]
}

fn requests() -> Vec<Panel> {
    let quantile = |q: &str| {
        format!(
            "histogram_quantile({q}, sum by (pool, le) (rate({}[$__rate_interval])))",
            of("nines_request_duration_seconds_bucket", "")
        )
    };
    let causes = format!(r#"cause!~"{CLIENTS_OWN}""#);
    vec![
        row("What clients get"),
        panel(
            "Requests by class",
            "Answers to clients, nines' own and the members'.",
            Kind::Stacked,
            "reqps",
            12,
            [(rate("listener, code_class", "nines_requests_total", ""), "{{listener}} {{code_class}}")],
        ),
        panel(
            "Failures by cause",
            "Requests, and connections of TCP listeners, that nines had to answer itself.",
            Kind::Stacked,
            "reqps",
            12,
            [
                (rate("listener, cause", "nines_refused_total", &causes), "{{listener}} {{cause}}"),
                (rate("listener", "nines_requests_total", r#"code_class="5xx""#), "{{listener}} all 5xx"),
            ],
        ),
        panel(
            "Time to the first byte",
            "From a request's end, all tries included.",
            Kind::Lines,
            "s",
            12,
            [
                (quantile("0.5"), "{{pool}} half"),
                (quantile("0.95"), "{{pool}} 95 %"),
                (quantile("0.99"), "{{pool}} 99 %"),
            ],
        ),
        panel(
            "Connections",
            "Clients' connections now, and those who went away before their reply was complete, by second.",
            Kind::Lines,
            "short",
            12,
            [
                (format!("sum by (listener) ({})", of("nines_connections", "")), "{{listener}}"),
                (rate("listener", "nines_clients_gone_total", ""), "{{listener}} gone"),
            ],
        ),
    ]
}

fn members_of_pools() -> Vec<Panel> {
    let slowest = format!(
        "histogram_quantile(0.99, sum by (pool, member, le) (rate({}[$__rate_interval])))",
        of("nines_member_duration_seconds_bucket", "")
    );
    vec![
        row("Pools"),
        panel(
            "Members in health",
            "For every load balancer that is looked at.",
            Kind::YesNo,
            "short",
            12,
            [(format!("min by (pool, member) ({})", of("nines_member_health", "")), "{{pool}} {{member}}")],
        ),
        panel(
            "Members that get work",
            "Not: down, ejected, drained, a backup that is not needed, or not the primary.",
            Kind::YesNo,
            "short",
            12,
            [(format!("min by (pool, member) ({})", of("nines_member_eligible", "")), "{{pool}} {{member}}")],
        ),
        panel(
            "Work by member",
            "Requests or connections at each member now.",
            Kind::Lines,
            "short",
            8,
            [(
                format!("sum by (pool, member) ({})", of("nines_member_in_flight", "")),
                "{{pool}} {{member}}",
            )],
        ),
        panel(
            "Tries that failed",
            "By member and how; most of them clients never see.",
            Kind::Stacked,
            "reqps",
            8,
            [(
                rate("pool, member, outcome", "nines_member_tries_total", r#"outcome!~"[1-5]xx""#),
                "{{pool}} {{member}} {{outcome}}",
            )],
        ),
        panel(
            "Slowest hundredth of each member",
            "One try, up to the first byte.",
            Kind::Lines,
            "s",
            8,
            [(slowest, "{{pool}} {{member}}")],
        ),
    ]
}

fn rules_of_pools() -> Vec<Panel> {
    let not_healthy = of("nines_pool_serving", r#"serving!="healthy""#);
    vec![
        panel(
            "Further tries",
            "After a failure, after silence, and those not made because the budget was empty.",
            Kind::Lines,
            "reqps",
            12,
            [
                (rate("pool", "nines_retries_total", ""), "{{pool}} after a failure"),
                (rate("pool", "nines_hedges_total", ""), "{{pool}} after silence"),
                (rate("pool", "nines_retry_budget_empty_total", ""), "{{pool}} not made"),
            ],
        ),
        panel(
            "Load balancers on which a pool serves by another rule",
            "Everyone, or nobody, because too few are healthy.",
            Kind::Lines,
            "short",
            12,
            [(format!("sum by (pool, serving) ({not_healthy})"), "{{pool}} {{serving}}")],
        ),
    ]
}

fn virtual_ips() -> Vec<Panel> {
    let master = of("nines_virtual_ip_state", r#"state="master""#);
    vec![
        row("Virtual addresses"),
        panel(
            "Who answers",
            "Exactly one host should, for each address.",
            Kind::YesNo,
            "short",
            12,
            [(format!("max by (virtual_ip, instance) ({master})"), "{{virtual_ip}} {{instance}}")],
        ),
        panel(
            "Masters and problems",
            "Masters of each address, and what is wrong with it as seen from its hosts.",
            Kind::Lines,
            "short",
            6,
            [
                (format!("sum by (virtual_ip) ({master})"), "{{virtual_ip}} masters"),
                (
                    format!("sum by (virtual_ip) ({})", of("nines_virtual_ip_problems", "")),
                    "{{virtual_ip}} problems",
                ),
            ],
        ),
        panel(
            "Moves within an hour",
            "By why the last master let go, and how often another took over.",
            Kind::Lines,
            "short",
            6,
            [
                (
                    format!(
                        "sum by (virtual_ip, cause) (increase({}[1h]))",
                        of("nines_virtual_ip_released_total", "")
                    ),
                    "{{virtual_ip}} {{cause}}",
                ),
                (
                    format!("sum by (virtual_ip) (increase({}[1h]))", of("nines_virtual_ip_taken_total", "")),
                    "{{virtual_ip}} taken",
                ),
            ],
        ),
    ]
}

fn primaries() -> Vec<Panel> {
    let serves = of("nines_database_serves", "");
    let primarys = |metric: &str| {
        format!("max by (database) ({} and on (job, instance, database) {serves} == 1)", of(metric, ""))
    };
    vec![
        row("Databases"),
        panel(
            "Primary",
            "The host whose gate lets clients write: exactly one, for each database.",
            Kind::YesNo,
            "short",
            12,
            [(format!("max by (database, instance) ({serves})"), "{{database}} {{instance}}")],
        ),
        panel(
            "Takeover possible",
            "Whether the primary may fail now without the loss of an acknowledged write.",
            Kind::YesNo,
            "short",
            12,
            [(primarys("nines_database_takeover_possible"), "{{database}}")],
        ),
        panel(
            "Lag of standbys",
            "Bytes of the primary's log that each has not confirmed.",
            Kind::Lines,
            "bytes",
            8,
            [(
                format!(
                    "max by (database, host) ({} and on (job, instance, database) {serves} == 1)",
                    of("nines_database_member_lag_bytes", "")
                ),
                "{{database}} {{host}}",
            )],
        ),
        panel(
            "Bytes at risk",
            "Acknowledged writes that nobody else may have, should the primary be lost now.",
            Kind::Lines,
            "bytes",
            8,
            [(primarys("nines_database_bytes_at_risk"), "{{database}}")],
        ),
    ]
}

fn gates() -> Vec<Panel> {
    vec![
        panel(
            "Clients at the gate",
            "Connections now; those cut because the gate shut, by second.",
            Kind::Lines,
            "short",
            8,
            [
                (
                    format!(
                        "sum by (database, instance) ({})",
                        of("nines_gate_connections", r#"of="client""#)
                    ),
                    "{{database}} {{instance}}",
                ),
                (rate("database", "nines_gate_cut_total", ""), "{{database}} cut"),
            ],
        ),
        panel(
            "Term",
            "It grows with each change of primary.",
            Kind::Lines,
            "short",
            12,
            [(format!("max by (database) ({})", of("nines_database_term", "")), "{{database}}")],
        ),
        panel(
            "Problems",
            "What is wrong with the instances; nines status has the words.",
            Kind::Lines,
            "short",
            12,
            [(
                format!("max by (database, instance) ({})", of("nines_database_problems", "")),
                "{{database}} {{instance}}",
            )],
        ),
    ]
}

fn hosts() -> Vec<Panel> {
    vec![
        row("Hosts"),
        panel(
            "Answers Prometheus",
            "Whether nines on the host could be asked.",
            Kind::YesNo,
            "short",
            8,
            [(of("up", ""), "{{instance}}")],
        ),
        panel(
            "Wanted",
            "Not: drained by an operator.",
            Kind::YesNo,
            "short",
            8,
            [(of("nines_host_ready", ""), "{{instance}}")],
        ),
        panel(
            "Longest stall of a worker",
            "Workers turn at least every 0.2 s.",
            Kind::Lines,
            "s",
            8,
            [(of("nines_worker_stall_seconds", ""), "{{instance}}")],
        ),
        panel(
            "Events within an hour",
            "By kind, as nines events lists them.",
            Kind::Stacked,
            "short",
            12,
            [(format!("sum by (kind) (increase({}[1h])) > 0", of("nines_events_total", "")), "{{kind}}")],
        ),
        panel(
            "Traffic",
            "Bytes from clients and to them.",
            Kind::Lines,
            "Bps",
            12,
            [
                (rate("listener", "nines_received_bytes_total", ""), "{{listener}} in"),
                (rate("listener", "nines_sent_bytes_total", ""), "{{listener}} out"),
            ],
        ),
    ]
}
