//! What is scaled, and by which policies.

use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::{Value, json};

/// So many policies share a namespace.
const TOGETHER: usize = 500;
/// Of so many policies one asks what has no answer.
const ONE_BROKEN_IN: usize = 100;
/// The policy of which the reaction is measured.
pub const QUICK: &str = "quick";
/// Its namespace.
pub const QUICK_NAMESPACE: &str = "quick";

/// The namespace of a policy.
pub fn namespace(i: usize) -> String {
    format!("team-{:02}", i / TOGETHER)
}

/// The name of a policy and of its Deployment.
pub fn name(i: usize) -> String {
    format!("app-{i:05}")
}

/// Whether a policy asks what has no answer.
pub fn is_broken(i: usize) -> bool {
    i % ONE_BROKEN_IN == ONE_BROKEN_IN / 2
}

/// Every namespace.
pub fn namespaces(count: usize) -> Vec<String> {
    let last = count.saturating_sub(1) / TOGETHER;
    (0..=last)
        .map(|i| namespace(i * TOGETHER))
        .chain([QUICK_NAMESPACE.to_owned()])
        .collect()
}

/// Every Deployment; without a controller manager none has pods.
pub fn deployments(count: usize) -> Vec<DynamicObject> {
    let mut all: Vec<_> = (0..count).map(|i| deployment(&namespace(i), &name(i))).collect();
    all.push(deployment(QUICK_NAMESPACE, QUICK));
    all
}

/// Every policy.
pub fn policies(count: usize) -> Vec<DynamicObject> {
    let mut all: Vec<_> = (0..count)
        .map(|i| policy(&namespace(i), &name(i), "15s", &query(i), &json!({})))
        .collect();
    let at_once = json!({"type": "Pods", "value": 10, "periodSeconds": 1});
    let behavior = json!({
        "scaleUp": {"policies": [at_once]},
        "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [at_once]},
    });
    all.push(policy(QUICK_NAMESPACE, QUICK, "1s", "sum(bench_quick)", &behavior));
    all
}

/// Distinct for every policy.
fn query(i: usize) -> String {
    let name = name(i);
    if !is_broken(i) {
        return format!("sum(bench_load{{app=\"{name}\"}})");
    }
    match i / ONE_BROKEN_IN % 3 {
        0 => format!("sum(bench_load{{app=\"{name}\"}}"),
        1 => format!("bench_nothing{{app=\"{name}\"}}"),
        _ => format!("bench_load{{app=~\"{}.\"}}", &name[..name.len() - 1]),
    }
}

fn policy(namespace: &str, name: &str, interval: &str, query: &str, behavior: &Value) -> DynamicObject {
    object(json!({
        "apiVersion": "homeostat.dev/v1alpha1", "kind": "ScalingPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": name},
            "minReplicas": 1, "maxReplicas": 20, "interval": interval,
            "triggers": [{"name": "load", "prometheus": {"query": query}, "target": {"averageValue": "100"}}],
            "behavior": behavior,
        },
    }))
}

/// Of the size that they usually have.
fn deployment(namespace: &str, name: &str) -> DynamicObject {
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": namespace});
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10});
    let env: Vec<_> = (0..8)
        .map(|i| json!({"name": format!("SETTING_{i}"), "value": format!("value of setting {i}")}))
        .collect();
    object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": "app", "image": format!("registry.example.com/{namespace}/{name}:1.0.0"), "env": env,
                    "ports": [{"containerPort": 8080}], "livenessProbe": probe, "readinessProbe": probe,
                    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                }]},
            },
        },
    }))
}

fn object(value: Value) -> DynamicObject {
    DynamicObject::deserialize(value).unwrap()
}
