//! A dashboard for Grafana: the objective and its budget, what clients get, and who serves them.

mod panels;

use serde_json::{Value, json};

use super::About;

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// The oldest version of Grafana's format that has everything here (Grafana 9.4).
const SCHEMA: u64 = 38;

/// One thing to see, before it has its place.
struct Panel {
    title: &'static str,
    about: &'static str,
    kind: Kind,
    unit: &'static str,
    width: u64,
    /// Expressions and what their lines are called.
    targets: Vec<(String, &'static str)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A heading, and what is below it up to the next.
    Row,
    /// Figures as they are now.
    Stat {
        bad_below: f64,
        decimals: u64,
    },
    Lines,
    Stacked,
    /// 0 and 1 over time, for each line.
    YesNo,
    Table,
}

pub(super) fn text(about: &About) -> String {
    let title = match &about.names {
        Some(names) => format!("nines: {}", names.system),
        None => "nines".to_owned(),
    };
    // The same system has the same dashboard, so that a newer one takes the place of an older.
    let uid: String = title
        .replace(": ", "-")
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(40)
        .collect();
    let dashboard = json!({
        "title": title,
        "uid": uid,
        "description": format!("Printed by `nines export grafana`, version {}. It needs the rules of `nines export prometheus-rules`.", env!("CARGO_PKG_VERSION")),
        "tags": ["nines"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "timezone": "",
        "annotations": { "list": [] },
        "links": [],
        "templating": { "list": variables(about) },
        "panels": placed(&panels::all(about)),
    });
    format!("{dashboard:#}\n")
}

fn variables(about: &About) -> Vec<Value> {
    let current = |name: &str| json!({ "selected": true, "text": name, "value": name });
    let query = |name: &str, label: &str, ask: &str| {
        json!({
            "name": name, "label": label, "type": "query", "datasource": source(), "definition": ask,
            "query": { "query": ask, "refId": name }, "refresh": 2, "sort": 1, "regex": "", "hide": 0, "options": [],
        })
    };
    let mut job = query("job", "Job", "label_values(nines_build_info, job)");
    job["current"] = current(&about.job);
    let mut host = query("host", "Host", r#"label_values(nines_build_info{job="$job"}, instance)"#);
    host["multi"] = json!(true);
    host["includeAll"] = json!(true);
    host["allValue"] = json!(".*");
    host["current"] = json!({ "selected": true, "text": ["All"], "value": ["$__all"] });
    let datasource = json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
        "current": {}, "hide": 0, "includeAll": false, "multi": false, "options": [], "refresh": 1, "regex": "",
    });
    vec![datasource, job, host]
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// Left to right, and down when a line is full. Panels of one line have one height.
fn placed(panels: &[Panel]) -> Vec<Value> {
    let (mut x, mut y, mut line) = (0, 0, 0);
    let mut out = Vec::new();
    for (index, panel) in panels.iter().enumerate() {
        let height = match panel.kind {
            Kind::Row => 1,
            Kind::Stat { .. } => 5,
            _ => 8,
        };
        if x + panel.width > COLUMNS || panel.kind == Kind::Row {
            (x, y, line) = (0, y + line, 0);
        }
        let place = json!({ "x": x, "y": y, "w": panel.width, "h": height });
        out.push(drawn(panel, index + 1, &place));
        (x, line) = (x + panel.width, line.max(height));
    }
    out
}

fn drawn(panel: &Panel, id: usize, place: &Value) -> Value {
    let kind = match panel.kind {
        Kind::Row => {
            return json!({ "id": id, "type": "row", "title": panel.title, "gridPos": place, "collapsed": false, "panels": [] });
        }
        Kind::Stat { .. } => "stat",
        Kind::Lines | Kind::Stacked => "timeseries",
        Kind::YesNo => "state-timeline",
        Kind::Table => "table",
    };
    let now = matches!(panel.kind, Kind::Stat { .. } | Kind::Table);
    let targets = panel.targets.iter().zip('A'..).map(|((expr, legend), id)| {
        json!({
            "refId": id, "expr": expr, "legendFormat": legend, "datasource": source(), "instant": now, "range": !now,
            "format": if panel.kind == Kind::Table { "table" } else { "time_series" }, "editorMode": "code",
        })
    });
    json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.about, "gridPos": place, "datasource": source(),
        "targets": targets.collect::<Vec<_>>(),
        "fieldConfig": { "defaults": defaults(panel), "overrides": [] },
        "options": options(panel.kind),
    })
}

fn defaults(panel: &Panel) -> Value {
    let mut defaults = json!({ "unit": panel.unit });
    match panel.kind {
        Kind::Stat { bad_below, decimals } => {
            defaults["decimals"] = json!(decimals);
            defaults["color"] = json!({ "mode": "thresholds" });
            let steps =
                [json!({ "color": "red", "value": null }), json!({ "color": "green", "value": bad_below })];
            defaults["thresholds"] = json!({ "mode": "absolute", "steps": steps });
        }
        Kind::Lines | Kind::Stacked => {
            let stacking = if panel.kind == Kind::Stacked { "normal" } else { "none" };
            let fill = if panel.kind == Kind::Stacked { 40 } else { 0 };
            defaults["min"] = json!(0);
            defaults["custom"] = json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "spanNulls": false,
                "stacking": { "mode": stacking, "group": "A" },
            });
        }
        Kind::YesNo => {
            let words = json!({ "0": { "text": "no", "color": "red", "index": 0 }, "1": { "text": "yes", "color": "green", "index": 1 } });
            defaults["mappings"] = json!([{ "type": "value", "options": words }]);
            defaults["color"] = json!({ "mode": "fixed" });
        }
        Kind::Table | Kind::Row => {}
    }
    defaults
}

fn options(kind: Kind) -> Value {
    match kind {
        Kind::Stat { .. } => json!({
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
            "textMode": "auto", "colorMode": "value", "graphMode": "none", "orientation": "auto", "justifyMode": "auto",
        }),
        Kind::Lines | Kind::Stacked => json!({
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::YesNo => json!({
            "mergeValues": true, "showValue": "never", "rowHeight": 0.8, "alignValue": "left",
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true }, "tooltip": { "mode": "single", "sort": "none" },
        }),
        Kind::Table | Kind::Row => json!({ "showHeader": true }),
    }
}
