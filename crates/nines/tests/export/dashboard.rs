//! The dashboard has what Grafana needs of it, and each of its expressions is one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::{export, promtool};

/// The panels' titles and expressions.
pub(crate) fn expressions(dashboard: &str) -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            found.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    found
}

#[test]
fn panels_have_their_places_units_and_expressions() {
    for named in [false, true] {
        let dashboard: Value = serde_json::from_str(&export("grafana", named)).unwrap();
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
        assert_eq!(dashboard["title"], if named { "nines: shop" } else { "nines" });
        assert!(dashboard["uid"].as_str().unwrap().len() <= 40);
        let variables: Vec<&str> = dashboard["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["name"].as_str().unwrap())
            .collect();
        assert_eq!(variables, ["datasource", "job", "host"]);

        let mut cells = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{title}");
            for cell in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))) {
                assert!(cells.insert(cell), "{title} lies over another at {cell:?}");
            }
            if panel["type"] == "row" {
                continue;
            }
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{title}");
            let letters: BTreeSet<&str> = targets.iter().map(|one| one["refId"].as_str().unwrap()).collect();
            assert_eq!(letters.len(), targets.len(), "{title}");
            for target in targets {
                assert!(!target["expr"].as_str().unwrap().is_empty(), "{title}");
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            }
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
            // Grafana's words for units; one that it doesn't know would be written behind each number.
            assert!(
                ["short", "percentunit", "reqps", "s", "bytes", "Bps"].contains(&unit),
                "{title}: {unit}"
            );
            assert!(panel["description"].as_str().is_some_and(|about| about.ends_with('.')), "{title}");
        }
    }
}

#[test]
fn prometheus_understands_every_expression() {
    if !promtool::is_here() {
        return;
    }
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (index, (_, expr)) in expressions(&export("grafana", true)).iter().enumerate() {
        let expr = expr.replace("$__rate_interval", "5m");
        let _ = writeln!(rules, "  - record: expr:{index}\n    expr: {}", Value::from(expr));
    }
    promtool::check(&rules);
}
