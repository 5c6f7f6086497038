//! The examples: every object of Homeostat's kinds in them is accepted, and what the demo replays and models is as its
//! documentation says.

#[path = "../../demo/shop.rs"]
mod shop;
#[path = "../../demo/trace.rs"]
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use homeostat_cluster::objects;
use serde_json::Value;
use shop::{CAPACITY, Shop};
use trace::{Gap, Trace};

use super::crds::{schemas, structural};

fn examples() -> PathBuf {
    homeostat_cluster::root().join("examples")
}

/// Every object of the YAML files below a folder, with its file.
fn objects_below(folder: &Path, found: &mut Vec<(PathBuf, Value)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            objects_below(&path, found);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let objects = objects::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            found.extend(objects.iter().map(|o| (path.clone(), serde_json::to_value(o).unwrap())));
        }
    }
}

#[test]
fn policies_are_accepted() {
    let (schemas, mut found, mut kinds) = (schemas(), Vec::new(), BTreeSet::new());
    objects_below(&examples(), &mut found);
    for (path, object) in &found {
        let kind = object["kind"].as_str().unwrap();
        if object["apiVersion"] != "homeostat.dev/v1alpha1" || object["kind"] == "Snapshot" {
            continue;
        }
        let verdict = structural::verdict(&schemas[kind], object);
        assert_eq!(verdict, Vec::<String>::new(), "{}", path.display());
        kinds.insert(kind.to_owned());
    }
    for kind in ["GitSource", "ScalingPolicy", "HealingPolicy", "NodePoolPolicy"] {
        assert!(kinds.contains(kind), "no example of {kind} in {kinds:?}");
    }
}

/// What the demo pushes as a bad commit is bad, and for one reason.
#[test]
fn the_bad_commit_is_rejected() {
    let text = std::fs::read_to_string(examples().join("shop/deploy/scaling.yaml")).unwrap();
    assert!(text.contains("maxReplicas: 30"));
    let bad = objects::parse(&text.replace("maxReplicas: 30", "maxReplicas: 1")).unwrap();
    let verdict = structural::verdict(&schemas()["ScalingPolicy"], &serde_json::to_value(&bad[0]).unwrap());
    assert_eq!(verdict.len(), 1, "{verdict:?}");
    assert!(
        verdict[0].contains("maxReplicas must be at least minReplicas"),
        "{verdict:?}"
    );
}

/// What the shop's repository declares, its GitSource allows and its ServiceAccount may apply.
#[test]
fn the_shop_may_apply_what_it_declares() {
    let mut bootstrap = Vec::new();
    objects_below(&examples().join("shop/bootstrap"), &mut bootstrap);
    let mut declared = Vec::new();
    objects_below(&examples().join("shop/deploy"), &mut declared);
    let all = |kind: &'static str| bootstrap.iter().map(|(_, o)| o).filter(move |o| o["kind"] == kind);
    let allowed: Vec<Value> = all("GitSource")
        .flat_map(|o| o["spec"]["kinds"].as_array().unwrap().clone())
        .collect();
    let rules: Vec<Value> = ["Role", "ClusterRole"]
        .iter()
        .flat_map(|kind| all(kind))
        .flat_map(|o| o["rules"].as_array().unwrap().clone())
        .collect();
    for (path, object) in &declared {
        let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let is_allowed = |a: &&Value| a["group"] == group && (a["kind"] == kind || a["kind"] == "*");
        assert!(
            allowed.iter().any(|a| is_allowed(&a)),
            "{}: {kind} is not allowed",
            path.display()
        );
        let plural = match kind.strip_suffix('y') {
            Some(stem) => format!("{}ies", stem.to_lowercase()),
            None => format!("{}s", kind.to_lowercase()),
        };
        let grants = |rule: &&Value| {
            let has = |key: &str, value: &str| rule[key].as_array().unwrap().iter().any(|v| v == value);
            has("apiGroups", group) && has("resources", &plural) && has("verbs", "patch") && has("verbs", "create")
        };
        assert!(
            rules.iter().any(|r| grants(&r)),
            "{}: nobody may apply {kind}",
            path.display()
        );
    }
}

