//! Pods.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;

use super::requests::{asks, requests};
use super::{controller, labels, opt_time, status, time, uid};
use crate::core::names::ObjectKey;
use crate::core::world::{Condition, Container, Exit, Pod, PodPhase, Toleration};

/// A pod, reduced to what decisions need.
#[must_use]
pub fn pod(pod: &core::Pod) -> Pod {
    let meta = &pod.metadata;
    let mut result = Pod {
        key: ObjectKey::new(
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        ),
        uid: uid(meta.uid.as_ref()),
        labels: labels(meta.labels.as_ref()),
        owner: controller(meta.owner_references.as_ref()),
        created: time(meta.creation_timestamp.as_ref()),
        deleting: opt_time(meta.deletion_timestamp.as_ref()),
        ..Pod::default()
    };
    result.template_hash = ["pod-template-hash", "controller-revision-hash"]
        .into_iter()
        .find_map(|label| result.labels.get(label).cloned());
    if let Some(spec) = &pod.spec {
        result.node = spec.node_name.clone().filter(|name| !name.is_empty());
        result.requests = requests(spec);
        (result.asks, result.pod_asks) = asks(spec);
        result.node_selector = labels(spec.node_selector.as_ref());
        result.tolerations = spec.tolerations.iter().flatten().map(toleration).collect();
        result.gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        result.unsupported = unsupported(spec);
    }
    if let Some(status) = &pod.status {
        fill_status(&mut result, status);
    }
    result
}

fn fill_status(result: &mut Pod, seen: &core::PodStatus) {
    result.started = opt_time(seen.start_time.as_ref());
    result.phase = match seen.phase.as_deref() {
        Some("Running") => PodPhase::Running,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        Some("Unknown") => PodPhase::Unknown,
        _ => PodPhase::Pending,
    };
    for condition in seen.conditions.iter().flatten() {
        let reason = condition.reason.clone().unwrap_or_default();
        let since = time(condition.last_transition_time.as_ref());
        match condition.type_.as_str() {
            "Ready" => {
                result.ready = Some(Condition {
                    status: status(&condition.status),
                    since,
                    reason,
                });
            }
            "PodScheduled" if condition.status == "False" && reason == "Unschedulable" => {
                result.unschedulable_since = Some(since);
            }
            _ => {}
        }
    }
    let containers = seen.container_statuses.iter().flatten().map(|c| container(c, false));
    let init = seen
        .init_container_statuses
        .iter()
        .flatten()
        .map(|c| container(c, true));
    result.containers = containers.chain(init).collect();
}

fn container(seen: &core::ContainerStatus, init: bool) -> Container {
    let waiting = seen
        .state
        .as_ref()
        .and_then(|s| s.waiting.as_ref())
        .and_then(|w| w.reason.clone());
    let last_exit = seen
        .last_state
        .as_ref()
        .and_then(|s| s.terminated.as_ref())
        .map(|t| Exit {
            reason: t.reason.clone().unwrap_or_default(),
            code: t.exit_code,
            finished: opt_time(t.finished_at.as_ref()),
        });
    let restarts = u32::try_from(seen.restart_count).unwrap_or(0);
    Container {
        name: seen.name.clone(),
        init,
        restarts,
        waiting,
        last_exit,
    }
}

fn toleration(seen: &core::Toleration) -> Toleration {
    Toleration {
        key: seen.key.clone().unwrap_or_default(),
        operator: seen.operator.clone().unwrap_or_default(),
        value: seen.value.clone().unwrap_or_default(),
        effect: seen.effect.clone().unwrap_or_default(),
    }
}

/// Required constraints that the packer does not understand. Preferred ones are no obstacle.
fn unsupported(spec: &core::PodSpec) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut note = |present: bool, name: &str| {
        if present {
            found.insert(name.to_owned());
        }
    };
    if let Some(affinity) = &spec.affinity {
        let to_nodes = affinity.node_affinity.as_ref();
        note(
            to_nodes.is_some_and(|a| a.required_during_scheduling_ignored_during_execution.is_some()),
            "affinity.nodeAffinity",
        );
        let has_terms = |terms: Option<&Vec<core::PodAffinityTerm>>| terms.is_some_and(|t| !t.is_empty());
        let pods = affinity.pod_affinity.as_ref();
        let required = pods.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        note(has_terms(required), "affinity.podAffinity");
        let anti = affinity.pod_anti_affinity.as_ref();
        let required = anti.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        note(has_terms(required), "affinity.podAntiAffinity");
    }
    let spread = spec.topology_spread_constraints.iter().flatten();
    note(
        spread.into_iter().any(|c| c.when_unsatisfiable == "DoNotSchedule"),
        "topologySpreadConstraints",
    );
    note(
        spec.resource_claims.as_ref().is_some_and(|c| !c.is_empty()),
        "resourceClaims",
    );
    let mut volumes = spec.volumes.iter().flatten();
    note(
        volumes.any(|v| v.persistent_volume_claim.is_some() || v.ephemeral.is_some()),
        "volumes",
    );
    let mut ports = spec.containers.iter().flat_map(|c| c.ports.iter().flatten());
    note(ports.any(|p| p.host_port.is_some_and(|port| port > 0)), "hostPort");
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Pod {
        pod(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_crash_looping_pod_is_seen_with_its_exit() {
        let pod = read(json!({
            "metadata": {"name": "a", "namespace": "shop", "uid": "u1", "labels": {"pod-template-hash": "h"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "r", "controller": true}]},
            "spec": {"containers": [{"name": "app"}], "nodeName": "n1"},
            "status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": "2026-11-24T09:00:00Z"}],
                "containerStatuses": [{"name": "app", "restartCount": 7, "ready": false, "image": "x", "imageID": "y",
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-24T09:01:00Z"}}}]}
        }));
        assert_eq!(pod.containers[0].waiting.as_deref(), Some("CrashLoopBackOff"));
        assert_eq!(
            pod.containers[0]
                .last_exit
                .as_ref()
                .map(|e| (e.code, e.reason.as_str())),
            Some((137, "OOMKilled"))
        );
        assert_eq!(pod.template_hash.as_deref(), Some("h"));
        assert!(!pod.is_ready());
        assert_eq!(
            pod.ready.map(|r| r.since.to_string()).as_deref(),
            Some("2026-11-24T09:00:00.000Z")
        );
    }

    #[test]
    fn requests_count_sidecars_init_containers_and_overhead_as_kubernetes_does() {
        let requests = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "64Mi"}});
        let pod = read(json!({
            "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"overhead": {"cpu": "50m"},
                "initContainers": [
                    {"name": "side", "restartPolicy": "Always", "resources": requests("100m")},
                    {"name": "big", "resources": requests("2")}],
                "containers": [{"name": "a", "resources": requests("500m")}, {"name": "b", "resources": {"limits": {"cpu": "1"}}}]}
        }));
        assert_eq!(
            pod.requests.cpu_milli, 2150,
            "the init container with the sidecar before it is the most"
        );
        assert_eq!(pod.requests.memory_bytes, 128 << 20);
        assert_eq!(pod.requests.pods, 1);
    }

    #[test]
    fn only_required_constraints_are_unsupported() {
        let pod = read(json!({
            "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"containers": [], "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}],
                "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "h"}]}}}
        }));
        assert_eq!(
            pod.unsupported.into_iter().collect::<Vec<_>>(),
            ["affinity.podAntiAffinity"]
        );
    }
}
