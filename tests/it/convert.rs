//! `homeostat convert`: the cases of `tests/cases/convert` give the policies and the report that are beside them, every policy
//! is one that the API server and the operator take, and a HorizontalPodAutoscaler's numbers arrive unchanged.

mod command;
mod numbers;
mod same;

use std::path::{Path, PathBuf};

use homeostat::api::convert::event;
use homeostat::core::event::Event;
use homeostat::core::names::PolicyKind;
use homeostat::offline::convert::read::read;
use homeostat::offline::convert::{Conversion, Options, convert, write};
use homeostat_cluster::{objects, root};
use serde_json::Value;

use super::crds::{schemas, structural};

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/cases/convert")).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn converted(path: &Path, options: Options) -> Conversion {
    let mut input = read(&[path.display().to_string()]);
    // As somebody sees it who stands in the folder.
    let folder = format!("{}/", path.parent().unwrap().display());
    input
        .sources
        .iter_mut()
        .for_each(|s| s.place = s.place.replace(&folder, ""));
    input
        .problems
        .iter_mut()
        .for_each(|p| p.place = p.place.replace(&folder, ""));
    convert(&input.sources, input.problems, options)
}

/// With `UPDATE_CONVERT=1` the files are written instead.
#[test]
fn cases_give_the_policies_and_reports_beside_them() {
    let update = std::env::var_os("UPDATE_CONVERT").is_some();
    let mut stale = Vec::new();
    for case in cases() {
        let conversion = converted(&case.join("in.yaml"), Options::default());
        let policies = write::documents(&conversion.policies).unwrap();
        for (name, text) in [("out.yaml", policies), ("report.txt", conversion.report.text())] {
            let path = case.join(name);
            if update {
                std::fs::write(&path, &text).unwrap();
            } else if std::fs::read_to_string(&path).unwrap_or_default() != text {
                stale.push(format!("{}\n{text}", path.display()));
            }
        }
    }
    assert!(
        stale.is_empty(),
        "not as the file says (UPDATE_CONVERT=1 writes it): {}",
        stale.join("\n")
    );
}

#[test]
fn every_policy_is_accepted() {
    let (schemas, mut count) = (schemas(), 0);
    for case in cases() {
        for object in objects::parse(&std::fs::read_to_string(case.join("out.yaml")).unwrap()).unwrap() {
            let value = serde_json::to_value(&object).unwrap();
            let name = format!("{} {}", case.display(), value["metadata"]["name"]);
            assert_eq!(
                structural::verdict(&schemas["ScalingPolicy"], &value),
                Vec::<String>::new(),
                "{name}"
            );
            let event = event(PolicyKind::ScalingPolicy, object);
            assert!(matches!(event, Event::ScalingPolicy { .. }), "{name}: {event:?}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

/// The servers that the policies name are ones that the OperatorConfig takes.
#[test]
fn the_snippet_is_an_operator_config() {
    let case = root().join("tests/cases/convert/keda-prometheus/in.yaml");
    let conversion = converted(&case, Options::default());
    let config = conversion.report.operator_config.unwrap();
    assert_eq!(
        structural::verdict(&schemas()["OperatorConfig"], &config),
        Vec::<String>::new()
    );
    let known: Vec<&str> = config["spec"]["prometheus"]
        .as_array()
        .unwrap()
        .iter()
        .map(|server| server["name"].as_str().unwrap())
        .collect();
    for policy in &conversion.policies {
        for prometheus in policy.spec.triggers.iter().filter_map(|t| t.prometheus.as_ref()) {
            let server = prometheus.server.as_deref().unwrap();
            assert!(known.contains(&server), "{server} is not in {known:?}");
        }
    }
    assert!(
        !config.to_string().contains("secret\""),
        "no credential is repeated: {config}"
    );
}

#[test]
fn native_policies_have_no_compat_and_say_so() {
    let case = root().join("tests/cases/convert/hpa-defaults/in.yaml");
    let compat = |native| {
        let options = Options {
            native,
            ..Options::default()
        };
        let conversion = converted(&case, options);
        let all = conversion.policies.iter().map(|p| p.spec.compat.is_some());
        (all.collect::<Vec<_>>(), conversion.report.text())
    };
    assert_eq!(compat(false).0, [true, true]);
    let (native, report) = compat(true);
    assert_eq!(native, [false, false]);
    assert!(report.contains("without compat: HPAv2"), "{report}");
}

/// What lacks a trigger must not scale by the others alone.
#[test]
fn what_is_incomplete_is_a_dry_run() {
    for (case, dry) in [("keda-strangers", true), ("keda-cron", true), ("keda-idle", false)] {
        let path = root().join(format!("tests/cases/convert/{case}/in.yaml"));
        for policy in converted(&path, Options::default()).policies {
            let mode: Value = serde_json::to_value(&policy).unwrap()["spec"]["mode"].clone();
            assert_eq!(mode == "DryRun", dry, "{case}");
        }
        let options = Options {
            dry_run: true,
            ..Options::default()
        };
        for policy in converted(&path, options).policies {
            assert_eq!(serde_json::to_value(&policy).unwrap()["spec"]["mode"], "DryRun");
        }
    }
}