#[test]
fn a_gap_in_a_trace_is_read_as_wished() {
    let trace = Trace::parse("t_s,value\n0,5\n60,7\n240,9\n", 60.0).unwrap();
    for gap in [Gap::Hold, Gap::Zero, Gap::Missing] {
        assert_eq!(trace.at(59.0, gap), Some(5.0));
        assert_eq!(trace.at(119.0, gap), Some(7.0), "{gap:?}: a sample counts for its step");
        assert_eq!(trace.at(240.0, gap), Some(9.0));
        assert_eq!(
            trace.at(-1.0, gap),
            None,
            "{gap:?}: nothing is known before the first sample"
        );
    }
    assert_eq!(trace.at(130.0, Gap::Hold), Some(7.0));
    assert_eq!(trace.at(130.0, Gap::Zero), Some(0.0));
    assert_eq!(trace.at(130.0, Gap::Missing), None);
    for bad in [
        "t_s,value\n",
        "t_s,value\n0;5\n",
        "t_s,value\n60,1\n0,1\n",
        "t_s,value\n0,NaN\n",
    ] {
        assert!(Trace::parse(bad, 60.0).is_err(), "{bad:?}");
    }
}

#[test]
fn the_recorded_day_is_whole() {
    let trace = Trace::read(&examples().join("traces/nasa_http_1min.csv"), 60.0).unwrap();
    let day = |minute: u32| 12.0 * 86_400.0 + f64::from(minute) * 60.0;
    let most = (0..1440)
        .filter_map(|m| trace.at(day(m), Gap::Zero))
        .fold(0.0, f64::max);
    let sum: f64 = (0..1440).filter_map(|m| trace.at(day(m), Gap::Zero)).sum();
    assert!((most - 405.0).abs() < 0.1, "{most}");
    assert!((sum - 134_203.0).abs() < 0.1, "{sum}");
}

fn ready(count: usize) -> BTreeSet<String> {
    (0..count).map(|n| format!("pod-{n}")).collect()
}

fn value(shop: &Shop, series: &str) -> f64 {
    let text = shop.metrics();
    let sum = text.lines().filter(|line| line.starts_with(&format!("{series}{{")));
    sum.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn the_load_depends_on_the_ready_pods() {
    let seen: BTreeMap<usize, (f64, f64, f64)> = [2, 5, 10]
        .into_iter()
        .map(|pods| {
            let mut shop = Shop::with_load(Some(600.0));
            shop.set_ready(&ready(pods));
            shop.advance(1.0);
            (pods, (value(&shop, "http_requests_total"), shop.waiting, shop.per_pod))
        })
        .collect();
    assert_eq!(
        seen[&2],
        (200.0, 400.0, CAPACITY),
        "two pods serve what they can, and the rest waits"
    );
    assert_eq!(seen[&5], (500.0, 100.0, CAPACITY));
    assert_eq!(seen[&10], (600.0, 0.0, 60.0), "ten pods share it");
}

#[test]
fn what_waits_is_served_later_or_given_up() {
    let mut shop = Shop::with_load(Some(300.0));
    for _ in 0..100 {
        shop.advance(1.0);
    }
    assert!(
        value(&shop, "http_requests_total").abs() < 1e-6,
        "no pod serves nothing"
    );
    assert!((shop.waiting - 3000.0).abs() < 1e-6, "ten seconds of patience");
    assert!((shop.given_up - 27_000.0).abs() < 1e-6);
    shop.set_ready(&ready(10));
    for _ in 0..10 {
        shop.advance(1.0);
    }
    assert!(shop.waiting.abs() < 1e-6);
    assert!((shop.arrived - 33_000.0).abs() < 1e-6);
    assert!((value(&shop, "http_requests_total") + shop.given_up - shop.arrived).abs() < 1e-6);
}

#[test]
fn without_a_known_load_there_is_no_metric() {
    let mut shop = Shop::with_load(None);
    shop.set_ready(&ready(3));
    assert_eq!(shop.metrics(), "");
}
