//! What of an object decisions need, and nothing else: no environment, command, volume or annotation ever gets into a file.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

/// A pod: what its requests are, how it is, whose it is.
#[must_use]
pub fn pod(pod: &Pod) -> Value {
    let spec = pod.spec.as_ref();
    let container = |c: &k8s_openapi::api::core::v1::Container| {
        without_nulls(json!({
            "name": c.name,
            "restartPolicy": c.restart_policy,
            "resources": c.resources.as_ref().map(|r| json!({"requests": r.requests, "limits": r.limits})),
        }))
    };
    let list = |containers: &[_]| containers.iter().map(container).collect::<Vec<_>>();
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let conditions = conditions.filter(|c| c.type_ == "Ready" || c.type_ == "PodScheduled");
    let conditions: Vec<Value> = conditions
        .map(|c| {
            json!({
                "type": c.type_,
                "status": c.status,
                "reason": c.reason,
                "lastTransitionTime": c.last_transition_time,
            })
        })
        .collect();
    let owner = pod.owner_references().iter().find(|o| o.controller == Some(true));
    without_nulls(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.metadata.name,
            "namespace": pod.metadata.namespace,
            "uid": pod.metadata.uid,
            "labels": pod.metadata.labels,
            "creationTimestamp": pod.metadata.creation_timestamp,
            "deletionTimestamp": pod.metadata.deletion_timestamp,
            "ownerReferences": owner.map(|o| vec![o]),
        },
        "spec": spec.map(|s| json!({
            "nodeName": s.node_name,
            "containers": list(&s.containers),
            "initContainers": s.init_containers.as_deref().map(list),
            "overhead": s.overhead,
            "resources": s.resources.as_ref().map(|r| json!({"requests": r.requests, "limits": r.limits})),
        })),
        "status": pod.status.as_ref().map(|s| json!({
            "phase": s.phase,
            "startTime": s.start_time,
            "conditions": conditions,
        })),
    }))
}

/// A target: its identity, its size, which pods are its own, and who wrote its size.
#[must_use]
pub fn target(object: &DynamicObject) -> Value {
    let part = |pointer: &str| object.data.pointer(pointer).cloned();
    let types = object.types.clone().unwrap_or_default();
    let size = json!({"f:spec": {"f:replicas": {}}});
    let writers = object.managed_fields().iter().filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|f| f.0.pointer("/f:spec/f:replicas").is_some())
    });
    let writers: Vec<Value> = writers
        .map(|w| {
            json!({
                "manager": w.manager,
                "operation": w.operation,
                "subresource": w.subresource,
                "apiVersion": w.api_version,
                "time": w.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": size,
            })
        })
        .collect();
    without_nulls(json!({
        "apiVersion": types.api_version,
        "kind": types.kind,
        "metadata": {
            "name": object.metadata.name,
            "namespace": object.metadata.namespace,
            "uid": object.metadata.uid,
            "generation": object.metadata.generation,
            "creationTimestamp": object.metadata.creation_timestamp,
            "deletionTimestamp": object.metadata.deletion_timestamp,
            "managedFields": writers,
        },
        "spec": {"replicas": part("/spec/replicas"), "selector": part("/spec/selector")},
        "status": {"replicas": part("/status/replicas")},
    }))
}

/// A policy: what is wanted, and its status, which remembers.
#[must_use]
pub fn policy(object: &DynamicObject) -> Value {
    let types = object.types.clone().unwrap_or_default();
    without_nulls(json!({
        "apiVersion": types.api_version,
        "kind": types.kind,
        "metadata": {
            "name": object.metadata.name,
            "namespace": object.metadata.namespace,
            "uid": object.metadata.uid,
            "generation": object.metadata.generation,
            "creationTimestamp": object.metadata.creation_timestamp,
        },
        "spec": object.data.get("spec"),
        "status": object.data.get("status"),
    }))
}

/// Another autoscaler: what it scales.
#[must_use]
pub fn autoscaler(hpa: &HorizontalPodAutoscaler) -> Value {
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": hpa.metadata.name, "namespace": hpa.metadata.namespace},
        "spec": {"scaleTargetRef": hpa.spec.scale_target_ref, "maxReplicas": hpa.spec.max_replicas},
    })
}

/// Without members that are null, and without lists and objects that are empty because of it.
fn without_nulls(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let kept = map.into_iter().filter(|(_, v)| !v.is_null());
    Value::Object(kept.map(|(k, v)| (k, inside(v))).collect::<Map<_, _>>())
}

fn inside(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(inside).collect(),
        other => without_nulls(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_keeps_what_decisions_need_and_no_secret() {
        let full = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": "shop", "uid": "u", "labels": {"app": "web"},
                "annotations": {"secret": "s3cret"}, "managedFields": [],
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "r", "controller": true}]},
            "spec": {
                "containers": [{"name": "app", "image": "x", "env": [{"name": "TOKEN", "value": "s3cret"}], "args": ["s3cret"],
                    "command": ["s3cret"], "resources": {"requests": {"cpu": "1"}}}],
                "initContainers": [{"name": "side", "restartPolicy": "Always", "env": [{"name": "TOKEN", "value": "s3cret"}]}],
                "volumes": [{"name": "v", "secret": {"secretName": "s3cret"}}], "overhead": {"cpu": "10m"}},
            "status": {"phase": "Running", "startTime": "2026-11-24T09:00:00Z", "message": "s3cret", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T09:00:05Z"}, {"type": "Initialized", "status": "True"}]},
        });
        let full: Pod = serde_json::from_value(full).unwrap();
        let kept = pod(&full);
        assert!(
            !kept.to_string().contains("s3cret") && !kept.to_string().contains("TOKEN"),
            "{kept}"
        );
        let again: Pod = serde_json::from_value(kept.clone()).unwrap();
        let seen = |pod: &Pod| {
            let mut seen = crate::edge::kube::convert::pod(pod);
            // A volume from a Secret holds no pod anywhere, and no decision on its target.
            seen.containers.clear();
            seen
        };
        assert_eq!(seen(&again), seen(&full));
        assert_eq!(crate::offline::fields::unknown("v1", "Pod", &kept), None);
    }
}
