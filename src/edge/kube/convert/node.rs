//! Nodes.

use k8s_openapi::api::core::v1 as core;

use super::requests::resources;
use super::{labels, opt_time, status, time, uid};
use crate::core::world::{Condition, Node, Taint};

/// Annotations by which people protect a node from being removed, when their value is `"true"`.
const PROTECTING: [&str; 2] = [
    "cluster-autoscaler.kubernetes.io/scale-down-disabled",
    "karpenter.sh/do-not-disrupt",
];

/// A node, reduced to what decisions need.
#[must_use]
pub fn node(node: &core::Node) -> Node {
    let meta = &node.metadata;
    let mut result = Node {
        name: meta.name.clone().unwrap_or_default(),
        uid: uid(meta.uid.as_ref()),
        labels: labels(meta.labels.as_ref()),
        created: time(meta.creation_timestamp.as_ref()),
        deleting: opt_time(meta.deletion_timestamp.as_ref()),
        do_not_remove: meta
            .annotations
            .as_ref()
            .is_some_and(|a| PROTECTING.iter().any(|key| a.get(*key).is_some_and(|v| v == "true"))),
        ..Node::default()
    };
    if let Some(spec) = &node.spec {
        result.unschedulable = spec.unschedulable.unwrap_or(false);
        result.taints = spec.taints.iter().flatten().map(taint).collect();
    }
    if let Some(seen) = &node.status {
        result.allocatable = seen
            .allocatable
            .as_ref()
            .or(seen.capacity.as_ref())
            .map(resources)
            .unwrap_or_default();
        let ready = seen.conditions.iter().flatten().find(|c| c.type_ == "Ready");
        result.ready = ready.map(|c| Condition {
            status: status(&c.status),
            since: time(c.last_transition_time.as_ref()),
            reason: c.reason.clone().unwrap_or_default(),
        });
    }
    result
}

fn taint(taint: &core::Taint) -> Taint {
    Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: taint.effect.clone(),
    }
}
