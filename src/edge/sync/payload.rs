//! What is sent to the API server for a declared object, and how what is there differs from it.

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{MANAGER, SOURCE_ANNOTATION};

/// Where an active ScalingPolicy's field is.
const REPLICAS: &str = "/spec/replicas";
/// At most so many differences are named.
const DIFFERENCES: usize = 8;

/// The declared object as it is applied: with its namespace and the name of its source, without what belongs to the server.
pub(super) fn base(declared: &Value, namespace: &str, source: &str) -> Value {
    let mut object = declared.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return object;
    };
    for server_side in [
        "managedFields",
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "generation",
        "selfLink",
    ] {
        metadata.remove(server_side);
    }
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".into(), json!(namespace));
    }
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[SOURCE_ANNOTATION] = json!(source);
    object
}

/// The payload over what is there now: the API server refuses it when that has changed since it was read. Where an active
/// policy owns `replicas`, they are left as they are: stripped where another manager applies them, otherwise sent as they are
/// found (as Flux does), so that ownership never ends in a reset to 1.
pub(super) fn prepare(base: &Value, live: Option<&DynamicObject>, owned: bool) -> Value {
    let mut payload = base.clone();
    let Some(live) = live else { return payload };
    if let Some(metadata) = payload.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".into(), json!(live.resource_version()));
    }
    let Some(spec) = payload.get_mut("spec").filter(|_| owned).and_then(Value::as_object_mut) else {
        return payload;
    };
    let concerns_us = spec.contains_key("replicas") || applies_replicas(live, |manager| manager == MANAGER);
    let found = live.data.pointer(REPLICAS);
    match found.filter(|_| concerns_us && !applies_replicas(live, |manager| manager != MANAGER)) {
        Some(replicas) => spec.insert("replicas".into(), replicas.clone()),
        None => spec.remove("replicas"),
    };
    payload
}

/// Whether such a manager applies `replicas` on the object itself.
fn applies_replicas(live: &DynamicObject, who: impl Fn(&str) -> bool) -> bool {
    live.managed_fields().iter().any(|entry| {
        entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
            && entry.manager.as_deref().is_some_and(&who)
            && entry
                .fields_v1
                .as_ref()
                .is_some_and(|f| f.0.pointer("/f:spec/f:replicas").is_some())
    })
}

/// Whether this source's manager has applied the object before.
pub(super) fn is_ours(live: &DynamicObject, source: &str) -> bool {
    live.annotations().get(SOURCE_ANNOTATION).is_some_and(|s| s == source)
        && live
            .managed_fields()
            .iter()
            .any(|e| e.manager.as_deref() == Some(MANAGER) && e.operation.as_deref() == Some("Apply"))
}

/// Who else claims an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Another GitSource, `namespace/name`.
    Source(String),
    /// Another tool, in words.
    Tool(String),
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source(key) => write!(f, "GitSource {key}"),
            Self::Tool(tool) => f.write_str(tool),
        }
    }
}

/// Another tool, or another GitSource, that claims the object.
pub(super) fn other_claim(live: &DynamicObject, source: &str) -> Option<Claim> {
    if let Some(other) = live.annotations().get(SOURCE_ANNOTATION)
        && other != source
    {
        return Some(Claim::Source(other.clone()));
    }
    let flux = ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];
    if let Some(name) = flux.iter().find_map(|label| live.labels().get(*label)) {
        return Some(Claim::Tool(format!("Flux ({name})")));
    }
    let argo = live.annotations().get("argocd.argoproj.io/tracking-id")?;
    // As Argo CD itself reads it: an id that names another object was copied along with a template.
    let names_it = argo.rsplit('/').next() == live.metadata.name.as_deref();
    names_it.then(|| Claim::Tool(format!("Argo CD ({argo})")))
}

/// Where two versions of an object differ, as JSON pointers, apart from what the server keeps for itself.
pub(super) fn differences(live: &DynamicObject, wanted: &DynamicObject) -> Vec<String> {
    let value = |object: &DynamicObject| {
        let mut value =
            json!({"data": object.data.clone(), "labels": object.labels(), "annotations": object.annotations()});
        if let Some(data) = value.get_mut("data").and_then(Value::as_object_mut) {
            data.remove("status");
        }
        value
    };
    let (live, wanted) = (value(live), value(wanted));
    let mut found = Vec::new();
    compare("", &live["data"], &wanted["data"], &mut found);
    compare("/metadata/labels", &live["labels"], &wanted["labels"], &mut found);
    compare(
        "/metadata/annotations",
        &live["annotations"],
        &wanted["annotations"],
        &mut found,
    );
    found
}

fn compare(path: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    if a == b || found.len() >= DIFFERENCES {
        return;
    }
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                let side = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&format!("{path}/{escaped}"), &side(a), &side(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{i}"), a, b, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// Who wrote last, other than this source and the cluster's controllers' status writes: for people to know whom to ask.
pub(super) fn last_writer(live: &DynamicObject) -> Option<String> {
    let others = live
        .managed_fields()
        .iter()
        .filter(|e| e.manager.as_deref() != Some(MANAGER) && e.subresource.as_deref().unwrap_or_default().is_empty());
    others
        .max_by_key(|e| e.time.as_ref().map(|t| t.0))
        .and_then(|e| e.manager.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "a test reads better so")]
    fn live(replicas: i64, managers: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "managedFields": managers, "labels": {"a/b": "1"}},
            "spec": {"replicas": replicas, "paused": false},
            "status": {"replicas": 3},
        }))
        .unwrap()
    }

    fn manager(name: &str, operation: &str, subresource: &str) -> Value {
        json!({"manager": name, "operation": operation, "subresource": subresource, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    }

    fn declared() -> Value {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "uid": "x"},
            "spec": {"replicas": 2}, "status": {"replicas": 1}});
        base(&object, "shop", "shop/deploy")
    }

    #[test]
    fn what_belongs_to_the_server_is_left_out() {
        let payload = declared();
        assert_eq!(payload.pointer("/status"), None);
        assert_eq!(payload.pointer("/metadata/uid"), None);
        assert_eq!(payload.pointer("/metadata/namespace"), Some(&json!("shop")));
        assert_eq!(
            payload.pointer("/metadata/annotations/homeostat.dev~1source"),
            Some(&json!("shop/deploy"))
        );
    }

    #[test]
    fn owned_replicas_are_left_as_they_are() {
        let scaled = live(7, json!([manager("homeostat", "Update", "scale")]));
        let replicas = |payload: &Value| payload.pointer("/spec/replicas").cloned();
        assert_eq!(
            replicas(&prepare(&declared(), Some(&scaled), true)),
            Some(json!(7)),
            "adopted"
        );
        assert_eq!(
            replicas(&prepare(&declared(), Some(&scaled), false)),
            Some(json!(2)),
            "no policy"
        );
        assert_eq!(
            replicas(&prepare(&declared(), None, true)),
            Some(json!(2)),
            "created as declared"
        );
        let other = live(7, json!([manager("kustomize-controller", "Apply", "")]));
        assert_eq!(replicas(&prepare(&declared(), Some(&other), true)), None, "stripped");
    }

    #[test]
    fn differences_are_named_and_status_is_none() {
        let mut wanted = live(3, json!([]));
        wanted.data["status"] = json!({"replicas": 9});
        wanted.labels_mut().insert("a/b".into(), "2".into());
        assert_eq!(
            differences(&live(7, json!([])), &wanted),
            ["/spec/replicas", "/metadata/labels/a~1b"]
        );
        assert!(differences(&wanted.clone(), &wanted).is_empty());
    }
}
