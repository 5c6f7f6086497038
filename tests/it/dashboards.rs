//! Boards and rules: the files are current, what they ask is exposed, and the boards keep the rules of good boards.

#[path = "../contract/mod.rs"]
pub mod contract;
pub mod exercise;
pub mod lint;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use exercise::exposition;
use homeostat::telemetry::dashboards::files;
use homeostat::telemetry::metrics::{MetricKind, Metrics};
use homeostat_cluster::root;

/// With `UPDATE_DASHBOARDS=1` the files are written instead.
#[test]
fn generated_files_are_current() {
    let dir = root().join("dashboards");
    if std::env::var_os("UPDATE_DASHBOARDS").is_some() {
        homeostat::cli::dashboards::run(Some(&dir)).unwrap();
    }
    let mut expected: BTreeMap<String, String> = files().unwrap().into_iter().collect();
    for entry in std::fs::read_dir(&dir).expect("run `homeostat dashboards --dir dashboards`") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let wanted = expected.remove(&name);
        assert!(wanted.is_some(), "dashboards/{name} is not generated: delete it");
        assert!(
            wanted == Some(std::fs::read_to_string(&path).unwrap()),
            "dashboards/{name} is stale: run `homeostat dashboards --dir dashboards`"
        );
    }
    assert!(expected.is_empty(), "missing in dashboards/: {:?}", expected.keys());
}

#[test]
fn files_go_to_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    homeostat::cli::dashboards::run(Some(dir.path())).unwrap();
    let count = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(count, files().unwrap().len());
    let error = homeostat::cli::dashboards::run(Some(Path::new("/dev/null/boards"))).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot write /dev/null/boards"),
        "{error}"
    );
}

