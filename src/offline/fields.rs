//! Fields that a kind does not have. A Kubernetes client reads past them, so that a slip of the pen would go unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Node, Pod};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use crate::api::{GROUP, VERSION, all_crds};

/// The first field of an object that its kind does not have, with its path and what is allowed there; `None` where there is
/// none, or where the kind is not known here. Metadata may hold whatever the API server put there.
#[must_use]
pub fn unknown(api_version: &str, kind: &str, object: &Value) -> Option<String> {
    let root = schemas().get(&(api_version.to_owned(), kind.to_owned()))?;
    let known = properties(root, root);
    let fields = object.as_object()?;
    for (name, value) in fields {
        if matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        // Statuses of other versions are no mistake of who wrote the policy.
        if name == "status" && api_version.starts_with(GROUP) {
            continue;
        }
        let Some(schema) = known.get(name.as_str()) else {
            return Some(sentence(name, &known));
        };
        if let Some(found) = walk(root, schema, name, value) {
            return Some(found);
        }
    }
    None
}

fn schemas() -> &'static BTreeMap<(String, String), Value> {
    static SCHEMAS: OnceLock<BTreeMap<(String, String), Value>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let mut all = BTreeMap::new();
        for crd in all_crds() {
            let schema = crd.spec.versions.first().and_then(|v| v.schema.as_ref());
            let schema = schema.and_then(|s| serde_json::to_value(&s.open_api_v3_schema).ok());
            let version = format!("{GROUP}/{VERSION}");
            all.insert((version, crd.spec.names.kind.clone()), schema.unwrap_or_default());
        }
        let mut add = |version: &str, kind: &str, schema| all.insert((version.into(), kind.into()), schema);
        add("v1", "Pod", schema_of::<Pod>());
        add("v1", "Node", schema_of::<Node>());
        add("apps/v1", "Deployment", schema_of::<Deployment>());
        add("apps/v1", "StatefulSet", schema_of::<StatefulSet>());
        add("apps/v1", "ReplicaSet", schema_of::<ReplicaSet>());
        add(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            schema_of::<HorizontalPodAutoscaler>(),
        );
        all
    })
}

fn schema_of<T: JsonSchema>() -> Value {
    SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

/// The schemas that hold for a place: itself, what it refers to, and its parts.
fn parts<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![schema];
    let mut next = 0;
    while let Some(schema) = found.get(next).copied().filter(|_| next < 64) {
        next += 1;
        let target = schema.get("$ref").and_then(Value::as_str);
        found.extend(target.and_then(|t| root.pointer(t.trim_start_matches('#'))));
        for key in ["allOf", "anyOf", "oneOf"] {
            found.extend(schema.get(key).and_then(Value::as_array).into_iter().flatten());
        }
    }
    found
}

fn properties<'a>(root: &'a Value, schema: &'a Value) -> BTreeMap<&'a str, &'a Value> {
    let all = parts(root, schema).into_iter();
    let all = all.filter_map(|s| s.get("properties").and_then(Value::as_object));
    all.flatten().map(|(name, schema)| (name.as_str(), schema)).collect()
}

fn walk(root: &Value, schema: &Value, path: &str, value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => {
            let of_items = parts(root, schema).into_iter().find_map(|s| s.get("items"))?;
            let mut each = items.iter().enumerate();
            each.find_map(|(i, item)| walk(root, of_items, &format!("{path}[{i}]"), item))
        }
        Value::Object(map) => {
            let known = properties(root, schema);
            let free = parts(root, schema)
                .into_iter()
                .find_map(|s| s.get("additionalProperties"));
            let closed = !known.is_empty();
            map.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                match (known.get(name.as_str()), free) {
                    (Some(schema), _) => walk(root, schema, &path, value),
                    (None, Some(schema)) => walk(root, schema, &path, value),
                    (None, None) if closed => Some(sentence(&path, &known)),
                    (None, None) => None,
                }
            })
        }
        _ => None,
    }
}

fn sentence(path: &str, known: &BTreeMap<&str, &Value>) -> String {
    let allowed: BTreeSet<&str> = known.keys().copied().collect();
    let allowed: Vec<&str> = allowed.into_iter().collect();
    format!("{path}: unknown field; there are {}", allowed.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_found_with_its_path() {
        let policy = |spec: Value| unknown("homeostat.dev/v1alpha1", "ScalingPolicy", &json!({"spec": spec}));
        assert_eq!(
            policy(json!({"minReplicas": 1, "behavior": {"scaleUp": {"policies": [{"type": "Pods"}]}}})),
            None
        );
        let found = policy(json!({"triggers": [{"name": "a", "prometheus": {"qery": "x"}}]})).unwrap();
        assert!(
            found.starts_with("spec.triggers[0].prometheus.qery: unknown field; there are combine, maxAge, query"),
            "{found}"
        );
        let pod = |pod: Value| unknown("v1", "Pod", &pod);
        let found = pod(json!({"spec": {"containers": [{"name": "a", "resource": {}}]}})).unwrap();
        assert!(
            found.starts_with("spec.containers[0].resource: unknown field; there are args"),
            "{found}"
        );
        let found = pod(json!({"status": {"startime": "x"}})).unwrap();
        assert!(found.starts_with("status.startime"), "{found}");
        let limits = json!({"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}], "overhead": {"cpu": "1"}}});
        assert_eq!(pod(limits), None);
        assert_eq!(unknown("example.com/v1", "Thing", &json!({"anything": 1})), None);
    }
}
