//! The rules of good boards, as far as they can be checked without Grafana: those of Grafana's dashboard linter, and the
//! shape of the classic model.

use std::collections::BTreeSet;

use serde_json::Value;

use super::contract::{label_values, selected};

/// Grafana's names of the units that are used.
const UNITS: [&str; 5] = ["short", "s", "percentunit", "ops", "Bps"];

/// A change to the fleet board, and the rule that must notice it.
pub const BREAKAGES: &[(&str, &str, &str)] = &[
    (r#""editable": false"#, r#""editable": true"#, "uneditable-dashboard"),
    (
        r#""label": "Data source""#,
        r#""label": "Source""#,
        "template-datasource",
    ),
    (r#""allValue": ".+""#, r#""allValue": null"#, "template-job"),
    (r#""label": "Instance""#, r#""label": "Pod""#, "template-instance"),
    (r#""refresh": 2"#, r#""refresh": 1"#, "template-on-time-change-reload"),
    ("[$__rate_interval]", "[5m]", "target-rate-interval"),
    (
        r#"sum(homeostat_leader{job=~\"$job\", "#,
        "sum(homeostat_leader{",
        "target-job",
    ),
    (
        r#"homeostat_leader{job=~\"$job\", instance=~\"$instance\"}"#,
        r#"homeostat_leader{job=~\"$job\"}"#,
        "target-instance",
    ),
    (
        r#""expr": "sum(homeostat_leader"#,
        r#""expr": "sum((homeostat_leader"#,
        "target-promql",
    ),
    (
        r#""expr": "sum(homeostat_leader"#,
        r#""expr": "sum(homeostat_steps_total"#,
        "target-counter-agg",
    ),
    (r#""unit": "short""#, r#""unit": "things""#, "panel-units"),
    (r#""schemaVersion": 39"#, r#""schemaVersion": 12"#, "classic model"),
];

/// Everything that is wrong with a board, each with the rule's name.
pub fn problems(file: &str, board: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut blame = |rule: &str, what: String| found.push(format!("{file}: {rule}: {what}"));
    shape(board, &mut blame);
    templates(board, &mut blame);
    for panel in list(&board["panels"]).iter().filter(|p| p["type"] != "row") {
        of_panel(panel, &mut blame);
    }
    for mark in list(&board["annotations"]["list"]) {
        if mark["datasource"]["uid"] != "${datasource}" {
            blame("annotations", format!("{} has a data source of its own", mark["name"]));
        }
    }
    if list(&board["annotations"]["list"]).len() < 2 {
        blame("annotations", "scale events or healing are not marked".into());
    }
    found
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn shape(board: &Value, blame: &mut impl FnMut(&str, String)) {
    let rule = "classic model";
    if board["editable"] != false {
        blame("uneditable-dashboard", "it can be edited in place".into());
    }
    let version = board["schemaVersion"].as_i64().unwrap_or_default();
    if !(39..=42).contains(&version) {
        blame(rule, format!("schemaVersion {version}"));
    }
    let uid = board["uid"].as_str().unwrap_or_default();
    let right = board["id"].is_null()
        && !uid.is_empty()
        && uid.len() <= 40
        && board["timezone"] == "utc"
        && !list(&board["tags"]).is_empty()
        && board["title"].as_str().is_some_and(|t| t.starts_with("Homeostat / "))
        && board["description"].as_str().is_some_and(|t| t.len() > 20);
    if !right {
        blame(rule, "id, uid, time zone, tags, title or description".into());
    }
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in list(&board["panels"]) {
        let title = panel["title"].to_string();
        if !ids.insert(panel["id"].to_string()) || !titles.insert(title.clone()) {
            blame(rule, format!("{title}: its id or title is used twice"));
        }
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap_or_default();
        if side("x") + side("w") > 24 || side("w") == 0 || side("h") == 0 {
            blame(rule, format!("{title} does not fit on the grid"));
        }
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                if !cells.insert((x, y)) {
                    return blame(rule, format!("{title} overlaps another panel"));
                }
            }
        }
    }
}

fn templates(board: &Value, blame: &mut impl FnMut(&str, String)) {
    let variables = list(&board["templating"]["list"]);
    let named = |name: &str| {
        variables
            .iter()
            .find(|v| v["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let sources = variables.iter().filter(|v| v["type"] == "datasource").count();
    let source = named("datasource");
    if sources != 1 || source["label"] != "Data source" || source["query"] != "prometheus" {
        blame("template-datasource", format!("{source}"));
    }
    for (name, label) in [("job", "Job"), ("instance", "Instance")] {
        let variable = named(name);
        let right = variable["type"] == "query"
            && variable["label"] == label
            && variable["multi"] == true
            && variable["allValue"] == ".+"
            && variable["datasource"]["uid"] == "${datasource}"
            && variable["query"]
                .as_str()
                .is_some_and(|q| q.starts_with("label_values("));
        if !right {
            blame(&format!("template-{name}"), format!("{variable}"));
        }
    }
    for variable in variables.iter().filter(|v| v["type"] == "query") {
        let (selector, _) = label_values(variable["query"].as_str().unwrap_or_default());
        if let Err(problem) = selected(&selector) {
            blame("template-label-promql", problem);
        }
        if variable["refresh"] != 2 {
            blame("template-on-time-change-reload", variable["name"].to_string());
        }
    }
}

fn of_panel(panel: &Value, blame: &mut impl FnMut(&str, String)) {
    let title = &panel["title"];
    if panel["datasource"]["uid"] != "${datasource}" {
        blame("panel-datasource", title.to_string());
    }
    let described = panel["description"].as_str().is_some_and(|d| d.ends_with('.'));
    if !described || title.as_str().is_none_or(str::is_empty) {
        blame("panel-title-description", title.to_string());
    }
    if !UNITS.contains(&panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default()) {
        blame("panel-units", title.to_string());
    }
    let targets = list(&panel["targets"]);
    if targets.is_empty() {
        blame("panel-no-targets", title.to_string());
    }
    let ids: BTreeSet<String> = targets.iter().map(|t| t["refId"].to_string()).collect();
    if ids.len() != targets.len() {
        blame("classic model", format!("{title}: two targets with one refId"));
    }
    for target in &targets {
        let expr = target["expr"].as_str().unwrap_or_default();
        let mut of_target = |rule: &str, what: &str| blame(rule, format!("{title}: {what}: {expr}"));
        if target["datasource"]["uid"] != "${datasource}" {
            of_target("panel-datasource", "the target has its own");
        }
        match selected(expr) {
            Err(problem) => of_target("target-promql", &problem),
            Ok(parts) => {
                let lacks = |label: &str| parts.iter().any(|part| !part.labels.contains(label));
                if lacks("job") || !expr.contains("job=~\"$job\"") {
                    of_target("target-job", "a selector without it");
                }
                if lacks("instance") || !expr.contains("instance=~\"$instance\"") {
                    of_target("target-instance", "a selector without it");
                }
            }
        }
        of_rates(expr, &mut of_target);
    }
}

/// Rates are taken over `$__rate_interval`, and of every counter.
fn of_rates(expr: &str, blame: &mut impl FnMut(&str, &str)) {
    let ranges = expr.split('[').skip(1).filter_map(|rest| rest.split(']').next());
    if ranges.into_iter().any(|range| range != "$__rate_interval") {
        blame("target-rate-interval", "a range of its own");
    }
    let counter = regex::Regex::new(r"(\w*)\(?homeostat_\w+_total\b").unwrap();
    for found in counter.captures_iter(expr) {
        if !["rate", "irate", "increase"].contains(&&found[1]) {
            blame("target-counter-agg", "a counter without a rate");
        }
    }
}