#[test]
fn what_boards_and_rules_use_is_exposed() {
    let missing = contract::missing(&exposition());
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn what_is_not_exposed_is_found() {
    let text = exposition();
    let without = text.replace("homeostat_limited{", "homeostat_held{");
    assert!(
        contract::missing(&without)
            .iter()
            .any(|m| m.contains("there is no series homeostat_limited")),
        "a metric under another name"
    );
    let without = text.replace("direction=\"", "way=\"");
    assert!(
        contract::missing(&without)
            .iter()
            .any(|m| m.contains("homeostat_scale_events_total has no label direction")),
        "a label under another name"
    );
    let only_declared: String = text
        .lines()
        .filter(|l| !l.starts_with("homeostat_storm"))
        .fold(String::new(), |s, l| s + l + "\n");
    assert!(only_declared.contains("# TYPE homeostat_storm gauge"));
    assert!(
        !contract::missing(&only_declared).is_empty(),
        "declared, and without a value"
    );
}

/// A declared metric that never has a value is a lie.
#[test]
fn every_declared_metric_has_a_value_and_the_labels_that_it_declares() {
    let text = exposition();
    let exposed = contract::exposed(&text);
    for metric in Metrics::describe() {
        let series = match metric.kind {
            MetricKind::Histogram => format!("{}_count", metric.name),
            _ => metric.name.clone(),
        };
        let labels = exposed.get(&series).unwrap_or_else(|| panic!("{series} has no value"));
        let declared: BTreeSet<String> = metric.labels.iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(*labels, declared, "{series}");
        if metric.kind != MetricKind::Gauge {
            let moved = text.lines().any(|l| l.starts_with(&series) && !l.ends_with(" 0"));
            assert!(moved, "{series} was never counted");
        }
    }
}

/// Where each metric gets its value: in the code that runs, not only in the registry.
#[test]
fn every_declared_metric_is_set_by_the_code_that_runs() {
    let source: String = rust_files(&root().join("src"))
        .into_iter()
        .filter(|path| {
            !path.ends_with("telemetry/metrics.rs") && !path.components().any(|c| c.as_os_str() == "dashboards")
        })
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let declared = std::fs::read_to_string(root().join("src/telemetry/metrics.rs")).unwrap();
    for metric in Metrics::describe() {
        let field = metric.name.trim_start_matches("homeostat_").trim_end_matches("_total");
        // Those of policies are read from what is shown of each; whether that is ever set, the test above says.
        if regex::Regex::new(&format!(r"\b{field}: \w+ PerPolicy<"))
            .unwrap()
            .is_match(&declared)
        {
            continue;
        }
        let used = regex::Regex::new(&format!(r"(self|metrics)\s*\.{field}\b")).unwrap();
        assert!(used.is_match(&source), "{} is set nowhere in src/", metric.name);
    }
    for recorder in ["begin_term", "observed", "sees", "decided", "acted"] {
        assert!(
            source.contains(&format!("metrics.{recorder}(")),
            "nobody calls Metrics::{recorder}"
        );
    }
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// What is shown of a policy goes when it goes, when it changes, and when the term ends.
#[test]
fn only_what_is_true_now_is_shown() {
    let mut exercise = exercise::Exercise::new();
    exercise.scaling();
    let shown = |exercise: &exercise::Exercise, start: &str| {
        let text = exercise.metrics.encode().unwrap();
        text.lines()
            .filter(|l| l.starts_with(start))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let web = r#"{namespace="shop",name="web"}"#;
    assert_eq!(
        shown(&exercise, "homeostat_current_replicas"),
        [format!("homeostat_current_replicas{web} 5")]
    );
    assert_eq!(
        shown(&exercise, "homeostat_signal_value"),
        [r#"homeostat_signal_value{namespace="shop",name="web",trigger="rps"} 430.0"#]
    );
    assert_eq!(
        shown(&exercise, "homeostat_signal_target"),
        [r#"homeostat_signal_target{namespace="shop",name="web",trigger="rps"} 500.0"#]
    );

    exercise.sample(441, 5);
    assert_eq!(
        shown(&exercise, "homeostat_signal_value"),
        [r#"homeostat_signal_value{namespace="shop",name="web",trigger="rps"} 441.0"#],
        "a value within the tolerance makes no report, and is shown all the same"
    );

    exercise.suspend(true);
    assert_eq!(
        shown(&exercise, "homeostat_signal_value").len(),
        0,
        "a suspended policy decides nothing"
    );
    assert_eq!(
        shown(&exercise, "homeostat_policy_suspended"),
        [r#"homeostat_policy_suspended{kind="ScalingPolicy",namespace="shop",name="web"} 1"#]
    );
    exercise.suspend(false);
    assert_eq!(
        shown(&exercise, "homeostat_policy_ready{").len(),
        1,
        "one status and reason at a time"
    );

    exercise.metrics.begin_term();
    for gone in [
        "homeostat_policy_ready{",
        "homeostat_desired_replicas{",
        "homeostat_signal_value{",
    ] {
        assert_eq!(shown(&exercise, gone).len(), 0, "{gone} of another term");
    }
    assert!(
        !shown(&exercise, "homeostat_scale_events_total{").is_empty(),
        "counters stay"
    );
    exercise.gone();
    assert_eq!(
        shown(&exercise, "homeostat_scale_events_total{").len(),
        0,
        "and go with their policy"
    );
}

#[test]
fn boards_keep_the_rules_of_good_boards() {
    let mut problems = Vec::new();
    let mut uids = BTreeSet::new();
    for (name, text) in files()
        .unwrap()
        .into_iter()
        .filter(|(name, _)| contract::is_board(name))
    {
        let board: serde_json::Value = serde_json::from_str(&text).unwrap();
        problems.extend(lint::problems(&name, &board));
        assert!(uids.insert(board["uid"].to_string()), "two boards with one uid");
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_board_that_breaks_a_rule_is_found() {
    let (name, text) = files().unwrap().remove(0);
    for (good, bad, rule) in lint::BREAKAGES {
        assert!(text.contains(good), "{good}");
        let board = serde_json::from_str(&text.replacen(good, bad, 1)).unwrap();
        let problems = lint::problems(&name, &board);
        assert!(problems.iter().any(|p| p.contains(rule)), "{rule}: {problems:?}");
    }
}
