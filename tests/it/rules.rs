//! Prometheus rules: accepted by promtool, tested alert by alert, each with its section in the runbooks.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use homeostat::telemetry::dashboards::files;
use homeostat_cluster::root;
use serde_json::Value;

/// Runs promtool in the folder of the rules.
fn promtool(args: &[&str]) -> Result<String, String> {
    let run = Command::new("promtool")
        .args(args)
        .current_dir(root().join("dashboards"))
        .output();
    let output = run.map_err(|e| format!("promtool cannot be run ({e}): install the Debian package `prometheus`"))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() { Ok(text) } else { Err(text) }
}

fn test_files() -> Vec<String> {
    let dir = std::fs::read_dir(root().join("dashboards/tests")).unwrap();
    let mut names: Vec<String> = dir
        .map(|e| format!("tests/{}", e.unwrap().file_name().to_string_lossy()))
        .collect();
    names.sort();
    names
}

fn rules() -> Vec<Value> {
    let (_, text) = files()
        .unwrap()
        .into_iter()
        .find(|(name, _)| name == "rules.yaml")
        .unwrap();
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    let groups = rules["groups"].as_array().unwrap().clone();
    groups
        .iter()
        .flat_map(|g| g["rules"].as_array().unwrap().clone())
        .collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

#[test]
fn promtool_accepts_the_rules() {
    promtool(&["check", "rules", "rules.yaml"]).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn promtool_finds_every_alert_silent_before_its_time_and_firing_at_it() {
    let tests = test_files();
    let mut args = vec!["test", "rules"];
    args.extend(tests.iter().map(String::as_str));
    promtool(&args).unwrap_or_else(|e| panic!("{e}"));
}

/// Every alert has a test in which it is silent and a later one in which it fires.
#[test]
fn every_alert_is_tested() {
    let mut seen: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for file in test_files() {
        let text = std::fs::read_to_string(root().join("dashboards").join(&file)).unwrap();
        let tests: Value = serde_saphyr::from_str(&text).unwrap();
        for test in tests["tests"].as_array().unwrap() {
            for case in test["alert_rule_test"].as_array().into_iter().flatten() {
                let fires = case["exp_alerts"].as_array().is_some_and(|a| !a.is_empty());
                seen.entry(case["alertname"].as_str().unwrap().to_owned())
                    .or_default()
                    .insert(fires);
            }
        }
    }
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert_eq!(
            seen.remove(name),
            Some(BTreeSet::from([false, true])),
            "{name} in dashboards/tests"
        );
    }
    assert!(seen.is_empty(), "tests of alerts that there are not: {seen:?}");
}

#[test]
fn alerts_say_what_is_wrong_and_where_to_read_on() {
    let runbooks = std::fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    let headings = runbooks.lines().filter_map(|line| line.strip_prefix("## "));
    let anchors: BTreeSet<String> = headings.map(str::to_lowercase).collect();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(name.starts_with("Homeostat"), "{name}");
        assert!(alert["for"].is_string(), "{name} has no `for`");
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: {severity}"
        );
        let text = |what: &str| alert["annotations"][what].as_str().unwrap_or_default().to_owned();
        assert!(
            !text("summary").contains("{{") && text("summary").ends_with('.'),
            "{name}: summary"
        );
        assert!(text("description").ends_with('.'), "{name}: description");
        let anchor = name.to_lowercase();
        assert_eq!(text("runbook_url"), format!("docs/runbooks.md#{anchor}"));
        assert!(anchors.contains(&anchor), "docs/runbooks.md has no section {name}");
    }
    for section in ["Meaning", "Impact", "What to look at", "What to do"] {
        let count = runbooks.matches(&format!("**{section}.**")).count();
        assert_eq!(count, alerts().len(), "sections of docs/runbooks.md with {section}");
    }
}

#[test]
fn the_manifest_has_the_same_rules() {
    let all = files().unwrap();
    let (_, text) = all.iter().find(|(name, _)| name == "prometheusrule.yaml").unwrap();
    let manifest: Value = serde_saphyr::from_str(text).unwrap();
    assert_eq!(manifest["kind"], "PrometheusRule");
    let groups = manifest["spec"]["groups"].as_array().unwrap();
    let its: Vec<Value> = groups
        .iter()
        .flat_map(|g| g["rules"].as_array().unwrap().clone())
        .collect();
    assert_eq!(its, rules());
}
